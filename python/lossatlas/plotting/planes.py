"""Planes seen from above: contour, contourf and heat."""

import math

import numpy as np
from matplotlib import colors
from matplotlib.cm import ScalarMappable

from . import marks, overlay, points, smooth, style, wording
from .contour_labels import label_lines

SHORT, LONG = 3.55, 6.0  # inches: the usual side of the body, and the most
FILLED_LEVELS, LINE_LEVELS = {True: 28, False: 24}, {True: 22, False: 15}  # by log scale
GUESSES = {  # how missing points are drawn, by whether as cells
    True: "drawn as coarse cells around the dots",
    False: "interpolated between the dots, held beyond them",
}
WIDEST = 6.0  # beyond this ratio of sides a plane is no longer drawn to equal scale


def draw(plane, head, label):
    """A figure of one plane."""
    body, equal = body_of(plane.x, plane.y, plane.look.aspect)
    notes = plane.notes(equal)
    page = style.Page(head, notes, page_margins(plane, body, head.size, label), body)
    plane.draw(page, page.rectangle(), label)
    return page.figure


class Plane:
    """A surface seen from above, ready to be drawn into a page."""

    def __init__(self, kind, surface, field, scale, look):
        self.surface, self.scale, self.look = surface, scale, look
        self.x, self.y, field = ascending(surface.x, surface.y, field)
        self.kind, self.field, self._few = filled(kind, surface, field, scale)
        self.overlay = overlay.Overlay(surface, field.name, look.projections)

    def notes(self, equal):
        notes = points.notes(self.field, GUESSES[self.kind == "heat"]) + self.scale.notes + self._few
        notes += drawn_notes(self.surface, self.look) + self.overlay.notes() + style.notes_on(self.look.cmap)
        return notes + ([] if equal else ["the axes are not to the same scale"])

    def draw(self, page, rectangle, label, at=None):
        """Draws plane, labels and colour bar; `at`: where the plane ends, as for Page.color_bar."""
        axes = page.add_axes(rectangle)
        cmap = style.color_map(self.look.cmap)
        mappable = paint(axes, self.kind, self.x, self.y, self.field, self.scale, cmap, self.look)
        frame(axes, self.x, self.y, self.kind)
        size = rectangle[2] * page.size[0], rectangle[3] * page.size[1]
        _label_axes(axes, self.surface, size)
        if self.overlay.marks_center:
            style.mark_center(axes, self.x, self.y)
        taken = self.overlay.draw(axes, self.colors(cmap))
        page.color_bar(mappable, self.scale, label, at=at, bounds=(
            rectangle[1] * page.size[1] - page.rectangle()[1] * page.size[1], size[1]), **bar_ends(self.kind, self.scale))
        label_lines(axes, self.scale, taken)
        return axes

    def colors(self, cmap):
        return own_colors(self.overlay, self.field.name, self.scale, cmap)


def own_colors(marked, name, scale, cmap):
    """The colours of the marked checkpoints' own values, RGBA [m, 4] or the paper's where there is none; None without
    checkpoints."""
    if marked.points is None:
        return None
    own = marked.points.own(name)
    shares = colors.Normalize(*scale.span)(scale.held(np.nan_to_num(own, nan=scale.lo)))
    return [color if known else style.CASING for color, known in zip(cmap(shares), np.isfinite(own))]


def drawn_notes(surface, look):
    """How the picture differs from the grid as it is."""
    return [note for note in (surface.cropped, "smooth between the points" if look.smooth else "") if note]


def filled(kind, surface, field, scale):
    """(kind, field, notes): missing points filled in; cells where there is too little for contours."""
    around = points.fill(surface, field, scale, kind == "heat")
    if kind == "heat" or _has_cells(around.values):
        return kind, around, []
    note = "too few neighbouring points for contours: drawn as cells"
    return "heat", points.fill(surface, field, scale, True), [note]


def paint(axes, kind, x, y, field, scale, cmap, look):
    """Draws the values; what a colour bar is made from."""
    norm = colors.Normalize(*scale.span)
    _nonfinite(axes, x, y, field, kind)
    _dots(axes, x, y, points.beside_guesses(field))
    if kind == "heat":
        return _heat(axes, x, y, field, scale, norm, cmap)
    z = scale.forward(field.values)
    if look.smooth:
        x, y, z = smooth.finer(x, y, z)
    z = np.ma.masked_invalid(z)
    if kind == "contourf":
        return _filled(axes, x, y, z, scale, norm, cmap, look.levels)
    return _lines(axes, x, y, z, scale, norm, style.for_lines(cmap), look.levels)


