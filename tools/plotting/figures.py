"""The figure that the options ask for: which kind fits the files, what it says, drawn and written."""

import contextlib
import math
import os
import sys

import numpy as np

from . import points, reading, run_files, saving, scales, style, summary, wording
from .errors import NotYetError, PlotError, WordsError, one_line

PLANE_KINDS = ("contour", "contourf", "heat", "surface")
DESCENT_KINDS = ("paths", "panels", "steps", "rates")
ANIMATIONS = ("spin", "trajectory", "epochs", "descents")
KINDS = (*PLANE_KINDS, "trajectory", "repeats", "line", "path", "history", *DESCENT_KINDS)

# option -> the kinds that read it; the others are read by all
READ_BY = {
    "levels": ("contour", "contourf", "repeats", "trajectory", "surface", "paths", "panels"),
    "elev": ("surface",),
    "azim": ("surface",),
    "floor": ("surface",),
    "cmap": (*PLANE_KINDS, "repeats", "trajectory", "paths", "panels"),
    "draw": (*PLANE_KINDS, "trajectory", "line"),
    "projection": (*PLANE_KINDS, "repeats", "trajectory"),
    "numbers": (*PLANE_KINDS, "repeats", "line", "trajectory", "path"),
    "xlim": (*PLANE_KINDS, "repeats", "line", "trajectory"),
    "ylim": (*PLANE_KINDS, "repeats", "trajectory"),
    "aspect": (*PLANE_KINDS, "repeats", "trajectory"),
    "smooth": ("contour", "contourf", "surface", "repeats", "trajectory"),
    "scale": (*PLANE_KINDS, "repeats"),
}
# what is written -> the options that it does not read
UNREAD = {
    "a page": ("kind", "width", "size", "dpi", "caption", "numbers", "floor", "aspect", "smooth", "scale"),
    "an animation": ("kind", "numbers", "draw", "scale"),
}
DEFAULTS = {"dpi": 300, "caption": True}  # of these; None of the others
WORDS = {"floor": "no-floor", "caption": "no-caption"}


def say(text):
    with contextlib.suppress(OSError):  # a figure is drawn whether or not its messages can be written
        print(f"plot: {one_line(text)}", file=sys.stderr, flush=True)


def say_missing(options):
    """One note on the characters that no installed font has, said once, however often drawn."""
    missing = style.missing_characters()
    if missing and not options.said_missing:
        say(f"note: no installed font has {', '.join(missing)}: boxes are drawn in their place")
        options.said_missing = True


def draw(options):
    """Draws the figure of the files and writes it; the paths written."""
    with contextlib.ExitStack() as stack:
        return draw_files([stack.enter_context(reading.open_file(path)) for path in options.files], options)


def draw_files(files, options):
    """As draw, of open files."""
    for file in files:
        file.projections = tuple(options.projection or ())
        file.look = reading.Look(options.aspect, bool(options.smooth))
        limits = options.xlim, None if getattr(file, "y", None) is None else options.ylim
        if any(limits) and type(file) is reading.SurfaceFile:
            file.crop(*limits)
    wanted = {saving.extension(path) for path in options.out or ()}
    saving.check(options.out or ())
    # All are rendered before one is written: a failure then leaves every old figure in place.
    rendered, paths, figure = {}, options.out, None
    if ".html" in wanted:
        from .page import document

        if wanted == {".html"} and not options.animate:
            _say_unread(options, UNREAD["a page"], "a page")
        rendered[".html"] = document.render(files, options, file_names(files, options))
    if options.animate or wanted & set(saving.ANIMATIONS):
        from . import animation

        kind = animation.kind_of(files, options)
        if wanted <= set(saving.ANIMATIONS):
            flat = kind in ("trajectory", "descents")
            read = kind == "trajectory" and options.kind in ("contour", "contourf", "heat")
            unread = [name for name in UNREAD["an animation"] if name != "kind" or not read]
            _say_unread(options, [*unread, *(("elev", "azim", "floor") if flat else ())], "an animation")
        paths = paths or [_default_path(options, kind, ".gif")]
        kinds = [each for each in saving.ANIMATIONS if each in map(saving.extension, paths)]
        rendered |= animation.render(kind, files, options, kinds)
    if wanted & set(saving.METADATA) or not paths:
        kind, figure = figure_of(files, options)
        paths = paths or [_default_path(options, kind, ".png")]
        rendered |= {extension: saving.render(figure, extension, options.dpi)
                     for extension in map(saving.extension, paths) if extension in saving.METADATA}
    saving.check(paths)
    say_missing(options)
    for path in paths:
        saving.write(path, rendered[saving.extension(path)])
    if figure is not None and not options.caption:
        say(f"caption: {figure.get_label()}")
    return paths


