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


def write_arrays(file, arrays):
    if file.suffix == ".npz":
        np.savez(file, **arrays)
        return f"npz:{file}"
    with h5py.File(file, "w") as h5:
        for name, values in arrays.items():
            h5[name] = values
    return f"hdf5:{file}"


@pytest.mark.parametrize("end", [".npz", ".h5"])
def test_arrays_of_any_kind(lossatlas, tmp_path, end):
    """A table with float targets, as a regression has them; the test split under other words."""
    torch.manual_seed(3)
    network, rng = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 2)), np.random.default_rng(6)
    x, y = rng.normal(size=(60, 7)).astype(np.float32), rng.normal(size=(60, 2)).astype(np.float32)
    export_problem(network, "mse", (torch.from_numpy(x[:9]), torch.from_numpy(y[:9])), tmp_path / "p.lossatlas")
    train = write_arrays(tmp_path / f"a{end}", {"inputs": x[:40], "targets": y[:40]})
    test = write_arrays(tmp_path / f"b{end}", {"x_test": x[40:], "y_test": y[40:]})

    def wanted(part):
        with torch.no_grad():
            return F.mse_loss(network.double()(torch.from_numpy(x[part]).double()), torch.from_numpy(y[part]).double()).item()

    words = ["surface", "--problem", tmp_path / "p.lossatlas", "--data", train, "--grid", 3, "--out", tmp_path / "s.h5"]
    lossatlas(*words, "--test-data", test, "--split", "both").ok()
    with h5py.File(tmp_path / "s.h5") as h5:
        assert h5["train_loss"][1, 1] == pytest.approx(wanted(slice(0, 40)), rel=1e-5)
        assert h5["test_loss"][1, 1] == pytest.approx(wanted(slice(40, 60)), rel=1e-5)
    line = ["line", *words[1:5], "--points", 3, "--out", tmp_path / "l.h5"]
    done = lossatlas(*line).ok()  # its default is both splits
    assert f"note: {train} has no test split: training samples alone are evaluated" in done.err
    for array, line in [({"inputs": x[:, :6], "targets": y}, "a sample is float32 [6], float32 [2], and"),
                        ({"inputs": x.astype(np.float64), "targets": y}, "a sample is float64 [7], float32 [2], and"),
                        ({"inputs": x}, "a sample is float32 [7], and"),
                        ({"inputs": x, "targets": y[:50]}, "50"),
                        ({"inputs": np.where(x > 2, np.nan, x), "targets": y}, "inputs[")]:
        words[4] = write_arrays(tmp_path / f"c{end}", array)
        done = lossatlas(*words, "--force")
        assert done.status == 1 and line in done.line(), done.err
    words[4] = train
    done = lossatlas(*words, "--mean", 0.5, "--force")
    assert done.status == 2 and "--mean: applies to images only" in done.line()


class Transformer(nn.Module):
    def __init__(self, ids=50, width=8):
        super().__init__()
        self.token, self.place, self.head = nn.Embedding(ids, width), nn.Embedding(6, width), nn.Linear(width, ids)

    def forward(self, x):
        return self.head(torch.tanh(self.token(x) + self.place(torch.arange(x.shape[1]))))


def test_tokens(lossatlas, tmp_path):
    """nanoGPT's files; T is that of the problem. With targets of their own, and of the tokens alone."""
    torch.manual_seed(4)
    network, rng = Transformer(), np.random.default_rng(7)
    ids = {name: rng.integers(0, 50, count) for name, count in (("train", 101), ("val", 40))}
    (tmp_path / "text").mkdir()
    for name, numbers in ids.items():
        (tmp_path / "text" / f"{name}.bin").write_bytes(numbers.astype("<u2").tobytes())
    x = torch.from_numpy(ids["train"][:12].reshape(2, 6))

    def loss(model, x, y):
        return F.cross_entropy(model(x).transpose(1, 2), y, reduction="none").mean(1)

    def wanted(name, shift):
        rows = (len(ids[name]) - 1) // 6
        x, y = (torch.from_numpy(ids[name][k:k + 6 * rows].reshape(rows, 6)) for k in (0, 1))
        with torch.no_grad():
            logits = network.double()(x).transpose(1, 2)
            return F.cross_entropy(logits, y).item() if shift else F.cross_entropy(logits[..., :-1], x[:, 1:]).item()

    export_problem(network, loss, (x, x), tmp_path / "pairs.lossatlas")
    export_problem(network, "next-token", x, tmp_path / "alone.lossatlas")
    for problem, shift in (("pairs", True), ("alone", False)):
        words = ["surface", "--problem", tmp_path / f"{problem}.lossatlas", "--data", f"tokens:{tmp_path / 'text'}", "--grid",
                 1, "--x=0:0", "--y=0:0", "--force", "--out", tmp_path / "s.h5", "--split", "both"]
        lossatlas(*words).ok()
        with h5py.File(tmp_path / "s.h5") as h5:
            assert h5["train_loss"][0, 0] == pytest.approx(wanted("train", shift), rel=1e-5)
            assert h5["test_loss"][0, 0] == pytest.approx(wanted("val", shift), rel=1e-5)
    lossatlas(*words, "--samples", 5).ok()
    (tmp_path / "text" / "train.bin").write_bytes(np.array([1] * 9 + [50] + [1] * 9, "<u2").tobytes())
    done = lossatlas(*words)
    assert done.status == 1 and "train.bin: id 50 at position" in done.line(), done.err
