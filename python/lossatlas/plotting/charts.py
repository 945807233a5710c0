"""The charts of lines, curves and histories: which curves, their looks, keys and notes."""

import math

import numpy as np

from matplotlib.colors import to_hex, to_rgb

from . import curves, heads, marks, points, scales, style, wording
from .curves import Chart, Key, Series
from .errors import NotYetError, PlotError
from .histories import HISTORY_VALUES

TEST = (4, 1.6)  # dashes


def _dashes(name):
    return TEST if name.startswith("test") else (None, None)


def of_lines(files, names, along=0, labels=None, notes=()):
    """Losses and accuracies along one or several lines. `along` is the axis of a plane of one row
    (1) or column (2), 0 of a line; `labels` names the files, where there are several."""
    series, fields, bad = [], [[] for _ in files], []
    for number, file in enumerate(files):
        x = file.y if along == 2 else file.x
        order = np.argsort(x)
        for name in names or default_names(file):
            field = file.field(file.full_name(name)).squeeze().changed(lambda array: array[order])
            color = _color(field.name, number, len(files), file.draws, names)
            fan = _fan(file, field.name, order)
            series.append(Series(field.name, x[order], field.values, color, _dashes(field.name),
                                 _marker(number, len(files)), fan))
            fields[number].append(field)
            bad += _stretches(x[order], field.nonfinite)
    if all(field.blank.all() for each in fields for field in each):
        raise NotYetError(f"{files[0].path} holds no evaluated point: nothing to draw")
    file = files[0]
    fan = next((each.fan for each in series if each.fan is not None), None)
    if fan is not None:
        notes = [*notes, f"thin: {len(fan)} lines, each along a direction of its own; thick: their mean;"
                         " band: the middle two thirds of them"]
    notes = [*notes, *dict.fromkeys(each.cropped for each in files if each.cropped)]
    found = marks.points(file) if len(files) == 1 else None
    kinds = {marks.axis_label(each, along) for each in files}
    label = _line_label(file, along, found) if len(kinds) == 1 else "multiples of the direction"
    chart = Chart(file, label, series,
                  notes=[*notes, *_field_notes(fields, labels)], bad=sorted(set(bad)),
                  marks=[] if found is None else list(zip(found.x, found.names)),
                  twin=len(files) == 1 and file.draws == 1 and not names)
    chart.keys = _keys(series, labels if len(files) > 1 else None, chart.twin)
    if found is not None:
        chart.notes += _interpolation(file)
        chart.spots = _own(found, series)
        with_what = ", with the statistics they came with" if file.settings.get("bn") == "recalibrate" else ""
        chart.notes += [f"circles: the checkpoints’ own{with_what}"] * bool(chart.spots)
    return chart, fields[0][0]


def _field_notes(fields, labels):
    """The notes on the fields of each file, with its label where there are several."""
    notes = [curves.field_notes(own) for own in fields]
    return notes[0] if len(notes) == 1 else [f"{label}: {note}" for label, own in zip(labels, notes) for note in own]


def _stretches(x, which):
    """(from, to) of every run of the points `which`, up to halfway to the points beside it."""
    edges = np.concatenate([x[:1], 0.5 * (x[1:] + x[:-1]), x[-1:]])
    ends = np.flatnonzero(np.diff(np.concatenate([[0], which.astype(int), [0]])))
    return [(float(edges[start]), float(edges[stop])) for start, stop in zip(ends[::2], ends[1::2])]


def _own(found, series):
    """The checkpoints' own values, where they lie in the range that is drawn."""
    low, high = min(each.x[0] for each in series), max(each.x[-1] for each in series)
    inside = (found.x >= low) & (found.x <= high)
    spots = [(each.name, found.x[inside], found.own(each.name)[inside], each.color) for each in series]
    return [spot for spot in spots if np.isfinite(spot[2]).any()]


def _interpolation(file):
    """'barrier of training loss: 1.2'"""
    way = file.summary.get("interpolation")
    found = [(name, _barrier(way, name)) for name in ("train_loss", "test_err")]
    return [f"barrier of {wording.short_label(name)}: {_with_unit(rise, name)}"
            for name, rise in found if rise is not None]


def _with_unit(rise, name):
    return scales.number(rise) + (" percentage points" if name.endswith("err") else "")


def default_names(file):
    return ([name for name in HISTORY_VALUES if name in file.names] or [file.default_name()])


