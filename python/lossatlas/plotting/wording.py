"""What the figures say: titles, axis labels, notes. Everything in a settings record is optional."""

import os
import re

# name of a value's part -> as read in a label
SPLITS = {"train": "training", "test": "test", "val": "validation"}
LOSSES = {"cross-entropy": "mean cross-entropy", "mse": "mean squared error", "next-token": "mean cross-entropy",
          "l1": "mean absolute error", "huber": "Huber loss", "bce-with-logits": "mean binary cross-entropy", "function": ""}
NORMALIZATIONS = {
    "filter": "filter-normalized",
    "column": "column-normalized",
    "head": "head-normalized",
    "layer": "layer-normalized",
    "weight": "weight-normalized",
    "none": "not normalized",
    "dfilter": "filters of unit norm",
    "dlayer": "layers of unit norm",
}
OPTIMIZERS = {"sgd": "SGD", "adagrad": "AdaGrad", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop",
              "momentum": "SGD with momentum", "nesterov": "Nesterov", "gd": "gradient descent"}
EIGENVALUES = {"min_eig": "smallest Hessian eigenvalue", "max_eig": "largest Hessian eigenvalue", "eig_ratio": "|λmin/λmax| of the Hessian",
               "min_eig_residual": "residual of the smallest eigenvalue", "max_eig_residual": "residual of the largest eigenvalue"}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
SEPARATOR = " · "


def _known(settings, key):
    """A setting as text, '' when absent or not a plain word or number."""
    value = settings.get(key)
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


# What a dataset of ours says: 'train_loss_class_3' is the loss, of class 3
NAME = re.compile(r"(train|test|val)_(loss|acc|err|images)(?:_(se|error|spread|top5|class_(\d+)))?")
SCALE_TRACE = re.compile(r"(train|test)_scale_trace")
UNITS = {"percent": "%"}
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
    if traced := SCALE_TRACE.fullmatch(name):
        return f"{SPLITS[traced[1]]} curvature, trace at scale h"
    split, quantity, of, number = _parts(name)
    if not split:
        return name
    if quantity == "images":
        return f"{SPLITS[split]} {samples_word(settings or {})} evaluated"
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


def value_label(name, settings, unit=""):
    """The label of an axis or colour bar: what is shown, and its unit; `unit`: what the file says of it."""
    label = short_label(name, settings)
    if name == "l2":
        weight_decay = _known(settings, "l2")
        return f"{label} λ/2 ‖θ‖²" + (f" (λ = {weight_decay})" if weight_decay else "")
    if SCALE_TRACE.fullmatch(name) and isinstance(settings.get("scale_step"), float):
        return f"{label} = {settings['scale_step']:.3g}"
    _, quantity, of, _ = _parts(name)
    if is_percent(name):
        return f"{label} (%)"
    if quantity == "images":
        return f"{label} (per point)"
    if quantity in ("acc", "err"):
        return f"{label} (percentage points)"
    if of == "error":
        return f"{label}, half-width at 95 %{loss_unit(settings)}"
    if quantity == "loss" or name.endswith("_loss"):
        return f"{label}{loss_unit(settings)}"
    return f"{label} ({UNITS.get(unit, unit)})" if unit else label


def loss_unit(settings):
    loss = _known(settings, "loss")
    named = LOSSES.get(loss, loss)
    return f" ({named})" if named else ""


def axis_label(number, settings, share=None, unit=None, stated=""):
    """`number` is that of the axis, counted from 1, or 0 for the one direction of a line.

    `share` is the part of the variance that a principal component explains, `unit` the length of
    direction 1; None: not such a plane, or not known. `stated` is what the file says of the axis.
    """
    variables = settings.get("variables")  # of a function: its own names
    if isinstance(variables, list) and len(variables) >= number:
        return str(variables[max(number - 1, 0)])
    if share is not None:
        return f"{ORDINALS[number - 1]} principal component ({100 * share:.3g} % of variance)"
    if stated and not stated.startswith("multiples of"):
        return stated
    which = f"direction {number}" if number else "the direction"
    if unit is not None:
        return f"multiples of {which} (1 is a distance of {unit:.3g})"
    normalization = _known(settings, "normalization")
    named = normalization and _known(settings, "plane") in ("", "random")
    unit = f" ({NORMALIZATIONS.get(normalization, normalization)})" if named else ""
    return f"multiples of {which}{unit}"


def on_log_scale(label):
    """'training loss (mean cross-entropy)' -> 'training loss, log scale (mean cross-entropy)'"""
    what, bracket, unit = label.partition(" (")
    return f"{what}, log scale{bracket}{unit}"


def nonfinite(value):
    """What a value that is no finite number is called."""
    return {float("inf"): "+inf", float("-inf"): "-inf"}.get(value, "not a number (nan)")


def tell_apart(paths):
    """Of each path the last parts that tell it from the others: 'epoch-0004', or 'sgd/epoch-0004' beside another run's."""
    parts = [os.path.abspath(path).strip(os.sep).split(os.sep) for path in paths]

    def shortest(own):
        others = [each for each in parts if each != own]
        ends = (own[-count:] for count in range(1, len(own)))
        return next((end for end in ends if all(each[-len(end):] != end for each in others)), own)

    return ["/".join(shortest(own)) for own in parts]


def capital(text):
    return text[:1].upper() + text[1:]


def title(what, *settings):
    """'Training loss of resnet18 on cifar10', as much of it as is known of all `settings` alike."""
    arch, data = (_common([known(each) for each in settings])
                  for known in (lambda each: _known(each, "arch"), data_name))
    return capital(what) + (f" of {arch}" if arch else "") + (f" on {data}" if data else "")


