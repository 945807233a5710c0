"""lossatlas export, read back by VTK, NumPy and a CSV reader, and beside what h52vtp.py of tomgoldstein/loss-landscape
made of the same values."""

import csv
import json
import math
import pathlib

import h5py
import helpers
import numpy as np
import pytest

REFERENCE = json.loads((pathlib.Path(__file__).parents[1] / "files" / "h52vtp.json").read_text())
X, Y = np.linspace(-1, 1, 5), np.linspace(0, 1, 4)


def write_surface(path, values=None, evaluated=None, x=X, y=Y, more=()):
    """A surface of ours with the attributes and masks that exports look at."""
    values = 1 + x[None] ** 2 + 2 * y[:, None] if values is None else values
    with h5py.File(path, "w") as file:
        file["xcoordinates"], file["ycoordinates"] = x, y
        file["train_loss"], file["train_acc"] = values, 100 - 10 * values
        group = file.create_group("lossatlas")
        group.attrs["format"], group.attrs["kind"] = 1, "surface"
        group.attrs["settings"] = json.dumps({"arch": "réseau", "seed": 7})
        group["evaluated"] = np.ones(values.shape, np.uint8) if evaluated is None else np.asarray(evaluated, np.uint8)
        for name, array in dict(more).items():
            file[name] = array
    return path


def write_plain(path, values, x, y):
    """A surface as tomgoldstein/loss-landscape leaves it."""
    with h5py.File(path, "w") as file:
        file["xcoordinates"], file["ycoordinates"], file["train_loss"] = x, y, values
    return path


def write_trajectory(path):
    """Two runs and marked checkpoints on a surface; the second run leaves it."""
    write_surface(path)
    with h5py.File(path, "r+") as file:
        for order, (name, x, y) in enumerate([("sgd", [-0.9, -0.2, 0.1], [0.1, 0.5, 0.4]), ("ada", [0.5, 3.0], [0.5, 0.5])]):
            run = file.create_group(f"lossatlas/runs/{name}")
            run.attrs["order"], run.attrs["label"] = order, name
            run["x"], run["y"], run["epoch"] = x, y, np.arange(len(x))
            run["file"] = [f"epoch-{i}.pt" for i in range(len(x))]
            run["train_loss"] = np.full(len(x), 0.5)
        points = file.create_group("lossatlas/points")
        points["name"], points["x"], points["y"], points["distance"] = ["A", "B"], [0.0, 1.0], [0.0, 1.0], [0.0, 0.25]
    return path


@pytest.fixture
def export(lossatlas, tmp_path):
    """export(source, name, words...): the exit's Result, and the path written."""

    def run(source, name, *words):
        return lossatlas("export", source, "--out", tmp_path / name, *words), tmp_path / name

    return run


# --- reading back ------------------------------------------------------------------------------------------------


def vtk_read(reader_name, path):
    vtk = pytest.importorskip("vtk")
    reader = getattr(vtk, reader_name)()
    failures = []
    reader.AddObserver("ErrorEvent", lambda *_: failures.append(1))
    reader.SetFileName(str(path))
    reader.Update()
    assert not failures
    return reader.GetOutput()


def arrays(data):
    """(points, polygons, point arrays, cell arrays) of VTK's polygonal data."""
    from vtk.util.numpy_support import vtk_to_numpy

    def named(attributes):
        return {attributes.GetArrayName(i): vtk_to_numpy(attributes.GetArray(i)) for i in range(attributes.GetNumberOfArrays())}

    polys = vtk_to_numpy(data.GetPolys().GetConnectivityArray())
    return vtk_to_numpy(data.GetPoints().GetData()), polys, named(data.GetPointData()), named(data.GetCellData())


def open_edges(data):
    """Edges that do not belong to exactly two triangles."""
    import vtk

    clean = vtk.vtkCleanPolyData()
    clean.SetInputData(data)
    edges = vtk.vtkFeatureEdges()
    edges.SetInputConnection(clean.GetOutputPort())
    edges.BoundaryEdgesOn()
    edges.NonManifoldEdgesOn()
    edges.FeatureEdgesOff()
    edges.ManifoldEdgesOff()
    edges.Update()
    return edges.GetOutput().GetNumberOfCells()


