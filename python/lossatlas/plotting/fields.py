"""One value over a grid, and what of it is not plainly a value."""

from dataclasses import dataclass

import numpy as np


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


def together(fields):
    """Fields of one value as one, along a new first axis."""
    first = fields[0]
    names = ("values", "blank", "nonfinite", "reconstructed", "guessed")
    arrays = [np.stack([getattr(field, name) for field in fields]) for name in names]
    more = [None if getattr(first, name) is None else np.stack([getattr(field, name) for field in fields])
            for name in ("errors", "infinite")]
    return Field(first.name, *arrays, *more)
