"""Pseudonyms: the same everywhere, of everything that names a scan, and nothing else."""

import hashlib
import hmac
import os
import random
import stat

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refacebench import pseudonyms
from refacebench.contracts import TrainingFailed
from refacebench.plot import style
from refacebench.report import figures, tables
from refacebench.results.result import View
from refacebench.run import training

KEY = bytes(range(32))
SCANS = [
    {"participant": f"sub-{n}", "session": s, "scan": f"sub-{n}_{s}", "path": f"/d/sub-{n}/{f}"}
    for n, s, f in (
        ("ann", "ses-2020", "ses-2020/anat/sub-ann_ses-2020_T1w.nii.gz"),
        ("bob", "ses-2020", "ses-2020/anat/Bob Smith 1.5T.nii.gz"),
        ("07", "ses-1", "ses-1/anat/sub-07_ses-1_T1w.nii.gz"),
    )
]
NAMED = pseudonyms.Pseudonyms(KEY, SCANS)
ANN, BOB = NAMED.participant("sub-ann"), NAMED.participant("sub-bob")
ANN_1 = f"{ANN}_{NAMED.session('ses-2020', 'sub-ann')}"


def test_a_pseudonym_is_a_keyed_hash():
    """Against the definition of HMAC (RFC 2104), written out."""
    block = KEY + bytes(32)
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + b'["p", "sub-ann"]').digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).hexdigest()
    assert "p-" + outer[:10] == ANN
    assert pseudonyms.Pseudonyms(KEY[::-1]).participant("sub-ann") != ANN
    assert hmac.compare_digest(ANN, pseudonyms.Pseudonyms(KEY).participant("sub-ann"))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("sub-ann", ANN),
        ("no brain in sub-ann_ses-2020.", f"no brain in {ANN_1}."),
        ("sub-ann/ses-2020/anat/sub-ann_ses-2020_T1w.nii.gz: 4-D", f"{ANN_1}_T1w.nii.gz: 4-D"),
        ("results/derivatives/d/a/sub-ann/anat", f"results/derivatives/d/a/{ANN}"),
        ("(sub-ann, sub-bob)", f"({ANN}, {BOB})"),
        # Nobody of the run's, but an id all the same: a folder that was not listed.
        ("sub-99 has no scan", f"{NAMED.participant('sub-99')} has no scan"),
        # Words.
        ("sub-groups and sub-voxel shifts of classes ses-sion",) * 2,
        ("a subject, a session; results/sub-/x",) * 2,
    ],
)  # fmt: skip
def test_ids_in_texts_are_replaced_and_words_are_not(said, kept):
    assert NAMED.text(said) == kept
    assert NAMED.text(kept) == kept


def test_file_names_that_are_no_ids_are_hidden_too():
    said = NAMED.text("sub-bob/ses-2020/anat/Bob Smith 1.5T.nii.gz, or Bob Smith 1.5T.nii.gz: cut")
    assert "Smith" not in said
    assert said.endswith(": cut")


def test_a_run_in_a_name_is_hidden_but_told_apart():
    one, two = (NAMED.text(f"sub-07_ses-1_acq-Jane_run-{n}") for n in (1, 2))
    assert one != two
    assert not any(word in one for word in ("Jane", "07", "ses-1"))
    assert one.startswith(NAMED.scan("sub-07_ses-1"))


@given(
    st.from_regex(r"sub-[A-Za-z0-9+-]{0,8}[0-9](_ses-[A-Za-z0-9]{1,8})?(_run-1)?", fullmatch=True)
)
def test_cells_and_texts_agree(scan):
    """Whoever reads a reason finds the scan's row."""
    assert NAMED.text(f"in {scan}: no") == f"in {NAMED.scan(scan)}: no"


