"""tools/compare-optimizers: one start, several optimizers, one plane."""

import json
import os
import signal
import subprocess

import h5py
import helpers
import pytest
import torch

SCRIPT = helpers.ROOT / "tools" / "compare-optimizers"


@pytest.fixture(scope="module")
def compare():
    def run(*words):
        return helpers.run_program(SCRIPT, *words, env={**os.environ, "LOSSATLAS": str(helpers.BINARY)})

    return run


def words(pictures, out, optimizers="sgd:0.02,adagrad,adam:0.002"):
    return ["--arch", "linear", "--data", pictures.words, "--epochs", 3, "--batch-size=20", "--seed", 5, "--threads", 1,
            "--optimizers", optimizers, "--grid", "5x4", "--samples", 50, "--out", out]


@pytest.mark.full
def test_trajectories_of_several_optimizers_from_one_start(compare, pictures, tmp_path):
    done = compare(*words(pictures, tmp_path)).ok()
    names = ["sgd-0.02", "adagrad", "adam-0.002"]
    starts = [helpers.load(tmp_path / name / "checkpoints" / "epoch-0000.pt")["state_dict"] for name in names]
    assert all(torch.equal(starts[0][key], other[key]) for other in starts for key in starts[0])
    for name, optimizer, rate in zip(names, ("sgd", "adagrad", "adam"), (0.02, 0.01, 0.002)):
        settings = json.loads(helpers.attribute(tmp_path / name / "history.h5", "settings"))
        assert (settings["optimizer"], settings["lr"], settings["batch_size"]) == (optimizer, rate, 20)
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    with h5py.File(tmp_path / "trajectories.h5") as file:
        runs = sorted(file["lossatlas/runs"].values(), key=lambda run: run.attrs["order"])
        assert [run.attrs["label"] for run in runs] == names
        assert len({(run["x"][0], run["y"][0]) for run in runs}) == 1 and all(len(run["x"]) == 4 for run in runs)
        assert len({run["x"][3] for run in runs}) == 3
        assert file["train_loss"].shape == (4, 5)
    assert (tmp_path / "trajectories.png").stat().st_size > 10000
    assert done.out.count("$ ") == 3 * 2 + 2  # every command is said


@pytest.mark.full
def test_runs_that_are_there_are_gone_on_with(compare, pictures, tmp_path):
    compare(*words(pictures, tmp_path, "sgd:0.02,adam:0.002")).ok()
    before = helpers.tree(tmp_path / "adam-0.002" / "checkpoints")
    done = compare(*words(pictures, tmp_path, "sgd:0.02,adam:0.002,rmsprop:0.001")).ok()
    assert helpers.tree(tmp_path / "adam-0.002" / "checkpoints") == before
    assert done.out.count("--resume") == 2 and (tmp_path / "rmsprop-0.001.png").exists()


@pytest.mark.full
def test_an_interrupted_command_goes_on_with_or_without_resume(compare, pictures, tmp_path):
    given = [str(word) for word in words(pictures, tmp_path, "sgd:0.02,adam:0.002")]
    given[given.index("--epochs") + 1] = "60"
    process = subprocess.Popen([SCRIPT, *given], env={**os.environ, "LOSSATLAS": str(helpers.BINARY)}, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    for line in process.stderr:
        if line.startswith("epoch 1:"):
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-2:] == ["interrupted; continue with the same command and --resume",
                                     "compare-optimizers: the same command continues the runs"]
    done = compare(*given, "--resume").ok()
    assert done.out.count("--resume") == 1 and "60 epochs into" in done.err
    assert (tmp_path / "trajectories.png").exists()


@pytest.mark.parametrize("missing", ["--out", "--data", "--optimizers"])
def test_what_is_missing_is_said(compare, pictures, tmp_path, missing):
    given = words(pictures, tmp_path)
    place = given.index(missing)
    done = compare(*given[:place], *given[place + 2:])
    assert done.status == 2 and missing in done.line()


def test_an_optimizer_named_twice_is_refused(compare, pictures, tmp_path):
    done = compare(*words(pictures, tmp_path, "sgd, adam,sgd"))
    assert done.status == 2 and done.line() == "compare-optimizers: --optimizers names sgd twice"
    assert not list(tmp_path.iterdir())


def test_a_wrong_optimizer_ends_it(compare, pictures, tmp_path):
    done = compare(*words(pictures, tmp_path, "sgd:0.02,adamm"))
    assert done.status == 2 and "did you mean 'adam'?" in done.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
