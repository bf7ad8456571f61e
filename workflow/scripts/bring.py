"""Take over the measures that other software made."""

from refacebench.run import log, methods, plan, prefixed
from refacebench.stages import bring


def main(snakemake):
    """Write a manifest for each program and variant."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("datasets", p.dataset, p.entry)
    measures = chosen.method.measures(chosen.options)
    bring.run_batch(
        plan.read_list(p.scans), measures, p.segmenters, p.variants, snakemake.output, p.version
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
