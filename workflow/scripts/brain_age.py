"""Fit the brain-age model of each segmenter on the train split's originals."""

import pandas as pd

from refacebench import brainage, manifest
from refacebench.run import configuration, log, methods, paths
from refacebench.statistics import cohort


def main(snakemake):
    """Read segmentation manifests, write the models as JSON."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("brainage", configuration.BRAIN_AGE, p.entry)
    parts = [(paths.manifest_place(path), manifest.read(path)) for path in snakemake.input]
    rows = pd.DataFrame(columns=[*manifest.COLUMNS, "segmenter"])
    if parts:
        rows = cohort.assemble((at.segmenter, at.variant, table) for at, table in parts)
    models = brainage.fit_segmenters(rows, chosen.method, chosen.options, p.seed)
    for segmenter in p.segmenters:
        models.setdefault(segmenter, {"note": "no scan of the train split was segmented"})
    brainage.save(models, snakemake.output[0])


if __name__ == "__main__":
    main(snakemake)
