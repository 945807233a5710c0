"""Descents step by step: values, positions, effective learning rates."""

import math

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from .. import planes, scales, style, wording
from ..errors import PlotError
from . import looks

WIDE = 50.0  # highest to lowest value along descents, above which their scale is logarithmic


def draw(file, head, look):
    """The values over the steps, and below, of one variable, the positions."""
    descents = file.descents
    lines = looks.legend_lines(descents, looks.looks_of(descents))
    parts = [("f(x)" if file.variables == 1 else "f(x, y)", [d.value for d in descents], look)]
    if file.variables == 1:
        parts.append(("x", [d.position[:, 0] for d in descents], None))
    return _over_steps(file, head, parts, lines)


def draw_rates(file, head):
    """The effective learning rate along each coordinate."""
    descents = file.descents
    names = ("x",) if file.variables == 1 else ("x", "y")
    parts = [(f"effective rate along {name}", [d.effective_rate[:, i] for d in descents], None)
             for i, name in enumerate(names)]
    return _over_steps(file, head, parts, looks.legend_lines(descents, looks.looks_of(descents)), together=True)


def _over_steps(file, head, parts, lines, together=False):
    """One panel a part: (label, values of each descent, what the user chose of their scale or None)."""
    descents, every_look = file.descents, looks.looks_of(file.descents)
    each, gap = (2.4 if len(parts) == 1 else 1.6), 0.16
    count = len(parts)
    choices = [_limits(file, label, curves, look) for label, curves, look in parts]
    if together:  # one scale for all, to be compared
        low, high = (pick(choice[1][i] for choice in choices) for i, pick in ((0, min), (1, max)))
        choices = [(all(choice[0] for choice in choices), (low, high), [])] * count
    notes = [note for _, _, some in choices for note in some]
    wider = max(planes.bar_extra(_axis_scale(log, limits)) for log, limits, _ in choices)
    page = style.Page(head, list(dict.fromkeys(notes)), style.Margins(0.66 + wider, 0.2, 0.47 + looks.legend_height(lines)),
                      (looks.WIDTH, count * each + (count - 1) * gap), stretch=True)
    each = (page.body[1] - (count - 1) * gap) / count
    lengths = [[_drawn_length(values, d, limits) for values, d in zip(curves, descents)]
               for (_, curves, _), (_, limits, _) in zip(parts, choices)]
    last = max(1, *(length - 1 for row in lengths for length in row))
    for number, ((label, curves, _), (log, limits, _), row) in enumerate(zip(parts, choices, lengths)):
        axes = page.figure.add_axes(page.rectangle(0, (count - 1 - number) * (each + gap), page.body[0], each))
        for values, length, (color, dashes, marker) in zip(curves, row, every_look):
            axes.plot(np.arange(length), values[:length], color=color, dashes=dashes, linewidth=1.3 * style.ZOOM,
                      marker=marker, markersize=3.2 * style.ZOOM, markeredgewidth=0 * style.ZOOM,
                      markevery=max(1, math.ceil(last / 20)), zorder=3, gid="path")
        axes.set_xlim(-0.015 * last, 1.015 * last)
        _value_axis(axes, _axis_scale(log, limits))
        axes.set_ylabel(style.broken(label, each), labelpad=4)
        style.coordinate_ticks(axes.xaxis, 0, last, 6)
        axes.tick_params(labelbottom=number == count - 1)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
        axes.set_axisbelow(True)
    axes.set_xlabel("step", labelpad=3)
    page.figure.align_ylabels()
    looks.draw_legend(page, lines)
    return page.figure


def _drawn_length(values, descent, limits):
    """How many values are drawn: of what diverged none but the first after it left the limits for good."""
    inside = np.flatnonzero((values >= limits[0]) & (values <= limits[1]))
    return min(len(values), inside[-1] + 2) if descent.end == "diverged" and inside.size else len(values)


def _limits(file, label, curves, look):
    """(log, (low, high), notes): what diverged must not squeeze the others."""
    tame = [c for c, d in zip(curves, file.descents) if d.end != "diverged"]
    finite = np.concatenate(tame or [c[:6] for c in curves])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    log = look.log if look is not None else (None if label.startswith("eff") else False)
    if log is None:
        log = low >= 0 and high > WIDE * max(low, 1e-300)
    if log:
        if high <= 0:
            raise PlotError(f"--log needs positive values: {label} reaches {scales.number(high)} at most")
        positive = finite[finite > 0]
        low = max(float(positive.min()), 1e-12 * high)
    if look is not None:
        low = low if look.vmin is None else look.vmin
        high = high if look.vmax is None else look.vmax
    everything = np.concatenate(curves)
    sides = ((int((everything > high).sum()), "above"), (int((everything < low).sum()), "below"))
    beyond = " and ".join(f"{wording.grouped(count)} {side}" for count, side in sides if count)
    return log, (low, high), [f"values of {label} beyond the range drawn: {beyond}"] if beyond else []


def _axis_scale(log, limits):
    """A little wider than the limits."""
    low, high = limits
    if log:
        pad = max(high / low, 1.5) ** 0.04
        return scales.Scale(True, low / pad, high * pad)
    pad = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return scales.Scale(False, low - pad, high + pad)


def _value_axis(axes, scale):
    if scale.log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(scale.lo, scale.hi)
    values, texts = scale.ticks(6)
    axes.yaxis.set_major_locator(FixedLocator(values))
    axes.yaxis.set_major_formatter(FixedFormatter(texts))
    axes.yaxis.set_minor_locator(FixedLocator(scale.minor()))
