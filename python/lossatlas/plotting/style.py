"""Fonts, colours, the page and where things stand on it. Lengths are inches, text sizes points.

A Page is built around its drawing: the size of the body decides the size of the figure, so that
nothing is left to automatic layout and the same file gives the same bytes.
"""

import functools
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from . import wording
from .errors import WordsError, did_you_mean, printable
from .scales import labels

COLOR_MAPS = ("viridis", "cividis", "magma", "inferno", "plasma")  # uniform, colour-blind safe
UNIFORM = {*COLOR_MAPS, "gray", "grey", "Greys", "berlin", "managua", "vanimo"}  # equal steps look equal
CONTRAST = 3.0  # of thin lines with the paper, at least
WIDTHS = {"column": 8.6 / 2.54, "text": 17.8 / 2.54}  # inches: of a two-column page

# What is drawn with, set by `apply`. Text sizes are points; ZOOM is by how much text, lines and margins
# are larger than on paper.
THEMES = {
    "paper": {
        "ZOOM": 1.0,
        "PAPER": "#ffffff", "INK": "#1a1a1a", "GREY": "#595959", "FAINT": "#d9d9d9", "PANE": "#f6f6f6",
        "NONFINITE": "#e8308a",  # evaluated, not finite
        "WARNING": "#b33c00",  # what must not be overlooked
        "LOSS": "#0072b2", "ACCURACY": "#d55e00",  # Okabe and Ito, as all below
        "TRAIN_TEST": {"train": "#0072b2", "test": "#d55e00", "val": "#009e73"},
        # Runs and files beside one another: told apart by their colours with any colour blindness (tools/check-colors),
        # and in grey print by their markers and dashes.
        "SERIES": ("#d9420b", "#1a1a1a", "#1f77e0", "#d8899d", "#00279d", "#894e62"),
        "CASING": "#ffffff",  # around lines that run over a picture
    },
}
THEMES["slides"] = {**THEMES["paper"], "ZOOM": 1.4}
THEMES["dark"] = {
    **THEMES["paper"],
    "PAPER": "#15171c", "INK": "#eceef2", "GREY": "#a4a9b3", "FAINT": "#3a3f49", "PANE": "#1c1f26",
    "NONFINITE": "#ff5fae", "WARNING": "#ff9d5c", "LOSS": "#56b4e9", "ACCURACY": "#f0a030",
    "TRAIN_TEST": {"train": "#56b4e9", "test": "#f0a030", "val": "#c4ffc4"},
    "SERIES": ("#ff7a45", "#f4f5f7", "#6db3ff", "#3b7676", "#8927eb", "#9d4e00"),
    "CASING": "#15171c",
}
SIZES = {"SMALLEST": 6.0, "TITLE": 10.0, "SUBTITLE": 7.2, "LABEL": 8.5, "TICK": 7.5, "NOTE": 6.6}
FONT = "DejaVu Sans"  # matplotlib's own: the same everywhere
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ((None, None), (5, 1.6), (1.4, 1.3), (6, 1.4, 1.4, 1.4), (3, 1.2), (8, 2))
globals().update(SIZES, **THEMES["paper"])


def apply(theme="paper"):
    """Sets matplotlib and this module up the same way whatever matplotlibrc the user has."""
    chosen = THEMES[theme]
    zoom = chosen["ZOOM"]
    globals().update({name: zoom * size for name, size in SIZES.items()}, **chosen)
    matplotlib.rcdefaults()
    matplotlib.rcParams.update({
        "font.family": "sans-serif",
        "font.sans-serif": [FONT],  # `_cover` adds others for what it lacks
        "font.size": TICK,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.labelsize": LABEL,
        "axes.linewidth": 0.6 * zoom,
        "axes.unicode_minus": True,
        "text.color": INK,
        "legend.labelcolor": INK,
        "contour.negative_linestyle": "solid",
        "hatch.linewidth": 0.7 * zoom,
        "lines.solid_capstyle": "round",
        "pdf.fonttype": 42,  # text stays text
        "svg.fonttype": "none",
        "svg.hashsalt": "lossatlas",
        "text.parse_math": False,  # a $ in a title or a name is a dollar
        "text.hinting": "none",  # else text is wider on coarse pixels than it was measured
        "path.simplify": True,
        **{f"{axis}tick.{name}": value for axis in "xy" for name, value in (
            ("color", INK), ("labelcolor", INK), ("labelsize", TICK),
            ("major.width", 0.6 * zoom), ("major.size", 3.0 * zoom), ("major.pad", 3.5 * zoom),
            ("minor.width", 0.45 * zoom), ("minor.size", 1.6 * zoom),
        )},
    })


