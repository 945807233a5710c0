"""Lossatlas from Python: a network, its loss and its data become one file, which Lossatlas reads."""

from .error import ProblemError
from .export import export_problem

__all__ = ["ProblemError", "export_problem"]
