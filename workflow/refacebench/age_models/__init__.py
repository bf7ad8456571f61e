"""Age models that see images, one file each (:class:`refacebench.contracts.AgeModel`)."""
