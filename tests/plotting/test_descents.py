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
                   values=None, ends=None, settings=None, ascend=0, at=(1.0, 0.5)):
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
                group.attrs["optimizer"], group.attrs["rate"], group.attrs["ascend"] = optimizer, rate, ascend
                group.attrs["end"] = (ends or ["steps"] * 99)[number]
                group.attrs["label"] = f"{optimizer}, rate {rate}"
                group["position"], group["value"] = position, bowl(*position.T)
                group["gradient"] = np.array([slope(p) for p in position])
                group["effective_rate"] = np.full(position.shape, rate)
                group["effective_rate"][-1] = np.nan
                number += 1
        for i in range(tangents):
            point = np.array([at[0] + i, at[1]][:variables])
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


def figure_of(file, kind="paths", size=None, elev=None):
    from lossatlas.plotting import reading, style
    from lossatlas.plotting.descents import figures
    from lossatlas.plotting.options import Look, Options

    style.apply()
    with reading.open_file(file) as opened:
        return figures.draw_file(kind, [opened], Options((file,), size=size, look=Look(dpi=60, elev=elev)))


def lines_of(axes, gid):
    return [line for line in axes.lines if line.get_gid() == gid]


def test_paths_run_where_the_steps_were(tmp_path):
    path, = lines_of(figure_of(write_descents(tmp_path / "d.h5", 2, rules=[("gd", 0.05)])).axes[0], "path")
    np.testing.assert_allclose(np.column_stack(path.get_data()), walk([2.5, 0.8], 0.05, 12))


def test_tangent_of_a_curve_touches_it(tmp_path):
    line, = lines_of(figure_of(write_descents(tmp_path / "d.h5", 1, rules=[], tangents=1)).axes[0], "tangent")
    x, z = line.get_data()
    assert (z[1] - z[0]) / (x[1] - x[0]) == pytest.approx(1.0)  # the slope of x²/2 at 1
    assert np.interp(1.0, x, z) == pytest.approx(0.5)


@pytest.mark.parametrize("sign, word", [(1, "minimum"), (-1, "maximum")])
@pytest.mark.parametrize("ascend", [0, 1])
def test_a_star_is_called_what_it_marks_whatever_the_optimizer_seeks(svg, tmp_path, sign, word, ascend):
    file = write_descents(tmp_path / "d.h5", 2, ascend=ascend, values=lambda grid: sign * grid)
    assert f"star: global {word}" in svg(file)


@pytest.mark.parametrize("at", [(1.0, 0.5), (1.0, 0.93), (2.9, 0.5), (-1.95, -0.97)])
def test_arrows_end_inside_the_frame(tmp_path, at):
    axes = figure_of(write_descents(tmp_path / "d.h5", 2, tangents=1, at=at)).axes[0]
    gradient, direction = (text.xy - np.array(at) for text in axes.texts if text.arrow_patch is not None)
    for vector, along in ((gradient, slope(np.array(at))), (direction, np.array([0.6, 0.8]))):
        assert np.hypot(*vector) > 0.005 and vector @ along == pytest.approx(np.hypot(*vector) * np.hypot(*along))
        assert -2 < at[0] + vector[0] < 3 and -1 < at[1] + vector[1] < 1


@pytest.mark.parametrize("kind", ["paths", "surface"])
def test_a_gradient_that_is_rounding_has_no_arrow(tmp_path, kind):
    def arrows(at):
        file = write_descents(tmp_path / "d.h5", 2, rules=[], tangents=1, at=at)
        return sum(getattr(text, "arrow_patch", None) is not None for text in figure_of(file, kind).axes[0].texts)

    assert arrows((1.0, 0.5)) == 2 and arrows((1e-9, 0.0)) == 1  # the direction's


@pytest.mark.parametrize("variables, kind, title", [
    (1, "paths", "Tangents of"), (2, "paths", "Gradients of"), (2, "surface", "Gradients and tangent planes of")])
def test_titles_of_tangents_name_what_is_drawn(tmp_path, variables, kind, title):
    figure = figure_of(write_descents(tmp_path / "d.h5", variables, rules=[], tangents=2), kind)
    assert figure.texts[0].get_text().startswith(title)


