# Delete what `keep` says of a batch, when everything has looked at it.
#
# Inputs:
#   results/{segment,measure}/{dataset}/{segmenter}/{variant}/{batch}.tsv, and what else looks at
#   results/{age,reface,render,carry,qc,train}/...       the images: see refacebench.run.keeping
# Outputs:
#   results/tidy/{dataset}/{variant}/{batch}.txt         how many files went
#   results/tidy_views/{dataset}/{variant}.txt           of what only attackers look at
#   and a note on each file, beside the manifest of the stage that made it


rule tidy:
    """Delete images, and with `keep: measures` segmentations, of one variant and batch."""
    input:
        lambda w: KEEPING.before(w.dataset, w.variant, w.batch),
        pseudonyms=PSEUDONYMS,
    output:
        "results/tidy/{dataset}/{variant}/{batch}.txt",
    log:
        "results/logs/tidy/{dataset}/{variant}/{batch}.log",
    priority: EARLY["tidy"]
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=60,
    params:
        files=lambda w: KEEPING.images(w.dataset, w.variant, w.batch),
        lists=lambda wildcards, threads: RUN.compared_lists(wildcards.dataset),
    script:
        "../scripts/tidy.py"


rule tidy_views:
    """Delete what only attackers look at of one variant, when they have."""
    input:
        lambda w: KEEPING.before_views(w.dataset, w.variant),
    output:
        "results/tidy_views/{dataset}/{variant}.txt",
    log:
        "results/logs/tidy_views/{dataset}/{variant}.log",
    priority: EARLY["tidy"]
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=60,
    params:
        files=lambda w: KEEPING.views(w.dataset, w.variant),
        lists=[],
    script:
        "../scripts/tidy.py"
