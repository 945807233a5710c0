"""What stands in titles, names and files is drawn as it is: no mathematics, no boxes without a word."""

import os

import h5py
import numpy as np
import pytest
from conftest import words_of, write_line, write_surface

from lossatlas.plotting import style


@pytest.mark.full
@pytest.mark.parametrize("kind", ["contourf", "surface"])
def test_dollars_are_dollars(plot, tmp_path, kind):
    file = write_surface(tmp_path / "s.h5", settings={"arch": "$x^2$ net", "split": "train"})
    out = tmp_path / "o.svg"
    for title in ("from $5 to $7", r"$\alpha$ and $"):
        plot(file, "--kind", kind, "--title", title, "-o", out)
        assert title in words_of(out.read_text())
    plot(file, "--kind", kind, "-o", out)
    assert "$x^2$ net" in words_of(out.read_text())


def test_dollars_in_the_names_of_lines(plot, tmp_path):
    files = [write_line(tmp_path / f"{name}.h5") for name in "ab"]
    plot(*files, "--names", "$a$,$b_1$", "-o", tmp_path / "o.svg")
    assert "$a$" in words_of((tmp_path / "o.svg").read_text()) and "$b_1$" in words_of((tmp_path / "o.svg").read_text())


def test_tabs_and_control_characters(plot, tmp_path):
    result = plot(write_surface(tmp_path / "s.h5"), "--title", "a\tb\x1b[31mc\x9bd", "-o", tmp_path / "o.svg")
    assert "a b?[31mc?d" in words_of((tmp_path / "o.svg").read_text()) and result.err == ""


def test_characters_without_a_font_are_named_once(plot, tmp_path):
    outs = [tmp_path / "o.png", tmp_path / "o.svg"]
    result = plot(write_surface(tmp_path / "s.h5"), "--title", "\U0001033a \U00010330 é", "-o", outs[0], "-o", outs[1])
    assert result.err.count("\n") == 1 and "U+10330), \U0001033a (U+1033A): boxes" in result.err
    again = plot(write_surface(tmp_path / "t.h5"), "-o", outs[0])
    assert again.err == ""  # of another drawing


def test_an_installed_font_is_found(plot, tmp_path, monkeypatch):
    """A font of one glyph, U+10330, as wide as it is high."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    pen = TTGlyphPen(None)
    for n, point in enumerate([(0, 0), (0, 1000), (1000, 1000), (1000, 0)]):
        (pen.lineTo if n else pen.moveTo)(point)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "ahsa"])
    font.setupCharacterMap({0x10330: "ahsa"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "ahsa": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "ahsa": (1000, 0)})
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({"familyName": "Lossatlas Test", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "test.ttf")
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    fontManager.addfont(os.fspath(tmp_path / "test.ttf"))
    for cached in (style._installed, style._characters, style.text_width):
        cached.cache_clear()
    result = plot(write_surface(tmp_path / "s.h5"), "--title", "\U00010330" * 4, "-o", tmp_path / "o.svg")
    assert result.err == "" and "Lossatlas Test" in (tmp_path / "o.svg").read_text()
    for cached in (style._installed, style._characters, style.text_width):
        cached.cache_clear()


def test_messages_hold_no_control_characters(plot, tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["\x1b]0;owned\x07"] = np.arange(3.0)
    result = plot(tmp_path / "s.h5")
    assert result.status == 1 and "?]0;owned?" in result.err and "\x1b" not in result.err


# --- outputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_a_file_is_not_drawn_over_itself(plot, tmp_path, link):
    write_surface(tmp_path / "in.png")
    out = tmp_path / "in.png"
    if link:
        out = tmp_path / "other.png"
        link(tmp_path / "in.png", out)
    before = (tmp_path / "in.png").read_bytes()
    result = plot(tmp_path / "in.png", "-o", tmp_path / "first.svg", "-o", out)
    assert result.status == 2 and str(out) in result.line()
    assert (tmp_path / "in.png").read_bytes() == before and not (tmp_path / "first.svg").exists()


@pytest.mark.parametrize("make, what", [(os.mkfifo, "no regular file"), (os.mkdir, "a folder")])
def test_outputs_that_are_no_files(plot, tmp_path, make, what):
    make(tmp_path / "out.png")
    result = plot(write_surface(tmp_path / "s.h5"), "-o", tmp_path / "first.svg", "-o", tmp_path / "out.png")
    assert result.status == 1 and result.line().endswith(f"out.png: it is {what}")
    assert not (tmp_path / "first.svg").exists()
