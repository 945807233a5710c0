"""The parts that pages are made of, as JSON has them: scales, cameras, values on a grid as packed arrays."""

import base64
import json
import math
import os

import numpy as np

from .. import points, raster, scales, style
from ..errors import PlotError

BLANK, NONFINITE, RECONSTRUCTED, GUESSED = 1, 2, 3, 4  # as in data.js
LEVELS = {False: 15, True: 20}  # contour lines, by log scale
TALL, NARROWEST = 0.62, 0.4  # of the box, as in mesh.js and data.js
GUESSES = "interpolated (paler)"
SERIES = ("one", "six", "two", "three", "four", "five")  # of page.css, in the order of the figures' colours
DASH = 2  # pixels of a point of dashes


def common(files, options):
    return {"stem": os.path.splitext(os.path.basename(files[0].path))[0],
            "theme": "dark" if options.style == "dark" else None}


def camera(scenes, look):
    """From where the surfaces are seen first: whence the most is seen, unless the look says otherwise."""
    elevation = None if look.elev is None else min(max(look.elev, 0.0), 90.0)
    view = raster.best_view(scenes, raster.View(elevation, look.azim))
    return {"azimuth": view.azim, "elevation": view.elev}


def scene(view, heights):
    """A surface and its paths, as raster.best_view takes them. `heights` [ny, nx] on the scale that is shown first."""
    x, y = (np.asarray(view[name]) for name in ("x", "y"))
    longer = max(np.ptp(x), np.ptp(y))
    box = (*(max(np.ptp(axis) / longer, NARROWEST) for axis in (x, y)), TALL)
    low, high = (float(limit(heights, where=np.isfinite(heights), initial=start))
                 for limit, start in ((np.min, np.inf), (np.max, -np.inf)))
    span = (low, high) if high > low else (low, low + 1.0)
    return raster.Sheet(x, y, heights, span, box), [(each["x"], each["y"]) for each in view["runs"] + view["curves"]]


def both_scales(values, name, asked, limits):
    """{"linear", "log": a Scale or None where there is none, "chosen": whether log is shown first}."""
    found = {"chosen": scales.choose(values, name, asked, *limits).log}
    for kind, log in (("linear", False), ("log", True)):
        try:
            scale = scales.choose(values, name, log, *limits)
            found[kind] = scale if scale.log is log else None  # constant values have no log scale
        except PlotError:  # the scale that was asked for is there: this is the other
            found[kind] = None
    return found


def scale_record(scale, ticks, levels):
    """`levels` is None, a count, or a list in value units."""
    low, high = scale.span
    place = lambda value: float(np.clip((scale.position(value) - low) / (high - low), 0.0, 1.0))  # noqa: E731
    values, texts = scale.ticks(ticks)
    return {
        "log": scale.log, "lo": scale.lo, "hi": scale.hi, "floor": scale.floor if scale.log else None,
        "ticks": [[place(value), text] for value, text in zip(values, texts)],
        "levels": [place(value) for value in _levels(scale, levels)],
        "notes": scale.notes,
    }


def _levels(scale, levels):
    if isinstance(levels, list):
        return [value for value in levels if scale.lo <= value <= scale.hi]
    return [] if scale.constant else scale.round_values(levels or LEVELS[scale.log])


def field_values(file, field, fields):
    """One value on the grid, packed. Missing points hold what stands in for them."""
    record = next((each for each in fields if each["name"] == field.name), None)
    if record is not None and field.blank.any():
        try:
            scale = scales.choose(field.values, field.name, record["chosen"])
            field = points.fill(file, field, scale)
        except (PlotError, ValueError):  # nothing finite in this draw
            pass
    state = np.zeros(field.blank.shape, np.uint8)
    for mask, mark in ((field.reconstructed, RECONSTRUCTED), (field.guessed, GUESSED), (field.blank, BLANK),
                       (field.nonfinite, NONFINITE)):
        state[mask] = mark
    values = np.where(field.blank, 0.0, field.values)  # what is not a number stays NaN
    if field.infinite is not None:
        values = np.where(field.infinite, field.infinite * np.inf, values)
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    lost = np.isfinite(values) & (~np.isfinite(narrow) | ((narrow == 0) & (values != 0)))
    found = {"values": packed(values.astype("<f8") if lost.any() else narrow.astype("<f4")),
             "type": "f8" if lost.any() else "f4", "notes": points.notes(field, GUESSES)}
    return {**found, "state": packed(state)} if state.any() else found


def series_color(number):
    return SERIES[number % len(SERIES)]


def dash(number):
    """The lengths of the figures' dashes of that number, in pixels; none of a solid line."""
    return [DASH * length for length in style.DASHES[number % len(style.DASHES)] if length]


def number(value):
    """A number in running text; never −0."""
    return scales.number(value + 0.0)


def unequal(x, y):
    """A note where the box is squarer than the plane."""
    sides = np.ptp(x), np.ptp(y)
    return ["the axes are not to the same scale"] if min(sides) < NARROWEST * max(sides) else []


def ramp(look):
    return np.round(255 * style.color_map(look.cmap)(np.linspace(0, 1, 256))[:, :3])


def packed(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def as_list(values, missing=None):
    return [float(value) if math.isfinite(value) else missing for value in values]


def as_json(content):
    """JSON that may stand within a <script>: it cannot end the element or begin a comment."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
