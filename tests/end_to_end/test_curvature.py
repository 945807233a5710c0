"""lossatlas curvature against exact Hessians in float64 (PyTorch), Gauss-Newton matrices (curvlinops) and the reference
ResNet20 (tools/reference/curvature.py)."""

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
sys.path += [str(ROOT / "python"), str(ROOT / "tests" / "python")]

from eager import Landscape, randomize_batch_norms  # noqa: E402
from lossatlas import export_problem  # noqa: E402
from networks import CASES  # noqa: E402

SMALL = json.loads((FILES / "small.json").read_text())
# Of the 64 images, from float64 residuals below 4e-4.
RESNET20 = [391.18015, 324.64247, 257.18662, 185.00767, 65.63950]
RESNET20_SMALLEST = -10.51188


def summary(path):
    return json.loads(helpers.attribute(path, "summary"))


def values(entries):
    return np.array([entry["value"] for entry in entries])


def curvature(lossatlas, out, *words):
    done = lossatlas("curvature", *words, "--out", out, "--threads", 1).ok()
    return summary(out), done.err


@pytest.mark.parametrize("name", ["smooth", "kinked"])
def test_numbers_of_a_small_network_are_pytorchs(lossatlas, tmp_path, name):
    out, exact = tmp_path / "c.h5", SMALL[name]
    found, err = curvature(lossatlas, out, "--problem", FILES / f"{name}.lossatlas", "--top", 4, "--low", 2, "--tolerance",
                           1e-4, "--trace", 40, "--by", "module", "--density", 40, "--threshold", 0.5)
    wanted = np.array(exact["hessian"])
    assert values(found["largest"]) == pytest.approx(wanted[:-5:-1], abs=2e-6 * wanted.max())
    assert values(found["smallest"]) == pytest.approx(wanted[1::-1], abs=2e-6 * wanted.max())
    assert found["loss"] == pytest.approx(exact["loss"], rel=1e-6)
    assert found["gradient_norm"] == pytest.approx(exact["gradient_norm"], rel=1e-4)
    trace = found["trace"]
    assert abs(trace["value"] - wanted.sum()) < 4 * trace["se_probes"] < wanted.sum()
    assert trace["se_samples"] == found["largest"][0]["se_samples"] == 0  # all samples were used
    for key, count in (("above", (wanted > 0.5).sum()), ("below", (wanted < -0.5).sum())):
        assert abs(found[key]["count"] - count) <= max(4 * found[key]["se_probes"], 1e-6)
    with h5py.File(out) as file:
        group = file["lossatlas"]
        modules = dict(zip(group["modules/name"].asstr(), zip(group["modules/trace"], group["modules/trace_se"])))
        for module, value in exact["modules"].items():
            assert abs(modules[module][0] - value) < 4 * modules[module][1]
        assert sum(value for value, _ in modules.values()) == pytest.approx(trace["value"], rel=1e-5)
        assert group["diagonal"][()].sum() == pytest.approx(trace["value"], rel=1e-5)
        vectors = group["eigenvectors"][()].astype(float)
        assert vectors @ vectors.T == pytest.approx(np.eye(6), abs=1e-5)
        assert group["parameters/count"][()].sum() == len(wanted) == vectors.shape[1]
    assert ("ReLU, whose slope jumps" in err) == (name == "kinked")
    assert "trace by module" in err and "largest" in err


@pytest.mark.parametrize("name", ["smooth", "kinked"])
def test_every_eigenvalue_of_a_small_network_is_pytorchs(lossatlas, tmp_path, name):
    words = "--problem", FILES / f"{name}.lossatlas", "--top", 1000, "--trace", 0
    curvature(lossatlas, tmp_path / "c.h5", *words)
    wanted = np.array(SMALL[name]["hessian"])
    found = helpers.read(tmp_path / "c.h5")["lossatlas/eigenvalues"]
    assert found == pytest.approx(wanted[::-1], abs=1e-6 * np.abs(wanted).max())


