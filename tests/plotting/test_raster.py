"""The picture of a sheet in 3D: what is seen where, what hides what, where contours run."""

import math

import matplotlib
import numpy as np
import pytest
from lossatlas.plotting.raster import FINER, Picture, Sheet, View

GRID = np.linspace(-1.0, 1.0, 21)
NOTHING = np.zeros((20, 20), bool)


def sheet(heights, span=(0.0, 1.0)):
    z = heights(*np.meshgrid(GRID, GRID)) if callable(heights) else heights
    return Sheet(GRID, GRID, z, span, (1.0, 1.0, 0.5))


def picture(heights, view=View(30.0, -57.0), pixels=100, span=(0.0, 1.0)):
    return Picture(sheet(heights, span), view, (-0.9, 0.9, -0.6, 0.9), pixels)


def image(pic, levels=(), pale=NOTHING):
    return pic.image(matplotlib.colormaps["gray"], list(levels), ((1, 0, 0), 1.0, 1.0), pale)


def spots(pic):
    """(x, y) of the plane, each pixel's, found from where it is on the page; and the page's own places."""
    right, up, away = pic.view.axes()
    pixel, depth = (np.concatenate([getattr(strip, name) for strip in pic.strips]) for name in ("pixel", "depth"))
    column, row = pixel % pic.columns, pixel // pic.columns
    across = pic.bounds[0] + (column + 0.5) / pic._fine
    level = pic.bounds[2] + (row + 0.5) / pic._fine
    x, y = (across * right[i] + depth * away[i] for i in (0, 1))
    return x, y, level


@pytest.mark.parametrize("azim", [-57, 0, 45, 90, 200])
@pytest.mark.parametrize("elev", [90, 60, 25, 5, -30])
def test_every_pixel_shows_the_point_of_a_tilted_plane_that_projects_there(elev, azim):
    def heights(x, y):
        return 0.5 + 0.2 * x - 0.1 * y

    pic = picture(heights, View(elev, azim))
    x, y, level = spots(pic)
    z = 0.5 * heights(2 * x, 2 * y)
    assert pic.view.project(np.stack([x, y, z], axis=1))[:, 1] == pytest.approx(level, abs=2e-3)
    assert np.abs(x).max() <= 0.5 + 1e-6 and np.abs(y).max() <= 0.5 + 1e-6


def test_how_much_of_the_upper_side_is_seen():
    assert picture(lambda x, y: 0 * x + 0.5, View(30, 120)).upper() == pytest.approx(0.5, rel=0.02)
    steep = [picture(lambda x, y: 0.5 + 0.5 * x, View(15, azim)).upper() for azim in (180, 0)]
    assert steep[0] > 0.6 and steep[1] == 0.0  # facing the slope, and from below it


@pytest.mark.parametrize("elev", [90, 45, 20])
def test_a_level_sheet_covers_its_projection(elev):
    pic = picture(lambda x, y: 0 * x + 0.5, View(elev, 30))
    area = sum(len(strip.pixel) for strip in pic.strips) / pic._fine**2
    assert area == pytest.approx(math.sin(math.radians(elev)), rel=0.01)


