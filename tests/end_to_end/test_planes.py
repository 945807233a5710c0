"""Planes of `lossatlas surface`: through checkpoints, of a file, orthogonal, uniform; both splits at once."""

import json

import h5py
import helpers
import numpy as np
import pytest
import torch.nn.functional as F


@pytest.fixture(scope="module")
def epochs(run):
    return [run / "checkpoints" / f"epoch-{number:04d}.pt" for number in range(4)]


@pytest.fixture(scope="module")
def through(lossatlas, pictures, epochs, tmp_path_factory):
    """A plane through three checkpoints, statistics as stored; a fourth is marked beside it."""
    out = tmp_path_factory.mktemp("plane") / "p.h5"
    a, b, c, d = (epochs[i] for i in (3, 1, 2, 0))
    lossatlas("surface", "--plane", f"points:{a},{b},{c},{d}", "--data", pictures.words, "--out", out, "--split", "both",
              "--grid", "3x3", "--bn", "stored", "--save-directions", out.with_name("d.h5")).ok()
    return out


def flat(state):
    return np.concatenate([state[name].numpy().ravel() for name in helpers.parameter_names(state)])


def test_coordinates(through, epochs):
    a, b, c, d = (flat(helpers.state_of(epochs[i])) for i in (3, 1, 2, 0))
    first, rest = b - a, c - a
    first_length = np.linalg.norm(first)
    rest = rest - rest @ first / first_length**2 * first
    second = rest / np.linalg.norm(rest) * first_length
    with h5py.File(through) as file:
        points = file["lossatlas/points"]
        assert list(points["name"].asstr()) == [f"epoch-000{i}" for i in (3, 1, 2, 0)]
        for i, state in enumerate((a, b, c, d)):
            x, y = ((state - a) @ axis / first_length**2 for axis in (first, second))
            away = np.linalg.norm(state - a - x * first - y * second)
            np.testing.assert_allclose([points["x"][i], points["y"][i]], [x, y], atol=1e-5)
            np.testing.assert_allclose(points["distance"][i], away, atol=1e-5 * first_length)
        assert (points["distance"][:3] == 0).all() and points["distance"][3] > 0
        np.testing.assert_allclose(points.attrs["unit"], first_length, rtol=1e-6)
        for axis, name in (("x", "xcoordinates"), ("y", "ycoordinates")):  # a margin of a fifth
            low, high = points[axis][()].min(), points[axis][()].max()
            np.testing.assert_allclose(file[name][[0, -1]], [low - 0.2 * (high - low), high + 0.2 * (high - low)])
    assert abs(helpers.settings(through)["cosine"]) < 1e-6


def test_own_losses(through, epochs, pictures):
    with h5py.File(through) as file:
        points = file["lossatlas/points"]
        for split in ("train", "test"):
            images, labels = pictures.batch(split)
            own = [F.cross_entropy(helpers.resnet20(helpers.state_of(epochs[i]), images), labels).item()
                   for i in (3, 1, 2, 0)]
            np.testing.assert_allclose(points[f"{split}_loss"], own, rtol=1e-4)


@pytest.mark.parametrize("number", range(3))
def test_the_plane_passes_through_its_checkpoints(through, number, lossatlas, pictures, epochs, tmp_path):
    with h5py.File(through) as file:
        points = {name: values[()] for name, values in file["lossatlas/points"].items()}
    x, y = float(points["x"][number]), float(points["y"][number])
    a, b, c = (epochs[i] for i in (3, 1, 2))
    out = tmp_path / "p.h5"
    lossatlas("surface", "--checkpoint", a, "--plane", f"points:{b},{c}", "--data", pictures.words, "--out", out,
              "--split", "both", "--bn", "stored", "--grid", "1x1", f"--x={x!r}:{x!r}", f"--y={y!r}:{y!r}").ok()
    found = helpers.read(out)
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(found[name][0, 0], points[name][number], rtol=1e-4)
    for name in ("train_acc", "test_acc"):
        assert abs(found[name][0, 0] - points[name][number]) < 2


def test_the_origin_may_be_named_among_the_points(lossatlas, pictures, epochs, tmp_path):
    a, b, c = (epochs[i] for i in (1, 2, 3))
    words = ("--data", pictures.words, "--grid", "3x3", "--samples", 40)
    lossatlas("surface", "--plane", f"points:{b},{a},{c}", *words, "--out", tmp_path / "first.h5").ok()
    lossatlas("surface", "--checkpoint", b, "--plane", f"points:{a},{b},{c}", *words, "--out", tmp_path / "named.h5").ok()
    first, named = (helpers.read(tmp_path / f"{name}.h5") for name in ("first", "named"))
    np.testing.assert_array_equal(first["train_loss"], named["train_loss"])


def test_both_splits_are_those_of_each(sweep, tmp_path):
    words = ("--samples", 40, "--top5")
    both = helpers.read(sweep(tmp_path / "both.h5", *words, "--split", "both"))
    for split in ("train", "test"):
        alone = helpers.read(sweep(tmp_path / f"{split}.h5", *words, "--split", split))
        for name, values in alone.items():
            np.testing.assert_array_equal(both[name], values, err_msg=name)
    with h5py.File(tmp_path / "both.h5") as file:
        assert set(file["VTKHDF/PointData"]) == {"train_loss", "train_acc", "test_loss", "test_acc"}


def test_more_samples_than_test_images(sweep, tmp_path):
    found = helpers.read(sweep(tmp_path / "s.h5", "--samples", 100, "--split", "both"))
    assert (len(found["lossatlas/samples_train"]), len(found["lossatlas/samples_test"])) == (100, 60)