def test_the_surface_says_and_marks_what_the_contours_do(svg, tmp_path):
    text = svg(write_descents(tmp_path / "d.h5", 2), "--kind", "surface")
    assert "ring: start; large marker: where it ended" in text and "star: global minimum" in text
    assert text.count('id="extremum"') == 1


def test_paths_on_the_surface_have_the_dashes_of_the_legend(tmp_path):
    axes = figure_of(write_descents(tmp_path / "d.h5", 2, rules=[("gd", 0.05), ("adagrad", 0.15)]), "surface").axes[0]
    colors = {line.get_color() for line in axes.lines if line.is_dashed() and line.get_zorder() == 13}
    assert len(colors) == 1


def test_an_end_that_the_sheet_hides_stands_on_the_floor_and_faint_below_the_others(tmp_path):
    def ends(values, elev=None):
        file = write_descents(tmp_path / "d.h5", 2, rules=[("gd", 0.05)], values=values)
        axes = figure_of(file, "surface", elev=elev).axes[0]
        large = [line for line in axes.lines if line.get_marker() == "o" and line.get_markersize() == 6
                 and line.get_markerfacecolor() != "none"]
        return sorted((line.get_zorder(), line.get_alpha()) for line in large)

    def behind_a_wall(grid):
        x, y = np.linspace(-2, 3, 41), np.linspace(-1, 1, 31)[:, None]
        return grid + 100 * np.exp(-((np.hypot((x - 2.5 * 0.95**12) / 2.5, y) - 0.35) ** 2) / 0.01)

    assert ends(None) == [(15, 1.0)]
    assert ends(behind_a_wall, 30) == [(3.5, 1.0), (12, 0.4)]


@pytest.mark.parametrize("variables", [1, 2])
def test_ends_at_one_place_are_all_seen(tmp_path, variables):
    rules = [("gd", 0.1), ("adagrad", 0.1), ("adam", 0.02)]  # the last ends elsewhere
    sizes = [line.get_markersize() for line in
             lines_of(figure_of(write_descents(tmp_path / "d.h5", variables, rules=rules)).axes[0], "end")]
    assert sizes[0] > sizes[1] + 3 and sizes[1] == sizes[2]


def test_no_slope_covers_a_number(tmp_path):
    figure = figure_of(write_descents(tmp_path / "d.h5", 1, rules=[("gd", 0.1)], tangents=2, at=(1.6, 0)))
    texts = figure.axes[0].texts
    slopes = [text for text in texts if text.get_text().startswith("slope")]
    numbers = [text for text in texts if text.get_text().isdigit()]
    assert len(slopes) == 2 and len(numbers) > 3
    assert not [1 for a in slopes for b in numbers if a.get_window_extent().overlaps(b.get_window_extent())]


def boxes_of(figure):
    """The boxes in pixels of titles, tick labels and what stands above them, that hold text."""
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [axes._left_title, *axes.get_xticklabels(), *axes.get_yticklabels()]
    return [(text, text.get_window_extent(renderer)) for text in texts if text.get_visible() and text.get_text()]


RULES = [(name, 0.0005) for name in ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "sgd")]


@pytest.mark.parametrize("variables", [1, 2])
@pytest.mark.parametrize("size", [None, (3.39, None), (7.0, None), (7.0, 12.0)])
def test_no_words_of_panels_overlap(tmp_path, variables, size):
    file = write_descents(tmp_path / "d.h5", variables, rules=RULES, ends=["diverged"] * 7)
    figure = figure_of(file, "panels", size)
    boxes = [(text, box) for text, box in boxes_of(figure) if box.width > 1]
    assert len(boxes) > 20
    for i, (text, box) in enumerate(boxes):
        assert box.x0 > 0 and box.x1 < figure.bbox.width and box.y0 > 0 and box.y1 < figure.bbox.height, text
        assert not [other for other, there in boxes[:i] if box.padded(-1).overlaps(there.padded(-1))], text


