"""A smooth surface through the values of a grid."""

import math

import numpy as np

FINE = 300  # points along an axis, about


def finer(x, y, z):
    """(x, y, z) of a finer grid that holds the points of this one, z [ny, nx] with NaN where there is none; and by how
    much finer it is along (y, x).

    Monotone cubic interpolation (Fritsch and Butland, 1984) along one axis and then the other: no value lies beyond those
    of the points around it. A cell with a corner that is NaN stays NaN.
    """
    steps = tuple(max(1, math.ceil(FINE / (len(axis) - 1))) for axis in (y, x))
    z = _along_rows(x, z, steps[1])
    z = _along_rows(y, z.T, steps[0]).T
    return _refined(x, steps[1]), _refined(y, steps[0]), z


def cells(mask, shape):
    """A mask of the cells of a grid, as one of those of the finer grid of that shape."""
    for axis, length in enumerate(shape):
        mask = mask.repeat((length - 1) // mask.shape[axis], axis)
    return mask


def _refined(x, step):
    shares = np.arange(step) / step
    return np.append((x[:-1, None] + np.diff(x)[:, None] * shares).ravel(), x[-1])


def _along_rows(x, z, step):
    """The rows of z, [m, n], at the refined x: [m, (n - 1) * step + 1]."""
    width = np.diff(x)
    rise = np.diff(z, axis=1) / width
    slope = _slopes(width, rise)
    share = np.arange(step) / step
    a, b, m, n = (part[:, :, None] for part in (z[:, :-1], z[:, 1:], slope[:, :-1] * width, slope[:, 1:] * width))
    between = a + share * (m + share * (3 * (b - a) - 2 * m - n + share * (m + n - 2 * (b - a))))
    return np.concatenate([between.reshape(len(z), -1), z[:, -1:]], axis=1)


def _slopes(width, rise):
    """The slope at each point, [m, n]: the weighted harmonic mean of those beside it, 0 at an extremum; at an end, or
    beside a point that is NaN, that of the one side."""
    inner = np.zeros((len(rise), rise.shape[1] + 1))
    inner[:, 0], inner[:, -1] = rise[:, 0], rise[:, -1]
    before, after = rise[:, :-1], rise[:, 1:]
    weights = width[:-1] + 2 * width[1:], 2 * width[:-1] + width[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(before * after > 0, (weights[0] + weights[1]) / (weights[0] / before + weights[1] / after), 0.0)
    inner[:, 1:-1] = np.where(np.isnan(before), after, np.where(np.isnan(after), before, mean))
    return inner
