"""Let one attacker look at the originals of the test split, all sessions: his gallery."""

import sys

from refacebench import manifest, reasons
from refacebench.contracts import Enrolled
from refacebench.run import log, methods
from refacebench.stages import attack


def main(snakemake):
    """Enrol each original; one that cannot be enrolled is named with its reason."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    chosen = methods.choose("attackers", p.name, p.entry)
    method, options = chosen.method, chosen.options
    rows = manifest.read_many(given.gallery)
    brains = manifest.read_many(given.brains) if given.get("brains") else None
    people, lost = attack.subjects(rows, brains)
    reason = reasons.clean(method.missing(options))
    again = {}
    if reason:
        enrolled, unfit = Enrolled.empty(), {person.scan: reason for person in people}
    else:
        enrolled, unfit = attack.enrol(method, people, options, again=again)
    for scan, why in (lost | unfit).items():
        print(f"not enrolled: {scan} ({why})", file=sys.stderr)
    attack.save_enrolled(enrolled, lost | unfit, snakemake.output.gallery)
    who = {"attacker": p.name, "version": p.version, "unavailable": reason}
    table = attack.record(rows, "enrol", attack.at("enrol", unfit), **who)
    manifest.write(table, snakemake.output.manifest)
    manifest.note_failures(snakemake.output.gallery, again, {}, len(people))


if __name__ == "__main__":
    main(snakemake)
