"""Results drawn by the plotter: the looks of lossatlas plot, on the user's own axes too."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .error import Error
from .options import in_python, words_of

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

NOT_HERE = {"out", "animate", "watch", "report", "kind"}
SMALL = 110  # pixels an inch, in a notebook


def plot(path: str, kind: str | None, ax: matplotlib.axes.Axes | None,
         looks: dict[str, Any]) -> matplotlib.figure.Figure:
    """See results.Result.plot."""
    from .plotting import figures, style
    with _opened(path, {"kind": kind, **looks}) as (file, options):
        figure: matplotlib.figure.Figure = figures.figure_on(ax, [file], options)
        if ax is None:
            style.prepare(figure)
            figure.draw_without_rendering()  # ticks take their looks when they are first drawn
            figure._repr_png_ = lambda: _png(figure)  # type: ignore[attr-defined]
        return figure


def page(path: str, looks: dict[str, Any]) -> bytes:
    """The page of the file as one HTML document."""
    from .plotting import figures, heads
    from .plotting.page import document
    with _opened(path, looks) as (file, options):
        figures.choose_part([file], options)
        found: bytes = document.render([file], options, heads.file_names([file], options))
        return found


@contextlib.contextmanager
def _opened(path: str, looks: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The file and the Options, with matplotlib as the plotter sets it up; the user's own settings come back."""
    import matplotlib

    from .plotting import reading, style
    from .plotting.errors import PlotError
    try:
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is said in the plotter's own words
            options = _options(path, looks)
            style.apply(options.style)
            with reading.open_file(path) as file:
                yield file, options
    except PlotError as error:
        raise Error(in_python(str(error))) from error


def png(path: str) -> bytes | None:
    """A small picture of the file; None if there is nothing to draw yet."""
    try:
        return _png(plot(path, None, None, {}))
    except Error:
        return None


def _png(figure: matplotlib.figure.Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=SMALL)
    return buffer.getvalue()


def _options(path: str, looks: dict[str, Any]) -> Any:
    """The plotter's Options of these arguments, checked by its command line."""
    from .plotting import command
    if refused := sorted(NOT_HERE & set(looks) - {"kind"}):
        raise Error(f"{refused[0]} writes files, which plot does not: use lossatlas plot, or save the figure")
    negative = {"log": "linear", "floor": "no-floor", "caption": "no-caption"}
    for name, option in negative.items():
        if looks.get(name) is False:
            looks = {**looks, option: True}
        if name != "log" and looks.get(name) is True:
            looks = {**looks, name: None}
    at = looks.get("at")
    if isinstance(at, dict):
        looks = {**looks, "at": ",".join(f"{name}={value}" for name, value in at.items())}
    return command.parse([path, *words_of(looks)])
