"""Files of surfaces, lines and curves: values on a grid, ours and those of tomgoldstein/loss-landscape."""

import math
from copy import copy
from dataclasses import dataclass

import h5py
import numpy as np

from . import scales
from .errors import PlotError
from .fields import Field
from .hdf5 import CURVE, LINE, PLANE, File, listing, unknown_value
from .points import STEPS

COORDINATES = {"xcoordinates", "ycoordinates", "x", "y", "epoch", "dir_file"}


@dataclass
class Axis:
    name: str  # x, y, z, …
    values: np.ndarray  # the coordinates of its points
    unit: str  # in the file's words; "" where it has none


class SurfaceFile(File):
    """A plane of values ([ny, nx]), or a line of them ([nx], then `y` is None).

    Of a grid of more `axes` than two it is a slice: `shown` are the numbers of its two axes, `fixed` {name: coordinate}
    the others, `slice` says so ("z = 0.5"). `others` are the names of those that were not asked to be fixed.

    Where the file holds several draws of directions, the values are their mean, or those of the one
    that `choose_draw` chose.
    """

    def __init__(self, handle, path):
        super().__init__(handle, path)
        self.axes = self._find_axes()
        self.whole = tuple(len(axis.values) for axis in reversed(self.axes))
        self.choose_slice({})
        self._part = (slice(None),) * len(self.shown)  # of the slice: what crop left
        self.draw = None  # which draw the values are of, counted from 1; None: the mean, or the only one
        self._stack, self.draws = self._find_draws()
        self._places = self._find_places()
        if not self._places:
            grid = " x ".join(str(n) for n in self.whole)
            raise PlotError(
                f"{path} holds no values on its grid of {grid} points (its root holds {listing(handle)})"
            )

    @property
    def sort(self):
        return LINE if self.y is None or 1 in self.shape else PLANE

    @property
    def names(self):
        return list(self._places)

    @property
    def summary(self):
        """What the program computed from the surface, as a dict; empty where it did not."""
        return self._json("summary")

    def choose_slice(self, at):
        """From now on the values are those of the slice in which axes are fixed: those named in `at` {name: coordinate}, at
        the nearest points, and of the others all but the first two, at the points nearest to 0."""
        for name, value in at.items():
            self._check_coordinate(name, value)
        free = [number for number, axis in enumerate(self.axes) if axis.name not in at]
        if at and len(free) < 2:
            raise PlotError(f"--at fixes {len(at)} of the {len(self.axes)} axes of {self.path}: two must be left")
        self.shown, self.others = free[:2], [self.axes[number].name for number in free[2:]]
        wanted = dict.fromkeys(self.others, 0.0) | at
        places = {axis.name: int(np.argmin(abs(axis.values - wanted[axis.name])))
                  for axis in self.axes if axis.name in wanted}
        self.fixed = {axis.name: float(axis.values[places[axis.name]]) for axis in self.axes if axis.name in places}
        self._index = tuple(places.get(axis.name, slice(None)) for axis in reversed(self.axes))

    def slices(self, name, most):
        """Up to so many slices like this one, evenly spaced along the axis of that name, this one among them."""
        values = next(axis.values for axis in self.axes if axis.name == name).tolist()
        step, found = math.ceil(len(values) / most), []
        for value in values[values.index(self.fixed[name]) % step::step]:
            found.append(copy(self))
            found[-1].choose_slice(self.fixed | {name: value})
        return found

    @property
    def x(self):
        return self.axes[self.shown[0]].values[self._part[-1]]

    @property
    def y(self):
        return self.axes[self.shown[1]].values[self._part[0]] if len(self.shown) > 1 else None

    @property
    def shape(self):
        return (len(self.x),) if self.y is None else (len(self.y), len(self.x))

    @property
    def slice(self):
        return coordinates_text(self.fixed)

    def _check_coordinate(self, name, value):
        """Refuses what is no coordinate of an axis of the file."""
        axis = next((each for each in self.axes if each.name == name), None)
        if axis is None:
            raise PlotError(f"--at {name}={value:g}: {self.path} has no axis {name}"
                            f" (its axes are {', '.join(each.name for each in self.axes)})")
        low, high = axis.values.min(), axis.values.max()
        if not low - 1e-9 * (high - low) <= value <= high + 1e-9 * (high - low):
            raise PlotError(f"--at {name}={value:g}: {name} of {self.path} goes from {low:g} to {high:g}")

    def crop(self, xlim, ylim):
        """From now on the grid is its points within these limits, (low, high) or None. Where points are missing, it may
        begin before them, so that the coarse lattices of the sweep stay whole."""
        done, total = self.progress()
        step = 1 if done == total else STEPS[0]
        parts = [_within(self.path, *axis, step) for axis in (("y", self.y, ylim), ("x", self.x, xlim)) if axis[1] is not None]
        before = self.shape
        self._part = tuple(parts)
        self.cropped = f"cropped to {self.shape[-1]} × {self.shape[0]} of {before[-1]} × {before[0]} points"
        if self.y is None:
            self.cropped = f"cropped to {self.shape[0]} of {before[0]} points"

    def choose_draw(self, number):
        """From now on the values are those of draw `number`, counted from 1; None: their mean."""
        if number is not None and self.draws == 1:
            raise PlotError(f"{self.path} holds only one draw of directions (made without --repeat):"
                            " leave --draw out")
        if number is not None and number > self.draws:
            raise PlotError(f"no draw {number} in {self.path}: it holds draws 1 to {self.draws}")
        self.draw = number
        self._places = self._find_places()

    def _find_axes(self):
        """The axes that the file describes, else those that a file of one or two has."""
        described = self._json("axes", list) or [
            {"name": name, "coordinates": f"{name}coordinates"} for name in "xy"
            if isinstance(self._handle.get(f"{name}coordinates"), h5py.Dataset)]
        try:
            return [Axis(str(each["name"]), self._coordinates(each["coordinates"].lstrip("/")), str(each.get("unit") or ""))
                    for each in described]
        except (KeyError, TypeError, AttributeError) as error:
            raise PlotError(f"/lossatlas@axes of {self.path} does not name each axis and its coordinates") from error

    def _coordinates(self, name):
        values = np.atleast_1d(self._array(name))
        if values.ndim != 1 or values.size == 0 or not np.all(np.isfinite(values)):
            raise PlotError(f"{name} of {self.path} must be a list of finite numbers")
        steps = np.diff(values)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise PlotError(f"{name} of {self.path} must rise or fall throughout, without repeats")
        return values

    def _find_draws(self):
        """(the group that holds each draw by itself, how many): repeats of planes, or several lines."""
        for name in ("repeats", "lines"):
            stack = self.group(name)
            mask = stack.get("evaluated") if stack is not None else None
            if isinstance(mask, h5py.Dataset) and mask.shape[1:] == self.whole and mask.shape[0] > 1:
                return stack, mask.shape[0]
        return None, 1

    @property
    def DRAWS(self):
        """What several draws of directions are called."""
        return "lines" if self._stack is not None and self._stack.name.endswith("lines") else "draws"

    def sample_count(self, split):
        """How many images of the split were evaluated, 0 where the file does not say."""
        samples = self._group.get(f"samples_{split}") if self._group is not None else None
        return samples.size if isinstance(samples, h5py.Dataset) else 0

    def _find_places(self):
        """Name of each value on the grid -> where it is: the root's, then those of /lossatlas."""
        if self.draw is not None:
            shape = (self.draws, *self.whole)
            return self._values_in(self._stack, lambda found: found == shape)
        places = self._values_in(self._handle, self._fits)
        for name, place in self._values_in(self._group, lambda found: found == self.whole).items():
            places.setdefault(name, place)
        return places

    @staticmethod
    def _values_in(group, fits):
        return {
            name: item.name
            for name, item in (group.items() if group is not None else ())
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and fits(item.shape)
            and name not in COORDINATES and name != "evaluated"
        }

    def _fits(self, shape):
        if shape == self.whole:
            return True
        # The peers' writer shapes its arrays [nx, ny] and fills them in [ny, nx] order.
        return self._group is None and shape == self.whole[::-1]

    def default_name(self):
        """The first loss, the training loss before others; failing one, the first value."""
        losses = [name for name in self.names if name.endswith("loss")]
        for name in ("train_loss", "test_loss", *losses, *self.names):
            if name in self.names:
                return name
        raise AssertionError("a SurfaceFile has at least one value")

    def full_name(self, name):
        """The dataset that `name` means: 'error' is the stated error of the loss."""
        if name == "error" and name not in self.names:
            return next((n for n in self.names if n.endswith("_loss_error")), name)
        return name

    def field(self, name):
        """One value by name. `train_err` is found from `train_acc` where it is not there itself."""
        return self._whole_field(name).changed(lambda array: array[self._part])

    def _whole_field(self, name):
        if name in self.names:
            return self._field(name)
        accuracy = name.removesuffix("err") + "acc"
        if name.endswith("_err") and accuracy in self.names:
            field = self._field(accuracy)
            field.name, field.values = name, 100.0 - field.values
            return field
        raise PlotError(unknown_value(name, self.names, self.path))

    def progress(self):
        """(points that have a value, points), those of all draws and of the whole grid."""
        if self.draws > 1 or self._has_mask(self._group):
            mask = self._array(f"{(self._stack or self._group).name}/evaluated")
            return int(np.count_nonzero(mask)), mask.size
        blank = self._field(self.default_name()).blank
        return int(np.count_nonzero(~blank)), blank.size

    def _values(self, place):
        if self.draw is not None:
            return self._array(place, (self.draw - 1, *self._index))
        if self._handle[place].shape == self.whole:
            return self._array(place, self._index)
        return self._array(place).reshape(self.whole)

    def _field(self, name):
        values = self._values(self._places[name])
        evaluated = self._evaluated()
        if evaluated is not None:
            blank = evaluated == 0
        else:
            blank = np.isnan(values) if self.is_ours else _marked(values)
        loss, decisive = f"{name.removesuffix('_acc')}_loss", values
        if name.endswith("_acc") and loss in self.names:  # without finite logits there is no accuracy
            decisive = self._values(self._places[loss])
        finite = np.isfinite(values) & np.isfinite(decisive)
        error = self._places.get(f"{name}_error")
        return Field(
            name, np.where(finite & ~blank, values, np.nan), blank, ~finite & ~blank,
            np.zeros_like(blank) if evaluated is None else evaluated == 2, np.zeros_like(blank),
            None if error is None else self._values(error),
            np.where(np.isinf(decisive) & ~blank, np.sign(decisive), 0).astype(np.int8),
        )

    def _evaluated(self):
        """The mask of our own files, [ny, nx] or [nx]; None where there is none."""
        holder = self._group if self.draw is None else self._stack
        if not self._has_mask(holder):
            return None
        found = holder["evaluated"].shape[self.draw is not None:]
        if found != self.whole:
            raise PlotError(f"/lossatlas/evaluated of {self.path} has shape {found}, the grid {self.whole}")
        return self._values(f"{holder.name}/evaluated")

    @staticmethod
    def _has_mask(holder):
        return holder is not None and isinstance(holder.get("evaluated"), h5py.Dataset)


