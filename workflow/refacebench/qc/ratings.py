"""What raters saved on the page for quality control, read back: agreement, work list, bounds.

Files are JSON (``refacebench-ratings``) or TSV.  What cannot be used becomes a problem with a
reason, and nothing of it drops out silently.  Reads the files that it is told to; writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from refacebench.reasons import one_line
from refacebench.results import doubt
from refacebench.statistics import acceptance, kappa
from refacebench.tables import Unusable, numbered_rows

FORMAT, FORMAT_VERSION = "refacebench-ratings", 1
OK, FACE, BRAIN, REDO = RATINGS = ("ok", "face left", "brain cut", "redo")
PARTS = ("nose", "eyes", "mouth", "chin", "ears")
#: How a scan came to be rated: it stood in the list, or it was drawn at random.
LISTED, DRAWN = HOW = ("list", "sample")
COLUMNS = [
    "dataset",
    "rater",
    "variant",
    "scan",
    "image",
    "rating",
    "left",
    "comment",
    "how",
    "when",
    "file",
]
#: A file larger than this is no file of ratings.
MOST_BYTES = 200_000_000
_IDENTITY = ["variant", "scan", "image"]
#: Stands for all classes of doubt together.
ALL = "all"
LOOK_AGAIN = "look again together: the raters differ"


class Read(NamedTuple):
    """What was read.

    Attributes
    ----------
    ratings : pandas.DataFrame
        :data:`COLUMNS`, one row per rater and image; ``left`` holds parts of the face between
        commas.
    problems : list of str
        One sentence each.
    """

    ratings: pd.DataFrame
    problems: list[str]


def read(paths: Iterable[str | Path]) -> Read:
    """Read files of ratings.

    A rater who rated an image twice, or saved it in two files, is believed the last time.
    """
    rows: list[dict[str, str]] = []
    problems: list[str] = []
    for path in map(Path, paths):
        try:
            given = _read_file(path)
        except (OSError, ValueError, Unusable) as error:
            problems.append(f"{path.name}: {one_line(error)}")
            continue
        for number, item in enumerate(given, start=1):
            try:
                rows.append(_checked(item, path))
            except ValueError as error:
                problems.append(f"{path.name}, rating {number}: {one_line(error)}")
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table.sort_values("when", kind="stable")
    table = table.drop_duplicates(["dataset", "rater", *_IDENTITY], keep="last")
    return Read(table.sort_values(["rater", *_IDENTITY], ignore_index=True), problems)


def _read_file(path: Path) -> list[dict[str, Any]]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("too large to be a file of ratings")
    if path.suffix.lower() == ".tsv":
        wanted = [name for name in COLUMNS if name != "file"]
        return [row for _, row in numbered_rows(path, wanted)]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not a text file") from None
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error.msg}, line {error.lineno})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("not a file of ratings; the page for quality control saves them")
    if document.get("version") != FORMAT_VERSION:
        raise ValueError(f"version {document.get('version')!r}; this software reads version 1")
    if not isinstance(document.get("ratings"), list):
        raise ValueError("it has no list of ratings")
    shared = {name: document.get(name) for name in ("dataset", "rater")}
    return [{**item, **shared} if isinstance(item, dict) else {} for item in document["ratings"]]


def _checked(item: Mapping[str, Any], path: Path) -> dict[str, str]:
    row = {}
    for name in ("dataset", "rater", "variant", "scan", "image"):
        value = item.get(name)
        if not isinstance(value, str) or (not value and name != "image"):
            raise ValueError(f"'{name}' is missing")
        row[name] = value
    if item.get("rating") not in RATINGS:
        raise ValueError(f"unknown rating {item.get('rating')!r} (known: {', '.join(RATINGS)})")
    left = item.get("left") or []
    parts = left.split(",") if isinstance(left, str) else left
    how = item.get("how")
    return row | {
        "rating": str(item["rating"]),
        "left": ",".join(part for part in PARTS if part in parts),
        "comment": one_line(item.get("comment") or "", 300),
        "how": str(how) if how in HOW else LISTED,
        "when": str(item.get("when") or ""),
        "file": path.name,
    }


def read_list(path: str | Path) -> pd.DataFrame:
    """Read the list of scans that the page was made with (``scans.tsv``).

    Raises
    ------
    ValueError
        If it is no such list.
    """
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    missing = {"variant", "scan", "participant", "image", "kind", "draw"} - set(table)
    if missing:
        raise ValueError(f"{path}: not a list of scans (it lacks {', '.join(sorted(missing))})")
    return table.assign(draw=pd.to_numeric(table["draw"], errors="coerce"))


def of_list(ratings: pd.DataFrame, scans: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ratings of images that are on the list, and those of others.

    An image that was made again since is another one.
    """
    known = set(map(tuple, scans[_IDENTITY].to_numpy()))
    inside = pd.Series([tuple(row) in known for row in ratings[_IDENTITY].to_numpy()], dtype=bool)
    inside.index = ratings.index
    return ratings[inside], ratings[~inside]


