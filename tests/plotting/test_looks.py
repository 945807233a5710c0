"""Styles, widths, captions, and colour maps."""

import re

import numpy as np
import pytest
from conftest import bowl, words_of, write_curve, write_fan, write_history, write_line, write_surface, write_trajectory
from matplotlib.text import Text

KINDS = {
    "contour": write_surface, "contourf": write_surface, "heat": write_surface, "surface": write_surface,
    "trajectory": write_trajectory, "line": write_line, "curve": write_curve, "history": write_history,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["slides", "dark"])
def test_styles_in_every_kind(svg, pixels, tmp_path, kind, style):
    file = KINDS[kind](tmp_path / "s.h5")
    words = ("--kind", kind, "--style", style)
    paper, drawn = (svg(file, *each, "--dpi", "60") for each in (words[:2], words))
    sizes = [min(float(s) for s in re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", text)) for text in (paper, drawn)]
    assert sizes[1] == pytest.approx(sizes[0] * (1.4 if style == "slides" else 1.0), rel=0.02)
    corner = pixels(file, *words)[0, 0]
    assert (corner.max() < 0.15) if style == "dark" else (corner == 1).all()


def test_nothing_of_a_dark_figure_is_written_in_dark(svg, tmp_path):
    for write in (write_surface, write_fan, write_trajectory):
        text = svg(write(tmp_path / "s.h5"), "--style", "dark")
        assert "#1a1a1a" not in text and "fill: #000000" not in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width, inches", [("column", 8.6 / 2.54), ("text", 17.8 / 2.54), ("12cm", 12 / 2.54),
                                           ("5in", 5.0), ("100mm", 100 / 25.4)])
def test_widths(pixels, tmp_path, kind, width, inches):
    file = KINDS[kind](tmp_path / "s.h5")
    image = pixels(file, "--kind", kind, "--width", width)
    assert abs(image.shape[1] - 60 * inches) <= 1
    assert 0.2 < image.shape[0] / image.shape[1] < 2.6


LONG_TICKS = (lambda x, y: 2 + 1e-9 * bowl(x, y), lambda x, y: 1e-10 * bowl(x, y), lambda x, y: -1e100 * bowl(x, y))


@pytest.mark.parametrize("kind, values", [*((kind, None) for kind in KINDS), *(
    (kind, values) for kind in ("contour", "heat", "surface") for values in LONG_TICKS)])
def test_no_text_leaves_the_page(tmp_path, kind, values):
    """At every width and in every style: what is written stays within the figure."""
    from lossatlas.plotting import command, figures, reading, style

    path = KINDS[kind](tmp_path / "s.h5", *([] if values is None else [values]))
    for words in ([], ["--width", "column"], ["--width", "7cm"], ["--width", "text", "--style", "slides"], ["--size", "5x5"]):
        options = command.parse([path, "--kind", kind, "--dpi", "60", *words])
        style.apply(options.style)
        with reading.open_file(path) as file:
            figure = figures.figure_of([file], options)[1]
        figure.draw_without_rendering()
        page = figure.bbox
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        for text in texts:
            if text.axes is not None and not text.axes.get_visible():
                continue
            box = text.get_window_extent()
            if box.width == 0 or (text.axes is not None and text in
                                  [*text.axes.get_xticklabels(minor=True), *text.axes.get_yticklabels(minor=True)]):
                continue
            assert box.x0 > -3 and box.y0 > -3 and box.x1 < page.x1 + 3 and box.y1 < page.y1 + 3, (
                words, text.get_text(), box.extents, page.extents)


def test_without_caption_the_words_are_printed_and_kept(plot, tmp_path):
    file, out = write_surface(tmp_path / "s.h5"), tmp_path / "s.svg"
    result = plot(file, "--no-caption", "--vmax", "2", "-o", out)
    assert result.status == 0
    said = "Training loss of resnet18 on cifar10. 1000 training images"
    assert result.line().startswith(f"plot: caption: {said}") and "cut at 2:" in result.line()
    drawn = words_of(out.read_text())
    assert "Training loss of" not in drawn and "cut at" not in drawn
    assert said in out.read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_partial_is_said_even_without_caption(plot, tmp_path):
    mask = np.ones((9, 9))
    mask[1::2] = mask[:, 1::2] = 0
    out = tmp_path / "s.svg"
    assert plot(write_surface(tmp_path / "s.h5", evaluated=mask), "--no-caption", "-o", out).status == 0
    assert "PARTIAL: 25 of 81 points evaluated" in words_of(out.read_text())


def test_the_caption_is_in_every_format(plot, tmp_path):
    from PIL import Image

    outs = [tmp_path / f"s.{kind}" for kind in ("png", "pdf", "svg")]
    assert plot(write_surface(tmp_path / "s.h5"), "--dpi", "40", *(w for out in outs for w in ("-o", out))).status == 0
    with Image.open(outs[0]) as image:
        assert image.info["Description"].startswith("Training loss of resnet18 on cifar10. 1000 training images")
    assert b"/Subject" in outs[1].read_bytes()
    assert "<dc:description>Training loss of resnet18" in outs[2].read_text()


@pytest.mark.parametrize("name, noted", [("jet", True), ("hot_r", True), ("magma", False), ("viridis_r", False)])
@pytest.mark.parametrize("kind", ["contourf", "surface"])
def test_uneven_colour_maps_are_noted(svg, tmp_path, name, noted, kind):
    words = words_of(svg(write_surface(tmp_path / "s.h5"), "--cmap", name, "--kind", kind, "--dpi", "60"))
    assert ("equal steps of the value do not look equal" in words) == noted


def test_series_differ_in_grey_print():
    """Colours that look alike in grey have other markers and dashes."""
    from lossatlas.plotting import style

    for theme in style.THEMES:
        style.apply(theme)
        looks = [style.series(number) for number in range(6)]
        assert len({look["marker"] for look in looks}) == len({look["color"] for look in looks}) == 6
        assert len({look["dashes"] for look in looks}) == 6
    style.apply()


@pytest.mark.parametrize("theme", ["paper", "dark"])
@pytest.mark.parametrize("name", ["viridis", "magma", "cividis", "gray"])
def test_lines_are_seen_on_their_paper(theme, name):
    from matplotlib.colors import to_rgb
    from lossatlas.plotting import style

    style.apply(theme)
    ramp = style.for_lines(style.color_map(name))(np.linspace(0, 1, 50))[:, :3]
    paper = style.luminance(to_rgb(style.PAPER))
    style.apply()
    low, high = np.sort([style.luminance(ramp), np.full(50, paper)], axis=0)
    assert ((high + 0.05) / (low + 0.05)).min() >= 3.0


def test_words_are_broken_behind_hyphens():
    from lossatlas.plotting import style

    assert style.wrapped("resnet56-noshort", style.text_width("resnet56-nosh", 8), 8) == ["resnet56-", "noshort"]


@pytest.mark.parametrize("write", [write_curve, write_fan, write_history])
def test_value_labels_of_neighbouring_panels_do_not_meet(tmp_path, write):
    from lossatlas.plotting import command, figures, reading, style

    options = command.parse([write(tmp_path / "s.h5"), "--style", "slides", "--width", "column"])
    style.apply("slides")
    with reading.open_file(options.file) as file:
        figure = figures.figure_of([file], options)[1]
    style.apply()
    figure.draw_without_rendering()
    boxes = sorted((axes.yaxis.label.get_window_extent() for axes in figure.axes), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 for lower, upper in zip(boxes, boxes[1:]))