def _within(path, axis, values, limits, step):
    """The slice of the coordinates `values` within the limits, which starts at a multiple of `step`."""
    if limits is None:
        return slice(None)
    slack = 1e-6 * np.ptp(values)  # of coordinates that are no round numbers in binary
    inside = np.flatnonzero((values >= limits[0] - slack) & (values <= limits[1] + slack))
    if len(inside) < 2:
        raise PlotError(f"--{axis}lim {limits[0]:g}:{limits[1]:g} holds {len(inside)} of the {len(values)} points of {path},"
                        f" which go from {values.min():g} to {values.max():g}: at least two are required")
    return slice(inside[0] // step * step, inside[-1] + 1)


def coordinates_text(coordinates):
    """'z = 0.5, w = 0' of {name: coordinate}."""
    return ", ".join(f"{name} = {scales.number(value)}" for name, value in coordinates.items())


def _marked(values):
    """bool: what -1 marks as not evaluated in a file of the peers. Where another value is negative, -1 is a value too."""
    return (values == -1.0) & ~np.any((values < 0.0) & (values != -1.0))


class CurveFile(SurfaceFile):
    """Values along a curve between two checkpoints, over t from 0 to 1, and beside it along the
    straight line between them."""

    sort = CURVE

    def linear(self, name):
        """The value `name` along the straight line, [n] with NaN where there is none; None without it."""
        group = self.group("linear")
        base, sign, shift = name, 1.0, 0.0
        if group is not None and name.endswith("_err") and name not in group:
            base, sign, shift = name.removesuffix("err") + "acc", -1.0, 100.0
        if group is None or not isinstance(group.get(base), h5py.Dataset) or group[base].shape != self.shape:
            return None
        values = shift + sign * self._array(group[base].name)
        return np.where(np.isfinite(values), values, np.nan)
