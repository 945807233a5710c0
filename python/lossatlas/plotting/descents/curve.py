"""A function of one variable: its curve, the steps on it, tangents."""

import numpy as np
from matplotlib import colors

from .. import scales, style, wording
from . import looks, words

MOST_NUMBERS = 8  # steps that are numbered


def draw_function(axes, file, look):
    """The curve, and the frame that fits it."""
    values = file.field.values
    axes.plot(file.x, values, color=style.INK, linewidth=1.1 * style.ZOOM, zorder=2, gid="function")
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    low = low if look.vmin is None else look.vmin
    high = high if look.vmax is None else look.vmax
    pad = 0.07 * (high - low) or 0.5
    axes.set_xlim(file.x[0], file.x[-1])
    axes.set_ylim(low - pad, high + pad)
    style.coordinate_ticks(axes.xaxis, file.x[0], file.x[-1], 7)
    style.coordinate_ticks(axes.yaxis, *axes.get_ylim(), 5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
    axes.set_axisbelow(True)


def draw_steps(axes, descent, look, size, numbered):
    """The positions on the curve, later ones more solid, with the jumps between them."""
    color, _, marker = look
    x, z = descent.position[:, 0], descent.value
    axes.plot(x, z, color=color, linewidth=0.6 * style.ZOOM, alpha=0.4, zorder=3, gid="path")
    share = np.linspace(0.25, 1.0, len(x))
    tints = colors.to_rgb(color) * share[:, None] + colors.to_rgb(style.PAPER) * (1 - share[:, None])
    axes.scatter(x, z, s=11 * style.ZOOM**2, c=tints, marker=marker, edgecolors=color, linewidths=0.4 * style.ZOOM, zorder=4)
    looks.draw_ends(axes, x, z, look, size)
    if numbered:
        _numbers(axes, x, z, color)
        _exit(axes, x, z, color)


def _numbers(axes, x, z, color):
    """Numbers on the first steps, as far as they do not touch each other; few where the path turns."""
    turns = np.any(np.diff(x[:8])[1:] * np.diff(x[:8])[:-1] < 0)
    frame = axes.get_window_extent()
    scale = 72.0 / axes.figure.dpi
    points = axes.transData.transform(np.column_stack([x, z])) * scale
    taken = []
    for step, spot in enumerate(points[: 6 if turns else 60]):
        inside = frame.x0 * scale < spot[0] < frame.x1 * scale and frame.y0 * scale < spot[1] < frame.y1 * scale
        if not inside or any(np.hypot(*(spot - other)) < 15 * style.ZOOM for other in taken):
            continue
        # Away from the step before: where the path has been is where lines are.
        shift = spot - points[step - 1] if step else spot - points[min(1, len(points) - 1)]
        up = 1 if shift[1] >= 0 else -1
        up = up if frame.y0 * scale < spot[1] + 14 * up * style.ZOOM < frame.y1 * scale else -up
        axes.annotate(str(step), (x[step], z[step]), (0, 8 * up * style.ZOOM), textcoords="offset points", fontsize=style.SMALLEST,
                      color=color, ha="center", va="center", zorder=8, bbox=style.plate())
        taken.append(spot)
        if len(taken) == MOST_NUMBERS:
            return


def _exit(axes, x, z, color):
    """Where the path first leaves the frame: whither."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    points = np.column_stack([x, z])
    outside = ((points < low) | (points > high)).any(axis=1)
    step = int(np.argmax(outside))
    if outside[0] or not outside[step]:
        return
    start, way = points[step - 1], points[step] - points[step - 1]
    moving = way != 0
    share = (np.where(way > 0, high - start, low - start)[moving] / way[moving]).min()
    spot = start + share * way
    right, top = spot > 0.5 * (low + high)
    shift = style.ZOOM * np.where([right, top], -1, 1) * (5, 7)
    axes.annotate(f"step {step}: x = {scales.number(x[step])}", spot, shift,
                  textcoords="offset points", fontsize=style.NOTE, color=color, ha="right" if right else "left",
                  va="center", zorder=8, bbox=style.plate())


def draw_tangent(axes, file, tangent):
    """The tangent, a third of the picture long, and its slope in words."""
    low, high = axes.get_ylim()
    span = np.array([file.x[-1] - file.x[0], high - low])
    size = np.array(axes.get_position().size) * axes.figure.get_size_inches()  # inches
    slope = tangent.gradient[0]
    along = np.array([1.0, slope]) / span * size
    step = 0.18 * size[0] / np.hypot(*along)
    at = tangent.point[0] + step * np.array([-1.0, 1.0])
    axes.plot(at, tangent.value + slope * (at - tangent.point[0]), color=style.WARNING, linewidth=1.4 * style.ZOOM, zorder=5,
              gid="tangent")
    axes.plot(tangent.point, [tangent.value], marker="o", markersize=4.5 * style.ZOOM, color=style.WARNING,
              markeredgecolor=style.CASING, markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=6)
    # Beside the line; above a flat one.
    steep = slope * span[0] / span[1]
    slope = slope if abs(steep) > 1e-9 else 0.0
    shift, side = ((0, 5), "center") if abs(steep) < 0.2 else ((-7, 6), "right") if slope > 0 else ((7, 6), "left")
    text = axes.annotate(f"slope {scales.number(slope)}", (tangent.point[0], tangent.value), shift,
                         textcoords="offset points", fontsize=style.NOTE, color=style.WARNING, ha=side, va="bottom", zorder=9,
                         bbox=style.plate())
    box = text.get_window_extent().padded(0.03 * axes.figure.dpi)
    if any(box.overlaps(other.get_window_extent()) for other in axes.texts[:-1]):  # then on the other side
        text.set(position=-np.array(shift), ha={"left": "right", "right": "left"}.get(side, side), va="top")


def notes(file, numbered):
    notes = []
    if file.descents:
        notes.append("ring: start; filled: where it ended" + (
            "; numbers: steps" if numbered else ""))
    notes += words.beyond_notes(file)
    undefined = int(file.field.nonfinite.sum())
    if undefined:
        notes.append(f"not defined or not finite at {wording.grouped(undefined)} of"
                     f" {wording.points(file.field.values.size)} drawn")
    return notes
