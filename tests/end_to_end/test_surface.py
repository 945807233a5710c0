"""`lossatlas surface`: every value once more in Python, and what must not change it."""

import json
import signal

import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F


# --- values ------------------------------------------------------------------------------------------------------


def test_every_point_in_float64(surface, directions, checkpoint, pictures):
    """The grid is not square, nor are the ranges equal or symmetric: a transposed file fails."""
    found = helpers.read(surface)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    state, plane = helpers.state_of(checkpoint), helpers.plane_of(directions)
    assert found["train_loss"].shape == (4, 5)
    np.testing.assert_allclose(found["xcoordinates"], np.linspace(-0.4, 0.8, 5), atol=1e-15)
    np.testing.assert_allclose(found["ycoordinates"], np.linspace(-0.6, 0.3, 4), atol=1e-15)
    for row, y in enumerate(found["ycoordinates"]):
        for column, x in enumerate(found["xcoordinates"]):
            logits = helpers.resnet20(helpers.at(state, plane, (x, y)), images)
            losses = F.cross_entropy(logits, labels, reduction="none").numpy()
            right = (logits.argmax(1) == labels).double().numpy()
            scale = max(losses.mean(), 0.1)
            assert abs(found["train_loss"][row, column] - losses.mean()) < 1e-5 * scale, (x, y)
            assert found["train_acc"][row, column] == pytest.approx(100 * right.mean(), abs=1e-9), (x, y)
            # 100 of 200 images: the finite population halves the variance.
            for name, values in (("loss", losses), ("acc", 100 * right)):
                error = np.sqrt(values.var(ddof=1) / 100 * (1 - 100 / 200))
                assert found[f"lossatlas/train_{name}_se"][row, column] == pytest.approx(error, rel=1e-4, abs=1e-7)


def test_all_images_have_no_standard_error(sweep, tmp_path):
    found = helpers.read(sweep(tmp_path / "s.h5", grid="2x2"))
    assert found["lossatlas/samples_train"].tolist() == list(range(200))
    assert not found["lossatlas/train_loss_se"].any() and not found["lossatlas/train_acc_se"].any()


def test_test_split(sweep, pictures, checkpoint, tmp_path):
    found = helpers.read(sweep(tmp_path / "s.h5", "--split", "test", "--x", "0:0", "--y", "0:0", grid="1x1"))
    images, labels = pictures.batch("test")
    loss = F.cross_entropy(helpers.resnet20(helpers.state_of(checkpoint), images), labels)
    assert found["test_loss"][0, 0] == pytest.approx(loss.item(), rel=1e-5)
    assert found["lossatlas/samples_test"].tolist() == list(range(60))
    assert "train_loss" not in found


def test_linear_network_with_squared_loss_is_a_paraboloid(lossatlas, sweep, pictures, tmp_path):
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path / "run", "--epochs", 1,
              "--lr", 0.001).ok()
    path = tmp_path / "run" / "checkpoints" / "epoch-0001.pt"
    words = ["--loss", "mse", "--ignore", "none", "--x", "-1:2"]
    found = helpers.read(sweep(tmp_path / "s.h5", *words, grid="7x6", at=path))
    x, y = (axis.ravel() for axis in np.meshgrid(found["xcoordinates"], found["ycoordinates"]))
    loss = found["train_loss"].ravel()
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    coefficients, *_ = np.linalg.lstsq(terms, loss, rcond=None)
    assert np.abs(terms @ coefficients - loss).max() < 1e-6 * loss.max()
    assert coefficients[3] > 0 and 4 * coefficients[3] * coefficients[5] > coefficients[4] ** 2
    images, labels = pictures.batch()
    expected = F.mse_loss(helpers.linear(helpers.state_of(path), images), F.one_hot(labels, 10).double())
    assert coefficients[0] == pytest.approx(expected.item(), rel=1e-5)


def test_direction_to_a_second_checkpoint_passes_through_its_loss(sweep, mlp_run, tmp_path):
    first, second = (mlp_run / "checkpoints" / f"epoch-000{epoch}.pt" for epoch in (0, 2))
    start, end = (helpers.load(path)["state_dict"] for path in (first, second))
    towards = [end[name] - start[name] for name in start]
    helpers.write_directions(tmp_path / "d.h5", towards, [torch.ones_like(tensor) for tensor in towards])
    line = helpers.read(sweep(tmp_path / "s.h5", "--directions", tmp_path / "d.h5", "--x", "0:1", "--y", "0:0", grid="3x1",
                              at=first))
    for column, path in ((0, first), (2, second)):
        centre = sweep(tmp_path / f"{column}.h5", "--x", "0:0", "--y", "0:0", grid="1x1", at=path)
        expected = helpers.read(centre)["train_loss"][0, 0]
        np.testing.assert_allclose(line["train_loss"][:, column], expected, rtol=1e-6)
    assert line["train_loss"][0, 2] < line["train_loss"][0, 0]


