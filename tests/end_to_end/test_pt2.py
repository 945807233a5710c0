"""Networks that come as files of torch.export.save."""

import io
import json
import zipfile

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

DYNAMIC = ({0: Dim("batch")},)


class Net(nn.Module):
    """A plain network, by the operators that the fused engine knows, and sizes asked for at run time."""

    def __init__(self, squash=False, flatten=False):
        super().__init__()
        self.squash, self.flatten = squash, flatten
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.down, self.norm = nn.Conv2d(8, 12, 3, stride=2, bias=False), nn.BatchNorm2d(12)
        self.pool, self.drop, self.head = nn.MaxPool2d(3, 2), nn.Dropout(0.5), nn.Linear(12 * 7 * 7, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.down(self.stem(x))))
        if self.squash:
            x = torch.sigmoid(x)
        x = self.drop(self.pool(x))
        return self.head(x.flatten(1) if self.flatten else x.view(x.size(0), -1))


class Odd(nn.Module):
    """Tied and untied weights, views, and tensors that are no parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5, stride=4).to(memory_format=torch.channels_last)
        self.a, self.b, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 10)
        self.b.weight = self.a.weight
        self.p, self.q = (nn.Parameter(half) for half in torch.randn(2, 6))
        self.register_buffer("scale", torch.tensor([1.5]))
        self.register_buffer("mask", torch.tensor([1.0, 0, 1, 1, 0, 1]), persistent=False)
        self.shift = torch.full((1, 6), 0.25)

    def forward(self, x, extra=None):
        x = F.gelu(self.conv(x)).mean((2, 3)) * self.scale + self.shift
        x = F.relu(self.b(F.relu(self.a(x * self.mask * self.p)))) + self.q
        return self.out(x) + torch.tensor([0.5])


def network(kind=Net, seed=3, **options):
    torch.manual_seed(seed)
    net = kind(**options).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return net


def export(net, file, images=4, shape=(3, 32, 32), dynamic=DYNAMIC, decompose=False):
    program = torch.export.export(net, (torch.zeros(images, *shape),), dynamic_shapes=dynamic)
    torch.export.save(program.run_decompositions() if decompose else program, file)
    return file


@pytest.fixture
def save(tmp_path):
    """save(net, …) exports a network to a file, by default for any number of images."""
    return lambda net, name="net.pt2", **options: export(net, tmp_path / name, **options)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a file that is read."""
    return export(network(), tmp_path_factory.mktemp("good") / "net.pt2").read_bytes()


@pytest.fixture
def surface(lossatlas, pictures, tmp_path):
    def run(file, *words):
        out = tmp_path / "s.h5"
        result = lossatlas("surface", "--checkpoint", file, "--data", pictures.words, "--out", out, "--grid", "3x3",
                           "--x=-0.5:0.5", "--samples", 50, "--save-directions", tmp_path / "d.h5", "--force", *words)
        return result, out

    return run


def check_losses(net, pictures, out, directions):
    """The losses of all points, in float64 in Python; named_parameters() lists tied ones once."""
    found = helpers.read(out)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    for row, y in enumerate(found["ycoordinates"]):
        for column, x in enumerate(found["xcoordinates"]):
            moved = {name: parameter.double() + x * along.double() + y * across.double()
                     for (name, parameter), along, across in zip(net.named_parameters(), *directions, strict=True)}
            others = {name: buffer.double() for name, buffer in net.named_buffers()}
            logits = torch.func.functional_call(net, (moved, others), (images,))
            wanted = F.cross_entropy(logits, labels).item()
            assert found["train_loss"][row, column] == pytest.approx(wanted, rel=1e-5), (x, y)
    assert np.ptp(found["train_loss"]) > 1e-3


@pytest.mark.parametrize("images, dynamic, flatten, engine", [
    (4, DYNAMIC, False, "fused"),
    (4, DYNAMIC, False, "eager"),
    (4, ({0: Dim("batch", max=7)},), False, "eager"),
    (7, None, True, "fused"),
    (7, None, False, "eager"),  # the graph holds the number 7
    (1, None, True, "fused"),
    (1, None, False, "eager"),
])
def test_its_losses_are_pythons(surface, save, pictures, tmp_path, images, dynamic, flatten, engine):
    net = network(flatten=flatten)
    result, out = surface(save(net, images=images, dynamic=dynamic), "--engine", engine)
    result.ok()
    check_losses(net, pictures, out, helpers.plane_of(tmp_path / "d.h5"))
    assert helpers.settings(out)["engine"] == engine and helpers.settings(out)["arch"] == "torch.export"


