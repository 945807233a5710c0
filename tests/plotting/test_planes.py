"""What the user chooses of a plane: a part of it, its aspect, smoothness, scales of its own; labels; marked checkpoints."""

import h5py
import numpy as np
import pytest
from conftest import add_points, bowl, words_of, write_fan, write_repeats, write_surface, write_trajectory
from matplotlib import colormaps, colors
from lossatlas.plotting import reading, smooth, style


def figure_of(files, *words):
    from lossatlas.plotting import command, figures

    options = command.parse([*files, *words])
    style.apply()
    opened = [reading.open_file(path) for path in files]
    for file in opened:
        if options.xlim or options.ylim:
            file.crop(options.xlim, options.ylim)
    return figures.figure_of(opened, options)[1]


# --- cropping ------------------------------------------------------------------------------------


def test_a_cropped_file_holds_the_points_within_the_limits(tmp_path):
    with reading.open_file(write_surface(tmp_path / "s.h5", lambda x, y: x + 10 * y, 21, 11)) as file:
        file.crop((-0.55, 0.2), (0.0, 1.0))
        assert file.x == pytest.approx(np.arange(-0.5, 0.21, 0.1)) and file.y == pytest.approx(np.arange(0.0, 1.1, 0.2))
        assert file.field("train_loss").values == pytest.approx(file.x + 10 * file.y[:, None])
        assert file.shape == (6, 8) and file.cropped == "cropped to 8 × 6 of 21 × 11 points"


def test_limits_of_one_axis_leave_the_other_whole(tmp_path):
    with reading.open_file(write_surface(tmp_path / "s.h5", bowl, 21, 11)) as file:
        file.crop(None, (0.0, 1.0))
        assert file.shape == (6, 21)


def test_a_plane_in_progress_is_cropped_where_its_coarse_points_are(svg, tmp_path):
    """Every 4th point is evaluated: the others are still interpolated between them."""
    mask = np.zeros((33, 33))
    mask[::4, ::4] = 1
    text = words_of(svg(write_surface(tmp_path / "s.h5", bowl, 33, 33, evaluated=mask), "--xlim", "-0.1:0.9"))
    assert "points not evaluated: interpolated between the dots" in text and "not evaluated (blank)" not in text


@pytest.mark.parametrize("words, status, line", [
    (["--xlim", "0.01:0.02"], 1, "--xlim 0.01:0.02 holds 0 of the 9 points of"),
    (["--xlim", "2:1"], 2, "'2:1' must rise: 1:2?"),
    (["--ylim", "1"], 2, "'1' is not A:B, as in -0.5:0.5"),
    (["--zlim", "0:1", "--vmax", "3"], 2, "--zlim gives --vmin and --vmax: leave these out"),
    (["--aspect", "wide"], 2, "'wide' is not a number"),
    (["--aspect", "100"], 2, "'100' is neither equal nor a number from 0.05 to 20"),
    (["--scale", "two"], 2, "invalid choice: 'two'"),
])
def test_wrong_words(plot, tmp_path, words, status, line):
    result = plot(write_surface(tmp_path / "s.h5"), *words)
    assert result.status == status and line in result.line()


@pytest.mark.parametrize("kind", ["contour", "contourf", "heat", "surface", "trajectory"])
def test_what_lies_outside_a_cropped_plane_is_not_drawn(svg, tmp_path, kind):
    file = write_trajectory(tmp_path / "t.h5", 2)
    add_points(file, ("inside", "outside"), (0.0, 9.0), (0.0, 0.0))
    text = words_of(svg(file, "--kind", kind, "--xlim", "-4:4"))
    assert "inside" in text and "outside" not in text and "cropped to" in text


def test_a_line_is_cropped_too(svg, tmp_path):
    text = words_of(svg(write_fan(tmp_path / "l.h5"), "--xlim", "-0.2:0.5"))
    assert "cropped to 8 of 21 points" in text and "−0.2" in text and "−1" not in text


def test_zlim_is_both_limits_of_the_value(tmp_path):
    bar = figure_of([write_surface(tmp_path / "s.h5")], "--kind", "heat", "--zlim", "1:2").axes[-1]
    assert bar.get_ylim() == (1.0, 2.0)


# --- aspect --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, ratio", [([], 1.0), (["--aspect", "0.5"], 0.5), (["--aspect", "equal"], 1.0)])
def test_the_aspect_is_height_over_width(tmp_path, words, ratio):
    figure = figure_of([write_surface(tmp_path / "s.h5")], *words)
    box, size = figure.axes[0].get_position(), figure.get_size_inches()
    assert box.height * size[1] / (box.width * size[0]) == pytest.approx(ratio, rel=1e-3)


def test_axes_not_to_the_same_scale_are_said(svg, tmp_path):
    file = write_surface(tmp_path / "s.h5")
    for kind in ("contourf", "surface"):
        assert "the axes are not to the same scale" in words_of(svg(file, "--aspect", "0.5", "--kind", kind))
        assert "the axes are not to the same scale" not in words_of(svg(file, "--aspect", "1", "--kind", kind))


