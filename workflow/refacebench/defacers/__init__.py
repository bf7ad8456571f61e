"""Defacers: they remove or change the face of a scan; one file each.

The contract: :class:`refacebench.contracts.Defacer`.
"""
