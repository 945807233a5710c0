"""Which torch a wheel is built against, and then requires: that of the environment, or else the pinned one.

scikit-build-core asks this module for requirements (pyproject.toml); as a program it prints torch's folder and version
for FindLossatlasTorch.cmake. Both ask `found`, so that the wheel requires what it was built against.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIND = "import sys; del sys.path[0]; from importlib.util import find_spec; print(find_spec('torch').origin)"


def stated(path: pathlib.Path, pattern: str) -> str:
    """The group of `pattern` in the file."""
    return re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)[1]


def version_of(folder: str) -> str:
    """The public version of site-packages/torch: 2.11.0 of 2.11.0+cu130."""
    return stated(pathlib.Path(folder, "version.py"), r"^__version__ = '([^'+]*)")


def is_new_enough(folder: str) -> bool:
    oldest = stated(ROOT / "CMakeLists.txt", r"find_package\(LossatlasTorch (\S+)")
    version, oldest = ([int(part) for part in each.split(".")[:2]] for each in (version_of(folder), oldest))
    return version >= oldest


def found() -> str:
    """The folder of a torch that is new enough, or "". The environment's own comes first: pip's build isolation hides
    it by PYTHONPATH, which leads to what pip installed for this build."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONNOUSERSITE")}
    for environment in (own, dict(os.environ)):
        run = subprocess.run([sys.executable, "-c", FIND], env=environment, capture_output=True, text=True)
        folder = os.path.dirname(run.stdout.strip())
        if folder and is_new_enough(folder):
            return folder
    return ""


def pinned() -> str:
    """torch==VERSION, as tools/requirements.txt has it."""
    return stated(ROOT / "tools" / "requirements.txt", r"^(torch==\S+)")


def get_requires_for_dynamic_metadata(settings: Mapping[str, Any]) -> list[str]:
    """What the build needs beyond the environment."""
    return [] if found() else [pinned()]


def dynamic_metadata(settings: Mapping[str, Any], project: Mapping[str, Any]) -> dict[str, Any]:
    """What the wheel requires beyond pyproject.toml's dependencies."""
    folder = found()
    return {"dependencies": [f"torch=={version_of(folder)}" if folder else pinned()]}


def dynamic_wheel(settings: Mapping[str, Any]) -> dict[str, bool]:
    """Another environment, another wheel."""
    return {"dependencies": True}


if __name__ == "__main__":
    torch = found()
    if torch:
        print(torch, version_of(torch), sep="\n", end="")
