# Validation, and RUN: what the config asks for, which all rules ask in turn.
# Writes nothing when it is parsed; results/plan is written when jobs are about to start.

import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError

from refacebench import __version__ as SOFTWARE_VERSION
from refacebench import faces, files, pseudonyms
from refacebench.head import rendering
from refacebench.image import nifti
from refacebench.kit import VERSION as KIT_VERSION
from refacebench.kit import questions
from refacebench.qc import VERSION as QC_VERSION
from refacebench.qc.page import FILES as QC_FILES
from refacebench.report import pages, provenance
from refacebench.report.methods import defaults, made_elsewhere, taking_part
from refacebench.results import VERSION as RESULTS_VERSION
from refacebench.results import catalogue, doubt, studied
from refacebench.results.result import ATTACKS, FLOW, RATERS, STATISTICS, STUDY
from refacebench.run import (
    cluster,
    configuration,
    ending,
    estimate,
    failures,
    forgetting,
    graph,
    keeping,
    leftovers,
    memory,
    methods,
    mistakes,
    prefixed,
    reach,
    settings,
)
from refacebench.stages import align, bring, carry, grow, inventory, measure, prepare
from refacebench.stages import qc as qc_stage
from refacebench.statistics.criteria import Criteria

# Large arrays come and go all the time. As set here the C library (glibc; others do not look)
# keeps their memory, instead of asking the system for fresh pages each time: a fifth of the
# CPU time of segmenting a 1 mm scan. Jobs inherit it.
os.environ.setdefault("MALLOC_MMAP_MAX_", "0")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))

SCHEMA = files.read_yaml(workflow.source_path("../schemas/config.schema.yaml"))
# Snakemake reads `--config retry=True` as a truth value, and `retry=true` as a text.
for key in ("retry", "retrain", "remake"):
    if config.get(key) in ("true", "false"):
        config[key] = config[key] == "true"
GIVEN = dict(config)
try:
    SETTINGS = settings.settle(
        config,
        SCHEMA,
        workflow.configfiles,
        absolute=bool(HOME),
        also=studied.faults,
    )
    # Digests stand in it for the values of programs' variables, in all that is written.
    config.clear()
    config.update(SETTINGS.config)
    # For the run card.
    ASKED = provenance.shown(
        {key: value for key, value in SETTINGS.asked.items() if key != "study"},
        provenance.words_of(SETTINGS.asked, SCHEMA),
    )
    RETRY, ALLOWED = SETTINGS.of_the_run["retry"], SETTINGS.of_the_run["allow_failures"]
    RETRAIN = SETTINGS.of_the_run["retrain"]
    SCAN_TIMEOUT_S = SETTINGS.of_the_run["scan_timeout_s"]
    KEEP_FACES = SETTINGS.of_the_run["keep_faces"]
    KEEP, REMAKE = SETTINGS.of_the_run["keep"], SETTINGS.of_the_run["remake"]
    NAMED = SETTINGS.of_the_run["pseudonyms"]
    STUDIED = SETTINGS.of_the_run["study"]
    with prefixed.inside(HOME):
        pseudonyms.switch(NAMED)
        RUN = graph.Run.load(config, workflow.is_main_process, RETRY, RETRAIN)
        ASKING, KEEPING = memory.Asking(RUN), keeping.Keeping(RUN, KEEP, KEEP_FACES)
        REMADE = KEEPING.remade(REMAKE) if workflow.is_main_process else []
    if HOME:
        RUN, ASKING, KEEPING = (prefixed.Inside(each, HOME) for each in (RUN, ASKING, KEEPING))
except (mistakes.ConfigError, pseudonyms.KeyGone) as error:
    raise WorkflowError(mistakes.told(error, workflow.configfiles, GIVEN))

# Input of all jobs that write something to be shared, so that it is made again with another key,
# and when pseudonyms are switched on or off.
PSEUDONYMS = [str(pseudonyms.FOLDER / pseudonyms.MADE)] if NAMED else []


wildcard_constraints:
    **RUN.wildcards(),


