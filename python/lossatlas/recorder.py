"""A training loop's run folder: checkpoints and history, as `lossatlas trajectory --run` and lossatlas plot read them."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from .error import Error
from .options import path_of

UNITS = {"epoch": 4, "step": 6}  # digits of the number in a checkpoint's name
VALUES = ("learning_rate", "train_loss", "train_acc", "test_loss", "test_acc", "seconds")
NAN = math.nan


class Recorder:
    """Writes a run folder while a network is trained.

        recorder = lossatlas.Recorder(model, "run/", optimizer)
        for epoch in range(20):
            for x, y in loader:
                ...
                recorder.step(loss=loss)                 # or recorder.epoch(train_loss=…)
            recorder.epoch(test_loss=…, test_acc=…)

    Args:
        folder: gets checkpoints/epoch-0000.pt (the initial network), epoch-0001.pt, … or step-000100.pt, … and
            history.h5. A folder that has a run already is refused, unless `resume`
        optimizer: names the optimizer and its learning rate in the history
        every: a checkpoint every so many epochs or steps; history: each epoch, or as often as a checkpoint
        unit: "epoch" or "step": what is counted
        resume: continues the run in the folder: counts on from its last row

    Files are written whole or not at all. Cost: one copy of the weights on disk for each checkpoint, and the time to
    write it. The history needs h5py. `close()`, or leaving `with`, stores the last state if `every` left it out.
    """

    def __init__(self, model: nn.Module, folder: str | os.PathLike[str],
                 optimizer: torch.optim.Optimizer | None = None, *, every: int = 1, unit: str = "epoch",
                 resume: bool = False) -> None:
        if not isinstance(model, nn.Module):
            raise Error(f"model is a {type(model).__name__}: give a torch.nn.Module")
        if unit not in UNITS:
            raise Error(f"unit is {unit!r}: give 'epoch' or 'step'")
        if every < 1:
            raise Error(f"every is {every}: give a whole number from 1")
        self.folder = path_of(folder, "folder")
        self.unit, self.every = unit, every
        self._model, self._optimizer = model, optimizer
        self._rows: list[dict[str, float]] = []
        self._losses, self._count, self._seconds = 0.0, 0, 0.0
        self._began = time.monotonic()
        self._saved = -1
        os.makedirs(self._checkpoints, exist_ok=True)
        if os.listdir(self._checkpoints) or os.path.exists(self._history):
            if not resume:
                raise Error(f"{self.folder} holds a run already: choose another folder, remove it, or continue it with"
                            " resume=True")
            self._rows = self._read_rows()
        self.count = int(self._rows[-1][unit]) if self._rows else 0
        if not self._rows:
            self._add_row({})
            self._save()

    @property
    def _checkpoints(self) -> str:
        return os.path.join(self.folder, "checkpoints")

    @property
    def _history(self) -> str:
        return os.path.join(self.folder, "history.h5")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, loss: Any = None, *, test_loss: Any = None, train_acc: Any = None, test_acc: Any = None) -> None:
        """After a step of the optimizer. The training loss of a row is the mean of `loss` since the last row."""
        if loss is not None:
            self._losses += _number(loss)
            self._count += 1
        if self.unit == "step":
            self.count += 1
            if self.count % self.every == 0:
                self._finish({"train_acc": train_acc, "test_loss": test_loss, "test_acc": test_acc})

    def epoch(self, train_loss: Any = None, *, test_loss: Any = None, train_acc: Any = None,
              test_acc: Any = None) -> None:
        """After an epoch. Accuracies are percent. Default of `train_loss`: the mean of what step() was given."""
        if self.unit != "epoch":
            raise Error("this recorder counts steps: call step(), or make it with unit='epoch'")
        self.count += 1
        self._finish({"train_loss": train_loss, "train_acc": train_acc, "test_loss": test_loss, "test_acc": test_acc})

    def close(self) -> None:
        """Stores the last state, if it is not stored yet."""
        if self.count > self._rows[-1][self.unit]:
            self._finish({})
        if self.count != self._saved and not os.path.exists(self._path()):
            self._save()

    def _finish(self, values: dict[str, Any]) -> None:
        """A row, and a checkpoint if it is due."""
        mean = self._losses / self._count if self._count else None
        self._losses, self._count = 0.0, 0
        now = time.monotonic()
        self._seconds, self._began = now - self._began, now
        self._add_row({"train_loss": mean, **{name: each for name, each in values.items() if each is not None}})
        if self.count % self.every == 0:
            self._save()

    def _add_row(self, values: dict[str, Any]) -> None:
        rate = NAN if self._optimizer is None else float(self._optimizer.param_groups[0]["lr"])
        row = dict.fromkeys(VALUES, NAN) | {"learning_rate": rate, "seconds": self._seconds}
        row |= {name: _number(value) for name, value in values.items() if value is not None}
        self._rows.append(row | {self.unit: float(self.count if self._rows else 0)})
        self._write_rows()

    def _path(self) -> str:
        return os.path.join(self._checkpoints, f"{self.unit}-{self.count:0{UNITS[self.unit]}d}.pt")

    def _save(self) -> None:
        model = self._model
        while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or hasattr(model, "_orig_mod"):
            model = cast(nn.Module, model._orig_mod if hasattr(model, "_orig_mod") else model.module)
        content = {"state_dict": model.state_dict(), self.unit: self.count}
        _write_whole(self._path(), lambda path: torch.save(content, path))
        self._saved = self.count

    def _write_rows(self) -> None:
        import h5py
        import numpy as np

        def write(path: str) -> None:
            with h5py.File(path, "w") as file:
                count = file.create_dataset("epoch", data=np.array([row[self.unit] for row in self._rows], "i8"))
                count.make_scale("epoch")
                for name in VALUES:
                    values = file.create_dataset(name, data=np.array([row[name] for row in self._rows], "f8"))
                    values.dims[0].attach_scale(count)
                group = file.create_group("lossatlas")
                group.attrs["format"] = np.array([1], "i8")
                group.attrs["kind"] = "history"
                group.attrs["settings"] = json.dumps(_settings(self._optimizer))
                if self.unit != "epoch":
                    group.attrs["unit"] = self.unit
        _write_whole(self._history, write)

    def _read_rows(self) -> list[dict[str, float]]:
        from .plotting.hdf5 import open_unlocked
        try:
            with open_unlocked(self._history) as file:
                unit = str(file["lossatlas"].attrs.get("unit", "epoch"))
                columns = {name: file[name][()].tolist() for name in VALUES} | {unit: file["epoch"][()].tolist()}
        except (OSError, KeyError) as error:
            raise Error(f"{self._history} cannot be read ({error}): choose another folder") from error
        if unit != self.unit:
            raise Error(f"the run in {self.folder} counts {unit}s: give unit={unit!r}")
        return [dict(zip(columns, row)) for row in zip(*columns.values())]


def _number(value: Any) -> float:
    """A float of a number or a tensor of one."""
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)


def _settings(optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """The optimizer as the histories of lossatlas train name it."""
    if optimizer is None:
        return {}
    options = optimizer.param_groups[0]
    name = type(optimizer).__name__.lower()
    if name == "sgd" and options.get("momentum"):
        name = "nesterov" if options.get("nesterov") else "momentum"
    kept = ("lr", "momentum", "weight_decay")
    return {"optimizer": name} | {key: float(options[key]) for key in kept if isinstance(options.get(key), (int, float)) and options[key]}


def _write_whole(path: str, write: Callable[[str], None]) -> None:
    """Lets a function write a file beside `path`, and renames it."""
    temporary = f"{path}.tmp{os.getpid()}"
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
