"""Pictures in class folders: decoded, resized and cropped by Pillow here, and by the program; losses against PyTorch."""

import subprocess

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

CLASSES = ["ant", "bee", "cow"]
RESIZE, CROP = 28, 24
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def picture(random, label):
    """A smooth random picture of any size: channel `label` is the brightest."""
    width, height = random.integers(30, 60, 2)
    coarse = random.integers(0, 120, (4, 4, 3), dtype=np.uint8)
    coarse[..., label] += 110
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    random, root = np.random.default_rng(5), tmp_path_factory.mktemp("images")
    for split, count in (("train", 12), ("val", 4)):
        for label, name in enumerate(CLASSES):
            inner = root / "data" / split / name
            inner.mkdir(parents=True)
            for i in range(count):
                image = picture(random, label)
                if i % 4 == 1:
                    image = image.convert("L")
                if i % 4 == 2:
                    image = image.convert("RGBA")
                image.save(inner / (f"{i}.png" if i % 2 == 0 else f"{i}.JPEG"))
    return root


def words(folder, *more):
    return ["--data", f"images:{folder / 'data'}", "--image-cache", folder / "cache", *more]


def resized(image, filter):
    """torchvision's Resize and CenterCrop."""
    short, long = sorted(image.size)
    long = int(RESIZE * long / short)
    image = image.resize((RESIZE, long) if image.width <= image.height else (long, RESIZE), filter)
    left, top = (round((side - CROP) / 2) for side in image.size)
    return image.crop((left, top, left + CROP, top + CROP))


def batch(folder, filter):
    """Normalized images of the test split, float64, and their labels."""
    files = [(file, label) for label, name in enumerate(CLASSES) for file in sorted((folder / "data/val" / name).iterdir())]
    pixels = np.stack([np.asarray(resized(Image.open(file).convert("RGB"), filter)) for file, _ in files])
    return (torch.from_numpy(((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy()),
            torch.tensor([label for _, label in files]))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_loss_is_that_of_pillows_pixels(lossatlas, folder, tmp_path, interpolation):
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * CROP * CROP, 3)).eval()
    torch.jit.trace(network, torch.zeros(2, 3, CROP, CROP)).save(tmp_path / "net.pt")
    for _ in range(2):  # decoded, and from the cache
        lossatlas("surface", "--checkpoint", tmp_path / "net.pt", *words(folder), "--resize", RESIZE, "--crop", CROP,
                  "--interpolation", interpolation, "--grid", 3, "--split", "test", "--out", tmp_path / "s.h5", "--force").ok()
        with h5py.File(tmp_path / "s.h5") as h5:
            found = h5["test_loss"][1, 1]
        images, labels = batch(folder, Image.Resampling[interpolation.upper()])
        with torch.no_grad():
            wanted = F.cross_entropy(network.double()(images), labels).item()
        assert found == pytest.approx(wanted, rel=1e-6)


def test_a_built_in_network_learns_them(lossatlas, folder, tmp_path):
    lossatlas("train", "--arch", "resnet20", "--width", 4, *words(folder), "--resize", 32, "--crop", 32, "--epochs", 8, "--lr",
              0.01, "--batch-size", 6, "--threads", 1, "--out", tmp_path / "run").ok()
    with h5py.File(tmp_path / "run" / "history.h5") as h5:
        assert h5["test_acc"][-1] >= 60  # by chance 33


def test_bad_pictures(lossatlas, folder, tmp_path):
    data = tmp_path / "data"
    for label, name in enumerate(CLASSES):
        (data / name).mkdir(parents=True)
        for i in range(3):
            picture(np.random.default_rng(i), label).save(data / name / f"{i}.jpg")
    broken = data / "bee" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:400])
    train = ["train", "--arch", "mlp", *words(tmp_path), "--test-data", f"images:{folder / 'data'}", "--resize", 32, "--crop", 32,
             "--epochs", 1, "--out", tmp_path / "run"]
    refused = lossatlas(*train)
    assert refused.status == 1
    assert f"{data}: 1 of 9 images cannot be decoded: bee/1.jpg (is cut off); --skip-bad leaves them out" in refused.line()
    lossatlas(*train, "--skip-bad").ok()
    with h5py.File(tmp_path / "run" / "history.h5") as h5:
        assert len(h5["test_acc"]) == 2  # of the start and one epoch


def test_a_disk_too_small_for_the_cache(lossatlas, folder, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here: " + mounted.stderr.decode().strip())
    try:
        refused = lossatlas("train", "--arch", "mlp", "--data", f"images:{folder / 'data'}", "--image-cache", disk, "--resize", 32,
                            "--crop", 32, "--out", tmp_path / "run")
        assert refused.status == 1
        assert "the decoded images take 111 kB, and 66 kB are free; choose a folder on another disk with --image-cache" in \
            refused.line()
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
