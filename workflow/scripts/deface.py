"""Run one defacer over the scans of one batch."""

from refacebench import bids, manifest
from refacebench.run import batch, log, methods
from refacebench.stages import deface

#: Columns with the files of a scan that its defaced image depends on.
PREPARED = ("path", "brain_path", "head_path", "template_path")


def main(snakemake):
    """Deface each scan; writes images, masks of changed voxels and the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params
    with log.scratch(p.scratch):
        _deface(snakemake, p)


def _deface(snakemake, p):
    chosen = methods.choose("defacers", p.name, p.entry)
    method, options, engine = chosen.method, chosen.options, chosen.engine
    program = method.program_version(options)
    shown, files = method.public(options), method.inputs(options)
    version = program or p.version
    bids.describe(p.derivatives, p.name)
    method.prepare(options)

    def work(row):
        image = bids.derivative(p.derivatives, row["scan"], "T1w", "defaced")
        mask = bids.derivative(p.derivatives, row["scan"], "mask", "changed")
        facts = deface.apply(deface.prepared(row, p.seed), method, options, image, mask)
        bids.write_sidecar(
            image,
            [row["original_path"]],
            method=p.name,
            version=version,
            parameters=shown,
            key=row["key"],
            Engine=engine,
        )
        paths = {"path": str(image), "changed_path": str(mask)}
        return {"variant": p.name, **paths, "version": version, **facts}

    batch.run_batch(
        manifest.read(snakemake.input[0]).assign(variant=p.name),
        work,
        snakemake.output[0],
        stage="deface",
        method=p.name,
        version=p.version,
        engine=engine,
        params={**options, "seed": p.seed, "program": program, "headers": p.headers},
        inputs=lambda row: [*(row[k] for k in PREPARED), *files],
        timeout=p.timeout,
        preload=("scipy.ndimage", *method.preload),
    )


if __name__ == "__main__":
    main(snakemake)
