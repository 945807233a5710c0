"""The wheel as a user has it: built, made to run elsewhere, installed into a new virtual environment, run."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
EXTERNAL = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1"}  # torch's


def run(*words, **more):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, env={**environment, **more}, timeout=2000)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def new_environment(folder):
    """A virtual environment that sees this one's packages. Returns its bin and site-packages."""
    run(sys.executable, "-m", "venv", folder)
    site = folder / "lib" / PYTHON / "site-packages"
    (site / "outer.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("-packages")))
    return folder / "bin", site


def check_use(bin, folder, version):
    """The program, its plotter and the package, as the environment has them."""
    assert run(bin / "lossatlas", "--version") == f"{version}\n"
    descend = ["descend", "--function", "ravine", "--optimizer", "gd:0.05", "--steps", "5"]
    run(bin / "lossatlas", *descend, "--out", folder / "r.h5", "--force")
    assert "gd" in run(bin / "lossatlas", "info", folder / "r.h5")
    run(bin / "lossatlas", "plot", folder / "r.h5", "-o", folder / "r.png")
    assert (folder / "r.png").read_bytes().startswith(b"\x89PNG")
    use = "import lossatlas as l, sys; print(l.__file__, 'torch' in sys.modules, l.export_problem.__name__)"
    file, imported, name = run(bin / "python", "-c", use).split()
    assert (imported, name) == ("False", "export_problem")
    return pathlib.Path(file).parent


def check_libraries(program, torch):
    """One OpenMP, torch's; the small libraries are those of the wheel; what else there is every Linux has."""
    loaded = dict(re.findall(r"^\s*(\S+) => (\S+) ", run("ldd", program), re.MULTILINE))
    assert {pathlib.Path(loaded[name]).resolve().parent for name in EXTERNAL} == {torch / "lib"}
    own = {name for name, path in loaded.items() if "/lossatlas.libs/" in path}
    for library in ("hdf5", "zip", "fmt", "jpeg", "png16", "crypto"):
        assert any(name.startswith(f"lib{library}") for name in own), library
    assert not {name for name in loaded if "gomp" in name} - EXTERNAL


@pytest.mark.full
def test_wheel_runs_in_a_new_environment(tmp_path):
    for module in ("scikit_build_core", "auditwheel"):
        pytest.importorskip(module, reason=f"{module} is not installed: tools/setup --all-tests installs it")
    run(ROOT / "tools" / "wheel", tmp_path, PYTHON=sys.executable)
    wheel, = tmp_path.glob("*.whl")
    version = re.search(r"project\(Lossatlas VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert re.fullmatch(rf"lossatlas-{version}-py3-none-(manylinux\w+\.?)+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"lossatlas-{version}.dist-info/METADATA").decode()
        assert not [name for name in archive.namelist() if re.search("libtorch|libc10|libgomp|cuda", name)]
    folder = pathlib.Path(importlib.util.find_spec("torch").origin).parent
    built = re.search("__version__ = '([^'+]*)", (folder / "version.py").read_text())[1]
    assert f"\nRequires-Dist: torch=={built}\n" in metadata

    bin, site = new_environment(tmp_path / "elsewhere")
    run(bin / "python", "-m", "pip", "install", "--no-index", "--no-cache-dir", wheel)  # finds all requirements there
    described = run(bin / "lossatlas", "--version").strip()
    assert described.split()[0] == version
    assert check_use(bin, tmp_path, described) == site / "lossatlas"
    (site / "torch").symlink_to(folder)  # beside the package, as pip has it
    assert check_use(bin, tmp_path, described) == site / "lossatlas"
    check_libraries(site / "lossatlas" / "bin" / "lossatlas", folder.resolve())

    bin, site = new_environment(tmp_path / "editable")
    run(bin / "python", "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", "-e", ROOT)
    assert check_use(bin, tmp_path, described) == ROOT / "python" / "lossatlas"
