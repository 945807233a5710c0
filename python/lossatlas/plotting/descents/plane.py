"""A function of two variables from above: its values, the paths on it, gradients."""

import math

import numpy as np
from matplotlib import colors

from .. import planes, scales, style, wording
from ..options import Look
from . import looks, words

MOST_MARKERS = 24  # on one path
PALENESS = 0.5  # what is left of the colours below the paths
LOWEST = 1e-6  # of the highest value: where a log scale of a function ends


def value_scale(file, look, linear=False):
    """The scale of the values: logarithmic where none is negative and a linear one would show most of them alike."""
    values = file.field.values
    finite = values[np.isfinite(values)]
    log, low = look.log, look.vmin
    if log is None:
        log = not linear and finite.min() >= 0 and scales.is_crowded(finite, look.vmin, look.vmax, whole=True)
    if log and low is None and finite.max() > 0 and finite.min() < LOWEST * finite.max():
        low = LOWEST * float(finite.max())
    return scales.choose(values, "value", log, low, look.vmax)


def pale(name):
    """The colour map made light enough for paths to stand out."""
    ramp = style.color_map(name)(np.linspace(0, 1, 256))[:, :3]
    return colors.ListedColormap(PALENESS * ramp + (1 - PALENESS) * np.array(colors.to_rgb(style.PAPER)))


def draw_map(axes, file, scale, look, ticks=5):
    """The function's values, pale; what a colour bar is made from."""
    mappable = planes.paint(axes, "contourf", file.x, file.y, file.field, scale, pale(look.cmap), Look(levels=look.levels))
    planes.frame(axes, file.x, file.y, "contourf", ticks)
    for point in words.known_extrema(file):
        draw_star(axes, *point)
    return mappable


def draw_star(axes, x, y, zorder=12):
    axes.plot(x, y, marker="*", markersize=12 * style.ZOOM, markerfacecolor="#f0e442", markeredgecolor=style.INK,
              markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=zorder, gid="extremum")


def draw_path(axes, descent, look, size, every):
    color, dashes, marker = look
    x, y = descent.position.T
    axes.plot(x, y, color=style.CASING, linewidth=2.8 * style.ZOOM, alpha=0.8, zorder=8, solid_joinstyle="round")
    axes.plot(x, y, color=color, linewidth=1.3 * style.ZOOM, dashes=dashes, zorder=9, gid="path")
    axes.plot(x[::every], y[::every], marker=marker, markersize=3.4 * style.ZOOM, markerfacecolor=color, markeredgecolor=style.CASING,
              markeredgewidth=0.4 * style.ZOOM, linestyle="none", zorder=10)
    before = len(axes.lines)
    looks.draw_ends(axes, x, y, look, size)
    for line in axes.lines[before:]:
        line.set_zorder(line.get_zorder() + 8)


def markers_every(descent):
    return math.ceil(len(descent.value) / MOST_MARKERS)


def draw_gradient(axes, file, tangent):
    """The gradient's direction at a point, and the direction asked for."""
    for vector, dashes, gid in ((shown_gradient(file, tangent.gradient), "-", "gradient"), (tangent.direction, (0, (3, 1.5)), "direction")):
        if vector is not None and np.any(reach := shortened(file, tangent.point, vector)):
            _draw_arrow(axes, tangent.point, reach, dashes, gid)
    axes.plot(*tangent.point, marker="o", markersize=4.5 * style.ZOOM, color=style.WARNING, markeredgecolor=style.CASING,
              markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=14)


def shown_gradient(file, gradient):
    """The gradient; 0 where the picture would not rise along it by a millionth of its height: its direction is rounding."""
    rise = np.abs(gradient) @ [abs(axis[-1] - axis[0]) for axis in (file.x, file.y)]
    return gradient if rise > 1e-6 * (np.nanmax(file.field.values) - np.nanmin(file.field.values)) else np.zeros(2)


def shortened(file, point, vector):
    """The way of `vector` from the point: a seventh of the picture long, less where it would leave that."""
    low, high = (np.array([axis[end] for axis in (file.x, file.y)]) for end in (0, -1))
    length = np.hypot(*vector)
    if length == 0 or (point < low).any() or (point > high).any():
        return np.zeros(2)
    reach = 0.14 * min(high - low) * vector / length
    room = np.where(reach > 0, high - point, point - low)
    room = np.maximum(room - 0.015 * (high - low), 0.5 * room)  # an arrow's head is wide
    moving = reach != 0
    return reach * np.clip((room[moving] / np.abs(reach[moving])).min(), 0.0, 1.0)


def _draw_arrow(axes, point, vector, dashes, gid):
    axes.annotate("", point + vector, point, zorder=13, arrowprops=dict(
        arrowstyle="-|>,head_width=0.22,head_length=0.45", color=style.WARNING, linewidth=1.6 * style.ZOOM, linestyle=dashes,
        shrinkA=0, shrinkB=0, gid=gid))


def notes(file, scale, equal):
    notes = scale.notes + words.mark_notes(file)
    arrows = [shortened(file, tangent.point, shown_gradient(file, tangent.gradient)) for tangent in file.tangents]
    if any(map(np.any, arrows)):
        notes.append("arrow: the gradient, the way up that is steepest"
                     + ("; dashed: the direction" if file.tangents[0].direction is not None else ""))
    notes += words.beyond_notes(file)
    if not equal:
        notes.append("the axes are not to the same scale")
    undefined = int(file.field.nonfinite.sum())
    if undefined:
        notes.append(f"{wording.points(undefined)} without a finite value (pink, hatched)")
    return notes
