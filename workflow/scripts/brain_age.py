"""Fit the brain-age model of each segmenter on the train split's originals."""

from refacebench import brainage
from refacebench.results import inputs
from refacebench.run import configuration, log, methods, people, prefixed


def main(snakemake):
    """Read segmentation manifests, write the models as JSON."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("brainage", configuration.BRAIN_AGE, p.entry)
    rows = inputs.measurements(snakemake.input, people.read(p.people))
    models = brainage.fit_segmenters(rows, chosen.method, chosen.options, p.seed)
    for segmenter in p.segmenters:
        models.setdefault(segmenter, {"note": "no scan of the train split was segmented"})
    brainage.save(models, snakemake.output[0])


if __name__ == "__main__":
    main(prefixed.job(snakemake))
