"""Surfaces of several files in one figure."""

import numpy as np
import pytest
from conftest import SETTINGS, words_of, write_surface, write_trajectory
from test_figures import PLANES


def two(tmp_path, **more):
    return (write_surface(tmp_path / "a.h5", settings={**SETTINGS, "arch": "resnet56"}, **more),
            write_surface(tmp_path / "b.h5", lambda x, y: 40 + 90 * x**2 + y, 5, 7,
                          settings={**SETTINGS, "arch": "resnet56-noshort", "seed": 8}))


@pytest.mark.parametrize("kind", PLANES)
def test_names_common_facts_and_what_differs(svg, tmp_path, kind):
    words = words_of(svg(*two(tmp_path), "--kind", kind, "--dpi", "60"))
    for said in ("Training loss on cifar10", "1000 training images · filter-normalized directions",
                 "resnet56 ", "seed 7 · 9 × 9 points", "resnet56-noshort", "seed 8 · 5 × 7 points",
                 "one scale for all panels"):
        assert said in words + " ", said
    assert words.count("1000 training images") == 1


def test_one_scale(tmp_path):
    from contextlib import ExitStack

    from lossatlas.plotting import command, figures, reading, style

    options = command.parse([*two(tmp_path), "--kind", "heat"])
    style.apply()
    with ExitStack() as stack:
        files = [stack.enter_context(reading.open_file(path)) for path in options.files]
        figure = figures.figure_of(files, options)[1]
    limits = [c.get_clim() for axes in figure.axes for c in axes.collections if c.get_array() is not None]
    assert len(limits) >= 2 and len(set(limits)) == 1
    assert limits[0] == pytest.approx((np.log10(0.5), np.log10(131)))


def test_options_may_stand_between_files(svg, plot, tmp_path):
    a, b = two(tmp_path)
    result = plot(a, "--kind", "heat", b, "--dpi", "40", "-o", tmp_path / "x.png")
    assert (result.status, result.err) == (0, "")
    assert plot(a, b, "--dpi", "40").out == f"{tmp_path}/a_b_contourf.png\n"


def test_files_without_settings_are_told_apart_by_their_names(svg, tmp_path):
    words = words_of(svg(*(write_surface(tmp_path / f"{n}.h5", ours=False) for n in ("one", "two"))))
    assert "one" in words and "two" in words


def test_a_partial_one_is_named(svg, tmp_path):
    mask = np.ones((9, 9))
    mask[1::2] = 0
    mask[:, 1::2] = 0
    words = words_of(svg(*two(tmp_path, evaluated=mask)))
    assert "PARTIAL: not all points of resnet56 are evaluated" in words


@pytest.mark.parametrize("words, status, line", [
    (["--kind", "repeats"], 1, "only one draw of directions"),
    (["--kind", "trajectory"], 1, "holds no trajectory"),
    (["--names", "one"], 2, "--names gives 1 names for 2 files"),
    (["--watch"], 2, "--watch follows one file"),
    (["--field", "l2"], 1, "no value 'l2'"),
    (["--width", "1.2in"], 2, "leave no room"),
    (["--kind", "surface", "--width", "1.2in"], 2, "leave no room"),
])
def test_wrong_words(plot, tmp_path, words, status, line):
    result = plot(*two(tmp_path), *words)
    assert result.status == status and line in result.line()


def test_a_file_that_cannot_be_read_among_them(plot, tmp_path):
    result = plot(two(tmp_path)[0], tmp_path / "none.h5")
    assert result.status == 1 and "none.h5 does not exist" in result.line()


@pytest.mark.parametrize("kind", PLANES)
def test_planes_of_different_axes_and_trajectories(svg, tmp_path, kind):
    words = words_of(svg(two(tmp_path)[0], write_trajectory(tmp_path / "t.h5"), "--kind", kind, "--dpi", "60"))
    assert "first principal component" in words and "multiples of direction 1" in words


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    from lossatlas.plotting import command, heads, reading, wording

    assert wording.tell_apart(["/a/epoch-0004", "/b/epoch-0008"]) == ["epoch-0004", "epoch-0008"]
    assert wording.tell_apart(["/x/sgd/c/4", "/x/adam/c/4", "/x/adam/c/8"]) == ["sgd/c/4", "adam/c/4", "8"]
    assert wording.tell_apart(["/x/4", "/x/4"]) == ["4", "4"]
    paths = [tmp_path / run / "epoch-0004.h5" for run in ("sgd", "adam")]
    for path in paths:
        path.parent.mkdir()
        write_surface(path)
    options = command.parse(list(map(str, paths)))
    assert heads.file_names([reading.open_file(path) for path in options.files], options) == ["sgd/epoch-0004", "adam/epoch-0004"]


def sheets(paths, *words):
    """The widths of the sheets' images of a figure in 3D, in inches, and their texts' boxes that are turned."""
    from contextlib import ExitStack

    from lossatlas.plotting import command, figures, reading, style

    options = command.parse([*paths, "--kind", "surface", *words])
    style.apply(options.style)
    with ExitStack() as stack:
        figure = figures.figure_of([stack.enter_context(reading.open_file(path)) for path in options.files], options)[1]
    style.apply()
    figure.draw_without_rendering()
    return [np.ptp(image.get_extent()[:2]) for axes in figure.axes for image in axes.images]


@pytest.mark.parametrize("words, least", [(["--width", "column"], 1.0), (["--width", "12cm"], 1.0), (["--width", "6cm"], 0.6),
                                          (["--width", "column", "--style", "slides"], 0.8), (["--size", "5x5"], 0.8)])
def test_sheets_keep_their_size_on_narrow_pages(tmp_path, words, least):
    paths = two(tmp_path)
    for files in (paths, paths + paths[:1], [write_trajectory(tmp_path / "t.h5", 2)]):
        assert min(sheets(files, *words, "--dpi", "40")) > least


@pytest.mark.parametrize("kind", ["contourf", "surface"])
def test_notes_are_said_of_each_file(svg, tmp_path, kind):
    more = {"lossatlas/train_loss_error": np.full((9, 9), 0.01)}
    mask = np.ones((9, 9))
    mask[1::2] = 2
    a = write_surface(tmp_path / "a.h5", evaluated=mask, more=more)
    b = write_surface(tmp_path / "b.h5", lambda x, y: 10 + x, evaluated=mask, more=more)
    words = words_of(svg(a, b, "--kind", kind, "--dpi", "60", "--names", "A,B"))
    for name, share in (("A", "1.8"), ("B", "0.11")):  # 0.01 / (0.5 + 0.25²) and 0.01 / 9
        assert f"{name}: 45 of 81 points evaluated in full, the rest reconstructed; largest stated error {share} % of the loss" in words
    words = words_of(svg(write_trajectory(tmp_path / "t.h5"), write_trajectory(tmp_path / "u.h5", 2), "--kind", kind,
                         "--dpi", "60", "--names", "one,two"))
    assert "one: checkpoints lie up to" in words and "two: run 0 (SGD): checkpoints lie up to" in words
    assert "one: training loss of plane and checkpoint differ by up to" in words
