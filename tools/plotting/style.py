"""Fonts, colours, the page and where things stand on it. Lengths are inches, text sizes points.

A Page is built around its drawing: the size of the body decides the size of the figure, so that
nothing is left to automatic layout and the same file gives the same bytes.
"""

import difflib
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from . import wording
from .errors import WordsError
from .scales import labels

SMALLEST = 6.0  # of a label that would not fit
TITLE, SUBTITLE, LABEL, TICK, NOTE = 10.0, 7.2, 8.5, 7.5, 6.6
INK, GREY, FAINT = "#1a1a1a", "#595959", "#d9d9d9"
NONFINITE = "#e8308a"  # evaluated, not finite
WARNING = "#b33c00"  # what must not be overlooked
TRAIN_TEST = {"train": "#0072b2", "test": "#d55e00", "val": "#009e73"}  # Okabe and Ito
COLOR_MAPS = ("viridis", "cividis", "magma", "inferno", "plasma")  # uniform, colour-blind safe

SETTINGS = {
    "font.family": "sans-serif",
    "font.size": TICK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": LABEL,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": TICK,
    "ytick.labelsize": TICK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "contour.negative_linestyle": "solid",
    "lines.solid_capstyle": "round",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "lossatlas",
    "text.hinting": "none",  # else text is wider on coarse pixels than it was measured
    "path.simplify": True,
}


def apply():
    """Sets matplotlib up the same way whatever matplotlibrc the user has."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(SETTINGS)


def color_map(name):
    """A colour map by name; None is the default."""
    maps = matplotlib.colormaps
    if name is None:
        return maps[COLOR_MAPS[0]]
    if name not in maps:
        near = difflib.get_close_matches(name, list(maps), 1, 0.6)
        hint = f", did you mean '{near[0]}'?" if near else ""
        raise WordsError(f"unknown colour map '{name}'{hint} (good ones: {', '.join(COLOR_MAPS)})")
    return maps[name]


def darker(cmap):
    """`cmap` without the tenth that is too light for thin lines on white paper."""
    ramp = cmap(np.linspace(0.0, 1.0, 256))
    light = ramp[:, :3] @ (0.2126, 0.7152, 0.0722) > 0.72
    return colors.ListedColormap(ramp[~light]) if 0 < light.sum() < 200 else cmap


@dataclass
class Head:
    """What stands above and below the drawing. `size` is the user's figure size (width, height)
    or None, `mark` what the reader must not overlook, `numbers` facts to stand below the notes."""

    title: str
    subtitle: str
    size: tuple | None = None
    mark: str | None = None
    numbers: tuple = ()


@dataclass
class Margins:
    """Room beside the body for ticks, labels and colour bar."""

    left: float
    right: float
    bottom: float


class Page:
    """A figure, and the rectangle of its body. The head stands above, notes below."""

    def __init__(self, head, notes, margins, body, stretch=False):
        """`body` is (width, height); `head.size` overrules it, keeping its proportions unless the
        drawing may `stretch`."""
        self._left = margins.left
        self.body = body
        # Twice: a body narrower than the user's page is centred, which leaves the text less room.
        for _ in range(1 if head.size is None else 2):
            width = head.size[0] if head.size else body[0] + margins.left + margins.right
            room = width - self._left - 0.1
            title = _wrap(head.title, room, TITLE, "bold")
            mark = _wrap(head.mark or "", room, SUBTITLE, "bold")
            subtitle = _wrap(head.subtitle, room, SUBTITLE)
            foot = [(line, GREY) for line in _wrap(wording.joined(notes), room, NOTE)]
            foot += [(line, INK) for line in _wrap(wording.joined(head.numbers), room, NOTE)]
            top = 0.12 + 0.185 * len(title) + 0.135 * len(mark + subtitle) + 0.07
            below = margins.bottom + (0.08 + 0.12 * len(foot) if foot else 0.0)
            self.size = head.size or (width, top + body[1] + below)
            self._below = below
            if head.size:
                self._fit(body, margins, top, stretch)
        self.figure = Figure(figsize=self.size, facecolor="white")
        FigureCanvasAgg(self.figure)
        self._write_head(title, mark, subtitle)
        for rows_below, (line, color) in zip(reversed(range(len(foot))), foot):
            self._text(line, 0.08 + 0.12 * rows_below, NOTE, color)

    def _fit(self, body, margins, top, stretch):
        """The largest body that fits, in the middle of the page."""
        width = self.size[0] - margins.left - margins.right
        height = self.size[1] - top - self._below
        if width < 0.5 or height < 0.5:
            raise WordsError(
                f"--size {self.size[0]:g}x{self.size[1]:g} inches leaves no room for the drawing"
            )
        shrink = min(width / body[0], height / body[1])
        self.body = (width, height) if stretch else (body[0] * shrink, body[1] * shrink)
        self._left = margins.left + 0.5 * (width - self.body[0])
        self._below += 0.5 * (height - self.body[1])

    def _write_head(self, title, mark, subtitle):
        y = self.size[1] - 0.12
        for line in title:
            y -= 0.185
            text = self._text(line, y + 0.055, TITLE, INK, weight="bold")
            text.set_parse_math(_is_math(line))
        for line in mark:
            y -= 0.135
            self._text(line, y + 0.03, SUBTITLE, WARNING, weight="bold")
        for line in subtitle:
            y -= 0.135
            self._text(line, y + 0.03, SUBTITLE, GREY)

    def _text(self, line, y, size, color, **more):
        return self.figure.text(
            self._left / self.size[0], y / self.size[1], line,
            fontsize=size, color=color, ha="left", va="baseline", parse_math=False, **more,
        )

    def rectangle(self, left=0.0, bottom=0.0, width=None, height=None):
        """A rectangle given relative to the body's lower left corner, as figure fractions."""
        width = self.body[0] if width is None else width
        height = self.body[1] if height is None else height
        x = self._left + left
        y = self._below + bottom
        return (x / self.size[0], y / self.size[1], width / self.size[0], height / self.size[1])

    def color_bar(self, mappable, scale, label, bounds=None, gap=0.12, **more):
        """A colour bar right of the body, as high as `bounds` (bottom, height) or the body."""
        bottom, height = bounds or (0.0, self.body[1])
        axes = self.figure.add_axes(self.rectangle(self.body[0] + gap, bottom, 0.13, height))
        bar = self.figure.colorbar(mappable, cax=axes, **more)
        values, texts = scale.ticks(max(3, min(8, int(height / 0.33))))
        bar.set_ticks([scale.position(v) for v in values], labels=texts)
        bar.ax.yaxis.set_minor_locator(FixedLocator([scale.position(v) for v in scale.minor()]))
        bar.ax.tick_params(length=2.5, pad=2.5)
        bar.ax.tick_params(which="minor", length=1.4, width=0.45)
        bar.outline.set_linewidth(0.6)
        label = wording.on_log_scale(label) if scale.log else label
        length = max(height, 0.9 * self.body[1])
        label = broken(label, length)
        bar.set_label(label, fontsize=fitting(label, 1.12 * length), labelpad=5)
        return bar