def volume(data):
    import vtk

    mass = vtk.vtkMassProperties()
    mass.SetInputData(data)
    mass.Update()
    return mass.GetVolume()


# --- ParaView ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: " ".join(case["words"]) or "plain")
def test_vtp_is_that_of_h52vtp(export, tmp_path, case):
    axis = np.linspace(-1, 1, 6)
    done, out = export(write_plain(tmp_path / "s.h5", np.array(case["loss"]), axis, axis), "s.vtp", *case["words"])
    done.ok()
    points, polys, of_points, of_cells = arrays(vtk_read("vtkXMLPolyDataReader", out))
    theirs = case["arrays"]
    np.testing.assert_allclose(points.ravel(), theirs["Points"], rtol=0, atol=2e-14)
    np.testing.assert_array_equal(polys, np.array(theirs["connectivity"], int))
    np.testing.assert_allclose(of_points["zvalue"], theirs["zvalue"], rtol=0, atol=2e-14)
    np.testing.assert_allclose(of_cells["averaged zvalue"], theirs["averaged zvalue"], rtol=0, atol=2e-14)


def test_interpolation_is_scipys_on_an_uneven_grid(export, tmp_path):
    known = REFERENCE["spline"]
    source = write_plain(tmp_path / "s.h5", np.array(known["values"]), known["x"], known["y"])
    export(source, "s.vtp", "--interp", 8)[0].ok()
    points, *_ = arrays(vtk_read("vtkXMLPolyDataReader", tmp_path / "s.vtp"))
    np.testing.assert_allclose(points[:, 2].reshape(8, 8), known["spline"], rtol=0, atol=1e-13)


def test_vtp_of_a_grid_that_is_not_square_has_all_values(export, surface):
    done, out = export(surface, "s.vtp", "--zscale", 2)
    done.ok()
    data = vtk_read("vtkXMLPolyDataReader", out)
    points, polys, of_points, _ = arrays(data)
    with h5py.File(surface) as file:
        loss, x, y = (file[name][()] for name in ("train_loss", "xcoordinates", "ycoordinates"))
        np.testing.assert_array_equal(points, np.stack([np.tile(x, len(y)), np.repeat(y, len(x)), 2 * loss.ravel()], 1))
        assert data.GetNumberOfPolys() == 12 and len(polys) == 48
        for name in ("train_loss", "train_acc", "lossatlas/train_loss_se", "lossatlas/train_images"):
            np.testing.assert_array_equal(of_points[name.split("/")[-1]], file[name][()].ravel())
    assert data.GetPointData().GetScalars().GetName() == "zvalue"


def test_vtp_has_holes_where_there_are_no_values(export, tmp_path):
    values = 1 + X[None] ** 2 + 2 * Y[:, None]
    values[1, 1], values[3, 4], values[0, 0] = np.nan, np.inf, np.nan
    evaluated = np.ones(values.shape)
    evaluated[0, 0] = 0
    source = write_surface(tmp_path / "s.h5", values, evaluated)
    done, out = export(source, "holes.vtp")
    assert done.ok().err.splitlines() == ["note: train_loss: 1 point not evaluated", "note: train_loss: 2 points not finite"]
    data = vtk_read("vtkXMLPolyDataReader", out)
    assert data.GetNumberOfPoints() == 17 and data.GetNumberOfPolys() == 12 - 4 - 1
    assert np.isfinite(arrays(data)[0]).all()
    done, out = export(source, "cut.vtp", "--zmax", 2.5)
    assert "2 points not finite, drawn at 2.5" in done.ok().err and "above 2.5 cut there" in done.err
    data = vtk_read("vtkXMLPolyDataReader", out)
    assert data.GetNumberOfPoints() == 19 and arrays(data)[0][:, 2].max() == 2.5
    done, _ = export(source, "no.vtp", "--interp", 20, "--zmax", 2.5)
    assert done.status == 1 and "1 point not evaluated" in done.line()


