"""Segmenters: brain, tissues and regions of one image; one file each.

The contract: :class:`refacebench.contracts.Segmenter`.
"""
