"""The work on one scan: what it started ends with it, and it takes no more memory than its job."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from refacebench.programs import process
from refacebench.run import sandbox

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def hide(folder):
    """Leave a child of a child in a session of its own, once forked and once as a program."""
    program = f"setsid sh -c 'echo $$ > {folder}/program; exec sleep 300' >/dev/null 2>&1 &"
    subprocess.run(["sh", "-c", program], check=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            (folder / "forked").write_text(str(os.getpid()))
            time.sleep(300)
        os._exit(0)
    for name in ("program", "forked"):
        while not (folder / name).exists() or not (folder / name).read_text():
            time.sleep(0.01)


def hidden(folder):
    return [int((folder / name).read_text()) for name in ("program", "forked")]


@linux
@pytest.mark.parametrize("hangs", [False, True])
def test_what_hides_in_a_session_of_its_own_ends_with_the_scan(tmp_path, hangs):
    def work(row):
        hide(tmp_path)
        time.sleep(300 if hangs else 0)
        return {"value": 1}

    start = time.monotonic()
    result, _ = sandbox.in_child(work, {}, 1.5 if hangs else 60)
    assert time.monotonic() - start < 20
    assert "no result after 1.5 s" in result["reason"] if hangs else result == {"value": 1}
    assert not any(alive(pid) for pid in hidden(tmp_path))


def test_what_a_scan_imported_is_there_for_the_next(tmp_path, monkeypatch):
    """Modules that the second scan would import again took up to half of its time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "slow_module.py").write_text("VALUE = 7\n")
    (tmp_path / "of_the_child.py").write_text(
        f"import os\nif os.getpid() == {os.getpid()}:\n    raise RuntimeError('not here')\n"
    )

    def work(row):
        before = set(sys.modules)
        import of_the_child  # noqa: F401
        import slow_module

        return {"value": slow_module.VALUE, "new": sorted(set(sys.modules) - before)}

    first, second, third = (sandbox.in_child(work, {}, 60)[0] for _ in range(3))
    assert first == {"value": 7, "new": ["of_the_child", "slow_module"]}
    # What cannot be imported outside the child stays its own affair.
    assert second == third == {"value": 7, "new": ["of_the_child"]}


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_all_ends_when_the_job_is_killed(tmp_path, how):
    job = os.fork()
    if job == 0:
        os.setsid()
        sandbox.in_child(lambda row: [hide(tmp_path), time.sleep(300)], {}, 60)
        os._exit(0)
    while not (tmp_path / "forked").exists():
        time.sleep(0.05)
    os.killpg(job, how)
    os.waitpid(job, 0)
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in hidden(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in hidden(tmp_path))


@linux
@pytest.mark.parametrize("where", ["in Python", "in a program"])
def test_no_more_memory_than_the_job_asked_for(monkeypatch, where):
    monkeypatch.setattr(process, "_memory_mb", 400.0)
    eat = "a = [np.ones(2_000_000) for _ in range(60)]\ntime.sleep(300)"

    def work(row):
        if where == "in Python":
            exec(eat, {"np": np, "time": time})
        else:
            subprocess.run([sys.executable, "-c", f"import time\nimport numpy as np\n{eat}"])
        return {}

    result, _ = sandbox.in_child(work, {}, 60, "deface")
    assert result["status"] == "failed"
    assert result["reason"] == (
        "needed more than 400 MB of memory; give the job more (--set-resources deface:mem_mb=800)"
    )
    assert result[sandbox.AGAIN]  # with more memory it may pass


def test_a_traceback_is_in_the_log_and_not_on_the_terminal(capfd):
    def work(row):
        raise KeyError("a column")

    result, _ = sandbox.in_child(work, {}, 60)
    assert result["reason"] == "KeyError: 'a column'"
    seen = capfd.readouterr()
    assert "Traceback" in seen.out  # goes to the log alone, see refacebench.run.log
    assert seen.err == ""
