"""A height field seen from a point at infinite distance, as an image: hidden parts, light and lines exact
to the pixel.

In such a view every column of pixels looks along one straight line over the plane. Each column is
sampled along its line from front to back; between two samples the sheet covers an interval of the
column, and the frontmost interval is what is seen. Heights are bilinear within the cells of the grid
(no value is invented beyond that); the light uses slopes interpolated between the grid's points, so
that it changes smoothly and the grid does not show.
"""

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

FINER = 2  # samples a pixel along each axis
MOST_SAMPLES = 1400  # along one line
STRIP = 64  # columns of pixels: what is computed of them stays in the cache
DIRECTIONS = 16  # in which the sky is looked for
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.60, 0.62, 0.10, 22
SIDES = (-57.0, 33.0, 123.0, -147.0)  # degrees: from where a sheet may be looked at, the usual one first
ELEVATIONS = (30.0, 40.0, 50.0, 60.0)  # the same: as low as shows what matters
AROUND, SEEN = 0.08, 0.9  # the radius around what a reader looks for, the longer side being 1, and how much of it must be seen
UNDERSIDE = 1.15  # of the light there is on the upper side
BEYOND = 1000.0  # times the span that a value may lie beyond the limits, and count as such
PALE = 0.55  # what is left of a colour where the values are guesses


@dataclass(frozen=True)
class View:
    """The direction of the eye, in degrees, and what is drawn."""

    elev: float | None = None  # None: to be chosen (best_view)
    azim: float | None = None
    floor: bool = True

    def axes(self):
        """Unit vectors of the box to the right and upwards on the page, and (x, y) away from the eye."""
        e, a = math.radians(self.elev), math.radians(self.azim)
        right = np.array([-math.sin(a), math.cos(a), 0.0])
        up = np.array([-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e)])
        return right, up, np.array([-math.cos(a), -math.sin(a)])

    def project(self, points):
        """[n, 3] of the box to (right, up, depth) on the page, [n, 3], in units of the box."""
        right, up, away = self.axes()
        return np.stack([points @ right, points @ up, points[:, :2] @ away], axis=1)


class Sheet:
    """The heights of a grid as a sheet in a box: x and y in [-w/2, w/2], [-d/2, d/2], z in [0, h]."""

    def __init__(self, x, y, z, span, box):
        """`z` [ny, nx] in drawing units, NaN where there is none. What lies beyond `span` (low, high) is cut off level:
        between a point within and one beyond, where the limit is crossed."""
        self.x, self.y, self.z = (np.asarray(a, np.float64) for a in (x, y, z))
        self.is_whole = bool(np.isfinite(self.z).all())
        self.low, self.high = span
        self.box = box
        self.across = _scaled(self.x, box[0])
        self.along = _scaled(self.y, box[1])
        share = (self.z - self.low) / (self.high - self.low)
        self.share = np.clip(share, -BEYOND, 1.0 + BEYOND)  # [ny, nx], of the span
        self.height = box[2] * np.clip(share, 0.0, 1.0)  # of the box
        steep = box[2] * np.clip(share, -1.0, 2.0)
        self.slopes = (_slope(steep.T, self.across).T, _slope(steep, self.along))

    def place(self, x, y):
        """Coordinates of the plane to the box's, [n, 2]; NaN outside."""
        return np.stack([_placed(x, self.x, self.across), _placed(y, self.y, self.along)], axis=-1)

    def at(self, x, y):
        """Heights in the box at coordinates of the plane; NaN where there is none."""
        row, column = (np.interp(v, axis, np.arange(len(axis))) for v, axis in ((y, self.y), (x, self.x)))
        return self.heights(Bilinear(row, column, self.z.shape))

    def heights(self, place):
        """In the box, at places between the grid's points."""
        return self.box[2] * np.clip(place(self.share), 0.0, 1.0)

    def on(self, x, y, lift=0.004):
        """Places on the sheet, a little above it, at coordinates of the plane: [n, 3] of the box."""
        return np.column_stack([self.place(x, y), self.at(x, y) + lift])

    def sights(self, ends):
        """What a reader looks for: its centre, its lowest point, and the `ends` [(x, y)] of paths; of each the places
        on the sheet around it, [n, 3]."""
        lowest = np.unravel_index(np.argmin(np.where(np.isfinite(self.z), self.z, np.inf)), self.z.shape)
        centre = [np.abs(axis).argmin() for axis in (self.y, self.x)]
        places = []
        ends = [(np.abs(self.y - y).argmin(), np.abs(self.x - x).argmin()) for x, y in ends]
        for row, column in (lowest, centre, *ends):
            away = np.hypot(self.along[:, None] - self.along[row], self.across - self.across[column])
            rows, columns = np.nonzero((away <= AROUND) & np.isfinite(self.z))
            places.append(self.on(self.x[columns], self.y[rows]))
        return places

    def bounds(self, view):
        """(left, right, bottom, top) of its box on the page."""
        placed = view.project(corners_of(self.box, 0.0, self.box[2]))
        return placed[:, 0].min(), placed[:, 0].max(), placed[:, 1].min(), placed[:, 1].max()


