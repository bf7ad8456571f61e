"""Let one attacker compare the scans of one variant with his gallery."""

import sys
from pathlib import Path

from refacebench import jobs, manifest, reasons, registry, rendering
from refacebench.attackers import Context, _run


def training(module, options, paths, target, control, blur_mm):
    """Return the train split's scans of the variant and their originals, enrolled."""
    if not paths:
        return None, None
    rows = manifest.read_many(paths)
    originals = rows[rows["variant"] == "original"]
    attacked = originals if control else rows[rows["variant"] == target]
    sides = (
        _run.subjects(attacked, control=control, blur_mm=blur_mm)[0],
        _run.subjects(originals)[0],
    )
    return tuple(_run.enrol(module, side, options)[0] for side in sides)


def main(snakemake):
    """Enrol the queries, score them, and write the attack."""
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
    if meta["unavailable"]:
        print(f"WARNING: no attack by {p.name}: {meta['unavailable']}", file=sys.stderr, flush=True)
        gallery = manifest.read_many(given.originals)
        arrays = _run.unavailable(rows, gallery, meta["unavailable"])
        _run.save_attack(arrays, meta, snakemake.output[0])
        return
    brains = manifest.read_many(given.brains) if given.get("brains") else None
    people, lost = _run.subjects(rows, brains, control, p.blur_mm)
    gallery, _ = _run.load_enrolled(given.gallery)
    known, again = gallery if p.target == "original" else None, {}
    queries, unfit = _run.enrol(module, people, options, known, again)
    variant, originals = training(
        module, options, given.get("trained") or [], p.target, control, p.blur_mm
    )
    context = Context(p.seed, Path(p.state), variant, originals)
    arrays, meta["trained_on"] = _run.attack(
        module, rows, queries, gallery, options, context, lost | unfit
    )
    _run.save_attack(arrays, meta, snakemake.output[0])
    manifest.note_failures(snakemake.output[0], again, {}, len(people))


if __name__ == "__main__":
    main(snakemake)
