"""Every value on the grid by its name, reconstructed points, and the numbers of a summary."""

import numpy as np
import pytest
from conftest import SETTINGS, bowl, words_of, write_history, write_line, write_surface
from lossatlas.plotting import wording
from test_figures import PLANES

GRID = bowl(*np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)))
LABELS = {
    "l2": "L2 term λ/2 ‖θ‖² (λ = 0.0005)",
    "train_acc": "training accuracy (%)",
    "train_acc_top5": "training top-5 accuracy (%)",
    "train_loss_class_3": "training loss of class 3 (mean cross-entropy)",
    "train_loss_se": "standard error of training loss (mean cross-entropy)",
    "train_acc_se": "standard error of training accuracy (percentage points)",
    "train_images": "training images evaluated (per point)",
    "train_scale_trace": "training curvature, trace at scale h = 0.00192",
    "error": "stated error of training loss, half-width at 95 % (mean cross-entropy)",
}


def write_fields(path):
    names = {"train_loss_error" if name == "error" else name for name in LABELS}
    more = {name if name == "train_acc" else f"lossatlas/{name}": GRID for name in names}
    more.update({f"lossatlas/train_loss_class_{c}": GRID for c in (0, 1, 10)})
    more["lossatlas/train_images"] = np.full((9, 9), 200)
    return write_surface(path, more=more, settings={**SETTINGS, "l2": 0.0005, "scale_step": 0.001917})


@pytest.mark.parametrize("name", LABELS)
def test_each_has_its_label_and_unit(svg, tmp_path, name):
    assert LABELS[name] in words_of(svg(write_fields(tmp_path / "s.h5"), "--field", name))


@pytest.mark.parametrize("kind", PLANES)
@pytest.mark.parametrize("name", ["train_images", "train_loss_class_3"])
def test_each_is_drawn_in_every_kind(svg, tmp_path, kind, name):
    assert LABELS[name] in words_of(svg(write_fields(tmp_path / "s.h5"), "--field", name, "--kind", kind))


def test_a_wrong_name_lists_those_there_are_with_classes_in_short(plot, tmp_path):
    result = plot(write_fields(tmp_path / "s.h5"), "--field", "train_loss_clas_3")
    assert result.status == 1
    assert "did you mean 'train_loss_class_3'?" in result.line()
    assert "it holds train_acc, train_loss, l2, train_acc_se, train_acc_top5, " in result.line()
    assert "train_loss_class_0 … train_loss_class_10, train_loss_error" in result.line()
    assert "evaluated" not in result.line()


def test_error_without_reconstructed_points(plot, tmp_path):
    result = plot(write_surface(tmp_path / "s.h5"), "--field", "error")
    assert result.status == 1 and "no value 'error'" in result.line()


@pytest.mark.parametrize("name, percent", [("train_acc", True), ("test_err", True),
                                           ("train_acc_top5", True), ("train_acc_se", False),
                                           ("train_loss", False), ("l2", False)])
def test_percentages(name, percent):
    assert wording.is_percent(name) is percent


def write_reconstructed(path, more=None):
    mask = np.full((9, 9), 2)
    mask[::2, ::2] = 1
    settings = {**SETTINGS, "tolerance": 0.01, "budget": "30 %"}
    return write_surface(path, evaluated=mask, settings=settings, more=more)


@pytest.mark.parametrize("kind", PLANES)
def test_reconstructed_points_are_counted_with_their_largest_error(svg, tmp_path, kind):
    errors = np.zeros((9, 9))
    errors[1, 1], errors[0, 0] = 0.05, 9.0  # the latter at an evaluated point
    file = write_reconstructed(tmp_path / "s.h5", {"lossatlas/train_loss_error": errors})
    text = words_of(svg(file, "--kind", kind))
    share = 100 * np.log1p(0.05 / GRID[1, 1]) / np.log(GRID.max() / GRID.min())
    assert "25 of 81 points evaluated in full, the rest reconstructed;" in text
    there = f"{100 * 0.05 / GRID[1, 1]:.2g} % of the loss there"
    assert f"largest stated error {there} ({share:.3g} % of the range of log loss)" in text
    assert "tolerance 0.01" in text and "budget 30 %" in text
    assert "PARTIAL" not in text and "not evaluated" not in text


def test_reconstructed_points_without_stated_errors(svg, tmp_path):
    text = words_of(svg(write_reconstructed(tmp_path / "s.h5")))
    assert "the rest reconstructed" in text and "stated error" not in text


