"""How much a segmenter reacts to a missing face, and whether a new face brings it back.

    python benchmarks/segmenters.py --labelmaps FOLDER --out FOLDER     # 20 minutes of CPU
    python benchmarks/segmenters.py --labelmaps FOLDER --out FOLDER --table     # what is there
    python benchmarks/segmenters.py --labelmaps FOLDER --out FOLDER --registration   # 6 minutes

FOLDER holds SynthSeg's training label maps with their priors.  Each map with a whole face is
painted twice at 2 mm (``ses-2`` is a rescan: other pose, receive field and noise).  The first
scan goes through every variant: ``null`` (invisible noise outside the brain), three defacers,
``mri_reface`` (an average face in place of the own one) and ``own_face`` (pydeface's region, with
the person's own face in it, under fresh noise: what a perfect refacer would do).  Each image is
segmented from scratch by each segmenter.

``--registration`` prints nothing but the TIV that whole-head registrations give, with either
template of ``whole_head_atlas``.

Printed are the accuracy (Dice with the painted labels, volumes against theirs), the change of
volumes against the original's segmentation, its Dice with that, and paired tests (Wilcoxon
signed-rank, exact, one value a head).  What is there already is not done again: a killed run goes
on.  Writes only to the folder that it is told to.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

# This checkout's library, from whatever folder and whether or not another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from refacebench.contracts import defaults
from refacebench.datasets import _people, labelmaps
from refacebench.head import whole_head
from refacebench.head.labels import is_brain
from refacebench.image import nifti
from refacebench.metrics import overlap
from refacebench.run import methods
from refacebench.segmenters import whole_head_atlas
from refacebench.stages import deface, prepare
from refacebench.statistics.paired import wilcoxon
from refacebench.vocabulary import DSEG, GLOBALS, REGIONS, TRUTH, TRUTH_REGIONS

#: Label maps whose head is whole down to the chin.
WHOLE = ("02", "06", "08", "10", "12", "15")
DEFACERS = ("null", "pydeface", "quickshear", "mask_face", "mri_reface")
VARIANTS = ("original", "pydeface", "mri_reface", "rescan", "quickshear")
VARIANTS += ("own_face", "null", "mask_face")
SEGMENTERS = ("deepbet_atlas", "whole_head_atlas")
SEED = 1
#: Volumes of pairs of structures are added up: two sides of one structure are not two findings.
GROUPS = {
    **{name: (name,) for name in (*GLOBALS, "brainstem")},
    **{name: (name,) for name in ("frontal", "parietal", "temporal", "occipital")},
    **{
        name: (f"{name}_left", f"{name}_right")
        for name in ("thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala")
    },
}
NUCLEI = tuple(TRUTH_REGIONS)[:13]


def cohort(folder: Path, labels: str, maps: list[str]) -> list[dict]:
    """Paint every label map twice; return a row a scan."""
    options = {**defaults(labelmaps.OPTIONS), "folder": labels, "sessions": 2}
    names = sorted(path.name for path in Path(labels).glob("*.nii.gz"))
    if not (folder / "base").is_dir():
        labelmaps.base(options, SEED, folder / "base")
    rows = []
    for row in labelmaps.index(options, SEED).to_dict("records"):
        number = names[int(row["participant"][-3:]) - 1].split(".")[0][-2:]
        if number not in maps:
            continue
        known = folder / f"{row['scan']}.json"
        if not known.is_file():
            row |= labelmaps.grow(row, options, SEED, folder / "base", folder / "bids")
            site = _people.site_of(row, options)
            row |= {"map": number, "sigma": site.noise * site.white}
            known.write_text(json.dumps(row))
        rows.append(json.loads(known.read_text()))
    return rows


def variants(rows: list[dict], folder: Path) -> list[dict]:
    """Make all variants of the first sessions; return a row an image."""
    found = []
    for row in rows:
        if row["session"] != "ses-1":
            found.append({**row, "variant": "rescan"})
            continue
        found.append({**row, "variant": "original"})
        known = folder / f"{row['scan']}_prepared.json"
        if not known.is_file():
            known.write_text(json.dumps(prepare.run(row, folder / "original")))
        ready = {**row, "original_path": row["path"], **json.loads(known.read_text())}
        for name in DEFACERS:
            done = folder / f"{row['scan']}_{name}.json"
            if not done.is_file():
                chosen = methods.choose("defacers", name, {})
                chosen.method.prepare(chosen.options)
                made = deface.run(ready, chosen, folder / name, seed=SEED)
                done.write_text(json.dumps(made, default=str))
            found.append({**row, **json.loads(done.read_text()), "variant": name})
        found.append({**row, "path": own_face(row, found, folder), "variant": "own_face"})
    return found


def own_face(row: dict, made: list[dict], folder: Path) -> str:
    """Write the original with fresh noise where pydeface took something; return the path."""
    path = folder / "own_face" / f"{row['scan']}_T1w.nii.gz"
    if not path.is_file():
        taken = next(m for m in made if m["scan"] == row["scan"] and m["variant"] == "pydeface")
        changed = nifti.read_mask(taken["changed_path"])
        data = nifti.read(row["path"]).data
        noise = np.random.default_rng(SEED).normal(0, row["sigma"], data.shape)
        nifti.write_changed(row["path"], np.abs(data + noise), changed, path)
    return str(path)


def segmented(images: list[dict], names: list[str], folder: Path) -> None:
    """Segment all images by all segmenters, variant by variant."""
    chosen = [methods.choose("segmenters", name, {}) for name in names]
    for one in chosen:
        one.method.prepare(one.options, folder)
    order = sorted(images, key=lambda row: VARIANTS.index(row["variant"]))
    for row in order:
        for one in chosen:
            place = folder / one.name / f"{row['scan']}_{row['variant']}.json"
            if not place.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(json.dumps(segment(one, row, place.with_suffix(".npz"))))
                print(one.name, place.stem, flush=True)


def segment(chosen: methods.Chosen, row: dict, place: Path) -> dict:
    """Segment one image: masks are written, volumes returned; of a failure its reason."""
    start = time.process_time()
    try:
        found = chosen.method.run(nifti.read(row["path"]), chosen.options, Path(row["path"]))
    except ValueError as error:
        print(f"{chosen.name} failed on {place.stem}: {error}", flush=True)
        return {"failed": str(error)}
    tissue = np.where(found.vcsf, DSEG["vcsf"], found.tissue).astype(np.uint8)
    np.savez_compressed(place, brain=found.brain, tissue=tissue, regions=found.regions)
    told = {**found.volumes, **found.quality, "cpu_s": time.process_time() - start}
    return {name: float(value) for name, value in told.items()}


def registered(images: list[dict], folder: Path) -> pd.DataFrame:
    """Return the TIV (ml) that each template of the whole-head registration gives each image."""
    from refacebench.head.atlas import load_atlas

    cavity = load_atlas(folder / f"atlas-{whole_head_atlas.VERSION}.npz").cavity_ml
    rows = []
    for row in sorted(images, key=lambda row: VARIANTS.index(row["variant"])):
        known = folder / "registered" / f"{row['scan']}_{row['variant']}.json"
        if not known.is_file():
            known.parent.mkdir(exist_ok=True)
            head = nifti.reorient(nifti.read(row["path"]))
            found = {name: whole_head.register(head, name) for name in whole_head.TEMPLATES}
            sizes = {name: cavity / float(np.linalg.det(m[:3, :3])) for name, m in found.items()}
            known.write_text(json.dumps(sizes))
            print(known.stem, sizes, flush=True)
        for name, ml in json.loads(known.read_text()).items():
            rows.append({"template": name, "map": row["map"], "variant": row["variant"], "tiv": ml})
    return pd.DataFrame(rows)


def told_registered(table: pd.DataFrame) -> str:
    """Return the change of TIV by the registration alone, as text (Markdown)."""
    wide = table.pivot_table("tiv", ["template", "map"], "variant", sort=False)
    change = 100 * wide.div(wide["original"], axis=0) - 100
    order = [v for v in VARIANTS if v in change and v != "original"]
    mean = change[order].groupby("template").mean().round(2)
    size = change[order].abs().groupby("template").mean().round(2)
    tests = [
        {
            "template": name,
            "first": one,
            "second": other,
            "p": round(wilcoxon(heads[one].abs() - heads[other].abs())[1], 3),
        }
        for name, heads in change.groupby("template")
        for one, other in (
            *(("pydeface", v) for v in ("null", "rescan", "mri_reface", "own_face")),
            *(("quickshear", v) for v in ("null", "rescan")),
        )
        if {one, other} <= set(heads)
    ]
    parts = ["## TIV by the registration alone: each head, change in %"]
    parts.append(change[order].round(2).reset_index().to_markdown(index=False))
    parts += ["## Mean change, %", mean.to_markdown(), "## Mean |change|, %", size.to_markdown()]
    parts += ["## Paired tests of |change|", pd.DataFrame(tests).to_markdown(index=False)]
    return "\n\n".join(parts) + "\n"


def known(place: Path) -> dict:
    """Return what is known of a segmentation; nothing of one that failed or is not done."""
    path = place.with_suffix(".json")
    found = json.loads(path.read_text()) if path.is_file() else {"failed": "not done"}
    return {} if "failed" in found else found


def masks(place: Path) -> dict[str, np.ndarray]:
    """Return the masks of one segmentation, by structure."""
    with np.load(place.with_suffix(".npz")) as file:
        brain, tissue, regions = (file[name] for name in ("brain", "tissue", "regions"))
    found = overlap.structures(tissue, brain)
    return found | {name: regions == REGIONS.index(name) + 1 for name in NUCLEI}


def true_masks(path: str) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return masks and volumes (ml) of the painted labels."""
    volume = nifti.read(path, dtype=None)
    labels = volume.data
    found = overlap.truth_structures(labels)
    found |= {name: labels == TRUTH_REGIONS[name] for name in NUCLEI}
    sizes = {name: float(mask.sum()) * volume.voxel_ml for name, mask in found.items()}
    sizes["csf"] = float(np.isin(labels, (TRUTH["csf"], TRUTH["vcsf"])).sum()) * volume.voxel_ml
    sizes["tiv"] = float(is_brain(labels).sum()) * volume.voxel_ml
    sizes["brain"] = sizes["gm"] + sizes["wm"]
    return found, sizes


