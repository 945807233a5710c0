"""--watch: a figure drawn anew while a sweep runs. The sweep is played by what happens while it sleeps."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, write_history, write_line, write_repeats, write_surface
from test_partial import write_partial


def replace(path, write=write_surface, *words, **more):
    """Writes `path` as the program does: beside it, then renamed."""
    write(f"{path}.tmp", *words, **more)
    os.replace(f"{path}.tmp", path)


@pytest.fixture
def watch(plot, tmp_path, monkeypatch):
    """watch(steps, words...) runs with one of `steps` done at each sleep; then Ctrl-C is pressed."""
    from lossatlas.plotting import watching

    def run(steps, *words):
        left = list(steps)

        def sleep(seconds):
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(watching.time, "sleep", sleep)
        words = words or ("-o", tmp_path / "s.png")
        result = plot(tmp_path / "s.h5", "--watch", "0.1", "--dpi", "40", *words)
        assert not left
        return result

    return run


def test_draws_at_every_change_and_ends_when_complete(watch, tmp_path):
    path, out = tmp_path / "s.h5", tmp_path / "s.png"
    sizes = []

    def nothing():
        sizes.append(out.stat().st_mtime_ns)

    result = watch([
        lambda: replace(path, write_surface, np.full((21, 21), np.nan), 21, 21, evaluated=np.zeros((21, 21))),
        lambda: replace(path, write_partial, 8),
        nothing, nothing,  # no change, no redraw
        lambda: os.unlink(path),
        lambda: None,
        lambda: replace(path, write_partial, 2),
        lambda: path.write_bytes(path.read_bytes()[:2000]),  # being copied
        lambda: replace(path, write_partial, 1),
    ])
    assert result.status == 0
    assert result.out.splitlines() == [
        f"{n} of 441 points: {out}" for n in (9, 121, 441)
    ]
    assert result.err.splitlines() == [
        f"plot: waiting for {path}",
        f"plot: waiting: {path} holds no evaluated point of train_loss: nothing to draw",
        f"plot: waiting for {path}",
        f"plot: waiting: {path} is cut short: part of the HDF5 file is missing",
    ]
    assert sizes[0] == sizes[1]
    assert sorted(os.listdir(tmp_path)) == ["s.h5", "s.png"]


def test_a_complete_surface_is_drawn_once(watch, tmp_path):
    write_surface(tmp_path / "s.h5")
    result = watch([], "-o", tmp_path / "a.png", "-o", tmp_path / "b.svg")
    assert (result.status, result.err) == (0, "")
    assert result.out == f"81 of 81 points: {tmp_path}/a.png, {tmp_path}/b.svg\n"


def test_all_draws_must_be_complete(watch, tmp_path):
    mask = np.ones((2, 9, 9))
    mask[1, 1::2] = 0
    write_repeats(tmp_path / "s.h5", 2, 9, mask)
    result = watch([lambda: replace(tmp_path / "s.h5", write_repeats, 2)], "--draw", "1")
    assert [line.split(":")[0] for line in result.out.splitlines()] == ["126 of 162 points", "162 of 162 points"]


def test_a_kind_that_needs_more_points_waits_for_them(watch, tmp_path):
    mask = np.zeros((21, 21))
    mask[10, 10] = 1
    write_surface(tmp_path / "s.h5", nx=21, ny=21, evaluated=mask)
    result = watch([lambda: replace(tmp_path / "s.h5", write_partial, 1)], "--kind", "surface")
    assert result.status == 0 and "waiting: " in result.line()


@pytest.mark.parametrize("write, words, line", [
    (lambda path: write_surface(path, np.full((9, 9), np.inf)), [], "holds no finite value"),
    (write_surface, ["--field", "none"], "no value 'none'"),
    (write_surface, ["--kind", "line"], "a plane, not a line"),
    (write_surface, ["-o", "/dev/null/x.png"], "cannot write /dev/null/x.png"),
])
def test_what_waiting_does_not_mend_ends_it(watch, tmp_path, write, words, line):
    write(tmp_path / "s.h5")
    result = watch([], *words) if words else watch([], "--log")
    assert result.status == 1 and line in result.line()


def test_notes_on_options_are_said_once(watch, tmp_path):
    write_partial(tmp_path / "s.h5", 4)
    result = watch([lambda: replace(tmp_path / "s.h5", write_partial, 1)], "--elev", "3")
    assert result.line() == "plot: note: --elev has no effect on --kind contourf"


def test_lines_and_histories(watch, tmp_path):
    write_line(tmp_path / "s.h5")
    assert watch([]).out.startswith("21 of 21 points: ")
    write_history(tmp_path / "s.h5", 5, {"epochs": 6})
    result = watch([lambda: replace(tmp_path / "s.h5", write_history, 6, {"epochs": 6})])
    assert [line.split(":")[0] for line in result.out.splitlines()] == ["5 of 6 epochs", "6 of 6 epochs"]


def test_interrupted_with_130_whatever_stands_after_the_option(tmp_path):
    process = subprocess.Popen(
        [sys.executable, ROOT / "python" / "lossatlas" / "plotting", "--watch", tmp_path / "none.h5"],
        stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr.readline() == f"plot: waiting for {tmp_path}/none.h5\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (None, "")
    assert process.returncode == 130
