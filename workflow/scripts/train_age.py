"""Train one age model on the originals of one dataset's train split."""

from refacebench.run import log, methods, prefixed
from refacebench.stages import train_age


def main(snakemake):
    """Train, or say in the card why there is no model; the run goes on either way."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    train_age.run(
        snakemake.output.card,
        methods.choose("age_models", p.name, p.entry),
        given.train,
        given.validation,
        p.people,
        seed=p.seed,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
