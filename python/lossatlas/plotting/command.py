"""The command line: reads the words, and has the figure drawn once or for as long as a sweep runs."""

import argparse
import logging
import math
import os
import re
import sys
import warnings
from dataclasses import fields

from . import figures, run_files, saving, style, watching
from .errors import PlotError, WordsError, did_you_mean
from .kinds import ANIMATIONS, KINDS
from .messages import say
from .options import Look, Options

MOST_PIXELS = 20_000  # a side
WATCH = 1.0  # seconds between two looks at the file


def main(words):
    """Draws what the words ask for; the exit status: 0 done, 1 a file failed, 2 wrong words."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what matters of them is said in our own words
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        if any(word.split("=")[0] == "--report" for word in words) and not {"-h", "--help"} & set(words):
            from . import report

            written = [report.main(words)]
        else:
            written = _draw(words)
    except PlotError as error:
        say(error)
        return error.status
    except MemoryError:
        say("out of memory")
        return 1
    except Exception as error:  # our own mistake: still one line, unless its trace is asked for
        is_of_stream = isinstance(error, OSError) and error.filename is None  # standard output cannot be written
        if is_of_stream or os.environ.get("LOSSATLAS_TRACEBACK"):
            raise
        say(f"internal error: {type(error).__name__}: {error} (LOSSATLAS_TRACEBACK=1 shows where)")
        return 1
    for path in written:
        print(path)
    return 0


def _draw(words):
    """The paths of what was drawn and is still to be named."""
    options = parse(words)
    style.apply(options.style)
    if options.watch is None:
        return figures.draw(options)
    watching.watch(options)
    return []


# --- the words -------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise WordsError(f"{message} (lossatlas plot --help lists the options)")

    def known_options(self):
        return [name for action in self._actions for name in action.option_strings]


def parse(words):
    """The Options; WordsError where they are wrong."""
    parser = make_parser()
    options, unknown = parser.parse_known_args(_joined(words))
    # argparse takes words after the first option for strays where it has had its files already.
    while unknown and not unknown[0].startswith("-"):
        options.files.append(unknown.pop(0))
    if unknown:
        word = unknown[0].partition("=")[0]
        what = "option" if word.startswith("-") else "word"
        hint = did_you_mean(word, parser.known_options()) if what == "option" else ""
        parser.error(f"unknown {what} '{word}'{hint}")
    if options.zlim:
        if options.vmin is not None or options.vmax is not None:
            raise WordsError("--zlim gives --vmin and --vmax: leave these out")
        options.vmin, options.vmax = options.zlim
    options.files = [run_files.history_of(path) or path for path in options.files]
    if options.vmin is not None and options.vmax is not None and options.vmin >= options.vmax:
        raise WordsError(f"--vmin {options.vmin:g} must be below --vmax {options.vmax:g}")
    if options.width is not None:
        if options.size:
            raise WordsError("--size and --width both set the width of the figure: leave one of them out")
        options.size = (options.width, None)
    if options.size and max(filter(None, options.size)) * options.dpi > MOST_PIXELS:
        raise WordsError(f"the figure is more than {MOST_PIXELS} pixels per side: reduce --dpi")
    if options.names and len(options.names) != len(options.files):
        count = len(options.files)
        raise WordsError(f"--names gives {len(options.names)} names for {count} file{'s' * (count > 1)}")
    if options.watch is not None and len(options.files) > 1:
        raise WordsError("--watch follows one file")
    for path in options.out or ():
        saving.extension(path)
    if options.animate and options.out and not {*map(saving.extension, options.out)} & {*saving.ANIMATIONS}:
        raise WordsError(f"--animate {options.animate} needs an output .gif or .mp4")
    if options.cmap:
        style.color_map(options.cmap)
    return _frozen(options, parser)


def _frozen(namespace, parser):
    """The Options of argparse's namespace. What was left out takes the defaults of Options and Look."""
    words = vars(namespace)
    given = {name for name, value in words.items() if value != parser.get_default(name)}
    given -= {"size"} if words["width"] else set()  # it follows from the width
    words["projections"] = words["projection"]
    kept = {name: tuple(value) if name in ("files", "out", "projections") else value
            for name, value in words.items() if value is not None}
    look = Look(**_of(Look, kept))
    return Options(**_of(Options, kept), look=look, given=frozenset(given))


def _of(kind, words):
    """Those of the words that the dataclass has."""
    return {each.name: words[each.name] for each in fields(kind) if each.name in words}


