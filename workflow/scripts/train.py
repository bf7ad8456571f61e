"""Train one refacing model on one defacer's output of one dataset."""

import json
from pathlib import Path

from refacebench import jobs, manifest, refacers, registry


def pairs(paths) -> list[refacers.Pair]:
    """Return the usable scans of defaced manifests as training pairs."""
    if not paths:
        return []
    rows = manifest.read_many(paths)
    rows = rows[rows["status"] == manifest.OK].sort_values("scan")
    return [
        refacers.Pair(r.scan, r.original_path, r.path, r.changed_path, r.brain_path)
        for r in rows.itertuples()
    ]


def main(snakemake):
    """Train, or say in the card why there is no model; the run goes on either way."""
    jobs.start(snakemake.log[0])
    p = snakemake.params
    module = registry.load("refacers", p.name, p.entry)
    options = registry.options("refacers", p.name, p.entry)
    out = Path(snakemake.output.card).parent
    train, validation = pairs(snakemake.input.train), pairs(snakemake.input.validation)
    try:
        if not train or not validation:
            raise refacers.TrainingFailed(
                f"{len(train)} training and {len(validation)} validation scans"
            )
        module.train(train, validation, out, options, p.seed)
    except refacers.TrainingFailed as reason:
        card = {"status": manifest.FAILED, "reason": manifest.one_line(f"no model: {reason}")}
        manifest.write_text(json.dumps(card) + "\n", snakemake.output.card)


if __name__ == "__main__":
    main(snakemake)
