"""`lossatlas curve`: curves between two networks, each number once more in Python."""

import json
import math
import re
import signal

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F

VALUES = ["train_loss", "train_acc", "test_loss", "test_acc"]


def uniform(seed, number):
    """The first draw of stream (seed, curve, number): Philox 4x32-10 (Salmon et al. 2011), once more."""
    counter = [0, 0, number & 0xFFFFFFFF, 7 << 24 | number >> 32]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(second >> 32) ^ counter[1] ^ key[0], second & 0xFFFFFFFF,
                   (first >> 32) ^ counter[3] ^ key[1], first & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter[0] / 2**32


def coefficients(curve, bends, t):
    n = bends + 1
    if curve == "polygon":
        return [max(0.0, 1 - abs(n * t - k)) for k in range(n + 1)]
    return [math.comb(n, k) * t**k * (1 - t) ** (n - k) for k in range(n + 1)]


def combine(states, factors):
    """Σ factor · state over the parameters; statistics are those of the first."""
    point = dict(states[0])
    for name in helpers.parameter_names(point):
        point[name] = sum(factor * state[name] for factor, state in zip(factors, states, strict=True))
    return point


def bend_of(out, number):
    return out.with_name(f"{out.stem}.bend-{number}.pt")


@pytest.fixture(scope="module")
def ends(lossatlas, run, pictures, tmp_path_factory):
    """Two ResNet20s that learnt the pictures from two seeds."""
    other = tmp_path_factory.mktemp("ends") / "other"
    lossatlas("train", "--arch", "resnet20", "--width", 4, "--data", pictures.words, "--out", other, "--epochs", 3,
              "--batch-size", 10, "--lr", 0.05, "--threads", 1, "--seed", 1).ok()
    return [folder / "checkpoints" / "epoch-0003.pt" for folder in (run, other)]


@pytest.fixture(scope="module")
def curve_words(ends, pictures):
    return ["curve", "--from", ends[0], "--to", ends[1], "--data", pictures.words, "--bn-images", 100]


@pytest.fixture(scope="module")
def path(lossatlas, curve_words, tmp_path_factory):
    """A curve with one bend between them, trained for two epochs, and the plane that holds it."""
    out = tmp_path_factory.mktemp("path") / "p.h5"
    done = lossatlas(*curve_words, "--out", out, "--epochs", 2, "--lr", 0.05, "--points", 5, "--samples", 100,
                     "--plane-out", out.with_name("plane.h5"), "--grid", "3x2", "--threads", 1).ok()
    out.with_name("said.txt").write_text(done.err)
    return out


# --- training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve, bends", [pytest.param("bezier", 1, marks=pytest.mark.full), ("bezier", 2),
                                          pytest.param("polygon", 1, marks=pytest.mark.full)])
def test_gradient_of_bends(lossatlas, curve_words, ends, pictures, tmp_path, curve, bends):
    """One step on all images, without momentum: autograd through θ(t), the L2 term of θ(t) with it."""
    out, rate, decay = tmp_path / "p.h5", 0.2, 0.03
    lossatlas(*curve_words, "--out", out, "--shape", curve, "--bends", bends, "--epochs", 1, "--batch-size", 200, "--lr",
              rate, "--momentum", 0, "--weight-decay", decay, "--seed", 3, "--points", 2).ok()
    a, b = map(helpers.state_of, ends)
    points = [combine([a, b], [1 - k / (bends + 1), k / (bends + 1)]) for k in range(bends + 2)]
    names = helpers.parameter_names(a)
    for point in points[1:-1]:
        for name in names:
            point[name] = point[name].detach().requires_grad_(True)
    theta = combine(points, coefficients(curve, bends, uniform(3, 0)))
    images, labels = pictures.batch("train")
    loss = F.cross_entropy(helpers.resnet20(theta, images, {}), labels)
    (loss + decay / 2 * sum(theta[name].square().sum() for name in names)).backward()
    for number, point in enumerate(points[1:-1], 1):
        found = helpers.state_of(bend_of(out, number))
        for name in names:
            step = -rate * point[name].grad
            moved = found[name] - point[name].detach()
            torch.testing.assert_close(moved, step, rtol=2e-3, atol=2e-6 + 1e-3 * step.abs().max().item(), msg=name)
    with h5py.File(out) as file:
        training = json.loads(file["lossatlas"].attrs["provenance"])["training"]
    assert training["train_loss"] == [pytest.approx(loss.item(), rel=1e-4)]


