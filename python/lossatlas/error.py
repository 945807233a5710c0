"""The exceptions of this package."""

from __future__ import annotations


class Error(Exception):
    """What the user can mend: its text says what is wrong and what to do."""


class ProblemError(Error):
    """A network, loss or data that cannot be exported."""


class Interrupted(KeyboardInterrupt):
    """A run that was interrupted and has saved what it finished: its text says how to resume it.

    `out` is the file to resume.
    """

    def __init__(self, text: str, out: str) -> None:
        super().__init__(text)
        self.out = out


def first_line(error: BaseException) -> str:
    """The kind of an exception of others, and the first lines of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:300]
