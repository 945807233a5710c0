"""Lossatlas from Python: a network, its loss and its data become one file, which Lossatlas reads."""

from typing import TYPE_CHECKING, Any

from .torch_check import check_torch

if TYPE_CHECKING:
    from .error import ProblemError
    from .export import export_problem

__all__ = ["ProblemError", "export_problem"]

_MODULES = {"ProblemError": "error", "export_problem": "export"}

check_torch()


def __getattr__(name: str) -> Any:
    """Imports what is asked for: torch takes seconds, and the plotter does without."""
    if name not in _MODULES:
        raise AttributeError(f"module 'lossatlas' has no attribute '{name}'")
    from importlib import import_module
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
