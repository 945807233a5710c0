"""surface, line, trajectory, curve and curvature: what they return is what PyTorch and h5py give, and errors say what to do."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lossatlas

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LOSSATLAS_BINARY", ROOT / "build" / "release" / "lossatlas")).absolute()
needs_program = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


@pytest.fixture(autouse=True)
def program(monkeypatch):
    monkeypatch.setenv("LOSSATLAS_BINARY", str(BINARY))


@pytest.fixture(scope="module")
def network():
    """A network, its inputs and labels."""
    torch.manual_seed(0)
    inputs, labels = torch.randn(40, 4), torch.arange(40) % 3
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), inputs, labels


@pytest.fixture(scope="module")
def problem(network):
    model, inputs, labels = network
    return lossatlas.export_problem(model, "cross-entropy", (inputs, labels), quiet=True)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes a program of a shell script."""
    def make(script):
        path = tmp_path / "lossatlas"
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(0o755)
        monkeypatch.setenv("LOSSATLAS_BINARY", str(path))
        return path
    return make


def quiet(job, *arguments, **more):
    return job(*arguments, progress=False, **more)


# --- a problem -------------------------------------------------------------------------------------


def test_a_problem_without_a_path_lives_as_long_as_its_object(network):
    model, inputs, labels = network
    made = lossatlas.export_problem(model, "mse", (inputs, torch.randn(40, 3)), quiet=True)
    path = os.fspath(made)
    assert made["loss"] == {"name": "mse"} and os.path.exists(path)
    del made
    assert not os.path.exists(os.path.dirname(path))


