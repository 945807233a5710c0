"""The sharpness of several checkpoints, or along a run, in one table."""

import csv
import json
import pathlib

import h5py
import helpers
import numpy as np
import pytest
import torch

FILES = pathlib.Path(__file__).parents[1] / "files" / "curvature"
QUIET = "--progress", "none"


def table_of(path):
    """column -> [rows]"""
    with h5py.File(path) as file:
        assert file["lossatlas"].attrs["kind"] == "sharpness"
        group = file["lossatlas/sharpness"]
        return {name: group[name].asstr()[()] if name == "checkpoint" else group[name][()] for name in group}


@pytest.fixture(scope="module")
def row(lossatlas, small, tmp_path_factory):
    """The table of one network, with three draws, and these draws."""
    folder = tmp_path_factory.mktemp("row")
    lossatlas("curvature", "--problem", small.path, "--csv", folder / "t.csv", "--out", folder / "t.h5", "--draws", 3,
              "--tolerance", 1e-4, *QUIET).ok()
    lossatlas("surface", "--problem", small.path, "--axes", 3, "--grid", 1, "--x", "0:0", "--y", "0:0", "--z", "0:0",
              "--save-directions", folder / "d.h5", "--out", folder / "s.h5", *QUIET).ok()
    with h5py.File(folder / "d.h5") as file:
        draws = [np.concatenate([file[f"{axis}direction/{k}"][()].ravel() for k in range(4)]).astype(float) for axis in "xyz"]
    return folder, {name: values[0] for name, values in table_of(folder / "t.h5").items()}, draws


def gradient_of(small):
    return torch.autograd.functional.jacobian(small.loss, small.parameters).numpy()


def loss_at(small, flat):
    return float(small.loss(torch.as_tensor(flat)))


def test_numbers_are_those_of_float64(row, small):
    _, found, draws = row
    theta, gradient = small.parameters.numpy(), gradient_of(small)
    centre, length = loss_at(small, theta), np.linalg.norm(gradient)
    assert found["loss"] == pytest.approx(centre, rel=1e-6) and found["gradient_norm"] == pytest.approx(length, rel=1e-5)
    assert found["lambda_max"] == pytest.approx(np.linalg.eigvalsh(small.hessian)[-1], rel=1e-5)
    assert found["trace"] == pytest.approx(np.trace(small.hessian), abs=4 * found["trace_se"] + 1e-6)
    assert found["sam_sharpness"] == pytest.approx(loss_at(small, theta + 0.05 * gradient / length) - centre, rel=1e-3)
    rises = [loss_at(small, theta + 0.05 * draw) - centre for draw in draws]
    assert found["expected_sharpness"] == pytest.approx(np.mean(rises), rel=0.01, abs=1e-6)
    assert found["expected_sharpness_se"] == pytest.approx(np.std(rises, ddof=1) / np.sqrt(3), rel=0.01)


def test_the_sharpest_filter_normalized_direction(row, small):
    first, _, second, _ = torch.as_tensor(small.parameters).split(small.sizes)
    norms = [first.view(6, 4).norm(dim=1).repeat_interleave(4), torch.zeros(6), second.view(3, 6).norm(dim=1).repeat_interleave(6),
             torch.zeros(3)]
    scale = torch.cat([part.double() for part in norms]).numpy()
    wanted = np.linalg.eigvalsh(scale[:, None] * small.hessian * scale)[-1]
    assert row[1]["lambda_max_normalized"] == pytest.approx(wanted, rel=1e-5)


def test_critical_sharpness_is_where_the_loss_comes_back_to_its_height(row, small):
    theta, gradient = small.parameters.numpy(), gradient_of(small)
    centre = loss_at(small, theta)
    low, high = 1e-3, 1e-3
    while loss_at(small, theta - high * gradient) <= centre:
        low, high = high, 1.1 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if loss_at(small, theta - middle * gradient) <= centre else (low, middle)
    assert row[1]["critical_sharpness"] == pytest.approx(2 / low, rel=0.05)
    assert np.isnan(row[1]["critical_sharpness_update"])  # of no run


def test_csv_and_info_hold_the_same(lossatlas, row):
    folder, found, _ = row
    with open(folder / "t.csv") as file:
        (line,) = csv.DictReader(file)
    for name, value in found.items():
        if name == "checkpoint":
            assert line[name] == value
        else:
            assert line[name] == "" if np.isnan(value) else float(line[name]) == value
    text = lossatlas("info", folder / "t.h5").ok().out
    assert f"{found['lambda_max']:.4g}" in text and "critical" in text
    described = json.loads(lossatlas("info", "--json", folder / "t.h5").ok().out)
    assert described["rows"][0]["lambda_max"] == found["lambda_max"] and described["finished"]


@pytest.mark.full
def test_the_reference(lossatlas, tmp_path):
    out = tmp_path / "t.h5"
    lossatlas("curvature", "--checkpoint", FILES / "resnet20.pt", "--data", f"cifar10:{FILES / 'images'}", "--csv", tmp_path / "t.csv",
              "--out", out, "--top", 1, "--trace", 0, "--draws", 2, *QUIET).ok()
    found = table_of(out)
    assert found["lambda_max"] == pytest.approx([391.18015], rel=1e-4)
    assert list(found["epoch"]) == [10] and np.isnan(found["trace"]).all()