def _marker(number, files):
    return style.series(number)["marker"] if files > 1 else None


def _color(name, number, files, draws, names):
    if files > 1:
        return style.series(number)["color"]
    split, _, what = name.partition("_")
    if draws == 1 and not names and what in ("loss", "acc"):
        return style.LOSS if what == "loss" else style.ACCURACY
    return style.TRAIN_TEST.get(split, style.INK)


def _fan(file, name, order):
    if file.draws == 1 or file.draw is not None or file.DRAWS != "lines":
        return None
    lines = []
    for number in range(1, file.draws + 1):
        file.choose_draw(number)
        lines.append(file.field(name).values[order] if name in file.names else None)
    file.choose_draw(None)
    return None if any(line is None for line in lines) else np.stack(lines)


def _line_label(file, along, found):
    ends = _ends(found)
    return f"position between {ends[0]} (0) and {ends[1]} (1)" if ends else marks.axis_label(file, along)


def _ends(found):
    """The names of the checkpoints at coordinates 0 and 1, or None."""
    names = [] if found is None else [
        next((name for x, name in zip(found.x, found.names) if math.isclose(x, at, abs_tol=1e-9)), "")
        for at in (0.0, 1.0)]
    return names if names and all(names) else None


def _keys(series, labels, twin):
    """Which colour is which file, and that test values are dashed."""
    splits = {each.name.partition("_")[0] for each in series}
    both = {"train", "test"} <= splits
    if labels:
        looks = map(style.series, range(len(labels)))
        keys = [Key(label, look["color"], marker=look["marker"]) for label, look in zip(labels, looks)]
        return keys + ([Key("training", style.GREY), Key("test", style.GREY, TEST)] if both else [])
    if not both:
        return []
    if twin:
        return [Key("training", style.INK), Key("test", style.INK, TEST)]
    color = {each.name.partition("_")[0]: each.color for each in reversed(series)}
    return [Key("training", color["train"]), Key("test", color["test"], TEST)]


def of_curves(files, names, labels=None):
    """Losses and errors along curves between checkpoints, each beside the straight line."""
    series, fields, notes, bad = [], [[] for _ in files], [], []
    for number, file in enumerate(files):
        for name in names or _curve_names(file):
            field = file.field(name)
            color = style.series(number)["color"] if len(files) > 1 else style.LOSS
            marker = _marker(number, len(files))
            series.append(Series(name, file.x, field.values, color, _dashes(name), marker))
            linear = file.linear(name)
            if linear is not None:
                series.append(Series(name, file.x, linear, _paler(number, len(files)), _dashes(name), marker))
            fields[number].append(field)
            bad += _stretches(file.x, field.nonfinite)
        notes += _barriers(file, labels[number] if len(files) > 1 else "")
    ends = _ends(marks.points(files[0])) if len(files) == 1 else None
    way = f", from {ends[0]} (0) to {ends[1]} (1)" if ends else " between the two networks"
    chart = Chart(files[0], f"position t{way}",
                  series, notes=[*notes, *_field_notes(fields, labels)], bad=sorted(set(bad)), centre=False)
    looks = map(style.series, range(len(files) if len(files) > 1 else 0))
    chart.keys = [Key(label, look["color"], marker=look["marker"]) for label, look in zip(labels or (), looks)]
    one = len(files) == 1
    chart.keys += [Key("curve", style.LOSS if one else style.INK),
                   Key("straight line" if one else "straight line (paler)", style.GREY)]
    if {"train", "test"} <= {each.name.partition("_")[0] for each in series}:
        chart.keys += [Key("training", style.INK), Key("test", style.INK, TEST)]
    return chart, fields[0][0]


def _curve_names(file):
    wanted = [f"{split}_{what}" for what in ("loss", "err") for split in ("train", "test")]
    return [name for name in wanted if name in file.names or f"{name[:-3]}acc" in file.names
            and name.endswith("err")] or default_names(file)


def _paler(number, count):
    """The colour of the straight line beside the curve of that number."""
    if count == 1:
        return style.GREY
    return to_hex(0.5 * np.array(to_rgb(style.series(number)["color"])) + 0.5 * np.array(to_rgb(style.PAPER)))


