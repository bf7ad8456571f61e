# Measure every variant against its originals.
#
# Inputs:
#   results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv
#   results/segment/{dataset}/{segmenter}/original/{batch}.tsv
# Outputs:
#   results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv   manifest with all measures


rule measure:
    """Overlap, volumes, similarity, quality class and brain integrity per scan."""
    input:
        variant=rules.segment.output[0],
        original="results/segment/{dataset}/{segmenter}/original/{batch}.tsv",
    output:
        "results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv",
    log:
        "results/logs/measure/{dataset}/{segmenter}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        attempt=attempt("results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv"),
        thresholds=configuration.quality_thresholds(config),
        version=measure.VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/measure.py"
