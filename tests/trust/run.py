"""Is a run still to be trusted when it is killed, starved or shut out? ``make test-trust``.

    python tests/trust/run.py                        # everything, twice: about half an hour
    python tests/trust/run.py --rounds 1 --kills 4 --only kills term

One run of a tiny workflow is left alone: its tables are the truth.  Then the same workflow meets
each of these, is started again until it ends well, and must end with the same tables, byte for
byte (measured times aside):

``zoo``         no run: every odd scan and table of ``tests/zoo``, the slow ones too
``kills``       SIGKILL at random moments, in turn to the driver alone, to the whole group, to a
                worker (a job's process) and to the process of one scan
``dropped``     the same kills where ``keep: measures`` deletes images as the run goes; then two
                more people, with some kills too
``term``        SIGTERM to the driver
``disk``        a file system that is full half-way (a tmpfs; needs root on Linux)
``quota``       no file may grow beyond a limit (RLIMIT_FSIZE), as with a quota
``unreadable``  results that may not be read (as root: the run is another user's then)

Prints a row a check and ends with status 1 if any failed.  Everything happens in a temporary
folder; ``--keep FOLDER`` says where.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from running import ROOT
from tiny import CONFIG, Home, below, processes

NOBODY = 65534
#: What a config gets when its cohort grows: two more people, to be compared.
GROWN = {
    "splits": {**CONFIG["splits"], "test": 4},
    "datasets": {"tiny": {**CONFIG["datasets"]["tiny"], "participants": 6}},
}


class Row(NamedTuple):
    """What a check found; ``fault`` is empty where all is well, ``skipped`` where it ran."""

    check: str
    harm: str
    starts: int
    seconds: float
    fault: str = ""
    skipped: str = ""


# processes ----------------------------------------------------------------------------------


def victims(driver: int, kind: str) -> list[int]:
    """Return the processes that a kind of kill hits; none where there is none of it just now."""
    if kind == "driver":
        return [driver]
    known = processes()
    mine = [number for number in below(driver) if number in known]
    if kind == "group":
        return [driver, *mine]
    jobs = [n for n in mine if "/.snakemake/scripts/" in known[n][1]]
    # A scan's process is a fork of its worker: the same command line.
    scans = [n for n in jobs if known[n][0] in jobs]
    return scans[:1] if kind == "scan" else [n for n in jobs if n not in scans][:1]


def kill(home: Home, kind: str, rng: random.Random) -> bool:
    """Start the run and kill after a while what ``kind`` says; tell whether it hit anything."""
    process = home.start()
    wait = time.monotonic() + rng.uniform(3, 25)
    hit: list[int] = []
    while process.poll() is None and not hit:
        if time.monotonic() > wait:
            hit = victims(process.pid, kind)
            for number in hit:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        time.sleep(0.05)
    if kind in ("worker", "scan"):
        process.wait()
    # A driver that died leaves its workers. They get a while to do harm.
    time.sleep(1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    home.start("--unlock").wait()
    return bool(hit)


# checks -------------------------------------------------------------------------------------


class Trial(NamedTuple):
    """What every check gets."""

    folder: Path
    whole: Home
    truth: dict[str, bytes]
    kills: int
    rng: random.Random


def zoo(trial: Trial) -> Row:
    """Run every case of the zoo."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/zoo"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    told = (made.stdout.strip().splitlines() or ["nothing"])[-1]
    bad = [line for line in made.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    fault = "" if made.returncode == 0 else "; ".join(bad[:5]) or told
    return Row("zoo", "odd scans and tables", 1, time.monotonic() - start, fault)


def killed(home: Home, trial: Trial, hits: int, again: Callable[[], str]) -> tuple[int, str]:
    """Kill a run until so many kills have hit; return the hits, and what is wrong at the end.

    ``again`` is called where the run ended before: it says what is wrong, or undoes the run.
    """
    hit, kinds = 0, ("driver", "group", "worker", "scan")
    for number in range(4 * hits):
        if hit == hits:
            break
        if (home.folder / "results/finished.txt").exists():
            fault = again()
            if fault:
                return hit, fault
        hit += kill(home, kinds[number % 4], trial.rng)
    home.starts = 0
    fault = home.end()
    return hit, fault or ("" if hit == hits else f"only {hit} of {hits} kills hit anything")


def kills(trial: Trial) -> Row:
    """Kill at random moments, run after run, until so many kills have hit."""
    start = time.monotonic()
    home = Home(trial.folder / "kills", trial.whole.folder)

    def again() -> str:
        fault = home.differs(trial.truth)
        if not fault:
            shutil.rmtree(home.folder)
            Home(home.folder, trial.whole.folder)
        return fault

    hits, fault = killed(home, trial, trial.kills, again)
    fault = fault or home.differs(trial.truth)
    return Row("kills", f"{hits} kills", home.starts, time.monotonic() - start, fault)


def dropped(trial: Trial) -> Row:
    """Kill a run that deletes its images, and once more when its cohort grows."""
    start = time.monotonic()
    home = Home(trial.folder / "dropped", trial.whole.folder)
    home.configure({**CONFIG, "keep": "measures"})

    def again() -> str:
        fault = home.differs(trial.truth)
        shutil.rmtree(home.folder / "results/tables")
        (home.folder / "results/finished.txt").unlink()
        return fault

    first, fault = killed(home, trial, max(1, trial.kills // 2), again)
    fault = fault or home.differs(trial.truth)
    if not fault:
        grown = {**CONFIG, **GROWN}
        other = Home(trial.folder / "grown", trial.whole.folder)
        other.end()
        other.configure(grown)
        home.configure({**grown, "keep": "measures"})
        (home.folder / "results/finished.txt").unlink()
        fault = other.end()
        second, told = killed(home, trial, max(1, trial.kills // 4), lambda: "")
        fault = fault or told or home.differs(other.tables())
        first += second
    return Row("dropped", f"{first} kills, 2 people", home.starts, time.monotonic() - start, fault)


def term(trial: Trial) -> Row:
    """Ask the driver to stop."""
    start = time.monotonic()
    home = Home(trial.folder / "term", trial.whole.folder)
    process = home.start()
    time.sleep(trial.rng.uniform(8, 20))
    process.terminate()
    process.wait()
    fault = home.end() or home.differs(trial.truth)
    return Row("term", "SIGTERM to the driver", home.starts, time.monotonic() - start, fault)


def disk(trial: Trial) -> Row:
    """Fill the disk: half of what the run needs is free."""
    start, harm = time.monotonic(), "a full disk"
    home = Home(trial.folder / "disk")
    results = home.folder / "results"
    results.mkdir()
    used = sum(p.stat().st_size for p in (trial.whole.folder / "results").rglob("*") if p.is_file())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used // 2}", "tmpfs", str(results)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        return Row("disk", harm, 0, 0.0, skipped="no file system of its own can be mounted here")
    try:
        first = home.start().wait()
        fault = home.unfinished() if first else "the run on a full disk ended well"
        bigger = ["mount", "-o", f"remount,size={4 * used}", str(results)]
        subprocess.run(bigger, check=True)
        fault = fault or home.end() or home.differs(trial.truth)
    finally:
        subprocess.run(["umount", "-l", str(results)])
    return Row("disk", harm, home.starts, time.monotonic() - start, fault)


def quota(trial: Trial) -> Row:
    """Let no file grow beyond what most of them need."""
    start = time.monotonic()
    home = Home(trial.folder / "quota", trial.whole.folder)
    images = (trial.whole.folder / "results/derivatives").rglob("*.nii.gz")
    sizes = sorted(path.stat().st_size for path in images)
    first = home.start(limit=sizes[3 * len(sizes) // 4]).wait()
    fault = home.unfinished() if first else "the run with too small a quota ended well"
    fault = fault or home.end() or home.differs(trial.truth)
    return Row("quota", "files may not grow", home.starts, time.monotonic() - start, fault)


def unreadable(trial: Trial) -> Row:
    """Shut a run out of its own results."""
    start, harm = time.monotonic(), "results without rights"
    user = NOBODY if os.geteuid() == 0 else None
    home = Home(trial.folder / "unreadable", trial.whole.folder, user)
    try:
        alone = home.end()
    except PermissionError:
        alone = "this Python is another user's"
    if alone:
        why = "the workflow does not run as another user here"
        return Row("unreadable", harm, home.starts, time.monotonic() - start, skipped=why)
    results = home.folder / "results"
    shut = [results / "segment", next((results / "deface").rglob("*.tsv"))]
    shutil.rmtree(results / "measure")
    shutil.rmtree(results / "tables")
    for path in shut:
        path.chmod(0)
    first = home.start().wait()
    fault = "" if first else "the run ended well without its results"
    for path in shut:
        path.chmod(0o755 if path.is_dir() else 0o644)
    fault = fault or home.end() or home.differs(trial.truth)
    return Row("unreadable", harm, home.starts, time.monotonic() - start, fault)


CHECKS = {check.__name__: check for check in (zoo, kills, dropped, term, disk, quota, unreadable)}


def main() -> int:
    """Run the checks and print their table; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--seed", type=int, help="of the moments; by default another each time")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    given = parser.parse_args()
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(10_000)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="trust-"))
    folder.chmod(0o755) if folder.exists() else folder.mkdir(parents=True)
    print(f"seed {given.seed}, in {folder}", flush=True)
    rows = []
    try:
        whole = Home(folder / "whole")
        fault = whole.end()
        if fault:
            print(fault)
            return 1
        truth = whole.tables()
        for number in range(given.rounds):
            rng = random.Random(given.seed + number)
            trial = Trial(folder / f"round{number + 1}", whole, truth, given.kills, rng)
            for name in given.only:
                row = CHECKS[name](trial)
                rows.append(row)
                told = row.fault or (
                    f"not run: {row.skipped}" if row.skipped else "the same tables"
                )
                print(
                    f"round {number + 1}  {row.check:<11} {row.harm:<24} {row.starts:>3} starts "
                    f"{row.seconds:>6.0f} s  {'FAILED: ' if row.fault else ''}{told}",
                    flush=True,
                )
    finally:
        if not given.keep and not any(row.fault for row in rows):
            shutil.rmtree(folder, ignore_errors=True)
    return int(any(row.fault for row in rows))


if __name__ == "__main__":
    sys.exit(main())
