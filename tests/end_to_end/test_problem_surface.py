"""Surfaces of problem files are those of a loop in pure Python over the original network, loss and data (eager.py)."""

import pathlib
import sys

import helpers
import pytest
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "python"), str(ROOT / "tests" / "python")]

from eager import TOLERANCE, Landscape, largest_error, randomize_batch_norms, read_plane  # noqa: E402
from lossatlas import export_problem  # noqa: E402
from networks import CASES  # noqa: E402
from other_networks import PACKAGES  # noqa: E402


def check(case, lossatlas, folder):
    torch.manual_seed(3)
    model, loss, data = case()
    randomize_batch_norms(model)
    problem, out, directions = (folder / name for name in ("p.lossatlas", "s.h5", "d.h5"))
    manifest = export_problem(model, loss, data, problem, quiet=True)
    lossatlas("surface", "--problem", problem, "--grid", 3, "--out", out, "--save-directions", directions).ok()
    reference = Landscape(model, loss, data, manifest["batch_size"]).surface(**read_plane(out, directions))
    assert reference.shape == (3, 3) and reference.std() > 1e-3 * abs(reference.mean())
    assert largest_error(helpers.read(out)["train_loss"], reference) < TOLERANCE


@pytest.mark.parametrize("name", [name if name in ("mlp", "gpt", "unet") else pytest.param(name, marks=pytest.mark.full)
                                  for name in CASES])
def test_surface_is_that_of_a_loop_in_python(lossatlas, tmp_path, name):
    check(CASES[name], lossatlas, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("network", PACKAGES, ids=lambda network: network.__name__)
def test_surface_of_networks_of_other_packages(lossatlas, tmp_path, network):
    package = PACKAGES[network]
    pytest.importorskip(package, reason=f"{package} is not installed: tools/setup --all-tests installs it")
    check(network, lossatlas, tmp_path)


@pytest.mark.full
def test_bench_problems_compares_networks_with_pytorch(tmp_path):
    tool = ROOT / "tools" / "bench-problems"
    done = helpers.run_program(tool, "--quick", "--networks", "mlp,pinn", cwd=tmp_path).ok()
    rows = [line.split() for line in done.out.splitlines() if line.startswith(("mlp", "pinn"))]
    assert [row[0] for row in rows] == ["mlp", "pinn"]
    assert all(0 <= float(row[-1]) < TOLERANCE and float(row[-2]) > 0 for row in rows)
    done = helpers.run_program(tool, "--two-minutes", "--quick", cwd=tmp_path).ok()
    steps = [line.split("s  ")[1] for line in done.out.splitlines()[1:]]
    assert steps == ["export_problem", "lossatlas surface", "lossatlas plot", "from the network to the picture"]
    done = helpers.run_program(tool, "--networks", "mpl", cwd=tmp_path)
    assert done.status == 2 and "there is no network mpl" in done.err