def test_a_refused_problem_leaves_no_folder(network, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(lossatlas.Error):
        lossatlas.export_problem(network[0], "nonsense", (network[1], network[2]), quiet=True)
    assert os.listdir(tmp_path) == []


# --- values ----------------------------------------------------------------------------------------


@needs_program
def test_a_surface_is_that_of_pytorch(network, problem, tmp_path, capfd):
    model, inputs, labels = network
    out, directions = tmp_path / "S.h5", tmp_path / "D.h5"
    surface = quiet(lossatlas.surface, problem, out=out, grid=(5, 3), x=(-1, 1), y=(-0.5, 0.5), save_directions=directions)
    assert capfd.readouterr() == ("", "")
    assert type(surface) is lossatlas.Surface and surface.path == str(out) and surface.progress == (15, 15)
    assert {name: values.tolist() for name, values in surface.axes.items()} == {
        "x": [-1, -0.5, 0, 0.5, 1], "y": [-0.5, 0, 0.5]}
    with h5py.File(out) as file:
        assert np.array_equal(surface.values(), file["train_loss"][()])
        assert np.array_equal(surface.values("train_acc"), file["train_acc"][()])
        assert surface.names[:2] == ["train_acc", "train_loss"] and "train_loss_se" in surface.names
    with h5py.File(directions) as file:
        first, second = ([torch.from_numpy(file[name][key][()]) for key in sorted(file[name], key=lambda k: int(k.split("_")[-1]))]
                         for name in ("xdirection", "ydirection"))
    centre = [p.detach() for p in model.parameters()]
    moved = {name: p + 0.5 * a - 0.5 * b for (name, _), p, a, b in zip(model.named_parameters(), centre, first, second)}
    loss = F.cross_entropy(torch.func.functional_call(model, moved, (inputs,)), labels).item()
    assert surface.values()[0, 3] == pytest.approx(loss, rel=1e-5)
    assert surface.settings["seed"] == 0 and surface.summary["points"] == 15


@needs_program
def test_shards_are_merged_into_the_surface(problem, tmp_path):
    whole = quiet(lossatlas.surface, problem, grid=(5, 3))
    shards = [quiet(lossatlas.surface, problem, grid=(5, 3), out=tmp_path / "S.h5", shard=(number, 2)) for number in (1, 2)]
    assert [shard.path for shard in shards] == [str(tmp_path / f"S-{number}-of-2.h5") for number in (1, 2)]
    assert shards[0].progress == (8, 15)
    with pytest.raises(lossatlas.Error, match="shard 2 of 2 is missing.*partial"):
        lossatlas.merge(shards[:1], out=tmp_path / "S.h5")
    merged = lossatlas.merge(shards, out=tmp_path / "S.h5")
    assert type(merged) is lossatlas.Surface and merged.path == str(tmp_path / "S.h5")
    assert np.array_equal(merged.values(), whole.values()) and merged.settings == whole.settings
    with pytest.raises(lossatlas.Error, match="exists"):
        lossatlas.merge(shards, out=tmp_path / "S.h5")
    lossatlas.merge(shards[:1], out=tmp_path / "S.h5", partial=True, force=True)
    assert quiet(lossatlas.surface, problem, grid=(5, 3), out=tmp_path / "S.h5", resume=True).progress == (15, 15)
    with pytest.raises(lossatlas.Error, match="shard 3/2: requires"):
        quiet(lossatlas.surface, problem, out=tmp_path / "S.h5", shard="3/2")
    with pytest.raises(lossatlas.Error, match="shard requires out"):
        quiet(lossatlas.surface, problem, shard="1/2")


@needs_program
def test_a_surface_as_xarray(problem):
    surface = quiet(lossatlas.surface, problem, grid=(5, 3), repeat=2)
    found = surface.to_xarray()
    assert found["train_loss"].dims == ("y", "x") and found["train_loss"].attrs["units"] == "nats"
    assert found["train_acc"].attrs["units"] == "percent" and found.attrs["kind"] == "surface"
    assert found["x"].attrs["units"] == "multiples of direction 1"
    assert np.array_equal(found["train_loss"].values, surface.values())
    assert np.allclose((surface.values(draw=1) + surface.values(draw=2)) / 2, surface.values())
    with pytest.raises(lossatlas.Error, match="has no draw 3: it has 2"):
        surface.values(draw=3)


@needs_program
def test_a_curvature(network, problem, tmp_path):
    model, inputs, labels = network
    c = quiet(lossatlas.curvature, problem, top=2, low=1, trace=8, by="module", density=2, out=tmp_path / "c.h5", samples="all")
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()))
    vector = torch.cat([p.detach().flatten() for p in model.parameters()]).double()

    def loss(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        state = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes)}
        return F.cross_entropy(torch.func.functional_call(model, state, (inputs.double(),)), labels)

    hessian = torch.autograd.functional.hessian(loss, vector).numpy()
    wanted = np.linalg.eigvalsh(hessian)
    assert type(c) is lossatlas.Curvature and c.kind == "curvature"
    assert c.eigenvalues == pytest.approx([wanted[-1], wanted[-2], wanted[0]], rel=1e-3)
    first = c.eigenvectors[0].astype(float)
    assert first @ hessian @ first == pytest.approx(wanted[-1], rel=1e-3)
    assert abs(c.numbers["trace"]["value"] - wanted.sum()) < 5 * c.numbers["trace"]["se_probes"]
    assert list(c.modules) == ["0", "2"] and c.density[1].sum(1) == pytest.approx([1, 1])
    assert type(lossatlas.open(tmp_path / "c.h5")) is lossatlas.Curvature
    with pytest.raises(lossatlas.Error, match="operator fisher: requires hessian or gauss-newton"):
        quiet(lossatlas.curvature, problem, operator="fisher")


