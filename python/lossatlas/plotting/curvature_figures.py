"""Figures of curvatures: the density of eigenvalues, eigenvalues by themselves, the trace of modules; and of sharpness."""

import os
from dataclasses import dataclass
from typing import Callable

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from . import heads, scales, style, wording
from .curvature_files import SHARPNESSES
from .errors import PlotError
from .hdf5 import CURVATURE
from .report_page import Section

WIDTH, SPECTRUM, SHARPNESS = 4.6, 2.3, 1.05  # inches: panels, and how high they are
BAR, MOST_BARS = 0.155, 25  # inches a bar; further modules are drawn as one
LINE = 0.2  # inches a line of words
MOST_ROWS = 30  # of eigenvalues, each with its name; more of them lie closer
GAP = 0.62  # inches between panels: the ticks and the label of the upper
BAND = 0.2  # opacity of an error band
KERNEL = 0.01  # the width of an eigenvalue in the density, as a share of the range
SPACE = 400  # points across the density
MATRICES = {"hessian": "Hessian", "gauss-newton": "Gauss-Newton matrix"}


# --- curvatures at one point -------------------------------------------------------------------------


@dataclass
class _Panel:
    height: float  # inches
    draw: Callable  # of axes


def draw_curvature(kind, files, options):
    """The parts that the file has, one above the other; of the other kinds one alone."""
    file = files[0]
    makes = {"spectrum": _spectrum, "modules": _modules, "eigenvalues": _eigenvalues}
    has = {"spectrum": file.density() is not None, "modules": file.modules is not None,
           "eigenvalues": len(file.largest) + len(file.smallest) > 0}
    if kind == "curvature":
        # The density marks the eigenvalues as well.
        kinds = [name for name in makes if has[name] and not (name == "eigenvalues" and has["spectrum"])]
    else:
        kinds = [kind]
        if not has[kind]:
            made = {"spectrum": "density of eigenvalues (made without --density)",
                    "modules": "trace by module (made without --by module)", "eigenvalues": "eigenvalues"}
            raise PlotError(f"{file.path} holds no {made[kind]}: leave --kind out")
    if not kinds:
        raise PlotError(f"{file.path} holds no eigenvalue, density or trace by module"
                        f"{'' if file.is_finished else ' yet'}: nothing to draw")
    notes, panels = [], []
    for name in kinds:
        panel, of_panel = makes[name](file, options)
        panels.append(panel)
        notes += of_panel
    what = {"spectrum": "Eigenvalues", "modules": "Trace by module", "eigenvalues": "Eigenvalues"}
    title = f"{what[kinds[0]] if len(kinds) == 1 else 'Curvature'}: {_matrix(file)} {wording.title('', file.settings).strip()}"
    mark = None if file.is_finished else "PARTIAL: not all of it is computed yet"
    head = heads.head(options, title.strip(), wording.joined(curvature_facts(file)[:3]), mark)
    of_rows = {"modules": lambda: _shown_modules(file)[0], "eigenvalues": lambda: _eigenvalue_names(file)}
    left = max([0.62, *(_names_width(of_rows[name]()) for name in kinds if name in of_rows)])
    return _stacked(head, notes, panels, left)


def _stacked(head, notes, panels, left):
    gap = style.ZOOM * GAP
    margins = style.Margins(left, 0.2, 0.47)
    body = (WIDTH, sum(panel.height for panel in panels) + gap * (len(panels) - 1))
    page = style.Page(head, notes, margins, body, stretch=True)
    room = (page.body[1] - gap * (len(panels) - 1)) / sum(panel.height for panel in panels)
    bottom = page.body[1]
    for panel in panels:
        bottom -= room * panel.height
        panel.draw(page.add_axes(page.rectangle(0.0, bottom, page.body[0], room * panel.height)))
        bottom -= gap
    return page.figure


def _matrix(file):
    return MATRICES.get(file.settings.get("operator"), "Hessian")


