"""The key of the pseudonyms that shared files name people by."""

from refacebench import files, pseudonyms
from refacebench.run import log, prefixed


def main(snakemake):
    """Make the key if there is none, and write what it is known by."""
    log.start(snakemake.log[0])
    files.write_text(pseudonyms.make_key() + "\n", snakemake.output[0])


if __name__ == "__main__":
    main(prefixed.job(snakemake))
