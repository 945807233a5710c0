"""Single lines on standard error."""

import contextlib
import sys

from .errors import one_line


def say(text):
    with contextlib.suppress(OSError):  # a figure is drawn whether or not its messages can be written
        print(f"plot: {one_line(text)}", file=sys.stderr, flush=True)


def say_once(text, said):
    """Says the text unless it is among the texts `said`."""
    if text not in said:
        say(text)
    said.add(text)
