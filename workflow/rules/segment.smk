# Segment every variant from scratch, knowing nothing of the original.
#
# Inputs:
#   results/{prepare,inventory}/{dataset}/{batch}.tsv        originals; later sessions of them
#   results/{deface,reface}/{dataset}/{variant}/{batch}.tsv  the other variants
# Outputs:
#   results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv   manifest with volumes
#   results/derivatives/{dataset}/{variant}/                      brain masks, tissues, regions
#   results/segment/{dataset}/{segmenter}/shared/                 what all batches share


rule segment:
    """Segment one variant of one batch, knowing nothing of the original."""
    input:
        lambda w: RUN.variant_manifest(w.dataset, w.variant, w.batch),
    output:
        "results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv",
    log:
        "results/logs/segment/{dataset}/{segmenter}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv"
    priority: EARLY["segment"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("segment", "segmenter"),
        tries_left=tries_left,
        runtime=480,
    params:
        name="{segmenter}",
        variant="{variant}",
        attempt=attempt("results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv"),
        entry=lambda w: RUN.entry("segmenters", w.segmenter),
        version=lambda w: RUN.version("segmenters", w.segmenter),
        derivatives="results/derivatives/{dataset}/{variant}",
        shared="results/segment/{dataset}/{segmenter}/shared",
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/segment.py"
