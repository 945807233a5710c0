"""Colours, markers and the legend of descents."""

import numpy as np
from matplotlib.lines import Line2D

from .. import scales, style
from . import words

ORDER = (2, 0, 3, 4, 5, 1)  # of the colours of runs: first those that are neither the curve's nor the tangents'
WIDTH, HEIGHT = 4.6, 2.5  # inches: the usual body of a function of one variable
LEGEND_ROW, LEGEND_GAP = 0.147, 0.5  # inches
END, END_RIM = 6.0, 4.0  # points: the marker where a descent ended, and what it is larger by for each that ends on it
MOST_RIMS = 3


def look_numbers(descents):
    """The number of the look of each: rules differ where there are several, else starts do."""
    rules = words.rules(descents)
    return [rules.index(d.rule) if len(rules) > 1 else i for i, d in enumerate(descents)]


def looks_of(descents):
    """The look of each: (colour, dashes, marker)."""
    return [numbered(number) for number in look_numbers(descents)]


def numbered(number):
    """No two of the first 36 are alike: dashes and markers shift against the colours with every round."""
    turn = number // len(ORDER)
    return (style.series(ORDER[number % len(ORDER)])["color"], style.series(number + turn)["dashes"],
            style.series(number - turn)["marker"])


def legend_lines(descents, looks):
    """(look, text) of each entry; descents of one rule from several starts share one."""
    if len(words.rules(descents)) == 1:
        return [(look, words.about(descent)) for descent, look in zip(descents, looks)]
    lines = []
    for rule in words.rules(descents):
        own = [(d, look) for d, look in zip(descents, looks) if d.rule == rule]
        descent, look = own[0]
        text = f"{words.optimizer(descent)}, rate {scales.number(descent.rate)}"
        ends = list(dict.fromkeys(words.ending(d) for d, _ in own))
        values = ", ".join(scales.number(d.value[-1]) for d, _ in own[:4])
        more = ", …" if len(own) > 4 else ""
        lines.append((look, f"{text}: {' or '.join(ends)}, f = {values}{more}"))
    return lines


def draw_legend(page, lines, gap=LEGEND_GAP, outdent=0.3):
    """The legend, one entry a row below the body; the page has legend_height more room there. Lengths in inches."""
    handles = [Line2D([], [], color=color, dashes=dashes, marker=marker, linewidth=1.4 * style.ZOOM, markersize=4 * style.ZOOM,
                      markeredgewidth=0 * style.ZOOM, label=text) for (color, dashes, marker), text in lines]
    left, bottom, width, _ = page.rectangle()
    widest = max(style.text_width(text, style.NOTE) for _, text in lines)
    room = page.body[0] + outdent
    return page.figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left - outdent * style.ZOOM / page.size[0],
                                                           bottom - gap * style.ZOOM / page.size[1]),
        frameon=False, fontsize=min(style.NOTE, style.NOTE * room / (widest + 0.5)), handlelength=3.0,
        borderpad=0, borderaxespad=0, labelspacing=0.45, handletextpad=0.6)


def legend_height(lines):
    return LEGEND_ROW * len(lines) + 0.08 if lines else 0.0


def end_sizes(file, descents):
    """The size of each one's end in points: that of an earlier one looks out from below those that end at the same place."""
    spans = np.array([axis[-1] - axis[0] for axis in (file.x, file.y) if axis is not None])
    ends = np.array([descent.position[-1] for descent in descents]).reshape(len(descents), len(spans))
    with np.errstate(over="ignore", invalid="ignore"):
        later = [int((np.abs(ends[n + 1:] - end) < 0.01 * spans).all(axis=1).sum()) for n, end in enumerate(ends)]
    return [END + END_RIM * min(count, MOST_RIMS) for count in later]


def draw_ends(axes, x, y, look, size):
    """A ring where it starts, a large filled marker where it ends."""
    color, _, marker = look
    axes.plot(x[:1], y[:1], marker="o", markersize=6.5 * style.ZOOM, markerfacecolor="none", markeredgecolor=color,
              markeredgewidth=1.3 * style.ZOOM, linestyle="none", zorder=6, gid="start")
    axes.plot(x[-1:], y[-1:], marker=marker, markersize=size * style.ZOOM, markerfacecolor=color, markeredgecolor=style.CASING,
              markeredgewidth=0.8 * style.ZOOM, linestyle="none", zorder=7, gid="end")
