"""What every stage costs on one scan: CPU seconds, wall time and memory, beside other code.

    python benchmarks/stages.py SCAN.nii.gz [MORE ...] --out FOLDER            # this checkout
    python benchmarks/stages.py SCAN.nii.gz --out FOLDER --against ../other    # both, one by one
    python benchmarks/stages.py SCAN.nii.gz --out FOLDER --recipe              # and plain antspyx

Each stage is run as a run runs it: a process that imports and loads what it needs (``start``),
which forks another for the scan (``scan``).  Both are told apart by the kernel's own count: of the
process itself, and of all children that were waited for.  CPU seconds are user and system time on
one core; ratios of one run are good, seconds depend on the machine.  All native defacers take part
but ``deepdefacer``, whose weights are to be downloaded; of each, the segmentation of what it made,
its measures and its picture.

``--recipe`` is what a script after antspyx's manual does for one image: N4, an affine and a SyN
registration of a template with labels, and Atropos with three classes.

A label map beside a scan (``X_desc-truth_dseg.nii.gz`` for ``X_T1w.nii.gz``) gives the Dice with
the true labels as well.  Writes only to the folder that it is told to.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parents[1]
DEFACERS = (
    *("null", "afni_refacer", "cpgan_hull", "fsl_deface", "mask_face", "mideface"),
    *("mri_deface", "mri_reface", "pydeface", "quickshear", "skull_strip"),
)
STAGES = ("inventory", "prepare", "deface", "segment", "measure", "render", "recipe")


# One job of one tree, in a process of its own -------------------------------------------------


def job(stage: str, method: str, scan: str, folder: Path) -> None:
    """Run one stage on one scan; what this process takes is its start, its children's the scan."""
    from refacebench import manifest
    from refacebench.head import rendering
    from refacebench.run import methods
    from refacebench.stages import deface, inventory, measure, prepare, render, segment

    os.chdir(folder)

    def table(name: str) -> Path:
        return Path(f"{name}.tsv")

    def rows(name: str) -> pd.DataFrame:
        return manifest.read(table(name))

    before = "prepare" if method == "original" else f"deface-{method}"
    if stage == "inventory":
        name = Path(scan).name.removesuffix(".gz").removesuffix(".nii").removesuffix("_T1w")
        name = name if name.startswith("sub-") else f"sub-{''.join(filter(str.isalnum, name))}"
        row = {"dataset": "timed", "participant": "sub-1", "session": "", "scan": name}
        row |= {"split": "test", "role": "measured", "site": "", "variant": "original"}
        row |= {"path": scan, "status": "ok", "stage": "plan", "reason": ""}
        truth = Path(scan.replace("_T1w.nii", "_desc-truth_dseg.nii"))
        row |= {"truth_path": str(truth)} if truth.is_file() and str(truth) != scan else {}
        inventory.run_batch(pd.DataFrame([row]), table(stage), {}, version="1")
    elif stage == "prepare":
        prepare.run_batch(rows("inventory"), table(stage), "original")
    elif stage == "deface":
        chosen = methods.choose("defacers", method, {})
        out = table(f"deface-{method}")
        deface.run_batch(rows("prepare"), out, chosen, method, version="1", seed=1)
    elif stage == "segment":
        chosen = methods.choose("segmenters", "deepbet_atlas", {})
        out, told = table(f"segment-{method}"), {"variant": method, "shared": "shared"}
        segment.run_batch(rows(before), out, chosen, method, version="1", **told)
    elif stage == "measure":
        originals = rows("segment-original")
        out = table(f"measure-{method}")
        measure.run_batch(rows(f"segment-{method}"), originals, out, {})
    elif stage == "render":
        options = dict(rendering.OPTIONS)
        out = table(f"render-{method}")
        render.run_batch(rows(before), out, f"views/{method}", variant=method, options=options)
    else:
        recipe(scan)
    report(folder)


def report(folder: Path) -> None:
    """Write what this process and its children took."""
    own, others = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    scale = 2**20 if sys.platform == "darwin" else 2**10
    taken = {
        "start_s": own.ru_utime + own.ru_stime,
        "scan_s": others.ru_utime + others.ru_stime,
        "peak_mb": max(own.ru_maxrss, others.ru_maxrss) / scale,
    }
    (folder / "taken.json").write_text(json.dumps(taken))


def recipe(scan: str) -> None:
    """Segment an image as antspyx's manual has it; nothing is kept."""
    import ants

    from refacebench.head import atlas
    from refacebench.image.nifti import to_ants

    image = ants.n4_bias_field_correction(ants.image_read(scan))
    fixed = ants.get_mask(image)
    built = atlas.load_atlas()
    template = to_ants(built.intensities)
    labels = to_ants(built.intensities.with_data(built.regions.astype("float32")))
    found = ants.registration(image, template, "SyN")
    to = {"transformlist": found["fwdtransforms"], "interpolator": "genericLabel"}
    ants.apply_transforms(image, labels, **to)
    cavity = to_ants(built.intensities.with_data(built.cavity.astype("float32")))
    brain = ants.apply_transforms(image, cavity, **to)
    ants.atropos(a=image, m="[0.2,1x1x1]", c="[5,0]", i="kmeans[3]", x=brain * fixed)


# All jobs of a tree ----------------------------------------------------------------------------


