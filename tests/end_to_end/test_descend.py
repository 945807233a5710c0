"""`lossatlas descend`: functions and optimizers against PyTorch's, the file in the readers that users have, what it prints,
and what it refuses."""

import json
import pathlib
import re
import signal
import subprocess
import time

import h5py
import helpers
import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as scheduler

FUNCTIONS = {  # an expression of ours, and the same in PyTorch
    "25*sin(x) - x^2": lambda x, y: 25 * torch.sin(x) - x**2,
    "x*sin(x)": lambda x, y: x * torch.sin(x),
    "(1 - x)^2 + 100*(y - x^2)^2": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "exp(-(x^2 + y^2)/4)*cos(3*x)*tanh(y) + log(2 + abs(x*y))": lambda x, y: torch.exp(-(x**2 + y**2) / 4)
    * torch.cos(3 * x) * torch.tanh(y) + torch.log(2 + torch.abs(x * y)),
    "sqrt(1 + x^2)^1.5 / (2 + sin(y)) - atan(x - y) + max(x, 2*y)": lambda x, y: torch.sqrt(1 + x**2) ** 1.5
    / (2 + torch.sin(y)) - torch.atan(x - y) + torch.maximum(x, 2 * y),
    "asin(x/9) + acos(y/9) + sinh(x/3)*cosh(y/3) + pow(2, x) + tan(x/9)": lambda x, y: torch.asin(x / 9)
    + torch.acos(y / 9) + torch.sinh(x / 3) * torch.cosh(y / 3) + 2**x + torch.tan(x / 9),
}


def read(path, number=0):
    """One descent: its datasets, and its attributes."""
    with h5py.File(path) as file:
        group = file[f"lossatlas/descents/{number}"]
        return {name: item[()] for name, item in group.items()} | dict(group.attrs)


def grid(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if isinstance(file[name], h5py.Dataset)} | {
            name: item[()] for name, item in file["lossatlas"].items() if isinstance(item, h5py.Dataset)}


@pytest.fixture
def descend(lossatlas, tmp_path):
    """descend(words...) -> the file."""

    def run(*words):
        out = tmp_path / "d.h5"
        lossatlas("descend", *words, "--out", out, "--force").ok()
        return out

    return run


