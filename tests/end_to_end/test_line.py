"""`lossatlas line`: values against the same arithmetic in Python, fans, resuming, and what others read of the file."""

import json

import h5py
import helpers
import numpy as np
import pytest
import torch.nn.functional as F

T = np.linspace(-0.5, 1.5, 5)


@pytest.fixture(scope="module")
def other(run):
    """An earlier checkpoint of the same run."""
    return run / "checkpoints" / "epoch-0001.pt"


@pytest.fixture(scope="module")
def draw_line(lossatlas, pictures, checkpoint):
    def draw(out, *words):
        done = lossatlas("line", "--checkpoint", checkpoint, "--data", pictures.words, "--out", out, *words).ok()
        return out, done

    return draw


@pytest.fixture(scope="module")
def between(draw_line, other, tmp_path_factory):
    """The line from the trained network through an earlier one, statistics as stored."""
    return draw_line(tmp_path_factory.mktemp("line") / "l.h5", "--to", other, "--points", 5, "--bn", "stored")


def move_states(start, end, t):
    """The state_dict at t on the way; counters stay."""
    return {name: start[name] if name.endswith("num_batches_tracked") else start[name] + t * (end[name] - start[name])
            for name in start}


def loss_and_accuracy(state, images, labels):
    logits = helpers.resnet20(state, images)
    return F.cross_entropy(logits, labels).item(), 100 * (logits.argmax(1) == labels).double().mean().item()


def test_values_between_checkpoints(between, checkpoint, other, pictures):
    out, _ = between
    start, end, found = helpers.state_of(checkpoint), helpers.state_of(other), helpers.read(out)
    np.testing.assert_array_equal(found["xcoordinates"], T)
    for split in ("train", "test"):
        for i, t in enumerate(T):
            loss, accuracy = loss_and_accuracy(move_states(start, end, t), *pictures.batch(split))
            np.testing.assert_allclose(found[f"{split}_loss"][i], loss, rtol=1e-4)
            # Beyond the ends a variance may be below 0: no loss, and no image counts as right.
            assert abs(found[f"{split}_acc"][i] - (accuracy if np.isfinite(loss) else 0)) < 1
    assert np.isfinite(found["train_loss"][1:4]).all()


def test_ends_are_the_checkpoints_own(between, checkpoint, other, pictures):
    with h5py.File(between[0]) as file:
        points = file["lossatlas/points"]
        assert list(points["name"].asstr()) == ["epoch-0003", "epoch-0001"]
        np.testing.assert_array_equal(points["x"], [0, 1])
        np.testing.assert_array_equal(points["distance"], [0, 0])
        assert "y" not in points
        for split in ("train", "test"):
            np.testing.assert_allclose(file[f"{split}_loss"][[1, 3]], points[f"{split}_loss"], rtol=1e-5)
            own = [loss_and_accuracy(helpers.state_of(path), *pictures.batch(split))[0] for path in (checkpoint, other)]
            np.testing.assert_allclose(points[f"{split}_loss"], own, rtol=1e-4)
        start, end = (helpers.state_of(path) for path in (checkpoint, other))
        length = sum(float(((end[n] - start[n]) ** 2).sum()) for n in helpers.parameter_names(start)) ** 0.5
        np.testing.assert_allclose(points.attrs["unit"], length, rtol=1e-6)


def test_barrier(between):
    out, done = between
    found = helpers.read(out)
    summary = json.loads(helpers.attribute(out, "summary"))["interpolation"]
    assert list(summary) == ["train_loss", "train_err", "test_loss", "test_err"]
    loss = found["test_loss"][1:4]
    barrier = summary["test_loss"]
    np.testing.assert_allclose(barrier["ends"], loss[[0, 2]], rtol=1e-5)
    np.testing.assert_allclose(barrier["barrier"], max(loss) - (loss[0] + loss[2]) / 2, rtol=1e-4, atol=1e-6)
    assert "test loss from" in done.err and "barrier" in done.err


def test_barrier_of_recalibrated_networks(draw_line, other, tmp_path):
    """All of it is of the values along the line: those of the checkpoints themselves have other statistics."""
    out, _ = draw_line(tmp_path / "l.h5", "--to", other, "--points", 5, "--bn-images", 64)
    loss = helpers.read(out)["train_loss"][1:4]
    barrier = json.loads(helpers.attribute(out, "summary"))["interpolation"]["train_loss"]
    np.testing.assert_allclose(barrier["ends"], loss[[0, 2]])
    np.testing.assert_allclose(barrier["barrier"], max(loss) - (loss[0] + loss[2]) / 2, atol=1e-12)


