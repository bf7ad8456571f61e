"""Render the images of one variant and batch; pictures and depth maps stay below results."""

from refacebench import manifest
from refacebench.head import registration, rendering
from refacebench.run import batch, log


def main(snakemake):
    """Look at each head; writes one file a scan and the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params
    rows = manifest.read(snakemake.input[0]).assign(variant=p.variant)
    if "template_path" not in rows:  # rescans come from the inventory: their pose is found here
        rows["template_path"] = ""
        registration.load()
    batch.run_batch(
        rows,
        lambda row: rendering.render_row(row, p.views, p.options),
        snakemake.output[0],
        stage="render",
        method="rendering",
        version=p.version,
        params=p.options,
        inputs=lambda row: [row[k] for k in ("path", "template_path") if row[k]],
        timeout=p.timeout,
        preload=("scipy.ndimage", "skimage.filters"),
    )


if __name__ == "__main__":
    main(snakemake)
