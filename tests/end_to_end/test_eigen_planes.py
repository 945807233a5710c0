"""Planes and lines of eigenvectors of the Hessian, and planes of some parameters only."""

import json
import pathlib

import h5py
import numpy as np
import pytest

FILES = pathlib.Path(__file__).parents[1] / "files" / "curvature"
RESNET = ("--checkpoint", FILES / "resnet20.pt", "--data", f"cifar10:{FILES / 'images'}")
QUIET = "--progress", "none"


def settings_of(path):
    with h5py.File(path) as file:
        return json.loads(file["lossatlas"].attrs["settings"])


def directions_of(path):
    """[directions][parameters]"""
    with h5py.File(path) as file:
        return [[file[f"{axis}direction/{k}"][()] for k in range(len(file[f"{axis}direction"]))] for axis in "xyz"
                if f"{axis}direction" in file]


def flat(direction):
    return np.concatenate([part.ravel() for part in direction]).astype(float)


@pytest.mark.parametrize("words, axes, places", [
    ("eigen", 2, [1, 2]), ("eigen:3,1", 2, [3, 1]), ("eigen:low", 2, [-1, -2]), ("eigen:1,low", 2, [1, -1]), ("eigen", 3, [1, 2, 3])])
def test_directions_are_eigenvectors(lossatlas, small, tmp_path, words, axes, places):
    problem, hessian = small.path, small.hessian
    values, vectors = np.linalg.eigh(hessian)
    lossatlas("surface", "--problem", problem, "--plane", words, "--axes", axes, "--grid", 3, "--save-directions",
              tmp_path / "d.h5", "--out", tmp_path / "s.h5", *QUIET).ok()
    found, settings = directions_of(tmp_path / "d.h5"), settings_of(tmp_path / "s.h5")
    assert settings["eigen"] == places and len(found) == axes
    for place, direction, value in zip(places, found, settings["eigenvalues"]):
        k = -place if place > 0 else -place - 1
        assert value == pytest.approx(values[k], rel=1e-5, abs=1e-6)
        assert abs(flat(direction) @ vectors[:, k]) == pytest.approx(1, abs=1e-3)
        assert flat(direction)[np.argmax(np.abs(flat(direction)))] > 0
    assert settings["trace"] == pytest.approx(np.trace(hessian), abs=4 * settings["trace_se"] + 1e-6)


def test_the_loss_curves_as_the_eigenvalue_says(lossatlas, small, tmp_path):
    """By differences in float64 of the losses in the file; a smooth network."""
    problem, hessian = small.path, small.hessian
    out = tmp_path / "l.h5"
    lossatlas("line", "--problem", problem, "--plane", "eigen:1", "--x", "-0.02:0.02", "--points", 3, "--split", "train",
              "--out", out, *QUIET).ok()
    with h5py.File(out) as file:
        low, centre, high = file["train_loss"][()]
    assert (low - 2 * centre + high) / 0.02**2 == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=0.01)


@pytest.mark.full
def test_the_reference_and_its_share_of_the_trace(lossatlas, tmp_path):
    out = tmp_path / "s.h5"
    err = lossatlas("surface", *RESNET, "--plane", "eigen", "--grid", 3, "--out", out, *QUIET).ok().err
    settings = settings_of(out)
    assert settings["eigenvalues"] == pytest.approx([391.18015, 324.64247], rel=1e-4)
    assert settings["trace"] == pytest.approx(1797, abs=62 + 3 * settings["trace_se"])
    share = 100 * sum(settings["eigenvalues"]) / settings["trace"]
    assert f"of which they hold {share:.0f} %" in err and "391.2, 324.6" in err
    # The range ends where the quadratic model has risen by 1.
    assert [axis["high"] for axis in settings["axes"]] == pytest.approx([(2 / value) ** 0.5 for value in settings["eigenvalues"]], rel=0.02)
    assert "they hold" in lossatlas("info", out).ok().out


def test_threads_and_resuming_change_no_bit(lossatlas, small, tmp_path):
    words = ("surface", "--problem", small.path, "--plane", "eigen", "--grid", 5, *QUIET)
    for name, threads in (("a", 1), ("b", 2)):
        lossatlas(*words, "--threads", threads, "--out", tmp_path / f"{name}.h5").ok()
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        assert np.array_equal(a["train_loss"][()], b["train_loss"][()])
    done = lossatlas(*words, "--resume", "--out", tmp_path / "a.h5").ok()
    assert "nothing is left to do" in done.err


