"""What the figures show: every kind in every format, orientation, gaps, text, cuts."""

import itertools
import re

import h5py
import numpy as np
import pytest
from conftest import bowl, words_of, write_history, write_line, write_surface

pytestmark = pytest.mark.filterwarnings("error")

PLANES = ("contour", "contourf", "heat", "surface")
PINK = np.array([0xE8, 0x30, 0x8A]) / 255
SIGNATURES = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def colored(image):
    """Pixels that are neither paper nor ink."""
    return image.max(axis=2) - image.min(axis=2) > 0.15


def is_pink(image):
    return np.abs(image - PINK).max(axis=2) < 0.02


def body(image):
    """The part of a plane's figure inside its frame: columns left of the colour bar."""
    wide = np.flatnonzero(colored(image).mean(axis=1) > 0.2)
    wide = max(np.split(wide, np.flatnonzero(np.diff(wide) > 1) + 1), key=len)  # not coloured text
    columns = np.flatnonzero(colored(image)[wide].any(axis=0))
    gap = np.flatnonzero(~colored(image)[wide].any(axis=0))
    right = gap[gap > columns.min()][0]
    return image[wide[0] + 2 : wide[-1] - 1, columns.min() + 2 : right - 2]


@pytest.mark.parametrize("kind", PLANES)
def test_planes_in_every_format_with_the_same_bytes_twice(plot, tmp_path, kind):
    file = write_surface(tmp_path / "s.h5")
    drawn = []
    for turn in (1, 2):
        outs = [tmp_path / f"{turn}.{ext}" for ext in SIGNATURES]
        words = [word for out in outs for word in ("-o", out)]
        result = plot(file, "--kind", kind, "--dpi", "60", *words)
        assert (result.status, result.err) == (0, "")
        assert result.out.split() == [str(out) for out in outs]
        drawn.append([out.read_bytes() for out in outs])
    assert drawn[0] == drawn[1]
    for data, signature in zip(drawn[0], SIGNATURES.values()):
        assert data.startswith(signature)
        assert b"CreationDate" not in data and b"dc:date" not in data


@pytest.mark.parametrize("write", [write_line, write_history])
def test_curves_in_every_format_with_the_same_bytes_twice(plot, tmp_path, write):
    file = write(tmp_path / "c.h5")
    drawn = []
    for turn in (1, 2):
        outs = [tmp_path / f"{turn}.{ext}" for ext in SIGNATURES]
        assert plot(file, "--dpi", "60", *(w for out in outs for w in ("-o", out))).status == 0
        drawn.append([out.read_bytes() for out in outs])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kind", ["contourf", "heat"])
