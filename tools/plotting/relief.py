"""The plane as a surface in three dimensions: the sheet, the box around it, and what is marked on it."""

import itertools
import math
from dataclasses import replace

import contourpy
import numpy as np
from matplotlib import colors
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection

from . import marks, multiples, overlay, planes, points, style, wording
from .errors import NotYetError, WordsError
from .raster import Picture, Sheet, View

NARROWEST = 0.4  # the least horizontal side of the box, its longer one being 1
WIDTH, TALL = 4.3, 4.0  # inches
PANEL = 3.1  # inches: one of several
BAR = 0.5  # length of the colour bar, the body being 1
HEIGHT, BENEATH = 0.55, 0.42  # of the sheet's box, and of the room between it and the floor
SIDES = (-57.0, 33.0, 123.0, -147.0)  # degrees: from where it is looked at
LINES = 14  # about so many contours
MOST_PIXELS = 600  # an inch: of the sheet's image


def draw(surface, field, scale, head, label, view=View(), levels=None, cmap=None, dpi=300):
    """A figure of one plane in 3D."""
    relief = Relief(surface, field, scale, view)
    if view.azim is None:
        _turn([relief])
    notes = relief.notes() + style.notes_on(cmap)
    page = style.Page(head, notes, _margins(label, scale, TALL), (WIDTH, TALL))
    color_map = style.color_map(cmap)
    relief.draw(page, (0.0, 0.0, *page.body), levels, color_map, dpi)
    _color_bar(page, scale, label, color_map)
    return page.figure


def draw_several(entries, scale, head, label, view=View(), levels=None, cmap=None, dpi=300):
    """A figure of one panel an entry (multiples.Entry), on one scale and from one side."""
    reliefs = [Relief(entry.surface, entry.field, scale, view) for entry in entries]
    if view.azim is None:
        _turn(reliefs)
    columns, rows = multiples.layout(len(entries))
    side = min(PANEL, 2 * PANEL / columns + 0.3)
    lines = [multiples.name_lines(entry, 0.95 * side) for entry in entries]
    above = style.ZOOM * (multiples.ABOVE + multiples.LINE * max(len(a) + len(b) for a, b in lines))
    body = (columns * side, rows * (TALL / WIDTH * side + above))
    notes = ["one scale for all panels", *scale.notes, *style.notes_on(cmap)]
    for entry, relief in zip(entries, reliefs):
        notes += [f"{entry.name}: {note}" for note in relief.notes() if note not in scale.notes]
    page = style.Page(head, notes, _margins(label, scale, body[1]), body)
    color_map = style.color_map(cmap)
    width, height = page.body[0] / columns, page.body[1] / rows - above
    if min(width, height) < 0.8:
        raise WordsError(f"{page.size[0]:.3g} x {page.size[1]:.3g} inches leave no room for"
                         f" {columns} x {rows} panels")
    for number, (entry, relief) in enumerate(zip(entries, reliefs)):
        row, column = divmod(number, columns)
        left, bottom = column * width, (rows - 1 - row) * (height + above)
        relief.draw(page, (left, bottom, 0.97 * width, height), levels, color_map, dpi, small=True)
        multiples.write_name(page, left, bottom + height, multiples.name_lines(entry, 0.95 * width))
    _color_bar(page, scale, label, color_map)
    return page.figure


def _margins(label, scale, tall):
    """Room for the colour bar, whose label may stand on two lines."""
    label = wording.on_log_scale(label) if scale.log else label
    extra = 0.17 if "\n" in style.broken(label, 0.9 * tall) else 0.0
    return style.Margins(0.12, 0.86 + extra, 0.08)


def _color_bar(page, scale, label, cmap):
    height = page.body[1]
    share = BAR if height > 3 else 0.7
    page.color_bar(ScalarMappable(colors.Normalize(*scale.span), cmap), scale, label,
                   bounds=(0.5 * (1 - share) * height, share * height), gap=0.1, room=0.9 * height, extend=planes.extend(scale))


def _turn(reliefs):
    """Where the user chose no side: that from which the least stands in front, the usual one if in doubt."""
    heights = np.mean([relief.front_heights() for relief in reliefs], axis=0)
    best = int(np.argmin(heights))
    azim = SIDES[best if heights[best] < heights[0] - 0.04 * HEIGHT else 0]
    for relief in reliefs:
        relief.view = replace(relief.view, azim=azim)


