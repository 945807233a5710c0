"""Files of functions of one or two variables, with the descents that ran on them."""

from dataclasses import dataclass

import h5py
import numpy as np

from .errors import PlotError, one_line
from .fields import Field
from .hdf5 import FUNCTION, File, text


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


class DescentFile(File):
    """A function of one variable (then `y` is None) or two, over a range, and what ran on it."""

    sort = FUNCTION

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
