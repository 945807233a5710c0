"""Lossatlas in other programs' training loops and logs: Lightning, TensorBoard, Weights & Biases."""

from __future__ import annotations

import importlib
import os
from typing import Any

from .error import Error
from .results import Result


def log_figure(logger: Any, figure: Any, name: str = "loss landscape", step: int | None = None) -> None:
    """Logs a figure, or a result (which is drawn as its `plot()` does).

    Args:
        logger: a SummaryWriter of TensorBoard, a run of wandb, or the logger of Lightning around either
    """
    if isinstance(figure, Result):
        figure = figure.plot()
    if not hasattr(logger, "add_figure") and hasattr(logger, "experiment"):
        logger = logger.experiment
    if hasattr(logger, "add_figure"):
        logger.add_figure(name, figure, global_step=step)
    elif type(logger).__module__.partition(".")[0] == "wandb":
        logger.log({name: importlib.import_module("wandb").Image(figure)}, step=step)
    else:
        raise Error(f"a {type(logger).__name__} logs no figures: give a SummaryWriter of TensorBoard or a run of wandb")


def _callback() -> Any:
    """Lightning's base class of callbacks."""
    for package in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return importlib.import_module(package).Callback
        except ImportError:
            continue
    raise Error("LightningRecorder requires Lightning: pip install lightning")


def _recorder_class() -> Any:
    from .recorder import Recorder

    class LightningRecorder(_callback()):  # type: ignore[misc]
        """Recorder as a callback of Lightning: `Trainer(callbacks=[lossatlas.LightningRecorder("run/")])`.

        Args:
            folder: as in Recorder, as are `every`, `unit` and `resume`
            network: the attribute of the LightningModule that is the network, as "model". Default: the whole module

        Values are the logged train_loss, train_acc, test_loss or val_loss, test_acc or val_acc; accuracies in percent.
        """

        def __init__(self, folder: str | os.PathLike[str], *, network: str | None = None, every: int = 1,
                     unit: str = "epoch", resume: bool = False) -> None:
            super().__init__()
            self.folder, self.network = folder, network
            self.options: dict[str, Any] = {"every": every, "unit": unit, "resume": resume}
            self.recorder: Recorder | None = None

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            model = pl_module if self.network is None else getattr(pl_module, self.network)
            if trainer.is_global_zero:
                self.recorder = Recorder(model, self.folder, next(iter(trainer.optimizers), None), **self.options)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if self.recorder is not None:
                self.recorder.step(outputs.get("loss") if isinstance(outputs, dict) else outputs)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if self.recorder is None or self.recorder.unit != "epoch":
                return
            logged = trainer.callback_metrics
            names = {"train_loss": ("train_loss",), "train_acc": ("train_acc",), "test_loss": ("test_loss", "val_loss"),
                     "test_acc": ("test_acc", "val_acc")}
            self.recorder.epoch(**{name: next((logged[each] for each in places if each in logged), None)
                                   for name, places in names.items()})

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            if self.recorder is not None:
                self.recorder.close()

    return LightningRecorder


def __getattr__(name: str) -> Any:
    """LightningRecorder, of which the base class is Lightning's."""
    if name != "LightningRecorder":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = _recorder_class()
    return globals()[name]
