"""What stands above and below the figures of the files: titles, facts, names, numbers."""

import os

from . import run_files, style, summary, wording
from .hdf5 import CURVE
from .messages import say


def head(options, title, subtitle, mark=None, numbers=()):
    title = title if options.title is None else options.title
    return style.Head(title, subtitle, options.size, mark, numbers, options.caption, options.axes)


def of_surfaces(files, options, title, mark, each=False, name="", shown=()):
    """`each` and `name` as in wording.facts; `shown`: the values drawn, where they are others than `name`."""
    facts = wording.joined(common(files, lambda file: wording.facts(file, each, name)))
    return head(options, title, facts, mark, _numbers(files, options, shown or (name,)))


def common(files, facts):
    return wording.apart([facts(file) for file in files])[0]


def file_names(files, options):
    """What each file is called: --names, or what distinguishes them."""
    return options.names or _distinct([str(file.settings.get("arch", "")) for file in files]) or _distinct(
        [str(file.settings.get("optimizer", "")) for file in files]) or wording.tell_apart(
        [os.path.splitext(file.path)[0].removesuffix(f"/{run_files.HISTORY[:-3]}") for file in files])


def names_and_notes(files, options, all_facts):
    """(a name for each file, notes on what else differs)."""
    names = file_names(files, options)
    if len(files) == 1:
        return names, []
    _, rest = wording.apart(all_facts)
    rest = [[fact for fact in facts if fact != os.path.basename(file.path)] for file, facts in zip(files, rest)]
    return names, [f"{name}: {', '.join(facts)}" for name, facts in zip(names, rest) if facts]


def _distinct(texts):
    return texts if all(texts) and len(set(texts)) == len(texts) else None


def _numbers(files, options, shown):
    """The files' own numbers. They are of one loss, which is named where not it alone is shown."""
    if not options.numbers:
        return ()
    found = []
    for file in files:
        facts, own = summary.facts(file.summary, file.draw), file.default_name()
        if not facts:
            say(f"note: {file.path} holds no summary numbers (/lossatlas@summary): none are written")
        elif file.fixed:
            facts[0] = f"of the {wording.short_label(own)}, of all slices: {facts[0]}"
        elif file.sort != CURVE and {name for name in shown if name.endswith("_loss")} != {own}:
            facts[0] = f"of the {wording.short_label(own)}: {facts[0]}"
        found += [f"{os.path.basename(file.path)}: {fact}" if len(files) > 1 else fact for fact in facts]
    return tuple(found)
