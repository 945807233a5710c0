"""What else `lossatlas surface` measures, on request: each value once more in Python."""

import json
import signal

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F

RANGE = ["--x", "-0.4:0.8", "--y", "-0.6:0.3"]


def points(found):
    """(row, column, (x, y)) of each point."""
    for row, y in enumerate(found["ycoordinates"]):
        for column, x in enumerate(found["xcoordinates"]):
            yield row, column, (x, y)


# --- class losses, top 5, L2 term --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(sweep, directions, surface, tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("measured") / "s.h5", *RANGE, "--samples", 100, "--directions", directions,
                 "--class-loss", "--top5", "--l2", 0.0005)


@pytest.fixture(scope="module")
def logits(measured, directions, checkpoint, pictures):
    """Each point's state, logits and labels."""
    found, state, plane = helpers.read(measured), helpers.state_of(checkpoint), helpers.plane_of(directions)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    states = {(row, column): helpers.at(state, plane, where) for row, column, where in points(found)}
    return {index: (state, helpers.resnet20(state, images), labels) for index, state in states.items()}


def test_class_losses(measured, logits):
    found = helpers.read(measured)
    for index, (_, z, labels) in logits.items():
        losses = F.cross_entropy(z, labels, reduction="none")
        means = []
        for c in range(10):
            means.append(found[f"lossatlas/train_loss_class_{c}"][index])
            expected = losses[labels == c].mean().item()
            assert means[-1] == pytest.approx(expected, rel=1e-4, abs=1e-5), (index, c)
        # Each class has ten of the hundred images.
        assert np.mean(means) == pytest.approx(found["train_loss"][index], rel=1e-12)


def test_top5(measured, logits):
    found = helpers.read(measured)["lossatlas/train_acc_top5"]
    for index, (_, z, labels) in logits.items():
        larger = (z > z.gather(1, labels[:, None])).sum(1)
        assert found[index] == pytest.approx(100 * (larger < 5).double().mean().item()), index


def test_l2_term(measured, logits):
    found = helpers.read(measured)["lossatlas/l2"]
    for index, (state, _, _) in logits.items():
        squares = sum(state[name].square().sum().item() for name in helpers.parameter_names(state))
        assert found[index] == pytest.approx(0.00025 * squares, rel=1e-6)


def test_they_leave_the_loss_as_it_is(measured, sweep, directions, tmp_path):
    plain = sweep(tmp_path / "s.h5", *RANGE, "--samples", 100, "--directions", directions)
    first, second = helpers.read(measured), helpers.read(plain)
    for name in second:
        if name != "dir_file":
            np.testing.assert_array_equal(first[name], second[name], name)
    settings = helpers.settings(measured)
    classes = [f"train_loss_class_{c}" for c in range(10)]
    assert settings["measures"] == ["train_loss", "train_acc", *classes, "train_acc_top5", "l2"]
    assert settings["l2"] == 0.0005 and helpers.settings(plain)["l2"] is None


def test_images_are_counted(measured):
    images = helpers.read(measured)["lossatlas/train_images"]
    assert images.dtype == np.int64 and images.shape == (2, 3) and (images == 100).all()


# --- batch norm --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["fused", pytest.param("eager", marks=pytest.mark.full)])
def test_recalibrated_batch_norm(sweep, surface, directions, checkpoint, pictures, tmp_path, engine):
    """The statistics are of the training split, whatever is evaluated."""
    words = ["--split", "test", *RANGE, "--directions", directions, "--engine", engine]
    path = sweep(tmp_path / "s.h5", *words, "--bn", "recalibrate", "--bn-images", 150, "--sample-seed", 4)
    drawn = sweep(tmp_path / "drawn.h5", "--samples", 150, "--sample-seed", 4, "--x=0:0", "--y=0:0", grid="1x1")
    indices = helpers.read(drawn)["lossatlas/samples_train"]
    found, state, plane = helpers.read(path), helpers.state_of(checkpoint), helpers.plane_of(directions)
    images, labels = pictures.batch("test")
    differs = 0
    for row, column, where in points(found):
        point = helpers.at(state, plane, where)
        state_there = helpers.recalibrated(point, pictures.batch("train", indices)[0])
        loss = F.cross_entropy(helpers.resnet20(state_there, images), labels).item()
        assert found["test_loss"][row, column] == pytest.approx(loss, rel=1e-4), where
        differs += abs(F.cross_entropy(helpers.resnet20(point, images), labels).item() - loss) > 1e-2 * loss
    assert differs > 0
    settings = helpers.settings(path)
    assert (settings["bn"], settings["bn_images"], settings["bn_engine"]) == ("recalibrate", 150, engine)


def test_recalibration_changes_nothing_without_batch_norm(sweep, mlp_run, tmp_path):
    at = mlp_run / "checkpoints" / "epoch-0002.pt"
    files = [sweep(tmp_path / f"{bn}.h5", "--bn", bn, "--bn-images", 50, at=at) for bn in ("stored", "recalibrate")]
    first, second = (helpers.read(path)["train_loss"] for path in files)
    np.testing.assert_array_equal(first, second)


def test_recalibrated_bits_do_not_depend_on_threads(sweep, tmp_path):
    words = ["--samples", 50, "--bn", "recalibrate", "--bn-images", 60]
    files = [sweep(tmp_path / f"{n}.h5", *words, "--threads", n) for n in (1, 2)]
    first, second = (helpers.read(path)["train_loss"] for path in files)
    np.testing.assert_array_equal(first, second)


