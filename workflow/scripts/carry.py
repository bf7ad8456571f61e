"""Carry one defacer's masks over to the companions of the scans of one batch."""

from refacebench import bids, manifest
from refacebench.run import batch, log
from refacebench.stages import carry


def main(snakemake):
    """Mask each companion; writes images, masks and the manifest, one row a companion."""
    log.start(snakemake.log[0])
    p = snakemake.params
    bids.describe(p.derivatives, p.name)

    def work(row):
        facts = carry.apply(row, p.derivatives, p.margin_mm)
        bids.write_sidecar(
            facts["path"],
            [row["path"], row["t1w_path"]],
            method=f"{p.name}, mask of the T1w scan carried over and set to zero",
            version=p.version,
            parameters={"carry_margin_mm": p.margin_mm},
            key=row["key"],
            AlignedBy=row["aligned_by"],
        )
        return {"variant": p.name, **facts}

    batch.run_batch(
        carry.join(manifest.read(snakemake.input.deface), manifest.read(snakemake.input.align)),
        work,
        snakemake.output[0],
        stage="carry",
        method=p.name,
        version=p.version,
        params={"carry_margin_mm": p.margin_mm, "headers": p.headers},
        inputs=lambda row: [row[k] for k in ("path", "align_path", "changed_path", "brain_path")],
        timeout=p.timeout,
        preload=("scipy.ndimage",),
    )


if __name__ == "__main__":
    main(snakemake)