def _dots(axes, x, y, which):
    """Dots on the points that the guesses around them are made from."""
    rows, columns = np.nonzero(which)
    if rows.size == 0:
        return
    width, height = (72 * side for side in axes.figure.get_size_inches() * axes.get_position().size)
    spacing = min(width / len(x), height / len(y))  # in points
    axes.plot(x[columns], y[rows], linestyle="none", marker="o", color=style.INK, markeredgewidth=0,
              markersize=style.ZOOM * min(2.4, max(0.5, 0.35 * spacing)), zorder=10, gid="evaluated")


def ascending(x, y, field):
    """The same plane with both coordinates rising."""
    across = slice(None, None, -1) if x[0] > x[-1] else slice(None)
    up = slice(None, None, -1) if y[0] > y[-1] else slice(None)
    return x[across], y[up], field.changed(lambda array: array[up, across])


def _has_cells(values):
    """Whether some cell of the grid has three finite corners: what a contour needs."""
    finite = np.isfinite(values).astype(int)
    corners = finite[1:, 1:] + finite[1:, :-1] + finite[:-1, 1:] + finite[:-1, :-1]
    return bool((corners >= 3).any())


def body_of(x, y, aspect=None):
    """((width, height) in inches, whether both axes have the same scale). `aspect` as in options.Look."""
    true = (x[-1] - x[0]) / (y[-1] - y[0])
    ratio = 1 / aspect if aspect else true
    if aspect is None and not 1 / WIDEST <= ratio <= WIDEST:
        return ((5.0, 2.2) if ratio > 1 else (2.4, 5.0)), False
    width, height = (SHORT, SHORT / ratio) if ratio >= 1 else (SHORT * ratio, SHORT)
    grow = max(1.0, min(1.7 / min(width, height), LONG / max(width, height)))
    return (width * grow, height * grow), math.isclose(ratio, true, rel_tol=0.01)


def page_margins(plane, body, size, label):
    """Room for labels, which stand on two lines where the side of the body is short.

    Where the user sets the `size` of the page, the body's is estimated, rather too small.
    """
    if size:
        up = (size[1] - 1.4 * style.ZOOM) / body[1] if size[1] else 1.0
        shrink = max(0.0, min((size[0] - 1.8 * style.ZOOM) / body[0], up))
        body = (shrink * body[0], shrink * body[1])
    labels = [marks.axis_label(plane.surface, number) for number in (1, 2)]
    return margins(body, label, *labels, y_extra(plane.y), bar_extra(plane.scale))


def margins(body, label, along, up, left=0.0, right=0.0):
    """Room for the labels of colour bar and axes of a body of that (width, height) in inches; `left` and
    `right` are for wide tick labels."""
    extra = 0.14
    return style.Margins(
        0.62 + left + (extra if "\n" in style.broken(up, 1.1 * body[1]) else 0.0),
        0.86 + right + (extra if "\n" in style.broken(wording.on_log_scale(label), body[1]) else 0.0),
        0.47 + (extra if "\n" in style.broken(along, 1.1 * body[0]) else 0.0),
    )


def y_extra(y):
    """Inches that the tick labels of this axis are wider than usual, at the text sizes of paper."""
    return _wider(style.round_ticks(y[0], y[-1])[1])


def bar_extra(scale):
    """The same of the colour bar."""
    return _wider(scale.ticks(8)[1])


def _wider(texts):
    widest = max((style.text_width(text, style.TICK) for text in texts), default=0.0)
    return max(0.0, widest / style.ZOOM - 0.28)


def frame(axes, x, y, kind, ticks=5):
    """Limits, and about so many ticks along each axis."""
    left, right, bottom, top = x[0], x[-1], y[0], y[-1]
    if kind == "heat":
        (left, right), (bottom, top) = edges(x)[[0, -1]], edges(y)[[0, -1]]
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    style.coordinate_ticks(axes.xaxis, x[0], x[-1], ticks)
    style.coordinate_ticks(axes.yaxis, y[0], y[-1], ticks)


