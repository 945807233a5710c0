"""The numbers and hints of a surface, its centre against the checkpoint, and `info --diff`."""

import json
import signal

import h5py
import helpers
import numpy as np
import pytest
import torch.nn.functional as F


def of(path, name="summary"):
    return json.loads(helpers.attribute(path, name))


def info(lossatlas, path):
    return json.loads(lossatlas("info", "--json", path).ok().out)


# --- numbers -----------------------------------------------------------------------------------------------------


def test_numbers_of_a_surface(lossatlas, sweep, tmp_path):
    path = sweep(tmp_path / "s.h5", "--x", "-0.5:0.5", "--y", "-0.5:0.75", "--samples", 60, grid="9x6")
    found, numbers = helpers.read(path), of(path)
    loss, x, y = found["train_loss"], found["xcoordinates"], found["ycoordinates"]
    accuracy = found["train_acc"][2, 4]
    assert numbers["centre"] == {"loss": loss[2, 4], "x": 0, "y": 0, "accuracy": accuracy, "exact": True}
    row, column = np.unravel_index(loss.argmin(), loss.shape)
    assert numbers["lowest"] == {"loss": loss[row, column], "x": x[column], "y": y[row]}
    rises = [np.abs(np.diff(loss, axis=axis)).max() for axis in (0, 1)]
    assert numbers["steepest"]["rise"] == pytest.approx(max(rises), rel=1e-12)
    minima = 0
    for r in range(1, 5):
        for c in range(1, 8):
            around = loss[r - 1:r + 2, c - 1:c + 2].ravel()
            minima += (np.delete(around, 4) > loss[r, c]).all()
    assert numbers["minima"] == minima
    right, up = (axis.ravel() for axis in np.meshgrid(x[2:7], y[0:5]))
    terms = np.stack([np.ones(25), right, up, right**2 / 2, right * up, up**2 / 2], axis=1)
    _, _, _, xx, xy, yy = np.linalg.lstsq(terms, loss[0:5, 2:7].ravel(), rcond=None)[0]
    np.testing.assert_allclose(numbers["curvature"]["eigenvalues"], np.linalg.eigvalsh([[xx, xy], [xy, yy]]), rtol=1e-6)
    assert numbers["standard_error"] > 0 and numbers["not_finite"] == 0
    assert info(lossatlas, path)["summary"] == numbers


def test_numbers_are_said_at_the_end(lossatlas, checkpoint, pictures, tmp_path):
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "s.h5",
                     "--grid", "3x3", "--x=-1e-6:1e-6", "--y=-1e-6:1e-6", "--samples", 20).ok()
    said = done.err.splitlines()
    assert any(line.startswith("width at twice the centre's loss: at least ") for line in said)
    hint = next(line for line in said if line.startswith("hint: "))
    assert "range is too small" in hint and hint.endswith("; try --x -1e-05:1e-05 --y -1e-05:1e-05")
    words = lossatlas("info", tmp_path / "s.h5").ok().out
    assert hint in words and "local minim" in words


def test_numbers_of_each_repeat(lossatlas, sweep, tmp_path):
    path = sweep(tmp_path / "s.h5", "--samples", 40, "--repeat", 2, grid="5x3")
    numbers = of(path)
    with h5py.File(path) as file:
        losses = file["lossatlas/repeats/train_loss"][()]
    assert [repeat["lowest"]["loss"] for repeat in numbers["repeats"]] == [loss.min() for loss in losses]
    assert numbers["lowest"]["loss"] == losses.mean(0).min()
    assert "width of each: " in lossatlas("info", path).ok().out
    assert info(lossatlas, path)["summary"] == numbers


def test_numbers_of_a_surface_of_others(lossatlas, tmp_path):
    helpers.write_li_surface(tmp_path / "li.h5", nx=9, ny=7, marks=[(0, 0)])
    numbers = info(lossatlas, tmp_path / "li.h5")["summary"]
    np.testing.assert_allclose(numbers["curvature"]["eigenvalues"], [2, 4], rtol=1e-9)
    assert numbers["curvature"]["condition"] == pytest.approx(2)
    assert (numbers["points"], numbers["evaluated"], numbers["minima"]) == (63, 62, 1)
    assert numbers["width_at_least"] and numbers["standard_error"] is None
    assert "condition 2" in lossatlas("info", tmp_path / "li.h5").ok().out


def test_half_a_surface_has_no_numbers_in_its_file(lossatlas, checkpoint, pictures, tmp_path):
    path = tmp_path / "s.h5"
    words = ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", path, "--grid", "60x50"]
    assert helpers.interrupt(words, "centre:", signal.SIGINT, until=helpers.has_begun(path)).status == 130
    with h5py.File(path) as file:
        assert "summary" not in file["lossatlas"].attrs and "centre_check" in file["lossatlas"].attrs
    numbers = info(lossatlas, path)["summary"]
    assert 0 < numbers["evaluated"] < 3000 and numbers["hints"] == []


# --- the centre against the checkpoint ---------------------------------------------------------------------------


def checked(path, loss, images=200):
    check = of(path, "centre_check")
    assert check["images"] == images and check["equal"] is True
    assert check["checkpoint"] == pytest.approx(loss, rel=1e-5)
    assert check["surface"] == pytest.approx(loss, rel=1e-5)


