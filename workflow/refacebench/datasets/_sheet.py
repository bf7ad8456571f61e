"""A study's spreadsheet as rows of text: Excel's old format, or a table saved from it."""

from __future__ import annotations

from pathlib import Path

from refacebench.tables import Unusable, decoded, read_rows

#: How files in Excel's old and new format begin.
_XLS, _XLSX = b"\xd0\xcf\x11\xe0", b"PK\x03\x04"


def rows(path: str | Path, key: str) -> list[dict[str, str]]:
    """Return the rows of the first sheet by column names in small letters.

    Parameters
    ----------
    key : str
        A column that there must be.

    Raises
    ------
    Unusable
        If the file cannot be used; one sentence that says what to do.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            start = handle.read(64)
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read ({error.strerror})") from None
    if start.startswith(_XLSX):
        raise Unusable(f"{path.name} is in Excel's newer format; save the sheet as CSV")
    if start.lstrip()[:1] == b"<" or b"<html" in start.lower():
        raise Unusable(f"{path.name} is a web page, not a spreadsheet; download it again")
    return _old_excel(path, key) if start.startswith(_XLS) else read_rows(path, key)


def _old_excel(path: Path, key: str) -> list[dict[str, str]]:
    try:
        import xlrd
    except ModuleNotFoundError:
        raise Unusable(
            f"{path.name} is an Excel file, which needs the package xlrd: pip install xlrd==2.0.2, "
            "or save the sheet as CSV"
        ) from None
    try:
        sheet = xlrd.open_workbook(str(path)).sheet_by_index(0)
    except (xlrd.XLRDError, OSError, ValueError, IndexError, AssertionError) as error:
        raise Unusable(f"{path.name} is damaged ({error}); download it again") from None
    lines = [[_text(cell) for cell in sheet.row_values(i)] for i in range(sheet.nrows)]
    if not lines:
        raise Unusable(f"{path.name} is empty")
    header = [cell.lower() for cell in lines[0]]
    if key not in header:
        raise Unusable(f"{path.name} has no column '{key}' in its first line")
    found = [dict(list(zip(header, line, strict=False))[::-1]) for line in lines[1:]]
    return [row for row in found if any(row.values())]


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{int(cell)}" if cell.is_integer() else repr(cell)
    return decoded(cell).strip() if isinstance(cell, bytes) else str(cell).strip()
