"""What belongs to a training run: the files of its folder, and those beside it that were made from its checkpoints."""

import hashlib
import json
import os
import re

import h5py

from .hdf5 import text

HISTORY = "history.h5"


def natural(path):
    """A key that sorts epoch-9 before epoch-10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path)]


def history_of(folder):
    """The path of the history of a run's folder; None of what is no such folder."""
    path = os.path.join(folder, HISTORY)
    return path if os.path.isdir(folder) and os.path.isfile(path) else None


def checkpoints(folder):
    """The paths of the run's checkpoints, in their order."""
    inside = os.path.join(folder, "checkpoints")
    names = os.listdir(inside) if os.path.isdir(inside) else []
    found = [os.path.join(inside, name) for name in names if name.endswith((".pt", ".pth", ".safetensors"))]
    return sorted(filter(os.path.isfile, found), key=natural)


def results(folder):
    """The .h5 files that belong to the run, its history aside: all below its folder, and those of the folder around
    it whose settings name one of its checkpoints by file and SHA-256. Unreadable ones are among them: whoever opens
    them finds out."""
    inside = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names
              if _is_hdf5(name) and os.path.join(where, name) != os.path.join(folder, HISTORY)]
    around = os.path.dirname(os.path.abspath(folder))
    beside = [os.path.join(around, name) for name in os.listdir(around) if _is_hdf5(name)]
    known = _Checksums(checkpoints(folder))
    return (sorted(inside, key=natural)
            + sorted((path for path in beside if os.path.isfile(path) and _was_made_of(path, known)), key=natural))


def is_directions(path):
    """Whether the file holds directions, which are no picture."""
    with h5py.File(path, "r", locking=False) as file:
        return "xdirection" in file and "xcoordinates" not in file


def sources(settings):
    """All (file, sha256) that a settings record names, wherever in it they stand."""
    if isinstance(settings, dict):
        if isinstance(settings.get("file"), str) and isinstance(settings.get("sha256"), str):
            yield settings["file"], settings["sha256"]
        settings = list(settings.values())
    if isinstance(settings, list):
        for value in settings:
            yield from sources(value)


def _is_hdf5(name):
    return name.endswith((".h5", ".hdf5")) and not name.startswith(".")


def _was_made_of(path, known):
    try:
        with h5py.File(path, "r", locking=False) as file:
            settings = json.loads(text(file["lossatlas"].attrs["settings"]))
    except (OSError, KeyError, ValueError, AttributeError):
        return False  # not ours, or nothing says whose it is
    return any(known.has(file, sha256) for file, sha256 in sources(settings))


class _Checksums:
    """SHA-256 of checkpoints, each computed once and only where a file of its name is asked for."""

    def __init__(self, paths):
        self._paths = {os.path.basename(path): path for path in paths}
        self._known = {}

    def has(self, file, sha256):
        name = os.path.basename(file)
        if name not in self._paths:
            return False
        if name not in self._known:
            with open(self._paths[name], "rb") as checkpoint:
                self._known[name] = hashlib.file_digest(checkpoint, "sha256").hexdigest()
        return self._known[name] == sha256.lower()
