"""What a file may declare and a config may say; a mistake is one sentence before anything runs."""

import re
from pathlib import Path

import pytest

from refacebench import files
from refacebench.contracts import KINDS, Defacer, Option, overridden
from refacebench.run import configuration, methods
from running import ROOT, bids, snakemake

GOOD = """from refacebench.contracts import Defaced, Defacer, Option, Refacer


def deface(scan, options):
    return Defaced(scan.volume.data * options["level"], ~scan.brain)


METHOD = Defacer(version="1", options={"level": Option(0.0, "A level.")}, run=deface)
"""


# options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (Option(1.0, "x"), 3, ""),
        (Option(1.0, "x"), float("inf"), ""),
        (Option(1.0, "x"), float("nan"), "nan is not a number"),
        (Option(1.0, "x"), True, "True is not a number"),
        (Option(1.0, "x"), "wide", "'wide' is not a number"),
        (Option(1.0, "x"), None, "None is not a number"),
        (Option(1, "x"), 2.5, "2.5 is not a whole number"),
        (Option(1, "x", least=1), 0, "0 is below 1"),
        (Option(1, "x", most=9), 10, "10 is above 9"),
        (Option(0.5, "x", least=0, most=1), 1, ""),
        (Option(0.5, "x", least=0, most=1), 1.01, "1.01 is not between 0 and 1"),
        (Option(False, "x"), 1, "1 is not true or false"),
        (Option("a", "x", choices=("a", "b")), "c", "'c' is neither a nor b"),
        (Option("a", "x", choices=("a", "b", "d")), "c", "'c' is none of a, b, d"),
        (Option("a", "x"), 3, "3 is not text"),
        (Option([1.0], "x", least=0), [0.5, -1], "-1 is below 0"),
        (Option([1.0], "x"), 0.5, "0.5 is not a list"),
        (Option(["a"], "x", choices=("a", "b")), ["b", "a"], ""),
        (Option(["a"], "x", choices=("a", "b")), ["b", "z"], "'z' is neither a nor b"),
        (Option(None, "x", kind=float), None, ""),
        (Option(None, "x", kind=float), "a", "'a' is not a number"),
        (Option([], "x", kind=(list, type(None))), None, ""),
    ],
)
def test_a_value_is_judged_by_type_choices_and_bounds(option, value, said):
    assert option.fault(option.read(value)) == said


def test_numbers_that_yaml_takes_for_text_are_read():
    assert Option(1.0, "x").read("1e-4") == 1e-4
    assert Option(1.0, "x").read("-2E+3") == -2000
    assert Option("a", "x").read("1e-4") == "1e-4"
    whole = Option(1, "x").read(8.0)
    assert (whole, type(whole)) == (8, int)


def test_defaults_are_copies_and_can_be_overridden():
    method = Defacer(version="1", options={"a": Option([1], "x")}, run=lambda scan, options: None)
    method.defaults["a"].append(2)
    assert method.defaults == {"a": [1]}
    assert overridden(method.options, a=[3])["a"].default == [3]
    assert method.defaults == {"a": [1]}


# files -----------------------------------------------------------------------------------------


def chosen(folder, text, kind="defacers", **entry):
    path = folder / "mine.py"
    path.write_text(text)
    return methods.choose(kind, "mine", {"file": str(path), **entry})


