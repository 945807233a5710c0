"""The notebook of docs/notebooks, run as a reader runs it."""

import base64
import json
import os
import shutil

import helpers
import pytest

NOTEBOOK = helpers.ROOT / "docs" / "notebooks" / "own-network.ipynb"


def test_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert codes and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in codes)


@pytest.mark.full
def test_notebook_draws_its_network(binary, tmp_path, monkeypatch):
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} is not installed: tools/setup --all-tests installs it")
    import nbclient
    import nbformat

    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    shutil.copy(NOTEBOOK, folder)
    (tmp_path / "python").symlink_to(helpers.ROOT / "python")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lossatlas").symlink_to(binary)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))

    notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=helpers.TIMEOUT, kernel_name="python3",
                                     resources={"metadata": {"path": str(folder)}})
    client.execute()  # raises if a cell fails
    picture = base64.b64decode(notebook.cells[-1].outputs[0].data["image/png"])
    assert picture.startswith(b"\x89PNG") and picture == (folder / "spirals.png").read_bytes()
    assert helpers.read(folder / "spirals.h5")["train_loss"].shape == (41, 41)
