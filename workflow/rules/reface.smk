# Refacing models: in <- deface manifests of the train and validation splits;
# out -> results/train/{dataset}/{defacer}+{refacer}, results/reface manifests, images in derivatives.


rule train:
    """Train one model on one defacer's output; goes on where it was interrupted."""
    input:
        train=training_manifests("train"),
        validation=training_manifests("validation"),
    output:
        card="results/train/{dataset}/{defacer}+{refacer}/card.json",
    log:
        "results/logs/train/{dataset}/{defacer}+{refacer}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{defacer}+{refacer}.tsv"
    conda:
        "../../envs/training.yaml"
    threads: config["training_threads"]
    resources:
        mem_mb=training_memory,
        runtime=2880,
        gpu=config["gpus_per_training"],
    params:
        name="{refacer}",
        attempt=attempt("results/train/{dataset}/{defacer}+{refacer}/card.json"),
        entry=lambda w: entry("refacers", w.refacer),
        version=lambda w: version("refacers", w.refacer),
        seed=config["seed"],
    script:
        "../scripts/train.py"


rule reface:
    """Put a face back on the defaced scans of one batch."""
    input:
        manifest="results/deface/{dataset}/{defacer}/{batch}.tsv",
        card=lambda w: f"results/train/{w.dataset}/{w.defacer}"
        f"+{configuration.trained_as(config, w.refacer)}/card.json",
    output:
        "results/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv",
    log:
        "results/logs/reface/{dataset}/{defacer}+{refacer}/{batch}.log",
    benchmark:
        "results/benchmarks/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=240,
        gpu=config["gpus_per_training"],
    params:
        name="{refacer}",
        variant="{defacer}+{refacer}",
        attempt=attempt("results/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv"),
        entry=lambda w: entry("refacers", w.refacer),
        version=lambda w: version("refacers", w.refacer),
        derivatives="results/derivatives/{dataset}/{defacer}+{refacer}",
        headers=nifti.HEADER_VERSION,
        timeout=config["scan_timeout_s"],
        gpu=config["gpus_per_training"],
    script:
        "../scripts/reface.py"
