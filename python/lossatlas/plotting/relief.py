"""The plane as a surface in three dimensions: the sheet, the box around it, and what is marked on it."""

import itertools
import math
from copy import copy
from dataclasses import replace

import contourpy
import numpy as np
from matplotlib import colors
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection

from . import multiples, overlay, planes, points, smooth, style, wording
from .errors import NotYetError, WordsError
from .frame import Frame, patch
from .raster import Picture, Sheet, View, best_view, finely
from .scales import number

NARROWEST, SLIVER = 0.4, 0.02  # the least horizontal side of the box, its longer one being 1; where the user chose
WIDTH, TALL = 4.3, 4.0  # inches
PANEL = 3.1  # inches: one of several
ROOMY, TALLEST = 1.7, 9.0  # inches: one of several that need not be larger, all of them where the height is free
BAR = 0.5  # length of the colour bar, the body being 1
HEIGHT, BENEATH = 0.55, 0.42  # of the sheet's box, and of the room between it and the floor
GUESSES = "interpolated (paler)"  # how missing points are drawn
LINES = 14  # about so many contours
MOST_DPI, MOST_PIXELS = 600, 6e6  # of the sheet's image


def draw(relief, head, label, legend=None):
    """A figure of one plane in 3D. `legend`: (inches below the body, what draws there, given the page)."""
    turn([relief])
    return figure(relief, head, [*relief.notes(), seen_from(relief.view)], label, legend=legend)


def figure(relief, head, notes, label, place=None, legend=None):
    """A figure of one relief. `place` is where its box stands (see `steady_place`), None: where it fills the page.
    `legend`: as in `draw`."""
    below = legend[0] if legend else 0.0
    margins = _margins(label, relief.scale, _tall(head.size), below)
    page = style.Page(head, notes + style.notes_on(relief.look.cmap), margins, (WIDTH, TALL))
    color_map = style.color_map(relief.look.cmap)
    relief.draw(page, (0.0, 0.0, *page.body), color_map, place=place)
    _color_bar(page, relief.scale, label, color_map)
    if legend:
        legend[1](page)
    return page.figure


def steady_place(relief, head, label, sides, notes=()):
    """(scale, origin, form of the axes' names) at which the box of `figure` fits its page from all `sides`
    (azimuths, in degrees), its axis standing still."""
    size = style.Page(head, notes, _margins(label, relief.scale, _tall(head.size)), (WIDTH, TALL)).body
    frames = [Frame(relief.turned_to(side), size, False) for side in sides]
    scale = min(frame.scale for frame in frames)
    middle = np.array([0.0, 0.5 * (relief.box[2] + relief.floor) * math.cos(math.radians(relief.view.elev))])
    heights = [(frame.inches([middle]))[0, 1] for frame in frames]
    origin = np.array([size[0] / 2, np.mean(heights)]) - scale * middle
    return scale, origin, max(frame.form for frame in frames)


def draw_several(entries, head, label, look):
    """A figure of one panel an entry (multiples.Entry), from one side."""
    reliefs = [Relief(entry.surface, entry.field, entry.scale, look) for entry in entries]
    shared, first = multiples.is_shared(entries), entries[0].scale
    turn(reliefs)
    columns, rows, side = _layout(len(entries), head.size, label, first)
    lines = [multiples.name_lines(entry, 0.95 * side) for entry in entries]
    above = style.ZOOM * (multiples.ABOVE + multiples.LINE * max(len(a) + len(b) for a, b in lines))
    body = (columns * side, rows * (TALL / WIDTH * side + above))
    notes = [*multiples.scale_notes(entries), seen_from(reliefs[0].view), *style.notes_on(look.cmap)]
    for entry, relief in zip(entries, reliefs):
        notes += multiples.file_notes(entry, [note for note in relief.notes() if note not in relief.scale.notes],
                                      relief.overlay)
    page = style.Page(head, notes, _margins(label, first, min(body[1], _tall(head.size, body))), body)
    color_map = style.color_map(look.cmap)
    width, height = page.body[0] / columns, page.body[1] / rows - above
    if min(width, height) < 0.6:
        raise WordsError(f"{page.size[0]:.3g} x {page.size[1]:.3g} inches leave no room for"
                         f" {columns} x {rows} panels")
    for number, (entry, relief) in enumerate(zip(entries, reliefs)):
        row, column = divmod(number, columns)
        left, bottom = column * width, (rows - 1 - row) * (height + above)
        room = 0.97 * width - (0.0 if shared else multiples.BAR * style.ZOOM)
        relief.draw(page, (left, bottom, room, height), color_map, small=True)
        if not shared:
            last = column == columns - 1 or number == len(reliefs) - 1
            page.color_bar(ScalarMappable(colors.Normalize(*relief.scale.span), color_map), relief.scale, label if last else "",
                           bounds=(bottom + 0.15 * height, 0.7 * height), gap=0.04, at=left + room, room=0.9 * height,
                           extend=planes.extend(relief.scale))
        multiples.write_name(page, left, bottom + height, multiples.name_lines(entry, 0.95 * width))
    if shared:
        _color_bar(page, first, label, color_map)
    return page.figure


