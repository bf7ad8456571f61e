"""Apply one trained refacing model to the defaced scans of one batch."""

import json
from pathlib import Path

import numpy as np

from refacebench import bids, contracts, manifest, vocabulary
from refacebench.image import nifti
from refacebench.run import batch, log, methods


def main(snakemake):
    """Reface each scan; writes images and the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("refacers", p.name, p.entry)
    method, options = chosen.method, chosen.options
    card_path = Path(snakemake.input.card)
    card = json.loads(card_path.read_text())
    usable = card.get("status", vocabulary.OK) == vocabulary.OK
    model = method.load(card_path.parent, options) if usable else None
    bids.describe(p.derivatives, p.variant)

    def work(row):
        if model is None:
            raise RuntimeError(card["reason"])
        volume = nifti.read(row["path"])
        changed = nifti.read_mask(row["changed_path"])
        values = method.run(model, volume, changed, options)
        taken = contracts.taken(changed, options)
        if not np.isfinite(values[taken]).all():
            raise RuntimeError("the model's output is not finite")
        image = bids.derivative(p.derivatives, row["scan"], "T1w", "refaced")
        nifti.write_changed(row["path"], values, taken, image)
        bids.write_sidecar(
            image,
            [row["path"]],
            method=p.name,
            version=p.version,
            parameters=options,
            key=row["key"],
            Engine="native",
        )
        return {"path": str(image)}

    weights = [card_path.parent / "model.safetensors"] if usable else []
    batch.run_batch(
        manifest.read(snakemake.input.manifest).assign(variant=p.variant),
        work,
        snakemake.output[0],
        stage="reface",
        method=p.name,
        version=p.version,
        params={**options, "headers": p.headers},
        inputs=lambda row: [row["path"], row["changed_path"], *weights],
        timeout=p.timeout,
        isolate=not p.gpu,
    )


if __name__ == "__main__":
    main(snakemake)
