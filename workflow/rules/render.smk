# Look at the heads of every variant.  Views show faces: they stay below results/,
# whatever the dataset's config says.
#
# Inputs:
#   results/{prepare,inventory}/{dataset}/{batch}.tsv        originals; later sessions of them
#   results/{deface,reface}/{dataset}/{variant}/{batch}.tsv  the other variants
# Outputs:
#   results/render/{dataset}/{variant}/{batch}.tsv           manifest: a row a scan
#   results/render/{dataset}/{variant}/views/                pictures and depth maps


rule render:
    """Look at the head surface of one variant of one batch: pictures and depth maps."""
    input:
        lambda w: RUN.variant_manifest(w.dataset, w.variant, w.batch),
    output:
        "results/render/{dataset}/{variant}/{batch}.tsv",
    log:
        "results/logs/render/{dataset}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/render/{dataset}/{variant}/{batch}.tsv"
    priority: EARLY["render"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("render"),
        tries_left=tries_left,
        runtime=120,
    params:
        variant="{variant}",
        attempt=attempt("results/render/{dataset}/{variant}/{batch}.tsv"),
        options=config["rendering"],
        version=rendering.VERSION,
        views="results/render/{dataset}/{variant}/views",
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/render.py"
