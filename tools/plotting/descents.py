"""What optimizers do on a function of one or two variables: the function with the paths on it, all in
one picture or one panel an optimizer, the values step by step, and the effective learning rates."""

import math
import re
from dataclasses import replace

import numpy as np
from matplotlib import colors
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from . import planes, scales, style, wording
from .errors import PlotError

OPTIMIZERS = {"gd": "gradient descent", "sgd": "SGD", "momentum": "momentum", "nesterov": "Nesterov momentum",
              "adagrad": "AdaGrad", "rmsprop": "RMSProp", "adam": "Adam", "adamw": "AdamW"}
ORDER = (2, 0, 3, 4, 5, 1)  # of the colours of runs: first those that are neither the curve's nor the tangents'
WIDTH, HEIGHT = 4.6, 2.5  # inches: the usual body of a function of one variable
LEGEND_ROW, LEGEND_GAP = 0.147, 0.5  # inches
MOST_MARKERS = 24  # on one path
MOST_NUMBERS = 8  # steps that are numbered
END, END_RIM = 6.0, 4.0  # points: the marker where a descent ended, and what it is larger by for each that ends on it
MOST_RIMS = 3
PALENESS = 0.5  # what is left of the colours below the paths
LOWEST = 1e-6  # of the highest value: where a log scale of a function ends
WIDE = 50.0  # highest to lowest value along descents, above which their scale is logarithmic
MOST_PANELS = 12
PANELS_WIDTH, NARROWEST_PANEL = 6.4, 0.75  # inches


def usual_kind(file):
    return "panels" if file.variables == 1 and len(_rules(file.descents)) > 1 else "paths"


def title(file, kind):
    rules = _rules(file.descents)
    what = {"rates": "Effective learning rates", "steps": "Step by step:"}.get(kind, "")
    names = list(dict.fromkeys(_optimizer(d) for d in file.descents))
    if not names:
        parts = ["tangent"] if file.variables == 1 else ["gradient", "tangent plane"][: 2 if kind == "surface" else 1]
        who = " and ".join(part + "s" * (len(file.tangents) > 1) for part in parts) + " of"
    else:
        who = names[0] if len(names) == 1 else f"{len(names)} optimizers"
        who += f" at {len(rules)} rates" if len(names) == 1 and len(rules) > 1 else ""
        who += " on"
    joint = "of" if kind == "rates" else ""
    return wording.capital(" ".join(f"{what} {joint} {who} {function_name(file.settings)}".split()))


def subtitle(file):
    settings, facts = file.settings, []
    if settings.get("function"):
        facts.append(f"f = {pretty(settings.get('expression', ''))}")
    starts = settings.get("from")
    if isinstance(starts, list) and starts:
        facts.append(f"from {point_text(starts[0])}" if len(starts) == 1 else f"{len(starts)} starts")
    if file.descents:
        facts.append(f"{wording.counted(settings.get('steps', 0), 'step')} at most")
    if settings.get("noise"):
        facts.append(f"minibatches of {settings.get('batch_size')} of {settings.get('terms')} terms that differ by"
                     f" {settings['noise']:g}")
    return wording.joined(facts)


def function_name(settings):
    return settings.get("function") or pretty(str(settings.get("expression", "f")))


def pretty(expression):
    """'25*sin(x) - x^2' -> '25·sin(x) − x²'"""
    powers = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    text = re.sub(r"(?:\^|\*\*)(\d)(?![\d.])", lambda match: match[1].translate(powers), expression)
    return re.sub(r"\bpi\b", "π", text).replace("*", "·").replace("-", "\N{MINUS SIGN}")


def draw(kind, file, head, options):
    if not np.isfinite(file.field.values).any():
        raise PlotError(f"{file.path}: the function has no finite value in the range that is drawn")
    if kind in ("steps", "rates") and not file.descents:
        raise PlotError(f"{file.path} holds no descents (made without --from): there are no {kind} to draw")
    if kind == "steps":
        return _steps(file, head, options)
    if kind == "rates":
        return _rates(file, head)
    if kind == "panels":
        return _panels(file, head, options)
    return _picture(file, head, options)


# --- looks and words -------------------------------------------------------------------------------


