"""Landscapes of problem files, each value against PyTorch: other weights, weighted samples, further measures, parameters
that do not train, half precision, batch norm, curves."""

import json
import pathlib
import sys

import h5py
import helpers  # noqa: F401: finds the program
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "python"))

from lossatlas import export_problem  # noqa: E402


def table(samples=60, features=6, classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator)
    y = (x @ torch.randn(features, classes, generator=generator)).argmax(1)
    return x, y


def network(seed=2, norm=True):
    torch.manual_seed(seed)
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)]
    return nn.Sequential(*(layer for layer in layers if norm or not isinstance(layer, nn.BatchNorm1d)))


def trained(model, data, steps=30):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
    return model.eval()


def mean_loss(model, data):
    with torch.no_grad():
        return F.cross_entropy(model(data[0]), data[1]).item()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A problem with a test split, and three checkpoints of its network."""
    folder = tmp_path_factory.mktemp("problem")
    data, test = table(), table(20, seed=7)
    model = trained(network(), data)
    export_problem(model, "cross-entropy", data, folder / "p.lossatlas", test=test, quiet=True)
    others = [trained(network(seed), data, steps) for seed, steps in ((2, 0), (2, 10), (5, 30))]
    for name, other in zip(("start", "middle", "other"), others):
        torch.save(other.state_dict(), folder / f"{name}.pt")
    return folder, data, test, [model, *others]


def read(file, name):
    with h5py.File(file) as h5:
        return h5[name][()]


def test_a_checkpoint_gives_other_weights_of_the_same_network(lossatlas, files, tmp_path):
    folder, data, test, (model, start, _, other) = files
    for split, samples in (("train", data), ("test", test)):
        out = tmp_path / f"{split}.h5"
        lossatlas("surface", "--problem", folder / "p.lossatlas", "--checkpoint", folder / "start.pt", "--grid", 3,
                  "--split", split, "--out", out).ok()
        assert read(out, f"{split}_loss")[1, 1] == pytest.approx(mean_loss(start, samples), rel=1e-5)
    out = tmp_path / "line.h5"
    lossatlas("line", "--problem", folder / "p.lossatlas", "--to", folder / "other.pt", "--bn", "stored", "--x", "0:1",
              "--points", 3, "--out", out).ok()
    loss = read(out, "train_loss")
    assert loss[[0, 2]] == pytest.approx([mean_loss(model, data), mean_loss(other, data)], rel=1e-5)
    between = network()
    between.load_state_dict({name: (a + b) / 2 if a.is_floating_point() else a for (name, a), b in
                             zip(model.state_dict().items(), other.state_dict().values())})
    assert loss[1] == pytest.approx(mean_loss(between.eval(), data), rel=1e-5)
    assert read(out, "test_loss")[0] == pytest.approx(mean_loss(model, test), rel=1e-5)


def test_planes_and_trajectories_through_checkpoints(lossatlas, files, tmp_path):
    folder, data, _, (model, start, middle, other) = files
    out = tmp_path / "points.h5"
    points = ",".join(str(folder / name) for name in ("p.lossatlas", "start.pt", "other.pt"))
    lossatlas("surface", "--problem", folder / "p.lossatlas", "--plane", f"points:{points}", "--grid", 3, "--out", out).ok()
    with h5py.File(out) as h5:
        own = h5["lossatlas/points/train_loss"][()]
    assert own == pytest.approx([mean_loss(m, data) for m in (model, start, other)], rel=1e-5)
    out = tmp_path / "trajectory.h5"
    lossatlas("trajectory", "--problem", folder / "p.lossatlas", "--bn", "stored", "--checkpoints",
              f"{folder}/start.pt,{folder}/middle.pt,{folder}/other.pt", "--grid", 3, "--out", out).ok()
    with h5py.File(out) as h5:
        run = next(iter(h5["lossatlas/runs"].values()))
        assert run["train_loss"][()] == pytest.approx([mean_loss(m, data) for m in (start, middle, other)], rel=1e-5)


def test_a_curve_is_trained_by_the_problem_s_own_loss(lossatlas, files, tmp_path):
    folder, data, _, (model, *_, other) = files
    out = tmp_path / "curve.h5"
    done = lossatlas("curve", "--problem", folder / "p.lossatlas", "--from", folder / "p.lossatlas", "--to",
                     folder / "other.pt", "--epochs", 40, "--lr", 0.2, "--weight-decay", 0, "--points", 9, "--bn", "stored",
                     "--threads", 1, "--out", out).ok()
    assert "60 samples each" in done.err and "accuracy" in done.err
    curve, line = read(out, "train_loss"), read(out, "lossatlas/linear/train_loss")
    ends = [mean_loss(model, data), mean_loss(other, data)]
    assert curve[[0, -1]] == pytest.approx(ends, rel=1e-5) and line[[0, -1]] == pytest.approx(ends, rel=1e-5)
    assert curve.max() < line.max()
    bend = torch.load(tmp_path / "curve.bend-1.pt", weights_only=True)["state_dict"]
    assert set(bend) == set(model.state_dict())


def test_weights_and_further_measures(lossatlas, tmp_path):
    data = (*table(), torch.rand(60) * 3)
    data[2][5:9] = 0
    model = network(norm=False).eval()

    def loss(model, x, y, w):
        each = F.cross_entropy(model(x), y, reduction="none")
        return each, {"weight": w, "perplexity": each.exp(), "accuracy": (model(x).argmax(1) == y).float()}

    export_problem(model, loss, data, tmp_path / "w.lossatlas", quiet=True)
    lossatlas("surface", "--problem", tmp_path / "w.lossatlas", "--grid", 3, "--batch-size", 7, "--out",
              tmp_path / "w.h5").ok()
    with torch.no_grad():
        each, more = loss(model, *data)
    w = data[2].double()

    def weighted(values):
        return ((values.double() * w).sum() / w.sum()).item()

    with h5py.File(tmp_path / "w.h5") as h5:
        assert h5["train_loss"][1, 1] == pytest.approx(weighted(each), rel=1e-6)
        assert h5["train_acc"][1, 1] == pytest.approx(100 * weighted(more["accuracy"]), rel=1e-6)
        measures = {entry["name"]: entry for entry in json.loads(h5["lossatlas"].attrs["measures"])}
        assert list(measures) == ["train_loss", "train_acc", "train_perplexity"]
        assert h5["lossatlas/train_perplexity"][1, 1] == pytest.approx(weighted(more["perplexity"]), rel=1e-6)
        assert h5["lossatlas/train_images"][1, 1] == 60
    assert helpers.run_program(helpers.PLOT, tmp_path / "w.h5", "--field", "train_perplexity", "-o",
                               tmp_path / "w.png").status == 0


def test_a_sample_of_few_has_the_stated_error(lossatlas, tmp_path):
    data = (*table(400), torch.rand(400) * 3)
    model = network(norm=False).eval()
    export_problem(model, lambda model, x, y, w: (F.cross_entropy(model(x), y, reduction="none"), {"weight": w}), data,
                   tmp_path / "w.lossatlas", quiet=True)
    with torch.no_grad():
        each, w = F.cross_entropy(model(data[0]), data[1], reduction="none").double(), data[2].double()
    mean, off = ((each * w).sum() / w.sum()).item(), []
    for seed in range(30):
        out = tmp_path / "s.h5"
        lossatlas("line", "--problem", tmp_path / "w.lossatlas", "--split", "train", "--samples", 50, "--sample-seed",
                  seed, "--x", "0:0", "--points", 1, "--out", out, "--force").ok()
        chosen = torch.from_numpy(read(out, "lossatlas/samples_train"))
        assert len(set(chosen.tolist())) == 50
        some, own = each[chosen], w[chosen]
        value = ((some * own).sum() / own.sum()).item()
        assert read(out, "train_loss")[0] == pytest.approx(value, rel=1e-6)
        off.append((value - mean) / read(out, "lossatlas/train_loss_se")[0])
    assert 0.6 < np.sqrt(np.mean(np.square(off))) < 1.5


def test_what_does_not_train_stays(lossatlas, tmp_path):
    data = table()
    model = network(norm=False)
    model[0].requires_grad_(False)
    trained_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_problem(model, "cross-entropy", data, tmp_path / "f.lossatlas", quiet=True)
    lossatlas("surface", "--problem", tmp_path / "f.lossatlas", "--grid", 3, "--save-directions", tmp_path / "d.h5", "--out",
              tmp_path / "f.h5").ok()
    with h5py.File(tmp_path / "d.h5") as h5:
        assert [h5["xdirection"][name].shape for name in sorted(h5["xdirection"])] == [(3, 8), (3,)]
    torch.save({"2.weight": trained_state["2.weight"] * 2, "2.bias": trained_state["2.bias"]}, tmp_path / "head.pt")
    lossatlas("surface", "--problem", tmp_path / "f.lossatlas", "--checkpoint", tmp_path / "head.pt", "--grid", 3, "--out",
              tmp_path / "h.h5").ok()
    with torch.no_grad():
        model[2].weight.mul_(2)
    assert read(tmp_path / "h.h5", "train_loss")[1, 1] == pytest.approx(mean_loss(model.eval(), data), rel=1e-5)
    torch.save({**trained_state, "0.weight": trained_state["0.weight"] + 1}, tmp_path / "base.pt")
    done = lossatlas("surface", "--problem", tmp_path / "f.lossatlas", "--checkpoint", tmp_path / "base.pt", "--grid", 3,
                     "--out", tmp_path / "b.h5")
    assert done.status == 1 and "0.weight is not trained" in done.line()


def test_parameters_of_half_precision_move_in_float32(lossatlas, tmp_path):
    x, y = table()
    model = network(norm=False).to(torch.bfloat16).eval()
    export_problem(model, lambda model, x, y: F.cross_entropy(model(x).float(), y, reduction="none"), (x.bfloat16(), y),
                   tmp_path / "h.lossatlas", quiet=True)
    lossatlas("surface", "--problem", tmp_path / "h.lossatlas", "--grid", 3, "--x", "-0.01:0.01", "--y", "-0.01:0.01", "--ignore",
              "none", "--save-directions", tmp_path / "d.h5", "--out", tmp_path / "h.h5").ok()
    with h5py.File(tmp_path / "d.h5") as h5:
        groups = [[torch.from_numpy(h5[axis][str(i)][()]) for i in range(4)] for axis in ("xdirection", "ydirection")]
    at = network(norm=False).to(torch.bfloat16).eval()
    with torch.no_grad():
        for parameter, dx, dy in zip(at.parameters(), *groups):
            moved = parameter.double() - 0.01 * dx.double().reshape(parameter.shape) + 0.01 * dy.double().reshape(
                parameter.shape)
            parameter.copy_(moved.float().to(torch.bfloat16))
        wanted = F.cross_entropy(at(x.bfloat16()).float(), y).item()
    assert read(tmp_path / "h.h5", "train_loss")[2, 0] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("norm, axes", [("filter", 0), ("column", 1)])
def test_slices_by_module(lossatlas, tmp_path, norm, axes):
    data = table()
    model = network(norm=False)
    export_problem(model, "cross-entropy", data, tmp_path / "p.lossatlas", quiet=True)
    lossatlas("surface", "--problem", tmp_path / "p.lossatlas", "--norm", norm, "--grid", 3, "--save-directions",
              tmp_path / "d.h5", "--out", tmp_path / "s.h5").ok()
    with h5py.File(tmp_path / "d.h5") as h5:
        direction = torch.from_numpy(h5["xdirection"]["0"][()]).reshape(8, 6)
    weight = model[0].weight.detach()
    assert torch.allclose(direction.norm(dim=1 - axes), weight.norm(dim=1 - axes), rtol=1e-5)
    with h5py.File(tmp_path / "s.h5") as h5:
        assert json.loads(h5["lossatlas"].attrs["settings"])["normalization"] == norm
    done = lossatlas("surface", "--problem", tmp_path / "p.lossatlas", "--norm", "head", "--grid", 3, "--out",
                     tmp_path / "h.h5")
    assert done.status == 2 and "no parameter that moves belongs to attention" in done.line()


def test_tolerance_takes_a_part_of_the_samples_and_states_its_error(lossatlas, tmp_path):
    data = (*table(1600), torch.rand(1600) + 0.5)
    model = trained(network(norm=False), data)
    export_problem(model, lambda model, x, y, w: (F.cross_entropy(model(x), y, reduction="none"), {"weight": w}), data,
                   tmp_path / "t.lossatlas", quiet=True)
    words = ["surface", "--problem", tmp_path / "t.lossatlas", "--grid", 21]
    lossatlas(*words, "--out", tmp_path / "all.h5").ok()
    done = lossatlas(*words, "--tolerance", 0.02, "--out", tmp_path / "few.h5").ok()
    assert "sample evaluations" in done.err and "image" not in done.err
    every, few = read(tmp_path / "all.h5", "train_loss"), read(tmp_path / "few.h5", "train_loss")
    span = np.log(every).max() - np.log(every).min()
    assert np.abs(np.log(few) - np.log(every)).max() < 0.02 * span
    assert "train_acc" not in h5py.File(tmp_path / "few.h5")


def test_without_a_test_split_lines_are_of_training_samples(lossatlas, tmp_path):
    data, model = table(), network(norm=False).eval()
    export_problem(model, "cross-entropy", data, tmp_path / "p.lossatlas", quiet=True)
    done = lossatlas("line", "--problem", tmp_path / "p.lossatlas", "--points", 3, "--out", tmp_path / "l.h5").ok()
    assert "has no test split: training samples alone are evaluated" in done.err
    assert read(tmp_path / "l.h5", "train_loss")[1] == pytest.approx(mean_loss(model, data), rel=1e-5)
    assert "test_loss" not in h5py.File(tmp_path / "l.h5")
