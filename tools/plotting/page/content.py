"""What a page holds, as a dictionary for JSON: values as packed arrays, scales with their ticks and
levels, and every word that the figures say too."""

import base64
import json
import math
import os

import numpy as np

from .. import marks, points, reading, scales, style, summary, wording
from ..errors import NotYetError, PlotError, WordsError

MOST_VIEWS = 4
MOST_DRAWS = 36
BLANK, NONFINITE, RECONSTRUCTED, GUESSED = 1, 2, 3, 4  # as in data.js
LEVELS = {False: 15, True: 20}  # contour lines, by log scale
GUESSES = "interpolated (paler)"


def of_files(files, options):
    """The content of a page of these open files: surfaces side by side, or one line, path or history."""
    flat = [file for file in files if not _is_plane(file)]
    if not flat:
        return _surfaces(files, options)
    if len(files) > 1:
        raise PlotError(f"{flat[0].path} holds no plane: a page shows several planes, or one line, path or history")
    if options.kind is not None and options.kind in ("surface", "contour", "contourf", "heat"):
        raise PlotError(f"{flat[0].path} holds no plane to draw as {options.kind}: leave --kind out")
    return (_history if isinstance(files[0], reading.HistoryFile) else _line)(files[0], options)


def _is_plane(file):
    return isinstance(file, reading.SurfaceFile) and file.y is not None and 1 not in file.shape


# --- surfaces --------------------------------------------------------------------------------------


def _surfaces(files, options):
    if len(files) > MOST_VIEWS:
        raise WordsError(f"a page shows at most {MOST_VIEWS} surfaces, not {len(files)}")
    if options.draw is not None:
        for file in files:
            file.choose_draw(options.draw)
            file.choose_draw(None)
    all_draws = [_fields_of(file) for file in files]
    names = [name for name in all_draws[0][0] if all(name in draws[0] for draws in all_draws)]
    chosen = _first_field(files, names, options)
    fields = []
    for name in sorted(names, key=lambda name: (_rank(name), names.index(name))):
        record = _field_record(name, files, all_draws, options if name == chosen else None)
        if record is not None:
            fields.append(record)
    if chosen not in (field["name"] for field in fields):
        _explain_missing(files, all_draws, chosen)
    kept = {field["name"] for field in fields}
    shorts = _names(files)
    return {
        "kind": "surfaces",
        "stem": os.path.splitext(os.path.basename(files[0].path))[0],
        "title": options.title or wording.title(fields_of(fields, chosen)["short"], *(f.settings for f in files)),
        "colors": _packed(np.asarray(_ramp(options), np.uint8)),
        "field": chosen,
        "draw": options.draw or 0,
        "camera": _camera(all_draws[0][0][chosen].values, options),
        "theme": "dark" if getattr(options, "style", None) == "dark" else None,
        "fields": fields,
        "views": [_view(file, draws, name, kept, fields, options) for file, draws, name in zip(files, all_draws, shorts)],
    }


