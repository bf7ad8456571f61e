"""Tables and figures of the attacks on one dataset."""

from refacebench.report import figures, tables
from refacebench.results import catalogue, inputs
from refacebench.results.result import ATTACKS, View
from refacebench.run import log, prefixed


def main(snakemake):
    """Write tables and figures, and say what the controls say."""
    log.start(snakemake.log[0])
    p, given, out = snakemake.params, snakemake.input, snakemake.output
    found = inputs.read_attacked(given, p)
    made = catalogue.compute(ATTACKS, found)
    tables.write(made, out.tables, View(made, found.criteria), p.note)
    others = [given.volumes, given.quality, given.agreement]
    drawn = figures.of_attacks(made, others, p.variants, found.criteria, p.decision)
    figures.write(drawn, out.figures, p.note)
    for message in made["privacy_warnings"]["message"]:
        print(f"WARNING: {message}", flush=True)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
