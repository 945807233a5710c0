"""Bad problem files, and options that do not go with a problem: one line, the right exit status, and nothing else."""

import hashlib
import json
import pathlib
import struct
import sys
import zipfile

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


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def samples(number=40):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(number, 6, generator=generator), torch.randint(0, 3, (number,), generator=generator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("refusals")


@pytest.fixture(scope="module")
def problem(folder):
    export_problem(network(), "cross-entropy", samples(), folder / "p.lossatlas", quiet=True)
    return folder / "p.lossatlas"


@pytest.fixture(scope="module")
def commands(problem, folder):
    ends = [folder / "a.pt", folder / "b.pt"]
    for seed, file in enumerate(ends):
        torch.save(network(seed).state_dict(), file)
    return {"surface": ["--problem", problem], "line": ["--problem", problem],
            "trajectory": ["--problem", problem, "--checkpoints", *ends],
            "curve": ["--problem", problem, "--from", ends[0], "--to", ends[1]]}


@pytest.fixture
def refused(lossatlas, tmp_path):
    """refused(status, said, words...): one line that says so, and no file."""

    def check(status, said, *words):
        done = lossatlas(*words, "--out", tmp_path / "refused.h5")
        assert done.status == status and said in done.line(), done.err
        assert done.err.startswith("lossatlas: ") and not list(tmp_path.glob("refused.h5*"))
        return done.line()

    return check


@pytest.mark.parametrize("command", ["surface", "line", "trajectory", "curve"])
def test_options_that_the_problem_answers(refused, commands, command):
    words = [command, *commands[command]]
    for option, why in [(["--arch", "mlp"], "its network"), (["--classes", 3], "its network"),
                        (["--width", 4], "its network"), (["--loss", "mse"], "its loss"),
                        (["--class-loss"], "its loss"), (["--top5"], "its loss")]:
        refused(2, f"{option[0]}: a problem file holds {why}", *words, *option)
    for option in ("--mean", "--std"):
        refused(2, f"{option}: requires --data", *words, option, 0.5)
    refused(2, "--augment: a problem file holds" if command == "curve" else "unknown option '--augment'", *words, "--augment")


def test_what_a_problem_lacks(refused, commands, problem, lossatlas):
    surface = ["surface", *commands["surface"]]
    refused(2, "--problem: train takes networks of its own; train yours in PyTorch", "train", "--problem", problem)
    refused(1, "has no test split: choose --split train, or export it with test=", *surface, "--split", "test")
    refused(2, "--samples 41: the train split of", *surface, "--samples", 41)
    refused(2, "--bn: this network has no batch norm", *surface, "--bn", "recalibrate")
    refused(2, "--bn-images: this network has no batch norm", *surface, "--bn-images", 20)
    refused(1, "the fused engine cannot run", *surface, "--engine", "fused")
    refused(1, "--dtype bf16", *surface, "--dtype", "bf16") if "amx" not in lossatlas("--version").out else None
    layers = lossatlas("layers", "--problem", problem, "--arch", "mlp")
    assert layers.status == 2 and "--arch: a problem file holds its network" in layers.line()


def test_files_that_are_no_problem(refused, commands, folder):
    refused(1, "is not a problem file: export_problem", "surface", "--problem", folder / "a.pt")
    refused(1, "nowhere: cannot be opened: No such file", "surface", "--problem", folder / "nowhere")
    refused(1, "a folder, not a file", "surface", "--problem", folder)


def test_a_checkpoint_that_does_not_fit_is_named_from_both_sides(refused, problem, tmp_path):
    state = network().state_dict()
    state["0.weight"] = torch.zeros(8, 5)
    del state["2.weight"], state["2.bias"]
    state |= {f"more.{i}": torch.zeros(i) for i in range(7)}
    torch.save(state, tmp_path / "other.pt")
    line = refused(1, "other.pt does not fit Sequential: ", "surface", "--problem", problem, "--checkpoint",
                   tmp_path / "other.pt")
    assert line.endswith("0.weight is [8, 5] there, [8, 6] in the network; missing: 2.weight [3, 8], 2.bias [3]; "
                         "unknown to the network: more.0 [0], more.1 [1], more.2 [2], more.3 [3], more.4 [4], and 2 more")
    refused(1, "other.pt does not fit Sequential: ", "curve", "--problem", problem, "--from", problem,
            "--to", tmp_path / "other.pt", "--split", "train")


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members):
    """A problem file whose digests are right: what a hostile writer does."""
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                           for name, content in members.items() if name != "manifest.json"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"manifest.json": json.dumps(manifest).encode()}).items():
            info = zipfile.ZipInfo(name)
            padding = -(archive.fp.tell() + 34 + len(name)) % 64
            info.extra = struct.pack("<HH", 0xFFFF, padding) + bytes(padding)
            archive.writestr(info, content)


def value(name):
    return {"as_tensor": {"name": name}}


def node(target, result, **arguments):
    return {"target": f"torch.ops.aten.{target}", "outputs": [value(result)], "metadata": {},
            "inputs": [{"name": name, "arg": arg, "kind": 1} for name, arg in arguments.items()]}


