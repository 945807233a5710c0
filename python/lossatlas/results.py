"""What the program wrote: files of surfaces, lines, trajectories, curves, curvatures, training histories and descents.

A result is the path of its .h5; what is asked for is read then. h5py, numpy, xarray and matplotlib are imported when they
are needed.
"""

from __future__ import annotations

import builtins
import html
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import program
from .error import Error
from .options import path_of, words_of

if TYPE_CHECKING:
    import h5py
    import matplotlib.axes
    import matplotlib.figure
    import numpy as np
    import xarray
    from numpy.typing import NDArray

T = TypeVar("T")
COORDINATES = {"x", "y", "xcoordinates", "ycoordinates", "evaluated"}


class Result:
    """A file of the program. `path` is its name, `kind` what it is called; `name`s below are those of `names`."""

    kind = "file"

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<lossatlas {self._title()}>"

    def _title(self) -> str:
        return f"{self.kind}: {self.path}"

    def _read(self, what: Callable[[h5py.File], T]) -> T:
        """What a function takes from the open file. Raises Error for one that cannot be read."""
        from .plotting.hdf5 import open_unlocked
        try:
            with open_unlocked(self.path) as file:
                return what(file)
        except (OSError, KeyError) as error:
            raise Error(f"{self.path} cannot be read ({error}): is it complete?") from error

    def _json(self, name: str) -> Any:
        def take(file: h5py.File) -> Any:
            group = file.get("lossatlas")
            return json.loads(group.attrs[name]) if group is not None and name in group.attrs else None
        return self._read(take)

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the values, by the names of the options (docs/file-format.md)."""
        return self._json("settings") or {}

    @property
    def summary(self) -> dict[str, Any]:
        """What `lossatlas info --json` says of the file. Cost: one start of the program, half a second."""
        found: dict[str, Any] = json.loads(program.ask(["info", "--json", self.path]))
        return found

    def plot(self, kind: str | None = None, ax: matplotlib.axes.Axes | None = None,
             **looks: Any) -> matplotlib.figure.Figure:
        """Draws the file as lossatlas plot does, and returns the figure.

        Args:
            kind: contour, contourf, heat, surface, trajectory, repeats, slices, line, curve, history, …; default:
                what fits
            ax: axes of your own, drawn into: planes, 3D surfaces, and charts of one panel. Default: a new figure
            looks: the options of lossatlas plot, as field="test_loss", log=True, vmax=5, levels=20, cmap="magma",
                style="dark"

        Raises Error with the plotter's own line. `lossatlas.open(path).plot()` draws a file again.
        """
        from .pictures import plot
        return plot(self.path, kind, ax, looks)

    def page(self, height: int = 720, **looks: Any) -> Page:
        """The page to turn and explore, as `lossatlas plot -o S.html` writes it: shown inline in a notebook, `height` pixels
        high; `.save("S.html")` writes it. Cost: all values are in it, some MB for large grids."""
        from .pictures import page
        return Page(page(self.path, looks), height)

    def export(self, out: str | os.PathLike[str], *, force: bool = False, **options: Any) -> str:
        """Writes the file for other programs, as `lossatlas export` does: .vtp (ParaView), .stl, .obj (millimetres), .csv or
        .npz. Options: field, draw, log, zmax, interp, … (docs/export.md). Returns the path of `out`."""
        path = path_of(out, "out")
        program.ask(["export", self.path, f"--out={path}", *words_of({"force": force, **options})])
        return path

    def _repr_png_(self) -> bytes | None:
        from .pictures import png
        return png(self.path)

    def _repr_html_(self) -> str:
        import base64
        picture = self._repr_png_()
        image = ("" if picture is None else
                 f'<img style="max-width: 100%; width: 520px" src="data:image/png;base64,{base64.b64encode(picture).decode()}">')
        return f"<div>{html.escape(self._title())}</div>{image}"


class Grid(Result):
    """Values over a grid of one or more axes."""

    @property
    def axes(self) -> dict[str, NDArray[np.float64]]:
        """Coordinates of the points along each axis, [n], in multiples of its direction; x first."""
        def take(file: h5py.File) -> dict[str, NDArray[np.float64]]:
            described = json.loads(file["lossatlas"].attrs["axes"]) if _has(file, "axes") else [
                {"name": name, "coordinates": f"{name}coordinates"} for name in "xy" if f"{name}coordinates" in file]
            return {each["name"]: file[each["coordinates"]][()].reshape(-1).astype("f8") for each in described}
        return self._read(take)

    @property
    def names(self) -> list[str]:
        """The values that the file holds at each point: train_loss, train_acc, train_loss_se, …"""
        return list(self._places())

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an array of values: [ny, nx] of a plane, [nx] of a line; x is the last."""
        return tuple(len(values) for values in reversed(self.axes.values()))

    @property
    def progress(self) -> tuple[int, int]:
        """(points that are finished, points)."""
        import numpy as np
        def take(file: h5py.File) -> Any:
            places = (f"lossatlas/{group}evaluated" for group in ("repeats/", "lines/", ""))
            return next((file[place][()] for place in places if place in file), None)
        mask = self._read(take)
        if mask is None:  # another program's file
            mask = np.isfinite(self.values())
        return int(np.count_nonzero(mask)), int(mask.size)

    def _places(self) -> dict[str, str]:
        shape = self.shape

        def take(file: h5py.File) -> dict[str, str]:
            groups = [file, file["lossatlas"]] if "lossatlas" in file else [file]
            fitting = (shape,) if len(groups) == 2 else (shape, shape[::-1])  # loss-landscape's writer turns its arrays
            return {name: item.name for group in reversed(groups) for name, item in group.items()
                    if getattr(item, "shape", None) in fitting and item.dtype.kind in "fiu" and name not in COORDINATES}
        found = self._read(take)
        return dict(sorted(found.items(), key=lambda item: (item[1].startswith("/lossatlas"), item[0])))

    def values(self, name: str | None = None, draw: int | None = None) -> NDArray[np.float64]:
        """One value at all points: float64 [ny, nx] of a plane, [nx] of a line, NaN where not evaluated.

        Args:
            name: one of `names`. Default: the training loss, else the first loss. Losses are nats for cross-entropy,
                accuracies percent
            draw: of several draws of directions (repeat, lines) that one, counted from 1. Default: their mean
        """
        places = self._places()
        name = name or next((each for each in ("train_loss", "test_loss") if each in places), next(iter(places), ""))
        if name not in places:
            raise Error(f"{self.path} has no value {name!r}: it has {', '.join(places) or 'none'}")
        if self._read(lambda file: "lossatlas" not in file):
            from .plotting import reading
            with reading.open_file(self.path) as other:  # which knows how it marks missing points
                return _as_floats(other.field(name).values)

        def take(file: h5py.File) -> NDArray[np.float64]:
            if draw is None:
                return _as_floats(file[places[name]][()])
            stack = next((file["lossatlas"][each] for each in ("repeats", "lines") if each in file["lossatlas"]), None)
            if stack is None or not 1 <= draw <= len(stack[name]):
                count = 1 if stack is None else len(stack[name])
                raise Error(f"{self.path} has no draw {draw}: it has {count}")
            return _as_floats(stack[name][draw - 1])
        return self._read(take)

    def to_xarray(self) -> xarray.Dataset:
        """All values as an xarray.Dataset: dimensions (y, x) with their coordinates, units and long names as attributes;
        the settings as JSON in the attribute `settings`."""
        import xarray
        axes = self.axes
        dimensions = tuple(reversed(axes))
        described = {each["name"]: each for each in self._json("measures") or []}
        axis_units = {each["name"]: each.get("unit") or "" for each in self._json("axes") or []}
        found = {}
        for name in self.names:
            unit = described.get(name, {}).get("unit") or ""
            found[name] = (dimensions, self.values(name), {"long_name": name.replace("_", " "), "units": unit})
        coordinates = {name: (name, values, {"units": axis_units.get(name, "")}) for name, values in axes.items()}
        return xarray.Dataset(found, coordinates, {"kind": self.kind, "file": self.path,
                                                   "settings": json.dumps(self.settings)})

    def _title(self) -> str:
        size = " × ".join(str(len(values)) for values in self.axes.values())
        return f"{self.kind} of {size} points: {self.path}"