class Relief:
    """One plane, ready to be drawn in 3D. The box: x and y around 0, z = 0 at the scale's lower end."""

    def __init__(self, surface, field, scale, view):
        """Where the view's `azim` is None, it is yet to be chosen (`turn`)."""
        self.surface, self.scale, self.view = surface, scale, view
        self.x, self.y, field = planes.ascending(surface.x, surface.y, field)
        self.field = points.fill(surface, field, scale)
        width, depth = self.x[-1] - self.x[0], self.y[-1] - self.y[0]
        longer = max(width, depth)
        # A plane far from square is shown squarer than it is: a sliver could not be read.
        self.box = (max(width / longer, NARROWEST), max(depth / longer, NARROWEST), HEIGHT)
        self.equal = min(width, depth) / longer >= NARROWEST
        z, self.filled = _with_neighbours(scale.held(self.field.values), self.field.nonfinite)
        self.sheet = Sheet(self.x, self.y, z, scale.span, self.box)
        if not self.sheet.whole.any():
            raise NotYetError(f"{surface.path} has no four neighbouring evaluated points: try --kind heat")
        self.floor = -BENEATH if view.floor else 0.0
        self.overlay = overlay.Overlay(surface)

    def front_heights(self):
        """Mean height of the quarter of the plane that stands in front, for each of SIDES."""
        ny, nx = self.sheet.height.shape
        quarters = []
        for azim in SIDES:
            a = math.radians(azim)
            rows = slice(ny // 2, None) if math.sin(a) > 0 else slice(None, (ny + 1) // 2)
            columns = slice(nx // 2, None) if math.cos(a) > 0 else slice(None, (nx + 1) // 2)
            quarter = self.sheet.height[rows, columns]
            quarters.append(float(np.mean(quarter[np.isfinite(quarter)])) if np.isfinite(quarter).any() else HEIGHT)
        return np.array(quarters)

    def notes(self):
        notes = points.notes(self.field, "interpolated (paler)") + self.scale.notes + self.overlay.notes()
        if self.filled.any():
            notes.append("pink parts of the sheet stand as high as their neighbours")
        return notes + ([] if self.equal else ["the axes are not to the same scale"])

    def draw(self, page, body, levels, cmap, dpi, small=False):
        """Draws into `body` (left, bottom, width, height) inches of the page's body."""
        axes = page.figure.add_axes(page.rectangle(*body))
        axes.set_axis_off()
        axes.set_xlim(0.0, body[2])
        axes.set_ylim(0.0, body[3])
        frame = _Frame(self, body[2:], small)
        values = self._levels(levels)
        positions = [self.scale.position(value) for value in values]
        frame.draw_back(axes)
        if self.view.floor:
            self._floor(axes, frame, positions, cmap)
        self._holes(axes, frame)
        picture = self._picture(axes, frame, positions, cmap, min(dpi, MOST_PIXELS))
        frame.draw_front(axes)
        self._marks(axes, frame, picture)

    def _levels(self, levels):
        if isinstance(levels, list):
            return [value for value in levels if value > 0 or not self.scale.log]
        if self.scale.constant:
            return []
        return self.scale.round_values(levels or LINES)

    def _picture(self, axes, frame, levels, cmap, dpi):
        right, up, _ = self.view.axes()
        corners = self.view.project(_corners(self.box, 0.0, self.box[2]))
        bounds = (corners[:, 0].min(), corners[:, 0].max(), corners[:, 1].min(), corners[:, 1].max())
        picture = Picture(self.sheet, self.view, bounds, frame.scale * dpi)
        pale, flat = (_any_corner(mask) for mask in (self.field.guessed, self.filled))
        image = picture.image(cmap, levels, ((1.0, 1.0, 1.0), 0.55 * style.ZOOM * dpi / 72, 0.55), pale,
                              (flat, colors.to_rgb(style.NONFINITE)))
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
        z = self.scale.held(self.field.values)
        generator = contourpy.contour_generator(self.x, self.y, np.ma.masked_invalid(z), name="serial",
                                                fill_type="OuterOffset")
        norm = colors.Normalize(*self.scale.span)
        bounds = sorted({*self.scale.span, *(v for v in levels if self.scale.span[0] < v < self.scale.span[1])})
        paper = np.array(colors.to_rgb(style.PAPER))
        low, high = bounds[0] - 1e-9 * (bounds[-1] - bounds[0]), bounds[-1] + 1e-9 * (bounds[-1] - bounds[0])
        for a, b in zip([low, *bounds[1:-1]], [*bounds[1:-1], high]):
            rings, offsets = generator.filled(a, b)
            color = 0.45 * np.array(cmap(norm(0.5 * (a + b)))[:3]) + 0.55 * paper
            for ring, offset in zip(rings, offsets):
                placed = self._on_floor(ring[:, 0], ring[:, 1], frame)
                axes.add_patch(_patch(placed, offset, color))
        shaded = style.for_lines(cmap)
        lines, shades = [], []
        for level in bounds[1:-1]:
            for line in generator.lines(level):
                lines.append(self._on_floor(line[:, 0], line[:, 1], frame))
                shades.append(shaded(norm(level)))
        axes.add_collection(LineCollection(lines, colors=shades, linewidths=0.7 * style.ZOOM, zorder=2.5),
                            autolim=False)

    def _holes(self, axes, frame):
        """On the floor: the points without a finite value, where the surface has a hole."""
        rows, columns = np.nonzero(self.field.nonfinite)
        if rows.size == 0:
            return
        across, up = (np.concatenate(([axis[0]], axis, [axis[-1]])) for axis in (self.x, self.y))
        boxes = [self._on_floor(across[[c, c + 2, c + 2, c]], up[[r, r, r + 2, r + 2]], frame)
                 for r, c in zip(rows, columns)]
        axes.add_collection(PolyCollection(boxes, facecolor=style.NONFINITE, edgecolor=style.NONFINITE,
                                           linewidth=0.3, zorder=3, gid="nonfinite"), autolim=False)

    # --- marks -------------------------------------------------------------------------------------

    def _marks(self, axes, frame, picture):
        for number, curve in enumerate(self.overlay.curves):
            self._path(axes, frame, picture, curve.x, curve.y, style.series(number)["color"], 1.6)
        for number, run in enumerate(self.overlay.runs):
            look = style.series(number)
            self._path(axes, frame, picture, run.x, run.y, look["color"], 1.3)
            self._spots(axes, frame, picture, run.x, run.y, look["color"], look["marker"], 2.6)
            self._spots(axes, frame, picture, run.x[-1:], run.y[-1:], look["color"], look["marker"], 5.0)
        if self.overlay.points is not None:
            self._spots(axes, frame, picture, self.overlay.points.x, self.overlay.points.y, style.INK, "o", 4.5)
        if not self.overlay.covers_center and self.x[0] <= 0.0 <= self.x[-1] and self.y[0] <= 0.0 <= self.y[-1]:
            self._centre(axes, frame, picture)

    def _on_sheet(self, x, y, lift=0.004):
        """Coordinates of the plane to (right, up, depth) on the sheet, [n, 3]; NaN where it has none."""
        place = np.column_stack([self.sheet.place(x, y), self.sheet.at(x, y) + lift])
        return self.view.project(place)

    def _path(self, axes, frame, picture, x, y, color, width):
        """A path on the sheet, faint where the sheet hides it, and its shadow on the floor."""
        steps = np.hypot(np.diff(x), np.diff(y))
        along = np.concatenate(([0.0], np.cumsum(steps)))
        at = np.unique(np.concatenate([np.linspace(0.0, along[-1], 400), along]))
        x, y = np.interp(at, along, x), np.interp(at, along, y)
        if self.view.floor:
            axes.plot(*self._on_floor(x, y, frame).T, color=color, linewidth=0.6 * width * style.ZOOM,
                      zorder=3.2, alpha=0.8)
        placed = self._on_sheet(x, y)
        inches, hidden = frame.inches(placed), picture.hidden(placed)
        for seen, opacity, effects in ((False, 0.35, None), (True, 1.0, style.cased((width + 1.4) * style.ZOOM))):
            shown = np.where((hidden != seen)[:, None], inches, np.nan)
            axes.plot(*shown.T, color=color, linewidth=width * style.ZOOM, alpha=opacity, zorder=12 + seen,
                      solid_joinstyle="round", path_effects=effects)

    def _spots(self, axes, frame, picture, x, y, color, marker, size):
        placed = self._on_sheet(x, y)
        shown = ~picture.hidden(placed) & np.isfinite(placed).all(axis=1)
        axes.plot(*frame.inches(placed)[shown].T, linestyle="none", marker=marker, color=color,
                  markersize=size * style.ZOOM, markeredgecolor=style.CASING,
                  markeredgewidth=0.5 * style.ZOOM, zorder=14)

    def _centre(self, axes, frame, picture):
        """A dot on the parameters the plane was laid through, and a cross below it on the floor."""
        zero = np.zeros(1)
        if self.view.floor:
            axes.plot(*self._on_floor(zero, zero, frame).T, marker="+", color=style.INK, markersize=5 * style.ZOOM,
                      markeredgewidth=0.8 * style.ZOOM, zorder=3.5, gid="center")
        placed = self._on_sheet(zero, zero)
        if np.isfinite(placed).all() and not picture.hidden(placed)[0]:
            axes.plot(*frame.inches(placed).T, marker="o", color="white", markersize=2.8 * style.ZOOM,
                      markeredgecolor="black", markeredgewidth=0.6 * style.ZOOM, zorder=14, gid="center")


def _any_corner(mask):
    """Of every cell: whether `mask` holds at one of its corners."""
    return mask[1:, 1:] | mask[1:, :-1] | mask[:-1, 1:] | mask[:-1, :-1]


def _with_neighbours(z, holes):
    """(z with the highest of its neighbours' heights at each of the `holes`, step by step inwards;
    which points were filled)."""
    filled = np.zeros_like(holes)
    while True:
        padded = np.pad(z, 1, constant_values=np.nan)
        near = np.stack([padded[1 + i : 1 + i + z.shape[0], 1 + j : 1 + j + z.shape[1]]
                         for i in (-1, 0, 1) for j in (-1, 0, 1)])
        open_now = holes & ~filled & np.isfinite(near).any(axis=0)
        if not open_now.any():
            return z, filled
        z = np.where(open_now, np.max(np.where(np.isfinite(near), near, -np.inf), axis=0), z)
        filled |= open_now


def _patch(points, offsets, color, zorder=2.0):
    """A polygon with holes, its rings between the `offsets`."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    codes = np.full(len(points), Path.LINETO, np.uint8)
    codes[offsets[:-1]] = Path.MOVETO
    codes[np.asarray(offsets[1:]) - 1] = Path.CLOSEPOLY
    return PathPatch(Path(points, codes), facecolor=color, edgecolor=color, linewidth=0.2, zorder=zorder)


def _corners(box, low, high):
    return np.array(list(itertools.product((-box[0] / 2, box[0] / 2), (-box[1] / 2, box[1] / 2), (low, high))))


class _Frame:
    """The box around the sheet with its ticks and labels, and where all that stands on the page."""

    def __init__(self, relief, size, small):
        """`size` (width, height) is that of the place to draw in, in inches."""
        self._relief, self.size = relief, size
        self._view = relief.view
        self._tick = style.TICK - (1.0 if small else 0.5) * style.ZOOM
        self._label = style.LABEL - (2.0 if small else 1.0) * style.ZOOM
        self._short = small
        self.scale, self._origin = 1.0, np.zeros(2)
        self._choose_edges()
        self._fit()

    def inches(self, placed):
        """(right, up, …) on the page in units of the box to inches, [n, 2]."""
        return self._origin + self.scale * np.asarray(placed)[:, :2]

    def _choose_edges(self):
        """The nearest corner of the floor, and the vertical edge furthest to the left."""
        width, depth, _ = self._relief.box
        corners = np.array([(sx * width / 2, sy * depth / 2, 0.0) for sx in (-1, 1) for sy in (-1, 1)])
        placed = self._view.project(corners)
        self._near = corners[np.argmin(placed[:, 2])][:2]
        self._left = corners[np.argmin(placed[:, 0])][:2]
        self._far = -self._near

    def _fit(self):
        """The scale and origin at which box, ticks and labels fill the place, in its middle."""
        corners = self._view.project(
            _corners(self._relief.box, self._relief.floor, self._relief.box[2]))[:, :2]
        extent = np.ptp(corners, axis=0)
        self.scale = float(min(np.array(self.size) / extent)) * 0.8
        for _ in range(8):
            boxes = [self.inches(corners)] + [text.corners() for text in self._texts()]
            every = np.concatenate(boxes)
            low, high = every.min(axis=0), every.max(axis=0)
            room = high - low - self.scale * extent  # taken by texts
            self.scale = float(max(0.05, min((np.array(self.size) - room) / extent)))
            boxes = [self.inches(corners)] + [text.corners() for text in self._texts()]
            every = np.concatenate(boxes)
            self._origin += np.array(self.size) / 2 - (every.min(axis=0) + every.max(axis=0)) / 2
        self._lay_out = self._texts()

    def _edges(self):
        """(along, outward, ticks as (position in the box, text), name) of each axis: unit steps in the box."""
        relief = self._relief
        width, depth, height = relief.box
        near, left = self._near, self._left
        floor = relief.floor
        count = 3 if self._short else 5
        x, y = (style.round_ticks(axis[0], axis[-1], count) for axis in (relief.x, relief.y))
        scale = relief.scale
        values, texts = scale.ticks(4 if self._short else 6)
        low, high = scale.span
        # Outwards from the edge of z: away from the box along the face that is seen edge-on the most.
        names = [style.broken(marks.axis_label(relief.surface, n), 0.62 * self.scale * side, self._label)
                 for n, side in ((1, width), (2, depth))]
        return (
            ([((sx, near[1], floor), text) for sx, text in
              zip(np.interp(x[0], relief.x, relief.sheet.across), x[1])],
             np.array([0.0, np.sign(near[1]), 0.0]), np.array([1.0, 0.0, 0.0]), (0.0, near[1], floor), names[0]),
            ([((near[0], sy, floor), text) for sy, text in
              zip(np.interp(y[0], relief.y, relief.sheet.along), y[1])],
             np.array([np.sign(near[0]), 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), (near[0], 0.0, floor), names[1]),
            ([((*left, height * (scale.position(v) - low) / (high - low)), text)
              for v, text in zip(values, texts)],
             None, np.array([0.0, 0.0, 1.0]), None, ""),
        )

    def _texts(self):
        """Every tick label and axis label, where the box stands now."""
        self.tick_lines = []
        texts = []
        mark = 0.035 * style.ZOOM
        for ticks, outward, along, middle, name in self._edges():
            out = np.array([-1.0, 0.0]) if outward is None else self._direction(outward)
            if outward is not None and np.hypot(*out) < 1e-6:
                out = np.array([0.0, -1.0])
            # The name stands along its edge, beyond the labels of the ticks.
            slope = self._direction(along)
            beside = np.array([-slope[1], slope[0]])
            beside = beside if beside @ out > 0 else -beside
            farthest = 0.0
            for place, text in ticks:
                at = self.inches(self._view.project(np.array([place])))[0]
                label = _Text(text, self._tick, at + out * mark, out, 0.03 * style.ZOOM)
                self.tick_lines.append((at, at + out * mark))
                if any(label.meets(other) for other in texts):
                    continue
                texts.append(label)
                farthest = max(farthest, label.reach(at, beside))
            if name:
                at = self.inches(self._view.project(np.array([middle])))[0]
                texts.append(_Text(name, self._label, at + beside * farthest, beside, 0.035 * style.ZOOM, slope))
        return texts

    def _direction(self, vector):
        """The direction on the page of a direction in the box, of unit length (0 where it is seen end-on)."""
        right, up, _ = self._view.axes()
        found = np.array([vector @ right, vector @ up])
        length = np.hypot(*found)
        return found / length if length > 1e-6 else np.zeros(2)

    def draw_back(self, axes):
        """The panes behind the sheet and their grid, and the floor."""
        relief = self._relief
        width, depth, height = relief.box
        far, floor = self._far, relief.floor
        grid = dict(color=style.FAINT, linewidth=0.5 * style.ZOOM, zorder=1.5)
        panes = [  # the floor, and the two walls that stand behind
            [(-1, -1, floor), (1, -1, floor), (1, 1, floor), (-1, 1, floor)],
            [(far[0] / width * 2, -1, 0), (far[0] / width * 2, 1, 0), (far[0] / width * 2, 1, height),
             (far[0] / width * 2, -1, height)],
            [(-1, far[1] / depth * 2, 0), (1, far[1] / depth * 2, 0), (1, far[1] / depth * 2, height),
             (-1, far[1] / depth * 2, height)],
        ]
        for pane in panes:
            placed = np.array([(sx * width / 2, sy * depth / 2, z) for sx, sy, z in pane])
            axes.add_patch(_patch(np.vstack([self.inches(self._view.project(placed)), [[0, 0]]]), [0, 5],
                                  style.PANE, 1.0))
        x_ticks, y_ticks, z_ticks = (edge[0] for edge in self._edges())
        segments = []
        for (x, _, _), _ in x_ticks:
            segments.append([(x, far[1], 0.0), (x, far[1], height)])
        for (_, y, _), _ in y_ticks:
            segments.append([(far[0], y, 0.0), (far[0], y, height)])
        for (_, _, z), _ in z_ticks:
            segments.append([(far[0], -depth / 2, z), (far[0], depth / 2, z)])
            segments.append([(-width / 2, far[1], z), (width / 2, far[1], z)])
        if not self._view.floor:
            segments += [[(x, -depth / 2, 0.0), (x, depth / 2, 0.0)] for (x, _, _), _ in x_ticks]
            segments += [[(-width / 2, y, 0.0), (width / 2, y, 0.0)] for (_, y, _), _ in y_ticks]
        axes.add_collection(LineCollection(self._placed(segments), **grid), autolim=False)

    def _placed(self, segments):
        return [self.inches(self._view.project(np.array(segment))) for segment in segments]

    def draw_front(self, axes):
        """Edges with ticks, tick labels and axis labels."""
        relief = self._relief
        width, depth, height = relief.box
        near, left, floor = self._near, self._left, relief.floor
        edges = [[(-width / 2, near[1], floor), (width / 2, near[1], floor)],
                 [(near[0], -depth / 2, floor), (near[0], depth / 2, floor)],
                 [(*left, 0.0), (*left, height)]]
        lines = dict(color=style.INK, linewidth=0.6 * style.ZOOM)
        axes.add_collection(LineCollection(self._placed(edges), zorder=4, **lines), autolim=False)
        axes.add_collection(LineCollection(self.tick_lines, zorder=4, **lines), autolim=False)
        for text in self._lay_out:
            text.write(axes)


class _Text:
    """A text beside a place: off it in the direction `out` by `gap` inches, level or along `slope`."""

    def __init__(self, text, size, at, out, gap, slope=None):
        self.text, self.size = text, size
        lines = text.split("\n")
        self._width = max(style.text_width(line, size) for line in lines)
        self._height = (1.2 * len(lines) - 0.2) * size / 72
        slope = np.array([1.0, 0.0]) if slope is None else slope
        if slope[0] < -1e-6 or (abs(slope[0]) <= 1e-6 and slope[1] < 0):
            slope = -slope
        self.angle = math.degrees(math.atan2(slope[1], slope[0]))
        self._axes = np.array([slope, (-slope[1], slope[0])])  # unit vectors along and across the text
        half = 0.5 * (abs(out @ self._axes[0]) * self._width + abs(out @ self._axes[1]) * self._height)
        self.center = at + out * (gap + half)

    def corners(self):
        """[4, 2] inches."""
        along, across = self._axes[0] * self._width / 2, self._axes[1] * self._height / 2
        return self.center + np.array([along + across, along - across, -along + across, -along - across])

    def meets(self, other):
        """Whether the boxes around both overlap or nearly do."""
        (a, b), (c, d) = ((text.corners().min(axis=0), text.corners().max(axis=0)) for text in (self, other))
        return bool((a < d + 0.02).all() and (c < b + 0.02).all())

    def reach(self, at, out):
        """How far it goes from `at` in the direction `out`."""
        return float(((self.corners() - at) @ out).max())

    def write(self, axes):
        axes.text(*self.center, self.text, fontsize=self.size, rotation=self.angle, rotation_mode="anchor",
                  ha="center", va="center", zorder=15, parse_math=False, linespacing=1.2)
