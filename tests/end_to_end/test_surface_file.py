"""The surface file, opened by others: h5py, VTK, xarray; and theirs, opened by the program."""

import csv
import hashlib
import json

import h5py
import helpers
import numpy as np
import pytest

X, Y = np.linspace(-0.4, 0.8, 5), np.linspace(-0.6, 0.3, 4)


def test_root_datasets(surface, directions):
    with h5py.File(surface) as file:
        assert set(file) == {"xcoordinates", "ycoordinates", "x", "y", "train_loss", "train_acc", "dir_file", "VTKHDF",
                             "lossatlas"}
        assert file["dir_file"].shape == () and file["dir_file"].asstr()[()] == str(directions)
        shapes = {"xcoordinates": (5,), "ycoordinates": (4,), "train_loss": (4, 5), "train_acc": (4, 5)}
        for name, shape in shapes.items():
            assert (file[name].shape, file[name].dtype) == (shape, np.float64), name
        np.testing.assert_allclose(file["xcoordinates"], X, atol=1e-15)
        np.testing.assert_allclose(file["ycoordinates"], Y, atol=1e-15)
        assert 0 <= file["train_acc"][()].min() and 1 < file["train_acc"][()].max() <= 100


def test_own_group(surface):
    with h5py.File(surface) as file:
        group = file["lossatlas"]
        assert set(group) == {"evaluated", "samples_train", "train_images", "train_loss_se", "train_acc_se"}
        assert group.attrs["format"] == 2 and group.attrs["kind"] == "surface"
        assert group["evaluated"].dtype == np.uint8 and (group["evaluated"][()] == 1).all()
        assert group["samples_train"].dtype == np.int64 and group["samples_train"].shape == (100,)
        assert group["train_loss_se"].shape == group["train_acc_se"].shape == (4, 5)
        assert group["train_images"].dtype == np.int64 and (group["train_images"][()] == 100).all()


def test_settings_and_provenance(surface, checkpoint, pictures):
    settings = json.loads(helpers.attribute(surface, "settings"))
    expected = {"arch": "resnet20", "width": 4, "classes": 10, "data": pictures.words, "split": "train", "samples": 100,
                "sample_seed": 0, "seed": 0, "plane": "random", "normalization": "filter", "ignore": "bias,bn",
                "loss": "cross-entropy", "dtype": "fp32", "measures": ["train_loss", "train_acc"],
                    "axes": [{"name": "x", "points": 5, "low": -0.4, "high": 0.8},
                             {"name": "y", "points": 4, "low": -0.6, "high": 0.3}]}
    assert {key: settings[key] for key in expected} == expected
    assert {"engine", "instruction_set", "device", "libtorch", "batch_size", "mean", "std"} <= settings.keys()
    assert settings["checkpoint"] == {"file": checkpoint.name,
                                      "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest()}
    provenance = json.loads(helpers.attribute(surface, "provenance"))
    assert {"command", "version", "threads", "started", "seconds"} <= provenance.keys()
    assert str(checkpoint) in provenance["command"]


def test_vtk(surface):
    vtk = pytest.importorskip("vtk")
    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(surface))
    reader.Update()
    image = reader.GetOutput()
    assert image.GetDimensions() == (5, 4, 1)
    np.testing.assert_allclose(image.GetBounds(), (-0.4, 0.8, -0.6, 0.3, 0, 0), atol=1e-12)
    np.testing.assert_allclose(image.GetSpacing()[:2], (0.3, 0.3))
    found = helpers.read(surface)
    for name in ("train_loss", "train_acc"):
        array = image.GetPointData().GetArray(name)
        for index in range(image.GetNumberOfPoints()):
            x, y, _ = image.GetPoint(index)
            row, column = np.abs(Y - y).argmin(), np.abs(X - x).argmin()
            assert array.GetValue(index) == found[name][row, column], (name, x, y)


