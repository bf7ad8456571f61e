# Validation, and RUN: what the config asks for, which all rules ask in turn.
# Writes nothing when it is parsed; results/plan is written when jobs are about to start.

import os
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from refacebench import __version__ as SOFTWARE_VERSION
from refacebench import environment, faces, files, pseudonyms
from refacebench.head import rendering
from refacebench.image import nifti
from refacebench.kit import VERSION as KIT_VERSION
from refacebench.kit import questions
from refacebench.qc import VERSION as QC_VERSION
from refacebench.report import provenance
from refacebench.report.methods import defaults, made_elsewhere, taking_part
from refacebench.results import VERSION as RESULTS_VERSION
from refacebench.results import catalogue, doubt
from refacebench.results.result import ATTACKS, FLOW, RATERS, STATISTICS
from refacebench.run import configuration, elsewhere, ending, failures, forgetting, graph
from refacebench.run import leftovers, methods
from refacebench.stages import align, bring, carry, grow, inventory, measure, prepare
from refacebench.stages import qc as qc_stage
from refacebench.statistics.criteria import Criteria

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
    configuration.check_keys(workflow.configfiles)
    configuration.validate(config, configuration.read_yaml(SCHEMA))
    config.update(elsewhere.with_measures(config))
    validate(config, SCHEMA)  # fills in the defaults
    configuration.check(config)
    # As it was asked for, with all defaults, for the run card.
    ASKED = elsewhere.without_images(config)
    ASKED = provenance.shown(ASKED, provenance.words_of(config, configuration.read_yaml(SCHEMA)))
    config["refacers"] = configuration.refacers(config)
    config.update(configuration.with_controls(config))
    config.update(elsewhere.without_images(config))
    # Taken out: no job depends on them, and a change makes no job run again.
    RETRY, ALLOWED = config.pop("retry"), config.pop("allow_failures")
    SCAN_TIMEOUT_S = config.pop("scan_timeout_s")
    KEEP_FACES = config.pop("keep_faces")
    NAMED = config.pop("pseudonyms")
    pseudonyms.switch(NAMED)
    RUN = graph.Run.load(config, workflow.is_main_process, RETRY)
except (configuration.ConfigError, pseudonyms.KeyGone) as error:
    raise WorkflowError(str(error))

# Input of all jobs that write something to be shared, so that it is made again with another key,
# and when pseudonyms are switched on or off.
PSEUDONYMS = [str(pseudonyms.FOLDER / pseudonyms.MADE)] if NAMED else []


wildcard_constraints:
    **RUN.wildcards(),


def attempt(output):
    """A parameter that changes when an output is to be made again because scans failed in it."""
    return lambda wildcards: RUN.attempt(output.format(**dict(wildcards.items())))


def growing(mb):
    """Memory that grows with each attempt: a profile's `retries` then helps a large scan."""
    return lambda wildcards, attempt: mb * attempt


def untracked(value):
    """A parameter for whose sake no job runs again: Snakemake leaves out those of threads."""
    return lambda wildcards, threads: value


def made():
    """All outputs of this run's jobs, and where each belongs."""
    return [
        (failures.Place.of(job.rule.name, job.wildcards_dict), str(path))
        for job in workflow.dag.jobs
        for path in job.output
    ]


def kit_pages(wildcards):
    """The kits of all datasets whose faces may be shown; an error where there is none."""
    try:
        return RUN.kit_pages()
    except configuration.ConfigError as error:
        raise WorkflowError(str(error))


def qc_pages(wildcards):
    """The pages for quality control; an error where no picture of a face may be kept."""
    try:
        return RUN.qc_pages(KEEP_FACES)
    except configuration.ConfigError as error:
        raise WorkflowError(str(error))


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
# What this config's outputs are named after, in a form that Snakemake can compare.
NAMES = asdict(
    leftovers.Names.of(
        RUN,
        [result.name for result in catalogue.everything()],
        [Path(path).stem for path in FIGURE_FILES],
    )
)
