"""A function of two variables in 3D, with tangent planes, gradients and the paths on it."""

import dataclasses
import math

import numpy as np
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from . import descents, relief, scales, style

REACH = 0.2  # half a side of a tangent plane, the function's range being 1
CUTS = 8  # of a tangent plane's side: on a log scale it is curved
LIFT = 0.006  # of a path above the surface, the height of the box being 1
EYE = (32.0, -57.0)  # elevation and azimuth, unless told otherwise


def draw(file, head, options):
    scale = descents.value_scale(file, options, linear=bool(file.tangents))
    elev = EYE[0] if options.elev is None else options.elev
    azim = EYE[1] if options.azim is None else options.azim
    head = dataclasses.replace(head, numbers=tuple(_facts(file)))
    looks = descents.looks_of(file.descents)
    lines = descents.legend_lines(file.descents, looks)
    legend = (descents.legend_height(lines), lambda page: descents.draw_legend(page, lines, 0.08, 0.0)) if lines else None
    figure = relief.draw(file, file.field, scale, head, "f(x, y)", elev, azim, options.cmap, legend)
    axes = figure.axes[0]
    box = _Box(file, scale, elev, azim)
    for descent, look in zip(file.descents, looks):
        _path(axes, box, descent, look)
    for tangent in file.tangents:
        _tangent(axes, box, tangent)
    return figure


def _facts(file):
    facts = []
    for tangent in file.tangents:
        x, y = (scales.number(float(part)) for part in tangent.gradient)
        facts.append(f"at {descents.point_text(tangent.point)}: f = {scales.number(tangent.value)}, gradient ({x}, {y})")
        if tangent.slope is not None:
            facts.append(f"slope along {descents.point_text(tangent.direction)}: {scales.number(tangent.slope)}")
    if file.tangents:
        facts.append("arrow: the gradient, on the tangent plane"
                     + ("; dashed: the direction" if file.tangents[0].direction is not None else ""))
    return facts


class _Box:
    """The box that is drawn, and what of it the surface hides."""

    def __init__(self, file, scale, elev, azim):
        self.file, self.scale = file, scale
        self.low, self.high = scale.span
        width, depth = file.x[-1] - file.x[0], file.y[-1] - file.y[0]
        longer = max(width, depth)
        self._sides = np.array([max(width / longer, relief.NARROWEST), max(depth / longer, relief.NARROWEST),
                                relief.HEIGHT])
        self._heights = (scale.held(file.field.values) - self.low) / (self.high - self.low)
        e, a = math.radians(elev), math.radians(azim)
        self._eye = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])

    def height(self, values):
        """Drawing units, held within the box."""
        return np.clip(self.scale.forward(values), self.low, self.high)

    def holds(self, x, y):
        return (x >= self.file.x[0]) & (x <= self.file.x[-1]) & (y >= self.file.y[0]) & (y <= self.file.y[-1])

    def hidden(self, x, y, z):
        """bool: whether the surface stands between these points and the eye."""
        start = np.column_stack([(x - self.file.x[0]) / (self.file.x[-1] - self.file.x[0]),
                                 (y - self.file.y[0]) / (self.file.y[-1] - self.file.y[0]),
                                 (z - self.low) / (self.high - self.low) + 0.02])
        away = self._eye / self._sides
        away /= np.abs(away).max()
        behind = np.zeros(len(start), bool)
        for step in np.linspace(0.01, 1.5, 150):
            u, v, w = (start + step * away).T
            inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1) & (w <= 1)
            behind |= inside & (self._surface(u, v) > w)
        return behind

    def _surface(self, u, v):
        """The surface's height at these shares of the sides."""
        rows, columns = self._heights.shape
        column = np.clip(u, 0, 1) * (columns - 1)
        row = np.clip(v, 0, 1) * (rows - 1)
        j, i = np.minimum(column.astype(int), columns - 2), np.minimum(row.astype(int), rows - 2)
        s, t = column - j, row - i
        z = self._heights
        return ((z[i, j] * (1 - s) + z[i, j + 1] * s) * (1 - t)
                + (z[i + 1, j] * (1 - s) + z[i + 1, j + 1] * s) * t)


