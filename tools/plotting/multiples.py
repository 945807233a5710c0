"""The planes of all draws of directions side by side, on one scale."""

import math

import numpy as np

from . import planes, points, style, wording
from .errors import WordsError
from .reading import together

MOST = 36  # draws shown
WIDTH, TALLEST = 6.0, 7.5  # inches: of all panels together
SMALLEST = 0.15  # inches: the shorter side of a panel
ACROSS, ABOVE = 0.12, 0.22  # inches: between two panels, and above each for its name


def draw(surface, fields, scale, head, label, levels=None, cmap=None):
    """A figure of one panel a field. `levels` is None, a count, or a list in value units."""
    panels = [_Panel(surface, field, scale) for field in fields]
    columns, rows = _layout(len(panels))
    each, equal = _panel_size(panels[0].x, panels[0].y, columns, rows)
    body = (columns * each[0] + (columns - 1) * ACROSS, rows * (each[1] + ABOVE))
    notes = _notes(panels, surface.draws, scale, equal)
    page = style.Page(head, notes, style.Margins(0.62, 0.86, 0.47), body)
    each = _shrunk(each, columns, rows, page)
    cmap = style.color_map(cmap)
    mappable = None
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        axes = page.figure.add_axes(page.rectangle(
            column * (each[0] + ACROSS), (rows - 1 - row) * (each[1] + ABOVE), *each))
        mappable = panel.paint(axes, scale, cmap, levels, number + 1) or mappable
        axes.tick_params(labelleft=column == 0, labelbottom=number + columns >= len(panels))
    _axis_labels(page, surface.settings)
    page.color_bar(mappable, scale, label, extend=planes.extend(scale))
    return page.figure


def _layout(count):
    columns = math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def _panel_size(x, y, columns, rows):
    """((width, height) of a panel in inches, whether both axes have the same scale)."""
    (width, height), equal = planes.body_of(x, y)
    across = (WIDTH - (columns - 1) * ACROSS) / columns
    up = TALLEST / rows - ABOVE
    shrink = min(across / width, up / height, 2.6 / max(width, height))
    return (width * shrink, height * shrink), equal


def _shrunk(each, columns, rows, page):
    """The size of a panel where the user's page is smaller: the room between panels stays."""
    across = (page.body[0] - (columns - 1) * ACROSS) / (columns * each[0])
    up = (page.body[1] - rows * ABOVE) / (rows * each[1])
    shrink = min(across, up)
    if shrink * min(each) < SMALLEST:
        raise WordsError(f"--size {page.size[0]:g}x{page.size[1]:g} inches leaves no room for"
                         f" {columns} x {rows} panels")
    return each[0] * shrink, each[1] * shrink


class _Panel:
    def __init__(self, surface, field, scale):
        self.missing = int(field.missing.sum())
        self.x, self.y, field = planes.ascending(surface.x, surface.y, field)
        self.kind, self.field, _ = planes.filled("contourf", surface, field, scale)
        self.has_values = bool((np.isfinite(self.field.values) | self.field.nonfinite).any())

    def paint(self, axes, scale, cmap, levels, number):
        """Draws the values; what a colour bar is made from, or None where there are none."""
        text = f"draw {number}"
        if self.missing:
            size = self.field.blank.size
            text += f" · {wording.grouped(size - self.missing)} of {wording.points(size)}"
        axes.set_title(text, fontsize=style.NOTE, loc="left", pad=2.5, color=style.INK)
        planes.frame(axes, self.x, self.y, self.kind, 3)
        axes.tick_params(labelsize=style.NOTE, length=2.2, pad=2.0)
        across = axes.get_xticklabels()
        for label, side in zip((across[0], across[-1]), ("left", "right")):
            label.set_horizontalalignment(side)  # else it would touch that of the next panel
        if not self.has_values:
            return None
        mappable = planes.paint(axes, self.kind, self.x, self.y, self.field, scale, cmap, levels)
        style.mark_center(axes, self.x, self.y)
        return mappable


def _notes(panels, draws, scale, equal):
    """The notes on all panels taken together."""
    notes = [f"the first {len(panels)} of {draws} draws are shown"] if len(panels) < draws else []
    notes += ["one scale for all panels"] + scale.notes
    kinds = {panel.kind for panel in panels if panel.field.guessed.any()}
    guesses = planes.GUESSES[kinds == {"heat"}]
    notes += points.notes(together([panel.field for panel in panels]), guesses)
    if any(panel.kind == "heat" and panel.has_values for panel in panels):
        notes.append("where there are too few neighbouring points for contours: drawn as cells")
    return notes + ([] if equal else ["the axes are not to the same scale"])


def _axis_labels(page, settings):
    left, bottom, width, height = page.rectangle()
    x, y = (style.broken(wording.axis_label(n, settings), 1.1 * side)
            for n, side in zip((1, 2), page.body))
    page.figure.text(left + width / 2, bottom - 0.24 / page.size[1], x, fontsize=style.LABEL,
                     ha="center", va="top")
    page.figure.text(left - 0.40 / page.size[0], bottom + height / 2, y, fontsize=style.LABEL,
                     ha="right", va="center", rotation="vertical")
