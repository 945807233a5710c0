"""`lossatlas trajectory`: the plane, the paths and every loss once more in Python, in float64."""

import json
import shutil
import signal

import h5py
import helpers
import numpy as np
import pytest
import torch
import torch.nn.functional as F


def files_of(run):
    return sorted((run / "checkpoints").glob("epoch-*.pt"))


def parameters_of(path):
    state = helpers.state_of(path)
    return torch.cat([state[name].flatten() for name in helpers.parameter_names(state)]).numpy()


def matrix_of(files, origin):
    """Rows θ_i - θ."""
    return np.stack([parameters_of(path) for path in files]) - parameters_of(origin)


def run_group(path, name):
    with h5py.File(path) as file:
        group = file["lossatlas/runs"][name]
        values = {key: group[key][()] for key in group}
        return values, dict(group.attrs)


def state_dict_order(state):
    """Names as a Python network lists them: the statistics of a module after its parameters."""
    names = helpers.parameter_names(state)
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    return [name for module in modules for name in state if name.rpartition(".")[0] == module]


def entries_of(path, group):
    """The entries of a file of directions of states, in the order of the state_dict."""
    with h5py.File(path) as file:
        return [torch.as_tensor(file[group][str(i)][()]) for i in range(len(file[group]))]


def point_of(state, directions, coordinates):
    """The state_dict at a point of a plane of states."""
    point = dict(state)
    for direction, coordinate in zip(directions, coordinates, strict=True):
        for name, tensor in zip(state_dict_order(state), direction, strict=True):
            point[name] = point[name] + coordinate * tensor.double()
    return point


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trajectory")


@pytest.fixture(scope="module")
def drawn(lossatlas, run, pictures, folder):
    """The path of the small ResNet20 over 3x4 points, statistics as stored, with the files for other tools."""
    out = folder / "t.h5"
    result = lossatlas("trajectory", "--run", run, "--data", pictures.words, "--out", out, "--grid", "3x4", "--samples",
                       40, "--bn", "stored", "--threads", 2, "--save-directions", folder / "d.h5", "--save-projection",
                       folder / "p.h5").ok()
    return out, result


# --- the plane ---------------------------------------------------------------------------------------------------


