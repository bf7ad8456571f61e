"""The mathematics of the results: cohorts, intervals, tests, trials of attackers; pure functions.

Which scans are compared with which: :mod:`~refacebench.statistics.cohort`.  Tables that are made
of all this: :mod:`refacebench.results`.
"""