def test_tick_labels_of_panels_stand_at_their_ticks(tmp_path):
    for axes in figure_of(write_descents(tmp_path / "d.h5", 2), "panels").axes[:2]:
        assert {label.get_horizontalalignment() for label in axes.get_xticklabels()} == {"center"}


def test_labels_of_steps_have_a_plate(tmp_path):
    axes = figure_of(write_descents(tmp_path / "d.h5", 1, rules=[("gd", 0.3)], tangents=1)).axes[0]
    assert axes.texts and all(text.get_bbox_patch() is not None for text in axes.texts)


def test_steps_of_a_divergence_are_drawn_up_to_where_it_leaves(svg, tmp_path):
    file = write_descents(tmp_path / "d.h5", 1, rules=[("gd", 2.5)], steps=300, ends=["diverged"])
    text = svg(file, "--kind", "steps")
    x = walk([2.5], 2.5, 300)[:, 0]
    above, below = (x > x[:6].max()).sum(), (x < x[:6].min()).sum()
    assert above > 100 and below > 100
    assert f"values of x beyond the range drawn: {above} above and {below} below" in text
    for axes in figure_of(file, "steps").axes:
        path, = lines_of(axes, "path")
        assert len(path.get_xdata()) == 7 and axes.get_xlim()[1] < 7


def test_where_a_divergence_went_is_said(svg, tmp_path):
    text = svg(write_descents(tmp_path / "d.h5", 1, rules=[("gd", 3.0)], steps=3, ends=["diverged"]))
    assert "3 steps outside the range drawn: first x = −5, farthest x = −20" in text
    assert "step 1: x = −5" in text  # where the path leaves the frame
    file = write_descents(tmp_path / "e.h5", 2, rules=[], tangents=1, at=(9.0, 0.0))
    assert "1 tangent outside the range drawn" in svg(file)


def test_optimizers_differ_in_grey_print(tmp_path):
    from lossatlas.plotting import reading
    from lossatlas.plotting.descents.looks import looks_of

    rules = [(name, 0.05) for name in ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")]
    with reading.open_file(write_descents(tmp_path / "d.h5", 2, rules=rules)) as file:
        looks = looks_of(file.descents)
    assert len({marker for _, _, marker in looks}) == len({dashes for _, dashes, _ in looks}) == len(rules)


def test_no_two_of_many_optimizers_look_alike(tmp_path):
    from lossatlas.plotting import reading
    from lossatlas.plotting.descents.looks import looks_of

    with reading.open_file(write_descents(tmp_path / "d.h5", 2, rules=[("gd", 0.01 + 0.001 * n) for n in range(24)])) as file:
        looks = looks_of(file.descents)
    assert len({(color, dashes) for color, dashes, _ in looks}) == len({(color, marker) for color, _, marker in looks}) == 24


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
    assert "interrupted after 12 steps" in svg(write_descents(tmp_path / "f.h5", 2, ends=["interrupted", "steps"]))
    file = write_descents(tmp_path / "e.h5", 1, rules=[("gd", 2.5)], steps=40, ends=["diverged"])
    assert "outside the range drawn" in svg(file)  # positions of 1e7 do not squeeze the curve
    assert "beyond the range drawn: " in svg(file, "--kind", "steps")


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
    assert "155 points without a finite value (pink, hatched)" in svg(write_descents(tmp_path / "b.h5", 2, values=hole))


@pytest.mark.parametrize("variables, words, culprit", [
    (1, ["--kind", "surface"], "one of"), (1, ["--kind", "history"], "--kind paths"), (2, ["--kind", "contourf"], "--kind paths")])
def test_kinds_that_do_not_fit(plot, tmp_path, variables, words, culprit):
    result = plot(write_descents(tmp_path / "d.h5", variables), *words)
    assert result.status == 1 and (culprit in result.line() or "use --kind paths" in result.line())


def test_what_does_not_go_with_descents(plot, tmp_path):
    result = plot(write_descents(tmp_path / "d.h5"), "--field", "train_loss")
    assert result.status == 1 and "leave --field out" in result.line()
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
