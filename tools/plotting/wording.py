"""What the figures say: titles, axis labels, notes. Everything in a settings record is optional."""

import os

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


def is_percent(name):
    return name.endswith(("_acc", "_err"))


def short_label(name):
    """'train_loss' -> 'training loss'; names that are not ours stay as they are."""
    if name in EIGENVALUES:
        return EIGENVALUES[name]
    split, _, what = name.rpartition("_")
    what = {"loss": "loss", "acc": "accuracy", "err": "error"}.get(what)
    if split not in SPLITS or what is None:
        return name
    return f"{SPLITS[split]} {what}"


def value_label(name, settings):
    """The label of an axis or colour bar: what is shown, and its unit."""
    label = short_label(name)
    if is_percent(name):
        return f"{label} (%)"
    if name.endswith("_loss"):
        return f"{label}{loss_unit(settings)}"
    return label


def loss_unit(settings):
    loss = _known(settings, "loss")
    return f" ({LOSSES.get(loss, loss)})" if loss else ""


def axis_label(number, settings):
    """`number` is 1 or 2 in a plane, 0 for the one direction of a line."""
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


def subtitle(settings, shape, path):
    """The facts a reader needs to trust or repeat the figure. `shape` is [ny, nx] or [nx]."""
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


def point_notes(field):
    """Notes on the points that are not plain values: the reader must not take them for such."""
    notes = []
    blank, bad = (int(mask.sum()) for mask in (field.blank, field.nonfinite))
    if blank:
        notes.append(f"{_points(blank)} not evaluated (blank)")
    if bad:
        notes.append(f"{_points(bad)} evaluated but not finite (pink)")
    if field.reconstructed:
        notes.append(f"{_points(field.reconstructed)} reconstructed from the others")
    return notes


def _points(count):
    return f"{grouped(count)} point" + ("" if count == 1 else "s")