def color_map(name):
    """A colour map by name; None is the default."""
    maps = matplotlib.colormaps
    if name is None:
        return maps[COLOR_MAPS[0]]
    if name not in maps:
        raise WordsError(f"unknown colour map '{name}'{did_you_mean(name, maps)} (good ones: {', '.join(COLOR_MAPS)})")
    return maps[name]


def notes_on(name):
    """A note on a colour map in which equal steps of the value do not look equal; none on others."""
    if name is None or name.removesuffix("_r") in UNIFORM:
        return []
    return [f"colour map {name}: equal steps of the value do not look equal"]


def for_lines(cmap):
    """`cmap` without the end that thin lines on this paper would not be seen in."""
    ramp = cmap(np.linspace(0.0, 1.0, 256))
    low, high = np.sort([luminance(ramp[:, :3]), np.full(256, luminance(colors.to_rgb(PAPER)))], axis=0)
    away = (high + 0.05) / (low + 0.05) < CONTRAST
    return colors.ListedColormap(ramp[~away]) if 0 < away.sum() < 200 else cmap


def luminance(rgb):
    """Relative luminance of sRGB colours [..., 3], as WCAG 2 defines it for the contrast of text."""
    rgb = np.asarray(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)


def series(number):
    """The look of the run or file of that number (from 0): colour, marker and dashes."""
    return {"color": SERIES[number % len(SERIES)], "marker": MARKERS[number % len(MARKERS)],
            "dashes": DASHES[number % len(DASHES)]}


def cased(width):
    """Path effects that set a line of that `width` (points) off from what is below. Not for text: it
    would no longer be text in vector files."""
    return [withStroke(linewidth=width, foreground=CASING)]


def hatch_nonfinite(axes, boxes, zorder):
    """Where values are not finite: pink and hatched, so that grey print tells it from any value and from blank paper.
    `boxes`: polygons [n, 4, 2]."""
    look = dict(linewidth=0.2, zorder=zorder, gid="nonfinite")
    axes.add_collection(PolyCollection(boxes, facecolor=NONFINITE, edgecolor=NONFINITE, **look), autolim=False)
    # One path for all: the hatch then runs through neighbouring boxes, and no box draws an edge.
    whole = Path.make_compound_path(*(Path([*box, box[0]], closed=True) for box in boxes))
    axes.add_patch(PathPatch(whole, facecolor="none", edgecolor=PAPER, hatch="////", **{**look, "linewidth": 0}))


def readable_on(color):
    """Black or white: what is read on this colour, RGB or RGBA."""
    return "black" if luminance(np.array(color[:3])) > 0.18 else "white"


def plate(opacity=0.72):
    """The box that sets a text off from what is below."""
    return {"boxstyle": "round,pad=0.12", "facecolor": CASING, "edgecolor": "none", "alpha": opacity}


@dataclass
class Head:
    """What stands above and below the drawing. `size` is the user's figure size (width, height) in
    inches, (width, None) where the height follows, or None; `mark` what the reader must not overlook,
    `numbers` facts to stand below the notes. Without `caption` only the mark stands in the figure. `axes`: matplotlib's, of
    a figure of the user's own, to draw into; the head is then their title."""

    title: str
    subtitle: str
    size: tuple | None = None
    mark: str | None = None
    numbers: tuple = ()
    caption: bool = True
    axes: object = None


