"""Train one refacing model on one defacer's output of one dataset."""

from refacebench.run import log, methods, prefixed
from refacebench.stages import train


def main(snakemake):
    """Train, or say in the card why there is no model; the run goes on either way."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    train.run(
        snakemake.output.card,
        methods.choose("refacers", p.name, p.entry),
        given.train,
        given.validation,
        sites=p.entry.get("sites") or (),
        seed=p.seed,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
