"""What a page holds, as a dictionary for JSON: values as packed arrays, scales with their ticks and
levels, and every word that the figures say too."""

import math
import os
from dataclasses import dataclass

import numpy as np

from .. import charts, marks, overlay, points, style, summary, wording
from ..errors import NotYetError, PlotError, WordsError
from ..hdf5 import CURVE, FUNCTION, HISTORY, LINE, PLANE
from ..histories import HISTORY_VALUES
from ..kinds import PLANE_KINDS
from ..options import Look
from . import descent, records

MOST_VIEWS = 4
MOST_DRAWS = 36


def of_files(files, options, names):
    """The content of a page of these open files: surfaces side by side, or lines, curves or histories.

    `names` are what the files are called where there are several."""
    if files[0].sort == FUNCTION and len(files) == 1:
        return descent.of_file(files[0], options)
    for file in files:
        if file.sort in (CURVE, LINE) and math.prod(file.shape) == 1:
            raise PlotError(f"{file.path} holds only one point: nothing to draw")
    sort = files[0].sort
    for file in files:
        if file.sort != sort:
            raise PlotError(f"{files[0].path} holds a {sort}, {file.path} a {file.sort}: make a page of each")
    if sort == FUNCTION:
        raise PlotError(f"{files[0].path} holds a {sort}: make a page of each")
    return _surfaces(files, options, names) if sort == PLANE else _curves(files, options, names)


# --- surfaces --------------------------------------------------------------------------------------


def _surfaces(files, options, called):
    if len(files) > MOST_VIEWS:
        raise WordsError(f"a page shows at most {MOST_VIEWS} surfaces, not {len(files)}")
    if options.draw is not None:
        for file in files:
            file.choose_draw(options.draw)
            file.choose_draw(None)
    all_sets = [_sets_of(file, len(files) == 1) for file in files]
    all_draws = [[each.fields for each in sets] for sets in all_sets]
    first = next(number for number, each in enumerate(all_sets[0]) if each.surface.fixed == files[0].fixed)
    shown = [draws[first] for draws in all_draws]
    names = [name for name in shown[0] if all(name in fields for fields in shown)]
    chosen = _first_field(files, names, options)
    fields = []
    for name in sorted(names, key=lambda name: (_rank(name), names.index(name))):
        record = _field_record(name, files, all_draws, options.look if name == chosen else Look())
        if record is not None:
            fields.append(record)
    if chosen not in (field["name"] for field in fields):
        _explain_missing(files, shown, chosen)
    kept = {field["name"] for field in fields}
    views = [_view(file, sets, first, name, kept, fields, options) for file, sets, name in zip(files, all_sets, called)]
    heights = [_drawn(held[chosen].values, fields_of(fields, chosen)) for held in shown]
    for number, run in enumerate(run for view in views for run in view["runs"]):
        run["hue"] = records.series_color(number)
    return {
        "kind": "surfaces", **records.common(files, options),
        "title": options.title or wording.title(fields_of(fields, chosen)["short"], *(f.settings for f in files)),
        "colors": records.packed(np.asarray(records.ramp(options.look), np.uint8)),
        "field": chosen,
        "log": options.look.log,  # asked for, of all values; None: as each needs it
        "draw": options.draw or first, "sets": "Directions" if all_sets[0][first].surface is files[0] else "At",
        "camera": records.camera(list(map(records.scene, views, heights)), options.look),
        "fields": fields,
        "views": views,
    }


def _drawn(values, record):
    """Values as heights, by the scale that is shown first."""
    if record["chosen"] and record["log"]:
        return np.log(np.maximum(values, record["log"]["floor"]))
    return values


def fields_of(fields, name):
    return next(field for field in fields if field["name"] == name)


def _rank(name):
    """Losses first, then accuracies, then the rest; what belongs to another value last."""
    if name in HISTORY_VALUES:
        return (0, HISTORY_VALUES.index(name))
    return (2 if name.endswith(("_se", "_error", "_images", "_spread")) else 1, 0)


@dataclass
class _Set:
    """What is shown at one time of a file: the mean of its draws, one of them, or a slice."""

    name: str
    surface: object
    fields: dict  # Field by name, rising coordinates


