"""Let one attacker compare the scans of one variant with his gallery."""

import sys
from pathlib import Path

import pandas as pd

from refacebench import manifest, reasons, vocabulary
from refacebench.contracts import Context
from refacebench.run import log, methods
from refacebench.stages import attack


def training(method, options, paths, target, control, blur_mm):
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
        people, _ = attack.subjects(side, control=shown, blur_mm=blur_mm)
        enrolled, unfit = attack.enrol(method, people, options)
        sides.append(enrolled)
        notes.append((side, unfit, shown))
    return tuple(sides), notes


def main(snakemake):
    """Enrol the queries, score them, and write the attack and what became of each scan."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    chosen = methods.choose("attackers", p.name, p.entry)
    method, options = chosen.method, chosen.options
    control = p.target if p.target in vocabulary.PICTURE_CONTROLS else ""
    rows = manifest.read_many(given.queries)
    meta = {
        "attacker": p.name,
        "version": p.version,
        "options": options,
        "variant": p.target,
        "trained_on": "",
        "unavailable": reasons.clean(method.missing(options)),
    }
    who = {"attacker": p.name, "version": p.version}
    if meta["unavailable"]:
        why = meta["unavailable"]
        print(f"WARNING: no attack by {p.name}: {why}", file=sys.stderr, flush=True)
        gallery = manifest.read_many(given.originals)
        attack.save_attack(attack.unavailable(rows, gallery, why), meta, snakemake.output.scores)
        table = attack.record(rows, "attack", {}, variant=control, unavailable=why, **who)
        manifest.write(table, snakemake.output.manifest)
        return
    brains = manifest.read_many(given.brains) if given.get("brains") else None
    people, lost = attack.subjects(rows, brains, control, p.blur_mm)
    gallery, _ = attack.load_enrolled(given.gallery)
    known, again = gallery if p.target == "original" else None, {}
    queries, unfit = attack.enrol(method, people, options, known, again)
    sides, notes = training(
        method, options, given.get("trained") or [], p.target, control, p.blur_mm
    )
    context = Context(p.seed, Path(p.state), *sides)
    arrays, meta["trained_on"] = attack.attack(
        method, rows, queries, gallery, options, context, lost | unfit, again
    )
    attack.save_attack(arrays, meta, snakemake.output.scores)
    failed = attack.at("attack", attack.reasons_of(arrays)) | attack.at("enrol", unfit)
    parts = [attack.record(rows, "attack", failed, variant=control, **who)]
    for side, why, shown in notes:
        parts.append(attack.record(side, "enrol", attack.at("enrol", why), variant=shown, **who))
    manifest.write(pd.concat(parts, ignore_index=True), snakemake.output.manifest)
    manifest.note_failures(snakemake.output.scores, again, {}, len(people))


if __name__ == "__main__":
    main(snakemake)
