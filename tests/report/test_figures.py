"""Figures: do the marks stand where the tables say, and does no face get out?"""

import matplotlib.colors as mcolors
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import layout
from factories import TABLE_COLUMNS, VARIANTS, make_tables, measurements
from refacebench import faces, manifest, vocabulary
from refacebench.image.nifti import Volume, axis_codes, reorient
from refacebench.plot import curves, dots, overlap, slices, style, volumes
from refacebench.results import brainage, catalogue, quality, runtime, similarity
from refacebench.results.result import View
from refacebench.statistics.settings import Settings
from refacebench.vocabulary import GLOBALS, REGIONS, TIMED

SETTINGS = Settings(n_boot=50)


@pytest.fixture(scope="module")
def cohort():
    measures = measurements()
    rng = np.random.default_rng(3)
    for name in ("brainage_raw", "brainage", "brainage_shiftable"):
        measures[name] = measures["age"] + rng.normal(0, 3, len(measures))
    return measures, make_tables(measures, SETTINGS)


@pytest.fixture(scope="module")
def look(cohort):
    return style.look_of(cohort[1])


def marks(axes, marker):
    """Return the x values of large marks (not the points of single scans)."""
    return [
        float(line.get_xdata()[0])
        for line in axes.lines
        if line.get_marker() == marker and line.get_markersize() > 4 and len(line.get_xdata()) == 1
    ]


