"""Curves: losses and accuracies along lines and curves, and over the epochs of training runs."""

from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from . import points, scales, style, wording
from .errors import PlotError

WIDTH, HEIGHT, ALONE, GAP = 4.3, 1.75, 2.6, 0.14  # inches: panels, one that is alone, between two
LOWEST = 0.95  # inches: a panel where the page is narrow
LEGEND, MORE = 0.2, 0.12  # inches: a key of the legend above the first panel, and each further line of its label
MARKERS = 12  # about so many on a curve that is told from others by them
BETWEEN = (1 / 6, 5 / 6)  # quantiles of a fan: the ends of its band
BAND, THIN, BAD = 0.16, 0.45, 0.5  # opacity: a band of spread, the lines of a fan, values not finite


@dataclass
class Series:
    """One curve: values [n] over x [n]; NaN where there is nothing to draw."""

    name: str  # the dataset: train_loss
    x: np.ndarray
    values: np.ndarray
    color: str
    dashes: tuple = (None, None)
    marker: str | None = None  # of the file, where there are several
    fan: np.ndarray | None = None  # [K, n]: what `values` is the mean of

    @property
    def reach(self):
        """All values that are drawn."""
        return np.concatenate([np.ravel(a) for a in (self.values, self.fan) if a is not None])

    @property
    def band(self):
        """(low, high), [n] each: between them lie the middle two thirds of the fan. Quantiles, since they mean the same on
        a log scale and never lie beyond all lines."""
        return np.quantile(self.fan, BETWEEN, axis=0)


@dataclass
class Key:
    """One entry of the legend."""

    label: str
    color: str
    dashes: tuple = (None, None)
    marker: str | None = None


@dataclass
class Chart:
    """What is drawn over one coordinate axis. Series of one quantity share a panel."""

    file: object  # the first, for messages and labels
    axis_label: str
    series: list
    keys: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    twin: bool = False  # losses and accuracies in one panel with two axes
    bad: list = field(default_factory=list)  # (from, to): where values are not finite
    marks: list = field(default_factory=list)  # (coordinate, name)
    spots: list = field(default_factory=list)  # (name, coordinates, values, colour): drawn as circles
    centre: bool = True  # whether coordinate 0 is the network itself


def draw(chart, head, look, pad=0.0):
    """A figure of the chart. `pad` is the room at either end, as a share of the range."""
    panels = _panels(chart, look.log, (look.vmin, look.vmax))
    twin = chart.twin and len(panels) == 2
    notes = list(chart.notes) + _scale_notes(panels)
    page, axes = _page(head, notes, 1 if twin else len(panels), chart.keys, twin)
    if twin:
        axes.append(axes[0].twinx())
    everything = np.concatenate([each.x for each in chart.series])
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    room = pad * (high - low) or (0.5 if high == low else 0.0)
    for number, (ax, panel) in enumerate(zip(axes, panels)):
        _draw(ax, panel, twin and number == 1)
        for name, x, values, color in chart.spots:
            if any(each.name == name for each in panel.series):
                ax.plot(x, values, linestyle="none", marker="o", markersize=5.0 * style.ZOOM,
                        color=style.PAPER, markeredgecolor=color, markeredgewidth=1.2 * style.ZOOM, zorder=3.5, clip_on=False,
                        gid=f"own_{name}")
        if not (twin and number == 1):
            _mark(ax, chart, low, high, number == 0)
        ax.set_xlim(low - room, high + room)
        style.coordinate_ticks(ax.xaxis, low, high, 6, whole=chart.axis_label in ("epoch", "step"))
    if twin:
        _color_axes(axes, panels)
    _legend(page, axes[0], chart.keys)
    _finish(axes if not twin else axes[:1], chart.axis_label, page.body[0])
    return page.figure


class _Panel:
    """Curves with one value axis: all losses, or all accuracies, or one other value."""

    def __init__(self, series, file, log, limits, spots):
        self.series = series
        names = {each.name for each in series}
        name = series[0].name
        held = [each.reach for each in series] + [values for of, _, values, _ in spots if of in names]
        self.scale = scales.choose(np.concatenate(held), name, log, *limits, whole=True)
        what = name.rpartition("_")[2]
        if len(names) > 1:
            label = {"loss": "loss" + wording.loss_unit(file.settings), "acc": "accuracy (%)",
                     "err": "error (%)"}.get(what, what)
        else:
            label = file.value_label(name)
        self.name = label.partition(" (")[0]
        self.label = wording.on_log_scale(label) if self.scale.log else label
        self.percent = wording.is_percent(name)
        self.limited = limits != (None, None)


