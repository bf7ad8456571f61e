# Check the originals, and find what every later stage needs to know about them.
#
# Inputs:
#   results/plan/{dataset}/{batch}.tsv           the batch lists, or, of synthetic cohorts,
#   results/grow/{dataset}/{batch}.tsv
# Outputs:
#   results/inventory/{dataset}/{batch}.tsv      manifest of the check: a row per scan
#   results/prepare/{dataset}/{batch}.tsv        manifest of what was found
#   results/derivatives/{dataset}/original/      masks, face labels, transforms to the template


rule inventory:
    """Check each scan of a batch: readable, 3-D, finite, plausible, a head."""
    input:
        lambda w: RUN.grown_scans(w.dataset, w.batch),
    output:
        "results/inventory/{dataset}/{batch}.tsv",
    log:
        "results/logs/inventory/{dataset}/{batch}.log",
    benchmark:
        "results/benchmarks/inventory/{dataset}/{batch}.tsv"
    priority: EARLY["inventory"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("inventory"),
        tries_left=tries_left,
        runtime=60,
    params:
        scans="results/plan/{dataset}/{batch}.tsv",
        digest=lambda w: RUN.digest(w.dataset, w.batch),
        attempt=attempt("results/inventory/{dataset}/{batch}.tsv"),
        limits=config["checks"],
        version=inventory.VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/inventory.py"


rule prepare:
    """Make head mask, brain mask, template registration and face region."""
    input:
        rules.inventory.output[0],
    output:
        "results/prepare/{dataset}/{batch}.tsv",
    log:
        "results/logs/prepare/{dataset}/{batch}.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}/{batch}.tsv"
    priority: EARLY["prepare"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("prepare"),
        tries_left=tries_left,
        runtime=120,
    params:
        derivatives="results/derivatives/{dataset}/original",
        attempt=attempt("results/prepare/{dataset}/{batch}.tsv"),
        limits=prepare.brain_limits(config["checks"]),
        version=prepare.VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/prepare.py"