INPUT = "tensors_4"  # after four parameters
HOSTILE = {
    "memory": ([node("zeros.default", "a", size={"as_ints": [1 << 40]})], "its graph asks for more memory than is free"),
    "overflow": ([node("zeros.default", "a", size={"as_ints": [1 << 62, 1 << 62]})], "overflow"),
    "no memory": ([node("expand.default", "a", self=value(INPUT), size={"as_ints": [1 << 50, -1, -1]})],
                  "expand.default: gives a tensor of"),
    "outside": ([node("as_strided.default", "a", self=value(INPUT), size={"as_ints": [1 << 20]},
                      stride={"as_ints": [1]})], "out of bounds for storage"),
    "crash": ([node("zeros.default", "a", size={"as_ints": [6, 0]}),
               node("_weight_norm.default", "b", v=value("a"), g=value("a"), dim={"as_int": 1})], ": its graph "),
    "file": ([node("from_file.default", "a", filename={"as_string": "/etc/passwd"})], "may not call this operator"),
    "index": ([node("embedding.default", "a", weight=value("tensors_0"), indices=value("tensors_5")),
               node("mul_.Scalar", "b", self=value("tensors_5"), other={"as_int": 1000}),
               node("embedding.default", "c", weight=value("tensors_0"), indices=value("b"))],
              "embedding.default: index out of range"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_graphs(refused, problem, tmp_path, name):
    nodes, said = HOSTILE[name]
    members = members_of(problem)
    model = json.loads(members["graph.json"])
    graph = model["graph_module"]["graph"]
    assert graph["inputs"][4] == value(INPUT)
    graph["nodes"][:0] = nodes
    write(tmp_path / "h.lossatlas", members | {"graph.json": json.dumps(model).encode()})
    line = refused(1, said, "surface", "--problem", tmp_path / "h.lossatlas")
    assert str(tmp_path / "h.lossatlas") in line


def test_a_loss_of_the_wrong_shape(refused, problem, tmp_path):
    members = members_of(problem)
    model = json.loads(members["graph.json"])
    model["graph_module"]["graph"]["outputs"][0] = value("tensors_0")
    write(tmp_path / "h.lossatlas", members | {"graph.json": json.dumps(model).encode()})
    refused(1, "loss is Float [8, 6], and not one number of float32 or float64 for each of 11 samples", "surface",
            "--problem", tmp_path / "h.lossatlas")


def with_data(problem, path, kind, index, number):
    """A copy with another number in its inputs (0) or labels (1)."""
    members = members_of(problem)
    numbers = np.frombuffer(members[f"data/000{kind}"], ["f4", "i8"][kind]).copy()
    numbers[index] = number
    write(path, members | {f"data/000{kind}": numbers.tobytes()})
    return path


def test_labels_and_inputs_that_no_sample_has(refused, lossatlas, problem, tmp_path):
    """Among the samples of the reference, and behind them."""
    file = tmp_path / "h.lossatlas"
    refused(1, "Target 7 is out of bounds", "surface", "--problem", with_data(problem, file, 1, 3, 7))
    refused(1, "sample 3 of the train split has NaN in input", "surface", "--problem", with_data(problem, file, 0, 20, np.nan))
    refused(1, "sample 30 of the train split has NaN in input", "surface", "--problem",
            with_data(problem, file, 0, 182, np.nan))
    done = lossatlas("surface", "--problem", with_data(problem, file, 1, 30, 7), "--out", tmp_path / "s.h5")
    assert done.status == 1 and "Target 7 is out of bounds" in done.err.splitlines()[-1]


class InPlace(nn.Module):
    """Changes what it is given, and reads it again."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x):
        x[:, 2:].mul_(2)
        return self.layers(x.sub_(0.25)) + x[:, :3]


def test_networks_that_change_their_input_get_copies(lossatlas, tmp_path):
    model, (x, y) = InPlace(), samples()
    export_problem(model, "cross-entropy", (x.clone(), y), tmp_path / "p.lossatlas", quiet=True)
    before = (tmp_path / "p.lossatlas").read_bytes()
    lossatlas("surface", "--problem", tmp_path / "p.lossatlas", "--out", tmp_path / "s.h5", "--grid", "3x3",
              "--batch-size", 16, "--threads", 2).ok()
    with h5py.File(tmp_path / "s.h5") as file, torch.no_grad():
        np.testing.assert_allclose(file["train_loss"][1, 1], F.cross_entropy(model(x.clone()), y).item(), rtol=1e-5)
    assert (tmp_path / "p.lossatlas").read_bytes() == before


def test_coupled_samples(refused, tmp_path):
    def contrastive(model, x, y):
        z = F.normalize(model(x), dim=1)
        return F.cross_entropy(z @ z.T, torch.arange(len(x)), reduction="none")

    export_problem(network(), contrastive, samples(), tmp_path / "c.lossatlas", batch_size=8, quiet=True)
    words = ["surface", "--problem", tmp_path / "c.lossatlas"]
    refused(2, "--samples 12: the samples of a batch are coupled: requires a multiple of 8", *words, "--samples", 12)
    done = refused(2, "--tolerance", *words, "--tolerance", 0.01)
    assert "batch" in done or "sample" in done


def test_batch_norm_without_its_graph_for_training(refused, tmp_path):
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    export_problem(model, "cross-entropy", samples(), tmp_path / "b.lossatlas", quiet=True)
    members = members_of(tmp_path / "b.lossatlas")
    manifest = json.loads(members["manifest.json"])
    manifest["graphs"]["train"] = None
    write(tmp_path / "b.lossatlas", members | {"manifest.json": json.dumps(manifest).encode()})
    refused(1, "batch-norm statistics cannot be estimated again: its batch norm in train mode was not exported",
            "surface", "--problem", tmp_path / "b.lossatlas", "--bn", "recalibrate")
