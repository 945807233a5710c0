"""Data sets as their authors publish them, read by the program and once more by Python; losses against PyTorch."""

import gzip
import hashlib
import io
import os
import pickle
import struct

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import helpers


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def centre(lossatlas, network, data, out, *words, split="test"):
    torch.jit.trace(network, torch.zeros(2, *words[0])).save(out / "net.pt")
    lossatlas("surface", "--checkpoint", out / "net.pt", "--data", data, "--grid", 3, "--split", split, "--out", out / "s.h5",
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


# --- arrays by name ----------------------------------------------------------------------------------------------


def write_arrays(folder, kind, arrays, **how):
    """The words that name them."""
    file = folder / ("a.npz" if kind == "npz" else "a.h5")
    if kind == "npz":
        (np.savez_compressed if how.get("compression") else np.savez)(file, **arrays)
    else:
        with h5py.File(file, "w") as h5:
            for name, array in arrays.items():
                h5.create_dataset(name, data=array, **how)
    return f"{kind}:{file}"


IMAGES = {  # as they are stored, and as the network is to see them: [N, C, H, W]
    "grey": (lambda x: x[:, 0], lambda x: x[:, :1] / 255),
    "channels first": (lambda x: x, lambda x: x / 255),
    "channels last": (lambda x: np.moveaxis(x, 1, 3), lambda x: x / 255),
    "order of Fortran": (lambda x: np.asfortranarray(x), lambda x: x / 255),
    "float16": (lambda x: (x / 64).astype(np.float16), lambda x: (x / 64).astype(np.float16)),
    "big float32": (lambda x: (x / 100 - 1).astype(">f4"), lambda x: (x / 100 - 1).astype(np.float32)),
    "float64": (lambda x: x / 255 - 0.5, lambda x: (x / 255 - 0.5).astype(np.float32)),
}
LABELS = {"uint8": lambda y: y.astype(np.uint8), "int64": lambda y: y, "column of float32": lambda y: y[:, None].astype("f4"),
          "big int16": lambda y: y.astype(">i2")}


PACKED = [("npz", {"compression": True}), ("hdf5", {"compression": "gzip", "shuffle": True, "chunks": True})]


@pytest.mark.parametrize("kind, how, images, labels",
                         [*((kind, {}, name, "uint8") for kind in ("npz", "hdf5") for name in IMAGES),
                          *((kind, {}, "grey", name) for kind in ("npz", "hdf5") for name in LABELS),
                          *((kind, how, "channels last", "int64") for kind, how in PACKED)])
def test_labelled_arrays(lossatlas, tmp_path, kind, how, images, labels):
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 256, (30, 3, 5, 6), dtype=np.uint8), np.arange(30) % 7
    stored, seen = IMAGES[images]
    arrays = {"x_train": stored(x[:20]), "y_train": LABELS[labels](y[:20]),
              "x_test": stored(x[20:]), "y_test": LABELS[labels](y[20:])}
    words = write_arrays(tmp_path, kind, arrays, **how)
    inputs = torch.from_numpy(seen(x[20:]).astype(np.float64))
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(inputs[0].numel(), 7)).eval()
    found = centre(lossatlas, network, words, tmp_path, tuple(inputs.shape[1:]))
    with torch.no_grad():
        wanted = F.cross_entropy(network.double()(inputs), torch.from_numpy(y[20:])).item()
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("kind", ["npz", "hdf5"])
def test_training_on_arrays(lossatlas, tmp_path, kind):
    """The test loss that the run recorded, and that of a surface, are PyTorch's of the network it wrote."""
    rng = np.random.default_rng(6)
    y = np.arange(80) % 4
    x = np.clip(rng.integers(60, 200, (4, 3, 32, 32))[y] + rng.normal(0, 20, (80, 3, 32, 32)), 0, 255).astype(np.uint8)
    words = write_arrays(tmp_path, kind, {"train_images": np.moveaxis(x[:60], 1, 3), "train_labels": y[:60, None],
                                          "val_images": np.moveaxis(x[60:], 1, 3), "val_labels": y[60:, None]})
    lossatlas("train", "--arch", "linear", "--data", words, "--out", tmp_path / "run", "--epochs", 2, "--lr", 0.01,
              "--batch-size", 20, "--threads", 1).ok()
    file = torch.load(tmp_path / "run" / "checkpoints" / "epoch-0002.pt", weights_only=True)
    network = nn.Linear(3072, 4).double()
    network.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in file["state_dict"].items()})
    with h5py.File(tmp_path / "run" / "history.h5") as h5:
        found = h5["test_loss"][-1]
    with torch.no_grad():
        wanted = F.cross_entropy(network(torch.from_numpy(x[60:].reshape(-1, 3072) / 255)), torch.from_numpy(y[60:])).item()
    assert found == pytest.approx(wanted, rel=1e-5)
    lossatlas("surface", "--checkpoint", tmp_path / "run", "--data", words, "--grid", 3, "--split", "test", "--out",
              tmp_path / "s.h5").ok()
    with h5py.File(tmp_path / "s.h5") as h5:
        assert h5["test_loss"][1, 1] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["npz", "hdf5"])
