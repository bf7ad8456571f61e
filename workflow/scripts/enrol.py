"""Let one attacker look at the originals of the test split, all sessions: his gallery."""

import sys

from refacebench import jobs, manifest, reasons, registry
from refacebench.attackers import Enrolled, _run


def main(snakemake):
    """Enrol each original; one that cannot be enrolled is named with its reason."""
    jobs.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    module = registry.load("attackers", p.name, p.entry)
    options = registry.options("attackers", p.name, p.entry)
    rows = manifest.read_many(given.gallery)
    brains = manifest.read_many(given.brains) if given.get("brains") else None
    people, lost = _run.subjects(rows, brains)
    reason = reasons.clean(module.missing(options)) if hasattr(module, "missing") else ""
    again = {}
    if reason:
        enrolled, unfit = Enrolled.empty(), {person.scan: reason for person in people}
    else:
        enrolled, unfit = _run.enrol(module, people, options, again=again)
    for scan, why in (lost | unfit).items():
        print(f"not enrolled: {scan} ({why})", file=sys.stderr)
    _run.save_enrolled(enrolled, lost | unfit, snakemake.output.gallery)
    who = {"attacker": p.name, "version": p.version, "unavailable": reason}
    table = _run.record(rows, "enrol", _run.at("enrol", unfit), **who)
    manifest.write(table, snakemake.output.manifest)
    manifest.note_failures(snakemake.output.gallery, again, {}, len(people))


if __name__ == "__main__":
    main(snakemake)