def _path(axes, box, descent, look):
    """On the surface between the steps as at them; faint where the surface hides it."""
    color, _, marker = look
    x, y = (_finer(part) for part in descent.position.T)
    values = _on_surface(box, x, y)
    z = box.height(values) + LIFT * (box.high - box.low)
    inside = box.holds(x, y) & np.isfinite(z)
    hidden = box.hidden(x, y, z)
    points = np.column_stack([x, y, z])
    for which, look_of in ((inside & ~hidden, dict(linewidths=2.0, alpha=1.0, zorder=9)),
                           (inside & hidden, dict(linewidths=0.8, alpha=0.45, zorder=8))):
        segments = [points[i : i + 2] for i in np.flatnonzero(which[:-1] & which[1:])]
        axes.add_collection3d(Line3DCollection(segments, colors=color, gid="path", **look_of), autolim=False)
    at, heights = descent.position, box.height(descent.value) + LIFT * (box.high - box.low)
    seen = box.holds(*at.T) & ~box.hidden(*at.T, heights)
    every = max(1, math.ceil(len(at) / descents.MOST_MARKERS))
    shown = np.flatnonzero(seen)
    shown = shown[shown % every == 0]
    axes.plot(*at[shown].T, heights[shown], marker=marker, markersize=3.2, markerfacecolor=color,
              markeredgecolor="white", markeredgewidth=0.35, linestyle="none", zorder=10)
    for index, size, face, edge in ((0, 6.0, "none", color), (len(at) - 1, 5.5, color, "white")):
        if box.holds(*at[index]):
            axes.plot(*at[index : index + 1].T, heights[index : index + 1], marker=marker if index else "o",
                      markersize=size if seen[index] else 0.85 * size, markerfacecolor=face, markeredgecolor=edge,
                      markeredgewidth=1.1, linestyle="none", alpha=1.0 if seen[index] else 0.8, zorder=11)


def _finer(part, cuts=12):
    """More points between the steps, so that a path bends with the surface."""
    share = np.arange((len(part) - 1) * cuts + 1) / cuts
    return np.interp(share, np.arange(len(part)), part)


def _on_surface(box, x, y):
    """Values of the function at these points, in value units."""
    u = (x - box.file.x[0]) / (box.file.x[-1] - box.file.x[0])
    v = (y - box.file.y[0]) / (box.file.y[-1] - box.file.y[0])
    return box.scale.backward(box.low + box._surface(u, v) * (box.high - box.low))


def _tangent(axes, box, tangent):
    """The plane as a pale sheet, the gradient as an arrow on it."""
    file = box.file
    reach = REACH * np.array([file.x[-1] - file.x[0], file.y[-1] - file.y[0]])
    share = np.linspace(-1, 1, CUTS + 1)
    x, y = np.meshgrid(tangent.point[0] + reach[0] * share, tangent.point[1] + reach[1] * share)
    x, y = np.clip(x, file.x[0], file.x[-1]), np.clip(y, file.y[0], file.y[-1])

    def height(at_x, at_y):
        rise = tangent.gradient[0] * (at_x - tangent.point[0]) + tangent.gradient[1] * (at_y - tangent.point[1])
        return box.scale.forward(tangent.value + rise)

    z = height(x, y)
    corners = np.stack([x, y, z], axis=-1)
    inside = (z >= box.low - 0.3 * (box.high - box.low)) & (z <= box.high + 0.3 * (box.high - box.low))
    faces = [corners[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]] for i in range(CUTS) for j in range(CUTS)
             if inside[i : i + 2, j : j + 2].all()]
    axes.add_collection3d(Poly3DCollection(faces, facecolors=(0.95, 0.55, 0.2, 0.45), edgecolors=(0.7, 0.2, 0, 0.35),
                                           linewidths=0.3, zorder=7, gid="tangent"), autolim=False)
    length = np.hypot(*(tangent.gradient))
    if length > 0:
        _arrow(axes, tangent, tangent.gradient / length, reach, height, "-")
    if tangent.direction is not None:
        _arrow(axes, tangent, tangent.direction, reach, height, "--")
    axes.plot(*tangent.point.reshape(2, 1), [height(*tangent.point)], marker="o", markersize=4.5, color=style.WARNING,
              markeredgecolor="white", markeredgewidth=0.7, linestyle="none", zorder=14)


def _arrow(axes, tangent, direction, reach, height, dashes):
    """Along `direction` on the tangent plane, to near its edge, with a head of two strokes."""
    size = 0.85 * min(reach / np.maximum(np.abs(direction), 1e-12))
    across = np.array([-direction[1], direction[0]])
    tip = tangent.point + size * direction
    back = [tip - 0.22 * size * direction + side * 0.12 * size * across for side in (-1, 1)]
    for line, dash in (((tangent.point, tip), dashes), ((back[0], tip, back[1]), "-")):
        at = np.array(line)
        axes.plot(at[:, 0], at[:, 1], height(at[:, 0], at[:, 1]), color=style.WARNING, linewidth=1.8, linestyle=dash,
                  zorder=13, gid="arrow")
