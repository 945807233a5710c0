"""Trajectories over their plane, and beside it what the plane cannot show: the checkpoints' own loss,
and how far out of the plane they lie."""

import numpy as np
from matplotlib.lines import Line2D

from . import planes, scales, style, wording
from .errors import PlotError, WordsError

PLANE, PANEL = 3.2, 1.9  # inches: widths of plane and panels
BAR = 0.8  # inches: colour bar and its labels
ACROSS, BETWEEN, LEGEND = 0.62, 0.36, 0.16  # inches: left of the panels, between two, above the upper
NARROW = 5.0  # inches: a page below that has the panels under the plane
BENEATH, PANELS = 0.85, 2.3  # inches: between plane and panels there, and the panels
TALLEST, SHORTEST = 4.5, 2.2  # inches: of the plane, of the body
OWN, SHOWN = (None, None), (2.2, 1.3)  # dashes: of the checkpoints, of the plane


def draw(plane, head, label):
    """A figure of the plane with its runs, and two panels over the epochs."""
    runs, name = plane.overlay.runs, plane.field.name
    if not runs:
        raise PlotError(f"{plane.surface.path} holds no trajectory (/lossatlas/runs): leave --kind out")
    sides, equal = planes.body_of(plane.x, plane.y, plane.look.aspect)
    zoom, tall = style.ZOOM, sides[1] / sides[0]
    margins = style.Margins(0.66 + planes.y_extra(plane.y), 0.12, 0.47)
    bar = BAR + planes.bar_extra(plane.scale)
    beneath = head.size is not None and head.size[0] < NARROW * zoom
    # What does not grow with the page: the colour bar, and the room for labels.
    across, up = (bar * zoom, (BENEATH + PANELS) * zoom) if beneath else ((bar + ACROSS) * zoom, 0.0)
    side = PANEL * zoom
    share = 1.0 if beneath else PLANE / (PLANE + side)
    wide = (PLANE if beneath else PLANE + side) if head.size is None else (
        head.size[0] - margins.sides - across)
    width = max(0.1, min(share * wide, TALLEST / tall))
    body = (across + wide, max(tall * width, 0.0 if beneath else SHORTEST) + up)
    notes = plane.notes(equal) + differences(runs, name)
    page = style.Page(head, notes, margins, body, stretch=True)
    room = page.body[1] - up  # of the plane
    width = max(0.1, min(share * (page.body[0] - across), room / tall))
    height = min(room, tall * width)
    if beneath:
        at = (0.0, page.body[1] - height)
        left, panel, room = 0.0, page.body[0], PANELS * zoom
    else:
        at = (0.0, (room - height) / 2)
        left = width + across
        panel = page.body[0] - left
    if min(width, panel) < 0.4:
        raise WordsError(f"{page.size[0]:.3g} x {page.size[1]:.3g} inches leave no room for the drawing")
    plane.draw(page, page.rectangle(*at, width, height), label, at=width)
    each = (room - (BETWEEN + LEGEND) * zoom) / 2
    upper = page.figure.add_axes(page.rectangle(left, each + BETWEEN * zoom, panel, each))
    lower = page.figure.add_axes(page.rectangle(left, 0.0, panel, each))
    _losses(upper, runs, name, plane.surface.settings)
    _distances(lower, runs)
    for axes in (upper, lower):
        _epochs(axes, runs)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(_progress(runs)[1], labelpad=3 * zoom)
    page.figure.align_ylabels([upper, lower])
    return page.figure


def _progress(runs):
    """(what a run's checkpoints are drawn over, its name): epochs or steps, or their numbers."""
    units = {run.unit for run in runs}
    if len(units) == 1 and all(np.isfinite(run.epoch).all() for run in runs):
        return (lambda run: run.epoch), units.pop()
    return (lambda run: np.arange(len(run.x))), "checkpoint"


def _epochs(axes, runs):
    over, _ = _progress(runs)
    every = np.concatenate([over(run) for run in runs])
    low, high = float(every.min()), float(every.max())
    pad = 0.03 * (high - low) or 0.5
    axes.set_xlim(low - pad, high + pad)
    style.coordinate_ticks(axes.xaxis, low, high, 5, whole=True)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    axes.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
    axes.set_axisbelow(True)


