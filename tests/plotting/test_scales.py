"""Linear or logarithmic, cuts, levels and tick labels."""

import numpy as np
import pytest
from lossatlas.plotting import scales
from lossatlas.plotting.errors import PlotError


# On a square a bowl of radius to the power p has this share of its values in the lowest tenth: 16 % (p = 2), 50 % (p = 4).
@pytest.mark.parametrize("power, least, name, log", [
    (4, 0.3, "train_loss", True), (2, 0.3, "train_loss", False), (2, 0.001, "train_loss", False),
    (4, 0.0, "train_loss", False), (4, -1.0, "min_eig", False), (4, 0.3, "train_acc", False),
    (4, 3.0, "train_loss", False),  # to less than three times that
])
def test_log_where_a_linear_scale_would_show_two_fifths_of_the_values_alike(power, least, name, log):
    x = np.linspace(-1, 1, 41)
    assert scales.choose(least + np.hypot(x, x[:, None]) ** power, name).log is log


def test_a_cut_is_noted_with_its_count_and_extreme():
    scale = scales.choose(np.array([1.0, 2.0, 3.0, np.nan, 7.5]), "train_loss", vmax=2.5)
    assert (scale.lo, scale.hi, scale.cut_low, scale.cut_high) == (1.0, 2.5, False, True)
    assert scale.notes == ["cut at 2.5: 2 of 4 points lie above it (up to 7.5)"]


def test_limits_beyond_the_values_cut_nothing():
    scale = scales.choose(np.array([1.0, 2.0]), "train_loss", vmin=0.0, vmax=5.0)
    assert (scale.lo, scale.hi, scale.notes) == (0.0, 5.0, [])


def test_nothing_between_the_limits():
    with pytest.raises(PlotError, match="nothing of train_loss lies between"):
        scales.choose(np.array([1.0, 2.0]), "train_loss", vmin=3.0)


def test_values_near_the_end_of_float64():
    with pytest.raises(PlotError, match="too far to draw"):
        scales.choose(np.array([-1e308, 1e308]), "max_eig")


def test_log_of_what_is_not_positive():
    scale = scales.choose(np.array([0.0, 0.1, 1.0]), "train_loss", log=True)
    assert scale.lo == 0.1 and "1 of 3 points" in scale.notes[0]
    assert scale.forward(np.array([0.0, 0.1])).tolist() == [-1.0, -1.0]
    with pytest.raises(PlotError, match="--log needs positive values"):
        scales.choose(np.array([-2.0, 0.0]), "min_eig", log=True)


def test_a_constant_gets_room_around_it():
    scale = scales.choose(np.full(4, 2.5), "train_loss")
    assert scale.constant and scale.lo < 2.5 < scale.hi and scale.notes == ["every value is 2.5"]


@pytest.mark.parametrize("lo, hi", [(0.01, 30), (1e-8, 1e6), (2.0, 3.0), (1.0, 1.001), (1e-300, 1e300)])
@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("count", [3, 7, 20])
def test_levels_lie_within_the_limits_and_are_few(lo, hi, log, count):
    values = scales.Scale(log, lo, hi).round_values(count)
    slack = 0.0 if log else 1e-6 * (hi - lo)
    assert all(lo * 0.999 - slack <= v <= hi * 1.001 + slack for v in values)
    assert sorted(set(values)) == values and len(values) <= count + 1


def test_labels_tell_values_apart_and_powers_stand_for_far_decades():
    assert scales.labels([2.30258, 2.302581]) == ["2.30258", "2.302581"]
    assert scales.labels([0.01, 0.1, 1.0, 10.0], True) == ["0.01", "0.1", "1", "10"]
    assert scales.labels([1e-8, 1e6, 3e7], True) == ["10⁻⁸", "10⁶", "3×10⁷"]
    assert scales.labels([-0.5, 0.0]) == ["−0.5", "0"]


def test_a_few_extreme_values_are_cut_and_named():
    bowl = np.linspace(0.1, 2.1, 400)
    values = np.append(bowl, 1e5)
    scale = scales.choose(values, "train_loss")
    assert not scale.log and scale.hi == 2.1 and scale.cut_high
    assert scale.notes == ["cut at 2.1: 1 of 401 points lie above it (up to 10⁵)"]
    assert scales.choose(values, "train_loss", vmax=1e5).hi == 1e5
    assert not scales.choose(bowl, "train_loss").cut_high
    deep = scales.choose(np.append(1e-30, bowl), "train_loss", log=True)
    assert deep.lo == 0.1 and deep.cut_low


def test_a_narrow_peak_of_many_points_is_not_cut():
    assert not scales.choose(np.append(np.full(400, 0.1), np.full(50, 1e5)), "train_loss").cut_high


def test_a_range_of_rounding_is_said_and_not_drawn_as_a_slope():
    values = 2.302585 + np.linspace(0, 2e-7, 400)
    scale = scales.choose(values, "train_loss")
    assert scale.constant and scale.lo < 2 < 3 < scale.hi
    assert scale.notes == ["all values lie within 2×10⁻⁷ of 2.303, which is rounding: drawn as one value"]
    assert not scales.choose(values, "train_loss", vmin=2.302585).constant  # who asks gets it
    assert not scales.choose(values, "value").constant  # of a function, in double precision