def row_labels(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


# order, names, colours ----------------------------------------------------------------------


def test_order_is_controls_then_each_defacer_with_its_refaced_variants():
    mixed = ["b+m", "a", "null", "b", "a+m", "original", "a"]
    assert style.order_variants(mixed) == ("original", "null", "a", "a+m", "b", "b+m")
    assert style.order_variants(mixed, ["b", "a"])[2:] == ("b", "b+m", "a", "a+m")


def test_a_variant_keeps_its_colour_whichever_table_it_stands_in(cohort, look):
    alone = look.sort(["quickshear"])
    assert look.colour(alone[0]) == look.colour("quickshear+pix2pix25d") == style.HUES[1]
    assert look.mark("quickshear") != look.mark("quickshear+pix2pix25d")


def test_colours_of_the_first_dozen_defacers_differ_from_each_other_and_the_controls():
    names = [f"d{i:02d}" for i in range(len(style.HUES))]
    look = style.Look(style.order_variants(["original", "null", *names]))
    colours = {mcolors.to_hex(look.colour(v)) for v in look.order}
    assert len(colours) == len(names) + 2


def test_labels_name_the_engine():
    look = style.Look(("original", "null", "a", "a+m"), {"a": "official"})
    assert look.row_labels(["null", "a", "a+m"]) == ["null control", "a (official)", "+ m"]
    assert look.row_labels(["a+m"]) == ["a (official) + m"], "without its defacer above, in full"


def test_an_unknown_variant_is_an_error(look):
    with pytest.raises(KeyError, match="nobody"):
        look.sort(["nobody"])


def test_a_table_read_without_its_null_control_is_an_error(cohort, tmp_path):
    path = tmp_path / "overlap.tsv"
    manifest.write(cohort[1]["overlap"], path)
    careless = pd.read_csv(path, sep="\t")
    with pytest.raises(ValueError, match="table overlap: a row without a variant"):
        style.look_of({"overlap": careless})
    assert "null" in style.look_of({"overlap": catalogue.read(path)}).order


def test_figures_of_tables_that_were_written_and_read_are_the_same(cohort, look, tmp_path):
    tables = {}
    for name, table in cohort[1].items():
        manifest.write(table, tmp_path / f"{name}.tsv")
        tables[name] = catalogue.read(tmp_path / f"{name}.tsv")
    assert style.look_of(tables) == look
    before = catalogue.draw(View(cohort[1], look=look), ["deepbet_gmm"])
    after = catalogue.draw(View(tables, look=look), ["deepbet_gmm"])
    for name in before:
        old, new = before[name].axes[0], after[name].axes[0]
        assert [t.get_text() for t in old.texts] == [t.get_text() for t in new.texts]
        assert [len(line.get_xdata()) for line in old.lines] == [
            len(line.get_xdata()) for line in new.lines
        ]


def test_a_segmenter_without_any_row_gives_a_message_not_a_crash(cohort, look):
    drawn = catalogue.draw(View(cohort[1], look=look), ["deepbet_gmm", "other"])
    assert drawn["overlap-other"].get_label() == faces.MESSAGE_ONLY


# saving -------------------------------------------------------------------------------------


def test_the_same_figure_gives_the_same_bytes_without_date_or_program(cohort, look, tmp_path):
    bytes_of = []
    for place in ("a", "b"):
        figure = overlap.draw(cohort[1]["overlap"], look, cohort[0])
        paths = style.save(figure, tmp_path / place / "overlap")
        bytes_of.append([path.read_bytes() for path in paths])
    assert bytes_of[0] == bytes_of[1]
    png, svg = bytes_of[0]
    assert b"matplotlib" not in png.lower()
    assert b"<dc:date>" not in svg
    assert b"Matplotlib v" not in svg
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["overlap.png", "overlap.svg"]


def test_drawing_leaves_the_callers_settings_alone(cohort, look):
    import matplotlib

    with matplotlib.rc_context({"font.size": 31.0}):
        figure = overlap.draw(cohort[1]["overlap"], look)
        assert matplotlib.rcParams["font.size"] == 31.0
    assert figure.axes[0].xaxis.label.get_fontsize() == style.RC["axes.labelsize"]


# dots ---------------------------------------------------------------------------------------


def test_overlap_marks_stand_at_the_means_of_the_table(cohort, look):
    table = cohort[1]["overlap"]
    figure = overlap.draw(table, look, cohort[0])
    assert row_labels(figure)[0] == "null control", "the original itself is no row"
    for axes, structure in zip(figure.axes, overlap.STRUCTURES, strict=True):
        rows = table[(table["structure"] == structure) & (table["measure"] == "dice")]
        rows = rows.set_index("variant")["mean"]
        assert marks(axes, "o") == [rows[v] for v in ("null", "pydeface", "quickshear")]
        refaced = [v for v in look.order if "+" in v]
        assert marks(axes, "D") == [rows[v] for v in refaced]


def test_points_are_the_compared_scans_only(cohort, look):
    figure = overlap.draw(cohort[1]["truth"], look, cohort[0], prefix="truth_")
    clouds = [line for line in figure.axes[0].lines if line.get_markersize() < 4]
    drawn = sum(len(line.get_xdata()) for line in clouds)
    measures = cohort[0]
    compared = (measures["split"] == "test") & (measures["role"] != "rescan")
    assert drawn == int((compared & (measures["status"] == "ok")).sum())


def test_a_measure_that_no_scan_has_leaves_its_panel_empty(cohort, look):
    """It comes back from a manifest as a column of empty texts."""
    empty = cohort[0].assign(dice_wm="")
    figure = overlap.draw(cohort[1]["overlap"], look, empty)
    clouds = [
        sum(len(line.get_xdata()) for line in axes.lines if line.get_markersize() < 4)
        for axes in figure.axes
    ]
    assert [cloud > 0 for cloud in clouds] == [s != "wm" for s in overlap.STRUCTURES]


def test_failed_scans_are_written_beside_n(cohort, look):
    figure = overlap.draw(cohort[1]["overlap"], look)
    texts = [t.get_text() for t in figure.axes[-1].texts]
    assert texts.count("11, 1 failed") == 3
    assert texts.count("12") == 2


def test_a_missing_value_is_said_not_drawn(cohort, look):
    table = cohort[1]["overlap"].copy()
    table.loc[table["variant"] == "pydeface", ["mean", "low", "high"]] = np.nan
    figure = overlap.draw(table, look)
    assert len(marks(figure.axes[0], "o")) == 2
    assert "no value" in [t.get_text() for t in figure.axes[0].texts]


def test_poor_and_good_overlap_share_an_axis_that_is_stretched_near_one(cohort, look):
    table = cohort[1]["overlap"].copy()
    table.loc[table["variant"] == "pydeface", ["mean", "low", "high"]] = [0.5, 0.45, 0.55]
    axes = overlap.draw(table, look).axes[0]
    place = axes.transData.transform
    near, far = place((0.99, 0))[0] - place((0.95, 0))[0], place((0.6, 0))[0] - place((0.5, 0))[0]
    assert near > 3 * far
    assert "stretched" in axes.get_xlabel()
    assert axes.get_xlim()[0] <= 0.45


def test_no_row_of_the_named_segmenter_is_an_error(cohort, look):
    with pytest.raises(ValueError, match="no rows of segmenter 'other'"):
        overlap.draw(cohort[1]["overlap"], look, segmenter="other")


# volumes ------------------------------------------------------------------------------------


def test_volume_map_has_every_cell_with_its_star_and_frame(cohort, look):
    table = cohort[1]["volumes"]
    table = table.assign(p_holm=np.where(table["region"] == "brainstem", 0.01, 0.5))
    table = table.assign(equivalent=np.where(table["region"] == "frontal", 1.0, 0.0))
    axes = volumes.draw(table, look).axes[0]
    n = table["variant"].nunique()
    texts = [t.get_text() for t in axes.texts]
    assert len(texts) == n * len((*GLOBALS, *REGIONS))
    assert sum(t.endswith("*") for t in texts) == n
    assert sum(p.get_facecolor()[3] == 0 for p in axes.patches) == n


def test_volume_map_colours_follow_the_sign(cohort, look):
    table = cohort[1]["volumes"].copy()
    table["median_change_pct"] = np.where(table["region"] == "tiv", 3.0, -3.0)
    table["equivalent"] = 0.0
    colours = [p.get_facecolor() for p in volumes.draw(table, look).axes[0].patches]
    red, blue = colours[0], colours[1]
    assert red[0] > red[2]
    assert blue[2] > blue[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.04, "0"), (0.05, "+0.1"), (-9.94, "-9.9"), (9.96, "+10"), (-43.2, "-43")],
)
def test_cells_are_short_signed_numbers(value, text):
    assert volumes._signed(value) == text


