"""Networks that come as TorchScript files, traced and scripted."""

import helpers
import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """What a user's own network may hold: sizes asked for at run time, a branch, an odd width."""

    def __init__(self, squash: bool):
        super().__init__()
        self.squash = squash
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(inplace=True))
        self.down = nn.Conv2d(12, 20, 3, stride=2, bias=False)
        self.norm, self.pool, self.drop = nn.BatchNorm2d(20), nn.MaxPool2d(3, 2), nn.Dropout(0.5)
        self.head = nn.Linear(20 * 7 * 7, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.down(self.stem(x))))
        if self.squash:
            x = torch.sigmoid(x)
        x = self.drop(self.pool(x))
        return self.head(x.view(x.size(0), -1))


@pytest.fixture
def network():
    def make(squash=False):
        torch.manual_seed(3)
        net = Net(squash).eval()
        for norm in (net.stem[1], net.norm):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 1.5)
        return net

    return make


def save(net, kind, path):
    script = torch.jit.script(net) if kind == "scripted" else torch.jit.trace(net, torch.zeros(2, 3, 32, 32))
    script.save(str(path))
    return path


def surface(lossatlas, pictures, tmp_path, file, *words):
    out = tmp_path / "s.h5"
    result = lossatlas("surface", "--checkpoint", file, "--data", pictures.words, "--out", out, "--grid", "3x3", "--x",
                       "-0.5:0.5", "--samples", 50, "--force", *words)
    return result, out


@pytest.mark.parametrize("kind", ["traced", "scripted"])
@pytest.mark.parametrize("engine", ["fused", "eager"])
def test_its_loss_is_pythons(lossatlas, pictures, network, tmp_path, kind, engine):
    net = network()
    result, out = surface(lossatlas, pictures, tmp_path, save(net, kind, tmp_path / "net.pt"), "--engine", engine)
    result.ok()
    found = helpers.read(out)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    wanted = F.cross_entropy(net.double()(images), labels).item()
    assert found["train_loss"][1, 1] == pytest.approx(wanted, rel=1e-5)
    assert abs(found["train_loss"][0, 0] - wanted) > 1e-3  # the parameters do move
    assert helpers.settings(out)["engine"] == engine and helpers.settings(out)["arch"] == "torchscript"


def test_an_unknown_operator_is_named_and_left_to_libtorch(lossatlas, pictures, network, tmp_path):
    net = network(squash=True)
    file = save(net, "scripted", tmp_path / "net.pt")
    result, out = surface(lossatlas, pictures, tmp_path, file)
    assert "aten::sigmoid" in result.ok().err
    images, labels = pictures.batch("train", helpers.read(out)["lossatlas/samples_train"])
    wanted = F.cross_entropy(net.double()(images), labels).item()
    assert helpers.read(out)["train_loss"][1, 1] == pytest.approx(wanted, rel=1e-5)
    result, _ = surface(lossatlas, pictures, tmp_path, file, "--engine", "fused")
    assert result.status == 1 and "aten::sigmoid" in result.line()


def test_parameters_of_a_script_fit_an_architecture(lossatlas, pictures, tmp_path):
    file = save(helpers.Linear(), "scripted", tmp_path / "net.pt")
    result, out = surface(lossatlas, pictures, tmp_path, file, "--arch", "linear")
    assert helpers.settings(result.ok() and out)["arch"] == "linear"


def test_a_network_of_other_images_is_refused(lossatlas, pictures, tmp_path):
    class Other(nn.Module):
        def forward(self, x):
            return x.reshape(x.size(0), 7, 13)

    file = save(Other(), "scripted", tmp_path / "net.pt")
    result, out = surface(lossatlas, pictures, tmp_path, file)
    assert result.status == 1 and "3x32x32" in result.line() and not out.exists()
