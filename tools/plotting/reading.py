"""HDF5 files in: surfaces and lines (ours and those of tomgoldstein/loss-landscape), histories.

Only the datasets that are asked for are read. Arrays come out as float64 with NaN wherever there
is nothing finite to draw; masks say why.
"""

import difflib
import json
import os
from dataclasses import dataclass

import h5py
import numpy as np

from .errors import PlotError, one_line

NEWEST_FORMAT = 1  # of /lossatlas@format
COORDINATES = {"xcoordinates", "ycoordinates", "x", "y", "epoch", "dir_file"}
HISTORY_VALUES = ("train_loss", "test_loss", "train_acc", "test_acc")


@dataclass
class Field:
    """One value over the grid. All arrays are [ny, nx], or [nx] for a line."""

    name: str
    values: np.ndarray  # float64, NaN where not evaluated and where not finite
    blank: np.ndarray  # bool: not evaluated
    nonfinite: np.ndarray  # bool: evaluated, and the value is NaN or infinite
    reconstructed: int  # points filled in from others rather than evaluated

    def squeeze(self):
        """The same field as a line: one row or column of a plane loses that axis."""
        return Field(
            self.name,
            self.values.reshape(-1),
            self.blank.reshape(-1),
            self.nonfinite.reshape(-1),
            self.reconstructed,
        )


def open_file(path):
    """An open file of ours or the peers', as SurfaceFile or HistoryFile. Use it in a `with`."""
    handle = _open_hdf5(path)
    try:
        group = handle.get("lossatlas")
        ours = isinstance(group, h5py.Group)
        if ours:
            _check_format(group, path)
        kind = _text(group.attrs.get("kind", "")) if ours else ""
        if kind == "history" or ("epoch" in handle and "xcoordinates" not in handle):
            return HistoryFile(handle, path)
        if not isinstance(handle.get("xcoordinates"), h5py.Dataset):
            raise PlotError(
                f"{path} is not a surface: it has no xcoordinates (its root holds {_listing(handle)})"
            )
        return SurfaceFile(handle, path)
    except OSError as error:
        handle.close()
        raise PlotError(f"cannot read {path}: {one_line(error)}") from error
    except BaseException:
        handle.close()
        raise


class _File:
    def __init__(self, handle, path):
        self.path = path
        self._handle = handle
        group = handle.get("lossatlas")
        self._group = group if isinstance(group, h5py.Group) else None
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
            value = json.loads(_text(self._group.attrs[name]))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def _array(self, name):
        try:
            return self._handle[name][()].astype(np.float64)
        except (OSError, ValueError, TypeError) as error:
            raise PlotError(f"cannot read {name} of {self.path}: {one_line(error)}") from error

    def _numeric(self):
        """Names and shapes of the numeric datasets of the root that may hold values."""
        return {
            name: item.shape
            for name, item in self._handle.items()
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and name not in COORDINATES
        }