def figure_of(files, options):
    """(the kind drawn, the figure)."""
    histories = [isinstance(file, reading.HistoryFile) for file in files]
    if any(histories):
        if not all(histories):
            raise PlotError(f"{files[histories.index(False)].path} is no training history, as"
                            f" {files[histories.index(True)].path} is: draw them apart")
        return "history", _history(files, options)
    descents = [isinstance(file, reading.DescentFile) for file in files]
    if any(descents):
        if len(files) > 1:
            raise PlotError(f"{files[descents.index(True)].path} holds descents, which are drawn one file at a time")
        return _descents(files[0], options)
    for file in files:
        _require(options.kind not in DESCENT_KINDS, file, f"no descents to draw as {options.kind}: leave --kind out")
        _require(options.kind != "history", file, "a surface, not a training history: leave --kind out")
        _check(file, options)
    paths = [isinstance(file, reading.PathFile) for file in files]
    lines = [file.y is None or 1 in file.shape for file in files]
    for flags, what in ((paths, "a path between networks"), (lines, "a line")):
        if any(flags) and not all(flags):
            raise PlotError(f"{files[flags.index(False)].path} does not hold {what}, as"
                            f" {files[flags.index(True)].path} does: draw them apart")
    if all(paths):
        _require(options.kind in (None, "path"), files[0],
                 f"a path between networks, not a plane to draw as {options.kind}: use --kind path")
        return "path", _path(files, options)
    _require(options.kind != "path", files[0], "no path between networks (lossatlas path): leave --kind out")
    if all(lines):
        return "line", _line(files, options)
    _require(options.kind != "line", files[0],
             f"a plane, not a line: use --kind {', '.join(PLANE_KINDS)}")
    if len(files) > 1:
        return _several(files, options)
    if options.kind == "repeats":
        return "repeats", _repeats(files[0], options)
    return _plane(files[0], options)


def _default_path(options, kind, extension):
    stem, old = os.path.splitext(options.file)
    if old.lower() not in (".h5", ".hdf5"):
        stem = options.file
    others = "".join(f"_{os.path.splitext(os.path.basename(path))[0]}" for path in options.files[1:])
    field = f"_{options.field}" if options.field else ""
    number = f"_draw{options.draw}" if options.draw else ""
    return f"{stem}{others[:80]}{field}{number}_{kind}{extension}"


def _check(file, options):
    """Refuses kinds and draws that a surface, line or path does not have."""
    if options.kind == "repeats":
        _require(file.draws > 1, file, "one draw of directions only (made without --repeat):"
                 f" use --kind {', '.join(PLANE_KINDS)}")
        _require(file.y is not None, file, "lines, which stand in one picture: leave --kind out")
    if options.kind == "trajectory":
        _require(file.group("runs") is not None, file, "no trajectory (/lossatlas/runs): leave --kind out")
    if options.draw is not None:
        file.choose_draw(options.draw)
    if math.prod(file.shape) == 1:
        raise PlotError(f"{file.path} holds one point only: nothing to draw")
    if file.y is None and not isinstance(file, reading.PathFile):
        _require(options.kind in (None, "line"), file,
                 f"a line (no ycoordinates), not a plane to draw as {options.kind}: use --kind line")


