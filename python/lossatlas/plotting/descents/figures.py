"""The figures of descents."""

import numpy as np

from .. import heads
from ..errors import PlotError
from . import panels, solid, stage, steps, words


def usual_kind(file):
    return "panels" if file.variables == 1 and len(words.rules(file.descents)) > 1 else "paths"


def head_of(file, kind, options):
    return heads.head(options, words.title(file, kind), words.subtitle(file))


def draw_file(kind, files, options):
    file, head = files[0], head_of(files[0], kind, options)
    if kind == "surface":
        return solid.draw(file, head, options.look)
    return draw(kind, file, head, options.look)


def draw(kind, file, head, look):
    if not np.isfinite(file.field.values).any():
        raise PlotError(f"{file.path}: the function has no finite value in the range that is drawn")
    if kind in ("steps", "rates") and not file.descents:
        raise PlotError(f"{file.path} holds no descents (made without --from): there are no {kind} to draw")
    if kind == "steps":
        return steps.draw(file, head, look)
    if kind == "rates":
        return steps.draw_rates(file, head)
    if kind == "panels":
        return panels.draw(file, head, look)
    return stage.draw(file, head, look)
