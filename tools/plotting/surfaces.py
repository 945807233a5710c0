"""Files of surfaces, lines and paths: values on a grid, ours and those of tomgoldstein/loss-landscape."""

import h5py
import numpy as np

from .errors import PlotError
from .fields import Field
from .hdf5 import LINE, PATH, PLANE, File, listing, unknown_value
from .points import STEPS

COORDINATES = {"xcoordinates", "ycoordinates", "x", "y", "epoch", "dir_file"}


class SurfaceFile(File):
    """A plane of values ([ny, nx]), or a line of them ([nx], then `y` is None).

    Where the file holds several draws of directions, the values are their mean, or those of the one
    that `choose_draw` chose.
    """

    def __init__(self, handle, path):
        super().__init__(handle, path)
        self.x = self._coordinates("xcoordinates")
        has_y = isinstance(handle.get("ycoordinates"), h5py.Dataset)
        self.y = self._coordinates("ycoordinates") if has_y else None
        self.shape = self._whole = (len(self.x),) if self.y is None else (len(self.y), len(self.x))
        self._part = ...  # of the grid: what crop left
        self.draw = None  # which draw the values are of, counted from 1; None: the mean, or the only one
        self._stack, self.draws = self._find_draws()
        self._places = self._find_places()
        if not self._places:
            grid = " x ".join(str(n) for n in self.shape)
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

    def crop(self, xlim, ylim):
        """From now on the grid is its points within these limits, (low, high) or None. Where points are missing, it may
        begin before them, so that the coarse lattices of the sweep stay whole."""
        done, total = self.progress()
        step = 1 if done == total else STEPS[0]
        parts = [_within(self.path, *axis, step) for axis in (("y", self.y, ylim), ("x", self.x, xlim)) if axis[1] is not None]
        self._part = tuple(parts)
        self.x = self.x[parts[-1]]
        self.y = None if self.y is None else self.y[parts[0]]
        self.shape = (len(self.x),) if self.y is None else (len(self.y), len(self.x))
        self.cropped = f"cropped to {self.shape[-1]} × {self.shape[0]} of {self._whole[-1]} × {self._whole[0]} points"
        if self.y is None:
            self.cropped = f"cropped to {self.shape[0]} of {self._whole[0]} points"

    def choose_draw(self, number):
        """From now on the values are those of draw `number`, counted from 1; None: their mean."""
        if number is not None and self.draws == 1:
            raise PlotError(f"{self.path} holds one draw of directions only (made without --repeat):"
                            " leave --draw out")
        if number is not None and number > self.draws:
            raise PlotError(f"no draw {number} in {self.path}: it holds draws 1 to {self.draws}")
        self.draw = number
        self._places = self._find_places()

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
            if isinstance(mask, h5py.Dataset) and mask.shape[1:] == self._whole and mask.shape[0] > 1:
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
            shape = (self.draws, *self._whole)
            return self._values_in(self._stack, lambda found: found == shape)
        places = self._values_in(self._handle, self._fits)
        for name, place in self._values_in(self._group, lambda found: found == self._whole).items():
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
        if shape == self._whole:
            return True
        # The peers' writer shapes its arrays [nx, ny] and fills them in [ny, nx] order.
        return self._group is None and shape == self._whole[::-1]

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
        """(points that have a value, points), those of all draws."""
        if self.draws > 1:
            mask = self._array(f"{self._stack.name}/evaluated")
            return int(np.count_nonzero(mask)), mask.size
        blank = self._field(self.default_name()).blank
        return int(np.count_nonzero(~blank)), blank.size

    def _values(self, place):
        if self.draw is None:
            return self._array(place).reshape(self._whole)
        return self._array(place, self.draw - 1)

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
        if holder is None or not isinstance(holder.get("evaluated"), h5py.Dataset):
            return None
        mask = self._array(f"{holder.name}/evaluated", ... if self.draw is None else self.draw - 1)
        if mask.shape != self._whole:
            raise PlotError(
                f"/lossatlas/evaluated of {self.path} has shape {mask.shape}, the grid {self._whole}"
            )
        return mask


def _within(path, axis, values, limits, step):
    """The slice of the coordinates `values` within the limits, which starts at a multiple of `step`."""
    if limits is None:
        return slice(None)
    slack = 1e-6 * np.ptp(values)  # of coordinates that are no round numbers in binary
    inside = np.flatnonzero((values >= limits[0] - slack) & (values <= limits[1] + slack))
    if len(inside) < 2:
        raise PlotError(f"--{axis}lim {limits[0]:g}:{limits[1]:g} holds {len(inside)} of the {len(values)} points of {path},"
                        f" which go from {values.min():g} to {values.max():g}: two are the least")
    return slice(inside[0] // step * step, inside[-1] + 1)


def _marked(values):
    """bool: what -1 marks as not evaluated in a file of the peers. Where another value is negative, -1 is a value too."""
    return (values == -1.0) & ~np.any((values < 0.0) & (values != -1.0))


class PathFile(SurfaceFile):
    """Values along a curve between two checkpoints, over t from 0 to 1, and beside it along the
    straight line between them."""

    sort = PATH

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