# --- repeats -----------------------------------------------------------------------------------------------------

REPEATED = ["--samples", 40, "--seed", 5, "--top5"]


@pytest.fixture(scope="module")
def repeated(sweep, tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("repeated") / "s.h5", *REPEATED, "--repeat", 3, grid="5x3")


def repeats_of(path):
    with h5py.File(path) as file:
        return {name: node[()] for name, node in file["lossatlas/repeats"].items()}


def test_the_root_is_the_mean_of_the_repeats(repeated):
    found, repeats = helpers.read(repeated), repeats_of(repeated)
    assert repeats["train_loss"].shape == (3, 3, 5)
    for name, root in (("train_loss", "train_loss"), ("train_acc", "train_acc"),
                       ("train_acc_top5", "lossatlas/train_acc_top5"), ("train_loss_se", "lossatlas/train_loss_se")):
        np.testing.assert_allclose(found[root], repeats[name].mean(0), rtol=1e-12)
    spread = repeats["train_loss"].std(0, ddof=1)
    np.testing.assert_allclose(found["lossatlas/train_loss_spread"], spread, rtol=1e-9, atol=1e-12)
    assert np.ptp(repeats["train_loss"][:, 1, 2]) == 0  # all repeats share the centre
    assert (np.delete(spread.ravel(), 7) > 0).all()
    assert (found["lossatlas/evaluated"] == 1).all() and (repeats["evaluated"] == 1).all()
    settings = helpers.settings(repeated)
    assert settings["repeat"] == 3 and len(settings["cosine"]) == 3


def test_the_first_repeat_is_the_single_surface(repeated, sweep, tmp_path):
    single = helpers.read(sweep(tmp_path / "s.h5", *REPEATED, grid="5x3"))
    repeats = repeats_of(repeated)
    np.testing.assert_array_equal(repeats["train_loss"][0], single["train_loss"])
    np.testing.assert_array_equal(repeats["train_acc_top5"][0], single["lossatlas/train_acc_top5"])


def same_repeats(first, second):
    first, second = repeats_of(first), repeats_of(second)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], name)


def test_a_finer_grid_takes_over_all_repeats(lossatlas, repeated, sweep, tmp_path):
    path = sweep(tmp_path / "s.h5", *REPEATED, "--repeat", 3, grid="3x3")
    sweep(path, *REPEATED, "--repeat", 3, "--resume", grid="5x3")
    same_repeats(path, repeated)
    assert json.loads(helpers.attribute(path, "provenance"))["computed"] == 3 * 6


def test_interrupted_repeats_are_gone_on_with(sweep, checkpoint, pictures, tmp_path):
    words = ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--grid", "7x7", "--samples", 60,
             "--repeat", 3, "--l2", 1e-4]
    path = tmp_path / "s.h5"
    done = helpers.interrupt([*words, "--out", path], "centre:", signal.SIGKILL, until=helpers.has_begun(path))
    assert done.status == -signal.SIGKILL
    helpers.run_program(helpers.BINARY, *words, "--out", path, "--resume").ok()
    helpers.run_program(helpers.BINARY, *words, "--out", tmp_path / "undisturbed.h5").ok()
    same_repeats(path, tmp_path / "undisturbed.h5")


def test_another_number_of_repeats_is_another_surface(lossatlas, repeated, checkpoint, pictures):
    before = repeated.read_bytes()
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", repeated, "--grid",
                     "5x3", *REPEATED, "--repeat", 2, "--resume")
    assert done.status == 1 and "repeat was 3, now 2" in done.line()
    assert repeated.read_bytes() == before


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, culprits", [
    (["--repeat", 3, "--directions", "d.h5"], ["--repeat 3", "directions"]),
    (["--repeat", 3, "--save-directions", "d.h5"], ["--repeat 3", "directions"]),
    (["--repeat", 0], ["--repeat"]),
    (["--bn", "recalibrate", "--bn-images", 201], ["--bn-images 201", "200 images"]),
    (["--bn", "recalibrate", "--bn-images", 1], ["--bn-images"]),
    (["--bn", "none"], ["--bn"]),
    (["--l2", 0], ["--l2"]),
    (["--l2", "-1"], ["--l2"]),
], ids=str)
def test_wrong_words(lossatlas, checkpoint, pictures, tmp_path, words, culprits):
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", "s.h5", *words,
                     cwd=tmp_path)
    assert done.status == 2, done.err
    assert all(culprit in done.line() for culprit in culprits)
    assert not helpers.tree(tmp_path)


def test_batch_norms_of_torchscript_cannot_be_reached(lossatlas, pictures, tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(),
                              torch.nn.Linear(3600, 10)).eval()
    torch.jit.trace(net, torch.zeros(2, 3, 32, 32)).save(str(tmp_path / "net.pt"))
    done = lossatlas("surface", "--checkpoint", "net.pt", "--data", pictures.words, "--out", "s.h5", "--bn",
                     "recalibrate", "--bn-images", 20, cwd=tmp_path)
    assert done.status == 1, done.err
    assert "net.pt" in done.line() and "--arch" in done.line()
    assert helpers.tree(tmp_path).keys() == {"net.pt"}
