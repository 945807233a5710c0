"""Trajectories, marked checkpoints and curves, over planes and on lines."""

import json

import h5py
import numpy as np
import pytest
from conftest import (SETTINGS, add_curve, add_points, words_of, write_line, write_surface,
                      write_trajectory)
from lossatlas.plotting import marks, reading


def test_runs_come_in_their_order_with_their_values(tmp_path):
    with reading.open_file(write_trajectory(tmp_path / "t.h5", 2)) as file:
        first, second = marks.runs(file)
        assert (first.label, second.label) == ("run 1 (AdaGrad)", "run 0 (SGD)")
        assert first.epoch.tolist() == list(range(13)) and first.x[-1] == 0.0
        assert second.own("train_loss")[0] == pytest.approx(0.6 * second.in_plane("train_loss")[0])
        assert marks._label("sgd-2", "sgd") == "sgd-2" and marks._label("a", "") == "a"
        assert np.isnan(first.own("test_loss")).all() and np.isnan(first.in_plane("train_acc")).all()
        assert marks.explained(file) == (0.723, 0.101)
        assert marks.points(file) is None and marks.curves(file) == []


def test_the_plane_of_a_second_split_has_its_own_name(tmp_path):
    path = write_trajectory(tmp_path / "t.h5")
    with h5py.File(path, "a") as file:
        run = file["lossatlas/runs/run0"]
        run["test_loss"], run["plane_test_loss"] = np.full(13, 2.0), np.full(13, 3.0)
    with reading.open_file(path) as file:
        run, = marks.runs(file)
        assert run.in_plane("test_loss")[0] == 3.0 and run.in_plane("train_loss")[0] == run.group["plane_loss"][0]


def test_points_and_curves(tmp_path):
    path = add_curve(add_points(write_surface(tmp_path / "s.h5"), y=(0.0, 0.5), distance=(0.0, 2.0)))
    with reading.open_file(path) as file:
        found, (curve,) = marks.points(file), marks.curves(file)
        assert found.names == ["epoch-0010", "epoch-0020"] and found.unit == 12.5
        assert found.y.tolist() == [0.0, 0.5] and found.distance.tolist() == [0.0, 2.0]
        assert curve.name == "curve" and curve.x[-1] == pytest.approx(0.8) and len(curve.t) == 31


def test_a_trajectory_is_drawn_over_its_plane_and_beside_it(svg, tmp_path):
    text = svg(write_trajectory(tmp_path / "t.h5"))
    for part in ("run_run0", "epochs_run0", "own_run0", "plane_run0"):
        assert f'id="{part}"' in text
    words = words_of(text)
    for said in ("first principal component (72.3 % of variance)", "second principal component (10.1 % of variance)",
                 "plane of the two principal components", "checkpoints lie up to 2 out of this plane",
                 "they are up to 10.16 away from the end of the run", "epoch 12", "out of plane", "to its end",
                 "training loss of plane and checkpoint differ by up to 0.972"):
        assert said in words, said
    assert "seed" not in words and 'id="center"' not in text


@pytest.mark.parametrize("kind", ["contour", "contourf", "heat"])
def test_the_plane_alone_still_shows_the_path(svg, tmp_path, kind):
    text = svg(write_trajectory(tmp_path / "t.h5"), "--kind", kind)
    assert 'id="run_run0"' in text and 'id="own_run0"' not in text
    assert "out of this plane" in words_of(text)


def test_several_runs_have_colours_markers_and_names(svg, tmp_path):
    text = svg(write_trajectory(tmp_path / "t.h5", 3))
    words = words_of(text)
    for number in range(3):
        name = f"run {number} ({('SGD', 'AdaGrad')[number % 2]})"
        assert f"{name}, epoch 12" in words and f"{name}: checkpoints lie up to" in words
        assert f'id="epochs_run{number}"' in text


def test_epochs_are_round_and_few(tmp_path):
    from lossatlas.plotting import planes, scales, style
    from lossatlas.plotting.options import Look

    style.apply()
    with reading.open_file(write_trajectory(tmp_path / "t.h5", epochs=200)) as file:
        field = file.field("train_loss")
        scale = scales.choose(field.values, "train_loss")
        axes = planes.draw(planes.Plane("contourf", file, field, scale, Look()), style.Head("t", "s"), "loss").axes[0]
    written = [text for text in axes.texts if text.get_fontweight() == "bold"]  # the others are of contours
    texts = [text.get_text() for text in written]
    assert texts[0] == "epoch 200" and 3 <= len(texts) <= 10
    assert all(int(text) % 50 == 0 for text in texts[1:]) and len(set(texts)) == len(texts)
    boxes = [text.get_window_extent() for text in written]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_trajectory_on_a_narrow_page_has_its_panels_below(plot, pixels, tmp_path):
    file = write_trajectory(tmp_path / "t.h5")
    narrow, wide = pixels(file, "--width", "column"), pixels(file, "--width", "text")
    assert narrow.shape[1] == round(60 * 8.6 / 2.54) and wide.shape[1] == round(60 * 17.8 / 2.54)
    assert narrow.shape[0] > narrow.shape[1] and wide.shape[0] < wide.shape[1]


