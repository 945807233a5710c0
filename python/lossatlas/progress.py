"""The progress of the program as bars of tqdm, in terminals and notebooks."""

from __future__ import annotations

import importlib
import sys
from typing import Any


class Bar:
    """A bar for what the program is at: points, images, steps. Draws nothing unless `shown`; without tqdm it prints
    messages alone."""

    def __init__(self, title: str, shown: bool) -> None:
        self._title, self._shown = title, shown
        self._bar: Any = None
        self._unit = ""
        try:
            self._tqdm: Any = importlib.import_module("tqdm.auto").tqdm if shown else None
        except ImportError:
            self._tqdm = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def show(self, state: dict[str, Any]) -> None:
        """Draws one state, as --progress json gives it."""
        if self._tqdm is None:
            return
        done, total, unit = count_of(state)
        if self._bar is None or unit != self._unit or done < self._bar.n:
            self._close()
            self._bar, self._unit = self._tqdm(total=total, desc=self._title, unit=f" {unit}"), unit
        self._bar.total, self._bar.n = max(total, done), done
        self._bar.set_postfix_str(facts_of(state), refresh=False)
        self._bar.refresh()

    def write(self, text: str) -> None:
        """Prints a line that the bar does not overwrite."""
        if self._tqdm is not None:
            self._tqdm.write(text, file=sys.stderr)
        elif self._shown:
            print(text, file=sys.stderr, flush=True)


def count_of(state: dict[str, Any]) -> tuple[int, int, str]:
    """(done, of how many, of what)."""
    for done, total, unit in (("decoded", "images", "images"), ("step", "steps", "steps"),
                              ("images", "images_total", "evaluations"), ("done", "total", "points")):
        if done in state and total in state:
            return int(state[done]), int(state[total]), unit
    if "products" in state:
        return int(state["products"]), int(state.get("planned", 0)), "products"
    return 0, 0, "points"


def facts_of(state: dict[str, Any]) -> str:
    """What else is worth knowing: the loss, or its range."""
    if isinstance(state.get("lowest"), (int, float)) and isinstance(state.get("highest"), (int, float)):
        return f"loss {state['lowest']:.4g} to {state['highest']:.4g}"
    if isinstance(state.get("largest"), (int, float)):
        return f"largest eigenvalue {state['largest']:.4g}"
    return f"loss {state['loss']:.4g}" if isinstance(state.get("loss"), (int, float)) else ""
