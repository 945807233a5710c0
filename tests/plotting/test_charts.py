"""Lines, fans of lines, paths and histories; several of them in one chart."""

import json

import h5py
import numpy as np
import pytest
from conftest import add_points, words_of, write_curve, write_fan, write_history, write_line, write_surface
from lossatlas.plotting import charts, reading, style


def axes_of(tmp_path, write, *words):
    """The axes of the figure that would be written."""
    from lossatlas.plotting import command, figures

    path = write(tmp_path / "c.h5")
    options = command.parse([path, *words])
    style.apply(options.style)
    with reading.open_file(path) as file:
        return figures.figure_of([file], options)[1].axes


def test_one_line_has_loss_to_the_left_and_accuracy_to_the_right(tmp_path):
    left, right = axes_of(tmp_path, write_line)
    assert left.get_position().bounds == right.get_position().bounds
    assert left.get_ylabel() == "loss" and right.get_ylabel() == "accuracy (%)"
    curves = {line.get_gid(): line for axes in (left, right) for line in axes.get_lines()}
    for split, dashed in (("train", False), ("test", True)):
        for what, color in (("loss", style.LOSS), ("acc", style.ACCURACY)):
            line = curves[f"{split}_{what}"]
            assert (line.is_dashed(), line.get_color()) == (dashed, color)
    assert left.yaxis.label.get_color() == style.LOSS and right.yaxis.label.get_color() == style.ACCURACY


def test_a_fan_shows_each_line_their_mean_and_the_middle_of_them(tmp_path):
    upper, lower = axes_of(tmp_path, write_fan)
    mean = next(line for line in upper.get_lines() if line.get_gid() == "train_loss")
    thin = [line for line in upper.get_lines() if line.get_alpha() == pytest.approx(0.45)]
    assert len(thin) == 10  # five of training, five of test
    each = np.stack([line.get_ydata() for line in thin[:5]])
    assert np.mean(each, axis=0) == pytest.approx(mean.get_ydata())
    band = next(c for c in upper.collections if c.get_gid() == "train_loss_band")
    edge = band.get_paths()[0].vertices
    highest = edge[edge[:, 0] == 1.0, 1].max()
    # Of five lines the quantile 5/6 lies a third of the way from the fourth to the fifth.
    fourth, fifth = np.sort(each[:, -1])[3:]
    assert highest == pytest.approx(fourth + (fifth - fourth) / 3)


def test_the_band_of_a_fan_lies_among_its_lines_on_a_log_scale_too(tmp_path):
    """A mean minus a standard deviation would lie below all of them where one line is far above the others."""
    def write(path):
        with h5py.File(write_fan(path), "a") as made:
            made["lossatlas/lines/train_loss"][0] *= 1000
        return str(path)

    axes = axes_of(tmp_path, write, "--log", "--field", "train_loss")[0]
    band = next(c for c in axes.collections if c.get_gid() == "train_loss_band").get_paths()[0].vertices[:, 1]
    thin = np.stack([line.get_ydata() for line in axes.get_lines() if line.get_alpha() == pytest.approx(0.45)])
    assert thin.min() <= band.min() and band.max() <= thin.max()


def test_a_fan_says_what_it_is(svg, tmp_path):
    words = words_of(svg(write_fan(tmp_path / "f.h5")))
    for said in ("800 training and 200 test images", "mean of 5 lines", "thin: 5 lines"):
        assert said in words
    one = words_of(svg(tmp_path / "f.h5", "--draw", "2"))
    assert "draw 2 of 5" in one and "thin" not in one


def test_a_curve_stands_beside_the_straight_line(tmp_path, svg):
    loss, error = axes_of(tmp_path, write_curve)
    assert loss.get_ylabel().startswith("loss") and error.get_ylabel() == "error (%)"
    curve, line = (next(each for each in loss.get_lines() if each.get_gid() == "train_loss"
                        and each.get_color() == color) for color in (style.LOSS, style.GREY))
    assert max(curve.get_ydata()) == pytest.approx(0.2) and max(line.get_ydata()) == pytest.approx(2.1, rel=0.01)
    middle = next(each for each in error.get_lines() if each.get_gid() == "train_err"
                  and each.get_color() == style.GREY)
    assert max(middle.get_ydata()) == pytest.approx(42, rel=0.01)
    words = words_of(svg(tmp_path / "c.h5"))
    assert "barrier of training loss: 0.1 on the curve, 2 on the straight line" in words
    assert "straight line" in words and "position t between the two networks" in words


@pytest.mark.parametrize("kind", ["contourf", "surface", "line", "history"])
def test_a_curve_asked_for_as_something_else(plot, tmp_path, kind):
    result = plot(write_curve(tmp_path / "c.h5"), "--kind", kind)
    assert result.status == 1 and result.line()


def test_a_curve_was_called_a_path(plot, tmp_path):
    result = plot(write_curve(tmp_path / "c.h5", format=1), "--kind", "path", "--dpi", "60")
    assert (result.status, result.err) == (0, "plot: note: --kind path is now called curve\n")
    assert result.out.endswith("c_curve.png\n")


def test_a_curve_says_which_networks_it_joins(svg, tmp_path):
    path = add_points(write_curve(tmp_path / "c.h5"), ("a", "b"))
    words = words_of(svg(path))
    assert "position t, from a (0) to b (1)" in words and "Bezier curve of 1 bend" in words and "plane" not in words


