# Validation, the plan of the run, and the input functions of all stages.
# Writes nothing when it is parsed; results/plan is written when jobs are about to start.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from refacebench import __version__ as SOFTWARE_VERSION
from refacebench import environment, faces, files, kit, vocabulary
from refacebench.figures import PRIVACY as PRIVACY_FIGURES
from refacebench.figures import names as figure_names
from refacebench.head import rendering
from refacebench.image import nifti
from refacebench.run import configuration, failures, methods, paths, plan
from refacebench.stages import carry, inventory, measure, prepare
from refacebench.statistics import VERSION as STATISTICS_VERSION
from refacebench.statistics.columns import FLOW, PRIVACY, RATERS, TABLES

# Large arrays come and go all the time. As set here the C library (glibc; others do not look)
# keeps their memory, instead of asking the system for fresh pages each time: a fifth of the
# CPU time of segmenting a 1 mm scan. Jobs inherit it.
os.environ.setdefault("MALLOC_MMAP_MAX_", "0")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))

# From here on digests stand for the values of programs' variables, in all that is written.
config.update(environment.hide_all(config))

SCHEMA = workflow.source_path("../schemas/config.schema.yaml")
# Snakemake reads `--config retry=True` as a truth value, and `retry=true` as a text.
if config.get("retry") in ("true", "false"):
    config["retry"] = config["retry"] == "true"
try:
    configuration.validate(config, configuration.read_yaml(SCHEMA))
    validate(config, SCHEMA)  # fills in the defaults
    configuration.check(config)
    config["refacers"] = configuration.refacers(config)
    config.update(configuration.with_controls(config))
    # Taken out: no job depends on them, and a change makes no job run again.
    RETRY, ALLOWED = config.pop("retry"), config.pop("allow_failures")
    PROGRAMS = configuration.programs(config, workflow.is_main_process)
    PLANS = {name: plan.load(config, name, workflow.is_main_process) for name in config["datasets"]}
except configuration.ConfigError as error:
    raise WorkflowError(str(error))

# Rules whose output `snakemake --report` shows take this and not the config: it prints their
# parameters, and the config names folders of this machine. Scripts have it as snakemake.config.
CONFIG_KEY = files.make_key({"config": config}, [])

DATASETS = list(config["datasets"])
ATTACKERS = list(config.get("attackers") or {})
# All variants that the config asks for, and those whose programs are there: only these run.
LISTED = configuration.variants(config)
UNAVAILABLE = configuration.unavailable(LISTED, PROGRAMS)
VARIANTS = [name for name in LISTED if name not in UNAVAILABLE]
ATTEMPTS = failures.Attempts(failures.saved("results/plan/attempts.json"), look=False)
if workflow.is_main_process:
    size = len(VARIANTS) * sum(lists.count(lists.names) for lists in PLANS.values())
    ATTEMPTS = failures.Attempts(
        ATTEMPTS.counts, retry=RETRY, files=RETRY or size <= failures.MOST_LOOKED_FOR
    )
TRAININGS = [name for name in configuration.trainings(config) if name in VARIANTS]
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
FINISHED = "results/finished.txt"
# Recognisability is measured only where attackers are configured.
PRIVACY_TABLES = [
    f"results/tables/{dataset}/{table}.tsv"
    for dataset in DATASETS
    for table in (PRIVACY if ATTACKERS else ())
]


wildcard_constraints:
    dataset=paths.alternatives(DATASETS),
    defacer=paths.alternatives(config["defacers"]),
    refacer=paths.alternatives(config["refacers"]),
    segmenter=paths.alternatives(SEGMENTERS),
    variant=paths.alternatives(VARIANTS),
    attacker=paths.alternatives(ATTACKERS),
    target=paths.alternatives([*VARIANTS, *vocabulary.PICTURE_CONTROLS]),
    batch=rf"(train|validation|test)-({vocabulary.MEASURED}|{vocabulary.RESCAN}|{vocabulary.FOLLOWUP})-\d+",


