# Recognisability: tables of the attacks; questions for human raters and their answers.
#
# in:   results/attack/{dataset}/{attacker}/{target}.npz, .tsv
#       results/enrol/{dataset}/{attacker}.tsv
#       results/tables/{dataset}/volumes.tsv
#       results/render/{dataset}/{variant}/{batch}.tsv      for the raters' page
#       {answers}/{dataset}/*.json, *.csv                   the folder that the config names
# out:  results/tables/{dataset}/{table}.tsv, .tex
#       results/kit/{dataset}/page/index.html, key.tsv


rule privacy:
    """Turn the attackers' scores into tables, with the warnings of the controls."""
    input:
        attacks=attack_files,
        enrolled=enrol_manifests,
        attacked=attack_manifests,
        volumes="results/tables/{dataset}/volumes.tsv",
    output:
        report(
            expand(
                "results/tables/{{dataset}}/{table}.tsv",
                table=catalogue.tables(ATTACKS),
            ),
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="tables",
        ),
    log:
        "results/logs/privacy/{dataset}.log",
    benchmark:
        "results/benchmarks/privacy/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        config=chosen("statistics", "privacy", "seed"),
        floors=[name for name in ATTACKERS if is_floor(name)],
        version=RESULTS_VERSION,
        note=synthetic_note,
    script:
        "../scripts/privacy.py"


rule kit_page:
    """Make the page with a dataset's questions for raters, and the key to them."""
    input:
        kit_renderings,
    output:
        page="results/kit/{dataset}/page/index.html",
        key="results/kit/{dataset}/key.tsv",
    log:
        "results/logs/kit/{dataset}.log",
    benchmark:
        "results/benchmarks/kit/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        kit={k: v for k, v in questions.options(config).items() if k != "answers"},
        blur_mm=rendering.check_options(config.get("rendering"))["blur_mm"],
        seed=config["seed"],
        faces=lambda w: config["datasets"][w.dataset]["faces"],
        version=KIT_VERSION,
        note=synthetic_note,
    script:
        "../scripts/kit.py"


rule kit:
    """Make the raters' kits of all datasets whose faces are public."""
    input:
        kit_pages,


rule raters:
    """Turn the raters' answer files of one dataset into rates; `snakemake` it by file name."""
    input:
        key=rules.kit_page.output.key,
    output:
        expand("results/tables/{{dataset}}/{table}.tsv", table=catalogue.tables(RATERS)),
    log:
        "results/logs/raters/{dataset}.log",
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        config=chosen("statistics", "seed"),
        answers=questions.options(config)["answers"],
        note=synthetic_note,
    script:
        "../scripts/raters.py"
