"""The one exception of this package."""

from __future__ import annotations


class ProblemError(Exception):
    """What the user can mend: its text says what is wrong and what to do."""


def first_line(error: BaseException) -> str:
    """The kind of an exception of others, and the first lines of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:300]
