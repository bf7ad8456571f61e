# Deface each prepared scan with each defacer.
#
# Inputs:
#   results/prepare/{dataset}/{batch}.tsv
# Outputs:
#   results/deface/{dataset}/{defacer}/{batch}.tsv   manifest: a row per scan
#   results/derivatives/{dataset}/{defacer}/         defaced images, masks of changed voxels


rule deface:
    """Run one defacer over one batch."""
    input:
        rules.prepare.output[0],
    output:
        "results/deface/{dataset}/{defacer}/{batch}.tsv",
    log:
        "results/logs/deface/{dataset}/{defacer}/{batch}.log",
    benchmark:
        "results/benchmarks/deface/{dataset}/{defacer}/{batch}.tsv"
    priority: EARLY["deface"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=asking("deface", "defacer"),
        tries_left=tries_left,
        runtime=240,
    params:
        name="{defacer}",
        attempt=attempt("results/deface/{dataset}/{defacer}/{batch}.tsv"),
        entry=lambda w: RUN.entry("defacers", w.defacer),
        version=lambda w: RUN.version("defacers", w.defacer),
        program=lambda w: RUN.programs[w.defacer],
        seed=config["seed"],
        derivatives="results/derivatives/{dataset}/{defacer}",
        scratch="results/scratch/{dataset}/{defacer}/{batch}",
        headers=nifti.HEADER_VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/deface.py"
