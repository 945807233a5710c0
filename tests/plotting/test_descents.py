"""What the pictures of descents show: every kind of one and two variables, in every format; what is said, and refused."""

import json
import re

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("error")

KINDS = {1: ("paths", "panels", "steps", "rates"), 2: ("paths", "panels", "steps", "rates", "surface")}


def bowl(x, y=0.0):
    return 0.5 * x**2 + 5 * y**2


def slope(point):
    return point * np.array([1.0, 10.0])[: len(point)]


def walk(start, rate, steps):
    """Positions of gradient descent on the bowl."""
    points = [np.array(start, float)]
    for _ in range(steps):
        points.append(points[-1] - rate * slope(points[-1]))
    return np.array(points)


def write_descents(path, variables=2, rules=(("gd", 0.05), ("adagrad", 0.15)), starts=1, tangents=0, steps=12,
                   values=None, ends=None, settings=None):
    """A file of descents on a bowl, as docs/file-format.md has it."""
    x, y = np.linspace(-2, 3, 41), np.linspace(-1, 1, 31)
    with h5py.File(path, "w") as file:
        file["xcoordinates"] = x
        grid = bowl(x) if variables == 1 else bowl(x[None, :], y[:, None])
        if variables == 2:
            file["ycoordinates"] = y
        file["value"] = grid if values is None else values(grid)
        own = file.create_group("lossatlas")
        own.attrs["format"], own.attrs["kind"] = 1, "descent"
        if variables == 1:
            own["derivative"] = x
        own.attrs["settings"] = json.dumps(settings or {
            "function": "", "expression": "0.5*x^2 + 5*y^2", "variables": ["x", "y"][:variables],
            "from": [[2.5, 0.8][:variables]] * starts, "steps": steps, "global": [{"point": [0, 0][:variables], "value": 0}]})
        number = 0
        for optimizer, rate in rules:
            for start in range(starts):
                position = walk([2.5 - start, 0.8][:variables], rate, steps)
                group = own.create_group(f"descents/{number}")
                group.attrs["optimizer"], group.attrs["rate"], group.attrs["ascend"] = optimizer, rate, 0
                group.attrs["end"] = (ends or ["steps"] * 99)[number]
                group.attrs["label"] = f"{optimizer}, rate {rate}"
                group["position"], group["value"] = position, bowl(*position.T)
                group["gradient"] = np.array([slope(p) for p in position])
                group["effective_rate"] = np.full(position.shape, rate)
                group["effective_rate"][-1] = np.nan
                number += 1
        for i in range(tangents):
            point = np.array([1.0 + i, 0.5][:variables])
            group = own.create_group(f"tangents/{i}")
            group["point"], group["gradient"] = point, slope(point)
            group.attrs["value"] = bowl(*point)
            if i == 0:
                group["direction"] = np.array([0.6, 0.8][:variables])
                group.attrs["directional_derivative"] = 0.5
    return str(path)


def bytes_of(plot, file, folder, *words):
    outs = [folder / f"f.{extension}" for extension in ("png", "pdf", "svg")]
    result = plot(file, "--dpi", 60, *words, *(word for out in outs for word in ("-o", out)))
    assert (result.status, result.err) == (0, "")
    return [out.read_bytes() for out in outs]


@pytest.mark.parametrize("variables, kind", [(v, kind) for v, kinds in KINDS.items() for kind in kinds])
def test_every_kind_in_every_format_with_the_same_bytes_twice(plot, tmp_path, variables, kind):
    file = write_descents(tmp_path / "d.h5", variables, tangents=2)
    first = bytes_of(plot, file, tmp_path, "--kind", kind)
    assert bytes_of(plot, file, tmp_path, "--kind", kind) == first
    for data, signature in zip(first, (b"\x89PNG", b"%PDF", b"<?xml")):
        assert data.startswith(signature)


@pytest.mark.parametrize("variables, words, kind", [
    (2, {}, "paths"), (1, {}, "panels"), (1, {"rules": [("gd", 0.1)], "starts": 3}, "paths"), (2, {"rules": []}, "paths")])
def test_the_usual_kind(plot, tmp_path, variables, words, kind):
    file = write_descents(tmp_path / "d.h5", variables, tangents=1, **words)
    assert plot(file, "--dpi", 50).out.strip().endswith(f"d_{kind}.png")


def test_words_of_a_picture(svg, tmp_path):
    file = write_descents(tmp_path / "d.h5", 2, tangents=1)
    text = svg(file)
    assert "2 optimizers on 0.5·x² + 5·y²" in text.replace("2 Optimizers", "2 optimizers")
    assert "gradient descent, rate 0.05: 12 steps, f = " in text and "AdaGrad, rate 0.15: 12 steps" in text
    assert "star: global minimum" in text and "arrow: the gradient" in text
    assert "multiples of direction" not in text
    assert len(re.findall('id="path"', text)) == 2 and len(re.findall('id="start"', text)) == 2


