"""Curvatures at one point, and the sharpness of checkpoints."""

import json

import h5py
import numpy as np
import pytest
from conftest import SETTINGS, write_history, write_surface
from lossatlas.plotting import figures, reading, style

TEXTS = h5py.string_dtype()


def write_curvature(path, probes=4, modules=5, eigenvalues=True, finished=True):
    """A curvature of 1000 parameters: a bulk at 0 and outliers at 50 and 100."""
    random = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        group = file.create_group("lossatlas")
        group.attrs["kind"], group.attrs["format"], group.attrs["finished"] = "curvature", 2, int(finished)
        group.attrs["settings"] = json.dumps({**SETTINGS, "kind": "curvature", "operator": "hessian"})
        group["parameters/count"] = [600, 400]
        summary = {"loss": 0.5, "loss_se": 0.01, "threshold": 1.0, "trace": {"value": 170.0, "se_probes": 6.0, "se_samples": 12.0}}
        if probes:
            group["density/nodes"] = np.column_stack([random.normal(0, 0.5, (probes, 6)), np.full((probes, 2), (50.0, 100.0))])
            weights = np.abs(random.normal(1, 0.2, (probes, 8)))
            weights[:, 6:] *= 2e-2
            group["density/weights"] = weights / weights.sum(1, keepdims=True)
            summary |= {"above": {"count": 21.4, "se_probes": 3.2}, "below": {"count": 2.0, "se_probes": 1.0}}
        if eigenvalues:
            group["eigenvalues"], group["eigenvalue_se"] = [100.0, 50.0, -3.0], [9.0, 5.0, 1.0]
            group.attrs["largest"] = 2
        if modules:
            group["modules/name"] = np.array([f"layer{k}.conv" for k in range(modules)], TEXTS)
            group["modules/trace"] = 10.0 * np.arange(modules) - 5
            group["modules/trace_se"] = np.ones(modules)
        if finished:
            group.attrs["summary"] = json.dumps(summary)
    return str(path)


def write_sharpness(path, rows=6, epochs=True, without=()):
    with h5py.File(path, "w") as file:
        group = file.create_group("lossatlas")
        group.attrs["kind"], group.attrs["format"] = "sharpness", 2
        group.attrs["settings"] = json.dumps({**SETTINGS, "kind": "sharpness"})
        at = np.arange(rows, dtype=float)
        columns = {"loss": 2 - at / 10, "loss_se": 0.1 + 0 * at, "lambda_max": 5 + at, "trace": 100 + at, "trace_se": 3 + 0 * at,
                   "critical_sharpness": np.where(at == 2, np.nan, at), "epoch": at if epochs else np.nan * at}
        for name, values in columns.items():
            if name not in without:
                group[f"sharpness/{name}"] = values
        group["sharpness/checkpoint"] = np.array([f"epoch-{k:04d}.pt" for k in range(rows)], TEXTS)
    return str(path)


def drawn(path, *words):
    from lossatlas.plotting import command

    options = command.parse([path, *words])
    style.apply(options.style)
    with reading.open_file(path) as file:
        return figures.figure_of([file], options)[1]


def words_of(figure):
    return figure.get_label()


def line(axes, gid):
    return next(each for each in axes.get_lines() if each.get_gid() == gid)


