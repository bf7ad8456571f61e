# Recognisability: tables and figures of the attacks; questions for human raters and their answers.
#
# in:   results/attack/{dataset}/{attacker}/{target}.npz, .tsv      companions' among them
#       results/enrol/{dataset}/{attacker}.tsv
#       results/tables/{dataset}/volumes.tsv, quality.tsv, verdict_agreement.tsv
#       results/render/{dataset}/{variant}/{batch}.tsv      for the raters' page
#       {answers}/{dataset}/*.json, *.csv                   the folder that the config names
# out:  results/tables/{dataset}/{table}.tsv, .tex
#       results/figures/{dataset}/{figure}.png, .svg
#       results/kit/{dataset}/page/index.html, key.tsv


rule privacy:
    """Turn the attackers' scores into tables and figures, with the warnings of the controls."""
    input:
        attacks=lambda w: RUN.attack_files(w.dataset),
        contrasts=lambda w: RUN.contrast_attacks(w.dataset),
        contrasts_attacked=lambda w: RUN.contrast_manifests(w.dataset),
        enrolled=lambda w: RUN.enrol_manifests(w.dataset),
        attacked=lambda w: RUN.attack_manifests(w.dataset),
        volumes="results/tables/{dataset}/volumes.tsv",
        quality="results/tables/{dataset}/quality.tsv",
        agreement="results/tables/{dataset}/verdict_agreement.tsv",
        pseudonyms=PSEUDONYMS,
    output:
        tables=expand(
            "results/tables/{{dataset}}/{table}.tsv",
            table=catalogue.tables(ATTACKS),
        ),
        figures=[shown(figure) for figure in ATTACK_FIGURES],
        svg=expand("results/figures/{{dataset}}/{figure}.svg", figure=ATTACK_FIGURES),
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
        config=of_attacks("statistics", "seed"),
        decision=dict(config.get("decision") or {}),
        floors=RUN.floors(),
        people="results/plan/{dataset}/people.tsv",
        known=lambda w: RUN.people_digest(w.dataset),
        variants=RUN.variants,
        version=RESULTS_VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/privacy.py"


rule surfaces:
    """Show where surfaces were changed, on the average face; on a flat one if faces are private."""
    input:
        attacks=lambda w: RUN.attack_files(w.dataset),
        tables=[
            *rules.privacy.output.tables,
            rules.privacy.input.volumes,
            rules.privacy.input.quality,
        ],
        pseudonyms=PSEUDONYMS,
    output:
        shown("privacy_map"),
        "results/figures/{dataset}/privacy_map.svg",
    log:
        "results/logs/surfaces/{dataset}.log",
    benchmark:
        "results/benchmarks/surfaces/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        faces=lambda w: RUN.faces(w.dataset),
        variants=RUN.variants,
        version=RESULTS_VERSION,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/surfaces.py"


rule kit_page:
    """Make the page with a dataset's questions for raters, and the key to them."""
    input:
        lambda w: RUN.kit_renderings(w.dataset, questions.variants(config, RUN.variants)),
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
        attempt=attempt("results/kit/{dataset}/page/index.html"),
        kit={k: v for k, v in questions.options(config).items() if k != "answers"},
        blur_mm=rendering.check_options(config.get("rendering"))["blur_mm"],
        seed=config["seed"],
        faces=lambda w: RUN.faces(w.dataset),
        version=KIT_VERSION,
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
        pseudonyms=PSEUDONYMS,
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
        config=of_config("statistics", "seed"),
        answers=questions.options(config)["answers"],
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/raters.py"
