"""What `pip install .` requires, and the launcher that it installs. test_wheel.py builds and installs a wheel."""

import json
import os
import subprocess
import sys
import tomllib
import venv

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins():
    for name in ("requirements.txt", "requirements-all-tests.txt"):
        for line in (ROOT / "tools" / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                pin = Requirement(line.partition("#")[0])
                yield pin.name, str(pin.specifier).removeprefix("==")


def test_every_pin_lies_in_the_range_of_the_package():
    pinned = dict(pins())
    required = [Requirement(each) for each in PROJECT["dependencies"]]
    optional = [Requirement(each) for extra in PROJECT.get("optional-dependencies", {}).values() for each in extra]
    assert {each.name for each in required} <= set(pinned)
    for each in [*required, *optional]:
        assert each.name not in pinned or pinned[each.name] in each.specifier, each


@pytest.fixture
def environment(tmp_path):
    """An empty virtual environment. environment.torch(version) puts a torch there that has nothing but its version."""
    venv.create(tmp_path / "a b", symlinks=True)

    class Environment:
        bin = tmp_path / "a b" / "bin"
        site = tmp_path / "a b" / "lib" / PYTHON / "site-packages"

        def torch(self, version, site=site):
            (site / "torch").mkdir(parents=True)
            (site / "torch" / "__init__.py").write_text("raise SystemExit('torch is imported')\n")
            (site / "torch" / "version.py").write_text(f"__all__ = []\n__version__ = '{version}'\ncuda = '13.0'\n")
            return site

        def run(self, *words, **more):
            clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
            done = subprocess.run([*map(str, words)], capture_output=True, text=True, env={**clean, **more}, timeout=50)
            return done.returncode, done.stdout, done.stderr

    return Environment()


ASK = """import json, sys; sys.path.insert(0, sys.argv[1]); import wheel_torch as w
print(json.dumps([w.found(), w.get_requires_for_dynamic_metadata({}), w.dynamic_metadata({}, {})["dependencies"]]))"""


@pytest.mark.parametrize("own, required", [(None, None), ("2.10.1+cpu", None), ("2.12.1+cu130", "torch==2.12.1"),
                                           ("2.13.0.dev20261101+cpu", "torch==2.13.0.dev20261101")])
def test_which_torch_a_wheel_is_built_against(environment, tmp_path, own, required):
    """The environment's own if it is new enough, or else the pinned one, which the build then brings on PYTHONPATH."""
    pin = f"torch=={dict(pins())['torch']}"
    if own:
        environment.torch(own)
    ask = [environment.bin / "python", "-c", ASK, ROOT / "cmake"]
    found, build, wheel = json.loads(environment.run(*ask)[1])
    assert (build, wheel) == (([], [required]) if required else ([pin], [pin]))
    assert found == (str(environment.site / "torch") if required else "")
    overlay = environment.torch(dict(pins())["torch"] + "+cpu", tmp_path / "overlay")
    within_the_build = json.loads(environment.run(*ask, PYTHONPATH=str(overlay), PYTHONNOUSERSITE="1")[1])
    assert within_the_build == [found if required else str(overlay / "torch"), [], wheel]


@pytest.fixture
def launcher(environment):
    """The launcher of a wheel built against torch 2.11.0, with a program that prints its arguments."""
    text = (ROOT / "cmake" / "launcher.sh.in").read_text(encoding="utf-8")
    program = environment.site / "lossatlas" / "bin" / "lossatlas"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s|" "$LD_LIBRARY_PATH" "$@"\nexit 3\n')
    (environment.bin / "lossatlas").write_text(text.replace("@LossatlasTorch_PACKAGE_VERSION@", "2.11.0"))
    for path in (program, environment.bin / "lossatlas"):
        path.chmod(0o755)
    return environment.bin / "lossatlas"


@pytest.mark.parametrize("version", ["2.11.0", "2.11.0+cu130"])
def test_launcher_starts_the_program(environment, launcher, tmp_path, version):
    environment.torch(version)
    link = tmp_path / "link"
    link.symlink_to(launcher)
    for path in (launcher, link):
        assert environment.run(path, "surface", "", "a  b") == (3, "|surface||a  b|", "")


def test_launcher_finds_a_torch_elsewhere(environment, launcher, tmp_path):
    elsewhere = environment.torch("2.11.0+cpu", tmp_path / "else where")
    (environment.site / "else.pth").write_text(f"{elsewhere}\n")
    assert environment.run(launcher, "info") == (3, f"{elsewhere}/torch/lib|info|", "")
    assert environment.run(launcher, "info", LD_LIBRARY_PATH="/x")[1] == f"{elsewhere}/torch/lib:/x|info|"


def built_package(environment):
    """Lossatlas as an installed package has it: with what it was built against."""
    (environment.site / "lossatlas").mkdir(exist_ok=True)
    for path in (ROOT / "python" / "lossatlas").iterdir():
        (environment.site / "lossatlas" / path.name).symlink_to(path)
    (environment.site / "lossatlas" / "_built.py").write_text('TORCH = "2.11.0"\n')


@pytest.mark.parametrize("version, line", [
    ("2.11.1+cu130", "lossatlas: built against torch 2.11.0, but torch 2.11.1 is installed: install lossatlas again, "
                     "or torch==2.11.0"),
    (None, "lossatlas: requires torch 2.11.0, which is not installed: pip install torch==2.11.0"),
])
def test_another_torch_is_refused_in_one_line(environment, launcher, version, line):
    built_package(environment)
    if version:
        environment.torch(version)
    for words in (["info"], ["plot", "s.h5"]):
        assert environment.run(launcher, *words) == (1, "", f"{line}\n")
    status, out, err = environment.run(environment.bin / "python", "-c", "import lossatlas")
    assert (status, out) == (1, "") and err.splitlines()[-1] == f"ImportError: {line}"


def test_import_accepts_its_torch_and_does_not_import_it(environment):
    built_package(environment)
    environment.torch("2.11.0+cu130")
    assert environment.run(environment.bin / "python", "-c", "import lossatlas") == (0, "", "")


def test_a_missing_program_is_named(environment, launcher):
    environment.torch("2.11.0")
    (environment.site / "lossatlas" / "bin" / "lossatlas").unlink()
    assert environment.run(launcher, "info") == (
        1, "", "lossatlas: the program is missing (lossatlas/bin/lossatlas in the site-packages of "
               f"{environment.bin}): install lossatlas again\n")


def test_plot_runs_the_package_of_the_environment(environment, launcher):
    built_package(environment)
    environment.torch("2.11.0")
    status, out, err = environment.run(launcher, "plot", "s.h5")
    assert (status, out) == (1, "")
    line = f"' is missing from {environment.bin / PYTHON}: install lossatlas again\n"
    assert err.startswith("plot: the Python module '") and err.endswith(line)
