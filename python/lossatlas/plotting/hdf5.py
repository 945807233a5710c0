"""HDF5 files opened, with one clear line where that fails, and what all files of ours have."""

import json
import os
import re

import h5py
import numpy as np

from . import wording
from .errors import NotYetError, PlotError, UnreadableError, did_you_mean, one_line

NEWEST_FORMAT = 2  # of /lossatlas@format
# What a file holds, in words
HISTORY, FUNCTION, CURVE = "training history", "function with descents", "curve between networks"
LINE, PLANE = "line", "plane"
CURVATURE, SHARPNESS = "curvature at one point", "sharpness of checkpoints"


def open_hdf5(path):
    if not os.path.exists(path):
        raise NotYetError(f"{path} does not exist")
    if os.path.isdir(path):
        raise PlotError(f"{path} is a folder without history.h5, so not a run of lossatlas train:"
                        " name an HDF5 file or a run's folder")
    try:
        return open_unlocked(path)
    except PermissionError as error:
        raise PlotError(f"{path} cannot be read: permission denied") from error
    except OSError as error:
        text = one_line(error)
        if "signature not found" in text:
            raise UnreadableError(f"{path} is not an HDF5 file") from error
        if "truncated" in text or "eof" in text:
            raise UnreadableError(f"{path} is cut short: part of the HDF5 file is missing") from error
        if "unable to lock" in text:
            raise UnreadableError(f"{path} is being written by another program: try again later") from error
        raise UnreadableError(f"cannot open {path}: {text}") from error


def open_unlocked(path):
    """The file without HDF5's locks, which network folders lack; as this process has it open, if it does."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")


def check_format(group, path):
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


class File:
    """What all files have. Those derived from it say what they hold: `sort`, one of the words above."""

    axes, shown, fixed, slice = (), (0, 1), {}, ""  # see SurfaceFile

    def __init__(self, handle, path):
        self.path = path
        self._handle = handle
        group = handle.get("lossatlas")
        self._group = group if isinstance(group, h5py.Group) else None
        self.is_ours = self._group is not None
        self.cropped = ""  # what of the grid is shown, in words
        self.settings = self._json("settings")
        self._measures = {each["name"]: each for each in self._json("measures", list)
                          if isinstance(each, dict) and isinstance(each.get("name"), str)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._handle.close()

    def _json(self, name, kind=dict):
        """A JSON attribute of /lossatlas as a dict or a list; empty when absent or unreadable."""
        if self._group is None or name not in self._group.attrs:
            return kind()
        try:
            value = json.loads(text(self._group.attrs[name]))
        except ValueError:
            return kind()
        return value if isinstance(value, kind) else kind()

    def value_label(self, name):
        """The label of an axis or colour bar of this value: what is shown, and its unit."""
        return wording.value_label(name, self.settings, str(self._measures.get(name, {}).get("unit") or ""))

    def group(self, name):
        """A group of /lossatlas, or None."""
        found = self._group.get(name) if self._group is not None else None
        return found if isinstance(found, h5py.Group) else None

    def sample_count(self, _):
        """How many samples of a split made the values; 0 where only the settings say so."""
        return 0

    def _array(self, name, part=...):
        try:
            return np.asarray(self._handle[name][part]).astype(np.float64)
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableError(f"cannot read {name} of {self.path}: {one_line(error)}") from error


def text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def listing(handle, most=8):
    names = list(handle)
    if not names:
        return "nothing"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(one_line(name) for name in names[:most]) + rest


def unknown_value(name, names, path):
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
