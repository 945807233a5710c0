"""What is said of descents on functions."""

import re

import numpy as np

from .. import scales, wording

OPTIMIZERS = {"gd": "gradient descent", "sgd": "SGD", "momentum": "momentum", "nesterov": "Nesterov momentum",
              "adagrad": "AdaGrad", "rmsprop": "RMSProp", "adam": "Adam", "adamw": "AdamW"}


def title(file, kind):
    every = rules(file.descents)
    what = {"rates": "Effective learning rates", "steps": "Step by step:"}.get(kind, "")
    names = list(dict.fromkeys(optimizer(d) for d in file.descents))
    if not names:
        parts = ["tangent"] if file.variables == 1 else ["gradient", "tangent plane"][: 2 if kind == "surface" else 1]
        who = " and ".join(part + "s" * (len(file.tangents) > 1) for part in parts) + " of"
    else:
        who = names[0] if len(names) == 1 else f"{len(names)} optimizers"
        who += f" at {len(every)} rates" if len(names) == 1 and len(every) > 1 else ""
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


def rules(descents):
    """The optimizers with their rates, in order."""
    return list(dict.fromkeys(descent.rule for descent in descents))


def optimizer(descent):
    name = OPTIMIZERS.get(descent.optimizer, descent.optimizer)
    return name.replace("descent", "ascent") if descent.ascend else name


def ending(descent):
    """'20 steps' and how it ended, where that is not simply the last step."""
    steps = wording.counted(descent.steps, "step")
    return {"converged": f"converged after {steps}", "diverged": f"diverged after {steps}",
            "undefined": f"left the function’s domain after {steps}", "interrupted": f"interrupted after {steps}"}.get(descent.end, steps)


def label_of(descent):
    return re.sub(r"(?<=[ (])-(?=\d)", "\N{MINUS SIGN}", descent.label)


def about(descent):
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
