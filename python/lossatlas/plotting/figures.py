"""Figures, pages and animations of files: drawn as the options ask, and written."""

import contextlib
import math
import os
from dataclasses import replace

from . import heads, reading, saving, style
from .errors import WordsError
from .hdf5 import CURVATURE, FUNCTION, LINE, PLANE, SHARPNESS
from .kinds import KINDS, kind_of, unread_by
from .messages import say, say_once
from .surfaces import coordinates_text

# what else is written -> the options that it does not read
UNREAD = {
    "a page": ("kind", "width", "size", "dpi", "caption", "numbers", "floor", "aspect", "smooth", "scale"),
    "an animation": ("kind", "numbers", "draw", "scale"),
}
WORDS = {"floor": "no-floor", "caption": "no-caption"}


def draw(options):
    """Draws the figure of the files and writes it; the paths written."""
    with contextlib.ExitStack() as stack:
        return draw_files([stack.enter_context(reading.open_file(path)) for path in options.files], options)


def draw_files(files, options, said=None):
    """As draw, of open files. Notes that are among the texts `said` are not said again."""
    said = set() if said is None else said
    choose_part(files, options, said)
    wanted = {saving.extension(path) for path in options.out}
    saving.check(options.out)
    # All are rendered before one is written: a failure then leaves every old figure in place.
    rendered, paths, figure = {}, options.out, None
    if ".html" in wanted:
        if wanted == {".html"} and not options.animate:
            _say_unread(options, UNREAD["a page"], "a page", said)
        rendered[".html"] = _page(files, options)
    if options.animate or wanted & set(saving.ANIMATIONS):
        from . import animation

        kind = animation.kind_of(files, options)
        if wanted <= set(saving.ANIMATIONS):
            flat = kind in ("trajectory", "descents")
            read = kind == "trajectory" and options.kind in ("contour", "contourf", "heat")
            unread = [name for name in UNREAD["an animation"] if name != "kind" or not read]
            _say_unread(options, [*unread, *(("elev", "azim", "floor") if flat else ())], "an animation", said)
        paths = paths or [_default_path(options, kind, ".gif")]
        kinds = [each for each in saving.ANIMATIONS if each in map(saving.extension, paths)]
        rendered |= animation.render(kind, files, options, kinds)
    if wanted & set(saving.METADATA) or not paths:
        kind = kind_of(files, options)
        _say_unread(options, unread_by(kind, files[0].sort), f"--kind {kind}", said)
        figure = _figure(kind, files, options)
        paths = paths or [_default_path(options, kind, ".png")]
        rendered |= {extension: saving.render(figure, extension, options.look.dpi)
                     for extension in map(saving.extension, paths) if extension in saving.METADATA}
    saving.check(paths)
    say_missing(said)
    for path in paths:
        saving.write(path, rendered[saving.extension(path)])
    if figure is not None and not options.caption:
        say(f"caption: {figure.get_label()}")
    return paths


def _page(files, options):
    """The bytes of a page: one to explore, or of what has none one with the figure and the numbers."""
    if files[0].sort not in (CURVATURE, SHARPNESS):
        from .page import document

        return document.render(files, options, heads.file_names(files, options))
    from . import curvature_figures, report_page

    section = curvature_figures.section_of(files[0])
    kind = kind_of(files, replace(options, kind=None))
    section.pictures = [report_page.picture(lambda theme: _figure(kind, files, replace(options, style=theme)), ".svg")]
    style.apply(options.style)
    return report_page.html_of(section.name, [], [section], []).encode("utf-8", "replace")


def choose_part(files, options, said=None):
    """Of each file the slice and the part of the grid that the options ask for."""
    for file in files:
        _choose_slice(file, options, set() if said is None else said)
        limits = options.xlim, None if getattr(file, "y", None) is None else options.ylim
        if any(limits) and file.sort in (PLANE, LINE):
            file.crop(*limits)


def figure_on(axes, files, options):
    """The figure of the files, drawn into the user's own `axes` unless they are None; nothing is written."""
    choose_part(files, options)
    kind = kind_of(files, options)
    if axes is not None and files[0].sort == FUNCTION:
        raise WordsError("descents are drawn as figures of their own: leave ax out")
    if axes is not None and kind in ("repeats", "slices", "curvature", "sharpness"):
        raise WordsError(f"--kind {kind} has several panels, which one ax cannot hold: leave ax out")
    _say_unread(options, unread_by(kind, files[0].sort), f"--kind {kind}", set())
    return _figure(kind, files, replace(options, axes=axes))


def _choose_slice(file, options, said):
    """Takes the slice of --at, of a surface of more than two axes, and says what of it was not asked for."""
    if len(file.axes) < 3 and not (options.at and file.sort == PLANE):
        return
    at = dict(options.at)
    file.choose_slice(at)
    for name, value in at.items():
        if not math.isclose(file.fixed[name], value, rel_tol=1e-9, abs_tol=1e-9):
            say_once(f"note: {file.path} has no point at {coordinates_text({name: value})}:"
                     f" the nearest, {coordinates_text({name: file.fixed[name]})}, is drawn", said)
    unseen = file.others[options.kind == "slices":]
    if unseen:
        place = coordinates_text({name: file.fixed[name] for name in unseen})
        say_once(f"note: {file.path} has {len(file.axes)} axes: the slice at {place} is drawn"
                 f" (--at {unseen[0]}=VALUE draws another)", said)


def figure_of(files, options):
    """(the kind drawn, the figure)."""
    kind = kind_of(files, options)
    return kind, _figure(kind, files, options)


def _figure(kind, files, options):
    return KINDS[kind].draws[files[0].sort](kind, files, options)


def say_missing(said):
    if missing := style.missing_characters():
        say_once(f"note: no installed font has {', '.join(missing)}: boxes are drawn in their place", said)


def _say_unread(options, names, what, said):
    """Options without effect are said, not swallowed; the figure is drawn all the same."""
    for name in names:
        if name in options.given:
            say_once(f"note: --{WORDS.get(name, name)} has no effect on {what}", said)


def _default_path(options, kind, extension):
    stem, old = os.path.splitext(options.file)
    if old.lower() not in (".h5", ".hdf5"):
        stem = options.file
    others = "".join(f"_{os.path.splitext(os.path.basename(path))[0]}" for path in options.files[1:])
    field = f"_{options.field}" if options.field else ""
    number = f"_draw{options.draw}" if options.draw else ""
    place = "".join(f"_{name}{value:g}" for name, value in options.at)
    return f"{stem}{others[:80]}{field}{number}{place}_{kind}{extension}"