def test_the_plane_is_that_of_a_pca_in_float64(drawn, run, folder):
    out, result = drawn
    files = files_of(run)
    rows = matrix_of(files, files[-1])
    assert len(rows) == 4 and not rows[-1].any()
    _, singular, components = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    variance = singular**2 / (len(rows) - 1)
    with h5py.File(out) as file:
        pca = {name: values[()] for name, values in file["lossatlas/pca"].items()}
    np.testing.assert_allclose(pca["singular_values"][:3], singular[:3], rtol=1e-9)
    np.testing.assert_allclose(pca["explained_variance"][:3], variance[:3], rtol=1e-9)
    np.testing.assert_allclose(pca["explained_variance_ratio"][:3], (variance / variance.sum())[:3], rtol=1e-9)
    assert pca["singular_values"].shape == (4,) and pca["singular_values"][3] < 1e-6 * singular[0]

    names = helpers.parameter_names(helpers.state_of(files[-1]))
    order = [name in names for name in state_dict_order(helpers.state_of(files[-1]))]
    found = []
    for group in ("xdirection", "ydirection"):
        tensors = entries_of(folder / "d.h5", group)
        found.append(np.concatenate([t.numpy().ravel() for t, is_parameter in zip(tensors, order, strict=True)
                                     if is_parameter]))
    for component, direction in zip(components, found):
        component = component * np.sign(component[np.abs(component).argmax()])  # as scikit-learn fixes the sign
        np.testing.assert_allclose(direction, component, atol=3e-7)

    values, attributes = run_group(out, "resnet20")
    assert attributes["order"] == 0 and attributes["label"] == "resnet20" and attributes["optimizer"] == "sgd"
    assert values["epoch"].tolist() == [0, 1, 2, 3]
    assert [name.decode() for name in values["file"]] == [str(path) for path in files]
    projected = rows @ np.stack(found).T
    np.testing.assert_allclose(values["x"], projected[:, 0], atol=1e-5)
    np.testing.assert_allclose(values["y"], projected[:, 1], atol=1e-5)
    np.testing.assert_allclose(values["length"], np.linalg.norm(rows, axis=1), rtol=1e-9)
    rest = rows - projected @ np.stack(found)
    np.testing.assert_allclose(values["distance"], np.linalg.norm(rest, axis=1), atol=1e-5)
    with h5py.File(folder / "p.h5") as file:  # directions of unit length: lengths are coordinates
        np.testing.assert_allclose(file["proj_xcoord"][()], values["x"], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(file["proj_ycoord"][()], values["y"], rtol=1e-6, atol=1e-9)
    with h5py.File(folder / "d.h5") as file:
        np.testing.assert_allclose(file["explained_variance_ratio_"][()], (variance / variance.sum())[:2], rtol=1e-9)
        np.testing.assert_allclose(file["explained_variance_"][()], variance[:2], rtol=1e-9)
        np.testing.assert_allclose(file["singular_values_"][()], singular[:2], rtol=1e-9)
    together = 100 * (variance / variance.sum())[:2].sum()
    assert f"{together:.2f} % together" in result.err


def test_the_range_holds_the_path_and_a_fifth_more(drawn):
    values, _ = run_group(drawn[0], "resnet20")
    found = helpers.read(drawn[0])
    for axis, values in (("xcoordinates", values["x"]), ("ycoordinates", values["y"])):
        low, high, extent = min(values.min(), 0), max(values.max(), 0), np.ptp(np.append(values, 0))
        assert low - 0.22 * extent < found[axis][0] <= low - 0.2 * extent + 1e-12
        assert high + 0.2 * extent - 1e-12 <= found[axis][-1] < high + 0.22 * extent


def test_every_loss_in_float64(drawn, run, pictures, folder):
    out, result = drawn
    found = helpers.read(out)
    images, labels = pictures.batch("train", found["lossatlas/samples_train"])
    files = files_of(run)
    state = helpers.state_of(files[-1])
    plane = [entries_of(folder / "d.h5", group) for group in ("xdirection", "ydirection")]

    def check(loss, accuracy, point):
        logits = helpers.resnet20(point, images)
        expected = F.cross_entropy(logits, labels).item()
        if np.isnan(expected):  # a variance below 0
            assert np.isnan(loss)
            return
        assert loss == pytest.approx(expected, rel=2e-4, abs=1e-4)
        assert accuracy == pytest.approx(100 * (logits.argmax(1) == labels).double().mean().item(), abs=2.6)

    values, _ = run_group(out, "resnet20")
    for i, path in enumerate(files):
        check(values["train_loss"][i], values["train_acc"][i], helpers.state_of(path))
        check(values["plane_loss"][i], values["plane_acc"][i],
              point_of(state, plane, (values["x"][i], values["y"][i])))
    check(found["train_loss"][1, 2], found["train_acc"][1, 2],
          point_of(state, plane, (found["xcoordinates"][2], found["ycoordinates"][1])))
    difference = np.abs(values["plane_loss"] - values["train_loss"])
    assert f"differs from its own by {np.nanmedian(difference):.4g} (median), {np.nanmax(difference):.4g} at epoch" in result.err
    assert values["train_loss"][-1] == values["plane_loss"][-1]  # the origin lies on the plane


def test_a_surface_of_the_same_plane(drawn, lossatlas, run, pictures, tmp_path):
    """`surface --plane pca:RUN`: the same losses, the path without its own."""
    lossatlas("surface", "--plane", f"pca:{run}", "--data", pictures.words, "--out", tmp_path / "s.h5", "--grid", "3x4",
              "--samples", 40, "--bn", "stored").ok()
    expected, found = helpers.read(drawn[0]), helpers.read(tmp_path / "s.h5")
    for name in ("xcoordinates", "ycoordinates", "train_loss", "train_acc"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert helpers.settings(tmp_path / "s.h5")["plane"] == "pca"
    values, _ = run_group(tmp_path / "s.h5", "resnet20")
    np.testing.assert_array_equal(values["x"], run_group(drawn[0], "resnet20")[0]["x"])
    assert "train_loss" not in values


def test_statistics_are_estimated_anew_where_there_are_any(lossatlas, run, mlp_run, pictures, tmp_path):
    for folder, expected in ((run, "recalibrate"), (mlp_run, "stored")):
        out = tmp_path / f"{folder.name}.h5"
        lossatlas("trajectory", "--run", folder, "--data", pictures.words, "--out", out, "--grid", "2x2", "--samples", 20,
                  "--split", "train").ok()
        found = helpers.read(out)
        assert helpers.settings(out)["bn"] == expected
        assert np.isfinite(found["train_loss"]).all()


def test_info_shows_the_runs(drawn, lossatlas):
    text = lossatlas("info", drawn[0]).ok().out
    assert "resnet20: 4 checkpoints" in text and "explained variance" in text
    described = json.loads(lossatlas("info", drawn[0], "--json").ok().out)
    values, _ = run_group(drawn[0], "resnet20")
    (shown,) = described["runs"]
    assert shown["name"] == "resnet20" and shown["checkpoints"] == 4 and shown["epochs"] == [0, 3]
    assert shown["longest"] == values["length"].max() and shown["largest_distance"] == values["distance"].max()
    assert json.loads(lossatlas("info", drawn[0].with_name("p.h5"), "--json").ok().out)["kind"] == "projection"
    assert len(json.loads(lossatlas("info", drawn[0].with_name("d.h5"), "--json").ok().out)["singular_values_"]) == 2


# --- several runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adagrad(lossatlas, pictures, folder):
    """Another optimizer's run from the same start, in a folder of the same name."""
    out = folder / "other" / "mlp"
    lossatlas("train", "--arch", "mlp", "--data", pictures.words, "--out", out, "--epochs", 2, "--lr", 0.01,
              "--batch-size", 20, "--threads", 1, "--optimizer", "adagrad").ok()
    return out


def test_two_runs_on_one_plane(lossatlas, mlp_run, adagrad, pictures, tmp_path):
    out = tmp_path / "t.h5"
    lossatlas("trajectory", "--run", mlp_run, "--run", adagrad, "--data", pictures.words, "--out", out, "--grid", "2x2",
              "--split", "both", "--samples", 30).ok()
    files = files_of(mlp_run) + files_of(adagrad)
    rows = matrix_of(files, files[2])
    _, singular, components = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    components = [c * np.sign(c[np.abs(c).argmax()]) for c in components[:2]]
    sgd, first = run_group(out, "mlp")
    ada, second = run_group(out, "mlp-2")
    assert (first["order"], first["optimizer"]) == (0, "sgd") and (second["order"], second["optimizer"]) == (1, "adagrad")
    np.testing.assert_allclose(np.append(sgd["x"], ada["x"]), rows @ components[0], atol=2e-5)
    np.testing.assert_allclose(np.append(sgd["y"], ada["y"]), rows @ components[1], atol=2e-5)
    assert (sgd["x"][0], sgd["y"][0]) == (ada["x"][0], ada["y"][0])  # the same start
    assert sgd["train_loss"][0] == ada["train_loss"][0]
    for name in ("train_loss", "train_acc", "test_loss", "test_acc", "plane_loss", "plane_test_loss", "plane_test_acc"):
        assert np.isfinite(sgd[name]).all() and np.isfinite(ada[name]).all(), name


# --- which checkpoints ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(mlp_run, folder):
    """Bare state_dicts of another trainer: model_2, model_10 and model_100, in this order of time."""
    place = folder / "foreign"
    place.mkdir()
    for number, path in zip((2, 10, 100), files_of(mlp_run), strict=True):
        torch.save(helpers.load(path)["state_dict"], place / f"model_{number}.pt")
    return place


def test_tensors_that_are_stored_negated(lossatlas, foreign, pictures, tmp_path):
    for path in foreign.glob("model_*.pt"):
        torch.save({name: torch._neg_view(-tensor) for name, tensor in helpers.load(path).items()}, tmp_path / path.name)
    words = ["--arch", "mlp", "--data", pictures.words, "--grid", "2x1", "--y", "0:0", "--samples", 20]
    found = []
    for folder in (foreign, tmp_path):
        lossatlas("trajectory", "--checkpoints", folder / "model_*.pt", *words, "--out", tmp_path / f"{folder.name}.h5").ok()
        found.append(helpers.read(tmp_path / f"{folder.name}.h5")["train_loss"])
    np.testing.assert_array_equal(*found)


def test_a_pattern_and_a_list(lossatlas, foreign, mlp_run, pictures, tmp_path):
    words = ["--arch", "mlp", "--data", pictures.words, "--grid", "2x1", "--y", "0:0", "--samples", 20]
    lossatlas("trajectory", "--checkpoints", foreign / "model_*.pt", *words, "--out", tmp_path / "pattern.h5").ok()
    values, attributes = run_group(tmp_path / "pattern.h5", "foreign")
    assert values["epoch"].tolist() == [2, 10, 100] and attributes["optimizer"] == ""
    assert values["length"][-1] == 0
    links = [tmp_path / f"model_{number}.pt" for number in range(200)]
    for link in links:
        link.symlink_to(foreign / "model_2.pt")
    long = ",".join(map(str, links))  # longer than a path may be
    refused = lossatlas("trajectory", "--checkpoints", long, *words, "--out", tmp_path / "long.h5")
    assert refused.status == 1 and "(in all 200): all 200 checkpoints are equal" in refused.line()
    backwards = ",".join(str(foreign / f"model_{number}.pt") for number in (100, 2, 10))
    done = lossatlas("trajectory", "--checkpoints", backwards, *words, "--out", tmp_path / "list.h5").ok()
    assert run_group(tmp_path / "list.h5", "foreign")[0]["epoch"].tolist() == [0, 1, 2]  # the numbers do not rise
    assert "note: " in done.err and "give the epochs of 3 of 3; their places in the run, 0 to 2, are taken" in done.err


@pytest.mark.parametrize("names, epochs, has_note", [
    (["model_8_acc99.9.pt", "model_9_acc99.95.pt", "model_10_acc99.97.pt"], [8, 9, 10], False),
    (["epoch=8-step=80.ckpt", "epoch=9-step=90.ckpt", "epoch=10-step=100.ckpt"], [8, 9, 10], False),
    (["ckpt.pt", "other.pt", "third.pt"], [0, 1, 2], True),
])
def test_epochs_of_names(names, epochs, has_note, lossatlas, foreign, pictures, tmp_path):
    for name, number in zip(names, (2, 10, 100)):
        (tmp_path / name).write_bytes((foreign / f"model_{number}.pt").read_bytes())
    done = lossatlas("trajectory", "--checkpoints", ",".join(str(tmp_path / name) for name in names), "--arch", "mlp",
                     "--data", pictures.words, "--grid", "2x1", "--y", "0:0", "--samples", 20, "--out", tmp_path / "t.h5").ok()
    assert run_group(tmp_path / "t.h5", tmp_path.name)[0]["epoch"].tolist() == epochs
    assert ("their places in the run" in done.err) == has_note


# --- directions of other tools -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["cos", "lstsq"])
def test_directions_that_are_not_orthogonal(rule, lossatlas, mlp_run, pictures, tmp_path):
    files = files_of(mlp_run)
    state = helpers.state_of(files[-1])
    random = np.random.default_rng(3)
    first = [random.normal(size=tensor.shape) for tensor in state.values()]
    second = [0.5 * a + random.normal(size=a.shape) for a in first]
    helpers.write_directions(tmp_path / "d.h5", first, second)
    lossatlas("trajectory", "--run", mlp_run, "--data", pictures.words, "--directions", tmp_path / "d.h5", "--project",
              rule, "--out", tmp_path / "t.h5", "--save-projection", tmp_path / "p.h5", "--grid", "2x2", "--samples",
              20).ok()
    basis = np.stack([np.concatenate([np.float32(t).ravel() for t in d]) for d in (first, second)]).astype(float)
    rows = matrix_of(files, files[-1])
    norms = np.linalg.norm(basis, axis=1)
    if rule == "cos":
        expected, theirs = rows @ basis.T / norms**2, rows @ basis.T / norms
    else:
        expected = theirs = np.linalg.lstsq(basis.T, rows.T, rcond=None)[0].T
    values, _ = run_group(tmp_path / "t.h5", "mlp")
    np.testing.assert_allclose(np.stack([values["x"], values["y"]], 1), expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(values["distance"], np.linalg.norm(rows - expected @ basis, axis=1), rtol=1e-6)
    with h5py.File(tmp_path / "p.h5") as file:
        found = np.stack([file["proj_xcoord"][()], file["proj_ycoord"][()]], 1)
    np.testing.assert_allclose(found, theirs, rtol=1e-6, atol=1e-12)
    with h5py.File(tmp_path / "t.h5") as file:
        assert "pca" not in file["lossatlas"]


def test_directions_of_the_other_type(lossatlas, run, surface, directions, pictures, tmp_path):
    done = lossatlas("trajectory", "--run", run, "--data", pictures.words, "--directions", directions, "--dir-type",
                     "states", "--out", tmp_path / "t.h5")
    assert done.status == 1 and "directions of weights, --dir-type asks for states" in done.line()


# --- going on ------------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_interrupted_and_gone_on_with(lossatlas, mlp_run, pictures, tmp_path):
    words = ["trajectory", "--run", mlp_run, "--data", pictures.words, "--grid", "28x28"]
    whole, part = tmp_path / "whole.h5", tmp_path / "part.h5"
    lossatlas(*words, "--out", whole, "--threads", 2).ok()
    stopped = helpers.interrupt([*words, "--out", part, "--threads", 1], "centre:", signal.SIGINT, until=helpers.has_begun(part))
    assert stopped.status == 130 and "--resume" in stopped.err
    evaluated = helpers.read(part)["lossatlas/evaluated"]
    assert not evaluated.all()
    lossatlas(*words, "--out", part, "--threads", 2, "--resume").ok()
    expected, found = helpers.read(whole), helpers.read(part)
    for name in ("train_loss", "train_acc", "lossatlas/evaluated"):
        np.testing.assert_array_equal(found[name], expected[name])
    expected, found = run_group(whole, "mlp")[0], run_group(part, "mlp")[0]
    assert sorted(found) == sorted(expected)
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name])
    assert "nothing is left to do" in lossatlas(*words, "--out", part, "--resume").ok().err


def test_other_checkpoints_are_not_mixed_in(lossatlas, mlp_run, pictures, tmp_path):
    run = tmp_path / "mlp"
    shutil.copytree(mlp_run, run)
    words = ["trajectory", "--run", run, "--data", pictures.words, "--grid", "2x2", "--samples", 20, "--out",
             tmp_path / "t.h5"]
    lossatlas(*words).ok()
    shutil.copy(files_of(run)[0], files_of(run)[1])
    state = helpers.load(files_of(run)[0])
    state["state_dict"] = {name: tensor + 0.01 for name, tensor in state["state_dict"].items()}
    torch.save(state, files_of(run)[1])
    refused = lossatlas(*words, "--resume")
    assert refused.status == 1 and "runs was mlp" in refused.line()


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(mlp_run, run, folder):
    """Folders of checkpoints that make no plane."""
    place = folder / "bad"
    files = files_of(mlp_run)

    def fill(name, *states):
        (place / name / "checkpoints").mkdir(parents=True)
        for epoch, state in enumerate(states):
            torch.save(state, place / name / "checkpoints" / f"epoch-{epoch:04d}.pt")

    first, second, last = (helpers.load(path) for path in files)
    fill("two", first, last)
    fill("equal", last, last, last)
    middle = {name: (first["state_dict"][name] + last["state_dict"][name]) / 2 for name in last["state_dict"]}
    fill("line", first, {**last, "state_dict": middle}, last)
    fill("mixed", helpers.load(files_of(run)[0]), first, last)
    broken = {**second, "state_dict": {name: tensor * np.nan for name, tensor in second["state_dict"].items()}}
    fill("nan", first, broken, last)
    (place / "empty").mkdir()
    return place


@pytest.mark.parametrize("name, status, text", [
    ("two", 1, "three checkpoints at least, not 2"),
    ("equal", 1, "all 3 checkpoints are equal"),
    ("line", 1, "lie on one line"),
    ("mixed", 1, "epoch-0000.pt does not fit mlp"),
    ("nan", 1, "epoch-0001.pt: holds parameters that are not finite"),
    ("empty", 1, "not a run folder: it holds no checkpoints/epoch-NNNN.pt or step-NNNNNN.pt"),
    ("missing", 1, "no such folder"),
])
def test_runs_that_make_no_plane(name, status, text, lossatlas, bad, pictures, tmp_path):
    refused = lossatlas("trajectory", "--run", bad / name, "--data", pictures.words, "--out", tmp_path / "t.h5")
    assert refused.status == status and text in refused.line() and name in refused.line()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words, text", [
    ([], "name it with --run"),
    (["--checkpoints", "nothing-*.pt"], "--checkpoints nothing-*.pt: matches no file"),
    (["--checkpoints", "a.pt,,b.pt"], "requires files or a pattern"),
    (["--project", "sin"], "--project sin: requires cos or lstsq"),
    (["--dir-type", "all"], "--dir-type all"),
    (["--grid", "3x"], "--grid 3x"),
    (["--checkpoint", "a.pt"], "unknown option '--checkpoint', did you mean '--checkpoints'?"),
])
def test_wrong_words(words, text, lossatlas, tmp_path):
    refused = lossatlas("trajectory", "--data", "synthetic", "--out", tmp_path / "t.h5", *words)
    assert refused.status == 2 and text in refused.line()
    assert not list(tmp_path.iterdir())


def test_outputs_never_fall_on_inputs(lossatlas, mlp_run, pictures, tmp_path):
    words = ["trajectory", "--run", mlp_run, "--data", pictures.words]
    last = files_of(mlp_run)[-1]
    before = last.read_bytes()
    for option, value in (("--out", last), ("--save-projection", last), ("--save-directions", last)):
        refused = lossatlas(*words, "--out", tmp_path / "t.h5", "--force", option, value)
        assert refused.status == 2 and len(refused.err.splitlines()) == 1, refused.err
    assert last.read_bytes() == before
    refused = lossatlas(*words, "--out", tmp_path / "t.h5", "--save-projection", tmp_path / "t.h5")
    assert refused.status == 2 and "--save-projection" in refused.line()
