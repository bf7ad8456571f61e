"""The page with questions for human raters, and its key; only for public faces."""

from refacebench import files, manifest
from refacebench.report import kit
from refacebench.run import log, prefixed


def main(snakemake):
    """Write the page and the key."""
    log.start(snakemake.log[0])
    p, out = snakemake.params, snakemake.output
    dataset = snakemake.wildcards.dataset
    options = {"blur_mm": p.blur_mm, "seed": p.seed, "faces": p.faces, "note": p.note}
    key, page = kit.make(snakemake.input, p.kit, dataset=dataset, **options)
    manifest.write(key, out.key)
    files.write_text(page, out.page)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