# What the longest way through a run is made of starts first: refaced scans are segmented and
# attacked last of all, they wait for a training, and that for the train split's scans.
EARLY = {
    **dict.fromkeys(("train", "train_age"), 50),
    **dict.fromkeys(("base", "grow", "inventory", "prepare"), 40),
    "reface": 35,
    "deface": 30,
    "render": 10,  # then attacks fill what the last of the measuring leaves of the cores
    **dict.fromkeys(("segment", "measure"), 5),
    "tidy": 0,
}
if KEEP != keeping.ALL:
    # What images wait for goes before further images, so that few are there at a time.
    EARLY |= {"reface": 60, "segment": 70, "render": 70, "measure": 80, "tidy": 90}


def attempt(output):
    """A parameter that changes when an output is to be made again because scans failed in it."""
    return lambda wildcards: RUN.attempt(output.format(**dict(wildcards.items())))


def growing(mb):
    """Memory that grows with each attempt: a profile's `retries` then helps a large scan."""
    return lambda wildcards, attempt: mb * attempt


def asking(stage, method=""):
    """Memory by the voxels of a batch's largest scan; each further attempt asks for twice as much.

    `method` is the wildcard with the method's name.
    """

    def mb(wildcards, attempt):
        name = getattr(wildcards, method) if method else ""
        return ASKING.mb(stage, wildcards.dataset, wildcards.batch, name) * 2 ** (attempt - 1)

    return mb


def tries_left(wildcards, attempt):
    """How often a job may still be started again, with more memory: a profile's `retries`.

    Jobs inherit the number; on a cluster they are runs of their own, without the profile.
    """
    known = workflow.execution_settings  # none where jobs are only listed
    return cluster.tries_left(
        attempt, known.retries if known and workflow.is_main_process else None
    )


def untracked(value):
    """A parameter for whose sake no job runs again: Snakemake leaves out those of threads."""
    return lambda wildcards, threads: value


def own_jobs():
    """All jobs of this workflow, with the names that its rules have here."""
    rules_ = {proxy.rule: name for name, proxy in rules._rules.items()}
    return [(rules_[job.rule], job) for job in workflow.dag.jobs if job.rule in rules_]


def made():
    """All outputs of this run's jobs, and where each belongs."""
    return [
        (failures.Place.of(rule, job.wildcards_dict), str(path).removeprefix(PREFIX))
        for rule, job in own_jobs()
        for path in job.output
    ]


def ask_cluster():
    """On Slurm, see to it that jobs are followed, and that none of an earlier run is left."""
    if not hasattr(workflow.executor_settings, "status_command"):
        return
    try:
        for line in cluster.use(workflow.executor_settings, os.getcwd()):
            print(line, file=sys.stderr)
    except mistakes.ConfigError as error:
        raise WorkflowError(str(error))


def check_kept():
    """Stop where jobs that are due need files which were deleted; those that make them may."""
    dag, due = workflow.dag, set(workflow.dag.needrun_jobs())

    def anew(job):
        """Tell whether a job works on all scans again, and not only on those that are new."""
        models = (of for of in dag.dependencies[job] if of.rule.name.startswith("train"))
        return bool(dag.reason(job).params_changed) or any(of in due for of in models)

    def paths(found):
        return [str(path).removeprefix(PREFIX) for path in found]

    jobs = [
        keeping.Job(kind, dict(job.wildcards_dict), paths(job.input), paths(job.output), anew(job))
        for kind, job in own_jobs()
        if job in due and job.output
    ]
    try:
        KEEPING.check(jobs)
    except mistakes.ConfigError as error:
        raise WorkflowError(str(error))


def print_estimate():
    """Say what the rest of the run will take, and if its people are few, before the first job."""
    jobs, due = own_jobs(), set(workflow.dag.needrun_jobs())
    counts, left = Counter(rule for rule, _ in jobs), Counter(r for r, job in jobs if job in due)
    found = estimate.estimate(
        RUN,
        workflow.resource_settings.cores or workflow.resource_settings.nodes or 1,
        {name: left[name] / counts[name] for name in counts},
        KEEP,
    )
    print(estimate.told(found, remaining=left != counts), file=sys.stderr)
    for line in reach.notes(RUN):
        print(line, file=sys.stderr)