def _rules(descents):
    """The optimizers with their rates, in order."""
    return list(dict.fromkeys(descent.rule for descent in descents))


def _optimizer(descent):
    name = OPTIMIZERS.get(descent.optimizer, descent.optimizer)
    return name.replace("descent", "ascent") if descent.ascend else name


def look_numbers(descents):
    """The number of the look of each: rules differ where there are several, else starts do."""
    rules = _rules(descents)
    return [rules.index(d.rule) if len(rules) > 1 else i for i, d in enumerate(descents)]


def looks_of(descents):
    """The look of each: (colour, dashes, marker)."""
    return [_look(number) for number in look_numbers(descents)]


def _look(number):
    """No two of the first 36 are alike: dashes and markers shift against the colours with every round."""
    turn = number // len(ORDER)
    return (style.series(ORDER[number % len(ORDER)])["color"], style.series(number + turn)["dashes"],
            style.series(number - turn)["marker"])


def ending(descent):
    """'20 steps' and how it ended, where that is not simply the last step."""
    steps = wording.counted(descent.steps, "step")
    return {"converged": f"converged after {steps}", "diverged": f"diverged after {steps}",
            "undefined": f"left the function’s domain after {steps}", "interrupted": f"interrupted after {steps}"}.get(descent.end, steps)


def label_of(descent):
    return re.sub(r"(?<=[ (])-(?=\d)", "\N{MINUS SIGN}", descent.label)


def _about(descent):
    return f"{label_of(descent)}: {ending(descent)}, f = {scales.number(descent.value[-1])}"


def tangent_facts(tangent):
    """Value and derivatives at a point, in words."""
    what = "gradient" if np.size(tangent.point) > 1 else "derivative"
    facts = [f"at {point_text(tangent.point)}: f = {scales.number(tangent.value)}, {what} {point_text(tangent.gradient)}"]
    if tangent.slope is not None:
        facts.append(f"slope along {point_text(tangent.direction)}: {scales.number(tangent.slope)}")
    return facts


def point_text(point):
    numbers = ", ".join(scales.number(float(part)) for part in np.atleast_1d(point))
    return f"({numbers})" if np.size(point) > 1 else numbers


def legend_lines(descents, looks):
    """(look, text) of each entry; descents of one rule from several starts share one."""
    if len(_rules(descents)) == 1:
        return [(look, _about(descent)) for descent, look in zip(descents, looks)]
    lines = []
    for rule in _rules(descents):
        own = [(d, look) for d, look in zip(descents, looks) if d.rule == rule]
        descent, look = own[0]
        text = f"{_optimizer(descent)}, rate {scales.number(descent.rate)}"
        ends = list(dict.fromkeys(ending(d) for d, _ in own))
        values = ", ".join(scales.number(d.value[-1]) for d, _ in own[:4])
        more = ", …" if len(own) > 4 else ""
        lines.append((look, f"{text}: {' or '.join(ends)}, f = {values}{more}"))
    return lines


def draw_legend(page, lines, gap=LEGEND_GAP, outdent=0.3):
    """The legend, one entry a row below the body; the page has legend_height more room there. Lengths in inches."""
    handles = [Line2D([], [], color=color, dashes=dashes, marker=marker, linewidth=1.4 * style.ZOOM, markersize=4 * style.ZOOM,
                      markeredgewidth=0 * style.ZOOM, label=text) for (color, dashes, marker), text in lines]
    left, bottom, width, _ = page.rectangle()
    widest = max(style.text_width(text, style.NOTE) for _, text in lines)
    room = page.body[0] + outdent
    return page.figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left - outdent * style.ZOOM / page.size[0],
                                                           bottom - gap * style.ZOOM / page.size[1]),
        frameon=False, fontsize=min(style.NOTE, style.NOTE * room / (widest + 0.5)), handlelength=3.0,
        borderpad=0, borderaxespad=0, labelspacing=0.45, handletextpad=0.6)


def legend_height(lines):
    return LEGEND_ROW * len(lines) + 0.08 if lines else 0.0


# --- until a step ----------------------------------------------------------------------------------


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


# --- one variable ----------------------------------------------------------------------------------


