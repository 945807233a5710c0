"""The figures of planes: one, the draws or the slices of one file, several files."""

from copy import copy

import numpy as np

from . import heads, multiples, planes, points, relief, trajectories, wording
from .errors import NotYetError, PlotError, WordsError
from .surfaces import coordinates_text

MOST_SLICES = 9  # side by side


def draw(kind, files, options):
    """One plane, or several side by side on one scale."""
    if len(files) > 1:
        return _several(kind, files, options)
    file, look = files[0], options.look
    name = file.full_name(options.field or file.default_name())
    field = file.field(name)
    _require_points(file, field)
    scale = look.scale(field.values, name)
    label = file.value_label(name)
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    head = heads.of_surfaces([file], options, title, points.mark(field), name.endswith("_spread"), name)
    if kind == "surface":
        return relief.draw(relief.Relief(file, field, scale, look), head, label)
    if kind == "trajectory" and options.axes is None:  # which hold the plane alone, without the panels beside it
        return trajectories.draw(planes.Plane("contourf", file, field, scale, look), head, label)
    flat = "contourf" if kind == "trajectory" else kind
    return planes.draw(planes.Plane(flat, file, field, scale, look), head, label)


def draw_repeats(_, files, options):
    """The planes of all draws side by side, on one scale."""
    file = files[0]
    fields = []
    for number in range(1, min(file.draws, multiples.MOST) + 1):
        file.choose_draw(number)
        fields.append(file.field(file.full_name(options.field or file.default_name())))
    file.choose_draw(None)
    entries = [multiples.Entry(file, field, scale, _panel_name(f"draw {number}", field))
               for number, (field, scale) in enumerate(zip(fields, _scales([file] * len(fields), fields, options)), 1)]
    name = fields[0].name
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    done, total = file.progress()
    mark = wording.partial(done, total) if done < total else None
    head = heads.of_surfaces([file], options, f"{title}: {file.draws} draws of directions", mark, True, name)
    notes = [f"the first {len(entries)} of {file.draws} draws are shown"] * (len(entries) < file.draws)
    return multiples.draw("contourf", entries, head, file.value_label(name), options.look, notes)


def draw_slices(_, files, options):
    """Slices along a third axis side by side, on one scale."""
    file = files[0]
    third = file.others[0]
    slices = file.slices(third, MOST_SLICES)
    name = file.full_name(options.field or file.default_name())
    fields = [each.field(name) for each in slices]
    entries = [multiples.Entry(each, field, scale, _panel_name(coordinates_text({third: each.fixed[third]}), field))
               for each, field, scale in zip(slices, fields, _scales(slices, fields, options))]
    done, total = file.progress()
    mark = wording.partial(done, total) if done < total else None
    title = wording.title(wording.short_label(name, file.settings), file.settings)
    whole = copy(file)
    whole.fixed = {each: value for each, value in file.fixed.items() if each != third}
    head = heads.of_surfaces([whole], options, f"{title}: slices along {third}", mark, name=name)
    count = next(len(axis.values) for axis in file.axes if axis.name == third)
    notes = [f"{len(entries)} of the {count} slices are shown"] * (len(entries) < count)
    return multiples.draw("contourf", entries, head, file.value_label(name), options.look, notes)


def _panel_name(name, field):
    missing = int(field.missing.sum())
    size = field.blank.size
    done = f" · {wording.grouped(size - missing)} of {wording.points(size)}" if missing else ""
    return f"{name}{done}"


def _several(kind, files, options):
    if len(files) > multiples.MOST:
        raise WordsError(f"{len(files)} files are too many for one figure: at most {multiples.MOST}")
    fields = []
    for file in files:
        field = file.field(file.full_name(options.field or file.default_name()))
        _require_points(file, field)
        fields.append(field)
    drawn_on = _scales(files, fields, options)
    name = fields[0].name
    if len({field.name for field in fields}) > 1:
        raise PlotError(f"{files[0].path} holds {name} and another file only"
                        f" {next(f.name for f in fields if f.name != name)}: choose with --field")
    all_facts = [wording.facts(file, name=name) for file in files]
    names = heads.file_names(files, options)
    _, rest = wording.apart(all_facts)
    entries = [multiples.Entry(file, field, scale, called, wording.joined(facts))
               for file, field, scale, called, facts in zip(files, fields, drawn_on, names, rest)]
    label = files[0].value_label(name)
    title = wording.title(wording.short_label(name, files[0].settings), *(file.settings for file in files))
    partial = [called for called, field in zip(names, fields) if field.missing.any()]
    mark = f"PARTIAL: not all points of {', '.join(partial)} are evaluated" if partial else None
    head = heads.of_surfaces(files, options, title, mark, name=name)
    if kind == "surface":
        return relief.draw_several(entries, head, label, options.look)
    return multiples.draw(kind, entries, head, label, options.look)


def _scales(files, fields, options):
    """The scale of each field: one for all, or with --scale each its own."""
    values = [field.values.ravel() for field in fields]
    for file, field in zip(files, fields):
        if options.scale == "each" and not field.blank.all():
            _require_points(file, field)
    every = np.concatenate(values)
    if not np.isfinite(every).any():
        _require_points(files[0], fields[0])
    if options.scale != "each":
        return [options.look.scale(every, fields[0].name)] * len(fields)
    return [options.look.scale(own if np.isfinite(own).any() else every, field.name)
            for own, field in zip(values, fields)]


def _require_points(file, field):
    if field.blank.all():
        raise NotYetError(f"{file.path} holds no evaluated point of {field.name}: nothing to draw")
    if not np.isfinite(field.values).any():
        raise NotYetError(f"{file.path} holds no finite value of {field.name}: nothing to draw")