def test_only_significant_changes_are_filled(cohort, look):
    table = cohort[1]["volumes"]
    table = table.assign(p_holm=np.where(table["variant"] == "pydeface", 0.001, 0.8))
    axes = volumes.draw_globals(table, look).axes[0]
    faces = {
        float(line.get_xdata()[0]): line.get_markerfacecolor()
        for line in axes.lines
        if line.get_marker() in ("o", "D")
    }
    tiv = table[table["region"] == "tiv"].set_index("variant")["median_change_pct"]
    assert faces[tiv["pydeface"]] == look.colour("pydeface")
    assert faces[tiv["quickshear"]] == faces[tiv["null"]] == "white"


def test_the_band_is_the_margin_of_the_table(cohort, look):
    table = cohort[1]["volumes"].assign(margin_pct=1.25)
    band = volumes.draw_globals(table, look).axes[0].patches[0]
    assert (band.get_x(), band.get_width()) == (-1.25, 2.5)


# other figures ------------------------------------------------------------------------------


def test_brain_age_band_is_the_rescan_shift_and_the_original_has_no_shift(cohort, look):
    table = cohort[1]["brainage"]
    figure = brainage.draw(table, look)
    shift, size, error = figure.axes
    assert size.patches[0].get_width() == pytest.approx(table["rescan_shift_abs"].iloc[0])
    assert len(marks(shift, "o")) == 3
    assert len(marks(error, "o")) == 4
    rows = table.set_index("variant")
    assert marks(shift, "o")[0] == rows.loc["null", "shift"]


def test_similarity_shows_the_mean_of_each_site(cohort, look):
    table = cohort[1]["similarity"]
    figure = similarity.draw(table, look, cohort[0])
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == [
        "Correlation, front half",
        "Correlation, full frame",
        "SSIM, front half",
        "SSIM, full frame",
    ]
    rows = table[(table["measure"] == "corr") & (table["region"] == "front")]
    for marker, site in (("o", "north"), ("s", "south")):
        means = rows[rows["site"] == site].set_index("variant")["mean"]
        assert marks(figure.axes[0], marker) == [means[v] for v in look.order if v != "original"]


def test_quality_bars_add_up_to_all_scans(cohort, look):
    axes = quality.draw(cohort[1]["quality"], look).axes[0]
    ends = {}
    for patch in axes.patches:
        middle = round(patch.get_y() + patch.get_height() / 2, 3)
        ends[middle] = max(ends.get(middle, 0), patch.get_x() + patch.get_width())
    assert len(ends) == 4, "controls have no bar"
    assert list(ends.values()) == pytest.approx([100.0] * 4)


def test_quality_classes_that_do_not_add_up_are_an_error():
    row = pd.Series({"variant": "a", "n": 5, "success": 4, "failure_1": 2})
    with pytest.raises(ValueError, match="add up to 6, n is 5"):
        quality.class_counts(row)


