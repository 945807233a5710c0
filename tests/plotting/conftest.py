"""Files to draw, made here with h5py, and ways to run the plotter: in this process (quick) or as a
person would, through tools/plot."""

import json
import pathlib
import re
import shutil
import sys

import h5py
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

SETTINGS = {
    "arch": "resnet18", "classes": 10, "checkpoint": {"file": "m.pt", "sha256": "00"},
    "data": "cifar10:/some/where", "split": "train", "samples": 1000, "seed": 7, "plane": "random",
    "normalization": "filter", "ignore": "bias,bn", "loss": "cross-entropy", "engine": "fused",
}


def bowl(x, y):
    return 0.5 + 2.0 * x**2 + y**2


UNITS = {"loss": "nats", "acc": "percent"}
AXES = ("x", "y", "z", "w", "axis5")


def describe(file, settings, kind="surface", format=2):
    """Settings, axes and measures of a file whose values are written, as docs/file-format.md has them."""
    group = file.require_group("lossatlas")
    group.attrs["format"] = format
    group.attrs["kind"] = {"curve": "path"}.get(kind, kind) if format == 1 else kind
    if format == 1:
        group.attrs["settings"] = json.dumps(settings)
        return group
    names = [name for name in AXES if f"{name}coordinates" in file]
    ends = {name: file[f"{name}coordinates"][()] for name in names}
    axes = [{"name": "t" if kind == "curve" else name, "points": len(ends[name]), "low": ends[name][0], "high": ends[name][-1]}
            for name in names]
    more = [{"coordinates": f"/{name}coordinates", "unit": "t, from one end to the other" if kind == "curve" else
             f"multiples of direction {number}"} for number, name in enumerate(names, 1)]
    measures = []
    for name in file:
        split, _, quantity = name.partition("_")
        if quantity in UNITS:
            measures.append({"name": name, "measure": {"acc": "accuracy"}.get(quantity, quantity), "split": split,
                             "unit": UNITS[quantity], "mean_of": "images", "dataset": f"/{name}"})
    group.attrs["axes"] = json.dumps([axis | rest for axis, rest in zip(axes, more)])
    group.attrs["measures"] = json.dumps(measures)
    group.attrs["settings"] = json.dumps(settings | {"axes": axes, "measures": [each["name"] for each in measures]})
    return group


def write_surface(path, values=bowl, nx=9, ny=9, x=(-1, 1), y=(-1, 1), ours=True, settings=SETTINGS,
                  evaluated=None, more=None, summary=None, format=2):
    """A surface file. `values` is a function of (x, y) or an array [ny, nx]."""
    xs, ys = np.linspace(*x, nx), np.linspace(*y, ny)
    z = values(*np.meshgrid(xs, ys)) if callable(values) else np.asarray(values, float)
    with h5py.File(path, "w") as file:
        file["xcoordinates"], file["ycoordinates"] = xs, ys
        file["train_loss"] = z
        for name, array in (more or {}).items():
            file[name] = array
        if ours:
            group = describe(file, settings, format=format)
            if summary is not None:
                group.attrs["summary"] = json.dumps(summary)
            mask = np.ones(z.shape, np.uint8) if evaluated is None else evaluated
            group["evaluated"] = np.asarray(mask, np.uint8)
    return str(path)


def hollow(x, y, z, w=0):
    """Lowest at (0, 0, 0), each axis with a slope of its own."""
    return 0.5 + x**2 + 2 * y**2 + 4 * z**2 + w**2


def write_volume(path, sizes=(9, 7, 5), values=hollow, settings=SETTINGS, evaluated=None, more=None, summary=None):
    """A surface of as many axes as there are `sizes`, x first. `values` is a function of the coordinates."""
    axes = [np.linspace(-1, 1, size) for size in sizes]
    z = values(*(each.T for each in np.meshgrid(*axes, indexing="ij")))  # [..., nz, ny, nx]
    with h5py.File(path, "w") as file:
        for name, coordinates in zip(AXES, axes):
            file[f"{name}coordinates"] = coordinates
        file["train_loss"] = z
        for name, array in (more or {}).items():
            file[name] = array
        group = describe(file, settings)
        group["evaluated"] = np.ones(z.shape, np.uint8) if evaluated is None else np.asarray(evaluated, np.uint8)
        if summary is not None:
            group.attrs["summary"] = json.dumps(summary)
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


