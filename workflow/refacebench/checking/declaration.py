"""What a method of any kind declares."""

from __future__ import annotations

from refacebench.checking.bench import Bench, expect


def complete(bench: Bench) -> None:
    """METHOD is declared, its functions take what they are given, its options have a meaning."""
    faults = bench.method.faults()
    expect(not faults, "; ".join(faults))


def title(bench: Bench) -> None:
    """It has a title for tables and the report."""
    expect(str(bench.chosen.title).strip(), "give title=, one line that says what it is")


def meanings(bench: Bench) -> None:
    """Every option's meaning is a sentence, and names its unit where it is a length."""
    for name, option in bench.method.options.items():
        text = option.meaning.strip()
        expect(text[0].isupper() and text.endswith("."), f"{name}: {text!r} is not a sentence")
        expect(not name.endswith("_mm") or option.unit == "mm", f"{name}: give unit='mm'")


def defaults(bench: Bench) -> None:
    """Its defaults pass its own bounds and its own check."""
    options = bench.method.defaults
    for name, option in bench.method.options.items():
        if options[name] is not None:
            expect(not option.fault(options[name]), f"{name}: {option.fault(options[name])}")
    bench.method.check(bench.options)


def engine(bench: Bench) -> None:
    """Its engine is native or official."""
    expect(bench.chosen.engine in bench.method.ENGINES, f"it is {bench.chosen.engine!r}")


CHECKS = (complete, title, meanings, defaults, engine)
