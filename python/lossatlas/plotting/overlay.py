"""What is drawn over a plane: trajectories, marked checkpoints and curves."""

import itertools
import math

import numpy as np

from . import marks, scales, style, wording

MOST_EPOCHS = 8  # labelled on one trajectory
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
WHERE = tuple((math.cos(a), math.sin(a)) for a in np.radians((20, 160, -25, 205, 70, 110, -70, 250)))


class Overlay:
    """The marks of a surface file."""

    def __init__(self, surface, name="", projections=()):
        """`name` of the value that is drawn; `projections` as of marks.runs."""
        self.name = name
        self.runs, self.points, self.curves = marks.runs(surface, projections), marks.points(surface), marks.curves(surface)
        self.absent = [] if self.points is None else [  # marked checkpoints that are not in the slice
            f"{name} ({off})" for name, off in zip(self.points.names, self.points.off) if off]
        if self.points is not None:
            self.points = self.points.within(surface.x, surface.y)
        self.holds_origin = all(abs(value) < 1e-9 for value in surface.fixed.values())
        self.path = surface.path
        self._own = _own_losses(surface, self.points) if surface.settings.get("bn") == "recalibrate" else []

    @property
    def marks_center(self):
        """Whether the origin is to be marked by a cross: it lies in the slice, and no other mark stands there."""
        spots = [(run.x[-1], run.y[-1]) for run in self.runs]
        spots += list(zip(self.points.x, self.points.y)) if self.points else []
        return self.holds_origin and not any(math.hypot(x, y) < 1e-9 for x, y in spots)

    def notes(self, with_absent=True):
        """How far what is marked lies from the plane that is shown, and what is not in the slice."""
        notes = []
        end = "the run" if len(self.runs) == 1 else self.runs[0].label if self.runs else ""
        for run in self.runs:
            if np.isfinite(run.distance).any():
                far, long = float(np.nanmax(run.distance)), float(np.nanmax(run.length))
                share = f"; they are up to {scales.number(long)} away from the end of {end}" if long > 0 else ""
                name = f"{run.label}: " if len(self.runs) > 1 else ""
                notes.append(f"{name}checkpoints lie up to {scales.number(far)} out of this plane{share}")
            elif not run.group:
                notes.append(f"{run.label}: where a path meets the plane, how far out of it is not known")
        off = [] if self.points is None else [
            f"{name} {scales.number(distance)}" for name, distance in
            zip(self.points.names, self.points.distance) if np.isfinite(distance) and distance > 1e-6 * (
                self.points.unit or 1.0)]
        if off:
            notes.append(f"out of this plane: {', '.join(off)}")
        if self.points is not None and any(np.isfinite(self.points.own(self.name))):
            notes.append("circles: checkpoints, in the colour of their own value")
        return notes + self._own + (absent_note(self.absent) if with_absent else [])

    def draw(self, axes, colors=None):
        """Draws everything, the marked checkpoints in these colours; the places that are taken, in pixels."""
        labels = Labels(axes)
        for number, curve in enumerate(self.curves):
            _casing_line(axes, curve.x, curve.y, style.series(number)["color"], 1.6, gid=f"curve_{curve.name}")
            labels.keep_clear(curve.x, curve.y)
        for number, run in enumerate(self.runs):
            look = style.series(number)
            _casing_line(axes, run.x, run.y, look["color"], 1.2, gid=f"run_{run.name}")
            small = len(run.x) > 60
            axes.plot(run.x, run.y, linestyle="none", marker=look["marker"], color=look["color"],
                      markersize=(2.2 if small else 3.4) * style.ZOOM, markeredgecolor=style.CASING,
                      markeredgewidth=0.5 * style.ZOOM, zorder=13, gid=f"epochs_{run.name}")
            axes.plot(run.x[-1:], run.y[-1:], linestyle="none", marker=look["marker"],
                      color=style.CASING, markersize=5.4 * style.ZOOM, markeredgecolor=look["color"],
                      markeredgewidth=1.5 * style.ZOOM, zorder=14)
            labels.keep_clear(run.x, run.y)
        for run, number in zip(self.runs, itertools.count()):
            name = run.label if len(self.runs) > 1 else ""
            labels.epochs(run, style.series(number)["color"], name)
        if self.points is not None:
            axes.scatter(self.points.x, self.points.y, s=(6.5 * style.ZOOM) ** 2, color=style.CASING, clip_on=False,
                         linewidth=0, zorder=13.9)
            axes.scatter(self.points.x, self.points.y, s=(5.0 * style.ZOOM) ** 2, facecolors=colors or style.CASING,
                         edgecolors=style.INK, clip_on=False, linewidth=1.1 * style.ZOOM, zorder=14, gid="checkpoints")
            labels.keep_clear(self.points.x, self.points.y, joined=False)
            for x, y, name in zip(self.points.x, self.points.y, self.points.names):
                labels.write(x, y, name, style.INK, needed=True)
        return labels.taken