def test_arrays_that_do_not_fit(lossatlas, tmp_path, kind):
    torch.jit.trace(nn.Flatten(), torch.zeros(2, 1, 2, 2)).save(tmp_path / "net.pt")
    x, y = np.zeros((3, 2, 2), np.float32), np.arange(3)
    nan = x.copy()
    nan[1, 0, 1] = np.nan

    def refused(*texts, **arrays):
        words = write_arrays(tmp_path, kind, arrays)
        done = lossatlas("surface", "--checkpoint", tmp_path / "net.pt", "--data", words, "--split", "train", "--grid", 3,
                         "--out", tmp_path / "s.h5")
        assert done.status == 1, done.err
        for text in (words.split(":")[1], *texts):
            assert text in done.line()

    refused("inputs has 3 rows, targets has 2", inputs=x, targets=y[:2])
    refused("inputs has no rows", inputs=x[:0], targets=y[:0])
    refused("inputs[1] holds nan", inputs=nan, targets=y)
    refused("targets[2] is -1", inputs=x, targets=[0, 1, -1])
    refused("targets[0] is 0.5", inputs=x, targets=[0.5, 1, 1])
    refused("inputs: holds", "not numbers of a type that is read", inputs=x.astype(complex), targets=y)
    refused("inputs has shape [3, 4]", "--problem takes arrays of any shape", inputs=x.reshape(3, 4), targets=y)
    refused("requires arrays named", "it holds features float32 [3, 2, 2]", "weights", features=x, weights=x)
    refused("holds inputs without targets", inputs=x)


# --- CIFAR's Python version --------------------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes bytes and texts as cPickle of Python 2 wrote its str."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        data = text.encode("latin1") if isinstance(text, str) else text
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<I", len(data)) + data)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_str


def old(content):
    out = io.BytesIO()
    pickler = Python2Pickler(out, 2)
    pickler.dump(content)
    return out.getvalue().replace(b"numpy._core", b"numpy.core")


