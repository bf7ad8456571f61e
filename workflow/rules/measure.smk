# Measure every variant against its originals.
#
# Inputs:
#   results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv
#   results/segment/{dataset}/{segmenter}/original/{batch}.tsv
#   results/plan/{dataset}/{batch}.tsv           and the user's tables, where measures are brought
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
    wildcard_constraints:
        dataset=graph.alternatives(set(RUN.datasets) - set(RUN.brought)),
    priority: EARLY["measure"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("measure"),
        tries_left=tries_left,
        runtime=120,
    params:
        attempt=attempt("results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv"),
        thresholds={
            **configuration.quality_thresholds(config),
            **({measure.KEEP_SLICES: True} if config["slice_similarity"] else {}),
        },
        version=measure.VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/measure.py"


rule bring:
    """Take over the measures that other software made, of all variants of a batch."""
    output:
        expand(
            "results/measure/{{dataset}}/{segmenter}/{variant}/{{batch}}.tsv",
            segmenter=RUN.segmenters,
            variant=RUN.variants,
        ),
    log:
        "results/logs/bring/{dataset}/{batch}.log",
    benchmark:
        "results/benchmarks/bring/{dataset}/{batch}.tsv"
    wildcard_constraints:
        dataset=graph.alternatives(RUN.brought),
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        dataset="{dataset}",
        entry=lambda w: RUN.entry("datasets", w.dataset),
        method=lambda w: RUN.version("datasets", w.dataset),
        version=bring.VERSION,
        segmenters=RUN.segmenters,
        variants=RUN.variants,
        scans="results/plan/{dataset}/{batch}.tsv",
        digest=lambda w: RUN.digest(w.dataset, w.batch),
    script:
        "../scripts/bring.py"
