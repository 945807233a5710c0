"""`lossatlas info`: in words, and as JSON."""

import json

import helpers
import pytest
import torch


@pytest.fixture
def described(lossatlas):
    """described(file) is what --json says; the same facts stand in the words."""

    def describe(file):
        found = json.loads(lossatlas("info", "--json", file).ok().out)
        words = lossatlas("info", "--all", file).ok()
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


def entries(text):
    """The first word of each line that is not indented, and what follows it."""
    lines = (line.split(None, 1) for line in text.splitlines() if not line.startswith(" "))
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


def test_a_checkpoint_in_short(lossatlas, checkpoint):
    words = lossatlas("info", checkpoint).ok().out
    state = helpers.load(checkpoint)["state_dict"]
    learnt = [name for name in state if "running" not in name and "num_batches" not in name]
    found = entries(words)
    assert found["parameters"] == str(sum(state[name].numel() for name in learnt))
    assert found["optimizer"] == "sgd" and "--all" in found["more"]
    assert found["tensors"] == f"{len(state)}, from conv1.weight [4,3,3,3] to {list(state)[-1]} []"
    assert "\n  arch                 resnet20\n" in words and "\n  epoch                3\n" in words
    assert len(words.splitlines()) < 25


@pytest.mark.parametrize("metadata", [{"arch": "efficientnet_b0"}, {"input": "images"}, {"arch": "mlp", "input": "images"},
                                      {"arch": "mlp", "input": [3, 32]}])
def test_what_other_trainers_write_is_no_obstacle(lossatlas, tmp_path, metadata):
    torch.save({"state_dict": {"weight": torch.zeros(2)}, **metadata}, tmp_path / "m.pt")
    described = json.loads(lossatlas("info", "--json", tmp_path / "m.pt").ok().out)
    assert described["metadata"] == metadata and described["numbers"] == 2
    assert entries(lossatlas("info", tmp_path / "m.pt").ok().out)["tensors"] == "1, from weight [2] to weight [2]"


def test_other_files_in_short(lossatlas, surface, mlp_run, tmp_path):
    for file in (surface, mlp_run / "history.h5"):
        words, whole = (lossatlas("info", *more, file).ok().out for more in ([], ["--all"]))
        assert len(words.splitlines()) < len(whole.splitlines()) and "--all" in entries(words)["more"]
        assert set(words.splitlines()[:-1]) <= set(whole.splitlines()) | {"  checkpoint           epoch-0003.pt"}
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    lossatlas("descend", "--function", "x^2", "--from", 1, "--rate", ",".join(map(str, rates)), "--out", "d.h5",
              cwd=tmp_path).ok()
    words = lossatlas("info", "d.h5", cwd=tmp_path).ok().out
    assert [f"rate {rate}" in words for rate in rates] == [True] * 3 + [False] + [True] * 3


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


COMMANDS = ["train", "surface", "line", "trajectory", "layers", "curve", "descend", "export", "info"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_in_groups(lossatlas, command):
    lines = lossatlas(command, "--help").ok().out.splitlines()
    groups = {}
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            assert line not in groups, f"{line} stands twice"
            groups[line] = here = []
        elif line.startswith("  -"):
            here.append(line.split()[0])
    assert groups["Options:"] == ["-h,--help"] and len(groups) > 2
    assert max(map(len, groups.values())) <= 14
    assert groups.get("Output:") or command == "layers"


def test_help_and_version(lossatlas):
    for words in (["--help"], ["train", "--help"], ["surface", "--help"], ["info", "--help"], ["--version"]):
        done = lossatlas(*words).ok()
        assert done.out and not done.err
