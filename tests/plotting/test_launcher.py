"""tools/plot itself, as a person runs it."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, write_surface

LAUNCHER = ROOT / "tools" / "plot"


def run(*words, launcher=LAUNCHER, **environment):
    clean = {k: v for k, v in os.environ.items()
             if k not in ("VIRTUAL_ENV", "CONDA_PREFIX", "DISPLAY", "LOSSATLAS_TRACEBACK")}
    prefix = str(pathlib.Path(sys.prefix))
    return subprocess.run(
        [str(launcher), *map(str, words)], capture_output=True, text=True,
        env={**clean, "VIRTUAL_ENV": prefix, **environment}, timeout=50,
    )


def test_draws_without_a_display_or_a_word_on_stderr(tmp_path):
    file = write_surface(tmp_path / "a b.h5")
    result = run(file, "--dpi", "40", MPLBACKEND="nonsense")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}/a b_contourf.png\n"


def test_works_through_a_link_from_anywhere(tmp_path):
    link = tmp_path / "plot"
    link.symlink_to(LAUNCHER)
    result = run(tmp_path / "none.h5", launcher=link)
    assert result.returncode == 1
    assert result.stderr == f"plot: {tmp_path}/none.h5 does not exist\n"


def test_the_bytes_do_not_depend_on_the_process_or_matplotlibrc(tmp_path):
    file = write_surface(tmp_path / "s.h5")
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.grid: True\n")
    outs = [tmp_path / "1.svg", tmp_path / "2.svg"]
    for out, seed in zip(outs, "12"):
        rc = str(tmp_path / "matplotlibrc") if seed == "2" else ""
        environment = {"MATPLOTLIBRC": rc} if rc else {}
        assert run(file, "-o", out, PYTHONHASHSEED=seed, **environment).returncode == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_a_surface_is_drawn_in_time(tmp_path, kind):
    """Processor time, from the start of the process to the file: the machine may be busy. The limit is generous."""
    import resource

    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    file = write_surface(tmp_path / "s.h5", nx=51, ny=51)
    start = spent()
    assert run(file, "--kind", kind).returncode == 0
    assert spent() - start < 15


@pytest.fixture
def bare_copy(tmp_path):
    """A copy of the tools where there is no .venv."""
    tools = tmp_path / "copy" / "tools"
    tools.mkdir(parents=True)
    shutil.copy(LAUNCHER, tools / "plot")
    shutil.copytree(ROOT / "python", tools.parent / "python",
                    ignore=shutil.ignore_patterns("__pycache__"))
    return tools / "plot"


def test_a_missing_module_is_named(tmp_path, bare_copy):
    """python3 on the path is one that cannot import h5py."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import runpy, sys; sys.modules[\"h5py\"] = None;"
        " sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0]);"
        " runpy.run_path(sys.argv[0], run_name=\"__main__\")' \"$@\"\n"
    )
    python.chmod(0o755)
    result = run("s.h5", launcher=bare_copy, VIRTUAL_ENV="", PATH=f"{folder}:{os.environ['PATH']}")
    assert result.returncode == 1
    assert result.stderr.startswith("plot: the Python module 'h5py' is missing from ")
    assert result.stderr.endswith(": run tools/setup\n") and result.stderr.count("\n") == 1


def test_no_python_at_all(tmp_path, bare_copy):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "readlink"):
        (folder / tool).symlink_to(shutil.which(tool))
    result = run("s.h5", launcher=bare_copy, VIRTUAL_ENV="", PATH=str(folder))
    assert result.returncode == 1
    assert result.stderr == "plot: no Python found (python3): run tools/setup\n"


@pytest.mark.parametrize("words", [["s.h5", "--dpi", "40"], ["--help"]])
@pytest.mark.parametrize("stream, status, line", [
    (">&-", 1, "plot: standard output cannot be written (Bad file descriptor)\n"),
    (">/dev/full", 1, "plot: standard output cannot be written (No space left on device)\n"),
    ("2>&-", 0, ""), ("2>/dev/full", 0, ""), ("<&-", 0, ""),
])
def test_streams_that_cannot_be_written(tmp_path, words, stream, status, line):
    write_surface(tmp_path / "s.h5")
    result = subprocess.run(["sh", "-c", f'"$0" "$@" {stream}', str(LAUNCHER), *words], capture_output=True, text=True,
                            cwd=tmp_path, env={**os.environ, "VIRTUAL_ENV": sys.prefix}, timeout=50)
    assert (result.returncode, result.stderr) == (status, line)
    assert (tmp_path / "s_contourf.png").exists() == (words[0] == "s.h5")


def test_a_note_that_cannot_be_written_does_not_end_the_drawing(tmp_path):
    file = write_surface(tmp_path / "s.h5")
    result = subprocess.run(["sh", "-c", '"$0" "$@" 2>/dev/full', str(LAUNCHER), file, "--title", "\U00010330"],
                            capture_output=True, text=True, env={**os.environ, "VIRTUAL_ENV": sys.prefix}, timeout=50)
    assert (result.returncode, result.stdout) == (0, f"{tmp_path}/s_contourf.png\n")


def test_an_ascii_locale(tmp_path):
    file = write_surface(tmp_path / "é.h5")
    ascii = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    told = run("--help", **ascii)
    assert told.returncode == 0 and "--levels N|A,B,?" in told.stdout
    drawn = run(file, "--dpi", "40", **ascii)
    assert (drawn.returncode, drawn.stderr) == (0, "") and (tmp_path / "é_contourf.png").exists()


def test_the_packages_of_another_python_are_passed_over(tmp_path):
    for name in ("h5py", "numpy", "matplotlib"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('of another Python')\n")
    result = run(write_surface(tmp_path / "s.h5"), "--dpi", "40", PYTHONPATH=str(tmp_path), PYTHONHOME="/nowhere")
    assert (result.returncode, result.stderr) == (0, "")
