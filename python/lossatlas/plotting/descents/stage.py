"""The function with all descents, whole or as they stood after some steps."""

from dataclasses import replace

import numpy as np

from .. import planes, style
from . import curve, looks, plane


def stage(file, head, look, lines, notes=(), numbered=False):
    """The page and the axes of the function alone, with room for a legend of those lines."""
    if file.variables == 1:
        margins = style.Margins(0.66, 0.2, 0.47 + looks.legend_height(lines))
        page = style.Page(head, [*curve.notes(file, numbered), *notes], margins, (looks.WIDTH, looks.HEIGHT + 0.4), stretch=True)
        axes = page.figure.add_axes(page.rectangle())
        curve.draw_function(axes, file, look)
    else:
        scale = plane.value_scale(file, look)
        body, equal = planes.body_of(file.x, file.y)
        margins = style.Margins(0.62, 0.86, 0.47 + looks.legend_height(lines))
        page = style.Page(head, [*plane.notes(file, scale, equal), *notes], margins, body)
        axes = page.figure.add_axes(page.rectangle())
        page.color_bar(plane.draw_map(axes, file, scale, look), scale, "f(x, y)", extend=planes.extend(scale))
    axes.set_xlabel("x", labelpad=3)
    axes.set_ylabel("f(x)" if file.variables == 1 else "y", labelpad=3)
    return page, axes


def draw_descents(axes, file, descents, numbered=False):
    """The file's descents on the stage, or these, which are as they stood after some steps."""
    for whole, descent, look, size in zip(file.descents, descents, looks.looks_of(file.descents), looks.end_sizes(file, descents)):
        if file.variables == 1:
            curve.draw_steps(axes, descent, look, size, numbered)
        else:
            plane.draw_path(axes, descent, look, size, plane.markers_every(whole))


def draw_tangents(axes, file):
    """Tangent lines, or the gradients' arrows, on the stage; beside the descents' numbers, which are there already."""
    for tangent in file.tangents:
        (curve.draw_tangent if file.variables == 1 else plane.draw_gradient)(axes, file, tangent)


def draw(file, head, look):
    """The function with its tangents and all descents."""
    lines = looks.legend_lines(file.descents, looks.looks_of(file.descents))
    numbered = file.variables == 1 and len(file.descents) == 1
    page, axes = stage(file, head, look, lines, numbered=numbered)
    draw_descents(axes, file, file.descents, numbered)
    draw_tangents(axes, file)
    if lines:
        looks.draw_legend(page, lines)
    return page.figure


def until(descent, step):
    """The descent as it stood after so many steps."""
    rows = min(step, descent.steps) + 1
    parts = {name: getattr(descent, name)[:rows] for name in ("position", "value", "gradient", "effective_rate")}
    return replace(descent, end=descent.end if rows > descent.steps else "steps", **parts)


def settled(file):
    """The step from which on every descent is within a hundredth of the picture of its end, or out of the picture."""
    low, high = (np.array([axis[end] for axis in (file.x, file.y) if axis is not None]) for end in (0, -1))
    latest = 0
    for descent in file.descents:
        with np.errstate(over="ignore"):
            away = (np.abs(descent.position - descent.position[-1]) > 0.01 * (high - low)).any(axis=1)
        seen = ((descent.position >= low) & (descent.position <= high)).all(axis=1)
        latest = max(latest, *(np.flatnonzero(away & seen) + 1))
    return int(latest)
