"""How numbers are printed: one rounding for sentences, tables and figures, so that they agree."""

from __future__ import annotations

import math

NO_VALUE = "–"


def number(value, digits: int = 2, signed: bool = False) -> str:
    """Return a number as text; a dash for none, and no sign on what rounds to zero.

    >>> number(-0.04, 1, signed=True), number(0.04, 1), number(float("nan"))
    ('0.0', '0.0', '–')
    >>> number(1.25, 1, signed=True), number(-1, 0)
    ('+1.2', '-1')
    """
    if value is None or math.isnan(value):
        return NO_VALUE
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text if text.strip("+-0.") else text.lstrip("+-")


def change(percent) -> str:
    """Return a change in percent as a sentence has it; a small one is never printed as none.

    >>> change(-0.42), change(0.03), change(-0.004), change(0.0)
    ('-0.4 %', 'less than 0.1 % up', 'less than 0.1 % down', '0.0 %')
    """
    if is_printed_as_none(percent):
        return f"less than 0.1 % {'up' if percent > 0 else 'down'}"
    return f"{number(percent, 1, signed=True)} %"


def is_printed_as_none(percent) -> bool:
    """Tell whether a change is there but rounds to zero with the one digit that changes have.

    >>> is_printed_as_none(-0.04), is_printed_as_none(0.06), is_printed_as_none(0.0)
    (True, False, False)
    """
    return percent is not None and percent != 0 and number(percent, 1) == number(0, 1)


#: An end of an interval is printed with so many digits at most.
_MOST_DIGITS = 8


def with_ends(value, low, high, digits: int = 2, signed: bool = False) -> tuple[str, str, str]:
    """Return a value and the ends of its interval as text, all with the same number of digits.

    An interval that excludes zero has as many digits as it takes to see that: an end that is
    printed as zero would say the opposite.

    >>> with_ends(0.143, 0.042, 0.279, 1, signed=True)
    ('+0.14', '+0.04', '+0.28')
    >>> with_ends(0.143, -0.042, 0.279, 1, signed=True)
    ('+0.1', '0.0', '+0.3')
    """
    ends = [end for end in (low, high) if end is not None and not math.isnan(end)]
    if len(ends) == 2 and min(ends) * max(ends) > 0:
        nearest = min(map(abs, ends))
        while digits < _MOST_DIGITS and float(f"{nearest:.{digits}f}") == 0:
            digits += 1
    return number(value, digits, signed), number(low, digits, signed), number(high, digits, signed)


def p_value(p) -> str:
    """Return a p value with three digits; what is smaller is never printed as zero.

    >>> p_value(0.0123), p_value(0.0002), p_value(float("nan"))
    ('0.012', '< 0.001', '–')
    """
    return "< 0.001" if p is not None and 0 <= p < 0.001 else number(p, 3)


def percent(share) -> str:
    """Return a share in whole percent, without the sign for percent.

    >>> percent(0.734), percent(float("nan"))
    ('73', '–')
    """
    return number(None if share is None else 100 * share, 0)


def chance(share) -> str:
    """Return what guessing reaches, in percent: small numbers keep two digits.

    >>> chance(0.2), chance(1 / 13), chance(1 / 300)
    ('20', '7.7', '0.33')
    """
    return NO_VALUE if share is None or math.isnan(share) else f"{100 * share:.2g}"


def of(part, whole) -> str:
    """Return a count with its whole.

    >>> of(12.0, 13)
    '12 of 13'
    """
    return f"{int(part)} of {int(whole)}"
