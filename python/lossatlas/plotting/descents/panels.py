"""One panel for each optimizer and rate, on the same scales."""

import math

import numpy as np

from .. import planes, scales, style, wording
from ..errors import PlotError
from . import curve, looks, plane, words

MOST_PANELS = 12
PANELS_WIDTH, NARROWEST_PANEL = 6.4, 0.75  # inches


def draw(file, head, look):
    """One panel for each optimizer and rate, on the same scales."""
    rules = words.rules(file.descents)
    if not rules:
        raise PlotError(f"{file.path} holds no descents (made without --from): use --kind paths")
    if file.variables == 2:
        return _draw_on_plane(file, head, look, rules)
    count = min(len(rules), MOST_PANELS)
    owns = [[d for d in file.descents if d.rule == rule] for rule in rules[:count]]
    room = head.size[0] - 0.86 * style.ZOOM if head.size else looks.WIDTH
    titles = [style.wrapped(_panel_title(own), room, style.TICK) for own in owns]
    each, gap = 1.55, style.ZOOM * (0.17 + 0.13 * max(map(len, titles)))
    notes = curve.notes(file, len(rules) == len(file.descents))
    if count < len(rules):
        notes.append(f"the first {count} of {len(rules)} optimizers and rates are shown")
    page = style.Page(head, notes, style.Margins(0.66, 0.2, 0.47),
                      (looks.WIDTH, count * (each + gap)), stretch=True)
    each = page.body[1] / count - gap
    starts = list(dict.fromkeys(tuple(d.position[0]) for d in file.descents))
    for number, (own, lines) in enumerate(zip(owns, titles)):
        axes = page.figure.add_axes(page.rectangle(0, (count - 1 - number) * (each + gap), page.body[0], each))
        curve.draw_function(axes, file, look)
        for descent, size in zip(own, looks.end_sizes(file, own)):
            curve.draw_steps(axes, descent, looks.numbered(starts.index(tuple(descent.position[0]))), size, len(own) == 1)
        axes.set_title("\n".join(lines), fontsize=style.TICK, loc="left", pad=3, color=style.INK, linespacing=1.15)
        axes.set_ylabel("f(x)", labelpad=3)
        axes.tick_params(labelbottom=number == count - 1)
    axes.set_xlabel("x", labelpad=3)
    return page.figure


def _panel_title(own):
    text = f"{wording.capital(words.optimizer(own[0]))}, rate {scales.number(own[0].rate)}"
    ends = list(dict.fromkeys(words.ending(descent) for descent in own))
    return f"{text}: {' or '.join(ends[:2])}{' or …' if len(ends) > 2 else ''}"


def _draw_on_plane(file, head, look, rules):
    count = min(len(rules), MOST_PANELS)
    owns = [[d for d in file.descents if d.rule == rule] for rule in rules[:count]]
    scale = plane.value_scale(file, look)
    usual, equal = planes.body_of(file.x, file.y)
    notes = plane.notes(file, scale, equal)
    if count < len(rules):
        notes.append(f"the first {count} of {len(rules)} optimizers and rates are shown")
    margins = style.Margins(0.62, 0.86, 0.47)
    room = head.size[0] - margins.sides if head.size else PANELS_WIDTH
    columns, ticks, across = _columns(file, count, room)
    rows = math.ceil(count / columns)
    width = (room + across) / columns - across
    titles = [_plane_panel_title(own, width) for own in owns]
    above = style.ZOOM * (0.1 + 0.11 * max(map(len, titles)))
    page = style.Page(head, notes, margins, (room, rows * (width * usual[1] / usual[0] + above)), stretch=True)
    cell = page.body[1] / rows - above
    if min(width, cell) < 0.3:
        raise PlotError(f"{page.size[0]:.3g} x {page.size[1]:.3g} inches leave no room for {columns} x {rows} panels")
    shrink = min(width / usual[0], cell / usual[1])
    each = (usual[0] * shrink, usual[1] * shrink)
    for number, (own, title) in enumerate(zip(owns, titles)):
        row, column = divmod(number, columns)
        axes = page.figure.add_axes(page.rectangle(
            column * (width + across), page.body[1] - (row + 1) * (each[1] + above), *each))
        mappable = plane.draw_map(axes, file, scale, look, ticks)
        for descent, size in zip(own, looks.end_sizes(file, own)):
            plane.draw_path(axes, descent, looks.numbered(number), size, plane.markers_every(descent))
        axes.set_title("\n".join(title), fontsize=style.NOTE, loc="left", pad=2.5, color=style.INK, linespacing=1.15)
        axes.tick_params(labelleft=column == 0, labelbottom=number + columns >= count)
        if number + columns >= count:
            axes.set_xlabel("x", labelpad=2)
        if column == 0:
            axes.set_ylabel("y", labelpad=2)
    tall = rows * (each[1] + above) - above
    page.color_bar(mappable, scale, "f(x, y)", bounds=(page.body[1] - above - tall, tall), extend=planes.extend(scale),
                   at=(columns - 1) * (width + across) + each[0])
    return page.figure


def _columns(file, count, room):
    """(columns, ticks along an axis, inches between panels) with which `count` panels can be read in that width."""
    for columns in range(min(count, 2 if count in (2, 4) else 3), 0, -1):
        width = room / columns
        ticks = 4 if width > 1.5 * style.ZOOM else 3
        values, texts = style.round_ticks(file.x[0], file.x[-1], ticks)
        share = (np.array(values) - file.x[0]) / (file.x[-1] - file.x[0])
        halves = [0.5 * style.text_width(text, style.TICK) for text in texts]
        over = max(halves[0] - share[0] * width, 0) + max(halves[-1] - (1 - share[-1]) * width, 0)
        across = max(0.14, over + 0.06 * style.ZOOM)
        if width - across > NARROWEST_PANEL * style.ZOOM:
            break
    return columns, ticks, across


def _plane_panel_title(own, width):
    """Lines no longer than `width` inches."""
    lines = [f"{wording.capital(words.optimizer(own[0]))}, rate {scales.number(own[0].rate)}"]
    if len(own) == 1:
        lines.append(f"{words.ending(own[0])}, f = {scales.number(own[0].value[-1])}")
    lines = [line.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}") for line in lines]
    return [part for line in lines for part in style.wrapped(line, width, style.NOTE)]