def test_learning_rate_falls(path):
    training = json.loads(helpers.attribute(path, "provenance"))["training"]
    assert training["learning_rate"] == [pytest.approx(0.05), pytest.approx(0.0005)]
    assert len(training["seconds"]) == len(training["train_acc"]) == 2


def test_straight_curve_has_the_losses_of_the_line(lossatlas, curve_words, tmp_path):
    for curve in ("bezier", "polygon"):
        out = tmp_path / f"{curve}.h5"
        lossatlas(*curve_words, "--out", out, "--shape", curve, "--bends", 2, "--epochs", 1, "--lr", 1e-30, "--points", 4,
                  "--weight-decay", 0).ok()
        with h5py.File(out) as file:
            for name in ("train_loss", "test_loss"):
                np.testing.assert_allclose(file[name][:], file["lossatlas/linear"][name][:], rtol=1e-4, err_msg=name)
            settings = json.loads(file["lossatlas"].attrs["settings"])
        assert settings["curve_length"] == pytest.approx(settings["line_length"], rel=1e-5)


def test_permuted_channels_are_joined_by_a_curve(lossatlas, mlp_run, pictures, tmp_path):
    """The same MLP with its hidden units in another order computes the same: two equal minima with a barrier between
    them on the straight line, and a low curve around it."""
    a = helpers.load(mlp_run / "checkpoints" / "epoch-0002.pt")
    state = dict(a["state_dict"])
    random = np.random.default_rng(0)
    first, second = (torch.from_numpy(random.permutation(256)) for _ in range(2))
    state["fc1.weight"], state["fc1.bias"] = state["fc1.weight"][first], state["fc1.bias"][first]
    state["fc2.weight"], state["fc2.bias"] = state["fc2.weight"][second][:, first], state["fc2.bias"][second]
    state["fc3.weight"] = state["fc3.weight"][:, second]
    torch.save({**a, "state_dict": {name: tensor.contiguous() for name, tensor in state.items()}}, tmp_path / "b.pt")
    out = tmp_path / "p.h5"
    done = lossatlas("curve", "--from", mlp_run / "checkpoints" / "epoch-0002.pt", "--to", tmp_path / "b.pt", "--data",
                     pictures.words, "--out", out, "--epochs", 20, "--lr", 0.02, "--batch-size", 20, "--points",
                     11).ok()
    with h5py.File(out) as file:
        curve, line = file["train_loss"][:], file["lossatlas/linear/train_loss"][:]
        summary = json.loads(file["lossatlas"].attrs["summary"])
        assert "bn_images" not in done.err and json.loads(file["lossatlas"].attrs["settings"])["bn"] == "stored"
    assert curve[0] == pytest.approx(curve[-1], rel=1e-5) and line[0] == curve[0] and line[-1] == curve[-1]
    assert line.max() > line[0] + 0.1, line
    assert curve.max() < (line.max() + line[0]) / 2, (curve, line)
    assert summary["linear"]["train_loss"]["barrier"] == pytest.approx(line.max() - (line[0] + line[-1]) / 2)
    assert summary["linear"]["train_loss"]["at"] == pytest.approx(np.linspace(0, 1, 11)[line.argmax()])


# --- the file ----------------------------------------------------------------------------------------------------


