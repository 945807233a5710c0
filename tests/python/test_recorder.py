"""The run folder of Recorder, read by h5py, torch, the program and the plotter."""

import json
import os
import pathlib
import subprocess
import sys
import types

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import lossatlas

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LOSSATLAS_BINARY", ROOT / "build" / "release" / "lossatlas")).absolute()
needs_program = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(2, 2)


def sgd(model, **options):
    return torch.optim.SGD(model.parameters(), **{"lr": 0.5, **options})


def columns(folder):
    with h5py.File(folder / "history.h5") as file:
        found = {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}
        return found, dict(file["lossatlas"].attrs)


def move(model):
    with torch.no_grad():
        model.weight += 0.1 * torch.randn(2, 2)


def test_epochs(model, tmp_path):
    run = tmp_path / "run"
    initial = model.weight.detach().clone()
    recorder = lossatlas.Recorder(model, run, sgd(model, momentum=0.9, nesterov=True))
    recorder.step(loss=torch.tensor(4.0, requires_grad=True))
    recorder.step(loss=2.0)
    move(model)
    recorder.epoch(test_loss=torch.tensor(1.5), train_acc=50, test_acc=np.float64(25))
    recorder.epoch(0.25)
    assert sorted(os.listdir(run / "checkpoints")) == ["epoch-0000.pt", "epoch-0001.pt", "epoch-0002.pt"]
    first, second = (torch.load(run / "checkpoints" / f"epoch-000{i}.pt", weights_only=True) for i in (0, 1))
    assert torch.equal(first["state_dict"]["weight"], initial) and first["epoch"] == 0
    assert torch.equal(second["state_dict"]["weight"], model.weight) and second["epoch"] == 1
    values, attributes = columns(run)
    assert values["epoch"].tolist() == [0, 1, 2] and values["epoch"].dtype == np.int64
    assert np.array_equal(values["train_loss"], [np.nan, 3, 0.25], equal_nan=True)
    assert np.array_equal(values["test_loss"], [np.nan, 1.5, np.nan], equal_nan=True)
    assert np.array_equal(values["test_acc"], [np.nan, 25, np.nan], equal_nan=True)
    assert np.array_equal(values["learning_rate"], [0.5, 0.5, 0.5]) and (values["seconds"] >= 0).all()
    assert attributes["kind"] == "history" and attributes["format"].tolist() == [1] and "unit" not in attributes
    assert json.loads(attributes["settings"]) == {"optimizer": "nesterov", "lr": 0.5, "momentum": 0.9}


def test_every_so_many_steps_and_the_last_state(model, tmp_path):
    with lossatlas.Recorder(model, tmp_path / "run", sgd(model), every=100, unit="step") as recorder:
        for step in range(250):
            recorder.step(loss=float(step))
    assert sorted(os.listdir(tmp_path / "run" / "checkpoints")) == [
        "step-000000.pt", "step-000100.pt", "step-000200.pt", "step-000250.pt"]
    values, attributes = columns(tmp_path / "run")
    assert attributes["unit"] == "step" and values["epoch"].tolist() == [0, 100, 200, 250]
    assert values["train_loss"][1:].tolist() == [49.5, 149.5, 224.5]
    history = lossatlas.open(tmp_path / "run")
    assert history.unit == "step" and history.values("step").tolist() == [0, 100, 200, 250]
    with pytest.raises(lossatlas.Error, match="counts steps"):
        recorder.epoch()


def test_a_run_is_kept_and_continues(model, tmp_path):
    with lossatlas.Recorder(model, tmp_path, every=2) as recorder:
        recorder.epoch(2.0)
    with pytest.raises(lossatlas.Error, match="holds a run already.*resume=True"):
        lossatlas.Recorder(model, tmp_path)
    with pytest.raises(lossatlas.Error, match="counts epochs: give unit='epoch'"):
        lossatlas.Recorder(model, tmp_path, unit="step", resume=True)
    with lossatlas.Recorder(model, tmp_path, every=2, resume=True) as recorder:
        recorder.epoch(1.0)
    values, _ = columns(tmp_path)
    assert values["epoch"].tolist() == [0, 1, 2] and values["train_loss"][1:].tolist() == [2, 1]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["epoch-0000.pt", "epoch-0001.pt", "epoch-0002.pt"]


