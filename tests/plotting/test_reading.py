"""Which points count as evaluated, in our files and in those of tomgoldstein/loss-landscape; formats, axes and units."""

import json

import h5py
import numpy as np
import pytest
from conftest import bowl, write_curve, write_history, write_line, write_surface
from lossatlas.plotting import reading
from lossatlas.plotting.errors import PlotError


def field_of(path, name="train_loss"):
    with reading.open_file(path) as file:
        return file.field(name)


def test_the_peers_minus_one_is_not_evaluated(tmp_path):
    z = np.full((3, 4), 2.0)
    z[1, 2], z[2, 0], z[0, 0] = -1.0, np.nan, np.inf
    field = field_of(write_surface(tmp_path / "s.h5", z, 4, 3, ours=False))
    assert np.argwhere(field.blank).tolist() == [[1, 2]]
    assert np.argwhere(field.nonfinite).tolist() == [[0, 0], [2, 0]]
    assert np.isfinite(field.values).sum() == 9


def test_our_minus_one_is_a_value(tmp_path):
    z = np.full((3, 3), 2.0)
    z[1, 1] = -1.0
    field = field_of(write_surface(tmp_path / "s.h5", z, 3, 3))
    assert not field.blank.any() and field.values[1, 1] == -1.0


def test_our_mask_tells_unevaluated_from_not_finite(tmp_path):
    z = np.full((3, 3), 2.0)
    z[0, 0] = z[0, 1] = np.nan
    z[2, 2] = np.inf
    mask = np.ones((3, 3))
    mask[0, 0], mask[1, 1] = 0, 2
    field = field_of(write_surface(tmp_path / "s.h5", z, 3, 3, evaluated=mask))
    assert np.argwhere(field.blank).tolist() == [[0, 0]]
    assert np.argwhere(field.nonfinite).tolist() == [[0, 1], [2, 2]]
    assert np.argwhere(field.reconstructed).tolist() == [[1, 1]]


def test_the_peers_arrays_of_nx_by_ny_hold_rows_of_y(tmp_path):
    """Their writer shapes [nx, ny] and fills by ravel() in [ny, nx] order."""
    x, y = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 3))
    rows = bowl(x, y)
    path = write_surface(tmp_path / "s.h5", rows.reshape(4, 3), 4, 3, ours=False)
    assert np.array_equal(field_of(path).values, rows)


def test_our_arrays_of_nx_by_ny_are_refused(tmp_path):
    path = write_surface(tmp_path / "s.h5", np.ones((4, 3)), 4, 3)
    with pytest.raises(PlotError, match="no values on its grid of 3 x 4 points"):
        field_of(path)


def test_there_is_no_accuracy_where_the_loss_is_not_finite(tmp_path):
    z = np.full((3, 3), 2.0)
    z[1, 0] = np.nan
    path = write_surface(tmp_path / "s.h5", z, 3, 3, more={"train_acc": np.zeros((3, 3))})
    for name in ("train_acc", "train_err"):
        assert np.argwhere(field_of(path, name).nonfinite).tolist() == [[1, 0]]
        assert np.isnan(field_of(path, name).values[1, 0])


def test_error_is_found_from_accuracy(tmp_path):
    path = write_surface(tmp_path / "s.h5", more={"test_acc": np.full((9, 9), 90.0)})
    assert np.all(field_of(path, "test_err").values == 10.0)


def test_the_first_loss_is_the_training_loss(tmp_path):
    ones = np.ones((9, 9))
    path = write_surface(tmp_path / "s.h5", more={"a_loss": ones, "test_loss": ones, "max_eig": ones})
    with reading.open_file(path) as file:
        assert file.default_name() == "train_loss"
        assert file.names == ["a_loss", "max_eig", "test_loss", "train_loss"]


def test_kinds_of_file(tmp_path):
    with reading.open_file(write_line(tmp_path / "l.h5")) as line:
        assert line.y is None and line.shape == (21,)
    with reading.open_file(write_history(tmp_path / "h.h5")) as history:
        assert len(history.epoch) == 6
        assert history.names == ["train_loss", "test_loss", "train_acc", "test_acc"]


def test_a_newer_format_is_refused(tmp_path):
    path = write_surface(tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        file["lossatlas"].attrs["format"] = 3
    with pytest.raises(PlotError, match="has format 3, newer than the 2"):
        reading.open_file(path)


def test_files_of_format_1_are_drawn_as_those_of_format_2(svg, tmp_path):
    for write in (write_surface, write_curve):
        texts = [svg(write(tmp_path / "s.h5", format=number)) for number in (1, 2)]
        assert texts[0] == texts[1]


@pytest.mark.parametrize("axes", [[{"name": "x"}], [{"name": "x", "coordinates": "/nowhere"}], [3]])
def test_axes_that_are_not_described_are_refused(plot, tmp_path, axes):
    path = write_surface(tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        file["lossatlas"].attrs["axes"] = json.dumps(axes)
    result = plot(path)
    assert result.status == 1 and "/lossatlas@axes" in result.line()


def test_units_come_from_the_measures(tmp_path):
    path = write_surface(tmp_path / "s.h5", more={"train_iou": np.ones((9, 9)), "lossatlas/train_nll": np.ones((9, 9))})
    with h5py.File(path, "a") as file:
        about = file["lossatlas"].attrs
        about["measures"] = json.dumps([*json.loads(about["measures"]), {"name": "train_iou", "unit": "percent"},
                                        {"name": "train_nll", "unit": "nats"}, "broken"])
    with reading.open_file(path) as file:
        labels = [file.value_label(name) for name in ("train_iou", "train_nll", "train_loss")]
    assert labels == ["train_iou (%)", "train_nll (nats)", "training loss (mean cross-entropy)"]


@pytest.mark.parametrize("settings", [b"{not json", "[1, 2]", b"\xff\xfe"])
def test_unreadable_settings_are_none(tmp_path, settings):
    path = write_surface(tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        file["lossatlas"].attrs["settings"] = np.bytes_(settings)
    with reading.open_file(path) as file:
        assert file.settings == {}