@needs_program
def test_a_line_a_trajectory_and_a_curve(network, problem, tmp_path):
    model, inputs, labels = network
    other = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    torch.save(other.state_dict(), tmp_path / "other.pt")
    line = quiet(lossatlas.line, problem, to=tmp_path / "other.pt", points=3, x=(0, 1))
    expected = [F.cross_entropy(each(inputs), labels).item() for each in (model, other)]
    assert type(line) is lossatlas.Line and line.values()[[0, 2]] == pytest.approx(expected, rel=1e-5)

    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    with lossatlas.Recorder(other, tmp_path / "run", optimizer) as recorder:
        for _ in range(2):
            with torch.no_grad():
                other[0].weight += 0.1 * torch.randn(8, 4)
            recorder.epoch(train_loss=1.0)
    trajectory = quiet(lossatlas.trajectory, tmp_path / "run", problem=problem, grid=5)
    assert type(trajectory) is lossatlas.Trajectory and trajectory.shape == (5, 5)
    run = trajectory.runs["run"]
    assert run["epoch"].tolist() == [0, 1, 2] and run["length"][2] == 0
    assert run["train_loss"][2] == pytest.approx(F.cross_entropy(other(inputs), labels).item(), rel=1e-5)

    curve = quiet(lossatlas.curve, problem, tmp_path / "other.pt", problem=problem, points=3, epochs=1,
                  out=tmp_path / "C.h5")
    assert type(curve) is lossatlas.Curve and curve.values()[[0, 2]] == pytest.approx(expected, rel=1e-5)


@needs_program
def test_a_problem_is_a_checkpoint_too(problem, tmp_path):
    with pytest.raises(lossatlas.Error, match="bn_images"):
        quiet(lossatlas.line, problem, to=problem, bn_images=1)
    assert np.ptp(quiet(lossatlas.surface, problem, checkpoint=problem, grid=3).values()) > 0


