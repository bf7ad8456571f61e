"""A small cohort as the page for quality control is made from it, for tests."""

import base64

import numpy as np
import pandas as pd
from PIL import Image

import factories
from refacebench import manifest
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.qc import making
from refacebench.vocabulary import ORIGINAL

SHOWN = ("original", "pydeface", "quickshear", "pydeface+pix2pix25d", "quickshear+pix2pix25d")


class Given(dict):
    """Paths by name, as a rule gives them."""

    __getattr__ = dict.__getitem__


class Made:
    """The page of a made-up cohort of six people, with pictures of a few pixels."""

    def __init__(self, home, faces="private", people=6):
        self.home, self.folder = home, home / "results" / "qc" / "demo"
        self.scans = self.folder / "scans.tsv"
        ramp = np.arange(512, dtype=np.uint8).reshape(8, 8, 8)
        nifti.write(Volume(ramp, np.eye(4)), home / "small.nii.gz")
        self.coded = base64.b64encode((home / "small.nii.gz").read_bytes()).decode()
        table = factories.measurements(n_participants=people, n_train=0, n_rescans=0)
        pictures = table[table["variant"].isin(SHOWN)]
        rows = [self._picture(row) for row in pictures.to_dict("records")]
        given = {"measured": [], "pictures": [], "attacks": []}
        for variant, mine in table.groupby("variant", sort=False):
            path = home / f"measure-{variant}.tsv"
            manifest.write(mine, path)
            given["measured"].append(path)
        for variant in SHOWN:
            path = self.folder / variant / "test-measured-000.tsv"
            manifest.write(pd.DataFrame([r for r in rows if r["variant"] == variant]), path)
            given["pictures"].append(path)
        making.make(Given(given), self.scans, dataset="demo", config={"seed": 1}, faces=faces)

    def _picture(self, row):
        if row["status"] != "ok" and row["stage"] == "deface":
            return row
        stem = self.folder / row["variant"] / "pictures" / row["scan"]
        stem.parent.mkdir(parents=True, exist_ok=True)
        grey = int(row["variant"] != ORIGINAL) * 100 + 50
        for name in ("slices", "face"):
            Image.fromarray(np.full((20, 30), grey, np.uint8)).save(f"{stem}_{name}.jpg")
        Image.new("L", (30, 20)).save(f"{stem}_outline.png")
        stem.with_name(f"{stem.name}_viewer.js").write_text(f'QC.volume("{self.coded}");\n')
        made = {
            "slices_path": f"{stem}_slices.jpg",
            "faces_path": f"{stem}_face.jpg",
            "outline_path": f"{stem}_outline.png" if row["variant"] == ORIGINAL else "",
            "viewer_path": f"{stem}_viewer.js",
            "image": f"i-{row['variant']}-{row['scan']}"[:14],
        }
        return {**row, "status": "ok", "reason": "", "stage": "qc", **made}
