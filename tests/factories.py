"""Measurement tables, manifests and result tables of a made-up cohort, for tests.

The numbers follow simple rules (see :data:`EFFECTS`), so that a test knows
which variant loses volume and which does not; no image is involved.
"""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pandas as pd

from refacebench.manifest import COLUMNS, OF_PEOPLE
from refacebench.results import catalogue
from refacebench.results.flow import StageManifest
from refacebench.results.inputs import Followed, Measured
from refacebench.results.result import ATTACKS, FLOW, STATISTICS, View
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import GLOBALS, OK, REGIONS, STAGES, split_variant

#: Columns of the tables of measurements and of the scans' flow, and of those of attacks.
TABLE_COLUMNS, ATTACK_COLUMNS = (
    {r.name: r.columns for r in catalogue.everything() if r.job in jobs and r.columns}
    for jobs in ((STATISTICS, FLOW), (ATTACKS,))
)
VARIANTS = (
    "original",
    "null",
    "pydeface",
    "quickshear",
    "pydeface+pix2pix25d",
    "quickshear+pix2pix25d",
)
#: Mean change of every volume in percent, its standard deviation, the mean Dice
#: loss and the correlation with the original, by kind of variant.
EFFECTS = {
    "original": (0.0, 0.0, 0.0, 1.0),
    "null": (0.0, 0.3, 0.004, 0.999),
    "defaced": (-2.0, 1.5, 0.03, 0.80),
    "refaced": (-0.3, 0.8, 0.015, 0.93),
}
#: Typical adult volumes in ml.
_GLOBAL_ML = {"tiv": 1500, "brain": 1200, "gm": 640, "wm": 480, "csf": 320, "vcsf": 30}
_REGION_ML = dict.fromkeys(REGIONS, 5.0) | {
    "brainstem": 24.0,
    "frontal": 380.0,
    "parietal": 220.0,
    "temporal": 240.0,
    "occipital": 120.0,
}
STRUCTURES = ("brain", "vcsf", "wm", "gm")
_PARTS = ("nose", "eyes", "mouth", "chin", "ears")
#: What is left of a part of the face, and of the ears, by kind of variant.
_PART_LEFT = {
    "original": (1.0, 1.0),
    "null": (1.0, 1.0),
    "defaced": (0.02, 1.0),
    "refaced": (0.0, 1.0),
}


def kind(variant: str) -> str:
    """Return the key of :data:`EFFECTS` for a variant."""
    if variant in EFFECTS:
        return variant
    return "refaced" if split_variant(variant)[1] else "defaced"


def measurements(
    n_participants: int = 12,
    variants: tuple[str, ...] = VARIANTS,
    seed: int = 0,
    *,
    n_train: int = 20,
    n_rescans: int = 6,
    sessions: int = 1,
    segmenters: tuple[str, ...] = ("deepbet_gmm",),
    sites: tuple[str, ...] = ("north", "south"),
    failures: bool = True,
    dataset: str = "demo",
) -> pd.DataFrame:
    """Return a full measurement table.

    Parameters
    ----------
    n_participants : int
        Participants of the test split; every variant of theirs is measured.
    n_train : int
        Participants of the train split; only their originals are measured.
    n_rescans : int
        The first so many test participants have one more session, ``role`` rescan.
    sessions : int
        Sessions of each test participant (beside the rescan).
    failures : bool
        The first defacer fails on the last participant (and so does every
        refacer behind it); the second one's segmentation fails on the last but one.
    """
    rng = np.random.default_rng(seed)
    rows = []
    total = n_participants + n_train
    for number in range(total):
        person = _person(number, n_participants, sites, rng)
        for session in range(1, sessions + 1 if person["split"] == "test" else 2):
            scan = _scan(person, session, sessions > 1 or n_rescans > 0, "measured")
            rows += _scan_rows(scan, person, variants, segmenters, rng, dataset)
        if number < min(n_rescans, n_participants):
            scan = _scan(person, sessions + 1, True, "rescan")
            rows += _scan_rows(scan, person, ("original",), segmenters, rng, dataset)
    table = pd.DataFrame(rows)
    if failures:
        _fail(table, n_participants)
    return table[_columns(table)]


