"""How near the estimate of a run comes to what a finished run took, stage by stage.

    python benchmarks/estimate.py config/config.yaml --cores 2     # where its results/ lies

Compares ``refacebench estimate`` with the benchmark files below ``results/benchmarks`` (seconds of
all jobs of a stage on one core, largest memory of a job).  Reads both, writes nothing.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from refacebench.results import costs
from refacebench.run import configuration, estimate, graph, settings

SCHEMA = Path(__file__).resolve().parents[1] / "workflow" / "schemas" / "config.schema.yaml"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--cores", type=int, default=1)
    given = parser.parse_args()
    config = settings.load(given.config, configuration.read_yaml(SCHEMA))
    run = graph.Run.load(config, look=True)
    found = estimate.estimate(run, given.cores)
    print(estimate.told(found))
    taken = costs.compute("results/benchmarks").groupby("stage")[["total_s", "peak_mb"]]
    taken = taken.agg({"total_s": "sum", "peak_mb": "max"})
    said = pd.Series({stage: hours * 3600 for stage, hours in found.stage_hours.items()})
    table = pd.DataFrame({"estimated_s": said, **taken}).dropna()
    table["ratio"] = table["estimated_s"] / table["total_s"]
    print(table.round({"estimated_s": 0, "total_s": 0, "peak_mb": 0, "ratio": 2}).to_string())
    sums = table[["estimated_s", "total_s"]].sum()
    print(f"all stages: {sums['estimated_s'] / sums['total_s']:.2f} of what they took")


if __name__ == "__main__":
    main()
