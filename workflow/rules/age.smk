# Age models that see images: train them on originals, and ask them about every variant.
#
# Inputs:
#   results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv   images and brain masks in them
# Outputs:
#   results/train_age/{dataset}/{age_model}/                      model, card, curves
#   results/age/{dataset}/{age_model}/{variant}/{batch}.tsv       manifest with predicted ages


rule train_age:
    """Train one age model on the train split's originals; resumes where it was interrupted."""
    input:
        train=lambda w: RUN.age_training(w.dataset, "train"),
        validation=lambda w: RUN.age_training(w.dataset, "validation"),
    output:
        card="results/train_age/{dataset}/{age_model}/card.json",
    log:
        "results/logs/train_age/{dataset}/{age_model}.log",
    benchmark:
        "results/benchmarks/train_age/{dataset}/{age_model}.tsv"
    priority: EARLY["train_age"]
    conda:
        "../../envs/imaging.yaml"
    threads: config["training_threads"]
    resources:
        mem_mb=growing(16000),
        runtime=2880,
        gpu=config["gpus_per_training"],
    params:
        name="{age_model}",
        attempt=attempt("results/train_age/{dataset}/{age_model}/card.json"),
        entry=lambda w: RUN.entry("age_models", w.age_model),
        version=lambda w: RUN.version("age_models", w.age_model),
        people="results/plan/{dataset}/people.tsv",
        known=lambda w: RUN.people_digest(w.dataset, RUN.fitted(w.dataset)),
        seed=config["seed"],
    script:
        "../scripts/train_age.py"


rule age:
    """Predict an age from each image of one variant and batch."""
    input:
        manifest=lambda w: RUN.segmented(w.dataset, w.variant, w.batch),
        card=rules.train_age.output.card,
    output:
        "results/age/{dataset}/{age_model}/{variant}/{batch}.tsv",
    log:
        "results/logs/age/{dataset}/{age_model}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/age/{dataset}/{age_model}/{variant}/{batch}.tsv"
    priority: EARLY["measure"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        tries_left=tries_left,
        runtime=120,
        gpu=config["gpus_per_training"],
    params:
        name="{age_model}",
        variant="{variant}",
        attempt=attempt("results/age/{dataset}/{age_model}/{variant}/{batch}.tsv"),
        entry=lambda w: RUN.entry("age_models", w.age_model),
        version=lambda w: RUN.version("age_models", w.age_model),
        timeout=untracked(SCAN_TIMEOUT_S),
        gpu=untracked(config["gpus_per_training"]),
    script:
        "../scripts/age.py"
