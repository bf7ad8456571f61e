"""Heads, from the template to what a camera sees.

The template: ``template`` (images), ``space`` (its millimetres on a scan's grid), ``average``
(continued below the chin), ``labels`` (what true labels say), ``matrices`` (the file of a
registration).  Registration: ``registration`` (starts and steps), ``matching`` (what a result
is worth), ``warp`` (the non-linear part).  Parts: ``masks`` (head and air), ``framing``,
``pose`` and ``extraction`` (the brain), ``face_parts``, ``region`` (what defacers take away).
The segmenter's atlas: ``atlas``, ``atlas_labels``, ``channels``, ``locating``.  Appearance:
``surface``, ``camera``, ``rendering``.  CP-GAN's privacy transform: ``hull``,
``sampled_hull``.
"""