def _columns(table: pd.DataFrame) -> list[str]:
    first = [name for name in (*COLUMNS, *OF_PEOPLE) if name in table]
    return first + [name for name in table if name not in first]


def _person(number, n_participants, sites, rng) -> dict:
    age = float(np.round(rng.uniform(20, 85), 1))
    size = rng.normal(1.0, 0.08)
    shrink = 1 - 0.003 * (age - 20)
    grow = 1 + 0.02 * (age - 20)
    volumes = {}
    for name, ml in {**_GLOBAL_ML, **_REGION_ML}.items():
        aging = {"tiv": 1.0, "csf": grow**0.4, "vcsf": grow}.get(name, shrink)
        volumes[name] = ml * size * aging * rng.normal(1.0, 0.03)
    return {
        "participant": f"sub-{number + 1:03d}",
        "split": "test" if number < n_participants else "train",
        "site": sites[number % len(sites)],
        "age": age,
        "sex": "F" if number % 2 else "M",
        "volumes": volumes,
    }


def _scan(person, session, named, role) -> dict:
    label = f"ses-{session}" if named else ""
    scan = person["participant"] + (f"_{label}" if named else "")
    return {"session": label, "scan": scan, "role": role}


def _scan_rows(scan, person, variants, segmenters, rng, dataset) -> list[dict]:
    rows = []
    shown = variants if person["split"] == "test" else ("original",)
    for segmenter in segmenters:
        # Two sessions of a person differ by 1 % in every volume.
        true = {k: v * rng.normal(1.0, 0.01) for k, v in person["volumes"].items()}
        for variant in shown:
            base = {"dataset": dataset, **scan, "variant": variant, "segmenter": segmenter}
            base |= {k: person[k] for k in ("participant", "split", "site", "age", "sex")}
            rows.append(base | _manifest_part(scan, variant) | _measures(variant, true, rng))
    return rows


def _manifest_part(scan, variant) -> dict:
    return {
        "path": f"derivatives/{variant}/{scan['scan']}_T1w.nii.gz",
        "status": "ok",
        "stage": "measure",
        "reason": "",
        "seconds": 1.5,
        "peak_mb": 300.0,
        "engine": "native",
        "method": "measure",
        "version": "1",
        "key": "0" * 16,
    }


def _measures(variant, true, rng) -> dict:
    shift, spread, dice_loss, corr = EFFECTS[kind(variant)]
    defacer, refacer = split_variant(variant)
    changed = variant != "original"
    row = {}
    for name in (*GLOBALS, *REGIONS):
        row[f"vol_{name}"] = true[name] * (1 + rng.normal(shift, spread) / 100)
    for name in STRUCTURES:
        dice = 1 - dice_loss * rng.uniform(0.5, 1.5)
        row[f"dice_{name}"] = dice
        row[f"iou_{name}"] = dice / (2 - dice)
        row[f"truth_dice_{name}"] = 0.93 - dice_loss - 0.02 * rng.uniform()
    for region, less in (("front", 0.05), ("full", 0.0)):
        noise = 0.02 * rng.uniform() if changed else 0.0
        row[f"corr_{region}"] = corr - (less if changed else 0.0) - noise
        row[f"ssim_{region}"] = corr - (2 * less if changed else 0.0) - noise
    removed = 40 if variant.startswith("quickshear") and rng.uniform() < 0.3 else 0
    row |= {
        "brain_voxels": 150000,
        "brain_removed": removed,
        "brain_changed": removed,
        "changed_voxels": 60000 if changed else 0,
        "face_left": {"original": 1.0, "null": 1.0, "refaced": 0.0}.get(kind(variant), 0.02),
        **{f"face_left_{part}": _PART_LEFT[kind(variant)][part == "ears"] for part in _PARTS},
        **{f"face_shown_{part}": 0.9 if refacer else np.nan for part in _PARTS if part != "ears"},
        "truth_failure_1": float(kind(variant) in ("original", "null")),
        "truth_failure_2": float(removed > 0),
        "truth_quality": "failure_2" if removed else "success",
        "quality": "failure_2" if removed else "success",
        "defacer_engine": "native" if changed else "",
        "defacer_version": "1" if changed else "",
        "prepare_seconds": 8.0,
        "deface_seconds": 3.0 + rng.uniform() if defacer not in ("original", "null") else np.nan,
        "reface_seconds": 1.0 + rng.uniform() if refacer else np.nan,
        "prepare_peak_mb": 700.0,
        "deface_peak_mb": 500.0 if defacer not in ("original", "null") else np.nan,
        "reface_peak_mb": 900.0 if refacer else np.nan,
    }
    if variant in ("original", "null"):
        row["quality"] = "untouched"
    return row


