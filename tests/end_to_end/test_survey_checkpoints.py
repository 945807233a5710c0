"""Every checkpoint of tools/survey-checkpoints is read, its values PyTorch's, or refused with the right line."""

import sys

import pytest

import helpers


@pytest.mark.full
def test_survey():
    done = helpers.run_program(sys.executable, helpers.ROOT / "tools" / "survey" / "survey.py", "--binary", helpers.BINARY)
    assert done.status == 0, done.err
    assert done.out.count("values equal") >= 20 and done.out.count("refused: ") >= 20
    assert done.out.splitlines()[-1].endswith(" 0 wrong")
