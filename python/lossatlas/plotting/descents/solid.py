"""A function of two variables in 3D, with tangent planes, gradients and the paths on it."""

import dataclasses
import math

import numpy as np
from matplotlib.collections import PolyCollection

from .. import relief, style
from . import looks, plane, words

REACH = 0.2  # half a side of a tangent plane, the function's range being 1
CUTS = 10  # of a tangent plane's side: on a log scale it is curved
FLOOR = 3.4  # zorder of marks on the floor


def draw(file, head, look):
    scale = plane.value_scale(file, look, linear=True)
    head = dataclasses.replace(head, numbers=tuple(_facts(file)))
    lines = looks.legend_lines(file.descents, looks.looks_of(file.descents))
    legend = (looks.legend_height(lines), lambda page: looks.draw_legend(page, lines, 0.06, 0.0)) if lines else None
    return relief.draw(_Relief(file, scale, look), head, "f(x, y)", legend)


def _facts(file):
    facts = []
    for tangent in file.tangents:
        facts += words.tangent_facts(tangent)
    if file.tangents:
        facts.append("arrow: the gradient, on the tangent plane"
                     + ("; dashed: the direction" if file.tangents[0].direction is not None else ""))
    return facts


class _Relief(relief.Relief):
    def __init__(self, file, scale, look):
        super().__init__(file, file.field, scale, look)
        self.file = file

    def notes(self):
        return super().notes() + words.mark_notes(self.file) + words.beyond_notes(self.file)

    def _marks(self, axes, frame, picture, cmap):
        self._stars(axes, frame, picture)
        every = self.file.descents
        for descent, look, size in zip(every, looks.looks_of(every), looks.end_sizes(self.file, every)):
            self._descent(axes, frame, picture, descent, look, size)
        for tangent in self.file.tangents:
            self._tangent(axes, frame, tangent)

    def _stars(self, axes, frame, picture):
        """On the known extrema; on the floor below where the sheet hides one."""
        for point in words.known_extrema(self.file):
            x, y = np.reshape(point, (2, 1))
            placed = self._on_sheet(x, y)
            if not picture.hidden(placed)[0]:
                plane.draw_star(axes, *frame.inches(placed).T)
            elif self.view.floor:
                plane.draw_star(axes, *self._on_floor(x, y, frame).T, zorder=FLOOR)

    def _descent(self, axes, frame, picture, descent, look, end_size):
        """The path as far as it is inside the range, with its steps and ends."""
        color, dashes, marker = look
        x, y = descent.position.T
        inside = (x >= self.x[0]) & (x <= self.x[-1]) & (y >= self.y[0]) & (y <= self.y[-1])
        borders = np.flatnonzero(np.diff(inside.astype(int))) + 1
        for part in np.split(np.arange(len(x)), borders):
            if inside[part[0]] and len(part) > 1:
                self._path(axes, frame, picture, x[part], y[part], color, 1.4, dashes)
        every = max(1, math.ceil(len(x) / plane.MOST_MARKERS))
        shown = np.flatnonzero(inside)[::every]
        self._spots(axes, frame, picture, x[shown], y[shown], color, marker, 3.0)
        for index, mark, size, face, edge in ((0, "o", 6.0, "none", color), (-1, marker, end_size, color, style.CASING)):
            if not inside[index]:
                continue
            placed = self._on_sheet(x[[index]], y[[index]])
            spots = [(frame.inches(placed), 1.0, 15)]
            if picture.hidden(placed)[0]:  # faint below all that is seen, and on the floor
                spots = [(spots[0][0], 0.4, 12)]
                if self.view.floor:
                    spots.append((self._on_floor(x[[index]], y[[index]], frame), 1.0, FLOOR + 0.1))
            for spot, opacity, order in spots:
                axes.plot(*spot.T, marker=mark, markersize=size * style.ZOOM, markerfacecolor=face, markeredgecolor=edge,
                          markeredgewidth=1.2 * style.ZOOM, linestyle="none", alpha=opacity, zorder=order)

    def _tangent(self, axes, frame, tangent):
        """The plane as a pale sheet, the gradient as an arrow on it."""
        reach = REACH * np.array([self.x[-1] - self.x[0], self.y[-1] - self.y[0]])
        low, high = self.scale.span

        def placed(x, y):
            """Points of the plane to inches; NaN where it leaves the box."""
            rise = tangent.gradient[0] * (x - tangent.point[0]) + tangent.gradient[1] * (y - tangent.point[1])
            z = (self.scale.forward(tangent.value + rise) - low) / (high - low)
            inside = (x >= self.x[0]) & (x <= self.x[-1]) & (y >= self.y[0]) & (y <= self.y[-1])
            z = np.where((z > -0.1) & (z < 1.25) & inside, z * self.box[2], np.nan)
            return frame.inches(self.view.project(np.column_stack([self.sheet.place(x, y), z])))

        share = np.linspace(-1, 1, CUTS + 1)
        x = np.clip(tangent.point[0] + reach[0] * share, self.x[0], self.x[-1])
        y = np.clip(tangent.point[1] + reach[1] * share, self.y[0], self.y[-1])
        corners = placed(*(part.ravel() for part in np.meshgrid(x, y))).reshape(CUTS + 1, CUTS + 1, 2)
        faces = [face for i in range(CUTS) for j in range(CUTS)
                 if np.isfinite(face := corners[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]]).all()]
        axes.add_collection(PolyCollection(faces, facecolors=(0.95, 0.55, 0.2, 0.4), edgecolors=(0.6, 0.2, 0, 0.3),
                                           linewidths=0.3 * style.ZOOM, zorder=12, gid="tangent"), autolim=False)
        gradient = plane.shown_gradient(self.file, tangent.gradient)
        if gradient.any():
            _arrow(axes, tangent, gradient / np.hypot(*gradient), reach, placed, "-")
        if tangent.direction is not None:
            _arrow(axes, tangent, tangent.direction, reach, placed, (0, (3, 1.5)))
        axes.plot(*placed(*tangent.point.reshape(2, 1)).T, marker="o", markersize=4.5 * style.ZOOM, color=style.WARNING,
                  markeredgecolor=style.CASING, markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=18)


def _arrow(axes, tangent, direction, reach, placed, dashes):
    """Along `direction` on the tangent plane, to near its edge."""
    size = 0.9 * min(reach / np.maximum(np.abs(direction), 1e-12))
    shares = np.linspace(0, 1, 21)
    spots = placed(*(tangent.point + size * shares[:, None] * direction).T)
    seen = np.isfinite(spots).all(axis=1)
    last = len(seen) - 1 if seen.all() else int(np.argmin(seen)) - 1  # the last before it leaves the box
    if last > 0:
        axes.annotate("", spots[last], spots[0], zorder=17, arrowprops=dict(
            arrowstyle="-|>,head_width=0.25,head_length=0.5", color=style.WARNING, linewidth=1.8 * style.ZOOM,
            linestyle=dashes, shrinkA=0, shrinkB=0))
