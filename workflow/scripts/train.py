"""Train one refacing model on one defacer's output of one dataset."""

import json
import traceback
from pathlib import Path

from refacebench import contracts, files, manifest, reasons, vocabulary
from refacebench.run import batch, log, methods, sandbox


def pairs(paths, sites=()) -> list[contracts.Pair]:
    """Return the usable scans of defaced manifests, of some sites only, as training pairs.

    Raises
    ------
    ScanInterrupted
        If an original is another file than the one that was checked and defaced.
    """
    if not paths:
        return []
    rows = manifest.read_many(paths)
    rows = rows[rows["status"] == vocabulary.OK].sort_values("scan")
    if sites:
        rows = rows[rows["site"].astype(str).isin([str(site) for site in sites])]
    for r in rows.itertuples():
        checked = getattr(r, "checksum", "")
        if checked and batch.is_another(checked, files.checksum(r.original_path)):
            raise contracts.ScanInterrupted(f"{r.scan}: {batch.CHANGED}")
    return [
        contracts.Pair(r.scan, r.original_path, r.path, r.changed_path, r.brain_path, str(r.site))
        for r in rows.itertuples()
    ]


def main(snakemake):
    """Train, or say in the card why there is no model; the run goes on either way."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("refacers", p.name, p.entry)
    out = Path(snakemake.output.card).parent
    sites = p.entry.get("sites") or ()
    splits = (snakemake.input.train, snakemake.input.validation)
    again, final = {}, {}
    try:
        train, validation = (pairs(paths, sites) for paths in splits)
        if not train or not validation:
            of = f" of site {', '.join(map(str, sites))}" if sites else ""
            raise contracts.TrainingFailed(
                f"{len(train)} training and {len(validation)} validation scans{of}"
            )
        chosen.method.train(train, validation, out, chosen.options, p.seed)
    except Exception as error:
        passing = sandbox.may_pass(error)
        if not passing and not isinstance(error, contracts.TrainingFailed):
            raise
        traceback.print_exc()
        reason = reasons.clean(f"no model: {str(error) or 'out of memory'}")
        (again if passing else final)["training"] = reason
        card = {"status": vocabulary.FAILED, "reason": reason}
        files.write_text(json.dumps(card) + "\n", snakemake.output.card)
    manifest.note_failures(snakemake.output.card, again, final, total=1)


if __name__ == "__main__":
    main(snakemake)
