"""What a job took is its own, not its parent's."""

import subprocess
import sys

import pytest

MEASURE = "from refacebench.run import usage; print(usage.taken()['peak_mb'])"
LARGE = f"""
import subprocess, sys
held = bytearray(600_000_000)
held[::4096] = b"x" * len(held[::4096])
subprocess.run([sys.executable, "-c", {MEASURE!r}], check=True, close_fds=False)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own count is Linux's")
def test_a_small_job_of_a_large_process_is_small():
    """Which the kernel's count for a process is not: it begins with the parent's."""
    told = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert float(told.stdout) < 300


def test_memory_that_a_job_takes_is_counted():
    code = "held = bytearray(400_000_000); held[::4096] = b'x' * len(held[::4096]); " + MEASURE
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert float(told.stdout) > 400
