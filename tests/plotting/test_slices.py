"""Surfaces of three and more axes: slices of them are drawn."""

import re

import h5py
import numpy as np
import pytest
from conftest import SETTINGS, add_points, hollow, words_of, write_surface, write_trajectory, write_volume
from lossatlas.plotting import figures, options, reading, report, style, summary
from lossatlas.plotting.errors import PlotError


def figure_of(path, **chosen):
    style.apply("paper")
    with reading.open_file(path) as file:
        wanted = options.Options((path,), **chosen)
        file.choose_slice(dict(wanted.at))
        return figures.figure_of([file], wanted)[1]


def with_points(path):
    """Checkpoints A, B, C in the slice at z = 0, and D at z = 1."""
    add_points(write_volume(path, settings={**SETTINGS, "plane": "points"}), "ABCD", (0, 1, 0, 0), (0, 0, 1, 0))
    with h5py.File(path, "a") as file:
        file["lossatlas/points/z"] = [0.0, 0, 0, 1]
    return str(path)


@pytest.mark.parametrize("at, part", [
    ({}, np.s_[2, 2, :, :]), ({"z": 0.5}, np.s_[2, 3, :, :]), ({"x": -1.0}, np.s_[2, :, :, 0]),
    ({"z": 1.0, "w": -0.5}, np.s_[1, 4, :, :]), ({"x": 0.25, "y": -1.0}, np.s_[:, :, 0, 5])])
def test_values_are_those_of_the_slice(tmp_path, at, part):
    path = write_volume(tmp_path / "v.h5", (9, 7, 5, 5))
    with h5py.File(path) as file:
        expected = file["train_loss"][part]
        assert file["train_loss"].shape == (5, 5, 7, 9)
    with reading.open_file(path) as file:
        file.choose_slice(at)
        assert np.array_equal(file.field("train_loss").values, expected)
        assert (len(file.y), len(file.x)) == expected.shape


def test_without_at_the_slice_at_0_is_drawn_with_a_note(plot, tmp_path):
    path = write_volume(tmp_path / "v.h5")
    result = plot(path, "--no-caption", "--dpi", "60")
    assert result.status == 0
    note, caption = result.err.splitlines()
    assert note == f"plot: note: {path} has 3 axes: the slice at z = 0 is drawn (--at z=VALUE draws another)"
    assert "slice at z = 0" in caption and "9 × 7 points" in caption


def test_the_nearest_point_is_taken_with_a_note(plot, tmp_path):
    path = write_volume(tmp_path / "v.h5")
    result = plot(path, "--at", "z=0.4", "--no-caption", "--dpi", "60")
    note, caption = result.err.splitlines()
    assert result.status == 0 and result.out.endswith("v_z0.4_contourf.png\n")
    assert note == f"plot: note: {path} has no point at z = 0.4: the nearest, z = 0.5, is drawn"
    assert "slice at z = 0.5" in caption


@pytest.mark.parametrize("kind", ["contour", "contourf", "heat", "surface"])
def test_axes_are_named_by_their_directions(svg, tmp_path, kind):
    words = words_of(svg(write_volume(tmp_path / "v.h5"), "--at", "x=0", "--kind", kind))
    assert "direction 2" in words and "direction 3" in words and "direction 1" not in words
    assert "slice at x = 0" in words and "7 × 5 points" in words


@pytest.mark.parametrize("words, status, said", [
    (["--at", "q=0"], 1, "no axis q (its axes are x, y, z)"), (["--at", "z=1.5"], 1, "goes from -1 to 1"),
    (["--at", "y=0,z=0"], 1, "two must be left"), (["--at", "z"], 2, "AXIS=VALUE"), (["--at", "z=0,z=1"], 2, "once"),
    (["--at", "z=high"], 2, "not a number"), (["--at", "x=0", "--kind", "slices"], 1, "no third axis"),
    (["--at", "z=0", "--projection", "p.h5"], 1, "a projection has two")])
def test_what_is_no_slice_is_refused(plot, tmp_path, words, status, said):
    result = plot(write_volume(tmp_path / "v.h5"), *words)
    assert result.status == status and said in result.line()


def test_a_plane_has_no_slices(plot, tmp_path):
    path = write_surface(tmp_path / "s.h5")
    for words in (["--at", "z=0"], ["--at", "y=0"], ["--kind", "slices"]):
        assert plot(path, *words).status == 1


