"""Other contrasts of a session on their way through the workflow, up to the attacks on them."""

from pathlib import Path

import pytest

from refacebench import manifest
from refacebench.results.privacy_contrasts import compute
from refacebench.statistics import comparisons
from refacebench.statistics.attacks import evaluate_all
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import OTHER_SESSION
from running import snakemake

CONFIG = {
    "batch_size": 12,
    "datasets": {
        "demo": {
            **{"type": "demo", "faces": "public", "participants": 5, "sessions": 2},
            **{"sessions_measured": 1, "rescan_sessions": ["ses-2"]},
            **{"voxel_mm": 3.0, "blend_amplitude": 0, "carry": ["T2w"]},
        }
    },
    "splits": {"train": 0, "validation": 0, "test": 1},
    "defacers": {"quickshear": {"buffer_mm": 10}},
    "attackers": {"surface": {}},
    "rendering": {"voxel_mm": 3.0, "views": 1, "lights": 1, "pixels": 96},
}
SHOWN = ("original", "original@T2w", "quickshear", "quickshear@T2w")
ATTACKS = [f"results/attack/demo/surface/{name}.npz" for name in SHOWN]


@pytest.mark.slow
def test_companions_are_attacked_and_a_bad_one_is_a_row_with_a_reason(tmp_path, monkeypatch):
    grown = snakemake(tmp_path, "results/grow/demo/test-measured-000.tsv", config=CONFIG)
    assert grown.returncode == 0, grown.stderr[-3000:]
    bad = sorted((tmp_path / "results/cohort/demo/bids").rglob("*ses-1_T2w.nii.gz"))[0]
    bad.write_bytes(b"no image")
    run = snakemake(tmp_path, *ATTACKS, config=CONFIG)
    assert run.returncode == 0, run.stderr[-3000:]
    monkeypatch.chdir(tmp_path)
    ledger = manifest.read("results/attack/demo/surface/quickshear@T2w.tsv").set_index("scan")
    lost = bad.name.removesuffix("_T2w.nii.gz")
    assert ledger.loc[lost, "status"] == "excluded"
    assert ledger.loc[lost, "reason"].startswith("cannot be read")
    assert list(ledger["status"].drop(lost)) == ["ok"] * 4
    results = evaluate_all(map(comparisons.read, ATTACKS), Protocol(), Criteria(n_boot=200))
    ledgers = [Path(path).with_suffix(".tsv") for path in ATTACKS]
    table = compute(
        [one for one in results if "@" in one.row["variant"]],
        manifest.read_many(["results/enrol/demo/surface.tsv"]),
        manifest.read_many(ledgers),
    )
    main = table[table["setting"] == OTHER_SESSION].set_index("variant")
    assert main["contrast"].unique().tolist() == ["T2w"]
    assert main["n_completers"].tolist() == [4, 4]
    assert main["n_failed"].tolist() == [1, 1]
    assert "4 of 5 queries" in main.loc["quickshear", "shortfall"]
    # The control: with its face the T2w image is recognised among T1w scans of another day.
    assert main.loc["original", "rank1_completers"] == 1.0
    assert main.loc["quickshear", "rank1_completers"] < 1.0