@dataclass
class Margins:
    """Room beside the body for ticks, labels and colour bar, at the text sizes of paper."""

    left: float
    right: float
    bottom: float

    @property
    def sides(self):
        """Left and right together, at the text sizes in use."""
        return ZOOM * (self.left + self.right)


class Page:
    """A figure, and the rectangle of its body. The head stands above, notes below."""

    def __init__(self, head, notes, margins, body, stretch=False):
        """`body` is (width, height); `head.size` overrules it, keeping its proportions unless the
        drawing may `stretch`."""
        self.axes = head.axes
        if self.axes is not None:
            self._take(head, None if stretch else body[1] / body[0])
            return
        margins = Margins(*(ZOOM * side for side in (margins.left, margins.right, margins.bottom)))
        self._left = margins.left
        self.body = body
        words = head if head.caption else Head("", "", mark=head.mark)
        # Twice: a body narrower than the user's page is centred, which leaves the text less room.
        for _ in range(1 if head.size is None else 2):
            width = head.size[0] if head.size else body[0] + margins.left + margins.right
            room = width - self._left - 0.1
            title = wrapped(words.title, room, TITLE, "bold")
            mark = wrapped(words.mark or "", room, SUBTITLE, "bold")
            subtitle = wrapped(words.subtitle, room, SUBTITLE)
            foot = [(line, GREY) for line in wrapped(wording.joined(notes), room, NOTE)]
            foot += [(line, INK) for line in wrapped(wording.joined(head.numbers), room, NOTE)]
            foot = foot if head.caption else []
            top = ZOOM * (0.19 + 0.185 * len(title) + 0.135 * len(mark + subtitle))
            below = margins.bottom + ZOOM * (0.08 + 0.12 * len(foot) if foot else 0.0)
            self.size = head.size or (width, top + body[1] + below)
            self._below = below
            if head.size:
                self._fit(body, margins, top, stretch)
        self.figure = Figure(figsize=self.size, facecolor=PAPER)
        FigureCanvasAgg(self.figure)
        self.figure.set_label(wording.caption(head, notes))  # kept in the file's metadata
        self._write_head(title, mark, subtitle)
        for rows_below, (line, color) in zip(reversed(range(len(foot))), foot):
            self._text(line, ZOOM * (0.08 + 0.12 * rows_below), NOTE, color)

    def _take(self, head, ratio):
        """The page is the user's axes, of that height over width."""
        if ratio is not None:
            self.axes.set_box_aspect(ratio)
        self.axes.apply_aspect()
        self.figure = self.axes.figure
        frame, dpi = self.axes.get_window_extent(), self.figure.dpi
        self.size = self.body = (frame.width / dpi, frame.height / dpi)
        self._left = self._below = 0.0
        self._is_taken = False
        title = [text for text in (head.title if head.caption else "", head.mark) if text]
        lines = [line for text in title for line in wrapped(text, 1.2 * self.body[0], LABEL)]
        self.axes.set_title("\n".join(lines), fontsize=LABEL, parse_math=False)

    def add_axes(self, rectangle):
        """Axes there; the user's own, if the page is these."""
        if self.axes is None:
            return self.figure.add_axes(rectangle)
        if self._is_taken:
            raise WordsError("this figure has several panels, which one ax cannot hold: draw it without ax, or choose one"
                             " value with --field")
        self._is_taken = True
        return self.axes

    def _fit(self, body, margins, top, stretch):
        """The largest body that fits, in the middle of the page."""
        width = self.size[0] - margins.left - margins.right
        if self.size[1] is None:
            share = max(width, 0.0) / body[0]
            height = body[1] * (share**0.5 if stretch else share)
            self.size = (self.size[0], top + height + self._below)
        height = self.size[1] - top - self._below
        if width < 0.5 or height < 0.5:
            raise WordsError(f"{_inches(self.size)} leave no room for the drawing")
        shrink = min(width / body[0], height / body[1])
        self.body = (width, height) if stretch else (body[0] * shrink, body[1] * shrink)
        self._left = margins.left + 0.5 * (width - self.body[0])
        self._below += 0.5 * (height - self.body[1])

    def _write_head(self, title, mark, subtitle):
        y = self.size[1] - 0.12 * ZOOM
        for line in title:
            y -= 0.185 * ZOOM
            self._text(line, y + 0.055 * ZOOM, TITLE, INK, weight="bold")
        for lines, color, weight in ((mark, WARNING, "bold"), (subtitle, GREY, "normal")):
            for line in lines:
                y -= 0.135 * ZOOM
                self._text(line, y + 0.03 * ZOOM, SUBTITLE, color, weight=weight)

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

    def color_bar(self, mappable, scale, label, bounds=None, gap=0.12, at=None, room=None, **more):
        """A colour bar right of the body, or of `at` (inches from its left); as high as `bounds`
        (bottom, height) or the body, its label as long as `room` or the bar."""
        bottom, height = bounds or (0.0, self.body[1])
        if self.axes is not None:
            shrink = self.axes.get_position().height / self.axes.get_position(original=True).height * height / self.body[1]
            return self._bar(self.figure.colorbar(mappable, ax=self.axes, shrink=shrink, **more), scale, label, height, room)
        left = (self.body[0] if at is None else at) + gap * ZOOM
        axes = self.figure.add_axes(self.rectangle(left, bottom, 0.13 * ZOOM, height))
        return self._bar(self.figure.colorbar(mappable, cax=axes, **more), scale, label, height, room)

    @staticmethod
    def _bar(bar, scale, label, height, room):
        """The bar with round values, and its label."""
        values, texts = scale.ticks(max(3, min(8, int(height / (0.33 * ZOOM)))))
        bar.set_ticks([scale.position(v) for v in values], labels=texts)
        bar.ax.yaxis.set_minor_locator(FixedLocator([scale.position(v) for v in scale.minor()]))
        bar.ax.tick_params(length=2.5 * ZOOM, pad=2.5 * ZOOM)
        bar.ax.tick_params(which="minor", length=1.4 * ZOOM, width=0.45 * ZOOM)
        bar.outline.set_linewidth(0.6 * ZOOM)
        label = wording.on_log_scale(label) if scale.log else label
        length = room or height
        label = broken(label, length)
        bar.set_label(label, fontsize=fitting(label, 1.12 * length), labelpad=5 * ZOOM)
        return bar