def entry(kind, name):
    """The config entry of a method, never None; a defacer's engine is the one decided on.

    Without a refacer's list of defacers: a further one must not train the others again.
    """
    chosen = {k: v for k, v in (config[kind][name] or {}).items() if k != "defacers"}
    return configuration.decided(name, chosen, PROGRAMS) if kind == "defacers" else chosen


def version(kind, name):
    """The method's version: as a rule's parameter it makes old output run again."""
    own = methods.version(kind, name, config[kind][name])
    program = PROGRAMS[name]["version"] if kind == "defacers" else ""
    return f"{own} {program}".strip()


def chosen(kind, name):
    """A method as its config entry asks for it, with all its options."""
    return methods.choose(kind, name, entry(kind, name))


def batches(dataset, split=None, role=None):
    """The batches of a dataset, of one split or role only."""
    wanted = [split or "", role or ""]
    return [
        batch
        for batch in PLANS[dataset].names
        if all(part in ("", have) for part, have in zip(wanted, batch.split("-")))
    ]


def manifests(stage, dataset, name, split=None, role=None):
    """A stage's manifests of a dataset's batches; the name is the folder of the variant."""
    return [
        f"results/{stage}/{dataset}/{name}/{batch}.tsv" for batch in batches(dataset, split, role)
    ]


def grown_scans(wildcards):
    """The grown scans that the inventory checks; those of a folder stand in its batch list."""
    grown = configuration.is_synthetic(config, wildcards.dataset)
    return f"results/grow/{wildcards.dataset}/{wildcards.batch}.tsv" if grown else []


def digest(wildcards):
    """What changes with a batch list, files that were replaced included."""
    return PLANS[wildcards.dataset].digest(wildcards.batch)


def attempt(output):
    """A parameter that changes when an output is to be made again because scans failed in it."""
    return lambda wildcards: ATTEMPTS.of(output.format(**dict(wildcards.items())))


def variant_manifest(wildcards):
    """The manifest of a variant's images: originals, defaced or refaced ones."""
    w = wildcards
    defacer, _, refacer = w.variant.partition("+")
    if w.variant == "original":
        # A later session is segmented or looked at as it is: nothing needs its masks and
        # its registration.
        stage = "prepare" if f"-{vocabulary.MEASURED}-" in w.batch else "inventory"
        return f"results/{stage}/{w.dataset}/{w.batch}.tsv"
    stage = "reface" if refacer else "deface"
    return f"results/{stage}/{w.dataset}/{w.variant}/{w.batch}.tsv"


def training_manifests(split):
    """An input function: the defaced scans of a split that a model is trained on."""

    def function(wildcards):
        w = wildcards
        return manifests("deface", w.dataset, w.defacer, split, vocabulary.MEASURED)

    return function


def growing(mb):
    """Memory that grows with each attempt: a profile's `retries` then helps a large scan."""
    return lambda wildcards, attempt: mb * attempt


def training_memory(wildcards, attempt):
    """What a training asks for, by its number of scans."""
    w = wildcards
    refacer = chosen("refacers", w.refacer)
    used = [b for s in ("train", "validation") for b in batches(w.dataset, s, vocabulary.MEASURED)]
    scans = PLANS[w.dataset].count(used)
    return attempt * refacer.method.memory_mb(refacer.options, scans)


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
        for path in manifests("deface", wildcards.dataset, defacer, split, vocabulary.MEASURED)
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
        for path in manifests("carry", wildcards.dataset, defacer, "test", vocabulary.MEASURED)
    ]


def attack_files(wildcards):
    """What every attacker found on every variant and control of a dataset."""
    return [
        f"results/attack/{wildcards.dataset}/{attacker}/{variant}.npz"
        for attacker in ATTACKERS
        for variant in attacked(attacker)
    ]


def enrol_manifests(wildcards):
    """What became of the originals that every attacker was to enrol."""
    return [f"results/enrol/{wildcards.dataset}/{attacker}.tsv" for attacker in ATTACKERS]


def attack_manifests(wildcards):
    """What became of the scans that every attacker was set on."""
    return [path.removesuffix(".npz") + ".tsv" for path in attack_files(wildcards)]


