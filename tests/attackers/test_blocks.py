"""Attacks in blocks and with shortlists: interrupted, spread, and shortened, they say the same."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from refacebench.attackers import _blocks, _shortlist, surface
from refacebench.attackers._average import AverageFaces
from refacebench.contracts import Context, Enrolled

PIXELS = 32


def enrolled(people, session, seed=0):
    """Bumps on a ball, the person's own, seen from the front."""
    pixel = 250 / PIXELS
    place = (np.arange(PIXELS) - PIXELS / 2 + 0.5) * pixel
    height = 105**2 - place[:, None] ** 2 - (1.2 * place[None]) ** 2
    depth = []
    for person in people:
        ball = np.where(height > 0, np.sqrt(np.maximum(height, 0)), np.nan)
        own = ndimage.gaussian_filter(np.random.default_rng(person).normal(size=ball.shape), 2)
        noise = np.random.default_rng([seed, person, session]).normal(0, 0.4, ball.shape)
        depth.append(ball + 25 * own + noise)
    names = np.array([f"sub-{p:03d}" for p in people])
    return Enrolled(
        np.char.add(names, f"_ses-{session}"),
        names,
        np.array([f"ses-{session}"] * len(names)),
        {
            "depth": np.array(depth, np.float32),
            "pixel_mm": np.full(len(names), pixel),
        },
    )


def scored(queries, gallery, folder, threads=1, **options):
    context = Context(1, folder, threads=threads)
    options = {**surface.METHOD.defaults, **options}
    found = surface.score(queries, gallery, options, context)
    return {"distance": found.distance, **found.extra}


def same(one, two):
    assert set(one) == set(two)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_blocks_cover_every_query_once():
    for queries, each in ((7, 10), (1, 1000), (100, 3)):
        found = _blocks.bounds(queries, each, 25)
        assert [n for part in found for n in range(queries)[part]] == list(range(queries))


def test_any_number_of_processes_and_blocks_says_the_same(tmp_path, monkeypatch):
    queries, gallery = enrolled(range(7), 2), enrolled(range(9), 1)
    whole = scored(queries, gallery, tmp_path / "whole")
    assert not (tmp_path / "whole").exists(), "a single block is not kept"
    monkeypatch.setattr(surface, "BLOCK_PAIRS", 2 * len(gallery))
    one = scored(queries, gallery, tmp_path / "one")
    three = scored(queries, gallery, tmp_path / "three", threads=3)
    same(one, three)
    assert len(list((tmp_path / "three" / "unfinished").glob("*.npz"))) == 4
    np.testing.assert_array_equal(one["distance"], whole["distance"])
    np.testing.assert_allclose(one["changed_mm"], whole["changed_mm"], rtol=1e-6)


def test_an_interrupted_attack_goes_on_with_the_block_in_hand(tmp_path):
    asked = []

    def make(block, broken=False):
        if broken and block.start == 4:
            raise KeyboardInterrupt
        asked.append(block.start)
        return {"x": np.arange(block.start, block.stop)}

    blocks = _blocks.bounds(8, 1, 2)
    context = Context(1, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _blocks.run(blocks, lambda block: make(block, broken=True), "key", context)
    assert asked == [0, 2]
    found = _blocks.run(blocks, make, "key", context)
    assert asked == [0, 2, 4, 6]
    assert np.concatenate([part["x"] for part in found]).tolist() == list(range(8))
    _blocks.run(blocks, make, "another attack", context)
    assert asked[4:] == [0, 2, 4, 6], "blocks of another attack are made again"


def test_what_blocks_are_made_from_is_in_their_key():
    queries, gallery = enrolled(range(3), 2), enrolled(range(4), 1)
    known = _blocks.key(queries, gallery, {"rounds": 8})
    assert known == _blocks.key(enrolled(range(3), 2), enrolled(range(4), 1), {"rounds": 8})
    moved = enrolled(range(4), 1)
    moved.features["depth"][2, 16, 16] += 1
    others = [
        _blocks.key(queries, gallery, {"rounds": 4}),
        _blocks.key(queries, moved, {"rounds": 8}),
        _blocks.key(queries, enrolled([0, 1, 2, 4], 1), {"rounds": 8}),
    ]
    assert len({known, *others}) == 4


def test_a_killed_process_is_a_want_of_memory(tmp_path):
    """Then the job ends and is tried again with more; what is done is kept."""

    def make(block):
        if block.start == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"x": np.zeros(1)}

    with pytest.raises(MemoryError):
        _blocks.run(_blocks.bounds(3, 1, 1), make, "key", Context(1, tmp_path, threads=2))


def test_an_error_in_a_process_is_the_attack_s(tmp_path):
    def make(block):
        raise ValueError("no surface")

    with pytest.raises(ValueError, match="no surface"):
        _blocks.run(_blocks.bounds(3, 1, 1), make, "key", Context(1, tmp_path, threads=2))


