"""Segment the images of one variant and batch from scratch."""

import numpy as np

from refacebench import bids, manifest
from refacebench.image import nifti
from refacebench.run import batch, log, methods
from refacebench.vocabulary import DSEG


def main(snakemake):
    """Segment each image; writes masks, label images and the manifest with volumes."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("segmenters", p.name, p.entry)
    method, options = chosen.method, chosen.options
    method.prepare(options, p.shared)
    desc = bids.label(p.name)

    def work(row):
        volume = nifti.read(row["path"])
        found = method.run(volume, options, row["path"])
        tissue = np.where(found.vcsf, DSEG["vcsf"], found.tissue).astype(np.uint8)
        files = {
            "seg_path": (tissue, "dseg", desc),
            "brainseg_path": (found.brain, "mask", f"{desc}Brain"),
            "regions_path": (found.regions.astype(np.uint8), "dseg", f"{desc}Regions"),
        }
        row_out = {}
        for column, (data, suffix, label) in files.items():
            path = bids.derivative(p.derivatives, row["scan"], suffix, label)
            nifti.write(volume.with_data(data), path)
            row_out[column] = str(path)
        volumes = {f"vol_{name}": float(ml) for name, ml in found.volumes.items()}
        return {**row_out, **volumes, **{f"q_{k}": float(v) for k, v in found.quality.items()}}

    batch.run_batch(
        manifest.read(snakemake.input[0]).assign(variant=p.variant, segmenter=p.name),
        work,
        snakemake.output[0],
        stage="segment",
        method=p.name,
        version=p.version,
        engine=chosen.engine,
        params=options,
        timeout=p.timeout,
        preload=method.preload,
    )


if __name__ == "__main__":
    main(snakemake)
