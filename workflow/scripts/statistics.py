"""All tables of one dataset, from its manifests."""

import pandas as pd

from refacebench import brainage, captions, manifest
from refacebench.run import configuration, log, methods, plan
from refacebench.run import paths as paths_
from refacebench.statistics import cohort, latex, unavailable
from refacebench.statistics.flow import StageManifest
from refacebench.statistics.settings import Settings
from refacebench.statistics.tables import tables


def tagged(paths) -> list[StageManifest]:
    """Read manifests and tag each with the stage and variant that its path names."""
    places = [(paths_.manifest_place(path), path) for path in paths]
    return [StageManifest(at.stage, at.variant, manifest.read(path)) for at, path in places]


def measurements(paths):
    """Return the measurement table (see ``refacebench.statistics``) from manifests."""
    places = [(paths_.manifest_place(path), path) for path in paths]
    return cohort.assemble((at.segmenter, at.variant, manifest.read(path)) for at, path in places)


def carried(paths):
    """Return the rows of all companions with the defacer that each belongs to."""
    parts = [manifest.read(p).assign(made_by=paths_.manifest_place(p).variant) for p in paths]
    return pd.concat(parts, ignore_index=True) if parts else None


def main(snakemake):
    """Write the tables as TSV and LaTeX."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    settings = Settings.from_config(snakemake.config)
    method = methods.declared("brainage", configuration.BRAIN_AGE, snakemake.config["brain_age"])
    models = brainage.load(given.brain_age)
    measured = measurements([*given.measured, *given.rescans])
    added = unavailable.rows(measured, p.unavailable)
    measured = brainage.add_predictions(measured, method, models)
    stages = tagged([*given.measured, *given.rescans, *given.training, *given.refacing])
    results = tables(
        pd.concat([measured, added], ignore_index=True),
        settings,
        variants=p.variants,
        inventory=plan.read_all(given.inventory, p.unused),
        manifests=[*stages, *unavailable.manifests(added)],
        brainage_models=models,
        carried=carried(given.get("carried", [])),
    )

    def caption(name):
        return captions.CAPTIONS[name](results, settings, config=snakemake.config)

    latex.write_all(results, snakemake.output, caption, p.note)


if __name__ == "__main__":
    main(snakemake)