def test_values_along_both_ways(path, ends, pictures):
    """Every point in float64, with the statistics of its own 100 training images."""
    a, b = map(helpers.state_of, ends)
    bend = helpers.state_of(bend_of(path, 1))
    with h5py.File(path) as file:
        used = file["lossatlas/samples_train"][:]
        assert len(used) == 100
        images, labels = {}, {}
        for split, chosen in (("train", used), ("test", file["lossatlas/samples_test"][:])):
            images[split], labels[split] = pictures.batch(split, chosen)
        np.testing.assert_allclose(file["xcoordinates"][:], np.linspace(0, 1, 5))
        for group, factors in ((file, lambda t: coefficients("bezier", 1, t)),
                               (file["lossatlas/linear"], lambda t: [1 - t, 0, t])):
            for i, t in enumerate(np.linspace(0, 1, 5)):
                state = helpers.recalibrated(combine([a, bend, b], factors(t)), images["train"])
                for split in ("train", "test"):
                    logits = helpers.resnet20(state, images[split])
                    assert group[f"{split}_loss"][i] == pytest.approx(
                        F.cross_entropy(logits, labels[split]).item(), rel=2e-4, abs=1e-5), (group, split, t)
                    accuracy = 100 * (logits.argmax(1) == labels[split]).double().mean().item()
                    assert group[f"{split}_acc"][i] == pytest.approx(accuracy, abs=2), (group, split, t)
        assert (file["lossatlas/evaluated"][:] == 1).all() and file["lossatlas/evaluated"].shape == (5,)


def test_what_plot_1d_reads(path):
    """tomgoldstein/loss-landscape's plot_1D.py takes a file for one-dimensional by what its root holds."""
    with h5py.File(path) as file:
        assert "ycoordinates" not in file and "VTKHDF" not in file
        assert file["lossatlas"].attrs["kind"] == "curve" and file["lossatlas"].attrs["format"] == 2
        for name in VALUES:
            assert file[name].shape == file["xcoordinates"].shape == (5,)
            assert file[f"lossatlas/linear/{name}"].shape == (5,)


def test_ends_are_marked_with_the_checkpoints_own_losses(path, ends, pictures):
    with h5py.File(path) as file:
        points = file["lossatlas/points"]
        assert points["x"][:].tolist() == [0, 1] and points["distance"][:].tolist() == [0, 0]
        assert "y" not in points
        images, labels = pictures.batch("test", file["lossatlas/samples_test"][:])
        for end, loss in zip(ends, points["test_loss"][:], strict=True):
            assert loss == pytest.approx(F.cross_entropy(helpers.resnet20(helpers.state_of(end), images), labels).item(),
                                         rel=1e-4)


def test_summary(path, ends):
    with h5py.File(path) as file:
        summary = json.loads(file["lossatlas"].attrs["summary"])
        settings = json.loads(file["lossatlas"].attrs["settings"])
        for way, group in (("curve", file), ("linear", file["lossatlas/linear"])):
            for split in ("train", "test"):
                for name, values in ((f"{split}_loss", group[f"{split}_loss"][:]),
                                     (f"{split}_err", 100 - group[f"{split}_acc"][:])):
                    found = summary[way][name]
                    assert found["ends"] == [values[0], values[-1]]
                    assert found["highest"] == values.max()
                    assert found["at"] in file["xcoordinates"][:][values == values.max()]
                    assert found["barrier"] == pytest.approx(values.max() - (values[0] + values[-1]) / 2, abs=1e-12)
    a, b = map(helpers.state_of, ends)
    bend = helpers.state_of(bend_of(path, 1))
    flat = [torch.cat([state[name].flatten() for name in helpers.parameter_names(a)]) for state in (a, bend, b)]
    assert settings["line_length"] == pytest.approx((flat[2] - flat[0]).norm().item(), rel=1e-5)
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    factors = torch.cat([(1 - t) ** 2, 2 * t * (1 - t), t**2], 1)
    chords = (factors[1:] - factors[:-1]) @ torch.stack(flat)
    assert settings["curve_length"] == pytest.approx(chords.norm(dim=1).sum().item(), rel=1e-5)
    said = path.with_name("said.txt").read_text()
    ratio = settings["curve_length"] / settings["line_length"]
    assert f"{ratio:.3g} times" in said and "barrier" in said