# --- directions --------------------------------------------------------------------------------------------------


def norms(tensor):
    return tensor.double().flatten(1).norm(dim=1)


@pytest.mark.parametrize("group", ["xdirection", "ydirection"])
def test_filter_norms_are_those_of_the_parameters(surface, directions, checkpoint, group):
    state = helpers.state_of(checkpoint)
    names = helpers.parameter_names(state)
    tensors = helpers.read_directions(directions, group)
    assert len(tensors) == len(names)
    for name, tensor in zip(names, tensors):
        assert tensor.shape == state[name].shape and tensor.dtype == torch.float32
        if tensor.dim() > 1:
            torch.testing.assert_close(norms(tensor), norms(state[name]), rtol=1e-5, atol=0)
        else:
            assert not tensor.any(), name


def one_point(sweep, folder, name, *words):
    """The directions of a sweep of one point."""
    path = folder / f"{name}.d.h5"
    words = ["--x", "0:0", "--y", "0:0", "--samples", 10, "--save-directions", path, *words]
    sweep(folder / f"{name}.h5", *words, grid="1x1")
    return path


@pytest.fixture(scope="module")
def gaussian(sweep, tmp_path_factory):
    """Both directions before any normalization."""
    return helpers.plane_of(one_point(sweep, tmp_path_factory.mktemp("gaussian"), "raw", "--norm", "none", "--ignore", "none"))


def test_directions_are_gaussian(gaussian):
    x, y = (torch.cat([tensor.flatten() for tensor in direction]).double() for direction in gaussian)
    n = len(x)
    for values in (x, y):
        assert abs(values.mean()) < 4 / n**0.5
        assert abs(values.var() - 1) < 4 * (2 / n) ** 0.5
        assert abs((values**4).mean() - 3) < 4 * (96 / n) ** 0.5
    assert abs((x * y).mean()) < 4 / n**0.5