# agreement ----------------------------------------------------------------------------------


def agreement(ratings: pd.DataFrame, people: Mapping[str, str], level: float) -> pd.DataFrame:
    """Return how well each two raters agree on what both rated, in all and by variant.

    Parameters
    ----------
    people : mapping of str to str
        The participant of each scan; a scan that is not in it counts as a person of its own.
    """
    rows = []
    for one, other in combinations(sorted(ratings["rater"].unique()), 2):
        first, second = (ratings[ratings["rater"] == rater] for rater in (one, other))
        both = first.merge(second, on=_IDENTITY, suffixes=("_1", "_2"))
        for variant in [ALL, *sorted(both["variant"].unique())]:
            mine = both if variant == ALL else both[both["variant"] == variant]
            persons = [people.get(scan, scan) for scan in mine["scan"]]
            found = kappa.cohen(mine["rating_1"], mine["rating_2"], persons, level)
            rows.append({"rater_1": one, "rater_2": other, "variant": variant, **found._asdict()})
    columns = ["rater_1", "rater_2", "variant", *kappa.Kappa._fields]
    return pd.DataFrame(rows, columns=columns)


# what is to be done -------------------------------------------------------------------------


def work_list(ratings: pd.DataFrame) -> pd.DataFrame:
    """Return what is to be done, one row per image that not everybody found ok.

    Returns
    -------
    pandas.DataFrame
        ``variant``, ``scan``, ``image``, ``action``, ``left`` (parts of the face), ``ratings``
        (who said what) and ``comments``.
    """
    rows = []
    for (variant, scan, image), mine in ratings.groupby(_IDENTITY, sort=True):
        said = set(mine["rating"])
        if said == {OK}:
            continue
        left = {part for parts in mine["left"] for part in parts.split(",") if part}
        rows.append(
            {
                "variant": variant,
                "scan": scan,
                "image": image,
                "action": _action(said, left),
                "left": ",".join(part for part in PARTS if part in left),
                "ratings": "; ".join(f"{r.rater}: {r.rating}" for r in mine.itertuples()),
                "comments": "; ".join(filter(None, mine["comment"])),
            }
        )
    columns = [*_IDENTITY, "action", "left", "ratings", "comments"]
    return pd.DataFrame(rows, columns=columns)


def _action(said: set[str], left: set[str]) -> str:
    if OK in said:
        return LOOK_AGAIN
    if REDO in said:
        return "redo"
    how = ["with ears"] if "ears" in left else []
    how += ["sparing the brain"] if BRAIN in said else []
    return ", ".join(["re-deface", *how])


# what nobody looked at ----------------------------------------------------------------------