@pytest.mark.parametrize("runs", [1, 2])
def test_trajectories_in_3d(svg, pixels, tmp_path, runs):
    file = write_trajectory(tmp_path / "t.h5", runs)
    assert "out of this plane" in words_of(svg(file, "--kind", "surface", "--dpi", "60"))
    image = pixels(file, "--kind", "surface")
    red = (image[..., 0] - image[..., 2] > 0.6) & (image[..., 1] < 0.4)
    assert red.sum() > 40  # the path's colour is on no colour map's viridis


OWN = "own training loss, with the statistics they came with: epoch-0010 0.5, epoch-0020 0.5"


@pytest.mark.parametrize("settings, said", [
    ({"plane": "points", "bn": "recalibrate", "bn_layers": 19}, ["batch norm recalibrated", OWN]),
    *(pytest.param(*case, marks=pytest.mark.full) for case in [
        ({"plane": "points", "bn": "stored", "bn_layers": 19}, ["batch norm as stored"]),
        ({"plane": "points", "bn": "stored", "bn_layers": 0}, []), ({"plane": "points", "bn": "stored"}, []),
        ({"plane": "random", "bn": "stored", "bn_layers": 19}, [])]),
], ids=["recalibrated", "stored", "no batch norm", "not known", "random"])
def test_the_batch_norm_statistics_are_said(svg, plot, tmp_path, settings, said):
    """In figures from above and in 3D, on the page and in the report."""
    run = tmp_path / "run"
    run.mkdir()
    path = add_points(write_surface(run / "s.h5", settings={**SETTINGS, **settings}), y=(0.0, 0.5))
    texts = [words_of(svg(path)), words_of(svg(path, "--kind", "surface"))]
    for words in ([path, "-o", tmp_path / "s.html"], ["--report", run, "-o", tmp_path / "r.html"]):
        assert plot(*words).status == 0
        texts.append((tmp_path / words[-1]).read_text("utf-8"))
    for text in texts:
        text = text.replace("\\u00a0", " ").replace("\N{NO-BREAK SPACE}", " ")
        assert [each for each in ("batch norm recalibrated", "batch norm as stored", OWN) if each in text] == said


def test_checkpoints_are_named_and_their_distance_is_said(svg, tmp_path):
    path = add_points(write_surface(tmp_path / "s.h5"), ("A", "B", "other"), (0, 0.8, -0.5), (0, 0, -0.6), (0, 0, 3.3))
    text = svg(add_curve(path, "bezier"))
    words = words_of(text)
    assert 'id="curve_bezier"' in text and 'id="checkpoints"' in text and 'id="center"' not in text
    assert "out of this plane: other 3.3" in words and "1 is a distance of 12.5" in words
    for name in ("A", "B", "other"):
        assert f">{name}<" in text


def test_checkpoints_on_a_line(svg, tmp_path):
    text = svg(add_points(write_line(tmp_path / "l.h5")))
    assert "position between epoch-0010 (0) and epoch-0020 (1)" in words_of(text)
    assert text.count('id="checkpoint"') + text.count('id="checkpoint_') >= 1
    assert ">epoch-0010<" in text and ">epoch-0020<" in text
    assert 'id="own_train_loss"' in text and 'id="own_test_loss"' not in text
    assert "circles: the checkpoints’ own" in words_of(text)


def test_the_barrier_on_a_line_is_said(svg, tmp_path):
    path = add_points(write_line(tmp_path / "l.h5"))
    with h5py.File(path, "a") as file:
        ways = {"train_loss": {"ends": [1, 2], "highest": 3, "at": 0.5, "barrier": 1.5},
                "test_err": {"ends": [1, 2], "highest": 3, "at": 0.5, "barrier": 12.25}}
        file["lossatlas"].attrs["summary"] = json.dumps({"interpolation": ways})
    words = words_of(svg(path))
    assert "barrier of training loss: 1.5" in words and "barrier of test error: 12.25 percentage points" in words


def damage(path, what):
    with h5py.File(path, "a") as file:
        run = file["lossatlas/runs/run0"]
        if what == "no y":
            del run["y"]
        elif what == "short y":
            del run["y"]
            run["y"] = [1.0]
        elif what == "nan x":
            run["x"][3] = np.nan
        elif what == "no runs":
            del file["lossatlas/runs"]