NORMALIZATIONS = {
    "filter": lambda d, theta: (d.flatten(1) / norms(d)[:, None] * norms(theta)[:, None]).view_as(d),
    "layer": lambda d, theta: d / d.norm() * theta.norm(),
    "weight": lambda d, theta: d * theta,
    "dfilter": lambda d, theta: (d.flatten(1) / norms(d)[:, None]).view_as(d),
    "dlayer": lambda d, theta: d / d.norm(),
}


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalization(sweep, gaussian, checkpoint, tmp_path, name):
    """One-dimensional parameters are one filter under --ignore none: ours is never a copy of θ."""
    found = helpers.plane_of(one_point(sweep, tmp_path, name, "--norm", name, "--ignore", "none"))
    state = helpers.state_of(checkpoint)
    for direction, raw in zip(found, gaussian):
        for parameter, tensor, drawn in zip(helpers.parameter_names(state), direction, raw):
            theta, drawn = state[parameter], drawn.double()
            if theta.dim() == 1:
                theta, drawn = theta[None], drawn[None]
            expected = NORMALIZATIONS[name](drawn, theta).view_as(tensor)
            torch.testing.assert_close(tensor.double(), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("ignore, bn_stays, bias_stays", [("bias", False, True), ("bn", True, False)])
def test_ignore(sweep, checkpoint, tmp_path, ignore, bn_stays, bias_stays):
    found = helpers.plane_of(one_point(sweep, tmp_path, "s", "--ignore", ignore))[0]
    state = helpers.state_of(checkpoint)
    zero = {name: not tensor.any() for name, tensor in zip(helpers.parameter_names(state), found)}
    assert zero["bn1.weight"] == zero["layer2.0.shortcut.1.weight"] == bn_stays
    assert zero["linear.bias"] == bias_stays
    assert not zero["conv1.weight"] and not zero["linear.weight"]


def test_seed_decides_the_directions(sweep, surface, directions, tmp_path):
    same = helpers.plane_of(one_point(sweep, tmp_path, "same", "--seed", 0, "--threads", 2, "--split", "test"))
    other = helpers.plane_of(one_point(sweep, tmp_path, "other", "--seed", 1))
    for axis in (0, 1):
        expected = helpers.plane_of(directions)[axis]
        assert all(torch.equal(a, b) for a, b in zip(same[axis], expected))
        assert not torch.equal(other[axis][0], expected[0])


def test_saved_directions_give_the_same_values(sweep, surface, directions, tmp_path):
    again = sweep(tmp_path / "s.h5", "--x", "-0.4:0.8", "--y", "-0.6:0.3", "--samples", 100, "--directions", directions,
                  grid="5x4")
    first, second = helpers.read(surface), helpers.read(again)
    for name in ("train_loss", "train_acc", "lossatlas/train_loss_se"):
        np.testing.assert_array_equal(first[name], second[name])
    assert json.loads(helpers.attribute(again, "settings"))["plane"] == "file"


# --- what must and must not change a value -----------------------------------------------------------------------


def test_threads_do_not_change_a_bit(sweep, tmp_path):
    words = ["--samples", 60, "--batch-size", 25]
    files = [sweep(tmp_path / f"{threads}.h5", *words, "--threads", threads, grid="5x4") for threads in (1, 2, 3)]
    first = helpers.read(files[0])
    for other in files[1:]:
        found = helpers.read(other)
        assert found.keys() == first.keys()
        for name in first:
            np.testing.assert_array_equal(found[name], first[name], name)
        assert helpers.attribute(other, "settings") == helpers.attribute(files[0], "settings")
    assert [json.loads(helpers.attribute(path, "provenance"))["threads"] for path in files] == [1, 2, 3]


def test_samples_are_nested_and_stratified(sweep, pictures, tmp_path):
    def samples(count, seed):
        path = tmp_path / f"{count}-{seed}.h5"
        sweep(path, "--samples", count, "--sample-seed", seed, "--x", "0:0", "--y", "0:0", grid="1x1")
        return helpers.read(path)["lossatlas/samples_train"].tolist()

    many = samples(105, 3)
    assert samples(40, 3) == many[:40]
    assert len(set(many)) == 105
    assert set(np.bincount(pictures.labels["train"][many[:40]])) == {4}
    assert set(np.bincount(pictures.labels["train"][many])) == {10, 11}
    assert samples(40, 4) != many[:40]


def test_wrong_normalization_of_the_images_is_noticed(lossatlas, sweep, checkpoint, pictures, tmp_path):
    words = ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--grid", "1x1", "--x=0:0", "--y=0:0"]
    assert "warning" not in lossatlas(*words, "--out", tmp_path / "right.h5").ok().err
    wrong = lossatlas(*words, "--out", tmp_path / "wrong.h5", "--mean", "0.9,0.1,0.5", "--std", 1).ok()
    warning = next(line for line in wrong.err.splitlines() if line.startswith("warning"))
    assert "--mean" in warning and "--std" in warning
    images, labels = pictures.batch(mean=[0.9, 0.1, 0.5], std=[1, 1, 1])
    expected = F.cross_entropy(helpers.resnet20(helpers.state_of(checkpoint), images), labels).item()
    assert helpers.read(tmp_path / "wrong.h5")["train_loss"][0, 0] == pytest.approx(expected, rel=1e-5)


def test_constants_of_the_checkpoint_are_used(lossatlas, sweep, pictures, tmp_path):
    """A network trained with --mean and --std is evaluated with them."""
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", tmp_path / "run", "--epochs", 0,
              "--mean", "0.1,0.2,0.3", "--std", "0.5").ok()
    path = tmp_path / "run" / "checkpoints" / "epoch-0000.pt"
    found = helpers.read(sweep(tmp_path / "s.h5", "--x", "0:0", "--y", "0:0", grid="1x1", at=path))
    images, labels = pictures.batch(mean=[0.1, 0.2, 0.3], std=[0.5, 0.5, 0.5])
    expected = F.cross_entropy(helpers.linear(helpers.state_of(path), images), labels).item()
    assert found["train_loss"][0, 0] == pytest.approx(expected, rel=1e-5)


def imaginary(tensor):
    """The same numbers as PyTorch's lazy imaginary part: they are stored negated, and every second one."""
    return torch.complex(torch.zeros_like(tensor), -tensor).conj().imag if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("form", ["state_dict", "wrapped", "module.", "negated", "imaginary"])
