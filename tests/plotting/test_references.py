"""Figures against images that were looked at: tests/plotting/references."""

import matplotlib.image
import numpy as np
import pytest
import references


@pytest.mark.parametrize("name", references.CASES)
def test_figures_look_as_they_did(tmp_path, capsys, name):
    _, image = references.draw(name, tmp_path)
    reference = matplotlib.image.imread(references.FOLDER / f"{name}.png")[:, :, :3]
    share = references.difference(image, reference)
    assert share <= references.MOST_DIFFERENT, (
        f"{share:.2%} of the pixels of {name} differ: look at it, and where it is right,"
        f" .venv/bin/python tests/plotting/references.py {name}")


def test_every_reference_is_a_case():
    assert {path.stem for path in references.FOLDER.glob("*.png")} == set(references.CASES)


@pytest.mark.parametrize("name", ["contour", "line"])
def test_a_difference_would_be_seen(name):
    reference = matplotlib.image.imread(references.FOLDER / f"{name}.png")[:, :, :3]
    assert references.difference(np.roll(reference, 1, axis=1), reference) > references.MOST_DIFFERENT
    assert references.difference(reference[:-1], reference) == 1.0
    assert references.difference(reference, reference) == 0.0
