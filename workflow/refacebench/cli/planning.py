"""``refacebench sample-size``: how many participants a claim about privacy takes."""

from __future__ import annotations

import argparse

from refacebench.cli import common
from refacebench.statistics import planning

DESCRIPTION = """Say how many participants a study of recognisability needs.

NOT ABOVE CHANCE. "No attack does better than chance" cannot be shown, only "not better than
chance by more than a margin": the one-sided upper bound of the rate lies below chance plus margin.
The numbers are for an attack that truly guesses.

ABOVE CHANCE. How many people it takes to show that an attack with a given true rate (--rate)
does better than chance, and how many of them it has to identify for that.

Exact binomial, one pick per participant: each is identified or not. The pipeline averages a choice
over all sets of distractors, which is steadier, so that fewer are enough for a choice.

With --attacks N every one of N attacks must be shown to be within the margin: no correction is
needed for that, but the power that is left for each is 1 - (1 - power) / N. A study that looks for
an attack above chance pays with its level instead: (1 - level) / N."""
EXAMPLES = """examples:
  refacebench sample-size                         # picked from 5, margin 5 points
  refacebench sample-size --gallery 100           # named first among 100 people
  refacebench sample-size --options 5 --margin 10 --rate 40
  refacebench sample-size --chance 0              # nobody identified: a rate below 5 %
  refacebench sample-size --people 13             # what can be shown with 13
  refacebench sample-size --attacks 4             # by every one of four attacks

""" + common.CODES.format(good="printed", bad="(not used)")


def add(commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "sample-size",
        help="how many participants a claim about privacy takes",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--options", type=int, metavar="K", help="picked from K (default 5)")
    asked.add_argument("--gallery", type=int, metavar="N", help="named first among N people")
    asked.add_argument("--chance", type=float, metavar="PERCENT", help="any other chance")
    parser.add_argument(
        "--margin", type=float, default=5.0, metavar="POINTS", help="margin above chance (5)"
    )
    parser.add_argument(
        "--rate", type=float, metavar="PERCENT", help="true rate of an attack to be found"
    )
    parser.add_argument(
        "--power", type=float, nargs="+", default=[80.0, 90.0], metavar="PERCENT",
        help="how often the study should succeed (80 90)",
    )  # fmt: skip
    parser.add_argument(
        "--level", type=float, default=95.0, metavar="PERCENT", help="one-sided level (95)"
    )
    parser.add_argument("--people", type=int, metavar="N", help="the people that there are")
    parser.add_argument("--attacks", type=int, default=1, metavar="N", help="how many attacks (1)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print the table."""
    try:
        rows = [*_rows(given)]
    except ValueError as error:
        raise common.Refused(f"{error}") from None
    width = max(len(text) for text, _ in rows)
    for text, value in rows:
        print(f"{text:<{width}}  {value}")
    return common.GOOD


def _rows(given: argparse.Namespace):
    """Yield pairs of words and a number."""
    what, chance = _asked(given)
    margin, level = given.margin / 100, given.level / 100
    if given.attacks < 1:
        raise ValueError("--attacks must be at least 1")
    powers = [
        (f"power {p:g} %", planning.power_of_each(p / 100, given.attacks)) for p in given.power
    ]
    of = f", each of {given.attacks} attacks" if given.attacks > 1 else ""
    yield f"{what}, chance", f"{100 * chance:.3g} %"
    claim = f"less than {given.margin:g} points above chance ({given.level:g} %){of}"
    for words, power in powers:
        n = planning.people_within(chance, margin, level, power)
        most = int(planning.most_hits(n, chance + margin, level))
        yield f"{claim}, {words}", f"{n} people, of whom at most {most} identified"
    if given.rate is not None:
        strict = 1 - (1 - level) / given.attacks
        for percent in given.power:
            n = planning.people_above(chance, given.rate / 100, strict, percent / 100)
            least = int(planning.fewest_hits(n, chance, strict))
            yield (
                f"above chance, where the rate is {given.rate:g} %{of}, power {percent:g} %",
                f"{n} people, of whom at least {least} identified",
            )
    yield (
        f"nobody identified: a rate below {given.margin:g} % ({given.level:g} %)",
        f"{planning.nobody(margin, level)} people",
    )
    if given.people is not None:
        yield from _at_hand(given.people, chance, level, powers)


def _at_hand(people: int, chance: float, level: float, powers):
    """Yield what so many people can show."""
    if people < 1:
        raise ValueError("--people must be at least 1")
    for words, power in powers:
        reach = 100 * planning.margin_within(people, chance, level, power)
        shown = f"less than {reach:.1f} points above chance" if reach == reach else "nothing"
        yield f"what {people} people can show, {words}", shown


def _asked(given: argparse.Namespace) -> tuple[str, float]:
    """Return how people are asked for, and chance."""
    if given.chance is not None:
        return "identified", given.chance / 100
    number = given.gallery if given.gallery is not None else given.options or 5
    if given.options is not None:
        number = given.options
    if number < 2:
        raise ValueError("there must be at least 2 people to choose from")
    how = "named first among" if given.gallery is not None else "picked from"
    return f"{how} {number}", 1 / number
