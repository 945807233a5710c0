"""Errors the user can mend. Their text is the line they read: what is wrong, where, what to do."""


class PlotError(Exception):
    """A file cannot be read, drawn or written; exit status 1."""

    status = 1


class WordsError(PlotError):
    """The words of the command line were wrong; exit status 2."""

    status = 2


def one_line(text):
    """`text` with every run of white space made one space: messages are single lines."""
    return " ".join(str(text).split())
