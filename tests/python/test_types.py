"""mypy --strict over the package (tests/mypy.ini); the plotter, which is not annotated, is left out."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_types():
    installed = [sys.executable, "-m", "mypy"] if importlib.util.find_spec("mypy") else None
    mypy = installed or ([found, "--python-executable", sys.executable] if (found := shutil.which("mypy")) else None)
    if mypy is None and not os.environ.get("CI"):
        pytest.skip("mypy is not installed: tools/setup installs it")
    assert mypy, "mypy is not installed: tools/setup installs it"
    done = subprocess.run([*mypy, "--config-file", "tests/mypy.ini", "python/lossatlas"], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
