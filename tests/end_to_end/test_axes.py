"""`lossatlas surface --axes K`: three directions and more."""

import json

import h5py
import helpers
import numpy as np
import pytest
import torch.nn.functional as F


@pytest.fixture(scope="module")
def plane(sweep, tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("axes") / "plane.h5", "--samples", 40, "--x", "-0.4:0.8", grid="3x2")


@pytest.fixture(scope="module")
def space(sweep, plane):
    out = plane.with_name("space.h5")
    return sweep(out, "--axes", 3, "--samples", 40, "--x", "-0.4:0.8", "--z", "-0.5:0.5", "--save-directions",
                 out.with_name("directions.h5"), grid="3x2x3")


def attribute(path, name):
    with h5py.File(path) as file:
        return json.loads(file["lossatlas"].attrs[name])


def test_the_slice_at_0_is_the_surface_of_two_axes_bit_for_bit(plane, space):
    with h5py.File(plane) as two, h5py.File(space) as three:
        assert three["train_loss"].shape == (3, 2, 3)
        assert three["zcoordinates"][1] == 0
        for name in ("train_loss", "train_acc", "lossatlas/train_loss_se", "lossatlas/train_images"):
            assert three[name][1].tobytes() == two[name][()].tobytes(), name
        assert (three["train_loss"][0] != two["train_loss"][()]).any()


def test_a_point_in_float64(space, checkpoint, pictures):
    found = helpers.read(space)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    state = helpers.state_of(checkpoint)
    directions = [helpers.read_directions(space.with_name("directions.h5"), f"{axis}direction") for axis in "xyz"]
    for indices in ((0, 1, 2), (2, 0, 1), (2, 1, 0)):  # along z, y, x
        at = [found[f"{axis}coordinates"][i] for axis, i in zip("zyx", indices)][::-1]
        losses = F.cross_entropy(helpers.resnet20(helpers.at(state, directions, at), images), labels).item()
        assert found["train_loss"][indices] == pytest.approx(losses, rel=1e-5), at


def test_the_schema_names_axes_and_measures(space):
    axes = attribute(space, "axes")
    assert [(axis["name"], axis["points"], axis["low"], axis["high"]) for axis in axes] == [
        ("x", 3, -0.4, 0.8), ("y", 2, -1, 1), ("z", 3, -0.5, 0.5)]
    assert axes[2]["coordinates"] == "/zcoordinates" and axes[2]["unit"] == "multiples of direction 3"
    assert attribute(space, "measures")[:2] == [
        {"name": "train_loss", "measure": "loss", "split": "train", "unit": "nats", "mean_of": "images",
         "dataset": "/train_loss", "standard_error": "/lossatlas/train_loss_se"},
        {"name": "train_acc", "measure": "accuracy", "split": "train", "unit": "percent", "mean_of": "images",
         "dataset": "/train_acc", "standard_error": "/lossatlas/train_acc_se"}]
    settings = attribute(space, "settings")
    assert settings["measures"] == ["train_loss", "train_acc"]
    assert [axis["name"] for axis in settings["axes"]] == ["x", "y", "z"]
    assert len(settings["cosine"]) == len(settings["lengths"]) == 3
    summary = attribute(space, "summary")
    assert summary["width"] is None and len(summary["curvature"]["eigenvalues"]) == 3
    assert set(summary["lowest"]) == {"loss", "x", "y", "z"}


def test_paraview_reads_a_volume(space):
    vtk = pytest.importorskip("vtkmodules.vtkIOHDF")
    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(space))
    reader.Update()
    image = reader.GetOutput()
    assert image.GetDimensions() == (3, 2, 3)
    np.testing.assert_allclose(image.GetBounds(), (-0.4, 0.8, -1, 1, -0.5, 0.5))
    values = image.GetPointData().GetArray("train_loss")
    with h5py.File(space) as file:
        np.testing.assert_array_equal([values.GetValue(i) for i in range(18)], file["train_loss"][()].ravel())


def test_dimension_scales_name_every_axis(space):
    with h5py.File(space) as file:
        for name in ("train_loss", "lossatlas/evaluated"):
            assert [file[name].dims[k][0].name for k in range(3)] == ["/z", "/y", "/x"]


def test_five_axes_mutually_orthogonal(sweep, plane):
    out = plane.with_name("five.h5")
    names = ["x", "y", "z", "w", "axis5"]
    sweep(out, "--axes", 5, "--orthogonal", "--samples", 10, "--y", "0:0", "--z", "0:0", "--w", "0:1", "--axis",
          "5=-0.5:0.5", "--save-directions", out.with_name("five-directions.h5"), grid="2x1x1x2x3")
    with h5py.File(out) as file:
        assert file["train_loss"].shape == (3, 2, 1, 1, 2)
        assert list(file["axis5coordinates"]) == [-0.5, 0, 0.5]
        assert "VTKHDF" not in file
    vectors = []
    for name in names:
        direction = helpers.read_directions(out.with_name("five-directions.h5"), f"{name}direction")
        values = direction.values() if isinstance(direction, dict) else direction
        vectors.append(np.concatenate([np.asarray(value, dtype=float).ravel() for value in values]))
    vectors = np.array([vector / np.linalg.norm(vector) for vector in vectors])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(5), atol=3e-7)


def test_directions_of_a_file(sweep, space):
    again = sweep(space.with_name("again.h5"), "--axes", 3, "--samples", 40, "--x", "-0.4:0.8", "--z", "-0.5:0.5",
                  "--directions", space.with_name("directions.h5"), grid="3x2x3")
    with h5py.File(space) as first, h5py.File(again) as second:
        assert first["train_loss"][()].tobytes() == second["train_loss"][()].tobytes()