def test_info_reads_it(lossatlas, path):
    found = json.loads(lossatlas("info", path, "--json").ok().out)
    assert found["kind"] == "curve" and found["summary"]["curve"]["train_loss"]["ends"]
    assert "barrier" in lossatlas("info", path).ok().out


# --- what else is written ----------------------------------------------------------------------------------------


def test_bends_are_checkpoints_like_others(lossatlas, path, pictures, tmp_path):
    bend = helpers.load(bend_of(path, 1))
    assert bend["arch"] == "resnet20" and bend["width"] == 4
    lossatlas("surface", "--checkpoint", bend_of(path, 1), "--data", pictures.words, "--grid", "1x1", "--x", "0:0",
              "--y", "0:0", "--out", tmp_path / "s.h5").ok()
    # Its statistics are those of its own parameters: as good as what one batch of training images gives.
    images, labels = pictures.batch("train")
    state = helpers.state_of(bend_of(path, 1))
    own = F.cross_entropy(helpers.resnet20(helpers.recalibrated(state, images), images), labels).item()
    assert helpers.read(tmp_path / "s.h5")["train_loss"].item() == pytest.approx(own, rel=0.3)


def test_plane_holds_the_curve(path, ends):
    plane = path.with_name("plane.h5")
    with h5py.File(plane) as file:
        assert file["train_loss"].shape == (2, 3)
        points = file["lossatlas/points"]
        assert [name.decode() for name in points["name"][:]] == ["resnet20/epoch-0003", "other/epoch-0003", "p.bend-1"]
        np.testing.assert_allclose(points["distance"][:], 0, atol=1e-3)
        np.testing.assert_allclose([points["x"][:2], points["y"][:2]], [[0, 1], [0, 0]], atol=1e-5)
        curve = file["lossatlas/curves/bezier"]
        t = curve["t"][:]
        factors = np.array([coefficients("bezier", 1, at) for at in t])
        along = [0, 2, 1]  # from one end over the bend to the other
        np.testing.assert_allclose(curve["x"][:], factors @ points["x"][:][along], atol=1e-5)
        np.testing.assert_allclose(curve["y"][:], factors @ points["y"][:][along], atol=1e-5)
        assert curve["x"][0] == pytest.approx(0, abs=1e-6) and curve["x"][-1] == pytest.approx(1, abs=1e-6)
        assert file["xcoordinates"][0] < min(0, curve["x"][:].min())
        assert file["xcoordinates"][-1] > max(1, curve["x"][:].max())


def test_finished_path_is_left_alone(lossatlas, path, curve_words):
    before = helpers.tree(path.parent)
    done = lossatlas(*curve_words, "--out", path)
    assert done.status == 1 and "--resume" in done.line() and "--force" in done.line()
    done = lossatlas(*curve_words, "--out", path, "--epochs", 2, "--lr", 0.05, "--points", 5, "--samples", 100,
                     "--threads", 1, "--resume").ok()
    assert "nothing is left to do" in done.err
    assert helpers.tree(path.parent) == before


# --- cut off -----------------------------------------------------------------------------------------------------