def test_eigenvectors_are_directions_along_which_the_loss_curves_as_much(lossatlas, tmp_path):
    problem, directions = FILES / "smooth.lossatlas", tmp_path / "v.h5"
    found, _ = curvature(lossatlas, tmp_path / "c.h5", "--problem", problem, "--top", 2, "--low", 1, "--trace", 0,
                         "--save-directions", directions)
    h = 0.03
    lossatlas("surface", "--problem", problem, "--axes", 3, "--directions", directions, "--grid", 3,
              *(f"--{axis}={-h}:{h}" for axis in "xyz"), "--out", tmp_path / "s.h5").ok()
    loss = helpers.read(tmp_path / "s.h5")["train_loss"]
    wanted = [*values(found["largest"]), *values(found["smallest"])]
    for axis, eigenvalue in zip((2, 1, 0), wanted):  # x is the last axis of the array
        low, centre, high = np.moveaxis(loss, axis, 0)[:, 1, 1]
        assert (low - 2 * centre + high) / h**2 == pytest.approx(eigenvalue, rel=0.01, abs=2e-3)
    again = lossatlas("curvature", "--problem", problem, "--out", tmp_path / "d.h5", "--save-directions", directions)
    assert again.status == 1 and "v.h5: exists" in again.line()


def test_gauss_newton_is_that_of_curvlinops(lossatlas, tmp_path):
    for name in ("smooth", "kinked"):
        found, _ = curvature(lossatlas, tmp_path / f"{name}.h5", "--problem", FILES / f"{name}.lossatlas", "--operator",
                             "gauss-newton", "--top", 4, "--tolerance", 1e-4, "--trace", 30)
        wanted = np.array(SMALL[name]["gauss_newton"])
        assert values(found["largest"]) == pytest.approx(wanted[:-5:-1], rel=1e-4)
        assert abs(found["smallest"][0]["value"]) < 1e-5 * wanted.max()
        assert abs(found["trace"]["value"] - wanted.sum()) < 4 * found["trace"]["se_probes"]


def with_penalty(model, x, y):
    return F.cross_entropy(model(x), y, reduction="none") + 0.01 * sum(p.square().sum() for p in model.parameters())


def test_a_loss_that_reads_parameters_has_a_hessian_alone(lossatlas, tmp_path):
    torch.manual_seed(6)
    x, y = torch.randn(20, 3), torch.randint(0, 3, (20,))
    model = nn.Linear(3, 3)
    export_problem(model, with_penalty, (x, y), tmp_path / "p.lossatlas", quiet=True)
    words = "--problem", tmp_path / "p.lossatlas", "--trace", 0
    found, _ = curvature(lossatlas, tmp_path / "c.h5", *words, "--top", 12, "--low", 0)
    wanted = exact_hessian(model, lambda network: F.cross_entropy(network(x.double()), y)) + 0.02
    assert values(found["largest"]) == pytest.approx(wanted[::-1], abs=1e-6)
    refused = lossatlas("curvature", *words, "--operator", "gauss-newton", "--out", tmp_path / "g.h5")
    assert refused.status == 1 and "the loss is linear in the outputs" in refused.err and "use --operator hessian" in refused.err


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.project = nn.Linear(4, 12)
        self.head = nn.Linear(4, 5)

    def forward(self, tokens):
        q, k, v = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in self.project(self.embed(tokens)).chunk(3, -1))
        return self.head(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


def exact_hessian(model, loss):
    """loss(network), a function of parameters by functional_call, in float64: eigenvalues, ascending."""
    model = model.double()
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()))

    def of_vector(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        state = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes)}
        return loss(lambda x: torch.func.functional_call(model, state, (x,)))

    vector = torch.cat([p.detach().flatten() for p in model.parameters()])
    return np.linalg.eigvalsh(torch.autograd.functional.hessian(of_vector, vector).numpy())


def test_attention_takes_the_path_that_has_a_second_derivative(lossatlas, tmp_path):
    torch.manual_seed(4)
    model, tokens = Attention().eval(), torch.randint(0, 5, (24, 6))
    export_problem(model, "next-token", (tokens,), tmp_path / "p.lossatlas", quiet=True)
    found, err = curvature(lossatlas, tmp_path / "c.h5", "--problem", tmp_path / "p.lossatlas", "--trace", 0, "--tolerance",
                           1e-4, "--batch-size", 7)
    assert "attention is computed as products and a softmax" in err

    def loss(network):
        logits = network(tokens)[:, :-1]
        return F.cross_entropy(logits.reshape(-1, 5), tokens[:, 1:].reshape(-1))

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        wanted = exact_hessian(model, loss)
    assert values(found["largest"]) == pytest.approx(wanted[:-6:-1], rel=1e-4)
    assert found["smallest"][0]["value"] == pytest.approx(wanted[0], rel=1e-3)


