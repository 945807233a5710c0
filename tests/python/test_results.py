"""Files opened and drawn from Python: values are h5py's, pictures tools/plot's, and the user's settings stay."""

import json
import pathlib
import subprocess

import h5py
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import lossatlas

ROOT = pathlib.Path(__file__).resolve().parents[2]
matplotlib.use("Agg")


@pytest.fixture
def surface(tmp_path):
    """A surface file of ours: loss x² + 2y + 2, one point missing."""
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 4)
    loss = x[None, :] ** 2 + 2 * y[:, None] + 3
    loss[3, 4] = np.nan
    with h5py.File(tmp_path / "S.h5", "w") as file:
        file["xcoordinates"], file["ycoordinates"], file["train_loss"] = x, y, loss
        group = file.create_group("lossatlas")
        group["evaluated"] = np.isfinite(loss).astype("u1")
        group["train_loss_se"] = 0 * loss
        group.attrs.update({"format": [2], "kind": "surface", "settings": json.dumps({"arch": "net", "seed": 4}),
                            "axes": json.dumps([{"name": name, "coordinates": f"{name}coordinates", "unit": "steps"}
                                                for name in "xy"]),
                            "measures": json.dumps([{"name": "train_loss", "unit": "nats"}])})
    return lossatlas.open(tmp_path / "S.h5"), loss


def test_values(surface):
    found, loss = surface
    assert type(found) is lossatlas.Surface and found.names == ["train_loss", "train_loss_se"]
    assert np.array_equal(found.values(), loss, equal_nan=True) and found.shape == (4, 5)
    assert found.progress == (19, 20) and found.settings == {"arch": "net", "seed": 4}
    with pytest.raises(lossatlas.Error, match="has no value 'test_loss': it has train_loss, train_loss_se"):
        found.values("test_loss")
    assert found.to_xarray()["train_loss"].sel(x=0.5, y=-1).item() == loss[0, 3]
    with h5py.File(found.path):  # the user's own handle, with HDF5's locks
        assert found.values()[0, 0] == loss[0, 0]


def test_a_surface_of_loss_landscape(tmp_path):
    """Its writer shapes arrays [nx, ny], fills them in the order of [ny, nx], and marks missing points with -1."""
    with h5py.File(tmp_path / "S.h5", "w") as file:
        file["xcoordinates"], file["ycoordinates"] = np.arange(3.0), np.arange(2.0)
        file["train_loss"] = np.array([1.0, 2, 3, 4, 5, -1]).reshape(3, 2)
    surface = lossatlas.open(tmp_path / "S.h5")
    assert np.array_equal(surface.values(), [[1, 2, 3], [4, 5, np.nan]], equal_nan=True) and surface.progress == (5, 6)


def test_files_that_are_none(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = 1
    (tmp_path / "text.h5").write_text("no HDF5")
    for name, text in (("other.h5", "it has no xcoordinates"), ("text.h5", "cannot be read"), ("none.h5", "does not exist"),
                       (".", "history.h5 does not exist")):
        with pytest.raises(lossatlas.Error, match=text):
            lossatlas.open(tmp_path / name)


@pytest.mark.parametrize("kind", ["contourf", "contour", "heat", "surface"])
def test_a_figure_is_that_of_the_plotter(surface, tmp_path, kind):
    found, _ = surface
    before = dict(matplotlib.rcParams)
    figure = found.plot(kind=kind, vmax=4, cmap="magma")
    assert dict(matplotlib.rcParams) == before
    figure.savefig(tmp_path / "ours.png", dpi=80)
    subprocess.run([ROOT / "tools" / "plot", found.path, "--kind", kind, "--vmax", "4", "--cmap", "magma", "--dpi", "80",
                    "-o", tmp_path / "theirs.png"], check=True, capture_output=True)
    ours, theirs = (plt.imread(tmp_path / name) for name in ("ours.png", "theirs.png"))
    assert ours.shape == theirs.shape and np.abs(ours - theirs).mean() < 0.01


@pytest.mark.parametrize("kind", ["contourf", "contour", "heat", "surface"])
def test_on_axes_of_the_user(surface, kind):
    found, _ = surface
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    right.plot([0, 1], [3, 4])
    assert found.plot(kind=kind, ax=left) is figure
    assert left.has_data() and "net" in left.get_title() and len(figure.axes) == 3  # with the colour bar
    assert right.get_ylim() == (2.95, 4.05) and len(right.lines) == 1
    if kind != "surface":
        assert left.get_xlabel() and left.get_xlim()[0] <= -1 and left.get_xlim()[1] >= 1
    plt.close(figure)


def test_what_one_ax_cannot_hold(tmp_path):
    with h5py.File(tmp_path / "history.h5", "w") as file:
        file["epoch"] = np.arange(3)
        file["train_loss"], file["train_acc"] = np.array([np.nan, 2, 1]), np.array([np.nan, 50, 60])
    history = lossatlas.open(tmp_path)
    figure, ax = plt.subplots()
    with pytest.raises(lossatlas.Error, match="several panels, which one ax cannot hold.*field"):
        history.plot(ax=ax)
    plt.close(figure)
    figure, ax = plt.subplots()
    history.plot(ax=ax, field="train_loss")
    assert ax.lines[0].get_ydata()[1:].tolist() == [2, 1] and ax.get_xlabel() == "epoch"
    plt.close(figure)


@pytest.mark.parametrize("looks, text", [
    ({"kind": "hat"}, "did you mean 'heat'"), ({"vmni": 3}, "unknown option 'vmni', did you mean 'vmin'"),
    ({"field": "loss"}, "no value 'loss'"), ({"animate": "spin"}, "animate writes files"), ({"kind": "line"}, "not a line"),
    ({"kind": "slices", "ax": "given"}, "third axis|several panels")])
def test_wrong_looks(surface, looks, text):
    if "ax" in looks:
        looks = {**looks, "ax": plt.subplots()[1]}
    with pytest.raises(lossatlas.Error, match=text):
        surface[0].plot(**looks)


def test_pictures_and_pages_of_notebooks(surface, tmp_path):
    found, _ = surface
    assert found._repr_png_().startswith(b"\x89PNG") and found.plot()._repr_png_().startswith(b"\x89PNG")
    text = found._repr_html_()
    assert "surface of 5 × 4 points" in text and "data:image/png;base64," in text
    page = found.page(height=300)
    assert page._repr_html_().startswith('<iframe srcdoc="') and 'height="300"' in page._repr_html_()
    subprocess.run([ROOT / "tools" / "plot", found.path, "-o", tmp_path / "S.html"], check=True, capture_output=True)
    assert pathlib.Path(page.save(tmp_path / "ours.html")).read_bytes() == (tmp_path / "S.html").read_bytes()
