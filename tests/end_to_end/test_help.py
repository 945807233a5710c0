"""--help, and the tables of options in docs/, which say the same."""

import os
import re
import subprocess
import sys

import helpers
import pytest

COMMANDS = ["train", "surface", "line", "trajectory", "layers", "curve", "descend", "export", "convert", "info"]


def test_the_pages_of_commands_have_the_options_of_help():
    done = subprocess.run([sys.executable, helpers.ROOT / "tools/options"], capture_output=True, text=True,
                          env={**os.environ, "LOSSATLAS_BINARY": str(helpers.BINARY)})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_each_option_in_lines_of_a_terminal_without_types_of_a_parser(lossatlas, command):
    text = lossatlas(command, "--help").ok().out
    assert max(map(len, text.splitlines())) <= 110
    assert not re.search(r"\b(INT|UINT|FLOAT|TEXT|REQUIRED)\b| in \[", text)
