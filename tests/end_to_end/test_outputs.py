"""What the program writes: never over what it reads, never over what is somebody else's, once at a time."""

import hashlib
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import h5py
import pytest
import torch

import helpers

DATA = ["--data", "cifar10:data"]  # the copy in the test's folder
FEW = ["--samples", 10]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(folder, pictures):
    """A copy of the pictures that a test may try to damage."""
    shutil.copytree(pictures.folder, folder / "data")
    return folder / "data"


@pytest.fixture(scope="session")
def linear_run(lossatlas, pictures, tmp_path_factory):
    run = tmp_path_factory.mktemp("linear") / "run"
    lossatlas("train", "--arch", "linear", "--data", pictures.words, "--out", run, "--epochs", 2, "--batch-size", 100,
              "--lr", 0.01, "--threads", 1).ok()
    return run


@pytest.fixture
def run(folder, linear_run):
    shutil.copytree(linear_run, folder / "run")
    return folder / "run"


@pytest.fixture
def a(run):
    return run / "checkpoints" / "epoch-0001.pt"


@pytest.fixture
def b(run):
    return run / "checkpoints" / "epoch-0002.pt"


def surface(checkpoint, *words, out="s.h5"):
    return ["surface", "--checkpoint", checkpoint, *DATA, "--grid", "2x2", *FEW, "--out", out, *words]


@pytest.fixture
def refused(lossatlas, folder):
    """refused(status, culprits, words...) runs the program: one line with the culprits, and no file has changed."""

    def call(status, culprits, *words):
        before = helpers.tree(folder)
        done = lossatlas(*words, cwd=folder)
        assert done.status == status, done.err
        for culprit in [culprits] if isinstance(culprits, str) else culprits:
            assert str(culprit) in done.line()
        assert helpers.tree(folder) == before

    return call


# --- what is read ------------------------------------------------------------------------------------------------


def commands(a, b):
    """Each command that reads files and writes some, by the options that name what it writes."""
    curve = ["curve", "--from", a, "--to", b, *DATA, "--epochs", 1, "--points", 2, *FEW, "--force"]
    trajectory = ["trajectory", "--run", "run", *DATA, "--grid", "2x2", *FEW, "--force"]
    return {
        "surface": ([*surface(a)[:-2], "--force"], ["--out", "--save-directions", "--log"]),
        "line": (["line", "--checkpoint", a, "--to", b, *DATA, "--points", 3, *FEW, "--force"],
                 ["--out", "--save-directions", "--log"]),
        "trajectory": (trajectory, ["--out", "--save-directions", "--save-projection", "--log"]),
        "curve": (curve, ["--out", "--plane-out", "--log"]),
    }


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("command", ["surface", "line", "trajectory", "curve"])
def test_no_output_over_an_input(refused, data, folder, a, b, command, link):
    words, options = commands(a, b)[command]
    inputs = [b if command != "surface" else a, data / "data_batch_3.bin", data / "test_batch.bin"]
    if command == "trajectory":
        inputs.append(folder / "run" / "history.h5")
    for number, file in enumerate(inputs):
        link(file, folder / f"link{number}.pt")
    for option in options:
        more = [] if option == "--out" else ["--out", "s.h5"]
        for number in range(len(inputs)):
            refused(2, [option, "read and written"], *words, *more, option, f"link{number}.pt")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_export_over_its_input(lossatlas, refused, data, folder, run, link):
    lossatlas("trajectory", "--run", "run", *DATA, "--grid", "2x2", *FEW, "--out", "t.h5").ok()
    link(folder / "t.h5", folder / "link.csv")
    refused(2, "read and written", "export", "t.h5", "--out", "link.csv", "--force")
    link(folder / "t.h5", folder / "u-paths.csv")  # the second file of this export
    refused(2, "read and written", "export", "t.h5", "--out", "u.csv", "--force")