def _joined(words):
    """'--vmin -1e3' as '--vmin=-1e3': argparse takes negative numbers of some forms for options.

    And '--watch S.h5' as '--watch=1 S.h5': what is no number after it is not meant for it.
    """
    joined = []
    for word in words:
        previous = joined[-1] if joined else ""
        if previous == "--watch" and not re.fullmatch(r"-?\.?\d\S*", word):
            joined[-1] = f"--watch={WATCH:g}"
        if re.match(r"-[\d.]", word) and re.fullmatch(r"--[a-z]+", previous):
            joined[-1] = f"{previous}={word}"
        else:
            joined.append(word)
    return joined


def make_parser():
    parser = _Parser(
        prog="lossatlas plot", allow_abbrev=False,
        description="Draws an HDF5 file of lossatlas: a surface, a trajectory, a line, a curve between"
        " networks, descents on a function or a training history; or a surface of tomgoldstein/loss-landscape."
        " Writes figures, pages to explore and animations, and prints their names.",
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE.h5",
        help="surfaces, trajectories, lines, curves, descents, or histories (history.h5, or the run's folder); several of"
        " one sort are drawn in one figure on one scale")
    add("--report", metavar="RUN_DIR",
        help="instead of files: everything a run made, on one page, -o report.html (default: in RUN_DIR)")
    add("--kind", type=_kind, metavar="KIND",
        help=f"what to draw: {', '.join(KINDS)} (default: trajectory for a plane with runs, contourf for other planes, else"
        " what the file is)")
    add("-o", "--out", action="append", metavar="FILE",
        help="a figure (.png, .pdf, .svg), a page to explore (.html) or an animation (.gif, .mp4); may be given several"
        " times; a missing folder is made (default: FILE_KIND.png next to the file)")
    add("--animate", choices=ANIMATIONS, metavar="WHAT",
        help="what moves in .gif and .mp4: spin (the surface, once around), trajectory, epochs (the files one after"
        " another) or descents (default: what fits the files)")
    add("--field", "--value", metavar="NAME",
        help="the value on the grid, as train_loss, test_acc, train_loss_class_3 or l2; error is the stated error of"
        " reconstructed losses (default: the first loss)")
    add("--draw", "--repeat-index", type=_draw_number, metavar="K",
        help="one of several draws of directions (--repeat), counted from 1 (default: the mean of all)")
    add("--at", type=_at, metavar="z=V,…",
        help="of a surface of three and more axes, the slice at these coordinates (default: at 0)")
    add("--projection", action="append", metavar="P.h5",
        help="a file of paths to draw over planes, as lossatlas trajectory and tomgoldstein/loss-landscape write them;"
        " may be given several times")
    add("--watch", type=_seconds, nargs="?", const=WATCH, metavar="SECONDS",
        help="redraw whenever the file changes, looking every SECONDS (1), until the surface is complete")
    add("--numbers", action="store_true", default=None,
        help="write the file's own numbers and hints below the picture")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--log", dest="log", action="store_true", default=None,
                       help="logarithmic values (default: if all are positive and two fifths of them lie in the lowest"
                            " tenth of a linear scale; never for descents in 3D)")
    scale.add_argument("--linear", dest="log", action="store_false", default=None, help="linear values")
    add("--levels", type=_levels, metavar="N|A,B,…",
        help="about N contours at round values, or these")
    add("--vmin", type=_number, metavar="X", help="smallest value drawn")
    add("--vmax", type=_number, metavar="X", help="largest value drawn")
    add("--zlim", type=_limits, metavar="A:B", help="--vmin A and --vmax B: the height of a surface in 3D")
    add("--xlim", type=_limits, metavar="A:B",
        help="the part of the plane or line that is drawn; the scale is that of the part (default: all)")
    add("--ylim", type=_limits, metavar="A:B", help="the same for y (default: all)")
    add("--aspect", type=_aspect, metavar="equal|R",
        help="height of the plane over its width; equal: one scale for both axes (default: one scale, unless one side is"
        " over six times the other, 2.5 in 3D)")
    add("--smooth", action="store_true", default=None,
        help="a smooth surface through the points: monotone cubics, so no value beyond those of the points around it")
    add("--scale", choices=("one", "each"), metavar="one|each",
        help="of several files or draws: one scale, or each its own (default: one)")
    add("--elev", type=_elevation, metavar="DEGREES",
        help="height of the eye in 3D (default: the lowest of 30, 40, 50 and 60 from which centre, minimum and ends of paths"
        " are seen)")
    add("--azim", type=_number, metavar="DEGREES",
        help="direction of the eye in 3D (default: of -57, 33, 123 and -147 the one that shows most; in animations -57)")
    add("--no-floor", dest="floor", action="store_false", default=None, help="3D without the contours below")
    add("--cmap", metavar="NAME",
        help=f"a matplotlib colour map; {', '.join(style.COLOR_MAPS[1:])} are good too (default: {style.COLOR_MAPS[0]})")
    add("--style", choices=tuple(style.THEMES), default="paper", metavar="|".join(style.THEMES),
        help="of the figure; slides has larger text and lines (default: paper)")
    add("--title", metavar="TEXT", help="the title (default: from the file's settings)")
    add("--names", type=_names, metavar="A,B,…", help="names of several files in the figure (default: their own)")
    add("--no-caption", dest="caption", action="store_false",
        help="no text above and below the picture; it is printed instead")
    add("--dpi", type=_dpi, default=300, metavar="N",
        help="pixels per inch, in animations at most 130 (default: 300; animations 130)")
    add("--size", type=_size, metavar="WxH", help="size of the figure in inches")
    add("--width", type=_width, metavar="column|text|Ncm|Nin",
        help="width of the figure, whose height follows: column is 8.6 cm, text 17.8 cm")
    return parser


