"""Make what all scans of a synthetic cohort share; writes below results/cohort."""

from pathlib import Path

from refacebench import derivatives, jobs, manifest, plan, registry


def main(snakemake):
    """Build the base head and describe the cohort as a BIDS folder."""
    jobs.start(snakemake.log[0])
    p = snakemake.params
    module = registry.load("datasets", p.dataset, p.entry)
    options = registry.options("datasets", p.dataset, p.entry)
    folder = Path(snakemake.output[0]).parent
    module.base(options, p.seed, folder)
    bids = folder.parent / "bids"
    derivatives.describe(bids, f"synthetic cohort '{p.dataset}'")
    people = module.index(options, p.seed).drop_duplicates("participant")
    people = people.rename(columns={"participant": "participant_id"})
    manifest.write(people[["participant_id", "age", "sex", "site"]], bids / "participants.tsv")
    manifest.write_text(plan.statement(p.dataset, p.entry) + "\n", snakemake.output[0])


if __name__ == "__main__":
    main(snakemake)