def curvature_facts(file):
    """What the numbers are of, and the numbers."""
    summary = file.summary
    words = wording.samples_word(file.settings)
    samples = file.settings.get("samples")
    split = wording.SPLITS.get(file.settings.get("split"), "")
    facts = [f"{wording.grouped(samples)} {split} {words}".replace("  ", " ")] if isinstance(samples, int) else []
    facts.append(f"{wording.grouped(file.size)} parameters")
    if (loss := _finite(summary.get("loss"))) is not None:
        facts.append(f"loss {scales.number(loss)}{_plus_minus(summary.get('loss_se'))}")
    trace = summary.get("trace")
    if isinstance(trace, dict) and _finite(trace.get("value")) is not None:
        facts.append(f"trace {scales.number(trace['value'])}{_plus_minus(trace.get('se_probes'), 'over probes')}"
                     f"{_plus_minus(trace.get('se_samples'), f'over {words}')}")
    for name, values, errors in (("largest", file.largest, file.largest_errors),
                                 ("smallest", file.smallest[-1:], file.smallest_errors[-1:])):
        if len(values):
            facts.append(f"{name} eigenvalue {scales.number(values[0])}{_plus_minus(errors[0], f'over {words}')}")
    threshold = _finite(summary.get("threshold"))
    for key, side, sign in (("above", "above", 1), ("below", "below", -1)):
        count = summary.get(key)
        if threshold is not None and isinstance(count, dict) and _finite(count.get("count")) is not None:
            facts.append(f"{count['count']:.0f}{_plus_minus(count.get('se_probes'))} eigenvalues {side} {scales.number(sign * threshold)}")
    return facts


def section_of(file, name="", called=None):
    """The file's part of a page, without its picture."""
    is_curvature = file.sort == CURVATURE
    return Section(name or os.path.basename(file.path), "curvature" if is_curvature else "sharpness", settings=file.settings,
                   provenance=file._json("provenance"), called=called or {}, summary=file.summary if is_curvature else {},
                   facts=curvature_facts(file) if is_curvature else sharpness_facts(file),
                   columns={"images": wording.evaluated_images(file)})


def _finite(value):
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value) else None


def _plus_minus(error, of=""):
    """' ± 12 over images'; '' where the error is 0 or unknown."""
    error = _finite(error)
    return f" ± {float(f'{error:.2g}'):g}{f' {of}' if of else ''}" if error else ""