def _panels(chart, log, limits):
    groups = {}
    for each in chart.series:
        if np.isfinite(each.values).any():
            groups.setdefault(each.name.rpartition("_")[2] or each.name, []).append(each)
    if not groups:
        raise PlotError(f"{chart.file.path} has no evaluated point with a finite value: nothing to draw")
    panels = []
    for what, group in groups.items():
        # --log and the limits are about losses; a single other value is what was asked for.
        asked = what == "loss" or len(groups) == 1
        panels.append(_Panel(group, chart.file, log if asked else False,
                             limits if asked else (None, None), chart.spots))
    return panels


def field_notes(fields):
    """Each note once: the values of a line share their mask."""
    return list(dict.fromkeys(note for each in fields for note in points.notes(each)))


def _scale_notes(panels):
    return [f"{panel.name}: {note}" if len(panels) > 1 else note
            for panel in panels for note in panel.scale.notes]


def _page(head, notes, count, keys, twin):
    gap = style.ZOOM * GAP
    narrow = head.size is not None and head.size[0] < 3.8 * style.ZOOM
    margins = style.Margins(0.84, 0.78 if twin else 0.2, 0.61 if narrow else 0.47)
    width = max(0.1, head.size[0] - margins.sides) if head.size else WIDTH
    above = 0.0 if head.axes is not None else _legend_height(keys, width)
    free = head.size is not None and head.size[1] is None
    grown = (width / WIDTH) ** 0.5 if free else 1.0  # of the body, by the page
    height = max((ALONE if count == 1 else HEIGHT) * grown, style.ZOOM * LOWEST if free else 0.0)
    body = (WIDTH, (count * height + (count - 1) * gap + above) / grown)
    page = style.Page(head, notes, margins, body, stretch=True)
    each = (page.body[1] - above - (count - 1) * gap) / count
    axes = [
        page.add_axes(page.rectangle(0.0, (count - 1 - i) * (each + gap), page.body[0], each))
        for i in range(count)
    ]
    return page, axes