def dices(one: dict, other: dict) -> dict[str, float]:
    """Return the Dice of the tissues, and the mean over the nuclei of both sides."""
    found = {name: overlap.dice(one[name], other[name]) for name in overlap.STRUCTURES}
    nuclei = [overlap.dice(one[name], other[name]) for name in NUCLEI]
    return found | {"nuclei": float(np.mean(nuclei))}


def grouped(volumes: dict) -> dict[str, float]:
    """Add up the two sides of each structure; what is not known is left out."""
    return {
        name: sum(volumes[part] for part in parts)
        for name, parts in GROUPS.items()
        if all(part in volumes for part in parts)
    }


def compare(images: list[dict], names: list[str], folder: Path) -> tuple[pd.DataFrame, ...]:
    """Return changes (a row a segmenter, head, variant and volume), Dice, and accuracy."""
    changes, dice, accuracy = [], [], []
    for name in names:
        for row in images:
            place = folder / name / f"{row['scan']}_{row['variant']}"
            first = folder / name / f"{row['participant']}_ses-1_original"
            told, original = (grouped(known(p)) for p in (place, first))
            if not told or not original:
                continue
            who = {"segmenter": name, "map": row["map"], "variant": row["variant"]}
            if row["variant"] == "original":
                mine, (true, sizes) = masks(place), true_masks(row["truth_path"])
                accuracy += [
                    {**who, "what": f"Dice {part}", "value": value}
                    for part, value in dices(mine, true).items()
                ]
                accuracy += [
                    {**who, "what": f"bias {part} %", "value": 100 * (told[part] / ml - 1)}
                    for part, ml in grouped(sizes).items()
                ]
                continue
            changes += [
                {**who, "volume": part, "change": 100 * (told[part] / original[part] - 1)}
                for part in GROUPS
            ]
            if row["variant"] != "rescan":  # lies in another pose
                found = dices(masks(place), masks(first))
                dice += [{**who, "what": part, "value": value} for part, value in found.items()]
    return tuple(pd.DataFrame(part) for part in (changes, dice, accuracy))