def _fail(table: pd.DataFrame, n_participants: int) -> None:
    """Turn the rows of one failed defacing and of one failed segmentation into failures."""
    defacers = [v for v in table["variant"].unique() if kind(v) == "defaced"]
    if defacers:
        last = table["participant"] == f"sub-{n_participants:03d}"
        hit = last & table["variant"].map(lambda v: split_variant(v)[0] == defacers[0])
        _blank(table, hit, "deface", "no result after 3600 s")
        table.loc[hit, "quality"] = "crash"
    if len(defacers) > 1 and n_participants > 1:
        hit = table["participant"] == f"sub-{n_participants - 1:03d}"
        _blank(table, hit & (table["variant"] == defacers[1]), "segment", "empty brain mask")


def _blank(table, hit, stage, reason) -> None:
    measured = [
        c
        for c in table.columns
        if c.startswith(("vol_", "dice_", "iou_", "truth_dice_", "corr_", "ssim_", "brain_"))
    ]
    table[measured] = table[measured].astype(float)
    table.loc[hit, measured] = np.nan
    table.loc[hit, ["face_left", "changed_voxels"]] = np.nan
    if stage == "deface":
        table.loc[hit, [c for c in table if c.startswith(("deface_", "reface_"))]] = np.nan
    table.loc[hit, ["status", "stage", "reason", "quality"]] = ["failed", stage, reason, ""]


def with_brainage(table: pd.DataFrame, seed: int = 0) -> tuple[pd.DataFrame, dict]:
    """Return the table with predicted ages, and the models that made them."""
    from refacebench import brainage
    from refacebench.brainage import ridge

    models = brainage.fit_segmenters(table, ridge.METHOD, ridge.METHOD.defaults, seed)
    return brainage.add_predictions(table, ridge.METHOD, models), models


def manifests(table: pd.DataFrame) -> tuple[pd.DataFrame, list]:
    """Return the inventory and the later stages' manifests that lead to a measurement table.

    The inventory has one scan more, which the prepare stage excludes.
    """
    first = table[table["segmenter"] == table["segmenter"].iloc[0]]
    shared = [name for name in (*COLUMNS, *OF_PEOPLE) if name in first]
    inventory = first[first["variant"] == "original"][shared].assign(stage="inventory")
    inventory = _with_an_odd_file(inventory)
    extra = inventory.iloc[[-1]].assign(scan="sub-999", participant="sub-999", session="")
    inventory = pd.concat([inventory, extra.assign(role="measured")], ignore_index=True)
    prepared = inventory.assign(stage="prepare")
    gone = prepared["scan"] == "sub-999"
    prepared.loc[gone, ["status", "reason"]] = ["excluded", "no face left in the scan"]
    result = [StageManifest("prepare", "", prepared)]
    for variant, rows in first.groupby("variant", sort=False):
        lost = prepared[gone]
        for number, stage in enumerate(STAGES):
            skip = (stage == "deface" and ("+" in variant or variant == "original")) or (
                stage == "reface" and "+" not in variant
            )
            if number < 2 or skip:
                continue
            passed = rows[shared].copy()
            later = (passed["status"] != "ok") & (passed["stage"].map(_place) > number)
            passed.loc[later, ["status", "reason"]] = ["ok", ""]
            passed.loc[passed["status"] == "ok", "stage"] = stage
            result.append(StageManifest(stage, variant, pd.concat([passed, lost])))
    return inventory, result