def test_a_subset_of_the_parameters_has_the_block_of_the_hessian(lossatlas, tmp_path):
    data = torch.randn(30, 5), torch.randint(0, 3, (30,))
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    export_problem(model, "cross-entropy", data, tmp_path / "p.lossatlas", quiet=True)
    found, _ = curvature(lossatlas, tmp_path / "c.h5", "--problem", tmp_path / "p.lossatlas", "--trace", 0, "--top", 3,
                         "--tolerance", 1e-4, "--parameters", "2.*")
    hidden = model[1](model[0](data[0])).double().detach()
    wanted = exact_hessian(model[2], lambda network: F.cross_entropy(network(hidden), data[1]))
    assert found["parameters"] == 15
    assert values(found["largest"]) == pytest.approx(wanted[:-4:-1], rel=1e-4)
    refused = lossatlas("curvature", "--problem", tmp_path / "p.lossatlas", "--parameters", "3.*", "--out", tmp_path / "no.h5")
    assert refused.status == 2
    assert refused.line() == ("lossatlas: --parameters 3.*: no parameter has such a name; the first is 0.weight, "
                              "the last 2.bias")


def of_case(name):
    return pytest.param(name, marks=[] if name in ("vit", "lstm", "pinn") else pytest.mark.full)


@pytest.mark.parametrize("name", [of_case(name) for name in CASES])
def test_products_are_those_of_the_original_network_and_loss(lossatlas, tmp_path, name):
    torch.manual_seed(3)
    model, loss, data = CASES[name]()
    randomize_batch_norms(model)
    manifest = export_problem(model, loss, data, tmp_path / "p.lossatlas", quiet=True)
    out = tmp_path / "c.h5"
    found, _ = curvature(lossatlas, out, "--problem", tmp_path / "p.lossatlas", "--top", 1, "--low", 0, "--trace", 0,
                         "--most-products", 4)
    with h5py.File(out) as file:
        group = file["lossatlas"]
        names, counts = group["parameters/name"].asstr()[()], group["parameters/count"][()].tolist()
        vector = torch.from_numpy(group["eigenvectors"][0])
    parameters = [dict(model.named_parameters())[name] for name in names]
    directions = [part.view_as(parameter) for part, parameter in zip(vector.split(counts), parameters)]
    landscape, total, weights = Landscape(model, loss, data, manifest["batch_size"]), 0.0, 0.0
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for first in range(0, landscape.samples, landscape.batch_size):
            each, weight = landscape.batch(slice(first, first + landscape.batch_size))
            gradient = torch.autograd.grad((each * weight.detach()).sum(), parameters, create_graph=True)
            product = torch.autograd.grad(gradient, parameters, directions)
            total += sum((a.double() * b).sum().item() for a, b in zip(product, directions))
            weights += weight.sum().item()
    assert found["largest"][0]["value"] == pytest.approx(total / weights, rel=1e-4)