def test_through_four_checkpoints(lossatlas, pictures, run, tmp_path):
    files = [run / "checkpoints" / f"epoch-{number:04d}.pt" for number in (3, 1, 2, 0)]
    lossatlas("surface", "--axes", 3, "--plane", "points:" + ",".join(map(str, files)), "--data", pictures.words, "--grid",
              2, "--samples", 20, "--out", tmp_path / "p.h5").ok()

    def flat(path):
        state = helpers.state_of(path)
        return np.concatenate([state[name].numpy().ravel() for name in helpers.parameter_names(state)]).astype(float)

    rest = [flat(path) - flat(files[0]) for path in files[1:]]
    basis = np.linalg.qr(np.array(rest).T)[0].T  # Gram and Schmidt, up to signs
    basis *= np.sign((basis * rest).sum(1))[:, None]
    with h5py.File(tmp_path / "p.h5") as file:
        points = file["lossatlas/points"]
        unit = points.attrs["unit"]
        assert unit == pytest.approx(np.linalg.norm(rest[0]), rel=1e-6)
        found = np.array([points[axis][()] for axis in "xyz"]).T
        np.testing.assert_allclose(found[1:], np.array(rest) @ basis.T / unit, atol=1e-5)
        assert (points["distance"][()] == 0).all()


def test_an_interrupted_space_goes_on(lossatlas, pictures, checkpoint, space, tmp_path):
    words = ("surface", "--axes", 3, "--checkpoint", checkpoint, "--data", pictures.words, "--grid", "3x2x3", "--samples", 40,
             "--x", "-0.4:0.8", "--z", "-0.5:0.5", "--out", tmp_path / "s.h5")
    with h5py.File(space) as whole:
        with h5py.File(tmp_path / "s.h5", "w") as part:
            for name in whole:
                whole.copy(name, part)
            missing = np.arange(18).reshape(3, 2, 3) % 3 == 1
            for name in ("train_loss", "train_acc", "lossatlas/train_loss_se", "lossatlas/train_acc_se"):
                part[name][...] = np.where(missing, np.nan, whole[name][()])
            for name in ("lossatlas/evaluated", "lossatlas/train_images"):
                part[name][...] = np.where(missing, 0, whole[name][()])
        lossatlas(*words, "--resume").ok()
        with h5py.File(tmp_path / "s.h5") as part:
            assert part["train_loss"][()].tobytes() == whole["train_loss"][()].tobytes()
    found = json.loads(lossatlas("info", "--json", "--diff", space, tmp_path / "s.h5").ok().out)
    assert found["same_values"] and found["common"] == 18
    described = json.loads(lossatlas("info", "--json", tmp_path / "s.h5").ok().out)
    assert described["grid"] == [3, 2, 3] and described["z"] == [-0.5, 0.5]


def test_repeats_of_three_axes(sweep, space):
    out = sweep(space.with_name("repeats.h5"), "--axes", 3, "--repeat", 2, "--samples", 10, grid="2x2x2")
    with h5py.File(out) as file:
        assert file["lossatlas/repeats/train_loss"].shape == (2, 2, 2, 2)
        np.testing.assert_allclose(file["train_loss"][()], file["lossatlas/repeats/train_loss"][()].mean(0))


@pytest.mark.parametrize(("words", "line"), [
    (("--axes", 3, "--tolerance", 0.1), "--tolerance: cannot be used with --axes 3"),
    (("--axes", 3, "--budget", 10**9), "--budget: cannot be used with --axes 3"),
    (("--axes", 3, "--grid", "3x3"), "--grid 3x3: 2 numbers, but --axes is 3"),
    (("--axes", 1,), "--axes 1: a surface takes 2 to 8; along one direction use `lossatlas line`"),
    (("--z", "-1:1"), "--z: the surface has 2 axes; ask for more with --axes"),
    (("--axes", 3, "--axis", "5=-1:1"), "--axis 5: the surface has 3 axes; ask for more with --axes"),
    (("--axes", 5, "--axis", "-1:1"), "--axis -1:1: requires the number of an axis and its range, as in 5=-1:1"),
    (("--axes", 3, "--grid", "3x3x1"), "--grid 3x3x1: one point along z requires its coordinate, as in --z 0:0"),
    (("--axes", 4, "--grid", "1000"), "--grid 1000x1000x1000x1000: 1e+12 points, more than the 1e+08 that a surface may have"),
])
def test_what_cannot_be_meant_is_refused(lossatlas, checkpoint, pictures, tmp_path, words, line):
    result = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "s.h5", *words)
    assert result.status == 2
    assert line in result.line()


# --- what is made of them ----------------------------------------------------------------------------------------


def test_a_slice_is_exported_and_drawn_as_the_surface_of_two_axes(lossatlas, plane, space, tmp_path):
    lossatlas("export", plane, "--out", tmp_path / "two.vtp").ok()
    lossatlas("export", space, "--at", "z=0", "--out", tmp_path / "three.vtp").ok()
    assert (tmp_path / "two.vtp").read_bytes() == (tmp_path / "three.vtp").read_bytes()
    lossatlas("export", space, "--out", tmp_path / "all.csv").ok()
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1 + 18
    done = lossatlas("export", space, "--out", tmp_path / "no.vtp")
    assert done.status == 2 and "--at z=0" in done.line()
    done = lossatlas("plot", space, "--at", "z=0.5", "-o", tmp_path / "slice.png").ok()
    assert (tmp_path / "slice.png").stat().st_size > 10_000
    done = lossatlas("plot", space, "--at", "v=0", "-o", tmp_path / "no.png")
    assert done.status == 1 and "v" in done.line() and not (tmp_path / "no.png").exists()
