"""Refacing benchmark: which way of hiding a face protects, and what it costs.

The library behind the workflow.  No module here knows Snakemake, so that all
of it can be used from a notebook.  Imports are kept light: heavy packages
(antspyx, torch, statsmodels, seaborn) are imported inside the functions that
need them.
"""

__version__ = "0.1.0"
