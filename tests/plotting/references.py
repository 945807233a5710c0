"""The reference images and how a figure is compared with one.

`.venv/bin/python tests/plotting/references.py` makes them anew (look at each before you keep it).
"""

import contextlib
import pathlib
import sys
import tempfile

import matplotlib.image
import numpy as np
from conftest import (SETTINGS, add_curve, add_points, bowl, write_curve, write_fan, write_history, write_line,
                      write_repeats, write_surface, write_trajectory, write_volume)

FOLDER = pathlib.Path(__file__).with_name("references")
DPI = 60
# Text and edges may fall a little otherwise with other versions of libraries below matplotlib.
MOST_DIFFERENT = 0.004  # share of pixels
DIFFERENT = 0.25  # of the way from black to white


def steep(x, y):
    return 0.02 + 8 * (x**2 + 0.6 * y**2 + 0.5 * np.sin(3 * x) ** 2 * y**2)


def _surface(path, **more):
    return [write_surface(path / "s.h5", steep, 25, 25, **more)]


def _holes(path):
    z = bowl(*np.meshgrid(np.linspace(-1, 1, 25), np.linspace(-1, 1, 25)))
    z[2:5, 2:5], z[18:21, 12:15] = np.inf, np.nan
    mask = np.ones((25, 25))
    mask[:, 22:] = 0
    mask[0, 0] = 0
    return [write_surface(path / "s.h5", z, 25, 25, evaluated=mask)]


def _points(path):
    file = write_surface(path / "s.h5", nx=25, ny=25, settings={**SETTINGS, "plane": "points"})
    add_points(file, ("A", "B", "bend-1", "other"), (0, 0.8, 0.4, -0.5), (0, 0, 0.9, -0.6), (0, 0, 0, 3.3))
    return [add_curve(file)]


def _two(path):
    return [*_surface(path, settings={**SETTINGS, "arch": "resnet56"}),
            write_surface(path / "t.h5", lambda x, y: 40 * steep(y, x), 17, 25,
                          settings={**SETTINGS, "arch": "resnet56-noshort"})]


CASES = {  # name: (files, words)
    "contour": (_surface, ["--kind", "contour"]),
    "contourf": (_surface, []),
    "heat": (_surface, ["--kind", "heat", "--vmax", "4"]),
    "surface": (_surface, ["--kind", "surface"]),
    "surface_linear": (_surface, ["--kind", "surface", "--linear", "--no-floor", "--elev", "45", "--azim", "20"]),
    "surface_dark": (_surface, ["--kind", "surface", "--style", "dark", "--cmap", "magma"]),
    "holes": (_holes, []),
    "holes_surface": (_holes, ["--kind", "surface"]),
    "points": (_points, []),
    "trajectory": (lambda path: [write_trajectory(path / "t.h5", 2)], []),
    "trajectory_column": (lambda path: [write_trajectory(path / "t.h5")], ["--width", "column"]),
    "trajectory_surface": (lambda path: [write_trajectory(path / "t.h5", 2)], ["--kind", "surface"]),
    "line": (lambda path: [write_line(path / "l.h5")], []),
    "fan": (lambda path: [write_fan(path / "l.h5")], ["--style", "slides"]),
    "curve": (lambda path: [write_curve(path / "p.h5")], []),
    "history": (lambda path: [write_history(path / "h.h5")], ["--style", "dark"]),
    "repeats": (lambda path: [write_repeats(path / "r.h5")], ["--kind", "repeats"]),
    "slices": (lambda path: [write_volume(path / "v.h5", (25, 25, 6))], ["--kind", "slices"]),
    "two": (_two, []),
    "two_surface": (_two, ["--kind", "surface"]),
}


def draw(name, folder):
    """The figure of that name, drawn now: float RGB [rows, columns, 3]."""
    from lossatlas.plotting import command

    write, words = CASES[name]
    out = folder / f"{name}.png"
    status = command.main([*write(folder), *words, "--dpi", str(DPI), "-o", str(out)])
    assert status == 0
    return out, matplotlib.image.imread(out)[:, :, :3]


def difference(image, reference):
    """The share of pixels that differ visibly; 1 where the sizes differ."""
    if image.shape != reference.shape:
        return 1.0
    return float((np.abs(image - reference).max(axis=2) > DIFFERENT).mean())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for case in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as made:
            with contextlib.redirect_stdout(None):
                drawn, _ = draw(case, pathlib.Path(made))
            (FOLDER / f"{case}.png").write_bytes(drawn.read_bytes())
        print(FOLDER / f"{case}.png")
