"""The report page and the summary that a run ends with."""

from pathlib import Path

import pandas as pd

import refacebench
from refacebench import files, report
from refacebench.run import configuration, log
from refacebench.run import methods as registry
from refacebench.statistics import columns
from refacebench.statistics.settings import Settings


def methods(config, programs) -> list[dict]:
    """Return what took part, with engine and version; programs as the run found them."""
    found = []
    for kind in ("defacers", "refacers", "segmenters", "attackers"):
        for name, entry in (config.get(kind) or {}).items():
            chosen = registry.choose(kind, name, entry)
            program = programs[name] if kind == "defacers" else {}
            found.append(
                {
                    "kind": kind.removesuffix("s"),
                    "name": name,
                    "title": chosen.title,
                    "engine": program.get("engine") or chosen.engine,
                    "version": program.get("version") or chosen.version,
                    "reason": program.get("reason", ""),
                }
            )
    return found


def under(paths, dataset: str) -> list[Path]:
    """Return the paths of one dataset's folder."""
    return [Path(p) for p in paths if Path(p).parent.name == dataset]


def summary(datasets, page) -> str:
    """Return the text that a run ends with: a few lines a dataset, and where the report is."""
    lines = []
    for dataset in datasets:
        synthetic = " (SYNTHETIC, no evidence about real people)" if dataset["statement"] else ""
        lines.append(f"\nDataset {dataset['name']}{synthetic}")
        lines += [f"WARNING: {line}" for line in report.warning_lines(dataset["tables"])]
        lines += report.summary_lines(dataset["tables"], dataset["settings"])
    return "\n".join([*lines, f"\nReport: {page}", ""])


def main(snakemake):
    """Read tables and figures, write the page and the summary."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    config = snakemake.config
    costs = pd.read_csv(given.costs, sep="\t")
    datasets = [
        {
            "name": name,
            "statement": configuration.statement(name, entry),
            "faces": entry["faces"],
            "tables": {
                f.stem: columns.read(f) for f in under([*given.tables, *given.privacy], name)
            },
            "figures": {f.stem: f for f in under(given.figures, name)},
            "settings": Settings.from_config(config),
            "config": config,
            "methods": methods(config, p.programs),
            "costs": costs[costs["dataset"] == name].drop(columns="dataset"),
        }
        for name, entry in config["datasets"].items()
    ]
    page = report.build(
        {
            "title": "Refacing benchmark",
            "version": refacebench.__version__,
            "datasets": datasets,
        }
    )
    files.write_text(page, snakemake.output.page)
    files.write_text(summary(datasets, snakemake.output.page), snakemake.output.summary)


if __name__ == "__main__":
    main(snakemake)
