"""Head mask, brain mask, template registration and face region of each original."""

from refacebench import manifest
from refacebench.head import extraction, face_parts, pose, registration
from refacebench.run import batch, log
from refacebench.stages import prepare


def main(snakemake):
    """Prepare the scans of one batch; writes derivatives and the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params
    # Before the scans' processes fork, so that they share it.
    extraction.load_brain_extractor()
    registration.load()
    face_parts.load()
    pose.load()
    batch.run_batch(
        manifest.read(snakemake.input[0]),
        lambda row: prepare.prepare(row, p.derivatives),
        snakemake.output[0],
        stage="prepare",
        method="deepbet",
        version=p.version,
        timeout=p.timeout,
        preload=("ants", "scipy.ndimage", "skimage.filters"),
    )


if __name__ == "__main__":
    main(snakemake)