def _layout(count, size, label, scale):
    """(columns, rows, width of a panel in inches), on a page of the user's `size` with panels as large as can be."""
    columns, rows = multiples.layout(count)
    if size is None:
        return columns, rows, min(PANEL, 2 * PANEL / columns + 0.3)
    width = max(0.5, size[0] - _margins(label, scale, TALL).sides)
    tall = size[1] or TALLEST

    def side(columns):
        return min(width / columns, WIDTH / TALL * tall / math.ceil(count / columns))

    while columns > 1 and side(columns) < ROOMY * style.ZOOM and side(columns - 1) > side(columns):
        columns -= 1
    return columns, math.ceil(count / columns), width / columns


def _tall(size, body=(WIDTH, TALL)):
    """About the height of the body, in inches, on a page of the user's `size`; rather too low."""
    if size is None:
        return body[1]
    width, height = size[0] - 1.2 * style.ZOOM, (size[1] or math.inf) - style.ZOOM
    return max(0.1, min(body[1] * width / body[0], height))


def _margins(label, scale, tall, below=0.0):
    """Room for the colour bar, whose label may stand on two lines, and inches below the body."""
    label = wording.on_log_scale(label) if scale.log else label
    extra = 0.17 if "\n" in style.broken(label, 0.9 * tall) else 0.0
    return style.Margins(0.12, 0.86 + extra + planes.bar_extra(scale), 0.08 + below)


def _color_bar(page, scale, label, cmap):
    height = page.body[1]
    share = BAR if height > 3 else 0.7
    page.color_bar(ScalarMappable(colors.Normalize(*scale.span), cmap), scale, label,
                   bounds=(0.5 * (1 - share) * height, share * height), gap=0.1, room=0.9 * height,
                   extend=planes.extend(scale))


def turn(reliefs):
    """Chooses what the user left open of the view, one for all."""
    view = best_view([relief.scene() for relief in reliefs], reliefs[0].view)
    for relief in reliefs:
        relief.view = view


def seen_from(view):
    return f"seen from azimuth {number(view.azim)}°, elevation {number(view.elev)}°"


