"""HDF5 files in: surfaces and lines (ours and those of tomgoldstein/loss-landscape), histories.

Only the datasets that are asked for are read. Arrays come out as float64 with NaN wherever there
is nothing finite to draw; masks say why.
"""

import json
import os
import re
from dataclasses import dataclass

import h5py
import numpy as np

from .errors import NotYetError, PlotError, UnreadableError, did_you_mean, one_line
from .points import STEPS

NEWEST_FORMAT = 1  # of /lossatlas@format
COORDINATES = {"xcoordinates", "ycoordinates", "x", "y", "epoch", "dir_file"}
HISTORY_VALUES = ("train_loss", "test_loss", "train_acc", "test_acc")


@dataclass
class Field:
    """One value over the grid. All arrays are [ny, nx], or [nx] for a line."""

    name: str
    values: np.ndarray  # float64, NaN where not evaluated and where not finite
    blank: np.ndarray  # bool: not evaluated, and nothing is drawn there
    nonfinite: np.ndarray  # bool: evaluated, and the value is NaN or infinite
    reconstructed: np.ndarray  # bool: the program computed the value from those of other points
    guessed: np.ndarray  # bool: not evaluated, drawn from the points around it
    errors: np.ndarray | None = None  # float64: stated half-widths at 95 %, where the file has them
    infinite: np.ndarray | None = None  # int8: 1 where the value (of an accuracy, its loss) is +inf, -1 where -inf, else 0

    def changed(self, change):
        """The same field with `change` applied to each array."""
        errors, infinite = (None if array is None else change(array) for array in (self.errors, self.infinite))
        return Field(self.name, *map(change, (self.values, self.blank, self.nonfinite,
                                              self.reconstructed, self.guessed)), errors, infinite)

    def squeeze(self):
        """The same field as a line: one row or column of a plane loses that axis."""
        return self.changed(np.ravel)

    @property
    def missing(self):
        """bool: not evaluated, whether something is drawn there or not."""
        return self.blank | self.guessed


@dataclass(frozen=True)
class Look:
    """How a plane is drawn, where the user chose."""

    aspect: float | None = None  # height over width, 0: both axes to one scale; None: to one scale unless far from square
    smooth: bool = False  # a smooth surface through the points


def together(fields):
    """Fields of one value as one, along a new first axis."""
    first = fields[0]
    names = ("values", "blank", "nonfinite", "reconstructed", "guessed")
    arrays = [np.stack([getattr(field, name) for field in fields]) for name in names]
    more = [None if getattr(first, name) is None else np.stack([getattr(field, name) for field in fields])
            for name in ("errors", "infinite")]
    return Field(first.name, *arrays, *more)


def open_file(path):
    """An open file of ours or the peers', as SurfaceFile or HistoryFile. Use it in a `with`."""
    handle = _open_hdf5(path)
    try:
        group = handle.get("lossatlas")
        ours = isinstance(group, h5py.Group)
        if ours:
            _check_format(group, path)
        kind = text(group.attrs.get("kind", "")) if ours else ""
        if kind == "history" or ("epoch" in handle and "xcoordinates" not in handle):
            return HistoryFile(handle, path)
        if kind == "descent":
            return DescentFile(handle, path)
        if not isinstance(handle.get("xcoordinates"), h5py.Dataset):
            raise PlotError(
                f"{path} is not a surface: it has no xcoordinates (its root holds {_listing(handle)})"
            )
        return PathFile(handle, path) if kind == "path" else SurfaceFile(handle, path)
    except OSError as error:
        handle.close()
        raise UnreadableError(f"cannot read {path}: {one_line(error)}") from error
    except BaseException:
        handle.close()
        raise


