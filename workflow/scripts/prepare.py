"""Head mask, brain mask, template registration and face region of each original."""

from refacebench import jobs, manifest, masks, prepare


def main(snakemake):
    """Prepare the scans of one batch; writes derivatives and the manifest."""
    jobs.start(snakemake.log[0])
    p = snakemake.params
    masks.load_brain_extractor()  # before the scans' processes fork, so that they share it
    manifest.run_batch(
        manifest.read(snakemake.input[0]),
        lambda row: prepare.prepare(row, p.derivatives),
        snakemake.output[0],
        stage="prepare",
        method="deepbet",
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(snakemake)
