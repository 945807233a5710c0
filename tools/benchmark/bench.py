"""Images per second of lossatlas and of PyTorch, in turn on one machine: tools/bench --help."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import torch
from networks import NETWORKS, randomized
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "release" / "lossatlas"


RECALIBRATION = 128  # images whose batch-norm statistics are one estimate


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown processor"


class Pytorch:
    """One way to run the network in PyTorch: parameters set, then loss and accuracy over all images."""

    def __init__(self, name, network, images, labels, channels_last, batch, compiled, precision="fp32", recalibrates=False):
        self.recalibrates, self.network = recalibrates, network
        self.name, self.images, self.labels, self.batch, self.tf32 = name, images, labels, batch, precision == "tf32"
        network = network.to(images.device)
        if precision == "bf16":
            self.images, network = self.images.bfloat16(), network.bfloat16()
        if channels_last:
            self.images = self.images.contiguous(memory_format=torch.channels_last)
            network = network.to(memory_format=torch.channels_last)
        self.run = network
        if compiled == "jit":
            traced = torch.jit.trace(network, self.images[:batch])
            self.run = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        elif compiled == "inductor":
            import torch._inductor.config as config

            config.freezing = True
            self.run = torch.compile(network)

    def recalibrate(self):
        """Batch-norm statistics estimated anew, averaged over batches of all images."""
        norms = [module for module in self.network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        with torch.no_grad():
            for first in range(0, len(self.images), RECALIBRATION):
                batch = self.images[first : first + RECALIBRATION]
                for norm in norms:
                    norm.momentum = len(batch) / (first + len(batch))
                self.network(batch)
        self.network.eval()

    def evaluate(self):
        loss, correct = torch.zeros((), device=self.images.device), torch.zeros((), dtype=int, device=self.images.device)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self.tf32
        if self.recalibrates:
            self.recalibrate()
        with torch.no_grad():
            for first in range(0, len(self.images), self.batch):
                logits = self.run(self.images[first : first + self.batch]).float()
                labels = self.labels[first : first + self.batch]
                loss += F.cross_entropy(logits, labels, reduction="sum")
                correct += (logits.argmax(1) == labels).sum()
        return loss.item() / len(self.images), correct.item()

    def rate(self):
        start = time.perf_counter()
        self.evaluate()
        return len(self.images) / (time.perf_counter() - start)


class Ours:
    """A whole sweep: points formed, parameters folded, loss and accuracy, the file written."""

    WAYS = {"fused": {"engine": "fused"}, "eager": {"engine": "eager"}, "bf16": {"dtype": "bf16"}, "tf32": {"dtype": "tf32"}}

    def __init__(self, options, arch, engine, checkpoint, folder):
        self.name, self.out = f"lossatlas {engine}", folder / f"{arch}-{engine}.h5"
        words = {"checkpoint": checkpoint, "arch": arch, "data": options.data, "grid": f"{options.points}x1"}
        words |= {"x": "-0.1:0.1", "y": "0:0", "samples": options.samples, "threads": options.threads,
                  "device": options.device}
        if options.bn == "recalibrate":
            words |= {"bn": "recalibrate", "bn-images": options.samples}
        words |= self.WAYS.get(engine, {"instruction-set": engine})
        self.command = [str(BINARY), "surface", "--out", str(self.out), "--force"]
        for word, value in words.items():
            self.command += [f"--{word}", str(value)]

    def rate(self):
        result = subprocess.run(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            sys.exit(result.stderr)
        with h5py.File(self.out) as file:
            return json.loads(file["lossatlas"].attrs["provenance"])["images_per_second"]

    def centre(self):
        """Loss at the checkpoint itself, and the images it was computed on."""
        with h5py.File(self.out) as file:
            return file["train_loss"][0, file["xcoordinates"].size // 2], file["lossatlas/samples_train"][:]


def training_files(folder):
    folder = pathlib.Path(folder)
    nested = folder / "cifar-10-batches-bin"
    return sorted((nested if nested.is_dir() else folder).glob("data_batch_*.bin"))


def cifar10(folder):
    """All training images, normalized as Li et al. do, and labels."""
    records = b"".join(path.read_bytes() for path in training_files(folder))
    rows = torch.frombuffer(bytearray(records), dtype=torch.uint8).view(-1, 3073)
    mean = torch.tensor([125.3, 123.0, 113.9], dtype=torch.float64).view(1, 3, 1, 1)
    deviation = torch.tensor([63.0, 62.1, 66.7], dtype=torch.float64).view(1, 3, 1, 1)
    return rows[:, 1:].view(-1, 3, 32, 32).double().sub(mean).div(deviation).float(), rows[:, 0].long()


def pytorch_ways(options, arch, images, labels):
    """Every way worth trying; the fastest of each kind is kept."""
    ways = []
    images, labels = images.to(options.device), labels.to(options.device)
    for baseline in options.baselines:
        compiled, _, precision = baseline.partition("-")
        candidates = []
        for channels_last in (False, True):
            for batch in (32, 128) if options.device == "cpu" else (128, 1024):
                label = f"pytorch {baseline}, {'channels-last' if channels_last else 'NCHW'}, batch {batch}"
                way = Pytorch(label, randomized(arch), images, labels, channels_last, batch, compiled, precision or "fp32",
                              options.bn == "recalibrate")
                way.evaluate()
                candidates.append((way.rate(), way))
        ways.append(max(candidates, key=lambda candidate: candidate[0])[1])
    return ways


def bench(options, arch, folder):
    checkpoint = folder / f"{arch}.pt"
    torch.save(randomized(arch).state_dict(), checkpoint)
    ours = [Ours(options, arch, engine, checkpoint, folder) for engine in options.engines]
    for way in ours:
        way.rate()
    loss, samples = ours[0].centre()
    images, labels = cifar10(options.data.removeprefix("cifar10:"))
    images, labels = images[samples], labels[samples]
    ways = ours + pytorch_ways(options, arch, images, labels)
    theirs, _ = ways[len(ours)].evaluate()
    if not abs(loss - theirs) <= 1e-4 * max(abs(theirs), 0.1):  # of the first way: name bf16 later
        sys.exit(f"bench: {arch}: our loss {loss} is not PyTorch's {theirs}")
    measure(arch, options.rounds, {way.name: way.rate for way in ways})


def first_images(source, folder, count):
    """A folder of CIFAR-10's layout with the first images of another: what a training of few steps reads."""
    records = b"".join(path.read_bytes() for path in training_files(source))
    folder.mkdir(exist_ok=True)
    for k in range(5):
        first, last = k * count // 5, (k + 1) * count // 5
        (folder / f"data_batch_{k + 1}.bin").write_bytes(records[first * 3073 : last * 3073])
    (folder / "test_batch.bin").write_bytes(records[:3073])
    return folder


