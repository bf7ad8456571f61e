"""Does an attack that sees only the site look as if it knew faces?  Before and after matching.

    python benchmarks/galleries.py                       # one table, minutes
    python benchmarks/galleries.py --repeats 50 --people 13 --sites 3

Every repeat draws so many people, as many of each site and sex as can be and of 20 to 80
years, and the distances of one attack between everybody and the gallery of all.  ``knows``: what
makes somebody of the gallery nearer, beside chance: ``nothing``, ``site``, ``site, sex``, or
``face`` (the own face lies 1.5 standard deviations nearer, and nothing is known of the site).
Prints one row a setting:

``unmatched``    mean rate of a choice among five, distractors from everybody (chance 0.2)
``matched``      the same, distractors matched on site, sex and age band as far as there are enough
``control``      the same, of the control that knows only site and sex
``all_alike``    share of people of whose distractors all are of their site at least
``p_before``     share of repeats in which the unmatched rate is above chance (p < 0.05), people
                 swapping identities at random
``p_now``        the same of the matched rate, people swapping within what is alike
``above_before``, ``above_now``   share in which the interval of the rate lies wholly above chance
``rank1_before``, ``rank1_now``   share in which the exact test of rank 1 says so (p < 0.05), in
                 the whole gallery and in the matched one

For what knows no face the six last are errors, for ``face`` they are power.  ``monte_carlo`` is the
standard error of a share of 5 % with so many repeats.  Reads and writes nothing unless told
(``--out``).
"""

import argparse
import time

import numpy as np
import pandas as pd

from refacebench.statistics import galleries
from refacebench.statistics.attacks import rate_interval
from refacebench.statistics.chance import poisson_binomial_tail
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.swaps import shuffled_rates
from refacebench.statistics.trials import Trials, choice, within
from refacebench.statistics.worst import any_above_chance

PROTOCOL = Protocol()
SITE_AND_SEX = Protocol(match=("site", "sex"))
OPTIONS = PROTOCOL.options
KNOWS = ("nothing", "site", "site, sex", "face")
#: By how many standard deviations the own face is nearer, for an attack that knows faces.
NEARER = 1.5
#: By how many those of another site or sex are farther, for an attack that sees that.
FARTHER = 20.0


def draw_people(rng, n: int, sites: int) -> pd.DataFrame:
    """Return the attributes of so many people."""
    return pd.DataFrame(
        {
            "site": rng.permutation([f"s{i % sites}" for i in range(n)]),
            "sex": rng.permutation(["f" if i % 2 else "m" for i in range(n)]),
            "age": rng.uniform(20, 80, n),
        },
        index=[f"p{i:04d}" for i in range(n)],
    )


def distances(rng, people: pd.DataFrame, knows: str) -> np.ndarray:
    """Return the distances of an attack, person i's own on the diagonal."""
    n = len(people)
    found = rng.normal(size=(n, n))
    if knows == "face":
        found[np.arange(n), np.arange(n)] -= NEARER
    for name in ("site", "sex"):
        if name in knows:
            value = people[name].to_numpy()
            found += FARTHER * (value[:, None] != value[None, :])
    return found


def trials_of(matrix: np.ndarray) -> Trials:
    """Return the trials of an attack: everybody once against everybody."""
    t = galleries.among(len(matrix))
    match, others = np.diagonal(matrix).copy(), matrix.copy()
    others[t.query, t.query] = np.nan
    less, none = (others < match[:, None]).sum(axis=1), np.zeros(len(matrix), dtype=int)
    fields = {name: getattr(t, name) for name in t.__dataclass_fields__}
    return Trials(**{**fields, "less": less, "tied": none, "match": match, "others": others})


def once(rng, n: int, sites: int, knows: str, criteria: Criteria) -> dict:
    """Return what the library says of one attack."""
    people = draw_people(rng, n, sites)
    t = trials_of(distances(rng, people, knows))
    like = galleries.likeness(people, people.index, PROTOCOL)
    known = galleries.likeness(people, people.index, SITE_AND_SEX)
    levels = galleries.narrowed(t, like)
    nearest = galleries.nearest(levels)
    rates = {
        "before": (lambda u: choice(u, OPTIONS), None),
        "now": (
            lambda u: galleries.matched_choice(galleries.narrowed(u, like), OPTIONS),
            galleries.strata(like)[0],
        ),
    }
    row = {
        "control": galleries.control_values(t, like, known, OPTIONS)["choice"].mean(),
        "all_alike": galleries.matched_on(t, levels, like, OPTIONS)["n_matched"] / n,
        "rank1_before": _p_rank1(t) < criteria.alpha,
        "rank1_now": _p_rank1(nearest) < criteria.alpha,
    }
    for when, (worth, strata) in rates.items():
        values = worth(t)
        drawn = shuffled_rates(t, {"choice": worth}, criteria, strata)["choice"]
        row["unmatched" if when == "before" else "matched"] = values.mean()
        row[f"p_{when}"] = any_above_chance([values.mean()], drawn[:, None]) < criteria.alpha
        row[f"above_{when}"] = rate_interval(pd.Series(values), criteria)[0] > 1 / OPTIONS
    return row


def _p_rank1(t: Trials) -> float:
    return poisson_binomial_tail(within(t, 1).sum(), 1 / t.size)


COLUMNS = ("unmatched", "matched", "control", "all_alike", "p_before", "p_now", "above_before",
           "above_now", "rank1_before", "rank1_now")  # fmt: skip


def table(people, sites, repeats: int, seed: int) -> pd.DataFrame:
    """Return the table that the module's docstring describes."""
    criteria = Criteria(n_boot=500, seed=seed)
    rows = []
    for n in people:
        for number in sites:
            for place, knows in enumerate(KNOWS):
                rng = np.random.default_rng([seed, n, number, place])
                found = [once(rng, n, number, knows, criteria) for _ in range(repeats)]
                means = pd.DataFrame(found)[list(COLUMNS)].astype(float).mean()
                rows.append({"people": n, "sites": number, "knows": knows, **means})
    return pd.DataFrame(rows)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[10, 13, 30, 100])
    parser.add_argument("--sites", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="write the table as TSV, too")
    given = parser.parse_args()
    start = time.process_time()
    found = table(given.people, given.sites, given.repeats, given.seed)
    if given.out:
        found.to_csv(given.out, sep="\t", index=False)
    print(found.to_string(index=False, float_format=lambda v: f"{v:.3f}", na_rep="-"))
    error = np.sqrt(0.05 * 0.95 / given.repeats)
    print(f"\nrepeats {given.repeats}; monte_carlo {error:.3f}; seconds of CPU "
          f"{time.process_time() - start:.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
