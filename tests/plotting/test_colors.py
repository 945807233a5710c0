"""Colours that are told apart with colour blindness and in grey print: tools/check-colors."""

import importlib.machinery
import importlib.util
import pathlib

import pytest

TOOL = str(pathlib.Path(__file__).parents[2] / "tools/check-colors")
loader = importlib.machinery.SourceFileLoader("check_colors", TOOL)
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_colors", loader))
loader.exec_module(check)


def test_all_colours_are_told_apart():
    assert [(what, sight) for what, sight, found, required in check.checks() if found < required] == []


def test_what_looks_alike_to_some_is_found():
    """Matplotlib's second and third colours: orange and green."""
    assert check.least_difference(["#ff7f0e", "#2ca02c"], "normal") > 40
    assert check.least_difference(["#ff7f0e", "#2ca02c"], "deuteranopia") < 20
    assert check.least_difference(["#ff0000", "#787878"], "grey") < 10


@pytest.mark.parametrize("sight", check.SIGHTS)
def test_white_and_black_are_as_far_apart_for_all(sight):
    assert check.least_difference(["white", "black"], sight) == pytest.approx(100.0, abs=0.5)