@pytest.mark.parametrize("words", [
    ["--save-directions", "s.h5"], ["--log", "s.h5"], ["--save-directions", "d.h5", "--log", "d.h5"],
    ["--save-directions", "s.h5.journal"], ["--save-directions", "s.h5.lock"], ["--save-directions", "s.h5.tmp1"],
    ["--save-directions", "s.h5.claims/d.h5"], ["--save-directions", "./sub/../s.h5.journal"],
    ["--log", "./sub/../s.h5"], ["--log", "s.h5.journal"], ["--log", "s.h5.journal.host.1"], ["--log", "s.h5.lock.taking"],
], ids=" ".join)
def test_outputs_apart(refused, data, folder, a, words):
    (folder / "sub").mkdir()
    refused(2, words[-2:], *surface(a, *words, "--force"))


def test_surface_with_the_name_of_another_ones_lock(refused, data, a, b):
    refused(2, ["--out s.h5.lock", "--plane-out"], "curve", "--from", a, "--to", b, *DATA, "--out", "s.h5.lock",
            "--plane-out", "s.h5", *FEW)


# --- the log -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda path, a: path.write_text("my notes\n2026-01-31T12:00:00Z not in the first line\n"),
    lambda path, a: path.write_bytes(a.read_bytes()),
    lambda path, a: path.write_bytes(b"2026-01-31"),
    lambda path, a: os.mkdir(path),
    lambda path, a: os.mkfifo(path),  # that nobody reads
    lambda path, a: socket.socket(socket.AF_UNIX).bind(os.path.basename(path)),
], ids=["notes", "checkpoint", "a date", "folder", "pipe", "socket"])
def test_log_into_what_is_no_log(refused, data, folder, a, make):
    make(folder / "log", a)
    refused(1, "log", *surface(a, "--log", "log"))


def test_log_is_added_to(lossatlas, data, folder, a):
    (folder / "log").touch()
    lossatlas(*surface(a, "--log", "log")).ok()
    first = (folder / "log").read_text()
    os.symlink("log", folder / "link")
    lossatlas(*surface(a, "--log", "link", out="t.h5")).ok()
    assert (folder / "log").read_text().startswith(first) and "into t.h5" in (folder / "log").read_text()


def test_log_into_a_stream(lossatlas, data, folder, a):
    lossatlas(*surface(a, "--log", "/dev/null")).ok()

    def run(shell, log, out, **more):
        words = [str(word) for word in surface(a, "--log", log, out=out)]
        subprocess.run(["bash", "-c", shell, "bash", helpers.BINARY, *words], check=True, stdout=subprocess.DEVNULL,
                       **more)

    run('echo before >&2; "$@"', "/dev/stderr", "t.h5", stderr=open(folder / "err", "w"))
    os.mkfifo("pipe")
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True)
    run('exec 9>pipe; "$@"', "/dev/fd/9", "u.h5", stderr=subprocess.DEVNULL)
    assert "into u.h5" in reader.communicate(timeout=20)[0]


