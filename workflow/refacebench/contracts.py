"""What each kind of method is: the value that its file declares, what it gets and returns.

A method is one Python file that exports one value, ``METHOD``: a :class:`Defacer`,
:class:`Refacer`, :class:`Segmenter`, :class:`Attacker`, :class:`BrainAge`, :class:`AgeModel` or
:class:`Dataset`.
Only ``version`` and the kind's own functions must be given; every other field has a default.
The file is imported whenever a run is planned: keep heavy packages (torch, ants) inside the
functions that use them.

.. code-block:: python

    from refacebench.contracts import Defaced, Defacer, Option

    def deface(scan, options):
        changed = scan.head & ~scan.brain
        return Defaced(scan.volume.data * 0 + options["level"], changed)

    METHOD = Defacer(
        version="1",
        options={"level": Option(0.0, "What the removed voxels are set to.", unit="scan units")},
        run=deface,
    )

Grids and units: a :class:`refacebench.image.nifti.Volume` holds float32 intensities in the
scan's own units, shape (i, j, k), in any orientation, and a 4 x 4 affine from voxels to RAS+
millimetres.  Masks are boolean arrays on the same grid.
"""

from __future__ import annotations

import copy
import inspect
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from refacebench.head import rendering
from refacebench.image.nifti import Volume
from refacebench.vocabulary import PICTURE_CONTROLS

#: What a method's functions get as options: every option by name, defaults filled in.
Options = dict[str, Any]


class ScanExcluded(Exception):
    """Raised for a scan that must be left out; the message is the reason."""


class ScanFailed(RuntimeError):
    """Raised for a scan that a method failed on; the message is the whole reason."""


class ScanNotWritten(RuntimeError):
    """Raised where a method gave a result that this software could not write."""


class ScanInterrupted(ScanFailed):
    """Raised where something outside ended the work on a scan: another try may succeed."""


@dataclass(frozen=True)
class Segmentation:
    """What a segmenter returns, on the image's own grid.

    Attributes
    ----------
    brain : numpy.ndarray of bool
        Brain mask.
    tissue : numpy.ndarray of uint8
        0 background, 1 CSF, 2 grey matter, 3 white matter (most likely class).
    vcsf : numpy.ndarray of bool
        Ventricular CSF.
    regions : numpy.ndarray of uint8
        0 or the 1-based place in :data:`REGIONS`.
    volumes : dict of str to float
        Millilitres, from partial volumes where the method has them: one entry
        for each of :data:`GLOBALS` and :data:`REGIONS`; NaN where the method has no such
        volume (``brain``, ``gm`` and ``wm`` it must have).
    quality : dict of str to float
        Anything that helps to judge the result (optional).
    """

    brain: np.ndarray
    tissue: np.ndarray
    vcsf: np.ndarray
    regions: np.ndarray
    volumes: dict[str, float]
    quality: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedScan:
    """A scan and what the prepare stage found in it; all on the scan's own grid.

    Attributes
    ----------
    volume : Volume
        Float32 intensities in the scan's units, any orientation; finite, and with air near
        zero (:mod:`refacebench.head.values`).
    brain : numpy.ndarray of bool
        Brain mask of the original.
    head : numpy.ndarray of bool
        Head mask (everything that is not air, holes filled).
    to_template : numpy.ndarray
        4 x 4 affine from the scan's RAS+ millimetres to those of the template
        head (:func:`refacebench.head.template.mean_head`), registered once a scan
        and shared by all defacers.
    path : Path
        The scan's file, for external programs.
    brain_path : Path
        The brain mask's file, likewise.
    seed : int
        For methods that draw random numbers; differs from scan to scan.
    warp_path : Path or None
        Where the scan's non-linear registration is kept for all defacers that want one
        (:func:`refacebench.head.warp.field`).
    offset : float
        What the file's values have more than ``volume``: not 0 where air was far from zero.
    missing : numpy.ndarray of bool or None
        Voxels that hold no number in the file; None for no such voxel.
    """

    volume: Volume
    brain: np.ndarray
    head: np.ndarray
    to_template: np.ndarray
    path: Path
    brain_path: Path
    seed: int = 0
    warp_path: Path | None = None
    offset: float = 0.0
    missing: np.ndarray | None = None