def test_a_failed_write_leaves_what_was_there(model, tmp_path, monkeypatch):
    recorder = lossatlas.Recorder(model, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    def fail(content, path):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space"):
        recorder.epoch(1.0)
    assert {path for path in tmp_path.rglob("*.*")} == set(before)


@pytest.mark.parametrize("options, text", [({"unit": "steps"}, "'epoch' or 'step'"), ({"every": 0}, "every is 0")])
def test_wrong_options(model, tmp_path, options, text):
    with pytest.raises(lossatlas.Error, match=text):
        lossatlas.Recorder(model, tmp_path / "run", **options)


@needs_program
@pytest.mark.parametrize("unit, last", [("epoch", 3), ("step", 30)])
def test_a_run_is_drawn_by_the_program_and_the_plotter(model, tmp_path, monkeypatch, unit, last):
    monkeypatch.setenv("LOSSATLAS_BINARY", str(BINARY))
    data = torch.randn(20, 2), torch.arange(20) % 2
    problem = lossatlas.export_problem(model, "cross-entropy", data, quiet=True)
    with lossatlas.Recorder(model, tmp_path / "run", torch.optim.AdamW(model.parameters()), unit=unit,
                            every=1 if unit == "epoch" else 10) as recorder:
        for _ in range(3):
            move(model)
            if unit == "epoch":
                recorder.epoch(1.0)
            for _ in range(10 * (unit == "step")):
                recorder.step(1.0)
    words = [BINARY, "trajectory", "--run", tmp_path / "run", "--problem", problem, "--grid=5", "--out", tmp_path / "T.h5"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f" at {unit} " in done.stderr and "neither checkpoints nor their names" not in done.stderr
    trajectory = lossatlas.open(tmp_path / "T.h5")
    assert trajectory.runs["run"][unit].tolist() == [0, last // 3, 2 * last // 3, last]
    with h5py.File(tmp_path / "T.h5") as file:
        assert file["lossatlas/runs/run"].attrs["optimizer"] == "adamw"
        assert file["lossatlas/runs/run"].attrs.get("unit", "epoch") == unit
    assert trajectory.summary["runs"][0][f"{unit}s"] == [0, last]
    figure = trajectory.plot()
    assert figure.axes[-1].get_xlabel() == unit
    assert any(text.get_text() == f"{unit} {last}" for text in figure.axes[0].texts)
    assert lossatlas.open(tmp_path / "run").plot().axes[0].get_xlabel() == unit
    note = subprocess.run([BINARY, "info", tmp_path / "run"], capture_output=True, text=True)
    assert f"its last {unit} is taken" in note.stderr, note
    report = subprocess.run([ROOT / "tools" / "plot", "--report", tmp_path / "run"], capture_output=True, text=True)
    page = (tmp_path / "run" / "report.html").read_text()
    assert report.returncode == 0 and f"{unit}-" in page and "lossatlas train" not in page.replace("lossatlas train`", "")


# --- other programs ----------------------------------------------------------------------------------


def test_a_callback_of_lightning(model, tmp_path, monkeypatch):
    """With a stand-in that calls back as Lightning's trainer does."""
    package, module = types.ModuleType("lightning"), types.ModuleType("lightning.pytorch")
    module.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "lightning", package)
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module)
    monkeypatch.delitem(vars(sys.modules.get("lossatlas.loggers", module)), "LightningRecorder", raising=False)
    wrapper = types.SimpleNamespace(network=model)
    trainer = types.SimpleNamespace(optimizers=[sgd(model)], is_global_zero=True, callback_metrics={
        "train_acc": torch.tensor(75.0), "val_loss": torch.tensor(0.5)})
    callback = lossatlas.LightningRecorder(tmp_path / "run", network="network")
    assert isinstance(callback, module.Callback)
    callback.on_train_start(trainer, wrapper)
    for loss in (1.0, 2.0):
        callback.on_train_batch_end(trainer, wrapper, {"loss": torch.tensor(loss)}, None, 0)
    callback.on_train_epoch_end(trainer, wrapper)
    callback.on_train_end(trainer, wrapper)
    values, _ = columns(tmp_path / "run")
    assert values["train_loss"][1] == 1.5 and values["train_acc"][1] == 75 and values["test_loss"][1] == 0.5
    assert sorted(os.listdir(tmp_path / "run" / "checkpoints")) == ["epoch-0000.pt", "epoch-0001.pt"]


def test_without_lightning_it_says_what_is_missing(monkeypatch):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    import lossatlas.loggers
    monkeypatch.delitem(vars(lossatlas.loggers), "LightningRecorder", raising=False)
    with pytest.raises(lossatlas.Error, match="pip install lightning"):
        lossatlas.LightningRecorder


def test_figures_are_logged(model, tmp_path, monkeypatch):
    """With stand-ins for a SummaryWriter of TensorBoard and a run of wandb."""
    logged = []
    writer = types.SimpleNamespace(add_figure=lambda name, figure, global_step: logged.append((name, figure, global_step)))
    lossatlas.log_figure(writer, "a figure", step=3)
    lossatlas.log_figure(types.SimpleNamespace(experiment=writer), "another", "name")
    module = types.ModuleType("wandb")
    module.Image = lambda figure: ("image", figure)
    monkeypatch.setitem(sys.modules, "wandb", module)
    run = type("Run", (), {"__module__": "wandb.sdk", "log": lambda self, values, step: logged.append((values, step))})()
    lossatlas.log_figure(run, "third", step=5)
    assert logged == [("loss landscape", "a figure", 3), ("name", "another", None), ({"loss landscape": ("image", "third")}, 5)]
    with lossatlas.Recorder(model, tmp_path) as recorder:
        recorder.epoch(1.0)
    lossatlas.log_figure(writer, lossatlas.open(tmp_path))
    assert type(logged[-1][1]).__name__ == "Figure"
    with pytest.raises(lossatlas.Error, match="a list logs no figures"):
        lossatlas.log_figure([], "figure")
