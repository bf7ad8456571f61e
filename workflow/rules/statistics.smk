# Statistics: in <- measure and segment manifests; out -> results/tables/{dataset}.
# The scans' flow: these and the manifests of enrolment and attack.


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
        entry=config["brain_age"],
        segmenters=RUN.segmenters,
        version=methods.version("brainage", configuration.BRAIN_AGE, config["brain_age"]),
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
    output:
        report(
            expand(
                "results/tables/{{dataset}}/{table}.tsv",
                table=[name for name in TABLES if name not in FLOW],
            ),
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="tables",
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
        config_key=CONFIG_KEY,
        unused=lambda w: RUN.unused_lists(w.dataset),
        digests=lambda w: RUN.unused_digests(w.dataset),
        variants=RUN.listed,
        unavailable=RUN.unavailable,
        version=STATISTICS_VERSION,
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
    output:
        report(
            expand("results/tables/{{dataset}}/{table}.tsv", table=FLOW),
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="tables",
        ),
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
        config_key=CONFIG_KEY,
        unused=lambda w: RUN.unused_lists(w.dataset),
        digests=lambda w: RUN.unused_digests(w.dataset),
        variants=RUN.listed,
        unavailable=RUN.unavailable,
        version=STATISTICS_VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/flow.py"
