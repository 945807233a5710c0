"""Surfaces that are not all evaluated: what is drawn for missing points, and that the figure says so."""

import numpy as np
import pytest
from conftest import bowl, write_line, write_surface
from lossatlas.plotting import points, reading, scales
from test_figures import PLANES


def write_partial(path, step, done_rows=0, n=21, values=bowl):
    """Every `step`th point is evaluated, and all of the first `done_rows` rows."""
    mask = np.zeros((n, n))
    mask[::step, ::step] = 1
    mask[:done_rows] = 1
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    return write_surface(path, np.where(mask, values(x, y), np.nan), n, n, evaluated=mask)


def filled(path, as_cells=False, log=False):
    with reading.open_file(path) as file:
        field = file.field("train_loss")
        scale = scales.choose(field.values, "train_loss", log)
        return points.fill(file, field, scale, as_cells)


@pytest.mark.parametrize("step", [2, 4, 8, 16])
@pytest.mark.parametrize("log", [False, True])
def test_a_plane_that_is_linear_in_drawing_units_is_filled_exactly(tmp_path, step, log):
    def values(x, y):
        plane = 3 + x + 0.5 * y
        return 10**plane if log else plane

    field = filled(write_partial(tmp_path / "s.h5", step, values=values), log=log)
    last = 20 // step * step + 1  # beyond the lattice values are held
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    assert field.values[:last, :last] == pytest.approx(values(x, y)[:last, :last])
    assert np.array_equal(field.values[last:, 0], np.repeat(field.values[last - 1, 0], 21 - last))
    assert not field.blank.any() and field.guessed.sum() == 441 - len(range(0, 21, step)) ** 2


def test_cells_take_the_nearest_point_of_the_finest_lattice_there_is(tmp_path):
    field = filled(write_partial(tmp_path / "s.h5", 4, done_rows=3), as_cells=True)
    assert field.values[10, 10] == field.values[12, 12]
    assert field.values[9, 9] == field.values[8, 8]
    assert field.values[2, 9] != field.values[0, 8]  # evaluated itself


def test_evaluated_values_stay_and_only_the_last_of_them_get_dots(tmp_path):
    field = filled(write_partial(tmp_path / "s.h5", 2, done_rows=11))
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    assert np.array_equal(field.values[:11], bowl(x, y)[:11])
    dots = points.beside_guesses(field)
    assert not dots[:10].any() and dots[10].all() and dots[12].sum() == 11


def test_without_a_complete_lattice_and_in_the_peers_files_nothing_is_filled(tmp_path):
    path = write_partial(tmp_path / "s.h5", 2)
    with reading.open_file(path) as file:
        field = file.field("train_loss")
        field.blank[0, 0] = True
        assert points.fill(file, field, scales.Scale(False, 0, 1)) is field
    z = np.full((5, 5), -1.0)
    z[::2, ::2] = 1.0 + np.arange(9).reshape(3, 3)
    field = filled(write_surface(tmp_path / "p.h5", z, 5, 5, ours=False))
    assert field.blank.sum() == 16 and not field.guessed.any()


def test_points_around_one_that_is_not_finite_count_as_that(tmp_path):
    def hole(x, y):
        return np.where((x == 0) & (y == 0), np.inf, bowl(x, y))

    field = filled(write_partial(tmp_path / "s.h5", 2, values=hole))
    assert np.argwhere(field.nonfinite).tolist() == [[i, j] for i in (9, 10, 11) for j in (9, 10, 11)]
    assert points.notes(field)[1] == "1 point evaluated but not finite (pink, hatched): 1 +inf"


@pytest.mark.parametrize("kind", PLANES)
def test_every_kind_says_that_it_is_partial(svg, tmp_path, kind):
    text = svg(write_partial(tmp_path / "s.h5", 4), "--kind", kind, "--title", "mine")
    assert "PARTIAL: 36 of 441 points evaluated" in text
    how = {"heat": "drawn as coarse cells around the dots", "surface": "interpolated (paler)"}
    assert f"405 points not evaluated: {how.get(kind, 'interpolated between the dots')}" in text
    assert ('id="evaluated"' in text) == (kind != "surface")


@pytest.mark.parametrize("kind", PLANES)
def test_a_complete_surface_says_nothing_of_it(svg, tmp_path, kind):
    text = svg(write_surface(tmp_path / "s.h5"), "--kind", kind)
    assert "PARTIAL" not in text and 'id="evaluated"' not in text


@pytest.mark.parametrize("kind", ["contour", "contourf", "heat"])
def test_the_first_points_are_drawn_as_cells(svg, tmp_path, kind):
    mask = np.zeros((21, 21))
    mask[10, 10] = mask[0, 0] = 1
    text = svg(write_surface(tmp_path / "s.h5", nx=21, ny=21, evaluated=mask), "--kind", kind)
    assert "PARTIAL: 2 of 441 points evaluated" in text and "439 points not evaluated (blank)" in text


def test_guessed_parts_of_a_surface_are_paler(pixels, tmp_path):
    whole = pixels(write_surface(tmp_path / "a.h5", nx=21, ny=21), "--kind", "surface")
    partial = pixels(write_partial(tmp_path / "b.h5", 2), "--kind", "surface")
    saturation = [np.ptp(image[100:200, 100:200], axis=2).mean() for image in (whole, partial)]
    assert saturation[1] < 0.8 * saturation[0]


def test_lone_points_of_a_line_are_seen(svg, tmp_path):
    mask = np.zeros((1, 51))
    mask[0, ::4] = 1
    text = svg(write_surface(tmp_path / "s.h5", nx=51, ny=1, evaluated=mask))
    assert "PARTIAL: 13 of 51 points evaluated" in text
    assert text.count("<use") > svg(write_line(tmp_path / "l.h5", 51)).count("<use")
