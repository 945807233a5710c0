"""HDF5 files in: surfaces and lines (ours and those of tomgoldstein/loss-landscape), histories.

Only the datasets that are asked for are read. Arrays come out as float64 with NaN wherever there
is nothing finite to draw; masks say why.
"""

import h5py
import numpy as np

from .curvature_files import CurvatureFile, SharpnessFile
from .errors import PlotError, UnreadableError, one_line
from .functions import DescentFile
from .hdf5 import check_format, listing, open_hdf5, text
from .histories import HistoryFile
from .surfaces import CurveFile, SurfaceFile

CURVES = ("curve", "path")  # kinds of files: those of format 1 say path


def open_file(path):
    """An open file of ours or the peers', as SurfaceFile or HistoryFile. Use it in a `with`."""
    handle = open_hdf5(path)
    try:
        group = handle.get("lossatlas")
        ours = isinstance(group, h5py.Group)
        if ours:
            check_format(group, path)
        kind = text(group.attrs.get("kind", "")) if ours else ""
        if kind == "history" or ("epoch" in handle and "xcoordinates" not in handle):
            return HistoryFile(handle, path)
        if kind == "descent":
            return DescentFile(handle, path)
        if kind == "curvature":
            return CurvatureFile(handle, path)
        if kind == "sharpness":
            return SharpnessFile(handle, path)
        if not isinstance(handle.get("xcoordinates"), h5py.Dataset):
            raise PlotError(
                f"{path} is not a surface: it has no xcoordinates (its root holds {listing(handle)})"
            )
        return CurveFile(handle, path) if kind in CURVES else SurfaceFile(handle, path)
    except OSError as error:
        handle.close()
        raise UnreadableError(f"cannot read {path}: {one_line(error)}") from error
    except BaseException:
        handle.close()
        raise


def read_projection(path, lengths):
    """The coordinates of a path's checkpoints, (x, y), each [m] and finite. The file holds lengths along directions of
    the `lengths` (None: taken for 1), unless it says that it was made by least squares."""
    with open_hdf5(path) as handle:
        columns = [handle.get(name) for name in ("proj_xcoord", "proj_ycoord")]
        if not all(isinstance(column, h5py.Dataset) for column in columns):
            raise PlotError(f"{path} is not a projection: it has no proj_xcoord and proj_ycoord"
                            f" (its root holds {listing(handle)})")
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
