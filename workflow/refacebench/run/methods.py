"""Find a method by its name in the config, and check what the config says to it.

A method is one file: ``refacebench/<kind>/<name>.py``, or any Python file that the config
names under ``file``; either exports ``METHOD`` (:mod:`refacebench.contracts`).  An entry may
rename a method by giving ``method`` (datasets: ``type``), so that one defacer can take part
twice with other options.

Imports method files and runs nothing of them but ``check``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from refacebench import reasons
from refacebench.contracts import KINDS, Method

#: Keys of a config entry, of any kind, that say where the method is.
PLACE = ("method", "file")


class MethodError(Exception):
    """A method that the config names cannot be used; the message says why.

    Parameters
    ----------
    *complaints : str
        One sentence for each mistake.
    """

    def __init__(self, *complaints: str):
        self.complaints = complaints
        super().__init__("; ".join(complaints))


class UnknownMethod(MethodError):
    """There is no method of that name.

    Parameters
    ----------
    said : str
    near : str
        The name that was probably meant; empty if none is like it.
    """

    def __init__(self, said: str, near: str):
        self.near = near
        super().__init__(said)


class OptionsRefused(MethodError):
    """A method's own check refuses its options; the message is the method's."""


@dataclass(frozen=True)
class Chosen:
    """A method as a config's entry asks for it.

    Attributes
    ----------
    kind, name : str
        The config's section and the entry's name in it.
    method : Method
        What the file declares: of the kind's own class.
    options : dict[str, Any]
        All of its options: the defaults, overridden by the entry.
    version : str
        The method's; of a user's file with a digest of its text.
    """

    kind: str
    name: str
    method: Any
    options: dict[str, Any]
    version: str

    @property
    def engine(self) -> str:
        """``native`` or ``official``."""
        return self.method.engine_of(self.options)

    @property
    def title(self) -> str:
        """The line that says what it is."""
        return self.method.title_of(self.options)


def choose(kind: str, name: str, entry: Mapping[str, Any] | None = None) -> Chosen:
    """Return the method that a config's entry names, with all its options.

    Parameters
    ----------
    kind : str
        A key of :data:`refacebench.contracts.KINDS`.
    name : str
        The entry's name in the config.
    entry : mapping, optional
        The entry itself.

    Raises
    ------
    MethodError
        If there is no such method, its file is not as it should be, or the entry has a key
        or a value that the method cannot take.  One sentence.
    """
    method = declared(kind, name, entry)
    return Chosen(
        kind, name, method, _options(kind, name, entry, method), version(kind, name, entry)
    )


def declared(kind: str, name: str, entry: Mapping[str, Any] | None = None) -> Any:
    """Return the value ``METHOD`` behind a config's entry.

    Raises
    ------
    MethodError
        As :func:`choose`; the entry's options are not looked at.
    """
    entry = entry or {}
    method = entry.get("method") or _implied(kind, entry) or name
    if "file" in entry:
        return read(entry["file"], kind, method)
    if method not in available(kind):
        known = ", ".join(available(kind))
        meant = reasons.meant(str(method), available(kind))
        raise UnknownMethod(
            f"{kind}: no method '{method}'; there are: {known}{meant}",
            reasons.nearest(str(method), available(kind)),
        )
    module = importlib.import_module(f"refacebench.{kind}.{method}")
    return _checked(module, kind, f"refacebench/{kind}/{method}.py")


def as_meant(kind: str, name: str, entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return an entry whose method is misspelt with the one that was probably meant.

    None where the method is known, or nothing like it is.
    """
    try:
        declared(kind, name, entry)
    except UnknownMethod as error:
        key = "type" if kind == "datasets" and "method" not in (entry or {}) else "method"
        return {**(entry or {}), key: error.near} if error.near else None
    except MethodError:
        pass
    return None


def available(kind: str) -> list[str]:
    """Return the names of the methods that come with the project."""
    folder = Path(__file__).parents[1] / kind
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))


def read(path: str | Path, kind: str = "", method: str = "") -> Method:
    """Return the value ``METHOD`` of a user's file.

    Parameters
    ----------
    path : str or Path
        A Python file.
    kind : str
        The kind that it is asked for; empty for any.
    method : str
        What the config calls it, for the messages.

    Raises
    ------
    MethodError
        If there is no such file, it cannot be imported, or it declares no method of the kind.
    """
    path = Path(path)
    if not path.is_file():
        raise MethodError(f"method '{method or path.stem}': no file {path}")
    return _checked(_module(path, path.read_bytes()), kind, str(path))


def version(kind: str, name: str, entry: Mapping[str, Any] | None = None) -> str:
    """Return a method's version; for a user's file, with a digest of its text."""
    own = str(declared(kind, name, entry).version)
    if entry and "file" in entry:
        digest = hashlib.sha256(Path(entry["file"]).read_bytes()).hexdigest()[:8]
        return f"{own}-{digest}"
    return own