@pytest.mark.parametrize("bn", [["--bn", "stored"], ["--bn-images", 64]])
def test_ends_beside_the_grid_are_evaluated_as_well(bn, draw_line, other, lossatlas, tmp_path):
    """As the points of a grid that has them, bit for bit."""
    words = ("--to", other, "--samples", 60, *bn)
    whole, _ = draw_line(tmp_path / "whole.h5", *words, "--x", "0:1", "--points", 5)
    part, done = draw_line(tmp_path / "part.h5", *words, "--x", "0.25:1", "--points", 4)
    assert "note: 0 (epoch-0003) is not among the points of the range 0.25:1" in done.err and "note: 1" not in done.err
    inner, _ = draw_line(tmp_path / "inner.h5", *words, "--x", "0.25:0.75", "--points", 3)
    expected = json.loads(helpers.attribute(whole, "summary"))["interpolation"]
    assert list(expected) == ["train_loss", "train_err", "test_loss", "test_err"]
    values = helpers.read(whole)
    for out, ends in ((part, [0]), (inner, [0, 1])):
        assert json.loads(helpers.attribute(out, "summary"))["interpolation"] == expected
        assert json.loads(lossatlas("info", out, "--json").ok().out)["summary"]["interpolation"] == expected
        with h5py.File(out) as file:
            points = file["lossatlas/points"]
            for name, of in (("plane_loss", "train_loss"), ("plane_acc", "train_acc"), ("plane_test_loss", "test_loss"),
                             ("plane_test_acc", "test_acc")):
                np.testing.assert_array_equal(points[name][()][ends], values[of][[0, -1]][ends])
                assert np.isnan(points[name][()]).sum() == 2 - len(ends)
    with h5py.File(whole) as file:
        assert "plane_loss" not in file["lossatlas/points"]


@pytest.mark.parametrize("points, x", [
    (2, (0, 1)), (4, (0, 1.5)), (5, (-0.5, 1.5)), (10, (-0.4, 1.4)),
    *(pytest.param(*case, marks=pytest.mark.full) for case in [(3, (0, 1)), (51, (-12 / 25, 38 / 25))]),
    pytest.param(61, (-0.5, 1.5), marks=pytest.mark.full),
])
def test_the_default_range_has_both_checkpoints(points, x, draw_line, other, tmp_path):
    out, _ = draw_line(tmp_path / "l.h5", "--to", other, "--points", points, "--samples", 2, "--split", "train")
    found = helpers.read(out)["xcoordinates"]
    assert len(found) == points and 0 in found and 1 in found
    np.testing.assert_array_equal(found[[0, -1]], x)
    np.testing.assert_allclose(found, np.linspace(*x, points), atol=1e-15)
    assert "interpolation" in json.loads(helpers.attribute(out, "summary"))


def test_the_nearest_range():
    """What the cases above expect, by trying all ranges on which 0 and 1 are points."""
    def nearest(points):
        ranges = [(-before / steps, (points - 1 - before) / steps) for steps in range(1, points)
                  for before in range(points - steps)]
        return min(ranges, key=lambda x: round(np.hypot(x[0] + 0.5, x[1] - 1.5), 12))

    assert [nearest(points) for points in (4, 5, 61)] == [(0, 1.5), (-0.5, 1.5), (-0.5, 1.5)]
    for points, x in ((10, (-0.4, 1.4)), (51, (-12 / 25, 38 / 25))):
        distance = [np.hypot(low + 0.5, high - 1.5) for low, high in (nearest(points), x)]
        assert distance[0] == pytest.approx(distance[1])


@pytest.mark.parametrize("words, culprit", [
    (["--x", "-1e308:1e308"], "--x -1e308:1e308"), (["--x", "1:1.0000000000000002"], "--x 1:1.0000000000000002"),
    (["--points", 1], "--points 1: one point requires its coordinate, as in --x 0:0"),
])
def test_ranges_that_do_not_hold_their_points(words, culprit, lossatlas, checkpoint, pictures, tmp_path):
    done = lossatlas("line", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "l.h5", *words)
    assert done.status == 2 and culprit in done.line() and not list(tmp_path.iterdir())


def test_weights_keep_the_statistics_of_the_origin(draw_line, other, checkpoint, pictures, tmp_path):
    out, _ = draw_line(tmp_path / "l.h5", "--to", other, "--x", "1:1", "--points", 1, "--dir-type", "weights",
                       "--bn", "stored", "--split", "train")
    state = helpers.state_of(checkpoint)
    state |= {name: value for name, value in helpers.state_of(other).items() if name in helpers.parameter_names(state)}
    loss, _ = loss_and_accuracy(state, *pictures.batch("train"))
    np.testing.assert_allclose(helpers.read(out)["train_loss"], [loss], rtol=1e-4)
    assert "test_loss" not in helpers.read(out)


