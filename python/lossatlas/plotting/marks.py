"""What is marked in a plane or on a line: checkpoints, trajectories of training runs, and curves.

Read from /lossatlas/points, /lossatlas/runs and /lossatlas/curves. What is absent comes out as NaN.
"""

import os
from dataclasses import dataclass

import h5py
import numpy as np

from . import reading, scales, wording
from .errors import PlotError
from .hdf5 import text


@dataclass
class Run:
    """A trajectory; arrays [m], in path order."""

    name: str
    label: str
    optimizer: str
    x: np.ndarray
    y: np.ndarray
    epoch: np.ndarray
    distance: np.ndarray  # out of the plane
    length: np.ndarray  # to the final parameters
    group: h5py.Group | dict
    unit: str = "epoch"  # of `epoch`, or "step"

    def own(self, name):
        """The checkpoints' own value of that name, [m]."""
        return _column(self.group, name, len(self.x))

    def in_plane(self, name):
        """The plane's value of that name ('train_loss') at the projections, [m]."""
        first = f"plane_{name.rpartition('_')[2]}"  # of the first split; that of another names it
        place = f"plane_{name}" if f"plane_{name}" in self.group or name not in self.group else first
        return _column(self.group, place, len(self.x))


@dataclass
class Points:
    """Marked checkpoints; arrays [m]."""

    names: list
    x: np.ndarray
    y: np.ndarray  # NaN on lines
    distance: np.ndarray
    unit: float | None  # length of direction 1
    group: h5py.Group
    off: list  # of each where it lies if not in the slice that is shown: "z = 1"; else ""
    inside: np.ndarray  # bool: which of the group's they are

    def own(self, name):
        return _column(self.group, name, len(self.inside))[self.inside]

    def within(self, x, y):
        """Those in a plane, or slice, of these coordinates; None without any."""
        near = [1e-6 * np.ptp(axis) for axis in (x, y)]
        kept = ((np.array(self.off) == "") & (self.x >= x.min() - near[0]) & (self.x <= x.max() + near[0])
                & (self.y >= y.min() - near[1]) & (self.y <= y.max() + near[1]))
        names = [name for name, keep in zip(self.names, kept) if keep]
        return Points(names, self.x[kept], self.y[kept], self.distance[kept], self.unit, self.group,
                      [""] * len(names), kept) if names else None


@dataclass
class Curve:
    """Where a curve runs in the plane; arrays [n]."""

    name: str
    x: np.ndarray
    y: np.ndarray
    t: np.ndarray


def runs(file, projections=()):
    """The runs of a file, in their order, and those of the `projections`: files of paths."""
    if projections and file.fixed:
        raise PlotError(f"{file.path} has {len(file.axes)} axes, a projection has two: leave --projection out")
    found = []
    for name, group in _groups(file, "runs"):
        x = _required(file, group, "x")
        columns = [_column(group, each, len(x)) for each in ("epoch", "distance", "length")]
        optimizer = text(group.attrs.get("optimizer", ""))
        run = Run(name, _label(text(group.attrs.get("label", "")) or name, optimizer), optimizer,
                  x, _required(file, group, "y", len(x)), *columns, group, text(group.attrs.get("unit", "epoch")))
        found.append((int(group.attrs.get("order", len(found))), run))
    return [run for _, run in sorted(found, key=lambda item: item[0])] + [_projected(path, file) for path in projections]


def _projected(path, file):
    """The run whose coordinates another file holds, and nothing else of it."""
    x, y = reading.read_projection(path, file.settings.get("lengths"))
    name = os.path.splitext(os.path.basename(path))[0]
    unknown = np.full(len(x), np.nan)
    return Run(name, name, "", x, y, unknown, unknown, unknown, {})


def _label(label, optimizer):
    """The label, with the optimizer where it does not say it."""
    known = not optimizer or optimizer.lower() in label.lower()
    return label if known else f"{label} ({wording.OPTIMIZERS.get(optimizer, optimizer)})"


def points(file):
    """The marked checkpoints of a file, or None."""
    group = file.group("points")
    if group is None:
        return None
    across, up = [file.axes[number].name for number in file.shown] if len(file.axes) > 1 else "xy"
    x = _required(file, group, across)
    names = [text(name) for name in group["name"][()]] if "name" in group else []
    unit = group.attrs.get("unit")
    return Points(names + [""] * (len(x) - len(names)), x, _column(group, up, len(x)),
                  _column(group, "distance", len(x)), None if unit is None else float(unit), group,
                  _off(file, group, len(x)), np.ones(len(x), bool))


def _off(file, group, length):
    """Where each of the marked checkpoints lies that is not in the slice: 'z = 1'; '' of the others."""
    columns = [(name, value, _column(group, name, length)) for name, value in file.fixed.items()]
    return [", ".join(f"{name} = {scales.number(float(column[i]))}" for name, value, column in columns
                      if abs(column[i] - value) > 1e-6 * max(1.0, abs(value))) for i in range(length)]


def curves(file):
    return [Curve(name, x := _required(file, group, "x"), _required(file, group, "y", len(x)),
                  _column(group, "t", len(x)))
            for name, group in _groups(file, "curves")]


def explained(file):
    """The shares of the variance that the axes explain, or None."""
    group = file.group("pca")
    if group is None or "explained_variance_ratio" not in group:
        return None
    shares = np.atleast_1d(group["explained_variance_ratio"][()])
    return tuple(map(float, shares[: len(file.axes)])) if len(shares) > 1 else None


def axis_label(file, number):
    """What coordinate 1 or 2 of a plane is, or (0) that of a line."""
    shares, found = explained(file), points(file)
    axis = file.shown[number - 1] if number else 0
    share = shares[axis] if number and shares and axis < len(shares) else None
    stated = file.axes[axis].unit if axis < len(file.axes) else ""
    return wording.axis_label(number and axis + 1, file.settings, share, found.unit if found else None, stated)


def _groups(file, name):
    group = None if file.fixed else file.group(name)  # runs and curves are made in planes
    return [(each, item) for each, item in (group.items() if group is not None else ())
            if isinstance(item, h5py.Group)]


def _column(group, name, length):
    """A dataset as float64 [length]; NaN where it is absent or of another shape."""
    item = group.get(name)
    if not isinstance(item, h5py.Dataset) or item.shape != (length,) or item.dtype.kind not in "fiu":
        return np.full(length, np.nan)
    return item[()].astype(np.float64)


def _required(file, group, name, length=None):
    item = group.get(name)
    if not isinstance(item, h5py.Dataset) or item.ndim != 1 or length not in (None, len(item)):
        shape = "" if length is None else f" of {length} numbers"
        raise PlotError(f"{group.name} of {file.path} holds no list {name}{shape}")
    values = item[()].astype(np.float64)
    if not values.size or not np.isfinite(values).all():
        raise PlotError(f"{group.name}/{name} of {file.path} must be finite numbers, at least one")
    return values