def _sets_of(file, with_slices):
    """The mean, then each draw; of a file without draws, if `with_slices`, the slices along an axis that is fixed."""
    if file.draws == 1:
        slices = file.slices(next(iter(file.fixed)), MOST_DRAWS) if file.fixed and with_slices else [file]
        return [_Set(each.slice, each, _fields_of(each)) for each in slices]
    found = [_Set("mean of all", file, _fields_of(file))]
    for number in range(1, min(file.draws, MOST_DRAWS) + 1):
        file.choose_draw(number)
        found.append(_Set(f"draw {number}", file, _fields_of(file)))
    file.choose_draw(None)
    return found


def _fields_of(file):
    return {name: _rising(file, file.field(name)) for name in file.names}


def _rising(file, field):
    across, up = (slice(None, None, -1 if each[0] > each[-1] else 1) for each in (file.x, file.y))
    return field.changed(lambda array: array[up, across])


def _first_field(files, names, options):
    if not names:
        raise PlotError(f"{files[0].path} and {files[1].path} have no value in common")
    if options.field:
        name = files[0].full_name(options.field)
        for file in files:
            file.field(name)  # says what there is where the name is wrong
        return name
    return next((name for name in (files[0].default_name(), *HISTORY_VALUES) if name in names), names[0])


def _explain_missing(files, shown, name):
    for file, fields in zip(files, shown):
        if fields[name].blank.all():
            raise NotYetError(f"{file.path} holds no evaluated point of {name}: nothing to draw")
    raise NotYetError(f"{files[0].path} holds no finite value of {name}: nothing to draw")


def _field_record(name, files, all_draws, look):
    """Label and scales of one value over all files and draws; None where it has no finite value."""
    values = np.concatenate([fields[name].values.ravel() for draws in all_draws for fields in draws if name in fields])
    if not np.isfinite(values).any():
        return None
    both = records.both_scales(values, name, look.log, (look.vmin, look.vmax))
    settings = files[0].settings
    return {
        "name": name, "short": wording.short_label(name, settings), "label": files[0].value_label(name),
        "percent": wording.is_percent(name), "chosen": both["chosen"],
        **{kind: both[kind] and records.scale_record(both[kind], 7, look.levels) for kind in ("linear", "log")},
    }


def _view(file, all_sets, first, name, kept, fields, options):
    x, y = np.sort(file.x), np.sort(file.y)
    sets = []
    for each in all_sets:
        primary = {n: f for n, f in each.fields.items() if n in kept or n.endswith(("_se", "_error", "_images"))}
        sets.append({
            "name": each.name, "shown": None if each.surface is file else _marks(each.surface, kept, options),
            "partial": points.mark(each.fields[file.default_name()]) if file.default_name() in each.fields else None,
            "fields": {n: records.field_values(file, field, fields) for n, field in primary.items()},
        })
    overlaid = overlay.Overlay(file, file.default_name(), options.look.projections)
    return {
        **_marks(file, kept, options), "name": name, "x": x.tolist(), "y": y.tolist(),
        "xlabel": marks.axis_label(file, 1), "ylabel": marks.axis_label(file, 2),
        "sets": sets,
        "titles": {record["name"]: options.title or wording.title(record["short"], file.settings)
                   for record in fields},
        "runs": [_run(run, kept) for run in overlaid.runs],
        "curves": [{"name": curve.name, "x": curve.x.tolist(), "y": curve.y.tolist()} for curve in overlaid.curves],
        "words": {record["name"]: _words(file, all_sets[first].fields[record["name"]], record, overlaid.runs)
                  for record in fields},
    }


def _marks(surface, kept, options):
    """What is said of a plane or slice, and what is marked in it."""
    overlaid = overlay.Overlay(surface, surface.default_name(), options.look.projections)
    notes = [] if surface.draws <= MOST_DRAWS else [f"the first {MOST_DRAWS} of {surface.draws} draws are here"]
    notes += overlaid.notes() + records.unequal(surface.x, surface.y)
    return {"caption": wording.subtitle(surface), "notes": notes, "points": _points(overlaid.points, kept),
            "centre": overlaid.holds_origin}


def _run(run, names):
    label = run.label + (f" ({run.optimizer})" if run.optimizer and run.optimizer.lower() not in run.label.lower() else "")
    known = np.isfinite(run.epoch).all() and (np.diff(run.epoch) > 0).all()
    return {
        "label": label, "x": run.x.tolist(), "y": run.y.tolist(),
        "epoch": run.epoch.tolist() if known else list(range(len(run.x))),
        "steps": run.unit if known else "checkpoint",
        "distance": records.as_list(run.distance), "length": records.as_list(run.length),
        "values": _columns(run.own, names), "plane": _columns(run.in_plane, names),
    }