def told(changes: pd.DataFrame, dice: pd.DataFrame, accuracy: pd.DataFrame) -> str:
    """Return all tables as text (Markdown)."""
    absolute = changes.assign(change=changes["change"].abs())
    # A variant counts once all heads are through it, by all segmenters.
    done = changes.groupby("variant")[["segmenter", "map"]].apply(
        lambda rows: len(rows.drop_duplicates())
    )
    order = [v for v in VARIANTS if done.get(v, 0) == done.max()]
    absolute, changes = (t[t["variant"].isin(order)] for t in (absolute, changes))
    dice = dice[dice["variant"].isin(order)]
    parts = ["## Accuracy on the originals: mean (standard deviation) over heads"]
    both = accuracy.pivot_table(
        "value",
        "what",
        "segmenter",
        aggfunc=lambda v: f"{v.mean():.3g} ({v.std():.2g})",
        sort=False,
    )
    parts.append(both.to_markdown())
    parts.append("## Mean |change| of each volume, %")
    mean = absolute.pivot_table("change", ["segmenter", "volume"], "variant", sort=False)[order]
    parts.append(mean.round(2).reset_index().to_markdown(index=False))
    parts.append("## Mean signed change of the volumes of the whole head, %")
    signed = changes[changes["volume"].isin(GLOBALS)]
    mean = signed.pivot_table("change", ["segmenter", "volume"], "variant", sort=False)[order]
    parts.append(mean.round(2).reset_index().to_markdown(index=False))
    parts.append("## Mean Dice with the original's segmentation")
    mean = dice.pivot_table("value", ["segmenter", "what"], "variant", sort=False)
    parts.append(
        mean[[v for v in order if v in mean]].round(4).reset_index().to_markdown(index=False)
    )
    parts.append("## Paired tests, one value a head (mean |change| over the volumes named), %")
    parts.append(tests(absolute, order).to_markdown(index=False))
    return "\n\n".join(parts) + "\n"


