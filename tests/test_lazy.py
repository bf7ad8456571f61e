"""Modules that are bound early and loaded late."""

import subprocess
import sys

from refacebench import lazy


def test_nothing_is_loaded_before_it_is_used_and_nobody_else_can_trigger_it():
    """`inspect` looks at every module in sys.modules, and torch uses it while it loads."""
    code = (
        "import inspect, sys\n"
        "from refacebench import lazy\n"
        "bound = lazy.load('wave')\n"
        "inspect.getmodule(lambda: 0, 'no such file')\n"
        "assert 'wave' not in sys.modules\n"
        "assert bound.Error.__name__ == 'Error'\n"
        "assert 'wave' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_what_is_set_is_set_in_the_module_itself(monkeypatch):
    import wave

    bound = lazy.load("wave")
    with monkeypatch.context() as patch:
        patch.setattr(bound, "Error", OSError)
        patch.setattr(bound, "fresh", 8, raising=False)
        assert (wave.Error, wave.fresh) == (OSError, 8)
    assert wave.Error.__name__ == "Error"
    assert not hasattr(wave, "fresh")