def _kind(word):
    if word == "path":
        say("note: --kind path is now called curve")
    word = {"3d": "surface", "path": "curve"}.get(word, word)
    if word in KINDS:
        return word
    raise argparse.ArgumentTypeError(f"unknown kind '{word}'{did_you_mean(word, KINDS)} (there are {', '.join(KINDS)})")


def _number(word):
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{word}' is not a number")
    return value


def _limits(word):
    """'A:B' as (A, B), ascending."""
    parts = word.split(":")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"'{word}' is not A:B, as in -0.5:0.5")
    low, high = map(_number, parts)
    if low >= high:
        raise argparse.ArgumentTypeError(f"'{word}' must rise: {high:g}:{low:g}?")
    return low, high


def _at(word):
    """'z=0.5,w=0' as ((name, coordinate), …)."""
    found = re.findall(r"(\w+)=([^,]*)(?:,|$)", word)
    if not found or ",".join("=".join(part) for part in found) != word or len(dict(found)) < len(found):
        raise argparse.ArgumentTypeError(f"'{word}' is not AXIS=VALUE,…, each axis once, as in z=0.5")
    return tuple((name, _number(value)) for name, value in found)


def _aspect(word):
    """Height over width; 0: both axes to one scale."""
    if word == "equal":
        return 0.0
    value = _number(word)
    if not 0.05 <= value <= 20.0:
        raise argparse.ArgumentTypeError(f"'{word}' is neither equal nor a number from 0.05 to 20")
    return value


def _seconds(word):
    seconds = _number(word)
    if not 0.05 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"'{word}' is not a number of seconds from 0.05 to 86400")
    return seconds


def _draw_number(word):
    if not re.fullmatch(r"[0-9]{1,9}", word) or int(word) == 0:
        raise argparse.ArgumentTypeError(f"'{word}' is not the number of a draw, counted from 1")
    return int(word)


def _levels(word):
    """A count as int, or ascending distinct values as a list."""
    if "," in word:
        return sorted({_number(part) for part in word.split(",") if part.strip()})
    if not word.isdecimal() or not 1 <= int(word) <= 200:
        raise argparse.ArgumentTypeError(f"'{word}' is neither a count from 1 to 200 nor a list a,b,c")
    return int(word)


def _dpi(word):
    if not word.isdecimal() or not 20 <= int(word) <= 2400:
        raise argparse.ArgumentTypeError(f"'{word}' is not a whole number from 20 to 2400")
    return int(word)


def _elevation(word):
    value = _number(word)
    if not -89.0 <= value <= 90.0:
        raise argparse.ArgumentTypeError(f"'{word}' is not a number of degrees from -89 to 90")
    return value


def _names(word):
    return [name.strip() for name in word.split(",")]


def _width(word):
    """Inches."""
    if word in style.WIDTHS:
        return style.WIDTHS[word]
    match = re.fullmatch(r"(\d*\.?\d+)(cm|mm|in)", word.lower())
    inches = float(match[1]) / {"cm": 2.54, "mm": 25.4, "in": 1.0}[match[2]] if match else 0.0
    if not 1.0 <= inches <= 100.0:
        raise argparse.ArgumentTypeError(
            f"'{word}' is none of column, text, Ncm, Nmm and Nin, 1 to 100 inches")
    return inches


def _size(word):
    sides = word.lower().split("x")
    if len(sides) != 2 or not all(1.0 <= _number(side) <= 100.0 for side in sides):
        raise argparse.ArgumentTypeError(f"'{word}' is not WIDTHxHEIGHT in inches, each 1 to 100")
    return float(sides[0]), float(sides[1])