@dataclass(frozen=True)
class Defaced:
    """What a defacer returns.

    Attributes
    ----------
    values : numpy.ndarray
        New intensities, scan units, the scan's grid.  Only ``values[changed]``
        is used.
    changed : numpy.ndarray of bool
        The voxels that the method wants to change.
    """

    values: np.ndarray
    changed: np.ndarray


#: What a training asks of a cluster's scheduler where the method does not say, megabytes.
MEMORY_MB = 16000


class TrainingFailed(RuntimeError):
    """No usable model came out of a training; the message says why."""


@dataclass(frozen=True)
class Pair:
    """Paths of one training scan: the original, its defaced twin, what changed."""

    scan: str
    original: str
    defaced: str
    changed: str
    brain: str
    site: str = ""


def taken(changed: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """Return the voxels that take a model's values; all others stay the defaced scan's.

    Parameters
    ----------
    changed : numpy.ndarray of bool
        Voxels that defacing changed.
    options : dict
        With ``composite`` true (and for a method without that option) those
        voxels alone: what defacing kept is copied back, as Huelnhagen et al.
        do.  With ``composite`` false every voxel: the model's whole output, as
        Abramian & Eklund show it; the brain then is the model's too.
    """
    return changed if options.get("composite", True) else np.ones_like(changed)


@dataclass(frozen=True)
class Subject:
    """One scan as an attacker may see it.

    Attributes
    ----------
    scan, participant, session : str
        Who and when; for the bookkeeping, never for :func:`enrol`.
    views_path : str
        The rendering (:mod:`refacebench.head.rendering`).
    control : str
        Name of the control that the rendering is turned into; empty for none.
    blur_mm : float
        Width of the blurred control.
    template_path, brain_path : str
        Matrix to the template; brain mask found in this very image, empty if
        there is none.
    """

    scan: str
    participant: str
    session: str
    views_path: str
    control: str = ""
    blur_mm: float = rendering.OPTIONS["blur_mm"]
    template_path: str = ""
    brain_path: str = ""

    def rendering(self) -> rendering.Rendering:
        """Read the rendering; a control's is made from it."""
        found = rendering.read(self.views_path)
        return rendering.control(found, self.control, self.blur_mm) if self.control else found


@dataclass(frozen=True)
class Enrolled:
    """What an attacker keeps of several scans.

    Attributes
    ----------
    scan, participant, session : numpy.ndarray of str
        Shape (n,).
    features : dict of str to numpy.ndarray
        The entries of ``enrol``, stacked along the first axis.
    """

    scan: np.ndarray
    participant: np.ndarray
    session: np.ndarray
    features: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.scan)

    @classmethod
    def empty(cls) -> Enrolled:
        """Return what is kept of no scan at all."""
        nobody = np.array([], dtype=str)
        return cls(nobody, nobody, nobody, {})

    def take(self, rows: np.ndarray) -> Enrolled:
        """Return some of the scans, by index or boolean mask."""
        return Enrolled(
            self.scan[rows],
            self.participant[rows],
            self.session[rows],
            {name: values[rows] for name, values in self.features.items()},
        )


@dataclass(frozen=True)
class Context:
    """What else an attacker gets.

    Attributes
    ----------
    seed : int
        Of the run.
    folder : Path
        Its own for this variant, for what it needs to go on after an interruption.
    threads : int
        Processes or threads that it may use at a time.
    trained_variant, trained_originals : Enrolled or None
        The train split's scans of the variant and originals, all sessions (if it wants them).
    """

    seed: int
    folder: Path
    trained_variant: Enrolled | None = None
    trained_originals: Enrolled | None = None
    threads: int = 1

    @property
    def unfinished(self) -> Path:
        """What is of no use once the attack is written: a folder in its own one, then deleted."""
        return self.folder / "unfinished"


@dataclass(frozen=True)
class Scores:
    """What an attacker says of all queries.

    Attributes
    ----------
    distance : numpy.ndarray
        Shape (queries, gallery), or (resplits, queries, gallery): small is
        similar.  NaN where the two were not compared.
    resplit : numpy.ndarray of bool, optional
        Shape (resplits, queries): the query is in the resplit's evaluation part.
    extra : dict
        More arrays to be kept with the attack, whose first axis, where the name starts with
        ``query_``, runs over the queries.
    trained_on : str
        In words; empty for an attacker that is not trained here.
    """

    distance: np.ndarray
    resplit: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    trained_on: str = ""


