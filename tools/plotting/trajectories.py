"""Trajectories over their plane, and beside it what the plane cannot show: the checkpoints' own loss,
and how far out of the plane they lie."""

import numpy as np
from matplotlib.lines import Line2D

from . import planes, scales, style, wording
from .errors import PlotError

PLANE, PANEL = 3.0, 1.9  # inches: a side of the plane, the width of the panels
BAR = 0.8  # inches: colour bar and its labels
ACROSS, BETWEEN = 0.62, 0.36  # inches: left of the panels, between two
NARROW = 5.0  # inches: a page below that has the panels under the plane
OWN, SHOWN = (None, None), (2.2, 1.3)  # dashes: of the checkpoints, of the plane


def draw(surface, field, scale, head, label, kind="contourf", levels=None, cmap=None):
    """A figure of the plane with its runs, and two panels over the epochs."""
    plane = planes.Plane(kind, surface, field, scale)
    runs = plane.overlay.runs
    if not runs:
        raise PlotError(f"{surface.path} holds no trajectory (/lossatlas/runs): leave --kind out")
    (width, height), equal = planes.body_of(plane.x, plane.y)
    shrink = PLANE / max(width, height)
    width, height = shrink * width, shrink * height
    zoom = style.ZOOM
    beneath = head.size is not None and head.size[0] < NARROW * zoom
    side = max(height, 2.2)
    if beneath:
        body = (width + BAR * zoom, height + (0.75 + 2.1 + BETWEEN) * zoom)
    else:
        body = (width + (BAR + ACROSS) * zoom + PANEL, side)
    notes = plane.notes(equal, cmap) + _differences(runs, field.name)
    page = style.Page(head, notes, style.Margins(0.66, 0.12, 0.47), body)
    grown = page.body[0] / body[0]
    if beneath:
        panels = (0.75 + 2.1 + BETWEEN) * zoom
        width = page.body[0] - BAR * zoom
        height = min(page.body[1] - panels, width * height / (body[0] - BAR * zoom))
        width = height * (plane.x[-1] - plane.x[0]) / (plane.y[-1] - plane.y[0]) if equal else width
        at = (0.0, page.body[1] - height)
        left, panel, room = 0.0, page.body[0], panels - 0.75 * zoom
    else:
        width = (page.body[0] - (BAR + ACROSS) * zoom) * width / (width + PANEL)
        height = min(height * grown, page.body[1])
        if equal:
            width = min(width, height * (plane.x[-1] - plane.x[0]) / (plane.y[-1] - plane.y[0]))
            height = width * (plane.y[-1] - plane.y[0]) / (plane.x[-1] - plane.x[0])
        at = (0.0, (page.body[1] - height) / 2)
        left = width + (BAR + ACROSS) * zoom
        panel, room = page.body[0] - left, page.body[1]
    plane.draw(page, page.rectangle(*at, width, height), label, levels, cmap, at=width)
    each = (room - BETWEEN * zoom) / 2
    upper = page.figure.add_axes(page.rectangle(left, each + BETWEEN * zoom, panel, each))
    lower = page.figure.add_axes(page.rectangle(left, 0.0, panel, each))
    _losses(upper, runs, field.name, surface.settings)
    _distances(lower, runs)
    for axes in (upper, lower):
        _epochs(axes, runs)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(_progress(runs)[1], labelpad=3 * zoom)
    page.figure.align_ylabels([upper, lower])
    return page.figure


def _progress(runs):
    """(what a run's checkpoints are drawn over, its name): epochs, or their numbers."""
    if all(np.isfinite(run.epoch).all() for run in runs):
        return (lambda run: run.epoch), "epoch"
    return (lambda run: np.arange(len(run.x))), "checkpoint"


def _epochs(axes, runs):
    over, _ = _progress(runs)
    every = np.concatenate([over(run) for run in runs])
    low, high = float(every.min()), float(every.max())
    pad = 0.03 * (high - low) or 0.5
    axes.set_xlim(low - pad, high + pad)
    style.coordinate_ticks(axes.xaxis, low, high, min(5, max(1, int(high - low))))
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    axes.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
    axes.set_axisbelow(True)


def _curve(axes, run, number, values, dashes):
    look = style.series(number)
    over, _ = _progress([run])
    own = dashes == OWN
    axes.plot(over(run), values, color=look["color"], linewidth=(1.2 if own else 0.9) * style.ZOOM, dashes=dashes,
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
    scale = scales.choose(every, name)
    for number, (run, pair) in enumerate(zip(runs, pairs)):
        for values, dashes in zip(pair, (OWN, SHOWN)):
            _curve(axes, run, number, scale.forward(values), dashes)
    _value_ticks(axes, scale)
    label = wording.short_label(name, settings) + (" (%)" if wording.is_percent(name) else "")
    axes.set_ylabel(wording.on_log_scale(label) if scale.log else label, fontsize=style.TICK,
                    labelpad=2 * style.ZOOM)
    _legend(axes, ("of the checkpoint", "of the plane"))


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
    _legend(axes, ("out of the plane", "to the end of the run"))


def _legend(axes, texts):
    """What is solid and what is dashed, above the panel."""
    handles = [Line2D([], [], color=style.INK, linewidth=width * style.ZOOM, dashes=dashes, label=text)
               for text, dashes, width in zip(texts, (OWN, SHOWN), (1.2, 0.9))]
    legend = axes.legend(handles=handles, ncols=2, frameon=False, fontsize=style.NOTE, handlelength=1.6,
                         loc="lower left", bbox_to_anchor=(-0.02, 0.985), borderaxespad=0.1, borderpad=0.1,
                         columnspacing=0.9, handletextpad=0.4)
    legend.set_zorder(5)


def _differences(runs, name):
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
