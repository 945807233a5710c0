"""The notebooks of docs/notebooks, run as a reader runs them."""

import base64
import json
import os
import shutil

import helpers
import pytest

FOLDER = helpers.ROOT / "docs" / "notebooks"


@pytest.mark.parametrize("name", ["own-network.ipynb", "reading-a-picture.ipynb"])
def test_notebook_is_stored_without_outputs(name):
    cells = json.loads((FOLDER / name).read_text())["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert codes and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in codes)


# What the texts of reading-a-picture.ipynb say of the pictures, asked of their values.
CLAIMS = """
import numpy as np

losses = {name: each.values() for name, each in dict(usual=usual, pink=pink, flat=flat, beside=beside, small=small,
                                                     start=start).items()}
centre = {name: values[15, 15] for name, values in losses.items()}
assert np.nanmin(losses["usual"]) == centre["usual"] < 0.01 and losses["usual"].max() > math.log(3)
assert 0.3 < np.isnan(losses["pink"]).mean() < 0.8 and np.isfinite(centre["pink"])
assert np.ptp(losses["flat"]) < 1e-6
assert losses["beside"].min() < 0.95 * centre["beside"]
assert np.ptp(losses["small"]) < 0.01 * math.log(3)
assert abs(centre["start"] - math.log(3)) < 0.1 and np.ptp(losses["start"]) < 0.3
"""


def run(name, binary, tmp_path, monkeypatch, claims=""):
    """(its code cells after a run, the folder it ran in). `claims`: code that runs as a last cell."""
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} is not installed: tools/setup --all-tests installs it")
    import nbclient
    import nbformat

    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    shutil.copy(FOLDER / name, folder)
    (tmp_path / "python").symlink_to(helpers.ROOT / "python")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lossatlas").symlink_to(binary)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("LOSSATLAS_BINARY", raising=False)
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))

    notebook = nbformat.read(folder / name, as_version=4)
    nbformat.validate(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(claims))
    client = nbclient.NotebookClient(notebook, timeout=helpers.TIMEOUT, kernel_name="python3",
                                     resources={"metadata": {"path": str(folder)}})
    client.execute()  # raises if a cell fails
    return [cell for cell in notebook.cells[:-1] if cell["cell_type"] == "code"], folder


@pytest.mark.full
def test_notebook_draws_its_network(binary, tmp_path, monkeypatch):
    cells, folder = run("own-network.ipynb", binary, tmp_path, monkeypatch)
    picture = base64.b64decode(cells[-1].outputs[0].data["image/png"])
    assert picture.startswith(b"\x89PNG") and picture == (folder / "spirals.png").read_bytes()
    assert helpers.read(folder / "spirals.h5")["train_loss"].shape == (41, 41)


@pytest.mark.full
def test_notebook_on_reading_a_picture_shows_what_it_says(binary, tmp_path, monkeypatch):
    cells, _ = run("reading-a-picture.ipynb", binary, tmp_path, monkeypatch, CLAIMS)
    shown = {cell["id"]: [output for output in cell.outputs if output.get("data", {}).get("image/png")] for cell in cells}
    assert [name for name, outputs in shown.items() if len(outputs) == 1] == [
        "usual", "pink", "flat", "beside", "small", "untrained"]
