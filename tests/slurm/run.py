"""Does a run on a Slurm cluster end well when the cluster fails? ``make test-slurm``.

    python tests/slurm/run.py                 # as root, with slurm-wlm and munge: 15 minutes

Sets up a Slurm of one node (``cluster.py``), runs the tiny workflow of ``make test-trust`` once on
this machine alone, then with the profile for Slurm as the documentation says, and does harm:

``undisturbed``  nothing; the cluster keeps no accounts (slurmdbd is off), which must be noticed
``script``       SIGKILL to a job's process: the job must be submitted again
``scan``         SIGKILL to the process of one scan, as the kernel does when memory runs out: the
                 scan must be tried again with more memory, and must not stay a failed row
``driver``       SIGKILL to Snakemake: its jobs run on, and a new start must refuse to submit them
                 twice, say how to end them, and end well after that

Each must end with the tables of the run without a cluster.  Prints a line a check and ends with
status 1 if any failed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import cluster

import tiny
from running import ROOT

PROFILE = ROOT / "workflow" / "profiles" / "slurm"
#: So often the profile starts a job again: kills may all hit the same one.
TRIES = 2
#: A test need not wait as long between two looks at the cluster as a run may.
QUICK = (
    *("--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "10"),
)
REFUSED = re.compile(r"scancel --me --name ([\w,-]+)")


class OnSlurm(tiny.Home):
    """The tiny workflow, its jobs on the cluster."""

    where = ("--profile", str(PROFILE), *QUICK)

    def said(self) -> str:
        """Return what all its starts said, and its jobs on the cluster."""
        jobs = sorted((self.folder / ".snakemake/slurm_logs").rglob("*.log"))
        return "".join(path.read_text() for path in [self.folder / "run.log", *jobs])


def workers(folder: Path) -> dict[int, int]:
    """Return number and parent of the processes that run a script of the workflow in a folder."""
    return {
        number: parent
        for number, (parent, command) in tiny.processes().items()
        if "/.snakemake/scripts/" in command and str(folder) in command
    }


def hit(home: OnSlurm, kind: str) -> bool:
    """Kill one process of a kind; tell whether there was one."""
    known = workers(home.folder)
    jobs = [number for number, parent in known.items() if parent not in known]
    # Below a job stands its keeper, and below that the process of the scan.
    scans = [n for n, parent in known.items() if parent in known and known[parent] in known]
    chosen = scans if kind == "scan" else jobs
    if not chosen:
        return False
    try:
        os.kill(chosen[0], signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def harm(home: OnSlurm, kind: str, times: int, rng: random.Random) -> str:
    """Start the run, do harm so many times, wait for its end; return what is wrong."""
    process, done = home.start(), 0
    due = time.monotonic() + rng.uniform(15, 30)
    while process.poll() is None:
        if done < times and time.monotonic() > due and hit(home, kind):
            done += 1
            due = time.monotonic() + rng.uniform(10, 30)
        time.sleep(0.02)
    if done < times:
        return f"only {done} of {times} kills hit anything"
    return "" if process.returncode == 0 else "the run did not end well by itself"


def undisturbed(home: OnSlurm, rng: random.Random) -> str:
    """Run as the documentation says."""
    fault = "" if home.start().wait() == 0 else "the run did not end well"
    noticed = "slurmdbd is off" in home.said()
    return fault or ("" if noticed else "nothing was said of the cluster without accounts")


def script(home: OnSlurm, rng: random.Random) -> str:
    """Kill as many jobs as one may be started again."""
    return harm(home, "script", TRIES, rng)


def scan(home: OnSlurm, rng: random.Random) -> str:
    """Kill as many scans as one job may be started again."""
    fault = harm(home, "scan", TRIES, rng)
    asked = "started again with more" in home.said()
    return fault or ("" if asked else "no job was started again with more memory")


def driver(home: OnSlurm, rng: random.Random) -> str:
    """Kill Snakemake, and see that the next start submits nothing twice."""
    process = home.start()
    until = time.monotonic() + 120
    while not workers(home.folder) and time.monotonic() < until:
        time.sleep(0.2)
    process.kill()
    process.wait()
    home.start("--unlock").wait()
    if home.start().wait() == 0:
        return "a second driver ran beside the jobs of the first"
    told = REFUSED.search(home.said())
    if not told:
        return "the second start did not say how to end the jobs of the first"
    subprocess.run(["scancel", "--name", told.group(1)], check=True)
    until = time.monotonic() + 60
    while workers(home.folder) and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(3)  # Slurm notes the end a little later
    return "" if home.start().wait() == 0 else "the third start did not end well"


CHECKS = {check.__name__: check for check in (undisturbed, script, scan, driver)}


def main() -> int:
    """Run the checks; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--seed", type=int, default=1740)
    given = parser.parse_args()
    why = cluster.missing()
    if why:
        print(f"not run: {why}")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    failed = False
    try:
        cluster.start(folder / "state")
        whole = tiny.Home(folder / "whole")
        fault = whole.end()
        if fault:
            print(fault)
            return 1
        for name in given.only:
            start = time.monotonic()
            home = OnSlurm(folder / name, whole.folder)
            fault = CHECKS[name](home, random.Random(given.seed)) or home.differs(whole.tables())
            failed = failed or bool(fault)
            told = f"FAILED: {fault} (see {home.folder}/run.log)" if fault else "the same tables"
            print(f"{name:<12} {time.monotonic() - start:>6.0f} s  {told}", flush=True)
    finally:
        cluster.stop()
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