class Surface(Grid):
    """Values over a plane, or more axes, around a network or through several."""

    kind = "surface"


class Trajectory(Surface):
    """A plane with the paths of training runs."""

    kind = "trajectory"

    @property
    def runs(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Of each run by name, one entry a checkpoint: x, y (multiples of the directions), epoch or step, distance (out of
        the plane), length (from the final one), and the checkpoint's own train_loss, …: [m] each."""
        def take(file: h5py.File) -> dict[str, dict[str, NDArray[Any]]]:
            groups = sorted(file["lossatlas/runs"].items(), key=lambda item: int(item[1].attrs.get("order", 0)))
            return {name: {str(group.attrs.get("unit", "epoch")) if key == "epoch" else key: item[()]
                           for key, item in group.items() if item.dtype.kind in "fiu"} for name, group in groups}
        return self._read(take)


class Line(Grid):
    """Values along a line from a network, or between two."""

    kind = "line"


class Curve(Grid):
    """Values along a trained curve between two networks."""

    kind = "curve"


class History(Result):
    """Losses over the epochs or steps of a training run."""

    kind = "history"

    @property
    def unit(self) -> str:
        """What the rows count: "epoch" or "step"."""
        return self._read(lambda file: str(file["lossatlas"].attrs.get("unit", "epoch")) if "lossatlas" in file else "epoch")

    @property
    def names(self) -> list[str]:
        """The columns: learning_rate, train_loss, train_acc, test_loss, test_acc, seconds."""
        return self._read(lambda file: [name for name, item in file.items() if hasattr(item, "shape") and name != "epoch"])

    def values(self, name: str = "train_loss") -> NDArray[np.float64]:
        """One column, [rows]; `epoch` or `step` for what counts them. Accuracies are percent. Row 0 is before training."""
        place = "epoch" if name == self.unit else name
        if place != "epoch" and name not in self.names:
            raise Error(f"{self.path} has no value {name!r}: it has {', '.join(self.names)}")
        return self._read(lambda file: _as_floats(file[place][()]))


class Curvature(Result):
    """Eigenvalues, trace and density of the Hessian of a loss at one point (docs/curvature.md)."""

    kind = "curvature"

    @property
    def eigenvalues(self) -> NDArray[np.float64]:
        """The largest, descending, then the smallest, descending, [k]."""
        return self._read(lambda file: _as_floats(file["lossatlas/eigenvalues"][()]))

    @property
    def eigenvectors(self) -> NDArray[np.float32]:
        """Of unit length, [k, parameters]: one parameter after the other, as in `model.parameters()`."""
        def take(file: h5py.File) -> NDArray[np.float32]:
            vectors: NDArray[np.float32] = file["lossatlas/eigenvectors"][()]
            return vectors
        return self._read(take)

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything with its standard errors: loss, largest, smallest, trace, above, below (docs/file-format.md). Empty
        while the file is not finished."""
        return self._json("summary") or {}

    @property
    def modules(self) -> dict[str, tuple[float, float]]:
        """The trace of each module, and its standard error over the probes."""
        def take(file: h5py.File) -> dict[str, tuple[float, float]]:
            group = file["lossatlas/modules"]
            rows = zip(group["name"].asstr()[()], group["trace"][()], group["trace_se"][()])
            return {str(name): (float(trace), float(error)) for name, trace, error in rows}
        return self._read(take)

    @property
    def density(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Nodes and weights, [probes, steps]: the sum of a row of weights is 1."""
        return self._read(lambda file: (_as_floats(file["lossatlas/density/nodes"][()]),
                                        _as_floats(file["lossatlas/density/weights"][()])))


class Sharpness(Result):
    """How sharp the loss is at several checkpoints, one row each (docs/curvature.md)."""

    kind = "sharpness"

    @property
    def checkpoints(self) -> list[str]:
        """What the rows are called."""
        return self._read(lambda file: [str(name) for name in file["lossatlas/sharpness/checkpoint"].asstr()[()]])

    @property
    def table(self) -> dict[str, NDArray[np.float64]]:
        """The columns, [rows] each: lambda_max, trace, sam_sharpness, … NaN where a number is not known. A pandas table is
        `pandas.DataFrame(s.table, index=s.checkpoints)`."""
        def take(file: h5py.File) -> dict[str, NDArray[np.float64]]:
            group = file["lossatlas/sharpness"]
            return {name: _as_floats(group[name][()]) for name in group if name != "checkpoint"}
        return self._read(take)


class Descents(Result):
    """Optimizers on a function (`lossatlas descend`)."""

    kind = "descents"


class Page:
    """A page to explore: one HTML document that loads nothing. A notebook shows it inline."""

    def __init__(self, document: bytes, height: int) -> None:
        self.document, self.height = document, height

    def save(self, path: str | os.PathLike[str]) -> str:
        """Writes the page; the path."""
        name = path_of(path, "path")
        with builtins.open(name, "wb") as file:
            file.write(self.document)
        return name

    def _repr_html_(self) -> str:
        source = html.escape(self.document.decode(), quote=True)
        return (f'<iframe srcdoc="{source}" width="100%" height="{self.height}" style="border: 0"'
                ' sandbox="allow-scripts allow-downloads"></iframe>')


def open(path: str | os.PathLike[str]) -> Any:
    """A file of the program, or a run's folder: Surface, Trajectory, Line, Curve, Curvature, Sharpness, History or Descents.

    Surfaces of tomgoldstein/loss-landscape are read too. Raises Error for other files.
    """
    name = path_of(path, "path")
    if os.path.isdir(name):
        name = os.path.join(name, "history.h5")
    if not os.path.exists(name):
        raise Error(f"{name} does not exist: name a file that lossatlas wrote, or a run's folder")
    return Result(name)._read(_class_of)(name)


def _class_of(file: h5py.File) -> type[Result]:
    ours = file.get("lossatlas")
    kind = str(ours.attrs.get("kind", "")) if ours is not None else ""
    if kind == "history" or ("epoch" in file and "xcoordinates" not in file):
        return History
    if kind == "descent":
        return Descents
    if kind == "curvature":
        return Curvature
    if kind == "sharpness":
        return Sharpness
    if "xcoordinates" not in file:
        raise Error(f"{file.filename} is no surface, line, curve or history: it has no xcoordinates")
    if kind in ("curve", "path"):
        return Curve
    if ours is not None and "runs" in ours:
        return Trajectory
    return Line if kind == "line" or "ycoordinates" not in file else Surface


def _has(file: h5py.File, attribute: str) -> bool:
    return "lossatlas" in file and attribute in file["lossatlas"].attrs


def _as_floats(values: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.astype("f8")
    return found
