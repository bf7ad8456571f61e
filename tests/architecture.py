"""Reads the imports of the package without running it, and says what breaks the floor plan.

``python tests/architecture.py [CHECKOUT]`` prints one sentence for each fault.  Layers, heavy
packages, the limit of length and its exceptions stand in pyproject.toml.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Plan:
    """What pyproject.toml says of the floor plan."""

    package: str
    layers: tuple[tuple[str, ...], ...]
    heavy: tuple[str, ...]
    most_lines: int
    longer: Mapping[str, str]

    @property
    def floors(self) -> dict[str, int]:
        """The floor of each room, 0 the lowest."""
        return {room: i for i, layer in enumerate(self.layers) for room in layer}


def plan(checkout: Path) -> Plan:
    """Read the floor plan of a checkout."""
    told = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["refacebench"]
    layers = tuple(tuple(layer) for layer in told["layers"])
    return Plan(
        "refacebench", layers, tuple(told["heavy"]), told["most_lines"], told.get("longer", {})
    )


@dataclass(frozen=True)
class Import:
    """One import: the module that is named, the name taken from it, and where that stands."""

    module: str
    name: str = ""
    alias: str = ""
    line: int = 0
    inside: bool = False
    lazy: bool = False


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]

    def room(self, package: str) -> str:
        """Return the folder, or the module beside the folders, in which this lies."""
        return room(self.name, package)

    @property
    def folder(self) -> str:
        """The package in which an underscore of this module is private."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def room(name: str, package: str) -> str:
    """Return the room of a module's name; the package itself is the room ``""``."""
    return name.removeprefix(package).lstrip(".").split(".")[0]


def read(source: Path, package: str) -> dict[str, Module]:
    """Read all modules of a package below a folder."""
    paths = {}
    for path in sorted((source / package).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: module(name, path, paths, package) for name, path in paths.items()}


def module(name: str, path: Path, names: Iterable[str], package: str) -> Module:
    """Read one file; of its imports those of the package count, whose modules are given."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = tuple(_resolved(item, names) for item in _imports(tree) if _own(item.module, package))
    return Module(name, path, tree, text.count("\n"), found)


def _own(name: str, package: str) -> bool:
    return name == package or name.startswith((f"{package}.", "."))


def _resolved(item: Import, names: Iterable[str]) -> Import:
    """``from package import module`` imports a module and takes no name from it."""
    whole = f"{item.module}.{item.name}"
    if item.name and whole in names:
        return Import(whole, "", item.alias, item.line, item.inside, item.lazy)
    return item


def _imports(node: ast.AST, inside: bool = False) -> Iterator[Import]:
    """All imports below a node, also those in functions, branches and calls of ``lazy.load``."""
    for child in ast.iter_child_nodes(node):
        deeper = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, "", alias.asname or "", child.lineno, inside)
        elif isinstance(child, ast.ImportFrom):
            module = "." * child.level + (child.module or "")
            for alias in child.names:
                yield Import(module, alias.name, alias.asname or "", child.lineno, inside)
        elif isinstance(child, ast.Call) and ast.unparse(child.func) == "lazy.load":
            module = str(ast.literal_eval(child.args[0]))
            yield Import(module, "", "", child.lineno, inside, lazy=True)
        yield from _imports(child, deeper)


# -------------------------------------------------------------------------------- what may not be


def turned(modules: Mapping[str, Module], plan: Plan) -> Iterator[str]:
    """Arrows that go up, and modules without a place."""
    floors = plan.floors
    for name, module in modules.items():
        here = module.room(plan.package)
        if here and here not in floors:
            yield f"{name} has no place in the layers: name its room in pyproject.toml"
            continue
        for item in module.imports:
            there = room(item.module, plan.package)
            if there in floors and (not here or floors[there] > floors[here]):
                yield (
                    f"{name}:{item.line} imports {item.module}: "
                    f"{here or plan.package} lies below {there}, and arrows go down only"
                )


def circles(modules: Mapping[str, Module], plan: Plan) -> Iterator[str]:
    """Circles of modules, and circles of rooms."""
    arrows: dict[str, set[str]] = {name: set() for name in modules}
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, module in modules.items():
        for item in module.imports:
            if item.module in modules and item.module != name:
                arrows[name].add(item.module)
                rooms[module.room(plan.package)].add(room(item.module, plan.package))
    yield from (f"a circle: {' -> '.join(path)}" for path in _circles(arrows))
    yield from (f"a circle of rooms: {' -> '.join(path)}" for path in _circles(rooms))


def _circles(arrows: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """One shortest circle for each set of nodes that reach each other."""
    seen: set[str] = set()
    for start in sorted(arrows):
        path = _path(arrows, start)
        if path and not seen & set(path):
            seen |= set(path)
            yield path


def _path(arrows: Mapping[str, set[str]], start: str) -> list[str]:
    """Return the shortest way from a node back to itself by others; empty where there is none."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for following in sorted(arrows.get(way[-1], set())):
            if following == start and len(way) > 1:
                return [*way, start]
            if following not in seen and following != start:
                seen.add(following)
                ways.append([*way, following])
    return []


