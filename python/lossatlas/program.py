"""Runs the program `lossatlas`: finds it, shows its progress, passes interrupts on, raises its errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .error import Error
from .options import in_python
from .progress import Bar

INTERRUPTED = 130
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def program() -> str:
    """The path of the program: LOSSATLAS_BINARY, or `lossatlas` on the PATH or of this Python's environment, or that of
    the source tree. Raises Error without one."""
    if named := os.environ.get("LOSSATLAS_BINARY"):
        if shutil.which(named) is None:
            raise Error(f"LOSSATLAS_BINARY names {named}, which is no program: name lossatlas, or unset it")
        return named
    built = os.path.join(SOURCE, "build", "release", "lossatlas")
    places = ("lossatlas", os.path.join(sysconfig.get_path("scripts"), "lossatlas"), built)
    for place in places:
        if found := shutil.which(place):
            return found
    raise Error("the program lossatlas was not found: install it with `pip install .` in its source tree, or build it"
                " there with tools/build; if it is elsewhere, set LOSSATLAS_BINARY to its path")


def ask(words: Sequence[str]) -> str:
    """What the program prints for these words, at once. Raises Error if it fails."""
    done = _start(subprocess.run, words, capture_output=True)
    if done.returncode != 0:
        raise Error(_last_line(_text(done.stderr).splitlines(), done.returncode))
    return _text(done.stdout)


class Interrupt(Exception):
    """The program was interrupted, and has saved `files`, as far as it says so."""

    def __init__(self, files: list[str]) -> None:
        super().__init__(files)
        self.files = files


def run(words: Sequence[str], progress: bool) -> list[str]:
    """Runs the program to its end; the files that it wrote. Its warnings are warnings of Python. With `progress` its state
    is drawn (tqdm) and its notes are printed. Ctrl-C is passed on to it as SIGINT. Raises Interrupt once it has then saved,
    Error if it failed."""
    messages: list[str] = []
    # A session of its own: Ctrl-C in a terminal reaches Python alone, and the program by us, once.
    process = _start(subprocess.Popen, [*words, "--progress=json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     start_new_session=True)
    with process, Bar(words[0], progress) as bar:
        was_interrupted, files = False, list[str]()
        lines = iter(process.stderr)
        while True:
            try:
                line = next(lines, None)
                if line is None:
                    files = _text(process.stdout.read()).splitlines()
                    process.wait()
                    break
                _take(_text(line).rstrip("\n"), messages, bar)
            except KeyboardInterrupt:
                # A second Ctrl-C ends the program at once; what it had saved stays.
                process.send_signal(signal.SIGKILL if was_interrupted else signal.SIGINT)
                was_interrupted = True
            except BaseException:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
    if process.returncode == INTERRUPTED or (was_interrupted and process.returncode != 0):
        raise Interrupt(files)
    if process.returncode != 0:
        raise Error(_last_line(messages, process.returncode))
    for message in messages:
        if message.startswith("warning: "):
            warnings.warn(in_python(message.removeprefix("warning: ")), stacklevel=4)
    return files


def _take(line: str, messages: list[str], bar: Bar) -> None:
    state = _json(line)
    if state is not None:
        bar.show(state)
        return
    messages.append(line)
    if not line.startswith(("lossatlas: ", "warning: ", "interrupted; ")):  # which are raised, or warned of
        bar.write(in_python(line))


def _json(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        state = json.loads(line)
    except ValueError:
        return None
    return state if isinstance(state, dict) else None


def _last_line(messages: Sequence[str], status: int) -> str:
    """The program's own line about its failure."""
    own = [line for line in messages if line.startswith("lossatlas: ")]
    if own:
        return in_python(own[-1])
    if status < 0:
        return f"lossatlas was ended by {signal.Signals(-status).name}; what it had finished is saved"
    return in_python(messages[-1]) if messages else f"lossatlas failed with exit status {status} and no message"


def _start(how: Callable[..., Any], words: Sequence[str], **more: Any) -> Any:
    """Starts the program by a function of subprocess. Raises Error if it cannot be run."""
    binary = program()
    try:
        return how([binary, *words], stdin=subprocess.DEVNULL, **more)
    except OSError as error:
        raise Error(f"{binary} cannot be run ({error.strerror}): build it again, or set LOSSATLAS_BINARY to the path of"
                    " another") from error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
