"""Tables of the attacks on one dataset."""

from refacebench.report import tables
from refacebench.results import catalogue, inputs
from refacebench.results.result import ATTACKS, View
from refacebench.run import log
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.settings import Settings


def main(snakemake):
    """Write the tables as TSV and LaTeX, and say what the controls say."""
    log.start(snakemake.log[0])
    p = snakemake.params
    settings, protocol = Settings.from_config(p.config), Protocol.from_config(p.config)
    found = catalogue.compute(
        ATTACKS, inputs.read_attacked(snakemake.input, protocol, settings, p.floors)
    )
    tables.write(found, snakemake.output, View(found, settings), p.note)
    for message in found["privacy_warnings"]["message"]:
        print(f"WARNING: {message}", flush=True)


if __name__ == "__main__":
    main(snakemake)
