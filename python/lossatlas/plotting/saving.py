"""Figures, pages and animations out. The same figure gives the same bytes, and a file is written whole or not at all."""

import io
import os

import h5py
from matplotlib.backends.backend_agg import FigureCanvasAgg

from . import style
from .errors import PlotError, WordsError, one_line

# Dates and program versions are left out: they would change the bytes of an unchanged figure.
METADATA = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}
PAGES = (".html",)
ANIMATIONS = (".gif", ".mp4")
CAPTION = {".png": "Description", ".pdf": "Subject", ".svg": "Description"}  # where the caption is kept


def extension(path):
    """The extension of `path` in lower case; one that cannot be drawn is refused."""
    found = os.path.splitext(path)[1].lower()
    if found not in (*METADATA, *PAGES, *ANIMATIONS):
        what = f"extension '{found}'" if found else "no extension"
        raise WordsError(f"{path} has {what}: figures are .png, .pdf or .svg, pages .html, animations .gif or .mp4")
    return found


def check(paths):
    """Refuses outputs that a figure must not replace: what is no regular file, and HDF5 files, the inputs among them."""
    for path in paths:
        if os.path.exists(path) and not os.path.isfile(path):
            what = "a folder" if os.path.isdir(path) else "no regular file"
            raise PlotError(f"cannot write {path}: it is {what}")
        if os.path.isfile(path) and h5py.is_hdf5(path):
            raise WordsError(f"{path} is an HDF5 file, which a figure would replace: choose another output")


def render(figure, kind, dpi):
    """The bytes of a file of `kind`, which is '.png', '.pdf' or '.svg'."""
    style.prepare(figure)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    metadata = {**METADATA[kind], CAPTION[kind]: one_line(figure.get_label()) or None}
    figure.savefig(buffer, format=kind[1:], dpi=dpi, metadata=metadata, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def write(path, data):
    """Writes beside `path` first, then renames: whatever stood there stays until that succeeds. Makes the folder."""
    folder, name = os.path.split(os.path.realpath(path))
    unfinished = os.path.join(folder, f".{name[:100]}.{os.getpid()}.part")
    try:
        if not os.path.exists(folder):
            os.makedirs(folder)
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, os.path.join(folder, name))
    except OSError as error:
        raise PlotError(f"cannot write {path}: {one_line(error.strerror or error)}") from error
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