def broken(label, length, size=LABEL):
    """An axis label on two lines, its unit below, where it is longer than `length` inches."""
    if text_width(label, size) <= length:
        return label
    return label.replace(" (", "\n(", 1)


def fitting(label, length, size=LABEL):
    """The text size, `size` at most, at which no line of `label` is longer than `length` inches."""
    widest = max(text_width(line, size) for line in label.split("\n"))
    return max(SMALLEST, min(size, size * length / widest)) if widest else size


def coordinate_ticks(axis, low, high, count=5):
    """Round ticks within [low, high] with as few digits as tell them apart."""
    values = [v for v in MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
              if low - 1e-9 * (high - low) <= v <= high + 1e-9 * (high - low)]
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FixedFormatter(labels([0.0 if abs(v) < 1e-15 else v for v in values])))
    axis.set_minor_locator(NullLocator())


def mark_center(axes, x, y):
    """A small cross on the parameters the plane was laid through, where they are in range."""
    if min(x) <= 0.0 <= max(x) and min(y) <= 0.0 <= max(y):
        for width, color in ((2.6, "white"), (1.0, "black")):
            axes.plot([0.0], [0.0], marker="+", markersize=7, markeredgewidth=width,
                      markeredgecolor=color, linestyle="none", zorder=20, gid="center")


MEASURE_DPI = 600
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def text_width(text, size, weight="normal"):
    """Inches. Measured with the fonts matplotlib brings along, so the same everywhere."""
    renderer = text_width.renderer
    width, _, _ = renderer.get_text_width_height_descent(
        text, FontProperties(size=size, weight=weight), ismath=False
    )
    return 1.015 * width / MEASURE_DPI  # hinting makes small pixels a little wider


text_width.renderer = FigureCanvasAgg(Figure(figsize=(1, 1), dpi=MEASURE_DPI)).get_renderer()


def _wrap(text, width, size, weight="normal"):
    """Lines of at most `width` inches; a word longer than that is broken, at a no-break space if it
    has one."""
    lines = []
    for word in filter(None, text.replace("\n", " ").split(" ")):  # no-break spaces stay
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size, weight) <= width:
            lines[-1] = joined
            continue
        while text_width(word, size, weight) > width and len(word) > 1:
            cut = len(word) - 1
            while cut > 1 and text_width(word[:cut], size, weight) > width:
                cut -= 1
            cut = word.rfind(NO_BREAK_SPACE, 1, cut + 1) if NO_BREAK_SPACE in word[1 : cut + 1] else cut
            lines.append(word[:cut])
            word = word[cut:].lstrip(NO_BREAK_SPACE)
        lines.append(word)
    # A separator belongs between facts, not at the end or start of a line.
    return [line.strip("· ") for line in lines]


def _is_math(text):
    """Whether `text` is meant as, and is, matplotlib's mathematical text."""
    if text.count("$") < 2:
        return False
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return True