def test_a_curve_without_the_straight_line(svg, tmp_path):
    path = write_curve(tmp_path / "c.h5")
    with h5py.File(path, "a") as file:
        del file["lossatlas/linear"], file["lossatlas"].attrs["summary"]
    assert 'id="train_loss"' in svg(path)


@pytest.mark.parametrize("write", [write_line, write_curve, write_fan, write_history])
def test_several_in_one_chart(svg, tmp_path, write):
    files = [write(tmp_path / f"{name}.h5") for name in "abc"]
    words = words_of(svg(*files, "--names", "first one,second one,third one"))
    for name in ("first one", "second one", "third one"):
        assert name in words
    assert "training" in words and "test" in words


def test_histories_say_what_tells_them_apart(svg, tmp_path):
    files = [write_history(tmp_path / f"{name}.h5", epochs=n, settings={"optimizer": name, "lr": lr, "arch": "cnn"})
             for name, n, lr in (("sgd", 5, 0.1), ("adagrad", 8, 0.1))]
    words = words_of(svg(*files))
    assert "Training of cnn" in words and "learning rate 0.1" in words
    assert "sgd: SGD, 5 epochs" in words and "adagrad: AdaGrad, 8 epochs" in words


@pytest.mark.parametrize("first, second", [(write_line, write_surface), (write_history, write_surface),
                                           (write_curve, write_line)])
def test_files_of_different_sorts(plot, tmp_path, first, second):
    for files in ((first, second), (second, first)):
        paths = [write(tmp_path / f"{i}.h5") for i, write in enumerate(files)]
        result = plot(*paths)
        assert result.status == 1 and "draw them apart" in result.line()


def test_values_that_are_not_finite_along_a_line(svg, tmp_path):
    path = write_curve(tmp_path / "c.h5")
    with h5py.File(path, "a") as file:
        file["train_loss"][4] = np.inf
    text = svg(path)
    assert 'id="nonfinite"' in text and words_of(text).count("1 point evaluated but not finite (pink, hatched): 1 +inf") == 1


def test_files_are_told_apart_without_colour(tmp_path):
    with reading.open_file(write_line(tmp_path / "a.h5")) as a, reading.open_file(write_line(tmp_path / "b.h5")) as b:
        chart, _ = charts.of_lines([a, b], None, labels=["a", "b"])
    assert {each.marker for each in chart.series[:4]} == {"o"} and {each.marker for each in chart.series[4:]} == {"s"}
    assert [key.marker for key in chart.keys] == ["o", "s", None, None]


def test_where_values_are_not_finite():
    x = np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    assert charts._stretches(x, np.array([True, True, False, False, True])) == [(0.0, 1.5), (4.0, 5.0)]
    assert charts._stretches(x, np.zeros(5, bool)) == []


def test_lines_of_different_directions(svg, tmp_path):
    between = add_points(write_line(tmp_path / "b.h5"))
    assert ">multiples of the direction<" in svg(write_fan(tmp_path / "f.h5"), between)


def test_accuracies_stand_only_where_the_loss_is_finite(tmp_path):
    path = write_line(tmp_path / "l.h5")
    with h5py.File(path, "a") as file:
        file["train_loss"][:3] = [np.nan, np.inf, np.nan]
        file["train_acc"][:3] = 0.0
    with reading.open_file(path) as file:
        chart, _ = charts.of_lines([file], None)
    accuracy = next(each for each in chart.series if each.name == "train_acc")
    assert np.isnan(accuracy.values[:3]).all() and np.isfinite(accuracy.values[3:]).all()


def test_long_names_of_several_paths_stay_on_a_narrow_page(tmp_path):
    from lossatlas.plotting import curves, style

    style.apply()
    keys = [curves.Key("a rather long name of the first of the files", "k"), curves.Key("curve", "k"), curves.Key("line", "k")]
    lines = curves._legend_lines(keys, 2.3)
    assert len(lines) == 2 and "\n" in lines[0][0].label
    assert all(sum(map(curves._key_width, line)) <= 2.35 for line in lines)


@pytest.mark.parametrize("settings, said", [
    ({"lr_schedule": "cosine", "lr_epochs": 9, "warmup": 0.5}, "learning rate 0.1 · cosine over 9 epochs · warm-up of 0.5 epochs"),
    ({"lr_steps": [14, 20], "lr_factor": 0.1}, "learning rate 0.1 · × 0.1 after epochs 14, 20"),
    ({"lr_steps": [], "lr_factor": 0.1}, "learning rate 0.1 · batch"),
])
def test_a_history_says_how_its_learning_rate_changes(svg, tmp_path, settings, said):
    file = write_history(tmp_path / "h.h5")
    with h5py.File(file, "a") as made:
        attributes = made["lossatlas"].attrs
        old = json.loads(attributes["settings"])
        old.update({"lr": 0.1, "batch_size": 128})
        attributes["settings"] = json.dumps({**{k: v for k, v in old.items() if not k.startswith("lr_")}, **settings})
    assert said in words_of(svg(file))


def test_a_history_without_test_data_shows_none(svg, tmp_path):
    file = write_history(tmp_path / "h.h5")
    with h5py.File(file, "a") as made:
        made["test_loss"][...] = made["test_acc"][...] = np.nan
    assert "test" not in words_of(svg(file))
