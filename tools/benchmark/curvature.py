"""Images times Hessian-vector products a second: ours, PyTorch's own double backward and curvlinops, and second differences
of the loss by our forward passes, in turn on the same images and threads; then the products that `lossatlas curvature` takes to converge. tools/bench-curvature --help."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import torch
from bench import BINARY, ROOT, cifar10, processor
from networks import NETWORKS
from torch.nn import functional as F

FILES = ROOT / "tests" / "files" / "curvature"


def network_of(options):
    network = NETWORKS[options.arch]().eval()
    saved = torch.load(options.checkpoint, weights_only=True)
    network.load_state_dict(saved.get("state_dict", saved))
    return network


def rate(product, images, seconds):
    """Images times products a second, for about so long; the first product is not counted."""
    product()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        product()
        done += 1
    return done * images / (time.perf_counter() - start)


def double_backward(options, images, labels):
    network = network_of(options)
    parameters = list(network.parameters())
    vector = [torch.randn_like(parameter) for parameter in parameters]

    def product():
        total = [torch.zeros_like(parameter) for parameter in parameters]
        for first in range(0, len(images), options.batch_size):
            part = slice(first, first + options.batch_size)
            loss = F.cross_entropy(network(images[part]), labels[part], reduction="sum")
            gradient = torch.autograd.grad(loss, parameters, create_graph=True)
            for sum_, more in zip(total, torch.autograd.grad(gradient, parameters, vector)):
                sum_.add_(more)
        return total

    return rate(product, len(images), options.seconds)


def curvlinops(options, images, labels):
    from curvlinops import HessianLinearOperator
    network = network_of(options)
    batches = list(zip(images.split(options.batch_size), labels.split(options.batch_size)))
    matrix = HessianLinearOperator(network, torch.nn.CrossEntropyLoss(), list(network.parameters()), batches,
                                   check_deterministic=False)
    vector = torch.randn(matrix.shape[1])
    return rate(lambda: matrix @ vector, len(images), options.seconds)


def lossatlas(options, *words):
    """The attributes `summary` and `provenance` of a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "c.h5"
        done = subprocess.run([BINARY, "curvature", "--checkpoint", options.checkpoint, "--data", options.data, "--samples",
                               str(options.images), "--batch-size", str(options.batch_size), "--threads",
                               str(options.threads), "--progress", "none", "--out", out, *words], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        with h5py.File(out) as file:
            return [json.loads(file["lossatlas"].attrs[name]) for name in ("summary", "provenance")]


def ours(options, *words):
    # The time of the run, without what is read before it; the pass for loss and gradient counts as no product.
    return lossatlas(options, *words)[1]["images_per_second"]


def second_differences(options):
    """Images times vᵀHv a second: the rate of the fused forward pass, of which a second difference takes two, and one for
    all at the centre."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "l.h5"
        points = 4 * options.products + 1
        done = subprocess.run([BINARY, "line", "--checkpoint", options.checkpoint, "--data", options.data, "--samples",
                               str(options.images), "--split", "train", "--points", str(points), "--x=-0.1:0.1", "--threads",
                               str(options.threads), "--instruction-set", options.instruction_set, "--progress", "none", "--out",
                               out], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        with h5py.File(out) as file:
            return json.loads(file["lossatlas"].attrs["provenance"])["images_per_second"] / 2


def maps(options):
    """Eigenvalues of 3x3 points 0.17 apart by few products a point, beside those by 60, and how long they took."""
    def map_of(products):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "s.h5"
            start = time.perf_counter()
            subprocess.run([BINARY, "surface", "--checkpoint", options.checkpoint, "--data", options.data, "--samples",
                            str(options.images), "--grid", "3", "--x=-0.17:0.17", "--y=-0.17:0.17", "--curvature",
                            "--curvature-products", str(products), "--threads", str(options.threads), "--progress", "none",
                            "--out", out], capture_output=True, check=True)
            seconds = time.perf_counter() - start
            with h5py.File(out) as file:
                return file["max_eig"][()], file["min_eig"][()], seconds

    largest, smallest, _ = map_of(60)
    print(f"3x3 points, {options.images} images, {options.threads} threads: largest relative errors of the eigenvalues, to those of 60 "
          f"products a point")
    for products in (6, 10, 20, 30):
        high, low, seconds = map_of(products)
        errors = [abs(found / wanted - 1).max() for found, wanted in ((high, largest), (low, smallest))]
        print(f"{products:3} products: λmax {100 * errors[0]:.2g} %, λmin {100 * errors[1]:.2g} % (at the centre {low[1, 1]:.4g} "
              f"instead of {smallest[1, 1]:.4g}); {seconds:.1f} s")


def of_another_python(options):
    """curvlinops in a virtual environment of its own."""
    words = [options.curvlinops, __file__, "--measure", "curvlinops"]
    for name in ("arch", "checkpoint", "data", "images", "batch_size", "threads", "seconds"):
        words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return float(done.stdout.splitlines()[-1])


def options_of():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet20", choices=NETWORKS)
    parser.add_argument("--checkpoint", default=FILES / "resnet20.pt", type=pathlib.Path)
    parser.add_argument("--data", default=f"cifar10:{FILES / 'images'}", help="cifar10:DIR")
    parser.add_argument("--images", type=int, default=64, help="the first of the training split (default: 64)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement of a peer")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--products", type=int, default=10, help="of each measurement of ours")
    parser.add_argument("--instruction-set", default="auto",
                        help="of D(h); ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 limits LibTorch and PyTorch likewise")
    parser.add_argument("--curvlinops", help="the Python of a virtual environment with curvlinops-for-pytorch and h5py")
    parser.add_argument("--maps", action="store_true", help="instead: eigenvalues over a grid, by few products a point")
    parser.add_argument("--measure", choices=["curvlinops"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = options_of()
    torch.set_num_threads(options.threads)
    images, labels = (part[:options.images] for part in cifar10(pathlib.Path(options.data.partition(":")[2])))
    if options.measure:
        print(curvlinops(options, images, labels))
        return
    if options.maps:
        maps(options)
        return
    endless = "--tolerance", "1e-12", "--trace", "0", "--top", "1", "--low", "0"
    ways = {"lossatlas, one vector": lambda: ours(options, *endless, "--most-products", str(options.products)),
            "lossatlas, four together": lambda: ours(options, "--top", "0", "--low", "0", "--trace", str(options.products)),
            "lossatlas, D(h) by forward passes": lambda: second_differences(options),
            "PyTorch, double backward": lambda: double_backward(options, images, labels)}
    if options.curvlinops:
        ways["curvlinops"] = lambda: of_another_python(options)
    print(f"{processor()}, {options.threads} threads, {options.arch}, {len(images)} images, batches of {options.batch_size}")
    found = {name: [] for name in ways}
    for _ in range(options.turns):
        for name, way in ways.items():
            found[name].append(way())
    for name, rates in found.items():
        print(f"{name:35}{statistics.median(rates):9.1f} images·products/s")
    summary, provenance = lossatlas(options)
    largest = ", ".join(f"{entry['value']:.6g}" for entry in summary["largest"])
    print(f"top 5 and lowest, trace of 16 probes: {summary['products']} products, {provenance['seconds']:.1f} s")
    print(f"  {largest}; {summary['smallest'][0]['value']:.6g}; trace {summary['trace']['value']:.5g} ± "
          f"{summary['trace']['se_probes']:.2g}")


if __name__ == "__main__":
    main()
