"""Compare one variant of one batch with its originals."""

from pathlib import Path

from refacebench import contracts, manifest, vocabulary
from refacebench.run import batch, log
from refacebench.stages import measure

#: Columns of the original's segmentation that the comparison needs.
ORIGINAL = {"seg_path": "original_seg_path", "brainseg_path": "original_brainseg_path"}


def join_original(rows, originals):
    """Add the original's segmentation to each row, by scan."""
    usable = originals[originals["status"] == vocabulary.OK]
    columns = usable[["scan", *ORIGINAL]].rename(columns=ORIGINAL)
    return rows.merge(columns, on="scan", how="left").fillna(dict.fromkeys(ORIGINAL.values(), ""))


def reopened(rows):
    """Let the images be judged that only the segmenter failed on, so that no crash hides in them.

    Their status is kept in ``segment_status`` and comes back with the verdict.
    """
    image = rows["path"].fillna("").map(lambda path: bool(path) and Path(path).is_file())
    lost = (rows["stage"] == "segment") & (rows["status"] != vocabulary.OK) & image
    lost &= rows["variant"] != "original"
    rows = rows.assign(segment_status=rows["status"].where(lost, ""))
    rows.loc[lost, "status"] = vocabulary.OK
    return rows


def main(snakemake):
    """Measure each scan; writes the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params

    def work(row):
        if not row["original_seg_path"]:
            raise contracts.ScanExcluded("the original could not be segmented")
        if row["segment_status"]:
            kept = {"status": row["segment_status"], "stage": "segment", "reason": row["reason"]}
            return {**measure.judge(row, p.thresholds), **kept}
        return measure.measure(row, p.thresholds)

    def inputs(row):
        names = ("path", "original_path", *(n for n in row if n.endswith("_path")))
        return sorted({row[name] for name in names if row[name]})

    rows = manifest.read(snakemake.input.variant)
    originals = manifest.read(snakemake.input.original)
    if "seg_path" not in originals:  # not one scan of the batch could be segmented
        originals = originals.assign(**dict.fromkeys(ORIGINAL, ""))
    batch.run_batch(
        reopened(join_original(rows, originals)),
        work,
        snakemake.output[0],
        stage="measure",
        method="measures",
        version=p.version,
        params=p.thresholds,
        inputs=inputs,
        timeout=p.timeout,
        preload=("scipy.ndimage", "skimage.metrics"),
    )


if __name__ == "__main__":
    main(snakemake)
