"""Every file of the surveys is read, its values PyTorch's, or refused with the right line."""

import subprocess
import sys

import pytest

import helpers


@pytest.mark.full
@pytest.mark.parametrize("survey, read, refused", [("checkpoint", 20, 20), ("data", 10, 5)])
def test_survey(survey, read, refused):
    done = subprocess.run([sys.executable, helpers.ROOT / "tools" / "survey" / f"{survey}_survey.py", "--binary",
                           helpers.BINARY], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("values equal") >= read and done.stdout.count("refused: ") >= refused
    assert done.stdout.splitlines()[-1].endswith(" 0 wrong")