def _barriers(file, label):
    """'training loss rises by 0.1 on the curve, by 2.3 on the straight line'"""
    notes = []
    summary = file.summary
    for name in ("train_loss", "test_err"):
        rises = [_barrier(summary.get(way), name) for way in ("curve", "linear")]
        if None not in rises:
            curve, line = (_with_unit(rise, name) for rise in rises)
            notes.append(f"{label}{': ' if label else ''}barrier of {wording.short_label(name)}:"
                         f" {curve} on the curve, {line} on the straight line")
    return notes


def _barrier(way, name):
    value = (way or {}).get(name) if isinstance(way, dict) else None
    value = value.get("barrier") if isinstance(value, dict) else None
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def of_histories(files, names, labels=None):
    """Losses above, accuracies below, over the epochs or steps; epoch 0 is before training."""
    series = []
    for number, file in enumerate(files):
        known = [name for name in file.names if np.isfinite(file.values(name)).any()]
        for name in names or known or file.names:
            color = (style.series(number)["color"] if len(files) > 1
                     else style.TRAIN_TEST.get(name.partition("_")[0], style.INK))
            series.append(Series(name, file.epoch, file.values(name), color, _dashes(name),
                                 _marker(number, len(files))))
    if len({file.unit for file in files}) > 1:
        raise PlotError(f"{files[0].path} counts {files[0].unit}s, another file does not: draw them apart")
    chart = Chart(files[0], files[0].unit, series, centre=False)
    chart.keys = _keys(series, labels if len(files) > 1 else None, False)
    return chart


def _schedule_facts(settings):
    """How the learning rate changes in a run of these settings."""
    facts = []
    if settings.get("lr_schedule") == "cosine":
        facts.append(f"cosine over {wording.counted(settings.get('lr_epochs', 0), 'epoch')}")
    elif steps := settings.get("lr_steps"):
        facts.append(f"× {settings.get('lr_factor', 0):g} after epoch{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}")
    if warmup := settings.get("warmup"):
        facts.append(f"warm-up of {warmup:g} epoch{'s' * (warmup != 1)}")
    return facts


def history_facts(file):
    """The run's facts, and where it ended."""
    settings, facts = file.settings, []
    for key, form in (("optimizer", "{}"), ("lr", "learning rate {}"), ("batch_size", "batch {}"),
                      ("weight_decay", "weight decay {}"), ("seed", "seed {}")):
        value = settings.get(key)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            facts.append(form.format(wording.OPTIMIZERS.get(value, value)))
        if key == "lr":
            facts += _schedule_facts(settings)
    facts.append(wording.counted(file.done, file.unit))
    if "test_acc" in file.names:
        accuracy = file.values("test_acc")
        if np.isfinite(accuracy[-1]):
            facts.append(f"final test accuracy {accuracy[-1]:.2f} %")
    return facts


# --- figures ---------------------------------------------------------------------------------------


def _fields(options):
    return [options.field] if options.field else None


def draw_histories(_, files, options):
    names, facts = heads.names_and_notes(files, options, [history_facts(file) for file in files])
    chart = of_histories(files, _fields(options), names)
    chart.notes += facts
    title = wording.title("training", *(file.settings for file in files))
    head = heads.head(options, title, wording.joined(heads.common(files, history_facts)))
    return curves.draw(chart, head, options.look, pad=0.015)


def draw_curves(_, files, options):
    names, facts = heads.names_and_notes(files, options, [wording.facts(file) for file in files])
    chart, field = of_curves(files, _fields(options), names)
    chart.notes += facts
    title = wording.title("loss and error", *(file.settings for file in files))
    head = heads.of_surfaces(files, options, f"{title} along a curve", points.mark(field))
    return curves.draw(chart, head, options.look)


def draw_lines(_, files, options):
    names, facts = heads.names_and_notes(files, options, [wording.facts(file) for file in files])
    along, notes = 0, []
    if files[0].y is not None:
        along = 1 if files[0].shape[0] == 1 else 2
        notes = [f"the plane has one {'row' if along == 1 else 'column'} of points: drawn as a line"]
    chart, field = of_lines(files, _fields(options), along, names, notes)
    chart.notes += facts
    one = len({each.name for each in chart.series}) == 1
    what = wording.short_label(field.name, files[0].settings) if one else "loss"
    title = wording.title(what, *(file.settings for file in files))
    head = heads.of_surfaces(files, options, f"{title} along {'lines' if len(files) > 1 else 'a line'}",
                             points.mark(field), shown={each.name for each in chart.series})
    return curves.draw(chart, head, options.look)
