"""`lossatlas train`: the run folder, what the optimizers do, and runs that are cut off."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler as scheduler

COLUMNS = ["epoch", "learning_rate", "train_loss", "train_acc", "test_loss", "test_acc", "seconds"]


def checkpoint(folder, epoch):
    return folder / "checkpoints" / f"epoch-{epoch:04d}.pt"


def assert_same_run(one, other):
    """The same checkpoints to the bit, and the same history but for the time it took."""
    names = [path.name for path in sorted((one / "checkpoints").iterdir())]
    assert names == [path.name for path in sorted((other / "checkpoints").iterdir())]
    for name in names:
        a, b = (helpers.load(folder / "checkpoints" / name)["state_dict"] for folder in (one, other))
        assert list(a) == list(b)
        assert all(torch.equal(a[key], b[key]) for key in a), name
    a, b = (helpers.read(folder / "history.h5") for folder in (one, other))
    for column in COLUMNS[:-1]:
        np.testing.assert_array_equal(a[column], b[column], column)


# --- the folder --------------------------------------------------------------------------------------------------


def test_run_folder(run):
    checkpoints = [f"checkpoints/epoch-{epoch:04d}.pt" for epoch in range(4)]
    assert sorted(helpers.tree(run)) == sorted(["checkpoints", *checkpoints, "history.h5", "resume.pt"])


def test_checkpoints_are_read_by_python(run):
    for epoch in range(4):
        saved = helpers.load(checkpoint(run, epoch))
        assert (saved["arch"], saved["width"], saved["classes"], saved["epoch"]) == ("resnet20", 4, 10, epoch)
        np.testing.assert_allclose(saved["mean"], helpers.MEAN)
        np.testing.assert_allclose(saved["std"], helpers.STD)
        state = saved["state_dict"]
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert shapes["conv1.weight"] == (4, 3, 3, 3)
        assert shapes["layer2.0.shortcut.0.weight"] == (8, 4, 1, 1)
        assert shapes["layer3.2.bn2.running_var"] == (16,)
        assert shapes["linear.weight"] == (10, 16)
        assert state["bn1.num_batches_tracked"].dtype == torch.int64
        assert state["bn1.num_batches_tracked"] == 20 * epoch
        parameters = helpers.parameter_names(state)
        assert parameters[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"]
        assert parameters[-2:] == ["linear.weight", "linear.bias"]
        assert len(parameters) == 3 + 9 * 6 + 2 * 3 + 2
        assert all(state[name].dtype == torch.float32 for name in parameters)


def test_history(run, pictures):
    history = helpers.read(run / "history.h5")
    assert sorted(history) == sorted(COLUMNS)
    assert history["epoch"].tolist() == [0, 1, 2, 3]
    assert np.isnan(history["train_loss"][0]) and np.isnan(history["train_acc"][0])
    assert history["train_loss"][1] > history["train_loss"][3]
    assert history["train_acc"][3] > 50
    images, labels = pictures.batch("test")
    for epoch in range(4):
        logits = helpers.resnet20(helpers.state_of(checkpoint(run, epoch)), images)
        np.testing.assert_allclose(history["test_loss"][epoch], F.cross_entropy(logits, labels), rtol=1e-5)
        np.testing.assert_allclose(history["test_acc"][epoch], 100 * (logits.argmax(1) == labels).double().mean())
    settings = json.loads(helpers.attribute(run / "history.h5", "settings"))
    expected = {"arch": "resnet20", "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "batch_size": 10, "seed": 0}
    assert expected.items() <= settings.items()


def test_save_every_keeps_the_first_and_the_last(lossatlas, pictures, tmp_path):
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 5,
              "--save-every", 3).ok()
    names = [path.name for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert names == ["epoch-0000.pt", "epoch-0003.pt", "epoch-0005.pt"]


def test_last_checkpoint_is_printed(lossatlas, pictures, tmp_path):
    done = lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 1).ok()
    assert done.out == f"{checkpoint(tmp_path, 1)}\n"


def test_existing_run_is_kept(lossatlas, pictures, mlp_run):
    before = helpers.tree(mlp_run)
    done = lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", mlp_run)
    assert done.status == 1
    assert "--resume" in done.line() and "--force" in done.line()
    assert helpers.tree(mlp_run) == before


def test_force_replaces_a_run(lossatlas, pictures, tmp_path):
    words = ["train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--force"]
    lossatlas(*words, "--epochs", 2).ok()
    lossatlas(*words, "--epochs", 1).ok()
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["epoch-0000.pt", "epoch-0001.pt"]


def test_other_files_in_the_folder_are_kept(lossatlas, pictures, tmp_path):
    """A folder without a history is no run: what lies in it belongs to someone else."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.pt").write_bytes(b"months of work")
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 1)
    assert (tmp_path / "checkpoints" / "best.pt").read_bytes() == b"months of work"


