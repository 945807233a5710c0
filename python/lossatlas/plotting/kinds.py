"""The kinds of figures: which files each fits, which options it reads, what draws it; and which one is drawn."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .errors import PlotError, WordsError
from .hdf5 import CURVATURE, CURVE, FUNCTION, HISTORY, LINE, PLANE, SHARPNESS
from .wording import counted

ANIMATIONS = ("spin", "trajectory", "epochs", "descents")


# --- the table -------------------------------------------------------------------------------------
# What draws them is imported when it is asked for: --help and refusals need none of it.


def _planes(*asked):
    from . import plane_figures

    return plane_figures.draw(*asked)


def _repeats(*asked):
    from . import plane_figures

    return plane_figures.draw_repeats(*asked)


def _slices(*asked):
    from . import plane_figures

    return plane_figures.draw_slices(*asked)


def _lines(*asked):
    from . import charts

    return charts.draw_lines(*asked)


def _curves(*asked):
    from . import charts

    return charts.draw_curves(*asked)


def _histories(*asked):
    from . import charts

    return charts.draw_histories(*asked)


def _curvature(*asked):
    from . import curvature_figures

    return curvature_figures.draw_curvature(*asked)


def _sharpness(*asked):
    from . import curvature_figures

    return curvature_figures.draw_sharpness(*asked)


def _descents(*asked):
    from .descents import figures

    return figures.draw_file(*asked)


@dataclass(frozen=True)
class Kind:
    """A kind of figure. Its functions draw (kind, files, options)."""

    draws: dict[str, Callable]  # by the sort of the files
    reads: frozenset  # of the options that only some kinds read
    misfit: str = ""  # what a surface holds that is not this
    several: bool = True  # whether one figure draws several files


def _kind(draws, reads, misfit="", several=True):
    return Kind(draws, frozenset(reads.split()), misfit, several)


def _of_curvature(reads):
    return _kind({CURVATURE: _curvature}, reads, "no curvature at one point (lossatlas curvature): leave --kind out", False)


def _of_descents(reads):
    return _kind({FUNCTION: _descents}, reads, "no descents to draw as {kind}: leave --kind out", False)


_ON_PLANES = "at cmap projection numbers xlim ylim aspect"
_NOT_OF_FUNCTIONS = frozenset("at draw scale projection numbers xlim ylim".split())  # in 3D, which surfaces have too
_BETWEEN_POINTS = f"levels smooth {_ON_PLANES}"
KINDS = {
    "contour": _kind({PLANE: _planes}, f"draw scale {_BETWEEN_POINTS}"),
    "contourf": _kind({PLANE: _planes}, f"draw scale {_BETWEEN_POINTS}"),
    "heat": _kind({PLANE: _planes}, f"draw scale {_ON_PLANES}"),
    "surface": _kind({PLANE: _planes, FUNCTION: _descents}, f"draw scale elev azim floor {_BETWEEN_POINTS}"),
    "trajectory": _kind({PLANE: _planes}, f"draw {_BETWEEN_POINTS}", several=False),
    "repeats": _kind({PLANE: _repeats}, f"scale {_BETWEEN_POINTS}", several=False),
    "slices": _kind({PLANE: _slices}, f"draw scale {_BETWEEN_POINTS}", several=False),
    "line": _kind({LINE: _lines}, "draw numbers xlim", "a plane, not a line: use --kind {planes}"),
    "curve": _kind({CURVE: _curves}, "numbers", "no curve between networks (lossatlas curve): leave --kind out"),
    "history": _kind({HISTORY: _histories}, "", "a surface, not a training history: leave --kind out"),
    "curvature": _of_curvature("xlim"),
    "spectrum": _of_curvature("xlim"),
    "modules": _of_curvature(""),
    "eigenvalues": _of_curvature("xlim"),
    "sharpness": _kind({SHARPNESS: _sharpness}, "", "no sharpness of checkpoints: leave --kind out", False),
    "paths": _of_descents("levels cmap"),
    "panels": _of_descents("levels cmap"),
    "steps": _of_descents(""),
    "rates": _of_descents(""),
}
PLANE_KINDS = tuple(name for name, kind in KINDS.items() if PLANE in kind.draws and kind.several)
# The options that only some kinds read, in the order in which they are said to have no effect
PARTIAL = ("levels", "elev", "azim", "floor", "cmap", "at", "draw", "projection", "numbers", "xlim", "ylim",
           "aspect", "smooth", "scale")
# sort of file -> what it holds that is none of another kind
MISFITS = {
    HISTORY: "a training history, not a plane to draw as {kind}: leave --kind out",
    CURVATURE: "a curvature at one point, not a plane to draw as {kind}: leave --kind out",
    SHARPNESS: "the sharpness of checkpoints, not a plane to draw as {kind}: leave --kind out",
    CURVE: "a curve between networks, not a plane to draw as {kind}: use --kind curve",
    LINE: "a line (no ycoordinates), not a plane to draw as {kind}: use --kind line",
}
# sort of file -> what is said of several files of which one is of that sort
TOGETHER = {
    HISTORY: "{other} is not a training history, as {file} is: draw them apart",
    FUNCTION: "{file} holds descents, which are drawn one file at a time",
    CURVATURE: "{file} holds a curvature, which is drawn one file at a time",
    SHARPNESS: "{file} holds the sharpness of checkpoints, which is drawn one file at a time",
    CURVE: "{other} does not hold a curve between networks, as {file} does: draw them apart",
    LINE: "{other} does not hold a line, as {file} does: draw them apart",
}


ALONE = (FUNCTION, CURVATURE, SHARPNESS)  # drawn one file at a time


def unread_by(kind, sort):
    """The options that have no effect on this kind of figure of files of that sort."""
    without = _NOT_OF_FUNCTIONS if sort == FUNCTION else frozenset()
    return [name for name in PARTIAL if name not in KINDS[kind].reads - without]


# --- what fits -------------------------------------------------------------------------------------


def kind_of(files, options):
    """The kind of figure: --kind, or what is usual for the files. Refuses what does not fit them."""
    sort, file = _one_sort(files), files[0]
    if sort == FUNCTION:
        return _kind_of_descents(file, options)
    if sort == HISTORY:
        _require_fit(file, options.kind)
        return "history"
    if sort in (CURVATURE, SHARPNESS):
        _require_fit(file, options.kind)
        _require(options.field is None or sort == SHARPNESS, file, "a curvature, which has no fields: leave --field out")
        return options.kind or {CURVATURE: "curvature", SHARPNESS: "sharpness"}[sort]
    for each in files:
        _check(each, options)
    if sort != PLANE:
        return {CURVE: "curve", LINE: "line"}[sort]
    has_runs = len(file.group("runs") or ()) > 0 and not file.fixed
    kind = options.kind or ("trajectory" if has_runs and len(files) == 1 and not options.field else "contourf")
    if len(files) > 1 and not KINDS[kind].several:
        raise WordsError(f"--kind {kind} draws one file: use --kind {', '.join(PLANE_KINDS)}")
    if kind == "repeats" and options.draw is not None:
        raise WordsError("--draw chooses one draw and --kind repeats draws all: leave one of them out")
    return kind


def _one_sort(files):
    """The sort of all files; refuses several sorts, and several functions."""
    sorts = [file.sort for file in files]
    for sort, text in TOGETHER.items():
        other = next((file.path for file in files if file.sort != sort), None)
        if sort in sorts and (other or (sort in ALONE and len(files) > 1)):
            raise PlotError(text.format(other=other, file=files[sorts.index(sort)].path))
    return sorts[0]


def _kind_of_descents(file, options):
    from .descents import figures

    kind = options.kind or figures.usual_kind(file)
    fits = [name for name, each in KINDS.items() if set(each.draws) == {FUNCTION}]
    fits += ["surface"] * (file.variables == 2)
    _require(kind in fits, file, f"descents on a function of {counted(file.variables, 'variable')}:"
             f" use --kind {', '.join(fits)}")
    _require(options.field is None, file, "descents, which have no other values: leave --field out")
    return kind


def _check(file, options):
    """Refuses kinds and draws that a surface, line or curve does not have."""
    if options.kind == "repeats":
        _require(file.draws > 1, file, "only one draw of directions (made without --repeat):"
                 f" use --kind {', '.join(PLANE_KINDS)}")
        _require(file.y is not None, file, "lines, which share one picture: leave --kind out")
    if options.kind == "slices":
        _require(file.others, file, "no third axis to show slices along: leave --kind out")
    if options.kind == "trajectory":
        _require(file.group("runs") is not None, file, "no trajectory (/lossatlas/runs): leave --kind out")
    if options.draw is not None:
        file.choose_draw(options.draw)
    if math.prod(file.shape) == 1:
        raise PlotError(f"{file.path} holds only one point: nothing to draw")
    _require_fit(file, options.kind)


def _require_fit(file, kind):
    """A plane of one row or column is drawn as a line, whatever kind of plane is asked for."""
    flat = file.sort == LINE and file.y is not None
    if kind is None or file.sort in KINDS[kind].draws or (flat and PLANE in KINDS[kind].draws):
        return
    of_surfaces = {CURVE, LINE, PLANE}
    foreign = file.sort in of_surfaces and not of_surfaces & set(KINDS[kind].draws)
    misfit = KINDS[kind].misfit if foreign or flat or file.sort == PLANE else MISFITS[file.sort]
    _require(False, file, misfit.format(kind=kind, planes=', '.join(PLANE_KINDS)))


def _require(fits, file, what):
    if not fits:
        raise PlotError(f"{file.path} holds {what}")
