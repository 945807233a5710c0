"""Data sets as their authors publish them, read by the program and once more by Python; losses against PyTorch."""

import gzip
import struct

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def centre(lossatlas, network, data, out, *words):
    torch.jit.trace(network, torch.zeros(2, *words[0])).save(out / "net.pt")
    lossatlas("surface", "--checkpoint", out / "net.pt", "--data", data, "--grid", 3, "--split", "test", "--out", out / "s.h5",
              "--force", *words[1:]).ok()
    with h5py.File(out / "s.h5") as h5:
        return h5["test_loss"][1, 1]


@pytest.mark.parametrize("end, pack", [("", bytes), (".gz", gzip.compress)])
@pytest.mark.parametrize("inner", ["", "FashionMNIST/raw"])
def test_mnist_and_what_looks_like_it(lossatlas, tmp_path, end, pack, inner):
    rng = np.random.default_rng(3)
    folder = tmp_path / inner
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = rng.integers(0, 256, (50, 9, 7), dtype=np.uint8), rng.integers(0, 10, 50, dtype=np.uint8)
    for split, last in (("train", 40), ("t10k", 50)):
        part = slice(0, 40) if split == "train" else slice(40, last)
        (folder / f"{split}-images-idx3-ubyte{end}").write_bytes(pack(idx(images[part])))
        (folder / f"{split}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels[part])))
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(63, 10)).eval()
    found = centre(lossatlas, network, f"mnist:{tmp_path}", tmp_path, (1, 9, 7))
    x = torch.from_numpy((images[40:, None] / 255 - 0.1307) / 0.3081)
    with torch.no_grad():
        wanted = F.cross_entropy(network.double()(x), torch.from_numpy(labels[40:]).long()).item()
    assert found == pytest.approx(wanted, rel=1e-6)
    if end:  # cut off in the middle
        file = folder / f"t10k-images-idx3-ubyte{end}"
        file.write_bytes(file.read_bytes()[:200])
        done = lossatlas("surface", "--checkpoint", tmp_path / "net.pt", "--data", f"mnist:{tmp_path}", "--split", "test",
                         "--out", tmp_path / "t.h5")
        assert done.status == 1 and file.name in done.line() and "cut off" in done.line()


@pytest.mark.parametrize("words, column, classes", [("", 1, 100), (":coarse", 0, 20)])
def test_cifar100(lossatlas, tmp_path, words, column, classes):
    rng = np.random.default_rng(4)
    records = np.empty((30, 3074), np.uint8)
    records[:, 0], records[:, 1] = rng.integers(0, 20, 30), rng.integers(0, 100, 30)
    records[:, 2:] = rng.integers(0, 256, (30, 3072))
    (tmp_path / "cifar-100-binary").mkdir()
    for name, part in (("train.bin", records[:20]), ("test.bin", records[20:])):
        (tmp_path / "cifar-100-binary" / name).write_bytes(part.tobytes())
    torch.manual_seed(1)
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, classes)).eval()
    found = centre(lossatlas, network, f"cifar100:{tmp_path}{words}", tmp_path, (3, 32, 32), "--mean", "0.5", "--std", "0.25")
    x = torch.from_numpy((records[20:, 2:].reshape(-1, 3, 32, 32) / 255 - 0.5) / 0.25)
    with torch.no_grad():
        wanted = F.cross_entropy(network.double()(x), torch.from_numpy(records[20:, column]).long()).item()
    assert found == pytest.approx(wanted, rel=1e-6)
