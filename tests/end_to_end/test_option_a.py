"""ResNets whose shortcuts have no parameters (He et al., option A), as akamaster/pytorch_resnet_cifar10 trains them."""

import helpers
import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False), nn.BatchNorm2d(planes)
        self.stride, self.zeros = stride, planes // 4

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.zeros, self.zeros), "constant", 0)
        return F.relu(out + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        for stage, (channels, planes) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
            blocks = [Block(channels, planes, min(stage, 2)), Block(planes, planes, 1), Block(planes, planes, 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.avg_pool2d(x, 8).flatten(1))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    net = ResNet20().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return net


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("option-a") / "net.th"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}}, path)
    return path


def surface(lossatlas, pictures, file, out, *words):
    return lossatlas("surface", "--checkpoint", file, "--data", pictures.words, "--out", out, "--grid", "2x2", "--x=0:0.5",
                     "--y=0:0.5", "--samples", 40, "--force", *words)


@pytest.mark.parametrize("engine, kind", [("fused", "state_dict"), ("eager", "traced"), *(
    pytest.param(*pair, marks=pytest.mark.full) for pair in [("fused", "traced"), ("eager", "state_dict")])])
def test_loss_is_pythons(lossatlas, pictures, network, file, tmp_path, engine, kind):
    words = ["--arch", "resnet20-a"]
    if kind == "traced":
        file, words = tmp_path / "net.pt", []
        torch.jit.trace(network, torch.zeros(2, 3, 32, 32)).save(str(file))
    out = tmp_path / "s.h5"
    done = surface(lossatlas, pictures, file, out, *words, "--engine", engine, "--save-directions", tmp_path / "d.h5").ok()
    assert "operator by operator" not in done.err
    found = helpers.read(out)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    state = {name: tensor.double() for name, tensor in network.state_dict().items()}
    for row, column in ((0, 0), (1, 1)):
        moved = helpers.at(state, helpers.plane_of(tmp_path / "d.h5"), (0.5 * column, 0.5 * row))
        logits = torch.func.functional_call(network, moved, (images,))
        assert found["train_loss"][row, column] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)


def test_it_is_told_from_the_network_without_shortcuts(lossatlas, pictures, file, tmp_path):
    done = surface(lossatlas, pictures, file, tmp_path / "s.h5")
    assert done.status == 2 and "resnet20-noshort and resnet20-a" in done.line() and "--arch" in done.line()
    done = surface(lossatlas, pictures, file, tmp_path / "s.h5", "--arch", "resnet20-noshort").ok()
    notes = [line for line in done.err.splitlines() if "resnet20-a" in line]
    assert len(notes) == 1 and notes[0].startswith("note: ")


def test_one_that_fits_is_named(lossatlas, pictures, checkpoint, tmp_path):
    torch.save(helpers.load(checkpoint)["state_dict"], tmp_path / "python.pt")
    done = surface(lossatlas, pictures, tmp_path / "python.pt", tmp_path / "s.h5", "--width", 4)
    assert done.status == 2 and "fit resnet20: name it with --arch" in done.line()


def test_it_trains(lossatlas, pictures, tmp_path):
    done = lossatlas("train", "--arch", "resnet20-a", "--width", 4, "--data", pictures.words, "--out", tmp_path / "run",
                     "--epochs", 1, "--batch-size", 20, "--lr", 0.05, "--threads", 1).ok()
    at = tmp_path / "run" / "checkpoints" / "epoch-0001.pt"
    done = surface(lossatlas, pictures, at, tmp_path / "s.h5", "--bn", "recalibrate", "--bn-images", 20).ok()
    assert helpers.settings(tmp_path / "s.h5")["bn_engine"] == "fused" and "fits" not in done.err
