"""The rows of the table: data sets in the form that their scripts leave, a few samples each."""

import dataclasses
import gzip
import io
import pickle
import struct
import typing

import h5py
import numpy as np
import torch
from PIL import Image

COUNT = 24


@dataclasses.dataclass
class Samples:
    inputs: torch.Tensor   # [N, ...] as they enter the network: float64, or int64 of tokens
    targets: torch.Tensor  # [N] int64, of tokens [N, T]
    classes: int
    is_text: bool = False
    is_table: bool = False  # no images: through a problem file


@dataclasses.dataclass
class Row:
    name: str
    files: str
    words: str                # of --data; DIR is where the files are
    write: typing.Callable    # (folder): writes them; returns the samples, nothing if they are refused
    options: tuple = ()
    refusal: str = ""         # a part of the line; "" for what is read


ROWS = []


def row(name, files, words, *options, refusal=""):
    def add(write):
        ROWS.append(Row(name, files, words, write, options, refusal))
        return write

    return add


def random_images(seed, *shape, classes=10):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (COUNT, *shape), np.uint8), random.integers(0, classes, COUNT, np.uint8)


def normalized(pixels, mean, std):
    """uint8 [N, C, H, W] to float64."""
    mean, std = (np.asarray(values, np.float64).reshape(-1, 1, 1) for values in (mean, std))
    return torch.from_numpy((pixels / 255 - mean) / std)


def samples_of(pixels, labels, classes, mean=(0,), std=(1,)):
    return Samples(normalized(pixels, mean, std), torch.from_numpy(labels.astype(np.int64).reshape(-1)), classes)


def some_samples():
    pixels, labels = random_images(0, 1, 8, 8)
    return samples_of(pixels, labels, 10)


CIFAR10 = {"mean": np.array([125.3, 123.0, 113.9]) / 255, "std": np.array([63.0, 62.1, 66.7]) / 255}
CIFAR100 = {"mean": np.array([129.3, 124.1, 112.4]) / 255, "std": np.array([68.2, 65.4, 70.4]) / 255}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
MNIST = {"mean": (0.1307,), "std": (0.3081,)}


def pickled(entries):
    """As Python 2 pickled them: keys and names are bytes."""
    return pickle.dumps({key.encode(): value for key, value in entries.items()}, protocol=2)


@row("CIFAR-10, binary version", "data_batch_1.bin … test_batch.bin", "cifar10:DIR", "--split", "test")
def _(folder):
    pixels, labels = random_images(1, 3, 32, 32)
    records = np.concatenate([labels[:, None], pixels.reshape(COUNT, -1)], axis=1)
    for name in ("test_batch", *(f"data_batch_{k}" for k in range(1, 6))):
        records.tofile(folder / f"{name}.bin")
    return samples_of(pixels, labels, 10, **CIFAR10)


@row("CIFAR-10, Python version, as torchvision leaves it", "cifar-10-batches-py/data_batch_1 …", "cifar10:DIR")
def _(folder):
    pixels, labels = random_images(2, 3, 32, 32)
    (folder / "cifar-10-batches-py").mkdir()
    for k, part in enumerate(np.array_split(np.arange(COUNT), 5), 1):
        entries = {"batch_label": f"training batch {k} of 5", "labels": labels[part].tolist(),
                   "data": pixels[part].reshape(len(part), -1), "filenames": ["a.png"] * len(part)}
        (folder / "cifar-10-batches-py" / f"data_batch_{k}").write_bytes(pickled(entries))
    return samples_of(pixels, labels, 10, **CIFAR10)


