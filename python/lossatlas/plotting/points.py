"""Which points are values: what is drawn where there are none, and what the figure says of it.

A sweep goes from coarse to fine: every 16th point along both axes, every 8th, 4th, 2nd, the rest.
So a sweep that is not done has evaluated a coarse lattice throughout, and part of the next finer one.
"""

import math

import numpy as np

from . import wording
from .scales import number
from .wording import grouped, points

STEPS = (16, 8, 4, 2)  # of the lattices that a sweep goes through before all points are done


def fill(surface, field, scale, as_cells=False):
    """`field` with its missing points drawn from the finest lattice around them that is evaluated.

    They get the value of the nearest point of it (`as_cells`), or that of linear interpolation in
    drawing units. Where not even the coarsest lattice is complete, missing points stay blank, and so
    they do in files of other programs, whose sweeps go another way.
    """
    step = _complete_step(field.blank) if surface.is_ours and field.blank.any() else None
    if step is None:
        return field
    values, nonfinite = (_as_cells if as_cells else _interpolated)(field, step, scale)
    known = ~field.blank
    return type(field)(
        field.name, np.where(known, field.values, values),
        np.zeros_like(field.blank), np.where(known, field.nonfinite, nonfinite),
        field.reconstructed, field.blank, field.errors, field.infinite,
    )


def _complete_step(blank):
    """The step of the coarsest lattice that is evaluated throughout, or None."""
    for step in STEPS:
        lattice = blank[::step, ::step]
        if min(lattice.shape) > 1 and not lattice.any():
            return step
    return None


def _as_cells(field, step, _):
    """(values, nonfinite): each point's nearest evaluated one, fine lattices going before coarse."""
    rows, columns = np.indices(field.blank.shape)
    from_row, from_column = rows, columns
    while step >= 1:
        row, column = (
            np.minimum((index + step // 2) // step, (length - 1) // step) * step
            for index, length in zip((rows, columns), field.blank.shape)
        )
        known = ~field.blank[row, column]
        from_row, from_column = np.where(known, row, from_row), np.where(known, column, from_column)
        step //= 2
    return field.values[from_row, from_column], field.nonfinite[from_row, from_column]


def _interpolated(field, step, scale):
    """(values, nonfinite): from lattice to lattice, each twice as fine, evaluated points as they are.

    A point between some of which one is not finite counts as not finite.
    """
    drawn = scale.forward(field.values)
    z = drawn[::step, ::step]
    while step > 1:
        step //= 2
        known = ~field.blank[::step, ::step]
        z = np.where(known, drawn[::step, ::step], _twice_as_fine(z, known.shape))
    return scale.backward(z), np.isnan(z)


def _twice_as_fine(z, shape):
    """`z` with a value halfway between any two, along both axes, cut or held to `shape`."""
    for axis, length in enumerate(shape):
        z = np.moveaxis(z, axis, 0)
        fine = np.empty((length, *z.shape[1:]))
        fine[::2] = z
        right = np.minimum(np.arange(1, length, 2) // 2 + 1, len(z) - 1)
        fine[1::2] = 0.5 * (z[: len(right)] + z[right])
        z = np.moveaxis(fine, 0, axis)
    return z


def beside_guesses(field):
    """bool: the evaluated points with a guessed one next to them: what the guesses stand on."""
    padded = np.pad(field.guessed, 1)
    rows, columns = field.guessed.shape
    near = np.zeros_like(field.guessed)
    for i in range(3):
        for j in range(3):
            near |= padded[i : i + rows, j : j + columns]
    return near & ~field.guessed & ~field.blank


def evaluated(field):
    """How many points were evaluated; those that are reconstructed were not."""
    return int((~field.reconstructed & ~field.missing).sum())


def mark(field):
    """What stands above the picture where it is not all evaluated; None where it is."""
    missing = int(field.missing.sum())
    return wording.partial(evaluated(field), field.missing.size) if missing else None


def notes(field, guesses=""):
    """Notes on the points that are not plain values: the reader must not take them for such.

    `guesses` says how the guessed ones are drawn.
    """
    texts = []
    blank, guessed, bad = (
        int(mask.sum())
        for mask in (field.blank, field.guessed, field.nonfinite & ~field.guessed)
    )
    if blank:
        texts.append(f"{points(blank)} not evaluated (blank)")
    if guessed:
        texts.append(f"{points(guessed)} not evaluated: {guesses}")
    if bad:
        texts.append(f"{points(bad)} evaluated but not finite (pink, hatched){_kinds(field, bad)}")
    return texts + _reconstruction(field)


def _kinds(field, bad):
    """': 3 +inf, 1 not a number (nan)' of so many points that are not finite; '' where it is not known."""
    if field.infinite is None:
        return ""
    known = field.infinite[~field.guessed]
    counts = {math.inf: int((known == 1).sum()), -math.inf: int((known == -1).sum())}
    counts[math.nan] = bad - sum(counts.values())
    return ": " + ", ".join(f"{grouped(count)} {wording.nonfinite(value)}" for value, count in counts.items() if count)


def _reconstruction(field):
    """How many points are reconstructed from others, and how wrong they may be."""
    if not field.reconstructed.any():
        return []
    total = field.reconstructed.size
    text = f"{grouped(evaluated(field))} of {points(total)} evaluated in full, the rest reconstructed"
    errors = np.where(field.reconstructed, np.nan if field.errors is None else field.errors, np.nan)
    if not np.isfinite(errors).any():
        return [text]
    text += f"; largest stated error {_largest_error(field, errors)}"
    share = _share_of_log_range(field.values, errors)
    return [text if share is None else f"{text} ({number(share)} % of the range of log loss)"]


def _largest_error(field, errors):
    """Of a loss relative to the loss at that point: '3 % of the loss there'."""
    if "loss" in field.name:
        shares = 100 * errors / np.where(field.values > 0, field.values, np.nan)
        if np.isfinite(shares).any():
            return f"{number(float(f'{np.nanmax(shares):.2g}'))} % of the loss there"
    return number(float(np.nanmax(errors))) + (" percentage points" if wording.is_percent(field.name) else "")


def _share_of_log_range(values, errors):
    """The largest error in percent of the range, both of the logarithms; None without a range."""
    positive = np.where(values > 0, values, np.nan)
    if not np.isfinite(positive).any():
        return None
    span = np.log(np.nanmax(positive)) - np.log(np.nanmin(positive))
    shares = np.log1p(np.where(errors >= 0, errors, np.nan) / positive)
    if not span > 0 or not np.isfinite(shares).any():
        return None
    return float(f"{100 * np.nanmax(shares) / span:.3g}")