# --- optimizers --------------------------------------------------------------------------------------------------


def sgd(theta, gradient, memory, rate, momentum=0.0, nesterov=False):
    velocity = memory[...] = momentum * memory + gradient
    return theta - rate * (gradient + momentum * velocity if nesterov else velocity)


def adagrad(theta, gradient, memory, rate, delta):
    """Goodfellow et al., "Deep Learning", algorithm 8.4."""
    memory += gradient**2
    return theta - rate / (delta + memory.sqrt()) * gradient


def rmsprop(theta, gradient, memory, rate, rho, delta):
    """torch.optim.RMSprop, its alpha being ρ."""
    memory[...] = rho * memory + (1 - rho) * gradient**2
    return theta - rate / (memory.sqrt() + delta) * gradient


OPTIMIZERS = {
    "sgd": (["--momentum", 0], sgd, {}, 0.3),
    "momentum": (["--momentum", 0.8], sgd, {"momentum": 0.8}, 0),
    "nesterov": (["--momentum", 0.8, "--nesterov"], sgd, {"momentum": 0.8, "nesterov": True}, 0.3),
    "adagrad": (["--optimizer", "adagrad", "--delta", 0.01], adagrad, {"delta": 0.01}, 0),
    "rmsprop": (["--optimizer", "rmsprop", "--rho", 0.9, "--delta", 1e-6], rmsprop, {"rho": 0.9, "delta": 1e-6}, 0.1),
    "gd": (["--optimizer", "gd"], sgd, {}, 0.1),
    "momentum by name": (["--optimizer", "momentum", "--momentum", 0.8], sgd, {"momentum": 0.8}, 0),
    "nesterov by name": (["--optimizer", "nesterov"], sgd, {"momentum": 0.9, "nesterov": True}, 0),
    "adagrad, weight decay": (["--optimizer", "adagrad", "--delta", 0.05], adagrad, {"delta": 0.05}, 0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(lossatlas, pictures, tmp_path, name):
    """With all images in a batch their order does not matter, so Python can take the same steps."""
    words, step, options, decay = OPTIMIZERS[name]
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 4,
              "--batch-size", 200, "--lr", 0.02, "--lr-steps", "2,3", "--lr-factor", 0.5, "--weight-decay", decay,
              *words).ok()
    images, labels = pictures.batch("train")
    state = helpers.state_of(checkpoint(tmp_path, 0))
    start = {name: tensor.clone() for name, tensor in state.items()}
    memory = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    history = helpers.read(tmp_path / "history.h5")
    for epoch, rate in enumerate([0.02, 0.02, 0.01, 0.005], 1):
        for tensor in state.values():
            tensor.requires_grad_(True)
        loss = F.cross_entropy(helpers.linear(state, images), labels)
        gradients = torch.autograd.grad(loss, list(state.values()))
        state = {name: step(tensor.detach(), gradient + decay * tensor.detach(), memory[name], rate, **options)
                 for (name, tensor), gradient in zip(state.items(), gradients)}
        assert history["learning_rate"][epoch] == pytest.approx(rate)
        assert history["train_loss"][epoch] == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
        for name, tensor in helpers.state_of(checkpoint(tmp_path, epoch)).items():
            moved = (state[name] - start[name]).norm()
            assert (tensor - state[name]).norm() < 1e-4 * moved, (epoch, name)


@pytest.mark.parametrize("name, theirs, options", [
    ("adam", torch.optim.Adam, {"betas": (0.8, 0.95)}), ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.95)}),
    ("rmsprop", torch.optim.RMSprop, {"alpha": 0.99}),
    ("nesterov", torch.optim.SGD, {"momentum": 0.9, "nesterov": True})])
