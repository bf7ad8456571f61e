# Recognisability: in <- attacks, volumes; out -> results/tables, results/figures.
# Human raters: in <- renderings, answer files; out -> results/kit, results/tables.


rule privacy:
    """Turn the attackers' scores into tables and figures, with the warnings of the controls."""
    input:
        attacks=lambda w: RUN.attack_files(w.dataset),
        enrolled=lambda w: RUN.enrol_manifests(w.dataset),
        attacked=lambda w: RUN.attack_manifests(w.dataset),
        volumes="results/tables/{dataset}/volumes.tsv",
        quality="results/tables/{dataset}/quality.tsv",
    output:
        tables=report(
            expand("results/tables/{{dataset}}/{table}.tsv", table=PRIVACY),
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="tables",
        ),
        figures=report(
            expand("results/figures/{{dataset}}/{figure}.png", figure=PRIVACY_FIGURES),
            caption="../report/figure.rst",
            category="{dataset}",
            subcategory="figures",
        ),
        svg=expand("results/figures/{{dataset}}/{figure}.svg", figure=PRIVACY_FIGURES),
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
        config_key=CONFIG_KEY,
        variants=RUN.variants,
        floors=RUN.floors(),
        version=STATISTICS_VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/privacy.py"


rule kit_page:
    """Make the page with a dataset's questions for raters, and the key to them."""
    input:
        lambda w: RUN.kit_renderings(w.dataset, kit.variants(config, RUN.variants)),
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
        config_key=CONFIG_KEY,
        faces=lambda w: RUN.faces(w.dataset),
        version=kit.VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
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
        expand("results/tables/{{dataset}}/{table}.tsv", table=RATERS),
    log:
        "results/logs/raters/{dataset}.log",
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        config_key=CONFIG_KEY,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/raters.py"