class AttackFailed(RuntimeError):
    """The attacker cannot be run on this variant; the message says why."""


@dataclass(frozen=True)
class Aged:
    """One scan that an age model is trained on: an image, the brain found in it, and an age.

    Attributes
    ----------
    scan, participant : str
    age : float
        Years.
    path, brain_path : str
        The image; the brain mask that the first segmenter found in this very image.
    """

    scan: str
    participant: str
    age: float
    path: str
    brain_path: str


class NotEnoughTraining(ValueError):
    """No model can be fitted on these scans; the message says why."""


# ------------------------------------------------------------------- options


def _words(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)


#: A number that YAML 1.1 takes for text, as it has an exponent and no point: 1e-4.
_EXPONENT = re.compile(r"[+-]?\d+[eE][+-]?\d+")
_NONE = type(None)
#: What else may stand for a kind, in options that are given from Python.
_LIKE: dict[type, tuple[type, ...]] = {
    bool: (bool, np.bool_),
    list: (list, tuple),
    dict: (Mapping,),
}
#: How a value of the wrong type is told.
_NO = {
    bool: "not true or false",
    int: "not a whole number",
    float: "not a number",
    str: "not text",
    list: "not a list",
    dict: "not names with values",
}


@dataclass(frozen=True)
class Option:
    """An option of a method.

    Attributes
    ----------
    default
        The value where the config gives none.
    meaning : str
        One plain sentence.
    unit : str
        ``mm``, ``years``, ``voxels``; empty for none.
    choices : tuple
        The values that there are; empty for any.  Of a list: of its elements.
    least, most : float or None
        Bounds, both allowed themselves.  Of a list: of its elements.
    kind : type or tuple of type, optional
        ``bool``, ``int``, ``float``, ``str``, ``list``, ``dict`` or ``object`` (anything), or
        several of them; the default's type if it is left out.  A whole number is a ``float``
        too.  An option whose default is None may always be None.

    >>> blur = Option(2.0, "Width of the blur.", unit="mm", least=0)
    >>> blur.fault(3), blur.fault(-1), blur.fault("wide")
    ('', '-1 is below 0', "'wide' is not a number")
    """

    default: Any
    meaning: str
    unit: str = ""
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    kind: type | tuple[type, ...] | None = None

    @property
    def kinds(self) -> tuple[type, ...]:
        """The types that a value may have."""
        if self.kind is None:
            return (object,) if self.default is None else (_kind_of(self.default),)
        return self.kind if isinstance(self.kind, tuple) else (self.kind,)

    def read(self, value: Any) -> Any:
        """Return a config's value as the method gets it.

        Only numbers change: 1e-4, which YAML takes for text, becomes one, and 8.0 becomes 8
        where a whole number is meant.
        """
        if isinstance(value, str) and float in self.kinds and str not in self.kinds:
            return float(value) if _EXPONENT.fullmatch(value.strip()) else value
        if isinstance(value, float) and int in self.kinds and float not in self.kinds:
            return int(value) if value.is_integer() else value
        return value

    def fault(self, value: Any) -> str:
        """Return what is wrong with a value, to be read after the option's name; or nothing."""
        if value is None and (self.default is None or _NONE in self.kinds):
            return ""
        if not any(_is(kind, value) for kind in self.kinds):
            wanted = [_NO[kind] for kind in self.kinds if kind is not _NONE]
            return f"{value!r} is {' and '.join(wanted)}"
        for part in value if isinstance(value, list | tuple) else [value]:
            wrong = self._out_of_place(part)
            if wrong:
                return wrong
        return ""

    def _out_of_place(self, value: Any) -> str:
        if self.choices and value not in self.choices:
            if len(self.choices) == 2:
                return f"{value!r} is neither {self.choices[0]} nor {self.choices[1]}"
            return f"{value!r} is none of {_words(self.choices)}"
        if self.least is None and self.most is None or isinstance(value, str):
            return ""
        if not _is(float, value):
            return f"{value!r} is {_NO[float]}"
        low, high = self.least, self.most
        if low is not None and high is not None and not low <= value <= high:
            return f"{value!r} is not between {low} and {high}"
        if low is not None and not value >= low:
            return f"{value!r} is below {low}"
        if high is not None and not value <= high:
            return f"{value!r} is above {high}"
        return ""


