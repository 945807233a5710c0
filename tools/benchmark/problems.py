"""Networks of users through export_problem and `lossatlas surface --problem`, beside a loop in pure Python (eager
PyTorch: parameters set, then the mean loss over all samples). Both run on one thread, in turn, in the same batches.
Prints the time of the export, samples per second of both (medians), and the largest relative error of the surface
against the loop. The exit status is 1 if an error is 1e-5 or more."""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT / "python"), str(ROOT / "tests" / "python")]  # not this folder, which has its own networks.py

import h5py  # noqa: E402
import other_networks as other  # noqa: E402
import torch  # noqa: E402
from eager import TOLERANCE, Landscape, largest_error, randomize_batch_norms, read_plane  # noqa: E402
from networks import CASES, GPT, LSTM, MobileNet, ResNet, UNet, ViT, burgers, classification, mlp  # noqa: E402
from torch import nn  # noqa: E402

from lossatlas import export_problem  # noqa: E402

BINARY = pathlib.Path(os.environ.get("LOSSATLAS_BINARY", ROOT / "build" / "release" / "lossatlas"))
PLOT = ROOT / "tools" / "plot"
INSTALL = "tools/setup --all-tests installs it"


def is_installed(package):
    return importlib.util.find_spec(package) is not None


def torchvision_network(name, own):
    """torchvision's network, or one of ours that is like it."""
    if not is_installed("torchvision"):
        return own()
    import torchvision

    return getattr(torchvision.models, name)(num_classes=10)


def resnet18(samples):
    model = torchvision_network("resnet18", lambda: ResNet((64, 64, 128, 128, 256, 256, 512, 512), 10))
    return model, classification, images(samples)


def mobilenet_v2():
    stages = ((32, 16, 1, 1, 1), (16, 24, 2, 2, 6), (24, 32, 3, 2, 6), (32, 64, 4, 2, 6), (64, 96, 3, 1, 6),
              (96, 160, 3, 2, 6), (160, 320, 1, 1, 6))  # fan-in, width, blocks, stride of the first, expansion
    blocks = tuple((width if i else fan_in, width, 1 if i else stride, expansion)
                   for fan_in, width, count, stride, expansion in stages for i in range(count))
    return torchvision_network("mobilenet_v2", lambda: MobileNet(blocks, 10)), classification, images(256)


def images(samples, size=32):
    return torch.randn(samples, 3, size, size), torch.randint(0, 10, (samples,))


def rows(samples, width, classes):
    return torch.randn(samples, width), torch.randint(0, classes, (samples,))


def sequences(samples):
    return torch.randint(0, 1000, (samples, 40)), torch.randint(0, 2, (samples,))


def maps(samples, size=64):
    return torch.randn(samples, 3, size, size), torch.randint(0, 3, (samples, size, size))


LARGE = {
    "resnet18": lambda: resnet18(256),
    "mobilenet_v2": mobilenet_v2,
    "vit": lambda: (ViT(128, 4, 64, 10), classification, images(256)),
    "mlp": lambda: (mlp(54, 128, 64, 7), "cross-entropy", rows(4096, 54, 7)),
    "lstm": lambda: (LSTM(1000, 64), "cross-entropy", sequences(512)),
    "gpt": lambda: (GPT(256, 64, 128, 2), "next-token", torch.randint(0, 256, (256, 64))),
    "unet": lambda: (UNet(16), "cross-entropy", maps(128)),
    "regression": lambda: (mlp(8, 64, 64, 1, activation=nn.Tanh), "mse", (torch.randn(4096, 8), torch.randn(4096))),
    "autoencoder": lambda: (mlp(784, 128, 32, 128, 784), "mse", torch.rand(2048, 784)),
    "pinn": lambda: (mlp(2, 32, 32, 32, 1, activation=nn.Tanh), burgers, torch.rand(4096, 2)),
    "bert": lambda: other.bert(64, length=64, vocabulary=8000, width=256, layers=4),
    "gpt2": lambda: other.gpt2(64, length=64, vocabulary=8000, width=256, layers=4),
    "fcn_resnet50": lambda: other.fcn_resnet50(16, size=64),
    "convnext_atto": lambda: other.convnext_atto(128, size=64),
}
SMALL = {name: CASES[{"resnet18": "resnet", "mobilenet_v2": "mobilenet"}.get(name, name)]
         for name in LARGE if not hasattr(other, name)} | {network.__name__: network for network in other.PACKAGES}
PACKAGE = {network.__name__: package for network, package in other.PACKAGES.items()}