def test_file(between):
    with h5py.File(between[0]) as file:
        assert set(file) == {"xcoordinates", "x", "train_loss", "train_acc", "test_loss", "test_acc", "dir_file",
                             "lossatlas"}
        for name in ("train_loss", "train_acc", "test_loss", "test_acc", "lossatlas/evaluated", "lossatlas/test_loss_se"):
            assert file[name].shape == (5,)
        group = file["lossatlas"]
        assert group.attrs["kind"] == "line"
        assert (len(group["samples_train"]), len(group["samples_test"])) == (200, 60)
        assert (group["test_images"][()] == 60).all()
    settings = helpers.settings(between[0])
    assert (settings["kind"], settings["plane"], settings["dir_type"]) == ("line", "points", "states")
    assert [point["file"] for point in settings["points"]] == ["epoch-0003.pt", "epoch-0001.pt"]


def test_random_line_is_a_row_of_the_surface(draw_line, sweep, tmp_path):
    words = ("--samples", 50, "--x", "-0.5:0.5", "--seed", 3)
    line, _ = draw_line(tmp_path / "l.h5", *words, "--points", 3)
    row = helpers.read(sweep(tmp_path / "s.h5", *words, "--y", "0:0", "--split", "both", grid="3x1"))
    for name, values in helpers.read(line).items():
        if name.endswith(("loss", "acc", "_se")):
            np.testing.assert_array_equal(values, row[name][0], err_msg=name)


def test_fan(draw_line, tmp_path):
    words = ("--samples", 50, "--points", 3)
    fan, done = draw_line(tmp_path / "fan.h5", *words, "--lines", 3)
    one, _ = draw_line(tmp_path / "one.h5", *words)
    with h5py.File(fan) as file, h5py.File(one) as first:
        lines = file["lossatlas/lines"]
        assert lines["train_loss"].shape == lines["test_acc"].shape == lines["evaluated"].shape == (3, 3)
        np.testing.assert_array_equal(lines["test_loss"][0], first["test_loss"])
        assert len(set(lines["train_loss"][:, 2])) == 3 and len(set(lines["train_loss"][:, 1])) == 1
        for name in ("train_loss", "test_loss", "test_acc"):
            np.testing.assert_allclose(file[name], lines[name][()].mean(0))
        for name in ("train_loss", "test_loss"):
            np.testing.assert_allclose(file[f"lossatlas/{name}_spread"], lines[name][()].std(0, ddof=1), atol=1e-12)
    assert "the mean of 3 lines" in done.err
    settings = helpers.settings(fan)
    assert len(settings["cosine"]) == 2 and len(settings["lengths"]) == 3


def test_angles_of_a_fan(draw_line, sweep, tmp_path):
    """The first two lines of a fan are the axes of the plane of the same seed."""
    fan, _ = draw_line(tmp_path / "fan.h5", "--samples", 10, "--points", 1, "--x", "0:0", "--seed", 5, "--lines", 2)
    directions = tmp_path / "d.h5"
    sweep(tmp_path / "s.h5", "--samples", 10, "--seed", 5, "--x=0:0", "--y=0:0", "--save-directions", directions, grid="1x1")
    first, second = (np.concatenate([part.double().numpy().ravel() for part in parts]) for parts in helpers.plane_of(directions))
    lengths = [np.linalg.norm(first), np.linalg.norm(second)]
    settings = helpers.settings(fan)
    assert settings["lengths"] == pytest.approx(lengths, rel=1e-10)
    assert settings["cosine"] == pytest.approx([first @ second / np.prod(lengths)], rel=1e-6)


def test_directions_of_a_file(draw_line, surface, directions, tmp_path):
    saved = tmp_path / "d.h5"
    line, _ = draw_line(tmp_path / "a.h5", "--samples", 20, "--points", 3, "--save-directions", saved)
    with h5py.File(saved) as file:
        assert list(file) == ["xdirection"]
    again, _ = draw_line(tmp_path / "b.h5", "--samples", 20, "--points", 3, "--directions", saved)
    first_of_two, _ = draw_line(tmp_path / "c.h5", "--samples", 20, "--points", 3, "--directions", directions)
    for other_file in (again, first_of_two):
        for name in ("train_loss", "test_acc"):
            np.testing.assert_array_equal(helpers.read(line)[name], helpers.read(other_file)[name])


def names_of_states(state):
    """The order of Python's state_dict(): the buffers of a module behind its parameters."""
    names = helpers.parameter_names(state)
    for name in state:
        if name not in names:
            module = name.rpartition(".")[0] + "."
            names.insert(1 + max(i for i, other in enumerate(names) if other.startswith(module)), name)
    return names