def _placed(values, axis, across):
    slack = 1e-9 * (axis[-1] - axis[0])
    return np.where((values >= axis[0] - slack) & (values <= axis[-1] + slack), np.interp(values, axis, across), np.nan)


class Bilinear:
    """Interpolation at fractional rows and columns of a grid."""

    def __init__(self, row, column, shape):
        ny, nx = shape
        i = np.clip(row.astype(np.int32), 0, ny - 2)
        j = np.clip(column.astype(np.int32), 0, nx - 2)
        self.cell = i * (nx - 1) + j  # of the grid's cells
        self._corner = i * nx + j
        self._nx = nx
        self._u, self._v = (column - j).astype(np.float32), (row - i).astype(np.float32)

    def __call__(self, values):
        flat = np.ascontiguousarray(values, np.float32).ravel()
        a, b = flat[self._corner], flat[self._corner + 1]
        c, d = flat[self._corner + self._nx], flat[self._corner + self._nx + 1]
        low = a + self._u * (b - a)
        return low + self._v * (c + self._u * (d - c) - low)


@dataclass
class Strip:
    """What is seen in some columns of pixels."""

    pixel: np.ndarray  # [n] int, row * columns + column, row 0 at the bottom
    depth: np.ndarray  # [n], away from the eye
    place: Bilinear  # of the sheet, [n]
    over: np.ndarray  # [n] bool: whether the upper side is seen


