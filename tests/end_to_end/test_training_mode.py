"""TorchScript files that were traced in training mode, and others that cannot be run as they are."""

import helpers
import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, tail=None, norm=True):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.Linear(16, 10)
        self.bn, self.tail = nn.BatchNorm2d(16) if norm else nn.Identity(), tail or nn.Identity()

    def forward(self, x):
        return self.tail(self.fc(F.relu(self.bn(self.conv(x))).mean((2, 3))))


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class Attention(nn.Module):
    """Has an argument for dropout, and draws nothing."""

    def forward(self, x):
        x = x.view(-1, 1, 1, 10)
        return F.scaled_dot_product_attention(x, x, x, dropout_p=0.0).view(-1, 10)


def trace(net, path, mode):
    net.train(mode == "train")
    torch.jit.trace(net, torch.randn(8, 3, 32, 32), check_trace=False).save(str(path))
    return path


@pytest.fixture
def words(pictures, tmp_path):
    def of(file, *more):
        return ["surface", "--checkpoint", file, "--data", pictures.words, "--out", tmp_path / "s.h5", "--grid", "1x1",
                "--x=0:0", "--y=0:0", "--force", *more]

    return of


@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_batch_statistics_are_warned_of(lossatlas, pictures, words, tmp_path, engine):
    torch.manual_seed(1)
    net = Net()
    file = trace(net, tmp_path / "net.pt", "train")
    done = lossatlas(*words(file, "--engine", engine, "--batch-size", 20)).ok()
    warning = next(line for line in done.err.splitlines() if line.startswith("warning") and "statistics of each batch" in line)
    assert "model.eval()" in warning and "--batch-size" in warning and "--engine" not in done.err
    assert helpers.settings(tmp_path / "s.h5")["batch_size"] == 20
    images, labels = pictures.batch()
    net = net.double().train()
    losses = [F.cross_entropy(net(images[i:i + 20]), labels[i:i + 20]).item() for i in range(0, 200, 20)]
    assert helpers.read(tmp_path / "s.h5")["train_loss"][0, 0] == pytest.approx(sum(losses) / 10, rel=1e-5)


@pytest.mark.parametrize("engine", ["auto", "fused", "eager"])
@pytest.mark.parametrize("tail", [nn.Dropout(0.5), nn.AlphaDropout(0.2), nn.RReLU(), Noise()],
                         ids=lambda tail: type(tail).__name__)
def test_random_networks_are_refused(lossatlas, words, tmp_path, tail, engine):
    file = trace(Net(tail, norm=False), tmp_path / "net.pt", "train")
    done = lossatlas(*words(file, "--engine", engine))
    assert done.status == 1 and "model.eval()" in done.line() and "aten::" in done.line()
    assert "--engine" not in done.line() and not (tmp_path / "s.h5").exists()
    assert "draws random numbers" in lossatlas("info", file).ok().out


@pytest.mark.parametrize("tail", [nn.Dropout(0.5), nn.RReLU(), Attention()], ids=lambda tail: type(tail).__name__)
def test_what_draws_nothing_runs(lossatlas, words, tmp_path, tail):
    lossatlas(*words(trace(Net(tail), tmp_path / "net.pt", "eval"))).ok()
    torch.jit.script(Net(tail).train()).save(str(tmp_path / "scripted.pt"))  # asks for its mode when it runs
    assert "statistics of each batch" not in lossatlas(*words(tmp_path / "scripted.pt")).ok().err


def test_a_softmax_at_the_end_is_noticed(lossatlas, words, tmp_path):
    file = trace(Net(nn.Softmax(1)), tmp_path / "net.pt", "eval")
    hint = next(line for line in lossatlas(*words(file)).ok().err.splitlines() if line.startswith("hint: each row"))
    assert "softmax" in hint
    assert "hint: each row" not in lossatlas(*words(file, "--loss", "mse")).ok().err
    for other in (nn.LogSoftmax(1), nn.Sigmoid(), nn.Identity()):
        file = trace(Net(other), tmp_path / "net.pt", "eval")
        assert "hint: each row" not in lossatlas(*words(file)).ok().err


# --- what no command can move or run -----------------------------------------------------------------------------


def test_a_network_without_parameters(lossatlas, pictures, tmp_path):
    frozen = torch.jit.freeze(torch.jit.script(Net().eval()))
    for name in ("a.pt", "b.pt", "c.pt"):
        frozen.save(str(tmp_path / name))
    assert "TorchScript" in lossatlas("info", tmp_path / "a.pt").ok().out
    a, b = tmp_path / "a.pt", tmp_path / "b.pt"
    for command in (["surface", "--checkpoint", a], ["line", "--checkpoint", a], ["line", "--checkpoint", a, "--to", b],
                    ["trajectory", "--checkpoints", f"{a},{b},{tmp_path / 'c.pt'}", "--bn", "stored"],
                    ["curve", "--from", a, "--to", b]):
        done = lossatlas(*command, "--data", pictures.words, "--out", tmp_path / "out.h5")
        assert done.status == 1 and "no parameters to move" in done.line() and "torch.jit.freeze" in done.line()


class Pick(nn.Module):
    def forward(self, x):
        if bool(x.sum() > 0):
            x = x + 1
        return x


class Repeat(nn.Module):
    def forward(self, x):
        for _ in range(x.size(0) % 3):
            x = x + 1
        return x


POOL = nn.Sequential(nn.Unflatten(1, (10, 1, 1)), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())  # as in ResNet18


@pytest.mark.parametrize("tail, operator", [(POOL, "prim::If"), (Pick(), "prim::If"), (Repeat(), "prim::Loop")],
                         ids=["pool", "if", "loop"])
def test_control_flow_is_named_and_left_to_libtorch(lossatlas, pictures, words, tmp_path, tail, operator):
    net = Net(tail).eval()
    torch.jit.script(net).save(str(tmp_path / "net.pt"))
    done = lossatlas(*words(tmp_path / "net.pt", "--engine", "fused"))
    assert done.status == 1 and operator in done.line()
    assert operator in lossatlas(*words(tmp_path / "net.pt", "--batch-size", 200)).ok().err
    images, labels = pictures.batch()
    wanted = F.cross_entropy(net.double()(images), labels).item()
    assert helpers.read(tmp_path / "s.h5")["train_loss"][0, 0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_a_batch_size_in_the_graph(lossatlas, words, tmp_path, batch):
    class Baked(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3072, 10)

        def forward(self, x):
            return self.fc(x.view(batch, -1))

    torch.jit.trace(Baked().eval(), torch.zeros(batch, 3, 32, 32)).save(str(tmp_path / "net.pt"))
    done = lossatlas(*words(tmp_path / "net.pt"))
    assert done.status == 1 and f"a batch of {batch} alone" in done.line()


def test_the_reason_is_on_the_last_line(lossatlas, words, tmp_path):
    class Narrow(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(12, 10)

        def forward(self, x):
            return self.fc(x.flatten(1))

    torch.jit.script(Narrow()).save(str(tmp_path / "net.pt"))
    done = lossatlas(*words(tmp_path / "net.pt"))
    assert done.status == 1 and "mat1 and mat2 shapes cannot be multiplied (2x3072 and 12x10)" in done.line()


def test_a_module_without_forward(lossatlas, words, tmp_path):
    class Other(nn.Module):
        @torch.jit.export
        def run(self, x):
            return x

    torch.jit.script(Other()).save(str(tmp_path / "net.pt"))
    line = lossatlas(*words(tmp_path / "net.pt")).line()
    assert "has no forward()" in line and line.count("net.pt") == 1
