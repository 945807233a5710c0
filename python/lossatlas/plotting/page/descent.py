"""What the page of descents holds: of two variables a surface with its paths, of one the curve and its steps."""

import numpy as np

from .. import planes, points, scales, wording
from ..descents import looks, plane, words
from ..errors import PlotError
from .records import as_list, both_scales, camera, common, dash, field_values, number, packed, ramp, scale_record, scene, unequal

COLORS = ("two", "one", "three", "four", "five", "six")  # of page.css, in the order of the figures' colours
LEAST = 1e-12  # of the highest value: where a log scale of steps ends
FAR = 20  # ranges beyond the picture: what a path that diverges goes further is not told


def of_file(file, options):
    held = {**common([file], options), "title": _title(file, options)}
    return {**held, **(_curve(file) if file.variables == 1 else _surface(file, options))}


def _title(file, options):
    return options.title or words.title(file, "surface")


def _look(number):
    """The colour of the figures; dashed from where colours come again."""
    return {"color": COLORS[number % len(COLORS)], "dash": dash(number // len(COLORS))}


def _rows(file, descent):
    """How many positions from the start on are not far beyond the picture."""
    near = np.ones(len(descent.value), bool)
    for axis, part in zip((file.x, file.y), descent.position.T):
        width = axis[-1] - axis[0]
        near &= (part > axis[0] - FAR * width) & (part < axis[-1] + FAR * width)
    return len(near) if near.all() else max(1, int(np.argmin(near)))


def _walk(file, descent):
    """A descent step by step: where, how high, the slopes there, and all of it in words."""
    rows = _rows(file, descent)
    position, gradient = descent.position[:rows] + 0.0, descent.gradient[:rows] + 0.0  # no −0
    what = "derivative" if file.variables == 1 else "gradient"
    along = next((t.direction for t in file.tangents if t.direction is not None), None)
    slopes = [""] * rows if along is None else [
        f", slope along {words.point_text(along)}: {number(float(slope))}" for slope in gradient @ along]
    ends = {rows - 1: f", {words.ending(descent)}"} if rows == len(descent.value) else {}
    return {
        "label": words.label_of(descent), "at": [part.tolist() for part in position.T], "height": as_list(descent.value[:rows]),
        "slopes": gradient.tolist(),
        "says": [f"step {i}: {words.point_text(position[i])}, f = {number(float(descent.value[i]))}, {what}"
                 f" {words.point_text(gradient[i])}{slopes[i]}{ends.get(i, '')}" for i in range(rows)],
    }


def _walks(file):
    numbers = looks.look_numbers(file.descents)
    return [{**_walk(file, descent), "look": _look(number)} for descent, number in zip(file.descents, numbers)]


def _tangents(file):
    """The points that geometry was asked for at: value and derivatives, in numbers and in words."""
    gradients = [each.gradient if file.y is None else plane.shown_gradient(file, each.gradient) for each in file.tangents]
    return [{"at": each.point.tolist(), "value": each.value, "gradient": gradient.tolist(),
             "direction": None if each.direction is None else each.direction.tolist(),
             "says": ", ".join(words.tangent_facts(each))} for each, gradient in zip(file.tangents, gradients)]


def _words(file, walks):
    texts = [f"{words.function_name(file.settings)} over x from {number(file.x[0])} to {number(file.x[-1])}"
             + ("." if file.y is None else f", y from {number(file.y[0])} to {number(file.y[-1])}.")]
    texts += [f"{walk['label']}: {walk['says'][0]}; {walk['says'][-1]}." for walk in walks]
    return texts + [f"{wording.capital(each['says'])}." for each in _tangents(file)]


def _notes(file):
    return [f"{words.label_of(descent)}: {words.ending(descent)}" for descent in file.descents]


# --- two variables ---------------------------------------------------------------------------------


def _surface(file, options):
    look = options.look
    shown = plane.value_scale(file, look)
    limits = (look.vmin if look.vmin is not None or not shown.cut_low else shown.lo, look.vmax)
    scale = both_scales(file.field.values, "value", shown.log, limits)
    record = {"name": "value", "short": "f", "label": "f(x, y)", "percent": False, "chosen": scale["chosen"],
              **{kind: scale[kind] and scale_record(scale[kind], 7, look.levels) for kind in ("linear", "log")}}
    x, y, field = planes.ascending(file.x, file.y, file.field)
    walks = _walks(file)
    known = words.known_extrema(file)
    view = {
        "name": "", "x": x.tolist(), "y": y.tolist(), "xlabel": "x", "ylabel": "y", "caption": words.subtitle(file),
        "notes": points.notes(field) + unequal(x, y) + _notes(file) + [each["says"] for each in _tangents(file)] + _marks(file),
        "sets": [{"name": "", "partial": None, "fields": {"value": field_values(file, field, [record])}}],
        "titles": {"value": _title(file, options)}, "tangents": _tangents(file),
        "runs": [_run(file, walk) for walk in walks], "curves": [],
        "points": {"name": ["" for _ in known], "x": [p[0] for p in known], "y": [p[1] for p in known],
                   "distance": [None] * len(known)} if known else None,
        "words": {"value": _words(file, walks)},
    }
    drawn = np.log(np.maximum(field.values, shown.floor)) if shown.log else field.values
    return {"kind": "surfaces", "descents": True, "own": _own_scales(walks), "colors": packed(np.asarray(ramp(look), np.uint8)),
            "field": "value", "draw": 0, "camera": camera([scene(view, drawn)], look), "fields": [record], "views": [view]}


def _marks(file):
    directed = any(tangent.direction is not None for tangent in file.tangents)
    notes = ["net: a tangent plane; arrow: the gradient" + ("; dashed arrow: the direction" if directed else "")]
    known = words.known_extrema(file)
    if known:
        notes.append(f"yellow: {'the' if len(known) == 1 else 'a'} known global {words.extremum(file)}")
    return notes


def _own_scales(walks):
    """The scales of the values over the steps, which hold them all."""
    values = np.array([value for walk in walks for value in walk["height"] if value is not None])
    found = {}
    for kind, log in (("linear", False), ("log", True)):
        try:
            low, high = float((values[values > 0] if log else values).min()), float(values.max())
            scale = scales.choose(values, "value", log, max(low, LEAST * high) if log else low, high)
            found[kind] = scale_record(scale, 7, None) if scale.log is log else None
        except (PlotError, ValueError):  # no steps, none above 0, or too far apart
            found[kind] = None
    return found


def _run(file, walk):
    steps = list(range(len(walk["height"])))
    return {"label": walk["label"], "x": walk["at"][0], "y": walk["at"][1], "epoch": steps, "steps": "step",
            "distance": [None] * len(steps), "length": [None] * len(steps), "values": {"value": walk["height"]}, "plane": {},
            "slopes": [plane.shown_gradient(file, np.array(slope)).tolist() for slope in walk["slopes"]], "says": walk["says"], "look": walk["look"]}


# --- one variable ----------------------------------------------------------------------------------


def _curve(file):
    values = file.field.values
    walks = _walks(file)
    heights = scales.choose(values, "value", False, whole=True)
    room = 0.1 * (heights.hi - heights.lo)  # for tangents
    heights = scales.Scale(False, heights.lo - room, heights.hi + room)
    inside = np.concatenate([np.clip(walk["at"][0], file.x[0], file.x[-1]) for walk in walks] or [file.x])
    low, high = float(inside.min()), float(inside.max())
    places = scales.Scale(False, low, high if high > low else low + max(abs(low), 1.0))
    return {
        "kind": "descent", "caption": words.subtitle(file),
        "x": file.x.tolist(), "value": as_list(values), "slope": as_list(file.derivative),
        "height": scale_record(heights, 6, None), "place": scale_record(places, 5, None),
        "walks": walks, "tangents": _tangents(file),
        "notes": _notes(file), "words": _words(file, walks),
    }
