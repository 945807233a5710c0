"""`lossatlas info`: in words, and as JSON."""

import json

import pytest


@pytest.fixture
def described(lossatlas):
    """described(file) is what --json says; the same facts stand in the words."""

    def describe(file):
        found = json.loads(lossatlas("info", "--json", file).ok().out)
        words = lossatlas("info", file).ok()
        assert words.err == ""
        first = words.out.splitlines()[0].split()
        assert first == ["kind", found["kind"]]
        assert str(file) in words.out
        for key in found:
            assert key in words.out
        return found

    return describe


def test_checkpoint(described, checkpoint):
    found = described(checkpoint)
    assert found["kind"] == "checkpoint"
    expected = {"arch": "resnet20", "width": 4, "classes": 10, "epoch": 3}
    assert expected.items() <= found["metadata"].items()
    tensors = {tensor["name"]: tensor for tensor in found["tensors"]}
    assert tensors["conv1.weight"] == {"name": "conv1.weight", "shape": [4, 3, 3, 3], "type": "Float"}
    assert tensors["linear.bias"]["shape"] == [10]


def test_surface(described, surface, directions):
    found = described(surface)
    assert (found["kind"], found["split"], found["grid"]) == ("surface", "train", [5, 4])
    assert (found["points"], found["evaluated"], found["not_finite"]) == (20, 20, 0)
    assert (found["x"], found["y"]) == ([-0.4, 0.8], [-0.6, 0.3])
    assert 0 < found["loss"][0] < found["loss"][1]
    assert found["dir_file"] == str(directions)
    assert found["settings"]["normalization"] == "filter"
    assert found["provenance"]["command"].split()[1] == "surface"


def test_history(described, run):
    found = described(run / "history.h5")
    assert found["kind"] == "history"
    assert [row["epoch"] for row in found["epochs"]] == [0, 1, 2, 3]
    assert found["epochs"][0]["train_loss"] is None and found["epochs"][3]["train_loss"] > 0
    assert found["settings"]["optimizer"] == "sgd"


def test_directions(described, surface, directions):
    found = described(directions)
    assert found["kind"] == "directions"
    assert found["tensors"] == {"xdirection": 65, "ydirection": 65}


def test_architectures(lossatlas):
    listed = {entry["name"]: entry for entry in json.loads(lossatlas("info", "--archs", "--json").ok().out)}
    assert listed["resnet18"]["parameters"] == 11689512
    assert listed["resnet18"]["classes"] == 1000
    families = ["resnet34", "resnet50", "vgg9", "vgg11", "vgg13", "vgg16", "vgg19", "densenet121", "lenet", "mlp"]
    families += [f"resnet{depth}-cifar{twin}" for depth in (18, 34, 50, 101, 152) for twin in ("", "-noshort")]
    families += [f"resnet{depth}{twin}" for depth in (20, 32, 44, 56, 110) for twin in ("", "-noshort", "-a")]
    families += [f"wrn56-{factor}{twin}" for factor in (2, 4, 8) for twin in ("", "-noshort")]
    assert set(families) <= listed.keys()
    words = lossatlas("info", "--archs").ok().out.splitlines()
    assert len(words) == len(listed)
    assert next(line for line in words if line.startswith("resnet18 ")).split()[1] == "11689512"


def test_help_and_version(lossatlas):
    for words in (["--help"], ["train", "--help"], ["surface", "--help"], ["info", "--help"], ["--version"]):
        done = lossatlas(*words).ok()
        assert done.out and not done.err
