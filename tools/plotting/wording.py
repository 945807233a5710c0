"""What the figures say: titles, axis labels, notes. Everything in a settings record is optional."""

import os
import re

# name of a value's part -> as read in a label
SPLITS = {"train": "training", "test": "test", "val": "validation"}
LOSSES = {"cross-entropy": "mean cross-entropy", "mse": "mean squared error"}
NORMALIZATIONS = {
    "filter": "filter-normalized",
    "layer": "layer-normalized",
    "weight": "weight-normalized",
    "none": "not normalized",
    "dfilter": "filters of unit norm",
    "dlayer": "layers of unit norm",
}
EIGENVALUES = {"min_eig": "smallest Hessian eigenvalue", "max_eig": "largest Hessian eigenvalue"}
SEPARATOR = " · "


def _known(settings, key):
    """A setting as text, '' when absent or not a plain word or number."""
    value = settings.get(key)
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


# What a dataset of ours says: 'train_loss_class_3' is the loss, of class 3
NAME = re.compile(r"(train|test|val)_(loss|acc|err|images)(?:_(se|error|spread|top5|class_(\d+)))?")
QUANTITIES = {"loss": "loss", "acc": "accuracy", "err": "error"}


def _parts(name):
    """(split, quantity, what of it, class) of a name of ours; four empty texts for another."""
    match = NAME.fullmatch(name)
    return tuple(part or "" for part in match.groups()) if match else ("", "", "", "")


def is_percent(name):
    """Whether the value is a share of the images, from 0 to 100."""
    split, quantity, of, _ = _parts(name)
    return name.endswith(("_acc", "_err")) or (quantity in ("acc", "err") and of in ("", "top5"))


def short_label(name, settings=None):
    """'train_loss' -> 'training loss'; names that are not ours stay as they are."""
    if name in EIGENVALUES:
        return EIGENVALUES[name]
    if name == "l2":
        return "L2 term"
    split, quantity, of, number = _parts(name)
    if not split:
        return name
    if quantity == "images":
        return f"{SPLITS[split]} images evaluated"
    what = f"{SPLITS[split]} {QUANTITIES[quantity]}"
    if number:
        return f"{what} of class {number}"
    if of == "top5":
        return f"{SPLITS[split]} top-5 {QUANTITIES[quantity]}"
    return {
        "se": f"standard error of {what}",
        "error": f"stated error of {what}",
        "spread": f"standard deviation of {what}{over_draws(settings or {})}",
    }.get(of, what)


def over_draws(settings):
    draws = settings.get("repeat")
    return f" over {draws} draws" if isinstance(draws, int) and draws > 1 else ""


def value_label(name, settings):
    """The label of an axis or colour bar: what is shown, and its unit."""
    label = short_label(name, settings)
    if name == "l2":
        weight_decay = _known(settings, "l2")
        return f"{label} λ/2 ‖θ‖²" + (f" (λ = {weight_decay})" if weight_decay else "")
    _, quantity, of, _ = _parts(name)
    if is_percent(name):
        return f"{label} (%)"
    if quantity == "images":
        return f"{label} (a point)"
    if quantity in ("acc", "err"):
        return f"{label} (percentage points)"
    if of == "error":
        return f"{label}, half-width at 95 %{loss_unit(settings)}"
    if quantity == "loss" or name.endswith("_loss"):
        return f"{label}{loss_unit(settings)}"
    return label


def loss_unit(settings):
    loss = _known(settings, "loss")
    return f" ({LOSSES.get(loss, loss)})" if loss else ""


def axis_label(number, settings):
    """`number` is 1 or 2 in a plane, 0 for the one direction of a line."""
    variables = settings.get("variables")  # of a function: its own names
    if isinstance(variables, list) and len(variables) >= number:
        return str(variables[max(number - 1, 0)])
    which = f"direction {number}" if number else "the direction"
    normalization = _known(settings, "normalization")
    unit = f" ({NORMALIZATIONS.get(normalization, normalization)})" if normalization else ""
    return f"multiples of {which}{unit}"


def on_log_scale(label):
    """'training loss (mean cross-entropy)' -> 'training loss, log scale (mean cross-entropy)'"""
    what, bracket, unit = label.partition(" (")
    return f"{what}, log scale{bracket}{unit}"


def capital(text):
    return text[:1].upper() + text[1:]


def title(what, settings):
    """'Training loss of resnet18 on cifar10', as much of it as is known."""
    arch, data = _known(settings, "arch"), data_name(settings)
    return capital(what) + (f" of {arch}" if arch else "") + (f" on {data}" if data else "")


def data_name(settings):
    """'cifar10:/some/dir' -> 'cifar10'; for a user's own data the name of the file or folder."""
    kind, _, rest = _known(settings, "data").partition(":")
    if kind in ("images", "hdf5") and rest:
        return os.path.basename(rest.rstrip("/")) or kind
    return kind


def subtitle(settings, shape, path, draws=1, draw=None):
    """The facts a reader needs to trust or repeat the figure. `shape` is [ny, nx] or [nx].

    Of several `draws` of directions, `draw` is the one shown; None: their mean.
    """
    facts = []
    samples = settings.get("samples")
    if isinstance(samples, int) and samples > 0:
        split = SPLITS.get(_known(settings, "split"), "")
        facts.append(f"{grouped(samples)} {split} images".replace("  ", " "))
    normalization = _known(settings, "normalization")
    plane = _known(settings, "plane")
    if normalization:
        facts.append(f"{NORMALIZATIONS.get(normalization, normalization)} directions")
    if plane and plane != "random":
        facts.append(f"plane {plane if len(plane) <= 40 else plane.partition(':')[0]}")
    if _known(settings, "seed"):
        facts.append(f"seed {_known(settings, 'seed')}")
    if draws > 1:
        facts.append(f"mean of {draws} draws" if draw is None else f"draw {draw} of {draws}")
    for key in ("tolerance", "budget"):
        if _known(settings, key):
            facts.append(f"{key} {_known(settings, key)}")
    if not facts:
        facts.append(os.path.basename(path))
    facts.append(" × ".join(grouped(n) for n in reversed(shape)) + " points")
    return joined(facts)


def joined(facts):
    """Facts on one line, to be broken between them and not within."""
    return SEPARATOR.join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts)


def grouped(number):
    """12345 -> '12 345', with narrow no-break spaces."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if number > 9999 else str(number)


def partial(done, total):
    """What stands above a picture that is not all evaluated."""
    return f"PARTIAL: {grouped(done)} of {points(total)} evaluated"


def points(count):
    return counted(count, "point")


def counted(count, what):
    return f"{grouped(count)} {what}" + ("" if count == 1 else "s")