class Relief:
    """One plane, ready to be drawn in 3D. The box: x and y around 0, z = 0 at the scale's lower end."""

    def __init__(self, surface, field, scale, look):
        """Angles of the look that are None are yet to be chosen (`turn`)."""
        self.surface, self.scale, self.look = surface, scale, look
        self.view = View(look.elev, look.azim, look.floor)
        self.x, self.y, field = planes.ascending(surface.x, surface.y, field)
        self.field = points.fill(surface, field, scale)
        width, depth = self.x[-1] - self.x[0], self.y[-1] - self.y[0]
        # A plane far from square is shown squarer than it is, unless asked for: a sliver could not be read.
        true = depth / width
        drawn = look.aspect or true
        least = NARROWEST if look.aspect is None else SLIVER
        self.box = (max(min(1.0, 1 / drawn), least), max(min(1.0, drawn), least), HEIGHT)
        self.equal = math.isclose(self.box[1] / self.box[0], true, rel_tol=0.01)
        self.z = scale.forward(self.field.values)
        if _any_corner(~np.isfinite(self.z)).all():
            raise NotYetError(f"{surface.path} has no four neighbouring evaluated points: try --kind heat")
        fine = smooth.finer(self.x, self.y, self.z) if look.smooth else (self.x, self.y, self.z)
        self.sheet = Sheet(*fine, scale.span, self.box)
        self.floor = -BENEATH if look.floor else 0.0
        self.overlay = overlay.Overlay(surface, field.name, look.projections)

    def scene(self):
        """As raster.best_view takes it, each marked checkpoint a path of one point."""
        marked = self.overlay.points
        spots = [] if marked is None else [(marked.x[[i]], marked.y[[i]]) for i in range(len(marked.x))]
        return self.sheet, [(each.x, each.y) for each in (*self.overlay.runs, *self.overlay.curves)] + spots

    def notes(self):
        notes = points.notes(self.field, GUESSES) + self.scale.notes + planes.drawn_notes(self.surface, self.look)
        return notes + self.overlay.notes() + ([] if self.equal else ["the axes are not to the same scale"])

    def turned_to(self, azim):
        """The same plane from another side."""
        turned = copy(self)
        turned.view = replace(self.view, azim=azim)
        return turned

    def draw(self, page, body, cmap, small=False, place=None):
        """Draws into `body` (left, bottom, width, height) inches of the page's body."""
        axes = page.add_axes(page.rectangle(*body))
        axes.set_axis_off()
        axes.set_xlim(0.0, body[2])
        axes.set_ylim(0.0, body[3])
        frame = Frame(self, body[2:], small, place)
        values = self._levels(self.look.levels)
        low, high = self.scale.span
        positions = [p for p in map(self.scale.position, values) if low < p < high]
        frame.draw_back(axes)
        if self.view.floor:
            self._floor(axes, frame, positions, cmap)
        self._holes(axes, frame)
        dpi = min(self.look.dpi, MOST_DPI, math.sqrt(MOST_PIXELS / (body[2] * body[3])))
        picture = self._sheet(axes, frame, positions, cmap, dpi)
        frame.draw_front(axes)
        self._marks(axes, frame, picture, cmap)

    def _levels(self, levels):
        if isinstance(levels, list):
            return [value for value in levels if value > 0 or not self.scale.log]
        if self.scale.constant:
            return []
        return self.scale.round_values(levels or LINES)

    def _sheet(self, axes, frame, levels, cmap, dpi):
        picture = Picture(self.sheet, self.view, self.sheet.bounds(self.view), frame.scale * dpi)
        image = picture.image(cmap, levels, ((1.0, 1.0, 1.0), 0.55 * style.ZOOM * dpi / 72, 0.55),
                              smooth.cells(_any_corner(self.field.guessed), self.sheet.z.shape))
        left, top, bottom, end = (picture.bounds[0], picture.bounds[3], picture.bounds[2], picture.bounds[1])
        low, high = frame.inches(np.array([[left, bottom], [end, top]]))
        axes.imshow(image, extent=(low[0], high[0], low[1], high[1]), aspect="auto", zorder=5,
                    interpolation="antialiased")
        axes.set_xlim(0.0, frame.size[0])
        axes.set_ylim(0.0, frame.size[1])
        return picture

    def _on_floor(self, x, y, frame):
        """Coordinates of the plane to inches of the page, on the floor: [n, 2]."""
        place = np.column_stack([self.sheet.place(x, y), np.full(len(x), self.floor)])
        return frame.inches(self.view.project(place))

    def _floor(self, axes, frame, levels, cmap):
        """Contours on the floor, and the colours between them."""
        sheet = self.sheet
        generator = contourpy.contour_generator(sheet.x, sheet.y, np.ma.masked_invalid(sheet.z), name="serial",
                                                fill_type="OuterOffset")
        norm = colors.Normalize(*self.scale.span)
        bounds = sorted({*self.scale.span, *levels})
        paper = np.array(colors.to_rgb(style.PAPER))
        limits = [-np.inf, *bounds[1:-1], np.inf]
        for a, b, least, most in zip(bounds, bounds[1:], limits, limits[1:]):
            rings, offsets = generator.filled(least, most)
            color = 0.45 * np.array(cmap(norm(0.5 * (a + b)))[:3]) + 0.55 * paper
            for ring, offset in zip(rings, offsets):
                placed = self._on_floor(ring[:, 0], ring[:, 1], frame)
                axes.add_patch(patch(placed, offset, color))
        shaded = style.for_lines(cmap)
        lines, shades = [], []
        for level in bounds[1:-1]:
            for line in generator.lines(level):
                lines.append(self._on_floor(line[:, 0], line[:, 1], frame))
                shades.append(shaded(norm(level)))
        axes.add_collection(LineCollection(lines, colors=shades, linewidths=0.7 * style.ZOOM, zorder=2.5),
                            autolim=False)

    def _holes(self, axes, frame):
        """On the floor: the points without a finite value, above which the sheet has a hole."""
        rows, columns = np.nonzero(self.field.nonfinite)
        if rows.size == 0:
            return
        across, up = (np.concatenate(([axis[0]], axis, [axis[-1]])) for axis in (self.x, self.y))
        boxes = [self._on_floor(across[[c, c + 2, c + 2, c]], up[[r, r, r + 2, r + 2]], frame)
                 for r, c in zip(rows, columns)]
        style.hatch_nonfinite(axes, boxes, 3)

    # --- marks -------------------------------------------------------------------------------------

    def _marks(self, axes, frame, picture, cmap):
        for number, curve in enumerate(self.overlay.curves):
            self._path(axes, frame, picture, curve.x, curve.y, style.series(number)["color"], 1.6)
        for number, run in enumerate(self.overlay.runs):
            look = style.series(number)
            self._path(axes, frame, picture, run.x, run.y, look["color"], 1.3)
            self._spots(axes, frame, picture, run.x, run.y, look["color"], look["marker"], 2.6)
            self._spots(axes, frame, picture, run.x[-1:], run.y[-1:], look["color"], look["marker"], 5.0)
        if len(self.overlay.runs) > 1:
            self._run_names(axes, frame, picture)
        if self.overlay.points is not None:
            found = self.overlay.points
            for x, y, color in zip(found.x, found.y, planes.own_colors(self.overlay, self.field.name, self.scale, cmap)):
                self._spots(axes, frame, picture, [x], [y], style.INK, "o", 6.0)
                self._spots(axes, frame, picture, [x], [y], color, "o", 4.5)
            self._point_names(axes, frame, picture)
        inside = self.x[0] <= 0.0 <= self.x[-1] and self.y[0] <= 0.0 <= self.y[-1]
        if inside and self.overlay.marks_center:
            self._centre(axes, frame, picture)

    def _on_sheet(self, x, y):
        """Coordinates of the plane to (right, up, depth) on the sheet, [n, 3]; NaN where it has none."""
        return self.view.project(self.sheet.on(x, y))

    def _path(self, axes, frame, picture, x, y, color, width, dashes=style.DASHES[0]):
        """A path on the sheet, faint where the sheet hides it, and its shadow on the floor."""
        x, y = finely(x, y, 400)
        if self.view.floor:
            axes.plot(*self._on_floor(x, y, frame).T, color=color, linewidth=0.6 * width * style.ZOOM,
                      zorder=3.2, alpha=0.8)
        placed = self._on_sheet(x, y)
        inches, hidden = frame.inches(placed), picture.hidden(placed)
        for seen, opacity in ((False, 0.35), (True, 1.0)):
            shown = np.where((hidden != seen)[:, None], inches, np.nan)
            if seen:
                axes.plot(*shown.T, color=style.CASING, linewidth=(width + 1.4) * style.ZOOM, zorder=13, solid_joinstyle="round")
            axes.plot(*shown.T, color=color, linewidth=width * style.ZOOM, alpha=opacity, zorder=12 + seen, dashes=dashes,
                      solid_joinstyle="round")

    def _spots(self, axes, frame, picture, x, y, color, marker, size):
        placed = self._on_sheet(x, y)
        shown = ~picture.hidden(placed) & np.isfinite(placed).all(axis=1)
        axes.plot(*frame.inches(placed)[shown].T, linestyle="none", marker=marker, color=color,
                  markersize=size * style.ZOOM, markeredgecolor=style.CASING,
                  markeredgewidth=0.5 * style.ZOOM, zorder=14)

    def _run_names(self, axes, frame, picture):
        """Beside each run its name, where the last of it is seen."""
        labels, ends = overlay.Labels(axes), []
        for text in frame.texts:
            labels.keep_clear(*text.corners().T)
        for run in self.overlay.runs:
            placed = self._on_sheet(*finely(run.x, run.y, 100))
            placed = placed[np.isfinite(placed).all(axis=1)]
            seen = ~picture.hidden(placed)
            path = frame.inches(placed[seen] if seen.any() else placed)
            ends.append(path[-1:])
            labels.keep_clear(*path.T)
        for number, (run, end) in enumerate(zip(self.overlay.runs, ends)):
            for x, y in end:
                labels.write(x, y, run.label, style.series(number)["color"], needed=True)

    def _point_names(self, axes, frame, picture):
        """Beside each marked checkpoint that is seen its name."""
        found, labels = self.overlay.points, overlay.Labels(axes)
        placed = self._on_sheet(found.x, found.y)
        shown = ~picture.hidden(placed) & np.isfinite(placed).all(axis=1)
        spots = frame.inches(placed)
        labels.keep_clear(*spots[shown].T, joined=False)
        for name, (x, y) in itertools.compress(zip(found.names, spots), shown):
            labels.write(x, y, name, style.INK, needed=True)

    def _centre(self, axes, frame, picture):
        """A dot on the parameters the plane was laid through, and a cross below it on the floor."""
        zero = np.zeros(1)
        if self.view.floor:
            axes.plot(*self._on_floor(zero, zero, frame).T, marker="+", color=style.INK,
                      markersize=5 * style.ZOOM, markeredgewidth=0.8 * style.ZOOM, zorder=3.5, gid="center")
        placed = self._on_sheet(zero, zero)
        if np.isfinite(placed).all() and not picture.hidden(placed)[0]:
            axes.plot(*frame.inches(placed).T, marker="o", color="white", markersize=2.8 * style.ZOOM,
                      markeredgecolor="black", markeredgewidth=0.6 * style.ZOOM, zorder=14, gid="center")


def _any_corner(mask):
    """Of every cell: whether `mask` holds at one of its corners."""
    return mask[1:, 1:] | mask[1:, :-1] | mask[:-1, 1:] | mask[:-1, :-1]