def test_networks_of_ours_and_of_torchscript_agree(lossatlas, pictures, mlp_run, tmp_path):
    checkpoint = mlp_run / "checkpoints" / "epoch-0002.pt"
    words = "--data", pictures.words, "--samples", 50, "--trace", 2, "--top", 2, "--low", 0
    ours, _ = curvature(lossatlas, tmp_path / "c.h5", "--checkpoint", checkpoint, *words)
    state = helpers.load(checkpoint)["state_dict"]
    layers = []
    for name in (name for name in state if name.endswith("weight")):
        layer = nn.Linear(state[name].shape[1], state[name].shape[0])
        layer.weight.data, layer.bias.data = state[name], state[name.replace("weight", "bias")]
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(nn.Flatten(), *layers[:-1]).eval()
    torch.jit.script(network).save(tmp_path / "s.pt")
    scripted, _ = curvature(lossatlas, tmp_path / "s.h5", "--checkpoint", tmp_path / "s.pt", *words)
    assert values(scripted["largest"]) == pytest.approx(values(ours["largest"]), rel=1e-5)
    assert scripted["trace"]["value"] == pytest.approx(ours["trace"]["value"], rel=1e-5)
    # A Rayleigh quotient in PyTorch, in float64, over the same images and with the errors of batch means.
    images, labels = pictures.batch(indices=helpers.read(tmp_path / "c.h5")["lossatlas/samples"])
    network = network.double()
    parameters = list(network.parameters())
    with h5py.File(tmp_path / "c.h5") as file:
        vector = torch.from_numpy(file["lossatlas/eigenvectors"][0]).double()
        batches = file["lossatlas/eigenvalue_batches"][0]
    directions = [part.view_as(p) for part, p in zip(vector.split([p.numel() for p in parameters]), parameters)]

    def form(images, labels):
        gradient = torch.autograd.grad(F.cross_entropy(network(images), labels), parameters, create_graph=True)
        product = torch.autograd.grad(gradient, parameters, directions)
        return sum((a * b).sum().item() for a, b in zip(product, directions))

    assert form(images, labels) == pytest.approx(ours["largest"][0]["value"], rel=1e-5)
    parts = [form(images[first:first + 32], labels[first:first + 32]) for first in (0, 32)]
    assert batches == pytest.approx(parts, rel=1e-4)
    mean = np.average(parts, weights=[32, 18])
    spread = np.sum((np.array([32, 18]) * (parts - mean)) ** 2) * 2 * (1 - 50 / 200)
    assert ours["largest"][0]["se_samples"] == pytest.approx(np.sqrt(spread) / 50, rel=1e-3)


def test_recalibrated_statistics_are_those_of_the_point(lossatlas, pictures, checkpoint, tmp_path):
    words = "--checkpoint", checkpoint, "--data", pictures.words, "--samples", 20, "--top", 1, "--low", 0, "--trace", 0
    stored, _ = curvature(lossatlas, tmp_path / "a.h5", *words, "--tolerance", 0.1)
    again, _ = curvature(lossatlas, tmp_path / "b.h5", *words, "--tolerance", 0.1, "--bn", "recalibrate", "--bn-images", 64)
    assert stored["loss"] != again["loss"]
    line = tmp_path / "l.h5"
    lossatlas("line", "--checkpoint", checkpoint, "--data", pictures.words, "--samples", 20, "--split", "train", "--points",
              1, "--x", "0:0", "--bn", "recalibrate", "--bn-images", 64, "--out", line).ok()
    assert again["loss"] == pytest.approx(helpers.read(line)["train_loss"].item(), rel=1e-5)


def test_an_interrupted_run_ends_in_the_same_bits(lossatlas, pictures, checkpoint, tmp_path):
    words = ("curvature", "--checkpoint", checkpoint, "--data", pictures.words, "--samples", 16, "--batch-size", 8, "--trace", 5,
             "--density", 2, "--density-steps", 3, "--top", 1, "--low", 0, "--by", "module", "--tolerance", 0.1)
    whole, out = tmp_path / "whole.h5", tmp_path / "c.h5"
    products = out.with_name("c.h5.products")
    lossatlas(*words, "--out", whole, "--threads", 2).ok()
    stopped = helpers.interrupt((*words, "--out", out, "--threads", 1), "Hessian",
                                until=lambda: products.exists() and products.stat().st_size > 100_000)
    assert stopped.status == 130
    assert "continue with: " in stopped.err and "--resume" in stopped.err
    with h5py.File(out) as file:
        assert file["lossatlas"].attrs["finished"] == 0
    refused = lossatlas(*words, "--out", out)
    assert refused.status == 1 and "exists; continue it with --resume" in refused.err
    other = lossatlas(*words, "--seed", 1, "--out", out, "--resume")
    assert other.status == 1 and "this file has other settings: seed was 0, now 1" in other.err
    batches = lossatlas(*(4 if word == 8 else word for word in words), "--out", out, "--resume", "--force")
    assert batches.status == 1 and "was begun with --batch-size 8; resume it with that" in batches.err
    resumed = lossatlas(*words, "--out", out, "--resume", "--threads", 1).ok()
    assert "resuming: " in resumed.err
    assert not products.exists() and not out.with_name("c.h5.lock").exists()
    with h5py.File(whole) as first, h5py.File(out) as second:
        names = []
        first["lossatlas"].visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        assert "eigenvectors" in names and "density/nodes" in names
        for name in names:
            assert np.array_equal(first["lossatlas"][name][()], second["lossatlas"][name][()]), name
        assert first["lossatlas"].attrs["products"] == second["lossatlas"].attrs["products"]
    before = out.read_bytes()
    again = lossatlas(*words, "--out", out, "--resume").ok()
    assert "complete; nothing is left to do" in again.err and out.read_bytes() == before


