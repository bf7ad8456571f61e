# Set every attacker on every variant.
#
# Inputs:
#   results/render/{dataset}/{variant}/{batch}.tsv               of originals all sessions
#   results/segment/{dataset}/{segmenter}/{variant}/{batch}.tsv  where brain masks are wanted
# Outputs:
#   results/enrol/{dataset}/{attacker}.npz               the gallery: originals
#   results/attack/{dataset}/{attacker}/{target}.npz     distances of queries and gallery
#   and beside each a .tsv: what became of every scan that it was made from


rule enrol:
    """Let one attacker look at the gallery: originals of all sessions of the test split."""
    input:
        gallery=lambda w: RUN.renderings(w.dataset),
        brains=lambda w: RUN.brains(w.dataset, w.attacker),
    output:
        gallery="results/enrol/{dataset}/{attacker}.npz",
        manifest="results/enrol/{dataset}/{attacker}.tsv",
    log:
        "results/logs/enrol/{dataset}/{attacker}.log",
    benchmark:
        "results/benchmarks/enrol/{dataset}/{attacker}.tsv"
    conda:
        "../../envs/attack.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        tries_left=tries_left,
        runtime=240,
    params:
        name="{attacker}",
        attempt=attempt("results/enrol/{dataset}/{attacker}.npz"),
        entry=lambda w: RUN.entry("attackers", w.attacker),
        version=lambda w: RUN.version("attackers", w.attacker),
    script:
        "../scripts/enrol.py"


rule attack:
    """Let one attacker name the people behind one variant's scans."""
    input:
        gallery=rules.enrol.output.gallery,
        originals=lambda w: RUN.renderings(w.dataset),
        queries=lambda w: RUN.renderings(w.dataset, w.target),
        brains=lambda w: RUN.brains(w.dataset, w.attacker, w.target),
        trained=lambda w: RUN.attack_training(w.dataset, w.attacker, w.target),
    output:
        scores="results/attack/{dataset}/{attacker}/{target}.npz",
        manifest="results/attack/{dataset}/{attacker}/{target}.tsv",
    log:
        "results/logs/attack/{dataset}/{attacker}/{target}.log",
    benchmark:
        "results/benchmarks/attack/{dataset}/{attacker}/{target}.tsv"
    conda:
        "../../envs/attack.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=1440,
    params:
        name="{attacker}",
        target="{target}",
        attempt=attempt("results/attack/{dataset}/{attacker}/{target}.npz"),
        entry=lambda w: RUN.entry("attackers", w.attacker),
        version=lambda w: RUN.version("attackers", w.attacker),
        blur_mm=config["rendering"]["blur_mm"],
        seed=config["seed"],
        # What an interrupted attack goes on from.
        state="results/attack/{dataset}/{attacker}/{target}",
    script:
        "../scripts/attack.py"
