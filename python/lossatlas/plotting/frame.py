"""The box around a sheet in 3D: where it stands on the page, its panes, grid, ticks and labels."""

import math

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from . import marks, style
from .errors import WordsError
from .raster import corners_of

SMALL = 2.6  # inches: a place below that has smaller text and fewer ticks
LEAST = 0.45  # inches: the box on the page
KEPT = 0.72  # of the size that the box has without names of its axes: the least with them
HALF = 0.5  # of the size that the box has without the labels of the heights: the least with them
OVER = 0.05  # inches that a text may stand over the edge
BARE, NO_HEIGHTS = 3, 4  # the forms without names of the axes, and without labels of the heights too


def patch(points, offsets, color, zorder=2.0):
    """A polygon with holes, its rings between the `offsets`."""
    codes = np.full(len(points), Path.LINETO, np.uint8)
    codes[offsets[:-1]] = Path.MOVETO
    codes[np.asarray(offsets[1:]) - 1] = Path.CLOSEPOLY
    return PathPatch(Path(points, codes), facecolor=color, edgecolor=color, linewidth=0.2, zorder=zorder)


class Frame:
    """The box around the sheet with its ticks and labels, and where all that stands on the page."""

    def __init__(self, relief, size, small, place=None):
        """`size` (width, height) is that of the place to draw in, in inches; `place` the scale, origin and form
        of the axes' names, None: so that it is filled."""
        self._relief, self.size = relief, size
        self._view = relief.view
        small = small or size[0] < SMALL * style.ZOOM
        self._tick = style.TICK - (1.0 if small else 0.5) * style.ZOOM
        self._label = style.LABEL - (2.0 if small else 1.0) * style.ZOOM
        self._short = small
        self._choose_edges()
        if place is None:
            self._fit_names()
        else:
            self.scale, self._origin, self.form = place
            self.texts = self._texts()

    def inches(self, placed):
        """(right, up, …) on the page in units of the box to inches, [n, 2]."""
        return self._origin + self.scale * np.asarray(placed)[:, :2]

    def _choose_edges(self):
        """The nearest corner of the floor, and the vertical edge furthest to the left."""
        width, depth, _ = self._relief.box
        floor = np.array([(sx * width / 2, sy * depth / 2, 0.0) for sx in (-1, 1) for sy in (-1, 1)])
        placed = self._view.project(floor)
        self._near = floor[np.argmin(placed[:, 2])][:2]
        self._left = floor[np.argmin(placed[:, 0])][:2]
        self._far = -self._near

    def _fit_names(self):
        """Fits with the longest names of the axes that leave the box its size and each other room; without the
        labels of the heights, which the colour bar has as well, where they would take too much."""
        self._fit(NO_HEIGHTS)
        full = self.scale
        self._fit(BARE)
        least = KEPT * self.scale
        for form in range(NO_HEIGHTS) if least > HALF * full else ():
            self._fit(form)
            if self.scale >= least and self._reads_well():
                return
        self._fit(NO_HEIGHTS)
        if self.scale * np.ptp(self._corners()[:, 0]) < LEAST or not self._reads_well():
            raise WordsError(f"{self.size[0]:.2g} x {self.size[1]:.2g} inches leave no room for a surface in 3D")

    def _reads_well(self):
        """Whether all texts are in their place, and no name of an axis meets another text or has more than two lines."""
        corners = np.concatenate([text.corners() for text in self.texts])
        names = [text for text in self.texts if text.is_name]
        inside = (corners > -OVER).all() and (corners < np.array(self.size) + OVER).all()
        return inside and not any(
            name.text.count("\n") > 1 or any(name.meets(other) for other in self.texts if other is not name)
            for name in names)

    def _corners(self):
        """Of the box, [8, 2], in its units on the page."""
        return self._view.project(corners_of(self._relief.box, self._relief.floor, self._relief.box[2]))[:, :2]

    def _fit(self, form):
        """The scale and origin at which box, ticks and labels fill the place, in its middle."""
        self.form, self._origin = form, np.zeros(2)
        corners = self._corners()
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
        self.texts = self._texts()

    def _edges(self):
        """Of x, y and z: (ticks as (place in the box, text), the direction outwards, the axis' own, its middle,
        its name); directions are unit vectors in the box."""
        relief = self._relief
        width, depth, height = relief.box
        near, left = self._near, self._left
        floor = relief.floor
        count = 3 if self._short else 5
        x, y = (style.round_ticks(axis[0], axis[-1], count) for axis in (relief.x, relief.y))
        scale = relief.scale
        values, texts = scale.ticks(4 if self._short else 6)
        texts = [""] * len(texts) if self.form == NO_HEIGHTS else texts
        low, high = scale.span
        names = [self._name(marks.axis_label(relief.surface, n), 0.62 * self.scale * side)
                 for n, side in ((1, width), (2, depth))]
        across = np.interp(x[0], relief.sheet.x, relief.sheet.across)
        deep = np.interp(y[0], relief.sheet.y, relief.sheet.along)
        heights = [height * (scale.position(value) - low) / (high - low) for value in values]
        return (
            ([((at, near[1], floor), text) for at, text in zip(across, x[1])],
             np.array([0.0, np.sign(near[1]), 0.0]), np.array([1.0, 0.0, 0.0]), (0.0, near[1], floor), names[0]),
            ([((near[0], at, floor), text) for at, text in zip(deep, y[1])],
             np.array([np.sign(near[0]), 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), (near[0], 0.0, floor), names[1]),
            ([((*left, at), text) for at, text in zip(heights, texts)],
             None, np.array([0.0, 0.0, 1.0]), None, ""),  # to the left; the colour bar names it
        )

    def _name(self, label, length):
        """An axis label in lines of that length in inches: whole, without its unit, in fewest words, or none. The share
        of the variance, which stands nowhere else, is kept with the words."""
        what, _, unit = label.partition(" (")
        share = f" ({unit.removesuffix(' of variance)')})" if unit.endswith("% of variance)") else ""
        short = what.removeprefix("multiples of ").replace("principal ", "")
        label = "" if self.form in (BARE, NO_HEIGHTS) else (label, what + share, short + share)[self.form]
        longest = max(style.text_width(word, self._label) for word in label.split(" "))
        return style.broken(label, max(length, longest), self._label)

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
                texts.append(_Text(name, self._label, at + beside * farthest, beside, 0.035 * style.ZOOM,
                                   slope))
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
        side, back = np.sign(far)
        panes = [  # the floor, and the two walls that stand behind
            [(-1, -1, floor), (1, -1, floor), (1, 1, floor), (-1, 1, floor)],
            [(side, -1, 0), (side, 1, 0), (side, 1, height), (side, -1, height)],
            [(-1, back, 0), (1, back, 0), (1, back, height), (-1, back, height)],
        ]
        for pane in panes:
            placed = np.array([(x * width / 2, y * depth / 2, z) for x, y, z in pane])
            outline = np.vstack([self.inches(self._view.project(placed)), [[0, 0]]])
            axes.add_patch(patch(outline, [0, 5], style.PANE, 1.0))
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
        for text in self.texts:
            text.write(axes)


class _Text:
    """A text beside a place: off it in the direction `out` by `gap` inches, level or along `slope`."""

    def __init__(self, text, size, at, out, gap, slope=None):
        self.text, self.size, self.is_name = text, size, slope is not None
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
        along, across = self._axes[0] * self._width / 2, self._axes[1] * self._height / 2
        self._corners = self.center + np.array([along + across, along - across, -along + across, -along - across])

    def corners(self):
        """[4, 2] inches."""
        return self._corners

    def meets(self, other):
        """Whether both overlap or nearly do: whether no side of one has the other beyond it."""
        for side in (*self._axes, *other._axes):
            a, b = (text.corners() @ side for text in (self, other))
            if a.min() >= b.max() + 0.02 or b.min() >= a.max() + 0.02:
                return False
        return True

    def reach(self, at, out):
        """How far it goes from `at` in the direction `out`."""
        return float(((self.corners() - at) @ out).max())

    def write(self, axes):
        axes.text(*self.center, self.text, fontsize=self.size, rotation=self.angle, rotation_mode="anchor",
                  ha="center", va="center", zorder=15, parse_math=False, linespacing=1.2)