def kit_pages(wildcards):
    """The kits of all datasets whose faces may be shown; an error where there is none."""
    try:
        return RUN.kit_pages()
    except mistakes.ConfigError as error:
        raise WorkflowError(str(error))


def faces_kept(paths):
    """The same paths, for what keeps pictures of faces; an error where none may be kept."""
    try:
        forgetting.check_kept(KEEP_FACES)
    except mistakes.ConfigError as error:
        raise WorkflowError(str(error))
    return paths


def of_config(*keys):
    """The named keys of the config, for a rule's parameters: it runs again where one changes.

    `snakemake --report` prints parameters, so that none may name a folder of this machine.
    """
    return {key: config[key] for key in keys if key in config}


def of_attacks(*keys):
    """The same with `privacy` as the attacks know it: without the kit for raters."""
    return {
        **of_config(*keys),
        "privacy": {k: v for k, v in (config["privacy"] or {}).items() if k != "kit"},
    }


CRITERIA = Criteria.from_config(config)
FIGURES, ATTACK_FIGURES = catalogue.figure_names(RUN.segmenters), catalogue.attack_figure_names()
FIGURE_FILES = RUN.figure_files(FIGURES, [*ATTACK_FIGURES, "privacy_map"], ["slices"])
# Recognisability is measured only where attackers are configured.
ATTACK_TABLES = RUN.attack_tables(catalogue.tables(ATTACKS))
# What `snakemake --report` says of each figure is written by the rule that writes the page.
PLACES = pages.places(RUN.segmenters)
SHOWN_TABLES = [*catalogue.tables(STATISTICS), *catalogue.tables(FLOW)]
CAPTIONS = expand("results/pages/captions/{figure}.rst", figure=PLACES)


def told(figure):
    """The file with a figure's caption, as `snakemake --report` looks for it."""
    path = workflow.modifier.path_modifier.modify(f"results/pages/captions/{figure}.rst")
    return os.path.abspath(str(path))


def shown(figure, suffix=""):
    """A figure's PNG with its place and its caption in `snakemake --report`."""
    section, title = PLACES[figure]
    return report(
        f"results/figures/{{dataset}}/{figure}{suffix}.png",
        caption=told(figure),
        category="{dataset}",
        subcategory=section,
        labels={"figure": title + (suffix and f": {suffix[1:]}")},
    )


# A published study that the config follows: its tables and figures, and ours in a paper's width.
ASKED_OF_STUDY = [n for item in (STUDIED or {}).get("items", ()) for n in item.get("ours") or ()]
DRAWN_FOR_STUDY = [
    name for name in catalogue.study_figures() if name in ASKED_OF_STUDY and name != "study_sheet"
]
ALL_FIGURES = [*FIGURES, *(ATTACK_FIGURES if RUN.attackers else ()), *DRAWN_FOR_STUDY]
PAPER_FIGURES = studied.paper_figures(STUDIED, ALL_FIGURES) if STUDIED else []
SHEETS = [f"study_sheet-{v}" for v in RUN.variants if "+" in v and "study_sheet" in ASKED_OF_STUDY]
# Slices are drawn from scans, by a job of their own.
PAPER_SLICES = ["slices"] if "slices" in ASKED_OF_STUDY else []
STUDY_TABLES = [
    f"results/tables/{d}/{name}.tsv"
    for d in (RUN.datasets if STUDIED else ())
    for name in catalogue.tables(STUDY)
]
STUDY_FIGURES = [
    f"results/figures/{d}/{name}.png"
    for d in (RUN.datasets if STUDIED else ())
    for name in [*DRAWN_FOR_STUDY, *([] if d in RUN.brought else SHEETS)]
]
STUDY_SLICES = [
    f"results/study/{d}/{name}.pdf"
    for d in (RUN.datasets if STUDIED else ())
    for name in ([] if d in RUN.brought else [*SHEETS, *PAPER_SLICES])
]

# What this config's outputs are named after, in a form that Snakemake can compare.
NAMES = asdict(
    leftovers.Names.of(
        RUN,
        [result.name for result in catalogue.everything()],
        [Path(path).stem for path in [*FIGURE_FILES, *STUDY_FIGURES]],
    )
)