def test_an_unknown_operator_is_named_and_left_to_libtorch(surface, save, pictures, tmp_path):
    net = network(squash=True)
    file = save(net)
    result, out = surface(file)
    assert "aten::sigmoid" in result.ok().err
    check_losses(net, pictures, out, helpers.plane_of(tmp_path / "d.h5"))
    result, _ = surface(file, "--engine", "fused")
    assert result.status == 1 and "aten::sigmoid" in result.line()


def test_tied_weights_move_once_and_other_tensors_stay(lossatlas, surface, save, pictures, tmp_path):
    net = network(Odd)
    file = save(net)
    result, out = surface(file)
    result.ok()
    check_losses(net, pictures, out, helpers.plane_of(tmp_path / "d.h5"))
    described = json.loads(lossatlas("info", "--json", file).ok().out)
    assert described["format"] == "torch.export" and described["engine"].startswith("eager: the network has ")
    assert described["tied"] == [{"name": "b.weight", "tensor": "a.weight"}]
    assert [tensor["name"] for tensor in described["tensors"]] == [
        *(name for name, _ in net.named_parameters()), "scale"]
    assert described["numbers"] == sum(p.numel() for p in net.parameters()) + 1


def test_info_says_what_a_file_holds(lossatlas, save, tmp_path):
    out = lossatlas("info", save(network())).ok().out
    assert "torch.export" in out and "fused (" in out and "stem.0.weight" in out
    export(network(), tmp_path / "net.pt2", decompose=True)
    out = lossatlas("info", tmp_path / "net.pt2").ok().out
    assert "eager: the network has the operator torch.ops.aten._native_batch_norm_legit_no_training.default" in out
    small = save(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(24, 2)), shape=(1, 5, 4))
    assert "fused (" in lossatlas("info", small).ok().out  # of its own images and classes


def test_lines_and_trajectories_go_through_files(lossatlas, save, pictures, tmp_path):
    nets = [network(seed=seed) for seed in range(3)]
    files = [save(net, f"{seed}.pt2") for seed, net in enumerate(nets)]
    torch.save(nets[1].state_dict(), tmp_path / "1.pt")
    images, labels = pictures.batch("test")
    losses = [F.cross_entropy(net.double()(images), labels).item() for net in nets]
    words = ["--data", pictures.words, "--split", "test", "--force", "--bn", "stored"]
    for middle in (files[1], tmp_path / "1.pt"):
        ends, out = ["--checkpoint", files[0], "--to", middle], tmp_path / "l.h5"
        lossatlas("line", *ends, "--x", "0:1", "--points", 2, *words, "--out", out).ok()
        assert helpers.read(out)["test_loss"] == pytest.approx(losses[:2], rel=1e-5)
        path, out = f"{files[0]},{middle},{files[2]}", tmp_path / "t.h5"
        lossatlas("trajectory", "--checkpoints", path, *words, "--grid", "2x2", "--out", out).ok()
        with h5py.File(out) as file:
            run, = file["lossatlas/runs"].values()
            assert run["test_loss"][()] == pytest.approx(losses, rel=1e-5)


def test_its_parameters_fit_an_architecture(surface, save):
    result, out = surface(save(helpers.Linear()), "--arch", "linear")
    assert helpers.settings(result.ok() and out)["arch"] == "linear"


class Cond(Net):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x.mean((2, 3)), lambda x: x.sum((2, 3)), (x,))


class Branch(Net):
    def forward(self, x):
        return super().forward(x) * (1 if x.size(0) < 8 else 2)


class Two(Net):
    def forward(self, x):
        return super().forward(x), x


class Counted(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0.0))

    def forward(self, x):
        self.calls.add_(1)
        return super().forward(x) + self.calls


class Coupled(Net):
    def forward(self, x):
        return super().forward(x - x.mean(0, keepdim=True))


class Noisy(Net):
    def forward(self, x):
        return super().forward(x + torch.randn_like(x))