def _require(fits, file, what):
    if not fits:
        raise PlotError(f"{file.path} holds {what}")


def _require_points(file, field):
    if field.blank.all():
        raise NotYetError(f"{file.path} holds no evaluated point of {field.name}: nothing to draw")
    if not np.isfinite(field.values).any():
        raise NotYetError(f"{file.path} holds no finite value of {field.name}: nothing to draw")


# --- charts ----------------------------------------------------------------------------------------


def _history(files, options):
    from . import charts, curves

    _require(options.kind in (None, "history"), files[0],
             f"a training history, not a plane to draw as {options.kind}: leave --kind out")
    _report_unread(options, "history")
    names, facts = _names(files, options, [charts.history_facts(file) for file in files])
    chart = charts.of_histories(files, [options.field] if options.field else None, names)
    chart.notes += facts
    title = wording.title("training", *(file.settings for file in files))
    return curves.draw(chart, _head(options, title, wording.joined(_common(files, charts.history_facts))),
                       options.log, (options.vmin, options.vmax), pad=0.015)


def _descents(file, options):
    """(the kind drawn, the figure)."""
    from . import descents

    kind = options.kind or descents.usual_kind(file)
    fits = (*DESCENT_KINDS, "surface") if file.variables == 2 else DESCENT_KINDS
    _require(kind in fits, file, f"descents on a function of {wording.counted(file.variables, 'variable')}:"
             f" use --kind {', '.join(fits)}")
    _require(options.field is None, file, "descents, which have no other values: leave --field out")
    _report_unread(options, kind)
    if options.xlim or options.ylim:
        say("note: --xlim and --ylim have no effect on descents: lossatlas descend draws the range that --range gives")
    head = descents_head(file, kind, options)
    if kind == "surface":
        from . import descents3d

        return kind, descents3d.draw(file, head, options, _view(options))
    return kind, descents.draw(kind, file, head, options)


def descents_head(file, kind, options):
    from . import descents

    return _head(options, descents.title(file, kind), descents.subtitle(file))


def _path(files, options):
    from . import charts, curves

    _report_unread(options, "path")
    names, facts = _names(files, options, [wording.facts(file) for file in files])
    chart, field = charts.of_paths(files, [options.field] if options.field else None, names)
    chart.notes += facts
    title = wording.title("loss and error", *(file.settings for file in files))
    head = _surface_head(files, options, f"{title} along a curve", points.mark(field))
    return curves.draw(chart, head, options.log, (options.vmin, options.vmax))


def _line(files, options):
    from . import charts, curves

    _report_unread(options, "line")
    names, facts = _names(files, options, [wording.facts(file) for file in files])
    along, notes = 0, []
    if files[0].y is not None:
        along = 1 if files[0].shape[0] == 1 else 2
        notes = [f"the plane has one {'row' if along == 1 else 'column'} of points: drawn as a line"]
    fields = [options.field] if options.field else None
    chart, field = charts.of_lines(files, fields, along, names, notes)
    chart.notes += facts
    one = len({each.name for each in chart.series}) == 1
    what = wording.short_label(field.name, files[0].settings) if one else "loss"
    title = wording.title(what, *(file.settings for file in files))
    head = _surface_head(files, options, f"{title} along {'lines' if len(files) > 1 else 'a line'}",
                         points.mark(field), shown={each.name for each in chart.series})
    return curves.draw(chart, head, options.log, (options.vmin, options.vmax))


# --- planes ----------------------------------------------------------------------------------------