def _kind_of(value: object) -> type:
    for kind in (bool, int, float, str, list, dict):
        if _is(kind, value):
            return kind
    return object


def _is(kind: type, value: object) -> bool:
    """Tell whether a value is of a kind; a truth value is no number, a whole number is one."""
    if kind is object:
        return True
    if kind in (int, float):
        if isinstance(value, bool | np.bool_):
            return False
        number = numbers.Integral if kind is int else numbers.Real
        return isinstance(value, number) and not math.isnan(value)
    return isinstance(value, _LIKE.get(kind, (kind,)))


def defaults(options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the default of every option, its own copy each."""
    return {name: copy.deepcopy(option.default) for name, option in options.items()}


def choices(options: Mapping[str, Option]) -> dict[str, tuple[Any, ...]]:
    """Return the options that have a fixed set of values, with these."""
    return {name: option.choices for name, option in options.items() if option.choices}


def overridden(options: Mapping[str, Option], **values: Any) -> dict[str, Option]:
    """Return options with other defaults.

    >>> overridden({"batch": Option(1, "Slices a step.")}, batch=4)["batch"].default
    4
    """
    return {**options, **{name: replace(options[name], default=v) for name, v in values.items()}}


# ------------------------------------------------------------------- methods


def _nothing(*given: Any) -> None:
    """Do nothing: the default of what a method may do."""


def _no_text(*given: Any) -> str:
    """Return no text: nothing is missing, no program runs."""
    return ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """What the methods of all kinds declare.

    Attributes
    ----------
    version : str
        Raise it when the output changes: it is part of every key, old output runs again.
    options : mapping of str to Option
        By name.  A config entry may override them and may have no others.
    title : str or callable
        A line for tables and the report, or ``title(options)``.
    engine : str or callable
        ``native`` for this project's or the author's own code, ``official`` only where a
        released program itself runs; or ``engine(options)``.
    sources : tuple of str
        Papers and pages that the method follows.
    licence : str
        Of what the method brings or needs from others: programs, weights, atlases.
    weights : str
        Whose released weights our own code runs, by name; empty where it needs none.
    check : callable
        ``check(options)`` raises ValueError with one sentence for options that cannot be
        right.  It does not look at the machine.
    preload : tuple of str
        Heavy packages that are imported once a batch, before the first scan.
    """

    version: str
    options: Mapping[str, Option] = field(default_factory=dict)
    title: str | Callable[[Options], str] = ""
    engine: str | Callable[[Options], str] = "native"
    sources: tuple[str, ...] = ()
    licence: str = ""
    weights: str = ""
    check: Callable[[Options], object] = _nothing
    preload: tuple[str, ...] = ()

    #: Keys of a config entry that steer the run and are no options of the method.
    STEERING: ClassVar[tuple[str, ...]] = ()
    #: The fields that are functions, and what each is given, in this order.
    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "title": ("options",),
        "engine": ("options",),
        "check": ("options",),
    }
    ENGINES: ClassVar[tuple[str, ...]] = ("native", "official")

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of every option."""
        return defaults(self.options)

    def title_of(self, options: Options) -> str:
        """Return the line that says what the method with these options is."""
        return self.title(options) if callable(self.title) else self.title

    def engine_of(self, options: Options) -> str:
        """Return ``native`` or ``official``."""
        return self.engine(options) if callable(self.engine) else self.engine

    def faults(self) -> list[str]:
        """Return what keeps this value from being a method, a sentence each; nothing runs."""
        found = []
        if not isinstance(self.version, str) or not self.version:
            found.append(f'version must be text such as "1", not {self.version!r}')
        found += self._option_faults()
        for name, given in self.CALLS.items():
            found += _call_faults(name, getattr(self, name), given, name in ("title", "engine"))
        if isinstance(self.engine, str) and self.engine not in self.ENGINES:
            found.append(f"engine: {self.engine!r} is neither native nor official")
        return found

    def _option_faults(self) -> list[str]:
        if not isinstance(self.options, Mapping):
            return ["options must be a dictionary of names and Option(...)"]
        found = []
        for name, option in self.options.items():
            if not isinstance(option, Option):
                found.append(f"options: {name} must be an Option(default, meaning), not {option!r}")
            elif name in (*self.STEERING, "method", "file"):
                found.append(f"options: the name {name} is taken by a key of the config's entry")
            elif not isinstance(option.meaning, str) or not option.meaning.strip():
                found.append(f"options: {name} has no meaning; say in one sentence what it does")
            elif option.fault(option.default) and option.default is not None:
                found.append(f"options: {name}: its default {option.fault(option.default)}")
        return found


def _call_faults(name: str, function: object, given: tuple[str, ...], text_too: bool) -> list[str]:
    """Return what is wrong with a function that is called with so many arguments."""
    wanted = f"({', '.join(given)})"
    if not callable(function):
        if text_too and isinstance(function, str):
            return []
        return [f"{name} must be a function of {wanted}, not {function!r}"]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a builtin nothing is known
        return []
    try:
        signature.bind(*given)
    except TypeError:
        label = getattr(function, "__name__", type(function).__name__)
        return [f"{name} is called with {wanted}, but {label}{signature} does not take that"]
    return []


@dataclass(frozen=True, kw_only=True, eq=False)
class Defacer(Method):
    """Removes or changes the face of a scan.

    You need not protect the brain or preserve data type and grid: the caller writes only voxels in
    ``changed``, never a protected brain voxel, and in the scan's own data type.  With an option
    ``protect_margin_mm`` it protects that much around the brain as well.

    Attributes
    ----------
    run : callable
        ``run(scan, options)`` takes a :class:`PreparedScan` and returns :class:`Defaced`.  It
        raises an exception with a clear message when it cannot work on this scan: the message
        becomes the row's reason.  It does not write into the scan's arrays.
    missing : callable
        ``missing(options)``: what this machine lacks to run the method, and where to get it;
        empty if nothing.  Asked once, before anything runs; the option ``on_missing`` (stop
        or skip), where there is one, decides what follows.
    program_version : callable
        ``program_version(options)``: the version of the external program that really runs;
        empty if there is none.
    inputs : callable
        ``inputs(options)``: files beside the scan's that the result depends on (paths).
    public : callable
        ``public(options)``: the options as the derivatives' sidecars may show them.
    prepare : callable
        ``prepare(options)`` is called once a batch, before the first scan.
    """

    run: Callable[[PreparedScan, Options], Defaced]
    missing: Callable[[Options], str] = _no_text
    program_version: Callable[[Options], str] = _no_text
    inputs: Callable[[Options], Sequence[Path]] = lambda options: []
    public: Callable[[Options], Mapping[str, Any]] = dict
    prepare: Callable[[Options], object] = _nothing

    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "run": ("scan", "options"),
        **Method.CALLS,
        **dict.fromkeys(
            ("missing", "program_version", "inputs", "public", "prepare"), ("options",)
        ),
    }