def test_the_centre_is_the_checkpoint(lossatlas, sweep, checkpoint, pictures, tmp_path):
    images, labels = pictures.batch()
    loss = F.cross_entropy(helpers.resnet20(helpers.state_of(checkpoint), images), labels).item()
    path = sweep(tmp_path / "s.h5", grid="3x3")
    checked(path, loss)
    assert of(path, "centre_check")["surface"] == helpers.read(path)["train_loss"][1, 1]
    before = of(path, "centre_check")
    sweep(path, "--resume", grid="5x3")
    assert of(path, "centre_check") == before
    assert info(lossatlas, path)["centre_check"] == before
    assert "they agree" in lossatlas("info", path).ok().out
    checked(sweep(tmp_path / "aside.h5", "--x", "0.25:1", "--y", "0.5:1", grid="2x2"), loss)  # without (0, 0)
    checked(sweep(tmp_path / "eager.h5", "--engine", "eager", grid="1x1", *["--x=0:0", "--y=0:0"]), loss)


def test_of_many_images_the_first_are_compared(lossatlas, tmp_path):
    """Whole batches of them, so that the centre has the bits that a sweep gives it."""
    lossatlas("train", "--arch", "linear", "--data", "synthetic:1300", "--out", tmp_path / "run", "--epochs", 0).ok()
    at = tmp_path / "run" / "checkpoints" / "epoch-0000.pt"
    words = ["surface", "--checkpoint", at, "--data", "synthetic:1300", "--grid", "3x1", "--y=0:0"]
    lossatlas(*words, "--out", tmp_path / "s.h5", "--repeat", 2).ok()
    check = of(tmp_path / "s.h5", "centre_check")
    assert check["images"] == 896 and check["equal"] is True
    with h5py.File(tmp_path / "s.h5") as file:
        losses = file["lossatlas/repeats/train_loss"][:, 0, 1]
    assert losses[0] == losses[1]  # the second one is the sweep's


def test_a_centre_that_is_another_network_is_noticed(lossatlas, sweep, checkpoint, pictures, tmp_path):
    """Zero times infinity is not zero."""
    sweep(tmp_path / "states.h5", "--dir-type", "states", "--save-directions", tmp_path / "d.h5", grid="2x2")
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file["xdirection/3"][...] = np.inf  # bn1.running_mean
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "s.h5",
                     "--grid", "1x1", "--x=0:0", "--y=0:0", "--directions", tmp_path / "d.h5").ok()
    assert "not that of this checkpoint" in done.err
    check = of(tmp_path / "s.h5", "centre_check")
    assert check["equal"] is False and check["surface"] is None and check["checkpoint"] > 0


def test_recalibration_moves_the_centre(lossatlas, checkpoint, pictures, tmp_path):
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "s.h5",
                     "--grid", "3x1", "--y=0:0", "--bn", "recalibrate", "--bn-images", 20).ok()
    note = next(line for line in done.err.splitlines() if line.startswith("note: the checkpoint"))
    check = of(tmp_path / "s.h5", "centre_check")
    assert "meant to differ" in note and f"{check['checkpoint']:.6g}" in note and f"{check['surface']:.6g}" in note
    assert check["equal"] is False and "warning: the checkpoint" not in done.err


# --- info --diff -------------------------------------------------------------------------------------------------


def difference(lossatlas, first, second):
    return json.loads(lossatlas("info", "--json", "--diff", first, second).ok().out)


def test_a_surface_does_not_differ_from_itself(lossatlas, surface):
    found = difference(lossatlas, surface, surface)
    assert found["settings"] == [] and found["same_values"] is True and found["common"] == 20
    words = lossatlas("info", "--diff", surface, surface).ok().out
    assert "the same settings" in words and "the same values" in words


def test_settings_and_values_that_differ(lossatlas, sweep, run, tmp_path):
    first = sweep(tmp_path / "first.h5", "--samples", 50, grid="3x3")
    second = sweep(tmp_path / "second.h5", "--samples", 50, grid="5x3", at=run / "checkpoints" / "epoch-0002.pt")
    found = difference(lossatlas, first, second)
    settings = {setting["name"]: (setting["first"], setting["second"]) for setting in found["settings"]}
    assert [[axis["points"] for axis in axes] for axes in settings["axes"]] == [[3, 3], [5, 3]]
    assert settings["checkpoint"] == tuple(helpers.settings(path)["checkpoint"]["sha256"] for path in (first, second))
    assert not settings.keys() - {"axes", "checkpoint", "cosine", "lengths"}
    assert (found["common"], found["only_first"], found["only_second"]) == (9, 0, 6)
    a, b = helpers.read(first)["train_loss"], helpers.read(second)["train_loss"][:, ::2]
    apart = np.abs(a - b)
    row, column = np.unravel_index(apart.argmax(), apart.shape)
    assert found["loss"]["largest_absolute"] == {"difference": apart.max(), "first": a[row, column],
                                                 "second": b[row, column], "x": column - 1, "y": row - 1}
    assert found["loss"]["largest_relative"]["difference"] == (apart / np.maximum(a, b)).max()
    assert found["same_values"] is False and found["loss"]["other_bits"] == (a != b).sum()
    words = lossatlas("info", "--diff", first, second).ok().out
    assert "\naxes: " in words and "9 common points" in words and "largest difference" in words


def test_a_surface_of_others_is_compared_too(lossatlas, surface, tmp_path):
    helpers.write_li_surface(tmp_path / "li.h5")
    found = difference(lossatlas, tmp_path / "li.h5", surface)
    assert found["common"] == 0 and {"name": "seed", "first": None, "second": 0} in found["settings"]


def test_bad_words_and_files_of_diff(lossatlas, surface, checkpoint, tmp_path):
    for status, words in ((2, ["--diff", surface]), (2, ["--diff", surface, surface, "--archs"]),
                          (1, ["--diff", surface, tmp_path / "missing.h5"]), (1, ["--diff", surface, checkpoint])):
        done = lossatlas("info", *words)
        assert done.status == status and done.line().startswith("lossatlas: ") and done.out == ""
