"""Runs that are planned and never started: scans whose headers alone are read."""

import nibabel as nib
import numpy as np
import yaml

from refacebench import files
from refacebench.run import settings
from refacebench.run.graph import Run
from running import ROOT, bids

SCHEMA = files.read_yaml(ROOT / "workflow/schemas/config.schema.yaml")


def scans(folder, people=4, edge=100):
    """Write a scan for each person, a cube with so many voxels along an edge; return the data."""
    data = bids(folder / f"bids{people}", participants=people)
    for path in (folder / f"bids{people}").rglob("*.nii.gz"):
        nib.save(nib.Nifti1Image(np.zeros((edge, edge, edge), np.uint8), np.eye(4)), path)
    return data


def planned(folder, data, **changes):
    """Return the run of a config that is written to a folder, in which all people are compared.

    Parameters
    ----------
    folder : Path
    data : dict
        The dataset.
    **changes
        Keys of the config.
    """
    config = {
        "datasets": {"mine": data},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"quickshear": {}},
        **changes,
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(config))
    return Run.load(settings.load(path, SCHEMA), look=True)
