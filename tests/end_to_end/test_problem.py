"""Problem files, as the package of Python writes them: `lossatlas info` runs their networks and compares the losses."""

import pathlib
import sys

import helpers  # noqa: F401: finds the program
import pytest
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "python"), str(ROOT / "tests" / "python")]

from lossatlas import export_problem  # noqa: E402
from networks import CASES  # noqa: E402


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    file = tmp_path_factory.mktemp("problem") / "p.lossatlas"
    torch.manual_seed(3)
    export_problem(*CASES["mlp"](), file, quiet=True)
    return file


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_pytorch(lossatlas, tmp_path, name):
    torch.manual_seed(3)
    file = tmp_path / "p.lossatlas"
    manifest = export_problem(*CASES[name](), file, quiet=True)
    done = lossatlas("info", file).ok()
    assert "have PyTorch's losses" in done.out
    words = dict(line.split(None, 1) for line in done.out.splitlines() if line and line[0] != " " and " " in line)
    assert words["kind"] == "problem" and words["model"] == manifest["model"]
    numbers = [torch.Size(entry["shape"]).numel() for entry in manifest["parameters"]]
    assert int(words["parameters"]) == sum(numbers)
    assert int(words["samples"]) == manifest["data"]["samples"]


def changed(problem, tmp_path, before, after):
    """A copy with other bytes in the place of the last `before`, as many."""
    content = problem.read_bytes()
    at = content.rindex(before)
    assert len(before) == len(after)
    (tmp_path / "changed.lossatlas").write_bytes(content[:at] + after + content[at + len(before):])
    return tmp_path / "changed.lossatlas"


def test_damaged_files_are_refused_in_one_line(lossatlas, problem, tmp_path):
    for before, after, said in [
            (b'"version": 1', b'"version": 7', "version 7"),
            (b'"lossatlas-problem"', b'"lossatlas-problum"', "is not a problem file"),
            (b'"outputs": [\n  "loss"', b'"outputs": [\n  "lose"', "does not give a loss"),
            (b'torch.ops.aten.linear', b'torch.ops.aten.system', "may not call this operator")]:
        done = lossatlas("info", changed(problem, tmp_path, before, after))
        assert done.status == 1 and said in done.line(), done.err
    (tmp_path / "half.lossatlas").write_bytes(problem.read_bytes()[:2000])
    assert lossatlas("info", tmp_path / "half.lossatlas").status == 1


def test_other_weights_than_those_of_the_reference_are_noticed(lossatlas, problem, tmp_path):
    import zipfile
    with zipfile.ZipFile(problem) as archive:
        weights = archive.read("parameters/0000")
    file = changed(problem, tmp_path, weights, b"\0" * len(weights))
    done = lossatlas("info", file)
    assert done.status == 1 and "loss of sample 0 is" in done.line() and "where it was exported" in done.line()
