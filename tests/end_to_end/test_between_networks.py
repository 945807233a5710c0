"""Batch-norm statistics of planes and lines through several networks: estimated at each point by default."""

import json
import signal

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F


@pytest.fixture(scope="module")
def epochs(run):
    """Checkpoints of one run, the last first."""
    return [run / "checkpoints" / f"epoch-{number:04d}.pt" for number in (3, 1, 2, 0)]


def plane_words(epochs, pictures, out):
    return ["surface", "--plane", "points:" + ",".join(map(str, epochs[:3])), "--data", pictures.words, "--out", out]


@pytest.fixture(scope="module")
def draw(lossatlas, pictures, epochs):
    """draw(out, words...): a plane through the first three of them."""
    def drawn(out, *words, grid="3x3", split="both"):
        return lossatlas(*plane_words(epochs, pictures, out), "--grid", grid, "--split", split, *words)

    return drawn


@pytest.fixture(scope="module")
def training(sweep, pictures, tmp_path_factory):
    """All training images in the order of a stratified sample, in batches of which statistics are estimated."""
    drawn = sweep(tmp_path_factory.mktemp("order") / "s.h5", "--samples", 200, "--x=0:0", "--y=0:0", grid="1x1")
    return pictures.batch("train", helpers.read(drawn)["lossatlas/samples_train"])[0]


@pytest.fixture(scope="module")
def plane(draw, tmp_path_factory):
    out = tmp_path_factory.mktemp("between") / "p.h5"
    return out, draw(out, "--save-directions", out.with_name("d.h5")).ok()


@pytest.fixture(scope="module")
def stored(draw, tmp_path_factory):
    out = tmp_path_factory.mktemp("stored") / "p.h5"
    return out, draw(out, "--bn", "stored").ok()


def statistics_in(path):
    settings = helpers.settings(path)
    return settings["bn"], settings["bn_images"]


def loss_of(state, pictures, split):
    images, labels = pictures.batch(split)
    return F.cross_entropy(helpers.resnet20(state, images), labels).item()


def weights_at(point, epochs):
    """The parameters of the plane's point, from the checkpoints alone."""
    a, b, c = (helpers.state_of(path) for path in epochs[:3])
    names = helpers.parameter_names(a)

    def flat(state):
        return torch.cat([state[name].flatten() for name in names])

    first, other = flat(b) - flat(a), flat(c) - flat(a)
    share = first @ other / (first @ first)
    scale = first.norm() / (other - share * first).norm()
    x, y = point
    return {name: a[name] + x * (b[name] - a[name]) + y * scale * (c[name] - a[name] - share * (b[name] - a[name]))
            if name in names else a[name] for name in a}


def test_a_plane_through_checkpoints_is_recalibrated(plane, epochs, pictures, training):
    out, done = plane
    assert statistics_in(out) == ("recalibrate", 200)  # all training images, as there are fewer than 1,000
    layers = sum(name.endswith("running_var") for name in helpers.state_of(epochs[0]))
    assert helpers.settings(out)["bn_layers"] == layers
    assert "and 200 for batch-norm statistics" in done.err and "warning" not in done.err
    found = helpers.read(out)
    for row, column in ((0, 0), (1, 2), (2, 1)):
        point = (found["xcoordinates"][column], found["ycoordinates"][row])
        state = helpers.recalibrated(weights_at(point, epochs), training)
        for split in ("train", "test"):
            np.testing.assert_allclose(found[f"{split}_loss"][row, column], loss_of(state, pictures, split), rtol=1e-4)


def test_each_checkpoint_keeps_its_own_loss(plane, stored, epochs, pictures):
    with h5py.File(plane[0]) as file, h5py.File(stored[0]) as other:
        points = file["lossatlas/points"]
        for split in ("train", "test"):
            own = [loss_of(helpers.state_of(path), pictures, split) for path in epochs[:3]]
            np.testing.assert_allclose(points[f"{split}_loss"], own, rtol=1e-4)
            np.testing.assert_array_equal(points[f"{split}_loss"], other[f"lossatlas/points/{split}_loss"])


def test_the_centre_may_differ_from_the_checkpoint(plane, epochs, pictures, training):
    out, done = plane
    check = json.loads(helpers.attribute(out, "centre_check"))
    recalibrated = helpers.recalibrated(helpers.state_of(epochs[0]), training)
    np.testing.assert_allclose(check["surface"], loss_of(recalibrated, pictures, "train"), rtol=1e-4)
    np.testing.assert_allclose(check["checkpoint"], loss_of(helpers.state_of(epochs[0]), pictures, "train"), rtol=1e-4)
    assert check["equal"] is False and "meant to differ" in done.err