# --- what is no file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make, kind", [
    (os.mkfifo, stat.S_ISFIFO), (os.mkdir, stat.S_ISDIR), (lambda path: os.symlink("/dev/null", path), None),
    (lambda path: socket.socket(socket.AF_UNIX).bind(os.path.basename(path)), stat.S_ISSOCK),
], ids=["pipe", "folder", "device", "socket"])
def test_outputs_onto_what_is_no_file(refused, lossatlas, data, folder, run, a, b, make, kind):
    lossatlas(*surface(a, out="done.h5")).ok()
    make("x.h5")
    curve = ["curve", "--from", a, "--to", b, *DATA, "--epochs", 1, "--force"]
    for words in (surface(a, "--force", out="x.h5"), surface(a, "--resume", out="x.h5"),
                  surface(a, "--force", "--save-directions", "x.h5"),
                  ["trajectory", "--run", "run", *DATA, "--save-projection", "x.h5", "--force", "--out", "t.h5"],
                  [*curve, "--plane-out", "x.h5", "--out", "p.h5"],
                  ["export", "done.h5", "--to", "csv", "--out", "x.h5", "--force"],
                  ["descend", "--function", "x^2", "--from", "1", "--out", "x.h5", "--force"]):
        refused(1, "not a file", *words)
    assert kind is None or kind(os.lstat("x.h5").st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_run_folder_with_a_pipe_in_it(refused, data, folder, run):
    (run / "history.h5").unlink()
    os.mkfifo(run / "history.h5")
    refused(1, "history.h5", "train", "--arch", "linear", "--data", "cifar10:data", "--out", "run", "--force")


# --- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "dangling"])
def test_linked_output(lossatlas, data, folder, a, is_there):
    (folder / "real").mkdir()
    if is_there:
        (folder / "real" / "s.h5").write_text("old")
    os.symlink("real/s.h5", "one.h5")
    os.symlink(folder / "one.h5", "two.h5")
    (folder / "real" / "s.h5.lock").write_text("mine")
    done = lossatlas(*surface(a, "--force", out="two.h5"))
    assert done.status == 1 and "real/s.h5.lock" in done.line()  # the lock is that of the real file
    (folder / "real" / "s.h5.lock").unlink()
    lossatlas(*surface(a, "--force", out="two.h5")).ok()
    assert os.readlink("one.h5") == "real/s.h5" and os.readlink("two.h5") == str(folder / "one.h5")
    with h5py.File("real/s.h5") as file:
        assert file["train_loss"].shape == (2, 2)
    assert sorted(os.listdir("real")) == ["s.h5"]
    assert sorted(name for name in os.listdir() if ".h5" in name) == ["one.h5", "two.h5"]
    again = lossatlas(*surface(a, "--resume", out="two.h5")).ok()
    assert "complete" in again.err


def test_linked_outputs_of_other_commands(lossatlas, data, folder, a):
    (folder / "real").mkdir()
    for name in ("d.h5", "e.csv", "f.h5"):
        os.symlink(f"real/{name}", name)
    lossatlas(*surface(a, "--save-directions", "d.h5")).ok()
    lossatlas("export", "s.h5", "--out", "e.csv").ok()
    lossatlas("descend", "--function", "x^2", "--from", "1", "--out", "f.h5").ok()
    assert sorted(os.listdir("real")) == ["d.h5", "e.csv", "f.h5"]
    assert all(os.path.islink(name) for name in ("d.h5", "e.csv", "f.h5"))


def test_link_without_an_end(refused, data, folder, a):
    os.symlink("x.h5", "x.h5")
    refused(1, "x.h5", *surface(a, out="x.h5"))


# --- files of others beside an output ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--force"], ["--resume"]], ids=" ".join)
@pytest.mark.parametrize("name", ["s.h5.journal", "s.h5.lock", "s.h5.claims", "s.h5.claims/mine",
                                  "s.h5.claims/block-000001", "s.h5.claims/x.alive", "s.h5.claims/open"])
def test_name_of_ours_that_is_taken(refused, data, folder, a, name, words):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("not yours, my notes")
    refused(1, "exists" if name.endswith("journal") and not words else "move it away", *surface(a, *words))


def test_names_like_ours_are_left_alone(lossatlas, data, folder, a):
    names = ["s.h5.probe", "s.h5.tmp7", "s.h5.journal.tmp7", "s.h5.journal.7", "s.h5.journal.host.7",
             "s.h5.journal.damaged", "s.h5.txt"]
    for name in names:
        (folder / name).write_text("mine")
    lossatlas(*surface(a)).ok()
    lossatlas(*surface(a, "--resume")).ok()
    assert all((folder / name).read_text() == "mine" for name in names)


def test_left_temporary_files_are_removed(lossatlas, data, folder, a):
    lossatlas(*surface(a, out="t.h5")).ok()
    whole = (folder / "t.h5").read_bytes()
    left = {"s.h5.tmp7": whole, "s.h5.tmp8": whole[:100], "s.h5.tmp9": b"", "s.h5.journal.tmp9": b"loss"}
    for name, content in left.items():
        (folder / name).write_bytes(content)
    lossatlas(*surface(a)).ok()
    assert [name for name in os.listdir() if name.startswith("s.h5")] == ["s.h5"]


@pytest.mark.parametrize("words", [["--resume"], ["--force"]], ids=" ".join)
@pytest.mark.parametrize("name", ["p.bend-1.pt", "p.h5.curve.pt"])
def test_curve_over_files_of_others(refused, data, folder, a, b, name, words):
    torch.save({"mine": torch.ones(2)}, folder / name)
    curve = ["curve", "--from", a, "--to", b, *DATA, "--epochs", 1, "--out", "p.h5"]
    refused(1, [name, "move it away"], *curve, *words)


# --- run folders -------------------------------------------------------------------------------------------------


def train(*words, out="r"):
    return ["train", "--arch", "linear", *DATA, "--out", out, "--batch-size", 100, "--lr", 0.01, "--threads", 1, *words]


def test_one_process_trains_into_a_folder(lossatlas, refused, data, folder):
    words = [str(word) for word in (helpers.BINARY, *train("--epochs", 1_000_000))]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stat_of_first = pathlib.Path(f"/proc/{first.pid}/stat")
    try:
        helpers.wait_for((folder / "r" / "resume.pt").exists, first)
        os.kill(first.pid, signal.SIGSTOP)  # nothing but the others can change the folder
        helpers.wait_for(lambda: stat_of_first.read_text().rsplit(")")[1].split()[0] == "T", first)
        for words in ([], ["--force"], ["--resume"]):
            refused(1, ["r: process", first.pid, "has been writing it"], *train("--epochs", 1, *words))
    finally:
        first.kill()
        first.wait()
    assert (folder / "r" / "train.lock").exists()
    lossatlas(*train("--epochs", 1, "--force")).ok()
    assert sorted(os.listdir("r")) == ["checkpoints", "history.h5", "resume.pt"]


@pytest.mark.parametrize("left", [["checkpoints/epoch-0000.pt", "history.h5"], ["checkpoints/epoch-0000.pt"]],
                         ids=["history", "no history"])
def test_run_killed_before_it_could_be_resumed(lossatlas, data, folder, left):
    lossatlas(*train("--epochs", 1, out="whole")).ok()
    lossatlas(*train("--epochs", 0)).ok()
    for path in [*(folder / "r").glob("*"), *(folder / "r").glob("*/*")]:
        if path.is_file() and str(path.relative_to(folder / "r")) not in left:
            path.unlink()
    assert "--resume" in lossatlas(*train("--epochs", 1)).line()
    done = lossatlas(*train("--epochs", 1, "--resume")).ok()
    assert done.err.startswith("note: r: ")
    checkpoints = (folder / name / "checkpoints" / "epoch-0001.pt" for name in ("whole", "r"))
    whole, again = (helpers.load(checkpoint)["state_dict"] for checkpoint in checkpoints)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_run_without_what_it_resumes_from(refused, data, run):
    (run / "resume.pt").unlink()
    refused(1, ["resume.pt", "--force"], *train("--resume", "--epochs", 3, out="run"))


@pytest.mark.parametrize("words", [["--force"], ["--resume"]], ids=" ".join)
@pytest.mark.parametrize("name", ["checkpoints/epoch-0001.pt", "checkpoints/epoch-0009.pt", "history.h5", "resume.pt"])
def test_run_over_files_of_others(refused, data, run, name, words):
    torch.save({"epoch": 3, "arch": "resnet50", "state_dict": {"w": torch.ones(2)}}, run / name)
    refused(1, [name, "move it away"], *train("--epochs", 9, *words, out="run"))


def test_force_keeps_checkpoints_of_others(lossatlas, data, run):
    (run / "checkpoints" / "epoch-best.pt").write_text("mine")
    lossatlas(*train("--epochs", 0, "--force", out="run")).ok()
    assert sorted(os.listdir(run / "checkpoints")) == ["epoch-0000.pt", "epoch-best.pt"]


# --- inputs ------------------------------------------------------------------------------------------------------


def test_pipes_as_inputs(refused, data, folder, a, b):
    os.mkfifo("pipe")
    refused(1, ["pipe", "a pipe"], "info", "pipe")
    refused(1, ["pipe", "a pipe"], *surface("pipe"))
    refused(1, ["pipe", "a pipe"], *surface(a, "--directions", "pipe"))
    refused(1, ["pipe", "a pipe"], *surface(a, "--plane", f"points:{a},{b},pipe"))
    refused(1, ["pipe", "a pipe"], "export", "pipe", "--out", "x.csv")
    (data / "data_batch_2.bin").unlink()
    os.mkfifo(data / "data_batch_2.bin")
    refused(1, ["data_batch_2.bin", "a pipe"], *surface(a))
    done = subprocess.run([helpers.BINARY, "info", "/dev/stdin"], input=a.read_bytes(), capture_output=True, timeout=20)
    assert done.returncode == 1 and b"a pipe" in done.stderr and done.stderr.count(b"\n") == 1
    with open(a) as file:  # a file by another name
        subprocess.run([helpers.BINARY, "info", "/dev/stdin"], stdin=file, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["surface", "line", "trajectory", "curve"])
def test_data_are_checked_before_checkpoints(refused, folder, command):
    (folder / "bad.pt").write_text("no checkpoint")
    words = {"trajectory": ["--checkpoints", "bad.pt"], "curve": ["--from", "bad.pt", "--to", "bad.pt"]}
    words = [*words.get(command, ["--checkpoint", "bad.pt"]), "--arch", "linear", "--out", "s.h5"]
    refused(1, "nowhere", command, *words, "--data", "cifar10:nowhere")
    (folder / "data_batch_1.bin").write_bytes(bytes(100))
    (folder / "test_batch.bin").write_bytes(bytes(3073))
    refused(1, "data_batch_1.bin", command, *words, "--data", "cifar10:.")


def test_home_folder(data, folder, a):
    """Which a shell expands at the beginning of a word alone."""
    env = dict(os.environ, HOME=str(folder))
    line = ["line", "--arch", "linear", "--data", "cifar10:~/data", "--points", 3, "--samples", 10]
    helpers.run_program(helpers.BINARY, *line, "--checkpoint", a, "--out", "s.h5", env=env, cwd=folder).ok()
    names = ",".join(f"~/run/checkpoints/epoch-000{number}.pt" for number in (1, 0, 2))
    helpers.run_program(helpers.BINARY, *surface(a, "--plane", f"points:{names}", out="t.h5"), env=env, cwd=folder).ok()
    trajectory = ["trajectory", "--checkpoints", names, *DATA, "--grid", "2x2", *FEW, "--out", "u.h5"]
    helpers.run_program(helpers.BINARY, *trajectory, env=env, cwd=folder).ok()
    assert helpers.settings(folder / "t.h5")["points"][1]["sha256"] == hashlib.sha256(
        a.with_name("epoch-0000.pt").read_bytes()).hexdigest()


def test_files_named_twice(refused, data, folder, a, b):
    other = a.with_name("epoch-0000.pt")
    same = f"run/../{a.relative_to(folder)}"
    trajectory = ["trajectory", *DATA, "--out", "t.h5"]
    refused(2, ["epoch-0001.pt", "twice"], *trajectory, "--checkpoints", f"{a},{b},{same}")
    refused(2, ["run", "twice"], *trajectory, "--run", "run", "--run", "./run")
    refused(2, ["epoch-0001.pt", "twice"], *surface(other, "--plane", f"points:{a},{b},{same}"))
