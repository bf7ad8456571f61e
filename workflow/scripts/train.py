"""Train one refacing model on one defacer's output of one dataset."""

import json
import traceback
from pathlib import Path

from refacebench import jobs, manifest, reasons, refacers, registry


def pairs(paths, sites=()) -> list[refacers.Pair]:
    """Return the usable scans of defaced manifests, of some sites only, as training pairs.

    Raises
    ------
    ScanInterrupted
        If an original is another file than the one that was checked and defaced.
    """
    if not paths:
        return []
    rows = manifest.read_many(paths)
    rows = rows[rows["status"] == manifest.OK].sort_values("scan")
    if sites:
        rows = rows[rows["site"].astype(str).isin([str(site) for site in sites])]
    for r in rows.itertuples():
        checked = getattr(r, "checksum", "")
        if checked and manifest.is_another(checked, manifest.checksum(r.original_path)):
            raise manifest.ScanInterrupted(f"{r.scan}: {manifest.CHANGED}")
    return [
        refacers.Pair(r.scan, r.original_path, r.path, r.changed_path, r.brain_path, str(r.site))
        for r in rows.itertuples()
    ]


def main(snakemake):
    """Train, or say in the card why there is no model; the run goes on either way."""
    jobs.start(snakemake.log[0])
    p = snakemake.params
    module = registry.load("refacers", p.name, p.entry)
    options = registry.options("refacers", p.name, p.entry)
    out = Path(snakemake.output.card).parent
    sites = p.entry.get("sites") or ()
    splits = (snakemake.input.train, snakemake.input.validation)
    again, final = {}, {}
    try:
        train, validation = (pairs(paths, sites) for paths in splits)
        if not train or not validation:
            of = f" of site {', '.join(map(str, sites))}" if sites else ""
            raise refacers.TrainingFailed(
                f"{len(train)} training and {len(validation)} validation scans{of}"
            )
        module.train(train, validation, out, options, p.seed)
    except Exception as error:
        passing = manifest.may_pass(error)
        if not passing and not isinstance(error, refacers.TrainingFailed):
            raise
        traceback.print_exc()
        reason = reasons.clean(f"no model: {str(error) or 'out of memory'}")
        (again if passing else final)["training"] = reason
        card = {"status": manifest.FAILED, "reason": reason}
        manifest.write_text(json.dumps(card) + "\n", snakemake.output.card)
    manifest.note_failures(snakemake.output.card, again, final, total=1)


if __name__ == "__main__":
    main(snakemake)
