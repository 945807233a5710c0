"""The largest and smallest eigenvalue of the Hessian at each point of a surface (surface --curvature)."""

import json
import pathlib

import h5py
import helpers
import numpy as np
import pytest
import torch

FILES = pathlib.Path(__file__).parents[1] / "files" / "curvature"
RESNET = ("--checkpoint", FILES / "resnet20.pt", "--data", f"cifar10:{FILES / 'images'}")
QUIET = "--progress", "none"
NAMES = ("max_eig", "min_eig", "lossatlas/eig_ratio", "lossatlas/max_eig_residual", "lossatlas/min_eig_residual")


def maps_of(path):
    with h5py.File(path) as file:
        return {name.rpartition("/")[2]: file[name][()] for name in NAMES}


@pytest.fixture(scope="module")
def mapped(lossatlas, small, tmp_path_factory):
    """The words of a surface with maps, the file, its directions and what was said."""
    folder = tmp_path_factory.mktemp("mapped")
    words = ("surface", "--problem", small.path, "--grid", "4x3", "--curvature", "--curvature-products", 25, *QUIET)
    done = lossatlas(*words, "--threads", 1, "--out", folder / "s.h5", "--save-directions", folder / "d.h5").ok()
    return words, folder / "s.h5", folder / "d.h5", done.err


def test_eigenvalues_are_those_of_exact_hessians(small, mapped):
    _, out, directions, err = mapped
    with h5py.File(directions) as file:
        x, y = (torch.cat([torch.as_tensor(file[f"{axis}direction/{k}"][()]).flatten() for k in range(4)]).double() for axis in "xy")
    found = maps_of(out)
    with h5py.File(out) as file:
        across, upwards = file["xcoordinates"][()], file["ycoordinates"][()]
    negative = 0
    for j, b in enumerate(upwards):
        for i, a in enumerate(across):
            hessian = torch.autograd.functional.hessian(small.loss, small.parameters + a * x + b * y)
            values = np.linalg.eigvalsh(hessian.numpy())
            assert found["max_eig"][j, i] == pytest.approx(values[-1], rel=1e-3)
            assert found["min_eig"][j, i] == pytest.approx(values[0], abs=2e-3 * values[-1])
            assert abs(found["max_eig"][j, i] - values[-1]) <= found["max_eig_residual"][j, i] + 1e-4
            negative += found["min_eig"][j, i] < 0
    assert found["eig_ratio"] == pytest.approx(np.abs(found["min_eig"] / found["max_eig"]))
    assert negative == 12 and "all 12 points have a negative one" in err


def test_few_products_suffice_behind_a_neighbour(lossatlas, mapped, small, tmp_path):
    """Six products at each point but the first, each begun with the vectors of the point before."""
    lossatlas(*mapped[0][:-4], *QUIET, "--curvature-products", 6, "--out", tmp_path / "s.h5").ok()
    few, many = maps_of(tmp_path / "s.h5"), maps_of(mapped[1])
    assert few["max_eig"] == pytest.approx(many["max_eig"], rel=0.01)


@pytest.mark.full
def test_the_reference(lossatlas, tmp_path):
    out = tmp_path / "s.h5"
    done = lossatlas("surface", *RESNET, "--grid", 1, "--x", "0:0", "--y", "0:0", "--curvature", "--curvature-products", 25, "--out",
                     out, *QUIET).ok()
    found = maps_of(out)
    assert found["max_eig"][0, 0] == pytest.approx(391.18015, rel=1e-4)
    assert found["min_eig"][0, 0] == pytest.approx(-10.51188, rel=2e-3)
    assert "where the largest eigenvalue is 391" in done.err


def test_losses_are_those_without_maps_and_threads_change_no_bit(lossatlas, mapped, tmp_path):
    words, out, _, _ = mapped
    lossatlas(*words, "--threads", 2, "--out", tmp_path / "two.h5").ok()
    for name, values in maps_of(tmp_path / "two.h5").items():
        assert np.array_equal(values, maps_of(out)[name]), name
    plain = [word for word in words if word != "--curvature"]
    plain = plain[:plain.index("--curvature-products")] + list(QUIET)
    lossatlas(*plain, "--out", tmp_path / "plain.h5").ok()
    with h5py.File(out) as a, h5py.File(tmp_path / "plain.h5") as b:
        assert np.array_equal(a["train_loss"][()], b["train_loss"][()]) and "max_eig" not in b
        assert a["lossatlas"].attrs["settings"] == b["lossatlas"].attrs["settings"]
    done = lossatlas(*words, "--resume", "--out", tmp_path / "plain.h5").ok()  # the maps alone
    assert "12 of 12 points" in done.err
    for name, values in maps_of(tmp_path / "plain.h5").items():
        assert np.array_equal(values, maps_of(out)[name]), name
    again = lossatlas(*words, "--resume", "--out", tmp_path / "plain.h5").ok()
    assert "nothing is left to do" in again.err


def test_rows_that_are_there_are_kept(lossatlas, mapped, tmp_path):
    words, out, _, _ = mapped
    part = tmp_path / "s.h5"
    part.write_bytes(out.read_bytes())
    with h5py.File(part, "a") as file:
        file["lossatlas/curvature/rows"][1] = 0
        file["max_eig"][1] = np.nan
        file["max_eig"][0, 0] = 7  # of a row that is there: stays
    done = lossatlas(*words, "--resume", "--out", part).ok()
    assert "4 points, 1 rows" in done.err
    found, wanted = maps_of(part)["max_eig"], maps_of(out)["max_eig"]
    assert found[0, 0] == 7 and np.array_equal(found.ravel()[1:], wanted.ravel()[1:])
    other = lossatlas(*words[:-3], 9, *QUIET, "--resume", "--out", part)
    assert other.status == 1 and "computed with --curvature-products 25" in other.err.splitlines()[-1]


@pytest.mark.full
def test_an_interrupted_map_goes_on_to_the_same_bits(lossatlas, tmp_path):
    words = ["surface", *RESNET, "--samples", 16, "--grid", 2, "--curvature", "--curvature-products", 2, "--threads", 1, "--progress", "none", "--out"]
    stopped = helpers.interrupt([*words, tmp_path / "a.h5"], "eigenvalues of the Hessian")
    assert stopped.status == 130
    lossatlas(*words, tmp_path / "a.h5", "--resume").ok()
    lossatlas(*words, tmp_path / "b.h5").ok()
    for name, values in maps_of(tmp_path / "a.h5").items():
        assert np.array_equal(values, maps_of(tmp_path / "b.h5")[name]), name


@pytest.mark.parametrize("words", [("--axes", 3), ("--repeat", 2), ("--shard", "1/2")])
def test_surfaces_without_maps_say_so(lossatlas, small, tmp_path, words):
    done = lossatlas("surface", "--problem", small.path, "--grid", 2, "--curvature", *words, "--out", tmp_path / "s.h5", *QUIET).ok()
    assert "eigenvalues at each point (--curvature) are left out" in done.err


def test_maps_are_drawn_and_described(lossatlas, plot, mapped, tmp_path):
    out = mapped[1]
    assert "all 12 points have a negative one" in lossatlas("info", out).ok().out
    for name in ("max_eig", "min_eig", "eig_ratio"):
        plot(out, "--field", name, "-o", tmp_path / f"{name}.svg").ok()
    text = (tmp_path / "max_eig.svg").read_text()
    assert "Hessian" in text
    assert json.loads(lossatlas("info", "--json", out).ok().out)["evaluated"] == 12