def test_slices_stand_side_by_side_on_one_scale(tmp_path):
    path = write_volume(tmp_path / "v.h5", (9, 7, 21))
    figure = figure_of(path, kind="slices")
    words = " ".join(text.get_text() for text in figure.texts)
    values = [float(found.replace("−", "-")) for found in re.findall(r"z = ([−.\d]+)", words)]
    assert values == [-0.9, -0.6, -0.3, 0, 0.3, 0.6, 0.9]
    assert "7 of the 21 slices" in figure.get_label() and "one scale" in figure.get_label()
    norm, = {(plotted.norm.vmin, plotted.norm.vmax) for axes in figure.axes for plotted in axes.collections
             if getattr(plotted, "filled", False)}
    assert norm == pytest.approx((0.5, 3.5 + 4 * 0.9**2))
    assert sum(line.get_gid() == "center" for axes in figure.axes for line in axes.get_lines()) == 2  # with its rim


def test_of_four_axes_slices_run_along_the_one_left_free(tmp_path):
    figure = figure_of(write_volume(tmp_path / "v.h5", (9, 7, 5, 5)), kind="slices", at=(("z", 0.5),))
    words = " ".join(text.get_text() for text in figure.texts)
    assert "slices along w" in words and "w = −0.5" in words and "slice at z = 0.5" in figure.get_label()


@pytest.mark.parametrize("words, drawn, absent", [
    (["--at", "z=0"], "ABC", "D (z = 1)"), (["--at", "z=1"], "D", "A (z = 0), B (z = 0), C (z = 0)"),
    (["--at", "x=0"], "ACD", "B (x = 1)"), (["--at", "z=0", "--kind", "surface"], "ABC", "D (z = 1)"),
    (["--kind", "slices"], "ABCD", "")])
def test_marked_checkpoints_are_drawn_in_their_slice(svg, tmp_path, words, drawn, absent):
    shown, _, left_out = words_of(svg(with_points(tmp_path / "v.h5"), *words)).partition("not in this slice: ")
    assert {*shown.split()} & {*"ABCD"} == {*drawn}
    assert left_out.startswith(absent) and bool(left_out) == bool(absent)


@pytest.mark.parametrize("words", [["--at", "z=-1"], ["--kind", "slices"]])
def test_a_part_of_a_slice(svg, tmp_path, words):
    words = words_of(svg(write_volume(tmp_path / "v.h5"), *words, "--xlim", "0:1"))
    assert "cropped to 5 × 7 of 9 × 7 points" in words


def test_a_sweep_is_done_when_all_slices_are(tmp_path):
    mask = np.ones((5, 7, 9))
    mask[0] = 0
    path = write_volume(tmp_path / "v.h5", evaluated=mask)
    with reading.open_file(path) as file:
        assert file.progress() == (4 * 63, 5 * 63)
        assert not file.field("train_loss").blank.any()
    with pytest.raises(PlotError, match="no evaluated point"):
        figure_of(path, at=(("z", -1.0),))


def test_several_volumes_stand_side_by_side(svg, tmp_path):
    files = [write_volume(tmp_path / f"{name}.h5") for name in "ab"]
    words = words_of(svg(*files, "--at", "z=0.5", "--names", "first,second"))
    assert "slice at z = 0.5" in words and "first" in words and "second" in words


@pytest.mark.full
def test_pages_and_animations_show_the_slice(plot, tmp_path):
    path = write_volume(tmp_path / "v.h5", (5, 5, 5))
    result = plot(path, "--at", "z=0.5", "-o", tmp_path / "v.html", "-o", tmp_path / "v.gif", "--dpi", "30")
    assert (result.status, result.err) == (0, "")
    text = (tmp_path / "v.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "slice at z = 0.5" in text
    assert f"The lowest value is {hollow(0, 0, 0.5):g} at (0, 0)." in text


@pytest.mark.full
def test_reports_show_slices(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_volume(folder / "v.h5", (5, 5, 5))
    text = report.page(str(folder)).replace("\N{NO-BREAK SPACE}", " ")
    assert "slice at z = 0" in text and "<td>5 × 5 × 5</td>" in text and "z: 5 points from -1 to 1" in text


def test_numbers_of_a_volume_are_said_to_be_of_all_slices(svg, tmp_path):
    held = {"lowest": {"loss": 0.5, "x": 0, "y": 0.5, "z": -1.0}, "curvature": {"eigenvalues": [2, 4, 8]}}
    assert summary.facts(held) == ["lowest loss 0.5 at (0, 0.5, −1)", "fitted curvatures at the centre 2 to 8"]
    assert summary.facts({"lowest": {"loss": 0.5, "x": -1.0}}) == ["lowest loss 0.5 at −1"]  # of a line
    words = words_of(svg(write_volume(tmp_path / "v.h5", summary=held), "--at", "z=0", "--numbers"))
    assert "of the training loss, of all slices: lowest loss 0.5" in words


def test_trajectories_have_no_slices(plot, tmp_path):
    result = plot(write_trajectory(tmp_path / "t.h5"), "--at", "x=0")
    assert result.status == 1 and "two must be left" in result.line()
