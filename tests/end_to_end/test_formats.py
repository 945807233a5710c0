"""Files of format 1 (tests/files/format-1, made by the last program that wrote it) are read, resumed or refused."""

import json
import pathlib
import shutil

import h5py
import helpers
import numpy as np
import pytest

FILES = pathlib.Path(__file__).parents[1] / "files" / "format-1"
KINDS = {"surface": "surface", "repeats": "surface", "fan": "line", "line": "line", "line-to": "line", "levels": "surface",
         "curve": "curve", "trajectory": "surface", "points": "surface"}
SAME = "--threads", 1, "--instruction-set", "portable", "--progress", "none"


def numbers(group):
    """Every dataset of numbers under a group, by its path."""
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from ((f"{name}/{below}", value) for below, value in numbers(item))
        elif item.dtype.kind in "fiu":
            yield name, item[()]


def values_of(path):
    with h5py.File(path) as file:
        return dict(numbers(file))


@pytest.fixture
def old(tmp_path):
    """A copy of the files, since resuming writes into them."""
    return pathlib.Path(shutil.copytree(FILES, tmp_path / "old"))


@pytest.mark.parametrize("name", KINDS)
def test_info_reads_each_kind(lossatlas, name):
    described = json.loads(lossatlas("info", "--json", FILES / f"{name}.h5").ok().out)
    assert described["kind"] == KINDS[name]
    with h5py.File(FILES / f"{name}.h5") as file:
        assert file["lossatlas"].attrs["format"] == 1
        before = json.loads(file["lossatlas"].attrs["settings"])
        split = "test" if name == "line" else "train"
        losses = file[f"lossatlas/repeats/{split}_loss" if name == "repeats" else f"{split}_loss"][()]
        assert described["evaluated"] + described.get("reconstructed", 0) == described["points"]
        if "loss" in described:
            assert described["loss"] == [losses.min(), losses.max()]
        else:
            assert described["values"][f"{split}_loss"] == [losses.min(), losses.max()]
    now = described["settings"]
    assert [axis["points"] for axis in now["axes"]] == before["grid"][:len(now["axes"])]
    assert [now["axes"][0]["low"], now["axes"][0]["high"]] == before["x"]
    assert now["measures"][:2] == [f"{split}_loss", f"{split}_acc"]
    for key in before.keys() - {"grid", "x", "y", "more", "kind"}:
        assert now[key] == before[key], key


def test_diff_with_a_file_of_now(lossatlas, old):
    lossatlas("surface", "--checkpoint", "a.pt", "--data", "synthetic:40", *SAME, "--grid", "3x3", "--top5", "--l2", 0.001,
              "--split", "both", "--out", "now.h5", cwd=old).ok()
    found = json.loads(lossatlas("info", "--json", "--diff", old / "surface.h5", old / "now.h5").ok().out)
    assert found["settings"] == [] and found["common"] == 9
    assert found["loss"]["finite_in_one"] == 0
    before, now = values_of(old / "surface.h5"), values_of(old / "now.h5")
    assert before.keys() == now.keys()
    for name, value in before.items():
        np.testing.assert_allclose(now[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.full
@pytest.mark.parametrize("left", ["both", "file", "journal"])
def test_an_unfinished_surface_goes_on_from_its_file_and_from_its_journal(lossatlas, old, left):
    words = ("surface", "--checkpoint", "a.pt", "--data", "synthetic:400", *SAME, "--grid", "5x5", "--split", "both", "--top5",
             "--samples", 200)
    before = values_of(old / "unfinished.h5")
    in_file = before["lossatlas/evaluated"] == 1
    journal = helpers.journal_of(old / "unfinished.h5")
    in_journal = (journal.stat().st_size - helpers.head_size(journal)) // (8 + 12 * 8 + 4)  # all points, of twelve numbers
    assert 0 < in_file.sum() < in_journal < 25
    if left == "file":
        journal.unlink()
    if left == "journal":
        (old / "unfinished.h5").unlink()
    result = lossatlas(*words, "--resume", "--force", "--out", "unfinished.h5", cwd=old).ok()
    assert f"resuming: {in_file.sum() if left == 'file' else in_journal} of 25 points are there" in result.err
    after = values_of(old / "unfinished.h5")
    assert (after["lossatlas/evaluated"] == 1).all()
    for name in ("train_loss", "train_acc", "test_loss", "lossatlas/test_acc_se", "lossatlas/train_acc_top5"):
        assert after[name][in_file].tobytes() == before[name][in_file].tobytes(), name
    lossatlas(*words, "--out", "whole.h5", cwd=old).ok()
    whole = values_of(old / "whole.h5")
    for name in whole:  # to rounding: another LibTorch or processor may compute the rest
        np.testing.assert_allclose(after[name], whole[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert helpers.attribute(old / "unfinished.h5", "settings") == helpers.attribute(old / "whole.h5", "settings")
    with h5py.File(old / "unfinished.h5") as file:
        assert file["lossatlas"].attrs["format"] == 2


@pytest.mark.parametrize("words", [
    ("surface", "--checkpoint", "a.pt", "--grid", "3x3", "--repeat", 2, "--out", "repeats.h5"),
    ("line", "--checkpoint", "a.pt", "--points", 3, "--lines", 2, "--split", "train", "--out", "fan.h5"),
    ("line", "--checkpoint", "a.pt", "--points", 4, "--x", "-0.25:1.25", "--to", "b.pt", "--split", "train", "--out",
     "line-to.h5"),
    ("surface", "--plane", "points:a.pt,b.pt,c.pt", "--grid", "3x3", "--out", "points.h5"),
    ("trajectory", "--checkpoints", "c.pt,b.pt,a.pt", "--grid", "3x3", "--out", "trajectory.h5"),
], ids=lambda words: words[-1])
def test_a_complete_file_is_left_as_it_is(lossatlas, old, words):
    before = (old / words[-1]).read_bytes()
    result = lossatlas(*words, "--data", "synthetic:40", *SAME, "--resume", "--force", cwd=old).ok()
    assert "complete, all" in result.err
    assert (old / words[-1]).read_bytes() == before


def test_a_complete_surface_in_levels_comes_out_the_same(lossatlas, old):
    before = values_of(old / "levels.h5")
    lossatlas("surface", "--checkpoint", "a.pt", "--data", "synthetic:128", *SAME, "--grid", "3x3", "--tolerance", 0.1,
              "--resume", "--force", "--out", "levels.h5", cwd=old).ok()
    after = values_of(old / "levels.h5")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name].tobytes() == value.tobytes(), name


def test_other_settings_than_an_old_file_has_are_refused_in_one_line(lossatlas, old):
    line = lossatlas("surface", "--checkpoint", "a.pt", "--data", "synthetic:40", *SAME, "--grid", "3x3", "--split", "both",
                     "--l2", 0.001, "--resume", "--force", "--out", "surface.h5", cwd=old)
    assert line.status == 1
    assert "measures was" in line.err.splitlines()[-1]


def test_a_newer_format_is_refused_by_its_number(lossatlas, old):
    with h5py.File(old / "surface.h5", "r+") as file:
        file["lossatlas"].attrs["format"] = np.int64(3)
    result = lossatlas("info", old / "surface.h5")
    assert result.status == 1
    assert "format 3, this program knows up to 2; use a newer Lossatlas" in result.line()
