# Segmentation of every variant from scratch.
# in <- the variant's manifest; out -> results/segment manifests, label images in derivatives.


rule segment:
    """Segment one variant of one batch, knowing nothing of the original."""
    input:
        variant_manifest,
    output:
        "results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv",
    log:
        "results/logs/segment/{dataset}/{segmenter}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=480,
    params:
        name="{segmenter}",
        variant="{variant}",
        attempt=attempt("results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv"),
        entry=lambda w: entry("segmenters", w.segmenter),
        version=lambda w: version("segmenters", w.segmenter),
        derivatives="results/derivatives/{dataset}/{variant}",
        shared="results/segment/{dataset}/{segmenter}/shared",
        timeout=config["scan_timeout_s"],
    script:
        "../scripts/segment.py"
