"""Delete pictures of faces when everything that needs them is there: ``keep_faces: false``.

What is deleted: the views of :mod:`refacebench.stages.render` with the manifests that name
them, what attackers keep of each face in the gallery, the sample slices of trainings, and the
pages for quality control of an earlier run.
Snakemake does not miss a file whose users are finished, and makes it again when one of them
has to run once more.  Records, distances and tables stay.

Touches the folders ``render``, ``enrol``, ``qc`` and ``train`` of a run; notes in its plan when.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from refacebench import faces, files
from refacebench.run import failures
from refacebench.run.graph import Run
from refacebench.run.mistakes import ConfigError


def delete_faces(run: Run, results: str | Path = "results") -> int:
    """Delete the pictures of faces that nothing of a run waits for; return how many files went.

    Pictures of a dataset stay while one of its attacks is missing, samples of a model while
    their figure is.
    """
    results = Path(results)
    gone = 0
    for dataset in run.datasets:
        gone += _delete(results.glob(f"qc/{dataset}"))
        attacks = run.attack_files(dataset)
        if attacks and all((results.parent / path).is_file() for path in attacks):
            gone += _delete(results.glob(f"render/{dataset}/*/*.tsv"))
            gone += _delete(results.glob(f"render/{dataset}/*/views/*"))
            # Notes on views that went before: these are missing now like all others.
            _delete(results.glob(f"render/{dataset}/*/*.dropped.json"))
            gone += _delete(results.glob(f"enrol/{dataset}/*.npz"))
        for variant in run.trainings:
            if (results / "figures" / dataset / f"samples-{variant}.png").is_file():
                gone += _delete(results.glob(f"train/{dataset}/{variant}/{faces.SAMPLES}/*.npy"))
    if gone:
        files.write_text("Pictures of faces were deleted.\n", results / failures.FORGOTTEN)
    return gone


def check_kept(keep_faces: bool) -> None:
    """Refuse to make the page for quality control where no picture of a face may outlive a run.

    Raises
    ------
    ConfigError
        If that is the config's wish.
    """
    if not keep_faces:
        raise ConfigError(
            "qc: the page holds pictures of faces, and this config says `keep_faces: false`. "
            "Add `--config keep_faces=true` for as long as you check scans; a later run without "
            "it deletes the page"
        )


def _delete(paths: Iterable[Path]) -> int:
    count = 0
    for path in list(paths):
        files.refuse_links(path.parent)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        count += 1
    return count