def _inches(size):
    return f"{size[0]:.3g} x {size[1]:.3g} inches"


def broken(label, length, size=None):
    """An axis label on two lines, its unit below, where it is longer than `length` inches."""
    size = size or LABEL
    if text_width(label, size) <= length:
        return label
    if " (" in label:
        return label.replace(" (", "\n(", 1)
    return "\n".join(wrapped(label, max(length, 0.55 * text_width(label, size)), size))


def fitting(label, length, size=None):
    """The text size, `size` at most, at which no line of `label` is longer than `length` inches."""
    size = size or LABEL
    widest = max(text_width(line, size) for line in label.split("\n"))
    return max(SMALLEST, min(size, size * length / widest)) if widest else size


def round_ticks(low, high, count=5, whole=False):
    """(values, labels): round values within [low, high] with as few digits as tell them apart."""
    steps = [1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10]
    values = [v for v in MaxNLocator(count, steps=steps, integer=whole).tick_values(low, high)
              if low - 1e-9 * (high - low) <= v <= high + 1e-9 * (high - low)]
    return values, labels([0.0 if abs(v) < 1e-15 else v for v in values])


def coordinate_ticks(axis, low, high, count=5, whole=False):
    values, texts = round_ticks(low, high, count, whole)
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FixedFormatter(texts))
    axis.set_minor_locator(NullLocator())


