"""The figure that the options ask for: which kind fits the file, what it says, drawn and written."""

import math
import os
import sys

import numpy as np

from . import points, reading, saving, scales, style, summary, wording
from .errors import NotYetError, PlotError, WordsError, one_line

PLANE_KINDS = ("contour", "contourf", "heat", "surface")
DESCENT_KINDS = ("paths", "panels", "steps", "rates")
KINDS = (*PLANE_KINDS, "repeats", "line", "history", *DESCENT_KINDS)

# option -> the kinds that read it; the others are read by all
READ_BY = {
    "levels": ("contour", "contourf", "repeats", "paths", "panels"),
    "elev": ("surface",),
    "azim": ("surface",),
    "cmap": (*PLANE_KINDS, "repeats", "paths", "panels"),
    "draw": (*PLANE_KINDS, "line"),
    "numbers": (*PLANE_KINDS, "repeats", "line"),
}


def say(text):
    print(f"plot: {one_line(text)}", file=sys.stderr, flush=True)


def draw(options):
    """Draws the file's figure and writes it; the paths written."""
    with reading.open_file(options.file) as file:
        return draw_file(file, options)


def draw_file(file, options):
    """As draw, of an open file."""
    if isinstance(file, reading.HistoryFile):
        kind, figure = "history", _history(file, options)
    elif isinstance(file, reading.DescentFile):
        kind, figure = _descents(file, options)
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
    field = f"_{options.field}" if options.field else ""
    number = f"_draw{options.draw}" if options.draw else ""
    return f"{stem}{field}{number}_{kind}.png"


def _history(file, options):
    from . import curves

    _require(options.kind in (None, "history"), file,
             f"a training history, not a plane to draw as {options.kind}: leave --kind out")
    _report_unread(options, "history")
    names = [options.field] if options.field else file.names
    head = style.Head(_title(options, wording.title("training", file.settings)),
                      curves.history_subtitle(file), options.size)
    return curves.draw_history(file, names, head, options.log, (options.vmin, options.vmax))


def _descents(file, options):
    """(the kind drawn, the figure)."""
    from . import descents

    kind = options.kind or descents.usual_kind(file)
    fits = (*DESCENT_KINDS, "surface") if file.variables == 2 else DESCENT_KINDS
    _require(kind in fits, file, f"descents on a function of {wording.counted(file.variables, 'variable')}:"
             f" use --kind {', '.join(fits)}")
    _report_unread(options, kind)
    head = style.Head(_title(options, descents.title(file, kind)), descents.subtitle(file), options.size)
    return kind, descents.draw(kind, file, head, options)


def _surface(file, options):
    """(the kind drawn, the figure)."""
    _require(options.kind != "history", file, "a surface, not a training history: leave --kind out")
    _require(options.kind not in DESCENT_KINDS, file, f"no descents to draw as {options.kind}: leave --kind out")
    if options.kind == "repeats":
        _require(file.draws > 1, file, "one draw of directions only (made without --repeat):"
                 f" use --kind {', '.join(PLANE_KINDS)}")
    if options.draw is not None:
        file.choose_draw(options.draw)
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
    if options.kind == "repeats":
        return "repeats", _repeats(file, options)
    return _plane(file, options)


def _require(fits, file, what):
    if not fits:
        raise PlotError(f"{file.path} holds {what}")


def _require_points(file, field):
    if field.blank.all():
        raise NotYetError(f"{file.path} holds no evaluated point of {field.name}: nothing to draw")
    if not np.isfinite(field.values).any():
        raise NotYetError(f"{file.path} holds no finite value of {field.name}: nothing to draw")


def _line(file, options, x, along, notes):
    from . import curves

    _report_unread(options, "line")
    if options.field:
        names = [file.full_name(options.field)]
    else:
        names = [name for name in reading.HISTORY_VALUES if name in file.names] or [file.default_name()]
    fields = [file.field(name).squeeze() for name in names]
    if all(field.blank.all() for field in fields):
        raise NotYetError(f"{file.path} holds no evaluated point: nothing to draw")
    what = wording.short_label(names[0], file.settings) if len(names) == 1 else "loss"
    head = _head(file, options, wording.title(what, file.settings) + " along a line",
                 points.mark(fields[0]))
    return curves.draw_line(file.path, file.settings, x, fields, head,
                            wording.axis_label(along, file.settings), options.log,
                            (options.vmin, options.vmax), notes)


def _plane(file, options):
    kind = options.kind or "contourf"
    _report_unread(options, kind)
    name = file.full_name(options.field or file.default_name())
    field = file.field(name)
    _require_points(file, field)
    scale = scales.choose(field.values, name, options.log, options.vmin, options.vmax)
    label = wording.value_label(name, file.settings)
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    head = _head(file, options, title, points.mark(field), name.endswith("_spread"))
    if kind == "surface":
        from . import relief  # mplot3d costs start-up time that the other kinds need not pay

        return kind, relief.draw(file, field, scale, head, label, options.elev, options.azim,
                                 options.cmap)
    from . import planes

    return kind, planes.draw(kind, file, field, scale, head, label, options.levels, options.cmap)


def _repeats(file, options):
    """The planes of all draws side by side, on one scale."""
    from . import multiples

    _report_unread(options, "repeats")
    fields = []
    for number in range(1, min(file.draws, multiples.MOST) + 1):
        file.choose_draw(number)
        fields.append(file.field(file.full_name(options.field or file.default_name())))
    name = fields[0].name
    all_draws = reading.together(fields)
    _require_points(file, all_draws)
    scale = scales.choose(all_draws.values, name, options.log, options.vmin, options.vmax)
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    done, total = file.progress()
    mark = wording.partial(done, total) if done < total else None
    head = _head(file, options, f"{title}: {file.draws} draws of directions", mark, each=True)
    label = wording.value_label(name, file.settings)
    return multiples.draw(file, fields, scale, head, label, options.levels, options.cmap)


def _head(file, options, title, mark, each=False):
    """What stands above the drawing of a surface; `each`: it is about each of the draws."""
    draws = 1 if each else file.draws
    subtitle = wording.subtitle(file.settings, file.shape, file.path, draws, file.draw)
    return style.Head(_title(options, title), subtitle, options.size, mark, _numbers(file, options))


def _numbers(file, options):
    if not options.numbers:
        return ()
    facts = summary.facts(file.summary, file.draw)
    if not facts:
        say(f"note: {file.path} holds no numbers of its own (/lossatlas@summary): none are written")
    return tuple(facts)


def _title(options, made):
    return made if options.title is None else options.title


def _report_unread(options, kind):
    """Options without effect are said, not swallowed; the figure is drawn all the same."""
    for option, kinds in READ_BY.items():
        if getattr(options, option) is None or kind in kinds:
            continue
        if (option, kind) == ("draw", "repeats"):
            raise WordsError("--draw chooses one draw and --kind repeats draws all: leave one of them out")
        if not options.said_unread:
            say(f"note: --{option} has no effect on --kind {kind}")
    options.said_unread = True
