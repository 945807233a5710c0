"""How long the plane of a trajectory takes: makes checkpoints of ResNet18, which lie about a curve in three dimensions,
and prints the seconds until `lossatlas trajectory` has their PCA, beside those of reading them once."""

import argparse
import math
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "release" / "lossatlas"
DATA = ["--data", "synthetic:64"]


def make(folder, count):
    """Writes `count` checkpoints; returns their paths."""
    subprocess.run([BINARY, "train", "--arch", "resnet18", "--epochs", "0", *DATA, "--out", folder / "start"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start = torch.load(folder / "start/checkpoints/epoch-0000.pt", weights_only=True)["state_dict"]
    generator = torch.Generator().manual_seed(0)
    weights = {name for name, tensor in start.items() if tensor.is_floating_point()}
    ways = [{name: 0.01 * torch.randn(start[name].shape, generator=generator) for name in weights} for _ in range(3)]
    paths = [folder / f"checkpoint-{i:03d}.pt" for i in range(count)]
    for i, path in enumerate(paths):
        t = i / (count - 1)
        shares = (3 * t, math.sin(3 * t), 0.1 * math.cos(9 * t))
        torch.save({name: tensor + sum(share * way[name] for share, way in zip(shares, ways)) if name in weights else tensor
                    for name, tensor in start.items()}, path)
    return paths


def forget(paths):
    """Takes the files out of the system's cache."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(paths):
    """Seconds to read the files."""
    begin = time.perf_counter()
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 22):
                pass
    return time.perf_counter() - begin


def disk_bytes(process):
    """What the system has fetched from the disk for it so far."""
    try:
        with open(f"/proc/{process.pid}/io") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("read_bytes"))
    except OSError:  # it has ended
        return 0


def watch(process, begin, seen):
    """Notes after how many seconds so many bytes had been fetched."""
    while process.poll() is None:
        seen.append((time.perf_counter() - begin, disk_bytes(process)))
        time.sleep(0.02)


def disk_use(seen, size):
    """The seconds from the first fiftieth of the bytes to the last one, and the bytes a second; nothing where few were fetched."""
    between = [(seconds, fetched) for seconds, fetched in seen if size / 50 < fetched < size * 49 / 50]
    if len(between) < 2:
        return None
    (begin, some), (end, most) = between[0], between[-1]
    return end - begin, (most - some) / (end - begin)


def analyse(folder, size):
    """Seconds until the program has the plane, and begins to evaluate; and its use of the disk."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [BINARY, "trajectory", "--checkpoints", folder / "checkpoint-*.pt", "--arch", "resnet18", *DATA, "--grid", "1x1",
         "--samples", "1", "--bn", "stored", "--out", folder / "plane.h5", "--force"], stderr=subprocess.PIPE, text=True)
    seen, said = [], []
    watcher = threading.Thread(target=watch, args=(process, begin, seen))
    watcher.start()
    for line in process.stderr:
        said.append(line)
        if line.startswith("1x1 points"):
            seconds = time.perf_counter() - begin
            process.kill()
            process.wait()
            watcher.join()
            return seconds, disk_use(seen, size)
    sys.exit(f"bench-trajectory: {said[-1].strip() if said else 'the program said nothing'}")


# What Li et al.'s script asks of scikit-learn: all differences in one matrix, centred, and its singular values.
WITH_NUMPY = """
import resource, sys, time
import numpy as np, torch
begin = time.perf_counter()
states = [torch.load(path, weights_only=True) for path in sys.argv[1:]]
names = [name for name in states[0] if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
matrix = np.stack([torch.cat([state.pop(name).flatten() for name in names]).numpy() for state in states])
matrix -= matrix[-1].copy()
matrix -= matrix.mean(0)
np.linalg.svd(matrix, full_matrices=False)
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def with_numpy(paths):
    """Seconds of the same by NumPy, and the memory that it took in GB; nothing where that is too much."""
    result = subprocess.run([sys.executable, "-c", WITH_NUMPY, *paths], stdout=subprocess.PIPE, text=True)
    return [float(word) for word in result.stdout.split()] if result.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(prog="tools/bench-trajectory", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="checkpoints, 45 MB each (default 100)")
    parser.add_argument("--folder", help="where a temporary folder is made for them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--numpy", action="store_true", help="the same by NumPy too, in 0.4 GB of memory a checkpoint")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        paths = make(pathlib.Path(name), options.count)
        size = sum(path.stat().st_size for path in paths)
        print(f"{len(paths)} checkpoints of ResNet18, {size / 1e9:.2f} GB", flush=True)
        for _ in range(options.rounds):
            forget(paths)
            reading = read(paths)
            forget(paths)
            (cold, use), (warm, _) = analyse(pathlib.Path(name), size), analyse(pathlib.Path(name), size)
            fetched = f" (the disk busy for {use[0]:.2f} s, {use[1] / 1e9:.2f} GB/s)" if use else ""
            print(f"reading from the disk {reading:.2f} s ({size / reading / 1e9:.2f} GB/s), PCA from there {cold:.2f} s{fetched},"
                  f" from memory {warm:.2f} s", flush=True)
        print(f"most memory of the program: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6:.2f} GB", flush=True)
        if options.numpy:
            taken = with_numpy(paths)
            print("NumPy: ended early" if taken is None else f"NumPy: {taken[0]:.1f} s, {taken[1]:.1f} GB of memory")


if __name__ == "__main__":
    main()