def test_info_prints_the_numbers(lossatlas, plot, tmp_path):
    out = tmp_path / "c.h5"
    found, err = curvature(lossatlas, out, "--problem", FILES / "smooth.lossatlas", "--by", "module")
    text = lossatlas("info", out).ok().out
    for part in ("Hessian of the mean loss over all 40 train samples, by 85 parameters", "largest", "smallest", "trace by module"):
        assert part in text and part in err
    described = json.loads(lossatlas("info", "--json", out).ok().out)
    assert described["kind"] == "curvature" and described["summary"] == found
    assert [module["name"] for module in described["modules"]] == ["0", "2", "4"]
    assert described["settings"]["operator"] == "hessian" and described["settings"]["samples"] == 40
    plot(out, "-o", tmp_path / "c.png").ok()


def test_every_command_takes_all_samples(lossatlas, tmp_path):
    problem = FILES / "smooth.lossatlas"
    for number, command in enumerate((("surface", "--grid", 1, "--x", "0:0", "--y", "0:0"), ("line", "--points", 1, "--x", "0:0"),
                                      ("curvature", "--trace", 1, "--top", 1, "--low", 0))):
        out = tmp_path / f"{number}.h5"
        lossatlas(*command, "--problem", problem, "--samples", "all", "--out", out).ok()
        assert helpers.settings(out)["samples"] == 40 and helpers.settings(out)["sample_seed"] is None
    few = tmp_path / "few.h5"
    curvature(lossatlas, few, "--problem", problem, "--samples", 10, "--trace", 0, "--top", 1, "--low", 0)
    assert helpers.settings(few)["samples"] == 10


def test_a_loss_that_is_not_finite_has_no_curvature(lossatlas, tmp_path):
    state = {name: torch.full(shape, 1e30) for name, shape in (("0.weight", (6, 6)), ("0.bias", (6,)), ("2.weight", (4, 6)),
                                                               ("2.bias", (4,)), ("4.weight", (3, 4)), ("4.bias", (3,)))}
    state["4.weight"][:] = 3e38
    torch.save(state, tmp_path / "f.pt")
    done = lossatlas("curvature", "--problem", FILES / "smooth.lossatlas", "--checkpoint", tmp_path / "f.pt", "--out",
                     tmp_path / "c.h5")
    assert done.status == 1
    assert "the loss at this point is not a number: it has no curvature" in done.err


def test_another_file_is_not_replaced_as_journal(lossatlas, tmp_path):
    (tmp_path / "c.h5.products").write_text("mine")
    done = lossatlas("curvature", "--problem", FILES / "smooth.lossatlas", "--out", tmp_path / "c.h5")
    assert done.status == 1 and "not a journal of `lossatlas curvature`" in done.line()
    assert (tmp_path / "c.h5.products").read_text() == "mine"


RESNET20_WORDS = "--checkpoint", FILES / "resnet20.pt", "--data", f"cifar10:{FILES / 'images'}", "--samples", "all"


@pytest.mark.full
def test_numbers_of_the_reference(lossatlas, tmp_path):
    found, _ = curvature(lossatlas, tmp_path / "c.h5", *RESNET20_WORDS)
    assert values(found["largest"]) == pytest.approx(RESNET20, rel=1e-4)
    assert found["smallest"][0]["value"] == pytest.approx(RESNET20_SMALLEST, rel=1e-3)
    assert abs(found["trace"]["value"] - 1797) < 3 * np.hypot(found["trace"]["se_probes"], 62)
    assert found["trace"]["se_probes"] < 0.05 * 1797
    assert found["products"] <= 25 + 6 + 16