class _File:
    def __init__(self, handle, path):
        self.path = path
        self._handle = handle
        group = handle.get("lossatlas")
        self._group = group if isinstance(group, h5py.Group) else None
        self.is_ours = self._group is not None
        self.projections = ()  # files of paths to draw over a plane
        self.look = Look()
        self.cropped = ""  # what of the grid is shown, in words
        self.settings = self._json("settings")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._handle.close()

    def _json(self, name):
        """A JSON attribute of /lossatlas as a dict; empty when absent or unreadable."""
        if self._group is None or name not in self._group.attrs:
            return {}
        try:
            value = json.loads(text(self._group.attrs[name]))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def group(self, name):
        """A group of /lossatlas, or None."""
        found = self._group.get(name) if self._group is not None else None
        return found if isinstance(found, h5py.Group) else None

    def _array(self, name, part=...):
        try:
            return np.asarray(self._handle[name][part]).astype(np.float64)
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableError(f"cannot read {name} of {self.path}: {one_line(error)}") from error


class SurfaceFile(_File):
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
                f"{path} holds no values on its grid of {grid} points (its root holds {_listing(handle)})"
            )

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
        raise PlotError(_unknown_value(name, self.names, self.path))

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


class HistoryFile(_File):
    """What a training run wrote after every epoch; row 0 is before training."""

    def __init__(self, handle, path):
        super().__init__(handle, path)
        if not isinstance(handle.get("epoch"), h5py.Dataset):
            raise PlotError(f"{path} is not a history: it has no epoch (its root holds {_listing(handle)})")
        self.epoch = np.atleast_1d(self._array("epoch"))
        self.names = [name for name in HISTORY_VALUES if self._is_by_epoch(handle.get(name))]
        if not self.names:
            raise PlotError(
                f"{path} holds no losses or accuracies by epoch (its root holds {_listing(handle)})"
            )

    def _is_by_epoch(self, item):
        return (isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu"
                and item.shape == self.epoch.shape)

    def progress(self):
        """(epochs done, epochs); the latter 0 where it is not known."""
        epochs = self.settings.get("epochs")
        return len(self.epoch) - 1, epochs if isinstance(epochs, int) else 0

    def values(self, name):
        """[epochs + 1] float64, NaN where there is none."""
        values = self.written(name)
        return np.where(np.isfinite(values), values, np.nan)

    def written(self, name):
        """As values, with infinite ones as they are."""
        if name not in self.names:
            raise PlotError(_unknown_value(name, self.names, self.path))
        return self._array(name)


@dataclass
class Descent:
    """The way of one optimizer over a function: n rows of d coordinates, the start first."""

    label: str
    optimizer: str
    rate: float
    ascend: bool
    end: str  # "steps", "converged", "diverged", "undefined" or "interrupted"
    position: np.ndarray  # [n, d]
    value: np.ndarray  # [n]
    gradient: np.ndarray  # [n, d]
    effective_rate: np.ndarray  # [n, d], NaN in the last row

    @property
    def steps(self):
        return len(self.value) - 1

    @property
    def rule(self):
        """What descents from several starts share."""
        return self.optimizer, self.rate


@dataclass
class Tangent:
    point: np.ndarray  # [d]
    value: float
    gradient: np.ndarray  # [d]
    direction: np.ndarray | None = None  # [d], of length 1
    slope: float | None = None  # along the direction


class DescentFile(_File):
    """A function of one variable (then `y` is None) or two, over a range, and what ran on it."""

    def __init__(self, handle, path):
        super().__init__(handle, path)
        has_y = isinstance(handle.get("ycoordinates"), h5py.Dataset)
        try:
            self.x = self._array("xcoordinates")
            self.y = self._array("ycoordinates") if has_y else None
            self.shape = (len(self.x),) if self.y is None else (len(self.y), len(self.x))
            values = self._array("value").reshape(self.shape)
            self.derivative = None if has_y else self._array("lossatlas/derivative").reshape(self.shape)
            self.descents = [self._descent(group) for group in self._numbered("descents")]
            self.tangents = [self._tangent(group) for group in self._numbered("tangents")]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise PlotError(f"{path} is not a whole file of descents: {one_line(error)}") from error
        finite, none = np.isfinite(values), np.zeros(self.shape, bool)
        self.field = Field("value", np.where(finite, values, np.nan), none, ~finite, none, none)

    @property
    def variables(self):
        return len(self.shape)

    def progress(self):
        return self.field.values.size, self.field.values.size

    def _numbered(self, name):
        groups = self._group.get(name, {})
        return [groups[number] for number in sorted(groups, key=int)]

    def _descent(self, group):
        rows = {name: self._array(f"{group.name}/{name}")
                for name in ("position", "value", "gradient", "effective_rate")}
        if len(rows["value"]) == 0 or any(len(array) != len(rows["value"]) for array in rows.values()):
            raise ValueError(f"the datasets of {group.name} differ in length")
        about = group.attrs
        return Descent(text(about["label"]), text(about["optimizer"]), float(about["rate"]),
                       bool(about["ascend"]), text(about["end"]), **rows)

    def _tangent(self, group):
        arrays = [self._array(f"{group.name}/{name}") if name in group else None
                  for name in ("point", "gradient", "direction")]
        slope = group.attrs.get("directional_derivative")
        return Tangent(arrays[0], float(group.attrs["value"]), *arrays[1:],
                       None if slope is None else float(slope))


