"""The contract of an attacker: one module, named as in the config.

An attacker owns a gallery: originals of known people.  He is given a query, a
scan of a variant, and says how far each gallery scan is from it.  A module
``attackers/<name>.py`` defines

``VERSION : str`` and ``OPTIONS : dict``
    As for defacers.
``enrol(subject, options) -> dict of str to numpy.ndarray``
    What the attacker keeps of one scan (:class:`Subject`); each entry has the
    same shape for all scans.  An entry ``detected`` (bool) says whether a face
    was found.  Raises ``ValueError`` with a clear message when the scan gives
    him nothing: it becomes the query's reason.
``score(queries, gallery, options, context) -> Scores``
    ``queries``, ``gallery`` : :class:`Enrolled`.  ``context`` : :class:`Context`.

and may define

``TITLE : str``
    A line for tables and the report.
``missing(options) -> str``
    What has to be installed before it can run; empty when nothing has.
``training(options) -> bool``
    Whether it wants renderings of the train split, originals and the variant's
    (then those participants' scans are defaced and refaced too).
``BRAINS = True``
    It wants the brain mask that the first segmenter found *in the variant's own
    image* (:attr:`Subject.brain_path`).
``FLOOR = True``
    It looks at no face: what it reaches is a floor under every defacer, shown
    beside the worst case and not counted in it.
``CONTROLS : tuple of str``
    Which of :data:`refacebench.vocabulary.PICTURE_CONTROLS` it can be given; default all.

An attack ends in ``results/attack/{dataset}/{attacker}/{variant}.npz``; see
:func:`refacebench.stages.attack.save_attack` for what is in it.
"""

from __future__ import annotations
