# Figures, costs and the page.
#
# in:   results/tables/{dataset}/{table}.tsv
#       results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv
#       results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv
#       results/train/{dataset}/{variant}/                  cards, curves and samples
#       results/benchmarks/
# out:  results/figures/{dataset}/{figure}.png, .svg
#       results/tables/costs.tsv
#       results/pages/captions/{figure}.rst, results/pages/{dataset}/{table}.html    for --report
#       results/report.html (and results/report/, if it would be too large), results/summary.txt,
#       results/run.json, results/methods.md, results/references.bib, results/finished.txt


rule figures:
    """Draw what needs only tables and measurements."""
    input:
        tables=rules.statistics.output,
        measured=lambda w: RUN.measurements(w.dataset),
        pseudonyms=PSEUDONYMS,
    output:
        [shown(figure) for figure in FIGURES],
        expand("results/figures/{{dataset}}/{figure}.svg", figure=FIGURES),
    log:
        "results/logs/figures/{dataset}.log",
    benchmark:
        "results/benchmarks/figures/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        alpha=CRITERIA.alpha,
        level=CRITERIA.level,
        threshold_pct=CRITERIA.threshold_pct,
        segmenters=RUN.segmenters,
        variants=RUN.variants,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/figures.py"


rule slices:
    """Show one participant of the test split in all variants; faces only if they are public."""
    input:
        segmented=lambda w: RUN.segmentations(w.dataset),
        pseudonyms=PSEUDONYMS,
    output:
        shown("slices"),
        "results/figures/{dataset}/slices.svg",
    log:
        "results/logs/slices/{dataset}.log",
    benchmark:
        "results/benchmarks/slices/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        faces=lambda w: RUN.faces(w.dataset),
        title=lambda w: RUN.example_title(w.dataset),
        variants=RUN.variants,
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/slices.py"


rule curves:
    """Draw the training curves of one model, and validation slices if faces are public."""
    input:
        card=rules.train.output.card,
        pseudonyms=PSEUDONYMS,
    output:
        "results/figures/{dataset}/curves-{defacer}+{refacer}.svg",
        "results/figures/{dataset}/samples-{defacer}+{refacer}.svg",
        curves=shown("curves", "-{defacer}+{refacer}"),
        samples=shown("samples", "-{defacer}+{refacer}"),
    log:
        "results/logs/curves/{dataset}/{defacer}+{refacer}.log",
    benchmark:
        "results/benchmarks/curves/{dataset}/{defacer}+{refacer}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=30,
    params:
        faces=lambda w: RUN.faces(w.dataset),
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/curves.py"


rule costs:
    """Sum up what every stage cost, from the benchmarks of the jobs."""
    input:
        FIGURE_FILES,
        expand(rules.flow.output, dataset=RUN.datasets),
    output:
        "results/tables/costs.tsv",
    log:
        "results/logs/costs.log",
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=30,
    params:
        folder="results/benchmarks",
        names=NAMES,
    script:
        "../scripts/costs.py"


rule page:
    """Write the page that a data steward reads, and the summary that the run ends with."""
    input:
        tables=[
            *expand([*rules.statistics.output, *rules.flow.output], dataset=RUN.datasets),
            *STUDY_TABLES,
        ],
        privacy=ATTACK_TABLES,
        figures=[*FIGURE_FILES, *STUDY_FIGURES],
        paper=STUDY_SLICES,
        cards=RUN.cards(),
        costs=rules.costs.output[0],
        pseudonyms=PSEUDONYMS,
    output:
        page=report("results/report.html", caption="../report/page.rst", category="summary"),
        summary="results/summary.txt",
        captions=CAPTIONS,
        tables=[
            report(
                f"results/pages/{dataset}/{table}.html",
                caption="../report/table.rst",
                category=dataset,
                subcategory="Tables",
                labels={"table": table},
            )
            for dataset, table in RUN.pages_of(SHOWN_TABLES, catalogue.tables(ATTACKS))
        ],
        card="results/run.json",
        methods="results/methods.md",
        references="results/references.bib",
    log:
        "results/logs/page.log",
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        config={
            **of_attacks(*pages.WHOLE),
            **{kind: list(config.get(kind) or ()) for kind in pages.NAMES},
            "segmenters": RUN.segmenters,
            "attackers": RUN.attackers,
            "study": {key: STUDIED[key] for key in pages.OF_A_STUDY} if STUDIED else {},
        },
        faces={name: RUN.faces(name) for name in RUN.datasets},
        notes={name: RUN.synthetic_note(name) for name in RUN.datasets},
        statements={
            name: configuration.statement(name, entry)
            for name, entry in config["datasets"].items()
        },
        methods=[
            *taking_part(config, RUN.programs, RUN.tools),
            *made_elsewhere(RUN.segmenters if RUN.brought else ()),
        ],
        brought=RUN.brought,
        defaults=defaults(config),
        version=SOFTWARE_VERSION,
        names=NAMES,
        page_mb=config["page_mb"],
    script:
        "../scripts/report.py"


rule finished:
    """Mark the main job's end; a run in which too many scans failed takes the mark away."""
    input:
        rules.page.output,
    output:
        ending.FINISHED,
    log:
        "results/logs/finished.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        allowed=ALLOWED,
        keep_faces=KEEP_FACES,
    shell:
        "echo finished > {output}"
