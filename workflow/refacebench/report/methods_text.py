"""The methods section of a paper, of exactly what ran, with its BibTeX: ready to paste.

Markdown with citations as Pandoc reads them (``[@holm1979]``); the keys are those of the
bibliography that comes with it.  Pure: values in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from refacebench import __version__
from refacebench.report import citations
from refacebench.report.methods_protection import attacks, checks
from refacebench.results import flow, words, yardstick
from refacebench.results.decisions import Rule
from refacebench.results.words import listed, plural
from refacebench.run import methods
from refacebench.run.configuration import BRAIN_AGE
from refacebench.statistics.attack_tables import is_control
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import FOLLOWUP, RESCAN

#: What every run rests on, whatever the config asks for.
ALWAYS = (
    "10.12688/f1000research.29032.2",
    "10.1038/sdata.2016.44",
    "10.1016/j.neuroimage.2010.09.025",
)
#: Kinds of methods in the order in which they work, with the sentence before their list.
KINDS = {
    "control": "Controls, which are not methods to choose from, were made from the same scans:",
    "defacer": "Faces were removed or replaced by these methods:",
    "refacer": "Faces were put back by these models, trained on other participants:",
    "segmenter": "Every variant was segmented from scratch by:",
    "attacker": "These attackers tried to recognise the participants:",
    "age model": "Age was predicted from the images by:",
    "measures": "Measures of originals and variants were made beforehand by:",
}  # fmt: skip
_NATIVE = "our re-implementation after the works cited, not the released program"


def text(datasets: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the methods section and its bibliography.

    Parameters
    ----------
    datasets : sequence of mapping
        As for :func:`refacebench.report.page.build`, with ``sources`` in the methods.
    """
    cited: dict[str, citations.Entry] = {}
    first = datasets[0]
    config, criteria = first.get("config") or {}, first["criteria"]
    parts = [
        "# Methods",
        _software(cited, bool(first.get("brought"))),
        _study(config.get("study") or {}, cited),
        *(_data(dataset) for dataset in datasets),
        *_methods(first["methods"], cited),
        *(_brain_age(dataset, config, cited) for dataset in datasets),
        checks(datasets, config),
        *(attacks(dataset, config, len(datasets) > 1) for dataset in datasets),
        _statistics(datasets, criteria, cited),
        ""
        if first.get("brought")  # no variant was judged
        else Rule.from_config(config).words.replace(
            "The rule was", "The rule for the verdicts was"
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n", citations.bibliography(
        cited.values()
    )


def _cite(sources: Iterable[str], cited: dict[str, citations.Entry]) -> str:
    """Return a citation and remember its entries; empty where nothing is cited."""
    keys = []
    for source in sources:
        if entry := citations.cite(source):
            cited[entry.key] = entry
            keys.append(f"@{entry.key}")
    return f"[{'; '.join(dict.fromkeys(keys))}]" if keys else ""


def _software(cited: dict[str, citations.Entry], brought: bool) -> str:
    if brought:
        snakemake = _cite([f"https://doi.org/{ALWAYS[0]}"], cited)
        return (
            "Tables, tests and figures of measures that were made beforehand come from refacebench "
            f"{__version__}, a Snakemake workflow {snakemake}; no image was opened."
        )
    snakemake, bids, ants = (_cite([f"https://doi.org/{doi}"], cited) for doi in ALWAYS)
    return (
        f"All steps were run with refacebench {__version__}, a Snakemake workflow {snakemake} for "
        f"data in the Brain Imaging Data Structure {bids}. Images were registered with ANTs {ants}."
    )


def _study(study: Mapping[str, Any], cited: dict[str, citations.Entry]) -> str:
    """Return which publication the run follows; empty where it follows none."""
    if not study:
        return ""
    cite = _cite(study.get("sources") or (), cited)
    return f"The run follows the study of {study['title']} {cite}".rstrip() + "."


def _data(dataset: Mapping[str, Any]) -> str:
    table = dataset["tables"].get("flow")
    name = dataset["name"]
    if table is None or table.empty:
        return f"Data set {name}: the number of scans was not recorded."
    n = flow.scan_numbers(table)
    said = (
        f"Data set {name}: {plural(n['scans'], 'T1-weighted scan')} of "
        f"{plural(n['participants'], 'participant')}."
    )
    said = words.join(said, _uses(table, n), _splits(table), _later(table))
    return f"{said} {dataset['statement']}" if dataset.get("statement") else said


def _uses(table: pd.DataFrame, n: Mapping[str, int]) -> str:
    """Return what became of the scans: the counts add up to all of them."""
    used, unused = flow.other_words(table)
    counts = {
        "compared": n["compared"],
        used: n["other"] - n["unused"],
        unused: n["unused"],
        "left out": n["left_out"],
    }
    parts = [
        f"{count or 'none'} {'were' if count > 1 else 'was'} {what}"
        for what, count in counts.items()
        if count or what in ("compared", "left out")
    ]
    return f"Of the scans, {listed(parts)}."


_SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def _splits(table: pd.DataFrame) -> str:
    """Return how many participants each split has; empty where there is one split alone."""
    people = _originals(table).drop_duplicates("participant")["split"].value_counts()
    sizes = [f"{people[name]} to {said}" for name, said in _SPLITS.items() if people.get(name, 0)]
    if len(sizes) < 2:
        return ""
    return f"Participants, never scans, were assigned to the splits: {listed(sizes)}."


#: What later scans of compared participants are for.
_LATER = {
    RESCAN: "a declared rescan, which shows how much two scans of a person differ by themselves",
    FOLLOWUP: "a later session",
}


def _later(table: pd.DataFrame) -> str:
    """Return how many compared participants have later scans, and what these are for."""
    rows = _originals(table)
    rows = rows[rows["split"] == "test"]
    people = rows["participant"].nunique()
    counts = {role: rows.loc[rows["role"] == role, "participant"].nunique() for role in _LATER}
    return words.join(
        *(
            f"{_of_compared(n, people)} also {'has' if n == 1 else 'have'} {_LATER[role]}."
            for role, n in counts.items()
            if n
        )
    )


def _of_compared(n: int, people: int) -> str:
    """Return so many of the participants compared, as the subject of a sentence."""
    if n < people:
        return f"Of the participants compared, {n}"
    return "The participant compared" if n == 1 else f"All {n} participants compared"


def _originals(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per original that was not left out."""
    rows = table[(table["variant"] == "original") & ~table["status"].isin(flow.LOST)]
    return rows.drop_duplicates("scan").reindex(columns=["participant", "scan", "split", "role"])


def _methods(methods: Sequence[Mapping[str, Any]], cited: dict[str, citations.Entry]) -> list[str]:
    parts = []
    for kind, begin in KINDS.items():
        named = [_method(m, cited) for m in methods if kind_of(m) == kind]
        if named:
            parts.append("\n".join([begin, "", *(f"- {line}" for line in named)]))
    return parts


def _method(method: Mapping[str, Any], cited: dict[str, citations.Entry]) -> str:
    """Return what ran under a name: what it is, whose code it is, its version, its options."""
    engine = {"native": _own(method), "official": "the released program"}
    title = plain_title(method)
    about = [
        # No brackets within brackets, and no name twice.
        title.replace(" (", ", ").replace(")", "").removeprefix(f"{method['name']}, ")
        if title != method["name"]
        else "",
        engine.get(str(method.get("engine")), ""),
        f"version {method['version']}" if method.get("version") else "",
    ]
    options = ", ".join(f"{k} = {v}" for k, v in (method.get("settings") or {}).items())
    cites = _cite(method.get("sources") or (), cited)
    said = f"{method['name']} ({'; '.join(filter(None, about))}"
    said += f"; {options})" if options else ")"
    return f"{said} {cites}".rstrip()


def kind_of(method: Mapping[str, Any]) -> str:
    """Return what kind a method is of; a control is none that a reader could choose."""
    if method["kind"] == "defacer" and is_control(method["name"]):
        return "control"
    return str(method["kind"])


#: What the title of our own model says of itself, beside what it is.
_OURS = re.compile(r"\s*\((?:native, )?own model(?:; )?([^)]*)\)")


def plain_title(method: Mapping[str, Any]) -> str:
    """Return what a method is, without whose code it is: that stands beside it.

    >>> plain_title({"title": "inpainting (native, own model; network of MONAI)"})
    'inpainting (network of MONAI)'
    """
    title = str(method.get("title") or "")
    return _OURS.sub(lambda found: f" ({found[1]})" if found[1] else "", title)


def is_ours(method: Mapping[str, Any]) -> bool:
    """Tell whether a method follows no publication, but is our own model."""
    return bool(_OURS.search(str(method.get("title") or "")))


#: What is neither our own model nor runs weights of others.
_OUR_CODE = "our own code"


def our_code(method: Mapping[str, Any]) -> str:
    """Return what of a native method is ours: the model, or the code alone."""
    if is_ours(method):
        return "our own model"
    if method.get("weights"):
        return f"{_OUR_CODE} with {method['weights']}'s released weights"
    return _OUR_CODE


def _own(method: Mapping[str, Any]) -> str:
    """Return what it means that our own code ran."""
    own = our_code(method)
    if own != _OUR_CODE:
        return own
    # What names no work is no re-implementation of one: a control, or a method of the user's.
    return _NATIVE if method.get("sources") else own


#: The works behind the corrections of the age bias.
_CORRECTIONS = {"beheshti": "beheshti2019", "cole": "cole2018", "de_lange": "delange2019"}


def _brain_age(
    dataset: Mapping[str, Any], config: Mapping[str, Any], cited: dict[str, citations.Entry]
) -> str:
    """Return how age was predicted from volumes; empty where it was not."""
    table = dataset["tables"].get("brainage")
    if table is None or table.empty or table["mae"].isna().all():
        return ""
    models = table[table["n_train"] > 0].drop_duplicates("segmenter")
    if models.empty:
        return ""
    options = methods.choose("brainage", BRAIN_AGE, config.get("brain_age")).options
    kinds = [k for k in dict.fromkeys(models["correction"].fillna("")) if k in _CORRECTIONS]
    by = [
        f"{row.segmenter} ({plural(int(row.n_train), 'participant')}, cross-validated error "
        f"{row.mae_train_cv:.1f} years)"
        for row in models.itertuples()
    ]
    divided = ", each divided by total intracranial volume" if options["divide_by_tiv"] else ""
    return words.join(
        f"Brain age in data set {dataset['name']} was predicted by ridge regression "
        f"{_known('hoerl1970', cited)} on whole-brain and regional volumes{divided}, with a model "
        f"for each segmenter that was trained on originals of other participants: {listed(by)}. "
        "The penalty was picked by cross-validation, with all scans of a participant in one fold. "
        "A method's shift is the prediction on its output less that on the original, both as the "
        "model made them.",
        "The mean gap between predicted and true age is also given after a correction of the age "
        "bias "
        f"{' and '.join(_known(_CORRECTIONS[kind], cited) for kind in kinds)}."
        if kinds
        else "",
    )


def _statistics(
    datasets: Sequence[Mapping[str, Any]], criteria: Criteria, cited: dict[str, citations.Entry]
) -> str:
    """Return how effects were tested, of the tables that there are."""
    made = {
        name
        for dataset in datasets
        for name, table in dataset["tables"].items()
        if table is not None and len(table)
    }
    parts = [
        "The unit of analysis was the participant: the values of several sessions were averaged "
        "before they were tested, and resampling drew participants with all of their sessions. "
        f"Intervals cover {100 * criteria.level:g} %."
    ]
    if "volumes" in made:
        parts.append(
            "Volumes were compared with those of the originals by paired Wilcoxon signed-rank "
            f"tests {_known('wilcoxon1945', cited)} ({words.zeros(criteria)}) with the "
            f"matched-pairs rank-biserial correlation {_known('kerby2014', cited)} as effect size. "
            f"p values were corrected by Holm's method {_known('holm1979', cited)} at "
            f"{criteria.alpha:g} within each of two families: the regions with TIV, and the other "
            "whole-brain volumes, each over all variants, controls included; those of Benjamini "
            f"and Hochberg {_known('benjamini1995', cited)} stand beside them. Equivalence was "
            f"tested by two one-sided tests {_known('schuirmann1987', cited)} within "
            f"{_margin(criteria, _have_rescans(datasets))}."
        )
    if "other_measures" in made:
        parts.append(
            f"Other measures were compared {_tested(made, cited)}; limits of agreement are those "
            f"of Bland and Altman {_known('bland1986', cited)}, and the bias is also given in "
            "standard deviations of the originals."
        )
    parts.append(_ratings(made, criteria, cited))
    if "quality" in made:
        parts.append(f"Shares have exact Clopper-Pearson intervals {_known('clopper1934', cited)}.")
    parts.append(
        f"Resampling: {criteria.n_boot} bootstrap samples of participants, seed {criteria.seed}."
    )
    return words.join(*parts)


def _tested(made: Iterable[str], cited: dict[str, citations.Entry]) -> str:
    """Return how other measures were tested, in full where volumes were not."""
    if "volumes" in made:
        return "in the same way"
    return (
        f"with those of the originals by paired Wilcoxon signed-rank tests "
        f"{_known('wilcoxon1945', cited)} with Holm's correction {_known('holm1979', cited)}"
    )


def _ratings(made: Iterable[str], criteria: Criteria, cited: dict[str, citations.Entry]) -> str:
    """Return how ratings of several raters were compared; empty where there are none."""
    if "rater_effects" not in made:
        return ""
    return (
        "The effect on ratings comes from a linear mixed model with crossed random intercepts of "
        f"participants and raters {_known('laird1982', cited)}, fitted by maximum likelihood, and "
        "was tested by the likelihood ratio against the model without it. The agreement of each "
        "rater's scores is given by the limits of Bland and Altman and by the intraclass "
        f"correlation ICC(A,1) {_known('mcgraw1996', cited)}, with {100 * criteria.level:g} % "
        "intervals."
    )


def _have_rescans(datasets: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether any participant has a declared rescan that was measured."""
    tables = [dataset["tables"].get("repeatability") for dataset in datasets]
    return any(table is not None and (table["n"] > 0).any() for table in tables)


def _margin(criteria: Criteria, rescans: bool) -> str:
    if criteria.equivalence_margin == "fixed" or not rescans:
        return f"{yardstick.fixed(criteria)}, set before the run"
    return (
        "the lower confidence bound of each volume's mean scan-rescan difference, or within "
        f"{yardstick.cap(criteria)} where that bound is larger; volumes with fewer than "
        f"{criteria.min_rescans} participants who have a declared rescan were tested within "
        f"{yardstick.fixed(criteria)}"
    )


def _known(key: str, cited: dict[str, citations.Entry]) -> str:
    return _cite([key], cited)
