"""Refacers: trained models that put a face back; one file each.

The contract: :class:`refacebench.contracts.Refacer`.
"""
