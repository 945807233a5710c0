"""Files that the program and this package share, without torch."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
import zipfile


def is_problem(path: str) -> bool:
    """Whether the file was written by export_problem."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return {"graph.json", "manifest.json"} <= set(file.namelist())


def temporary_path(name: str) -> str:
    """A path of that name in a new temporary folder."""
    return os.path.join(tempfile.mkdtemp(prefix="lossatlas-"), name)


def remove_with(owner: object, path: str) -> None:
    """Removes the temporary folder of `path` when `owner` is no longer used, or Python ends."""
    weakref.finalize(owner, shutil.rmtree, os.path.dirname(path), ignore_errors=True)