def test_directions_of_states_give_the_same_bits(through, lossatlas, epochs, pictures, tmp_path):
    with h5py.File(through) as file:
        ranges = [f"{file[name][0]}:{file[name][-1]}" for name in ("xcoordinates", "ycoordinates")]
    out = tmp_path / "again.h5"
    lossatlas("surface", "--checkpoint", epochs[3], "--plane", f"file:{through.with_name('d.h5')}", "--data",
              pictures.words, "--out", out, "--split", "both", "--grid", "3x3", f"--x={ranges[0]}",
              f"--y={ranges[1]}").ok()
    for name in ("train_loss", "test_acc"):
        np.testing.assert_array_equal(helpers.read(out)[name], helpers.read(through)[name])
    assert helpers.settings(out)["plane"] == "file" and helpers.settings(out)["dir_type"] == "states"


def test_orthogonal_and_uniform(sweep, tmp_path):
    saved = tmp_path / "d.h5"
    out = sweep(tmp_path / "s.h5", "--samples", 10, "--orthogonal", "--distribution", "uniform", "--save-directions", saved)
    x, y = (np.concatenate([tensor.numpy().ravel() for tensor in direction]).astype(float)
            for direction in helpers.plane_of(saved))
    assert abs(x @ y) < 2e-7 * np.linalg.norm(x) * np.linalg.norm(y)
    settings = helpers.settings(out)
    assert (settings["orthogonal"], settings["distribution"]) == (True, "uniform") and abs(settings["cosine"]) < 1e-7


def test_resume_keeps_marks(through, lossatlas, pictures, epochs, tmp_path):
    out = tmp_path / "p.h5"
    out.write_bytes(through.read_bytes())
    a, b, c, d = (epochs[i] for i in (3, 1, 2, 0))
    words = ("--data", pictures.words, "--out", out, "--split", "both", "--bn", "stored", "--resume")
    done = lossatlas("surface", "--plane", f"points:{a},{b},{c},{d}", "--grid", "5x5", *words).ok()
    assert "9 of 25 points are there" in done.err
    with h5py.File(out) as now, h5py.File(through) as before:
        np.testing.assert_array_equal(now["lossatlas/points/test_loss"], before["lossatlas/points/test_loss"])
    refused = lossatlas("surface", "--plane", f"points:{a},{b},{c}", "--grid", "5x5", *words)
    assert refused.status == 1 and "points was" in refused.line()


def test_info(through, lossatlas):
    found = json.loads(lossatlas("info", "--json", through).ok().out)
    assert [point["name"] for point in found["marked"]] == [f"epoch-000{i}" for i in (3, 1, 2, 0)]
    assert found["test_loss"][0] > 0


def test_tolerance_on_a_plane_through_checkpoints(lossatlas, pictures, epochs, tmp_path):
    out = tmp_path / "p.h5"
    lossatlas("surface", "--plane", "points:" + ",".join(map(str, epochs[1:])), "--data", pictures.words, "--out", out,
              "--grid", "5x5", "--tolerance", 0.1).ok()
    with h5py.File(out) as file:
        assert np.isfinite(file["lossatlas/points/train_loss"][()]).all()


@pytest.mark.parametrize("words, status, culprits", [
    (["--plane", "points:A,A,B"], 2, ["epoch-0001.pt", "named twice"]),
    (["--plane", "points:A,B,B"], 2, ["epoch-0002.pt", "named twice"]),
    (["--plane", "points:A,B"], 2, ["--plane points", "3 checkpoints"]),
    (["--plane", "points:A,B,"], 2, ["--plane points:"]),
    (["--plane", "points:A,B,MLP"], 1, ["mlp", "does not fit resnet20"]),
    (["--plane", "points:A,B,missing.pt"], 1, ["missing.pt"]),
    (["--plane", "points:A,B,C", "--repeat", "2"], 2, ["--repeat 2"]),
    (["--plane", "points:A,B,C", "--orthogonal"], 2, ["--orthogonal"]),
    (["--plane", "points:A,B,C", "--ignore", "bn"], 2, ["--ignore"]),
    (["--plane", "points:A,B,C", "--seed", "1"], 2, ["--seed"]),
    (["--plane", "points:A,B,C", "--directions", "d.h5"], 2, ["--directions"]),
    (["--plane", "points:A,B,C", "--out", "A"], 1, ["A"]),
    (["--plane", "three"], 2, ["--plane three"]),
    (["--plane", "random"], 2, ["--checkpoint"]),
    (["--checkpoint", "A", "--plane", "file:missing.h5"], 1, ["missing.h5"]),
    (["--checkpoint", "A", "--split", "both", "--tolerance", "0.1"], 2, ["--tolerance", "--split both"]),
], ids=lambda part: " ".join(part) if isinstance(part, list) else str(part))
def test_bad_input(lossatlas, words, status, culprits, epochs, mlp_run, pictures, tmp_path):
    mlp = tmp_path / "mlp.pt"
    mlp.write_bytes((mlp_run / "checkpoints" / "epoch-0002.pt").read_bytes())
    names = {"A": epochs[1], "B": epochs[2], "C": epochs[3], "MLP": mlp}

    def fill(word):
        source, colon, files = word.partition(":")
        if not colon:
            return names.get(word, word)
        return source + ":" + ",".join(str(names.get(file, file)) for file in files.split(","))

    words = [fill(word) for word in words]
    out = [] if "--out" in words else ["--out", "s.h5"]
    done = lossatlas("surface", "--data", pictures.words, *out, *words, cwd=tmp_path)
    assert done.status == status, done.err
    for culprit in culprits:
        assert str(names.get(culprit, culprit)) in done.line()
    assert [path.name for path in tmp_path.iterdir()] == ["mlp.pt"]