@row("CIFAR-100, Python version", "cifar-100-python/train, test, meta", "cifar100:DIR", "--split", "test")
def _(folder):
    pixels, labels = random_images(3, 3, 32, 32, classes=100)
    (folder / "cifar-100-python").mkdir()
    entries = {"fine_labels": labels.tolist(), "coarse_labels": (labels // 5).tolist(), "data": pixels.reshape(COUNT, -1)}
    (folder / "cifar-100-python" / "test").write_bytes(pickled(entries))
    return samples_of(pixels, labels, 100, **CIFAR100)


@row("CIFAR-100, binary version, 20 classes", "cifar-100-binary/train.bin, test.bin", "cifar100:DIR:coarse")
def _(folder):
    pixels, labels = random_images(4, 3, 32, 32, classes=20)
    (folder / "cifar-100-binary").mkdir()
    records = np.concatenate([labels[:, None], labels[:, None] * 5, pixels.reshape(COUNT, -1)], axis=1)
    records.tofile(folder / "cifar-100-binary" / "train.bin")
    return samples_of(pixels, labels, 20, **CIFAR100)


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, split, images, labels, end="", pack=bytes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
    (folder / f"{split}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))


@row("MNIST, as torchvision leaves it", "MNIST/raw/train-images-idx3-ubyte …", "mnist:DIR")
def _(folder):
    images, labels = random_images(5, 28, 28)
    write_idx(folder / "MNIST" / "raw", "train", images, labels)
    return samples_of(images[:, None], labels, 10, **MNIST)


@row("Fashion-MNIST, downloaded", "t10k-images-idx3-ubyte.gz …", "mnist:DIR", "--split", "test")
def _(folder):
    images, labels = random_images(6, 28, 28)
    write_idx(folder, "t10k", images, labels, ".gz", gzip.compress)
    return samples_of(images[:, None], labels, 10, **MNIST)


@row("Keras, `mnist.npz`", "mnist.npz: x_train, y_train, x_test, y_test", "npz:DIR/mnist.npz", "--split", "test")
def _(folder):
    images, labels = random_images(7, 28, 28)
    np.savez_compressed(folder / "mnist.npz", x_train=images[:8], y_train=labels[:8], x_test=images, y_test=labels)
    return samples_of(images[:, None], labels, int(labels.max()) + 1)


@row("MedMNIST", "pathmnist.npz: train_images [N, 28, 28, 3], train_labels [N, 1], val_…, test_…", "npz:DIR/pathmnist.npz")
def _(folder):
    images, labels = random_images(8, 28, 28, 3, classes=9)
    arrays = {f"{split}_{what}": values for split in ("train", "val", "test")
              for what, values in (("images", images), ("labels", labels[:, None]))}
    np.savez(folder / "pathmnist.npz", **arrays)
    return samples_of(images.transpose(0, 3, 1, 2), labels, int(labels.max()) + 1)


@row("scikit-learn's digits, `numpy.savez`", "digits.npz: data [N, 64] float32, target", "npz:DIR/digits.npz")
def _(folder):
    random = np.random.default_rng(9)
    x, y = random.random((COUNT, 64), np.float32), random.integers(0, 10, COUNT)
    np.savez(folder / "digits.npz", data=x, target=y)
    return Samples(torch.from_numpy(x), torch.from_numpy(y), 10, is_table=True)


@row("h5py, compressed in chunks", "data.h5: train_x, train_y, test_x, test_y", "hdf5:DIR/data.h5", "--split", "test")
def _(folder):
    random = np.random.default_rng(10)
    x, y = random.normal(size=(COUNT, 3, 9, 9)).astype(np.float16), random.integers(0, 5, COUNT)
    with h5py.File(folder / "data.h5", "w") as file:
        for split in ("train", "test"):
            file.create_dataset(f"{split}_x", data=x, chunks=(7, 3, 9, 9), compression="gzip", shuffle=True)
            file[f"{split}_y"] = y
    return Samples(torch.from_numpy(x.astype(np.float64)), torch.from_numpy(y), int(y.max()) + 1)


def photo(seed, height, width):
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def resized(image, side, crop):
    """torchvision's Resize and CenterCrop on a PIL image, [3, crop, crop]."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new = side, int(side * long / short)
    image = image.resize(new if width <= height else new[::-1], Image.Resampling.BILINEAR)
    left, top = (round((length - crop) / 2) for length in image.size)
    return np.asarray(image.crop((left, top, left + crop, top + crop)).convert("RGB")).transpose(2, 0, 1)


def write_photos(folder, names, size, count=4, end=".JPEG", **options):
    """Class folders of photos; the images and labels that torchvision's ImageFolder gives after Resize(36), CenterCrop(32)."""
    images, labels = [], []
    for label, name in enumerate(sorted(names)):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            file = folder / name / f"{name.split('/')[0]}_{k}{end}"
            photo(100 * label + k, size + 7 * k, size + 20).save(file, **options)
            images.append(resized(Image.open(file), 36, 32))
            labels.append(label)
    return np.stack(images), np.array(labels)


SMALL = ("--resize", 36, "--crop", 32)


@row("ImageNet, class folders", "train/n01440764/….JPEG, val/n01440764/….JPEG", "images:DIR", "--split", "test", *SMALL)
def _(folder):
    write_photos(folder / "train", ("n01440764", "n02102040", "n03000684"), 90)
    images, labels = write_photos(folder / "val", ("n01440764", "n02102040", "n03000684"), 80, quality=95)
    return samples_of(images, labels, 3, **IMAGENET)


@row("one folder a class, PNG", "cat/0.png, dog/0.png …", "images:DIR/pets", *SMALL)
def _(folder):
    images, labels = write_photos(folder / "pets", ("cat", "dog"), 50, end=".png")
    return samples_of(images, labels, 2, **IMAGENET)


@row("Tiny ImageNet, training", "train/n01443537/images/….JPEG", "images:DIR", *SMALL)
def _(folder):
    images, labels = write_photos(folder / "train", ("n01443537/images", "n01629819/images"), 64)
    return samples_of(images, labels, 2, **IMAGENET)


@row("Tiny ImageNet, its val folder", "val/images/….JPEG, val/val_annotations.txt", "images:DIR", "--split", "test", *SMALL,
     refusal="classes")
def _(folder):
    write_photos(folder / "train", ("n01443537", "n01629819"), 64)
    write_photos(folder / "val", ("images",), 64)


def text(seed, ids):
    return np.random.default_rng(seed).integers(0, ids, 16 * COUNT + 1)


def blocks(ids, classes, length=16):
    rows = (len(ids) - 1) // length
    inputs, targets = (torch.from_numpy(ids[k:k + rows * length].reshape(rows, length)) for k in (0, 1))
    return Samples(inputs, targets, classes, is_text=True)


@row("nanoGPT, prepare.py", "train.bin, val.bin: uint16", "tokens:DIR", "--split", "test")
def _(folder):
    ids = text(11, 65)
    ids[:99].astype(np.uint16).tofile(folder / "train.bin")
    ids.astype(np.uint16).tofile(folder / "val.bin")
    return blocks(ids, 65)


@row("llm.c, fineweb.py --model_desc llama-3", "fineweb_val_000000.bin: a header, uint32", "tokens:DIR/fineweb_val_000000.bin:16")
def _(folder):
    ids, head = text(12, 300), np.zeros(256, np.int32)
    head[:3] = 20240801, 7, len(ids)
    (folder / "fineweb_val_000000.bin").write_bytes(head.tobytes() + ids.astype(np.uint32).tobytes())
    return blocks(ids, 300)


@row("nanoGPT, of a larger vocabulary", "train.bin", "tokens:DIR/train.bin:16", refusal="is not one of the vocabulary's")
def _(folder):
    ids = text(13, 65)
    ids[7] = 65
    ids.astype(np.uint16).tofile(folder / "train.bin")
    return blocks(ids, 65)


@row("`numpy.save` of objects in `numpy.savez`", "data.npz", "npz:DIR/data.npz", refusal="objects")
def _(folder):
    np.savez(folder / "data.npz", inputs=np.array([{"a": 1}, None], dtype=object), targets=np.arange(2))


@row("other names in `numpy.savez`", "data.npz: left, right", "npz:DIR/data.npz", refusal="left")
def _(folder):
    np.savez(folder / "data.npz", left=np.zeros((3, 4)), right=np.arange(3))


@row("MATLAB, SVHN", "train_32x32.mat", "hdf5:DIR/train_32x32.mat", refusal="train_32x32.mat")
def _(folder):
    (folder / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + bytes(64))


@row("`torch.save` of tensors", "data.pt", "npz:DIR/data.pt", refusal="without arrays of NumPy")
def _(folder):
    torch.save((torch.zeros(3, 4), torch.arange(3)), folder / "data.pt")


@row("a table of text", "iris.csv", "csv:DIR/iris.csv", refusal="unknown kind of data")
def _(folder):
    (folder / "iris.csv").write_text("5.1,3.5,1.4,0.2,setosa\n")


@row("a picture that is none", "cat/0.jpg: HTML of a failed download", "images:DIR/pets", *SMALL, refusal="cannot be decoded")
def _(folder):
    write_photos(folder / "pets", ("cat", "dog"), 50, end=".png")
    (folder / "pets" / "cat" / "0.jpg").write_text("<!DOCTYPE html>")


def _bytes_of(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    return stream.getvalue()


@row("a picture cut off", "cat/0.jpg", "images:DIR/pets", "--skip-bad", *SMALL)
def _(folder):
    images, labels = write_photos(folder / "pets", ("cat", "dog"), 50, end=".png")
    data = _bytes_of(photo(1, 60, 60))
    (folder / "pets" / "cat" / "0.jpg").write_bytes(data[:len(data) // 2])
    return samples_of(images, labels, 2, **IMAGENET)
