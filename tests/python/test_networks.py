"""Every network of networks.py: what is stored gives the losses, gradients and Hessian-vector products of the network
itself, at other parameters and, where that is promised, at batches of other sizes."""

from __future__ import annotations

import pytest
import torch
from networks import CASES
from replay import Replay
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lossatlas import export_problem
from lossatlas.losses import NamedLoss, as_tuple

WAYS = {"pinn": "make_fx symbolic, then torch.export", "vmap-mask": "make_fx symbolic, then torch.export",
        "pinn-func": "make_fx real, then torch.export with a fixed batch"}


def products(loss: Tensor, parameters: list[Tensor], vector: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Gradient of the mean and its Hessian times a vector."""
    gradient = torch.autograd.grad(loss.mean(), parameters, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradient, vector))
    return list(gradient), [torch.zeros_like(p) if h is None else h for p, h in zip(
        parameters, torch.autograd.grad(along, parameters, allow_unused=True))]


def close(a: list[Tensor], b: list[Tensor], tolerance: float) -> bool:
    size = max(float(torch.stack([t.detach().norm() for t in b]).norm()), 1e-12)
    return all(float((x - y).detach().norm()) <= tolerance * size for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_stored_problem_is_the_network(name: str, tmp_path) -> None:
    torch.manual_seed(3)
    model, loss, data = CASES[name]()
    manifest = export_problem(model, loss, data, tmp_path / "p.lossatlas", quiet=True)
    stored = Replay(tmp_path / "p.lossatlas")
    assert stored.manifest == manifest
    assert manifest["graphs"]["eval"]["way"] == WAYS.get(name, "torch.export")
    assert manifest["batch"] == (40 if name == "pinn-func" else "any")
    has_batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert (manifest["graphs"]["train"] is not None) == has_batch_norm
    assert b"flash_attention" not in stored.zip.read("graph.json")  # kernels of one device, once differentiable
    data = as_tuple(data)
    for read, given in zip(stored.data(), data, strict=True):
        assert torch.equal(read, given)

    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    own = dict(model.named_parameters())
    names = [entry["name"] for entry in manifest["parameters"]]
    assert names == list(own)
    function = NamedLoss(loss) if isinstance(loss, str) else loss
    moved = [own[n].detach().clone().requires_grad_() for n in names]
    vector = [torch.randn_like(p) for p in moved]
    batch = [t[:40 if name == "pinn-func" else 7] for t in data]
    with sdpa_kernel(SDPBackend.MATH):
        replayed = stored.run([t.clone() for t in batch], moved)
        result = function(model, *[t.clone() for t in batch])
        outputs = {"loss": result[0], **result[1]} if isinstance(result, tuple) else {"loss": result}
        assert list(outputs) == manifest["outputs"]
        for key, value in outputs.items():
            torch.testing.assert_close(replayed[key], value.float(), rtol=1e-6, atol=1e-7)
        ours = products(replayed["loss"], moved, vector)
        eager = products(outputs["loss"], [own[n] for n in names], vector)
    assert close(ours[0], eager[0], 1e-5)
    assert close(ours[1], eager[1], 1e-4)


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_train_graph_updates_the_statistics_of_batch_norm(name: str, tmp_path) -> None:
    torch.manual_seed(4)
    model, loss, data = CASES[name]()
    export_problem(model, loss, data, tmp_path / "p.lossatlas", quiet=True)
    stored = Replay(tmp_path / "p.lossatlas")
    buffers = [t.clone() for t in stored.buffers]
    stored.run([t[:9] for t in data], buffers=buffers, mode="train")
    model.train()  # no dropout in these two
    model(data[0][:9])
    norms = stored.manifest["batch_norms"]
    updated = dict(zip([entry["name"] for entry in stored.manifest["buffers"]], buffers))
    assert len(norms) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    for norm in norms:
        own = model.get_submodule(norm["module"])
        assert norm["momentum"] == own.momentum
        for entry in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(updated[norm[entry]], getattr(own, entry))


class Regions(nn.Module):
    """Parts without gradients and under autocast, a list of tensors, an index, a change in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            mean = self.first(x).mean(1, keepdim=True)
        hidden = self.first(x) - mean
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.last(hidden)
        one, two = logits.float().split([1, 2], 1)
        return torch.cat([two, one], 1)[:, torch.tensor([2, 0, 1])].mul_(2.0)


def test_regions_of_a_graph(tmp_path) -> None:
    torch.manual_seed(6)
    model, x, y = Regions(), torch.randn(30, 6), torch.randint(0, 3, (30,))
    manifest = export_problem(model, "cross-entropy", (x, y), tmp_path / "p.lossatlas", quiet=True)
    assert manifest["graphs"]["eval"]["way"] == "torch.export"
    parameters = list(model.parameters())
    stored = Replay(tmp_path / "p.lossatlas")
    given = [t.requires_grad_() for t in stored.parameters]
    own = nn.functional.cross_entropy(model(x), y, reduction="none")
    replayed = stored.run([x, y], given)["loss"]
    torch.testing.assert_close(replayed, own)
    gradients = torch.autograd.grad(replayed.mean(), given), torch.autograd.grad(own.mean(), parameters)
    assert close(*map(list, gradients), 1e-6)


def test_reference_is_what_the_network_gives(tmp_path) -> None:
    torch.manual_seed(5)
    model, loss, data = CASES["gpt"]()
    reference = export_problem(model, loss, data, tmp_path / "p.lossatlas", quiet=True)["reference"]
    number = reference["samples"]
    logits = model.eval()(data[:number])[:, :-1].transpose(1, 2)
    each = nn.functional.cross_entropy(logits, data[:number, 1:], reduction="none")
    torch.testing.assert_close(torch.tensor(reference["outputs"]["loss"]), each.mean(1))
    assert reference["outputs"]["weight"] == [11.0] * number
    each.mean().backward()
    for name, parameter in model.named_parameters():
        assert reference["gradient_norms"][name] == pytest.approx(float(parameter.grad.norm()), rel=1e-4, abs=1e-8)
