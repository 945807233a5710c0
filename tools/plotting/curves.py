"""Curves: losses and accuracies along a line, and over the epochs of a training run."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from . import points, scales, style, wording
from .errors import PlotError

WIDTH, HEIGHT, GAP = 4.3, 1.75, 0.14  # inches: a panel, and the room between two


OPTIMIZERS = {"sgd": "SGD", "adagrad": "AdaGrad", "adam": "Adam", "rmsprop": "RMSprop"}


def draw_line(path, settings, x, fields, head, axis_label, log=None, limits=(None, None), notes=()):
    """Losses above, accuracies below, over the coordinate `x` [nx]. `fields` are of that shape."""
    if x[0] > x[-1]:
        x, fields = x[::-1], [field.changed(lambda array: array[::-1]) for field in fields]
    curves = {field.name: field.values for field in fields}
    panels = _panels(path, curves, settings, log, limits)
    notes = list(notes) + _line_notes(fields) + _scale_notes(panels)
    bad = np.any([field.nonfinite for field in fields], axis=0)
    page, axes = _page(head, notes, panels)
    for ax, panel in zip(axes, panels):
        _draw(ax, panel, x, ax is axes[0])
        for value in x[bad]:
            ax.axvline(value, color=style.NONFINITE, linewidth=1.2, zorder=0, gid="nonfinite")
        if x[0] <= 0.0 <= x[-1]:
            ax.axvline(0.0, color=style.GREY, linewidth=0.6, dashes=(4, 3), zorder=0.5, gid="center")
        ax.set_xlim(x[0], x[-1])
        style.coordinate_ticks(ax.xaxis, x[0], x[-1], 6)
    _finish(axes, axis_label, page.body[0])
    return page.figure


def draw_history(history, names, head, log=None, limits=(None, None)):
    """Losses above, accuracies below, over the epochs; epoch 0 is before training."""
    curves = {name: history.values(name) for name in names}
    panels = _panels(history.path, curves, history.settings, log, limits)
    page, axes = _page(head, _scale_notes(panels), panels)
    epoch = history.epoch
    low, high = float(np.nanmin(epoch)), float(np.nanmax(epoch))
    pad = 0.015 * (high - low) or 0.5
    for ax, panel in zip(axes, panels):
        _draw(ax, panel, epoch, ax is axes[0])
        ax.set_xlim(low - pad, high + pad)
        style.coordinate_ticks(ax.xaxis, low, high, min(8, max(1, int(high - low))))
    _finish(axes, "epoch", page.body[0])
    return page.figure


def history_subtitle(history):
    """The run's facts, and where it ended."""
    settings, facts = history.settings, []
    for key, form in (("optimizer", "{}"), ("lr", "learning rate {}"), ("batch_size", "batch {}"),
                      ("weight_decay", "weight decay {}"), ("seed", "seed {}")):
        value = settings.get(key)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            facts.append(form.format(OPTIMIZERS.get(value, value)))
    facts.append(f"{len(history.epoch) - 1} epochs" if len(history.epoch) != 2 else "1 epoch")
    if "test_acc" in history.names:
        accuracy = history.values("test_acc")
        if np.isfinite(accuracy[-1]):
            facts.append(f"final test accuracy {accuracy[-1]:.2f} %")
    return wording.joined(facts)


class _Panel:
    """Curves with one value axis: all losses, or all accuracies, or one other value."""

    def __init__(self, name, curves, settings, log, limits):
        self.curves = curves
        together = np.concatenate(list(curves.values()))
        self.scale = scales.choose(together, name, log, *limits)
        split, _, what = name.rpartition("_")
        if len(curves) > 1:
            label = {"loss": "loss" + wording.loss_unit(settings), "acc": "accuracy (%)",
                     "err": "error (%)"}.get(what, what)
        else:
            label = wording.value_label(name, settings)
        self.name = label.partition(" (")[0]
        self.label = wording.on_log_scale(label) if self.scale.log else label
        self.percent = wording.is_percent(name)
        self.limited = limits != (None, None)