def density(nodes, weights, at, width):
    """(mean, standard error) over the probes of the density at the points `at`: each node a Gaussian of that standard
    deviation. The error is NaN of a single probe."""
    kernels = np.exp(-0.5 * ((at[:, None, None] - nodes) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    each = (kernels * weights).sum(-1)  # [points, probes]
    if each.shape[1] == 1:
        return each[:, 0], np.full(len(at), np.nan)
    return each.mean(1), each.std(1, ddof=1) / np.sqrt(each.shape[1])


def _spectrum(file, options):
    nodes, weights = file.density()
    pairs = np.concatenate([file.largest, file.smallest])
    lowest, highest = min(nodes.min(), *pairs, 0.0), max(nodes.max(), *pairs, 0.0)
    width = KERNEL * (highest - lowest) or 1.0
    edges = options.xlim or (lowest - 4 * width, highest + 4 * width)
    at = np.linspace(*edges, SPACE)
    mean, error = density(nodes, weights, at, width)
    one = 1 / (max(file.size, 1) * width * np.sqrt(2 * np.pi))  # the height of an eigenvalue by itself
    floor = 0.2 * one

    def draw(ax):
        low, high = np.maximum(mean - error, floor), np.maximum(mean + error, floor)
        if np.isfinite(error).all():
            ax.fill_between(at, low, high, color=style.LOSS, alpha=BAND, linewidth=0, gid="density_band")
        ax.plot(at, np.maximum(mean, floor), color=style.LOSS, linewidth=1.4 * style.ZOOM, gid="density")
        ax.plot(pairs, np.full(len(pairs), one), linestyle="none", marker="|", markersize=7 * style.ZOOM,
                color=style.ACCURACY, markeredgewidth=1.4 * style.ZOOM, gid="eigenvalues", zorder=4)
        ax.set_yscale("log")
        ax.set_xlim(*edges)
        ax.set_ylim(floor, 3 * max(mean.max(), one))
        _plain(ax)
        scale = scales.Scale(True, *ax.get_ylim())
        values, texts = scale.ticks(6)
        ax.yaxis.set_major_locator(FixedLocator(values))
        ax.yaxis.set_major_formatter(FixedFormatter(texts))
        ax.yaxis.set_minor_locator(FixedLocator(scale.minor()))
        ax.yaxis.set_minor_formatter(NullFormatter())
        style.coordinate_ticks(ax.xaxis, *edges, 6)
        _label(ax, "eigenvalue λ", "density (log scale)")

    probes = nodes.shape[0]
    band = "" if probes == 1 else ", band: one standard error of their mean"
    notes = [f"density: mean of {wording.counted(probes, 'random probe')} of {nodes.shape[1]} Lanczos steps{band}",
             f"each eigenvalue as wide as {scales.number(width)}"]
    if len(pairs):
        notes.append("ticks: converged eigenvalues, at the height of one eigenvalue by itself")
    return _Panel(SPECTRUM, draw), notes + curvature_facts(file)[3:]


def _shown_modules(file):
    """(names, traces, errors) of the bars; the modules of the smallest traces as one where there are many."""
    names, traces, errors = file.modules
    if len(names) <= MOST_BARS:
        return names, traces, errors
    kept = np.sort(np.argsort(-np.abs(np.nan_to_num(traces)), kind="stable")[:MOST_BARS - 1])
    rest = np.setdiff1d(np.arange(len(names)), kept)
    return ([names[i] for i in kept] + [f"{len(rest)} others"], np.append(traces[kept], traces[rest].sum()),
            np.append(errors[kept], np.sqrt((errors[rest] ** 2).sum())))


def _shortened(name, most=26):
    return name if len(name) <= most else f"…{name[1 - most:]}"


def _names_width(names):
    """Inches left of rows with these names, at the text size of paper."""
    return 0.2 + max(style.text_width(_shortened(name), style.NOTE) for name in names) / style.ZOOM


def _modules(file, _):
    names, traces, errors = _shown_modules(file)

    def draw(ax):
        place = -np.arange(len(names), dtype=float)
        errors_shown = np.nan_to_num(errors)
        ax.barh(place, np.nan_to_num(traces), height=0.7, color=style.LOSS, gid="modules", zorder=2)
        ax.errorbar(np.nan_to_num(traces), place, xerr=errors_shown, fmt="none", ecolor=style.INK,
                    elinewidth=0.7 * style.ZOOM, capsize=0, zorder=3)
        ax.axvline(0.0, color=style.GREY, linewidth=0.6 * style.ZOOM, zorder=1)
        ax.set_ylim(place[-1] - 0.6, 0.6)
        _plain(ax, "x")
        ax.yaxis.set_major_locator(FixedLocator(place))
        ax.yaxis.set_major_formatter(FixedFormatter([_shortened(name) for name in names]))
        ax.tick_params(axis="y", length=0, labelsize=style.NOTE)
        style.coordinate_ticks(ax.xaxis, *ax.get_xlim(), 6)
        _label(ax, f"trace of the {_matrix(file)}", "")

    others = len(file.modules[0]) - MOST_BARS + 1
    notes = ["trace by module, in the network’s order; lines: one standard error over probes"]
    if others > 1:
        notes.append(f"the {others} modules of the smallest traces are one bar")
    return _Panel(BAR * len(names), draw), notes


def _eigenvalue_names(file):
    names = [wording.ordinal(number, "largest") for number in range(1, len(file.largest) + 1)]
    return names + [wording.ordinal(number, "smallest") for number in range(len(file.smallest), 0, -1)]


def _eigenvalues(file, options):
    values = np.concatenate([file.largest, file.smallest])
    errors = np.nan_to_num(np.concatenate([file.largest_errors, file.smallest_errors]))
    names = _eigenvalue_names(file)
    named = slice(0, None, -(-len(names) // MOST_ROWS))  # the rows that are named
    rows = min(len(names), MOST_ROWS)
    size = rows / len(names)

    def draw(ax):
        place = -np.arange(len(values), dtype=float)
        ax.hlines(place, 0.0, values, color=style.LOSS, linewidth=1.0 * style.ZOOM * size, zorder=2)
        ax.errorbar(values, place, xerr=errors, fmt="o", color=style.LOSS, markersize=4.0 * style.ZOOM * size**0.5,
                    elinewidth=0.7 * style.ZOOM, ecolor=style.INK, zorder=3)
        ax.axvline(0.0, color=style.GREY, linewidth=0.6 * style.ZOOM, zorder=1)
        ax.set_ylim(place[-1] - 0.6, 0.6)
        _plain(ax, "x")
        ax.yaxis.set_major_locator(FixedLocator(place[named]))
        ax.yaxis.set_major_formatter(FixedFormatter(names[named]))
        ax.tick_params(axis="y", length=0, labelsize=style.NOTE)
        if options.xlim:
            ax.set_xlim(*options.xlim)
        style.coordinate_ticks(ax.xaxis, *ax.get_xlim(), 6)
        _label(ax, f"eigenvalue of the {_matrix(file)}", "")

    notes = [f"lines: one standard error over {wording.samples_word(file.settings)}"] if errors.any() else []
    return _Panel(max(1.0, 0.22 * rows), draw), notes + curvature_facts(file)[3:]


def _plain(ax, along="both"):
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis=along, color=style.FAINT, linewidth=0.4 * style.ZOOM, zorder=0)
    ax.set_axisbelow(True)


def _label(ax, across, upwards):
    width, height = (side * inches for side, inches in zip(ax.get_position().size, ax.figure.get_size_inches()))
    across, upwards = style.broken(across, 1.1 * width), style.broken(upwards, 1.15 * height)
    ax.set_xlabel(across, labelpad=3 * style.ZOOM, fontsize=style.fitting(across, 1.1 * width))
    ax.set_ylabel(upwards, labelpad=4 * style.ZOOM, fontsize=style.fitting(upwards, 1.15 * height))


# --- sharpness ---------------------------------------------------------------------------------------


def draw_sharpness(_, files, options):
    """A panel for each number: over the epochs or steps of a run, else a dot for each checkpoint."""
    file = files[0]
    if options.field and options.field not in file.names:
        raise PlotError(f"no value '{options.field}' in {file.path} (it holds {', '.join(file.names)})")
    names = [options.field] if options.field else file.names
    along = file.along()
    which = "along training " if along else "of checkpoints " if len(file.checkpoints) > 1 else ""
    title = f"Sharpness {which}{wording.title('', file.settings).strip()}"
    head = heads.head(options, title.strip(), wording.joined(sharpness_facts(file)))
    notes = [f"{'bands' if along else 'lines'}: one standard error"] if any(np.nan_to_num(_error(file, name)).any() for name in names) else []
    if len(file.checkpoints) == 1:
        return _stacked(head, [], [_Panel(LINE * len(names), lambda ax: _numbers(ax, file, names))], 0.1)
    columns = 1 if len(names) < 3 else 2
    rows = -(-len(names) // columns)
    labels = [_shortened(name) for name in file.checkpoints]
    left = 0.62 if along else 0.2 + max(style.text_width(label, style.NOTE) for label in labels) / style.ZOOM
    height = SHARPNESS if along else max(0.6, BAR * len(labels) + 0.1)
    wide, gap = style.ZOOM * (0.68 if along else 0.3), style.ZOOM * (0.12 if along else 0.28)
    above = style.ZOOM * 0.2  # the title of a panel
    body = (WIDTH if columns == 1 else 1.45 * WIDTH, rows * (height + above) + gap * (rows - 1))
    page = style.Page(head, notes, style.Margins(left, 0.2, 0.47), body, stretch=True)
    width, tall = (page.body[0] - wide * (columns - 1)) / columns, (page.body[1] - gap * (rows - 1)) / rows - above
    for number, name in enumerate(names):
        row, column = number % rows, number // rows
        ax = page.add_axes(page.rectangle(column * (width + wide), (rows - 1 - row) * (tall + above + gap), width, tall))
        if along:
            _over_training(ax, file, name, along, is_last=row == rows - 1 or number == len(names) - 1)
        else:
            _by_checkpoint(ax, file, name, labels if column == 0 else None)
    return page.figure


def sharpness_facts(file):
    facts = [wording.counted(len(file.checkpoints), "checkpoint")]
    samples = file.settings.get("samples")
    if isinstance(samples, int):
        split = wording.SPLITS.get(file.settings.get("split"), "")
        facts.append(f"{wording.grouped(samples)} {split} {wording.samples_word(file.settings)}")
    return facts


def _error(file, name):
    return file.column(f"{name}_se")


def _title(ax, name):
    ax.set_title(SHARPNESSES[name], fontsize=style.TICK, loc="left", pad=3 * style.ZOOM, color=style.INK)


def _numbers(ax, file, names):
    """Of a single checkpoint: nothing to compare, so the numbers in words."""
    ax.set_axis_off()
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    for row, name in enumerate(names):
        value, error = file.column(name)[0], _error(file, name)[0]
        ax.text(0, row, SHARPNESSES[name], va="center", fontsize=style.LABEL, color=style.INK)
        ax.text(0.62, row, f"{scales.number(value)}{_plus_minus(error)}", va="center", fontsize=style.LABEL, color=style.INK, gid=name)


def _over_training(ax, file, name, along, is_last):
    unit, at = along
    order = np.argsort(at)
    x, values, error = at[order], file.column(name)[order], np.nan_to_num(_error(file, name)[order])
    color = style.LOSS if name in ("loss", "accuracy") else style.INK
    if error.any():
        ax.fill_between(x, values - error, values + error, color=color, alpha=BAND, linewidth=0, gid=f"{name}_band")
    ax.plot(x, values, color=color, linewidth=1.3 * style.ZOOM, marker="o" if len(x) <= 30 else None,
            markersize=2.6 * style.ZOOM, markeredgewidth=0, gid=name)
    _plain(ax)
    _title(ax, name)
    scale = scales.choose(values, name, None)
    if scale.log:
        ax.set_yscale("log")
    low, high = ax.get_ylim()
    drawn = scales.Scale(scale.log, low, high)
    ticks, texts = drawn.ticks(4)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FixedFormatter(texts))
    ax.yaxis.set_minor_locator(FixedLocator(drawn.minor() if scale.log else []))
    ax.yaxis.set_minor_formatter(NullFormatter())
    style.coordinate_ticks(ax.xaxis, *ax.get_xlim(), 6, whole=True)
    ax.tick_params(labelbottom=is_last)
    if is_last:
        ax.set_xlabel(unit, labelpad=3 * style.ZOOM, fontsize=style.LABEL)


def _by_checkpoint(ax, file, name, labels):
    values, error = file.column(name), np.nan_to_num(_error(file, name))
    place = -np.arange(len(values), dtype=float)
    ax.errorbar(values, place, xerr=error, fmt="o", color=style.LOSS, ecolor=style.INK, markersize=4.0 * style.ZOOM,
                elinewidth=0.7 * style.ZOOM, gid=name)
    low, high = np.nanmin([values - error, 0 * values]), np.nanmax([values + error, 0 * values])
    room = 0.05 * (high - low) or 1.0
    ax.set_xlim(low - room, high + room)  # dots are read against 0
    ax.axvline(0.0, color=style.GREY, linewidth=0.6 * style.ZOOM, zorder=1)
    ax.set_ylim(place[-1] - 0.6, 0.6)
    _plain(ax)
    _title(ax, name)
    ax.yaxis.set_major_locator(FixedLocator(place))
    ax.yaxis.set_major_formatter(FixedFormatter(labels or [""] * len(place)))
    ax.tick_params(axis="y", length=0, labelsize=style.NOTE)
    style.coordinate_ticks(ax.xaxis, *ax.get_xlim(), 4)
