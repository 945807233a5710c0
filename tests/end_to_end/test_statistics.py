"""Batch-norm statistics that no network can have, and a centre that is no number."""

import helpers
import pytest
import torch

MEAN, VARIANCE = "layer1.0.bn1.running_mean", "layer1.0.bn1.running_var"


def spoil(checkpoint, path, name, value):
    content = helpers.load(checkpoint)
    content["state_dict"][name][1] = value
    torch.save(content, path)
    return path


@pytest.mark.parametrize("name, value, problem", [(MEAN, float("nan"), "not finite"), (MEAN, float("inf"), "not finite"),
                                                  (VARIANCE, float("nan"), "not finite"), (VARIANCE, -0.5, "a negative variance")])
def test_bad_statistics_are_refused(lossatlas, run, checkpoint, pictures, tmp_path, name, value, problem):
    bad = spoil(checkpoint, tmp_path / "bad.pt", name, value)
    other = run / "checkpoints" / "epoch-0001.pt"
    for command in (["surface", "--checkpoint", bad], ["line", "--checkpoint", bad],
                    ["line", "--checkpoint", checkpoint, "--to", bad], ["curve", "--from", checkpoint, "--to", bad],
                    ["trajectory", "--checkpoints", f"{bad},{other},{checkpoint}"],
                    ["trajectory", "--checkpoints", f"{other},{checkpoint},{bad}"]):
        done = lossatlas(*command, "--data", pictures.words, "--out", tmp_path / "out.h5")
        assert done.status == 1 and f"bad.pt: {name} holds" in done.line() and problem in done.line()


def test_a_centre_that_is_no_number(lossatlas, mlp_run, pictures, tmp_path):
    content = helpers.load(mlp_run / "checkpoints" / "epoch-0002.pt")
    for name, tensor in content["state_dict"].items():
        tensor.mul_(1e20)
    torch.save(content, tmp_path / "huge.pt")
    done = lossatlas("surface", "--checkpoint", tmp_path / "huge.pt", "--data", pictures.words, "--out", tmp_path / "s.h5",
                     "--grid", "3x3").ok()
    assert "hint: the loss at the centre is not finite" in done.err
    assert "--mean" not in done.err and "smaller" not in done.err and "range is too" not in done.err
    words = lossatlas("info", tmp_path / "s.h5").ok().out
    assert "the centre is not finite" in words and "range is too" not in words
