"""Check that planted faults are found where they were planted, and nothing elsewhere.

    python benchmarks/planted/run.py --folder data/labelmaps --out planted    # 20 minutes, 2 cores

Paints 13 people from label maps, and runs the whole pipeline on them with the defacers of
``plant.py``: each removes the face well, but for one fault that is known exactly.  Then asks the
finished tables what they show of each, by the rules of :func:`signs`, and prints one row a
method: what should be found, what may be (a consequence of the fault), what was.  Removing a face
moves some volumes by itself, as the segmenter looks at the whole head first: ``clean``, where
nothing is planted, is what the others' volumes are held against.  Ends with status 1 if anything
is missing, or is found that should not be.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from refacebench.results import catalogue
from refacebench.results.volume_tests import FAMILIES
from refacebench.statistics.attack_tables import main_rows

HERE = Path(__file__).parent
#: A volume's change counts from this size on, beyond what it is after ``clean``; smaller ones may
#: be significant but are no fault.
LEAST_CHANGE_PCT = 0.5
ALPHA = 0.05

#: What must be found of each method, and what may be besides (``volumes``: any of them).
PLANTED = {
    "null": ("face attack", ""),
    "clean": ("", ""),
    "nothing_done": ("face attack", ""),
    "nose_left": ("face", "attack"),
    "brain_cut": ("cut frontal", "volumes"),
    "region_shrunk": ("thalamus_left", ""),
    "face_copied": ("odd", ""),
    "identity_written": ("odd", ""),
    "crash_on_half": ("crash", ""),
}


def signs(tables: dict[str, pd.DataFrame], variant: str) -> dict[str, str]:
    """Return what the tables show of a method: the sign, and the number behind it.

    ``face``, ``cut``, ``odd`` and ``crash`` from the table ``quality`` (Failure I, Failure II,
    voxels written far from the head, no output); ``attack`` where an attack does better than
    chance (``tradeoff``); a volume's name where it changes significantly (Holm) by :func:`changes`.
    """
    row = tables["quality"].set_index("variant").loc[variant]
    n = int(row["n"])
    counts = {
        "face": row["failure_1"] + row["failure_1+2"] + row["untouched"],
        "cut": row["failure_2"] + row["failure_1+2"],
        "odd": row["scans_with_odd_voxels"],
        "crash": row["crash"],
    }
    found = {name: f"{int(count)} of {n} scans" for name, count in counts.items() if count}
    worst = main_rows(tables["tradeoff"]).set_index("variant").loc[variant]
    if worst["beaten"] == 1:
        rate, low, chance = (f"{100 * worst[c]:.0f}" for c in ("worst_rate", "low", "chance"))
        found["attack"] = f"{rate} % (from {low} %, chance {chance} %)"
    return found | changes(tables["volumes"].set_index(["variant", "region"]), variant)


def changes(volumes: pd.DataFrame, variant: str) -> dict[str, str]:
    """Return the volumes that change significantly, and otherwise than without a fault."""
    found = {}
    for region, one in volumes.loc[variant].iterrows():
        usual = volumes.loc[("clean", region), "median_change_pct"]
        change = one["median_change_pct"]
        if one["p_holm"] < ALPHA and abs(change - usual) >= LEAST_CHANGE_PCT:
            found[region] = f"{change:+.1f} % ({usual:+.1f} % after clean, p {one['p_holm']:.2g})"
    return found


def verdicts(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row a method: planted, found, and whether that is right."""
    rows = []
    for variant, (must, may) in PLANTED.items():
        found = signs(tables, variant)
        missing = set(must.split()) - set(found)
        allowed = {*must.split(), *may.split()}
        allowed |= set(FAMILIES) if "volumes" in allowed else set()
        beside = set(found) - allowed
        rows.append(
            {
                "method": variant,
                "must be found": must or "nothing",
                "may be found": may or "nothing",
                "found": "; ".join(f"{k}: {v}" for k, v in found.items()) or "nothing",
                "right": "yes" if not missing | beside else f"no: {missing or ''} {beside or ''}",
            }
        )
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return a table as it stands in docs/validation."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def main() -> int:
    """Run the pipeline and judge its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=Path, help="label maps")
    parser.add_argument("--out", required=True, type=Path, help="folder that the run fills")
    parser.add_argument("--cores", default="2")
    given = parser.parse_args()
    config = yaml.safe_load((HERE / "config.yaml").read_text())
    config["datasets"]["planted"]["folder"] = str(given.folder.resolve())
    for entry in config["defacers"].values():
        if "file" in entry:
            entry["file"] = str(HERE.resolve() / entry["file"])
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", given.cores]
    command += ["--snakefile", str(HERE.resolve().parents[1] / "workflow" / "Snakefile")]
    command += ["--directory", str(given.out), "--configfile", str(given.out / "config.yaml")]
    subprocess.run(command, check=True)
    folder = given.out / "results" / "tables" / "planted"
    tables = {n: catalogue.read(folder / f"{n}.tsv") for n in ("quality", "tradeoff", "volumes")}
    table = verdicts(tables)
    print(markdown(table))
    return int((table["right"] != "yes").any())


if __name__ == "__main__":
    sys.exit(main())
