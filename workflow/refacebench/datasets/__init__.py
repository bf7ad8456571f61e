"""Datasets: folders of scans, or cohorts that are grown at run time; one file each.

The contract: :class:`refacebench.contracts.Dataset`.
"""