def test_runtime_bars_are_the_means_laid_end_to_end(cohort, look):
    table = cohort[1]["runtime"]
    time = runtime.draw(table, look).axes[0]
    assert "no scan went through" in [t.get_text() for t in time.texts]
    table = table[table["n"] > 0]
    time = runtime.draw(table, look).axes[0]
    variants = look.sort(table["variant"])
    places = dots.positions(variants)
    for variant in variants:
        rows = table[table["variant"] == variant].set_index("step")
        bars = [
            p for p in time.patches if abs(p.get_y() + p.get_height() / 2 - places[variant]) < 0.1
        ]
        steps = [s for s in TIMED if s in rows.index]
        assert [p.get_width() for p in bars] == pytest.approx(list(rows.loc[steps, "seconds_mean"]))
        ends = [p.get_x() + p.get_width() for p in bars]
        assert [p.get_x() for p in bars] == pytest.approx([0.0, *ends[:-1]])
        total = rows.loc["total", "seconds_mean"]
        assert ends[-1] == pytest.approx(total)
        assert f"{total:.1f} s" in [t.get_text() for t in time.texts]


def test_curves_mark_the_picked_epoch():
    table = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "step": [5, 10, 15],
            "train_d": [3.0, 2.0, 1.0],
            "val_l1": [0.4, 0.2, 0.3],
            "val_l1_changed": [np.nan] * 3,
            "picked": [0, 1, 0],
        }
    )
    figure = curves.draw(table, "pydeface + pix2pix25d")
    train, validation = figure.axes
    assert [t.get_text() for t in validation.get_legend().get_texts()] == [
        "L1, whole frame",
        "picked: epoch 2",
    ]
    assert list(train.lines[0].get_ydata()) == [3.0, 2.0, 1.0]
    assert list(validation.lines[-1].get_xdata()) == [2, 2]


@pytest.mark.parametrize("name", ["overlap", "truth", "volumes", "brainage", "similarity"])
def test_empty_tables_give_a_figure_that_says_so(name, look):
    empty = pd.DataFrame(columns=TABLE_COLUMNS[name])
    draw = {
        "overlap": overlap.draw,
        "truth": overlap.draw,
        "volumes": volumes.draw,
        "brainage": brainage.draw,
        "similarity": similarity.draw,
    }[name]
    assert "o " in draw(empty, look).axes[0].texts[0].get_text()


def test_all_figures_are_those_that_the_names_announce(cohort, look):
    drawn = catalogue.draw(View(cohort[1], look=look, measures=cohort[0]), ["deepbet_gmm"])
    assert sorted(drawn) == sorted(catalogue.figure_names(["deepbet_gmm"]))
    assert catalogue.figure_names(["a", "b"])[-1] == "truth-b"


@pytest.mark.parametrize("count", [3, 25])
def test_three_to_twenty_five_variants_have_room(count):
    names = [f"defacer_{i}" for i in range(8)]
    every = ["original", "null"] + [v for d in names for v in (d, f"{d}+m1", f"{d}+m2")]
    shown = tuple(every[:count])
    rows = [
        {"variant": v, "segmenter": "s", "structure": part, "measure": "dice", "n": 9,
         "n_failed": 0, "mean": 0.9 + 0.003 * i, "low": 0.89, "high": 0.98}
        for i, v in enumerate(shown) for part in overlap.STRUCTURES
    ]  # fmt: skip
    figure = overlap.draw(pd.DataFrame(rows), style.Look(shown))
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert len(boxes) == count - 1
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(above[0] >= below[1] for below, above in zip(tops, tops[1:], strict=False))


def test_rows_of_one_defacer_stand_together():
    places = dots.positions(["original", "null", "a", "a+m", "b"])
    steps = np.diff(list(places.values()))
    assert list(np.round(steps, 6)) == [1.0, 1.0 + dots.GAP, 1.0, 1.0 + dots.GAP]


# layout -------------------------------------------------------------------------------------

SEVERAL = ("original", "null", "afni_refacer", "quickshear", "cpgan_hull+diffusion25d")