SUMMARY = {
    "centre": {"loss": 0.50001, "x": 0.0, "y": 0.0, "accuracy": 88.5, "exact": True},
    "lowest": {"loss": 0.4, "x": 0.0, "y": -0.1}, "highest": {"loss": 3.5, "x": 1.0, "y": None},
    "width": 1.25, "width_at_least": True, "steepest": {"rise": 0.5, "from": [0, 1], "to": [0, 0]},
    "minima": 1, "curvature": {"eigenvalues": [-1.5, 4], "condition": 2.67, "points": 25},
    "points": 12345, "not_finite": 0, "standard_error": None, "hints": ["look again, closer"],
    "later": {"some_number": 1e-7, "pair": [1, 2], "flag": False, "list": list(range(9)), "text": "x" * 999},
}
FACTS = [
    "centre loss 0.5, accuracy 88.5 %", "lowest loss 0.4 at (0, −0.1)", "highest loss 3.5", "highest x 1",
    "width at twice the centre’s loss ≥ 1.25", "steepest step 0.5", "1 local minimum",
    "fitted curvatures at the centre −1.5 to 4, ratio 2.67", "hint: look again, closer",
    "later some number 10⁻⁷", "later pair (1, 2)", "later flag no",
]


def test_facts_of_curvatures_along_axes():
    from lossatlas.plotting import summary

    scale = [{"step": h, "value": value, "standard_error": 0.21} for h, value in ((0.015, 6.7), (0.03, 6.8), (0.06, 6.9))]
    axis = {"axis": "x", "direction_norm": 17.6, "samples": 500, "step": 0.03, "scale": scale, "autodiff": None}
    both = axis | {"axis": "y", "autodiff": {"value": 5.4, "standard_error": 0.2}}
    assert summary.facts({"axis_curvatures": [axis, both]}) == [
        "along x: curvature 6.8 ± 0.21 at scale h = 0.03",
        "along y: dᵀHd 5.4 by autodiff, 6.8 at scale h = 0.03 (‖d‖ = 17.6, so 0.0174 and 0.022 per unit length)"]
    assert summary._along(both, 391).endswith("(‖d‖ = 17.6, so 0.0174 and 0.022 per unit length, where the largest eigenvalue is 391)")
    odd = [1, {}, {"axis": "x", "scale": [1, 2, 3]}, axis | {"scale": [{}, {"value": None, "step": 1}, {}]}]
    assert summary.facts({"axis_curvatures": odd}) == []


def test_facts_of_a_summary():
    from lossatlas.plotting import summary

    assert summary.facts(SUMMARY) == FACTS
    assert summary.facts({"repeats": [{}, SUMMARY]}, 2) == FACTS
    assert summary.facts({"repeats": [{}]}, 2) == summary.facts({}) == []
    odd = {name: "odd" for name in SUMMARY}
    assert "centre odd" in summary.facts(odd) and "minima odd" in summary.facts(odd)


@pytest.mark.parametrize("kind", PLANES)
def test_numbers_stand_below_when_asked_for(svg, tmp_path, kind):
    file = write_surface(tmp_path / "s.h5", summary=SUMMARY)
    text = words_of(svg(file, "--kind", kind, "--numbers"))
    for fact in FACTS:
        assert fact in text
    assert "lowest loss" not in svg(file, "--kind", kind)


@pytest.mark.parametrize("summary", [None, {}, [1, 2]])
def test_numbers_that_are_not_there_are_said(plot, tmp_path, summary):
    result = plot(write_surface(tmp_path / "s.h5", summary=summary), "--numbers", "--dpi", "40")
    assert result.status == 0 and "holds no summary numbers" in result.line()


@pytest.mark.parametrize("write, kind", [(write_line, "line"), (write_history, "history")])
def test_fields_of_curves(svg, tmp_path, write, kind):
    assert 'id="test_loss"' in svg(write(tmp_path / "c.h5"), "--field", "test_loss")


def test_no_text_leaves_the_page_at_few_pixels_an_inch(tmp_path):
    from lossatlas.plotting import style

    style.apply()
    for dpi in (40, 90, 300):
        page = style.Page(style.Head("T", wording.joined(["many words here"] * 9)),
                          ["a fact longer than the page " * 9], style.Margins(0.5, 0.5, 0.5), (3, 3))
        page.figure.set_dpi(dpi)
        right = [text.get_window_extent().x1 for text in page.figure.texts]
        assert max(right) < page.figure.bbox.x1
