# Validation, the plan of the run, and the input functions of all stages.
# Writes the batch lists below results/plan; nothing else.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from refacebench import __version__ as SOFTWARE_VERSION
from refacebench import carry, checks, kit, plan, prepare, refacers, registry, rendering
from refacebench.figures import PRIVACY as PRIVACY_FIGURES
from refacebench.figures import names as figure_names
from refacebench.metrics import measure
from refacebench.statistics import VERSION as STATISTICS_VERSION
from refacebench.statistics.columns import PRIVACY, RATERS, TABLES

# Large arrays come and go all the time. As set here the C library (glibc; others do not look)
# keeps their memory, instead of asking the system for fresh pages each time: a fifth of the
# CPU time of segmenting a 1 mm scan. Jobs inherit it.
os.environ.setdefault("MALLOC_MMAP_MAX_", "0")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))

SCHEMA = workflow.source_path("../schemas/config.schema.yaml")
try:
    plan.validate(config, plan.read_yaml(SCHEMA))
    validate(config, SCHEMA)  # fills in the defaults
    plan.check(config)
    config["refacers"] = plan.refacers(config)
    config.update(plan.with_controls(config))
    PROGRAMS = plan.programs(config, workflow.is_main_process)
    PLANS = {name: plan.load(config, name, workflow.is_main_process) for name in config["datasets"]}
except plan.ConfigError as error:
    raise WorkflowError(str(error))

DATASETS = list(config["datasets"])
ATTACKERS = list(config.get("attackers") or {})
# All variants that the config asks for, and those whose programs are there: only these run.
LISTED = plan.variants(config)
UNAVAILABLE = plan.unavailable(LISTED, PROGRAMS)
VARIANTS = [name for name in LISTED if name not in UNAVAILABLE]
TRAININGS = [name for name in plan.trainings(config) if name in VARIANTS]
SEGMENTERS = list(config["segmenters"])
FIGURES = figure_names(SEGMENTERS)
FIGURE_FILES = [
    f"results/figures/{dataset}/{figure}.png"
    for dataset in DATASETS
    for figure in [
        *FIGURES,
        "slices",
        *(f"{kind}-{v}" for v in TRAININGS for kind in ("curves", "samples")),
        *(PRIVACY_FIGURES if ATTACKERS else ()),
    ]
]
# Recognisability is measured only where attackers are configured.
PRIVACY_TABLES = [
    f"results/tables/{dataset}/{table}.tsv"
    for dataset in DATASETS
    for table in (PRIVACY if ATTACKERS else ())
]


wildcard_constraints:
    dataset=plan.alternatives(DATASETS),
    defacer=plan.alternatives(config["defacers"]),
    refacer=plan.alternatives(config["refacers"]),
    segmenter=plan.alternatives(SEGMENTERS),
    variant=plan.alternatives(VARIANTS),
    attacker=plan.alternatives(ATTACKERS),
    target=plan.alternatives([*VARIANTS, *rendering.CONTROLS]),
    batch=rf"(train|validation|test)-({plan.MEASURED}|{plan.RESCAN}|{plan.FOLLOWUP})-\d+",


def entry(kind, name):
    """The config entry of a method, never None; a defacer's engine is the one decided on.

    Without a refacer's list of defacers: a further one must not train the others again.
    """
    chosen = {k: v for k, v in (config[kind][name] or {}).items() if k != "defacers"}
    return plan.decided(name, chosen, PROGRAMS) if kind == "defacers" else chosen


def version(kind, name):
    """The method's version: as a rule's parameter it makes old output run again."""
    own = registry.version(kind, name, config[kind][name])
    program = PROGRAMS[name]["version"] if kind == "defacers" else ""
    return f"{own} {program}".strip()


def trait(kind, name, attribute, default):
    """What a method's file may say of itself, see the contract of its kind."""
    return getattr(registry.load(kind, name, entry(kind, name)), attribute, default)


def options(kind, name):
    """All options of a method: its defaults and the config's values."""
    return registry.options(kind, name, entry(kind, name))


def batches(dataset, split=None, role=None):
    """The batches of a dataset, of one split or role only."""
    wanted = [split or "", role or ""]
    return [
        batch
        for batch in PLANS[dataset]
        if all(part in ("", have) for part, have in zip(wanted, batch.split("-")))
    ]