def _picture(file, head, options):
    """The function with its tangents and all descents."""
    lines = legend_lines(file.descents, looks_of(file.descents))
    numbered = file.variables == 1 and len(file.descents) == 1
    page, axes = stage(file, head, options, lines, numbered=numbered)
    draw_descents(axes, file, file.descents, numbered)
    draw_tangents(axes, file)
    if lines:
        draw_legend(page, lines)
    return page.figure


def stage(file, head, options, lines, notes=(), numbered=False):
    """The page and the axes of the function alone, with room for a legend of those lines."""
    if file.variables == 1:
        margins = style.Margins(0.66, 0.2, 0.47 + legend_height(lines))
        page = style.Page(head, [*_curve_notes(file, numbered), *notes], margins, (WIDTH, HEIGHT + 0.4), stretch=True)
        axes = page.figure.add_axes(page.rectangle())
        _function(axes, file, options)
    else:
        scale = value_scale(file, options)
        body, equal = planes.body_of(file.x, file.y)
        margins = style.Margins(0.62, 0.86, 0.47 + legend_height(lines))
        page = style.Page(head, [*_plane_notes(file, scale, equal), *notes], margins, body)
        axes = page.figure.add_axes(page.rectangle())
        page.color_bar(_map(axes, file, scale, options), scale, "f(x, y)", extend=planes.extend(scale))
    axes.set_xlabel("x", labelpad=3)
    axes.set_ylabel("f(x)" if file.variables == 1 else "y", labelpad=3)
    return page, axes


def draw_descents(axes, file, descents, numbered=False):
    """The file's descents on the stage, or these, which are as they stood after some steps."""
    for whole, descent, look, size in zip(file.descents, descents, looks_of(file.descents), end_sizes(file, descents)):
        if file.variables == 1:
            _steps_on_curve(axes, descent, look, size, numbered)
        else:
            _path(axes, descent, look, size, _markers_every(whole))


def _panels(file, head, options):
    """One panel for each optimizer and rate, on the same scales."""
    rules = _rules(file.descents)
    if not rules:
        raise PlotError(f"{file.path} holds no descents (made without --from): use --kind paths")
    if file.variables == 2:
        return _plane_panels(file, head, options, rules)
    count = min(len(rules), MOST_PANELS)
    owns = [[d for d in file.descents if d.rule == rule] for rule in rules[:count]]
    room = head.size[0] - 0.86 * style.ZOOM if head.size else WIDTH
    titles = [style.wrapped(_panel_title(own), room, style.TICK) for own in owns]
    each, gap = 1.55, style.ZOOM * (0.17 + 0.13 * max(map(len, titles)))
    notes = _curve_notes(file, len(rules) == len(file.descents))
    if count < len(rules):
        notes.append(f"the first {count} of {len(rules)} optimizers and rates are shown")
    page = style.Page(head, notes, style.Margins(0.66, 0.2, 0.47),
                      (WIDTH, count * (each + gap)), stretch=True)
    each = page.body[1] / count - gap
    starts = list(dict.fromkeys(tuple(d.position[0]) for d in file.descents))
    for number, (own, lines) in enumerate(zip(owns, titles)):
        axes = page.figure.add_axes(page.rectangle(0, (count - 1 - number) * (each + gap), page.body[0], each))
        _function(axes, file, options)
        for descent, size in zip(own, end_sizes(file, own)):
            look = _look(starts.index(tuple(descent.position[0])))
            _steps_on_curve(axes, descent, look, size, len(own) == 1)
        axes.set_title("\n".join(lines), fontsize=style.TICK, loc="left", pad=3, color=style.INK, linespacing=1.15)
        axes.set_ylabel("f(x)", labelpad=3)
        axes.tick_params(labelbottom=number == count - 1)
    axes.set_xlabel("x", labelpad=3)
    return page.figure


def _panel_title(own):
    text = f"{wording.capital(_optimizer(own[0]))}, rate {scales.number(own[0].rate)}"
    ends = list(dict.fromkeys(ending(descent) for descent in own))
    return f"{text}: {' or '.join(ends[:2])}{' or …' if len(ends) > 2 else ''}"