def test_optimizer_is_that_of_torch(lossatlas, pictures, tmp_path, name, theirs, options):
    """All images in a batch, as above; torch.optim takes the steps in float64."""
    words = ["--betas", "0.8,0.95"] if name.startswith("adam") else []
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 5,
              "--batch-size", 200, "--lr", 0.002, "--weight-decay", 0.1, "--optimizer", name, *words).ok()
    images, labels = pictures.batch("train")
    state = helpers.state_of(checkpoint(tmp_path, 0))
    start = {name: tensor.clone() for name, tensor in state.items()}
    for tensor in state.values():
        tensor.requires_grad_(True)
    optimizer = theirs(state.values(), lr=0.002, weight_decay=0.1, **options)
    for epoch in range(1, 6):
        optimizer.zero_grad()
        F.cross_entropy(helpers.linear(state, images), labels).backward()
        optimizer.step()
        for key, tensor in helpers.state_of(checkpoint(tmp_path, epoch)).items():
            moved = (state[key].detach() - start[key]).norm()
            assert (tensor - state[key].detach()).norm() < 1e-4 * moved, (epoch, key)


def test_defaults_of_adamw_are_those_of_torch(lossatlas, pictures, tmp_path):
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 0,
              "--optimizer", "adamw").ok()
    settings = json.loads(helpers.attribute(tmp_path / "history.h5", "settings"))
    theirs = torch.optim.AdamW([torch.zeros(1)]).defaults
    assert [settings["lr"], settings["betas"], settings["delta"], settings["weight_decay"]] == [
        theirs["lr"], list(theirs["betas"]), theirs["eps"], theirs["weight_decay"]]


SCHEDULES = {  # of 5 epochs of 7 steps: words, and the same of PyTorch
    "steps": (["--lr-steps", "2,4", "--lr-factor", 0.3], lambda o: scheduler.MultiStepLR(o, [14, 28], 0.3)),
    "cosine": (["--lr-schedule", "cosine"], lambda o: scheduler.CosineAnnealingLR(o, 35)),
    "cosine, longer than the run": (["--lr-schedule", "cosine", "--lr-epochs", 9],
                                    lambda o: scheduler.CosineAnnealingLR(o, 63)),
    "warm-up": (["--warmup", 2], lambda o: scheduler.LinearLR(o, 1 / 14, total_iters=13)),
    "warm-up and cosine": (["--warmup", 2, "--lr-schedule", "cosine"], lambda o: scheduler.SequentialLR(
        o, [scheduler.LinearLR(o, 1 / 14, total_iters=13), scheduler.CosineAnnealingLR(o, 21)], [14])),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_those_of_torch(lossatlas, pictures, tmp_path, name):
    """Minibatch by minibatch; the history holds the rate of the last step of each epoch, that of epoch 0 the first."""
    words, make = SCHEDULES[name]
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 5, "--batch-size", 30,
              "--lr", 0.02, *words).ok()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
    schedule, rates = make(optimizer), []
    for _ in range(35):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = [rates[0], *rates[6::7]]
    np.testing.assert_allclose(helpers.read(tmp_path / "history.h5")["learning_rate"], expected, rtol=1e-10)


def test_a_step_takes_the_rate_of_its_schedule(lossatlas, pictures, tmp_path):
    """All images in a batch: torch.optim and its schedulers train the same network."""
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 6, "--batch-size", 200,
              "--optimizer", "adamw", "--lr", 0.01, "--lr-schedule", "cosine", "--warmup", 3).ok()
    images, labels = pictures.batch("train")
    state = helpers.state_of(checkpoint(tmp_path, 0))
    start = {name: tensor.clone() for name, tensor in state.items()}
    for tensor in state.values():
        tensor.requires_grad_(True)
    optimizer = torch.optim.AdamW(state.values(), lr=0.01)
    schedule = scheduler.SequentialLR(
        optimizer, [scheduler.LinearLR(optimizer, 1 / 3, total_iters=2), scheduler.CosineAnnealingLR(optimizer, 3)], [3])
    for epoch in range(1, 7):
        optimizer.zero_grad()
        F.cross_entropy(helpers.linear(state, images), labels).backward()
        optimizer.step()
        schedule.step()
        for key, tensor in helpers.state_of(checkpoint(tmp_path, epoch)).items():
            moved = (state[key].detach() - start[key]).norm()
            assert (tensor - state[key].detach()).norm() < 1e-4 * moved, (epoch, key)


