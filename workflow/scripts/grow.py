"""Grow the scans of one batch of a synthetic cohort; writes below results/cohort."""

from refacebench.run import log, methods, people, plan, prefixed
from refacebench.stages import grow


def main(snakemake):
    """Read the batch's list, make each scan, write the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    grow.run_batch(
        plan.read_list(p.scans),
        people.read(p.people),
        snakemake.output[0],
        methods.choose("datasets", p.dataset, p.entry),
        method=p.entry["type"],
        base=p.base,
        home=p.bids,
        seed=p.seed,
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
