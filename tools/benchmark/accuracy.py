"""How far losses are from float64: trains a network, evaluates a plane with each way of ours, and compares each point with
PyTorch's own modules in float64 at the same parameters. tools/accuracy --help."""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
from bench import BINARY, cifar10, processor
from networks import NETWORKS
from torch.nn import functional as F


def lossatlas(*words):
    result = subprocess.run([str(BINARY), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return None if result.returncode == 0 else result.stderr.strip().splitlines()[-1]


def reference(arch, checkpoint, directions, surface, images, labels):
    """Losses [ny, nx] in float64: the same plane, PyTorch's modules, on the images' device."""
    network = NETWORKS[arch]().double().eval()
    saved = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(saved.get("state_dict", saved))
    network.to(images.device)
    origin = [parameter.detach().clone() for parameter in network.parameters()]
    with h5py.File(directions) as file:
        axes = [[torch.from_numpy(file[group][str(i)][:]).double().to(images.device) for i in range(len(origin))]
                for group in ("xdirection", "ydirection")]
    with h5py.File(surface) as file:
        x, y = file["xcoordinates"][:], file["ycoordinates"][:]
    losses = np.empty((len(y), len(x)))
    with torch.no_grad():
        for row, column in np.ndindex(losses.shape):
            for parameter, centre, first, second in zip(network.parameters(), origin, *axes):
                # The float32 parameters that ours are computed at, so that only the arithmetic differs.
                point = centre + float(x[column]) * first + float(y[row]) * second
                parameter.copy_(point.float().double())
            total = sum(F.cross_entropy(network(images[i : i + 64]), labels[i : i + 64], reduction="sum").item()
                        for i in range(0, len(images), 64))
            losses[row, column] = total / len(images)
    return losses


def train(options, arch, run):
    failure = lossatlas("train", "--arch", arch, "--data", options.data, "--out", run, "--epochs", options.epochs, "--lr",
                        options.lr, "--batch-size", 32, "--threads", torch.get_num_threads(), "--device", options.device)
    if failure:
        sys.exit(failure)
    return run / "checkpoints" / f"epoch-{options.epochs:04d}.pt"


def ways_of(device):
    """Words of each way of ours to evaluate a plane."""
    ways = {"eager, fp32": ["--engine", "eager"]}
    if device == "cpu":
        ways |= {f"fused, fp32, {name}": ["--instruction-set", name] for name in ("portable", "avx2", "avx512", "amx")}
        return ways | {"fused, bf16, amx": ["--dtype", "bf16"]}
    return ways | {f"fused, {dtype}": ["--dtype", dtype] for dtype in ("fp32", "tf32", "bf16")}


def compare(options, arch, folder):
    directions, checkpoint = folder / f"{arch}-directions.h5", options.checkpoint or train(options, arch, folder / arch)
    results = {}
    for name, words in ways_of(options.device).items():
        out = folder / f"{arch}.h5"
        failure = lossatlas("surface", "--checkpoint", checkpoint, "--arch", arch, "--data", options.data, "--grid",
                            options.grid, "--samples", options.samples, "--out", out, "--save-directions", directions,
                            "--force", "--device", options.device, *words)
        if failure:
            print(f"  {name}: {failure}")
            continue
        with h5py.File(out) as file:
            results[name], samples = file["train_loss"][:], file["lossatlas/samples_train"][:]
    if not results:
        return
    images, labels = cifar10(options.data.removeprefix("cifar10:"))
    images, labels = images[samples].double().to(options.device), labels[samples].to(options.device)
    truth = reference(arch, checkpoint, directions, out, images, labels)
    centre = tuple(length // 2 for length in truth.shape)
    print(f"\n{arch}: {options.grid} points over [-1, 1]², {options.samples} images; float64 losses {truth.min():.4g} to "
          f"{truth.max():.4g}, {truth[centre]:.4g} at the centre; errors over max(L, 0.1)\n"
          f"  {'':24} {'centre':>10} {'worst':>10} {'median':>10}")
    for name, losses in results.items():
        errors = np.abs(losses - truth) / np.maximum(truth, 0.1)
        print(f"  {name:24} {errors[centre]:10.1e} {errors.max():10.1e} {np.median(errors):10.1e}")


def main():
    parser = argparse.ArgumentParser(prog="tools/accuracy", description=__doc__)
    parser.add_argument("--data", required=True, help="cifar10:DIR")
    parser.add_argument("--archs", default="resnet20,resnet18-cifar", help="of " + ", ".join(NETWORKS))
    parser.add_argument("--checkpoint", help="of the one network of --archs, instead of training it")
    parser.add_argument("--epochs", type=int, default=3, help="of training")
    parser.add_argument("--lr", default="0.05")
    parser.add_argument("--grid", default="7x7", help="odd numbers, so that the centre is a point")
    parser.add_argument("--samples", type=int, default=256, help="images")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    print(f"{processor() if options.device == 'cpu' else torch.cuda.get_device_name(options.device)}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for arch in options.archs.split(","):
            compare(options, arch, pathlib.Path(folder))


if __name__ == "__main__":
    main()