@pytest.mark.parametrize("what, line", [("no y", "holds no list y of 13 numbers"), ("short y", "holds no list y"),
                                        ("nan x", "/lossatlas/runs/run0/x"), ("no runs", "holds no trajectory")])
def test_damaged_trajectories(plot, tmp_path, what, line):
    path = write_trajectory(tmp_path / "t.h5")
    damage(path, what)
    result = plot(path, "--kind", "trajectory")
    assert result.status == 1 and line in result.line()


def test_trajectories_without_what_is_optional(svg, tmp_path):
    path = write_trajectory(tmp_path / "t.h5")
    with h5py.File(path, "a") as file:
        run = file["lossatlas/runs/run0"]
        for name in ("epoch", "distance", "length", "plane_loss", "train_loss"):
            del run[name]
        del file["lossatlas/pca"]
    words = words_of(svg(path))
    assert "checkpoint" in words and "no training loss of the checkpoints" in words
    assert "multiples of direction 1" in words


def test_names_of_checkpoints_in_3d(svg, tmp_path):
    text = svg(add_points(write_surface(tmp_path / "s.h5"), ("A", "B"), (0, 0.8), (0, 0.2)), "--kind", "surface", "--elev", "70")
    assert ">A<" in text and ">B<" in text


def test_images_are_those_of_the_split_that_is_drawn(svg, tmp_path):
    path = write_surface(tmp_path / "s.h5", more={"test_loss": np.ones((9, 9)) + np.arange(9)})
    with h5py.File(path, "a") as file:
        file["lossatlas/samples_train"], file["lossatlas/samples_test"] = np.arange(700), np.arange(300)
    assert "700 training images" in words_of(svg(path)) and "300" not in words_of(svg(path))
    assert "300 test images" in words_of(svg(path, "--field", "test_loss"))


def write_projection(path, x=(3.0, 1.0, 0.0), y=(0.5, 0.25, 0.0)):
    with h5py.File(path, "w") as file:
        file["proj_xcoord"], file["proj_ycoord"] = x, y
    return path


def test_a_projection_is_drawn_over_a_plane_as_a_run(svg, plot, tmp_path):
    path, projection = write_surface(tmp_path / "s.h5"), write_projection(tmp_path / "p.h5")
    text = svg(path, "--projection", projection)
    assert 'id="run_p"' in text and "p: where a path meets the plane" in words_of(text)
    with reading.open_file(path) as file:
        run, = marks.runs(file, [projection])
        assert run.x.tolist() == [3.0, 1.0, 0.0] and np.isnan(run.own("train_loss")).all()
        # Lengths along directions, unless they were found by least squares.
        file.settings["lengths"] = [2.0, 0.5]
        run, = marks.runs(file, [projection])
        assert run.x.tolist() == [1.5, 0.5, 0.0] and run.y.tolist() == [1.0, 0.5, 0.0]
        with h5py.File(projection, "a") as held:
            held.attrs["project"] = "lstsq"
        assert marks.runs(file, [projection])[0].x.tolist() == [3.0, 1.0, 0.0]
    # Beside the runs of the file itself.
    text = svg(write_trajectory(tmp_path / "t.h5"), "--projection", projection)
    assert 'id="run_p"' in text and 'id="run_run0"' in text
    assert "has no effect" in plot(write_line(tmp_path / "l.h5"), "--projection", projection).err


@pytest.mark.parametrize("x, y, line", [
    ((1.0, 2.0), (1.0,), "lists of as many numbers"),
    ((1.0, np.nan), (1.0, 2.0), "finite numbers"),
    ((), (), "finite numbers"),
    (1.0, 2.0, "lists of as many numbers"),
    ((1.0,), ("a",), "lists of as many numbers"),
])
def test_damaged_projections(plot, tmp_path, x, y, line):
    projection = write_projection(tmp_path / "p.h5", x, y)
    result = plot(write_surface(tmp_path / "s.h5"), "--projection", projection)
    assert result.status == 1 and line in result.line()


def test_what_is_no_projection(plot, tmp_path):
    path = write_surface(tmp_path / "s.h5")
    assert "it has no proj_xcoord" in plot(path, "--projection", path).line()
    assert "does not exist" in plot(path, "--projection", tmp_path / "none.h5").line()


def test_two_paths_in_3d_are_named(svg, tmp_path):
    drawn = svg(write_trajectory(tmp_path / "t.h5", 2), "--kind", "surface")
    assert ">run 0 (SGD)<" in drawn and ">run 1 (AdaGrad)<" in drawn
    assert ">run 0" not in svg(write_trajectory(tmp_path / "t.h5"), "--kind", "surface")
