"""Curvatures at one point, and the sharpness of several checkpoints."""

import h5py
import numpy as np

from .errors import PlotError, UnreadableError
from .hdf5 import CURVATURE, SHARPNESS, File, text

# The numbers of a checkpoint and what they are called, in the order in which they are drawn; `_se` is a number's error.
SHARPNESSES = {
    "loss": "loss",
    "accuracy": "accuracy (%)",
    "gradient_norm": "gradient norm",
    "lambda_max": "largest eigenvalue",
    "lambda_max_normalized": "largest eigenvalue, filter-normalized",
    "trace": "trace",
    "sam_sharpness": "ε-sharpness (SAM)",
    "expected_sharpness": "expected sharpness",
    "critical_sharpness": "critical sharpness",
    "critical_sharpness_update": "critical sharpness, last update",
}


class CurvatureFile(File):
    """Eigenvalues, trace and density of a Hessian or a Gauss-Newton matrix, as far as they were computed."""

    sort = CURVATURE

    def __init__(self, handle, path):
        super().__init__(handle, path)
        self.summary = self._json("summary")
        self.is_finished = bool(self._group.attrs.get("finished", 1))
        largest = int(self._group.attrs.get("largest", 0))
        values, errors = self._list("eigenvalues"), self._list("eigenvalue_se")
        self.largest, self.smallest = values[:largest], values[largest:]
        errors = errors if len(errors) == len(values) else np.full(len(values), np.nan)
        self.largest_errors, self.smallest_errors = errors[:largest], errors[largest:]
        self.modules = self._modules()

    def _list(self, name):
        return np.atleast_1d(self._array(f"lossatlas/{name}")) if name in self._group else np.zeros(0)

    def _modules(self):
        """(names, traces, standard errors), in the network's order; None without --by module."""
        group = self.group("modules")
        if group is None:
            return None
        names = [text(name) for name in group["name"][()]]
        traces, errors = self._list("modules/trace"), self._list("modules/trace_se")
        if not len(names) == len(traces) == len(errors):
            raise UnreadableError(f"{self.path}: /lossatlas/modules holds lists of different lengths")
        return (names, traces, errors) if names else None

    def density(self):
        """(nodes, weights), [probes, steps] each; None without --density."""
        if self.group("density") is None:
            return None
        nodes, weights = (np.atleast_2d(self._array(f"lossatlas/density/{name}")) for name in ("nodes", "weights"))
        if nodes.shape != weights.shape or not nodes.size:
            raise UnreadableError(f"{self.path}: /lossatlas/density holds no nodes with as many weights")
        return nodes, weights

    @property
    def size(self):
        """Parameters that count."""
        return int(np.sum(self._list("parameters/count")))


class SharpnessFile(File):
    """One row of numbers a checkpoint."""

    sort = SHARPNESS

    def __init__(self, handle, path):
        super().__init__(handle, path)
        group = self.group("sharpness")
        names = group.get("checkpoint") if group is not None else None
        if not isinstance(names, h5py.Dataset):
            raise PlotError(f"{path} holds no sharpness: it has no /lossatlas/sharpness/checkpoint")
        self.checkpoints = [text(name) for name in np.atleast_1d(names[()])]
        self.names = [name for name in SHARPNESSES if np.isfinite(self.column(name)).any()]
        if not self.names:
            raise PlotError(f"{path} holds no number of any checkpoint yet: nothing to draw")

    def column(self, name):
        """[rows]; NaN where it is not known, or not there at all."""
        missing = np.full(len(self.checkpoints), np.nan)
        if name not in self.group("sharpness"):
            return missing
        values = np.atleast_1d(self._array(f"lossatlas/sharpness/{name}"))
        if values.shape != missing.shape:
            raise UnreadableError(f"{self.path}: /lossatlas/sharpness/{name} has not one number a checkpoint")
        return np.where(np.isfinite(values), values, np.nan)

    def along(self):
        """(what counts, where each row is): epochs, or steps; None of checkpoints that are not of one run."""
        for unit in ("epoch", "step"):
            at = self.column(unit)
            if len(at) > 1 and np.isfinite(at).all() and (np.diff(np.sort(at)) > 0).all():
                return unit, at
        return None
