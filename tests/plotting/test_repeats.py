"""Surfaces of several draws of directions: their mean, one of them, all side by side."""

import h5py
import numpy as np
import pytest
from conftest import words_of, write_repeats, write_surface
from lossatlas.plotting import reading


def test_the_mean_is_drawn_and_named(svg, tmp_path):
    assert "mean of 3 draws" in words_of(svg(write_repeats(tmp_path / "s.h5")))


def test_the_spread_is_of_the_draws_and_no_mean(svg, tmp_path):
    text = words_of(svg(write_repeats(tmp_path / "s.h5"), "--field", "train_loss_spread"))
    assert "standard deviation of training loss over 3 draws (mean cross-entropy)" in text
    assert "mean of 3 draws" not in text


@pytest.mark.parametrize("option", ["--draw", "--repeat-index"])
def test_one_draw(svg, tmp_path, option):
    assert "draw 2 of 3" in words_of(svg(write_repeats(tmp_path / "s.h5"), option, "2"))


def test_values_are_those_of_the_draw(tmp_path):
    path = write_repeats(tmp_path / "s.h5")
    with h5py.File(path) as raw:
        third = raw["lossatlas/repeats/train_loss"][2]
    with reading.open_file(path) as file:
        assert file.draws == 3 and file.progress() == (243, 243)
        file.choose_draw(3)
        assert np.array_equal(file.field("train_loss").values, third)
        assert file.names == ["train_loss"]


@pytest.mark.parametrize("draws, rows", [(2, 1), (3, 2), (5, 2)])
def test_all_draws_side_by_side_on_one_scale(svg, tmp_path, draws, rows):
    text = words_of(svg(write_repeats(tmp_path / "s.h5", draws), "--kind", "repeats"))
    for number in range(1, draws + 1):
        assert f"draw {number} " in text
    assert "one scale for all panels" in text and "PARTIAL" not in text
    assert text.count("multiples of direction 1") == 1


def test_many_draws_are_cut_to_the_first(svg, tmp_path):
    text = words_of(svg(write_repeats(tmp_path / "s.h5", 37, 3), "--kind", "repeats"))
    assert "the first 36 of 37 draws are shown" in text and "draw 36 " in text and "draw 37 " not in text


def test_draws_that_are_not_done(svg, plot, tmp_path):
    mask = np.ones((3, 9, 9))
    mask[1, 1::2], mask[1, :, 1::2], mask[2] = 0, 0, 0
    values = np.full((3, 9, 9), 2.0) + np.arange(9)
    values[0, 4, 4] = np.inf
    file = write_repeats(tmp_path / "s.h5", 3, 9, mask, values)
    text = words_of(svg(file, "--kind", "repeats"))
    assert "PARTIAL: 106 of 243 points evaluated" in text
    assert "draw 2 · 25 of 81 points" in text and "draw 3 · 0 of 81 points" in text
    assert "56 points not evaluated: interpolated between the dots" in text
    assert "1 point evaluated but not finite (pink, hatched)" in text
    assert "holds no evaluated point" in plot(file).line()  # of the mean


@pytest.mark.parametrize("words, status, line", [
    (["--draw", "4"], 1, "no draw 4 in "),
    (["--kind", "repeats", "--draw", "1"], 2, "leave one of them out"),
    (["--kind", "repeats", "--size", "2x1.6"], 2, "leave no room for"),
    (["--kind", "repeats", "--field", "l2"], 1, "no value 'l2'"),
])
def test_wrong_words(plot, tmp_path, words, status, line):
    result = plot(write_repeats(tmp_path / "s.h5"), *words)
    assert result.status == status and line in result.line()


@pytest.mark.parametrize("words", [["--draw", "1"], ["--kind", "repeats"]])
def test_a_file_of_one_draw(plot, tmp_path, words):
    result = plot(write_surface(tmp_path / "s.h5"), *words)
    assert result.status == 1 and "holds only one draw of directions (made without --repeat)" in result.line()
