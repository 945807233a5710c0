"""`lossatlas surface --tolerance` and `--budget`: few evaluations against all of them, and what must not change a bit."""

import json
import signal
import subprocess

import h5py
import helpers
import numpy as np
import pytest
import torch
from helpers import journal_points, wait_for
from test_survival import beside, provenance, torture

IMAGES = 300
LADDER = [64, 128, 300]
PILOT = 25  # points of the first look
TOLERANCE = 0.02
SEED = 3  # of the sample


class Plane:
    """Surfaces around one network, of 21 x 21 points but where another grid is asked for."""

    def __init__(self, checkpoint, data):
        self.words = ["surface", "--checkpoint", checkpoint, "--data", data]

    def call(self, out, *words, grid="21x21", progress="none"):
        return helpers.run_program(helpers.BINARY, *self.words, "--grid", grid, "--progress", progress, "--out", out, *words)

    def make(self, out, *words, **more):
        self.call(out, *words, **more).ok()
        return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("levels")


@pytest.fixture(scope="module")
def plane(lossatlas, folder):
    """That of an MLP on 300 images."""
    lossatlas("train", "--arch", "mlp", "--data", f"synthetic:{IMAGES}", "--out", folder / "run", "--epochs", 1,
              "--lr", 0.01, "--threads", 1).ok()
    return Plane(folder / "run" / "checkpoints" / "epoch-0001.pt", f"synthetic:{IMAGES}")


@pytest.fixture(scope="module")
def full(plane, folder):
    """All images at every point, in the order in which levels take them."""
    return helpers.read(plane.make(folder / "full.h5", "--samples", IMAGES, "--sample-seed", SEED))


@pytest.fixture(scope="module")
def levels(plane, folder):
    return plane.make(folder / "levels.h5", "--tolerance", TOLERANCE, "--sample-seed", SEED)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "s.h5"


def layers_of(path):
    with h5py.File(path) as file:
        return {name: dataset[()] for name, dataset in file["lossatlas/levels"].items()}


def is_on_all(found, images=IMAGES):
    return found["lossatlas/train_images"] == images


# --- values ------------------------------------------------------------------------------------------------------


def test_every_point_is_there(levels):
    found = helpers.read(levels)
    state = found["lossatlas/evaluated"]
    assert state.shape == found["train_loss"].shape == found["lossatlas/train_loss_error"].shape == (21, 21)
    assert set(np.unique(state)) == {1, 2}
    np.testing.assert_array_equal(state == 1, is_on_all(found))
    assert PILOT <= (state == 1).sum() < 441
    assert all(np.isfinite(found[name]).all() for name in ("train_loss", "train_acc", "lossatlas/train_loss_error"))
    assert set(np.unique(found["lossatlas/train_images"])) <= {0, *LADDER}


def test_evaluated_points_are_those_of_a_full_surface(levels, full):
    """But for the last bits: the images are summed in another order."""
    found = helpers.read(levels)
    np.testing.assert_array_equal(np.sort(found["lossatlas/samples_train"]), np.arange(IMAGES))
    there = found["lossatlas/evaluated"] == 1
    for name in ("train_loss", "train_acc", "lossatlas/train_loss_se", "lossatlas/train_acc_se"):
        np.testing.assert_allclose(found[name][there], full[name][there], rtol=1e-12, err_msg=name)
    assert not found["lossatlas/train_loss_error"][there].any() and not found["lossatlas/train_loss_se"][there].any()


def test_reconstructed_points_are_near_a_full_surface(levels, full):
    found = helpers.read(levels)
    between = found["lossatlas/evaluated"] == 2
    truth = np.log(full["train_loss"])
    errors = np.abs(np.log(found["train_loss"]) - truth)[between] / np.ptp(truth)
    assert errors.max() < 3 * TOLERANCE
    stated = found["lossatlas/train_loss_error"][between]
    assert (stated > 0).all()
    assert (np.abs(found["train_loss"] - full["train_loss"])[between] <= stated).mean() > 0.7
    assert np.abs(found["train_acc"] - full["train_acc"]).max() < 15
    assert ((found["train_acc"] >= 0) & (found["train_acc"] <= 100)).all()