@pytest.fixture(scope="module")
def along(lossatlas, mlp_run, pictures, tmp_path_factory):
    """The words for a table along a run, and its table."""
    out = tmp_path_factory.mktemp("along") / "t.h5"
    words = ("curvature", "--run", mlp_run, "--data", pictures.words, "--samples", 64, "--top", 2, "--trace", 2, "--draws", 4,
             "--tolerance", 0.03, *QUIET)
    done = lossatlas(*words, "--out", out, "--threads", 1).ok()
    return words, out, done


def test_a_run_has_a_row_for_each_checkpoint(along, plot):
    _, out, done = along
    found = table_of(out)
    assert list(found["epoch"]) == [0, 1, 2] and list(found["checkpoint"]) == ["epoch-0000", "epoch-0001", "epoch-0002"]
    assert np.isnan(found["critical_sharpness_update"][0]) and (found["critical_sharpness"] > 0).all()
    assert "3 of 3: epoch-0002" in done.err
    plot(out, "-o", out.with_suffix(".png")).ok()


def test_threads_and_interrupts_change_no_bit(lossatlas, along, tmp_path):
    words, out, _ = along
    wanted = table_of(out)
    other = tmp_path / "t.h5"
    stopped = helpers.interrupt([*words, "--out", other, "--threads", 2], "1 of 3")
    assert stopped.status == 130 and "rows are in" in stopped.err
    lossatlas(*words, "--out", other, "--threads", 2, "--resume").ok()
    for name, values in table_of(other).items():
        if name == "checkpoint":
            assert list(values) == list(wanted[name])
        else:
            assert np.array_equal(values, wanted[name], equal_nan=True), name


def test_rows_that_are_there_are_kept(lossatlas, along, tmp_path):
    """A file with the first row alone goes on to the same bits."""
    words, out, _ = along
    part = tmp_path / "t.h5"
    part.write_bytes(out.read_bytes())
    with h5py.File(part, "a") as file:
        group = file["lossatlas/sharpness"]
        for name in list(group):
            first = group[name][:1]
            attributes = dict(group[name].attrs)
            kind = group[name].dtype
            del group[name]
            group.create_dataset(name, data=first, dtype=kind).attrs.update(attributes)
    done = lossatlas(*words, "--out", part, "--resume").ok()
    assert "resuming: 1 rows are there" in done.err and "1 of 3" not in done.err
    for name, values in table_of(out).items():
        if name != "checkpoint":
            assert np.array_equal(values, table_of(part)[name], equal_nan=True), name


def test_several_checkpoints(lossatlas, mlp_run, pictures, tmp_path, along):
    first, last = (mlp_run / "checkpoints" / f"epoch-000{k}.pt" for k in (0, 2))
    lossatlas("curvature", "--checkpoint", first, "--checkpoint", last, "--data", pictures.words, "--samples", 64, "--top", 2,
              "--trace", 2, "--draws", 4, "--tolerance", 0.03, "--out", tmp_path / "t.h5", *QUIET).ok()
    found, wanted = table_of(tmp_path / "t.h5"), table_of(along[1])
    for name in ("loss", "lambda_max", "trace", "sam_sharpness", "expected_sharpness", "critical_sharpness"):
        assert list(found[name]) == [wanted[name][0], wanted[name][2]]


@pytest.mark.parametrize("words, status, text", [
    (["--by", "module"], 2, "--by"),
    (["--density", 2], 2, "--density: is of one checkpoint"),
    (["--save-directions", "d.h5"], 2, "--save-directions: is of one checkpoint"),
    (["--operator", "gauss-newton"], 2, "sharpness is that of the hessian"),
    (["--checkpoint", "a.pt"], 2, "--run: cannot be used with --checkpoint"),
    (["--rho", "-1"], 2, "--rho"),
    (["--top", 0], 2, "--top 0: a table has the largest eigenvalue"),
])
def test_wrong_words_are_one_line(lossatlas, mlp_run, pictures, tmp_path, words, status, text):
    done = lossatlas("curvature", "--run", mlp_run, "--data", pictures.words, "--out", tmp_path / "t.h5", *words, *QUIET)
    assert done.status == status and text in done.line()
    assert not (tmp_path / "t.h5").exists()


def test_files_that_are_there_stay(lossatlas, mlp_run, pictures, tmp_path, along):
    mine = tmp_path / "mine.csv"
    mine.write_text("a,b\n")
    done = lossatlas("curvature", "--run", mlp_run, "--data", pictures.words, "--csv", mine, "--out", tmp_path / "t.h5", *QUIET)
    assert done.status != 0 and "mine.csv" in done.line() and mine.read_text() == "a,b\n"
    other = lossatlas(*along[0], "--rho", 0.1, "--out", along[1], "--resume")
    assert other.status == 1 and "other settings: rho" in other.err.splitlines()[-1]
    missing = lossatlas("curvature", "--checkpoint", mlp_run, "--checkpoint", tmp_path / "no.pt", "--data", pictures.words, "--out",
                        tmp_path / "t.h5", *QUIET)
    assert missing.status != 0 and "no.pt" in missing.err.splitlines()[-1]
