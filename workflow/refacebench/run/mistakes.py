"""All that is wrong with a config, said at once, each mistake with the file and line of its key.

A complaint is one sentence that begins with the key that it is about, ``datasets.mine.limit: ...``.
Checks raise :class:`ConfigError`; :class:`Gathered` collects what several of them say.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refacebench import reasons

#: How a complaint begins, with the key that it is about, one of its options and a key in it that
#: nobody knows.
_KEY = re.compile(
    r"(?:config[,:] )?(top level|[\w+-]+(?:\.[\w+-]+)*)"
    r"(?:: (?:(\w+(?:\.\w+)*): )?(?:unknown \w+ '([^']+)')?| )"
)


class ConfigError(Exception):
    """The config cannot be carried out.

    Parameters
    ----------
    *complaints : str
        One sentence for the user about each mistake.
    """

    def __init__(self, *complaints: str):
        self.complaints = complaints
        super().__init__(_listed(complaints))


def _listed(complaints: Sequence[str]) -> str:
    """Return one complaint as it is, several as a numbered list."""
    if len(complaints) == 1:
        return complaints[0]
    numbered = [f"  {number}. {said}" for number, said in enumerate(complaints, 1)]
    return "\n".join([f"the config has {len(complaints)} mistakes:", *numbered])


class Gathered:
    """What several checks have against a config."""

    def __init__(self, complaints: Iterable[str] = ()):
        self.complaints = list(complaints)

    @contextlib.contextmanager
    def more(self) -> Iterator[None]:
        """Go on after a check that raises a :class:`ConfigError`, and keep what it says."""
        try:
            yield
        except ConfigError as error:
            self.complaints += error.complaints

    def refuse(self) -> None:
        """Raise an error that names all mistakes, if there are any.

        Raises
        ------
        ConfigError
            One sentence, or a numbered list.
        """
        if self.complaints:
            raise ConfigError(*dict.fromkeys(self.complaints))


def refuse(complaints: Iterable[str]) -> None:
    """Raise a :class:`ConfigError` with all complaints, if there are any."""
    Gathered(complaints).refuse()


# the schema ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """What the schema has against one place of a config.

    Attributes
    ----------
    path : tuple
        Keys and numbers that lead there.
    said : tuple of str
        One sentence for each complaint.
    unknown : tuple of str
        Keys that are not known there; empty if the value itself is wrong.
    missing : str
        A key that must be there and is not.
    """

    path: tuple[Any, ...]
    said: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    missing: str = ""


def against(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Wrong]:
    """Return all that the schema has against a config."""
    import jsonschema

    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(config),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    return [one for error in errors for one in _wrong(error)]


def _wrong(error: Any) -> Iterator[Wrong]:
    """Yield in plain words what the schema has against one place of a config."""
    import jsonschema

    whole = tuple(error.absolute_path)
    error = jsonschema.exceptions.best_match([error])
    path = tuple(error.absolute_path)
    place = ".".join(str(part) for part in path) or "top level"
    if error.validator == "required":
        # The library makes one error for each missing key, and names it first.
        key = next(k for k in error.validator_value if error.message.startswith(f"{k!r} "))
        yield Wrong(path, (f"config, {place}: the key '{key}' is missing{_HINTS.get(place, '')}",),
                    missing=key)  # fmt: skip
    elif error.validator == "additionalProperties" and "properties" in error.schema:
        known = error.schema["properties"]
        unknown = tuple(str(key) for key in error.instance if key not in known)
        said = (f"config, {place}: unknown key '{k}'{reasons.meant(k, known)}" for k in unknown)
        yield Wrong(path, tuple(said), unknown)
    else:
        yield Wrong(whole, (f"config, {place}: {_fault(error)}{_HINTS.get(place, '')}",))


#: What to do about a part that is missing or empty.
_DATASETS = "; name your data there, as `refacebench config bids` does"
_HINTS = {"top level": _DATASETS, "datasets": _DATASETS}
#: Kinds of values in plain words, by their names in a JSON schema.
_KINDS = {
    "object": "names with values",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
}


#: What is said of a value, by the rule of a JSON schema that it breaks.
_RULES = {
    "minimum": "{value} is below {rule}",
    "maximum": "{value} is above {rule}",
    "exclusiveMinimum": "{value} is not above {rule}",
    "exclusiveMaximum": "{value} is not below {rule}",
    "enum": "{value} is none of {rule}",
    "const": "{value} is not {rule}",
    "maxProperties": "{value} has more than {rule} entries",
    "uniqueItems": "{value} has an entry twice",
    "pattern": "{value} has characters that cannot stand there",
    "type": "{value} is not {rule}",
}


def _fault(error: Any) -> str:
    """Return what is wrong with a value, to be read after its place."""
    value, rule, near = error.instance, error.validator_value, ""
    if error.validator in ("minProperties", "minItems", "minLength"):
        return "it is empty"
    if error.validator == "type":
        names = [rule] if isinstance(rule, str) else rule
        rule = " or ".join(_KINDS[name] for name in names if name in _KINDS)
        if value is None:
            return f"it is empty, and must be {rule}"
    elif error.validator == "enum":
        near = reasons.meant(str(value), map(str, rule))
        rule = ", ".join(map(str, rule))
    said = _RULES.get(error.validator, error.message.replace("{", "{{").replace("}", "}}"))
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return said.format(value=shown, rule=rule) + near


def sound(config: Mapping[str, Any], wrong: Iterable[Wrong]) -> dict[str, Any]:
    """Return what is left of a config without the values and keys that the schema refuses.

    Of a list nothing is left where one entry is refused.

    >>> sound({"a": {"x": 1, "y": "?"}, "b": 2}, [Wrong(("a", "y"), ("config, a.y: ...",))])
    {'a': {'x': 1}, 'b': 2}
    """
    found = copy.deepcopy(dict(config))
    for one in wrong:
        paths = [(*one.path, key) for key in one.unknown] or [one.path]
        for *folders, last in filter(None, paths):
            place: Any = found
            for key in folders:
                inner = place.get(key) if isinstance(place, Mapping) else None
                if isinstance(inner, list):
                    last = key
                    break
                place = inner
            if isinstance(place, dict):
                place.pop(last, None)
    return found


# where it stands ----------------------------------------------------------------------------


def twice(paths: Iterable[str | Path]) -> list[str]:
    """Return a complaint for each key that stands twice at one place of a YAML file.

    YAML keeps the last one in silence.
    """
    return [
        f"{path}, line {line}: the key '{key}' stands twice"
        for path, tree in _trees(paths)
        for line, key in _twice(tree)
    ]


def _trees(paths: Iterable[str | Path]) -> Iterator[tuple[str | Path, Any]]:
    """Yield what YAML files hold, with lines; whoever reads another one says what is wrong."""
    import yaml

    for path in paths:
        try:
            yield path, yaml.compose(Path(path).read_text(), Loader=yaml.SafeLoader)
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            continue


def _twice(node: Any) -> Iterator[tuple[int, str]]:
    """Yield line and name of the keys that a YAML mapping, or what is nested in it, has twice."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield key.start_mark.line + 1, name
            seen.add(name)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _twice(part)