def write_fan(path, lines=5, n=21):
    """A line of ours: several directions, their mean at the root, both splits."""
    x = np.linspace(-1, 1, n)
    bends = (1 + np.arange(lines))[:, None] / lines
    with h5py.File(path, "w") as file:
        file["xcoordinates"] = x
        group = file.create_group("lossatlas")
        group["evaluated"] = np.ones(n, np.uint8)
        group["samples_train"], group["samples_test"] = np.arange(800), np.arange(200)
        group["lines/evaluated"] = np.ones((lines, n), np.uint8)
        for name, each in (("train_loss", 0.2 + bends * x**2), ("test_loss", 0.4 + bends * x**2),
                           ("train_acc", 95 - 50 * bends * x**2), ("test_acc", 90 - 50 * bends * x**2)):
            group[f"lines/{name}"] = each
            file[name] = each.mean(axis=0)
            if name.endswith("loss"):
                group[f"{name}_spread"] = each.std(axis=0, ddof=1)
        describe(file, {**SETTINGS, "split": "both", "samples": None}, "line")
    return str(path)


def add_points(path, names=("epoch-0010", "epoch-0020"), x=(0.0, 1.0), y=None, distance=None, unit=12.5):
    """Marks checkpoints in a file that is there."""
    with h5py.File(path, "a") as file:
        group = file.require_group("lossatlas").create_group("points")
        group["name"] = list(names)
        group["x"], group["distance"] = np.asarray(x, float), np.asarray(distance or [0.0] * len(x))
        group["train_loss"] = np.full(len(x), 0.5)
        if y is not None:
            group["y"] = np.asarray(y, float)
        group.attrs["unit"] = unit
    return str(path)


def add_curve(path, name="curve"):
    t = np.linspace(0, 1, 31)
    with h5py.File(path, "a") as file:
        group = file.require_group(f"lossatlas/curves/{name}")
        group["t"], group["x"], group["y"] = t, t * 0.8, 0.9 * t * (1 - t) * 2
    return str(path)


def write_curve(path, n=31, format=2):
    """A curve between two networks beside the straight line."""
    t = np.linspace(0, 1, n)
    hump = 4 * t * (1 - t)
    with h5py.File(path, "w") as file:
        file["xcoordinates"] = t
        summary = {}
        group = file.create_group("lossatlas")
        group["evaluated"] = np.ones(n, np.uint8)
        for way, height, where in (("curve", 0.1, file), ("linear", 2.0, group.create_group("linear"))):
            where["train_loss"], where["test_loss"] = 0.1 + height * hump, 0.3 + height * hump
            where["train_acc"], where["test_acc"] = 98 - 20 * height * hump, 92 - 20 * height * hump
            summary[way] = {"train_loss": {"ends": [0.1, 0.1], "highest": 0.1 + height, "at": 0.5, "barrier": height},
                            "test_err": {"ends": [8, 8], "highest": 8 + 20 * height, "at": 0.5,
                                         "barrier": 20 * height}}
        group.attrs["summary"] = json.dumps(summary)
        describe(file, {**SETTINGS, "plane": "path", "curve": "bezier", "bends": 1}, "curve", format)
    return str(path)


def write_trajectory(path, runs=1, epochs=12, n=21):
    """A plane of principal components with the runs that it was made from."""
    settings = {**SETTINGS, "plane": "pca"}
    write_surface(path, lambda x, y: 0.1 + 0.02 * x**2 + 0.1 * y**2, n, n, x=(-4, 12), y=(-5, 5), settings=settings)
    with h5py.File(path, "a") as file:
        group = file["lossatlas"]
        group["pca/explained_variance_ratio"] = [0.723, 0.101, 0.05]
        e = np.arange(epochs + 1)
        for number in range(runs):
            run = group.create_group(f"runs/run{number}")
            run.attrs["order"], run.attrs["label"] = runs - number, f"run {number}"
            run.attrs["optimizer"] = ("sgd", "adagrad")[number % 2]
            left = (1 - e / epochs) ** (1 + number)
            run["x"], run["y"] = 10 * left, (2 + 2 * number) * np.sin(2 * left) * (-1) ** number
            run["epoch"], run["file"] = e, [f"epoch-{i:04d}.pt" for i in e]
            run["distance"] = 2 * np.sin(np.pi * left)
            run["length"] = np.sqrt(run["x"][()] ** 2 + run["y"][()] ** 2 + run["distance"][()] ** 2)
            plane = 0.1 + 0.02 * run["x"][()] ** 2 + 0.1 * run["y"][()] ** 2
            run["plane_loss"], run["train_loss"] = plane, plane * (0.6 + 0.4 * e / epochs)
            run["train_acc"] = 90 - 20 * plane
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
        group.attrs["kind"], group.attrs["format"] = "history", 2
        group.attrs["settings"] = json.dumps(settings or {"arch": "cnn", "optimizer": "sgd"})
    return str(path)


def words_of(text):
    """The text of a figure, in whatever lines it stands."""
    return " ".join(" ".join(re.findall(r">([^<>]+)</t", text)).split())


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
    from lossatlas.plotting import command

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
        result = plot(file, "-o", out, "--dpi", "60", *words)
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


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by playwright, WebGL in software."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (tools/setup)")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed (tools/setup --tests)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=[
            "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"])
        yield started
        started.close()
