"""Make what all scans of a synthetic cohort share; writes below results/cohort."""

from pathlib import Path

from refacebench import bids as bids_
from refacebench import files, manifest
from refacebench.run import configuration, log, methods


def main(snakemake):
    """Build the base head and describe the cohort as a BIDS folder."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("datasets", p.dataset, p.entry)
    method, options = chosen.method, chosen.options
    folder = Path(snakemake.output[0]).parent
    method.base(options, p.seed, folder)
    bids = folder.parent / "bids"
    bids_.describe(bids, f"synthetic cohort '{p.dataset}'")
    people = method.index(options, p.seed).drop_duplicates("participant")
    people = people.rename(columns={"participant": "participant_id"})
    manifest.write(people[["participant_id", "age", "sex", "site"]], bids / "participants.tsv")
    files.write_text(configuration.statement(p.dataset, p.entry) + "\n", snakemake.output[0])


if __name__ == "__main__":
    main(snakemake)
