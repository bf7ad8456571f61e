"""Let one attacker compare the scans of one variant with his gallery."""

import sys
from pathlib import Path

import pandas as pd

from refacebench import jobs, manifest, reasons, registry, rendering
from refacebench.attackers import Context, _run


def training(module, options, paths, target, control, blur_mm):
    """Return the train split's scans of the variant and their originals, enrolled.

    Beside them the rows of each side with the reasons of those that were not enrolled.
    """
    if not paths:
        return (None, None), []
    rows = manifest.read_many(paths)
    originals = rows[rows["variant"] == "original"]
    attacked = originals if control else rows[rows["variant"] == target]
    sides, notes = [], []
    for side, shown in ((attacked, control), (originals, "")):
        people, _ = _run.subjects(side, control=shown, blur_mm=blur_mm)
        enrolled, unfit = _run.enrol(module, people, options)
        sides.append(enrolled)
        notes.append((side, unfit, shown))
    return tuple(sides), notes


def main(snakemake):
    """Enrol the queries, score them, and write the attack and what became of each scan."""
    jobs.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    module = registry.load("attackers", p.name, p.entry)
    options = registry.options("attackers", p.name, p.entry)
    control = p.target if p.target in rendering.CONTROLS else ""
    rows = manifest.read_many(given.queries)
    meta = {
        "attacker": p.name,
        "version": p.version,
        "options": options,
        "variant": p.target,
        "trained_on": "",
        "unavailable": reasons.clean(module.missing(options)) if hasattr(module, "missing") else "",
    }
    who = {"attacker": p.name, "version": p.version}
    if meta["unavailable"]:
        why = meta["unavailable"]
        print(f"WARNING: no attack by {p.name}: {why}", file=sys.stderr, flush=True)
        gallery = manifest.read_many(given.originals)
        _run.save_attack(_run.unavailable(rows, gallery, why), meta, snakemake.output.scores)
        table = _run.record(rows, "attack", {}, variant=control, unavailable=why, **who)
        manifest.write(table, snakemake.output.manifest)
        return
    brains = manifest.read_many(given.brains) if given.get("brains") else None
    people, lost = _run.subjects(rows, brains, control, p.blur_mm)
    gallery, _ = _run.load_enrolled(given.gallery)
    known, again = gallery if p.target == "original" else None, {}
    queries, unfit = _run.enrol(module, people, options, known, again)
    sides, notes = training(
        module, options, given.get("trained") or [], p.target, control, p.blur_mm
    )
    context = Context(p.seed, Path(p.state), *sides)
    arrays, meta["trained_on"] = _run.attack(
        module, rows, queries, gallery, options, context, lost | unfit, again
    )
    _run.save_attack(arrays, meta, snakemake.output.scores)
    failed = _run.at("attack", _run.reasons_of(arrays)) | _run.at("enrol", unfit)
    parts = [_run.record(rows, "attack", failed, variant=control, **who)]
    for side, why, shown in notes:
        parts.append(_run.record(side, "enrol", _run.at("enrol", why), variant=shown, **who))
    manifest.write(pd.concat(parts, ignore_index=True), snakemake.output.manifest)
    manifest.note_failures(snakemake.output.scores, again, {}, len(people))


if __name__ == "__main__":
    main(snakemake)
