"""Files to draw, made here with h5py, and ways to run the plotter: in this process (quick) or as a
person would, through tools/plot."""

import json
import pathlib
import sys

import h5py
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

SETTINGS = {
    "arch": "resnet18", "classes": 10, "checkpoint": {"file": "m.pt", "sha256": "00"},
    "data": "cifar10:/some/where", "split": "train", "samples": 1000, "seed": 7, "plane": "random",
    "normalization": "filter", "ignore": "bias,bn", "loss": "cross-entropy", "engine": "fused",
}


def bowl(x, y):
    return 0.5 + 2.0 * x**2 + y**2


def write_surface(path, values=bowl, nx=9, ny=9, x=(-1, 1), y=(-1, 1), ours=True, settings=SETTINGS,
                  evaluated=None, more=None, summary=None):
    """A surface file. `values` is a function of (x, y) or an array [ny, nx]."""
    xs, ys = np.linspace(*x, nx), np.linspace(*y, ny)
    z = values(*np.meshgrid(xs, ys)) if callable(values) else np.asarray(values, float)
    with h5py.File(path, "w") as file:
        file["xcoordinates"], file["ycoordinates"] = xs, ys
        file["train_loss"] = z
        for name, array in (more or {}).items():
            file[name] = array
        if ours:
            group = file.require_group("lossatlas")
            group.attrs["format"] = 1
            group.attrs["settings"] = json.dumps(settings)
            if summary is not None:
                group.attrs["summary"] = json.dumps(summary)
            mask = np.ones(z.shape, np.uint8) if evaluated is None else evaluated
            group["evaluated"] = np.asarray(mask, np.uint8)
    return str(path)


def write_repeats(path, draws=3, n=9, evaluated=None, values=None):
    """A surface of several draws of directions: their mean at the root, each by itself below."""
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    each = np.stack([bowl(x, (k + 1) * y) for k in range(draws)]) if values is None else values
    mask = np.ones(each.shape) if evaluated is None else evaluated
    each = np.where(mask, each, np.nan)
    done = mask.all(axis=0)
    mean = np.where(done, each.mean(axis=0), np.nan)
    write_surface(path, mean, n, n, evaluated=done, settings={**SETTINGS, "repeat": draws}, more={
        "lossatlas/repeats/train_loss": each,
        "lossatlas/repeats/evaluated": mask.astype(np.uint8),
        "lossatlas/train_loss_spread": each.std(axis=0),
    })
    return str(path)


def write_line(path, n=21):
    x = np.linspace(-1, 1, n)
    with h5py.File(path, "w") as file:
        file["xcoordinates"] = x
        file["train_loss"], file["train_acc"] = 0.2 + x**2, 95 - 50 * x**2
        file["test_loss"], file["test_acc"] = 0.4 + x**2, 90 - 50 * x**2
    return str(path)


def write_history(path, epochs=5, settings=None):
    e = np.arange(epochs + 1)
    loss = 2.0 * np.exp(-0.3 * e)
    with h5py.File(path, "w") as file:
        file["epoch"] = e
        file["test_loss"], file["test_acc"] = loss + 0.1, 90 - 35 * loss
        loss[0] = np.nan  # row 0 is before training
        file["train_loss"], file["train_acc"] = loss, 95 - 35 * loss
        group = file.create_group("lossatlas")
        group.attrs["kind"], group.attrs["format"] = "history", 1
        group.attrs["settings"] = json.dumps(settings or {"arch": "cnn", "optimizer": "sgd"})
    return str(path)


class Run:
    """What one run of the plotter gave."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def line(self):
        """The single line on standard error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("plot: ")
        return lines[0]


@pytest.fixture
def plot(capsys):
    """plot(words...) runs the plotter in this process."""
    from plotting import command

    def run(*words):
        capsys.readouterr()
        status = command.main([str(word) for word in words])
        captured = capsys.readouterr()
        return Run(status, captured.out, captured.err)

    return run


@pytest.fixture
def svg(plot, tmp_path):
    """svg(file, words...) is the text of the figure drawn as SVG, without a word on stderr."""

    def run(file, *words):
        out = tmp_path / "drawn.svg"
        result = plot(file, "-o", out, *words)
        assert (result.status, result.err) == (0, "")
        return out.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")

    return run


@pytest.fixture
def pixels(plot, tmp_path):
    """pixels(file, words...) is the figure as float RGB [rows, columns, 3], top row first."""
    import matplotlib.image

    def run(file, *words):
        out = tmp_path / "drawn.png"
        result = plot(file, "-o", out, "--dpi", "60", *words)
        assert (result.status, result.err) == (0, "")
        return matplotlib.image.imread(out)[:, :, :3]

    return run