def _curve(axes, run, number, values, dashes):
    look = style.series(number)
    over, _ = _progress([run])
    own = dashes == OWN
    axes.plot(over(run), values, color=look["color"], dashes=dashes,
              linewidth=(1.2 if own else 0.9) * style.ZOOM,
              marker=look["marker"] if own and len(run.x) <= 60 else None, markersize=2.8 * style.ZOOM,
              markeredgewidth=0, zorder=3 if own else 2.5, gid=f"{'own' if own else 'plane'}_{run.name}")


def _value_ticks(axes, scale):
    low, high = scale.span
    pad = 0.06 * (high - low)
    axes.set_ylim(low - pad, high + pad)
    values, texts = scale.ticks(5)
    axes.set_yticks([scale.position(v) for v in values], labels=texts)
    axes.set_yticks([scale.position(v) for v in scale.minor()], minor=True)


def _losses(axes, runs, name, settings):
    """The value of the checkpoints themselves, and of the plane where they are projected to."""
    pairs = [(run.own(name), run.in_plane(name)) for run in runs]
    every = np.concatenate([array for pair in pairs for array in pair])
    if not np.isfinite(every).any():
        axes.text(0.5, 0.5, f"no {wording.short_label(name)}\nof the checkpoints", ha="center", va="center",
                  transform=axes.transAxes, fontsize=style.NOTE, color=style.GREY)
        axes.set_yticks([])
        return
    scale = scales.choose(every, name, whole=True)
    for number, (run, pair) in enumerate(zip(runs, pairs)):
        for values, dashes in zip(pair, (OWN, SHOWN)):
            _curve(axes, run, number, scale.forward(values), dashes)
    _value_ticks(axes, scale)
    label = wording.short_label(name, settings) + (" (%)" if wording.is_percent(name) else "")
    axes.set_ylabel(wording.on_log_scale(label) if scale.log else label, fontsize=style.TICK,
                    labelpad=2 * style.ZOOM)
    _legend(axes, ("checkpoint", "plane"))


def _distances(axes, runs):
    every = np.concatenate([array for run in runs for array in (run.distance, run.length)])
    high = float(np.nanmax(every)) if np.isfinite(every).any() else 1.0
    for number, run in enumerate(runs):
        _curve(axes, run, number, run.distance, OWN)
        _curve(axes, run, number, run.length, SHOWN)
    scale = scales.Scale(False, 0.0, high or 1.0)
    _value_ticks(axes, scale)
    axes.set_ylim(0.0, None)
    axes.set_ylabel("distance", fontsize=style.TICK, labelpad=2 * style.ZOOM)
    _legend(axes, ("out of plane", "to its end" if len(runs) == 1 else f"to the end of {runs[0].label}"))


def _legend(axes, texts):
    """What is solid and what is dashed, above the panel."""
    handles = [Line2D([], [], color=style.INK, linewidth=width * style.ZOOM, dashes=dashes, label=text)
               for text, dashes, width in zip(texts, (OWN, SHOWN), (1.2, 0.9))]
    width = axes.get_position().width * axes.figure.get_figwidth()
    needed = sum(style.text_width(text, style.NOTE) for text in texts) + 5.4 * style.NOTE / 72
    size = style.NOTE * min(1.0, width / needed)
    legend = axes.legend(handles=handles, ncols=2, frameon=False, fontsize=size, handlelength=1.6,
                         loc="lower left", bbox_to_anchor=(-0.02, 0.985), borderaxespad=0.1, borderpad=0.1,
                         columnspacing=0.9, handletextpad=0.4)
    legend.set_zorder(5)


def differences(runs, name):
    """How much the plane's value differs from the checkpoints' own."""
    notes = []
    for run in runs:
        apart = np.abs(run.own(name) - run.in_plane(name))
        if np.isfinite(apart).any():
            label = f"{run.label}: " if len(runs) > 1 else ""
            notes.append(f"{label}{wording.short_label(name)} of plane and checkpoint differ by up to"
                         f" {scales.number(float(np.nanmax(apart)))}"
                         f" (median {scales.number(float(np.nanmedian(apart)))})")
    return notes