def _panels(path, curves, settings, log, limits):
    groups = {}
    for name, values in curves.items():
        if np.isfinite(values).any():
            groups.setdefault(name.rpartition("_")[2] or name, {})[name] = values
    if not groups:
        raise PlotError(f"{path} has no evaluated point with a finite value: nothing to draw")
    panels = []
    for what, group in groups.items():
        # --log and the limits are about losses; a single other value is what was asked for.
        asked = what == "loss" or len(groups) == 1
        panels.append(_Panel(next(iter(group)), group, settings, log if asked else False,
                             limits if asked else (None, None)))
    return panels


def _line_notes(fields):
    """Each note once: the values of a line share their mask."""
    return list(dict.fromkeys(note for field in fields for note in points.notes(field)))


def _scale_notes(panels):
    return [f"{panel.name}: {note}" if len(panels) > 1 else note
            for panel in panels for note in panel.scale.notes]


def _page(head, notes, panels):
    count = len(panels)
    height = 2.6 if count == 1 else HEIGHT
    narrow = head.size is not None and head.size[0] < 3.8
    margins = style.Margins(0.84, 0.2, 0.61 if narrow else 0.47)
    page = style.Page(head, notes, margins, (WIDTH, count * height + (count - 1) * GAP), stretch=True)
    each = (page.body[1] - (count - 1) * GAP) / count
    axes = [
        page.figure.add_axes(page.rectangle(0.0, (count - 1 - i) * (each + GAP), page.body[0], each))
        for i in range(count)
    ]
    return page, axes


def _draw(ax, panel, x, legend):
    """Draws the curves of one panel; `legend` only in the first, the colours being the same."""
    length = ax.get_position().height * ax.figure.get_figheight()
    handles = []
    for name, values in panel.curves.items():
        split = name.partition("_")[0]
        color = style.TRAIN_TEST.get(split, style.INK)
        markers = len(x) <= 30 or _has_lone_points(values)
        look = dict(color=color, linewidth=1.4, dashes=(4, 1.6) if split == "test" else (None, None),
                    marker="o" if markers else None, markersize=2.6, markeredgewidth=0)
        ax.plot(x, values, zorder=3, gid=name, **look)
        handles.append(Line2D([], [], label=wording.SPLITS.get(split, name), **look))
    _value_axis(ax, panel)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(color=style.FAINT, linewidth=0.4, zorder=0)
    ax.set_axisbelow(True)
    ax.set_ylabel(style.broken(panel.label, 1.15 * length), labelpad=4)
    if legend and len(handles) > 1:
        ax.legend(handles=handles, frameon=False, fontsize=style.TICK, loc="best", handlelength=2.4,
                  borderaxespad=0.3, labelspacing=0.3)


def _has_lone_points(values):
    """Whether some value has none beside it, so that no line would show it."""
    finite = np.pad(np.isfinite(values), 1)
    return bool((finite[1:-1] & ~finite[:-2] & ~finite[2:]).any())


def _value_axis(ax, panel):
    scale = panel.scale
    lo, hi = scale.lo, scale.hi
    if scale.log:
        ax.set_yscale("log")
        pad = (hi / lo) ** 0.04
        ax.set_ylim(lo / (1.0 if scale.cut_low else pad), hi * (1.0 if scale.cut_high else pad))
    else:
        pad = 0.05 * (hi - lo)
        if not panel.percent and not panel.limited and lo >= 0 and lo < 0.25 * hi:
            lo, low_pad = 0.0, 0.0  # a loss near zero is read against zero
        else:
            low_pad = 0.0 if scale.cut_low else pad
        ax.set_ylim(lo - low_pad, hi + (0.0 if scale.cut_high else pad))
    drawn = scales.Scale(scale.log, *ax.get_ylim())
    values, texts = drawn.ticks(6)
    if panel.percent:
        kept = [(v, t) for v, t in zip(values, texts) if 0 <= v <= 100]
        values, texts = [v for v, _ in kept], [t for _, t in kept]
    ax.yaxis.set_major_locator(FixedLocator(values))
    ax.yaxis.set_major_formatter(FixedFormatter(texts))
    ax.yaxis.set_minor_locator(FixedLocator(drawn.minor()))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="y", which="minor", length=1.6, width=0.45)


def _finish(axes, label, width):
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel(style.broken(label, 1.1 * width), labelpad=4)
    axes[0].figure.align_ylabels(axes)
