"""Lossatlas from Python: loss landscapes of PyTorch networks, and a recorder for training loops.

    problem = lossatlas.export_problem(model, "cross-entropy", (inputs, labels))
    s = lossatlas.surface(problem, grid=(51, 51), tolerance=0.01)
    s.plot(kind="surface")

docs/python.md is the user's page.
"""

from typing import TYPE_CHECKING, Any

from .torch_check import check_torch

if TYPE_CHECKING:
    from .error import Error, Interrupted, ProblemError
    from .export import export_problem
    from .jobs import curvature, curve, line, merge, sharpness, surface, trajectory
    from .loggers import log_figure
    from .recorder import Recorder
    from .results import Curvature, Curve, Descents, History, Line, Result, Sharpness, Surface, Trajectory, open

_MODULES = {
    "Error": "error", "Interrupted": "error", "ProblemError": "error",
    "export_problem": "export",
    "surface": "jobs", "line": "jobs", "trajectory": "jobs", "curve": "jobs", "merge": "jobs",
    "curvature": "jobs", "Curvature": "results", "sharpness": "jobs", "Sharpness": "results",
    "open": "results", "Result": "results", "Surface": "results", "Line": "results", "Trajectory": "results",
    "Curve": "results", "History": "results", "Descents": "results",
    "Recorder": "recorder", "LightningRecorder": "loggers", "log_figure": "loggers",
}

__all__ = ["Curvature", "Curve", "Descents", "Error", "History", "Interrupted", "Line", "ProblemError", "Recorder", "Result",
           "Sharpness", "Surface", "Trajectory", "curvature", "curve", "export_problem", "line", "log_figure", "merge", "open",
           "sharpness", "surface", "trajectory"]

check_torch()


def __getattr__(name: str) -> Any:
    """Imports what is asked for: torch takes seconds, and the plotter does without."""
    if name not in _MODULES:
        raise AttributeError(f"module 'lossatlas' has no attribute '{name}'")
    from importlib import import_module
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
