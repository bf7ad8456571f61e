# Take the face from the other images of a session; only for datasets with the option `carry`.
#
# Inputs:
#   results/prepare/{dataset}/{batch}.tsv
#   results/deface/{dataset}/{defacer}/{batch}.tsv
# Outputs:
#   results/align/{dataset}/{batch}.tsv              manifest: a row per companion
#   results/carry/{dataset}/{defacer}/{batch}.tsv    manifest: a row per companion
#   results/derivatives/{dataset}/original/          transforms to the T1w scan
#   results/derivatives/{dataset}/{defacer}/         images without a face, their masks


rule align:
    """Align the companions of each T1w scan with it, once for all defacers."""
    input:
        rules.prepare.output[0],
    output:
        "results/align/{dataset}/{batch}.tsv",
    log:
        "results/logs/align/{dataset}/{batch}.log",
    benchmark:
        "results/benchmarks/align/{dataset}/{batch}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        tries_left=tries_left,
        runtime=120,
    params:
        derivatives="results/derivatives/{dataset}/original",
        attempt=attempt("results/align/{dataset}/{batch}.tsv"),
        version=align.VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/align.py"


rule carry:
    """Carry one defacer's masks over to the companions of the scans of a batch."""
    input:
        deface=rules.deface.output[0],
        align=rules.align.output[0],
    output:
        "results/carry/{dataset}/{defacer}/{batch}.tsv",
    log:
        "results/logs/carry/{dataset}/{defacer}/{batch}.log",
    benchmark:
        "results/benchmarks/carry/{dataset}/{defacer}/{batch}.tsv"
    priority: EARLY["render"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        tries_left=tries_left,
        runtime=120,
    params:
        name="{defacer}",
        attempt=attempt("results/carry/{dataset}/{defacer}/{batch}.tsv"),
        derivatives="results/derivatives/{dataset}/{defacer}",
        margin_mm=lambda w: config["datasets"][w.dataset].get("carry_margin_mm", 1.0),
        version=carry.VERSION,
        headers=nifti.HEADER_VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/carry.py"
