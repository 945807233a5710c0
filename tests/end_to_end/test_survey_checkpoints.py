"""Every checkpoint of tools/survey-checkpoints is read, its values PyTorch's, or refused with the right line."""

import subprocess
import sys

import pytest

import helpers


@pytest.mark.full
def test_survey():
    done = subprocess.run([sys.executable, helpers.ROOT / "tools" / "survey" / "survey.py", "--binary", helpers.BINARY],
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("values equal") >= 20 and done.stdout.count("refused: ") >= 20
    assert done.stdout.splitlines()[-1].endswith(" 0 wrong")