def _curve_notes(file, numbered):
    notes = []
    if file.descents:
        notes.append("ring: start; filled: where it ended" + (
            "; numbers: steps" if numbered else ""))
    notes += beyond_notes(file)
    undefined = int(file.field.nonfinite.sum())
    if undefined:
        notes.append(f"not defined or not finite at {wording.grouped(undefined)} of"
                     f" {wording.points(file.field.values.size)} drawn")
    return notes


def beyond_notes(file):
    """How many tangents and steps lie outside the range that is drawn, and where."""
    axes = [axis for axis in (file.x, file.y) if axis is not None]
    low, high = (np.array([axis[end] for axis in axes]) for end in (0, -1))
    outside = [descent.position[((descent.position < low) | (descent.position > high)).any(axis=1)]
               for descent in file.descents]
    every = np.concatenate(outside or [np.empty((0, len(axes)))])
    away = sum(int(((each.point < low) | (each.point > high)).any()) for each in file.tangents)
    notes = [f"{wording.counted(away, 'tangent')} outside the range drawn"] if away else []
    if not len(every):
        return notes
    with np.errstate(over="ignore"):
        far = every[np.argmax(np.abs((every - low) / (high - low) - 0.5).max(axis=1))]
    spots = [("first", every[0])] if len(file.descents) == 1 < len(every) else []
    spots += [("farthest" if len(every) > 1 else "", far)]
    name = "x = " if len(axes) == 1 else ""
    where = ", ".join(f"{word} {name}{point_text(spot)}".strip() for word, spot in spots)
    return notes + [f"{wording.counted(len(every), 'step')} outside the range drawn: {where}"]