def unseen(ratings: pd.DataFrame, scans: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return how many of the images that nobody looked at may still fail.

    Images that were looked at because they stood in the list say nothing of the others: they are
    taken out.  Of the rest the random sample is what was drawn; one that was passed over in the
    order of the draw counts as drawn and failed.  An image fails if any rater found it not ok.

    Parameters
    ----------
    ratings : pandas.DataFrame
        Of images on the list.
    scans : pandas.DataFrame
        Of :func:`read_list`.
    level : float
        One-sided coverage of each bound by itself.

    Returns
    -------
    pandas.DataFrame
        For each variant a row for all its images and one for each class of doubt: ``n_images``;
        ``n_listed`` and ``n_listed_bad``, looked at from the list and found not ok; ``n_drawn``
        and ``n_drawn_bad``; ``n_passed_over`` of these; ``n_unseen``; ``most_bad`` and
        ``most_share`` of them, NaN where no sample was drawn.
    """
    images = scans[scans["draw"].notna()].copy()
    bad = ratings[ratings["rating"] != OK]
    listed = _places(ratings[ratings["how"] == LISTED])
    drawn = _places(ratings[ratings["how"] == DRAWN]) - listed
    failed = _places(bad)
    places = list(map(tuple, images[_IDENTITY].to_numpy()))
    images["listed"] = [place in listed for place in places]
    images["drawn"] = [place in drawn for place in places]
    images["bad"] = [place in failed for place in places]
    last = images["draw"].where(images["drawn"]).groupby(images["variant"]).transform("max")
    images["passed"] = ~images["listed"] & ~images["drawn"] & (images["draw"] < last)
    rows = []
    for variant, mine in images.groupby("variant", sort=True):
        kinds = [kind for kind in doubt.CLASSES if (mine["kind"] == kind).any()]
        for kind in [ALL, *(kinds if len(kinds) > 1 else [])]:
            some = mine if kind == ALL else mine[mine["kind"] == kind]
            rows.append({"variant": variant, "kind": kind, **_bound(some, level)})
    columns = ["variant", "kind", "n_images", "n_listed", "n_listed_bad", "n_drawn", "n_drawn_bad",
               "n_passed_over", "n_unseen", "most_bad", "most_share"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _places(ratings: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(map(tuple, ratings[_IDENTITY].to_numpy()))


def _bound(images: pd.DataFrame, level: float) -> dict[str, float]:
    passed = int(images["passed"].sum())
    drawn = int(images["drawn"].sum()) + passed
    drawn_bad = int((images["drawn"] & images["bad"]).sum()) + passed
    rest = int((~images["listed"]).sum())
    bound = acceptance.left_over(rest, drawn, drawn_bad, level)
    known = drawn > 0 or rest == 0
    return {
        "n_images": len(images),
        "n_listed": int(images["listed"].sum()),
        "n_listed_bad": int((images["listed"] & images["bad"]).sum()),
        "n_drawn": drawn,
        "n_drawn_bad": drawn_bad,
        "n_passed_over": passed,
        "n_unseen": rest - drawn,
        "most_bad": bound.most if known else float("nan"),
        "most_share": bound.share if known else float("nan"),
    }


# in words -----------------------------------------------------------------------------------


def agreement_lines(table: pd.DataFrame, level: float) -> list[str]:
    """Return the agreement of each two raters, in words."""
    lines = []
    for row in table[table["variant"] == ALL].itertuples():
        who = f"{row.rater_1} and {row.rater_2}"
        if not row.n:
            lines.append(f"{who} have no rated scan in common.")
            continue
        text = f"{who} both rated {row.n} scans and agree on {100 * row.agreement:.0f} %; "
        if row.kappa != row.kappa:
            text += "both gave everything the same rating, so that Cohen's kappa is not defined."
        elif row.low != row.low:
            text += f"Cohen's kappa {row.kappa:.2f} (one person: no interval)."
        else:
            text += (
                f"Cohen's kappa {row.kappa:.2f} "
                f"({100 * level:g} % interval {row.low:.2f} to {row.high:.2f})."
            )
        lines.append(text)
    return lines


def work_lines(work: pd.DataFrame, most: int = 20) -> list[str]:
    """Return the work list in words, one line per variant and action; long lists are cut."""
    lines = []
    for (variant, action), mine in work.groupby(["variant", "action"], sort=True):
        n = len(mine)
        verb, _, how = action.partition(", ")
        what = f"{n} scan{'s' if n > 1 else ''}"
        if action == LOOK_AGAIN:
            text = f"{variant}: look again together at {what}, the raters differ"
        elif verb == "redo":
            text = f"{variant}: redo {what}"
        else:
            text = f"{variant}: re-deface {what}" + (f", {how}" if how else "")
        names = ", ".join(mine["scan"].head(most)) + (f" and {n - most} more" if n > most else "")
        lines.append(f"{text}: {names}")
    return lines


def unseen_lines(table: pd.DataFrame, level: float) -> list[str]:
    """Return what may be wrong with what nobody looked at, in words.

    One line per variant, below it one for each class of doubt where a sample says something of
    it; variants that nobody looked at share the last line.
    """
    looked = table["n_listed"] + table["n_drawn"] > 0
    seen = set(table.loc[looked & (table["kind"] == ALL), "variant"])
    lines = []
    for row in table[table["variant"].isin(seen)].itertuples():
        if row.kind == ALL:
            lines.append(f"{row.variant}: {_seen(row)}. {_rest(row, level)}")
        elif row.n_unseen and row.n_drawn:
            lines.append(f"  of these, {row.kind}: {_seen(row)}. {_rest(row, level)}")
    others = table[(table["kind"] == ALL) & ~table["variant"].isin(seen)]
    if len(others):
        names = ", ".join(others["variant"])
        lines.append(f"Nobody has looked at {names} ({_images(others['n_images'].sum())}).")
    return lines


def _images(n: int) -> str:
    return f"{n} image{'' if n == 1 else 's'}"


def _seen(row: Any) -> str:
    parts = [_images(row.n_images)]
    if row.n_listed:
        parts.append(f"{row.n_listed} looked at from the list ({row.n_listed_bad} not ok)")
    if row.n_drawn:
        parts.append(f"{row.n_drawn} drawn at random ({row.n_drawn_bad} not ok)")
    return ", ".join(parts)


def _rest(row: Any, level: float) -> str:
    if not row.n_unseen:
        return "Nothing is left unseen."
    if row.most_bad != row.most_bad:
        return (
            f"Nothing can be said of the other {row.n_unseen}: none was drawn at random (the "
            "page's order 'random sample')."
        )
    text = (
        f"Of the other {row.n_unseen} at most {row.most_bad:.0f} ({100 * row.most_share:.1f} %) "
        f"are not ok ({100 * level:g} %, one-sided)."
    )
    if row.n_passed_over:
        text += f" {row.n_passed_over} that were drawn and passed over count as not ok."
    return text


def raters(ratings: pd.DataFrame) -> Sequence[str]:
    """Return the raters' names."""
    return sorted(ratings["rater"].unique())
