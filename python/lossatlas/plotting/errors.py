"""Errors the user can mend. Their text is the line they read: what is wrong, where, what to do."""

import difflib
import re

CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class PlotError(Exception):
    """A file cannot be read, drawn or written; exit status 1."""

    status = 1


class NotYetError(PlotError):
    """The file, or a point in it, is not there yet: what --watch waits for."""


class UnreadableError(PlotError):
    """The file cannot be read as it stands; it may be just being copied."""


class WordsError(PlotError):
    """The words of the command line were wrong; exit status 2."""

    status = 2


def did_you_mean(word, names):
    """", did you mean 'NAME'?" of the name that the word is close to, or begins, or begins with; else nothing."""

    def is_beginning(name):
        shorter, longer = sorted((name.lstrip("-"), word.lstrip("-")), key=len)
        return len(shorter) >= 3 and longer.startswith(shorter)

    bare = {name.lstrip("-"): name for name in names}
    near = difflib.get_close_matches(word.lstrip("-"), bare, 1, 0.75)
    found = bare[near[0]] if near else next(filter(is_beginning, names), None)
    return f", did you mean '{found}'?" if found else ""


def one_line(text):
    """`text` with every run of white space made one space, and control characters, which names in files may hold, made
    '?': messages are single lines."""
    return printable(" ".join(str(text).split()))


def printable(text):
    """`text` with each control character made '?', but tabs spaces; newlines stay."""
    return CONTROLS.sub("?", text.replace("\t", " "))