WRITERS = {"Python 2": old, **{f"protocol {n}": lambda content, n=n: pickle.dumps(content, n) for n in (2, 4, 5)}}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "cifar100:coarse"])
def test_cifar_as_pickles(lossatlas, tmp_path, kind, write):
    """The digest of what was read is that of the binary version of the same images."""
    rng = np.random.default_rng(7)
    x, fine, coarse = rng.integers(0, 256, (24, 3072), dtype=np.uint8), rng.integers(0, 10, 24), rng.integers(0, 20, 24)
    name, _, words = kind.partition(":")
    folder = tmp_path / ("cifar-10-batches-py" if name == "cifar10" else "cifar-100-python")
    folder.mkdir()
    if name == "cifar10":
        parts = {f"data_batch_{i + 1}": slice(4 * i, 4 * i + 4) for i in range(5)} | {"test_batch": slice(20, 24)}
    else:
        parts = {"train": slice(0, 20), "test": slice(20, 24)}
    for file, part in parts.items():
        labels = {b"labels": fine[part].tolist()} if name == "cifar10" else \
            {b"fine_labels": fine[part].tolist(), b"coarse_labels": coarse[part].tolist()}
        content = {b"batch_label": b"some", b"data": x[part], b"filenames": [b"a.png"] * 4, **labels}
        if write is not old and file.startswith("t"):
            content = {key.decode(): value for key, value in content.items()}
        (folder / file).write_bytes(write(content))
    data = f"{name}:{tmp_path}{':' + words if words else ''}"
    classes = {"cifar10": 10, "cifar100": 100, "cifar100:coarse": 20}[kind]
    label = coarse if words else fine
    torch.manual_seed(1)
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, classes)).eval()
    found = centre(lossatlas, network, data, tmp_path, (3, 32, 32), "--mean", "0.5", "--std", "0.25", split="both")
    inputs = torch.from_numpy((x[20:].reshape(-1, 3, 32, 32) / 255 - 0.5) / 0.25)
    with torch.no_grad():
        wanted = F.cross_entropy(network.double()(inputs), torch.from_numpy(label[20:])).item()
    assert found == pytest.approx(wanted, rel=1e-6)
    settings = helpers.settings(tmp_path / "s.h5")
    for key, part in (("samples_sha256", slice(0, 20)), ("test_samples_sha256", slice(20, 24))):
        records = np.concatenate([label[part, None].astype(np.uint8), x[part]], axis=1)
        assert settings[key] == hashlib.sha256(records.tobytes()).hexdigest()


def test_pickles_that_are_not_cifars(lossatlas, tmp_path):
    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    good = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
    torch.jit.trace(nn.Flatten(), torch.zeros(2, 3, 32, 32)).save(tmp_path / "net.pt")

    def refused(text, content):
        (tmp_path / "test_batch").write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
        done = lossatlas("surface", "--checkpoint", tmp_path / "net.pt", "--data", f"cifar10:{tmp_path}", "--split", "test",
                         "--grid", 3, "--out", tmp_path / "s.h5")
        assert done.status == 1 and str(tmp_path / "test_batch") in done.line() and text in done.line(), done.err

    refused("system', which is never run", good | {"labels": Runs()})
    assert not (tmp_path / "ran").exists()
    refused("it has no 'labels'", {"data": good["data"]})
    refused("label 10 of image 2 is not one of CIFAR-10's 0 to 9", good | {"labels": [0, 10]})
    refused("holds 2 images and 1 labels", good | {"labels": [0]})
    refused("its 'data' is not an array of uint8 [N, 3072]", good | {"data": np.zeros((2, 3072), np.int32)})
    refused("its 'data' is not an array of uint8 [N, 3072]", good | {"data": np.zeros((2, 3071), np.uint8)})
    refused("breaks off", pickle.dumps(good, 2)[:3000])
    refused("breaks off", b"")


def test_datasets_that_are_elsewhere(lossatlas, tmp_path):
    """A virtual dataset reads other files: they are not opened."""
    with h5py.File(tmp_path / "other.h5", "w") as h5:
        h5["x"] = np.zeros((3, 2, 2), np.uint8)
    layout = h5py.VirtualLayout((3, 2, 2), np.uint8)
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (3, 2, 2))
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.create_virtual_dataset("x", layout)
        h5["y"] = [0, 1, 2]
    done = lossatlas("train", "--arch", "linear", "--data", f"hdf5:{tmp_path / 'a.h5'}", "--out", tmp_path / "run")
    assert done.status == 1 and done.line() == f"lossatlas: {tmp_path / 'a.h5'}: x: its values are in another file"