def manifests(stage, dataset, name, split=None, role=None):
    """A stage's manifests of a dataset's batches; the name is the folder of the variant."""
    return [
        f"results/{stage}/{dataset}/{name}/{batch}.tsv" for batch in batches(dataset, split, role)
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
        # A later session is segmented or looked at as it is: nothing needs its masks and
        # its registration.
        stage = "prepare" if f"-{plan.MEASURED}-" in w.batch else "inventory"
        return f"results/{stage}/{w.dataset}/{w.batch}.tsv"
    stage = "reface" if refacer else "deface"
    return f"results/{stage}/{w.dataset}/{w.variant}/{w.batch}.tsv"


def training_manifests(split):
    """An input function: the defaced scans of a split that a model is trained on."""

    def function(wildcards):
        w = wildcards
        return manifests("deface", w.dataset, w.defacer, split, plan.MEASURED)

    return function


def growing(mb):
    """Memory that grows with each attempt: a profile's `retries` then helps a large scan."""
    return lambda wildcards, attempt: mb * attempt


def training_memory(wildcards, attempt):
    """What a training asks for, by its number of scans."""
    w = wildcards
    memory_mb = trait("refacers", w.refacer, "memory_mb", lambda *any: refacers.MEMORY_MB)
    used = [b for s in ("train", "validation") for b in batches(w.dataset, s, plan.MEASURED)]
    scans = plan.scan_count(f"results/plan/{w.dataset}", used)
    return attempt * memory_mb(options("refacers", w.refacer), scans)


def stage_manifests(stage, split=None, role=None, variants=("original",)):
    """An input function: a stage's manifests of a dataset for all segmenters."""

    def function(wildcards):
        return [
            path
            for segmenter in SEGMENTERS
            for variant in variants
            for path in manifests(stage, wildcards.dataset, f"{segmenter}/{variant}", split, role)
        ]

    return function


def refacing_manifests(wildcards):
    """The defaced scans that models are trained and picked on."""
    return [
        path
        for defacer in config["defacers"]
        if any(v.startswith(f"{defacer}+") for v in VARIANTS)
        for split in ("train", "validation")
        for path in manifests("deface", wildcards.dataset, defacer, split, plan.MEASURED)
    ]


def carry_manifests(wildcards):
    """The companions of the compared scans; none where the dataset's config has no `carry`.

    The null control is for measuring alone: its noise is not carried anywhere.
    """
    if not config["datasets"][wildcards.dataset].get("carry"):
        return []
    return [
        path
        for defacer in config["defacers"]
        if defacer != "null" and defacer in VARIANTS
        for path in manifests("carry", wildcards.dataset, defacer, "test", plan.MEASURED)
    ]


def attack_files(wildcards):
    """What every attacker found on every variant and control of a dataset."""
    return [
        f"results/attack/{wildcards.dataset}/{attacker}/{variant}.npz"
        for attacker in ATTACKERS
        for variant in attacked(attacker)
    ]


def attacked(attacker):
    """The variants that an attacker is set on, pictures of the original as controls among them."""
    return [*VARIANTS, *trait("attackers", attacker, "CONTROLS", rendering.CONTROLS)]


def is_floor(attacker):
    """Whether an attacker looks at no face: its rates are a floor, no failure of a defacer."""
    return trait("attackers", attacker, "FLOOR", False)


def pictured(wildcards, variant):
    """Whose images an attacker looks at: a variant, and the role of its scans.

    Of the originals all sessions (the gallery), of the attacked variant (`target`) those
    that are measured; the pictures of a control are the original's.
    """
    if variant != "target":
        return variant, None
    control = wildcards.target in rendering.CONTROLS
    return "original" if control else wildcards.target, plan.MEASURED


def attack_renderings(variant):
    """An input function: renderings of the test split."""

    def function(wildcards):
        name, role = pictured(wildcards, variant)
        return manifests("render", wildcards.dataset, name, "test", role)

    return function


def attack_brains(variant):
    """An input function: brain masks found in the same images, where an attacker wants them."""

    def function(wildcards):
        control = variant == "target" and wildcards.target in rendering.CONTROLS
        if control or not trait("attackers", wildcards.attacker, "BRAINS", False):
            return []
        name, role = pictured(wildcards, variant)
        return manifests("segment", wildcards.dataset, f"{SEGMENTERS[0]}/{name}", "test", role)

    return function


def attack_training(wildcards):
    """Renderings of the train split, where an attacker is trained on them."""
    wants = trait("attackers", wildcards.attacker, "training", lambda options: False)
    if not wants(options("attackers", wildcards.attacker)):
        return []
    target, role = pictured(wildcards, "target")
    return [
        path
        for name in dict.fromkeys(["original", target])
        for path in manifests("render", wildcards.dataset, name, "train", role)
    ]


def kit_renderings(wildcards):
    """The renderings that the raters' kit is made from: the originals and all variants."""
    return [
        path
        for variant in kit.variants(config, VARIANTS)
        # Other sessions of the originals are what raters are asked with.
        for path in manifests(
            "render",
            wildcards.dataset,
            variant,
            "test",
            None if variant == "original" else plan.MEASURED,
        )
    ]


def kit_pages(wildcards):
    """The kits of all datasets whose faces may be shown; an error where there is none."""
    public = [name for name in DATASETS if config["datasets"][name]["faces"] == "public"]
    private = [name for name in DATASETS if name not in public]
    if private:
        print(f"kit: left out {', '.join(private)}: faces are not public", file=sys.stderr)
    if not public:
        raise WorkflowError(
            "kit: raters would see faces, and no dataset of this config says `faces: public`"
        )
    return [f"results/kit/{name}/page/index.html" for name in public]


def all_scans(wildcards):
    """Every scan of a dataset: checked ones, and the lists of those that nothing uses."""
    stages = {
        batch: "inventory" if plan.is_opened(batch, bool(ATTACKERS)) else "plan"
        for batch in batches(wildcards.dataset)
    }
    return [f"results/{stage}/{wildcards.dataset}/{b}.tsv" for b, stage in stages.items()]


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
