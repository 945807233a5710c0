"""Whether torch is the one that an installed package's program was built against: no other lets it load."""

import re
from importlib import import_module
from pathlib import Path


def check_torch() -> None:
    """Raises ImportError if torch is another. In a source tree, which has no program beside it, checks nothing."""
    try:
        built: str = import_module("lossatlas._built").TORCH  # cmake/Wheel.cmake writes it
    except ModuleNotFoundError:
        return
    from importlib.util import find_spec
    torch = find_spec("torch")  # imports nothing: torch takes seconds
    if torch is None or torch.origin is None:
        raise ImportError(f"lossatlas: requires torch {built}, which is not installed: pip install torch=={built}")
    text = Path(torch.origin).with_name("version.py").read_text(encoding="utf-8")
    version = re.search(r"^__version__ = '([^'+]*)", text, re.MULTILINE)
    if version is None or version[1] != built:
        raise ImportError(f"lossatlas: built against torch {built}, but torch {version and version[1]} is installed: "
                          f"install lossatlas again, or torch=={built}")