@pytest.mark.parametrize("make, options, message", [
    (lambda: network(Branch), {"dynamic": ({0: Dim.DYNAMIC},)}, "only if \"L['x'].size()[0] < 8\""),
    (lambda: network(), {"dynamic": ({0: 2 * Dim("half")},)}, "export it with torch.export.Dim('batch')"),
    (lambda: network().train(), {}, "draws random numbers; export the network in eval() mode"),
    (lambda: nn.Sequential(nn.Conv2d(3, 10, 3), nn.BatchNorm2d(10), nn.AdaptiveAvgPool2d(1), nn.Flatten()), {},
     "changes its 1.running_mean when it runs; call model.eval() before torch.export.export"),
    (lambda: network(Counted), {}, "changes its calls when it runs"),
    (lambda: network(Coupled), {}, "the logits of an image depend on the others of its batch"),
    (lambda: network(Noisy), {}, "randn_like.default: graphs may not call this operator"),
    (lambda: network(Cond), {}, "torch.ops.higher_order.cond: is not supported"),
    (lambda: network(Two), {}, "gives 2 results; export one that returns only its logits"),
    (lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)), {"shape": (3, 64, 64)},
     "takes images of 3x64x64, these are 3x32x32"),
    (lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7)), {},
     "gives 7 logits for each image, not those of 10 classes"),
    (lambda: nn.Conv2d(3, 10, 3), {}, "gives [3, 10, 30, 30] for 3 images, not [images, classes]"),
    (lambda: nn.Linear(5, 10), {"shape": (5,)}, "a tensor that is not a batch of images [N, C, H, W] in float32"),
])
def test_what_has_no_landscape_is_refused(surface, save, make, options, message):
    file = save(make(), **options)
    result, out = surface(file)
    assert result.status == 1 and message in result.line() and result.line().count("net.pt2") == 1
    assert not out.exists()


def test_statistics_are_not_estimated_anew(lossatlas, surface, save, pictures, tmp_path):
    file = save(network())
    result, _ = surface(file, "--bn", "recalibrate")
    assert result.status == 1 and "in a torch.export file; name its --arch, or use --bn stored" in result.line()
    other = save(network(seed=1), "other.pt2")
    done = lossatlas("line", "--checkpoint", file, "--to", other, "--points", 3, "--data", pictures.words, "--out",
                     tmp_path / "l.h5").ok()
    assert "those of a torch.export file cannot be estimated again" in done.err
    done = lossatlas("curve", "--from", file, "--to", other, "--data", pictures.words, "--out", tmp_path / "c.h5")
    assert done.status == 1 and "through a torch.export file" in done.line()


def rewrite(file, change):
    """The archive's records, changed, as PyTorch writes them."""
    reader = torch._C.PyTorchFileReader(str(file))
    records = {name: reader.get_record(name) for name in reader.get_all_records()}
    change(records)
    writer = torch._C.PyTorchFileWriter(str(file))
    for name, content in records.items():
        if not name.startswith((".data/", "version")):
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()


def edit(name, change):
    def on_records(records):
        parsed = json.loads(records[name])
        change(parsed)
        records[name] = json.dumps(parsed).encode()

    return on_records


WEIGHTS, MODEL = "data/weights/model_weights_config.json", "models/model.json"


def old_weights(records):
    """PyTorch 2.8: an archive with a pickle of the weights."""
    records["data/weights/model.pt"] = records.pop(WEIGHTS)


@pytest.mark.parametrize("change, message", [
    (edit(MODEL, lambda model: model["schema_version"].update(major=9)), "a graph of schema version 9"),
    (edit(WEIGHTS, lambda all: all["config"].pop("head.bias")), "lacks the tensor head.bias"),
    (edit(WEIGHTS, lambda all: all["config"]["head.bias"].update(path_name="w")), "'head.bias': has no record"),
    (edit(WEIGHTS, lambda all: all["config"]["head.bias"].update(use_pickle=True)), "stored as a pickle and not read"),
    (edit(WEIGHTS, lambda all: all["config"]["head.bias"]["tensor_meta"]["sizes"][0].update(as_int=11)),
     "'head.bias': repeats its own numbers"),
    (edit(WEIGHTS, lambda all: all["config"]["head.bias"]["tensor_meta"]["sizes"][0].update(as_int=9)),
     "cannot run on"),
    (lambda records: records.pop(MODEL), "holds no network of torch.export (models/model.json)"),
    (lambda records: records.update({MODEL: b"[" * 100000}), "models/model.json: is not JSON"),
    (lambda records: records.update({"byteorder": b"big"}), "big-endian machine"),
    (lambda records: records.update({"archive_version": b"1"}), "is an archive of torch.export of version 1"),
    (old_weights, "was written by torch.export of an older PyTorch, which stores weights as a pickle"),
])
def test_bad_files_are_refused(surface, good, tmp_path, change, message):
    file = tmp_path / "net.pt2"
    file.write_bytes(good)
    rewrite(file, change)
    result, out = surface(file)
    assert result.status == 1 and message in result.line() and result.line().count("net.pt2") == 1
    assert not out.exists()


def test_a_file_from_before_archives_is_refused(lossatlas, tmp_path):
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:  # PyTorch 2.1 to 2.6
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", io.BytesIO().getvalue())
    assert "of an older PyTorch" in lossatlas("info", tmp_path / "old.pt2").line()