def test_paths_lie_on_the_surface(export, tmp_path):
    done, out = export(write_trajectory(tmp_path / "t.h5"), "t.vtp", "--log")
    assert done.ok().out.split() == [str(out), str(tmp_path / "t-paths.vtp")]
    assert "1 of 2 places of ada are not on the surface" in done.err
    surface = vtk_read("vtkXMLPolyDataReader", out)
    paths = vtk_read("vtkXMLPolyDataReader", tmp_path / "t-paths.vtp")
    points, _, of_points, _ = arrays(paths)
    assert paths.GetNumberOfLines() == 2 and paths.GetNumberOfVerts() == 3 + 1 + 2
    x, y, z = points[of_points["checkpoint"] == 1].T
    np.testing.assert_allclose(x[:3], [-0.9, -0.2, 0.1])
    np.testing.assert_array_equal(of_points["epoch"][of_points["checkpoint"] == 1][:3], [0, 1, 2])
    grid = arrays(surface)[0][:, 2].reshape(4, 5)
    for at_x, at_y, at_z in points:
        column, row = min(int((at_x + 1) / 0.5), 3), min(int(at_y * 3), 2)
        u, v = (at_x + 1) / 0.5 - column, at_y * 3 - row
        corners = grid[row:row + 2, column:column + 2]
        assert math.isclose(at_z, np.array([1 - v, v]) @ corners @ np.array([1 - u, u]), abs_tol=1e-12)
    # Between two neighbouring points of a line lies no line of the grid.
    for number in (0, 1):
        line = points[of_points["path"] == number]
        cells = (line[:-1] + line[1:]) / 2
        for a, b, middle in zip(line, line[1:], cells):
            for axis, lines in ((0, X), (1, Y)):
                low, high = sorted((a[axis], b[axis]))
                assert not ((lines > low + 1e-12) & (lines < high - 1e-12)).any()


def test_descents_of_functions_are_paths(export, tmp_path):
    source = write_surface(tmp_path / "d.h5")
    with h5py.File(source, "r+") as file:
        for number in range(11):
            descent = file.create_group(f"lossatlas/descents/{number}")
            descent.attrs["label"] = f"from {number}"
            descent["position"], descent["value"] = [[-0.5, 0.5], [0.5, 0.1 * number]], [2.0, 1.0]
            descent["gradient"] = [[1.0, 2.0], [3.0, 4.0]]
    export(source, "d.csv")[0].ok()
    rows = read_csv(tmp_path / "d-paths.csv")
    assert [row["path"] for row in rows[::2]] == [f"from {number}" for number in range(11)]
    assert [rows[5][name] for name in ("step", "x", "y", "value", "gradient_x", "gradient_y")] == ["1", "0.5", "0.2", "1", "3", "4"]
    export(source, "d.vtp")[0].ok()
    assert vtk_read("vtkXMLPolyDataReader", tmp_path / "d-paths.vtp").GetNumberOfLines() == 11


def test_names_that_xml_cannot_hold_are_escaped(export, tmp_path):
    name = 'loss<&">'
    source = write_surface(tmp_path / "s.h5", more={name: np.ones((4, 5))})
    export(source, "s.vtp")[0].ok()
    assert name in arrays(vtk_read("vtkXMLPolyDataReader", tmp_path / "s.vtp"))[2]