def _label_axes(axes, surface, body):
    for number, write, pad in ((1, axes.set_xlabel, 4), (2, axes.set_ylabel, 3)):
        room = 1.1 * body[number - 1]
        label = style.broken(marks.axis_label(surface, number), room)
        write(label, labelpad=pad * style.ZOOM, fontsize=style.fitting(label, 1.1 * room))


def edges(points):
    """Cell edges around sorted points: halfway between them, and as far beyond the ends."""
    middle = 0.5 * (points[1:] + points[:-1])
    return np.concatenate(([2 * points[0] - middle[0]], middle, [2 * points[-1] - middle[-1]]))


def _heat(axes, x, y, field, scale, norm, cmap):
    # A raster, even in vector files: adjoining vector cells show hairlines in most viewers.
    return axes.pcolormesh(
        edges(x), edges(y), np.ma.masked_invalid(scale.forward(field.values)),
        norm=norm, cmap=cmap, rasterized=True, zorder=1,
    )


def _filled(axes, x, y, z, scale, norm, cmap, levels):
    inner = _level_list(scale, levels, FILLED_LEVELS)
    bounds = sorted({scale.lo, scale.hi, *(v for v in inner if scale.lo < v < scale.hi)})
    if isinstance(levels, list):  # the user's list is the whole of it
        bounds = inner if len(inner) > 1 else bounds
    bounds = _distinct([scale.position(v) for v in bounds])
    filled = axes.contourf(x, y, z, levels=bounds, norm=norm, cmap=cmap, zorder=1,
                           extend=extend(scale, bounds))
    # Outlines of their own colour close the hairlines between neighbouring bands.
    filled.set_edgecolor("face")
    filled.set_linewidth(0.25)
    if len(bounds) > 2:
        lines = axes.contour(x, y, z, levels=bounds[1:-1], colors="white", linewidths=0.4 * style.ZOOM, alpha=0.45,
                             zorder=2)
        lines.label_colors = [style.readable_on(cmap(norm(level))) for level in lines.levels]
    return filled


def _lines(axes, x, y, z, scale, norm, cmap, levels):
    bounds = _distinct([scale.position(v) for v in _level_list(scale, levels, LINE_LEVELS)])
    if bounds and not scale.constant:
        axes.contour(x, y, z, levels=bounds, norm=norm, cmap=cmap, linewidths=style.ZOOM, zorder=2)
    return ScalarMappable(norm, cmap)


def _level_list(scale, levels, count):
    """Values at which a contour runs, ascending, in value units."""
    if isinstance(levels, list):
        return [v for v in levels if v > 0 or not scale.log]
    return scale.round_values(levels or count[scale.log])


def _distinct(positions):
    return [p for i, p in enumerate(positions) if i == 0 or p > positions[i - 1]]


def extend(scale, bounds=None):
    low, high = scale.span
    below = scale.cut_low or (bounds is not None and bounds[0] > low)
    above = scale.cut_high or (bounds is not None and bounds[-1] < high)
    return {(False, False): "neither", (True, False): "min", (False, True): "max",
            (True, True): "both"}[below, above]


def bar_ends(kind, scale):
    """How a colour bar shows that values are cut; filled contours say it themselves."""
    return {} if kind == "contourf" else {"extend": extend(scale)}


def _nonfinite(axes, x, y, field, kind):
    """Evaluated points without a finite value, in a colour of their own.

    In a heat map they are cells like the others. Contours stop at the neighbours of such a point,
    so there the whole gap up to those neighbours is coloured.
    """
    rows, columns = np.nonzero(field.nonfinite)
    if rows.size == 0:
        return
    across, up = edges(x), edges(y)
    if kind != "heat":
        across = np.concatenate(([x[0]], x, [x[-1]]))
        up = np.concatenate(([y[0]], y, [y[-1]]))
    reach = 1 if kind == "heat" else 2
    boxes = [
        [(across[c], up[r]), (across[c + reach], up[r]),
         (across[c + reach], up[r + reach]), (across[c], up[r + reach])]
        for r, c in zip(rows, columns)
    ]
    style.hatch_nonfinite(axes, boxes, 0.5)
