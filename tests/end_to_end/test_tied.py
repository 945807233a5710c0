"""TorchScript files in which two names are one tensor, or share a part of their memory."""

import itertools
import json

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Tied(nn.Module):
    """b.weight is a.weight: the same parameter, or another one in the same memory."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(48, 48), nn.Linear(48, 48), nn.Linear(48, 10)
        if how == "parameter":
            self.b.weight = self.a.weight
        elif how == "memory":
            self.b.weight = nn.Parameter(self.a.weight.data)
        elif how == "transposed":
            self.b.weight = nn.Parameter(self.a.weight.data.t())

    def forward(self, x):
        x = F.avg_pool2d(x, 8).flatten(1)
        return self.out(F.relu(self.b(F.relu(self.a(x)))))


class Branching(Tied):
    """The same for images of any size: what it does depends on their shape, and on how many there are."""

    def forward(self, x):
        if x.size(2) > 16:
            x = F.avg_pool2d(x, x.size(2) // 4)
        else:
            x = F.interpolate(x, [4, 4])
        if x.size(0) == 1:
            x = x * 1.0
        x = x.flatten(1)
        for _ in range(x.size(1) // 24):
            x = F.relu(self.b(F.relu(self.a(x))))
        return self.out(x)


def save(how, path, seed=0, kind="scripted", network=Tied):
    torch.manual_seed(seed)
    net = network(how).eval()
    script = torch.jit.script(net) if kind == "scripted" else torch.jit.trace(net, torch.zeros(2, 3, 32, 32))
    script.save(str(path))
    return net


def loss_at(net, directions, coordinates, images, labels):
    """In float64, one tensor moved once."""
    moved = {}
    parameters = [(name, p) for name, p in net.named_parameters() if name != "b.weight"]
    for i, (name, parameter) in enumerate(parameters):
        moved[name] = parameter.double() + sum(c * d[i].double() for c, d in zip(coordinates, directions))
    moved["b.weight"] = moved["a.weight"]
    logits = torch.func.functional_call(net, moved, (images,), tie_weights=False)
    squares = sum(moved[name].square().sum().item() for name, _ in parameters)
    return F.cross_entropy(logits, labels).item(), squares


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("how, kind, network", [
    case if case in (("parameter", "traced", Tied), ("memory", "scripted", Branching)) else pytest.param(*case, marks=pytest.mark.full)
    for case in itertools.product(["parameter", "memory"], ["scripted", "traced"], [Tied, Branching])])
def test_a_tensor_counts_once(lossatlas, pictures, tmp_path, how, kind, network):
    net = save(how, tmp_path / "net.pt", kind=kind, network=network)
    described = json.loads(lossatlas("info", "--json", tmp_path / "net.pt").ok().out)
    assert described["tied"] == [{"name": "b.weight", "tensor": "a.weight"}]
    assert described["numbers"] == 48 * 48 + 48 + 48 + 48 * 10 + 10
    assert "b.weight" in lossatlas("info", tmp_path / "net.pt").ok().out
    out = tmp_path / "s.h5"
    words = ["surface", "--checkpoint", tmp_path / "net.pt", "--data", pictures.words, "--out", out, "--grid", "2x2",
             "--x=-0.5:0.5", "--y=-0.5:0.5", "--l2", "2", "--engine", "eager"]
    lossatlas(*words, "--save-directions", tmp_path / "d.h5").ok()
    directions = helpers.plane_of(tmp_path / "d.h5")
    assert [len(direction) for direction in directions] == [5, 5]
    found = helpers.read(out)
    loss, squares = loss_at(net, directions, (-0.5, 0.5), *pictures.batch())
    assert found["train_loss"][1, 0] == pytest.approx(loss, rel=1e-5)
    assert found["lossatlas/l2"][1, 0] == pytest.approx(squares, rel=1e-6)
    lossatlas(*words, "--directions", tmp_path / "d.h5", "--force").ok()  # its own directions, read again
    np.testing.assert_array_equal(helpers.read(out)["train_loss"], found["train_loss"])


def test_a_state_dict_may_hold_both_names(lossatlas, pictures, tmp_path):
    save("parameter", tmp_path / "a.pt", 0)
    net = save("parameter", tmp_path / "b.pt", 1)
    torch.save(net.state_dict(), tmp_path / "b_state.pt")
    one = {name: tensor for name, tensor in net.state_dict().items() if name != "a.weight"}
    torch.save(one, tmp_path / "b_one.pt")
    losses = []
    for end in ("b.pt", "b_state.pt", "b_one.pt"):
        words = ["--data", pictures.words, "--out", tmp_path / "l.h5", "--force"]
        lossatlas("line", "--checkpoint", tmp_path / "a.pt", "--to", tmp_path / end, "--points", 5, *words).ok()
        losses.append(helpers.read(tmp_path / "l.h5")["train_loss"])
    np.testing.assert_array_equal(losses[0], losses[1])
    np.testing.assert_array_equal(losses[0], losses[2])
    torch.save({**net.state_dict(), "b.weight": net.b.weight.data + 1}, tmp_path / "other.pt")
    done = lossatlas("line", "--checkpoint", tmp_path / "a.pt", "--to", tmp_path / "other.pt", *words)
    assert done.status == 1 and "a.weight and b.weight are one tensor in the network" in done.line()
    runs = f"{tmp_path / 'other.pt'},{tmp_path / 'b.pt'},{tmp_path / 'a.pt'}"
    done = lossatlas("trajectory", "--checkpoints", runs, "--bn", "stored", *words)
    assert done.status == 1 and "a.weight and b.weight are one tensor in the network" in done.line()


def test_distances_count_it_once(lossatlas, pictures, tmp_path):
    nets = [save("memory", tmp_path / f"{i}.pt", i) for i in range(4)]
    torch.save(nets[1].state_dict(), tmp_path / "1.pt")
    files = ",".join(str(tmp_path / f"{i}.pt") for i in range(4))
    lossatlas("trajectory", "--checkpoints", files, "--data", pictures.words, "--out", tmp_path / "t.h5", "--grid", "2x2",
              "--bn", "stored", "--save-directions", tmp_path / "d.h5").ok()
    lengths = []
    with h5py.File(tmp_path / "t.h5") as file:
        file.visititems(lambda name, node: lengths.append(node[()]) if name.endswith("/length") else None)
    flat = [torch.cat([p.double().flatten() for n, p in net.named_parameters() if n != "b.weight"]) for net in nets]
    wanted = [(v - flat[-1]).norm().item() for v in flat]
    np.testing.assert_allclose(lengths[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("command", ["surface", "info"])
def test_other_views_of_the_same_numbers_are_refused(lossatlas, pictures, tmp_path, command):
    save("transposed", tmp_path / "net.pt")
    words = {"surface": ["--checkpoint", tmp_path / "net.pt", "--data", pictures.words, "--out", tmp_path / "s.h5"],
             "info": [tmp_path / "net.pt"]}[command]
    done = lossatlas(command, *words)
    assert done.status == 1 and "a.weight and b.weight" in done.line() and done.line().count("net.pt") == 1
    assert not (tmp_path / "s.h5").exists()


def test_halves_of_one_memory_are_two_tensors(lossatlas, pictures, tmp_path):
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            flat = torch.randn(2, 48, 48) / 7
            self.a, self.b, self.out = nn.Parameter(flat[0]), nn.Parameter(flat[1]), nn.Linear(48, 10)

        def forward(self, x):
            return self.out(F.relu(F.avg_pool2d(x, 8).flatten(1) @ self.a @ self.b))

    torch.jit.script(Halves().eval()).save(str(tmp_path / "net.pt"))
    described = json.loads(lossatlas("info", "--json", tmp_path / "net.pt").ok().out)
    assert "tied" not in described and described["numbers"] == 2 * 48 * 48 + 490


def test_an_architecture_of_ours_has_a_tensor_for_each_name(lossatlas, pictures, tmp_path):
    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(3072, 256), nn.Linear(256, 256), nn.Linear(256, 10)
            self.fc2.bias = self.fc1.bias

        def forward(self, x):
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))

    torch.jit.script(Mlp().eval()).save(str(tmp_path / "net.pt"))
    done = lossatlas("surface", "--checkpoint", tmp_path / "net.pt", "--arch", "mlp", "--data", pictures.words, "--out",
                     tmp_path / "s.h5")
    assert done.status == 1 and "fc1.bias and fc2.bias are one tensor there, two in the network" in done.line()
