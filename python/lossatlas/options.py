"""Arguments of Python as options of the command line, and messages of the command line in Python's names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from .error import Error

# What stands between the numbers of a tuple, by option; a comma for all others.
BETWEEN = {"x": ":", "y": ":", "z": ":", "w": ":", "xlim": ":", "ylim": ":", "zlim": ":",
           "grid": "x", "resize": "x", "crop": "x", "size": "x", "shard": "/"}


def words_of(arguments: Mapping[str, Any]) -> list[str]:
    """`{"bn_images": 500, "resume": True, "x": (-1, 1)}` as `["--bn-images=500", "--resume", "--x=-1:1"]`. None and
    False are left out; a list is an option given several times."""
    words = []
    for name, value in arguments.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
        elif isinstance(value, Mapping) and not isinstance(value, os.PathLike):
            words += [f"{option}={key}={text_of(each, ':')}" for key, each in value.items()]
        elif isinstance(value, list):
            words += [f"{option}={text_of(each, BETWEEN.get(name, ','))}" for each in value]
        else:
            words.append(f"{option}={text_of(value, BETWEEN.get(name, ','))}")
    return words


def text_of(value: Any, between: str) -> str:
    """A number, text, path, or several of these, as the command line takes it."""
    if isinstance(value, (str, os.PathLike)):
        return os.fsdecode(value)
    try:
        parts = [text_of(each, between) for each in value]
    except TypeError:
        return str(value)
    return between.join(parts)


def path_of(value: str | os.PathLike[str], name: str) -> str:
    """The path as text. Raises Error for what is none, as a network given in the place of its file."""
    try:
        return os.path.expanduser(os.fsdecode(value))
    except TypeError:
        kind = type(value).__name__
        hint = "; write it with lossatlas.export_problem first" if hasattr(value, "state_dict") else ""
        raise Error(f"{name} is a {kind}, not a file: give its path{hint}") from None


def in_python(text: str) -> str:
    """A message with the names of options as those of arguments: --bn-images is bn_images."""
    text = re.sub(r"^(lossatlas|plot): ", "", text)
    return re.sub(r"(?<![\w-])--(?!help)([a-z][a-z0-9]*(?:-[a-z0-9]+)*)", lambda match: match[1].replace("-", "_"), text)