def test_vtk_arrays_are_the_root_datasets(surface):
    with h5py.File(surface) as file:
        for name in ("train_loss", "train_acc"):
            assert file["VTKHDF/PointData"].get(name, getlink=True).__class__ is h5py.HardLink
            assert file["VTKHDF/PointData"][name] == file[name]
        assert file["VTKHDF"].attrs["Type"] == b"ImageData"


def test_a_line_of_points_has_no_image(sweep, tmp_path):
    with h5py.File(sweep(tmp_path / "s.h5", "--y", "0:0", "--samples", 10, grid="3x1")) as file:
        assert "VTKHDF" not in file and file["train_loss"].shape == (1, 3)


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray(surface, engine):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip({"h5netcdf": "h5netcdf", "netcdf4": "netCDF4"}[engine])
    found = helpers.read(surface)
    with xarray.open_dataset(surface, engine=engine) as data:
        for name in ("train_loss", "train_acc"):
            assert data[name].dims == ("y", "x")
            np.testing.assert_array_equal(data[name], found[name])
        np.testing.assert_array_equal(data.coords["x"], found["x"])
        np.testing.assert_array_equal(data.coords["y"], found["y"])
        assert float(data["train_loss"].sel(x=0.8, y=-0.6, method="nearest")) == found["train_loss"][0, 4]
        assert data["train_loss"].attrs["long_name"] == "train loss"
        assert data["train_acc"].attrs["units"] == "percent"


# --- what others wrote, and what is newer ------------------------------------------------------------------------


def with_format(path, source, number):
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "r+") as file:
        file["lossatlas"].attrs["format"] = np.int64(number)
    return path


def test_newer_surface_is_refused(lossatlas, plot, surface, tmp_path):
    path = with_format(tmp_path / "newer.h5", surface, 99)
    for done in (lossatlas("info", path), plot(path, "-o", tmp_path / "figure.png")):
        assert done.status == 1
        assert str(path) in done.line() and "99" in done.line()
    assert helpers.tree(tmp_path).keys() == {"newer.h5"}


def test_newer_history_is_refused(lossatlas, plot, run, tmp_path):
    path = with_format(tmp_path / "newer.h5", run / "history.h5", 99)
    for done in (lossatlas("info", path), plot(path, "-o", tmp_path / "figure.png")):
        assert done.status == 1
        assert str(path) in done.line() and "99" in done.line()


def test_surface_of_li_et_al(lossatlas, tmp_path):
    loss = helpers.write_li_surface(tmp_path / "li.h5", marks=[(0, 0), (3, 4)])
    found = json.loads(lossatlas("info", "--json", tmp_path / "li.h5").ok().out)
    assert (found["kind"], found["grid"], found["points"], found["evaluated"]) == ("surface", [5, 4], 20, 18)
    assert found["x"] == [-1, 1] and found["y"] == [-0.5, 0.5]
    np.testing.assert_allclose(found["loss"], [loss[loss > 0].min(), loss.max()])
    assert found["dir_file"] == "directions.h5"


def test_compressed_surface(lossatlas, tmp_path):
    loss = helpers.write_li_surface(tmp_path / "li.h5", nx=50, ny=40)
    with h5py.File(tmp_path / "li.h5", "r+") as file:
        for name in ("train_loss", "train_acc"):
            values = file.pop(name)[()]
            file.create_dataset(name, data=np.zeros_like(values) if name == "train_acc" else values, chunks=(8, 8),
                                compression="gzip", shuffle=True, fletcher32=True)
    found = json.loads(lossatlas("info", "--json", tmp_path / "li.h5").ok().out)
    np.testing.assert_allclose(found["loss"], [loss.min(), loss.max()])


def test_line_of_li_et_al(lossatlas, tmp_path):
    with h5py.File(tmp_path / "line.h5", "w") as file:
        file["xcoordinates"] = np.linspace(-1, 1, 11)
        file["train_loss"], file["train_acc"] = np.linspace(1, 2, 11), np.linspace(90, 80, 11)
    lossatlas("info", tmp_path / "line.h5").ok()