@needs_program
def test_a_failed_run_leaves_no_temporary_file(problem, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(lossatlas.Error):
        quiet(lossatlas.surface, problem, grid="abc")
    assert os.listdir(tmp_path) == []


@needs_program
def test_a_temporary_file_goes_with_its_result(problem):
    surface = quiet(lossatlas.surface, problem, grid=3)
    path = surface.path
    del surface
    assert not os.path.exists(os.path.dirname(path))


@needs_program
def test_an_export_is_that_of_the_program(problem, tmp_path):
    surface = quiet(lossatlas.surface, problem, grid=3)
    assert surface.export(tmp_path / "S.npz") == str(tmp_path / "S.npz")
    with np.load(tmp_path / "S.npz") as file:
        assert np.array_equal(file["train_loss"], surface.values())
    with pytest.raises(lossatlas.Error, match=r"S.npz: exists.*force"):
        surface.export(tmp_path / "S.npz")


@needs_program
def test_the_example_of_the_page_draws_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text()
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert (tmp_path / "S.png").read_bytes().startswith(b"\x89PNG")


# --- messages --------------------------------------------------------------------------------------


@needs_program
@pytest.mark.parametrize("arguments, text", [
    ({"gird": 5}, "unknown option 'gird', did you mean 'grid'?"),
    ({"bn_images": 1}, r"^bn_images"),
    ({"grid": "abc"}, "^grid abc: "),
])
def test_wrong_arguments_are_refused_by_the_program(problem, arguments, text):
    with pytest.raises(lossatlas.Error, match=text):
        quiet(lossatlas.surface, problem, **arguments)


@needs_program
def test_a_broken_problem_says_what_to_do(problem, tmp_path):
    broken = tmp_path / "broken.lossatlas"
    broken.write_bytes(pathlib.Path(problem).read_bytes()[:5000])
    with pytest.raises(lossatlas.Error, match="broken.lossatlas: .*; write it again with lossatlas.export_problem"):
        quiet(lossatlas.surface, broken)


def test_a_network_is_no_file(network):
    with pytest.raises(lossatlas.Error, match="problem is a Sequential.*export_problem first"):
        lossatlas.surface(network[0])


def test_resume_requires_a_file(problem):
    with pytest.raises(lossatlas.Error, match="resume requires out"):
        lossatlas.surface(problem, resume=True)


def test_a_missing_program_says_how_to_get_one(problem, monkeypatch, tmp_path):
    monkeypatch.delenv("LOSSATLAS_BINARY")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("lossatlas.program.SOURCE", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(lossatlas.Error, match="not found: install it with `pip install .`.*LOSSATLAS_BINARY"):
        lossatlas.surface(problem)
    monkeypatch.setenv("LOSSATLAS_BINARY", str(tmp_path / "none"))
    with pytest.raises(lossatlas.Error, match="LOSSATLAS_BINARY names .*none, which is no program"):
        lossatlas.surface(problem)


def test_a_program_that_is_none(problem, fake):
    fake("").write_bytes(b"\x7fELF, but no program")
    with pytest.raises(lossatlas.Error, match="cannot be run"):
        lossatlas.surface(problem)


def test_arguments_become_options(problem, fake, tmp_path):
    fake(f"""printf '%s\\n' "$@" > {tmp_path}/words; echo "lossatlas: --bn-images 7: enough" >&2; exit 2""")
    with pytest.raises(lossatlas.Error) as error:
        lossatlas.surface(problem, out=tmp_path / "S.h5", grid=(5, 3), x=(-1, 0.5), bn_images=7, force=True, resume=False,
                          axis={5: (-1, 1)}, mean=(0.5, 0.25, 1), progress=False)
    assert str(error.value) == "bn_images 7: enough"
    assert set((tmp_path / "words").read_text().split()) == {
        "surface", f"--problem={problem.path}", f"--out={tmp_path}/S.h5", "--grid=5x3", "--x=-1:0.5", "--bn-images=7",
        "--force", "--axis=5=-1:1", "--mean=0.5,0.25,1", "--progress=json"}


def test_warnings_of_the_program_are_warnings_and_notes_are_printed(problem, fake, capsys):
    fake("""echo "warning: --mean is odd" >&2; echo "a note" >&2; echo '{"done": 1, "total": 2}' >&2; exit 0""")
    for progress, printed in ((False, ""), (True, "a note\n")):
        with pytest.warns(UserWarning, match="^mean is odd"), pytest.raises(lossatlas.Error, match="does not exist"):
            lossatlas.surface(problem, progress=progress)
        assert capsys.readouterr().err.count("a note\n") == (printed != "")


def test_a_killed_program_is_named(problem, fake):
    fake("kill -9 $$")
    with pytest.raises(lossatlas.Error, match="ended by SIGKILL"):
        lossatlas.surface(problem, progress=False)


# --- progress and interrupts -------------------------------------------------------------------------


def test_progress_feeds_tqdm(problem, fake, monkeypatch):
    states = []

    class Tqdm:
        def __init__(self, **more):
            self.n, self.total = 0, more["total"]
            states.append(more)

        def set_postfix_str(self, text, refresh):
            states.append(text)

        def refresh(self):
            states.append((self.n, self.total))

        def close(self):
            states.append("closed")

        write = staticmethod(lambda text, file: None)

    module = type(sys)("tqdm.auto")
    module.tqdm = Tqdm
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    fake("""echo '{"done": 3, "total": 9, "lowest": 0.5, "highest": 2}' >&2; exit 1""")
    with pytest.raises(lossatlas.Error):
        lossatlas.surface(problem)
    assert states == [{"total": 9, "desc": "surface", "unit": " points"}, "loss 0.5 to 2", (3, 9), "closed"]


@needs_program
def test_an_interrupted_surface_is_saved_and_resumes(problem, tmp_path):
    out = tmp_path / "S.h5"
    journal = tmp_path / "S.h5.journal"

    def interrupt():
        end = time.monotonic() + 60
        while time.monotonic() < end and not (journal.exists() and journal.stat().st_size > 5000):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(lossatlas.Interrupted) as error:
            quiet(lossatlas.surface, problem, out=out, grid=401, threads=1)
            time.sleep(60)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, old)
    done, total = lossatlas.open(out).progress
    assert 0 < done < total == 401 * 401 and error.value.out == str(out)
    assert f"{done} of {total} points are saved in {out}" in str(error.value)
    assert f"out={str(out)!r} and resume=True" in str(error.value) and isinstance(error.value, KeyboardInterrupt)
    resumed = quiet(lossatlas.surface, problem, out=out, grid=401, resume=True)
    assert resumed.progress == (total, total)


# --- import ------------------------------------------------------------------------------------------


def test_import_needs_only_the_standard_library():
    code = "import lossatlas, sys; print({'torch', 'h5py', 'numpy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