def _place(stage: str) -> int:
    return STAGES.index(stage)


def carried(variants: tuple[str, ...] = VARIANTS) -> pd.DataFrame:
    """Return the rows of two companions of one scan, one of which is absent."""
    row = {"scan": "sub-001_ses-1_T2w", "contrast": "T2w", "path": "x", "status": "ok"}
    row |= {"stage": "carry", "reason": "", "aligned_by": "header", "nmi": 1.2}
    row |= {"contrast_nmi": 4.0, "shift_mm": 0.0, "rotation_deg": 0.0}
    row |= {"changed_voxels": 900, "brain_voxels": 5000, "brain_changed": 0}
    absent = {"scan": "sub-001_ses-1_FLAIR", "contrast": "FLAIR", "path": "", "stage": "align"}
    absent |= {"status": "excluded", "reason": "no FLAIR image in the session"}
    defacers = [v for v in variants if kind(v) == "defaced"]
    return pd.DataFrame([{**r, "made_by": v} for v in defacers for r in (row, absent)])


def make_tables(
    table: pd.DataFrame,
    criteria: Criteria | None = None,
    *,
    variants=None,
    inventory=None,
    manifests=(),
    brainage_models=None,
    carried=None,
    image_ages=None,
) -> dict:
    """Return all result tables of a measurement table, those of the scans' flow among them.

    The measurement table serves as the last stage, and as the inventory where there is none.
    """
    given = Measured(
        table,
        criteria or Criteria(),
        variants,
        brainage_models=brainage_models or {},
        carried=carried,
        inventory=inventory,
        image_ages=image_ages or {},
    )
    if inventory is None:
        inventory = table[table["variant"] == "original"]
        inventory = inventory.drop_duplicates("scan").assign(status=OK, reason="")
        inventory = _with_an_odd_file(inventory)
    stages = list(manifests)
    asked = (given.criteria, table, variants, inventory, stages, brainage_models, carried)
    results = [result.name for result in catalogue.everything()]
    key = hashlib.sha256(pickle.dumps((*asked, image_ages, results))).hexdigest()
    if key not in _MADE:
        _MADE[key] = _compute(given, table, inventory, stages)
    return {name: made.copy() for name, made in _MADE[key].items()}


#: Tables that were made before: many tests of a worker ask for the same.
_MADE: dict = {}


def _with_an_odd_file(inventory):
    """Give one of the scans a warning."""
    odd = inventory["scan"] == inventory["scan"].min()
    return inventory.assign(forms_disagree=odd.astype(int))


def _compute(given, table, inventory, stages) -> dict:
    if not any(item.stage == "measure" for item in stages):
        stages += [
            StageManifest("measure", variant, rows)
            for variant, rows in table.groupby("variant", sort=False)
        ]
    followed = Followed(inventory, stages, given.variants, absent=given.absent)
    return {**catalogue.compute(FLOW, followed), **catalogue.compute(STATISTICS, given)}


def flow_tables(inventory, manifests, attacks=None, variants=None) -> dict:
    """Return the tables of the scans' flow."""
    given = Followed(inventory, list(manifests), variants, attacks)
    return catalogue.compute(FLOW, given)


def draw_attacks(tables, look) -> dict:
    """Draw the figures of attacks."""
    return catalogue.draw(View(tables, look=look), (), attacks=True)


def tables(n_participants: int = 12, seed: int = 0, n_boot: int = 200, **options) -> dict:
    """Return all result tables of :func:`measurements` (whose options these are)."""
    table, models = with_brainage(measurements(n_participants, seed=seed, **options))
    inventory, stages = manifests(table)
    return make_tables(
        table,
        Criteria(n_boot=n_boot),
        inventory=inventory,
        manifests=stages,
        brainage_models=models,
        carried=carried(),
        image_ages={"net": (table, models)},
    )