def test_states_there_and_back(draw_line, other, checkpoint, tmp_path):
    saved = tmp_path / "states.h5"
    line, _ = draw_line(tmp_path / "a.h5", "--to", other, "--points", 5, "--samples", 20, "--bn", "stored",
                        "--save-directions", saved)
    with h5py.File(saved) as file:
        state = helpers.load(checkpoint)["state_dict"]
        assert len(file["xdirection"]) == len(state)
        for number, name in enumerate(names_of_states(state)):
            stored = file[f"xdirection/{number}"][()]
            assert stored.shape == tuple(state[name].shape), name
            if not name.endswith("num_batches_tracked"):
                difference = helpers.state_of(other)[name] - helpers.state_of(checkpoint)[name]
                np.testing.assert_allclose(stored, difference, rtol=1e-6, atol=1e-9)
    again, _ = draw_line(tmp_path / "b.h5", "--directions", saved, "--x", "-0.5:1.5", "--points", 5, "--samples", 20)
    np.testing.assert_array_equal(helpers.read(line)["test_loss"], helpers.read(again)["test_loss"])


def test_resume(draw_line, lossatlas, between, checkpoint, other, pictures, tmp_path):
    out = tmp_path / "l.h5"
    words = ("line", "--checkpoint", checkpoint, "--data", pictures.words, "--out", out, "--to", other)
    stopped = helpers.interrupt([*words, "--points", 41, "--threads", 1], "centre", until=helpers.has_begun(out))
    assert stopped.status == 130 and "--resume" in stopped.err
    resumed = lossatlas(*words, "--points", 41, "--resume").ok()
    assert "resuming" in resumed.err
    whole, _ = draw_line(tmp_path / "whole.h5", "--to", other, "--points", 41)
    assert json.loads(lossatlas("info", "--json", "--diff", out, whole).ok().out)["same_values"]
    for name in ("test_loss", "test_acc", "lossatlas/test_loss_se"):
        np.testing.assert_array_equal(helpers.read(out)[name], helpers.read(whole)[name])
    with h5py.File(out) as a, h5py.File(whole) as b:
        np.testing.assert_array_equal(a["lossatlas/points/test_loss"], b["lossatlas/points/test_loss"])
    refused = lossatlas("line", "--checkpoint", checkpoint, "--data", pictures.words, "--out", out, "--points", 41,
                        "--x", "-0.5:1.5", "--resume")
    assert refused.status == 1 and "plane was" in refused.line()


def test_info(between, lossatlas):
    found = json.loads(lossatlas("info", "--json", between[0]).ok().out)
    assert (found["kind"], found["points"], found["x"], found["evaluated"]) == ("line", 5, [-0.5, 1.5], 5)
    assert set(found["values"]) == {"train_loss", "train_acc", "test_loss", "test_acc"}
    assert [point["name"] for point in found["marked"]] == ["epoch-0003", "epoch-0001"]
    assert found["settings"]["plane"] == "points"
    assert "barrier" in lossatlas("info", between[0]).ok().out


def test_theirs_reads_it(between):
    """What tomgoldstein/loss-landscape's plot_1D.py asks of a file."""
    with h5py.File(between[0], "r") as file:
        x, train_loss, train_acc = file["xcoordinates"][:], file["train_loss"][:], file["train_acc"][:]
        assert x.shape == train_loss.shape == train_acc.shape and "test_loss" in file.keys()
        assert file["test_loss"][:].shape == file["test_acc"][:].shape == x.shape


@pytest.mark.parametrize("words, status, culprits", [
    (["--to", "CHECKPOINT"], 1, ["epoch-0003.pt", "same parameters"]),
    (["--to", "MLP"], 1, ["epoch-0002.pt", "does not fit resnet20"]),
    (["--to", "missing.pt"], 1, ["missing.pt"]),
    (["--to", "OTHER", "--directions", "d.h5"], 2, ["--to", "--directions"]),
    (["--to", "OTHER", "--norm", "layer"], 2, ["--norm"]),
    (["--to", "OTHER", "--lines", "2"], 2, ["--lines 2", "--to"]),
    (["--lines", "0"], 2, ["--lines"]),
    (["--points", "0"], 2, ["--points"]),
    (["--dir-type", "weight"], 2, ["--dir-type weight"]),
    (["--distribution", "normal"], 2, ["--distribution normal"]),
    (["--ignore", "bn,fc.*"], 2, ["--ignore fc.*"]),
    (["--directions", "MLP"], 1, ["epoch-0002.pt"]),
], ids=lambda part: " ".join(part) if isinstance(part, list) else str(part))
def test_bad_input(lossatlas, words, status, culprits, checkpoint, other, mlp_run, pictures, tmp_path):
    files = {"CHECKPOINT": checkpoint, "OTHER": other, "MLP": mlp_run / "checkpoints" / "epoch-0002.pt"}
    done = lossatlas("line", "--checkpoint", checkpoint, "--data", pictures.words, "--out", "l.h5",
                     *(files.get(word, word) for word in words), cwd=tmp_path)
    assert done.status == status, done.err
    for culprit in culprits:
        assert culprit in done.line()
    assert not list(tmp_path.iterdir())