def _memory_mb(options: Options, scans: int) -> int:
    return MEMORY_MB


@dataclass(frozen=True, kw_only=True, eq=False)
class Refacer(Method):
    """A trained model that puts a face back on a defaced scan.

    Attributes
    ----------
    train : callable
        ``train(train, validation, out, options, seed)``: the first two are lists of
        :class:`Pair`.  Writes into the folder ``out``: ``model.safetensors`` (picked on
        validation, or the last), ``card.json`` (data, splits, options, seed, versions, and in
        ``picked`` the step, with the losses by which it was picked in ``validation``: without
        these it is the last one) and
        ``curves.tsv`` (one row per epoch: epoch, step, split-wise losses).  Whatever it keeps
        to go on after an interruption lies in ``out`` too, as safetensors and JSON.  An
        interrupted and resumed training gives the same model.  Raises
        :class:`TrainingFailed` when no usable model comes out (it diverged, too few scans);
        every scan of the variant then becomes a row with that reason.
    load : callable
        ``load(folder, options)`` reads what ``train`` wrote and returns the model; executes
        no code from the file.
    run : callable
        ``run(model, volume, changed, options)``: the defaced scan
        (:class:`refacebench.image.nifti.Volume`) and a boolean array, the voxels that
        defacing changed.  Returns new intensities on the same grid and in the same units, an
        array of shape (i, j, k); the caller takes the voxels of :func:`taken`.
    applied : tuple of str
        Options that only ``load`` and ``run`` heed.  A config entry with
        ``model: <other entry>`` applies the model that the other entry trains and may change
        these.  The option ``composite``, where a method has it, tells the caller what becomes
        of the model's output, see :func:`taken`.
    memory_mb : callable
        ``memory_mb(options, scans)``: the megabytes that a training on so many scans asks of
        a cluster's scheduler; :data:`MEMORY_MB` by default.
    """

    train: Callable[[list[Pair], list[Pair], Path, Options, int], object]
    load: Callable[[Path, Options], Any]
    run: Callable[[Any, Volume, np.ndarray, Options], np.ndarray]
    applied: tuple[str, ...] = ()
    memory_mb: Callable[[Options, int], int] = _memory_mb

    #: On whose output it is trained; the sites of its scans; whose model it applies.
    STEERING: ClassVar[tuple[str, ...]] = ("defacers", "sites", "model")
    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": ("train", "validation", "out", "options", "seed"),
        "load": ("folder", "options"),
        "run": ("model", "volume", "changed", "options"),
        **Method.CALLS,
        "memory_mb": ("options", "scans"),
    }

    def faults(self) -> list[str]:
        """Return what keeps this value from being a refacer, a sentence each."""
        unknown = [name for name in self.applied if name not in self.options]
        return super().faults() + [f"applied: there is no option {name}" for name in unknown]


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmenter(Method):
    """Finds brain, tissues and regions in one image.

    Attributes
    ----------
    run : callable
        ``run(volume, options, source)``: a :class:`refacebench.image.nifti.Volume` in any
        orientation, and the path of its file, for external programs.  Returns a
        :class:`Segmentation` on the image's own grid.  Sees nothing but this one image:
        carrying anything over from the original scan would hide the effect that the
        benchmark measures.
    prepare : callable
        ``prepare(options, folder)`` is called once a batch before the first scan and loads
        what all scans share (templates, network weights); what is costly to build may be kept
        in ``folder`` for other batches.
    missing, program_version, inputs : callable
        As a :class:`Defacer`'s.  With ``on_missing: skip`` the run goes on without the segmenter.
    """

    run: Callable[[Volume, Options, Path], Segmentation]
    prepare: Callable[[Options, Path], object] = _nothing
    missing: Callable[[Options], str] = _no_text
    program_version: Callable[[Options], str] = _no_text
    inputs: Callable[[Options], Sequence[Path]] = lambda options: []

    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "run": ("volume", "options", "source"),
        **Method.CALLS,
        "prepare": ("options", "folder"),
        **dict.fromkeys(("missing", "program_version", "inputs"), ("options",)),
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacker(Method):
    """Tries to name the person behind a scan.

    It owns a gallery: originals of known people.  It is given a query, a scan of a variant,
    and says how far each gallery scan is from it.

    Attributes
    ----------
    enrol : callable
        ``enrol(subject, options)``: what the attacker keeps of one scan (:class:`Subject`), a
        dict of str to array; each entry has the same shape for all scans.  An entry
        ``detected`` (bool) says whether a face was found.  Raises ``ValueError`` with a clear
        message when the scan gives it nothing: it becomes the query's reason.
    score : callable
        ``score(queries, gallery, options, context)``: two :class:`Enrolled` and a
        :class:`Context`; returns :class:`Scores`.
    missing : callable
        ``missing(options)``: what has to be installed before it can run; empty if nothing.
    training : callable
        ``training(options)``: whether it wants renderings of the train split, originals and
        the variant's (then those participants' scans are defaced and refaced too).
    brains : bool
        It wants the brain mask that the first segmenter found *in the variant's own image*
        (:attr:`Subject.brain_path`).
    floor : bool
        It looks at no face: what it reaches is a floor under every defacer, shown beside the
        worst case and not counted in it.
    parallel : bool
        It can use several threads (:attr:`Context.threads`), with the same result as with one.
    controls : tuple of str
        Which of :data:`refacebench.vocabulary.PICTURE_CONTROLS` it can be given.
    about : str
        How it goes about it, in one plain sentence, for readers of the page who know only its name.
    """

    enrol: Callable[[Subject, Options], Mapping[str, Any]]
    score: Callable[[Enrolled, Enrolled, Options, Context], Scores]
    missing: Callable[[Options], str] = _no_text
    training: Callable[[Options], bool] = lambda options: False
    brains: bool = False
    floor: bool = False
    parallel: bool = False
    controls: tuple[str, ...] = PICTURE_CONTROLS
    about: str = ""

    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "enrol": ("subject", "options"),
        "score": ("queries", "gallery", "options", "context"),
        **Method.CALLS,
        "missing": ("options",),
        "training": ("options",),
    }

    def faults(self) -> list[str]:
        """Return what keeps this value from being an attacker, a sentence each."""
        unknown = [name for name in self.controls if name not in PICTURE_CONTROLS]
        found = [f"controls: {name!r} is none of {_words(PICTURE_CONTROLS)}" for name in unknown]
        if not isinstance(self.about, str):
            found.append(f"about must be one plain sentence, not {self.about!r}")
        return super().faults() + found