def test_paths_run_where_the_steps_were(tmp_path):
    from plotting import descents, reading, style

    class Options:
        log = vmin = vmax = levels = cmap = None

    style.apply()
    with reading.open_file(write_descents(tmp_path / "d.h5", 2, rules=[("gd", 0.05)])) as file:
        figure = descents.draw("paths", file, style.Head("t", "s"), Options)
    path, = [line for line in figure.axes[0].lines if line.get_gid() == "path"]
    np.testing.assert_allclose(np.column_stack(path.get_data()), walk([2.5, 0.8], 0.05, 12))


def test_tangent_of_a_curve_touches_it(tmp_path):
    from plotting import descents, reading, style

    class Options:
        log = vmin = vmax = None

    style.apply()
    with reading.open_file(write_descents(tmp_path / "d.h5", 1, rules=[], tangents=1)) as file:
        figure = descents.draw("paths", file, style.Head("t", "s"), Options)
    line, = [line for line in figure.axes[0].lines if line.get_gid() == "tangent"]
    x, z = line.get_data()
    assert (z[1] - z[0]) / (x[1] - x[0]) == pytest.approx(1.0)  # the slope of x²/2 at 1
    assert np.interp(1.0, x, z) == pytest.approx(0.5)


def test_optimizers_differ_in_grey_print(tmp_path):
    from plotting import descents, reading

    rules = [(name, 0.05) for name in ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")]
    with reading.open_file(write_descents(tmp_path / "d.h5", 2, rules=rules)) as file:
        looks = descents.looks_of(file.descents)
    assert len({marker for _, _, marker in looks}) == len({dashes for _, dashes, _ in looks}) == len(rules)


@pytest.mark.parametrize("style", ["slides", "dark"])
def test_styles(pixels, tmp_path, style):
    file = write_descents(tmp_path / "d.h5", 2)
    paper, other = pixels(file), pixels(file, "--style", style)
    assert (other[0, 0].mean() < 0.3) == (style == "dark")
    assert paper.shape != other.shape or style == "dark"


def test_descents_that_end_early_say_so(svg, tmp_path):
    file = write_descents(tmp_path / "d.h5", 2, ends=["diverged", "undefined"])
    text = svg(file)
    assert "diverged after 12 steps" in text and "left the function’s domain after 12 steps" in text
    file = write_descents(tmp_path / "e.h5", 1, rules=[("gd", 2.5)], steps=40, ends=["diverged"])
    assert "outside the range drawn" in svg(file)  # positions of 1e7 do not squeeze the curve
    assert "above the range drawn" in svg(file, "--kind", "steps")


def test_steps_that_diverge_up_to_overflow(plot, tmp_path):
    file = write_descents(tmp_path / "d.h5", 1, rules=[("gd", 3.0)], steps=500, ends=["diverged"])
    for kind in KINDS[1]:
        assert plot(file, "--kind", kind, "--dpi", 50, "-o", tmp_path / "f.png").err == ""


def test_points_where_the_function_is_not_finite(svg, tmp_path):
    def hole(grid):
        grid = grid.copy()
        grid[..., :5] = np.nan
        return grid

    assert "not defined or not finite at 5 of 41 points" in svg(write_descents(tmp_path / "a.h5", 1, values=hole))
    assert "155 points without a finite value (pink)" in svg(write_descents(tmp_path / "b.h5", 2, values=hole))


@pytest.mark.parametrize("variables, words, culprit", [
    (1, ["--kind", "surface"], "one of"), (1, ["--kind", "history"], "--kind paths"), (2, ["--kind", "contourf"], "--kind paths")])
def test_kinds_that_do_not_fit(plot, tmp_path, variables, words, culprit):
    result = plot(write_descents(tmp_path / "d.h5", variables), *words)
    assert result.status == 1 and (culprit in result.line() or "use --kind paths" in result.line())


@pytest.mark.parametrize("words, culprit", [
    (["--field", "train_loss"], "leave --field out"), (["-o", "a.gif"], "-o D.html"), (["--animate", "spin"], "-o D.html")])
def test_what_does_not_go_with_descents(plot, tmp_path, words, culprit):
    result = plot(write_descents(tmp_path / "d.h5"), *words)
    assert result.status == 1 and culprit in result.line()
    assert not (tmp_path / "a.gif").exists()


def test_one_file_at_a_time(plot, tmp_path):
    files = [write_descents(tmp_path / name) for name in ("a.h5", "b.h5")]
    for out in ("c.png", "c.html"):
        result = plot(*files, "-o", tmp_path / out)
        assert result.status == 1 and "descents" in result.line()


def test_files_that_are_broken(plot, tmp_path):
    path = tmp_path / "d.h5"
    file = write_descents(path)
    with h5py.File(path, "a") as handle:
        del handle["lossatlas/descents/0/position"]
    assert plot(file).status == 1 and "not a whole file of descents" in plot(file).line()
    file = write_descents(tmp_path / "e.h5", values=lambda grid: grid * np.nan)
    assert plot(file).status == 1 and "no finite value" in plot(file).line()
    file = write_descents(tmp_path / "f.h5", rules=[], tangents=1)
    for kind in ("steps", "rates", "panels"):
        assert "no descents" in plot(file, "--kind", kind).line()


def test_a_surface_has_no_paths(plot, tmp_path):
    from conftest import write_surface

    result = plot(write_surface(tmp_path / "s.h5"), "--kind", "paths")
    assert result.status == 1 and "leave --kind out" in result.line()