def test_the_density_is_the_mean_of_gaussians_and_its_band_their_error(tmp_path):
    path = write_curvature(tmp_path / "c.h5")
    axes = drawn(path, "--kind", "spectrum").axes[0]
    found = line(axes, "density")
    with h5py.File(path) as file:
        nodes, weights = file["lossatlas/density/nodes"][()], file["lossatlas/density/weights"][()]
    width = 0.01 * (100 - min(nodes.min(), -3))
    at = found.get_xdata()
    each = np.array([[sum(w * np.exp(-((x - n) ** 2) / (2 * width**2)) for n, w in zip(*probe)) / (width * np.sqrt(2 * np.pi))
                      for x in at] for probe in zip(nodes, weights)])
    mean = each.mean(0)
    floor = axes.get_ylim()[0]
    assert found.get_ydata() == pytest.approx(np.maximum(mean, floor), rel=1e-6)
    band = next(c for c in axes.collections if c.get_gid() == "density_band").get_paths()[0].vertices
    middle = at[np.argmin(np.abs(at - 100))]
    error = each.std(0, ddof=1)[np.argmin(np.abs(at - 100))] / 2  # of four probes
    upper = band[np.isclose(band[:, 0], middle), 1].max()
    assert upper == pytest.approx(mean[np.argmin(np.abs(at - 100))] + error, rel=1e-6)
    # One eigenvalue of 1000 by itself reaches the ticks.
    assert line(axes, "eigenvalues").get_ydata() == pytest.approx([1 / (1000 * width * np.sqrt(2 * np.pi))] * 3)
    assert list(line(axes, "eigenvalues").get_xdata()) == [100, 50, -3]


def test_a_single_probe_has_no_band(tmp_path):
    figure = drawn(write_curvature(tmp_path / "c.h5", probes=1), "--kind", "spectrum")
    assert not [c for c in figure.axes[0].collections if c.get_gid() == "density_band"]
    assert "1 random probe of" in words_of(figure) and "standard error of their mean" not in words_of(figure)


def test_bars_are_the_traces_in_the_order_of_the_network(tmp_path):
    axes = drawn(write_curvature(tmp_path / "c.h5", modules=5), "--kind", "modules").axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([-5, 5, 15, 25, 35])
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"layer{k}.conv" for k in range(5)]
    tops = [bar.get_y() for bar in axes.patches]
    assert tops == sorted(tops, reverse=True)


def test_the_smallest_of_many_modules_are_one_bar(tmp_path):
    axes = drawn(write_curvature(tmp_path / "c.h5", modules=100), "--kind", "modules").axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    everything = 10.0 * np.arange(100) - 5
    assert len(widths) == 25 and sum(widths) == pytest.approx(everything.sum())
    assert widths[:24] == pytest.approx(everything[76:])
    assert axes.get_yticklabels()[-1].get_text() == "76 others"


def test_all_parts_are_drawn_and_the_numbers_said(tmp_path):
    figure = drawn(write_curvature(tmp_path / "c.h5"))
    assert len(figure.axes) == 2
    said = words_of(figure)
    for part in ("Curvature: Hessian of resnet18 on cifar10", "1000 training images", "trace 170 ± 6 over probes ± 12 over images",
                 "largest eigenvalue 100 ± 9 over images", "smallest eigenvalue −3 ± 1 over images",
                 "21 ± 3.2 eigenvalues above 1", "2 ± 1 eigenvalues below −1"):
        assert part in said, said


def test_eigenvalues_alone_are_a_picture_too(tmp_path):
    figure = drawn(write_curvature(tmp_path / "c.h5", probes=0, modules=0))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["largest", "2nd largest", "smallest"]


def test_many_eigenvalues_lie_closer_and_some_are_named(tmp_path):
    path = write_curvature(tmp_path / "c.h5", probes=0, modules=0)
    with h5py.File(path, "a") as file:
        group = file["lossatlas"]
        del group["eigenvalues"], group["eigenvalue_se"]
        group["eigenvalues"], group["eigenvalue_se"] = np.linspace(300.0, 1.0, 150), np.ones(150)
        group.attrs["largest"] = 150
    figure = drawn(path)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["largest", "6th largest", "11th largest"]
    assert len(axes.get_yticks()) == 30 and figure.get_size_inches()[1] < 15
    figure.draw_without_rendering()
    assert min(label.get_window_extent().x0 for label in axes.get_yticklabels()) > 0


def test_what_is_not_computed_yet_is_said(tmp_path):
    figure = drawn(write_curvature(tmp_path / "c.h5", finished=False))
    assert "PARTIAL: not all of it is computed yet" in words_of(figure)


