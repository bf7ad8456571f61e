"""What a run asks of a Slurm cluster before its first job.

Asks Slurm's own programs and the environment; touches no file.  Two things go wrong without a
word otherwise: on a cluster that keeps no accounts the executor waits for ever for what
``sacct`` never says, and after a driver was killed the jobs that it had submitted run on, while
a new driver submits the same work again.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path
from typing import Any

from refacebench.run.mistakes import ConfigError

#: Where Slurm says that it notes jobs nowhere, so that ``sacct`` knows none.
_ACCOUNTS = "AccountingStorageType"
_NO_ACCOUNTS = "accounting_storage/none"
#: How the executor begins the comments of its jobs.
_OURS = "rule_"
_LIMIT_S = 30
#: Holds a profile's `retries` for jobs, which on a cluster are runs without the profile.
_RETRIES = "REFACEBENCH_RETRIES"
#: Told once, where the executor would ask in vain.
ASKS_SQUEUE = (
    "This cluster keeps no accounts (slurmdbd is off), so the states of jobs come from squeue, "
    "not from sacct."
)


def use(settings: Any, folder: str | Path) -> list[str]:
    """Prepare a run on Slurm; return what to tell the user.

    Parameters
    ----------
    settings : object
        Those of Snakemake's executor for Slurm; where ``sacct`` would be asked in vain they are
        changed to ask ``squeue``, and to name no account.
    folder : str or Path
        Where the run works.

    Raises
    ------
    ConfigError
        If jobs of an earlier run still work in this folder.
    """
    left = jobs_of(folder)
    if left:
        runs = sorted({name for _, name in left})
        count = f"{len(left)} jobs" if len(left) > 1 else "a job"
        raise ConfigError(
            f"{count} of an earlier run that was killed still wait or run on the cluster and would "
            f"write the same files. Wait until they have ended (squeue --me), or end them: "
            f"scancel --me --name {','.join(runs)}"
        )
    if getattr(settings, "status_command", None) == "sacct" and keeps_no_accounts():
        settings.status_command = "squeue"
        settings.no_account = True
        return [ASKS_SQUEUE]
    return []


def tries_left(attempt: int, retries: int | None = None) -> int:
    """Return how often a job may still be started again.

    Parameters
    ----------
    attempt : int
        Which start of the job this is, from 1.
    retries : int, optional
        Of the profile, where it is known; jobs that are started from here inherit it.
    """
    if retries is not None:
        os.environ[_RETRIES] = str(retries)
    return max(0, int(os.environ.get(_RETRIES, 0)) + 1 - attempt)


def keeps_no_accounts() -> bool:
    """Tell whether Slurm says that it keeps no accounts; False where it does not answer."""
    for line in _asked("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == _ACCOUNTS:
            return value.strip() in (_NO_ACCOUNTS, "(null)")
    return False


def jobs_of(folder: str | Path) -> list[tuple[str, str]]:
    """Return number and name of the user's jobs that Snakemake submitted from a folder."""
    here = os.path.realpath(folder)
    columns = "%i\t%j\t%k\t%Z"  # number, name, comment, folder
    told = _asked("squeue", "--noheader", "--user", getpass.getuser(), "--format", columns)
    found = []
    for line in told.splitlines():
        number, name, comment, where = (line.split("\t") + [""] * 4)[:4]
        if comment.startswith(_OURS) and where and os.path.realpath(where.strip()) == here:
            found.append((number.strip(), name.strip()))
    return found


def _asked(*command: str) -> str:
    """Return what one of Slurm's programs says; nothing if it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