@pytest.fixture(scope="module")
def linear(lossatlas, pictures, folder):
    """A surface in levels of a network that Python knows, and the loss of each image at each of its points."""
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", folder / "linear", "--epochs", 1, "--lr", 0.01,
              "--threads", 1).ok()
    checkpoint = folder / "linear" / "checkpoints" / "epoch-0001.pt"
    out = Plane(checkpoint, pictures.words).make(folder / "linear.h5", "--tolerance", 0.002, "--save-directions",
                                                 folder / "directions.h5", grid="15x13")
    found = helpers.read(out)
    state, plane = helpers.state_of(checkpoint), helpers.plane_of(folder / "directions.h5")
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    losses, right = np.empty((2, 13, 15, len(labels)))
    for row, y in enumerate(found["ycoordinates"]):
        for column, x in enumerate(found["xcoordinates"]):
            logits = helpers.linear(helpers.at(state, plane, (x, y)), images)
            losses[row, column] = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            right[row, column] = logits.argmax(1) == labels
    return out, losses, right, labels.numpy()


def features(losses, labels):
    """What subsets are balanced by: the pilot's losses over their means, and the classes."""
    classes = (labels[:, None] == np.arange(10)).astype(float)
    return np.hstack([(losses / losses.mean(1, keepdims=True) - 1).T, 3 * (classes - classes.mean(0))])


def standard_error(losses, features):
    """Of the mean of the first images: of what a regression on n / 3 of the features leaves, those that tell most, and
    of how far the subset is from balance."""
    images, n = len(features), len(losses)
    rest, chosen = features[:n].copy(), []
    least = 1e-10 * (rest**2).sum(0)
    while len(chosen) < n // 3:
        left = np.where((rest**2).sum(0) > least, (rest**2).sum(0), 0)
        if not left.any():
            break
        chosen.append(left.argmax())
        vector = rest[:, chosen[-1]] / np.linalg.norm(rest[:, chosen[-1]])
        rest = rest - np.outer(vector, vector @ rest)
    known = np.hstack([np.ones((n, 1)), features[:n, chosen]])
    hat = known @ np.linalg.pinv(known)
    errors, leverages, constant = losses - hat @ losses, np.diag(hat), (np.linalg.pinv(known) @ losses)[0]
    of_rest = (errors**2 / (1 - np.minimum(leverages, 0.95))).mean() * (1 / n - 1 / images)
    return np.sqrt(of_rest + (losses.mean() - constant) ** 2)