@pytest.mark.parametrize("ours", [True, False])
def test_x_runs_to_the_right_and_y_upwards(pixels, tmp_path, kind, ours):
    """4 x 3 points, the loss rising along one coordinate only: viridis gets lighter that way."""
    along_x = body(pixels(
        write_surface(tmp_path / "x.h5", lambda x, y: x + 2, 4, 3, ours=ours), "--kind", kind))
    row = along_x[along_x.shape[0] // 5].mean(axis=1)
    assert row[-3] > row[3] + 0.1
    assert np.median(np.abs(along_x[5] - along_x[-5])) < 0.12  # except where contours have labels
    along_y = body(pixels(
        write_surface(tmp_path / "y.h5", lambda x, y: y + 2, 4, 3, ours=ours), "--kind", kind))
    column = along_y[:, along_y.shape[1] // 5].mean(axis=1)
    assert column[3] > column[-3] + 0.1


def test_falling_coordinates_are_drawn_rising(pixels, tmp_path):
    right = pixels(write_surface(tmp_path / "a.h5", lambda x, y: x + 2, 5, 4))
    turned = pixels(write_surface(tmp_path / "b.h5", lambda x, y: x + 2, 5, 4, x=(1, -1), y=(1, -1)))
    assert np.array_equal(right, turned)


def test_axes_have_the_same_scale(pixels, tmp_path):
    inside = body(pixels(write_surface(tmp_path / "s.h5", bowl, 9, 9, x=(-1, 1), y=(-0.5, 0.5))))
    assert inside.shape[1] / inside.shape[0] == pytest.approx(2.0, rel=0.08)


@pytest.mark.parametrize("kind", ["contourf", "heat"])
def test_points_not_evaluated_are_blank(pixels, tmp_path, kind):
    mask = np.ones((8, 8))
    mask[4:, 4:] = 0
    z = np.full((8, 8), 2.0) + np.arange(8)
    inside = body(pixels(write_surface(tmp_path / "s.h5", z, 8, 8, evaluated=mask), "--kind", kind))
    corner = inside[: inside.shape[0] // 3, -inside.shape[1] // 3 :]
    assert np.all(corner == 1.0)
    assert not is_pink(inside).any()


@pytest.mark.parametrize("kind", PLANES)
def test_points_not_finite_have_their_own_color_and_count(pixels, svg, tmp_path, kind):
    z = bowl(*np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)))
    z[1, 1], z[1, 2], z[6, 6] = np.inf, np.nan, -np.inf
    file = write_surface(tmp_path / "s.h5", z)
    assert is_pink(pixels(file, "--kind", kind)).sum() > 20
    assert "3 points evaluated but not finite (pink, hatched)" in svg(file, "--kind", kind)


def test_the_peers_minus_one_is_blank_and_does_not_move_the_scale(svg, tmp_path):
    z = np.full((6, 6), 2.0)
    z[:, 3:] = 3.0
    z[5] = -1.0
    text = svg(write_surface(tmp_path / "s.h5", z, 6, 6, ours=False))
    assert "6 points not evaluated (blank)" in text
    assert "−1" in text  # on the coordinate axes
    assert "every value" not in text


def test_log_is_chosen_and_said(svg, tmp_path):
    steep = write_surface(tmp_path / "s.h5", lambda x, y: 0.01 + 30 * (x**2 + y**2) ** 2 / 4)
    assert "training loss, log scale (mean cross-entropy)" in svg(steep)
    assert "log scale" not in svg(steep, "--linear")
    flat = write_surface(tmp_path / "f.h5")
    assert "log scale" not in svg(flat)
    assert "log scale" in svg(flat, "--log")


def test_log_heights_have_decades_on_their_axis(svg, tmp_path):
    file = write_surface(tmp_path / "s.h5", lambda x, y: 0.005 + 30 * (x**2 + y**2) ** 2 / 4)
    text = svg(file, "--kind", "surface")
    for label in (">0.01<", ">0.1<", ">1<", ">10<"):
        assert text.count(label) >= 2  # on the vertical axis and on the colour bar


@pytest.mark.parametrize("kind", PLANES)
def test_text_is_text_and_says_what_is_drawn(svg, tmp_path, kind):
    text = words_of(svg(write_surface(tmp_path / "s.h5"), "--kind", kind))
    for words in (
        "Training loss of resnet18 on cifar10",
        "1000 training images · filter-normalized directions · seed 7 · 9 × 9 points",
        "multiples of direction 1 (filter-normalized)",
        "multiples of direction 2 (filter-normalized)",
        "training loss (mean cross-entropy)",
    ):
        assert words in text


def test_pdf_text_is_text(plot, tmp_path):
    out = tmp_path / "s.pdf"
    assert plot(write_surface(tmp_path / "s.h5"), "-o", out).status == 0
    assert b"/FontFile2" in out.read_bytes() and b"/Type3" not in out.read_bytes()


def test_settings_may_be_missing_or_odd(svg, tmp_path):
    assert "Training loss<" in svg(write_surface(tmp_path / "a.h5", ours=False))
    odd = {"arch": None, "data": 3, "samples": "many", "normalization": ["x"], "seed": {}, "loss": 1}
    assert "Training loss on 3" in svg(write_surface(tmp_path / "b.h5", settings=odd))


def test_accuracies_are_in_percent(svg, tmp_path):
    acc = {"train_acc": np.linspace(1, 100, 81).reshape(9, 9)}
    text = svg(write_surface(tmp_path / "s.h5", more=acc), "--value", "train_acc")
    assert "training accuracy (%)" in text and "log scale" not in text


@pytest.mark.parametrize("kind", ["contourf", "contour", "surface", "heat"])
def test_a_cut_is_stated(svg, tmp_path, kind):
    text = svg(write_surface(tmp_path / "s.h5"), "--kind", kind, "--vmin", "0.6", "--vmax", "2")
    assert "cut at 2: " in text and "(up to 3.5)" in text
    assert "cut at 0.6: 3 of 81 points lie below it (down to 0.5)" in text


def test_the_center_is_marked_when_in_range(svg, tmp_path):
    assert 'id="center"' in svg(write_surface(tmp_path / "a.h5"))
    assert 'id="center"' not in svg(write_surface(tmp_path / "b.h5", x=(0.5, 1.5)))


def test_levels_are_those_asked_for(svg, tmp_path):
    text = svg(write_surface(tmp_path / "s.h5", nx=41, ny=41), "--kind", "contour", "--levels", "0.8,1.2")
    assert ">0.8<" in text and ">1.2<" in text


def test_contour_labels_stay_inside_the_frame(tmp_path):
    from lossatlas.plotting import planes, reading, scales, style
    from lossatlas.plotting.options import Look

    style.apply()
    path = write_surface(tmp_path / "s.h5", lambda x, y: 0.05 + 20 * (x**2 + y**2), 31, 31)
    with reading.open_file(path) as file:
        field = file.field("train_loss")
        scale = scales.choose(field.values, "train_loss")
        figure = planes.draw(planes.Plane("contour", file, field, scale, Look()), style.Head("t", "s"), "loss")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    frame, boxes = axes.get_window_extent(), [t.get_window_extent() for t in axes.texts]
    assert len(boxes) >= 5
    for i, box in enumerate(boxes):
        assert frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("elev, azim", [(32, -57), (10, 40), (70, 130), (5, -45), (90, 0), (-20, 200), (30, 90)])
@pytest.mark.parametrize("label", [(-1, 1), (-100000.5, 99999.5)])
def test_texts_in_3d_stay_on_the_page_and_apart(tmp_path, elev, azim, label):
    from lossatlas.plotting import reading, relief, scales, style
    from lossatlas.plotting.options import Look

    style.apply()
    with reading.open_file(write_surface(tmp_path / "s.h5", x=label)) as file:
        field = file.field("train_loss")
        scale = scales.choose(field.values, "train_loss")
        sheet = relief.Relief(file, field, scale, Look(elev=elev, azim=azim, dpi=40))
        figure = relief.draw(sheet, style.Head("title", "sub"), "loss")
    figure.draw_without_rendering()
    axes, page = figure.axes[0], figure.bbox
    title = min(text.get_window_extent().y0 for text in figure.texts if text.get_position()[1] > 0.5)
    boxes = [text.get_window_extent() for text in axes.texts]
    for box in boxes:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < page.x1 and box.y1 < title + 1
    ticks = [box for text, box in zip(axes.texts, boxes) if text.get_rotation() == 0 and "mult" not in text.get_text()]
    assert not any(a.padded(-1).overlaps(b.padded(-1)) for a, b in itertools.combinations(ticks, 2))


def test_scattered_points_are_drawn_as_cells(svg, tmp_path):
    mask = np.zeros((5, 5))
    mask[1::2, 1::2] = 1  # no lattice that a sweep goes through
    text = svg(write_surface(tmp_path / "s.h5", nx=5, ny=5, evaluated=mask))
    assert "too few neighbouring points for contours" in text


@pytest.mark.parametrize("kind", PLANES)
def test_constant_values(svg, tmp_path, kind):
    text = svg(write_surface(tmp_path / "s.h5", lambda x, y: 0 * x + 2.5), "--kind", kind)
    assert "every value is 2.5" in text


@pytest.mark.parametrize("nx, ny, what", [(7, 1, "row"), (1, 7, "column")])
@pytest.mark.parametrize("kind", [None, "surface"])
def test_one_row_or_column_is_drawn_as_a_line(svg, tmp_path, nx, ny, what, kind):
    file = write_surface(tmp_path / "s.h5", nx=nx, ny=ny)
    text = svg(file, *(["--kind", kind] if kind else []))
    assert f"the plane has one {what} of points: drawn as a line" in text
    assert f"multiples of direction {1 if what == 'row' else 2}" in text


def test_a_line_shows_losses_and_accuracies(svg, tmp_path):
    text = svg(write_line(tmp_path / "l.h5"))
    for name in ("train_loss", "test_loss", "train_acc", "test_acc"):
        assert f'id="{name}"' in text
    assert "accuracy (%)" in text and "multiples of the direction" in text
    text = svg(write_line(tmp_path / "l.h5"), "--value", "test_loss")
    assert 'id="test_loss"' in text and 'id="train_loss"' not in text


def test_a_line_with_gaps(svg, tmp_path):
    path = write_line(tmp_path / "l.h5")
    with h5py.File(path, "a") as file:
        file["train_loss"][3:5] = -1
        file["train_loss"][8] = np.inf
    text = svg(path)
    assert "2 points not evaluated (blank)" in text
    assert "1 point evaluated but not finite (pink, hatched)" in text


def test_a_history_says_how_it_ended(svg, tmp_path):
    text = svg(write_history(tmp_path / "history.h5"))
    assert "Training of cnn" in text and "SGD · 5 epochs · final test accuracy" in text
    assert ">epoch<" in text
    assert "NaN" not in text and "nan" not in re.sub(r"[A-Za-z]nan|nan[a-z]", "", text)


def test_a_history_of_no_epochs_yet(svg, tmp_path):
    assert "0 epochs" in svg(write_history(tmp_path / "history.h5", epochs=0))


@pytest.mark.parametrize("title", ["50 $ and $x_{ is no formula", r"$\ell_2$ & <b>", "long " * 60, ""])
def test_titles_of_all_sorts(svg, tmp_path, title):
    svg(write_surface(tmp_path / "s.h5"), "--title", title)


def test_size_in_inches(pixels, tmp_path):
    assert pixels(write_surface(tmp_path / "s.h5"), "--size", "6x4").shape[:2] == (240, 360)


def test_color_maps(pixels, tmp_path):
    file = write_surface(tmp_path / "s.h5")
    assert not np.array_equal(pixels(file), pixels(file, "--cmap", "cividis"))


def test_values_too_far_apart_for_a_sheet(plot, tmp_path):
    z = np.full((9, 9), np.inf)
    z[0, 0], z[0, 1], z[5, 5] = 1.0, 2.0, 3.0
    result = plot(write_surface(tmp_path / "s.h5", z), "--kind", "surface")
    assert result.status == 1 and "no four neighbouring evaluated points: try --kind heat" in result.line()


def test_the_side_is_chosen_from_which_the_most_is_seen(tmp_path):
    from lossatlas.plotting import raster, reading, relief, scales
    from lossatlas.plotting.options import Look

    def sides(values):
        """What is seen from each side, and the side that is chosen."""
        with reading.open_file(write_surface(tmp_path / "s.h5", values)) as file:
            field = file.field("train_loss")
            each = relief.Relief(file, field, scales.choose(field.values, "train_loss"), Look())
            seen = {azim: raster.shown(*each.scene(), raster.View(30, azim))[0] for azim in raster.SIDES}
            relief.turn([each])
            return seen, each.view.azim

    for sx, sy in itertools.product((-1, 1), (-1, 1)):
        seen, chosen = sides(lambda x, y: np.where(sx * x + sy * y > 0.6, 10.0, 1.0 + 0.1 * x))
        assert seen[chosen] >= max(seen.values()) - 0.02
        assert max(seen.values()) > min(seen.values()) + 0.05
    assert sides(bowl)[1] == -57


def test_large_surfaces_are_drawn_in_time(tmp_path):
    """A generous limit: a machine may be slow and busy."""
    import time

    from lossatlas.plotting import command

    file = write_surface(tmp_path / "s.h5", nx=201, ny=201)
    for kind in PLANES:
        start = time.process_time()
        assert command.main([file, "--kind", kind, "-o", str(tmp_path / "s.png")]) == 0
        assert time.process_time() - start < 24


@pytest.mark.parametrize("field, said", [("train_loss", False), ("test_loss", True), ("train_acc", True)])
def test_numbers_of_another_value_say_whose_they_are(svg, tmp_path, field, said):
    file = write_surface(tmp_path / "s.h5", more={"test_loss": np.ones((9, 9)) + np.eye(9), "train_acc": 90 * np.eye(9)},
                         summary={"lowest": {"loss": 0.5, "x": 1e-17, "y": 0}})
    words = words_of(svg(file, "--field", field, "--numbers"))
    assert "lowest loss 0.5 at (0, 0)" in words
    assert ("of the training loss: lowest" in words) == said