def test_a_line_between_checkpoints_is_recalibrated(lossatlas, epochs, pictures, training, tmp_path):
    out = tmp_path / "l.h5"
    lossatlas("line", "--checkpoint", epochs[0], "--to", epochs[1], "--data", pictures.words, "--out", out, "--points",
              5).ok()
    assert statistics_in(out) == ("recalibrate", 200)
    found = helpers.read(out)
    a, b = (helpers.state_of(path) for path in epochs[:2])
    for i, t in enumerate(found["xcoordinates"]):
        state = {name: a[name] + t * (b[name] - a[name]) for name in a}
        loss = loss_of(helpers.recalibrated(state, training), pictures, "test")
        np.testing.assert_allclose(found["test_loss"][i], loss, rtol=1e-4)
    with h5py.File(out) as file:
        own = [loss_of(state, pictures, "test") for state in (a, b)]
        np.testing.assert_allclose(file["lossatlas/points/test_loss"], own, rtol=1e-4)


def test_a_plane_of_pca_is_that_of_the_trajectory(lossatlas, run, pictures, tmp_path):
    words = ["--data", pictures.words, "--grid", "3x2", "--samples", 40]
    lossatlas("surface", "--plane", f"pca:{run}", *words, "--out", tmp_path / "s.h5").ok()
    lossatlas("trajectory", "--run", run, *words, "--out", tmp_path / "t.h5").ok()
    assert statistics_in(tmp_path / "s.h5") == statistics_in(tmp_path / "t.h5") == ("recalibrate", 200)
    np.testing.assert_array_equal(*(helpers.read(tmp_path / name)["train_loss"] for name in ("s.h5", "t.h5")))


def test_others_keep_the_stored_statistics(plane, sweep, lossatlas, checkpoint, pictures, tmp_path):
    words = ["--samples", 20]
    assert statistics_in(sweep(tmp_path / "random.h5", *words)) == ("stored", None)
    of_file = sweep(tmp_path / "file.h5", *words, "--directions", plane[0].with_name("d.h5"))
    assert statistics_in(of_file) == ("stored", None)
    lossatlas("line", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "l.h5", "--points", 2,
              *words).ok()
    assert statistics_in(tmp_path / "l.h5") == ("stored", None)


def test_a_network_without_batch_norm(lossatlas, mlp_run, pictures, tmp_path):
    files = ",".join(str(mlp_run / "checkpoints" / f"epoch-000{number}.pt") for number in range(3))
    words = ["surface", "--plane", f"points:{files}", "--data", pictures.words, "--grid", "2x2", "--samples", 20]
    default = lossatlas(*words, "--out", tmp_path / "a.h5").ok()
    lossatlas(*words, "--bn", "stored", "--out", tmp_path / "b.h5").ok()
    assert statistics_in(tmp_path / "a.h5") == ("stored", None)
    assert helpers.settings(tmp_path / "a.h5")["bn_layers"] == 0
    assert "note: " not in default.err.replace("note: this checkpoint was saved before training", "")
    assert "batch-norm" not in default.err
    np.testing.assert_array_equal(*(helpers.read(tmp_path / name)["train_loss"] for name in ("a.h5", "b.h5")))


@pytest.mark.parametrize("has_norm", [True, False])
def test_torchscript_keeps_the_stored_statistics(lossatlas, pictures, tmp_path, has_norm):
    def save(seed):
        torch.manual_seed(seed)
        norm = torch.nn.BatchNorm2d(4) if has_norm else torch.nn.Identity()
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=8), norm, torch.nn.Flatten(), torch.nn.Linear(64, 10))
        net.eval()
        if has_norm:
            norm.running_mean.normal_()
        else:
            net.register_buffer("offset", torch.ones(3))  # no statistic
        file = tmp_path / f"{seed}.pt"
        torch.jit.trace(net, torch.zeros(2, 3, 32, 32)).save(str(file))
        return net.double(), file

    (a, first), (b, second) = save(0), save(1)
    out = tmp_path / "l.h5"
    words = ["line", "--checkpoint", first, "--to", second, "--data", pictures.words, "--out", out, "--x", "0.5:0.5",
             "--points", 1]
    done = lossatlas(*words).ok()
    notes = [line for line in done.err.splitlines() if line.startswith("note:") and "batch-norm" in line]
    assert len(notes) == (1 if has_norm else 0) and all("0.pt" in note and "--arch" in note for note in notes)
    assert statistics_in(out) == ("stored", None)
    other = b.state_dict()
    a.load_state_dict({name: (tensor + other[name]) / 2 for name, tensor in a.state_dict().items()})
    images, labels = pictures.batch("test")
    np.testing.assert_allclose(helpers.read(out)["test_loss"], F.cross_entropy(a(images), labels).item(), rtol=1e-4)
    if has_norm:  # what is asked for is not passed over
        for asked in (["--bn", "recalibrate"], ["--bn-images", 20]):
            refused = lossatlas(*words, *asked, "--force")
            assert refused.status == 1 and "0.pt" in refused.line() and "--arch" in refused.line()


