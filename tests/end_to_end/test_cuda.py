"""The program on a CUDA device: the CPU's values, the same bits each time. Skipped where no device is."""

import helpers
import numpy as np
import pytest

CUDA = ("--device", "cuda")


@pytest.fixture(scope="module", autouse=True)
def device(lossatlas, pictures, checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("cuda") / "probe.h5"
    probe = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--grid", "1x1", "--x", "0:0", "--y",
                      "0:0", "--samples", 1, "--out", out, *CUDA)
    if probe.status != 0 and "no CUDA" in probe.err:
        pytest.skip(probe.line())
    probe.ok()


def agree(path, other, error):
    """Losses within error · max(L, 0.1) of each other's."""
    ours, theirs = helpers.read(path), helpers.read(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.endswith("loss"):
            np.testing.assert_array_less(np.abs(ours[name] - theirs[name]), error * np.maximum(np.abs(theirs[name]), 0.1))


@pytest.mark.parametrize("words, error", [(["--engine", "eager"], 1e-5), ([], 1e-5), (["--dtype", "tf32"], 1e-2),
                                          (["--dtype", "bf16"], 1e-1)])
def test_a_surface_has_the_cpus_values(sweep, tmp_path, words, error):
    on_cpu, on_cuda = tmp_path / "cpu.h5", tmp_path / "cuda.h5"
    sweep(on_cpu, grid="5x5")
    sweep(on_cuda, *CUDA, *words, grid="5x5")
    agree(on_cuda, on_cpu, error)
    assert helpers.settings(on_cuda)["device"] == "cuda"
    assert helpers.settings(on_cuda)["engine"] == ("eager" if words[:1] == ["--engine"] else "fused")


def test_threads_do_not_change_bits(sweep, tmp_path):
    sweep(tmp_path / "one.h5", *CUDA, "--threads", 1, "--dtype", "tf32", grid="9x9")
    sweep(tmp_path / "two.h5", *CUDA, "--threads", 2, "--dtype", "tf32", grid="9x9")
    one, two = helpers.read(tmp_path / "one.h5"), helpers.read(tmp_path / "two.h5")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_interrupted_sweep_ends_in_the_same_bits(sweep, pictures, checkpoint, lossatlas, tmp_path):
    words = ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--grid", "41x41", *CUDA, "--out"]
    stopped = helpers.interrupt([*words, tmp_path / "stopped.h5"], "centre", until=helpers.has_begun(tmp_path / "stopped.h5"))
    assert stopped.status == 130, stopped.err
    assert "--resume" in stopped.err
    lossatlas(*words, tmp_path / "stopped.h5", "--resume").ok()
    lossatlas(*words, tmp_path / "whole.h5").ok()
    one, two = helpers.read(tmp_path / "stopped.h5"), helpers.read(tmp_path / "whole.h5")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_everything_on_request(sweep, tmp_path):
    words = ["--split", "both", "--class-loss", "--top5", "--l2", 5e-4, "--repeat", 2, "--bn", "recalibrate", "--bn-images", 100]
    sweep(tmp_path / "cpu.h5", *words)
    sweep(tmp_path / "cuda.h5", *words, *CUDA)
    agree(tmp_path / "cuda.h5", tmp_path / "cpu.h5", 1e-4)


def test_levels(sweep, tmp_path):
    sweep(tmp_path / "levels.h5", "--tolerance", 0.02, *CUDA, grid="21x21")
    sweep(tmp_path / "full.h5", grid="21x21")
    losses = [np.log(helpers.read(tmp_path / name)["train_loss"]) for name in ("levels.h5", "full.h5")]
    assert np.abs(losses[0] - losses[1]).max() < 0.04 * np.ptp(losses[1])


def test_lines_trajectories_and_paths(lossatlas, pictures, run, checkpoint, tmp_path):
    common = ["--data", pictures.words, "--out"]
    commands = {
        "line": ["line", "--checkpoint", checkpoint, "--points", 5],
        "trajectory": ["trajectory", "--run", run, "--grid", "3x3"],
        "curve": ["curve", "--from", run / "checkpoints" / "epoch-0001.pt", "--to", checkpoint, "--epochs", 1, "--points", 3],
    }
    for name, words in commands.items():
        on_cpu, on_cuda = tmp_path / f"{name}-cpu.h5", tmp_path / f"{name}-cuda.h5"
        lossatlas(*words, *common, on_cpu).ok()
        lossatlas(*words, *common, on_cuda, *CUDA).ok()
        agree(on_cuda, on_cpu, 1e-2 if name == "curve" else 1e-5)  # a curve that was trained


def test_training(lossatlas, pictures, tmp_path):
    words = ["train", "--arch", "resnet20", "--width", 4, "--data", pictures.words, "--epochs", 2, "--batch-size", 20, "--lr",
             0.05, *CUDA, "--out"]
    first, second = (lossatlas(*words, tmp_path / name).ok() for name in ("first", "second"))
    assert first.err.split("(")[0] == second.err.split("(")[0].replace("second", "first")


@pytest.mark.parametrize("words, message", [
    (["--device", "cuda:99"], "there is no such device"),
    (["--device", "cuda", "--instruction-set", "avx2"], "requires --device cpu"),
    (["--device", "cuda", "--engine", "eager", "--dtype", "tf32"], "only the fused engine"),
])
def test_bad_words(lossatlas, pictures, checkpoint, tmp_path, words, message):
    result = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "x.h5", *words)
    assert result.status in (1, 2)
    assert message in result.line()
