"""Where a checkpoint is expected, a run folder stands for its last epoch."""

import hashlib
import json
import shutil

import pytest

import helpers


@pytest.fixture
def runs(mlp_run, tmp_path):
    """Two run folders, a and b, whose last epochs are 10 and 1: by their numbers, not by their letters."""
    for name, epochs in (("a", {9: 0, 10: 2}), ("b", {0: 0, 1: 1})):
        folder = tmp_path / name / "checkpoints"
        folder.mkdir(parents=True)
        for epoch, source in epochs.items():
            shutil.copy(mlp_run / "checkpoints" / f"epoch-{source:04}.pt", folder / f"epoch-{epoch}.pt")
    return tmp_path


A, B = "a/checkpoints/epoch-10.pt", "b/checkpoints/epoch-1.pt"


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def notes(done):
    return [line for line in done.err.splitlines() if "run folder" in line]


def note(name, file):
    return f"note: {name}: a run folder; its last epoch is taken, {file}"


@pytest.mark.parametrize("words, key, named", [
    (["surface", "--checkpoint", "a"], "checkpoint", {"a": A}),
    (["line", "--checkpoint", "a", "--to", "b/", "--points", 3], "points", {"a": A, "b/": B}),
    (["surface", "--plane", "points:a,b,b/checkpoints/epoch-0.pt"], "points", {"a": A, "b": B}),
    (["surface", "--checkpoint", "b", "--plane", "points:a,b/checkpoints/epoch-0.pt"], "checkpoint", {"b": B, "a": A}),
])
def test_the_last_epoch_is_taken(lossatlas, runs, pictures, words, key, named):
    grid = ["--grid", "2x2"] if words[0] == "surface" else []
    done = lossatlas(*words, *grid, "--data", pictures.words, "--samples", 10, "--out", "out.h5", "--log", "log", cwd=runs).ok()
    assert notes(done) == [note(name, file) for name, file in named.items()]
    assert all(line in (runs / "log").read_text() for line in notes(done))
    settings = helpers.settings(runs / "out.h5")
    used = settings[key] if key == "points" else [settings[key]]
    files = list(named.values())[: len(used)]
    assert [entry["sha256"] for entry in used[: len(files)]] == [digest(runs / file) for file in files]


def test_both_ends_of_a_path(lossatlas, runs, pictures):
    done = lossatlas("curve", "--from", "b", "--to", "a", "--data", pictures.words, "--epochs", 1, "--points", 2, "--samples",
                     10, "--out", "p.h5", cwd=runs).ok()
    assert notes(done) == [note("b", B), note("a", A)]
    settings = helpers.settings(runs / "p.h5")
    assert (settings["from"]["sha256"], settings["to"]["sha256"]) == (digest(runs / B), digest(runs / A))


def test_info(lossatlas, runs):
    done = lossatlas("info", "--json", "a", cwd=runs).ok()
    assert done.line() == note("a", A)
    assert json.loads(done.out) == json.loads(lossatlas("info", "--json", A, cwd=runs).ok().out)


@pytest.mark.parametrize("words", [["surface", "--checkpoint"], ["line", "--checkpoint", A, "--to"],
                                   ["surface", "--plane", f"points:{A},{B},"], ["curve", "--from", A, "--to"], ["info"]])
@pytest.mark.parametrize("make", [lambda run: None, lambda run: (run / "checkpoints").mkdir()], ids=["empty", "without epochs"])
def test_a_folder_that_is_no_run(lossatlas, runs, pictures, words, make):
    (runs / "none").mkdir()
    make(runs / "none")
    before = helpers.tree(runs)
    words = [*words[:-1], words[-1] + "none"] if words[-1].endswith(",") else [*words, "none"]
    data = [] if words[0] == "info" else ["--data", pictures.words, "--out", "out.h5"]
    done = lossatlas(*words, *data, cwd=runs)
    assert done.status == 1
    assert done.line() == ("lossatlas: none: a folder, but not a run folder: it holds no checkpoints/epoch-NNNN.pt or step-NNNNNN.pt; name a"
                           " checkpoint, or the --out folder of `lossatlas train`")
    assert helpers.tree(runs) == before


def test_one_checkpoint_named_twice(lossatlas, runs, pictures):
    done = lossatlas("surface", "--plane", f"points:a,{A},b", "--data", pictures.words, cwd=runs)
    assert done.status == 2 and "is named twice" in done.line()
