"""What a config asks for: its datasets, methods, variants and batches.

:class:`Scope` is the ground that :class:`refacebench.run.graph.Run` stands on.  Reads the lists
and decisions below ``results/plan``, and writes them when a run starts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

from refacebench.run import (
    configuration,
    elsewhere,
    failures,
    methods,
    mistakes,
    plan,
    training_sets,
)
from refacebench.vocabulary import MEASURED, SYNTHETIC_NOTE

#: Where it is written down how often each output is to be made.
ATTEMPTS = "results/plan/attempts.json"

#: Keys of a method's entry that only the plan follows.
_FOR_THE_PLAN = {
    "refacers": ("defacers",),
    "datasets": (
        *("faces", "sessions_measured", "rescan_sessions", "rescan_max_days"),
        *("only_participants", "limit"),
    ),
}


class Scope:
    """A config, and what follows from it.

    Parameters
    ----------
    config : mapping
        Checked and filled up.
    programs : mapping
        What runs behind each defacer (:func:`refacebench.run.configuration.programs`).
    lists : mapping of str to refacebench.run.plan.Lists
        The batch lists of each dataset.
    attempts : refacebench.run.failures.Attempts
        How often each output is to be made.
    tools : mapping, optional
        What runs behind each segmenter, likewise.
    fitted_on : mapping of str to refacebench.run.training_sets.TrainingSet, optional
        What models of each dataset are fitted on; all that its lists have if it is not named.

    Attributes
    ----------
    datasets, segmenters, attackers, age_models : list of str
        By their names in the config; of the segmenters those that can run here.
    brought : list of str
        Datasets that bring measures in the place of images.  Variants and segmenters are those
        of their tables then.
    to_fetch : dict of str to str
        Datasets that are to be downloaded before anything else, with what is missing.
    listed : list of str
        All variants that the config asks for.
    unavailable : dict of str to str
        Those whose programs are not there, with the reason.
    variants : list of str
        Those that run.
    trainings : list of str
        Those of them for which a model is trained.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        programs: Mapping[str, dict[str, str]],
        lists: Mapping[str, plan.Lists],
        attempts: failures.Attempts,
        tools: Mapping[str, dict[str, Any]] | None = None,
        fitted_on: Mapping[str, training_sets.TrainingSet] | None = None,
    ):
        self.config, self.programs, self.lists = config, programs, lists
        self.attempts, self.tools = attempts, tools or {}
        self.fitted_on = dict(fitted_on or {})
        self.to_fetch: dict[str, str] = {}
        self.datasets = list(config["datasets"])
        self.brought = [d for d in self.datasets if elsewhere.brings_measures(config, d)]
        self.attackers = list(config.get("attackers") or {})
        self.age_models = list(config.get("age_models") or {})
        if self.brought:
            self.segmenters, self.listed = self.named("segmenters"), self.named("variants")
        else:
            self.segmenters = configuration.present(config, self.tools)
            self.listed = configuration.variants(config)
        self.unavailable = configuration.unavailable(self.listed, programs)
        self.variants = [name for name in self.listed if name not in self.unavailable]
        self.trainings = [v for v in configuration.trainings(config) if v in self.variants]

    @classmethod
    def load(cls, config: Mapping[str, Any], look: bool, retry: bool = False) -> Self:
        """Return the run of a config.

        Parameters
        ----------
        config : mapping
            Checked and filled up.
        look : bool
            Look at the data and for the programs, as the main process does.  Without (in a
            job, which may run on another machine) what it found is read.
        retry : bool
            Try all failed scans again, not only those whose failure may pass.

        Raises
        ------
        ConfigError
            If datasets or programs are not as the config says; all that is wrong at once.
        """
        found, kinds = mistakes.Gathered(), configuration.PROGRAM_FILES
        behind: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in kinds}
        for kind in kinds:
            with found.more():
                behind[kind] = configuration.programs(config, look, kind=kind)
        programs, tools = behind["defacers"], behind["segmenters"]
        for name, told in tools.items():
            if look and told["reason"]:
                print(f"WARNING: segmenters.{name} is left out: {told['reason']}", file=sys.stderr)
        lacking = elsewhere.to_fetch(config)
        if look and lacking:
            said = "; ".join(f"{name} ({what})" for name, what in lacking.items())
            print(f"To be downloaded first: {said}", file=sys.stderr)
        lists = {}
        for name in config["datasets"]:
            with found.more():
                lists[name] = (
                    plan.nothing(name) if name in lacking else plan.load(config, name, look)
                )
        found.refuse()
        attempts = failures.Attempts(failures.saved(ATTEMPTS), look=False)
        run = cls(config, programs, lists, attempts, tools)
        run.to_fetch = lacking
        if look:
            size = len(run.variants) * sum(found.count(found.names) for found in lists.values())
            files = retry or size <= failures.MOST_LOOKED_FOR
            run.attempts = failures.Attempts(attempts.counts, retry=retry, files=files)
        return run

    def write_plan(self) -> None:
        """Write down, before the first job starts, what jobs need to know."""
        for name, lists in self.lists.items():
            lists.write()
            if name in self.fitted_on:
                plan.write_json(self.fitted_on[name].scans, lists.folder / training_sets.FILE)
        for kind, found in (("defacers", self.programs), ("segmenters", self.tools)):
            plan.write_json(found, f"results/plan/{configuration.PROGRAM_FILES[kind]}")
        plan.write_json(self.attempts.counts, ATTEMPTS)
        self.attempts.forget()

    # methods ------------------------------------------------------------------------------

    def entry(self, kind: str, name: str) -> dict[str, Any]:
        """Return a method's entry of the config, never None; an engine is the one decided on.

        Without what the method itself is not told: a further defacer in a refacer's list must
        not train the others again.
        """
        given = self.config[kind][name] or {}
        chosen = {k: v for k, v in given.items() if k not in _FOR_THE_PLAN.get(kind, ())}
        if kind == "defacers":
            return configuration.decided(name, chosen, self.programs)
        return chosen

    def chosen(self, kind: str, name: str) -> methods.Chosen:
        """Return a method with all its options."""
        return methods.choose(kind, name, self.entry(kind, name))

    def version(self, kind: str, name: str) -> str:
        """Return a method's version: as a rule's parameter it makes old output run again."""
        own = methods.version(kind, name, self.config[kind][name])
        if kind == "defacers":
            return f"{own} {self.programs[name]['version']}".strip()
        if kind == "segmenters" and name in self.tools:
            # With a digest of the program's own files: it has no parameter of the rule for itself.
            told = self.tools[name]
            return " ".join(filter(None, (own, told["version"], told["inputs"][:12])))
        return own

    def training_mb(self, dataset: str, refacer: str) -> int:
        """Return the memory that a training asks for, by its number of scans."""
        chosen = self.chosen("refacers", refacer)
        used = [b for s in ("train", "validation") for b in self.batches(dataset, s, MEASURED)]
        return chosen.method.memory_mb(chosen.options, self.lists[dataset].count(used))

    # batches ------------------------------------------------------------------------------

    def batches(self, dataset: str, split: str | None = None, role: str | None = None) -> list[str]:
        """Return the batches of a dataset, of one split or role only.

        Without those that joined when the models were trained already.
        """
        wanted = [split or "", role or ""]
        waiting = self.waiting(dataset)
        return [
            batch
            for batch in self.lists[dataset].names
            if batch not in waiting
            and all(
                part in ("", have) for part, have in zip(wanted, batch.split("-"), strict=False)
            )
        ]

    def waiting(self, dataset: str) -> list[str]:
        """Return the batches that no model is fitted on, as their scans joined later."""
        return self.fitted_on[dataset].waiting if dataset in self.fitted_on else []

    def fitted(self, dataset: str) -> list[str]:
        """Return the batches that models are fitted or picked on."""
        return [b for split in ("train", "validation") for b in self.batches(dataset, split)]

    def people_digest(self, dataset: str, batches: Sequence[str] | None = None) -> str:
        """Return what changes with age or sex of a dataset's people, or of those of batches."""
        return self.lists[dataset].people_digest(batches)

    def digest(self, dataset: str, batch: str) -> str:
        """Return what changes with a batch list, files that were replaced included."""
        return self.lists[dataset].digest(batch)

    def attempt(self, output: str) -> str:
        """Return what changes when an output is to be made again because scans failed in it."""
        return self.attempts.of(output)

    def named(self, what: str, dataset: str | None = None) -> list[str]:
        """Return the variants or segmenters that the tables of brought measures name, in order."""
        lists = [self.lists[name] for name in ([dataset] if dataset else self.brought)]
        found = [name for each in lists for name in each.first(what).split()]
        return list(dict.fromkeys(found))

    def segmenters_of(self, dataset: str) -> list[str]:
        """Return the segmenters of a dataset, in the run's order.

        Of one that brings measures, the programs that made them: another data set of the run may
        have other ones.
        """
        own = self.named("segmenters", dataset) if dataset in self.brought else self.segmenters
        return [name for name in self.segmenters if name in own]

    # what is said of a dataset ------------------------------------------------------------

    def faces(self, dataset: str) -> str:
        """Return ``public`` or ``private``: whether a dataset's faces may be shown."""
        return self.config["datasets"][dataset]["faces"]

    def folders(self) -> dict[str, str]:
        """Return the folder of every data set that has one of its own."""
        entries = self.config["datasets"].items()
        return {name: str(entry["path"]) for name, entry in entries if entry.get("path")}

    def synthetic_note(self, dataset: str) -> str:
        """Return what all figures and tables of a synthetic dataset say; empty for real ones."""
        made_up = self.config["datasets"][dataset].get("made_up", False)
        synthetic = made_up or configuration.is_synthetic(self.config, dataset)
        return SYNTHETIC_NOTE if synthetic else ""

    def example_title(self, dataset: str) -> str:
        """Return what stands above the example slices; a synthetic participant is called one."""
        synthetic = configuration.is_synthetic(self.config, dataset)
        return f"{dataset}: one {'synthetic ' if synthetic else ''}participant of the test split"