def run(*words):
    result = subprocess.run([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"bench-problems: {' '.join(map(str, words))}\n{result.stderr.strip()}")


class Ours:
    """A whole sweep in the program."""

    def __init__(self, problem, grid):
        self.out, self.directions = problem.with_suffix(".h5"), problem.with_suffix(".directions.h5")
        self.command = [BINARY, "surface", "--problem", problem, "--grid", grid, "--threads", 1, "--out", self.out,
                        "--save-directions", self.directions, "--force"]

    def rate(self):
        """Samples per second."""
        run(*self.command)
        with h5py.File(self.out) as file:
            self.losses = file["train_loss"][()]
            attributes = file["lossatlas"].attrs
            self.engine = json.loads(attributes["settings"])["engine"]
            return json.loads(attributes["provenance"])["images_per_second"]


class Theirs:
    """The same plane by a loop in Python."""

    def __init__(self, landscape, plane):
        self.landscape, self.plane = landscape, plane
        self.losses = landscape.surface(**plane)

    def rate(self):
        begin = time.perf_counter()
        self.landscape.surface(**self.plane, dtype=torch.float32)
        return self.losses.size * self.landscape.samples / (time.perf_counter() - begin)


class Measurement:
    def __init__(self, case, problem, options):
        torch.manual_seed(0)
        model, loss, data = case()
        randomize_batch_norms(model)
        begin = time.perf_counter()
        manifest = export_problem(model, loss, data, problem, quiet=True)
        self.export_seconds = time.perf_counter() - begin
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        ours = Ours(problem, options.grid)
        ours.rate()  # what is read from the disk is in memory from here on
        landscape = Landscape(model, loss, data, manifest["batch_size"])
        theirs = Theirs(landscape, read_plane(ours.out, ours.directions))
        rates = [(ours.rate(), theirs.rate()) for _ in range(options.rounds)]
        self.ours, self.eager = (statistics.median(column) for column in zip(*rates))
        self.samples, self.engine = landscape.samples, ours.engine
        self.error = largest_error(ours.losses, theirs.losses)

    def cells(self):
        ratio = self.ours / self.eager
        return (f"{self.parameters:,}", f"{self.samples:,}", f"{self.export_seconds:.1f}", self.engine,
                f"{self.ours:,.0f}", f"{self.eager:,.0f}", f"{ratio:.2f}", f"{self.error:.1e}")


COLUMNS = ("network", "parameters", "samples", "export, s", "engine", "lossatlas, samples/s", "eager, samples/s",
           "ratio", "largest error")


def print_row(cells, markdown):
    widths = [max(len(title), 14) for title in COLUMNS]
    padded = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, widths))]
    print("| " + " | ".join(cells) + " |" if markdown else "  ".join(padded), flush=True)


def measure(names, options):
    """Prints the table; returns the names of networks whose errors are too large."""
    print(f"{processor()}, torch {torch.__version__}, one thread; {options.grid}x{options.grid} points over [-1, 1]²; "
          f"rounds: {options.rounds}\n")
    print_row(COLUMNS, options.markdown)
    if options.markdown:
        print("|---" * len(COLUMNS) + "|")
    wrong, missing = [], []
    with tempfile.TemporaryDirectory() as folder:
        export_problem(*CASES["mlp"](), f"{folder}/first.lossatlas", quiet=True)  # torch.export loads its modules
        for name in names:
            if name in PACKAGE and not is_installed(PACKAGE[name]):
                missing.append(f"{name} is left out: {PACKAGE[name]} is not installed ({INSTALL})")
                continue
            case = (SMALL if options.quick else LARGE)[name]
            measurement = Measurement(case, pathlib.Path(folder) / f"{name}.lossatlas", options)
            print_row((name, *measurement.cells()), options.markdown)
            if not measurement.error < TOLERANCE:
                wrong.append(name)
    print("", *missing, sep="\n")
    return wrong


def two_minutes(options):
    """From a network to the picture of its loss, on all processors; the clock starts when the network exists."""
    samples, grid = (32, 5) if options.quick else (256, 21)
    torch.manual_seed(0)
    model, _, data = resnet18(samples)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{type(model).__name__} of {parameters:,} parameters, {samples} images of 32x32, {grid}x{grid} points; "
          f"{processor()}, {len(os.sched_getaffinity(0))} processors")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        problem, surface, picture = folder / "my.lossatlas", folder / "my.h5", folder / "my.png"
        steps = {
            "export_problem": lambda: export_problem(model, "cross-entropy", data, problem, quiet=True),
            "lossatlas surface": lambda: run(BINARY, "surface", "--problem", problem, "--grid", grid, "--out", surface),
            "lossatlas plot": lambda: run(PLOT, surface, "--kind", "surface", "-o", picture)}
        begin = time.perf_counter()
        for title, step in steps.items():
            before = time.perf_counter()
            step()
            print(f"{time.perf_counter() - before:7.1f} s  {title}", flush=True)
        print(f"{time.perf_counter() - begin:7.1f} s  from the network to the picture")


def processor():
    with open("/proc/cpuinfo") as file:
        lines = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return lines[0] if lines else platform.machine()


def main():
    parser = argparse.ArgumentParser(prog="tools/bench-problems", description=__doc__)
    parser.add_argument("--networks", default=",".join(LARGE), help="of " + ", ".join(LARGE))
    parser.add_argument("--grid", type=int, default=5, help="points along each axis (default 5)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--quick", action="store_true", help="small networks and one round, to see that it works")
    parser.add_argument("--two-minutes", action="store_true", help="instead: the time from a resnet18 to its picture")
    options = parser.parse_args()
    names = options.networks.split(",")
    for name in names:
        if name not in LARGE:
            parser.error(f"there is no network {name}; there are: {', '.join(LARGE)}")
    if not BINARY.exists():
        sys.exit(f"bench-problems: {BINARY} is not built: run tools/build release lossatlas")
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of torch.export itself
    if options.two_minutes:
        return two_minutes(options)
    torch.set_num_threads(1)
    if options.quick:
        options.rounds = 1
    wrong = measure(names, options)
    if wrong:
        sys.exit(f"bench-problems: an error of {TOLERANCE} or more: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
