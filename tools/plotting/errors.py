"""Errors the user can mend. Their text is the line they read: what is wrong, where, what to do."""


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


def one_line(text):
    """`text` with every run of white space made one space: messages are single lines."""
    return " ".join(str(text).split())
