"""--data beside --problem: samples that lossatlas reads itself, in the place of those that the file holds."""

import pathlib
import sys

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "python"))

from lossatlas import export_problem  # noqa: E402

MEAN, STD = [0.2, 0.4, 0.6], [0.25, 0.5, 0.75]


def small_network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 15 * 15, 10))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Problem files of one network with ten samples, with and without a normalization, and a folder of CIFAR-10's form."""
    folder = tmp_path_factory.mktemp("data-for-problems")
    network, rng = small_network(), np.random.default_rng(1)
    held = (torch.randn(10, 3, 32, 32), torch.arange(10))
    export_problem(network, "cross-entropy", held, folder / "told.lossatlas", mean=MEAN, std=STD)
    export_problem(network, "cross-entropy", held, folder / "untold.lossatlas", test=held)
    export_problem(network, "mse", (held[0], torch.randn(10, 10)), folder / "other.lossatlas", mean=MEAN, std=STD)
    records = rng.integers(0, 256, (6, 40, 3073), dtype=np.uint8)
    records[:, :, 0] %= 10
    for name, part in zip([f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"], records):
        (folder / name).write_bytes(part.tobytes())
    return folder, network, records


def loss_of(network, records, mean, std):
    pixels = torch.from_numpy(records[..., 1:].reshape(-1, 3, 32, 32).astype(np.float64) / 255)
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
    with torch.no_grad():
        logits = small_network().double().eval()((pixels - mean) / std)
        return F.cross_entropy(logits, torch.from_numpy(records[..., 0].reshape(-1)).long()).item()


@pytest.mark.parametrize("problem, words, mean, std", [("told", [], MEAN, STD),
                                                       ("untold", ["--mean", 0.1, "--std", 0.5], [0.1] * 3, [0.5] * 3),
                                                       ("told", ["--std", 0.5], MEAN, [0.5] * 3)])
def test_images_take_the_place_of_the_stored_samples(lossatlas, tmp_path, files, problem, words, mean, std):
    folder, network, records = files
    lossatlas("surface", "--problem", folder / f"{problem}.lossatlas", "--data", f"cifar10:{folder}", "--split", "both",
              *words, "--grid", 3, "--out", tmp_path / "s.h5").ok()
    with h5py.File(tmp_path / "s.h5") as h5:
        assert h5["train_loss"][1, 1] == pytest.approx(loss_of(network, records[:5], mean, std), rel=1e-5)
        assert h5["test_loss"][1, 1] == pytest.approx(loss_of(network, records[5:], mean, std), rel=1e-5)


def test_another_test_split(lossatlas, tmp_path, files):
    """The training samples stay the file's own; --bn recalibrate and curves take the data's."""
    folder, network, records = files
    lossatlas("surface", "--problem", folder / "told.lossatlas", "--test-data", f"cifar10:{folder}", "--split", "both",
              "--grid", 3, "--out", tmp_path / "s.h5").ok()
    with h5py.File(tmp_path / "s.h5") as h5:
        assert h5["test_loss"][1, 1] == pytest.approx(loss_of(network, records[5:], MEAN, STD), rel=1e-5)
        assert h5["train_loss"].shape == (3, 3)
    recalibrated = lossatlas("surface", "--problem", folder / "told.lossatlas", "--data", f"cifar10:{folder}", "--bn",
                             "recalibrate", "--grid", 3, "--out", tmp_path / "r.h5").ok()
    assert recalibrated
    pixels = torch.from_numpy(records[:5, :, 1:].reshape(-1, 3, 32, 32).astype(np.float64) / 255)
    x = (pixels - torch.tensor(MEAN, dtype=torch.float64)[:, None, None]) / torch.tensor(STD, dtype=torch.float64)[:, None, None]
    net = small_network().double()
    with torch.no_grad():
        net[1].momentum = None
        net(x)  # one batch of all: the mean of the statistics of several batches differs a little
        wanted = F.cross_entropy(net.eval()(x), torch.from_numpy(records[:5, :, 0].reshape(-1)).long()).item()
    with h5py.File(tmp_path / "r.h5") as h5:
        assert h5["train_loss"][1, 1] == pytest.approx(wanted, rel=5e-3)


def test_a_sample_takes_its_share_of_each_class(lossatlas, tmp_path, files):
    folder, _, _ = files
    lossatlas("surface", "--problem", folder / "told.lossatlas", "--data", f"cifar10:{folder}", "--samples", 50, "--grid", 1,
              "--x=0:0", "--y=0:0", "--out", tmp_path / "s.h5").ok()
    lossatlas("surface", "--problem", folder / "told.lossatlas", "--data", f"cifar10:{folder}", "--samples", 50, "--grid", 1,
              "--x=0:0", "--y=0:0", "--out", tmp_path / "s.h5", "--resume").ok()
    done = lossatlas("surface", "--problem", folder / "told.lossatlas", "--data", f"cifar10:{folder}", "--samples", 50,
                     "--mean", 0.3, "--grid", 1, "--x=0:0", "--y=0:0", "--out", tmp_path / "s.h5", "--resume")
    assert done.status == 1 and "mean" in done.line()  # other inputs


@pytest.mark.parametrize("problem, words, status, line", [
    ("untold", ["--data", "{}"], 2, "give --mean and --std"),
    ("told", ["--mean", "0.5"], 2, "requires --data"),
    ("told", ["--data", "synthetic:40", "--mean", "2"], 2, "requires numbers from 0 to 1"),
    ("other", ["--data", "{}"], 1, "a sample is float32 [3, 32, 32], int64 [], and"),
    ("told", ["--data", "nothing:here"], 2, "unknown kind of data"),
    ("told", ["--split", "test"], 1, "has no test split"),
])
def test_what_does_not_fit_is_refused(lossatlas, tmp_path, files, problem, words, status, line):
    folder, _, _ = files
    words = [word.replace("{}", f"cifar10:{folder}") for word in words]
    done = lossatlas("surface", "--problem", folder / f"{problem}.lossatlas", *words, "--out", tmp_path / "s.h5")
    assert done.status == status and line in done.line(), done.err
    assert not (tmp_path / "s.h5").exists()


def test_labels_that_the_network_does_not_have(lossatlas, tmp_path, files):
    folder, _, _ = files
    small = nn.Sequential(nn.Flatten(), nn.Linear(3072, 7))
    export_problem(small, "cross-entropy", (torch.randn(4, 3, 32, 32), torch.arange(4)), tmp_path / "s.lossatlas", mean=MEAN,
                   std=STD)
    done = lossatlas("surface", "--problem", tmp_path / "s.lossatlas", "--data", f"cifar10:{folder}", "--out", tmp_path / "s.h5")
    assert done.status == 1 and "is not one of the network's 0 to 6" in done.line(), done.err
