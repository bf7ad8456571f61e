"""What the page does not show, as far as it can be told from its inputs."""

from __future__ import annotations

from refacebench.plot.style import Look
from refacebench.results.privacy import is_measured
from refacebench.results.yardstick import fixed, margin_from_settings
from refacebench.statistics.criteria import Criteria

#: What a page does not show whose measures were made elsewhere.
BROUGHT = [
    "No image was opened, so it is not known whether people can be recognised, what is left of "
    "their faces, or whether the brain was touched. No number here is evidence of privacy.",
    "Measures are taken as they stand in the tables. It cannot be checked here that originals and "
    "variants were processed by the same version of a program with the same settings, or that "
    "rows of one name belong to one person's scan.",
]
#: What no page shows whose variants were checked and segmented.
_OF_IMAGES = [
    "The checks of face and brain follow thresholds on the face's surface and on an estimated "
    "brain mask, not the eye of a rater. Brain outside that mask is not checked.",
    "A native method is our own code. Where it follows a publication, its results are not those of "
    "the released program of that name.",
    "Segmentation serves as the measure of utility; lesions, cortical thickness, other "
    "contrasts and other software are not covered.",
]


def limitations(
    tables, criteria: Criteria, statement: str, look: Look, brought: bool = False
) -> list[str]:
    """Return what the page does not show, as far as it can be told from its inputs."""
    found = list(BROUGHT) if brought else [*_privacy_limits(tables), *_OF_IMAGES]
    if statement:
        found.insert(0, "Synthetic data: no evidence about real people. Nothing here carries "
                        "over to scans of patients or volunteers without a run on such "
                        "scans.")  # fmt: skip
    if "null" not in look.order:
        found.append(
            "No null control was run: how much of a difference is noise of the segmenter is "
            "unknown."
        )
    repeat = tables.get("repeatability")
    why = "" if repeat is None else margin_from_settings(repeat, criteria)
    if why:
        found.append(
            f"Volumes are tested for equivalence within {fixed(criteria)}, a setting, {why}: "
            "whether an effect of that size matters is for the reader to say."
        )
    return found


def _privacy_limits(tables) -> list[str]:
    if not is_measured(tables):
        return [
            "Recognisability. Only an attack can measure it (face recognition on renderings, "
            "reconstruction first), and this run made none (the config has no attackers, or none "
            "could be scored). No number here is evidence of privacy.",
            "A face that is visibly gone may still be inferred from what is left; a refaced scan "
            "shows a face that looks real, whose likeness to the person is not measured here.",
        ]
    return [
        "Attacks work on renderings of the surface and on the shape of the head; what the brain, "
        "the teeth, the ears or the rest of the record give away is not attacked. Galleries here "
        "are as small as the test split: identification among thousands is harder, a choice among "
        "few is not.",
    ]