def train_ours(options, arch, folder):
    """Images/s of the second epoch of lossatlas train, its test and checkpoint not counted."""
    out = folder / "run"
    command = [BINARY, "train", "--arch", arch, "--data", f"cifar10:{folder / 'images'}", "--out", out, "--epochs", 2,
               "--batch-size", 128, "--threads", options.threads, "--augment", "--lr", 0.01, "--force"]
    result = subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    with h5py.File(out / "history.h5") as file:
        return options.samples // 128 * 128 / file["seconds"][-1]


def train_pytorch(arch, images, labels, channels_last):
    """Images/s of a plain loop over ready batches, after one that is not timed: SGD with momentum and weight decay."""
    network = randomized(arch).train()
    if channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    steps = len(images) // 128
    for step in range(-1, steps):
        if step == 0:
            start = time.perf_counter()
        batch = slice(max(step, 0) * 128, max(step, 0) * 128 + 128)
        optimizer.zero_grad()
        F.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
    return steps * 128 / (time.perf_counter() - start)


def bench_training(options, arch, folder):
    source = options.data.removeprefix("cifar10:")
    images, labels = cifar10(first_images(source, folder / "images", options.samples))
    ways = {"lossatlas train, augmented": lambda: train_ours(options, arch, folder),
            "pytorch, NCHW": lambda: train_pytorch(arch, images, labels, False),
            "pytorch, channels-last": lambda: train_pytorch(arch, images, labels, True)}
    measure(f"training {arch}, batch 128", options.rounds, ways)


