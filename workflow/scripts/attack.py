"""Let one attacker compare the scans of one variant with its gallery."""

from refacebench.run import log, methods, prefixed
from refacebench.stages import attack


def main(snakemake):
    """Enrol the queries, score them, and write the attack and what became of each scan."""
    log.start(snakemake.log[0])
    p, given, out = snakemake.params, snakemake.input, snakemake.output
    files = attack.Given(
        given.gallery, given.originals, given.queries, given.get("brains"), given.get("trained")
    )
    attack.run(
        files,
        methods.choose("attackers", p.name, p.entry),
        p.target,
        out.scores,
        out.manifest,
        folder=p.state,
        blur_mm=p.blur_mm,
        seed=p.seed,
        version=p.version,
        threads=snakemake.threads,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