class SurfaceFile(_File):
    """A plane of values ([ny, nx]), or a line of them ([nx], then `y` is None)."""

    def __init__(self, handle, path):
        super().__init__(handle, path)
        self.x = self._coordinates("xcoordinates")
        has_y = isinstance(handle.get("ycoordinates"), h5py.Dataset)
        self.y = self._coordinates("ycoordinates") if has_y else None
        self.shape = (len(self.x),) if self.y is None else (len(self.y), len(self.x))
        shapes = self._numeric()
        self.names = [name for name, shape in shapes.items() if self._fits(shape)]
        if not self.names:
            grid = " x ".join(str(n) for n in self.shape)
            raise PlotError(
                f"{path} holds no values on its grid of {grid} points (its root holds {_listing(handle)})"
            )

    def _coordinates(self, name):
        values = np.atleast_1d(self._array(name))
        if values.ndim != 1 or values.size == 0 or not np.all(np.isfinite(values)):
            raise PlotError(f"{name} of {self.path} must be a list of finite numbers")
        steps = np.diff(values)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise PlotError(f"{name} of {self.path} must rise or fall throughout, without repeats")
        return values

    def _fits(self, shape):
        if shape == self.shape:
            return True
        # The peers' writer shapes its arrays [nx, ny] and fills them in [ny, nx] order.
        return self._group is None and shape == self.shape[::-1]

    def default_name(self):
        """The first loss, the training loss before others; failing one, the first value."""
        losses = [name for name in self.names if name.endswith("loss")]
        for name in ("train_loss", "test_loss", *losses, *self.names):
            if name in self.names:
                return name
        raise AssertionError("a SurfaceFile has at least one value")

    def field(self, name):
        """One value by name. `train_err` is found from `train_acc` where it is not there itself."""
        if name in self.names:
            return self._field(name)
        accuracy = name.removesuffix("err") + "acc"
        if name.endswith("_err") and accuracy in self.names:
            field = self._field(accuracy)
            field.name, field.values = name, 100.0 - field.values
            return field
        raise PlotError(_unknown_value(name, self.names, self.path))

    def _field(self, name):
        values = self._array(name).reshape(self.shape)
        evaluated = self._evaluated()
        reconstructed = 0
        if evaluated is not None:
            blank = evaluated == 0
            reconstructed = int(np.count_nonzero(evaluated == 2))
        else:
            blank = np.isnan(values)
            if self._group is None:
                blank |= values == -1.0
        finite = np.isfinite(values)
        return Field(
            name, np.where(finite & ~blank, values, np.nan), blank, ~finite & ~blank, reconstructed
        )

    def _evaluated(self):
        """The mask of our own files, [ny, nx] or [nx]; None where there is none."""
        if self._group is None or not isinstance(self._group.get("evaluated"), h5py.Dataset):
            return None
        mask = self._array("lossatlas/evaluated")
        if mask.shape != self.shape:
            raise PlotError(
                f"/lossatlas/evaluated of {self.path} has shape {mask.shape}, the grid {self.shape}"
            )
        return mask


class HistoryFile(_File):
    """What a training run wrote after every epoch; row 0 is before training."""

    def __init__(self, handle, path):
        super().__init__(handle, path)
        if not isinstance(handle.get("epoch"), h5py.Dataset):
            raise PlotError(f"{path} is not a history: it has no epoch (its root holds {_listing(handle)})")
        self.epoch = np.atleast_1d(self._array("epoch"))
        shapes = self._numeric()
        self.names = [
            name for name in HISTORY_VALUES if shapes.get(name) == self.epoch.shape
        ]
        if not self.names:
            raise PlotError(
                f"{path} holds no losses or accuracies by epoch (its root holds {_listing(handle)})"
            )

    def values(self, name):
        """[epochs + 1] float64, NaN where there is none."""
        if name not in self.names:
            raise PlotError(_unknown_value(name, self.names, self.path))
        values = self._array(name)
        return np.where(np.isfinite(values), values, np.nan)


def _open_hdf5(path):
    if not os.path.exists(path):
        raise PlotError(f"{path} does not exist")
    if os.path.isdir(path):
        raise PlotError(f"{path} is a folder, not a file")
    try:
        return h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise PlotError(f"{path} may not be read: permission denied") from error
    except OSError as error:
        text = one_line(error)
        if "signature not found" in text:
            raise PlotError(f"{path} is not an HDF5 file") from error
        if "truncated" in text or "eof" in text:
            raise PlotError(f"{path} is cut short: part of the HDF5 file is missing") from error
        if "unable to lock" in text:
            raise PlotError(f"{path} is being written by another program: try again later") from error
        raise PlotError(f"cannot open {path}: {text}") from error


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


def _text(value):
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
    near = difflib.get_close_matches(name, names, 1, 0.6)
    hint = f", did you mean '{near[0]}'?" if near else ""
    return f"no value '{name}' in {path}{hint} (it holds {', '.join(names)})"
