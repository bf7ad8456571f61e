# Statistics: tables of measurements, brain-age models, and where each scan ended.
#
# in:   results/inventory/{dataset}/{batch}.tsv
#       results/segment/{dataset}/{segmenter}/original/{batch}.tsv
#       results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv
#       results/deface/{dataset}/{defacer}/{batch}.tsv      of trainings
#       results/age/{dataset}/{age_model}/{variant}/{batch}.tsv     where there are age models
#       results/carry/{dataset}/{defacer}/{batch}.tsv       where there are companions
#       results/enrol/{dataset}/{attacker}.tsv              where there are attackers
#       results/attack/{dataset}/{attacker}/{target}.tsv    where there are attackers
# out:  results/brainage/{dataset}.json
#       results/tables/{dataset}/{table}.tsv, .tex          tables of refacebench.results


rule brain_age:
    """Fit the brain-age model on the train split's originals."""
    input:
        lambda w: RUN.training_segmentations(w.dataset),
    output:
        "results/brainage/{dataset}.json",
    log:
        "results/logs/brainage/{dataset}.log",
    benchmark:
        "results/benchmarks/brainage/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        attempt=attempt("results/brainage/{dataset}.json"),
        entry=config["brain_age"],
        segmenters=RUN.segmenters,
        version=methods.version("brainage", configuration.BRAIN_AGE, config["brain_age"]),
        people="results/plan/{dataset}/people.tsv",
        known=lambda w: RUN.people_digest(w.dataset, RUN.batches(w.dataset, "train")),
        seed=config["seed"],
    script:
        "../scripts/brain_age.py"


rule statistics:
    """Turn the measurements of a dataset into its tables."""
    input:
        measured=lambda w: RUN.measurements(w.dataset),
        rescans=lambda w: RUN.rescan_segmentations(w.dataset),
        training=lambda w: RUN.training_segmentations(w.dataset),
        inventory=lambda w: RUN.checked_scans(w.dataset),
        refacing=lambda w: RUN.refacing_manifests(w.dataset),
        carried=lambda w: RUN.carry_manifests(w.dataset),
        brain_age=rules.brain_age.output[0],
        ages=lambda w: RUN.age_manifests(w.dataset),
        age_cards=lambda w: RUN.age_cards(w.dataset),
        pseudonyms=PSEUDONYMS,
    output:
        expand(
            "results/tables/{{dataset}}/{table}.tsv",
            table=catalogue.tables(STATISTICS),
        ),
    log:
        "results/logs/statistics/{dataset}.log",
    benchmark:
        "results/benchmarks/statistics/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        config=of_config("statistics", "thresholds", "seed", "brain_age", "orientation"),
        carried_by=lambda w: RUN.carried_by(w.dataset),
        age_models=RUN.age_models,
        unused=lambda w: RUN.unused_lists(w.dataset),
        digests=lambda w: RUN.unused_digests(w.dataset),
        people="results/plan/{dataset}/people.tsv",
        known=lambda w: RUN.people_digest(w.dataset),
        variants=RUN.listed,
        unavailable=RUN.unavailable,
        version=RESULTS_VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/statistics.py"


rule flow:
    """Say where each scan ended, on the way to the measures and to the attacks."""
    input:
        measured=lambda w: RUN.measurements(w.dataset),
        rescans=lambda w: RUN.rescan_segmentations(w.dataset),
        training=lambda w: RUN.training_segmentations(w.dataset),
        inventory=lambda w: RUN.checked_scans(w.dataset),
        refacing=lambda w: RUN.refacing_manifests(w.dataset),
        enrolled=lambda w: RUN.enrol_manifests(w.dataset),
        attacked=lambda w: RUN.attack_manifests(w.dataset),
        carried=lambda w: RUN.carry_manifests(w.dataset),
        contrasts_attacked=lambda w: RUN.contrast_manifests(w.dataset),
        pseudonyms=PSEUDONYMS,
    output:
        expand("results/tables/{{dataset}}/{table}.tsv", table=catalogue.tables(FLOW)),
    log:
        "results/logs/flow/{dataset}.log",
    benchmark:
        "results/benchmarks/flow/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        unused=lambda w: RUN.unused_lists(w.dataset),
        digests=lambda w: RUN.unused_digests(w.dataset),
        people="results/plan/{dataset}/people.tsv",
        known=lambda w: RUN.people_digest(w.dataset),
        variants=RUN.listed,
        carried_by=lambda w: RUN.carried_by(w.dataset),
        config=of_config("orientation"),
        unavailable=RUN.unavailable,
        version=RESULTS_VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/flow.py"
