# Look at the heads of every variant.  Views show faces: they stay below results/,
# whatever the dataset's config says.
#
# Inputs:
#   results/{prepare,inventory}/{dataset}/{batch}.tsv        originals; later sessions of them
#   results/{deface,reface}/{dataset}/{variant}/{batch}.tsv  the other variants
#   results/{align,carry}/{dataset}/.../{batch}.tsv          companions, where there are any
# Outputs:
#   results/render/{dataset}/{shown}/{batch}.tsv             manifest: a row per scan
#   results/render/{dataset}/{shown}/views/                  pictures and depth maps
# {shown} is a variant, or a variant and another contrast: pydeface@T2w


rule render:
    """Look at the head surface of one variant of one batch: pictures and depth maps."""
    input:
        lambda w: RUN.variant_manifest(w.dataset, w.shown, w.batch),
    output:
        "results/render/{dataset}/{shown}/{batch}.tsv",
    log:
        "results/logs/render/{dataset}/{shown}/{batch}.log",
    benchmark:
        "results/benchmarks/render/{dataset}/{shown}/{batch}.tsv"
    priority: EARLY["render"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("render"),
        tries_left=tries_left,
        runtime=120,
    params:
        variant="{shown}",
        attempt=attempt("results/render/{dataset}/{shown}/{batch}.tsv"),
        options=config["rendering"],
        version=rendering.VERSION,
        views="results/render/{dataset}/{shown}/views",
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/render.py"