def test_from_above_the_picture_is_the_grid():
    pic = picture(lambda x, y: 0.5 + 0.4 * x, View(90, -90))  # x to the right, y upwards
    drawn = image(pic)
    inside = drawn[:, (drawn[..., 3] == 255).any(axis=0)]
    inside = inside[(inside[..., 3] == 255).any(axis=1)]
    assert inside[10, -10, 0] > inside[10, inside.shape[1] // 2, 0] > inside[10, 10, 0]
    assert np.ptp(inside[5:-5, 20, 0].astype(int)) < 40  # no change along y but for the light


def test_a_ridge_hides_what_is_behind_it():
    def ridge(x, y):
        return np.where(np.abs(y) < 0.11, 1.0, 0.0)

    view = View(60.0, -90.0)  # from the side of low y
    pic = picture(ridge, view)
    placed = np.array([(0.0, y / 2, 0.5 * float(ridge(0, y)) + 0.002) for y in (-0.6, 0.0, 0.3, 0.95)])
    assert pic.hidden(view.project(placed)).tolist() == [False, False, True, False]


@pytest.mark.parametrize("view", [View(90, -90), View(30, -57), View(15, 120)])
@pytest.mark.parametrize("value", [0.1, 0.5, 0.9])
def test_a_level_part_in_the_open_has_the_colour_of_the_colour_bar(view, value):
    drawn = image(picture(lambda x, y: 0 * x + value, view))
    opaque = drawn[drawn[..., 3] == 255][:, :3].astype(int)
    assert np.abs(opaque - round(255 * value)).max() <= 3


def test_a_hole_is_seen_through():
    z = np.full((21, 21), 0.5)
    z[8:13, 8:13] = np.nan
    pic = picture(z, View(90, -90))
    drawn = image(pic)
    middle = drawn[drawn.shape[0] * 60 // 100, drawn.shape[1] // 2]
    x, y, _ = spots(pic)
    assert not ((np.abs(x) < 0.14) & (np.abs(y) < 0.14)).any()
    assert middle[3] == 0


@pytest.mark.parametrize("seed", range(5))
def test_holes_everywhere_leave_only_pixels_of_the_sheet(seed):
    """A pixel between two places on the sheet may lie at the corner of a hole."""
    z = np.random.default_rng(seed).uniform(size=(21, 21))
    z[np.random.default_rng(seed + 5).uniform(size=z.shape) < 0.2] = np.nan
    pic = picture(z, View(30, -57 + 7 * seed), pixels=200)
    assert all(np.isfinite(pic.sheet.heights(strip.place)).all() for strip in pic.strips)
    assert image(pic).max() > 0


def test_contours_run_at_their_levels():
    pic = picture(lambda x, y: 0.5 + 0.4 * x, View(90, -90), pixels=200)
    red = image(pic, [0.3, 0.62])
    rows = np.flatnonzero((red[..., 3] == 255).any(axis=1))
    line = red[rows[len(rows) // 2]].astype(int)
    at = np.flatnonzero(line[:, 0] - line[:, 1] > 120)
    x = 2 * (pic.bounds[0] + (at + 0.5) * FINER / pic._fine)
    assert {round(float(v), 1) for v in 0.5 + 0.4 * x} == {0.3, 0.6}
    assert len(at) <= 8


def test_cells_of_guesses_are_paler():
    assert image(picture(lambda x, y: 0 * x + 0.2), pale=~NOTHING)[..., :3].max() > image(
        picture(lambda x, y: 0 * x + 0.2))[..., :3].max() + 40


def test_a_valley_is_darker_than_a_peak_of_the_same_colour():
    def light(heights):
        drawn = image(picture(heights, View(90, -90), span=(-100.0, 101.0)))  # one colour everywhere
        inside = drawn[(drawn[..., 3] == 255).any(axis=1)][:, (drawn[..., 3] == 255).any(axis=0)]
        return inside[inside.shape[0] // 2, inside.shape[1] // 2, 0].astype(int)

    assert light(lambda x, y: 100 * (x**2 + y**2) - 90) < light(lambda x, y: 90 - 100 * (x**2 + y**2)) - 10


def test_heights_and_places_of_the_plane():
    tilted = sheet(lambda x, y: 0.5 + 0.3 * x + 0.2 * y)
    assert tilted.place(np.array([-1.0, 0.5]), np.array([1.0, 0.0])) == pytest.approx(
        np.array([[-0.5, 0.5], [0.25, 0.0]]))
    assert tilted.at(np.array([0.25]), np.array([-0.5])) == pytest.approx([0.5 * (0.5 + 0.075 - 0.1)], abs=1e-6)


@pytest.mark.parametrize("low, high", [(2.0, 2.0 + 1e-9), (0.0, 1e100), (0.0, 1e-60), (-1e250, 1e250), (1e6, 1e6 + 1e-6)])
def test_colours_and_contours_are_the_same_in_every_range(low, high):
    def shares(x, y):
        return 0.5 + 0.2 * x**2 - 0.3 * y

    usual = image(picture(shares), [0.4, 0.6]).astype(int)
    drawn = image(picture(lambda x, y: low + (high - low) * shares(x, y), span=(low, high)),
                  [low + share * (high - low) for share in (0.4, 0.6)]).astype(int)
    assert (np.abs(drawn - usual).max(axis=2) > 20).mean() < 0.002
