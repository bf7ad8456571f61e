"""Bring what a public data set consists of into the user's folder."""

import sys

from refacebench import files
from refacebench.run import log, methods, prefixed


def main(snakemake):
    """Download and unpack; the output only says that it is done."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("datasets", p.dataset, p.entry)
    try:
        chosen.method.fetch(chosen.options)
    except (OSError, ValueError) as error:
        sys.exit(f"datasets.{p.dataset}: {error}")
    files.write_text(f"{p.missing}\n", snakemake.output[0])


if __name__ == "__main__":
    main(prefixed.job(snakemake))