def test_nothing_lies_on_anything_else_in_the_saved_figures(tmp_path):
    measures = measurements(5, SEVERAL, n_train=4)
    close = measures["variant"] == "null"
    measures.loc[close, "dice_vcsf"] = 0.9997
    measures.loc[~close, "dice_vcsf"] *= 0.8
    measures["brainage"] = measures["brainage_shiftable"] = measures["age"]
    measures["brainage_raw"] = measures["age"] + np.random.default_rng(3).normal(
        0, 3, len(measures)
    )
    tables = make_tables(measures, Settings(n_boot=20))
    drawn = catalogue.draw(
        View(tables, look=style.look_of(tables), measures=measures), ["deepbet_gmm"]
    )
    del drawn["truth"]  # drawn as the overlap is
    found = {n: layout.faults(f, tmp_path, vocabulary.SYNTHETIC_NOTE) for n, f in drawn.items()}
    assert not {name: faults for name, faults in found.items() if faults}


def test_the_curve_of_a_training_does_not_run_through_its_legend(tmp_path):
    table = pd.DataFrame({"epoch": [1, 2, 3], "train_d": [3.0, 3, 3], "val_l1": [0.4, 0.3, 0.3]})
    figure = curves.draw(table.assign(picked=[0, 0, 1]), "pydeface+pix2pix25d")
    assert not layout.faults(figure, tmp_path, vocabulary.SYNTHETIC_NOTE)


def test_the_layout_checks_find_what_they_look_for(tmp_path):
    def figure():
        made = style.new_figure()
        axes = made.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        return made, axes

    made, axes = figure()
    axes.text(0.5, 0.5, "one")
    axes.text(0.51, 0.5, "two")
    assert layout.faults(made, tmp_path) == ["'one' lies on 'two'"]
    made, axes = figure()
    axes.text(0.5, 0.5, "-0.0 %", va="center")
    axes.axhline(0.5)
    assert layout.faults(made, tmp_path) == [
        "negative zero: '-0.0 %'",
        "'-0.0 %' is struck through",
    ]
    made, axes = figure()
    axes.plot([2], [0.5], marker="o")
    axes.set_xlim(0, 1)
    assert layout.faults(made, tmp_path) == ["a mark of '' is out of view"]


# slices and privacy -------------------------------------------------------------------------


def head(nose_mm=0.0, dimple=False, spacing=2.0, seed=0):
    """Return an ellipsoid head in RAS with texture, a brain, and a nose on request."""
    shape = (90, 110, 100)
    grid = np.meshgrid(*[(np.arange(n) - n / 2) * spacing for n in shape], indexing="ij")
    x, y, z = grid
    inside = (x / 75) ** 2 + (y / 90) ** 2 + (z / 90) ** 2 < 1
    nose = (np.abs(x) < 9) & (np.abs(z + 25) < 11) & (y > 0) & (y < 85 + nose_mm)
    inside |= nose if nose_mm else False
    if dimple:
        inside &= ~((np.abs(x) < 5) & (np.abs(z + 60) < 5) & (y > 50))
    brain = (x / 60) ** 2 + ((y + 5) / 70) ** 2 + ((z - 20) / 55) ** 2 < 1
    texture = np.random.default_rng(seed).uniform(60, 140, shape)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [g.ravel()[0] for g in grid]
    return Volume((inside * texture).astype(np.float32), affine), brain


def shown(figure):
    """Return the images of a figure, in order, as drawn (rows upwards)."""
    return [axes.images[0].get_array().data for axes in figure.axes if axes.images]


LOOK = style.Look(("original", "null", "a"))


def test_private_slices_hold_nothing_but_brain_and_two_greys():
    volume, brain = head(nose_mm=20)
    figure = slices.draw(volume, {"a": volume}, brain, LOOK, faces="private")
    mask = Volume(brain.astype(np.uint8), volume.affine)
    places = slices.slice_places(brain, mask.spacing)
    from scipy.ndimage import distance_transform_edt

    masks = [np.take(brain, places[0], 0).T, np.take(brain, places[1], 2).T]
    low, high = slices.grey_window(volume.data)
    originals = [np.take(volume.data, places[0], 0).T, np.take(volume.data, places[1], 2).T]
    assert len(shown(figure)) == 4
    for image, own_mask, original in zip(shown(figure), masks * 2, originals * 2, strict=True):
        rim = distance_transform_edt(~own_mask, sampling=2.0) <= slices.BRAIN_RIM_MM
        outside = image[~rim]
        assert set(np.unique(outside)) <= {0.0, slices.SILHOUETTE_GREY}
        tissue = ~rim & (original > 0) & (image > 0)
        assert tissue.sum() > 200
        assert np.ptp(image[tissue]) == 0, "no intensity of the head survives"
        expected = np.clip((original - low) / (high - low), 0, 1)
        np.testing.assert_allclose(image[own_mask], expected[own_mask], atol=1e-6)


