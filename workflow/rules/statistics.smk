# Statistics: tables of measurements, brain-age models, and where each scan ended.
#
# in:   results/inventory/{dataset}/{batch}.tsv
#       results/segment/{dataset}/{segmenter}/original/{batch}.tsv
#       results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv
#       results/deface/{dataset}/{defacer}/{batch}.tsv      of trainings
#       results/carry/{dataset}/{defacer}/{batch}.tsv       where there are companions
#       results/enrol/{dataset}/{attacker}.tsv              where there are attackers
#       results/attack/{dataset}/{attacker}/{target}.tsv    where there are attackers
# out:  results/brainage/{dataset}.json
#       results/tables/{dataset}/{table}.tsv, .tex          tables of refacebench.results


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
                table=catalogue.tables(STATISTICS),
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
        config=chosen("statistics", "thresholds", "seed", "brain_age"),
        unused=unused_lists,
        digests=lambda w: [PLANS[w.dataset].digest(batch) for batch in unused_batches(w)],
        variants=LISTED,
        unavailable=UNAVAILABLE,
        version=RESULTS_VERSION,
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
            expand("results/tables/{{dataset}}/{table}.tsv", table=catalogue.tables(FLOW)),
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
        unused=unused_lists,
        digests=lambda w: [PLANS[w.dataset].digest(batch) for batch in unused_batches(w)],
        variants=LISTED,
        unavailable=UNAVAILABLE,
        version=RESULTS_VERSION,
        note=synthetic_note,
    script:
        "../scripts/flow.py"
