"""What a JSON sidecar says of an image whose face was taken: cleaned, and with how it was done.

Touches no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from refacebench.release.columns import is_date

#: Keys that DICOM's confidentiality profile (PS3.15, table E.1-1) takes out and that converters
#: copy into sidecars: people, dates, and numbers that lead back to an archive.
_IDENTIFIES = re.compile(
    r"^(OtherPatient|Patient(?!Position|sPosition)|IssuerOfPatient)|Physician|Operator|Performer"
    r"|UID$|^UID|Accession|StudyID|RequestingService|Comments?$|Date$|DateTime$|Time$(?<=Birth)"
    r"|^(Acquisition|Study|Series|Content|InstanceCreation|PerformedProcedureStepStart)Time$"
    r"|StudyDescription|ProcedureStepDescription|FileName|^Key$|^SourceSHA256$"
)
#: "Clean Recognizable Visual Features Option" of DICOM's list of de-identification methods.
CODE = {
    "CodeValue": "113102",
    "CodeMeaning": "Clean Recognizable Visual Features Option",
    "CodingSchemeDesignator": "DCM",
}


def clean(value: Any) -> Any:
    """Return a sidecar, or what is nested in it, without what names people, dates or archives.

    >>> clean({"EchoTime": 0.003, "PatientName": "X", "PatientPosition": "HFS", "a": ["1.2.1999"]})
    {'EchoTime': 0.003, 'PatientPosition': 'HFS', 'a': []}
    """
    if isinstance(value, Mapping):
        return {
            key: clean(part)
            for key, part in value.items()
            if not _IDENTIFIES.search(key) and not _is_dated(part)
        }
    if isinstance(value, list):
        return [clean(part) for part in value if not _is_dated(part)]
    return value


def _is_dated(value: Any) -> bool:
    return isinstance(value, str) and is_date(value)


def of_image(original: Mapping[str, Any], method: str, stripped: bool) -> dict[str, Any]:
    """Return the sidecar of an image without its face.

    Parameters
    ----------
    original : mapping
        The sidecar of the scan as it was; empty if it had none.
    method : str
        What took the face, with its version.
    stripped : bool
        Nothing but the brain is left.
    """
    cleaned = clean(original)
    before = original.get("DeidentificationMethod", [])
    before = [before] if isinstance(before, str) else list(before)
    codes = [code for code in original.get("DeidentificationMethodCodeSequence", []) if code]
    cleaned["DeidentificationMethod"] = [*before, method]
    cleaned["DeidentificationMethodCodeSequence"] = [*codes, *([] if CODE in codes else [CODE])]
    cleaned["SkullStripped"] = stripped or bool(original.get("SkullStripped", False))
    return cleaned