def _own_losses(surface, points):
    """What the marked checkpoints have with the batch-norm statistics they came with, which the plane does not have."""
    name = surface.default_name()
    own = [] if points is None else [f"{checkpoint} {scales.number(loss)}" for checkpoint, loss in
                                     zip(points.names, points.own(name)) if np.isfinite(loss)]
    return [f"own {wording.short_label(name)}, with the statistics they came with: {', '.join(own)}"] * bool(own)


def _casing_line(axes, x, y, color, width, **more):
    axes.plot(x, y, color=color, linewidth=width * style.ZOOM, zorder=12, solid_joinstyle="round",
              path_effects=style.cased((width + 1.5) * style.ZOOM), **more)


def absent_note(absent):
    """What of the marked checkpoints is not drawn: texts such as 'D (z = 1)'."""
    return [f"not in this slice: {', '.join(absent)}"] * bool(absent)


class Labels:
    """Small texts beside marks, where they meet neither each other nor what is drawn."""

    def __init__(self, axes):
        self._axes = axes
        self._dpi = axes.figure.dpi
        self._frame = axes.get_window_extent()
        self._busy = np.empty((0, 2))  # points that no text may cover, in pixels
        self._boxes = []

    @property
    def taken(self):
        return [*self._busy[:: max(1, len(self._busy) // 150)],
                *(((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in self._boxes)]

    def keep_clear(self, x, y, joined=True):
        """No text may cover these places, nor, if `joined`, what lies between two of them."""
        path = self._axes.transData.transform(np.column_stack([x, y]))
        if len(path) > 1 and joined:
            steps = np.hypot(*np.diff(path, axis=0).T)
            along = np.concatenate(([0.0], np.cumsum(steps)))
            at = np.linspace(0.0, along[-1], int(along[-1] / (0.03 * self._dpi)) + 2)
            path = np.stack([np.interp(at, along, path[:, i]) for i in (0, 1)], axis=1)
        self._busy = np.concatenate([self._busy, path])

    def epochs(self, run, color, name):
        """Numbers of epochs beside their checkpoints: the ends, and round ones where there is room."""
        if not np.isfinite(run.epoch).all():
            if name:
                self.write(run.x[-1], run.y[-1], name, color, needed=True)
            return
        last = len(run.x) - 1
        self.write(run.x[last], run.y[last], f"{name}, {run.unit} {run.epoch[last]:.0f}" if name else
                   f"{run.unit} {run.epoch[last]:.0f}", color, needed=True)
        span = run.epoch[last] - run.epoch[0]
        step = next((step for step in STEPS if span / step <= MOST_EPOCHS), span or 1)
        for i in range(last):
            if i == 0 or (run.epoch[i] % step == 0 and run.epoch[last] - run.epoch[i] >= 0.5 * step):
                self.write(run.x[i], run.y[i], f"{run.epoch[i]:.0f}", color)

    def write(self, x, y, text, color, needed=False):
        """Writes beside the place where there is room; `needed`: on whatever has the most."""
        size = style.NOTE
        width = self._dpi * style.text_width(text, size, "bold") + 0.02 * self._dpi
        height = self._dpi * size / 72
        spot = self._axes.transData.transform((x, y))
        if not self._frame.padded(1).contains(*spot):  # what is marked was cropped off
            return
        best, least, far = None, math.inf, 0.12 * style.ZOOM * self._dpi
        for reach in (0.075, 0.13, 0.2, 0.3, 0.45) if needed else (0.075, 0.11):
            for across, up in WHERE:
                reached = reach * style.ZOOM * self._dpi
                center = (spot[0] + across * (reached + width / 2), spot[1] + up * (reached + height / 2))
                box = (center[0] - width / 2, center[1] - height / 2,
                       center[0] + width / 2, center[1] + height / 2)
                cost = self._cost(box)
                if cost < least:
                    best, least = (center, box), cost
            if least == 0:
                break
        if best is None or (least > 0 and not needed):
            return
        center, box = best
        self._boxes.append(box)
        x, y = self._axes.transData.inverted().transform([spot, center]).T
        if not (box[0] - far < spot[0] < box[2] + far and box[1] - far < spot[1] < box[3] + far):
            self._axes.plot(x, y, color=color, linewidth=0.6 * style.ZOOM, zorder=15, path_effects=style.cased(1.6 * style.ZOOM))
        self._axes.text(x[1], y[1], text, color=color,
                        fontsize=size, ha="center", va="center", zorder=16, parse_math=False,
                        fontweight="bold", bbox=style.plate())

    def _cost(self, box):
        x0, y0, x1, y1 = box
        frame, room = self._frame, 0.02 * self._dpi
        outside = max(0.0, frame.x0 + room - x0, x1 - frame.x1 + room) + max(
            0.0, frame.y0 + room - y0, y1 - frame.y1 + room)
        covered = int(((self._busy[:, 0] > x0) & (self._busy[:, 0] < x1)
                       & (self._busy[:, 1] > y0) & (self._busy[:, 1] < y1)).sum())
        crossed = sum(x0 < b[2] + room and b[0] < x1 + room and y0 < b[3] + room and b[1] < y1 + room
                      for b in self._boxes)
        return 100 * outside + 50 * crossed + covered