def test_gd_takes_one_step_an_epoch_over_all_images(lossatlas, pictures, tmp_path):
    """In minibatches of any size the step is that of all images at once."""
    ends = []
    for size in (200, 64):
        folder = tmp_path / str(size)
        lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", folder, "--epochs", 3,
                  "--optimizer", "gd", "--lr", 0.02, "--batch-size", size).ok()
        ends.append(helpers.state_of(checkpoint(folder, 3)))
    start = helpers.state_of(checkpoint(folder, 0))
    for name in start:
        assert (ends[0][name] - ends[1][name]).norm() < 1e-5 * (ends[0][name] - start[name]).norm()


@pytest.mark.full
@pytest.mark.parametrize("optimizer", ["adam", "gd"])
def test_resumed_memory_of_other_optimizers(lossatlas, pictures, tmp_path, optimizer):
    """Cut off within an epoch: moments, their step count, and a sum of gradients are brought back."""
    words = ["train", "--arch", "resnet20", "--width", 4, "--data", pictures.words, "--batch-size", 1, "--epochs", 2,
             "--threads", 1, "--optimizer", optimizer, "--out"]
    lossatlas(*words, tmp_path / "whole").ok()
    helpers.interrupt([*words, tmp_path / "cut"], "resnet20 on", wait=0.4)
    assert helpers.load(tmp_path / "cut" / "resume.pt")["step"] > 0
    lossatlas(*words, tmp_path / "cut", "--resume").ok()
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


# --- the same bits -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_words(pictures):
    """A run that takes a second or two, with all that --resume must bring back: momentum, order, shifts, rate."""

    def words(out, **changed):
        options = {"arch": "resnet20", "width": 4, "data": pictures.words, "epochs": 3, "batch-size": 10, "lr": 0.05,
                   "momentum": 0.9, "lr-steps": 2, "seed": 7, "threads": 1, "out": out} | changed
        return ["train", "--augment", *(f"--{name}={value}" for name, value in options.items() if value is not None)]

    return words


@pytest.fixture(scope="module")
def long_run(lossatlas, long_words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "run"
    lossatlas(*long_words(folder)).ok()
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full), signal.SIGKILL],
                         ids=lambda number: number.name)
def test_interrupted_run_resumes_to_the_same_bits(lossatlas, long_words, long_run, tmp_path, number):
    words = long_words(tmp_path)
    cut = helpers.interrupt(words, "epoch 1:", number, wait=0.1)
    if number != signal.SIGKILL:
        assert cut.status == 130
        assert cut.err.splitlines()[-1] == "interrupted; continue with the same command and --resume"
    assert not checkpoint(tmp_path, 3).exists()
    lossatlas(*words, "--resume").ok()
    assert_same_run(long_run, tmp_path)


def test_killed_run_with_a_schedule_resumes_to_the_same_bits(lossatlas, long_words, tmp_path):
    more = {"lr": None, "momentum": None, "lr-steps": None, "optimizer": "adamw", "lr-schedule": "cosine", "warmup": 1.5}
    lossatlas(*long_words(tmp_path / "whole", **more)).ok()
    helpers.interrupt(long_words(tmp_path / "cut", **more), "epoch 1:", signal.SIGKILL, wait=0.1)
    assert not checkpoint(tmp_path / "cut", 3).exists()
    lossatlas(*long_words(tmp_path / "cut", **more), "--resume").ok()
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_run_grows_up_to_the_end_of_its_cosine(lossatlas, pictures, tmp_path):
    words = ["train", "--arch", "linear", "--data", pictures.words, "--threads", 1, "--lr-schedule", "cosine", "--warmup", 0.5,
             "--out"]
    lossatlas(*words, tmp_path / "whole", "--epochs", 3).ok()
    lossatlas(*words, tmp_path / "parts", "--epochs", 1, "--lr-epochs", 3).ok()
    for more, culprit in ((["--epochs", 4], "--epochs 4: this run's cosine schedule ends after --lr-epochs 3"),
                          (["--epochs", 2, "--lr-epochs", 2], "lr_epochs was 3, now 2")):
        refused = lossatlas(*words, tmp_path / "parts", "--resume", *more)
        assert refused.status == 1 and culprit in refused.line()
    lossatlas(*words, tmp_path / "parts", "--epochs", 2, "--resume").ok()
    lossatlas(*words, tmp_path / "parts", "--epochs", 3, "--lr-epochs", 3, "--resume").ok()
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_interrupt_saves_within_an_epoch(long_words, tmp_path):
    helpers.interrupt(long_words(tmp_path, **{"batch-size": 1}), "resnet20 on", wait=0.4)
    saved = helpers.load(tmp_path / "resume.pt")
    assert saved["epoch"] == 0 and saved["step"] > 0