def contents(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


@pytest.mark.full
@pytest.mark.parametrize("after", ["epoch 1:", "curve and line"])
def test_interrupted_path_goes_on_to_the_same_bits(lossatlas, curve_words, tmp_path, after):
    """Once while the curve is trained, once while it is evaluated."""
    words = [*curve_words, "--epochs", 2, "--lr", 0.05, "--batch-size", 20, "--threads", 1, "--points", 15, "--progress", "none"]
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    lossatlas(*words, "--out", whole).ok()
    cut = helpers.interrupt([*words, "--out", parts], after, wait=0.2)
    assert cut.status == 130, cut.err
    again = re.search(r"continue with: (.*)", cut.err)
    assert again and "--resume" in again[1]
    lossatlas(*words, "--out", parts, "--resume").ok()
    a, b = (helpers.load(bend_of(out, 1))["state_dict"] for out in (whole, parts))
    assert all(torch.equal(a[name], b[name]) for name in a)
    first, second = contents(whole), contents(parts)
    assert sorted(first) == sorted(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts.bend-1.pt", "parts.h5", "whole.bend-1.pt", "whole.h5"]


def test_resuming_under_other_settings_is_refused(lossatlas, curve_words, tmp_path):
    words = [*curve_words, "--epochs", 500, "--threads", 1, "--out", tmp_path / "p.h5"]
    assert helpers.interrupt(words, "epoch 1:", number=signal.SIGTERM, wait=0).status == 130
    before = helpers.tree(tmp_path)
    done = lossatlas(*words, "--lr", 0.5, "--resume")
    assert done.status == 1 and "lr was" in done.err.splitlines()[-1]
    done = lossatlas(*words)
    assert done.status == 1 and "--resume" in done.line()
    assert helpers.tree(tmp_path) == before


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status, culprits, words", [
    (2, ["--epochs"], ["--epochs", 0]),
    (2, ["--bends"], ["--bends", 0]),
    (2, ["--points"], ["--points", 1]),
    (2, ["--shape spline", "bezier"], ["--shape", "spline"]),
    (2, ["--momentum"], ["--momentum", 1]),
    (2, ["--weight-decay"], ["--weight-decay", -1]),
    (2, ["--lr"], ["--lr", 0]),
    (2, ["--grid"], ["--grid", "9x9"]),
    (2, ["--samples 201"], ["--samples", 201]),
    (1, ["nothing.pt"], ["--to", "nothing.pt"]),
])
def test_wrong_words(lossatlas, curve_words, tmp_path, status, culprits, words):
    words = [*curve_words, "--out", tmp_path / "p.h5", *words]
    if "--to" in words[words.index("--out"):]:
        words = [word for i, word in enumerate(words) if "--to" not in words[max(0, i - 1):i + 1] or i > 7]
    done = lossatlas(*words)
    assert done.status == status, done.err
    assert all(culprit in done.line() for culprit in culprits), done.err
    assert not list(tmp_path.iterdir())


def test_names_of_earlier_versions(lossatlas, curve_words, tmp_path):
    refused = ["--out", tmp_path / "p.h5", "--points", 1]  # so that nothing runs
    for words, notes in ((["path"], ["path is now called curve"]),
                         (["curve", "--curve", "polygon"], ["--curve is now called --shape"]),
                         (["path", "--curve=bezier"], ["path is now called curve", "--curve is now called --shape"])):
        done = lossatlas(*words, *curve_words[1:], *refused)
        *said, last = done.err.splitlines()
        assert done.status == 2 and last.startswith("lossatlas: --points: 1: "), done.err
        assert said == ["note: " + note for note in notes]
    assert lossatlas("surface", "--curve", "bezier").err.startswith("lossatlas: unknown option '--curve'")


def test_ends_that_cannot_be_joined(lossatlas, ends, mlp_run, run, pictures, tmp_path):
    def refused(to, *culprits):
        done = lossatlas("curve", "--from", ends[0], "--to", to, "--data", pictures.words, "--out", tmp_path / "p.h5")
        assert done.status == 1, done.err
        assert all(str(culprit) in done.line() for culprit in culprits), done.err
        assert not list(tmp_path.iterdir())

    refused(mlp_run / "checkpoints" / "epoch-0002.pt", "epoch-0002.pt", "does not fit")
    refused(ends[0], ends[0], "same parameters")


def test_outputs_over_inputs_are_refused(lossatlas, curve_words, ends, tmp_path):
    before = ends[1].read_bytes()
    done = lossatlas(*curve_words, "--out", ends[1], "--force")
    assert done.status == 2 and "read and written" in done.line()
    assert ends[1].read_bytes() == before
