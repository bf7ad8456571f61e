# Inventory and preparation of the originals.
# in <- batch lists or grown scans; out -> results/{inventory,prepare} manifests, masks in derivatives/original.


rule inventory:
    """Check each scan of a batch: readable, 3-D, finite, plausible, a head."""
    input:
        grown_scans,
    output:
        "results/inventory/{dataset}/{batch}.tsv",
    log:
        "results/logs/inventory/{dataset}/{batch}.log",
    benchmark:
        "results/benchmarks/inventory/{dataset}/{batch}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        scans="results/plan/{dataset}/{batch}.tsv",
        digest=digest,
        attempt=attempt("results/inventory/{dataset}/{batch}.tsv"),
        limits=config["checks"],
        version=inventory.VERSION,
        timeout=config["scan_timeout_s"],
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
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=120,
    params:
        derivatives="results/derivatives/{dataset}/original",
        attempt=attempt("results/prepare/{dataset}/{batch}.tsv"),
        version=prepare.VERSION,
        timeout=config["scan_timeout_s"],
    script:
        "../scripts/prepare.py"
