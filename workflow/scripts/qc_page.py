"""The page for quality control, and the list of its scans; all of it stays below results/qc."""

from refacebench.qc import making
from refacebench.run import log


def main(snakemake):
    """Write the page, what it loads, and the list."""
    log.start(snakemake.log[0])
    p = snakemake.params
    making.make(
        snakemake.input,
        snakemake.output.scans,
        dataset=snakemake.wildcards.dataset,
        config=p.config,
        faces=p.faces,
        floors=p.floors,
        note=p.note,
    )


if __name__ == "__main__":
    main(snakemake)
