"""How large the trained models are, beside the size at which their method is used by default.

A small model that was trained for minutes says nothing of the published method; a reader must
see that.  Takes model cards as the training wrote them; reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refacebench.plot.numbers import NO_VALUE
from refacebench.report.blocks import Table
from refacebench.results.words import listed, plural
from refacebench.vocabulary import OK, split_variant

#: Options that make a model larger or its training longer, in words.
SIZES = {
    "size": "image edge",
    "filters": "channels",
    "max_filters": "most channels",
    "discriminator_filters": "channels of the discriminator",
    "blocks": "blocks",
    "epochs": "epochs",
    "decay_epochs": "further epochs",
    "steps_per_epoch": "steps per epoch",
}
#: A model that was trained for less than this share of the default's epochs, or whose image or
#: channels are less than this share, is called a toy.
TOY = 0.5


def smaller(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, tuple]:
    """Return the options in which a model is smaller than its method's default: (its, default).

    >>> smaller({"size": 96, "filters": 64}, {"size": 256, "filters": 64})
    {'size': (96, 256)}
    """
    found = {}
    for name in SIZES:
        own, usual = options.get(name), defaults.get(name)
        if not isinstance(own, int | float) or not isinstance(usual, int | float):
            continue
        # No steps an epoch means all of them.
        if own < usual if name != "steps_per_epoch" else usual == 0 < own:
            found[name] = (own, usual)
    return found


def is_toy(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Tell whether a model is far smaller than its method's default, or hardly trained."""
    less = smaller(options, defaults)
    if epochs(options) < TOY * epochs(defaults):
        return True
    return any(own < TOY * usual for name, (own, usual) in less.items() if "epoch" not in name)


def epochs(options: Mapping[str, Any]) -> int:
    """Return all epochs of a training."""
    return int(options.get("epochs", 0)) + int(options.get("decay_epochs", 0))


def turn(options: Mapping[str, Any]) -> str:
    """Return what a pass of a training over its scans is called: a statistical model has rounds.

    >>> turn({"epochs": 20}), turn({"rounds": 3})
    ('epoch', 'round')
    """
    return "round" if "rounds" in options and "epochs" not in options else "epoch"


def table(dataset: Mapping) -> Table | None:
    """Return the page's table of trained models; none without any.

    Parameters
    ----------
    dataset : mapping
        As for :func:`refacebench.report.page.build`: ``models``, cards by variant, and
        ``defaults``, all options of each method at their defaults, by the refacer's name.
    """
    cards = dataset.get("models") or {}
    if not cards:
        return None
    rows = [
        _row(name, card, dataset["defaults"][split_variant(name)[1]])
        for name, card in cards.items()
    ]
    caption = (
        "Trained models, all trained by this run, with our own code. A toy is far smaller than "
        "the method's own default, or was trained for far less: it shows that the pipeline runs, "
        "and says nothing about the published method. Learnt: the weights of a network; of a "
        "statistical model the numbers of its mean head and shapes."
    )
    columns = ["Model", "Scans: training, validation", "Numbers learnt (millions)", "Training",
               "Which one is used", "Smaller than the default in"]  # fmt: skip
    return Table(caption, columns, rows)


def _row(name: str, card: Mapping, defaults: Mapping) -> list[str]:
    if card.get("status", OK) != OK:
        return [name, NO_VALUE, NO_VALUE, f"no model: {card.get('reason', '')}", NO_VALUE, NO_VALUE]
    options, data = card["options"], card.get("data", {})
    scans = ", ".join(str(len(data.get(split, ()))) for split in ("train", "validation"))
    weights = sum((card.get("parameters") or {}).values()) / 1e6
    picked = card.get("picked", {})
    less = smaller(options, defaults)
    words = [
        f"{SIZES[key]} {own:g} (default {_usual(key, usual)})" for key, (own, usual) in less.items()
    ]
    if is_toy(options, defaults):
        words.insert(0, "a toy")
    return [
        name,
        scans,
        f"{weights:.1f}" if weights else NO_VALUE,
        training(card),
        _used(card) if "epoch" in picked else NO_VALUE,
        "; ".join(words) or "nothing",
    ]


def by_validation(card: Mapping) -> bool:
    """Tell whether validation picked what is used: the last epoch or round is used elsewhere."""
    return bool(card.get("picked", {}).get("validation"))


def _used(card: Mapping) -> str:
    which = f"{turn(card['options'])} {card['picked']['epoch']}"
    return f"{which}, best on validation scans" if by_validation(card) else f"{which}, the last"


def _usual(name: str, value: float) -> str:
    return "all of the data" if name == "steps_per_epoch" and not value else f"{value:g}"


def training(card: Mapping) -> str:
    """Return how long a model was trained, in words."""
    done = card.get("picked", {}).get("epochs_trained") or epochs(card["options"])
    per_epoch = card["options"].get("steps_per_epoch") or 0
    return plural(int(done), turn(card["options"])) + (
        f" of {per_epoch} steps" if per_epoch else ""
    )


def circular(statement: str, cards: Mapping[str, Mapping]) -> str:
    """Return what is said of a synthetic dataset, with what training on its people makes easier.

    Parameters
    ----------
    statement : str
        What the dataset says of itself; empty for real people.
    cards : mapping
        Cards of the trained models, by variant.
    """
    scans: dict[str, int] = {}
    for variant, card in cards.items():
        if statement and card.get("status", OK) == OK:
            name, n = str(split_variant(variant)[1]), len(card.get("data", {}).get("train", ()))
            scans[name] = max(n, scans.get(name, 0))
    if not scans:
        return statement
    parts = [f"{name} (on {plural(n, 'scan')})" for name, n in scans.items()]
    return (
        f"{statement} Training is circular too: {listed(parts)} learned from people grown from the "
        "same source as those whose faces it fills in. Restoring a face, and every attack that "
        "first restores one, is easier here than on real heads."
    )


def lines(dataset: Mapping) -> list[str]:
    """Return the summary's sentence on toys, if there are any (``dataset``: see :func:`table`)."""
    toys = []
    for name, card in (dataset.get("models") or {}).items():
        usual = dataset["defaults"][split_variant(name)[1]]
        if card.get("status", OK) != OK or not is_toy(card["options"], usual):
            continue
        scans = plural(len(card.get("data", {}).get("train", ())), "scan")
        size = card["options"].get("size")
        at = f" at {size} px" if size else ""
        toys.append(f"{name} (trained on {scans}{at} for {training(card)})")
    if not toys:
        return []
    many = len(toys) > 1
    return [
        f"{'These models are toys' if many else 'This model is a toy'}, far smaller than the "
        f"method's default or trained for far less: {', '.join(toys)}. What "
        f"{'they do' if many else 'it does'} says nothing about the published method."
    ]