def _camera(values, options):
    """From where the surface is seen first: over its lowest corner, unless the options say otherwise."""
    half = [(slice(None, (n + 1) // 2), slice(n // 2, None)) for n in values.shape]
    corners = {azimuth: values[half[0][up], half[1][right]]
               for azimuth, right, up in ((-57.0, 1, 0), (33.0, 1, 1), (123.0, 0, 1), (213.0, 0, 0))}
    means = {azimuth: float(np.nanmean(part)) for azimuth, part in corners.items() if np.isfinite(part).any()}
    return {"azimuth": min(means, key=means.get, default=-57.0) if options.azim is None else options.azim,
            "elevation": 30.0 if options.elev is None else min(max(options.elev, 0.0), 90.0)}


def fields_of(records, name):
    return next(record for record in records if record["name"] == name)


def _rank(name):
    """Losses first, then accuracies, then the rest; what belongs to another value last."""
    if name in reading.HISTORY_VALUES:
        return (0, reading.HISTORY_VALUES.index(name))
    return (2 if name.endswith(("_se", "_error", "_images", "_spread")) else 1, 0)


def _fields_of(file):
    """[{name: Field} of the values shown first, then of each draw]. Rising coordinates."""
    found = [{name: _rising(file, file.field(name)) for name in file.names}]
    for number in range(1, min(file.draws, MOST_DRAWS) + 1) if file.draws > 1 else ():
        file.choose_draw(number)
        found.append({name: _rising(file, file.field(name)) for name in file.names})
    file.choose_draw(None)
    return found


def _rising(file, field):
    across, up = (slice(None, None, -1 if each[0] > each[-1] else 1) for each in (file.x, file.y))
    return field.changed(lambda array: array[up, across])


def _first_field(files, names, options):
    if not names:
        raise PlotError(f"{files[0].path} and {files[1].path} hold no value in common")
    if options.field:
        name = files[0].full_name(options.field)
        for file in files:
            file.field(name)  # says what there is where the name is wrong
        return name
    return next((name for name in (files[0].default_name(), *reading.HISTORY_VALUES) if name in names), names[0])


def _explain_missing(files, all_draws, name):
    for file, draws in zip(files, all_draws):
        if draws[0][name].blank.all():
            raise NotYetError(f"{file.path} holds no evaluated point of {name}: nothing to draw")
    raise NotYetError(f"{files[0].path} holds no finite value of {name}: nothing to draw")


def _field_record(name, files, all_draws, options):
    """Label and scales of one value over all files and draws; None where it has no finite value.

    `options` of the value that is shown first: its limits and scale.
    """
    values = np.concatenate([fields[name].values.ravel() for draws in all_draws for fields in draws if name in fields])
    if not np.isfinite(values).any():
        return None
    limits = (options.vmin, options.vmax) if options else (None, None)
    asked = options.log if options else None
    by_choice = {}
    for kind, log in (("linear", False), ("log", True)):
        try:
            by_choice[kind] = scales.choose(values, name, log, *limits)
        except PlotError:
            if asked is log or (options and limits != (None, None)):
                raise
            by_choice[kind] = None
    if by_choice["log"] is not None and not by_choice["log"].log:
        by_choice["log"] = None  # constant values
    chosen = scales.choose(values, name, asked, *limits).log
    settings = files[0].settings
    return {
        "name": name, "short": wording.short_label(name), "label": wording.value_label(name, settings),
        "percent": wording.is_percent(name), "chosen": chosen,
        **{kind: scale and _scale_record(scale) for kind, scale in by_choice.items()},
    }


def _scale_record(scale, ticks=7):
    low, high = scale.span
    place = lambda value: float(np.clip((scale.position(value) - low) / (high - low), 0.0, 1.0))  # noqa: E731
    values, texts = scale.ticks(ticks)
    return {
        "log": scale.log, "lo": scale.lo, "hi": scale.hi, "floor": scale.floor if scale.log else None,
        "ticks": [[place(value), text] for value, text in zip(values, texts)],
        "levels": [] if scale.constant else [place(v) for v in scale.round_values(LEVELS[scale.log])],
        "notes": scale.notes,
    }


def _view(file, all_draws, name, kept, fields, options):
    x, y = np.sort(file.x), np.sort(file.y)
    sets = []
    for number, of_draw in enumerate(all_draws):
        primary = {n: f for n, f in of_draw.items() if n in kept or n.endswith(("_se", "_error", "_images"))}
        sets.append({
            "name": "mean of all" if number == 0 else f"draw {number}",
            "partial": points.mark(of_draw[file.default_name()]) if file.default_name() in of_draw else None,
            "fields": {n: _field_values(file, field, fields) for n, field in primary.items()},
        })
    notes = [] if file.draws <= MOST_DRAWS else [f"the first {MOST_DRAWS} of {file.draws} draws are here"]
    notes += _plane_notes(file)
    return {
        "name": name, "x": x.tolist(), "y": y.tolist(),
        "xlabel": marks.axis_label(file, 1), "ylabel": marks.axis_label(file, 2),
        "caption": wording.subtitle(file), "notes": notes, "sets": sets,
        "titles": {record["name"]: options.title or wording.title(record["short"], file.settings)
                   for record in fields},
        "runs": [_run(run, kept) for run in marks.runs(file)],
        "points": _points(marks.points(file)),
        "curves": [{"name": curve.name, "x": curve.x.tolist(), "y": curve.y.tolist()} for curve in marks.curves(file)],
        "words": _words(file, all_draws[0], fields_of(fields, file.default_name()) if file.default_name() in kept else fields[0]),
    }


def _plane_notes(file):
    from .. import overlay  # draws with matplotlib; here only what it says

    return overlay.Overlay(file).notes()


def _field_values(file, field, fields):
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
    values = np.where(field.blank, 0.0, field.values)  # what is not finite stays NaN
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    lost = np.isfinite(values) & (~np.isfinite(narrow) | ((narrow == 0) & (values != 0)))
    packed = {"values": _packed(values.astype("<f8") if lost.any() else narrow.astype("<f4")),
              "type": "f8" if lost.any() else "f4", "notes": points.notes(field, GUESSES)}
    return {**packed, "state": _packed(state)} if state.any() else packed


def _run(run, names):
    label = run.label + (f" ({run.optimizer})" if run.optimizer and run.optimizer.lower() not in run.label.lower() else "")
    known = np.isfinite(run.epoch).all() and (np.diff(run.epoch) > 0).all()
    return {
        "label": label, "x": run.x.tolist(), "y": run.y.tolist(),
        "epoch": run.epoch.tolist() if known else list(range(len(run.x))),
        "steps": "epoch" if known else "checkpoint",
        "distance": _list(run.distance), "length": _list(run.length),
        "values": _columns(run.own, names), "plane": _columns(run.in_plane, names),
    }


def _points(found):
    if found is None or not np.isfinite(found.y).all():
        return None
    return {"name": list(found.names), "x": found.x.tolist(), "y": found.y.tolist(), "distance": _list(found.distance)}


def _columns(column, names):
    columns = {name: column(name) for name in names}
    return {name: _list(values) for name, values in columns.items() if np.isfinite(values).any()}


def _words(file, fields, record):
    """The surface in sentences, for those who do not see it."""
    field = fields[record["name"]]
    x, y = np.sort(file.x), np.sort(file.y)
    number = scales.number
    texts = [f"{wording.capital(record['short'])} on a grid of {wording.grouped(len(x))} by {wording.grouped(len(y))} points:"
             f" {marks.axis_label(file, 1)} from {number(x[0])} to {number(x[-1])},"
             f" {marks.axis_label(file, 2)} from {number(y[0])} to {number(y[-1])}."]
    if not np.isfinite(field.values).any():
        return texts + ["It has no finite value."]
    for word, find in (("lowest", np.nanargmin), ("highest", np.nanargmax)):
        row, column = np.unravel_index(find(field.values), field.values.shape)
        texts.append(f"The {word} value is {number(float(field.values[row, column]))} at"
                     f" ({number(x[column])}, {number(y[row])}).")
    row, column = np.argmin(abs(y)), np.argmin(abs(x))
    if np.isfinite(field.values[row, column]):
        texts.append(f"At ({number(x[column])}, {number(y[row])}), the point nearest to the origin, it is"
                     f" {number(float(field.values[row, column]))}.")
    for end, place in (("left", field.values[row, 0]), ("right", field.values[row, -1]),
                       ("bottom", field.values[0, column]), ("top", field.values[-1, column])):
        if np.isfinite(place):
            texts.append(f"From there to the {end} edge it goes to {number(float(place))}.")
    for run in marks.runs(file):
        texts.append(f"The trajectory {run.label} has {wording.points(len(run.x))}, from ({number(run.x[0])},"
                     f" {number(run.y[0])}) to ({number(run.x[-1])}, {number(run.y[-1])}).")
    texts += [f"{wording.capital(note)}." for note in points.notes(field, "interpolated")]
    facts = summary.facts(file.summary)
    return texts + ([f"The file's own numbers: {'; '.join(facts)}."] if facts else [])


def _names(files):
    """What to call each file where there are several: what tells them apart, else the file's name."""
    for name in ("arch", "optimizer"):
        named = [str(file.settings.get(name, "")) for file in files]
        if len(set(named)) == len(files) and all(named):
            return named
    stems = [os.path.splitext(os.path.basename(file.path))[0] for file in files]
    if len(set(stems)) == len(files):
        return stems
    return [f"{number}: {stem}" for number, stem in enumerate(stems, 1)]


def _ramp(options):
    return np.round(255 * style.color_map(options.cmap)(np.linspace(0, 1, 256))[:, :3])


# --- lines, paths and histories --------------------------------------------------------------------


def _line(file, options):
    if math.prod(file.shape) == 1:
        raise PlotError(f"{file.path} holds one point only: nothing to draw")
    along = 0 if file.y is None else 1 if file.shape[0] == 1 else 2
    x = file.y if along == 2 else file.x
    back = slice(None, None, -1 if x[0] > x[-1] else 1)
    names = [file.full_name(options.field)] if options.field else (
        [name for name in reading.HISTORY_VALUES if name in file.names] or [file.default_name()])
    fields = {name: file.field(name).squeeze().changed(lambda array: array[back]) for name in names}
    if all(field.blank.all() for field in fields.values()):
        raise NotYetError(f"{file.path} holds no evaluated point: nothing to draw")
    is_path = isinstance(file, reading.PathFile)
    series, notes = [], []
    for name, field in fields.items():
        error, spread = (file.field(f"{name}_{what}").squeeze().values[back] if f"{name}_{what}" in file.names else None
                         for what in ("se", "spread"))
        look = _look(name)
        if is_path:
            look["label"] += " along the curve"
        series.append({**look, "name": name, "x": x[back], "values": field.values, "se": error, "spread": spread})
        notes += points.notes(field)
        straight = file.linear(name) if is_path else None
        if straight is not None:
            series.append({**look, "label": f"{_look(name)['label']} along the straight line", "name": name, "x": x[back],
                           "values": straight[back], "faint": True})
    for number in range(1, min(file.draws, 200) + 1) if file.draws > 1 else ():
        file.choose_draw(number)
        series += [{**_look(name), "label": "", "name": name, "x": x[back], "faint": True,
                    "values": file.field(name).squeeze().values[back]} for name in names if name in file.names]
    file.choose_draw(None)
    bad = {name: x[back][field.nonfinite].tolist() for name, field in fields.items()}
    what = wording.short_label(names[0]) if len(names) == 1 else "loss"
    place = " along a path" if is_path else " along a line"
    found = marks.points(file) if not is_path else None
    named = [] if found is None else [{"x": float(at), "text": name} for at, name in zip(found.x, found.names)]
    return _curves(file, options, wording.title(what, file.settings) + place, wording.subtitle(file),
                   points.mark(next(iter(fields.values()))),
                   "t along the path" if is_path else marks.axis_label(file, along), series, bad,
                   list(dict.fromkeys(notes)), named)


def _history(file, options):
    names = [options.field] if options.field else file.names
    series = [{**_look(name), "name": name, "x": file.epoch, "values": file.values(name)} for name in names]
    from .. import curves

    return _curves(file, options, wording.title("training", file.settings), curves.history_subtitle(file), None,
                   "epoch", series, {}, [], [])


def _look(name):
    split = name.partition("_")[0]
    return {"color": split if split in ("train", "test") else 0, "dash": split == "test", "faint": False,
            "label": wording.short_label(name)}


def _curves(file, options, title, caption, mark, xlabel, series, bad, notes, named):
    """The content of a page of charts: one for losses, one for accuracies, one for any other value."""
    groups = {}
    for each in series:
        if np.isfinite(each["values"]).any():
            groups.setdefault(each["name"].rpartition("_")[2] or each["name"], []).append(each)
    if not groups:
        raise NotYetError(f"{file.path} has no evaluated point with a finite value: nothing to draw")
    panels = [_panel(group, file, options, what == "loss" or len(groups) == 1, bad) for what, group in groups.items()]
    low, high = (float(function(series[0]["x"])) for function in (np.min, np.max))
    return {
        "kind": "curves", "stem": os.path.splitext(os.path.basename(file.path))[0], "title": options.title or title,
        "caption": caption, "partial": mark, "x": [low, high if high > low else low + 1.0], "xlabel": xlabel,
        "panels": panels, "notes": notes, "marks": named,
        "theme": "dark" if getattr(options, "style", None) == "dark" else None,
        "words": _curve_words(series, xlabel) + ([f"The file's own numbers: {'; '.join(facts)}."]
                                                 if (facts := _facts(file)) else []),
    }


def _facts(file):
    return summary.facts(file.summary) if isinstance(file, reading.SurfaceFile) else []


def _panel(group, file, options, asked, bad):
    name, together = group[0]["name"], np.concatenate([each["values"] for each in group])
    limits = (options.vmin, options.vmax) if asked else (None, None)
    by_choice = {}
    for kind, log in (("linear", False), ("log", True)):
        try:
            by_choice[kind] = scales.choose(together, name, log, *limits)
        except PlotError:
            if asked and (options.log is log or limits != (None, None)):
                raise
            by_choice[kind] = None
    percent = wording.is_percent(name)
    if by_choice["log"] is not None and (percent or not by_choice["log"].log):
        by_choice["log"] = None
    kind = name.rpartition("_")[2]
    same = {each["name"] for each in group}
    short = {"loss": "loss", "acc": "accuracy"}.get(kind, kind) if len(same) > 1 else wording.short_label(name)
    label = {"loss": "loss" + wording.loss_unit(file.settings), "acc": "accuracy (%)"}.get(kind, kind) \
        if len(same) > 1 else wording.value_label(name, file.settings)
    chosen = scales.choose(together, name, options.log if asked and not percent else None, *limits).log
    return {
        "label": label, "short": short, "percent": percent, "chosen": chosen and by_choice["log"] is not None,
        **{which: scale and _scale_record(scale, 6) for which, scale in by_choice.items()},
        "bad": sorted({at for each in same for at in bad.get(each, ())}),
        "series": [{"label": each["label"], "color": each["color"], "dash": each["dash"], "faint": each["faint"],
                    "x": each["x"].tolist(), "y": _list(each["values"]),
                    **{extra: _list(each[extra], 0.0) for extra in ("se", "spread") if each.get(extra) is not None}}
                   for each in group],
    }


def _curve_words(series, xlabel):
    texts = []
    for each in (each for each in series if each["label"] and np.isfinite(each["values"]).any()):
        x, values = each["x"], each["values"]
        low, high = np.nanargmin(values), np.nanargmax(values)
        texts.append(f"{wording.capital(each['label'])} over {xlabel} from {scales.number(x[0])} to {scales.number(x[-1])}: lowest"
                     f" {scales.number(float(values[low]))} at {scales.number(x[low])}, highest"
                     f" {scales.number(float(values[high]))} at {scales.number(x[high])}.")
    return texts


# --- packing ---------------------------------------------------------------------------------------


def _packed(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _list(values, missing=None):
    return [float(value) if math.isfinite(value) else missing for value in values]


def as_json(content):
    """JSON that may stand within a <script>: it cannot end the element or begin a comment."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
