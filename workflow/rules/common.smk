# Validation, the plan of the run, and the input functions of all stages.
# Writes the batch lists below results/plan; nothing else.

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from refacebench import __version__ as SOFTWARE_VERSION
from refacebench import checks, plan, prepare, registry
from refacebench.figures import names as figure_names
from refacebench.metrics import measure
from refacebench.statistics import VERSION as STATISTICS_VERSION
from refacebench.statistics.columns import TABLES

SCHEMA = workflow.source_path("../schemas/config.schema.yaml")
try:
    plan.validate(config, plan.read_yaml(SCHEMA))
    validate(config, SCHEMA)  # fills in the defaults
    plan.check(config)
    PLANS = {name: plan.load(config, name, workflow.is_main_process) for name in config["datasets"]}
except plan.ConfigError as error:
    raise WorkflowError(str(error))

DATASETS = list(config["datasets"])
VARIANTS = plan.variants(config)
SEGMENTERS = list(config["segmenters"])
FIGURES = figure_names(SEGMENTERS)
FIGURE_FILES = [
    f"results/figures/{dataset}/{figure}.png"
    for dataset in DATASETS
    for figure in [*FIGURES, "slices", *(f"curves-{v}" for v in VARIANTS if "+" in v)]
]


wildcard_constraints:
    dataset=plan.alternatives(DATASETS),
    defacer=plan.alternatives(config["defacers"]),
    refacer=plan.alternatives(config["refacers"]),
    segmenter=plan.alternatives(SEGMENTERS),
    variant=plan.alternatives(VARIANTS),
    batch=r"(train|validation|test)-(measured|rescan)-\d+",


def entry(kind, name):
    """The config entry of a method, never None."""
    return dict(config[kind][name] or {})


def version(kind, name):
    """The method's version: as a rule's parameter it makes old output run again."""
    return registry.version(kind, name, config[kind][name])


def batches(dataset, split=None, role=None):
    """The batches of a dataset, of one split or role only."""
    wanted = [split or "", role or ""]
    return [
        batch
        for batch in PLANS[dataset]
        if all(part in ("", have) for part, have in zip(wanted, batch.split("-")))
    ]


def scan_list(wildcards):
    """What the inventory checks: grown scans, or the list of a folder's scans."""
    grown = plan.is_synthetic(config, wildcards.dataset)
    return f"results/{'grow' if grown else 'plan'}/{wildcards.dataset}/{wildcards.batch}.tsv"


def variant_manifest(wildcards):
    """The manifest of a variant's images: originals, defaced or refaced ones."""
    w = wildcards
    defacer, _, refacer = w.variant.partition("+")
    if w.variant == "original":
        # A rescan is only segmented: nothing needs its masks and its registration.
        stage = "inventory" if f"-{plan.RESCAN}-" in w.batch else "prepare"
        return f"results/{stage}/{w.dataset}/{w.batch}.tsv"
    stage = "reface" if refacer else "deface"
    return f"results/{stage}/{w.dataset}/{w.variant}/{w.batch}.tsv"


def training_manifests(split):
    """An input function: the defaced scans of a split that a model is trained on."""

    def function(wildcards):
        return [
            f"results/deface/{wildcards.dataset}/{wildcards.defacer}/{batch}.tsv"
            for batch in batches(wildcards.dataset, split, plan.MEASURED)
        ]

    return function


def stage_manifests(stage, split=None, role=None, variants=("original",)):
    """An input function: a stage's manifests of a dataset for all segmenters."""

    def function(wildcards):
        return [
            f"results/{stage}/{wildcards.dataset}/{segmenter}/{variant}/{batch}.tsv"
            for segmenter in SEGMENTERS
            for variant in variants
            for batch in batches(wildcards.dataset, split, role)
        ]

    return function


def refacing_manifests(wildcards):
    """The defaced scans that models are trained and picked on."""
    return [
        f"results/deface/{wildcards.dataset}/{defacer}/{batch}.tsv"
        for defacer in config["defacers"]
        if any(v.startswith(f"{defacer}+") for v in VARIANTS)
        for split in ("train", "validation")
        for batch in batches(wildcards.dataset, split, plan.MEASURED)
    ]


def all_scans(wildcards):
    """Every scan of a dataset: checked ones, and the lists of those that nothing uses."""
    unused = [
        batch
        for split in ("train", "validation")
        for batch in batches(wildcards.dataset, split, plan.RESCAN)
    ]
    return [
        f"results/{'plan' if batch in unused else 'inventory'}/{wildcards.dataset}/{batch}.tsv"
        for batch in batches(wildcards.dataset)
    ]


def synthetic_note(wildcards):
    """What every figure and printed table of a synthetic dataset says; empty for real ones."""
    return plan.SYNTHETIC_NOTE if plan.is_synthetic(config, wildcards.dataset) else ""


def example_title(dataset):
    """What stands above the example slices; a synthetic participant is called one."""
    synthetic = plan.is_synthetic(config, dataset)
    return f"{dataset}: one {'synthetic ' if synthetic else ''}participant of the test split"


def print_summary():
    """Say at the end where the report is and what stands in its summary."""
    summary = Path("results/summary.txt")
    if summary.is_file():
        print(summary.read_text(), file=sys.stderr)
