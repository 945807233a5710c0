"""How fast images:DIR is: makes JPEGs of ImageNet's size, loads them with default options, first and from the cache, and beside
that with torchvision's ImageFolder, Resize(256) and CenterCrop(224) in a DataLoader with a worker for each processor. Prints
images a second, peak memory and the mean absolute difference of the pixels."""

import argparse
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"
HEAD = len(b"lossatlas images 1\n")  # of a cache
SIZE = 224


def make_picture(job):
    """Smooth noise of several scales, on which JPEG spends about as many bytes as on ImageNet's photographs."""
    path, seed = job
    random = np.random.default_rng(seed)
    width, height = (500, 375) if seed % 4 else (375, 500)
    pixels = np.full((height, width, 3), 128.0)
    for scale, strength in ((100, 60), (25, 30), (6, 18), (2, 14)):
        coarse = random.normal(0, 1, (height // scale + 2, width // scale + 2, 3))
        for c in range(3):
            layer = Image.fromarray(coarse[..., c].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
            pixels[..., c] += strength * np.asarray(layer)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)


def make(folder, count):
    jobs = []
    for i in range(count):
        inner = folder / f"class{i % 10}"
        inner.mkdir(parents=True, exist_ok=True)
        jobs.append((inner / f"{i:06d}.jpg", i))
    with multiprocessing.Pool() as pool:
        pool.map(make_picture, jobs, chunksize=16)
    size = sum(path.stat().st_size for path, _ in jobs) / count
    print(f"{count} pictures of {size / 1000:.0f} kB", flush=True)


def torchvision_loads(folder, first):
    """In a process of its own: prints what `ours` prints. Saves the first images."""
    import torch
    import torchvision.transforms as T
    from torchvision.datasets import ImageFolder

    transform = T.Compose([T.Resize(256), T.CenterCrop(SIZE), T.PILToTensor()])
    loader = torch.utils.data.DataLoader(ImageFolder(folder, transform), batch_size=64, num_workers=os.cpu_count())
    begin, seen, kept = time.perf_counter(), 0, []
    for images, _ in loader:
        if 64 * len(kept) < 256:
            kept.append(images.numpy().copy())
        seen += len(images)
    seconds = time.perf_counter() - begin
    np.save(first, np.concatenate(kept))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak += os.cpu_count() * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # the largest worker
    print(json.dumps({"images": seen, "seconds": seconds, "kilobytes": peak}))


def result(words):
    done = subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench-images", description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=pathlib.Path, help="for the pictures and the cache (default: a temporary one)")
    options = parser.parse_args()
    subprocess.run(["cmake", "--build", BUILD, "--target", "decode_images"], check=True, stdout=subprocess.DEVNULL)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-images-", dir=options.folder))
    try:
        pictures, cache, first = folder / "pictures", folder / "cache", folder / "first.npy"
        make(pictures, options.images)
        ours = [BUILD / "decode_images", pictures, cache]
        loaders = {"torchvision": [sys.executable, __file__, "--torchvision", pictures, first], "first use": ours, "cache": ours}
        results = {name: [] for name in loaders}
        for _ in range(options.rounds):
            shutil.rmtree(cache, ignore_errors=True)
            for name, words in loaders.items():
                results[name].append(result(words))
        rate = {name: statistics.median(run["images"] / run["seconds"] for run in runs) for name, runs in results.items()}
        for name, runs in results.items():
            peak = max(run["kilobytes"] for run in runs) / 1000
            print(f"{name:12} {rate[name]:9.0f} images/s  {rate[name] / rate['torchvision']:6.2f} x torchvision's  {peak:6.0f} MB")
        wanted = np.load(first).astype(int)
        pixels = np.memmap(next(cache.iterdir()), np.uint8, "r", HEAD, wanted.shape)
        difference = np.abs(pixels - wanted)
        print(f"mean absolute difference of {len(wanted)} images: {difference.mean():.4f} grey levels, largest {difference.max()}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--torchvision"]:
        torchvision_loads(*sys.argv[2:])
    else:
        main()