def bench_scaling(options, arch, folder):
    """As many points a thread, so that starts and the last points weigh alike."""
    checkpoint = folder / f"{arch}.pt"
    torch.save(randomized(arch).state_dict(), checkpoint)
    ways = {}
    for threads in sorted({options.threads, 1}, reverse=True):
        part = argparse.Namespace(**vars(options) | {"threads": threads, "points": options.points // 2 * 2 * threads + 1})
        ways[f"{threads} thread{'s'[:threads - 1]}"] = Ours(part, arch, options.engines[0], checkpoint, folder).rate
    measure(f"{arch}, {options.engines[0]}, {options.points // 2 * 2} points a thread", options.rounds, ways)


def measure(title, rounds, ways):
    """All ways in turn, so that a machine that slows down slows all of them."""
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, rate in ways.items():
            rates[name].append(rate())
            print(f"  {name:44} {rates[name][-1]:8.1f} images/s", file=sys.stderr, flush=True)
    print_table(title, rates)


def print_table(arch, rates):
    best = statistics.median(next(iter(rates.values())))
    print(f"\n{arch}: images/s\n  {'':44} {'median':>8} {'least':>8} {'most':>8}   {next(iter(rates))} is")
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"  {name:44} {median:8.1f} {min(values):8.1f} {max(values):8.1f}   {best / median:.2f} x")


def main():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    parser.add_argument("--data", required=True, help="cifar10:DIR; PyTorch gets the same images")
    parser.add_argument("--archs", default="resnet18-cifar", help="comma-separated, or all: " + ", ".join(NETWORKS))
    parser.add_argument("--engines", default="fused,eager", help="ways of ours: fused (float32, the best instruction set), eager (LibTorch), "
                        "tf32 (CUDA), bf16, or an instruction set: amx, avx512, avx2, portable")
    parser.add_argument("--baselines", default="eager", help="of PyTorch: eager, jit (optimize_for_inference), inductor; on CUDA also with -tf32 or -bf16 behind")
    parser.add_argument("--samples", type=int, default=512, help="images")
    parser.add_argument("--bn", choices=("stored", "recalibrate"), default="stored",
                        help="recalibrate: batch-norm statistics are estimated anew at each point, from the same images (eager alone "
                        "of PyTorch's); images/s are those evaluated")
    parser.add_argument("--points", type=int, default=5, help="of our sweep, odd")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu or cuda; training and scaling are timed on the CPU")
    parser.add_argument("--training", action="store_true", help="time training instead, on as many images")
    parser.add_argument("--scaling", action="store_true", help="time one thread beside --threads of them instead")
    parser.add_argument("--rounds", type=int, default=5, help="each runs everything once")
    options = parser.parse_args()
    if not options.data.startswith("cifar10:"):
        parser.error("--data wants cifar10:DIR")
    options.engines, options.baselines = options.engines.split(","), options.baselines.split(",")
    if options.bn == "recalibrate" and options.baselines != ["eager"]:
        parser.error("--bn recalibrate goes with --baselines eager")
    torch.set_num_threads(options.threads)
    where = processor() if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    print(f"{where}, {options.threads} threads, torch {torch.__version__}, {options.samples} images")
    with tempfile.TemporaryDirectory() as folder:
        for arch in NETWORKS if options.archs == "all" else options.archs.split(","):
            way = bench_training if options.training else bench_scaling if options.scaling else bench
            way(options, arch, pathlib.Path(folder))


if __name__ == "__main__":
    main()
