"""The floor plan is kept: layers, circles, imports, private names, length, names of classes."""

import re

import pytest

import architecture

ROOT = architecture.ROOT
SOURCE = ROOT / "workflow"
PLAN = architecture.plan(ROOT)
MODULES = architecture.read(SOURCE, PLAN.package)


def check(faults):
    """Fail with one sentence for each fault."""
    assert "\n".join(faults) == ""


@pytest.mark.parametrize("rule", architecture.READ.values(), ids=architecture.READ)
def test_the_floor_plan_is_kept(rule):
    check(rule(MODULES, PLAN))


def test_nothing_heavy_is_loaded_before_it_is_needed():
    check(architecture.heavy(MODULES, PLAN, SOURCE))


def test_scripts_import_at_the_top_and_nothing_private():
    check(architecture.scripts(MODULES, PLAN, SOURCE / "scripts"))


def test_every_room_stands_in_the_plan_and_in_the_newcomers_page():
    rooms = {architecture.room(name, PLAN.package) for name in MODULES} - {""}
    assert rooms == set(PLAN.floors), "layers in pyproject.toml and the tree differ"
    page = (ROOT / "docs" / "architecture.md").read_text()
    told = set(re.findall(r"`(\w+?)(?:/|\.py)?`", page))
    assert rooms <= told, "docs/architecture.md"


def test_every_exception_has_its_reason():
    assert all(len(reason.split()) > 3 for reason in PLAN.longer.values())


# The reader itself, on small trees with one fault each -----------------------------------------


def faults(folder, files, rule, **plan):
    """What a rule says of a small package with the layers `low`, `middle` and `high`."""
    for name in files:
        for parent in (folder / "p" / name).relative_to(folder).parents:
            if parent.name:
                (folder / parent).mkdir(parents=True, exist_ok=True)
                (folder / parent / "__init__.py").touch()
    for name, text in files.items():
        (folder / "p" / name).write_text(text)
    layers = (("low", "base"), ("middle",), ("high",))
    told = architecture.Plan("p", layers, ("heavy",), 10, {})
    told = architecture.Plan(**{**told.__dict__, **plan})
    return list(rule(architecture.read(folder, "p"), told))


@pytest.mark.parametrize(
    "text",
    [
        "from p.high import b\n",
        "from p.high.b import f\n",
        "import p.high.b\n",
        "def f():\n    from p.high.b import g\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.high import b\n",
        'b = lazy.load("p.high.b", suppress_warning=True)\n',
    ],
)
def test_an_arrow_that_goes_up_is_found(tmp_path, text):
    files = {"low/a.py": text, "high/b.py": ""}
    (said,) = faults(tmp_path, files, architecture.turned)
    assert re.fullmatch(r"p\.low\.a:\d+ imports p\.high\.b: low lies below high, and .*", said)


def test_arrows_down_and_within_a_layer_are_free(tmp_path):
    files = {
        "low/a.py": "import os\nfrom p.low import c\nfrom p import base\n",
        "low/c.py": "",
        "base.py": "from p import __version__\n",
        "high/b.py": "from p.low.a import f\nfrom p.middle import m\n",
        "middle/m.py": "",
        "__init__.py": "__version__ = 1\n",
    }
    for rule in architecture.READ.values():
        assert faults(tmp_path, files, rule) == []


def test_a_room_without_a_place_is_found(tmp_path):
    (said,) = faults(tmp_path, {"attic.py": ""}, architecture.turned)
    assert said == "p.attic has no place in the layers: name its room in pyproject.toml"


def test_circles_are_found_once_and_in_order(tmp_path):
    files = {
        "low/a.py": "from p.low import b\n",
        "low/b.py": "from p.low.c import f\n",
        "low/c.py": "def f():\n    from p.low import a\n",
        "low/d.py": "from p.low import a\n",
    }
    said = faults(tmp_path, files, architecture.circles)
    assert said == ["a circle: p.low.a -> p.low.b -> p.low.c -> p.low.a"]


def test_a_circle_of_rooms_without_one_of_modules_is_found(tmp_path):
    files = {
        "low/a.py": "from p import base\n",
        "base.py": "from p.low import b\n",
        "low/b.py": "",
    }
    (said,) = faults(tmp_path, files, architecture.circles)
    assert said == "a circle of rooms: base -> low -> base"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f():\n    from p.low import b\n", "p.low.a:2 imports p.low.b inside a function"),
        (
            "class A:\n    def f(self):\n        import p.low.b\n",
            "p.low.a:3 imports p.low.b inside",
        ),
        ('def f():\n    return lazy.load("p.low.b")\n', "p.low.a:2 imports p.low.b inside"),
        ("from . import b\n", "p.low.a:1 imports .b by a relative name"),
        ("from ..low.b import f\n", "p.low.a:1 imports ..low.b"),
        ("from p.low import b as b_\n", "p.low.a:1 calls p.low.b b_: find a better name"),
    ],
)
def test_hidden_imports_are_found(tmp_path, text, said):
    found = faults(tmp_path, {"low/a.py": text, "low/b.py": ""}, architecture.hidden)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_heavy_packages_of_others_may_be_imported_inside(tmp_path):
    files = {"low/a.py": "def f():\n    import torch\n    from scipy import ndimage\n"}
    assert faults(tmp_path, files, architecture.hidden) == []


@pytest.mark.parametrize(
    "text",
    [
        "from p.low._b import f\n",
        "from p.low import _b\n",
        "from p.low.c import _g\n",
        "from p.low import c\nx = c._g\n",
        "import p.low.c as d\nx = d._g()\n",
    ],
)
def test_private_names_of_other_folders_are_found(tmp_path, text):
    files = {"high/a.py": text, "low/_b.py": "", "low/c.py": ""}
    (said,) = faults(tmp_path, files, architecture.private)
    assert said.endswith("which is private to its folder")
    files = {"low/a.py": text, "low/_b.py": "", "low/c.py": "", "high/a.py": ""}
    assert faults(tmp_path, files, architecture.private) == []


def test_long_modules_and_stale_exceptions_are_found(tmp_path):
    files = {"low/a.py": "x = 1\n" * 11, "low/b.py": "x = 1\n" * 10}
    assert faults(tmp_path, files, architecture.long) == ["p.low.a has 11 lines, more than 10"]
    assert faults(tmp_path, files, architecture.long, longer={"p.low.a": "a reason"}) == []
    (said,) = faults(
        tmp_path, files, architecture.long, longer={"p.low.a": "why", "p.low.b": "why"}
    )
    assert said.startswith("p.low.b is no longer too long")


def test_twins_are_found(tmp_path):
    files = {
        "low/a.py": "class A: ...\nclass _B: ...\n",
        "high/b.py": "class A: ...\nclass _B: ...",
    }
    (said,) = faults(tmp_path, files, architecture.twins)
    assert said == "the class name A is used by p.high.b, p.low.a"


def test_heavy_imports_are_found_where_they_stand(tmp_path):
    files = {
        "low/a.py": "import heavy\n",
        "low/b.py": "from p.low import a\n",
        "low/c.py": "def f():\n    import heavy\n",
        "low/d.py": "import lazy_loader as lazy\ne = lazy.load('p.low.e', suppress_warning=True)\n",
        "low/e.py": "from p.low import f\nimport heavy\n",
        "low/f.py": "import heavy\n",
    }
    found = faults(tmp_path, files, lambda m, p: architecture.heavy(m, p, tmp_path))
    assert [said.split(" when")[0] for said in found] == [
        "p.low.a needs heavy",
        "p.low.b needs heavy",
    ]
    assert all("/p/low/a.py:1" in said for said in found)