def _plane(file, options):
    has_runs = file.group("runs") is not None and len(file.group("runs")) > 0
    kind = options.kind or ("trajectory" if has_runs and not options.field else "contourf")
    _report_unread(options, kind)
    name = file.full_name(options.field or file.default_name())
    field = file.field(name)
    _require_points(file, field)
    scale = scales.choose(field.values, name, options.log, options.vmin, options.vmax)
    label = wording.value_label(name, file.settings)
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    head = _surface_head([file], options, title, points.mark(field), name.endswith("_spread"), name)
    if kind == "surface":
        from . import relief

        return kind, relief.draw(file, field, scale, head, label, _view(options), options.levels,
                                 options.cmap, options.dpi)
    if kind == "trajectory":
        from . import trajectories

        return kind, trajectories.draw(file, field, scale, head, label, "contourf", options.levels,
                                       options.cmap)
    from . import planes

    return kind, planes.draw(kind, file, field, scale, head, label, options.levels, options.cmap)


def _view(options):
    from . import relief

    given = {name: getattr(options, name) for name in ("elev", "azim", "floor")}
    return relief.View(**{name: value for name, value in given.items() if value is not None})


def _repeats(file, options):
    """The planes of all draws side by side, on one scale."""
    from . import multiples

    _report_unread(options, "repeats")
    entries = []
    for number in range(1, min(file.draws, multiples.MOST) + 1):
        file.choose_draw(number)
        field = file.field(file.full_name(options.field or file.default_name()))
        entries.append(multiples.Entry(file, field, _draw_name(number, field)))
    file.choose_draw(None)
    fields = [entry.field for entry in entries]
    name, drawn_on = fields[0].name, _scales([file] * len(fields), fields, options)
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    done, total = file.progress()
    mark = wording.partial(done, total) if done < total else None
    head = _surface_head([file], options, f"{title}: {file.draws} draws of directions", mark, True, name)
    notes = [f"the first {len(entries)} of {file.draws} draws are shown"] * (len(entries) < file.draws)
    return multiples.draw("contourf", entries, drawn_on, head, wording.value_label(name, file.settings), notes,
                          options.levels, options.cmap)


def _draw_name(number, field):
    missing = int(field.missing.sum())
    size = field.blank.size
    done = f" · {wording.grouped(size - missing)} of {wording.points(size)}" if missing else ""
    return f"draw {number}{done}"


def _several(files, options):
    """(the kind drawn, the figure): the planes of several files side by side, on one scale."""
    from . import multiples

    kind = options.kind or "contourf"
    if kind not in PLANE_KINDS:
        raise WordsError(f"--kind {kind} draws one file: use --kind {', '.join(PLANE_KINDS)}")
    if len(files) > multiples.MOST:
        raise WordsError(f"{len(files)} files are too many for one figure: {multiples.MOST} at most")
    _report_unread(options, kind)
    fields = []
    for file in files:
        field = file.field(file.full_name(options.field or file.default_name()))
        _require_points(file, field)
        fields.append(field)
    drawn_on = _scales(files, fields, options)
    if len({field.name for field in fields}) > 1:
        raise PlotError(f"{files[0].path} holds {fields[0].name} and another file only"
                        f" {next(f.name for f in fields if f.name != fields[0].name)}: choose with --field")
    all_facts = [wording.facts(file, name=fields[0].name) for file in files]
    names, _ = _names(files, options, all_facts)
    _, rest = wording.apart(all_facts)
    entries = [multiples.Entry(file, field, name, wording.joined(facts))
               for file, field, name, facts in zip(files, fields, names, rest)]
    label = wording.value_label(fields[0].name, files[0].settings)
    title = wording.title(wording.short_label(fields[0].name, files[0].settings),
                          *(file.settings for file in files))
    partial = [name for name, field in zip(names, fields) if field.missing.any()]
    mark = f"PARTIAL: not all points of {', '.join(partial)} are evaluated" if partial else None
    head = _surface_head(files, options, title, mark, name=fields[0].name)
    if kind == "surface":
        from . import relief

        return kind, relief.draw_several(entries, drawn_on, head, label, _view(options), options.levels,
                                         options.cmap, options.dpi)
    return kind, multiples.draw(kind, entries, drawn_on, head, label, [], options.levels, options.cmap)


