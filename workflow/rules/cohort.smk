# Synthetic cohorts: in <- config; out -> results/cohort/{dataset} and results/grow manifests.


rule base:
    """Build what all scans of a synthetic cohort share: base head and shapes."""
    output:
        "results/cohort/{dataset}/base/statement.txt",
    log:
        "results/logs/base/{dataset}.log",
    benchmark:
        "results/benchmarks/base/{dataset}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        dataset="{dataset}",
        entry=lambda w: entry("datasets", w.dataset),
        version=lambda w: version("datasets", w.dataset),
        seed=config["seed"],
    script:
        "../scripts/base.py"


rule grow:
    """Grow the scans of one batch."""
    input:
        base=rules.base.output[0],
    output:
        "results/grow/{dataset}/{batch}.tsv",
    log:
        "results/logs/grow/{dataset}/{batch}.log",
    benchmark:
        "results/benchmarks/grow/{dataset}/{batch}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        dataset="{dataset}",
        entry=lambda w: entry("datasets", w.dataset),
        version=lambda w: version("datasets", w.dataset),
        seed=config["seed"],
        base=lambda w, input: str(Path(input.base).parent),
        scans="results/plan/{dataset}/{batch}.tsv",
        digest=digest,
        attempt=attempt("results/grow/{dataset}/{batch}.tsv"),
        bids="results/cohort/{dataset}/bids",
        timeout=config["scan_timeout_s"],
    script:
        "../scripts/grow.py"