# --- files that were begun with other statistics ----------------------------------------------------------------------


def make_old(path):
    """The file as versions wrote it whose default was `stored`."""
    with h5py.File(path, "a") as file:
        settings = json.loads(file["lossatlas"].attrs["settings"])
        del settings["bn_layers"]
        file["lossatlas"].attrs["settings"] = json.dumps(settings)


def test_resume_goes_on_with_the_statistics_of_the_file(stored, draw, tmp_path):
    old, whole = tmp_path / "old.h5", tmp_path / "whole.h5"
    old.write_bytes(stored[0].read_bytes())
    make_old(old)
    refused = draw(old, "--resume", "--bn", "recalibrate", grid="5x3")
    assert refused.status == 1 and 'bn was "stored", now "recalibrate"' in refused.line()
    done = draw(old, "--resume", grid="5x3").ok()
    assert f"note: {old} was begun with stored batch-norm statistics" in done.err
    assert "9 of 15 points are there" in done.err
    draw(whole, "--bn", "stored", grid="5x3").ok()
    np.testing.assert_array_equal(helpers.read(old)["train_loss"], helpers.read(whole)["train_loss"])
    assert statistics_in(old) == ("stored", None)


def test_resume_goes_on_with_the_statistics_of_a_journal(epochs, pictures, lossatlas, tmp_path):
    out = tmp_path / "p.h5"
    words = [*plane_words(epochs, pictures, out), "--grid", "15x15", "--samples", 20, "--threads", 1]
    helpers.interrupt([*words, "--bn", "stored"], "centre", signal.SIGKILL, until=helpers.has_begun(out))
    out.unlink()
    done = lossatlas(*words, "--resume").ok()
    assert "was begun with stored batch-norm statistics" in done.err and "resuming" in done.err
    assert statistics_in(out) == ("stored", None)


def test_resume_of_a_recalibrated_file(plane, draw, tmp_path):
    out = tmp_path / "p.h5"
    out.write_bytes(plane[0].read_bytes())
    done = draw(out, "--resume", grid="5x3").ok()
    assert "9 of 15 points are there" in done.err and "was begun" not in done.err
    refused = draw(out, "--bn", "stored", "--resume")
    assert refused.status == 1 and "bn was" in refused.line()


# --- what is said -----------------------------------------------------------------------------------------------------


def test_the_hint_of_stored_statistics(draw, tmp_path):
    """Between and beyond networks variances fall below 0."""
    out = tmp_path / "p.h5"
    done = draw(out, "--bn", "stored", "--x", "-4:5", "--y", "-4:5").ok()
    count = int((~np.isfinite(helpers.read(out)["train_loss"])).sum())
    assert 0 < count
    (warning,) = [line for line in done.err.splitlines() if line.startswith("warning:") and "not finite" in line]
    assert "--bn recalibrate helps" in warning and "smaller" not in done.err
    (hint,) = [line for line in done.err.splitlines() if line.startswith("hint:") and "--bn recalibrate" in line]
    assert hint.removeprefix("hint: ") in json.loads(helpers.attribute(out, "summary"))["hints"]
    again = draw(tmp_path / "q.h5", "--x", "-4:5", "--y", "-4:5").ok()
    assert np.isfinite(helpers.read(tmp_path / "q.h5")["train_loss"]).all() and "--bn recalibrate" not in again.err


def test_levels_say_what_statistics_cost(draw, tmp_path):
    def drawn(*words):
        return draw(tmp_path / "p.h5", "--tolerance", 0.1, "--samples", 40, "--force", *words, split="train").ok()

    done = drawn("--bn-images", 50)
    assert "note: each point takes 50 more images for batch-norm statistics" in done.err
    assert "note: each" not in drawn("--bn", "stored").err


def test_a_data_set_without_training_images(epochs, lossatlas, pictures, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "test_batch.bin").write_bytes((pictures.folder / "test_batch.bin").read_bytes())
    words = ["line", "--checkpoint", epochs[0], "--to", epochs[1], "--data", f"cifar10:{data}", "--split", "test",
             "--points", 2, "--out", tmp_path / "l.h5"]
    refused = lossatlas(*words)
    assert refused.status == 1 and "data_batch" in refused.line() and "--bn stored" in refused.line()
    lossatlas(*words, "--bn", "stored").ok()