def _draw(ax, panel, right):
    length = ax.get_position().height * ax.figure.get_figheight()
    for each in panel.series:
        look = dict(color=each.color, dashes=each.dashes)
        if each.fan is not None:
            low, high = each.band
            ax.fill_between(each.x, low, high, color=each.color, alpha=BAND, linewidth=0, zorder=1.5,
                            gid=f"{each.name}_band")
        for line in () if each.fan is None else each.fan:
            ax.plot(each.x, line, zorder=2, linewidth=0.6 * style.ZOOM, alpha=THIN, **look)
        lone = _has_lone_points(each.values)
        marker = each.marker or ("o" if lone or len(each.x) <= 30 else None)
        every = max(1, len(each.x) // MARKERS) if each.marker and not lone else 1
        ax.plot(each.x, each.values, zorder=3, gid=each.name, marker=marker, markevery=every,
                linewidth=(1.4 if each.fan is None else 1.9) * style.ZOOM,
                markersize=(3.8 if each.marker else 2.6) * style.ZOOM, markeredgewidth=0, **look)
    _value_axis(ax, panel)
    ax.spines["top"].set_visible(False)
    ax.spines["left" if right else "right"].set_visible(False)
    if not right:
        ax.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
        ax.set_axisbelow(True)
    label = style.broken(panel.label, 1.15 * length)
    ax.set_ylabel(label, labelpad=4 * style.ZOOM, fontsize=style.fitting(label, 1.15 * length))


def _mark(ax, chart, low, high, named):
    """Where values are not finite, and vertical lines: the centre, checkpoints by their names."""
    for left, right in chart.bad:
        ax.axvspan(left, right, color=style.NONFINITE, alpha=BAD, linewidth=0, zorder=0, gid="nonfinite")
    dashed = dict(color=style.GREY, linewidth=0.6 * style.ZOOM, dashes=(4, 3), zorder=0.5)
    if chart.centre and low <= 0.0 <= high:
        ax.axvline(0.0, gid="center", **dashed)
    for coordinate, name in chart.marks:
        if not low <= coordinate <= high:
            continue
        ax.axvline(coordinate, gid="checkpoint", **dashed)
        if named:
            share = (coordinate - low) / ((high - low) or 1.0)
            width = ax.get_position().width * ax.figure.get_figwidth()
            fits = style.text_width(name, style.NOTE) + 0.05 * style.ZOOM < (1.0 - share) * width
            side = "left" if fits or share < 0.5 else "right"
            ax.annotate(name, (coordinate, 1.0), xycoords=("data", "axes fraction"),
                        xytext=((2.5 if side == "left" else -2.5) * style.ZOOM, -1.5 * style.ZOOM),
                        textcoords="offset points", ha=side, va="top", fontsize=style.NOTE,
                        color=style.GREY, parse_math=False, zorder=4, bbox=style.plate())


def _color_axes(axes, panels):
    """Each of two axes in the colour of its curves."""
    for ax, panel, side in zip(axes, panels, ("left", "right")):
        color = panel.series[0].color
        ax.yaxis.label.set_color(color)
        ax.tick_params(axis="y", which="both", color=color, labelcolor=color)
        ax.spines[side].set_color(color)
    axes[0].set_zorder(axes[1].get_zorder() + 1)
    axes[0].patch.set_visible(False)


def _key_width(key):
    return max(style.text_width(line, style.TICK) for line in key.label.split("\n")) + 0.46 * style.ZOOM


def _legend_lines(keys, width):
    """The keys in lines that are not wider than `width` inches, their labels broken where need be."""
    keys = [replace(key, label="\n".join(style.wrapped(key.label, width - 0.46 * style.ZOOM, style.TICK))) for key in keys]
    lines, used = [[]], 0.0
    for key in keys:
        if lines[-1] and used + _key_width(key) > width:
            lines.append([])
            used = 0.0
        lines[-1].append(key)
        used += _key_width(key)
    return lines


def _line_height(line):
    return style.ZOOM * (LEGEND + MORE * max(key.label.count("\n") for key in line))


def _legend_height(keys, width):
    return sum(map(_line_height, _legend_lines(keys, width))) if keys else 0.0


def _legend(page, ax, keys):
    """The keys from left to right above the first panel."""
    if not keys:
        return
    if page.axes is not None:  # where there is room
        ax.legend([Line2D([], [], color=key.color, dashes=key.dashes, marker=key.marker) for key in keys],
                  [key.label for key in keys], fontsize=style.TICK)
        return
    position = ax.get_position()
    width, height = page.size
    lines = _legend_lines(keys, page.body[0])
    y = position.y1 * height + sum(map(_line_height, lines)) - 0.11 * style.ZOOM
    for line in lines:
        x = position.x0 * width
        for key in line:
            ax.figure.add_artist(Line2D(
                [(x + share * style.ZOOM) / width for share in (0.0, 0.125, 0.25)], [y / height] * 3,
                color=key.color, linewidth=1.4 * style.ZOOM, dashes=key.dashes, marker=key.marker, markevery=[1],
                markersize=3.8 * style.ZOOM, markeredgewidth=0, transform=ax.figure.transFigure,
            ))
            for row, text in enumerate(key.label.split("\n")):
                ax.figure.text((x + 0.3 * style.ZOOM) / width, (y - row * MORE * style.ZOOM) / height, text,
                               fontsize=style.TICK, va="center_baseline", ha="left", parse_math=False)
            x += _key_width(key)
        y -= _line_height(line)


def _has_lone_points(values):
    """Whether some value has none beside it, so that no line would show it."""
    finite = np.pad(np.isfinite(values), 1)
    return bool((finite[1:-1] & ~finite[:-2] & ~finite[2:]).any())


def _value_axis(ax, panel):
    scale = panel.scale
    lo, hi = scale.lo, scale.hi
    if scale.log:
        ax.set_yscale("log")
        pad = (hi / lo) ** 0.04
        ax.set_ylim(lo / (1.0 if scale.cut_low else pad), hi * (1.0 if scale.cut_high else pad))
    else:
        pad = 0.05 * (hi - lo)
        if not panel.percent and not panel.limited and lo >= 0 and lo < 0.25 * hi:
            lo, low_pad = 0.0, 0.0  # a loss near zero is read against zero
        else:
            low_pad = 0.0 if scale.cut_low else pad
        ax.set_ylim(lo - low_pad, hi + (0.0 if scale.cut_high else pad))
    drawn = scales.Scale(scale.log, *ax.get_ylim())
    values, texts = drawn.ticks(6)
    if panel.percent:
        kept = [(v, t) for v, t in zip(values, texts) if 0 <= v <= 100]
        values, texts = [v for v, _ in kept], [t for _, t in kept]
    ax.yaxis.set_major_locator(FixedLocator(values))
    ax.yaxis.set_major_formatter(FixedFormatter(texts))
    ax.yaxis.set_minor_locator(FixedLocator(drawn.minor()))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes, label, width):
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    label = style.broken(label, 1.1 * width)
    axes[-1].set_xlabel(label, labelpad=4 * style.ZOOM, fontsize=style.fitting(label, 1.15 * width))
    axes[0].figure.align_ylabels(axes)
