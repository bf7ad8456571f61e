# Defacing: in <- prepare manifests; out -> results/deface manifests, images in derivatives.


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
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=240,
    params:
        name="{defacer}",
        attempt=attempt("results/deface/{dataset}/{defacer}/{batch}.tsv"),
        entry=lambda w: entry("defacers", w.defacer),
        version=lambda w: version("defacers", w.defacer),
        program=lambda w: PROGRAMS[w.defacer],
        seed=config["seed"],
        derivatives="results/derivatives/{dataset}/{defacer}",
        scratch="results/scratch/{dataset}/{defacer}/{batch}",
        headers=nifti.HEADER_VERSION,
        timeout=config["scan_timeout_s"],
    script:
        "../scripts/deface.py"
