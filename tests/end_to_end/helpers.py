"""What the end-to-end tests share: the program as a person runs it, pictures in CIFAR-10's files, and the same
arithmetic done once more in Python, in float64."""

import atexit
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time

import h5py
import numpy as np
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LOSSATLAS_BINARY", ROOT / "build" / "release" / "lossatlas")).absolute()
PLOT = ROOT / "tools" / "plot"
TIMEOUT = 120  # seconds that no command here may take

for number in (signal.SIGINT, signal.SIGHUP):  # a shell that ran this in the background may have had them ignored
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

torch.set_num_threads(1)  # the networks are small: more threads only wait for each other


class Result:
    """What a command left: exit status, standard output, standard error."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def ok(self):
        assert self.status == 0, self.err
        return self

    def line(self):
        """The one line on standard error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


class Linear(torch.nn.Module):
    """The architecture `linear`, with its names."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3072, 10)

    def forward(self, x):
        return self.linear(torch.flatten(x, 1))


class ForkServer:
    """Runs the program in children of one process that has loaded LibTorch (fork_server.cpp)."""

    def __init__(self, server):
        self.process = subprocess.Popen([server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                        start_new_session=True)
        self.folder = tempfile.TemporaryDirectory(prefix="lossatlas-fork-server-")
        self.files = [pathlib.Path(self.folder.name) / name for name in ("out", "err")]
        atexit.register(self.close)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def run(self, words, cwd):
        request = [os.fsencode(text) for text in (cwd or os.getcwd(), *self.files, *words)]
        self.process.stdin.write(b"%d\n" % len(request) + b"".join(text + b"\0" for text in request))
        if not select.select([self.process.stdout], [], [], TIMEOUT)[0]:
            os.killpg(self.process.pid, signal.SIGKILL)  # the child too
            servers.remove(self)
            raise subprocess.TimeoutExpired(words, TIMEOUT)
        status = int(self.process.stdout.readline())
        return status, *(file.read_bytes() for file in self.files)


SERVER = os.environ.get("LOSSATLAS_FORK_SERVER")
servers = []  # the one of this process, once it is needed


def run_program(*words, cwd=None, **more):
    """Runs a program to its end; Lossatlas itself by the fork server if tools/test named one."""
    words = [os.fspath(word) if isinstance(word, (bytes, os.PathLike)) else str(word) for word in words]
    if SERVER and words[0] == str(BINARY) and not more:
        if not servers:
            servers.append(ForkServer(SERVER))
        status, out, err = servers[0].run(words, cwd)
    else:
        done = subprocess.run(words, cwd=cwd, capture_output=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL, **more)
        status, out, err = done.returncode, done.stdout, done.stderr
    return Result(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def interrupt(words, after, number=signal.SIGINT, wait=0.2, until=None, cwd=None):
    """Runs the program and sends it a signal once a line of its standard error begins with `after` and until() is true;
    without `until`, some seconds later."""
    process = subprocess.Popen([str(word) for word in (BINARY, *words)], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(after):
                break
        if until:
            wait_for(until, process)
        else:
            time.sleep(wait)
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
        process.wait()
    return Result(process.returncode, out, "".join(lines) + err)


def wait_for(condition, process=None, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.005)


# --- journals ----------------------------------------------------------------------------------------------------

RECORD = 8 + 5 * 8 + 4  # bytes of a point in a journal, where nothing else is measured


def journal_of(out):
    return out.with_name(out.name + ".journal")


def head_size(journal):
    content = journal.read_bytes()
    return 24 + int.from_bytes(content[20:24], "little") + 4


def journal_points(out, journal=None):
    journal = journal or journal_of(out)
    return (journal.stat().st_size - head_size(journal)) // RECORD if journal.exists() else 0


def has_begun(out):
    """Whether a sweep has finished its first points."""
    return lambda: journal_points(out) >= 2


# --- files -------------------------------------------------------------------------------------------------------


def tree(folder):
    """Every path under a folder, with the bytes of the files."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))}


# --- pictures ----------------------------------------------------------------------------------------------------

MEAN = np.array([125.3, 123.0, 113.9]) / 255
STD = np.array([63.0, 62.1, 66.7]) / 255


