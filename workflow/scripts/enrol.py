"""Let one attacker look at the originals of the test split, all sessions: its gallery."""

from refacebench.run import log, methods, prefixed
from refacebench.stages import enrol


def main(snakemake):
    """Enrol each original; one that cannot be enrolled is named with its reason."""
    log.start(snakemake.log[0], snakemake.resources)
    p, given, out = snakemake.params, snakemake.input, snakemake.output
    chosen = methods.choose("attackers", p.name, p.entry)
    enrol.run(
        given.gallery, given.get("brains"), chosen, out.gallery, out.manifest, version=p.version
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