# --- against PyTorch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_values_and_derivatives_are_those_of_autograd(descend, expression):
    start = "1,2" if "y" in expression else "1"
    out = descend("--function", expression, "--from", start, "--steps", 1, "--points", 23, "--x", "-3:4",
                  *(["--y", "-2:5"] if "y" in expression else []))
    read_back = grid(out)
    y = read_back.get("ycoordinates", np.zeros(1))
    ys, xs = np.meshgrid(y, read_back["xcoordinates"], indexing="ij")
    xs, ys = torch.tensor(xs, requires_grad=True), torch.tensor(ys, requires_grad=True)
    values = FUNCTIONS[expression](xs, ys)
    values.sum().backward()
    shape = read_back["value"].shape
    np.testing.assert_allclose(read_back["value"], values.detach().numpy().reshape(shape), rtol=1e-12, atol=1e-13)
    if len(shape) == 1:
        np.testing.assert_allclose(read_back["derivative"], xs.grad.numpy().reshape(shape), rtol=1e-12, atol=1e-13)
    else:
        np.testing.assert_allclose(read_back["gradient_x"], xs.grad.numpy(), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(read_back["gradient_y"], ys.grad.numpy(), rtol=1e-12, atol=1e-13)


THEIRS = {
    "gd": (torch.optim.SGD, {}), "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {"eps": 1e-7}), "rmsprop": (torch.optim.RMSprop, {}), "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("ascend", [False, True])
def test_optimizers_are_those_of_torch(descend, name, ascend):
    words = ["--ascend"] if ascend else []
    out = descend("--function", "rosenbrock", "--from", "-0.5,0.5", "--optimizer", name, "--rate", 0.002, "--steps", 60,
                  *words)
    make, options = THEIRS[name]
    point = torch.tensor([-0.5, 0.5], dtype=torch.float64, requires_grad=True)
    optimizer = make([point], lr=0.002, maximize=ascend, **options)
    positions = [point.detach().numpy().copy()]
    ours = read(out)["position"]
    for _ in range(len(ours) - 1):
        optimizer.zero_grad()
        FUNCTIONS["(1 - x)^2 + 100*(y - x^2)^2"](*point).backward()
        optimizer.step()
        positions.append(point.detach().numpy().copy())
    near = np.abs(np.array(positions)).max(axis=1) < 10  # an ascent of this function soon leaves for infinity
    assert near.sum() > 5
    np.testing.assert_allclose(ours[near], np.array(positions)[near], rtol=1e-7, atol=1e-9)


def test_weight_decay_of_adamw(descend):
    """Decoupled: where the gradient is 0, a step shrinks the position by ελ."""
    out = descend("--function", "(x - 1)^2 + 0*y", "--from", "1,4", "--optimizer", "adamw,adam", "--rate", 0.1,
                  "--weight-decay", 0.5, "--steps", 20)
    point = torch.tensor([1.0, 4.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([point], lr=0.1, weight_decay=0.5)
    for position in read(out)["position"]:
        np.testing.assert_allclose(position, point.detach().numpy(), rtol=1e-10)
        optimizer.zero_grad()
        ((point[0] - 1) ** 2 + 0 * point[1]).backward()
        optimizer.step()
    assert position[1] == pytest.approx(4 * 0.95**20)
    assert read(out, 1)["end"] == "converged"  # Adam has no decay here
    assert [o.get("weight_decay") for o in helpers.settings(out)["optimizers"]] == [0.5, None]


SCHEDULES = {  # of 40 steps: words, what the settings hold, and the same of PyTorch
    "steps": (["--lr-steps", "10,30", "--lr-factor", 0.3], {"lr_steps": [10, 30], "lr_factor": 0.3},
              lambda o: scheduler.MultiStepLR(o, [10, 30], 0.3)),
    "cosine": (["--lr-schedule", "cosine"], {"lr_schedule": "cosine"}, lambda o: scheduler.CosineAnnealingLR(o, 40)),
    "warm-up": (["--warmup", 8], {"warmup": 8}, lambda o: scheduler.LinearLR(o, 1 / 8, total_iters=7)),
    "warm-up and cosine": (
        ["--warmup", 8, "--lr-schedule", "cosine"], {"lr_schedule": "cosine", "warmup": 8}, lambda o: scheduler.SequentialLR(
            o, [scheduler.LinearLR(o, 1 / 8, total_iters=7), scheduler.CosineAnnealingLR(o, 32)], [8])),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_those_of_torch(descend, name):
    words, stored, make = SCHEDULES[name]
    out = descend("--function", "rosenbrock", "--from", "-0.5,0.5", "--optimizer", "gd,adamw", "--steps", 40, "--rate", 0.002,
                  *words)
    for number, rule in enumerate((torch.optim.SGD, torch.optim.AdamW)):
        point = torch.tensor([-0.5, 0.5], dtype=torch.float64, requires_grad=True)
        optimizer = rule([point], lr=0.002)
        schedule, found = make(optimizer), read(out, number)
        for step in range(40):
            np.testing.assert_allclose(found["position"][step], point.detach().numpy(), rtol=1e-9)
            if rule is torch.optim.SGD:
                np.testing.assert_allclose(found["effective_rate"][step], optimizer.param_groups[0]["lr"], rtol=1e-10)
            optimizer.zero_grad()
            FUNCTIONS["(1 - x)^2 + 100*(y - x^2)^2"](*point).backward()
            optimizer.step()
            schedule.step()
    names = {"lr_schedule", "lr_steps", "lr_factor", "warmup"}
    assert {key: value for key, value in helpers.settings(out).items() if key in names} == stored


# --- what the article shows ------------------------------------------------------------------------------


def test_ascents_end_in_different_maxima(lossatlas, tmp_path):
    out = tmp_path / "d.h5"
    done = lossatlas("descend", "--function", "25*sin(x) - x^2", "--ascend", "--from", "0;5;-8", "--rate", 0.02,
                     "--steps", 100, "--out", out).ok()
    ends = [read(out, number)["position"][-1, 0] for number in range(3)]
    np.testing.assert_allclose(ends, [1.45419657, 1.45419657, -4.35640542], atol=1e-6)
    assert "gradient ascent, rate 0.02, from -8: x = -4.35641" in done.out
    assert "converged" in done.out and done.out.endswith(f"{out}\n")
    assert done.err == ""


def test_rates(descend):
    out = descend("--function", "waves", "--ascend", "--from", "2.5", "--rate", "1,0.1,0.01", "--steps", 50)
    large, right, small = (read(out, number)["position"][:, 0] for number in range(3))
    assert large[1] == pytest.approx(1.0956, abs=1e-4) and large[2] == pytest.approx(2.4861, abs=1e-4)
    assert right[20] == pytest.approx(2.0288, abs=1e-3)
    assert small[50] == pytest.approx(2.138, abs=1e-3)
    out = descend("--function", "x + sin(x)", "--from", "2.5", "--rate", "1,0.1,0.01")
    for number in range(3):
        assert np.all(np.diff(read(out, number)["position"][:, 0]) < 0)


def test_effective_rate_of_adagrad(descend):
    found = read(descend("--function", "ravine", "--optimizer", "adagrad", "--rate", 0.5, "--steps", 30))
    squares = np.cumsum(found["gradient"] ** 2, axis=0)
    expected = 0.5 / (1e-7 + np.sqrt(squares))
    np.testing.assert_allclose(found["effective_rate"][:-1], expected[:-1], rtol=1e-13)
    assert np.isnan(found["effective_rate"][-1]).all()
    steps = np.diff(found["position"], axis=0)
    np.testing.assert_allclose(steps, -(found["effective_rate"] * found["gradient"])[:-1], rtol=1e-6)
    assert np.all(found["effective_rate"][:-1, 1] < found["effective_rate"][:-1, 0])


def test_geometry(lossatlas, tmp_path):
    out = tmp_path / "d.h5"
    done = lossatlas("descend", "--function", "x^2 + 3*y", "--at", "2,1;0,0", "--direction", "3,4", "--out", out).ok()
    assert "at (2, 1): value 7, gradient (4, 3), tangent plane z = 7 + 4*(x - 2) + 3*(y - 1)" in done.out
    assert "along (0.6, 0.8): directional derivative 4.8" in done.out
    with h5py.File(out) as file:
        tangent = file["lossatlas/tangents/0"]
        assert tangent["point"][:].tolist() == [2, 1] and tangent["gradient"][:].tolist() == [4, 3]
        assert tangent.attrs["value"] == 7 and tangent["direction"][:].tolist() == [0.6, 0.8]
        assert tangent.attrs["directional_derivative"] == pytest.approx(4.8)
        assert "descents" not in file["lossatlas"]
    done = lossatlas("descend", "--function", "x^2", "--at", "-3", "--out", tmp_path / "e.h5").ok()
    assert "at -3: value 9, derivative -6, tangent line y = 9 - 6*(x + 3)" in done.out


# --- the file ----------------------------------------------------------------------------------------------------


def test_file_in_xarray_and_vtk(descend):
    import xarray
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOHDF import vtkHDFReader

    out = descend("--function", "himmelblau", "--points", 21, "--x", "-2:3", "--y", "-4:1")
    with xarray.open_dataset(out, engine="h5netcdf") as data:
        assert data.value.dims == ("y", "x")
        assert float(data.value.sel(x=3, y=-4, method="nearest")) == pytest.approx((9 - 4 - 11) ** 2 + (3 + 16 - 7) ** 2)
    reader = vtkHDFReader()
    reader.SetFileName(str(out))
    reader.Update()
    image = reader.GetOutput()
    assert image.GetDimensions() == (21, 21, 1) and image.GetOrigin()[:2] == (-2, -4)
    values = vtk_to_numpy(image.GetPointData().GetArray("value"))
    assert values[0] == pytest.approx((4 - 4 - 11) ** 2 + (-2 + 16 - 7) ** 2)


def test_settings_and_info(lossatlas, descend):
    out = descend("--function", "ravine", "--optimizer", "gd:0.09,adagrad", "--rate", "1,2", "--steps", 7)
    settings = helpers.settings(out)
    assert settings["function"] == "ravine" and settings["variables"] == ["x", "y"]
    assert [(o["name"], o["rate"]) for o in settings["optimizers"]] == [("gd", 0.09), ("adagrad", 1), ("adagrad", 2)]
    told = json.loads(lossatlas("info", out, "--json").ok().out)
    assert told["kind"] == "descent" and len(told["descents"]) == 3
    assert told["descents"][1]["optimizer"] == "adagrad" and told["descents"][1]["steps"] == 7
    assert "AdaGrad, rate 2" in lossatlas("info", out).ok().out


def test_the_same_words_give_the_same_numbers(descend):
    words = ["--function", "beale", "--optimizer", "sgd,adam", "--noise", 3, "--seed", 5, "--steps", 40]
    first = [read(descend(*words), number)["position"] for number in range(2)]
    second = [read(descend(*words), number)["position"] for number in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(first, second))


def test_list(lossatlas):
    told = lossatlas("descend", "--list").ok().out
    for name in NAMES:
        assert f"\n{name} " in "\n" + told


# --- descents that end early, and words that are wrong -----------------------------------------------------------


def test_a_descent_that_leaves_the_domain_says_so(lossatlas, tmp_path):
    out = tmp_path / "d.h5"
    done = lossatlas("descend", "--function", "x - log(x)", "--from", "0.5", "--rate", 3, "--ascend", "--out", out).ok()
    assert "stopped at x = -2.5: log of -2.5" in done.out
    found = read(out)
    assert found["end"] == "undefined" and found["position"].tolist() == [[0.5]]


def test_a_descent_that_diverges_is_kept_up_to_there(lossatlas, tmp_path):
    out = tmp_path / "d.h5"
    done = lossatlas("descend", "--function", "x^4", "--from", "2", "--rate", 1, "--out", out).ok()
    assert "diverged at x = -5.32064e+143: overflow in ^" in done.out
    found = read(out)
    assert found["end"] == "diverged" and np.isfinite(found["position"]).all() and np.isfinite(found["value"]).all()
    assert np.abs(grid(out)["xcoordinates"]).max() < 1000


def test_a_step_that_runs_away_widens_the_range_along_no_axis(descend):
    usual = [grid(descend("--function", "rosenbrock", "--steps", 1))[name] for name in ("xcoordinates", "ycoordinates")]
    ranges = [grid(descend("--function", "rosenbrock", "--rate", 0.1))[name] for name in ("xcoordinates", "ycoordinates")]
    np.testing.assert_array_equal(ranges, usual)  # the first step leads to (14, 7)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_keeps_the_steps_done(lossatlas, tmp_path, number):
    out = tmp_path / "d.h5"
    slow = "sin(" * 190 + "x" + ")" * 190
    process = subprocess.Popen([str(word) for word in (
        helpers.BINARY, "descend", "--function", slow, "--from", "1;2", "--rate", "0.1,0.2,0.3,0.4,0.5", "--tolerance", 0,
        "--steps", 1_000_000, "--out", out)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    caught = 0
    while process.poll() is None and not caught >> (number - 1) & 1:
        time.sleep(0.01)
        caught = int(re.search(r"SigCgt:\s*(\w+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1], 16)
    time.sleep(0.2)
    process.send_signal(number)
    told, complaint = process.communicate(timeout=60)
    assert process.returncode == 130 and complaint == "interrupted; the file holds the steps done until then\n"
    first, last = read(out), read(out, 9)
    assert first["end"] == "interrupted" and 0 < len(first["value"]) - 1 < 1_000_000
    assert last["end"] == "interrupted" and last["position"].tolist() == [[2.0]]
    assert told.count("(interrupted)") == 10 and told.endswith(f"{out}\n")
    assert "interrupted" in lossatlas("info", out).ok().out


def test_a_number_too_large_on_the_way_does_no_harm(descend):
    found = read(descend("--function", "1/(1 + exp(-x))", "--from", "-800", "--x", "-900:900"))
    assert found["end"] == "converged" and found["value"].tolist() == [0, 0]
    tabulated = grid(descend("--function", "1/(1 + exp(-x))", "--from", "0", "--x", "-900:900"))
    assert np.isfinite(tabulated["value"]).all() and np.isfinite(tabulated["derivative"]).all()


def test_points_where_an_operation_has_no_value_are_not_finite(descend):
    tabulated = grid(descend("--function", "atan(1/x^2)", "--from", "1", "--x", "-1:1", "--points", 3))
    assert np.isfinite(tabulated["value"]).tolist() == [True, False, True]


NAMES = ("hills", "stairs", "waves", "rosenbrock", "himmelblau", "beale", "rastrigin", "ackley", "saddle", "ravine")


@pytest.mark.parametrize("name", NAMES)
def test_named_functions_descend_with_no_other_words(descend, name):
    found = read(descend("--function", name))
    assert found["end"] in ("steps", "converged") and np.all(np.diff(found["value"]) <= 1e-12)
    assert found["value"][-1] < found["value"][0] - 0.05


def test_the_rate_of_a_named_function_gives_way_to_the_words(descend):
    out = descend("--function", "rosenbrock", "--optimizer", "gd,adam:0.1")
    assert [o["rate"] for o in helpers.settings(out)["optimizers"]] == [0.001, 0.1]
    out = descend("--function", "rosenbrock", "--rate", 0.0005)
    assert [o["rate"] for o in helpers.settings(out)["optimizers"]] == [0.0005]


def test_settings_hold_what_was_used(descend):
    settings = helpers.settings(descend("--function", "ravine", "--optimizer", "gd,sgd", "--noise", 3, "--terms", 50))
    assert (settings["noise"], settings["terms"], settings["batch_size"], settings["seed"]) == (3, 50, 10, 0)
    settings = helpers.settings(descend("--function", "ravine"))
    assert not {"noise", "terms", "batch_size", "seed"} & settings.keys()
    settings = helpers.settings(descend("--function", "ravine", "--at", "1,1"))
    assert settings["at"] == [[1, 1]] and not {"from", "optimizers", "steps", "ascend", "tolerance"} & settings.keys()


def test_spaces_in_lists(descend):
    out = descend("--function", "ravine", "--optimizer", " gd : 0.05, adam", "--rate", "0.1, 0.2", "--from", " 1, 2 ; 3 ,4")
    settings = helpers.settings(out)
    assert settings["from"] == [[1, 2], [3, 4]]
    assert [(o["name"], o["rate"]) for o in settings["optimizers"]] == [("gd", 0.05), ("adam", 0.1), ("adam", 0.2)]


def test_help_says_how_a_range_is_written(lossatlas):
    told = lossatlas("descend", "--help").ok().out
    assert "--x LOW:HIGH" in told and "--y LOW:HIGH" in told


@pytest.mark.parametrize("function, column", [("25*sinn(x)", 4), ("25*sin(x - x^2", 15), ("2 x", 3), ("x^", 3),
                                              ("x +\n\tsinn(x)", 6), ("2*\t|x|", 4)])
def test_an_expression_with_an_error_is_pointed_at(lossatlas, tmp_path, function, column):
    done = lossatlas("descend", "--function", function, "--from", "1", "--out", tmp_path / "d.h5")
    assert done.status == 2
    shown, caret, line = done.err.splitlines()
    assert shown == function.replace("\n", " ").replace("\t", " ") and caret == " " * (column - 1) + "^"
    assert line.startswith(f"lossatlas: --function, column {column}: ")
    assert not (tmp_path / "d.h5").exists()


@pytest.mark.parametrize("function, hint", [("X^2", "did you mean 'x'?"), ("ln(x)", "did you mean 'log'?"), ("|x|", "abs(x)"),
                                            ("x $\n2", "'$'"), ("x \x01", "'\\x01'")])
def test_hints(lossatlas, function, hint):
    done = lossatlas("descend", "--function", function, "--from", "1")
    assert done.status == 2 and hint in done.err.splitlines()[-1] and len(done.err.splitlines()) == 3


@pytest.mark.parametrize("status, words, culprit", [
    (2, [], "--function"), (2, ["--function=x^2"], "--from"), (2, ["--function=x^2", "--from=1,2"], "--from 1,2"),
    (2, ["--function=x*y", "--from=1"], "--from 1"), (2, ["--function=x^2", "--from=a"], '--from "a"'),
    (2, ["--function=x^2", "--from=1;"], '--from "1;"'), (2, ["--function=x^2", "--from=inf"], '--from "inf": requires finite'),
    (2, ["--function=x^2", "--from=1;a"], "';' between points"), (2, ["--function=x^2", "--at=;"], '--at ";"'),
    (2, ["--function=rosenbrock", "--optimizer=adan"], "did you mean 'adam'?"),
    (2, ["--function=rosenbrock", "--optimizer=gd,"], "--optimizer: a name is missing"),
    (2, ["--function=rosenbrock", "--optimizer=gd, adan"], "--optimizer adan: requires"),
    (2, ["--function=rosenbrock", "--optimizer=gd:0.1:0.2"], "--optimizer gd:0.1:0.2: requires NAME:RATE"),
    (2, ["--function=rosenbrock", "--optimizer=gd:x"], "--optimizer gd:x"),
    (2, ["--function=rosenbrock", "--optimizer=gd:-1"], "--optimizer gd:-1"),
    (2, ["--function=rosenbrock", "--rate=0"], "--rate 0"), (2, ["--function=rosenbrock", "--rate=nan"], "--rate nan: requires finite"),
    (2, ["--function=rosenbrock", "--momentum=0.5"], "--momentum"),
    (2, ["--function=rosenbrock", "--optimizer=momentum", "--momentum=1"], "--momentum 1"),
    (2, ["--function=rosenbrock", "--optimizer=sgd"], "--noise"), (2, ["--function=rosenbrock", "--steps=0"], "--steps: 0: requires a whole number from 1 to"),
    (2, ["--function=rosenbrock", "--steps=2.5"], "--steps: 2.5: requires a whole number from 1 to 1000000"),
    (2, ["--function=rosenbrock", "--optimizer=sgd", "--noise=1", "--terms=5"], "--terms 5: a step takes 10"),
    (2, ["--function=rosenbrock", "--optimizer=sgd", "--noise=1", "--terms=5", "--batch-size=6"], "--batch-size 6: there are 5"),
    (2, ["--function=rosenbrock", "--noise=3", "--optimizer=gd"], "--noise 3: gd sees all terms"),
    (2, ["--function=rosenbrock", "--noise=3", "--optimizer=gd:1,gd:2"], "--noise 3: gd sees all terms"),
    (2, ["--function=rosenbrock", "--terms=50"], "--terms requires --noise"),
    (2, ["--function=rosenbrock", "--optimizer=adam", "--batch-size=5"], "--batch-size requires --noise"),
    (2, ["--function=rosenbrock", "--optimizer=adam", "--noise=0", "--seed=5"], "--seed requires --noise"),
    (2, ["--function=rosenbrock", "--optimizer=gd:0.1,adam:0.2", "--rate=0.3"], "--rate 0.3"),
    (2, ["--function=rosenbrock", "--noise=-1"], "-1: requires a number of 0 or more"),
    (2, ["--function=rosenbrock", "--optimizer=adamw", "--weight-decay=-1"], "--weight-decay -1"),
    (2, ["--function=rosenbrock", "--optimizer=adam", "--weight-decay=0.1"], "--weight-decay belongs to --optimizer adamw"),
    (2, ["--function=rosenbrock", "--optimizer=adamw", "--eps=0"], "--eps"),
    (2, ["--function=rosenbrock", "--lr-schedule=cosin"], "did you mean 'cosine'?"),
    (2, ["--function=rosenbrock", "--lr-schedule=cosine", "--lr-steps=5"], "--lr-steps requires --lr-schedule steps"),
    (2, ["--function=rosenbrock", "--lr-schedule=cosine", "--lr-factor=2"], "--lr-factor requires --lr-schedule steps"),
    (2, ["--function=rosenbrock", "--lr-factor=2"], "--lr-factor belongs to --lr-steps"),
    (2, ["--function=rosenbrock", "--lr-steps=5,5"], "--lr-steps 5,5: requires increasing"),
    (2, ["--function=rosenbrock", "--lr-epochs=5"], "unknown option '--lr-epochs'"),
    (2, ["--function=rosenbrock", "--warmup=100"], "--warmup 100: must be shorter than --steps 100"),
    (2, ["--function=rosenbrock", "--warmup=-1"], "-1: requires a number of 0 or more"),
    (2, ["--function=rosenbrock", "--warmup=nan"], "nan: requires a number of 0 or more"),
    (2, ["--function=hills", "--at=1", "--warmup=5"], "--warmup requires --from"),
    (2, ["--function=hills", "--at=1", "--lr-schedule=cosine"], "--lr-schedule requires --from"),
    (2, ["--function=hills", "--at=1", "--optimizer=adamw", "--weight-decay=1"], "--from"),
    (2, ["--function=rosenbrock", "--tolerance=-1"], "-1: requires a number of 0 or more"),
    (2, ["--function=hills", "--at=1", "--direction=1;2"], "--direction 1;2: requires one direction"),
    (2, ["--function=hills", "--at=1", "--direction=1,2"], "--direction 1,2"),
    (2, ["--function=hills", "--at=1", "--steps=5"], "--steps requires --from"),
    (2, ["--function=hills", "--at=1", "--optimizer=adam"], "--optimizer requires --from"),
    (2, ["--function=hills", "--y=0:1"], "--y"), (2, ["--function=hills", "--x=1:0"], "--x 1:0"),
    (2, ["--function=hills", "--direction=1"], "--at"), (2, ["--function=hills", "--at=1", "--direction=0"], "--direction"),
    (2, ["--function=hills", "--points=1"], "--points"), (2, ["--function=hills", "--steps=1000000", "--rate=1,2,3,4,5,6,7,8,9,10,11"], "descents"),
    (1, ["--function=log(x)", "--from=0"], "log of 0"), (1, ["--function=1/x", "--from=1", "--at=0"], "division by 0"),
    (1, ["--function=exp(-1/x^2)", "--from=0"], "not defined at x = 0 (division by 0)"),
    (1, ["--function=asin(x)", "--from=1"], "has no derivative at x = 1 (asin has no derivative at 1)"),
    (1, ["--function=(-2)^x", "--from=2"], "has no derivative at x = 2 (-2 to the power of 2 has no derivative)"),
    (1, ["--function=x/sqrt(1 + x^2)", "--from=1e200"], "cannot be computed at x = 1e+200 (overflow in ^)"),
], ids=str)
def test_wrong_words(lossatlas, tmp_path, status, words, culprit):
    done = lossatlas("descend", *words, "--out", tmp_path / "d.h5")
    assert done.status == status and culprit in done.line()
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_slip(lossatlas):
    done = lossatlas("descend", "--function", "rosenbrok")
    assert done.status == 2 and "did you mean rosenbrock?" in done.err


def test_existing_files_are_kept(lossatlas, tmp_path):
    out = tmp_path / "d.h5"
    out.write_text("precious")
    done = lossatlas("descend", "--function", "hills", "--out", out)
    assert done.status == 1 and "--force" in done.line() and out.read_text() == "precious"
    lossatlas("descend", "--function", "hills", "--out", out, "--force").ok()
    assert helpers.settings(out)["function"] == "hills"
