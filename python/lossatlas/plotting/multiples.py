"""Several planes side by side: the draws of directions of one file, its slices, or several files."""

import math
from dataclasses import dataclass

import numpy as np

from . import marks, overlay, planes, points, style, trajectories
from .contour_labels import label_lines
from .errors import WordsError
from .fields import together
from .scales import number

MOST = 36  # panels shown
WIDTH, TALLEST = 6.4, 7.5  # inches: of all panels together
LARGEST = 2.9  # inches: the longer side of a panel
SMALLEST = 0.15  # inches: the shorter side of a panel
BESIDES, ROOMY = 1.6, 1.0  # inches: about the room beside the panels, and the width below which fewer stand in a row
ACROSS, ABOVE = 0.12, 0.09  # inches: between two panels, and above each besides its name and facts
LINE = 0.13  # inches: a line of a panel's name or facts
BELOW, BESIDE = 0.42, 0.42  # inches: for labels of a panel's own
BAR = 0.5  # inches: a colour bar of a panel's own, with its numbers
LITTLE = 0.03  # of a scale: what a panel may take of it before a note says so


@dataclass
class Entry:
    """What one panel shows, and the name and facts that stand above it."""

    surface: object
    field: object
    scale: object
    name: str
    facts: str = ""


def draw(kind, entries, head, label, look, notes=()):
    """A figure of one panel an entry. `notes` are of all."""
    panels = [_Panel(kind, entry, look) for entry in entries]
    scales = [entry.scale for entry in entries]
    shared = is_shared(entries)
    labels = _labels(panels)
    own = len(labels) > 1
    columns, rows = layout(len(panels))
    zoom = style.ZOOM
    if head.size and not head.size[1]:
        least = 1 if len(panels) <= 3 else 2
        while columns > least and (head.size[0] - BESIDES * zoom) / columns < ROOMY * zoom:
            columns -= 1
        rows = math.ceil(len(panels) / columns)
    across, up = (ACROSS + own * BESIDE + (not shared) * BAR) * zoom, own * BELOW * zoom
    each, equal = _panel_size(panels, columns, rows, across, up)
    lines = [name_lines(panel.entry, each[0]) for panel in panels]
    above = (ABOVE + LINE * max(len(name) + len(facts) for name, facts in lines)) * zoom
    body = (columns * each[0] + (columns - 1) * across, rows * (each[1] + above) + (rows - 1) * up)
    notes = [*notes, *_notes(panels, equal), *style.notes_on(look.cmap)]
    grown = 1.0 if head.size is None else max(0.0, (head.size[0] - BESIDES * zoom) / body[0])
    seen = (grown * body[0], grown * body[1])  # about what is left of it on a page of the user's width
    wide = max(planes.y_extra(panel.y) for panel in panels), max(map(planes.bar_extra, scales))
    page = style.Page(head, notes, planes.margins(seen, label, *(("", "") if own else labels[0]), *wide), body)
    each = _shrunk(each, columns, rows, page, across, above, up)
    lines = [name_lines(panel.entry, each[0]) for panel in panels]
    cmap = style.color_map(look.cmap)
    mappable = None
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        place = (column * (each[0] + across), (rows - 1 - row) * (each[1] + above + up))
        axes = page.add_axes(page.rectangle(*place, *each))
        painted = panel.paint(axes, cmap)
        mappable = painted or mappable
        if not shared and painted:
            last = column == columns - 1 or number == len(panels) - 1
            page.color_bar(painted, panel.scale, label if last else "", at=place[0] + each[0], gap=0.06,
                           bounds=(place[1], each[1]), **planes.bar_ends(panel.kind, panel.scale))
        write_name(page, place[0], place[1] + each[1], lines[number])
        if own:
            _own_labels(axes, panel, each)
        else:
            axes.tick_params(labelleft=column == 0, labelbottom=number + columns >= len(panels))
    if not own:
        _axis_labels(page, labels[0])
    if shared:
        page.color_bar(mappable, scales[0], label, **planes.bar_ends(panels[0].kind, scales[0]))
    return page.figure


def is_shared(entries):
    return all(entry.scale is entries[0].scale for entry in entries)


def scale_notes(entries):
    """Whether the panels share a scale, and which of them it shows little of."""
    if not is_shared(entries):
        return ["each panel has a scale of its own",
                *(f"{entry.name}: {note}" for entry in entries for note in entry.scale.notes)]
    scale = entries[0].scale
    notes = ["one scale for all panels", *scale.notes]
    low, high = scale.span
    for entry in entries:
        drawn = scale.held(entry.field.values)
        share = (np.nanmax(drawn) - np.nanmin(drawn)) / (high - low) if np.isfinite(drawn).any() else 1.0
        if share <= LITTLE and not scale.constant:
            notes.append(f"{entry.name} takes {number(float(f'{100 * share:.1g}'))} % of the scale:"
                         " --scale each gives every panel its own")
    return notes


def layout(count):
    """(columns, rows): up to three in a row, then a square."""
    columns = count if count <= 3 else math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def _labels(panels):
    """The (x, y) axis labels of the panels, each pair once."""
    return list(dict.fromkeys(tuple(marks.axis_label(panel.entry.surface, n) for n in (1, 2))
                              for panel in panels))


def _panel_size(panels, columns, rows, across, up):
    """((width, height) of a panel in inches, whether both axes have the same scale)."""
    sizes = [planes.body_of(panel.x, panel.y, panel.look.aspect) for panel in panels]
    (width, height), equal = sizes[0][0], all(equal for _, equal in sizes)
    wide = (WIDTH - (columns - 1) * across) / columns
    tall = (TALLEST - (rows - 1) * up) / rows - 0.3 * style.ZOOM
    shrink = min(wide / width, tall / height, LARGEST / max(width, height))
    return (width * shrink, height * shrink), equal


