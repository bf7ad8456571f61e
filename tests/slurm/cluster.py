"""A Slurm of one node on this machine's loopback address, for tests.

Needs root and Debian's packages slurm-wlm and munge, and a machine that has no cluster of its own:
the configuration has to stand in /etc/slurm.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

HOME = Path("/etc/slurm")
MARK = "# Made by tests/slurm/cluster.py; may be deleted."
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
CONFIG = """\
{mark}
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=300
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/d
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Say why there can be no such cluster here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it needs root on Linux"
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    if lacking:
        return f"it needs {', '.join(lacking)} (Debian: slurm-wlm, munge)"
    config = HOME / "slurm.conf"
    if config.exists() and not config.read_text().startswith(MARK):
        return f"{config} is not ours: this machine has a cluster"
    return ""


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def start(state: Path) -> None:
    """Start the daemons; what they write goes below ``state``.

    Raises
    ------
    RuntimeError
        If the node does not come up.
    """
    for name in ("ctld", "d"):
        (state / name).mkdir(parents=True, exist_ok=True)
    host = socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    HOME.mkdir(exist_ok=True)
    (HOME / "slurm.conf").write_text(
        CONFIG.format(
            mark=MARK, host=host, state=state, cpus=os.cpu_count(), memory=int(0.9 * memory)
        )
    )
    environment = {**os.environ, "PATH": _path()}
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    for command in (
        ["runuser", "-u", "munge", "--", "/usr/sbin/munged"],
        ["slurmctld", "-c"],
        ["slurmd", "-c"],
    ):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    for _ in range(60):
        asked = subprocess.run(["sinfo", "--noheader", "--format=%t"], capture_output=True)
        if asked.stdout.strip() == b"idle":
            return
        time.sleep(1)
    raise RuntimeError(f"the node does not come up; see {state}/slurmctld.log")


def stop() -> None:
    """End the daemons and take the configuration away."""
    for name in ("slurmd", "slurmctld", "munged"):
        subprocess.run(["pkill", "-x", name])
    (HOME / "slurm.conf").unlink(missing_ok=True)