def test_checkpoints_of_python(lossatlas, sweep, checkpoint, pictures, tmp_path, form):
    """What Python saves gives the surface of what `train` saved."""
    state = helpers.load(checkpoint)["state_dict"]
    saved = {"state_dict": state, "wrapped": {"acc": 93.1, "epoch": 3, "state_dict": state},
             "module.": {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
             "negated": {name: torch._neg_view(-tensor) for name, tensor in state.items()},
             "imaginary": {name: imaginary(tensor) for name, tensor in state.items()}}[form]
    torch.save(saved, tmp_path / "python.pt")
    words = ["--x", "-0.4:0.8", "--samples", 50]
    ours = sweep(tmp_path / "ours.h5", *words)
    python = sweep(tmp_path / "python.h5", *words, "--arch", "resnet20", "--width", 4, at=tmp_path / "python.pt")
    np.testing.assert_array_equal(helpers.read(python)["train_loss"], helpers.read(ours)["train_loss"])




@pytest.mark.parametrize("more", [{"epoch": None}, {"epoch": "best"},
                                  {"mean": ["a", "b", "c"]},
                                  {"arch": ["resnet20"], "width": "4", "classes": None, "acc": "n/a", "std": None}],
                         ids=str)
def test_odd_words_beside_a_state_dict_are_no_obstacle(lossatlas, checkpoint, pictures, tmp_path, more):
    """People keep all kinds of things beside a state_dict; the command line says what they mean."""
    torch.save({"state_dict": helpers.load(checkpoint)["state_dict"], **more}, tmp_path / "python.pt")
    lossatlas("surface", "--checkpoint", tmp_path / "python.pt", "--data", pictures.words, "--arch", "resnet20",
              "--width", 4, "--classes", 10, "--out", tmp_path / "s.h5", "--samples", 10, "--grid", "1x1", "--x", "0:0",
              "--y", "0:0").ok()


# --- interrupted, or already there -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_sweep_keeps_its_points(checkpoint, pictures, tmp_path, number):
    path = tmp_path / "s.h5"
    done = helpers.interrupt(["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", path,
                              "--grid", "60x50"], "centre:", number, until=helpers.has_begun(path))
    assert done.status == 130
    assert done.err.splitlines()[-1].startswith("interrupted")
    found = helpers.read(path)
    mask = found["lossatlas/evaluated"]
    assert mask.shape == (50, 60) and 0 < mask.sum() < mask.size
    np.testing.assert_array_equal(np.isfinite(found["train_loss"]), mask == 1)
    np.testing.assert_array_equal(np.isfinite(found["train_acc"]), mask == 1)
    assert helpers.tree(tmp_path).keys() == {"s.h5"}


def test_existing_surface_is_kept(lossatlas, surface, checkpoint, pictures):
    before = helpers.tree(surface.parent)
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", surface)
    assert done.status == 1
    assert str(surface) in done.line() and "--force" in done.line()
    assert helpers.tree(surface.parent) == before


def test_force_replaces_a_surface(sweep, tmp_path):
    path = sweep(tmp_path / "s.h5", "--samples", 10, grid="2x3")
    sweep(path, "--samples", 10, "--force", grid="3x2")
    assert helpers.read(path)["train_loss"].shape == (2, 3)


def test_force_keeps_the_old_surface_when_the_new_one_fails(lossatlas, sweep, pictures, tmp_path):
    path = sweep(tmp_path / "s.h5", "--samples", 10)
    (tmp_path / "bad.pt").write_text("no checkpoint")
    before = helpers.tree(tmp_path)
    done = lossatlas("surface", "--checkpoint", tmp_path / "bad.pt", "--arch", "resnet20", "--data", pictures.words,
                     "--out", path, "--force")
    assert done.status == 1 and "bad.pt" in done.line()
    assert helpers.tree(tmp_path) == before


def test_losses_that_are_not_finite_are_kept_and_counted(lossatlas, checkpoint, pictures, tmp_path):
    done = lossatlas("surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "s.h5",
                     "--grid", "3x2", "--x", "-1e30:1e30", "--samples", 10).ok()
    found = helpers.read(tmp_path / "s.h5")
    bad = ~np.isfinite(found["train_loss"])
    assert bad.any() and found["lossatlas/evaluated"].all()
    assert f"warning: {bad.sum()} of 6 losses are not finite" in done.err


def test_one_number_is_a_square_grid(sweep, tmp_path):
    found = helpers.read(sweep(tmp_path / "s.h5", "--samples", 10, grid="3"))
    assert found["train_loss"].shape == (3, 3)
    assert [axis["points"] for axis in helpers.settings(tmp_path / "s.h5")["axes"]] == [3, 3]