@dataclass(frozen=True, kw_only=True, eq=False)
class BrainAge(Method):
    """Predicts age from a segmentation's volumes (from images: :class:`AgeModel`).

    Attributes
    ----------
    fit : callable
        ``fit(train, options, seed)``: rows of the measurement table
        (:mod:`refacebench.statistics`), the originals of the train split, one segmenter.
        Returns a model made of what JSON can hold, with at least ``n_participants``,
        ``out_of_fold`` (:func:`refacebench.brainage.out_of_fold`: ``r2``, ``mae`` and the
        predictions, in years, for participants that the fold's model had not seen, before
        any correction; without ``scans`` there are no intervals of the accuracy and no models
        of the variants), ``correction`` (``type``, ``slope``, ``intercept``) and ``note``
        (empty, or what a reader must know).  Raises
        :class:`NotEnoughTraining` where no model can be fitted.
    predict : callable
        ``predict(model, table)``: years, shape (rows,), *before* the correction; NaN where a
        feature is missing.
    """

    fit: Callable[[pd.DataFrame, Options, int], dict[str, Any]]
    predict: Callable[[Mapping[str, Any], pd.DataFrame], np.ndarray]

    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "fit": ("train", "options", "seed"),
        "predict": ("model", "table"),
        **Method.CALLS,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class AgeModel(Method):
    """Predicts age from an image: trained on originals, asked about every variant.

    Attributes
    ----------
    train : callable
        ``train(train, validation, out, options, seed)``: the first two are lists of
        :class:`Aged`, originals of different people.  Writes into the folder ``out``:
        ``model.safetensors`` (picked on validation), ``curves.tsv`` and ``card.json``, which
        has, beside what describes the model, ``input`` (what it sees: brain, head or face),
        ``n_participants``, ``out_of_fold`` and ``correction`` as a :class:`BrainAge` model
        (``out_of_fold`` may be empty: then nothing was cross-validated) and ``note``.  An
        interrupted and resumed training gives the same model.  Raises
        :class:`NotEnoughTraining` where no model can be fitted, :class:`TrainingFailed`
        where a training went wrong.
    load : callable
        ``load(folder, options)`` reads what ``train`` wrote and returns the model; executes
        no code from the file.
    run : callable
        ``run(model, volume, brain, options)``: an image
        (:class:`refacebench.image.nifti.Volume`, any orientation) and the brain mask found in
        it (boolean, same grid).  Returns years, *before* the correction.  Raises an exception
        with a clear message where the image shows nothing of what the model looks at.
    """

    train: Callable[[list[Aged], list[Aged], Path, Options, int], object]
    load: Callable[[Path, Options], Any]
    run: Callable[[Any, Volume, np.ndarray, Options], float]

    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": ("train", "validation", "out", "options", "seed"),
        "load": ("folder", "options"),
        "run": ("model", "volume", "brain", "options"),
        **Method.CALLS,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(Method):
    """Lists scans and, where they do not exist, grows them; or brings what others measured.

    Attributes
    ----------
    index : callable
        ``index(options, seed)``: a :class:`pandas.DataFrame`, one row per scan, from names
        alone (no image is opened, so that thousands of scans take seconds): ``participant``
        (``sub-...``), ``session`` (``ses-...`` or empty), ``scan`` (see
        :func:`refacebench.bids.scan_id`; no two rows have the same), ``path`` (empty for a
        scan that is yet to be grown), ``site``, ``age`` (years at the session, or NaN),
        ``sex``, ``status`` and ``reason``.  Sorted by scan.  Where they are known: ``days``
        (between the session and the participant's first one) and ``age_note`` (why there is
        no age).
    grow : callable or None
        Of a synthetic dataset: ``grow(row, options, seed, folder, out)`` makes the scan of
        one row: writes ``<out>/<sub>/[ses]/anat/<scan>_T1w.nii.gz`` and, in the same place,
        ``<scan>_desc-truth_dseg.nii.gz`` (labels, see :data:`refacebench.vocabulary.TRUTH`)
        and returns a dict with ``path`` and ``truth_path``, and if it knows the true volumes
        more exactly than by counting labelled voxels, ``truth_vol_<name>`` in ml.
    base : callable or None
        Of a synthetic dataset: ``base(options, seed, folder)`` writes into ``folder`` what
        all its scans share (base head, deformations to other heads).
    measures : callable or None
        Of a dataset that brings measures in the place of images:
        ``measures(options)`` returns a :class:`pandas.DataFrame`, one row per scan, variant,
        program and measure: ``scan``, ``variant``, ``segmenter`` (the program), ``name``
        (``vol_<structure>`` in ml for those of :mod:`refacebench.vocabulary`, ``value_<name>``
        for all others), ``value`` and ``reason`` (why there is no value; ``name`` is empty
        then).  Its index has ``variants`` and ``segmenters`` (all names between blanks, the
        same in every row) and ``measured`` (what changes when a value does).  No stage
        before the statistics is run on it.
    fetch : callable or None
        ``fetch(options)`` brings files from the network into the user's folder.
    to_fetch : callable
        ``to_fetch(options)``: in a few words, what is yet to be fetched before scans can be
        listed; empty if nothing.
    statement : str
        Of a synthetic dataset: the sentence that says what it is made of.
    """

    index: Callable[[Options, int], pd.DataFrame]
    grow: Callable[[Mapping[str, Any], Options, int, Path, Path], Mapping[str, Any]] | None = None
    base: Callable[[Options, int, Path], object] | None = None
    measures: Callable[[Options], pd.DataFrame] | None = None
    fetch: Callable[[Options], object] | None = None
    to_fetch: Callable[[Options], str] = _no_text
    statement: str = ""

    STEERING: ClassVar[tuple[str, ...]] = (
        *("type", "faces", "sessions_measured", "rescan_sessions", "rescan_max_days"),
        *("only_participants", "limit"),
    )
    CALLS: ClassVar[dict[str, tuple[str, ...]]] = {
        "index": ("options", "seed"),
        **Method.CALLS,
        "to_fetch": ("options",),
    }
    #: Functions that only some datasets have.
    OPTIONAL: ClassVar[tuple[str, ...]] = ("measures", "fetch")
    GROWN: ClassVar[dict[str, tuple[str, ...]]] = {
        "grow": ("row", "options", "seed", "folder", "out"),
        "base": ("options", "seed", "folder"),
    }

    @property
    def synthetic(self) -> bool:
        """Whether its scans are grown at run time."""
        return self.grow is not None

    @property
    def brings_measures(self) -> bool:
        """Whether it brings measures in the place of images."""
        return self.measures is not None

    def faults(self) -> list[str]:
        """Return what keeps this value from being a dataset, a sentence each."""
        found = super().faults()
        for name in self.OPTIONAL:
            if getattr(self, name) is not None:
                found += _call_faults(name, getattr(self, name), ("options",), False)
        if self.grow is None and self.base is None:
            return found
        for name, given in self.GROWN.items():
            found += _call_faults(name, getattr(self, name), given, False)
        if not self.statement:
            found.append("statement: a synthetic dataset must say what it is made of")
        return found


#: The kinds of methods, by the name of the config's section and of the package's folder.
KINDS: dict[str, type[Method]] = {
    "datasets": Dataset,
    "defacers": Defacer,
    "refacers": Refacer,
    "segmenters": Segmenter,
    "attackers": Attacker,
    "brainage": BrainAge,
    "age_models": AgeModel,
}