def test_more_epochs_by_resume(lossatlas, long_words, long_run, tmp_path):
    lossatlas(*long_words(tmp_path, epochs=2)).ok()
    lossatlas(*long_words(tmp_path), "--resume").ok()
    assert_same_run(long_run, tmp_path)


def test_resume_of_a_finished_run_changes_nothing(lossatlas, long_words, long_run):
    before = helpers.tree(long_run)
    lossatlas(*long_words(long_run), "--resume").ok()
    assert helpers.tree(long_run) == before


@pytest.mark.parametrize("changed, named", [
    ({"lr": 0.1}, "lr was 0.05, now 0.1"), ({"seed": 8}, "seed was 7, now 8"), ({"width": 8}, "width was 4, now 8"),
    ({"arch": "resnet32"}, "arch was \"resnet20\""), ({"optimizer": "adagrad", "momentum": None}, "was"),
    ({"mean": 0.5}, "mean was"), ({"warmup": 1}, "warmup was 0, now 1"),
    ({"lr-schedule": "cosine", "lr-steps": None}, 'lr_schedule was "steps", now "cosine"'), ({"data": "synthetic:40"}, "data was")], ids=str)
def test_resume_with_other_settings_is_refused(lossatlas, long_words, long_run, changed, named):
    before = helpers.tree(long_run)
    done = lossatlas(*long_words(long_run, **changed), "--resume")
    assert done.status == 1 and named in done.err.splitlines()[-1]
    assert helpers.tree(long_run) == before


def test_other_seed_gives_another_network(lossatlas, pictures, tmp_path):
    for seed in (0, 1):
        lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path / str(seed), "--epochs", 0,
                  "--seed", seed).ok()
    a, b = (helpers.state_of(checkpoint(tmp_path / str(seed), 0)) for seed in (0, 1))
    assert not torch.equal(a["linear.weight"], b["linear.weight"])


# --- progress ----------------------------------------------------------------------------------------------------


def on_terminal(*words):
    """What the program writes to a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([str(word) for word in (helpers.BINARY, *words)], stdin=subprocess.DEVNULL, stdout=slave,
                               stderr=slave)
    os.close(slave)
    parts = []
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody writes to any more by an error
        while part := os.read(master, 4096):
            parts.append(part)
    os.close(master)
    assert process.wait(timeout=helpers.TIMEOUT) == 0
    return b"".join(parts).decode()


def test_a_terminal_shows_the_step_within_the_epoch(pictures, tmp_path):
    shown = on_terminal("train", "--arch", "resnet20", "--width", 4, "--data", pictures.words, "--out", tmp_path, "--epochs",
                        1, "--batch-size", 2, "--threads", 1)
    lines = re.findall(r"\r\x1b\[K\x1b\[\?7l(.*?)\x1b\[\?7h", shown)  # each in place of the last, cut at the edge
    form = r"epoch 1/1  step (\d+)/100  loss \d+\.\d+  accuracy \d+\.\d %  \d+ images/s  \d+ s left"
    steps = [int(re.fullmatch(form, line)[1]) for line in lines]
    assert len(steps) > 1 and steps == sorted(set(steps)) and steps[-1] <= 100
    assert re.search(r"\r\x1b\[Kepoch 1: train loss", shown)  # the line is gone before the next message


def test_elsewhere_an_epoch_is_one_line(lossatlas, pictures, tmp_path):
    told = lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path, "--epochs", 2).ok().err
    assert [line.split(":")[0].split(" ")[0] for line in told.splitlines()] == ["linear", "epoch", "epoch"]
    assert "\x1b" not in told and "\r" not in told