def mark_center(axes, x, y):
    """A small cross on the parameters the plane was laid through, where they are in range."""
    if min(x) <= 0.0 <= max(x) and min(y) <= 0.0 <= max(y):
        for width, color in ((2.6, "white"), (1.0, "black")):
            axes.plot([0.0], [0.0], marker="+", markersize=7 * ZOOM, markeredgewidth=width * ZOOM,
                      markeredgecolor=color, linestyle="none", zorder=20, gid="center")


# --- characters ------------------------------------------------------------------------------------

_missing = set()  # characters that were to be drawn and that no installed font has


def prepare(figure):
    """Before it is drawn: what is not printable leaves the texts of a figure, and fonts are found for all characters."""
    texts = figure.findobj(Text)
    for text in texts:
        text.set_text(printable(text.get_text()))
    matplotlib.rcParams["font.sans-serif"] = [FONT]  # whatever was measured before: the same bytes
    _cover("".join(text.get_text() for text in texts))


def missing_characters():
    """The characters that were to be drawn since this was asked last and that no installed font has: 'é (U+00E9)', …"""
    texts = [f"{character} (U+{ord(character):04X})" for character in sorted(_missing)]
    _missing.clear()
    return texts


def _cover(text):
    """Adds installed fonts to those drawn with until each character of `text` has a glyph, as far as there are any."""
    fonts = matplotlib.rcParams["font.sans-serif"]
    for character in sorted(set(text) - set("\n") - _missing):
        if any(ord(character) in _characters(name) for name in fonts):
            continue
        found = next((name for name in _installed() if ord(character) in _characters(name)), None)
        if found is None:
            _missing.add(character)
        else:
            fonts = [*fonts, found]
            matplotlib.rcParams["font.sans-serif"] = fonts


@functools.cache
def _installed():
    """The names of the installed fonts, those for most languages first."""
    names = sorted({font.name for font in fontManager.ttflist})
    return sorted(names, key=lambda name: not any(part in name for part in ("CJK", "Noto", "Emoji", "Unicode")))


@functools.cache
def _characters(name):
    """The code points that a font by that name has glyphs for, upright and of ordinary weight."""
    try:
        file = fontManager.findfont(FontProperties(family=name), fallback_to_default=False)
        return frozenset(get_font(file).get_charmap())
    except (OSError, RuntimeError, ValueError):  # a damaged file, or one that FreeType cannot read
        return frozenset()


MEASURE_DPI = 600
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


@functools.lru_cache(maxsize=4096)  # a frame in 3D asks for the same texts some thousand times
def text_width(text, size, weight="normal"):
    """Inches. Measured with the fonts matplotlib brings along, so the same everywhere."""
    text = printable(text)
    _cover(text)
    renderer = text_width.renderer
    width, _, _ = renderer.get_text_width_height_descent(
        text, FontProperties(size=size, weight=weight), ismath=False
    )
    return 1.015 * width / MEASURE_DPI  # hinting makes small pixels a little wider


text_width.renderer = FigureCanvasAgg(Figure(figsize=(1, 1), dpi=MEASURE_DPI)).get_renderer()


def wrapped(text, width, size, weight="normal"):
    """Lines of at most `width` inches; a word longer than that is broken, at a no-break space or behind
    a hyphen if it has one."""
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
            if NO_BREAK_SPACE in word[1 : cut + 1]:
                cut = word.rfind(NO_BREAK_SPACE, 1, cut + 1)
            elif "-" in word[1:cut]:
                cut = word.rfind("-", 1, cut) + 1
            lines.append(word[:cut])
            word = word[cut:].lstrip(NO_BREAK_SPACE)
        lines.append(word)
    # A separator belongs between facts, not at the end or start of a line.
    return [text for line in lines if (text := line.strip("· "))]