def test_only_the_chosen_parameters_move(lossatlas, small, tmp_path):
    words = ("surface", "--problem", small.path, "--grid", 3, *QUIET)
    lossatlas(*words, "--parameters", "2.*", "--save-directions", tmp_path / "d.h5", "--out", tmp_path / "s.h5").ok()
    for direction in directions_of(tmp_path / "d.h5"):
        first, first_bias, second, second_bias = direction
        assert not first.any() and not first_bias.any() and second.any()
        assert not second_bias.any()  # --ignore comes after it
    assert settings_of(tmp_path / "s.h5")["parameters"] == ["2.*"]
    other = lossatlas(*words, "--parameters", "0.*", "--resume", "--out", tmp_path / "s.h5")
    assert other.status == 1 and "other settings: parameters" in other.line()


def test_eigenvectors_of_a_block(lossatlas, small, tmp_path):
    problem, hessian, sizes = small[:3]
    lossatlas("surface", "--problem", problem, "--plane", "eigen", "--parameters", "2.*", "--grid", 3, "--save-directions",
              tmp_path / "d.h5", "--out", tmp_path / "s.h5", *QUIET).ok()
    start = sizes[0] + sizes[1]
    values = np.linalg.eigvalsh(hessian[start:, start:])
    assert settings_of(tmp_path / "s.h5")["eigenvalues"] == pytest.approx(values[[-1, -2]], rel=1e-5)
    for direction in directions_of(tmp_path / "d.h5"):
        assert not flat(direction)[:start].any() and np.linalg.norm(flat(direction)) == pytest.approx(1, abs=1e-5)


def test_a_surface_of_another_plane_is_refused_before_any_product(lossatlas, small, tmp_path):
    words = "surface", "--problem", small.path, "--grid", 3, "--out", tmp_path / "s.h5"
    lossatlas(*words, *QUIET).ok()
    before = (tmp_path / "s.h5").read_bytes()
    done = lossatlas(*words, "--plane", "eigen", "--resume")
    assert done.status == 1 and "plane was random, now eigen" in done.err and "eigenvectors of" not in done.err
    assert (tmp_path / "s.h5").read_bytes() == before


def test_all_samples_and_what_an_axis_is(lossatlas, small, tmp_path):
    out = tmp_path / "s.h5"
    done = lossatlas("surface", "--problem", small.path, "--grid", 3, "--plane", "eigen", "--eigen-samples", "all", "--curvature",
                     "--out", out).ok()
    assert settings_of(out)["eigen_samples"] == 40
    assert done.err.count("over 40 samples, for the plane") == 1
    values = np.linalg.eigvalsh(small.hessian)
    with h5py.File(out) as file:
        meaning = [axis["unit"] for axis in json.loads(file["lossatlas"].attrs["axes"])]
        assert file["y"].attrs["long_name"] == meaning[1]
    assert meaning == [f"distance along the eigenvector of eigenvalue {value:.4g}" for value in values[[-1, -2]]]


@pytest.mark.parametrize("words, text", [
    (["--plane", "eigen:0,1"], "'0' is no eigenvector"),
    (["--plane", "eigen:1,1"], "1 twice"),
    (["--plane", "eigen:x,1"], "'x' is no eigenvector"),
    (["--plane", "eigen:1"], "1 for 2 axes"),
    (["--plane", "eigen:52,1"], "51 parameters do not have so many eigenvectors"),
    (["--curvature-products", "5"], "--curvature-products: requires --curvature"),
    (["--plane", "eigen:1,2,3"], "3 for 2 axes"),
    (["--plane", "eigen:"], "requires random, points:A,B,C"),
    (["--plane", "eigen", "--seed", "3"], "--seed: applies to random directions only"),
    (["--plane", "eigen", "--dir-type", "states"], "--dir-type states: eigenvectors move weights alone"),
    (["--plane", "eigen", "--eigen-samples", "41"], "--eigen-samples 41: the surface takes 40 samples"),
    (["--plane", "eigen", "--repeat", "2"], "--repeat 2: draws its directions"),
    (["--eigen-samples", "4"], "--eigen-samples: applies to --plane eigen only"),
    (["--parameters", "9.*"], "--parameters 9.*: no parameter has such a name"),
    (["--parameters", "*.bias"], "leaves nothing of --parameters *.bias to move"),
    (["--plane", "file:d.h5", "--parameters", "2.*"], "--parameters: applies to random directions and eigenvectors"),
])
def test_wrong_words_are_one_line(lossatlas, small, tmp_path, words, text):
    done = lossatlas("surface", "--problem", small.path, "--grid", 3, "--out", tmp_path / "s.h5", *words, *QUIET)
    assert done.status == 2 and text in done.line()
    assert not (tmp_path / "s.h5").exists()