def timed(tree: Path, stage: str, method: str, scan: Path, folder: Path) -> dict:
    """Run one job with the code of a tree; return what it took."""
    place = {"PYTHONPATH": str(tree / "workflow"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), str(scan), "--out", str(folder)]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--job", stage, method],
        env={**os.environ, **place, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    wall = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{tree}: {stage} {method}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    taken = json.loads((folder / "taken.json").read_text())
    if "ok" not in done.stderr.split(": ", 1)[-1] and stage != "recipe":
        raise SystemExit(f"{tree}: {stage} {method}: {done.stderr[-500:]}")
    print(f"{tree.name} {scan.name} {stage} {method} {taken}", flush=True)
    return {"stage": stage, "method": method, "scan": scan.name, "wall_s": wall, **taken}


def all_of(tree: Path, scan: Path, folder: Path, defacers: list[str], plain: bool) -> list[dict]:
    """Run every stage on a scan with the code of a tree."""
    shutil.rmtree(folder, ignore_errors=True)  # a finished scan is not done again
    folder.mkdir(parents=True)
    plan = [("inventory", ""), ("prepare", ""), ("segment", "original"), ("render", "original")]
    for name in defacers:
        plan += [(stage, name) for stage in ("deface", "segment", "measure", "render")]
    plan += [("recipe", "")] if plain else []
    # The first segmentation builds the atlas and keeps it: a run does that once.
    warm = "from refacebench.segmenters.deepbet_atlas import prepare; "
    warm += f"prepare({{}}, {str(folder / 'shared')!r})"
    place = {"PYTHONPATH": str(tree / "workflow"), "OMP_NUM_THREADS": "1"}
    (folder / "shared").mkdir()
    subprocess.run([sys.executable, "-c", warm], env={**os.environ, **place}, check=True)
    return [timed(tree, stage, method, scan, folder) for stage, method in plan]


def truths(folder: Path) -> dict[str, float]:
    """Return a folder's mean Dice with the true labels, by structure, where there are any."""
    tables = [pd.read_csv(path, sep="\t") for path in folder.glob("measure-*.tsv")]
    found = pd.concat(tables) if tables else pd.DataFrame()
    names = [name for name in found if name.startswith("truth_dice_")]
    return found[names].mean().to_dict()


def told(taken: pd.DataFrame) -> str:
    """Return the table of a stage's CPU seconds, tree by tree, as Markdown."""
    taken = taken.assign(cpu_s=taken["start_s"] + taken["scan_s"])
    parts = []
    for scan, rows in taken.groupby("scan", sort=False):
        trees = list(dict.fromkeys(rows["tree"]))
        table = pd.DataFrame({"jobs": rows[rows["tree"] == trees[0]].groupby("stage").size()})
        for tree in trees:
            group = rows[rows["tree"] == tree].groupby("stage")
            table[f"{tree}: start, s"] = group["start_s"].sum()
            table[f"{tree}: scan, s"] = group["scan_s"].sum()
            table[f"{tree}: CPU, s"] = group["cpu_s"].sum()
            table[f"{tree}: wall, s"] = group["wall_s"].sum()
            table[f"{tree}: peak, MB"] = group["peak_mb"].max()
        table = table.loc[[s for s in STAGES if s in table.index]]
        counted = table.loc[[s for s in table.index if s != "recipe"]]
        whole = counted.sum()
        for name in (n for n in table if "peak" in n):
            whole[name] = counted[name].max()
        table.loc["all but the recipe"] = whole
        if len(trees) > 1:
            one, other = (table[f"{tree}: CPU, s"] for tree in trees[:2])
            table["ratio"] = (one / other).round(2)
        digits = {n: 2 if n == "ratio" else 0 if "MB" in n or n == "jobs" else 1 for n in table}
        parts.append(f"{scan}\n\n{table.round(digits).to_markdown()}")
        by_method = rows[rows["stage"].isin(["deface", "segment"])].pivot_table(
            "scan_s", "method", ["stage", "tree"], sort=False
        )
        parts.append(f"Of the scan alone, s\n\n{by_method.round(2).to_markdown()}")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run the jobs and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="CHECKOUT")
    parser.add_argument("--defacers", default=",".join(DEFACERS), help="names, by commas")
    parser.add_argument("--recipe", action="store_true", help="time the plain antspyx recipe, too")
    parser.add_argument("--only-against", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job(*given.job, scan=str(given.scans[0]), folder=given.out)
        return
    names = [name for name in given.defacers.split(",") if name]
    found, dice = [], []
    trees = ([] if given.only_against else [HERE]) + [path.resolve() for path in given.against]
    for scan in given.scans:
        for tree in trees:
            name = "this" if tree == HERE else tree.name
            folder = given.out.resolve() / name / scan.name.split(".")[0]
            plain = given.recipe and tree == trees[0]
            rows = all_of(tree, scan.resolve(), folder, names, plain)
            found += [{**row, "tree": name} for row in rows]
            dice.append({"scan": scan.name, "tree": name, **truths(folder)})
    taken = pd.DataFrame(found)
    taken.to_csv(given.out / "taken.tsv", sep="\t", index=False)
    print(told(taken))
    known = pd.DataFrame(dice)
    if len(known.columns) > 2:
        print(known.round(4).to_markdown(index=False))


if __name__ == "__main__":
    main()