def _function(axes, file, options):
    """The curve, and the frame that fits it."""
    values = file.field.values
    axes.plot(file.x, values, color=style.INK, linewidth=1.1 * style.ZOOM, zorder=2, gid="function")
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    low = low if options.vmin is None else options.vmin
    high = high if options.vmax is None else options.vmax
    pad = 0.07 * (high - low) or 0.5
    axes.set_xlim(file.x[0], file.x[-1])
    axes.set_ylim(low - pad, high + pad)
    style.coordinate_ticks(axes.xaxis, file.x[0], file.x[-1], 7)
    style.coordinate_ticks(axes.yaxis, *axes.get_ylim(), 5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
    axes.set_axisbelow(True)


def _steps_on_curve(axes, descent, look, size, numbered):
    """The positions on the curve, later ones more solid, with the jumps between them."""
    color, _, marker = look
    x, z = descent.position[:, 0], descent.value
    axes.plot(x, z, color=color, linewidth=0.6 * style.ZOOM, alpha=0.4, zorder=3, gid="path")
    share = np.linspace(0.25, 1.0, len(x))
    tints = colors.to_rgb(color) * share[:, None] + colors.to_rgb(style.PAPER) * (1 - share[:, None])
    axes.scatter(x, z, s=11 * style.ZOOM**2, c=tints, marker=marker, edgecolors=color, linewidths=0.4 * style.ZOOM, zorder=4)
    _ends(axes, x, z, look, size)
    if numbered:
        _numbers(axes, x, z, color)
        _exit(axes, x, z, color)


def end_sizes(file, descents):
    """The size of each one's end in points: that of an earlier one looks out from below those that end at the same place."""
    spans = np.array([axis[-1] - axis[0] for axis in (file.x, file.y) if axis is not None])
    ends = np.array([descent.position[-1] for descent in descents]).reshape(len(descents), len(spans))
    with np.errstate(over="ignore", invalid="ignore"):
        later = [int((np.abs(ends[n + 1:] - end) < 0.01 * spans).all(axis=1).sum()) for n, end in enumerate(ends)]
    return [END + END_RIM * min(count, MOST_RIMS) for count in later]


def _ends(axes, x, y, look, size):
    """A ring where it starts, a large filled marker where it ends."""
    color, _, marker = look
    axes.plot(x[:1], y[:1], marker="o", markersize=6.5 * style.ZOOM, markerfacecolor="none", markeredgecolor=color,
              markeredgewidth=1.3 * style.ZOOM, linestyle="none", zorder=6, gid="start")
    axes.plot(x[-1:], y[-1:], marker=marker, markersize=size * style.ZOOM, markerfacecolor=color, markeredgecolor=style.CASING,
              markeredgewidth=0.8 * style.ZOOM, linestyle="none", zorder=7, gid="end")


def _numbers(axes, x, z, color):
    """Numbers on the first steps, as far as they do not touch each other; few where the path turns."""
    turns = np.any(np.diff(x[:8])[1:] * np.diff(x[:8])[:-1] < 0)
    frame = axes.get_window_extent()
    scale = 72.0 / axes.figure.dpi
    points = axes.transData.transform(np.column_stack([x, z])) * scale
    taken = []
    for step, spot in enumerate(points[: 6 if turns else 60]):
        inside = frame.x0 * scale < spot[0] < frame.x1 * scale and frame.y0 * scale < spot[1] < frame.y1 * scale
        if not inside or any(np.hypot(*(spot - other)) < 15 * style.ZOOM for other in taken):
            continue
        # Away from the step before: where the path has been is where lines are.
        shift = spot - points[step - 1] if step else spot - points[min(1, len(points) - 1)]
        up = 1 if shift[1] >= 0 else -1
        up = up if frame.y0 * scale < spot[1] + 14 * up * style.ZOOM < frame.y1 * scale else -up
        axes.annotate(str(step), (x[step], z[step]), (0, 8 * up * style.ZOOM), textcoords="offset points", fontsize=style.SMALLEST,
                      color=color, ha="center", va="center", zorder=8, bbox=style.plate())
        taken.append(spot)
        if len(taken) == MOST_NUMBERS:
            return


def _exit(axes, x, z, color):
    """Where the path first leaves the frame: whither."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    points = np.column_stack([x, z])
    outside = ((points < low) | (points > high)).any(axis=1)
    step = int(np.argmax(outside))
    if outside[0] or not outside[step]:
        return
    start, way = points[step - 1], points[step] - points[step - 1]
    moving = way != 0
    share = (np.where(way > 0, high - start, low - start)[moving] / way[moving]).min()
    spot = start + share * way
    right, top = spot > 0.5 * (low + high)
    shift = style.ZOOM * np.where([right, top], -1, 1) * (5, 7)
    axes.annotate(f"step {step}: x = {scales.number(x[step])}", spot, shift,
                  textcoords="offset points", fontsize=style.NOTE, color=color, ha="right" if right else "left",
                  va="center", zorder=8, bbox=style.plate())


def _tangent_line(axes, file, tangent):
    """The tangent, a third of the picture long, and its slope in words."""
    low, high = axes.get_ylim()
    span = np.array([file.x[-1] - file.x[0], high - low])
    size = np.array(axes.get_position().size) * axes.figure.get_size_inches()  # inches
    slope = tangent.gradient[0]
    along = np.array([1.0, slope]) / span * size
    step = 0.18 * size[0] / np.hypot(*along)
    at = tangent.point[0] + step * np.array([-1.0, 1.0])
    axes.plot(at, tangent.value + slope * (at - tangent.point[0]), color=style.WARNING, linewidth=1.4 * style.ZOOM, zorder=5,
              gid="tangent")
    axes.plot(tangent.point, [tangent.value], marker="o", markersize=4.5 * style.ZOOM, color=style.WARNING,
              markeredgecolor=style.CASING, markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=6)
    # Beside the line; above a flat one.
    steep = slope * span[0] / span[1]
    slope = slope if abs(steep) > 1e-9 else 0.0
    shift, side = ((0, 5), "center") if abs(steep) < 0.2 else ((-7, 6), "right") if slope > 0 else ((7, 6), "left")
    text = axes.annotate(f"slope {scales.number(slope)}", (tangent.point[0], tangent.value), shift,
                         textcoords="offset points", fontsize=style.NOTE, color=style.WARNING, ha=side, va="bottom", zorder=9,
                         bbox=style.plate())
    box = text.get_window_extent().padded(0.03 * axes.figure.dpi)
    if any(box.overlaps(other.get_window_extent()) for other in axes.texts[:-1]):  # then on the other side
        text.set(position=-np.array(shift), ha={"left": "right", "right": "left"}.get(side, side), va="top")


# --- two variables ---------------------------------------------------------------------------------


def value_scale(file, options, linear=False):
    """The scale of the values: logarithmic where none is negative and a linear one would show most of them alike."""
    values = file.field.values
    finite = values[np.isfinite(values)]
    log, low = options.log, options.vmin
    if log is None:
        log = not linear and finite.min() >= 0 and scales.is_crowded(finite, options.vmin, options.vmax, whole=True)
    if log and low is None and finite.max() > 0 and finite.min() < LOWEST * finite.max():
        low = LOWEST * float(finite.max())
    return scales.choose(values, "value", log, low, options.vmax)


def pale(name):
    """The colour map made light enough for paths to stand out."""
    ramp = style.color_map(name)(np.linspace(0, 1, 256))[:, :3]
    return colors.ListedColormap(PALENESS * ramp + (1 - PALENESS) * np.array(colors.to_rgb(style.PAPER)))


def _plane_panels(file, head, options, rules):
    count = min(len(rules), MOST_PANELS)
    owns = [[d for d in file.descents if d.rule == rule] for rule in rules[:count]]
    scale = value_scale(file, options)
    usual, equal = planes.body_of(file.x, file.y)
    notes = _plane_notes(file, scale, equal)
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
        mappable = _map(axes, file, scale, options, ticks)
        for descent, size in zip(own, end_sizes(file, own)):
            _path(axes, descent, _look(number), size, _markers_every(descent))
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
    lines = [f"{wording.capital(_optimizer(own[0]))}, rate {scales.number(own[0].rate)}"]
    if len(own) == 1:
        lines.append(f"{ending(own[0])}, f = {scales.number(own[0].value[-1])}")
    lines = [line.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}") for line in lines]
    return [part for line in lines for part in style.wrapped(line, width, style.NOTE)]


def _plane_notes(file, scale, equal):
    notes = scale.notes + mark_notes(file)
    arrows = [shortened(file, tangent.point, shown_gradient(file, tangent.gradient)) for tangent in file.tangents]
    if any(map(np.any, arrows)):
        notes.append("arrow: the gradient, the way up that is steepest"
                     + ("; dashed: the direction" if file.tangents[0].direction is not None else ""))
    notes += beyond_notes(file)
    if not equal:
        notes.append("the axes are not to the same scale")
    undefined = int(file.field.nonfinite.sum())
    if undefined:
        notes.append(f"{wording.points(undefined)} without a finite value (pink, hatched)")
    return notes


def mark_notes(file):
    notes = ["ring: start; large marker: where it ended"] if file.descents else []
    known = known_extrema(file)
    if known:
        notes.append(f"star: global {extremum(file)}" + (" (one of several)" if len(known) > 1 else ""))
    return notes


def extremum(file):
    """What the known extrema are: no value of the function is above that of a maximum."""
    values = [entry["value"] for entry in file.settings["global"]]
    return "maximum" if values[0] > np.nanmedian(file.field.values) else "minimum"


def known_extrema(file):
    """The points of the known global extrema, [m, d]."""
    known = file.settings.get("global")
    points = [entry["point"] for entry in known] if isinstance(known, list) else []
    return [point for point in points if isinstance(point, list) and len(point) == file.variables]


def _map(axes, file, scale, options, ticks=5):
    """The function's values, pale; what a colour bar is made from."""
    mappable = planes.paint(axes, "contourf", file.x, file.y, file.field, scale, pale(options.cmap), options.levels)
    planes.frame(axes, file.x, file.y, "contourf", ticks)
    for point in known_extrema(file):
        draw_star(axes, *point)
    return mappable


def draw_star(axes, x, y, zorder=12):
    axes.plot(x, y, marker="*", markersize=12 * style.ZOOM, markerfacecolor="#f0e442", markeredgecolor=style.INK,
              markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=zorder, gid="extremum")


def draw_tangents(axes, file):
    """Tangent lines, or the gradients' arrows, on the stage; beside the descents' numbers, which are there already."""
    for tangent in file.tangents:
        (_tangent_line if file.variables == 1 else _arrow)(axes, file, tangent)


def _markers_every(descent):
    return math.ceil(len(descent.value) / MOST_MARKERS)


def _path(axes, descent, look, size, every):
    color, dashes, marker = look
    x, y = descent.position.T
    axes.plot(x, y, color=style.CASING, linewidth=2.8 * style.ZOOM, alpha=0.8, zorder=8, solid_joinstyle="round")
    axes.plot(x, y, color=color, linewidth=1.3 * style.ZOOM, dashes=dashes, zorder=9, gid="path")
    axes.plot(x[::every], y[::every], marker=marker, markersize=3.4 * style.ZOOM, markerfacecolor=color, markeredgecolor=style.CASING,
              markeredgewidth=0.4 * style.ZOOM, linestyle="none", zorder=10)
    before = len(axes.lines)
    _ends(axes, x, y, look, size)
    for line in axes.lines[before:]:
        line.set_zorder(line.get_zorder() + 8)


def _arrow(axes, file, tangent):
    """The gradient's direction at a point, and the direction asked for."""
    for vector, dashes, gid in ((shown_gradient(file, tangent.gradient), "-", "gradient"), (tangent.direction, (0, (3, 1.5)), "direction")):
        if vector is not None and np.any(reach := shortened(file, tangent.point, vector)):
            _draw_arrow(axes, tangent.point, reach, dashes, gid)
    axes.plot(*tangent.point, marker="o", markersize=4.5 * style.ZOOM, color=style.WARNING, markeredgecolor=style.CASING,
              markeredgewidth=0.7 * style.ZOOM, linestyle="none", zorder=14)


def shown_gradient(file, gradient):
    """The gradient; 0 where the picture would not rise along it by a millionth of its height: its direction is rounding."""
    rise = np.abs(gradient) @ [abs(axis[-1] - axis[0]) for axis in (file.x, file.y)]
    return gradient if rise > 1e-6 * (np.nanmax(file.field.values) - np.nanmin(file.field.values)) else np.zeros(2)


def shortened(file, point, vector):
    """The way of `vector` from the point: a seventh of the picture long, less where it would leave that."""
    low, high = (np.array([axis[end] for axis in (file.x, file.y)]) for end in (0, -1))
    length = np.hypot(*vector)
    if length == 0 or (point < low).any() or (point > high).any():
        return np.zeros(2)
    reach = 0.14 * min(high - low) * vector / length
    room = np.where(reach > 0, high - point, point - low)
    room = np.maximum(room - 0.015 * (high - low), 0.5 * room)  # an arrow's head is wide
    moving = reach != 0
    return reach * np.clip((room[moving] / np.abs(reach[moving])).min(), 0.0, 1.0)


def _draw_arrow(axes, point, vector, dashes, gid):
    axes.annotate("", point + vector, point, zorder=13, arrowprops=dict(
        arrowstyle="-|>,head_width=0.22,head_length=0.45", color=style.WARNING, linewidth=1.6 * style.ZOOM, linestyle=dashes,
        shrinkA=0, shrinkB=0, gid=gid))


# --- step by step ----------------------------------------------------------------------------------


def _steps(file, head, options):
    """The values over the steps, and below, of one variable, the positions."""
    descents = file.descents
    lines = legend_lines(descents, looks_of(descents))
    parts = [("f(x)" if file.variables == 1 else "f(x, y)", [d.value for d in descents], options)]
    if file.variables == 1:
        parts.append(("x", [d.position[:, 0] for d in descents], None))
    return _over_steps(file, head, parts, lines)


def _rates(file, head):
    """The effective learning rate along each coordinate."""
    descents = file.descents
    names = ("x",) if file.variables == 1 else ("x", "y")
    parts = [(f"effective rate along {name}", [d.effective_rate[:, i] for d in descents], None)
             for i, name in enumerate(names)]
    return _over_steps(file, head, parts, legend_lines(descents, looks_of(descents)), together=True)


def _over_steps(file, head, parts, lines, together=False):
    """One panel a part: (label, values of each descent, options of the scale or None)."""
    descents, looks = file.descents, looks_of(file.descents)
    each, gap = (2.4 if len(parts) == 1 else 1.6), 0.16
    count = len(parts)
    choices = [_limits(file, label, curves, options) for label, curves, options in parts]
    if together:  # one scale for all, to be compared
        low, high = (pick(choice[1][i] for choice in choices) for i, pick in ((0, min), (1, max)))
        choices = [(all(choice[0] for choice in choices), (low, high), [])] * count
    notes = [note for _, _, some in choices for note in some]
    wider = max(planes.bar_extra(_axis_scale(log, limits)) for log, limits, _ in choices)
    page = style.Page(head, list(dict.fromkeys(notes)), style.Margins(0.66 + wider, 0.2, 0.47 + legend_height(lines)),
                      (WIDTH, count * each + (count - 1) * gap), stretch=True)
    each = (page.body[1] - (count - 1) * gap) / count
    lengths = [[_drawn_length(values, d, limits) for values, d in zip(curves, descents)]
               for (_, curves, _), (_, limits, _) in zip(parts, choices)]
    last = max(1, *(length - 1 for row in lengths for length in row))
    for number, ((label, curves, _), (log, limits, _), row) in enumerate(zip(parts, choices, lengths)):
        axes = page.figure.add_axes(page.rectangle(0, (count - 1 - number) * (each + gap), page.body[0], each))
        for values, length, (color, dashes, marker) in zip(curves, row, looks):
            axes.plot(np.arange(length), values[:length], color=color, dashes=dashes, linewidth=1.3 * style.ZOOM,
                      marker=marker, markersize=3.2 * style.ZOOM, markeredgewidth=0 * style.ZOOM,
                      markevery=max(1, math.ceil(last / 20)), zorder=3, gid="path")
        axes.set_xlim(-0.015 * last, 1.015 * last)
        _value_axis(axes, _axis_scale(log, limits))
        axes.set_ylabel(style.broken(label, each), labelpad=4)
        style.coordinate_ticks(axes.xaxis, 0, last, 6)
        axes.tick_params(labelbottom=number == count - 1)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
        axes.set_axisbelow(True)
    axes.set_xlabel("step", labelpad=3)
    page.figure.align_ylabels()
    draw_legend(page, lines)
    return page.figure


def _drawn_length(values, descent, limits):
    """How many values are drawn: of what diverged none but the first after it left the limits for good."""
    inside = np.flatnonzero((values >= limits[0]) & (values <= limits[1]))
    return min(len(values), inside[-1] + 2) if descent.end == "diverged" and inside.size else len(values)


def _limits(file, label, curves, options):
    """(log, (low, high), notes): what diverged must not squeeze the others."""
    tame = [c for c, d in zip(curves, file.descents) if d.end != "diverged"]
    finite = np.concatenate(tame or [c[:6] for c in curves])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    log = options.log if options is not None else (None if label.startswith("eff") else False)
    if log is None:
        log = low >= 0 and high > WIDE * max(low, 1e-300)
    if log:
        if high <= 0:
            raise PlotError(f"--log needs positive values: {label} reaches {scales.number(high)} at most")
        positive = finite[finite > 0]
        low = max(float(positive.min()), 1e-12 * high)
    if options is not None:
        low = low if options.vmin is None else options.vmin
        high = high if options.vmax is None else options.vmax
    everything = np.concatenate(curves)
    sides = ((int((everything > high).sum()), "above"), (int((everything < low).sum()), "below"))
    beyond = " and ".join(f"{wording.grouped(count)} {side}" for count, side in sides if count)
    return log, (low, high), [f"values of {label} beyond the range drawn: {beyond}"] if beyond else []


def _axis_scale(log, limits):
    """A little wider than the limits."""
    low, high = limits
    if log:
        pad = max(high / low, 1.5) ** 0.04
        return scales.Scale(True, low / pad, high * pad)
    pad = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return scales.Scale(False, low - pad, high + pad)


def _value_axis(axes, scale):
    if scale.log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(scale.lo, scale.hi)
    values, texts = scale.ticks(6)
    axes.yaxis.set_major_locator(FixedLocator(values))
    axes.yaxis.set_major_formatter(FixedFormatter(texts))
    axes.yaxis.set_minor_locator(FixedLocator(scale.minor()))
