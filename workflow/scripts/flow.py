"""Where each scan of a dataset ended, on the way to the measures and to the attacks."""

import pandas as pd

from refacebench import captions, manifest
from refacebench.run import log, plan
from refacebench.run import paths as paths_
from refacebench.statistics import attacked, cohort, latex, unavailable
from refacebench.statistics.flow import StageManifest
from refacebench.statistics.settings import Settings


def main(snakemake):
    """Write the tables of the flow as TSV and LaTeX."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    paths = [*given.measured, *given.rescans, *given.training, *given.refacing]
    places = [(paths_.manifest_place(path), manifest.read(path)) for path in paths]
    originals = [
        (at.segmenter, at.variant, table) for at, table in places if at.variant == "original"
    ]
    added = unavailable.rows(cohort.assemble(originals), p.unavailable)
    stages = [StageManifest(at.stage, at.variant, table) for at, table in places]
    ledgers = [manifest.read(path) for path in [*given.enrolled, *given.attacked]]
    results = attacked.flow_tables(
        plan.read_all(given.inventory, p.unused),
        [*stages, *unavailable.manifests(added)],
        pd.concat(ledgers, ignore_index=True) if ledgers else None,
        p.variants,
    )
    notes = unavailable.reasons_of(added)
    results = {name: unavailable.noted(table, notes) for name, table in results.items()}
    settings = Settings.from_config(snakemake.config)

    def caption(name):
        return captions.CAPTIONS[name](results, settings, config=snakemake.config)

    latex.write_all(results, snakemake.output, caption, p.note)


if __name__ == "__main__":
    main(snakemake)
