"""Manifests of attacks in which scans were lost, for tests."""

import pandas as pd

from refacebench.stages.enrol import record
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=100)

UNREGISTERED = "the scan could not be registered to the template head (scale 0.96-1.29)"


PEOPLE = 5


LOST = {"sub3_ses2": ("failed", "render", UNREGISTERED)}


def rendered(people=PEOPLE, variant="original", sessions=(1, 2), split="test", **lost):
    """Render manifests of people with two sessions; ``lost`` names scans with their end."""
    rows = []
    for person in range(1, people + 1):
        for session in sessions:
            scan = f"sub-{person}_ses-{session}"
            end = lost.get(scan.replace("-", ""), ("ok", "render", ""))
            rows.append(
                {
                    "dataset": "d",
                    "participant": f"sub-{person}",
                    "session": f"ses-{session}",
                    "scan": scan,
                    "split": split,
                    "role": "measured" if session == 1 else "rescan",
                    "variant": variant,
                    **dict(zip(("status", "stage", "reason"), end, strict=True)),
                }
            )
    return pd.DataFrame(rows)


def manifests(attackers=("a", "b"), unfit=None, variants=("original", "x", "black"), **lost):
    """What every attacker's enrolment and attacks wrote; ``unfit``: (attacker, variant, scan)."""
    enrolled, asked = [], []
    for name in attackers:
        gallery = rendered(**lost)
        enrolled.append(record(gallery, "enrol", {}, attacker=name))
        for variant in variants:
            rows = gallery[gallery["role"] == "measured"]
            if variant == "x":
                rows = rendered(variant="x", sessions=(1,))
            failed = {
                scan: end
                for (who, what, scan), end in (unfit or {}).items()
                if (who, what) == (name, variant)
            }
            asked.append(record(rows, "attack", failed, attacker=name, variant=variant))
    return pd.concat(enrolled), pd.concat(asked)


def dataset(tables):
    """What the page wants of a data set with these tables."""
    return {
        "name": "demo",
        "faces": "private",
        "tables": tables,
        "figures": {},
        "criteria": SETTINGS,
        "config": {},
        "methods": [],
    }
