# Quality control by eye (`snakemake qc`): a page with every scan, most doubtful first.  It shows
# faces, whatever the dataset's config says, and stays below results/qc: no part of the report.
#
# in:   results/prepare/{dataset}/{batch}.tsv               originals
#       results/{deface,reface}/{dataset}/{variant}/{batch}.tsv  the other variants
#       results/measure/{dataset}/{segmenter}/{variant}/{batch}.tsv
#       results/attack/{dataset}/{attacker}/{target}.npz    where there are attackers
# out:  results/qc/{dataset}/{variant}/{batch}.tsv          manifest: a row per scan
#       results/qc/{dataset}/{variant}/pictures/            slices, faces, copies for the viewer
#       results/qc/{dataset}/index.html, *.js               the page, and what it loads
#       results/qc/{dataset}/scans.tsv                      the list of its scans


rule qc_pictures:
    """Draw one variant of one batch: slices, face, and a small copy for the viewer."""
    input:
        images=lambda w: faces_kept(RUN.variant_manifest(w.dataset, w.variant, w.batch)),
        pseudonyms=PSEUDONYMS,
    output:
        "results/qc/{dataset}/{variant}/{batch}.tsv",
    log:
        "results/logs/qc/{dataset}/{variant}/{batch}.log",
    benchmark:
        "results/benchmarks/qc/{dataset}/{variant}/{batch}.tsv"
    priority: EARLY["render"]
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        tries_left=tries_left,
        runtime=120,
    params:
        variant="{variant}",
        attempt=attempt("results/qc/{dataset}/{variant}/{batch}.tsv"),
        # The viewer's copies of 5,000 people in 50 variants are 250 GB.
        viewer_mm=0 if KEEP == keeping.MEASURES else config["qc"]["viewer_mm"],
        version=qc_stage.VERSION,
        pictures="results/qc/{dataset}/{variant}/pictures",
        timeout=untracked(SCAN_TIMEOUT_S),
    script:
        "../scripts/qc_pictures.py"


rule qc_page:
    """Write the page of one dataset, and the list that raters' files are held against."""
    input:
        pictures=lambda w: RUN.qc_manifests(w.dataset),
        measured=lambda w: RUN.measurements(w.dataset),
        attacks=lambda w: RUN.attack_files(w.dataset),
        pseudonyms=PSEUDONYMS,
    output:
        expand("results/qc/{{dataset}}/{name}", name=QC_FILES),
        scans="results/qc/{dataset}/scans.tsv",
    log:
        "results/logs/qc/{dataset}.log",
    benchmark:
        "results/benchmarks/qc/{dataset}.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        config=of_config("statistics", "thresholds", "seed"),
        faces=lambda w: RUN.faces(w.dataset),
        floors=RUN.floors(),
        unused=lambda w: RUN.unused_lists(w.dataset),
        digests=lambda w: RUN.unused_digests(w.dataset),
        version=f"{QC_VERSION}/{doubt.VERSION}",
        note=lambda w: RUN.synthetic_note(w.dataset),
    script:
        "../scripts/qc_page.py"


rule qc:
    """Make the pages for quality control of all datasets."""
    input:
        lambda w: faces_kept(RUN.qc_pages()),