def _scales(files, fields, options):
    """The scale of each field: one for all, or with --scale each its own."""
    values = [field.values.ravel() for field in fields]
    for file, field in zip(files, fields):
        if options.scale == "each" and not field.blank.all():
            _require_points(file, field)
    if not np.isfinite(np.concatenate(values)).any():
        _require_points(files[0], fields[0])
    together = [np.concatenate(values)] * len(values)
    own = [each if np.isfinite(each).any() else all for each, all in zip(values, together)]
    chosen = [scales.choose(each, field.name, options.log, options.vmin, options.vmax)
              for each, field in zip(own if options.scale == "each" else together[:1], fields)]
    return chosen if options.scale == "each" else chosen * len(fields)


# --- words -----------------------------------------------------------------------------------------


def _names(files, options, all_facts):
    """(a name for each file, notes on what else differs): --names, or what tells the files apart."""
    names = file_names(files, options)
    if len(files) == 1:
        return names, []
    _, rest = wording.apart(all_facts)
    rest = [[fact for fact in facts if fact != os.path.basename(file.path)] for file, facts in zip(files, rest)]
    return names, [f"{name}: {', '.join(facts)}" for name, facts in zip(names, rest) if facts]


def file_names(files, options):
    """What each file is called: --names, or what tells them apart."""
    return options.names or _distinct([str(file.settings.get("arch", "")) for file in files]) or _distinct(
        [str(file.settings.get("optimizer", "")) for file in files]) or wording.tell_apart(
        [os.path.splitext(file.path)[0].removesuffix(f"/{run_files.HISTORY[:-3]}") for file in files])


def _distinct(texts):
    return texts if all(texts) and len(set(texts)) == len(texts) else None


def _common(files, facts):
    return wording.apart([facts(file) for file in files])[0]


def _head(options, title, subtitle, mark=None, numbers=()):
    title = title if options.title is None else options.title
    return style.Head(title, subtitle, options.size, mark, numbers, options.caption)


def _surface_head(files, options, title, mark, each=False, name="", shown=()):
    """What stands above the drawing of surfaces; `each` and `name` as in wording.facts; `shown`: the values drawn,
    where they are others than `name`."""
    facts = wording.joined(_common(files, lambda file: wording.facts(file, each, name)))
    return _head(options, title, facts, mark, _numbers(files, options, shown or (name,)))


def _numbers(files, options, shown):
    """The files' own numbers. They are of one loss, which is named where not it alone is shown."""
    if not options.numbers:
        return ()
    found = []
    for file in files:
        facts, own = summary.facts(file.summary, file.draw), file.default_name()
        if not facts:
            say(f"note: {file.path} holds no numbers of its own (/lossatlas@summary): none are written")
        elif not isinstance(file, reading.PathFile) and {name for name in shown if name.endswith("_loss")} != {own}:
            facts[0] = f"of the {wording.short_label(own)}: {facts[0]}"
        found += [f"{os.path.basename(file.path)}: {fact}" if len(files) > 1 else fact for fact in facts]
    return tuple(found)


def _report_unread(options, kind):
    """Options without effect are said, not swallowed; the figure is drawn all the same."""
    if options.draw is not None and kind == "repeats":
        raise WordsError("--draw chooses one draw and --kind repeats draws all: leave one of them out")
    _say_unread(options, [option for option, kinds in READ_BY.items() if kind not in kinds], f"--kind {kind}")


def _say_unread(options, names, what):
    """A note on each of the options of these names that is given, once: it has no effect on `what`."""
    if not options.said_unread:
        for name in names:
            if name == "size" and options.width:  # follows from it
                continue
            if getattr(options, name) != DEFAULTS.get(name):
                say(f"note: --{WORDS.get(name, name)} has no effect on {what}")
    options.said_unread = True