def test_the_stage_leaves_nothing_unfinished(tmp_path, monkeypatch):
    from refacebench.stages import attack, enrol

    gallery = enrolled(range(4), 1)
    monkeypatch.setattr(surface, "BLOCK_PAIRS", 1)
    monkeypatch.setattr(attack.manifest, "read_many", lambda paths: table)
    monkeypatch.setattr(attack, "subjects", lambda *a, **k: ([], {}))
    monkeypatch.setattr(attack, "enrol", lambda *a, **k: (enrolled(range(4), 2), {}))
    monkeypatch.setattr(attack, "record", lambda *a, **k: table)
    monkeypatch.setattr(attack.manifest, "write", lambda *a: None)
    queries = enrolled(range(4), 2)
    table = attack.pd.DataFrame({n: getattr(queries, n) for n in enrol.IDS})
    enrol.save_enrolled(gallery, {}, tmp_path / "gallery.npz")
    chosen = SimpleNamespace(name="surface", method=surface.METHOD, options=surface.METHOD.defaults)
    seen = []
    save = attack.save_attack
    monkeypatch.setattr(
        attack,
        "save_attack",
        lambda *a: (seen.extend((tmp_path / "state").rglob("*.npz")), save(*a)),
    )
    attack.run(
        attack.Given(tmp_path / "gallery.npz", [], []),
        chosen,
        "pydeface",
        tmp_path / "out.npz",
        tmp_path / "out.tsv",
        folder=tmp_path / "state",
        blur_mm=4.0,
        seed=1,
        version="2",
        threads=2,
    )
    assert len(seen) == 4
    assert not list((tmp_path / "state").rglob("*.npz"))
    assert np.isfinite(attack.load_attack(tmp_path / "out.npz")[0]["distance"]).all()


# shortlists ---------------------------------------------------------------------------------


def shortened(full, rough, own, best=5):
    asked = []

    def exact(wanted):
        asked.append(wanted)
        return np.where(wanted, full, np.nan)

    found, done = _shortlist.distances(
        exact, lambda w: np.where(w, rough, np.nan), own, best, np.random.default_rng(2)
    )
    np.testing.assert_array_equal(np.sum(asked, axis=0), done, "nothing is compared twice")
    return found, done


@pytest.fixture
def pairs():
    rng = np.random.default_rng(5)
    full = rng.normal(4, 1, (20, 2000))
    own = np.zeros(full.shape, bool)
    own[np.arange(20), rng.integers(2000, size=20)] = True
    return rng, full, own


def test_the_smallest_are_exact_and_the_others_no_smaller(pairs):
    rng, full, own = pairs
    rough = 0.5 * full + 1 + rng.normal(0, 0.05, full.shape)
    found, done = shortened(full, rough, own)
    assert done[own].all()
    assert done.mean() < 0.15
    np.testing.assert_array_equal(found[done], full[done])
    np.testing.assert_array_equal(np.sort(found, 1)[:, :5], np.sort(full, 1)[:, :5])
    np.testing.assert_array_equal(np.argsort(found, 1)[:, :5], np.argsort(full, 1)[:, :5])
    # What is left lies as exact distances do: ranks of a match in the middle stay what they are.
    ranks = [
        (m < m[o]).mean() - (f < f[o]).mean() for m, f, o in zip(found, full, own, strict=True)
    ]
    assert np.abs(ranks).max() < 0.08
    assert abs(np.mean(ranks)) < 0.02
    assert found.std() == pytest.approx(full.std(), rel=0.05)


def test_where_coarse_distances_say_nothing_everything_is_exact(pairs):
    rng, full, own = pairs
    for rough in (rng.normal(size=full.shape), np.ones(full.shape)):
        found, done = shortened(full, rough, own)
        assert done.all()
        np.testing.assert_array_equal(found, full)
    flat, done = shortened(np.full(full.shape, 10.0), full, own)
    assert done.all()


def test_scans_without_a_coarse_distance_are_compared_exactly(pairs):
    rng, full, own = pairs
    rough = full + rng.normal(0, 0.05, full.shape)
    rough[:, 7] = np.nan
    full[:, 9] = np.nan
    found, done = shortened(full, rough, own)
    assert done[:, 7].all()
    np.testing.assert_array_equal(found[:, 7], full[:, 7])
    assert np.isfinite(np.delete(found, 9, axis=1)).all()


def test_a_large_gallery_is_ranked_as_in_full(tmp_path):
    queries, gallery = enrolled(range(6), 2), enrolled(range(160), 1)
    full = scored(queries, gallery, tmp_path)
    some = scored(queries, gallery, tmp_path, all_up_to=100, best=3)
    assert "query_exact" not in full
    assert (some["query_exact"] < 160).any()
    assert (some["query_exact"] >= _shortlist.DRAWN).all()
    for found in (full, some):
        found["first"] = np.argsort(found["distance"], axis=1)[:, :3]
    np.testing.assert_array_equal(some["first"], full["first"])
    for name in ("query_true_mm", "changed_mm"):
        np.testing.assert_array_equal(some[name], full[name])


def test_the_average_of_others_from_sums_is_their_average():
    gallery = enrolled([0, 1, 1, 2, 3], 1)
    gallery.features["depth"][0, :20] = np.nan
    slow, fast = AverageFaces(gallery, large=False), AverageFaces(gallery, large=True)
    for person in ("sub-000", "sub-001", "sub-003", "sub-900"):
        np.testing.assert_allclose(fast.without(person), slow.without(person), atol=1e-4)
    alone = enrolled([4], 1)
    assert AverageFaces(alone, large=True).without("sub-004") is None
    assert AverageFaces(alone, large=False).without("sub-004") is None