@pytest.mark.parametrize("turned", [pytest.param(False, marks=pytest.mark.full), True])
def test_what_minus_one_and_nan_mean_in_a_file_of_li_et_al(turned, lossatlas, plot, tmp_path):
    """NaN is a loss. -1 marks a point, unless another value is negative. His writer shapes arrays [nx, ny], and fills them
    in the order of [ny, nx]."""
    for name, marks in (("marked", 1), ("negative", 0)):
        loss = helpers.write_li_surface(tmp_path / f"{name}.h5", nx=9, ny=7, marks=[(0, 0)])
        loss[3, 4] = np.nan
        if name == "negative":
            loss[2, 2] = -3
        with h5py.File(tmp_path / f"{name}.h5", "r+") as file:
            accuracy = file.pop("train_acc")[()]
            del file["train_loss"]
            shape = (9, 7) if turned else (7, 9)
            file["train_loss"], file["train_acc"] = loss.reshape(shape), accuracy.reshape(shape)
        found = json.loads(lossatlas("info", "--json", tmp_path / f"{name}.h5").ok().out)
        assert (found["grid"], found["points"], found["evaluated"], found["not_finite"]) == ([9, 7], 63, 63 - marks, 1)
        there = loss[np.isfinite(loss) & ~((loss == -1) & bool(marks))]
        assert found["loss"] == [there.min(), there.max()]
        lossatlas("export", tmp_path / f"{name}.h5", "--out", tmp_path / f"{name}.csv").ok()
        rows = list(csv.DictReader((tmp_path / f"{name}.csv").open()))
        assert [row["evaluated"] for row in rows].count("0") == marks
        for row, value in zip(rows, loss.ravel()):
            assert row["train_loss"] == ("" if np.isnan(value) or (marks and value == -1) else f"{value:.17g}") or (
                float(row["train_loss"]) == value)
        drawn = plot(tmp_path / f"{name}.h5", "--kind", "heat", "-o", tmp_path / f"{name}.svg").ok()
        text = (tmp_path / f"{name}.svg").read_text()
        assert "1 point evaluated but not finite" in text.replace("\N{NO-BREAK SPACE}", " ")
        assert ("1 point not evaluated" in text.replace("\N{NO-BREAK SPACE}", " ")) == bool(marks)
    same = json.loads(lossatlas("info", "--json", "--diff", tmp_path / "marked.h5", tmp_path / "negative.h5").ok().out)
    assert (same["common"], same["only_second"], same["loss"]["other_bits"]) == (62, 1, 1)


def test_minus_one_in_a_line_of_li_et_al(lossatlas, tmp_path):
    with h5py.File(tmp_path / "line.h5", "w") as file:
        file["xcoordinates"] = np.linspace(-1, 1, 3)
        file["train_loss"], file["train_acc"] = [1.0, -1.0, 2.0], [90.0, -1.0, 80.0]
    values = json.loads(lossatlas("info", tmp_path / "line.h5", "--json").ok().out)["values"]
    assert values == {"train_acc": [80, 90], "train_loss": [1, 2]}


def test_control_characters_of_files_do_not_reach_a_terminal(lossatlas, tmp_path):
    path = tmp_path / "li.h5"
    helpers.write_li_surface(path)
    evil = "\x1b]0;owned\x07\x9b31m\x7f\nsecond line"
    with h5py.File(path, "r+") as file:
        del file["dir_file"]
        file["dir_file"] = evil
    shown = lossatlas("info", path).ok().out
    assert "?]0;owned??31m??second line" in shown
    told = lossatlas("info", path, "--json").ok().out
    assert json.loads(told)["dir_file"] == evil
    for text in (shown, told):
        assert not set(map(ord, text)) & ({*range(32), 127, *range(0x80, 0xa0)} - {10})
