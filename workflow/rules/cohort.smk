# Grow the scans of synthetic cohorts; datasets of files need none of this.
#
# Inputs:
#   none but the config, and results/plan/{dataset}/{batch}.tsv (the batch lists)
# Outputs:
#   results/cohort/{dataset}/base/               what all scans of a cohort share
#   results/cohort/{dataset}/bids/               the cohort as a BIDS folder
#   results/grow/{dataset}/{batch}.tsv           manifest: a row per scan


rule base:
    """Build what all scans of a synthetic cohort share: base head and shapes."""
    output:
        "results/cohort/{dataset}/base/statement.txt",
    log:
        "results/logs/base/{dataset}.log",
    benchmark:
        "results/benchmarks/base/{dataset}.tsv"
    priority: EARLY["base"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        dataset="{dataset}",
        entry=lambda w: RUN.entry("datasets", w.dataset),
        version=lambda w: RUN.version("datasets", w.dataset),
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
    priority: EARLY["grow"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("grow"),
        tries_left=tries_left,
        runtime=240,
    params:
        dataset="{dataset}",
        entry=lambda w: RUN.entry("datasets", w.dataset),
        version=lambda w: RUN.version("datasets", w.dataset),
        true_volumes=grow.VERSION,
        seed=config["seed"],
        base=lambda w, input: str(Path(input.base).parent),
        scans="results/plan/{dataset}/{batch}.tsv",
        people="results/plan/{dataset}/people.tsv",
        digest=lambda w: RUN.digest(w.dataset, w.batch),
        known=lambda w: RUN.people_digest(w.dataset, [w.batch]),
        attempt=attempt("results/grow/{dataset}/{batch}.tsv"),
        bids="results/cohort/{dataset}/bids",
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/grow.py"