def _shrunk(each, columns, rows, page, across, above, up):
    """The size of a panel where the user's page is smaller: the room between panels stays."""
    wide = (page.body[0] - (columns - 1) * across) / (columns * each[0])
    tall = (page.body[1] - rows * above - (rows - 1) * up) / (rows * each[1])
    shrink = min(wide, tall)
    if shrink * min(each) < SMALLEST:
        raise WordsError(f"{page.size[0]:.3g} x {page.size[1]:.3g} inches leave no room for"
                         f" {columns} x {rows} panels")
    return each[0] * shrink, each[1] * shrink


class _Panel:
    def __init__(self, kind, entry, look):
        self.entry, self.scale, self.look = entry, entry.scale, look
        self.missing = int(entry.field.missing.sum())
        self.x, self.y, field = planes.ascending(entry.surface.x, entry.surface.y, entry.field)
        self.kind, self.field, _ = planes.filled(kind, entry.surface, field, self.scale)
        self.has_values = bool((np.isfinite(self.field.values) | self.field.nonfinite).any())
        self.fallen = self.kind == "heat" and kind != "heat" and self.has_values
        self.overlay = overlay.Overlay(entry.surface, field.name, look.projections)

    def paint(self, axes, cmap):
        """Draws the values; what a colour bar is made from, or None where there are none."""
        planes.frame(axes, self.x, self.y, self.kind, 3)
        axes.tick_params(labelsize=style.NOTE, length=2.2 * style.ZOOM, pad=2.0 * style.ZOOM)
        across = axes.get_xticklabels()
        for label, side in zip((across[0], across[-1]), ("left", "right")):
            label.set_horizontalalignment(side)  # else it would touch that of the next panel
        if not self.has_values:
            return None
        mappable = planes.paint(axes, self.kind, self.x, self.y, self.field, self.scale, cmap, self.look)
        if self.overlay.marks_center:
            style.mark_center(axes, self.x, self.y)
        taken = self.overlay.draw(axes, planes.own_colors(self.overlay, self.field.name, self.scale, cmap))
        label_lines(axes, self.scale, taken)
        return mappable


def name_lines(entry, width):
    """(lines of the name, lines of the facts) above a panel of that width."""
    name, facts = entry.name, entry.facts
    return (style.wrapped(name, width, style.TICK, "bold" if facts else "normal"),
            style.wrapped(facts, width, style.NOTE))


def write_name(page, left, top, lines):
    """Name and facts above a panel, whose upper left corner is at (left, top) inches of the body."""
    zoom = style.ZOOM
    x, y, _, _ = page.rectangle(left, top)
    names, facts = lines
    row = len(names) + len(facts)
    for line, size, color, weight in (
            [(line, style.TICK, style.INK, "bold" if facts else "normal") for line in names]
            + [(line, style.NOTE, style.GREY, "normal") for line in facts]):
        row -= 1
        page.figure.text(x, y + (0.045 + LINE * row) * zoom / page.size[1], line, fontsize=size, color=color,
                         fontweight=weight, ha="left", va="baseline", parse_math=False)


def _notes(panels, equal):
    """The notes on all panels taken together."""
    notes = scale_notes([panel.entry for panel in panels])
    drawn = [note for panel in panels for note in planes.drawn_notes(panel.entry.surface, panel.look)]
    notes += list(dict.fromkeys(drawn))
    kinds = {panel.kind for panel in panels if panel.field.guessed.any()}
    guesses = planes.GUESSES[kinds == {"heat"}]
    if len({panel.entry.surface.path for panel in panels}) == 1:  # draws or slices of one file
        notes += points.notes(together([panel.field for panel in panels]), guesses)
        notes += dict.fromkeys(note for panel in panels for note in panel.overlay.notes(with_absent=False))
        absent = panels[0].overlay.absent
        notes += overlay.absent_note([text for text in absent if all(text in panel.overlay.absent for panel in panels)])
    else:
        for panel in panels:
            notes += file_notes(panel.entry, points.notes(panel.field, guesses) + panel.overlay.notes(), panel.overlay)
    if any(panel.fallen for panel in panels):
        notes.append("panels with too few neighbouring points for contours are drawn as cells")
    return notes + ([] if equal else ["the axes are not to the same scale"])


def file_notes(entry, notes, marked):
    """The `notes` on one of several files, and how far what is `marked` (Overlay) differs from its plane."""
    return [f"{entry.name}: {note}" for note in notes + trajectories.differences(marked.runs, entry.field.name)]


def _own_labels(axes, panel, each):
    for number, write in ((1, axes.set_xlabel), (2, axes.set_ylabel)):
        label = style.broken(marks.axis_label(panel.entry.surface, number), each[number - 1], style.NOTE)
        write(label, labelpad=2 * style.ZOOM,
              fontsize=style.fitting(label, 1.1 * each[number - 1], style.NOTE))


def _axis_labels(page, labels):
    left, bottom, width, height = page.rectangle()
    x, y = (style.broken(label, 1.1 * side) for label, side in zip(labels, page.body))
    zoom = style.ZOOM
    sizes = [style.fitting(label, 1.15 * side) for label, side in zip((x, y), page.body)]
    page.figure.text(left + width / 2, bottom - 0.24 * zoom / page.size[1], x, fontsize=sizes[0],
                     ha="center", va="top")
    page.figure.text(left - 0.40 * zoom / page.size[0], bottom + height / 2, y, fontsize=sizes[1],
                     ha="right", va="center", rotation="vertical")
