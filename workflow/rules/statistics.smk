# Statistics: in <- measure and segment manifests; out -> results/tables/{dataset}.
# The scans' flow: these and the manifests of enrolment and attack.


rule brain_age:
    """Fit the brain-age model on the train split's originals."""
    input:
        stage_manifests("segment", "train", vocabulary.MEASURED),
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
        segmenters=SEGMENTERS,
        version=methods.version("brainage", configuration.BRAIN_AGE, config["brain_age"]),
        seed=config["seed"],
    script:
        "../scripts/brain_age.py"


rule statistics:
    """Turn the measurements of a dataset into its tables."""
    input:
        measured=stage_manifests("measure", "test", vocabulary.MEASURED, VARIANTS),
        rescans=stage_manifests("segment", "test", vocabulary.RESCAN),
        training=stage_manifests("segment", "train", vocabulary.MEASURED),
        inventory=checked_scans,
        refacing=refacing_manifests,
        carried=carry_manifests,
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
        unused=unused_lists,
        digests=lambda w: [PLANS[w.dataset].digest(batch) for batch in unused_batches(w)],
        variants=LISTED,
        unavailable=UNAVAILABLE,
        version=STATISTICS_VERSION,
        note=synthetic_note,
    script:
        "../scripts/statistics.py"


rule flow:
    """Say where each scan ended, on the way to the measures and to the attacks."""
    input:
        measured=stage_manifests("measure", "test", vocabulary.MEASURED, VARIANTS),
        rescans=stage_manifests("segment", "test", vocabulary.RESCAN),
        training=stage_manifests("segment", "train", vocabulary.MEASURED),
        inventory=checked_scans,
        refacing=refacing_manifests,
        enrolled=enrol_manifests,
        attacked=attack_manifests,
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
        unused=unused_lists,
        digests=lambda w: [PLANS[w.dataset].digest(batch) for batch in unused_batches(w)],
        variants=LISTED,
        unavailable=UNAVAILABLE,
        version=STATISTICS_VERSION,
        note=synthetic_note,
    script:
        "../scripts/flow.py"