def read_projection(path, lengths):
    """The coordinates of a path's checkpoints, (x, y), each [m] and finite. The file holds lengths along directions of
    the `lengths` (None: taken for 1), unless it says that it was made by least squares."""
    with _open_hdf5(path) as handle:
        columns = [handle.get(name) for name in ("proj_xcoord", "proj_ycoord")]
        if not all(isinstance(column, h5py.Dataset) for column in columns):
            raise PlotError(f"{path} is no projection: it has no proj_xcoord and proj_ycoord"
                            f" (its root holds {_listing(handle)})")
        if len({column.shape for column in columns}) > 1 or any(
                column.ndim != 1 or column.dtype.kind not in "fiu" for column in columns):
            raise PlotError(f"{path}: proj_xcoord and proj_ycoord must be lists of as many numbers")
        try:
            x, y = (column[()].astype(np.float64) for column in columns)
            is_coordinates = text(handle.attrs.get("project", "cos")) == "lstsq"
        except OSError as error:
            raise UnreadableError(f"cannot read {path}: {one_line(error)}") from error
    if not x.size or not np.isfinite([x, y]).all():
        raise PlotError(f"{path}: proj_xcoord and proj_ycoord must be finite numbers, at least one")
    if is_coordinates or not (isinstance(lengths, list) and len(lengths) == 2 and all(
            isinstance(length, (int, float)) and length > 0 for length in lengths)):
        return x, y
    return x / lengths[0], y / lengths[1]


def _open_hdf5(path):
    if not os.path.exists(path):
        raise NotYetError(f"{path} does not exist")
    if os.path.isdir(path):
        raise PlotError(f"{path} is a folder without history.h5, so no run of lossatlas train:"
                        " name an HDF5 file or a run's folder")
    try:
        return h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise PlotError(f"{path} may not be read: permission denied") from error
    except OSError as error:
        text = one_line(error)
        if "signature not found" in text:
            raise UnreadableError(f"{path} is not an HDF5 file") from error
        if "truncated" in text or "eof" in text:
            raise UnreadableError(f"{path} is cut short: part of the HDF5 file is missing") from error
        if "unable to lock" in text:
            raise UnreadableError(f"{path} is being written by another program: try again later") from error
        raise UnreadableError(f"cannot open {path}: {text}") from error


def _check_format(group, path):
    version = group.attrs.get("format")
    try:
        newer = version is not None and int(version) > NEWEST_FORMAT
    except (TypeError, ValueError):
        newer = False
    if newer:
        raise PlotError(
            f"{path} has format {int(version)}, newer than the {NEWEST_FORMAT} this plotter reads:"
            " update lossatlas"
        )


def text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _listing(handle, most=8):
    names = list(handle)
    if not names:
        return "nothing"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(one_line(name) for name in names[:most]) + rest


def _unknown_value(name, names, path):
    return f"no value '{name}' in {path}{did_you_mean(name, names)} (it holds {', '.join(_shortened(names))})"


def _shortened(names):
    """The names, a run of classes given by its first and last."""
    groups = {}
    for name in names:
        groups.setdefault(re.sub(r"_class_\d+$", "_class_", name), []).append(name)
    for kind, members in groups.items():
        if len(members) < 3:
            yield from members
            continue
        members.sort(key=lambda name: int(name.removeprefix(kind)))
        yield f"{members[0]} … {members[-1]}"