def hidden(modules: Mapping[str, Module], plan: Plan) -> Iterator[str]:
    """Own modules imported inside functions, by relative names or under an odd alias."""
    for name, module in modules.items():
        for item in module.imports:
            if item.inside:
                yield f"{name}:{item.line} imports {item.module} inside a function"
            if item.module.startswith("."):
                yield f"{name}:{item.line} imports {item.module}{item.name} by a relative name"
            if item.alias.endswith("_"):
                yield f"{name}:{item.line} calls {item.module} {item.alias}: find a better name"


def private(modules: Mapping[str, Module], plan: Plan) -> Iterator[str]:
    """Names with an underscore that are used outside their folder."""
    for name, module in modules.items():
        bound = {}
        for item in module.imports:
            if not item.name:
                bound[item.alias or item.module.rpartition(".")[2]] = item.module
            for owner, part in [_first_private(item)]:
                if part and not _inside(module.folder, owner, plan.package):
                    yield f"{name}:{item.line} uses {owner}.{part}, which is private to its folder"
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            target = bound.get(node.value.id)
            if target and _is_private(node.attr) and target in modules:
                owner = modules[target].folder
                if not _inside(module.folder, owner, plan.package):
                    yield (
                        f"{name}:{node.lineno} uses {target}.{node.attr}, "
                        "which is private to its folder"
                    )


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _first_private(item: Import) -> tuple[str, str]:
    """Return the folder that a private part of an imported name belongs to, and that part."""
    parts = item.module.split(".")
    for i, part in enumerate(parts):
        if _is_private(part):
            return ".".join(parts[:i]), part
    if _is_private(item.name):
        return item.module.rpartition(".")[0], item.name
    return "", ""


def _inside(folder: str, owner: str, package: str) -> bool:
    """Whether a folder may use what is private to another: it is that or, in a room, below it."""
    return folder == owner or (owner != package and folder.startswith(f"{owner}."))


def long(modules: Mapping[str, Module], plan: Plan) -> Iterator[str]:
    """Modules that cannot be read at a sitting, and exceptions that are needed no more."""
    for name, module in modules.items():
        if module.lines > plan.most_lines and name not in plan.longer:
            yield f"{name} has {module.lines} lines, more than {plan.most_lines}"
    for name in plan.longer:
        if name not in modules or modules[name].lines <= plan.most_lines:
            yield f"{name} is no longer too long: take it out of pyproject.toml"


def twins(modules: Mapping[str, Module], plan: Plan) -> Iterator[str]:
    """Names that two classes have."""
    homes = defaultdict(list)
    for name, module in modules.items():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    for name, found in homes.items():
        if len(found) > 1:
            yield f"the class name {name} is used by {', '.join(found)}"


HEAVY = """
import importlib, sys, traceback
heavy, root, names = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in heavy:
            raise ImportError(f"needs {name.split('.')[0]}")
sys.meta_path.insert(0, Refuse())
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(root)]
        print(f"{name} {error} when it is imported: {own[-1].filename}:{own[-1].lineno}"
              if own else f"{name} {error} when it is imported")
"""


def _later(modules: Mapping[str, Module]) -> set[str]:
    """Modules that are loaded when they are used: bound so, or imported by such ones alone."""
    later = {item.module for module in modules.values() for item in module.imports if item.lazy}
    users: dict[str, set[str]] = {}
    for name, module in modules.items():
        for item in module.imports:
            if not item.lazy:
                users.setdefault(item.module, set()).add(name)
    while True:
        more = {name for name, by in users.items() if name not in later and by <= later}
        if not more:
            return later
        later |= more


def heavy(modules: Mapping[str, Module], plan: Plan, source: Path) -> Iterator[str]:
    """Modules that need a heavy package as soon as they are imported.

    Only those may that all others bind with ``lazy.load``, and what these alone import.
    """
    later = _later(modules)
    names = [name for name in modules if name not in later]
    done = subprocess.run(
        [sys.executable, "-c", HEAVY, ",".join(plan.heavy), str(source), *names],
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    yield from done.stdout.splitlines()
    if done.returncode:
        yield f"the modules cannot be imported: {done.stderr[-500:]}"


def scripts(modules: Mapping[str, Module], plan: Plan, folder: Path) -> Iterator[str]:
    """Hidden imports and private names in the scripts of the workflow, which are no package."""
    for path in sorted(folder.glob("*.py")):
        name = f"scripts.{path.stem}"
        found = {**modules, name: module(name, path, modules, plan.package)}
        for rule in (hidden, private):
            yield from (fault for fault in rule(found, plan) if fault.startswith(name))


READ = {
    "layers": turned,
    "circles": circles,
    "hidden imports": hidden,
    "private names": private,
    "long modules": long,
    "names of classes": twins,
}


def main(checkout: Path) -> int:
    """Print every fault of a checkout, by kind."""
    told, source = plan(checkout), checkout / "workflow"
    modules = read(source, told.package)
    total = 0
    rest = {
        "scripts": lambda m, p: scripts(m, p, source / "scripts"),
        "heavy imports": lambda m, p: heavy(m, p, source),
    }
    for title, rule in {**READ, **rest}.items():
        found = list(rule(modules, told))
        total += len(found)
        print(f"\n{title}: {len(found)}", *found, sep="\n  ")
    return total


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT)))
