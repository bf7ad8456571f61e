"""A BIDS data set to give away: the scans of one variant, with tables and sidecars cleaned.

Reads what a run left below ``results/`` and the data set that it was made from; writes one new
folder (``dataset``).  What may stay in a table (``columns``) and in a sidecar (``sidecars``) are
rules without files.
"""