class Picture:
    """What is seen of a sheet: for every pixel the place on the sheet, or nothing."""

    def __init__(self, sheet, view, bounds, pixels):
        """`bounds` (left, right, bottom, top) on the page in units of the box, `pixels` an inch of it."""
        self.sheet, self.view = sheet, view
        left, right, bottom, top = bounds
        fine = FINER * pixels
        self.columns = max(FINER, FINER * math.ceil((right - left) * pixels))
        self.rows = max(FINER, FINER * math.ceil((top - bottom) * pixels))
        self.bounds = (left, left + self.columns / fine, bottom, bottom + self.rows / fine)
        self._fine, self._left, self._bottom = fine, left, bottom
        self._see()

    def _see(self):
        """Finds, for each pixel, the frontmost point of the sheet."""
        right, _, away = self.view.axes()
        across = self._left + (np.arange(self.columns) + 0.5) / self._fine
        start, end = _inside(self.sheet, across, right[:2], away)
        seen = np.flatnonzero(end > start)
        lines = np.stack([across, start, end])[:, seen]
        parts = range(0, len(seen), STRIP)
        self.strips = _on_threads(lambda k: self._strip(seen[k : k + STRIP], *lines[:, k : k + STRIP]), parts)

    def _strip(self, seen, across, start, end):
        """The columns of pixels `seen`, whose lines lie at `across` and enter and leave the plane at depths."""
        sheet, fine = self.sheet, self._fine
        _, up, away = self.view.axes()
        count = int(min(MOST_SAMPLES, max(4 * max(sheet.z.shape), 1.2 * fine * abs(up[:2] @ away) + 300)))
        share = np.linspace(0.0, 1.0, count)[:, None]
        depth = start + (end - start) * share  # [count, columns], front to back
        height = sheet.heights(self._lookup(across, depth))
        level = up[2] * height + (up[:2] @ away) * depth
        position = (level - self._bottom) * fine - 0.5  # in rows of pixels
        a, b = position[:-1], position[1:]
        known = np.isfinite(a) & np.isfinite(b)
        low = np.where(known, np.minimum(a, b), 0.0)
        high = np.where(known, np.maximum(a, b), 0.0)
        first = np.clip(np.ceil(low), 0, self.rows).astype(np.int32)
        covered = np.clip(np.ceil(high), 0, self.rows).astype(np.int32) - first
        # From back to front, so that what is assigned last is in front.
        first, covered = first[::-1].ravel(), covered[::-1].ravel()
        which = np.repeat(np.arange(len(first), dtype=np.int32), covered)
        offset = np.arange(len(which), dtype=np.int32) - np.repeat(
            (np.cumsum(covered) - covered).astype(np.int32), covered)
        row = first[which] + offset
        front = np.full(self.rows * len(seen), -1, np.int32)
        front[row * len(seen) + which % len(seen)] = which
        cell = np.flatnonzero(front >= 0)
        which = front[cell]
        row, column = np.divmod(cell, len(seen))
        step = count - 2 - which // len(seen)
        a, b = position[step, column], position[step + 1, column]
        part = np.clip((row - a) / np.where(b == a, 1.0, b - a), 0.0, 1.0)
        depth = depth[step, column] + part * (depth[step + 1, column] - depth[step, column])
        over, place = b >= a, self._lookup(across[column], depth)
        if not sheet.is_whole:  # two samples on the sheet may have a corner of a hole between them
            on = np.isfinite(sheet.heights(place))
            row, column, depth, over = row[on], column[on], depth[on], over[on]
            place = self._lookup(across[column], depth)
        return Strip(row * self.columns + seen[column], depth, place, over)

    def _lookup(self, across, depth):
        """The interpolation at places given by their column's coordinate and their depth."""
        sheet = self.sheet
        right, _, away = self.view.axes()
        x = across * right[0] + depth * away[0]
        y = across * right[1] + depth * away[1]
        column = np.interp(x, sheet.across, np.arange(len(sheet.across)))
        row = np.interp(y, sheet.along, np.arange(len(sheet.along)))
        return Bilinear(row, column, sheet.z.shape)

    def image(self, cmap, levels, line, pale):
        """RGBA [rows, columns, 4] as uint8, top row first. Contours run at `levels`, each a `line` (colour,
        pixels, opacity); the cells `pale` [ny - 1, nx - 1] are drawn paler."""
        table = (cmap(np.linspace(0.0, 1.0, 2048))[:, :3] ** 2.2).astype(np.float32)  # light adds linearly
        levels = np.sort((np.asarray(levels, np.float64) - self.sheet.low) / (self.sheet.high - self.sheet.low))
        sky = _open_sky(self.sheet)
        fine = np.zeros((self.rows * self.columns, 4), np.float32)

        def paint(strip):
            color = self._color(strip, table, sky, levels, line)
            cell = strip.place.cell
            fine[strip.pixel, :3] = np.where(pale.ravel()[cell][:, None], 1.0 - PALE * (1.0 - color), color)
            fine[strip.pixel, 3] = 1.0

        _on_threads(paint, self.strips)
        fine = fine.reshape(self.rows // FINER, FINER, self.columns // FINER, FINER, 4).mean(axis=(1, 3))
        alpha = fine[..., 3:]
        fine[..., :3] /= np.maximum(alpha, 1e-6)
        return np.round(255 * fine[::-1]).astype(np.uint8)

    def _color(self, strip, table, sky, levels, line):
        """Of each pixel, lit and with its contours, [n, 3]. `levels` are shares of the span."""
        sheet = self.sheet
        share = strip.place(sheet.share)
        color = table[np.clip(share * 2047.0, 0, 2047).astype(np.int32)]
        cut = (share < 0.0) | (share > 1.0)
        slopes = [np.where(cut, np.float32(0.0), strip.place(slope)) for slope in sheet.slopes]
        color = self._lit(color, *slopes, strip.place(sky), strip.over)
        color = np.clip(color, 0.0, 1.0) ** np.float32(1 / 2.2)
        return self._lines(color, share, *slopes, levels.astype(np.float32), line) if len(levels) else color

    def _lit(self, color, dx, dy, sky, over):
        """Light from the sky, as much of it as is not hidden by higher parts, and from one lamp. A level part
        in the open keeps its colour."""
        e, a = math.radians(self.view.elev), math.radians(self.view.azim)
        lamp = _towards(math.radians(50.0), a - math.radians(70.0))  # over the reader's left shoulder
        half = lamp + _towards(max(e, 0.1), a)
        half /= np.linalg.norm(half)
        length = np.sqrt(1.0 + dx * dx + dy * dy)
        side = np.where(over, 1.0, -1.0).astype(np.float32)

        def towards(vector):
            return side * (vector[2] - vector[0] * dx - vector[1] * dy) / length

        ambient = AMBIENT * sky * (0.72 + 0.28 * np.clip(side / length, -1.0, 1.0))
        light = ambient + DIFFUSE * np.clip(towards(lamp), 0.0, 1.0) * (0.35 + 0.65 * sky)
        light *= np.where(over, 1.0, UNDERSIDE)
        level = AMBIENT + DIFFUSE * lamp[2]  # what falls on a level part that sees all of the sky
        shine = SPECULAR * sky * (np.clip(towards(half), 0.0, 1.0) ** SHININESS - half[2] ** SHININESS)
        return color * (light / level)[:, None] + np.maximum(shine, 0.0)[:, None]

    def _lines(self, color, value, dx, dy, levels, line):
        """Contour lines of even width on the page."""
        ink, width, opacity = line
        right, up, away = self.view.axes()
        along = dx * away[0] + dy * away[1]
        across = dx * right[0] + dy * right[1]
        tilt = np.abs((up[:2] @ away) + up[2] * along) + 1e-6
        steep = np.sqrt(along**2 + (across * (up[:2] @ away)) ** 2) / tilt / self.sheet.box[2] / self._fine  # a pixel
        nearest = np.clip(np.searchsorted(levels, value), 1, max(1, len(levels) - 1))
        away_from = np.abs(value - levels[np.minimum(nearest, len(levels) - 1)])
        away_from = np.minimum(away_from, np.abs(value - levels[nearest - 1]))
        gap = float(np.median(np.diff(levels))) if len(levels) > 1 else 1.0
        share = np.clip(0.5 + 0.5 * FINER * width - away_from / np.maximum(steep, 1e-12), 0.0, 1.0)
        share *= np.clip(1.5 - 4.0 * FINER * width * steep / gap, 0.0, 1.0)  # where lines would merge
        share = (opacity * share)[:, None].astype(np.float32)
        return color * (1.0 - share) + share * np.asarray(ink, np.float32)

    def upper(self):
        """How much of the page the sheet's upper side takes, as a share of the plane's own area."""
        return float(sum(strip.over.sum() for strip in self.strips) / self._fine**2 / (self.sheet.box[0] * self.sheet.box[1]))

    def hidden(self, points):
        """Whether the sheet hides these points [n, 3] of the page (right, up, depth)."""
        if not hasattr(self, "_depths"):
            self._depths = np.full(self.rows * self.columns, np.inf, np.float32)
            for strip in self.strips:
                self._depths[strip.pixel] = strip.depth
        column, row = (np.nan_to_num((points[:, i] - start) * self._fine, nan=-1.0).astype(int)
                       for i, start in enumerate((self._left, self._bottom)))
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        place = np.where(inside, row * self.columns + column, 0)
        near = self._depths[place] < points[:, 2] - 0.02
        return inside & near


def best_view(scenes, view):
    """`view` with the angles that it leaves open: of the lowest elevation at which centre, minimum and ends of paths of
    all `scenes`, (sheet, paths [(x, y)]), are seen, the azimuth from which most is seen; the usual one if in doubt."""
    sides = SIDES if view.azim is None else (view.azim,)
    elevations = ELEVATIONS if view.elev is None else (view.elev,)
    for elev in elevations:
        views = [replace(view, elev=elev, azim=azim) for azim in sides]
        if len(elevations) * len(sides) == 1:
            return views[0]
        much, middle = np.mean([[shown(*scene, each) for each in views] for scene in scenes], axis=0).T
        if middle.max() >= SEEN or elev == elevations[-1]:
            much = np.where(middle >= min(SEEN, middle.max()), much, -np.inf)
            best = int(np.argmax(much))
            return views[best if much[best] > much[0] + 0.02 else 0]


def shown(sheet, paths, view):
    """(How much of the sheet's upper side is seen, and, where paths run on it, of these; what share of the sight that is hidden most.)"""
    picture = Picture(sheet, view, sheet.bounds(view), 60)
    hidden = [np.mean(picture.hidden(view.project(sheet.on(*finely(x, y, 100))))) for x, y in paths]
    sights = sheet.sights([(x[-1], y[-1]) for x, y in paths])
    found = 1.0 - max(float(np.mean(picture.hidden(view.project(sight)))) for sight in sights if len(sight))
    return picture.upper() + (1.0 - float(np.mean(hidden)) if paths else 0.0), found


def corners_of(box, low, high):
    """[8, 3]."""
    return np.array(list(itertools.product((-box[0] / 2, box[0] / 2), (-box[1] / 2, box[1] / 2), (low, high))))


def finely(x, y, count):
    """The same path with about `count` points more along it."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
    at = np.unique(np.concatenate([np.linspace(0.0, along[-1], count), along]))
    return np.interp(at, along, x), np.interp(at, along, y)


def _on_threads(function, items):
    """The results for all items, in their order. NumPy works without the interpreter's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _scaled(points, length):
    """Coordinates of the plane in the box."""
    return length * ((points - points[0]) / (points[-1] - points[0]) - 0.5)


def _slope(z, points):
    """Slope along the first axis: the mean of the two sides, or the one there is; else 0."""
    side = np.diff(z, axis=0) / np.diff(points)[:, None]
    known = np.isfinite(side)
    side = np.where(known, side, 0.0)
    total, count = np.zeros(z.shape), np.zeros(z.shape)
    for rows in (slice(None, -1), slice(1, None)):
        total[rows] += side
        count[rows] += known
    return total / np.maximum(count, 1)


def _inside(sheet, across, right, away):
    """Where the line of each column enters and leaves the plane, as depths."""
    start, end = np.full(len(across), -np.inf), np.full(len(across), np.inf)
    for i in (0, 1):
        half = sheet.box[i] / 2
        if abs(away[i]) < 1e-9:
            outside = np.abs(across * right[i]) > half
            start, end = np.where(outside, 1.0, start), np.where(outside, 0.0, end)
            continue
        a, b = ((sign * half - across * right[i]) / away[i] for sign in (-1.0, 1.0))
        start, end = np.maximum(start, np.minimum(a, b)), np.minimum(end, np.maximum(a, b))
    return start, end


def _towards(elevation, azimuth):
    return np.array([math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth),
                     math.sin(elevation)])


def _open_sky(sheet):
    """The share of the sky that each grid point sees, [ny, nx]: 1 on a peak, less in a valley.

    In each direction the highest angle under which another point stands is looked for, at distances
    that double.
    """
    height = np.where(np.isfinite(sheet.height), sheet.height, np.nanmin(sheet.height))
    rows, columns = np.indices(height.shape)
    x, y = sheet.across[columns], sheet.along[rows]
    sky = np.zeros(height.shape)
    for angle in 2 * math.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        highest = np.zeros(height.shape)
        for distance in (0.03, 0.06, 0.12, 0.2, 0.3, 0.45, 0.65):
            px, py = x + distance * math.cos(angle), y + distance * math.sin(angle)
            inside = (np.abs(px) <= sheet.box[0] / 2) & (np.abs(py) <= sheet.box[1] / 2)
            column = np.interp(px, sheet.across, np.arange(len(sheet.across)))
            row = np.interp(py, sheet.along, np.arange(len(sheet.along)))
            rise = (Bilinear(row, column, height.shape)(height) - height) / distance
            highest = np.where(inside, np.maximum(highest, rise), highest)
        sky += 1.0 / (1.0 + highest**2)  # cos² of the horizon's angle: the sky above it
    return sky / DIRECTIONS