def _points(found, names):
    if found is None or not np.isfinite(found.y).all():
        return None
    return {"name": list(found.names), "x": found.x.tolist(), "y": found.y.tolist(), "distance": records.as_list(found.distance),
            "values": _columns(found.own, names)}


def _columns(column, names):
    columns = {name: column(name) for name in names}
    return {name: records.as_list(values) for name, values in columns.items() if np.isfinite(values).any()}


def _words(file, field, record, runs):
    """The surface in sentences, for those who do not see it."""
    x, y = np.sort(file.x), np.sort(file.y)
    number, where = records.number, f" in the slice at {file.slice}" if file.slice else ""
    texts = [f"{wording.capital(record['short'])} on a grid of {wording.grouped(len(x))} by {wording.grouped(len(y))} points{where}:"
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
    for run in runs:
        texts.append(f"The trajectory {run.label} has {wording.points(len(run.x))}, from ({number(run.x[0])},"
                     f" {number(run.y[0])}) to ({number(run.x[-1])}, {number(run.y[-1])}).")
    texts += [f"{wording.capital(note)}." for note in points.notes(field, "interpolated")]
    facts = summary.facts(file.summary)
    return texts + ([f"The file's own numbers, of the {_own(file)}: {'; '.join(facts)}."] if facts else [])


def _own(file):
    """The value that the numbers of a file are of, whatever is shown."""
    return wording.short_label(file.default_name(), file.settings)


# --- lines, curves and histories -------------------------------------------------------------------


def _curves(files, options, names):
    """Charts over one coordinate: one of losses, one of accuracies, one of any other value."""
    if options.kind in PLANE_KINDS:
        raise PlotError(f"{files[0].path} holds no plane to draw as {options.kind}: leave --kind out")
    chart, title, facts, mark = _chart(files, [options.field] if options.field else None, names)
    groups = {}
    for series in chart.series:
        if np.isfinite(series.values).any():
            groups.setdefault(series.name.rpartition("_")[2], []).append(series)
    if not groups:
        raise NotYetError(f"{chart.file.path} has no evaluated point with a finite value: nothing to draw")
    looks = _looks(chart, files, names)
    panels = [_panel(group, chart, files, options, looks, what == "loss" or len(groups) == 1)
              for what, group in groups.items()]
    every = np.concatenate([series.x for series in chart.series])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    words = [text for panel in panels for each in panel["series"] for text in _curve_words(each, chart.axis_label)]
    for file in files:
        numbers = [] if file.sort == HISTORY else summary.facts(file.summary)
        if numbers:
            of = "" if file.sort == CURVE else f", of the {_own(file)}"  # those of a curve name theirs
            words.append(f"The numbers of {os.path.basename(file.path)}{of}: {'; '.join(numbers)}.")
    return {
        "kind": "curves", **records.common(files, options), "title": options.title or title, "caption": wording.joined(facts),
        "partial": mark, "x": [low, high if high > low else low + 1.0], "xlabel": chart.axis_label,
        "panels": panels, "notes": chart.notes, "words": words,
        "marks": [{"x": float(at), "text": name} for at, name in chart.marks],
    }


def _chart(files, fields, names):
    """(the chart of the files, its title, the facts they have in common, what marks it as partial)."""
    several = len(files) > 1
    settings = [file.settings for file in files]
    if files[0].sort == HISTORY:
        chart = charts.of_histories(files, fields, names)
        return chart, wording.title("training", *settings), *_shared(files, names, chart, charts.history_facts), None
    if files[0].sort == CURVE:
        chart, field = charts.of_curves(files, fields, names)
        title = f"{wording.title('loss and error', *settings)} along a curve"
    else:
        along = 0 if files[0].y is None else 1 if files[0].shape[0] == 1 else 2
        chart, field = charts.of_lines(files, fields, along, names)
        one = len({series.name for series in chart.series}) == 1
        what = wording.short_label(field.name, settings[0]) if one else "loss"
        title = f"{wording.title(what, *settings)} along {'lines' if several else 'a line'}"
    return chart, title, *_shared(files, names, chart, wording.facts), points.mark(field)


def _shared(files, names, chart, facts_of):
    """[the facts that all files have]; what only some have becomes notes of the chart."""
    common, rest = wording.apart([facts_of(file) for file in files])
    if len(files) > 1:
        chart.notes += [f"{name}: {', '.join(facts)}" for name, facts in zip(names, rest) if facts]
    return [common]


def _looks(chart, files, names):
    """{id of a series: (what it is called, the colour and the dashes it has in the page)}."""
    looks, number, known = {}, 0, [style.series(n)["color"] for n in range(len(style.SERIES))]
    for series in chart.series:  # file by file: where the colours begin again, dashes tell them apart
        if series.color in known:
            number += (known.index(series.color) - number) % len(known) if len(files) > 1 else 0
        looks[id(series)] = _look(series, chart, files, names, number)
    return looks


def _look(series, chart, files, names, number):
    label, (split, _, _) = wording.short_label(series.name), series.name.partition("_")
    test, turn = series.dashes != (None, None), number // len(records.SERIES)
    dash = test if turn == 0 else records.dash(2 * turn + test)
    called = f"{names[number]}: " if len(files) > 1 else ""
    if files[0].sort == CURVE:
        straight = _is_straight(series, chart, len(files))
        label += " on the straight line" if straight else " on the curve"
        if straight:
            return called + label, "quiet", dash
    if len(files) > 1:
        return called + label, records.series_color(number), dash
    return label, split if split in ("train", "test") else records.series_color(0), dash


def _is_straight(series, chart, count):
    if count > 1:
        return series.color not in (each["color"] for each in map(style.series, range(count)))
    first = next(each for each in chart.series if each.name == series.name and np.array_equal(each.x, series.x))
    return series is not first


def _panel(group, chart, files, options, looks, asked):
    """One chart. `asked`: --log and the limits are about it."""
    name, settings = group[0].name, files[0].settings
    kind, percent = name.rpartition("_")[2], wording.is_percent(name)
    limits = (options.look.vmin, options.look.vmax) if asked else (None, None)
    spots = [spot for spot in chart.spots if any(series.name == spot[0] for series in group)]
    values = np.concatenate([series.reach for series in group] + [own for _, _, own, _ in spots])
    both = records.both_scales(values, name, options.look.log if asked and not percent else None, limits)
    if percent:
        both["log"] = None
    several = len({series.name for series in group}) > 1
    short = {"loss": "loss", "acc": "accuracy", "err": "error"}.get(kind, kind) if several else wording.short_label(name)
    label = {"loss": "loss" + wording.loss_unit(settings), "acc": "accuracy (%)", "err": "error (%)"}.get(kind, kind) \
        if several else files[0].value_label(name)
    drawn = []
    for series in group:
        text, color, dash = looks[id(series)]
        look = {"color": color, "dash": dash, "x": series.x.tolist()}
        if series.fan is not None:
            drawn += [{**look, "label": "", "faint": True, "y": records.as_list(line)} for line in series.fan[:200]]
        drawn.append({**look, "label": text, "faint": False, "y": records.as_list(series.values),
                      "se": _standard_errors(series, files),
                      "band": None if series.fan is None else [records.as_list(end) for end in series.band]})
    return {"label": label, "short": short, "percent": percent, "chosen": both["chosen"] and both["log"] is not None,
            **{which: both[which] and records.scale_record(both[which], 6, None) for which in ("linear", "log")},
            "bad": [list(stretch) for stretch in chart.bad], "series": drawn,
            "spots": [_spot(spot, next(series for series in group if series.name == spot[0]), looks) for spot in spots]}


def _spot(spot, series, looks):
    """The checkpoints' own values of one series."""
    return {"x": spot[1].tolist(), "y": records.as_list(spot[2]), "color": looks[id(series)][1]}


def _standard_errors(series, files):
    name = f"{series.name}_se"
    if len(files) > 1 or files[0].sort == HISTORY or name not in files[0].names:
        return None
    values = files[0].field(name).squeeze().values
    x = files[0].x if len(files[0].x) == len(values) else files[0].y
    return records.as_list(values[np.argsort(x)], 0.0) if len(values) == len(series.x) else None


def _curve_words(series, xlabel):
    x, y = series["x"], np.array([math.nan if value is None else value for value in series["y"]])
    if not series["label"] or not np.isfinite(y).any():
        return []
    low, high = np.nanargmin(y), np.nanargmax(y)
    number = records.number
    return [f"{wording.capital(series['label'])} over {xlabel} from {number(x[0])} to {number(x[-1])}: lowest"
            f" {number(float(y[low]))} at {number(x[low])}, highest {number(float(y[high]))} at {number(x[high])}."]
