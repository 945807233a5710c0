"""The numbers that the program has of a surface (/lossatlas@summary), as short facts for a caption.

What is absent, or is not of the shape that is known, is left out or written as it is.
"""

import math
import re

from .scales import number
from .wording import grouped, is_percent, short_label

SAID_ELSEWHERE = {"clear_minima", "points", "evaluated", "reconstructed", "not_finite", "repeats", "width_at_least"}
LONGEST_TEXT = 200  # characters
AXIS = re.compile(r"[xyzw]|axis\d+")
ROUNDED = 1e-12  # coordinates nearer to 0 are


def facts(summary, draw=None):
    """Texts such as 'lowest loss 0.012 at (0, −0.1)'. Of several draws, those of `draw`; None: of the mean."""
    if draw is not None:
        each = summary.get("repeats")
        known = isinstance(each, list) and draw <= len(each) and isinstance(each[draw - 1], dict)
        summary = each[draw - 1] if known else {}
    texts = []
    for name, value in summary.items():
        if name in SAID_ELSEWHERE:
            continue
        known = KNOWN[name](value, summary) if name in KNOWN else None
        texts += known if known is not None else _plain(name, value)
    return texts


def _centre(value, _):
    loss, accuracy = _numbers(value, "loss", "accuracy")
    if loss is None:
        return None
    return [f"centre loss {loss}" + (f", accuracy {accuracy} %" if accuracy else "")]


def _located(name):
    def said(value, _):
        loss, = _numbers(value, "loss")
        place = [_coordinate(value, axis) for axis in filter(AXIS.fullmatch, value if isinstance(value, dict) else ())]
        if not place or None in (loss, *place):
            return None
        return [f"{name} loss {loss} at {place[0] if len(place) == 1 else '(' + ', '.join(place) + ')'}"]

    return said


def _width(value, summary):
    if not _is_number(value):
        return None
    sign = "≥ " if summary.get("width_at_least") is True else ""
    return [f"width at twice the centre’s loss {sign}{_text(value)}"]


def _steepest(value, _):
    rise, = _numbers(value, "rise")
    return None if rise is None else [f"steepest step {rise}"]


def _minima(value, summary):
    if not _is_number(value):
        return None
    clear = summary.get("clear_minima")
    return [f"{value} local {'minimum' if value == 1 else 'minima'}"
            + (f", {clear} deeper than the stated error" if _is_number(clear) else "")]


def _curvature(value, _):
    eigenvalues = value.get("eigenvalues") if isinstance(value, dict) else None
    if not (isinstance(eigenvalues, list) and eigenvalues and all(map(_is_number, eigenvalues))):
        return None
    if len(eigenvalues) == 1:
        return [f"fitted curvature at the centre {_text(eigenvalues[0])}"]
    condition, = _numbers(value, "condition")
    text = "fitted curvatures at the centre {} to {}".format(*map(_text, (eigenvalues[0], eigenvalues[-1])))
    return [text + (f", ratio {condition}" if condition else "")]


def _axis_curvatures(value, _):
    """Along each axis: 'along x: dᵀHd 5.4 by autodiff, 6.8 at scale h = 0.03 (‖d‖ = 17.6, so 0.0174 and 0.0219 per unit
    length)'."""
    return [text for axis in value if (text := _along(axis))] if isinstance(value, list) else None


def _short(value):
    """Three digits are enough of what has noise."""
    return number(float(f"{value:.3g}"))


def _along(axis, largest=None):
    """`largest`: the largest eigenvalue of the Hessian there, if it is known."""
    scale = axis.get("scale") if isinstance(axis, dict) else None
    if not (isinstance(scale, list) and len(scale) == 3 and isinstance(axis.get("axis"), str)):
        return None
    (value, error), exact = _members(scale[1], "value", "standard_error"), _members(axis.get("autodiff"), "value")[0]
    length, step = _members(axis, "direction_norm", "step")
    if value is None or step is None:
        return None
    if exact is None:
        noise = f" ± {_short(error)}" if error else ""
        return f"along {axis['axis']}: curvature {_short(value)}{noise} at scale h = {_short(step)}"
    units = [_short(each / length**2) for each in (exact, value)] if length else []
    beside = f", where the largest eigenvalue is {_short(largest)}" if largest is not None else ""
    return (f"along {axis['axis']}: dᵀHd {_short(exact)} by autodiff, {_short(value)} at scale h = {_short(step)}"
            + (f" (‖d‖ = {_short(length)}, so {units[0]} and {units[1]} per unit length{beside})" if units else ""))


def _members(value, *names):
    """The numbers of these names, None for each that is none."""
    members = value if isinstance(value, dict) else {}
    return [members[name] if _is_number(members.get(name)) else None for name in names]


def _standard_error(value, _):
    return [f"median standard error {_text(value)}"] if _is_number(value) else None


def _barriers(where):
    """Of what holds a loss or an error of each split, on the way between two checkpoints."""
    def said(value, _):
        if not isinstance(value, dict):
            return None
        return [text for name, each in value.items() for text in _barrier(name, each, where)]

    return said


def _barrier(name, value, where):
    highest, rise = _numbers(value, "highest", "barrier")
    at = _coordinate(value, "at")
    ends = value.get("ends") if isinstance(value, dict) else None
    if None in (highest, rise, at) or not (isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))):
        return _plain(f"{name} {where}", value)
    unit, points = (" %", " percentage points") if is_percent(name) else ("", "")
    first, last = map(_text, ends)
    return [f"{short_label(name)} {where}: {first}{unit} and {last}{unit} at the ends, highest {highest}{unit} at {at},"
            f" barrier {rise}{points}"]


def _hints(value, _):
    if not isinstance(value, list):
        return None
    return [f"hint: {' '.join(text.split())}" for text in value if isinstance(text, str)]


KNOWN = {
    "centre": _centre, "lowest": _located("lowest"), "highest": _located("highest"), "width": _width,
    "steepest": _steepest, "minima": _minima, "curvature": _curvature,
    "axis_curvatures": _axis_curvatures, "standard_error": _standard_error, "hints": _hints, "curve": _barriers("on the curve"),
    "linear": _barriers("on the straight line"), "interpolation": _barriers("between the checkpoints"),
}


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(value):
    return grouped(value) if isinstance(value, int) else number(value)


def _numbers(value, *names):
    """The texts of these members, None for each that is no number."""
    members = value if isinstance(value, dict) else {}
    return [_text(members[name]) if _is_number(members.get(name)) else None for name in names]


def _coordinate(value, name):
    """As _numbers, of one that may be a rounding error from 0."""
    found = value.get(name) if isinstance(value, dict) else None
    return _text(0 if abs(found) < ROUNDED else found) if _is_number(found) else None


def _plain(name, value):
    """Any value as 'name value'; nested ones one by one."""
    name = name.replace("_", " ")
    if isinstance(value, dict):
        return [text for inner, each in value.items() for text in _plain(f"{name} {inner}", each)]
    if isinstance(value, bool):
        return [f"{name} {'yes' if value else 'no'}"]
    if _is_number(value):
        return [f"{name} {_text(value)}"]
    if isinstance(value, list) and 0 < len(value) <= 4 and all(map(_is_number, value)):
        return [f"{name} ({', '.join(map(_text, value))})"]
    if isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT:
        return [f"{name} {' '.join(value.split())}"]
    return []