def _common(texts):
    return texts[0] if len(set(texts)) == 1 else ""


def samples_word(settings):
    """What the samples are called: those of a problem file may be anything."""
    return "samples" if "problem" in settings else "images"


def data_name(settings):
    """'cifar10:/some/dir' -> 'cifar10'; for a user's own data the name of the file or folder."""
    problem = settings.get("problem")
    if isinstance(problem, dict) and isinstance(problem.get("file"), str):
        return os.path.splitext(problem["file"])[0]
    kind, _, rest = _known(settings, "data").partition(":")
    if kind in ("images", "hdf5") and rest:
        return os.path.basename(rest.rstrip("/")) or kind
    return kind


def facts(file, each=False, name=""):
    """What a reader needs to trust or repeat a figure of this file; `each`: it is about each of the draws;
    `name`: it is of that value alone."""
    settings, found = file.settings, [evaluated_images(file, name.partition("_")[0])]
    normalization, plane = _known(settings, "normalization"), _known(settings, "plane")
    if normalization and plane in ("", "random"):
        found.append(f"{NORMALIZATIONS.get(normalization, normalization)} directions")
    if plane and plane != "random":
        named = _eigen(settings) if plane == "eigen" else PLANES.get(plane, f"plane {plane if len(plane) <= 40 else plane.partition(':')[0]}")
        found.append(named.replace("plane", "line" if file.y is None else "space" if len(file.axes) > 2 else "plane"))
    if _known(settings, "curve") and file.y is None:
        bends = settings.get("bends")
        known = isinstance(bends, int) and not isinstance(bends, bool)
        curve = _known(settings, "curve")
        found.append(f"{CURVES.get(curve, curve)} curve"
                     + (f" of {bends} bend{'' if bends == 1 else 's'}" if known else ""))
    if isinstance(settings.get("parameters"), list) and settings["parameters"]:
        found.append(f"only {', '.join(map(str, settings['parameters']))}")
    if _known(settings, "seed") and plane in ("", "random"):
        found.append(f"seed {_known(settings, 'seed')}")
    if _known(settings, "bn") == "recalibrate":
        found.append("batch norm recalibrated")
    elif _known(settings, "bn") == "stored" and _is_between_networks(settings):
        found.append("batch norm as stored")
    draws = 1 if each else file.draws
    if draws > 1:
        found.append(f"mean of {draws} {file.DRAWS}" if file.draw is None else f"draw {file.draw} of {draws}")
    for key in ("tolerance", "budget", "shard"):
        if _known(settings, key):
            found.append(f"{key} {_known(settings, key)}")
    found = list(filter(None, found)) or [os.path.basename(file.path)]
    if file.slice:
        found.append(f"slice at {file.slice}")
    return found + [" × ".join(grouped(n) for n in reversed(file.shape)) + " points"]


def _eigen(settings):
    """'plane of the eigenvectors of the 1st and 2nd largest eigenvalue, 391.2 and 324.6'"""
    places, values = settings.get("eigen"), settings.get("eigenvalues")
    if not (isinstance(places, list) and isinstance(values, list) and len(places) == len(values)):
        return "plane of eigenvectors of the Hessian"
    names = [ordinal(abs(place), "largest" if place > 0 else "smallest") for place in places]
    numbers = [f"{value:.4g}".replace("-", "\N{MINUS SIGN}") for value in values]
    return (f"plane of the eigenvector{'s' * (len(names) > 1)} of the {' and '.join(names)} Hessian eigenvalue,"
            f" {' and '.join(numbers)}")


def ordinal(number, end):
    """'largest', '2nd largest'"""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return end if number == 1 else f"{number}{suffix} {end}"


def _is_between_networks(settings):
    """Whether the points lie between several networks that have batch norm, as far as that is known."""
    between = _known(settings, "plane") in ("points", "pca", "curve", "path") or "runs" in settings
    return between and _known(settings, "bn_layers") not in ("", "0")


PLANES = {"pca": "plane of the two principal components", "points": "plane through checkpoints",
          "file": "directions from a file", "curve": "", "path": ""}
CURVES = {"bezier": "Bezier", "polygon": "polygonal"}


def evaluated_images(file, only=""):
    """'5000 training and 1000 test images', '' where it is not known; of the split `only`, where it is one."""
    counts = {split: file.sample_count(split) for split in SPLITS}
    counts = {split: count for split, count in counts.items() if count}
    counts = {only: counts[only]} if only in counts else counts
    samples = file.settings.get("samples")
    if not counts and isinstance(samples, int) and not isinstance(samples, bool) and samples > 0:
        counts = {_known(file.settings, "split"): samples}
    named = [f"{grouped(count)} {SPLITS.get(split, '')}".strip() for split, count in counts.items()]
    return f"{' and '.join(named)} {samples_word(file.settings)}" if named else ""


def subtitle(file, each=False, name=""):
    """The facts on one line."""
    return joined(facts(file, each, name))


def apart(all_facts):
    """(the facts that all lists have, the rest of each list)."""
    common = [fact for fact in all_facts[0] if all(fact in each for each in all_facts)]
    return common, [[fact for fact in each if fact not in common] for each in all_facts]


def caption(head, notes):
    """All that stands above and below a drawing, as running text."""
    texts = [head.title, head.mark, head.subtitle, joined(notes), joined(head.numbers)]
    return ". ".join(filter(None, texts)).replace("\N{NO-BREAK SPACE}", " ")


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