@pytest.mark.parametrize("make, words, text", [
    (dict(probes=0), ["--kind", "spectrum"], "holds no density of eigenvalues (made without --density)"),
    (dict(modules=0), ["--kind", "modules"], "holds no trace by module (made without --by module)"),
    (dict(probes=0, modules=0, eigenvalues=False), [], "holds no eigenvalue, density or trace by module: nothing to draw"),
    (dict(), ["--kind", "contourf"], "a curvature at one point, not a plane to draw as contourf"),
    (dict(), ["--field", "train_loss"], "a curvature, which has no fields"),
])
def test_what_does_not_fit_is_one_line(plot, tmp_path, make, words, text):
    assert text in plot(write_curvature(tmp_path / "c.h5", **make), *words, "-o", tmp_path / "c.png").line()
    assert not (tmp_path / "c.png").exists()


def test_other_files_have_no_such_kinds(plot, tmp_path):
    surface, curvature, table = write_surface(tmp_path / "s.h5"), write_curvature(tmp_path / "c.h5"), write_sharpness(tmp_path / "t.h5")
    assert "no curvature at one point" in plot(surface, "--kind", "spectrum", "-o", tmp_path / "x.png").line()
    assert "one file at a time" in plot(curvature, table, "-o", tmp_path / "x.png").line()
    assert "no plane to animate" in plot(curvature, "--animate", "spin", "-o", tmp_path / "x.gif").line()


def test_sharpness_is_drawn_over_the_epochs_beside_the_loss(tmp_path):
    figure = drawn(write_sharpness(tmp_path / "t.h5"))
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == ["loss", "largest eigenvalue", "trace", "critical sharpness"]
    found = line(panels["largest eigenvalue"], "lambda_max")
    assert list(found.get_xdata()) == [0, 1, 2, 3, 4, 5] and list(found.get_ydata()) == [5, 6, 7, 8, 9, 10]
    band = next(c for c in panels["trace"].collections if c.get_gid() == "trace_band").get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((97, 108))
    assert np.isnan(line(panels["critical sharpness"], "critical_sharpness").get_ydata()[2])
    assert "Sharpness along training of resnet18" in words_of(figure)


def test_checkpoints_of_no_run_are_dots_by_their_names(tmp_path):
    figure = drawn(write_sharpness(tmp_path / "t.h5", rows=3, epochs=False, without=("trace", "trace_se")))
    first = figure.axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["epoch-0000.pt", "epoch-0001.pt", "epoch-0002.pt"]
    assert list(line(figure.axes[1], "lambda_max").get_xdata()) == [5, 6, 7]


def test_a_single_checkpoint_is_a_list_of_numbers(tmp_path):
    figure = drawn(write_sharpness(tmp_path / "t.h5", rows=1))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(figure.axes) == 1
    assert texts == ["loss", "2 ± 0.1", "largest eigenvalue", "5", "trace", "100 ± 3", "critical sharpness", "0"]


def test_one_number_of_the_table_by_its_name(plot, tmp_path):
    path = write_sharpness(tmp_path / "t.h5")
    assert len(drawn(path, "--field", "lambda_max").axes) == 1
    assert "no value 'lambda'" in plot(path, "--field", "lambda", "-o", tmp_path / "x.png").line()


@pytest.mark.parametrize("write", [write_curvature, write_sharpness])
def test_a_page_and_a_report_hold_the_figure_and_the_numbers(plot, tmp_path, write):
    path = write(tmp_path / "run" / "c.h5") if (tmp_path / "run").mkdir() is None else ""
    write_history(tmp_path / "run" / "history.h5")
    assert plot(path, "-o", tmp_path / "c.html").status == 0
    page = (tmp_path / "c.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 2 and "1000 training images" in page
    assert plot("--report", tmp_path / "run", "-o", tmp_path / "r.html").status == 0
    report = (tmp_path / "r.html").read_text()
    assert "Not shown" not in report and "run/c.h5" in report
