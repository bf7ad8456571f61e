"""Which files a config asks for, and from which others each is made: what the rules ask for.

:class:`Run` knows what every stage is called; it knows nothing of Snakemake.  Its methods take
names (of a dataset, a variant, a batch) and return paths below ``results``, in the order in
which they are read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from refacebench import manifest
from refacebench.faces import may_show
from refacebench.run import configuration, mistakes, plan, training_sets
from refacebench.run.scope import Scope
from refacebench.vocabulary import (
    CONTRAST,
    MEASURED,
    NULL,
    ORIGINAL,
    PICTURE_CONTROLS,
    RESCAN,
    UNDEFACED,
    split_contrast,
    split_variant,
)


class Run(Scope):
    """A config, and the files that follow from it."""

    @classmethod
    def load(
        cls, config: Mapping[str, Any], look: bool, retry: bool = False, retrain: bool = False
    ) -> Self:
        """Return the run of a config, with the scans that its models are fitted on.

        Parameters
        ----------
        config, look, retry
            As in :meth:`refacebench.run.scope.Scope.load`.
        retrain : bool
            Train again where the scans that models were trained on changed.

        Raises
        ------
        ConfigError
            As there, and if a training set changed and ``retrain`` does not allow for it.
        """
        run = super().load(config, look, retry)
        for name, lists in run.lists.items():
            if not look:
                run.fitted_on[name] = training_sets.saved(lists)
                continue
            found = training_sets.decide(name, lists, run.models(name), retrain)
            run.fitted_on[name] = found
            if note := training_sets.waiting_note(name, lists, found):
                print(note, file=sys.stderr)
        return run

    # manifests ----------------------------------------------------------------------------

    def manifests(
        self,
        stage: str,
        dataset: str,
        name: str,
        split: str | None = None,
        role: str | None = None,
    ) -> list[str]:
        """Return a stage's manifests of a dataset's batches; the name is the variant's folder."""
        batches = self.batches(dataset, split, role)
        return [f"results/{stage}/{dataset}/{name}/{batch}.tsv" for batch in batches]

    def grown_scans(self, dataset: str, batch: str) -> list[str]:
        """Return the grown scans that the inventory checks; a folder's are in the batch list."""
        grown = configuration.is_synthetic(self.config, dataset)
        return [f"results/grow/{dataset}/{batch}.tsv"] if grown else []

    def variant_manifest(self, dataset: str, variant: str, batch: str) -> str:
        """Return the manifest of a variant's images: originals, defaced or refaced ones."""
        if variant == ORIGINAL:
            # A later session is segmented or looked at as it is: nothing needs its masks and
            # its registration.
            stage = "prepare" if f"-{MEASURED}-" in batch else "inventory"
            return f"results/{stage}/{dataset}/{batch}.tsv"
        shown, contrast = split_contrast(variant)
        if contrast:
            stage = f"align/{dataset}" if shown == ORIGINAL else f"carry/{dataset}/{shown}"
            return f"results/{stage}/{batch}.tsv"
        stage = "reface" if split_variant(variant)[1] else "deface"
        return f"results/{stage}/{dataset}/{variant}/{batch}.tsv"

    def stage_manifests(
        self,
        stage: str,
        dataset: str,
        split: str | None = None,
        role: str | None = None,
        variants: Sequence[str] = (ORIGINAL,),
    ) -> list[str]:
        """Return a stage's manifests of some variants of a dataset, for all segmenters.

        Brought measures are those of the measure stage, and nothing comes before them.
        """
        if dataset in self.brought:
            stage = "measure"
        return [
            path
            for segmenter in self.segmenters_of(dataset)
            for variant in variants
            for path in self.manifests(stage, dataset, f"{segmenter}/{variant}", split, role)
        ]

    def measurements(self, dataset: str) -> list[str]:
        """Return the measures of all variants of the test split."""
        return self.stage_manifests("measure", dataset, "test", MEASURED, self.variants)

    def segmentations(self, dataset: str) -> list[str]:
        """Return the segmentations of all variants of the test split."""
        return self.stage_manifests("segment", dataset, "test", MEASURED, self.variants)

    def rescan_segmentations(self, dataset: str) -> list[str]:
        """Return the segmentations of the test split's declared rescans."""
        return self.stage_manifests("segment", dataset, "test", RESCAN)

    def training_segmentations(self, dataset: str) -> list[str]:
        """Return the segmentations of the train split's originals, for the brain-age model."""
        return self.stage_manifests("segment", dataset, "train", MEASURED)

    # age models that see images -----------------------------------------------------------

    def segmented(self, dataset: str, variant: str, batch: str) -> str:
        """Return the first segmenter's manifest of a variant's images, with the brains in them."""
        return f"results/segment/{dataset}/{self.segmenters[0]}/{variant}/{batch}.tsv"

    def age_training(self, dataset: str, split: str) -> list[str]:
        """Return the segmented originals of a split that age models are trained or picked on."""
        batches = self.batches(dataset, split, MEASURED)
        return [self.segmented(dataset, ORIGINAL, batch) for batch in batches]

    def age_cards(self, dataset: str) -> list[str]:
        """Return the cards of all age models."""
        return [f"results/train_age/{dataset}/{name}/card.json" for name in self.age_models]

    def age_manifests(self, dataset: str) -> list[str]:
        """Return the ages that models see in the compared scans and in the declared rescans."""
        return [
            path
            for name in self.age_models
            for variant, role in (*((v, MEASURED) for v in self.variants), (ORIGINAL, RESCAN))
            for path in self.manifests("age", dataset, f"{name}/{variant}", "test", role)
        ]

    # refacing and companions --------------------------------------------------------------

    def training_manifests(self, dataset: str, defacer: str, split: str) -> list[str]:
        """Return the defaced scans of a split that a model is trained on."""
        return self.manifests("deface", dataset, defacer, split, MEASURED)

    def card(self, dataset: str, defacer: str, refacer: str) -> str:
        """Return the card of the model that a refacer applies: its own, or another entry's."""
        trained = configuration.trained_as(self.config, refacer)
        return f"results/train/{dataset}/{defacer}+{trained}/card.json"

    def models(self, dataset: str) -> list[str]:
        """Return the files of all models that are trained on scans of a dataset."""
        learning = [attacker for attacker in self.attackers if self.is_trained(attacker)]
        return [
            *self.cards_of(dataset),
            *self.age_cards(dataset),
            *self.attack_files(dataset, learning),
        ]

    def is_trained(self, attacker: str) -> bool:
        """Tell whether an attacker learns from scans of the train split."""
        chosen = self.chosen("attackers", attacker)
        return bool(chosen.method.training(chosen.options))

    def cards(self) -> list[str]:
        """Return the cards of all models that this run trains."""
        return [card for dataset in self.datasets for card in self.cards_of(dataset)]

    def cards_of(self, dataset: str) -> list[str]:
        """Return the cards of all models that are trained on one dataset."""
        return [f"results/train/{dataset}/{variant}/card.json" for variant in self.trainings]

    def refacing_manifests(self, dataset: str) -> list[str]:
        """Return all defaced scans that models are trained and picked on."""
        return [
            path
            for defacer in self.config["defacers"]
            if any(v.startswith(f"{defacer}+") for v in self.variants)
            for split in ("train", "validation")
            for path in self.training_manifests(dataset, defacer, split)
        ]

    def carry_manifests(self, dataset: str) -> list[str]:
        """Return the companions of the compared scans; none without `carry` in the config.

        The null control is for measuring alone: its noise is not carried anywhere.
        """
        return [path for _, path in self._carried(dataset)]

    def carried_by(self, dataset: str) -> list[str]:
        """Return the defacer whose masks the companions of each of those manifests got."""
        return [defacer for defacer, _ in self._carried(dataset)]

    def _carried(self, dataset: str) -> list[tuple[str, str]]:
        if not self.config["datasets"][dataset].get("carry"):
            return []
        return [
            (defacer, path)
            for defacer in self.carrying
            for path in self.manifests("carry", dataset, defacer, "test", MEASURED)
        ]

    @property
    def carrying(self) -> list[str]:
        """The defacers whose masks are carried over to companions."""
        return [d for d in self.config["defacers"] if d != NULL and d in self.variants]

    def other_contrasts(self, dataset: str) -> list[str]:
        """Return what is attacked beside the scans: companions as they were, and without a face.

        Each is a name for :func:`refacebench.vocabulary.split_contrast`.
        """
        shown = [ORIGINAL, *self.carrying] if self.contrast_attackers else []
        return [
            f"{variant}{CONTRAST}{contrast}"
            for contrast in self.contrasts(dataset)
            for variant in shown
        ]

    def contrasts(self, dataset: str) -> list[str]:
        """Return the other contrasts that lose the face along with a data set's scans."""
        return list(dict.fromkeys(self.config["datasets"][dataset].get("carry") or ()))

    @property
    def contrast_attackers(self) -> list[str]:
        """The attackers that look at heads in other contrasts: at surfaces.

        One that is trained on the train split knows no other contrast, and brains are looked for
        in T1w scans alone.
        """
        chosen = {name: self.chosen("attackers", name).method for name in self.attackers}
        return [
            name
            for name, method in chosen.items()
            if not (method.floor or method.brains or self.is_trained(name))
        ]

    def contrast_attacks(self, dataset: str) -> list[str]:
        """Return what attackers found on companions, asked with the scans' own gallery."""
        return [
            f"results/attack/{dataset}/{attacker}/{shown}.npz"
            for attacker in self.contrast_attackers
            for shown in self.other_contrasts(dataset)
        ]

    def contrast_manifests(self, dataset: str) -> list[str]:
        """Return what became of the companions that attackers were set on."""
        return [path.removesuffix(".npz") + ".tsv" for path in self.contrast_attacks(dataset)]

    # attacks ------------------------------------------------------------------------------

    def attacked(self, attacker: str) -> list[str]:
        """Return the variants that an attacker is set on, and pictures of the original."""
        return [*self.variants, *self.chosen("attackers", attacker).method.controls]

    def floors(self) -> list[str]:
        """Return the attackers that look at no face: their rates are no failure of a defacer."""
        return [a for a in self.attackers if self.chosen("attackers", a).method.floor]

    def attack_files(self, dataset: str, attackers: Sequence[str] | None = None) -> list[str]:
        """Return what attackers, by default all, found on all variants and controls."""
        return [
            f"results/attack/{dataset}/{attacker}/{variant}.npz"
            for attacker in (self.attackers if attackers is None else attackers)
            for variant in self.attacked(attacker)
        ]

    def attack_manifests(self, dataset: str) -> list[str]:
        """Return what became of the scans that every attacker was set on."""
        return [path.removesuffix(".npz") + ".tsv" for path in self.attack_files(dataset)]

    def enrol_manifests(self, dataset: str) -> list[str]:
        """Return what became of the originals that every attacker was to enrol."""
        return [f"results/enrol/{dataset}/{attacker}.tsv" for attacker in self.attackers]

    def renderings(self, dataset: str, shown: str | None = None, split: str = "test") -> list[str]:
        """Return the renderings of a split that an attacker looks at.

        Of the gallery (``shown`` is None) originals of all sessions; of an attacked variant
        its scans that are measured; the pictures of a control are the original's.
        """
        return self.manifests("render", dataset, *_pictured(shown, split))

    def brains(self, dataset: str, attacker: str, shown: str | None = None) -> list[str]:
        """Return the brain masks found in the same images, where an attacker wants them."""
        if shown in PICTURE_CONTROLS or not self.chosen("attackers", attacker).method.brains:
            return []
        name, split, role = _pictured(shown, "test")
        return self.manifests("segment", dataset, f"{self.segmenters[0]}/{name}", split, role)

    def parallel(self, attacker: str) -> bool:
        """Return whether an attacker can use several threads."""
        return bool(self.chosen("attackers", attacker).method.parallel)

    def attack_training(self, dataset: str, attacker: str, target: str) -> list[str]:
        """Return renderings of the train split, where an attacker is trained on them."""
        if not self.is_trained(attacker):
            return []
        name, split, role = _pictured(target, "train")
        return [
            path
            for shown in dict.fromkeys([ORIGINAL, name])
            for path in self.manifests("render", dataset, shown, split, role)
        ]

    def kit_renderings(self, dataset: str, shown: Iterable[str]) -> list[str]:
        """Return the renderings that raters are asked with: of the originals all sessions."""
        return [
            path
            for variant in shown
            for path in self.renderings(dataset, None if variant == ORIGINAL else variant)
        ]

    def kit_pages(self) -> list[str]:
        """Return the raters' kits of all datasets whose faces may be shown; name the others.

        Raises
        ------
        ConfigError
            If there is none.
        """
        public = [name for name in self.datasets if may_show(self.faces(name))]
        private = [name for name in self.datasets if name not in public]
        if private:
            print(f"kit: left out {', '.join(private)}: faces are not public", file=sys.stderr)
        if not public:
            raise mistakes.ConfigError(
                "kit: raters would see faces, but no dataset of this config has `faces: public`"
            )
        return [f"results/kit/{name}/page/index.html" for name in public]

    def qc_manifests(self, dataset: str) -> list[str]:
        """Return the pictures for quality control: of the originals, then of what may be shared."""
        return [
            path
            for variant in (ORIGINAL, *(v for v in self.variants if v not in UNDEFACED))
            for path in self.manifests("qc", dataset, variant, "test", MEASURED)
        ]

    def qc_pages(self) -> list[str]:
        """Return the pages for quality control."""
        return [f"results/qc/{name}/index.html" for name in self.datasets]

    # what the main job makes --------------------------------------------------------------

    def figure_files(
        self, figures: Iterable[str], of_attacks: Iterable[str], of_images: Iterable[str] = ()
    ) -> list[str]:
        """Return all figures: those of every dataset, of every model, attacks, and of images."""
        models = [f"{kind}-{v}" for v in self.trainings for kind in ("curves", "samples")]
        names = [*figures, *models, *(of_attacks if self.attackers else ())]
        shown = {d: [] if d in self.brought else list(of_images) for d in self.datasets}
        return [
            f"results/figures/{d}/{name}.png" for d in self.datasets for name in names + shown[d]
        ]

    def attack_tables(self, tables: Iterable[str]) -> list[str]:
        """Return the tables of the attacks; none where there are no attackers."""
        names = list(tables) if self.attackers else []
        return [f"results/tables/{d}/{name}.tsv" for d in self.datasets for name in names]

    def pages_of(self, tables: Iterable[str], of_attacks: Iterable[str]) -> list[tuple[str, str]]:
        """Return dataset and name of all tables that have a page of their own."""
        names = [*tables, *(of_attacks if self.attackers else ())]
        return [(d, name) for d in self.datasets for name in names]

    # the scans' flow ----------------------------------------------------------------------

    def unused_batches(self, dataset: str) -> list[str]:
        """Return the batches that nothing uses, as later sessions of who models are fitted on."""
        if dataset in self.brought:  # no image is opened
            return self.batches(dataset)
        attacked, waiting = bool(self.attackers), self.waiting(dataset)
        names = self.lists[dataset].names
        return [b for b in names if b in waiting or not plan.is_opened(b, attacked)]

    def unused_lists(self, dataset: str) -> list[str]:
        """Return the lists of the scans that nothing uses."""
        return [f"results/plan/{dataset}/{b}.tsv" for b in self.unused_batches(dataset)]

    def unused_digests(self, dataset: str) -> list[str]:
        """Return what changes with the lists of the scans that nothing uses."""
        return [self.digest(dataset, batch) for batch in self.unused_batches(dataset)]

    def compared_lists(self, dataset: str) -> list[str]:
        """Return the lists of the scans whose variants are compared."""
        return [f"results/plan/{dataset}/{b}.tsv" for b in self.batches(dataset, "test", MEASURED)]

    def checked_scans(self, dataset: str) -> list[str]:
        """Return the inventory of all scans that something uses."""
        unused = self.unused_batches(dataset)
        used = [batch for batch in self.batches(dataset) if batch not in unused]
        return [f"results/inventory/{dataset}/{batch}.tsv" for batch in used]

    def wildcards(self) -> dict[str, str]:
        """Return a regular expression for each wildcard of the rules."""
        others = dict.fromkeys(n for d in self.datasets for n in self.other_contrasts(d))
        named = {
            "dataset": self.datasets,
            "brought": self.brought,
            "defacer": self.config["defacers"],
            "refacer": self.config["refacers"],
            "segmenter": self.segmenters,
            "variant": self.variants,
            "attacker": self.attackers,
            "age_model": self.age_models,
            "target": [*self.variants, *PICTURE_CONTROLS, *others],
            "shown": [*self.variants, *others],
        }
        return {**{k: alternatives(v) for k, v in named.items()}, "batch": manifest.BATCH}


def _pictured(shown: str | None, split: str) -> tuple[str, str, str | None]:
    """Return whose images an attacker looks at: variant, split, and role of the scans."""
    if shown is None:
        return ORIGINAL, split, None
    return (ORIGINAL if shown in PICTURE_CONTROLS else shown), split, MEASURED


def alternatives(names: Iterable[str]) -> str:
    r"""Return a regular expression that matches just these names.

    >>> alternatives(["a", "a+b"])
    'a|a\\+b'
    """
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"