def profile(image):
    """Return the frontmost bright pixel of each row of a sagittal slice, in voxels."""
    return np.array([row.nonzero()[0].max() if row.any() else 0 for row in image > 0])


def test_private_silhouette_blunts_a_nose_and_loses_small_features():
    plain, brain = head()
    one = shown(slices.draw(plain, {}, brain, LOOK))[0]

    nose = head(nose_mm=20)[0]
    two = shown(slices.draw(nose, {}, brain, LOOK))[0]
    true_step = np.abs(np.diff(profile(nose.data[45].T)[20:80])).max()
    shown_step = np.abs(np.diff(profile(two)[20:80])).max()
    assert true_step >= 6
    assert shown_step <= 2, "no edge of the nose is left in the profile"
    moved = np.abs(profile(one) - profile(two)).max()
    assert moved <= 0.5 * np.abs(profile(plain.data[45].T) - profile(nose.data[45].T)).max()

    for other in (head(dimple=True)[0], head(seed=5)[0]):
        assert (np.abs(plain.data - other.data)[40:50] > 0).sum() > 100
        three = shown(slices.draw(other, {}, brain, LOOK))[0]
        assert np.abs(profile(one) - profile(three)).max() <= 1


def test_public_slices_show_the_image_and_the_figure_says_which_it_is(tmp_path):
    volume, brain = head(nose_mm=20)
    public = slices.draw(volume, {}, brain, LOOK, faces="public")
    low, high = slices.grey_window(volume.data)
    sagittal = slices.slice_places(brain, [2] * 3)[0]
    expected = np.clip((volume.data[sagittal] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(shown(public)[0], expected.T, atol=1e-6)
    for kind in ("public", "private", "anything"):
        figure = slices.draw(volume, {}, brain, LOOK, faces=kind)
        path = style.save(figure, tmp_path / kind)[0]
        with Image.open(path) as image:
            assert image.info["Description"] == (faces.SHOWN if kind == "public" else faces.HIDDEN)


def test_faces_are_private_unless_said_otherwise():
    volume, brain = head()
    assert slices.draw(volume, {}, brain, LOOK).get_label() == faces.HIDDEN


def test_slices_do_not_depend_on_the_orientation_of_the_array():
    volume, brain = head(nose_mm=20)
    mask = Volume(brain.astype(np.uint8), volume.affine)
    turned, turned_mask = reorient(volume, "LIA"), reorient(mask, "LIA")
    assert axis_codes(turned.affine) == "LIA"
    one = shown(slices.draw(volume, {}, brain, LOOK))
    two = shown(slices.draw(turned, {}, turned_mask.data > 0, LOOK))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_anisotropic_voxels_keep_their_aspect():
    volume, brain = head()
    thick = Volume(volume.data[:, :, ::2], volume.affine @ np.diag([1.0, 1, 2, 1]))
    figure = slices.draw(thick, {}, brain[:, :, ::2], LOOK)
    sagittal, axial = (axes for axes in figure.axes if axes.images)
    assert sagittal.get_aspect() == pytest.approx(2.0)
    assert axial.get_aspect() == pytest.approx(1.0)


def test_slice_places_by_hand():
    brain = np.zeros((21, 60, 50), bool)
    brain[5:16, 0:60, 30:45] = True  # back and front at 0 and 59, base at 30
    brain[5:16, 0:30, 10:30] = True  # the cerebellum reaches lower and must not count
    assert slices.slice_places(brain, [1, 1, 1]) == (10, 30 - int(slices.EYES_BELOW_MM))


@pytest.mark.parametrize("what", ["variant", "brain", "empty"])
def test_slices_on_another_grid_are_an_error(what):
    volume, brain = head()
    variants = {"a": Volume(volume.data[1:], volume.affine)} if what == "variant" else {}
    mask = {"brain": brain[1:], "empty": np.zeros_like(brain)}.get(what, brain)
    with pytest.raises(ValueError, match="grid|empty"):
        slices.draw(volume, variants, mask, LOOK)


def test_variants_of_the_factory_are_all_known_to_the_look(look):
    assert set(look.order) == set(VARIANTS)
