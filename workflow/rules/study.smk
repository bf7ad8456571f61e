# A published study: its tables and figures beside ours, where the config has a `study`.
#
# in:   results/tables/{dataset}/{table}.tsv                all others of the data set
#       results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv
#       results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv
# out:  results/tables/{dataset}/{table}.tsv, .tex
#       results/figures/{dataset}/{figure}.png, .svg
#       results/study/{dataset}/{figure}.pdf, .svg          in a paper's width, slices too


rule study:
    """Hold a data set's tables against those of the published study that the config follows."""
    input:
        tables=[*rules.statistics.output, *rules.flow.output],
        attacks=lambda w: [p for p in ATTACK_TABLES if f"/{w.dataset}/" in p],
        compared=lambda w: RUN.attack_files(w.dataset),
        measured=lambda w: RUN.measurements(w.dataset),
        rescans=lambda w: RUN.rescan_segmentations(w.dataset),
        inventory=lambda w: RUN.checked_scans(w.dataset),
        pseudonyms=PSEUDONYMS,
    output:
        tables=expand("results/tables/{{dataset}}/{table}.tsv", table=catalogue.tables(STUDY)),
        figures=expand("results/figures/{{dataset}}/{figure}.png", figure=DRAWN_FOR_STUDY),
        svg=expand("results/figures/{{dataset}}/{figure}.svg", figure=DRAWN_FOR_STUDY),
        paper=expand(
            "results/study/{{dataset}}/{figure}.{suffix}",
            figure=PAPER_FIGURES,
            suffix=["pdf", "svg"],
        ),
    log:
        "results/logs/study/{dataset}.log",
    benchmark:
        "results/benchmarks/study/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        study=STUDIED,
        dataset="{dataset}",
        config=of_attacks("statistics", "thresholds", "decision", "seed", "orientation"),
        unused=lambda w: RUN.unused_lists(w.dataset),
        digests=lambda w: RUN.unused_digests(w.dataset),
        people="results/plan/{dataset}/people.tsv",
        known=lambda w: RUN.people_digest(w.dataset),
        segmenters=lambda w: RUN.segmenters_of(w.dataset),
        variants=RUN.listed,
        unavailable=RUN.unavailable,
        synthetic=lambda w: bool(RUN.synthetic_note(w.dataset)),
        models=configuration.sites_of_models(config),
        version=RESULTS_VERSION,
        published=files.checksum(studied.PUBLISHED),
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/study.py"


if SHEETS or PAPER_SLICES:

    rule sheet:
        """Show slices of one participant as the paper does; faces only if they are public."""
        input:
            segmented=lambda w: RUN.segmentations(w.dataset),
            pseudonyms=PSEUDONYMS,
        output:
            figures=expand(
                "results/figures/{{dataset}}/{figure}.{suffix}",
                figure=SHEETS,
                suffix=["png", "svg"],
            ),
            paper=expand(
                "results/study/{{dataset}}/{figure}.{suffix}",
                figure=[*SHEETS, *PAPER_SLICES],
                suffix=["pdf", "svg"],
            ),
        log:
            "results/logs/sheet/{dataset}.log",
        benchmark:
            "results/benchmarks/sheet/{dataset}.tsv"
        conda:
            "../../envs/statistics.yaml"
        threads: 1
        resources:
            mem_mb=growing(4000),
            runtime=30,
        params:
            faces=lambda w: RUN.faces(w.dataset),
            variants=RUN.variants,
            width_mm=STUDIED["width_mm"],
            title=lambda w: RUN.example_title(w.dataset),
            note=lambda w: RUN.synthetic_note(w.dataset),
        script:
            "../scripts/sheet.py"