# --- smooth --------------------------------------------------------------------------------------


def test_smooth_values_are_those_of_monotone_cubics():
    """By hand: slopes 1 and 3 give the weighted harmonic mean 6 / (3/1 + 3/3) = 1.5 between them; then a cubic."""
    x, y, z = smooth.finer(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0]), np.array([[0.0, 1.0, 4.0]] * 2))
    at = np.searchsorted(x, 0.5)
    assert x[at] == 0.5 and z[:, at] == pytest.approx(0.4375)
    assert z.shape == (len(y), len(x)) and z[0, ::(len(x) - 1) // 2].tolist() == [0.0, 1.0, 4.0]


def test_no_smooth_value_lies_beyond_the_points_around_it_and_holes_stay():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(7, 9))
    points[3, 4] = np.nan
    x, y, z = smooth.finer(np.sort(rng.normal(size=9)), np.arange(7.0), points)
    steps = (len(y) - 1) // 6, (len(x) - 1) // 8
    for row in range(6):
        for column in range(8):
            corners = points[row : row + 2, column : column + 2]
            cell = z[row * steps[0] : (row + 1) * steps[0] + 1, column * steps[1] : (column + 1) * steps[1] + 1]
            if np.isnan(corners).any():
                assert np.isnan(cell[1:-1, 1:-1]).all()
            else:
                inside = cell[1:-1, 1:-1]
                assert corners.min() - 1e-12 <= inside.min() and inside.max() <= corners.max() + 1e-12


@pytest.mark.parametrize("kind", ["contour", "contourf", "surface"])
def test_smoothness_is_said(svg, tmp_path, kind):
    assert "smooth between the points" in words_of(svg(write_surface(tmp_path / "s.h5"), "--smooth", "--kind", kind))


# --- scales --------------------------------------------------------------------------------------


def test_a_panel_that_takes_little_of_the_scale_is_named_and_may_have_its_own(svg, tmp_path):
    files = [write_surface(tmp_path / "small.h5", lambda x, y: 1 + x**2 + y**2),
             write_surface(tmp_path / "large.h5", lambda x, y: 300 + 50 * x)]
    text = words_of(svg(*files, "--linear"))
    assert "small takes 0.6 % of the scale: --scale each gives every panel its own" in text
    for kind in ("contourf", "surface"):
        text = words_of(svg(*files, "--linear", "--scale", "each", "--kind", kind))
        assert "each panel has a scale of its own" in text and "% of the scale" not in text
        assert text.count("training loss (mean cross-entropy)") == 1


def test_draws_on_scales_of_their_own(tmp_path):
    figure = figure_of([write_repeats(tmp_path / "s.h5", 3)], "--kind", "repeats", "--scale", "each")
    assert len(figure.axes) == 6  # each with a colour bar


# --- marks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["contourf", "surface"])
def test_a_marked_checkpoint_has_the_colour_of_its_own_loss_beside_a_hole_too(tmp_path, kind):
    z = bowl(*np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)))
    z[4, 5] = np.nan
    file = write_surface(tmp_path / "s.h5", z)
    add_points(file, ("A", "B"), (0.0, 0.5), (0.0, 0.5))
    with h5py.File(file, "a") as made:
        del made["lossatlas/points/train_loss"]
        made["lossatlas/points/train_loss"] = [z[np.isfinite(z)].max(), z[np.isfinite(z)].min()]
    axes = figure_of([file], "--kind", kind, "--linear").axes[0]
    high, low = (colors.to_hex(colormaps["viridis"](end)) for end in (1.0, 0.0))
    if kind == "surface":
        faces = [colors.to_hex(line.get_color()) for line in axes.get_lines() if line.get_marker() == "o"]
        assert high in faces and low in faces
    else:
        marked = next(c for c in axes.collections if c.get_gid() == "checkpoints")
        assert [colors.to_hex(face) for face in marked.get_facecolors()] == [high, low]


def test_filled_contours_have_their_values_on_them(tmp_path):
    axes = figure_of([write_surface(tmp_path / "s.h5", nx=41, ny=41)]).axes[0]
    assert {"1", "2"} <= {text.get_text() for text in axes.texts}


def test_names_at_column_width_do_not_lie_on_each_other(tmp_path):
    file = write_surface(tmp_path / "s.h5")
    add_points(file, ("sgd/epoch-0004", "sgd/epoch-0006", "adagrad/epoch-0004"), (0.0, 0.1, 0.15), (0.0, 0.05, -0.05))
    for kind in ("contourf", "surface"):
        figure = figure_of([file], "--width", "column", "--kind", kind)
        boxes = [text.get_window_extent() for text in figure.axes[0].texts if "epoch" in text.get_text()]
        assert len(boxes) == 3
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