def test_each_level_is_a_mean_over_the_first_images_with_its_error(linear):
    out, losses, right, labels = linear
    found, ladder = layers_of(out), helpers.settings(out)["levels"]
    assert ladder == [64, 200]
    assert all(values.shape == (2, 13, 15) for values in found.values())
    assert found.keys() == {"train_loss", "train_acc", "train_loss_se", "train_acc_se", "train_images", "evaluated"}
    with h5py.File(out) as file:
        pilot = file["lossatlas/pilot/point"][()]
        assert len(pilot) == PILOT and set(pilot) <= set(np.flatnonzero(found["evaluated"][1].ravel()))
        np.testing.assert_allclose(file["lossatlas/pilot/train_loss"], losses.reshape(-1, 200)[pilot], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(file["lossatlas/pilot/train_correct"], right.reshape(-1, 200)[pilot])
        known = features(file["lossatlas/pilot/train_loss"][()], labels)
    # The first images stand for all of them, far better than chance would have it.
    assert np.abs(known[:64].mean(0)).max() < 0.25 * np.sqrt((known**2).mean(0).max() / 64)
    for rung, images in enumerate(ladder):
        there = found["evaluated"][rung] == 1
        assert (found["train_images"][rung] == np.where(there, images, 0)).all()
        assert np.isnan(found["train_loss"][rung][~there]).all()
        np.testing.assert_allclose(found["train_loss"][rung][there], losses[there][:, :images].mean(1), rtol=1e-5)
        np.testing.assert_allclose(found["train_acc"][rung][there], 100 * right[there][:, :images].mean(1), rtol=1e-12)
    there = found["evaluated"][0] == 1
    expected = [standard_error(own[:64], known) for own in losses[there]]
    assert len(expected) > 2 * PILOT
    np.testing.assert_allclose(found["train_loss_se"][0][there], expected, rtol=1e-3, atol=1e-6)
    assert not found["train_loss_se"][1][found["evaluated"][1] == 1].any()


def test_levels_are_nested_and_add_up_to_what_they_cost(levels):
    found, record = layers_of(levels), provenance(levels)
    there = found["evaluated"] == 1
    assert (there[1:] <= there[:-1]).all()
    most = found["train_images"].max(axis=0)
    np.testing.assert_array_equal(most, helpers.read(levels)["lossatlas/train_images"])
    # A point that is asked for again, on more images, costs all of them: some points do.
    assert most.sum() <= record["image_evaluations"] < 1.1 * most.sum() < 441 * IMAGES / 2
    assert record["subsets"] == sorted(record["subsets"]) and record["subsets"][-1] == IMAGES
    assert set(record["subsets"]) <= set(LADDER)
    assert record["computed"] == there.sum()
    assert 0 < record["error"] <= TOLERANCE and record["forecast"] > PILOT * IMAGES


def test_settings(levels):
    found = helpers.settings(levels)
    assert found["levels"] == LADDER
    assert (found["tolerance"], found["budget"]) == (TOLERANCE, None)
    assert (found["samples"], found["sample_seed"]) == (IMAGES, SEED)


@pytest.mark.full
def test_smaller_tolerance_costs_more(plane, levels, full, out):
    plane.make(out, "--tolerance", TOLERANCE / 3, "--sample-seed", SEED)
    assert provenance(out)["image_evaluations"] > provenance(levels)["image_evaluations"]
    truth, found = np.log(full["train_loss"]), np.log(helpers.read(out)["train_loss"])
    assert np.abs(found - truth).max() < 3 * TOLERANCE / 3 * np.ptp(truth)


def test_one_row(plane, out):
    """Too few points for a plan: all of them are evaluated."""
    plane.make(out, "--tolerance", 0.05, "--y", "0:0", grid="9x1")
    assert (helpers.read(out)["lossatlas/evaluated"] == 1).all()


def test_few_images_are_one_level(plane, out):
    plane.make(out, "--tolerance", 0.05, "--samples", 50)
    assert helpers.settings(out)["levels"] == [50] and layers_of(out)["train_loss"].shape == (1, 21, 21)
    assert set(np.unique(helpers.read(out)["lossatlas/evaluated"])) == {1, 2}


def test_test_split(plane, out):
    plane.make(out, "--tolerance", 0.05, "--split", "test")
    found = helpers.read(out)
    assert (found["lossatlas/test_loss_error"] >= 0).all() and "train_loss" not in found
    assert "test_loss" in layers_of(out)


# --- what must not change a bit ----------------------------------------------------------------------------------


def test_threads_do_not_change_a_bit(plane, levels, out):
    for threads in (1, 2):
        plane.make(out, "--tolerance", TOLERANCE, "--sample-seed", SEED, "--threads", threads, "--force")
        assert torture.contents(out) == torture.contents(levels)
        assert provenance(out)["image_evaluations"] == provenance(levels)["image_evaluations"]


class Sweep(torture.Sweep):
    """A sweep in levels, a second long, that is done once undisturbed."""

    def __init__(self, folder, checkpoint, pictures):
        self.binary, self.undisturbed = helpers.BINARY, folder / "undisturbed.h5"
        self.words = [*Plane(checkpoint, pictures.words).words, "--grid", "21x21", "--tolerance", 0.05]
        self.run(*self.words, "--out", self.undisturbed)
        self.expected = torture.contents(self.undisturbed)

    def ended(self, out, points, number):
        """Ends it when its journal holds some values. Its exit status and standard error."""
        process = self.start(*self.words, "--out", out, "--threads", 1)
        wait_for(lambda: journal_points(out) >= points, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=helpers.TIMEOUT)
        return process.returncode, err

    def same(self, out):
        assert self.differences(out) == []
        assert provenance(out)["image_evaluations"] == provenance(self.undisturbed)["image_evaluations"]
        assert beside(out) == []


@pytest.fixture(scope="module")
def sweep_in_levels(folder, checkpoint, pictures):
    return Sweep(folder, checkpoint, pictures)


def pilot_points(path):
    """Of the first look, as far as it is in the file."""
    try:
        with h5py.File(path) as file:
            return len(file["lossatlas/pilot/point"])
    except (OSError, KeyError):
        return 0


@pytest.mark.full
def test_killed_in_its_first_look(sweep_in_levels, out):
    process = sweep_in_levels.start(*sweep_in_levels.words, "--out", out, "--threads", 1)
    wait_for(lambda: pilot_points(out) >= 3, process)
    process.kill()
    process.communicate()
    known = pilot_points(out)
    assert 3 <= known < PILOT
    assert helpers.read(out)["train_loss"].shape == (21, 21)
    _, err = sweep_in_levels.run(*sweep_in_levels.words, "--out", out, "--resume")
    assert f"resuming: {known} points of the first look are there" in err
    sweep_in_levels.same(out)


@pytest.mark.full
def test_killed_after_its_first_look(sweep_in_levels, out):
    status, _ = sweep_in_levels.ended(out, 60, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert beside(out) == [".journal", ".lock"]
    assert helpers.read(out)["train_loss"].shape == (21, 21)
    _, err = sweep_in_levels.run(*sweep_in_levels.words, "--out", out, "--resume")
    assert "points are there, on some or all images" in err
    sweep_in_levels.same(out)
    record, undisturbed = provenance(out), provenance(sweep_in_levels.undisturbed)
    assert record["resumes"] == 1 and record["computed"] <= undisturbed["computed"] - 60


@pytest.mark.full
def test_journal_without_its_file(sweep_in_levels, out):
    """The order of the images is found again, by the same look at them."""
    sweep_in_levels.ended(out, 60, signal.SIGKILL)
    out.unlink()
    _, err = sweep_in_levels.run(*sweep_in_levels.words, "--out", out, "--resume")
    assert "points are there, on some or all images" in err
    sweep_in_levels.same(out)


def test_file_with_samples_that_are_not_its_own(sweep_in_levels, out):
    sweep_in_levels.ended(out, 60, signal.SIGINT)
    with h5py.File(out, "r+") as file:
        file["lossatlas/samples_train"][0] = file["lossatlas/samples_train"][1]
    found = helpers.run_program(helpers.BINARY, *sweep_in_levels.words, "--out", out, "--resume")
    assert found.status == 1 and "its samples are not those of its settings" in found.err.splitlines()[-1]


@pytest.mark.full
def test_killed_twice(sweep_in_levels, out):
    sweep_in_levels.ended(out, 20, signal.SIGKILL)
    process = sweep_in_levels.start(*sweep_in_levels.words, "--out", out, "--threads", 1, "--resume")
    wait_for(lambda: journal_points(out) >= 20, process)
    process.kill()
    process.communicate()
    sweep_in_levels.run(*sweep_in_levels.words, "--out", out, "--resume")
    sweep_in_levels.same(out)


def test_interrupted_surface_is_drawn_and_goes_on(sweep_in_levels, out, plot, tmp_path_factory):
    status, err = sweep_in_levels.ended(out, 60, signal.SIGINT)
    assert status == 130 and beside(out) == []
    line = err.splitlines()[-1]
    assert line.startswith("interrupted after ") and str(out) in line
    plot(out, "-o", tmp_path_factory.mktemp("plot") / "stopped.png", "--dpi", 60).ok()
    command = line[line.index(str(helpers.BINARY)):]
    assert command.endswith(" --resume")
    subprocess.run(command, shell=True, check=True, capture_output=True, timeout=helpers.TIMEOUT)
    sweep_in_levels.same(out)


def test_finished_surface_is_left_as_it_is(plane, levels, out):
    out.write_bytes(levels.read_bytes())
    plane.make(out, "--tolerance", TOLERANCE, "--sample-seed", SEED, "--resume")
    assert torture.contents(out) == torture.contents(levels)
    assert provenance(out)["computed"] == 0


# --- budget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [PILOT * IMAGES, PILOT * IMAGES + 2000])
def test_budget_is_kept(plane, out, budget):
    plane.make(out, "--budget", budget, "--sample-seed", SEED)
    found, record = helpers.read(out), provenance(out)
    assert PILOT * IMAGES <= record["image_evaluations"] <= budget
    assert found["lossatlas/train_images"].sum() == record["image_evaluations"]
    assert set(np.unique(found["lossatlas/evaluated"])) == {1, 2}
    assert helpers.settings(out)["budget"] == budget and helpers.settings(out)["tolerance"] is None


def test_tolerance_and_budget_together(plane, levels, out):
    """Whichever is reached first."""
    plane.make(out, "--tolerance", 1e-4, "--budget", 15000, "--sample-seed", SEED)
    assert provenance(out)["image_evaluations"] <= 15000
    plane.make(out, "--tolerance", 0.5, "--budget", 200000, "--sample-seed", SEED, "--force")
    assert provenance(out)["image_evaluations"] <= provenance(levels)["image_evaluations"]


def test_budget_too_small_for_a_first_look(plane, out):
    done = plane.call(out, "--budget", PILOT * IMAGES - 1)
    assert done.status == 2
    line = done.line()
    assert f"--budget {PILOT * IMAGES - 1}" in line and str(PILOT * IMAGES) in line
    assert helpers.tree(out.parent) == {}


def test_budget_that_leaves_points_out(plane, out):
    """No plan can be made where hardly a loss is finite: what is not evaluated is missing, and nothing claims else."""
    done = plane.call(out, "--budget", PILOT * IMAGES, "--x", "-1e30:1e30").ok()
    found = helpers.read(out)
    assert provenance(out)["image_evaluations"] <= PILOT * IMAGES
    there = found["lossatlas/evaluated"] == 1
    assert there.sum() == PILOT and (found["lossatlas/evaluated"][~there] == 0).all()
    assert np.isnan(found["train_loss"][~there]).all()
    assert f"{441 - PILOT} reconstructed" not in done.err


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", [["--tolerance", 0.05], ["--budget", 20000]], ids=["tolerance", "budget"])
@pytest.mark.parametrize("words", [["--repeat", 2], ["--class-loss"], ["--top5"], ["--l2", 0.1]],
                         ids=lambda words: words[0])
def test_what_does_not_go_together(plane, out, goal, words):
    done = plane.call(out, *goal, *words)
    assert done.status == 2
    assert goal[0] in done.line() and words[0] in done.line()
    assert helpers.tree(out.parent) == {}


@pytest.mark.parametrize("words", [["--tolerance", 0], ["--tolerance", 2], ["--tolerance", -0.1], ["--tolerance", "nan"],
                                   ["--tolerance", "small"], ["--budget", 0], ["--budget", -5], ["--budget", "1e4x"]],
                         ids=lambda words: " ".join(map(str, words)))
def test_wrong_numbers(plane, out, words):
    done = plane.call(out, *words)
    assert done.status == 2 and words[0] in done.line()
    assert helpers.tree(out.parent) == {}


@pytest.mark.parametrize("words, culprit", [
    (["--tolerance", 0.05, "--sample-seed", SEED], "tolerance was 0.02, now 0.05"),
    (["--tolerance", TOLERANCE, "--sample-seed", SEED, "--budget", 90000], "budget was null, now 90000"),
    (["--tolerance", TOLERANCE, "--sample-seed", 4], "sample_seed was 3, now 4"),
    (["--samples", IMAGES, "--sample-seed", SEED], "levels was [64,128,300], now null"),
], ids=lambda words: words if isinstance(words, str) else None)
def test_resume_with_another_goal_is_refused(plane, levels, out, words, culprit):
    out.write_bytes(levels.read_bytes())
    before = helpers.tree(out.parent)
    done = plane.call(out, "--resume", *words)
    assert done.status == 1 and culprit in done.line() and str(out) in done.line()
    assert helpers.tree(out.parent) == before


def test_full_surface_is_not_gone_on_with_in_levels(plane, full, folder):
    done = plane.call(folder / "full.h5", "--resume", "--tolerance", TOLERANCE, "--sample-seed", SEED)
    assert done.status == 1 and "levels was null" in done.line()


# --- losses that are not finite ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reach", [1e19, pytest.param(1e30, marks=pytest.mark.full)], ids=["in a part", "nearly everywhere"])
def test_losses_that_are_not_finite(plane, out, tmp_path, reach):
    """They stand where they stand in a full surface; the rest is there."""
    words = ["--samples", 150, "--x", f"-1e10:{reach}"]
    full = helpers.read(plane.make(tmp_path / "full.h5", *words, grid="11x11"))
    done = plane.call(out, "--tolerance", 0.05, *words, grid="11x11").ok()
    found = helpers.read(out)
    bad = ~np.isfinite(full["train_loss"])
    assert 0 < bad.sum() < 121
    assert f"warning: {bad.sum()} of 121 losses are not finite" in done.err
    np.testing.assert_array_equal(~np.isfinite(found["train_loss"]), bad)
    assert found["lossatlas/evaluated"].all() and (found["lossatlas/evaluated"][bad] == 1).all()
    errors = np.abs(np.log(found["train_loss"][~bad]) - np.log(full["train_loss"][~bad]))
    assert errors.max() < 3 * 0.05 * np.ptp(np.log(full["train_loss"][~bad]))


# --- other commands ----------------------------------------------------------------------------------------------


def test_info(lossatlas, levels):
    found = json.loads(lossatlas("info", "--json", levels).ok().out)
    values = helpers.read(levels)
    assert (found["kind"], found["points"], found["not_finite"]) == ("surface", 441, 0)
    assert found["evaluated"] == (values["lossatlas/evaluated"] == 1).sum()
    assert found["loss"] == [values["train_loss"].min(), values["train_loss"].max()]
    assert found["settings"]["levels"] == LADDER
    words = lossatlas("info", levels).ok()
    assert "image_evaluations" in words.out and words.err == ""


def test_summary_in_the_file_is_what_info_says(lossatlas, sweep_in_levels):
    path = sweep_in_levels.undisturbed
    summary = json.loads(lossatlas("info", "--json", path).ok().out)["summary"]
    assert summary["hints"] and summary == json.loads(helpers.attribute(path, "summary"))


def test_plot(plot, levels, out):
    done = plot(levels, "-o", out.with_suffix(".png"), "--dpi", 60).ok()
    assert done.err == "" and out.with_suffix(".png").stat().st_size > 5000


def test_says_what_it_will_cost_and_what_it_did(plane, levels, out):
    done = plane.call(out, "--tolerance", TOLERANCE, "--sample-seed", SEED).ok()
    record, lines = provenance(levels), done.err.splitlines()
    assert any(line.startswith(f"about {record['forecast']} image evaluations") for line in lines)
    on_all = int(is_on_all(helpers.read(out)).sum())
    assert lines[-2].startswith(f"{on_all} points evaluated on all images, {441 - on_all} reconstructed; "
                                f"{record['image_evaluations']} image evaluations in ")
    assert lines[-1].startswith("largest error expected ")


def test_json_progress(plane, out):
    done = plane.call(out, "--tolerance", TOLERANCE, progress="json").ok()
    objects = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert objects and all(found["file"] == str(out) for found in objects)