def attacked(attacker):
    """The variants that an attacker is set on, pictures of the original as controls among them."""
    return [*VARIANTS, *chosen("attackers", attacker).method.controls]


def is_floor(attacker):
    """Whether an attacker looks at no face: its rates are a floor, no failure of a defacer."""
    return chosen("attackers", attacker).method.floor


def pictured(wildcards, variant):
    """Whose images an attacker looks at: a variant, and the role of its scans.

    Of the originals all sessions (the gallery), of the attacked variant (`target`) those
    that are measured; the pictures of a control are the original's.
    """
    if variant != "target":
        return variant, None
    control = wildcards.target in vocabulary.PICTURE_CONTROLS
    return "original" if control else wildcards.target, vocabulary.MEASURED


def attack_renderings(variant):
    """An input function: renderings of the test split."""

    def function(wildcards):
        name, role = pictured(wildcards, variant)
        return manifests("render", wildcards.dataset, name, "test", role)

    return function


def attack_brains(variant):
    """An input function: brain masks found in the same images, where an attacker wants them."""

    def function(wildcards):
        control = variant == "target" and wildcards.target in vocabulary.PICTURE_CONTROLS
        if control or not chosen("attackers", wildcards.attacker).method.brains:
            return []
        name, role = pictured(wildcards, variant)
        return manifests("segment", wildcards.dataset, f"{SEGMENTERS[0]}/{name}", "test", role)

    return function


def attack_training(wildcards):
    """Renderings of the train split, where an attacker is trained on them."""
    attacker = chosen("attackers", wildcards.attacker)
    if not attacker.method.training(attacker.options):
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
            None if variant == "original" else vocabulary.MEASURED,
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


def unused_batches(wildcards):
    """The batches that nothing uses, for example later sessions of the people models are fitted on."""
    attacked = bool(ATTACKERS)
    return [b for b in batches(wildcards.dataset) if not plan.is_opened(b, attacked)]


def unused_lists(wildcards):
    """The lists of the scans that nothing uses."""
    return [f"results/plan/{wildcards.dataset}/{b}.tsv" for b in unused_batches(wildcards)]


def checked_scans(wildcards):
    """The inventory of all scans that something uses."""
    unused = unused_batches(wildcards)
    return [
        f"results/inventory/{wildcards.dataset}/{batch}.tsv"
        for batch in batches(wildcards.dataset)
        if batch not in unused
    ]


def synthetic_note(wildcards):
    """What every figure and printed table of a synthetic dataset says; empty for real ones."""
    return (
        vocabulary.SYNTHETIC_NOTE if configuration.is_synthetic(config, wildcards.dataset) else ""
    )


def example_title(dataset):
    """What stands above the example slices; a synthetic participant is called one."""
    synthetic = configuration.is_synthetic(config, dataset)
    return f"{dataset}: one {'synthetic ' if synthetic else ''}participant of the test split"


def write_plan():
    """Write down, before the first job starts, what jobs need to know; close folders with faces."""
    faces.protect_existing()
    for lists in PLANS.values():
        lists.write()
    plan.write_json(PROGRAMS, "results/plan/programs.json")
    plan.write_json(ATTEMPTS.counts, "results/plan/attempts.json")
    ATTEMPTS.forget()


def print_summary():
    """Say at the end where the report is and what stands in its summary."""
    summary = Path("results/summary.txt")
    if summary.is_file():
        print(summary.read_text(), file=sys.stderr)


def print_failures():
    """Say where scans failed in this run and earlier ones, and what to do; return them."""
    outputs = [str(path) for job in workflow.dag.jobs for path in job.output]
    found = failures.collect(outputs)
    if found:
        print(failures.summary(found), file=sys.stderr)
    return found


def finish():
    """End with a status other than 0 where too many scans failed, also when this is repeated."""
    print_summary()
    if failures.within(print_failures(), ALLOWED):
        return
    # Else a second run would find nothing to do and end well.
    Path(FINISHED).unlink(missing_ok=True)
    print(
        "The run counts as failed, whatever else was made. What share of the scans may fail is "
        "set by allow_failures in the config.",
        file=sys.stderr,
    )
    sys.exit(1)