def _implied(kind: str, entry: Mapping[str, Any]) -> str:
    """Return the method that an entry means without naming it: a command line is one."""
    if kind == "datasets":
        return entry.get("type") or ""
    runs = kind in ("defacers", "segmenters")
    by_config = runs and ("command" in entry or "program" in entry)
    return "command" if by_config and "file" not in entry else ""


@functools.lru_cache(maxsize=64)
def _module(path: Path, text: bytes) -> ModuleType:
    """Import a user's file; ``text`` is what it holds, so that a changed one is read anew."""
    name = f"refacebench_user_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    # Dataclasses look their own module up while it is being imported.
    sys.modules[name] = module
    try:
        code = compile(text, str(path), "exec")
        exec(code, module.__dict__)  # nosec B102
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise MethodError(_import_failure(path, error)) from None
    return module


def _import_failure(path: Path, error: BaseException) -> str:
    """Return one sentence about a user's file that cannot be imported."""
    if isinstance(error, SyntaxError):
        return f"{path}, line {error.lineno}: it is not valid Python: {error.msg}"
    lines = [
        at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)
    ]
    place = f"{path}, line {lines[-1]}" if lines else str(path)
    if isinstance(error, SystemExit):
        return f"{place}: importing the file ends Python; leave only definitions at its top level"
    said = " ".join(str(error).split()).replace(".__init__()", "")
    if isinstance(error, ModuleNotFoundError):
        return f"{place}: {said}; install it, or import it inside the function that uses it"
    return f"{place}: {type(error).__name__}: {said}"


def _checked(module: ModuleType, kind: str, place: str) -> Any:
    """Return the METHOD of a module.

    Raises
    ------
    MethodError
        If there is none, it is of another kind, or its parts are not as they should be.
    """
    method = getattr(module, "METHOD", None)
    wanted = KINDS[kind].__name__ if kind else "Defacer"
    if method is None:
        raise MethodError(
            f"{place} declares no METHOD; end the file with METHOD = {wanted}(version=..., ...) "
            "(see refacebench/contracts.py)"
        )
    if not isinstance(method, Method):
        raise MethodError(f"{place}: METHOD must be a {wanted}(...), not {_short(method)}")
    own = next((k for k, cls in KINDS.items() if isinstance(method, cls)), "")
    if kind and own != kind:
        raise MethodError(
            f"{place}: METHOD is of kind {type(method).__name__}, not {wanted}; list it under {own}"
        )
    faults = method.faults()
    if faults:
        raise MethodError(f"{place}: METHOD: {'; '.join(faults)}")
    return method


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _options(
    kind: str, name: str, entry: Mapping[str, Any] | None, method: Method
) -> dict[str, Any]:
    """Return a method's options: its defaults, overridden by the config entry.

    Raises
    ------
    MethodError
        If the entry has an option that the method does not know or a value that it cannot take.
    """
    steering = (*PLACE, *method.STEERING)
    given = {k: v for k, v in (entry or {}).items() if k not in steering}
    unknown = sorted(str(key) for key in set(given) - set(method.options))
    known = {*method.options, *method.STEERING}
    said = [
        f"{kind}.{name}: unknown option '{key}' (known: {', '.join(sorted(known)) or 'none'})"
        f"{reasons.meant(key, known)}"
        for key in unknown
    ]
    read_ = {k: method.options[k].read(v) for k, v in given.items() if k in method.options}
    options = {**method.defaults, **read_}
    faults = ((key, method.options[key].fault(value)) for key, value in read_.items())
    wrong = {key: fault for key, fault in faults if fault}
    # An unknown option may be meant for one that the check would miss.
    refused = "" if unknown else _refusal(kind, name, method, options, wrong)
    said += [f"{kind}.{name}: {refused}"] if refused else []
    # The check says of one of them more than the bounds do.
    said += [f"{kind}.{name}: {k}: {fault}" for k, fault in wrong.items() if k not in refused]
    if said:
        raise (OptionsRefused if refused else MethodError)(*said)
    return options


def _refusal(
    kind: str, name: str, method: Method, options: dict[str, Any], wrong: Mapping[str, str]
) -> str:
    """Return what the method's own check says against its options; empty if nothing.

    The check knows more than the bounds do, and says it in the method's own words.  But
    where a value is of the wrong type it may only stumble over it.
    """
    try:
        method.check(options)
    except ValueError as error:
        said = str(error)
        return said if not wrong or any(key in said for key in wrong) else ""
    except Exception as error:
        if wrong:
            return ""
        said = f"{kind}.{name}: its check failed: {type(error).__name__}: {error}"
        raise MethodError(said) from error
    return ""