def told(
    error: Exception, files: Iterable[str | Path], given: Mapping[str, Any] | None = None
) -> str:
    """Return what an error says, each complaint with the file and line of the key it is about.

    Parameters
    ----------
    error : Exception
        A :class:`ConfigError`; of any other the text as it is.
    files : iterable of str or Path
        The files that the config comes from.
    given : mapping, optional
        The config as it was put together from them: a key that has another value there stands
        elsewhere, on the command line for example, and no line is named.
    """
    if not isinstance(error, ConfigError):
        return str(error)
    trees = list(_trees(files))
    return _listed([said + _place(said, trees, given) for said in error.complaints])


def _place(said: str, trees: Sequence[tuple[str | Path, Any]], given: Any) -> str:
    """Return ``(file, line number)`` of the key that a complaint begins with, if there is one.

    Of a key that is missing altogether the file.
    """
    found = _KEY.match(said)
    if not found:
        return ""
    key, option, unknown = found.groups()
    path = [] if key == "top level" else key.split(".")
    inner = [*path, *option.split(".")] if option else path
    wanted = [[*inner, unknown]] if unknown else []
    for names in filter(None, [*wanted, inner, path]):
        for file, tree in reversed(trees):
            for scale in ([], ["scales", str((given or {}).get("scale", ""))]):
                line = _line(tree, [*scale, *names])
                if line and _same(tree, scale, names, given):
                    return f" ({file}, line {line})"
    named = said.startswith(("config, ", f"{key}: "))
    if trees and given and named and (not path or path[0] not in given):
        return f" ({', '.join(str(file) for file, _ in trees)})"
    return ""


def _line(node: Any, names: Sequence[str]) -> int:
    """Return the line of a key in a YAML tree; 0 if it is not there."""
    key, _ = _find(node, names)
    return key.start_mark.line + 1 if key is not None else 0


def _find(node: Any, names: Sequence[str]) -> tuple[Any, Any]:
    """Return the nodes of a key and of its value; a place in a list is its own key."""
    import yaml

    key = None
    for name in names:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v, str(k.value)) for k, v in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pairs = [(v, v, str(number)) for number, v in enumerate(node.value)]
        else:
            pairs = []
        key, node = next(((k, v) for k, v, said in pairs if said == name), (None, None))
    return key, node


def _same(tree: Any, scale: Sequence[str], names: Sequence[str], given: Any) -> bool:
    """Tell whether a file's key has the value that the config has."""
    if given is None:
        return True
    value = given
    for name in names:
        if isinstance(value, list):
            value = dict(enumerate(value))
        if not isinstance(value, Mapping) or name not in map(str, value):
            return False
        value = next(inner for key, inner in value.items() if str(key) == name)
    _, node = _find(tree, [*scale, *names])
    # A part of the config may have been changed at one of its keys, and still stands there.
    return isinstance(value, Mapping) or _value(node) == value


def _value(node: Any) -> Any:
    """Return what a YAML node stands for."""
    import yaml

    return yaml.constructor.SafeConstructor().construct_document(node)