class Pictures:
    """A folder of CIFAR-10's binary files with easy pictures: each class is one coarse pattern, with noise."""

    def __init__(self, folder, train=200, test=60):
        self.folder = folder
        self.words = f"cifar10:{folder}"
        random = np.random.default_rng(1)
        patterns = random.integers(40, 216, (10, 3, 4, 4)).repeat(8, axis=2).repeat(8, axis=3)
        self.labels, self.pixels = {}, {}
        for split, count in (("train", train), ("test", test)):
            labels = random.permutation(np.arange(count) % 10).astype(np.uint8)
            noise = random.normal(0, 35, (count, 3, 32, 32))
            self.labels[split], self.pixels[split] = labels, np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
        for batch in range(5):
            part = slice(batch * train // 5, (batch + 1) * train // 5)
            self.write(f"data_batch_{batch + 1}.bin", self.labels["train"][part], self.pixels["train"][part])
        self.write("test_batch.bin", self.labels["test"], self.pixels["test"])

    def write(self, name, labels, pixels):
        records = np.concatenate([labels[:, None], pixels.reshape(len(labels), -1)], axis=1)
        records.astype(np.uint8).tofile(self.folder / name)

    def batch(self, split="train", indices=None, mean=MEAN, std=STD):
        """(images float64, labels) as the network sees them."""
        chosen = slice(None) if indices is None else np.asarray(indices)
        pixels = self.pixels[split][chosen] / 255.0
        images = (pixels - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
        return torch.from_numpy(images), torch.from_numpy(self.labels[split][chosen].astype(np.int64))


# --- networks, from their state_dict -----------------------------------------------------------------------------


def load(path):
    return torch.load(path, weights_only=True)


def state_of(path):
    """The state_dict of a checkpoint in float64."""
    return {name: tensor.double() for name, tensor in load(path)["state_dict"].items()}


def parameter_names(state):
    return [name for name in state if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]


def linear(state, images):
    return F.linear(images.flatten(1), state["linear.weight"], state["linear.bias"])


def resnet20(state, images, statistics=None):
    """Logits. With a dictionary, batch norms take the mean and variance of the images, which it gets as buffers."""
    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    def norm(name, x):
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        if statistics is not None:
            mean = variance = None
            statistics[f"{name}.running_mean"], statistics[f"{name}.running_var"] = x.mean((0, 2, 3)), x.var((0, 2, 3))
        return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"], training=mean is None)

    x = F.relu(norm("bn1", conv("conv1", images)))
    for block in (f"layer{stage}.{number}" for stage in (1, 2, 3) for number in range(3)):
        stride = 2 if block in ("layer2.0", "layer3.0") else 1
        skip = x
        if f"{block}.shortcut.0.weight" in state:
            skip = norm(f"{block}.shortcut.1", conv(f"{block}.shortcut.0", x, stride))
        x = F.relu(norm(f"{block}.bn1", conv(f"{block}.conv1", x, stride)))
        x = F.relu(norm(f"{block}.bn2", conv(f"{block}.conv2", x)) + skip)
    return F.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])


def recalibrated(state, images):
    """The state with batch-norm statistics of these images: averages over batches of 128, weighted by their images."""
    sums = {}
    for batch in images.split(128):
        statistics = {}
        resnet20(state, batch, statistics)
        for name, values in statistics.items():
            sums[name] = sums.get(name, 0) + values * (len(batch) / len(images))
    return state | sums


def at(state, directions, coordinates):
    """The state_dict at a point of the plane."""
    point = dict(state)
    for direction, coordinate in zip(directions, coordinates):
        for name, tensor in zip(parameter_names(state), direction, strict=True):
            point[name] = point[name] + coordinate * tensor.double()
    return point


# --- surfaces ----------------------------------------------------------------------------------------------------


def read(path):
    """The datasets of an HDF5 file by name: those at the root, and our own group's."""
    with h5py.File(path) as file:
        nodes = [*file.values(), *file["lossatlas"].values()]
        return {node.name[1:]: node[()] for node in nodes if isinstance(node, h5py.Dataset)}


def attribute(path, name):
    with h5py.File(path) as file:
        return file["lossatlas"].attrs[name]


def write_directions(path, *directions):
    with h5py.File(path, "w") as file:
        for group, tensors in zip(("xdirection", "ydirection"), directions):
            for number, tensor in enumerate(tensors):
                file[f"{group}/{number}"] = np.asarray(tensor, np.float32)


def settings(path):
    return json.loads(attribute(path, "settings"))


def read_directions(path, group="xdirection"):
    with h5py.File(path) as file:
        return [torch.from_numpy(file[group][str(i)][()]) for i in range(len(file[group]))]


def plane_of(path):
    return [read_directions(path, group) for group in ("xdirection", "ydirection")]


def write_li_surface(path, nx=5, ny=4, marks=()):
    """A surface as tomgoldstein/loss-landscape leaves it, -1 where a point (row, column) was not evaluated."""
    x, y = np.linspace(-1, 1, nx), np.linspace(-0.5, 0.5, ny)
    loss = 1 + x[None, :] ** 2 + 2 * y[:, None] ** 2
    accuracy = 90 - 10 * loss
    for mark in marks:
        loss[mark] = accuracy[mark] = -1
    with h5py.File(path, "w") as file:
        file["dir_file"] = "directions.h5"
        file["xcoordinates"], file["ycoordinates"] = x, y
        file["train_loss"], file["train_acc"] = loss, accuracy
    return loss
