"""What trained refacing models share.

Torch-free, read wherever a run is planned: ``options`` (those that mean the same for all),
``pairs`` (reading and the card), ``seeds``, ``working_grid``, ``slices`` and ``whole_heads``
(scans as a network's data), ``slicewise`` and ``slice_task`` (everything that slice-wise methods
have in common), ``gaussian`` and ``head_prior`` (a statistical head, no network).  With torch,
bound by :mod:`refacebench.lazy`: ``task``, ``loop``, ``state``, ``outputs`` (a training that can
be killed), ``devices``, ``recorded``, ``optimisers``, ``slice_stack`` and ``head_stack`` (data in
memory), ``networks``, ``cpgan_networks``, ``cpgan``, ``pyramid``, ``wasserstein``.
"""
