"""The command line: reads the words, chooses the kind of figure, draws and writes it."""

import argparse
import difflib
import logging
import math
import os
import re
import sys
import warnings

import numpy as np

from . import reading, saving, scales, style, wording
from .errors import PlotError, WordsError, one_line

PLANE_KINDS = ("contour", "contourf", "heat", "surface")
KINDS = (*PLANE_KINDS, "line", "history")
MOST_PIXELS = 20_000  # a side

# option -> the kinds that read it; the others are read by all
READ_BY = {
    "levels": ("contour", "contourf"),
    "elev": ("surface",),
    "azim": ("surface",),
    "cmap": PLANE_KINDS,
}


def main(words):
    """Draws what the words ask for; the exit status: 0 done, 1 a file failed, 2 wrong words."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what matters of them is said in our own words
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        options = parse(words)
        style.apply()
        for path in draw(options):
            print(path)
    except PlotError as error:
        _say(error)
        return error.status
    except MemoryError:
        _say("out of memory")
        return 1
    except Exception as error:  # our own mistake: still one line, unless its trace is asked for
        if os.environ.get("LOSSATLAS_TRACEBACK"):
            raise
        _say(f"internal error: {type(error).__name__}: {error}"
             " (LOSSATLAS_TRACEBACK=1 shows where)")
        return 1
    return 0


def _say(text):
    print(f"plot: {one_line(text)}", file=sys.stderr)


# --- the words -------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise WordsError(f"{message} (tools/plot --help lists the options)")

    def known_options(self):
        return [name for action in self._actions for name in action.option_strings]


def parse(words):
    """The options as a namespace; WordsError where they are wrong."""
    parser = _parser()
    options, unknown = parser.parse_known_args(_joined(words))
    if unknown:
        word = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(word, parser.known_options(), 1, 0.6)
        what = "option" if word.startswith("-") else "word"
        hint = f", did you mean '{near[0]}'?" if near and what == "option" else ""
        parser.error(f"unknown {what} '{word}'{hint}")
    if options.vmin is not None and options.vmax is not None and options.vmin >= options.vmax:
        raise WordsError(f"--vmin {options.vmin:g} must be below --vmax {options.vmax:g}")
    if options.size and max(options.size) * options.dpi > MOST_PIXELS:
        raise WordsError(f"--size times --dpi is more than {MOST_PIXELS} pixels a side")
    for path in options.out or ():
        saving.extension(path)
    if options.cmap:
        style.color_map(options.cmap)
    return options


def _joined(words):
    """'--vmin -1e3' as '--vmin=-1e3': argparse takes negative numbers of some forms for options."""
    joined = []
    for word in words:
        previous = joined[-1] if joined else ""
        if re.match(r"-[\d.]", word) and re.fullmatch(r"--[a-z]+", previous):
            joined[-1] = f"{previous}={word}"
        else:
            joined.append(word)
    return joined


def _parser():
    parser = _Parser(
        prog="tools/plot", allow_abbrev=False,
        description="Draws a loss surface, a line or a training history kept in an HDF5 file of"
        " lossatlas, or a surface of tomgoldstein/loss-landscape. Prints the files it wrote.",
    )
    add = parser.add_argument
    add("file", metavar="FILE.h5", help="a surface, a line, or history.h5 of a training run")
    add("--kind", type=_kind, metavar="|".join(KINDS),
        help="what to draw (default: contourf for a plane, else what the file is)")
    add("-o", "--out", action="append", metavar="FIG.png|.pdf|.svg",
        help="may be given several times (default: FILE_KIND.png beside the file)")
    add("--value", metavar="NAME", help="train_loss, test_acc … (default: the first loss)")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--log", dest="log", action="store_true", default=None,
                       help="logarithmic values (default: when all are positive and max/min > 50)")
    scale.add_argument("--linear", dest="log", action="store_false", help="linear values")
    add("--levels", type=_levels, metavar="N|A,B,…",
        help="about N contour levels at round values, or these")
    add("--vmin", type=_number, help="least value drawn; the figure states the cut")
    add("--vmax", type=_number, help="largest value drawn; the figure states the cut")
    add("--elev", type=_number, help="surface: height of the eye in degrees (default 32)")
    add("--azim", type=_number, help="surface: direction of the eye in degrees (default -57)")
    add("--cmap", metavar="NAME",
        help=f"a matplotlib colour map (default {style.COLOR_MAPS[0]}; also good:"
        f" {', '.join(style.COLOR_MAPS[1:])})")
    add("--title", metavar="TEXT", help="title in place of the one made from the file's settings")
    add("--dpi", type=_dpi, default=300, help="pixels an inch (default 300)")
    add("--size", type=_size, metavar="WxH", help="size of the figure in inches")
    return parser


def _kind(word):
    if word in KINDS:
        return word
    near = difflib.get_close_matches(word, KINDS, 1, 0.5)
    hint = f", did you mean '{near[0]}'?" if near else ""
    raise argparse.ArgumentTypeError(f"unknown kind '{word}'{hint} (there are {', '.join(KINDS)})")


def _number(word):
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{word}' is not a number")
    return value


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


def _size(word):
    sides = word.lower().split("x")
    if len(sides) != 2 or not all(1.0 <= _number(side) <= 100.0 for side in sides):
        raise argparse.ArgumentTypeError(f"'{word}' is not WIDTHxHEIGHT in inches, each 1 to 100")
    return float(sides[0]), float(sides[1])


# --- the figures -----------------------------------------------------------------------------------


def draw(options):
    """Draws the file's figure and writes it; the paths written."""
    with reading.open_file(options.file) as file:
        if isinstance(file, reading.HistoryFile):
            kind, figure = "history", _history(file, options)
        else:
            kind, figure = _surface(file, options)
    paths = options.out or [_default_path(options, kind)]
    # All are rendered before one is written: a failure then leaves every old figure in place.
    for extension in {saving.extension(path): None for path in paths}:
        data = saving.render(figure, extension, options.dpi)
        rendered = [(path, data) for path in paths if saving.extension(path) == extension]
        for path, data in rendered:
            saving.write(path, data)
    return paths