# --- Blender and printers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form,reader", [("stl", "vtkSTLReader"), ("obj", "vtkOBJReader")])
@pytest.mark.parametrize("words", [(), ("--interp", "33", "--log"), ("--size", "2.5", "--base", "0.5", "--zscale", "2")])
def test_solids_are_closed_and_of_their_size(export, surface, form, reader, words):
    done, out = export(surface, f"s.{form}", *words)
    done.ok()
    data = vtk_read(reader, out)
    assert open_edges(data) == 0
    side = 2.5 if "--size" in words else 100
    high = 2.5 * 0.4 * 2 + 0.5 if "--size" in words else 43
    bounds = np.reshape(data.GetBounds(), (3, 2))
    expected = [[-side / 2, side / 2], [-side * 0.375, side * 0.375], [0, high]]
    if form == "obj":  # y is up
        bounds = np.array([bounds[0], -bounds[2][::-1], bounds[1]])
    np.testing.assert_allclose(bounds, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form,reader", [("stl", "vtkSTLReader"), ("obj", "vtkOBJReader")])
def test_normals_of_solids_point_outwards(export, tmp_path, form, reader):
    # z = x over 2 x 1: a wedge on a base.
    source = write_plain(tmp_path / "s.h5", np.tile(X, (4, 1)), X, Y)
    done, out = export(source, f"s.{form}", "--base", 5)
    done.ok()
    data = vtk_read(reader, out)
    points, polys, *_ = arrays(data)
    a, b, c = points[polys].reshape(-1, 3, 3).astype(float).transpose(1, 0, 2)
    signed = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    np.testing.assert_allclose(signed, 100 * 50 * (5 + 40 / 2), rtol=1e-5)
    np.testing.assert_allclose(volume(data), signed, rtol=1e-5)


def test_normals_in_an_stl_are_those_of_its_triangles(export, surface):
    _, out = export(surface, "s.stl")
    raw = out.read_bytes()
    facets = np.frombuffer(raw[84:], np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")]))
    assert len(facets) == int.from_bytes(raw[80:84], "little") and not raw.startswith(b"solid")
    a, b, c = facets["corners"].astype(float).transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    np.testing.assert_allclose(facets["normal"], normal / np.linalg.norm(normal, axis=1, keepdims=True), atol=1e-6)


def test_solids_fill_what_is_missing_and_say_so(export, tmp_path):
    values = 1 + X[None] ** 2 + 2 * Y[:, None]
    values[1, 1] = np.nan
    done, out = export(write_surface(tmp_path / "s.h5", values), "s.stl")
    assert "1 point without a value, filled at the highest, 4" in done.ok().err
    assert open_edges(vtk_read("vtkSTLReader", out)) == 0


# --- tables and NumPy --------------------------------------------------------------------------------------------


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_every_bit(export, surface):
    done, out = export(surface, "s.csv")
    done.ok()
    rows = read_csv(out)
    with h5py.File(surface) as file:
        for index, row in enumerate(rows):
            at = divmod(index, 5)
            assert float(row["x"]) == file["xcoordinates"][at[1]] and float(row["y"]) == file["ycoordinates"][at[0]]
            for name in ("train_loss", "train_acc", "lossatlas/train_loss_se", "lossatlas/train_images"):
                assert float(row[name.split("/")[-1]]) == file[name][at], name
            assert row["evaluated"] == "1"
    assert len(rows) == 20


def test_csv_of_what_is_missing_and_not_finite(export, tmp_path):
    values = 1 + X[None] ** 2 + 2 * Y[:, None]
    values[0, 1], values[0, 2], values[0, 3] = np.nan, np.inf, -np.inf
    evaluated = np.ones(values.shape)
    evaluated[0, 0], evaluated[0, 4] = 0, 2
    done, out = export(write_surface(tmp_path / "s.h5", values, evaluated), "s.csv")
    done.ok()
    rows = read_csv(out)
    assert [row["train_loss"] for row in rows[:5]] == ["", "", "inf", "-inf", "2"]
    assert [row["evaluated"] for row in rows[:5]] == ["0", "1", "1", "1", "2"]


def test_what_is_left_out_is_said(export, tmp_path):
    write_trajectory(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["odd"], file["lossatlas/turned"] = np.ones(3), np.ones((5, 4))
        file["complex"] = np.ones((4, 5), complex)
        file["lossatlas/runs/sgd/three"] = np.ones((3, 3))
        file["lossatlas"].attrs["list"] = [1, 2]
    notes = {"/odd is left out: its shape is [3], that of the grid [4, 5]",
             "/lossatlas/turned is left out: its shape is [5, 4], that of the grid [4, 5]",
             "/complex is left out: its elements are not numbers",
             "/lossatlas/runs/sgd/three is left out: its shape is [3, 3], not one number a place"}
    of_archive = {"/complex is left out: its elements are neither numbers nor text",
                  "/lossatlas@list is left out: it is more than one value"}
    for name, expected in (("s.csv", notes), ("s.vtp", notes), ("s.npz", of_archive)):
        said = export(tmp_path / "s.h5", name)[0].ok().err
        assert {line.split("s.h5: ")[1] for line in said.splitlines() if "left out:" in line} == expected


def test_csv_of_a_line_a_history_and_paths(export, run, tmp_path):
    with h5py.File(tmp_path / "line.h5", "w") as file:
        file["xcoordinates"], file["train_loss"], file["test_loss"] = [0.0, 0.5], [1.0, 2.0], [3.0, 4.0]
    _, out = export(tmp_path / "line.h5", "line.csv")
    assert read_csv(out)[1] == {"x": "0.5", "test_loss": "4", "train_loss": "2", "evaluated": "1"}
    done, out = export(run / "history.h5", "history.csv")
    done.ok()
    rows = read_csv(out)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["train_loss"] == "" and float(rows[3]["test_acc"]) > 0
    export(write_trajectory(tmp_path / "t.h5"), "t.csv")[0].ok()
    rows = read_csv(tmp_path / "t-paths.csv")
    assert [(row["path"], row["label"], row["x"], row["epoch"]) for row in rows] == [
        ("sgd", "epoch-0.pt", "-0.9", "0"), ("sgd", "epoch-1.pt", "-0.2", "1"), ("sgd", "epoch-2.pt", "0.1", "2"),
        ("ada", "epoch-0.pt", "0.5", "0"), ("ada", "epoch-1.pt", "3", "1"), ("points", "A", "0", ""), ("points", "B", "1", "")]


def test_npz_is_the_file_without_pickles(export, surface, lossatlas, tmp_path):
    done, out = export(surface, "s.npz")
    done.ok()
    with np.load(out, allow_pickle=False) as data, h5py.File(surface) as file:
        def compare(name, item):
            if isinstance(item, h5py.Dataset) and not name.startswith("VTKHDF") and name != "dir_file":
                assert data[name].dtype == item.dtype, name
                np.testing.assert_array_equal(data[name], item[()])

        file.visititems(compare)
        assert data["lossatlas/samples_train"].shape == (100,)
        assert str(data["dir_file"]) == file["dir_file"].asstr()[()]
        assert json.loads(str(data["settings"])) == helpers.settings(surface)
        assert {"kind", "provenance", "format"} <= set(data.files) and "VTKHDF/PointData/train_loss" not in data.files
    _, again = export(surface, "again.npz")
    assert again.read_bytes() == out.read_bytes()


def test_npz_of_runs_and_of_text_beyond_ascii(export, tmp_path):
    done, out = export(write_trajectory(tmp_path / "t.h5"), "t.npz")
    done.ok()
    with np.load(out, allow_pickle=False) as data:
        assert list(data["lossatlas/runs/sgd/file"]) == ["epoch-0.pt", "epoch-1.pt", "epoch-2.pt"]
        assert data["lossatlas/runs/ada@order"] == 1 and str(data["lossatlas/runs/ada@label"]) == "ada"
        assert json.loads(str(data["settings"]))["arch"] == "réseau"


def test_npz_of_directions(export, directions):
    done, out = export(directions, "d.npz")
    done.ok()
    with np.load(out) as data, h5py.File(directions) as file:
        assert data["xdirection/0"].dtype == np.float32
        np.testing.assert_array_equal(data["ydirection/3"], file["ydirection/3"])


def test_draws(export, tmp_path):
    each = np.stack([np.full((4, 5), k) + X[None] for k in (1.0, 2.0)])
    source = write_surface(tmp_path / "s.h5", more={"lossatlas/repeats/train_loss": each,
                                                    "lossatlas/repeats/evaluated": np.ones(each.shape, np.uint8)})
    _, out = export(source, "s.csv", "--draw", 2)
    assert [float(row["train_loss"]) for row in read_csv(out)] == list(each[1].ravel())
    done, _ = export(source, "3.csv", "--draw", 3)
    assert done.status == 2 and "holds draws 1 to 2" in done.line()


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name,words,status,text", [
    ("s.png", (), 2, "choose one with --to"),
    ("s.vtk", ("--to", "vtk"), 2, "vtk"),
    ("s.csv", ("--log",), 2, "--log: csv holds all values as they are"),
    ("s.npz", ("--draw", "1"), 2, "--draw: npz holds all draws"),
    ("s.vtp", ("--size", "10"), 2, "--size: vtp has no millimetres"),
    ("s.stl", ("--size", "0"), 2, "--size"),
    ("s.vtp", ("--zmax", "high"), 2, "--zmax"),
    ("s.vtp", ("--zmax", "nan"), 2, "--zmax"),
    ("s.vtp", ("--interp", "1"), 2, "--interp"),
    ("s.vtp", ("--field", "train_los"), 2, "did you mean 'train_loss'?"),
    ("s.vtp", ("--draw", "1"), 2, "holds only one draw"),
])
def test_wrong_words(export, surface, tmp_path, name, words, status, text):
    done, _ = export(surface, name, *words)
    assert done.status == status and text in done.line()
    assert helpers.tree(tmp_path) == {}


@pytest.mark.parametrize("form", ["vtp", "stl", "obj"])
def test_a_line_has_no_relief(export, tmp_path, form):
    with h5py.File(tmp_path / "line.h5", "w") as file:
        file["xcoordinates"], file["train_loss"] = [0.0, 0.5], [1.0, 2.0]
    done, _ = export(tmp_path / "line.h5", f"line.{form}")
    assert done.status == 1 and "values along one line, not a plane: only csv and npz" in done.line()


@pytest.mark.parametrize("form", ["vtp", "stl", "csv", "npz"])
def test_files_that_are_no_surface(export, checkpoint, tmp_path, form):
    (tmp_path / "text.h5").write_text("no HDF5")
    for source, text in ((tmp_path / "none.h5", "no such file"), (tmp_path / "text.h5", "not an HDF5 file"),
                         (checkpoint, "not an HDF5 file"), (tmp_path, "folder")):
        done, out = export(source, f"s.{form}")
        assert done.status == 1 and text in done.line() and not out.exists()


@pytest.mark.parametrize("form", ["vtp", "stl", "obj", "csv", "npz"])
def test_missing_folders_are_made_for_what_is_written(export, surface, tmp_path, form):
    done, out = export(surface, f"new/folder/s.{form}")
    assert str(out) in done.ok().out.splitlines() and out.read_bytes() == export(surface, f"s.{form}")[1].read_bytes()


@pytest.mark.parametrize("form", ["vtp", "stl", "obj", "csv", "npz"])
def test_no_folder_is_made_for_what_fails(export, surface, tmp_path, form):
    (tmp_path / "text").write_text("no surface")
    before = helpers.tree(tmp_path)
    for source, name in ((tmp_path / "text", "new"), (surface, "text")):
        done, out = export(source, f"{name}/s.{form}")
        assert done.status == 1 and str(tmp_path / "text") in done.line()
    assert helpers.tree(tmp_path) == before


def test_nothing_is_replaced_without_force(export, surface, tmp_path):
    (tmp_path / "s.csv").write_text("old")
    done, out = export(surface, "s.csv")
    assert done.status == 1 and "--force" in done.line() and out.read_text() == "old"
    export(surface, "s.csv", "--force")[0].ok()
    assert out.read_text().startswith("x,y,")
    (tmp_path / "t-paths.csv").write_text("old")
    done, out = export(write_trajectory(tmp_path / "t.h5"), "t.csv")
    assert done.status == 1 and "t-paths.csv" in done.line() and not out.exists()


def test_a_file_is_not_exported_over_itself(export, tmp_path):
    source = write_surface(tmp_path / "s.h5")
    before = source.read_bytes()
    done, _ = export(source, "s.h5", "--to", "csv", "--force")
    assert done.status == 2 and "read and written" in done.line() and source.read_bytes() == before