def test_a_users_file_is_a_method(tmp_path):
    found = chosen(tmp_path, GOOD, level=2)
    assert found.options == {"level": 2}
    assert (found.engine, found.kind, found.name) == ("native", "defacers", "mine")
    before = found.version
    assert re.fullmatch("1-[0-9a-f]{8}", before)
    assert chosen(tmp_path, GOOD + "\n# changed\n").version != before
    other = GOOD.replace('version="1"', 'version="2"')
    assert chosen(tmp_path, other).version.startswith("2-"), "a changed file is read anew"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "def deface(scan, options):",
            "def deface(scan):",
            r"run is called with \(scan, options\)",
        ),
        ("METHOD =", "OTHER =", "declares no METHOD; end the file with METHOD = Defacer"),
        ("METHOD = Defacer(", "METHOD = dict(", r"METHOD must be a Defacer\(...\), not"),
        (
            "def deface(scan, options):",
            "def deface(scan, options:",
            "line 4: it is not valid Python",
        ),
        ("METHOD =", "import no_such_thing\nMETHOD =", "line 8: No module named .*install it"),
        ("METHOD =", "1 / 0\nMETHOD =", "line 8: ZeroDivisionError: division by zero"),
        ("METHOD =", "raise SystemExit(1)\nMETHOD =", "line 8: importing the file ends Python"),
        (", run=deface", "", "line 8: TypeError: Defacer missing 1 required .* 'run'"),
        ("run=deface", "ran=deface", "Defacer got an unexpected keyword argument 'ran'"),
        ('version="1"', "version=1", "version must be text"),
        ('Option(0.0, "A level.")', "0.0", r"level must be an Option\(default, meaning\)"),
        ('"A level."', '""', "level has no meaning"),
        ('"A level."', '"A level.", least=1', "its default 0.0 is below 1"),
        ('{"level"', '{"file"', "the name file is taken"),
        ("run=deface", "run=deface, check=len(())", "check must be a function"),
        ("run=deface", 'run=deface, engine="best"', "'best' is neither native nor official"),
        ("METHOD = Defacer(", "METHOD = Refacer(", "unexpected keyword|missing"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_it(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(methods.MethodError, match=said) as error:
        chosen(tmp_path, GOOD.replace(old, new))
    assert "mine.py" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_another_kind_and_one_that_is_not_there(tmp_path):
    with pytest.raises(
        methods.MethodError, match="is of kind Defacer, not Segmenter; list it under d"
    ):
        chosen(tmp_path, GOOD, kind="segmenters")
    with pytest.raises(methods.MethodError, match="no file /no/such.py"):
        methods.choose("defacers", "mine", {"file": "/no/such.py"})
    with pytest.raises(methods.MethodError, match="no method '_options'; there are: afni"):
        methods.choose("defacers", "_options")


def test_a_file_may_hold_dataclasses(tmp_path):
    """They look their own module up while it is being imported."""
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text += "from typing import ClassVar\n@dataclass\nclass A:\n    b: ClassVar[int] = 1\n"
    assert chosen(tmp_path, text + GOOD).options == {"level": 0.0}


# entries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "entry", "said"),
    [
        ("defacers", {"sites": ["A"]}, "defacers.mine: unknown option 'sites'"),
        ("defacers", {"faces": "public"}, "unknown option 'faces'"),
        ("defacers", {"model": "x"}, "unknown option 'model'"),
        ("defacers", {"type": "demo"}, "unknown option 'type'"),
        ("segmenters", {"method": "deepbet_atlas", "defacers": []}, "unknown option 'defacers'"),
        ("attackers", {"method": "surface", "model": "x"}, "unknown option 'model'"),
        ("attackers", {"method": "surface", "trim": 2}, "trim: 2 is not between 0 and 1"),
        ("refacers", {"method": "pix2pix25d", "type": "x"}, "unknown option 'type'"),
        ("refacers", {"method": "pix2pix25d", "norm": "x"}, "norm: 'x' is neither slice nor batch"),
        ("refacers", {"method": "pix2pix25d", "size": "big"}, "size: 'big' is not a whole number"),
    ],
)
def test_each_kind_has_its_own_keys_and_bounds(kind, entry, said):
    name = entry.get("method", "mask_face")
    with pytest.raises(methods.MethodError, match=said) as error:
        methods.choose(kind, "mine", {"method": name, **entry})
    assert "\n" not in str(error.value)


def test_steering_keys_of_a_kind_are_no_options():
    found = methods.choose(
        "refacers", "m", {"method": "cyclegan2d", "sites": ["A"], "defacers": []}
    )
    assert not {"sites", "defacers", "method"} & set(found.options)
    for kind, cls in KINDS.items():
        for name in methods.available(kind):
            assert not set(cls.STEERING) & set(methods.declared(kind, name).options)


def test_a_methods_own_check_speaks_in_its_own_words():
    """The sentence is the method's, without the bounds' words and without `config:`."""
    config = {"datasets": {}, "defacers": {"pydeface": {"engine": "best"}}}
    with pytest.raises(configuration.ConfigError) as error:
        configuration.check(config)
    assert str(error.value) == (
        "defacers.pydeface: pydeface: engine 'best' is none of auto, native, official"
    )


def test_a_check_that_stumbles_over_a_wrong_type_is_not_quoted():
    with pytest.raises(methods.MethodError, match="in_min_mm: 'wide' is not a number"):
        methods.choose("defacers", "mideface", {"in_min_mm": "wide"})


def test_every_shipped_config_can_be_carried_out():
    for path in sorted((ROOT / "config").glob("*.yaml")):
        config = files.read_yaml(path)
        for kind in KINDS:
            entries = config.get(kind) or {}
            if kind == "refacers":
                entries = configuration.refacers(config)
            for name, entry in entries.items():
                methods.choose(kind, name, entry)


def test_a_wrong_file_ends_the_dry_run_with_one_sentence(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(GOOD.replace("def deface(scan, options):", "def deface(scan):"))
    config = {"datasets": {"d": bids(tmp_path / "b")}, "defacers": {"mine": {"file": str(own)}}}
    run = snakemake(tmp_path, "-n", config=config)
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert "mine.py: METHOD: run is called with (scan, options), but deface(scan)" in said
    assert "Traceback" not in said


def test_the_tutorials_defacer_works_as_it_stands(tmp_path):
    from refacebench.checking import suite

    text = (Path(ROOT) / "docs" / "tutorial.md").read_text()
    snippet = re.search(r"```python\n(# my_defacer\.py.*?)```", text, re.S).group(1)
    entry = re.search(r"^  mine: (\{file.*?\})$", text, re.M).group(1)
    assert entry == "{file: my_defacer.py}"
    path = tmp_path / "my_defacer.py"
    path.write_text(snippet)
    found = methods.choose("defacers", "mine", {"file": str(path)})
    lines = [str(f) for f in suite.run(found, tmp_path) if f.status != suite.PASS]
    assert not lines
