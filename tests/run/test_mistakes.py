"""All that is wrong with a config is said at once, with the file and line of each key."""

import argparse
from pathlib import Path

import pytest
import yaml

from refacebench import __main__ as program
from refacebench import files
from refacebench.cli import common
from refacebench.run import methods, mistakes, settings
from running import ROOT, bids

SCHEMA = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
WRONG = """seed: one
datasets:
  here: {type: bids, path: bids, limit: many, only_participants: [77], rescan_sessions: [9]}
  gone:
    type: bids
    path: nowhere
  both: {type: bids, path: lost, carry: [T 2]}
defacers:
  pydefac: {}
  quickshear: {bufer: 3, buffer_mm: wide}
  tool: {program: mideface}
refacers:
  m: {method: pix2pix25d, defacers: [mask_face]}
attackers:
  face_recognition: {views: -1}
statistics: {alpha: 2}
"""
#: By line of the file, what is said of it.
SAID = {
    1: ["seed: 'one' is not a whole number"],
    3: ["limit: 'many' is not", "there is no scan of sub-77", "no scan has the session 'ses-9'"],
    6: ["there is no folder 'nowhere'; change this to the folder of your data"],
    7: ["carry: ['T 2'] is not a list", "there is no folder 'lost'"],
    9: ["no method 'pydefac'"],
    10: ["unknown option 'bufer'", "buffer_mm: 'wide' is not a number"],
    11: ["mideface cannot run here"],
    13: ["mask_face is not among the defacers"],
    15: ["views: -1 is below 0"],
    16: ["alpha: 2 is not below 1"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    bids(tmp_path / "bids", 3)
    return tmp_path


def refused(path, text):
    """Return the lines about a config's mistakes, without their numbers."""
    path.write_text(text)
    given = settings.read(path)
    with pytest.raises(mistakes.ConfigError) as error:
        settings.settle(given, SCHEMA, [path])
    first, *lines = mistakes.told(error.value, [path], given).splitlines()
    assert not lines or first == f"the config has {len(lines)} mistakes:"
    return [line.split(". ", 1)[1] for line in lines] or [first]


def test_every_kind_of_mistake_is_in_one_list_with_its_line(here):
    lines = refused(here / "c.yaml", WRONG)
    wanted = [(number, said) for number, all_ in SAID.items() for said in all_]
    assert len(lines) == len(wanted)
    for number, said in wanted:
        (line,) = [line for line in lines if said in line]
        assert line.endswith(f" ({here}/c.yaml, line {number})"), line


def test_nothing_is_concluded_from_what_may_have_been_meant_otherwise(here):
    """A misspelled section is no empty one, and a list in place of it says nothing of names."""
    refacers = {"m": {"method": "pix2pix25d", "defacers": ["quickshear"]}}
    base = {"datasets": {"a": {"type": "bids", "path": "bids"}}, "refacers": refacers}
    for wrong in ({"defacerz": {"quickshear": {}}}, {"defacers": ["quickshear"]}):
        (line,) = refused(here / "c.yaml", yaml.safe_dump({**base, **wrong}))
        assert "defacer" in line
        assert "not among" not in line
    untyped = {"datasets": {"a": {"type": 3}}, "defacers": {"quickshear": {}}}
    (line,) = refused(here / "c.yaml", yaml.safe_dump({**base, **untyped}))
    assert "datasets.a.type: 3 is not text" in line
    (line,) = refused(here / "c.yaml", "defacers: {quickshear: {}}\n")
    assert "the key 'datasets' is missing" in line
    assert line.endswith(f" ({here}/c.yaml)")


#: A config, and what is said of it: all of it, in the order of the list, and nothing else.
AT_ONCE = [
    # What does not depend on a method that nobody knows, or on a key that nobody knows.
    (
        """datasets:
  mine: {type: bdis, path: gone, limt: 3}
  other: {type: bids, path: lost}
defacers: {quickshear: {bufer: 3}}
seeed: 1
splits: {test: 0}
""",
        [
            ("unknown key 'seeed'", 5),
            ("no method 'bdis'", 2),
            ("unknown option 'limt'", 2),
            ("unknown option 'bufer'", 4),
            ("test must have a weight above 0", 6),
            ("there is no folder 'gone'", 2),
            ("there is no folder 'lost'", 3),
        ],
    ),
    # Nothing is like this name: nothing is said of its options and of its folder.
    (
        "datasets:\n  mine: {type: zz, path: gone, limt: 3}\ndefacers: {null: {}}\n",
        [("no method 'zz'", 2), ('write "null" in quotes', 3)],
    ),
    # Nothing is there, empty or missing: in our words, with the file at least.
    (
        "datasets: {}\ndefacers: {quickshear: {}}\nsplits: {test: 0}\n",
        [("datasets: it is empty; name your data there", 1), ("test must have a weight", 3)],
    ),
    (
        "datasets:\ndefacers: {quickshear: {}}\n",
        [("datasets: it is empty, and must be names with values", 1)],
    ),
    (
        "defacers: {quickshear: {bufer: 3}}\nsplits: {test: 0}\n",
        [
            ("top level: the key 'datasets' is missing", 0),
            ("unknown option 'bufer'", 1),
            ("test must have a weight", 2),
        ],
    ),
    (
        "datasets:\n  mine: {path: bids}\ndefacers: {quickshear: {}}\n"
        "study:\n  paper: ''\n  items: []\n  exclude: [no_output, no_outputs]\n",
        [
            ("datasets.mine: the key 'type' is missing", 2),
            ("study: the key 'title' is missing", 4),
            ("study.exclude.1: 'no_outputs' is none of brain_cut, face_left, no_output; did", 7),
            ("study.items: it is empty", 6),
            ("study.paper: it is empty", 5),
        ],
    ),
    (
        "datasets:\n  mine: {type: bids, path: bids, limit: 0, rescan_sessions: [a b],\n"
        "    sessions_measured: none}\ndefacers: {quickshear: {}}\nbatch_size:\n",
        [
            ("batch_size: it is empty, and must be a whole number", 5),
            ("datasets.mine.limit: 0 is below 1", 2),
            ("rescan_sessions.0: 'a b' has characters that cannot stand there", 2),
            ("sessions_measured: 'none' is not", 3),
        ],
    ),
    # Nothing would be compared, said or unsaid.
    (
        "datasets:\n  mine: {type: bids, path: bids}\ndefacers: {}\n",
        [("defacers: none is named", 3)],
    ),
    ("datasets:\n  mine: {type: bids, path: bids}\n", [("defacers: none is named", 0)]),
]


@pytest.mark.parametrize(("text", "wanted"), AT_ONCE)
def test_all_that_can_be_known_is_said_in_our_words(here, text, wanted):
    lines = refused(here / "c.yaml", text)
    assert len(lines) == len(wanted), lines
    for line, (said, number) in zip(lines, wanted, strict=True):
        assert said in line
        assert line.endswith(f" ({here}/c.yaml{f', line {number}' if number else ''})"), line
        for word in ("None", "property", "non-empty", "of type", "does not match", "expected"):
            assert word not in line


def test_measures_that_are_brought_need_no_defacer(here):
    (here / "m.tsv").write_text("participant\tvariant\tbrain\n")
    measures = {"type": "measures", "files": "m.tsv"}
    assert settings.settle({"datasets": {"m": measures}}, SCHEMA, []).config["defacers"] == {}
    # Nor does a data set of which nobody knows whether it brings them.
    for kind in ("measure", "zz"):
        lines = refused(here / "c.yaml", yaml.safe_dump({"datasets": {"m": {"type": kind}}}))
        assert all("datasets.m: " in line for line in lines)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (b"seed: 1\ndatasets:\n  a: {type: bids\n  path: x\n", 4, "; look from line 3 on"),
        (b"datasets:\n\ta: x\n", 2, "; indent with spaces, not with tabs"),
        (b"seed: [1\n", 2, "but got the end of the file; look from line 1 on"),
        (b"seed: 1\n  b: 2\n", 2, "mapping values are not allowed here"),
        (b"a:\n- 1\nb: 2\n- 3\n", 4, "expected a block end, but found '-'; look from line 1 on"),
        (b"seed: !mine 1\n", 1, "could not determine a constructor for the tag '!mine'"),
        (b"? {a: 1}\n: 1\n", 1, "found unhashable key"),
        (b"seed: \x07\n", 0, "special characters are not allowed"),
        (b"seed: \xff\n", 0, "it is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_yaml_is_named_with_its_line_in_one_sentence(here, text, line, said):
    path = here / "c.yaml"
    path.write_bytes(text)
    with pytest.raises(mistakes.ConfigError) as error:
        settings.read(path)
    found = str(error.value)
    assert found.startswith(f"{path}, line {line} is not" if line else f"{path} is not")
    assert found.endswith(said)
    assert "\n" not in found
    assert "<" not in found
    program_ = here / "p.yaml"
    program_.write_bytes(text)
    tool = {"program": "p.yaml"}
    with pytest.raises(methods.MethodError, match="is not") as error:
        methods.choose("defacers", "tool", tool)
    assert found.replace("c.yaml", "p.yaml").removeprefix(str(here)).strip("/") in str(error.value)


#: Each misspelt key is the only one in its line and ends with two x.
MISSPELT = """seed: 1
datasets:
  here:
    type: bids
    path: bids
    limitxx: 20
  grown:
    type: demo
    faces: public
    sites:
      - name: A
      - name: B
        noisexx: 3
defacers:
  quickshear:
    buffer: 3
    bufferxx: 3
    buffer_mmxx: 3
  tool:
    command: [cp, "{input}", "{output}"]
    filesxx: {}
refacers:
  m:
    method: pix2pix25d
    epochsxx: 3
segmenters:
  deepbet_atlas:
    network_sizexx: 1
attackers:
  face_recognition:
    lightsxx: 1
age_models:
  voxels:
    inputxx: brain
brain_age:
  correctionxx: none
thresholds:
  face_leftxx: 1
  ears_leftxx: 1
checks:
  fov_mmxx: 1
  head_litresxx: 2
rendering:
  viewsxx: 3
privacy:
  kit:
    answersxx: here
study:
  paper: x
  title: y
  items:
    - {item: Table 1, shows: volumes}
    - item: Table 2
      shows: volumes
      oursxx: []
"""


def test_an_unknown_key_is_told_with_its_own_line_at_any_depth(here):
    lines = refused(here / "c.yaml", MISSPELT)
    for number, line in enumerate(MISSPELT.splitlines(), 1):
        key = line.strip(" -").split(":")[0]
        if key.endswith("xx"):
            (said,) = [said for said in lines if f" '{key}'" in said]
            assert said.endswith(f" ({here}/c.yaml, line {number})"), said
    (column,) = refused(
        here / "c.yaml",
        "datasets:\n  m:\n    type: measures\n    files: {original: x}\n    columns:\n"
        "      unit: ml\n      personxx: sub\n",
    )
    assert "personxx" in column
    assert column.endswith("line 7)")


def test_a_key_of_the_command_line_has_no_line_in_a_file(here):
    path = here / "c.yaml"
    path.write_text("seed: 1\nsplits: {test: 1}\n")
    error = mistakes.ConfigError("config, seed: 'x' is not of type 'integer'", "splits: none")
    assert mistakes.told(error, [path], {"seed": "x", "splits": {"test": 1}}).splitlines()[1:] == [
        "  1. config, seed: 'x' is not of type 'integer'",
        f"  2. splits: none ({path}, line 2)",
    ]


def test_a_key_of_a_scale_is_found_there(here):
    path = here / "c.yaml"
    path.write_text("seed: 1\nscales:\n  demo:\n    seed: x\n")
    given = {"seed": "x", "scale": "demo"}
    error = mistakes.ConfigError("config, seed: 'x' is not of type 'integer'")
    assert mistakes.told(error, [path], given).endswith(f"({path}, line 4)")


def test_the_shipped_config_says_which_key_to_change(here, capsys):
    path = ROOT / "config/bids.yaml"
    number = path.read_text().split("path: data/mine")[0].count("\n") + 1
    assert program.main(["estimate", str(path)]) == 2
    said = capsys.readouterr().err
    assert "datasets.mine: path: there is no folder 'data/mine'; change this" in said
    assert said.strip().endswith(f"({path}, line {number})")


def test_an_estimate_looks_into_the_folder_of_its_own_config(here, capsys):
    """A list of splits that belongs to another run of the folder says nothing of this one."""
    config = {
        "results": "runs/mine",
        "datasets": {"a": {"type": "bids", "path": "bids"}},
        "defacers": {"quickshear": {}},
        "splits": {"train": 0, "validation": 0, "test": 1},
    }
    path = here / "c.yaml"
    path.write_text(yaml.safe_dump(config))
    for folder, split in (("results", "train"), ("runs/mine/results", "")):
        plan = here / folder / "plan/a"
        plan.mkdir(parents=True)
        kept = f"participant\tsplit\nsub-00\t{split}\n" if split else "participant\tsplit\n"
        (plan / "splits.tsv").write_text(kept)
    assert program.main(["estimate", str(path), "--cores", "1"]) == 0
    assert "(3 scans compared in 2 variants" in capsys.readouterr().out
    assert not (here / "runs/mine/.snakemake").exists()


def test_commands_after_a_run_look_into_its_own_folder(here):
    def meant(*words):
        parser = argparse.ArgumentParser()
        common.add_run(parser)
        return common.run_of(parser.parse_args(words))[0]

    path = here / "c.yaml"
    path.write_text("results: runs/a\nscales: {demo: {results: runs/b}}\n")
    assert meant() == Path("results")
    assert meant("--configfile", str(path)) == Path("runs/a/results")
    assert meant("--configfile", str(path), "--scale", "demo") == Path("runs/b/results")
    assert meant("--configfile", str(path), "--results", "x") == Path("x")
    path.write_text("seed: 1\n")
    assert meant("--configfile", str(path)) == Path("results")
    with pytest.raises(common.Refused, match="no scale 'demo'"):
        meant("--configfile", str(path), "--scale", "demo")