def tests(absolute: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return the paired tests: segmenter against segmenter, and defaced against refaced."""
    rows = []
    inner = [name for name in GROUPS if name != "tiv"]
    for label, volumes in (("tiv", ["tiv"]), ("all but tiv", inner)):
        part = absolute[absolute["volume"].isin(volumes)]
        heads = part.pivot_table("change", "map", ["segmenter", "variant"])
        heads = heads.dropna(axis=1)
        names = list(dict.fromkeys(part["segmenter"]))
        pairs = []
        if len(names) == 2:
            pairs += [((names[1], v), (names[0], v)) for v in order]
        for name in names:
            for against in ("null", "rescan"):
                pairs += [((name, v), (name, against)) for v in ("pydeface", "quickshear")]
            pairs += [((name, "pydeface"), (name, new)) for new in ("mri_reface", "own_face")]
        for one, other in [p for p in pairs if set(p) <= set(heads)]:
            difference = heads[one] - heads[other]
            rows.append(
                {
                    "volumes": label,
                    "first": " ".join(one),
                    "second": " ".join(other),
                    "mean first": round(heads[one].mean(), 2),
                    "mean second": round(heads[other].mean(), 2),
                    "first larger in": f"{int((difference > 0).sum())} of {len(difference)}",
                    "p": round(wilcoxon(difference)[1], 3),
                }
            )
    return pd.DataFrame(rows)


def main():
    """Read the command line, make what is missing, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelmaps", required=True, help="folder of the label maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for images and tables")
    parser.add_argument("--maps", nargs="+", default=list(WHOLE), help="numbers of label maps")
    parser.add_argument("--segmenters", nargs="+", default=list(SEGMENTERS))
    parser.add_argument(
        "--registration", action="store_true", help="TIV of whole-head registrations alone"
    )
    parser.add_argument("--table", action="store_true", help="only compare what is there")
    given = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    given.out.mkdir(parents=True, exist_ok=True)
    images = variants(cohort(given.out, given.labelmaps, given.maps), given.out)
    if given.registration:
        text = told_registered(registered(images, given.out))
        (given.out / "registration.md").write_text(text)
        print(text)
        return
    if not given.table:
        segmented(images, given.segmenters, given.out)
    text = told(*compare(images, given.segmenters, given.out))
    (given.out / "tables.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