def _default_path(options, kind):
    stem, extension = os.path.splitext(options.file)
    if extension.lower() not in (".h5", ".hdf5"):
        stem = options.file
    value = f"_{options.value}" if options.value else ""
    return f"{stem}{value}_{kind}.png"


def _history(file, options):
    from . import curves

    _require(options.kind in (None, "history"), file,
             f"a training history, not a plane to draw as {options.kind}: leave --kind out")
    _report_unread(options, "history")
    names = [options.value] if options.value else file.names
    head = style.Head(_title(options, wording.title("training", file.settings)),
                      curves.history_subtitle(file), options.size)
    return curves.draw_history(file, names, head, options.log, (options.vmin, options.vmax))


def _surface(file, options):
    """(the kind drawn, the figure)."""
    _require(options.kind != "history", file, "a surface, not a training history: leave --kind out")
    if math.prod(file.shape) == 1:
        raise PlotError(f"{file.path} holds one point only: nothing to draw")
    if file.y is None:
        _require(options.kind in (None, "line"), file,
                 f"a line (no ycoordinates), not a plane to draw as {options.kind}: use --kind line")
        return "line", _line(file, options, file.x, 0, [])
    if 1 in file.shape:
        along = 1 if file.shape[0] == 1 else 2
        note = f"the plane has one {'row' if along == 1 else 'column'} of points: drawn as a line"
        return "line", _line(file, options, file.x if along == 1 else file.y, along, [note])
    _require(options.kind != "line", file,
             f"a plane, not a line: use --kind {', '.join(PLANE_KINDS)}")
    return _plane(file, options)


def _require(fits, file, what):
    if not fits:
        raise PlotError(f"{file.path} holds {what}")


def _line(file, options, x, along, notes):
    from . import curves

    _report_unread(options, "line")
    if options.value:
        names = [options.value]
    else:
        names = [name for name in reading.HISTORY_VALUES if name in file.names] or [file.default_name()]
    fields = [file.field(name).squeeze() for name in names]
    _require(not all(field.blank.all() for field in fields), file, "no evaluated point: nothing to draw")
    what = wording.short_label(names[0]) if len(names) == 1 else "loss"
    head = style.Head(_title(options, wording.title(what, file.settings) + " along a line"),
                      wording.subtitle(file.settings, file.shape, file.path), options.size)
    return curves.draw_line(file.path, file.settings, x, fields, head,
                            wording.axis_label(along, file.settings), options.log,
                            (options.vmin, options.vmax), notes)


def _plane(file, options):
    kind = options.kind or "contourf"
    _report_unread(options, kind)
    name = options.value or file.default_name()
    field = file.field(name)
    _require(not field.blank.all(), file, f"no evaluated point of {name}: nothing to draw")
    _require(bool(np.isfinite(field.values).any()), file,
             f"no finite value of {name}: nothing to draw")
    scale = scales.choose(field.values, name, options.log, options.vmin, options.vmax)
    label = wording.value_label(name, file.settings)
    head = style.Head(_title(options, wording.title(wording.short_label(name), file.settings)),
                      wording.subtitle(file.settings, file.shape, file.path), options.size)
    if kind == "surface":
        from . import relief  # mplot3d costs start-up time that the other kinds need not pay

        return kind, relief.draw(file, field, scale, head, label, options.elev, options.azim,
                                 options.cmap)
    from . import planes

    return kind, planes.draw(kind, file, field, scale, head, label, options.levels, options.cmap)


def _title(options, made):
    return made if options.title is None else options.title


def _report_unread(options, kind):
    """Options without effect are said, not swallowed; the figure is drawn all the same."""
    for option, kinds in READ_BY.items():
        if getattr(options, option) is not None and kind not in kinds:
            _say(f"note: --{option} has no effect on --kind {kind}")
