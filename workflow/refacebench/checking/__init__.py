"""What every method must keep, as checks that run on small made-up data.

The tests of this project and ``python -m refacebench check`` run the same checks
(:mod:`refacebench.checking.suite`).  A check is a function of a bench (the method, its options,
and data made for it); the first line of its docstring is what it makes sure of.  Each kind of
method has a module here with its ``Bench`` and its ``CHECKS``.

Writes into the folder that it is given, and prints nothing.
"""
