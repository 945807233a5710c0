"""Values written on contour lines."""

import numpy as np

from . import style
from .scales import labels

MOST_LABELS = 26
MOST_TRIED = 80  # lines, the longest: a noisy surface has thousands


def label_lines(axes, scale, taken=()):
    """Writes values on the contours: straight stretches first, never at the frame, on each other or on
    the places that are `taken` (pixels)."""
    lines = _contours(axes)
    if lines is None:
        return
    texts = dict(zip(lines.levels, labels([10.0**v if scale.log else v for v in lines.levels],
                                          scale.log)))
    dpi = axes.figure.dpi
    frame = axes.get_window_extent()
    size = 0.94 * style.NOTE
    places = [(spot, 0.09 * style.ZOOM * dpi) for spot in taken]  # (centre in pixels, radius)
    center = axes.transData.transform((0.0, 0.0))
    places.append((center, 0.10 * dpi))
    chosen = []
    paths = _longest_first(lines, axes)
    room = _Room([path for _, path in paths], frame, 0.02 * dpi)
    for index, (level, path) in enumerate(paths[:MOST_TRIED]):
        radius = 0.5 * dpi * style.text_width(texts[level], size) + 0.02 * dpi
        if len(chosen) == MOST_LABELS:
            break
        spot = _spot(path, radius, frame, places, lambda at: room.free(at, index))
        if spot is not None:
            places.append((spot, radius))
            chosen.append(axes.transData.inverted().transform(spot))
    if chosen:
        written = lines.clabel(lines.levels, inline=True, inline_spacing=2, fontsize=size, zorder=4,
                               colors=getattr(lines, "label_colors", None), fmt=texts, manual=[tuple(c) for c in chosen])
        for text in lines.labelTexts if written is None else written:
            text.set_parse_math(False)
            text.set_alpha(1.0)  # not that of the lines


def _longest_first(lines, axes):
    """(level, [n, 2] pixels) of every connected line, long ones first."""
    found = []
    for level, segments in zip(lines.levels, lines.allsegs):
        for segment in segments:
            if len(segment) > 1:
                path = axes.transData.transform(segment)
                found.append((np.hypot(*np.diff(path, axis=0).T).sum(), level, path))
    found.sort(key=lambda item: -item[0])
    return [(level, path) for _, level, path in found]


class _Room:
    """Which lines pass where, on squares of `step` pixels: the least and the largest index."""

    CLEARANCE = 3  # squares

    def __init__(self, paths, frame, step):
        self._corner, self._step = np.array([frame.x0, frame.y0]), step
        margin = 2 * self.CLEARANCE + 2
        shape = (int(frame.width / step) + margin, int(frame.height / step) + margin)
        self._least = np.full(shape, len(paths))
        self._largest = np.full(shape, -1)
        for index, path in enumerate(paths):
            i, j = self._squares(_resampled(path, step)).T
            self._least[i, j] = np.minimum(self._least[i, j], index)
            self._largest[i, j] = index  # indices rise

    def _squares(self, points):
        squares = ((points - self._corner) / self._step).astype(int) + self.CLEARANCE
        return np.clip(squares, 0, np.array(self._least.shape) - 1)

    def free(self, points, index):
        """Whether no line but `index` passes near `points` [n, 2]."""
        near = self.CLEARANCE
        for i, j in self._squares(points):
            window = np.s_[max(i - near, 0) : i + near + 1, max(j - near, 0) : j + near + 1]
            if (self._least[window] < index).any() or (self._largest[window] > index).any():
                return False
        return True


def _resampled(path, step):
    """Points along `path` at most `step` apart."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))))
    at = np.linspace(0.0, along[-1], int(along[-1] / step) + 2)
    return np.stack([np.interp(at, along, path[:, i]) for i in (0, 1)], axis=1)


def _spot(path, radius, frame, places, has_room):
    """The point of `path` where a label of that half-width reads best, or None; all in pixels."""
    steps = np.hypot(*np.diff(path, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    if along[-1] < 6 * radius:
        return None
    at = np.arange(radius, along[-1] - radius, 0.5 * radius)
    point, before, after = (
        np.stack([np.interp(at + shift, along, path[:, i]) for i in (0, 1)], axis=1)
        for shift in (0.0, -radius, radius)
    )
    edge = 1.6 * radius  # a label, its gap, and a bit of line to either side
    free = (
        (point[:, 0] > frame.x0 + edge) & (point[:, 0] < frame.x1 - edge)
        & (point[:, 1] > frame.y0 + edge) & (point[:, 1] < frame.y1 - edge)
    )
    bend = 1.0 - np.hypot(*(after - before).T) / (2 * radius)
    slope = np.abs(after - before)[:, 1] / (np.hypot(*(after - before).T) + 1e-9)
    crowd = np.zeros(len(at))
    for spot, other in places:
        away = np.hypot(*(point - spot).T)
        free &= away > 1.25 * (radius + other)
        crowd += np.exp(-away / (6 * radius))
    free &= bend < 0.12
    for i in np.flatnonzero(free):
        free[i] = has_room(np.stack(
            [point[i], 0.5 * (point[i] + before[i]), 0.5 * (point[i] + after[i])]
        ))
    if not free.any():
        return None
    cost = np.where(free, 4.0 * bend + 0.35 * slope + 0.25 * crowd, np.inf)
    return point[int(np.argmin(cost))]


def _contours(axes):
    """The contour lines drawn on `axes`, or None."""
    return next((c for c in axes.collections if hasattr(c, "add_label_near") and not c.filled), None)
