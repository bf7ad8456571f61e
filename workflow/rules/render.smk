# Rendering: in <- a variant's manifest; out -> results/render manifests and views.
# Views show faces: they stay below results/, whatever the dataset's config says.


rule render:
    """Look at the head surface of one variant of one batch: pictures and depth maps."""
    input:
        variant_manifest,
    output:
        "results/render/{dataset}/{variant}/{batch}.tsv",
    log:
        "results/logs/render/{dataset}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/render/{dataset}/{variant}/{batch}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        variant="{variant}",
        attempt=attempt("results/render/{dataset}/{variant}/{batch}.tsv"),
        options=config["rendering"],
        version=rendering.VERSION,
        views="results/render/{dataset}/{variant}/views",
        timeout=config["scan_timeout_s"],
    script:
        "../scripts/render.py"