def table(order):
    rows = [
        {"dataset": "d", **{k: v for k, v in SCANS[n].items() if k != "path"}, "variant": variant,
         "reason": f"lost {SCANS[n]['scan']}, see ses-2020", "value": n}
        for variant in ("original", "null")
        for n in order
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_tables_rows_do_not_keep_the_order_of_the_ids():
    """Whatever order the ids had, the same rows come out; numbers stay with their scan."""
    made = [NAMED.table(table(random.Random(n).sample(range(3), 3))) for n in range(6)]
    for one in made:
        assert one.to_csv(index=False) == made[0].to_csv(index=False)
    assert made[0]["variant"].tolist() == ["original"] * 3 + ["null"] * 3
    first = made[0][made[0]["variant"] == "original"]
    assert first["participant"].is_monotonic_increasing
    assert first.set_index("participant")["value"].to_dict()[ANN] == 0
    assert ANN_1 in first.set_index("participant").loc[ANN, "reason"]
    assert not made[0].to_csv().count("sub-")
    assert not made[0].to_csv().count("2020")


def test_tables_without_ids_stay_as_they_are():
    plain = pd.DataFrame({"variant": ["b", "a"], "n": [1, 2], "note": ["x", None]})
    pd.testing.assert_frame_equal(NAMED.table(plain), plain)


# at the edge ---------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A run with pseudonyms."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(pseudonyms.VARIABLE, raising=False)
    plan = tmp_path / "results/plan/d"
    plan.mkdir(parents=True)
    pd.DataFrame(SCANS).to_csv(plan / "test-measured-000.tsv", sep="\t", index=False)
    # What stands beside the lists and is none.
    (plan / "people.tsv").write_text("scan\tage\tsex\nsub-7\t50\tF\n")
    (plan / "splits.tsv").write_text("participant\tsplit\nsub-7\ttest\n")
    pseudonyms.switch(True)
    pseudonyms.make_key()
    yield tmp_path
    pseudonyms.switch(False)


def test_any_table_and_any_figure_has_them(home):
    """Of a result that knows nothing of pseudonyms."""
    followed = table(range(3)).assign(status="ok", stage="measure", split="test", role="measured")
    tables.write({"flow": followed}, ["results/flow.tsv"], View({"flow": followed}))
    found = (home / "results/flow.tsv").read_text()
    assert "sub-" not in found
    assert pseudonyms.active().participant("sub-ann") in found
    figure = style.new_figure()
    axes = figure.add_subplot()
    axes.set_title("one of sub-ann")
    axes.set_xticks([0], ["sub-bob_ses-2020"])
    axes.scatter([1, 2], ["sub-ann", "sub-bob"])
    style.save(figure, "results/x")
    assert axes.get_title() == f"one of {pseudonyms.active().participant('sub-ann')}"
    assert axes.get_xticklabels()[0].get_text() == pseudonyms.active().scan("sub-bob_ses-2020")
    people = [pseudonyms.active().participant(name) for name in ("sub-ann", "sub-bob")]
    assert [label.get_text() for label in axes.get_yticklabels()] == people


def test_the_example_is_not_the_first_of_the_ids(home):
    people = [f"sub-{n:02d}" for n in range(40)]
    rows = pd.DataFrame({"scan": people, "variant": "original", "status": "ok"})
    wanted = min(people, key=pseudonyms.active().scan)
    assert figures.example(rows) == wanted
    pseudonyms.switch(False)
    assert figures.example(rows) == "sub-00"


def test_cards_of_models_have_them(home):
    card = home / "card.json"
    training.attempt(card, lambda: card.write_text('{"train": ["sub-ann_ses-2020"]}'), "x", dict)
    assert "sub-" not in card.read_text()
    assert pseudonyms.active().scan("sub-ann_ses-2020") in card.read_text()

    def fails():
        raise TrainingFailed("sub-07 is too small")

    training.attempt(card, fails, "no model", lambda reason: {"reason": reason})
    assert "sub-" not in card.read_text()


def test_the_key_is_made_once_and_for_its_owner_alone(home):
    path = home / "results/pseudonyms/key"
    before, known = path.read_text(), pseudonyms.make_key()
    assert path.read_text() == before
    assert len(bytes.fromhex(before)) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert before.strip() not in known
    path.unlink()
    assert pseudonyms.make_key() != known


def test_without_the_key_nothing_is_written(home):
    (home / "results/pseudonyms/key").unlink()
    with pytest.raises(OSError, match="key"):
        tables.write({"flow": table(range(3))}, ["results/flow.tsv"], View({}))
    assert not (home / "results/flow.tsv").exists()
    (home / "results/pseudonyms/made.txt").touch()
    with pytest.raises(pseudonyms.KeyGone, match="delete the folder results/pseudonyms"):
        pseudonyms.switch(True)


def test_the_mapping_says_who_is_who(home):
    pseudonyms.write_mapping()
    path = home / "results/pseudonyms/mapping.tsv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = pd.read_csv(path, sep="\t").set_index("scan")
    assert found["scan_pseudonym"].to_dict() == {
        row["scan"]: pseudonyms.active().scan(row["scan"]) for row in SCANS
    }


def test_off_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.setenv(pseudonyms.VARIABLE, "x")
    pseudonyms.switch(False)
    assert pseudonyms.VARIABLE not in os.environ
    given = table(range(3))
    assert pseudonyms.active().table(given) is given
    assert pseudonyms.active().text("sub-ann") == "sub-ann"
