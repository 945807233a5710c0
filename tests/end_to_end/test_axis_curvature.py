"""Curvature along each axis at the centre: second differences of the loss at scale h, and dᵀHd by autodiff, against PyTorch in
float64."""

import json
import pathlib
import sys

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ROOT / "tests" / "files" / "curvature"
sys.path += [str(ROOT / "python")]

from lossatlas import export_problem  # noqa: E402


def axes_of(path):
    return json.loads(helpers.attribute(path, "axis_curvatures"))


def trained(activation, samples=1500):
    """20-64-64-4 on the labels of a random network."""
    torch.manual_seed(0)
    data = torch.randn(samples, 20)
    labels = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 4))(data).argmax(1)
    model = nn.Sequential(nn.Linear(20, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(data), labels).backward()
        optimizer.step()
    return model.eval(), data, labels


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """{name: (model in float64, data, labels, problem file)}"""
    folder, found = tmp_path_factory.mktemp("networks"), {}
    for name, activation in (("relu", nn.ReLU), ("gelu", nn.GELU)):
        model, data, labels = trained(activation)
        export_problem(model, "cross-entropy", (data, labels), folder / f"{name}.lossatlas", quiet=True)
        found[name] = model.double(), data.double(), labels, folder / f"{name}.lossatlas"
    return found


def losses(model, data, labels, direction, step):
    """Of each sample, in float64."""
    state = {name: p.detach() + step * d.double() for (name, p), d in zip(model.named_parameters(), direction, strict=True)}
    return F.cross_entropy(torch.func.functional_call(model, state, (data,)), labels, reduction="none")


def second_differences(model, data, labels, direction, step):
    plus, centre, minus = (losses(model, data, labels, direction, at) for at in (step, 0, -step))
    return ((plus - 2 * centre + minus) / step**2).detach().numpy()


def by_double_backward(model, data, labels, direction):
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(F.cross_entropy(model(data), labels), parameters, create_graph=True)
    product = torch.autograd.grad(gradient, parameters, [d.double() for d in direction])
    return sum((a * b).sum().item() for a, b in zip(product, direction))


def surface(lossatlas, out, problem, *words):
    return lossatlas("surface", "--problem", problem, "--grid", 3, *words, "--out", out).ok()


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_numbers_are_those_of_float64(lossatlas, networks, tmp_path, name):
    model, data, labels, problem = networks[name]
    done = surface(lossatlas, tmp_path / "s.h5", problem, "--curvature", "--save-directions", tmp_path / "d.h5")
    axes, size = axes_of(tmp_path / "s.h5"), np.sqrt(sum(p.square().sum().item() for p in model.parameters()))
    assert [axis["axis"] for axis in axes] == ["x", "y"]
    for axis, direction in zip(axes, helpers.plane_of(tmp_path / "d.h5"), strict=True):
        length = np.sqrt(sum(d.double().square().sum().item() for d in direction))
        assert axis["direction_norm"] == pytest.approx(length, rel=1e-6)
        assert axis["step"] * length == pytest.approx(0.03 * size, rel=1e-6)
        assert axis["samples"] == 1500
        for scale, multiple in zip(axis["scale"], (0.5, 1, 2), strict=True):
            assert scale["step"] == pytest.approx(multiple * axis["step"])
            wanted = second_differences(model, data, labels, direction, scale["step"]).mean()
            assert scale["value"] == pytest.approx(wanted, rel=2e-3)
            assert scale["standard_error"] == 0  # all samples
        exact = by_double_backward(model, data, labels, direction)
        assert axis["autodiff"]["value"] == pytest.approx(exact, rel=1e-5)
        assert axis["autodiff"]["standard_error"] == 0
        assert f"along {axis['axis']}: dᵀHd {exact:.3g} by autodiff, " in done.err
        rise = axis["scale"][1]["value"] / exact - 1
        assert rise > 0.05 if name == "relu" else abs(rise) < 5e-3
    assert ("ReLU, whose slope jumps" in done.err) == (name == "relu")
    described = lossatlas("info", tmp_path / "s.h5").ok().out
    assert "by autodiff" in described and "at scale h = " in described and "per unit length" in described
    assert json.loads(lossatlas("info", "--json", tmp_path / "s.h5").ok().out)["summary"]["axis_curvatures"] == axes


def test_smooth_networks_agree_with_autodiff(lossatlas, networks, tmp_path):
    surface(lossatlas, tmp_path / "s.h5", networks["gelu"][3], "--curvature", "--step", 0.05)
    for axis in axes_of(tmp_path / "s.h5"):
        assert axis["step"] == 0.05
        assert axis["scale"][1]["value"] == pytest.approx(axis["autodiff"]["value"], rel=1e-3)
        assert axis["scale"][0]["value"] == pytest.approx(axis["autodiff"]["value"], rel=2e-4)


def test_errors_over_samples_are_numpys(lossatlas, networks, tmp_path):
    model, data, labels, problem = networks["relu"]
    words = "line", "--problem", problem, "--points", 3, "--samples", 200, "--save-directions", tmp_path / "d.h5"
    lossatlas(*words, "--split", "train", "--curvature", "--out", tmp_path / "l.h5").ok()
    indices = helpers.read(tmp_path / "l.h5")["lossatlas/samples_train"]
    direction = helpers.read_directions(tmp_path / "d.h5")
    axis, = axes_of(tmp_path / "l.h5")
    for scale in axis["scale"]:
        each = second_differences(model, data[indices], labels[indices], direction, scale["step"])
        assert scale["value"] == pytest.approx(each.mean(), rel=5e-3)
        error = each.std(ddof=1) / np.sqrt(200) * np.sqrt(1 - 200 / 1500)
        assert scale["standard_error"] == pytest.approx(error, rel=5e-3)
    parts = [slice(first, min(first + 12, 200)) for first in range(0, 200, 12)]
    counts = np.array([part.stop - part.start for part in parts])
    forms = np.array([by_double_backward(model, data[indices[part]], labels[indices[part]], direction) for part in parts])
    beyond = counts * (forms - np.average(forms, weights=counts))
    wanted = np.sqrt((beyond**2).sum() * len(parts) / (len(parts) - 1) * (1 - 200 / 1500)) / 200
    assert axis["autodiff"]["standard_error"] == pytest.approx(wanted, rel=1e-3)


def test_bits_depend_neither_on_threads_nor_on_shards(lossatlas, networks, tmp_path):
    problem = networks["relu"][3]
    words = "--samples", 300, "--curvature"
    surface(lossatlas, tmp_path / "a.h5", problem, *words, "--threads", 1)
    surface(lossatlas, tmp_path / "b.h5", problem, *words, "--threads", 3)
    for number in (1, 2):
        surface(lossatlas, tmp_path / "p.h5", problem, *words, "--shard", f"{number}/2")
    parts = [tmp_path / f"p-{number}-of-2.h5" for number in (1, 2)]
    lossatlas("merge", *parts, "--out", tmp_path / "m.h5").ok()
    assert axes_of(tmp_path / "a.h5") == axes_of(tmp_path / "b.h5") == axes_of(tmp_path / "m.h5")
    with h5py.File(parts[1]) as file:
        assert "axis_curvatures" not in file["lossatlas"].attrs


def test_a_resumed_run_keeps_what_is_there(lossatlas, networks, tmp_path):
    problem, out = networks["relu"][3], tmp_path / "s.h5"
    words = problem, "--samples", 100
    surface(lossatlas, out, *words)
    first = axes_of(out)
    assert all(axis["autodiff"] is None for axis in first)
    with h5py.File(out, "a") as file:
        kept = json.loads(file["lossatlas"].attrs["axis_curvatures"])
        kept[0]["scale"][0]["value"] = 123.0
        file["lossatlas"].attrs["axis_curvatures"] = json.dumps(kept)
    done = surface(lossatlas, out, *words, "--resume")
    assert "nothing is left to do" in done.err and axes_of(out) == kept
    surface(lossatlas, out, *words, "--resume", "--curvature")  # adds what is asked for, and no more
    added = axes_of(out)
    assert all(axis.pop("autodiff")["value"] > 0 for axis in added)
    assert added == [{name: value for name, value in axis.items() if name != "autodiff"} for axis in kept]
    with h5py.File(out, "a") as file:  # as files of before were, which stay as they are
        del file["lossatlas"].attrs["axis_curvatures"]
    lossatlas("info", out).ok()
    before = out.read_bytes()
    assert "nothing is left to do" in surface(lossatlas, out, *words, "--resume").err and out.read_bytes() == before
    with h5py.File(out, "a") as file:  # as a run that was interrupted when only this was missing leaves it
        provenance = json.loads(file["lossatlas"].attrs["provenance"])
        file["lossatlas"].attrs["provenance"] = json.dumps({**provenance, "axis_curvatures_to_come": True})
    surface(lossatlas, out, *words, "--resume")
    assert axes_of(out) == first and "to_come" not in helpers.attribute(out, "provenance")
    surface(lossatlas, out, *words, "--resume", "--step", 0.2)
    assert [axis["step"] for axis in axes_of(out)] == [0.2, 0.2]


def test_a_reconstructed_surface_takes_a_part_of_its_samples(lossatlas, networks, tmp_path):
    model, data, labels, problem = networks["relu"]
    lossatlas("surface", "--problem", problem, "--grid", 9, "--tolerance", 0.1, "--save-directions", tmp_path / "d.h5", "--out",
              tmp_path / "s.h5").ok()
    cost = json.loads(helpers.attribute(tmp_path / "s.h5", "provenance"))["image_evaluations"]
    indices = helpers.read(tmp_path / "s.h5")["lossatlas/samples_train"]
    for axis, direction in zip(axes_of(tmp_path / "s.h5"), helpers.plane_of(tmp_path / "d.h5"), strict=True):
        assert axis["samples"] == max(32, int(0.03 * cost / 13)) < 1500
        some = indices[:axis["samples"]]
        wanted = second_differences(model, data[some], labels[some], direction, axis["step"]).mean()
        assert axis["scale"][1]["value"] == pytest.approx(wanted, rel=5e-3)
        assert axis["scale"][1]["standard_error"] > 0


def test_of_several_draws_the_first_is_measured(lossatlas, networks, tmp_path):
    problem = networks["gelu"][3]
    surface(lossatlas, tmp_path / "a.h5", problem, "--samples", 60)
    done = surface(lossatlas, tmp_path / "b.h5", problem, "--samples", 60, "--repeat", 2)
    assert axes_of(tmp_path / "a.h5") == axes_of(tmp_path / "b.h5")
    assert "curvature along x of the first draw: " in done.err


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.project, self.head = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        return self.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


def test_attention_keeps_its_bits_in_the_sweep(lossatlas, tmp_path):
    """The path that has second derivatives rounds otherwise: it is taken after the sweep."""
    torch.manual_seed(2)
    model, x, labels = Attention().eval(), torch.randn(40, 8, 4), torch.randint(0, 3, (40,))
    export_problem(model, "cross-entropy", (x, labels), tmp_path / "p.lossatlas", quiet=True)
    words = "line", "--problem", tmp_path / "p.lossatlas", "--split", "train", "--points", 5, "--save-directions"
    lossatlas(*words, tmp_path / "d.h5", "--out", tmp_path / "a.h5").ok()
    done = lossatlas(*words, tmp_path / "e.h5", "--curvature", "--out", tmp_path / "b.h5").ok()
    assert "attention is computed as products and a softmax" in done.err
    first, second = (helpers.read(tmp_path / f"{name}.h5")["train_loss"] for name in "ab")
    assert first.tobytes() == second.tobytes()
    direction, (axis,) = helpers.read_directions(tmp_path / "d.h5"), axes_of(tmp_path / "b.h5")
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        exact = by_double_backward(model.double(), x.double(), labels, direction)
    assert axis["autodiff"]["value"] == pytest.approx(exact, rel=1e-4)
    assert axis["scale"][1]["value"] == pytest.approx(exact, rel=0.02)


def test_planes_through_checkpoints_have_none(lossatlas, networks, tmp_path):
    model, _, _, problem = networks["relu"]
    torch.save({name: tensor.float() * 1.1 for name, tensor in model.state_dict().items()}, tmp_path / "b.pt")
    words = "line", "--problem", problem, "--split", "train", "--to", tmp_path / "b.pt", "--points", 3
    lossatlas(*words, "--out", tmp_path / "l.h5").ok()
    with h5py.File(tmp_path / "l.h5") as file:
        assert "axis_curvatures" not in file["lossatlas"].attrs
    refused = lossatlas(*words, "--step", 0.1, "--out", tmp_path / "m.h5")
    assert refused.status == 2 and refused.line().startswith("lossatlas: --step: requires random directions")


@pytest.mark.full
def test_the_reference_resnet20_along_its_leading_eigenvector(lossatlas, tmp_path):
    words = "--checkpoint", FILES / "resnet20.pt", "--data", f"cifar10:{FILES / 'images'}"
    lossatlas("curvature", *words, "--samples", "all", "--top", 1, "--low", 0, "--trace", 0, "--save-directions",
              tmp_path / "v.h5", "--out", tmp_path / "c.h5").ok()
    lossatlas("line", *words, "--split", "train", "--directions", tmp_path / "v.h5", "--points", 1, "--x", "0:0", "--curvature",
              "--out", tmp_path / "l.h5").ok()
    axis, = axes_of(tmp_path / "l.h5")
    assert axis["autodiff"]["value"] == pytest.approx(391.18015, rel=1e-4)
    assert axis["direction_norm"] == pytest.approx(1, rel=1e-5)
    state, (images, labels) = helpers.state_of(FILES / "resnet20.pt"), reference_images()
    direction = helpers.read_directions(tmp_path / "v.h5")
    step = axis["step"]
    plus, centre, minus = (F.cross_entropy(helpers.resnet20(helpers.at(state, [direction], [at]), images), labels).item()
                           for at in (step, 0, -step))
    assert axis["scale"][1]["value"] == pytest.approx((plus - 2 * centre + minus) / step**2, rel=1e-3)


def test_the_trace_at_scale_h(lossatlas, networks, tmp_path):
    """At the checkpoint and on a surface, against float64 second differences along the same signs."""
    for name in ("relu", "gelu"):
        model, data, labels, problem = networks[name]
        out = tmp_path / f"{name}.h5"
        words = "curvature", "--problem", problem, "--samples", 400, "--top", 0, "--low", 0, "--trace", 4
        done = lossatlas(*words, "--scale-curvature", 4, "--out", out).ok()
        summary = json.loads(helpers.attribute(out, "summary"))
        scale, exact = summary["scale_trace"], summary["trace"]
        assert f"at scale h = {scale['step']:.3g}" in done.err and "by forward passes" in done.err
        assert ("counts the jumps" in done.err) == (name == "relu")
        parameters = list(model.parameters())
        size = sum(p.numel() for p in parameters)
        norm = np.sqrt(sum(p.square().sum().item() for p in parameters))
        assert scale["step"] == pytest.approx(0.03 * norm / np.sqrt(size), rel=1e-6)
        with h5py.File(out) as file:
            probes, by_autodiff = file["lossatlas/scale_trace/probes"][()], file["lossatlas/trace/probes"][()]
            indices = file["lossatlas/samples"][()]
        assert scale["value"] == pytest.approx(probes.mean())
        assert scale["se_probes"] == pytest.approx(probes.std(ddof=1) / 2)
        if name == "gelu":  # the same signs, and no kinks
            assert probes == pytest.approx(by_autodiff, rel=5e-3)
            assert scale["se_samples"] == pytest.approx(exact["se_samples"], rel=0.5)
        else:
            assert scale["value"] > 1.05 * exact["value"]
    whole = tmp_path / "s.h5"
    lossatlas("surface", "--problem", problem, "--grid", 3, "--samples", 400, "--scale-curvature", 4, "--threads", 2,
              "--save-directions", tmp_path / "d.h5", "--out", whole).ok()
    traces = helpers.read(whole)["lossatlas/train_scale_trace"]
    assert traces[1, 1] == pytest.approx(scale["value"], rel=1e-5)
    point = [p.detach() + d.double() for p, d in zip(parameters, helpers.plane_of(tmp_path / "d.h5")[0])]
    state = {name: p for (name, _), p in zip(model.named_parameters(), point)}
    moved = torch.nn.Sequential(*(nn.Linear(m.in_features, m.out_features) if isinstance(m, nn.Linear) else m for m in model))
    moved = moved.double()
    moved.load_state_dict(state)
    torch.save({name: p.float() for name, p in state.items()}, tmp_path / "moved.pt")
    lossatlas(*words, "--checkpoint", tmp_path / "moved.pt", "--scale-curvature", 4, "--step", scale["step"], "--out",
              tmp_path / "m.h5").ok()
    there = json.loads(helpers.attribute(tmp_path / "m.h5", "summary"))["scale_trace"]
    assert traces[1, 2] == pytest.approx(there["value"], rel=1e-3)
    lossatlas("info", whole).ok()


def test_the_trace_at_scale_h_depends_neither_on_threads_nor_on_shards(lossatlas, networks, tmp_path):
    words = "--samples", 100, "--scale-curvature", 2
    surface(lossatlas, tmp_path / "a.h5", networks["relu"][3], *words, "--threads", 1)
    for number in (1, 2):
        surface(lossatlas, tmp_path / "p.h5", networks["relu"][3], *words, "--threads", 2, "--shard", f"{number}/2")
    lossatlas("merge", tmp_path / "p-1-of-2.h5", tmp_path / "p-2-of-2.h5", "--out", tmp_path / "m.h5").ok()
    first, merged = (helpers.read(tmp_path / name)["lossatlas/train_scale_trace"] for name in ("a.h5", "m.h5"))
    assert np.array_equal(first, merged) and np.isfinite(first).all()
    for name in ("a", "b"):
        lossatlas("curvature", "--problem", networks["relu"][3], "--samples", 100, "--top", 0, "--low", 0, "--trace", 0,
                  "--scale-curvature", 3, "--threads", 1 + (name == "b"), "--out", tmp_path / f"{name}c.h5").ok()
    first, second = (h5py.File(tmp_path / f"{name}c.h5")["lossatlas/scale_trace/probes"][()] for name in ("a", "b"))
    assert np.array_equal(first, second) and len(first) == 3
    refused = lossatlas("surface", "--problem", networks["relu"][3], "--tolerance", 0.1, "--scale-curvature", 2, "--out",
                        tmp_path / "no.h5")
    assert refused.status == 2 and "--tolerance: cannot be used with --scale-curvature" in refused.line()


def reference_images():
    """As the checkpoint takes them, in float64."""
    found = [np.fromfile(file, np.uint8).reshape(-1, 3073) for file in sorted((FILES / "images").glob("data_batch_?.bin"))]
    records = np.concatenate(found)
    metadata = helpers.load(FILES / "resnet20.pt")
    mean, std = (torch.tensor(metadata[name], dtype=torch.float64).view(1, 3, 1, 1) for name in ("mean", "std"))
    pixels = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()).double() / 255
    return (pixels - mean) / std, torch.from_numpy(records[:, 0].astype(np.int64))


def test_a_step_lost_in_rounding_is_warned_of(lossatlas, networks, tmp_path):
    words = "--problem", networks["relu"][3], "--samples", 64
    done = lossatlas("surface", *words, "--grid", 2, "--step", 1e-9, "--out", tmp_path / "s.h5").ok()
    for axis in "xy":
        assert f"warning: D(h) along {axis}, " in done.err
    assert done.err.count("is lost in the rounding of the losses") == 2 and "choose a larger --step" in done.err
    done = lossatlas("curvature", *words, "--top", 0, "--low", 0, "--trace", 0, "--scale-curvature", 2, "--step", 1e-9, "--out",
                     tmp_path / "c.h5").ok()
    assert "warning: the trace at scale h, " in done.err
    done = lossatlas("surface", *words, "--grid", 2, "--out", tmp_path / "t.h5").ok()
    assert "lost in the rounding" not in done.err
