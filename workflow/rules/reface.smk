# Train models that put a face back, and apply them.
#
# Inputs:
#   results/deface/{dataset}/{defacer}/{batch}.tsv   train and validation split; those to reface
# Outputs:
#   results/train/{dataset}/{defacer}+{refacer}/             model, card, curves, samples
#   results/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv manifest: a row per scan
#   results/derivatives/{dataset}/{defacer}+{refacer}/       refaced images


rule train:
    """Train one model on one defacer's output; resumes where it was interrupted."""
    input:
        train=lambda w: RUN.training_manifests(w.dataset, w.defacer, "train"),
        validation=lambda w: RUN.training_manifests(w.dataset, w.defacer, "validation"),
    output:
        card="results/train/{dataset}/{defacer}+{refacer}/card.json",
    log:
        "results/logs/train/{dataset}/{defacer}+{refacer}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{defacer}+{refacer}.tsv"
    priority: EARLY["train"]
    conda:
        "../../envs/training.yaml"
    threads: config["training_threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * RUN.training_mb(w.dataset, w.refacer),
        runtime=2880,
        gpu=config["gpus_per_training"],
    params:
        name="{refacer}",
        attempt=attempt("results/train/{dataset}/{defacer}+{refacer}/card.json"),
        entry=lambda w: RUN.entry("refacers", w.refacer),
        version=lambda w: RUN.version("refacers", w.refacer),
        seed=config["seed"],
    script:
        "../scripts/train.py"


rule reface:
    """Put a face back on the defaced scans of one batch."""
    input:
        manifest="results/deface/{dataset}/{defacer}/{batch}.tsv",
        card=lambda w: RUN.card(w.dataset, w.defacer, w.refacer),
    output:
        "results/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv",
    log:
        "results/logs/reface/{dataset}/{defacer}+{refacer}/{batch}.log",
    benchmark:
        "results/benchmarks/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv"
    priority: EARLY["reface"]
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=asking("reface", "refacer"),
        tries_left=tries_left,
        runtime=240,
        gpu=config["gpus_per_training"],
    params:
        name="{refacer}",
        variant="{defacer}+{refacer}",
        attempt=attempt("results/reface/{dataset}/{defacer}+{refacer}/{batch}.tsv"),
        entry=lambda w: RUN.entry("refacers", w.refacer),
        version=lambda w: RUN.version("refacers", w.refacer),
        derivatives="results/derivatives/{dataset}/{defacer}+{refacer}",
        headers=nifti.HEADER_VERSION,
        timeout=untracked(SCAN_TIMEOUT_S),
        gpu=untracked(config["gpus_per_training"]),
    script:
        "../scripts/reface.py"
