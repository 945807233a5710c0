"""Bad input: one line that says what was wrong, exit status 2 for wrong words and 1 for the rest, nothing destroyed."""

import os
import resource
import shutil
import signal
import subprocess

import h5py
import helpers
import pytest
import torch


@pytest.fixture
def folder(tmp_path):
    """Where the tests write; it must be left as it was."""
    return tmp_path


@pytest.fixture
def refused(lossatlas, folder):
    """refused(status, culprits, words...): one line that names the culprits, and the folder as before."""

    def check(status, culprits, *words, **more):
        before = helpers.tree(folder)
        done = lossatlas(*words, cwd=folder, **more)
        assert done.status == status, done.err
        line = done.line()
        assert line.startswith("lossatlas: "), line
        for culprit in [culprits] if isinstance(culprits, str) else culprits:
            assert culprit in line
        assert "internal error" not in line and done.out == ""
        assert helpers.tree(folder) == before
        return line

    return check


@pytest.fixture
def surface_words(checkpoint, pictures):
    return ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", "s.h5"]


# --- words: most are tried in tests/cli --------------------------------------------------------------------------


def test_checkpoint_that_does_not_name_its_network(refused, checkpoint, pictures, folder):
    torch.save(helpers.load(checkpoint)["state_dict"], folder / "python.pt")
    refused(2, "--arch", "surface", "--checkpoint", "python.pt", "--data", pictures.words, "--out", "s.h5")


# --- checkpoints -------------------------------------------------------------------------------------------------


class Trap:
    """Unpickled, it would run a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def missing(path, checkpoint, surface):
    pass


def empty(path, checkpoint, surface):
    path.touch()


def a_folder(path, checkpoint, surface):
    path.mkdir()


def text(path, checkpoint, surface):
    path.write_text("These are not the weights you are looking for.\n" * 100)


def cut_off(path, checkpoint, surface):
    path.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])


def damaged(path, checkpoint, surface):
    content = bytearray(checkpoint.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)


def a_surface(path, checkpoint, surface):
    shutil.copy(surface, path)


def a_tensor(path, checkpoint, surface):
    torch.save(torch.zeros(3), path)


def numbers(path, checkpoint, surface):
    torch.save({"epoch": 3, "acc": 91.5}, path)


@pytest.mark.parametrize("make", [missing, empty, a_folder, text, cut_off, damaged, a_surface, a_tensor, numbers],
                         ids=lambda make: make.__name__)
def test_bad_checkpoint(refused, folder, checkpoint, surface, pictures, make):
    make(folder / "bad.pt", checkpoint, surface)
    refused(1, "bad.pt", "surface", "--checkpoint", "bad.pt", "--arch", "resnet20", "--width", 4,
            "--data", pictures.words, "--out", "s.h5")


def test_checkpoint_of_another_architecture(refused, surface_words):
    refused(1, ["epoch-0003.pt", "layer1.3.conv1.weight [4, 4, 3, 3]", "more"], *surface_words,
            "--arch", "resnet32")


def test_checkpoint_of_another_width(refused, surface_words):
    refused(1, ["conv1.weight", "[4, 3, 3, 3]", "[8, 3, 3, 3]"], *surface_words, "--width", 8)


def test_pickle_that_runs_code(refused, lossatlas, folder, pictures):
    state = {"conv1.weight": torch.zeros(4, 3, 3, 3)}
    torch.save({"state_dict": Trap("touch sprung"), "more": state}, folder / "trap.pt")
    refused(1, ["trap.pt", "system"], "surface", "--checkpoint", "trap.pt", "--arch", "resnet20",
            "--data", pictures.words, "--out", "s.h5")
    refused(1, ["trap.pt", "system"], "info", "trap.pt")
    torch.save({"state_dict": state, "trap": Trap("touch sprung")}, folder / "trap.pt")  # beside the weights
    lossatlas("info", "trap.pt", cwd=folder).ok()
    assert not (folder / "sprung").exists()


# --- other files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [missing, empty, a_folder, text, cut_off], ids=lambda make: make.__name__)
def test_info_on_what_it_does_not_know(refused, folder, checkpoint, surface, make):
    make(folder / "what.h5", checkpoint, surface)
    refused(1, "what.h5", "info", "what.h5")


def test_cut_off_surface(refused, folder, surface):
    (folder / "cut.h5").write_bytes(surface.read_bytes()[:3000])
    refused(1, "cut.h5", "info", "cut.h5")


@pytest.mark.parametrize("filter_, words", [(h5py.h5z.FILTER_LZF, "HDF5 filter 32000, lzf"), (32001, "HDF5 filter 32001")])
def test_surface_stored_with_a_filter_that_is_not_there(refused, folder, filter_, words):
    helpers.write_li_surface(folder / "li.h5")
    with h5py.File(folder / "li.h5", "r+") as file:
        loss = file["train_loss"][()]
        del file["train_loss"]
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_chunk(loss.shape)
        options.set_filter(filter_, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(loss.shape)
        made = h5py.h5d.create(file.id, b"train_loss", h5py.h5t.IEEE_F64LE, space, options)
        made.write_direct_chunk((0, 0), loss.tobytes(), 0)
    refused(1, ["li.h5: /train_loss: ", words, "gzip"], "info", "li.h5")


@pytest.mark.parametrize("name", ["checkpoint", "missing", "text", "cut"])
def test_plot_of_what_is_no_surface(plot, folder, checkpoint, surface, name):
    path = folder / f"{name}.h5"
    {"checkpoint": lambda: shutil.copy(checkpoint, path), "missing": lambda: None,
     "text": lambda: path.write_text("no surface"),
     "cut": lambda: path.write_bytes(surface.read_bytes()[:3000])}[name]()
    before = helpers.tree(folder)
    done = plot(path, "-o", folder / "figure.png")
    assert done.status == 1 and str(path) in done.line() and "Traceback" not in done.err
    assert helpers.tree(folder) == before


def train_words(data):
    return ["train", "--arch", "mlp", "--data", f"cifar10:{data}", "--epochs", 1, "--out", "run"]


def copied(pictures, folder):
    shutil.copytree(pictures.folder, folder / "data")
    return folder / "data"


def test_data_that_is_not_there(refused):
    refused(1, ["nowhere", "data_batch_1.bin"], *train_words("nowhere"))


def test_data_cut_off(refused, pictures, folder):
    os.truncate(copied(pictures, folder) / "data_batch_3.bin", 12345)
    refused(1, ["data_batch_3.bin", "12345"], *train_words("data"))


def test_data_with_a_file_missing(refused, pictures, folder):
    (copied(pictures, folder) / "data_batch_4.bin").unlink()
    refused(1, "data_batch_4.bin", *train_words("data"))


def test_data_with_bytes_added(refused, pictures, folder):
    with open(copied(pictures, folder) / "data_batch_5.bin", "ab") as file:
        file.write(b"x")
    refused(1, ["data_batch_5.bin", "other bytes added"], *train_words("data"))


def test_data_empty_or_a_folder(refused, pictures, folder):
    file = copied(pictures, folder) / "data_batch_1.bin"
    file.write_bytes(b"")
    refused(1, "data_batch_1.bin: is empty", *train_words("data"))
    file.unlink()
    file.mkdir()
    refused(1, "data_batch_1.bin: a folder, not a file", *train_words("data"))


def test_data_of_text(refused, pictures, folder):
    (copied(pictures, folder) / "data_batch_2.bin").write_text("x" * 3073)
    refused(1, ["data_batch_2.bin", "label 120"], *train_words("data"))


def test_directions_of_another_network(refused, folder, surface_words):
    helpers.write_directions(folder / "d.h5", [torch.zeros(3)] * 4, [torch.zeros(3)] * 4)
    refused(1, ["d.h5", "4", "65"], *surface_words, "--directions", "d.h5")


def test_directions_of_other_shapes(refused, folder, surface_words):
    helpers.write_directions(folder / "d.h5", [torch.zeros(3)] * 65, [torch.zeros(3)] * 65)
    refused(1, ["d.h5", "[3]", "[4, 3, 3, 3]"], *surface_words, "--directions", "d.h5")


@pytest.mark.parametrize("make", [missing, text, a_surface], ids=lambda make: make.__name__)
def test_directions_that_are_none(refused, folder, checkpoint, surface, surface_words, make):
    make(folder / "d.h5", checkpoint, surface)
    refused(1, "d.h5", *surface_words, "--directions", "d.h5")


def test_one_direction_is_not_a_plane(refused, folder, surface, surface_words, directions):
    helpers.write_directions(folder / "d.h5", helpers.read_directions(directions))
    refused(1, ["d.h5", "2 axes"], *surface_words, "--directions", "d.h5")


@pytest.mark.parametrize("value, said", [(0.0, "zero"), (float("nan"), "not finite")])
def test_directions_that_lead_nowhere(refused, folder, surface, surface_words, directions, value, said):
    first, second = helpers.plane_of(directions)
    helpers.write_directions(folder / "d.h5", first, [torch.full_like(each, value) for each in second])
    refused(1, ["d.h5", "direction 2", said], *surface_words, "--directions", "d.h5")


def test_parameters_that_are_not_finite(refused, folder, checkpoint, surface_words):
    made = helpers.load(checkpoint)
    made["state_dict"]["conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(made, folder / "nan.pt")
    said = ["nan.pt", "conv1.weight", "not finite"]
    refused(1, said, *surface_words[:2], "nan.pt", *surface_words[3:])
    refused(1, said, "line", *surface_words[1:], "--to", "nan.pt")


def test_images_for_statistics_that_are_stored(refused, surface_words):
    refused(2, ["--bn-images", "--bn recalibrate"], *surface_words, "--bn-images", 100)


def test_existing_directions_are_kept(refused, folder, surface_words):
    (folder / "d.h5").write_text("mine")
    refused(1, ["d.h5", "--force"], *surface_words, "--save-directions", "d.h5")


def test_one_file_for_surface_and_directions(refused, surface_words):
    refused(2, ["--save-directions", "--out"], *surface_words, "--save-directions", "s.h5", "--grid", "2x2",
            "--samples", 10)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_a_device(refused, surface_words, device):
    refused(1, ["--device", device], *surface_words, "--device", device)
    refused(1, ["--device", device], *train_words("data"), "--device", device)


def test_directory_as_output(refused, folder, surface_words):
    (folder / "s.h5").mkdir()
    refused(1, "s.h5", *surface_words)


# --- outputs that cannot be written ------------------------------------------------------------------------------


TOO_LONG = pytest.param("s" * 300, "s" * 300, id="too long")


@pytest.mark.parametrize("where, named", [("file/s.h5", "file"), ("/proc/lossatlas/s.h5", "/proc/lossatlas"), TOO_LONG])
def test_surface_that_cannot_be_written(refused, folder, checkpoint, pictures, where, named):
    (folder / "file").write_text("a file, not a folder")
    refused(1, named, "surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", where)


@pytest.mark.parametrize("where, named", [("file", "file"), ("file/run", "file"),
                                          ("/proc/lossatlas", "/proc/lossatlas"), TOO_LONG])
def test_run_that_cannot_be_written(refused, folder, pictures, where, named):
    (folder / "file").write_text("a file, not a folder")
    refused(1, named, "train", "--arch", "mlp", "--data", pictures.words, "--out", where)


def test_failed_run_leaves_no_new_folder(refused, pictures):
    refused(1, "bad.pt", "surface", "--checkpoint", "bad.pt", "--arch", "mlp", "--data", pictures.words,
            "--out", "new/folder/s.h5")


def test_nothing_to_resume(refused, pictures):
    refused(1, ["run", "--resume"], *train_words(pictures.folder), "--resume")


def test_output_without_a_name(refused, checkpoint, pictures):
    refused(2, "--out", "surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", "", "--grid", "2x2")


def small_files():
    """In the child: a file may hold 3,000 bytes, and more is an error, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


@pytest.fixture
def full_disk(folder):
    """A folder on a disk of 12 KiB."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "none", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here: " + mounted.stderr.decode().strip())
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_surface_on_a_full_disk(lossatlas, full_disk, surface_words):
    """The sweep has begun by then: its lines stand before the error."""
    (full_disk / "s.h5").write_text("old")
    done = lossatlas(*surface_words, "--grid", "4x4", "--samples", 10, "--force", cwd=full_disk)
    last = done.err.splitlines()[-1]
    assert done.status == 1 and last.startswith("lossatlas: ") and "s.h5" in last and "No space left" in last
    assert helpers.tree(full_disk) == {"s.h5": b"old"}


def test_training_on_a_full_disk(lossatlas, full_disk, pictures):
    done = lossatlas("train", "--arch", "mlp", "--data", pictures.words, "--out", "run", "--epochs", 1, cwd=full_disk)
    last = done.err.splitlines()[-1]
    assert done.status == 1 and "epoch-0000.pt" in last and "No space left" in last
    assert not [path for path in full_disk.rglob("*") if path.is_file()]


def test_surface_where_files_may_not_grow(lossatlas, folder, surface_words):
    (folder / "s.h5").write_text("old")
    done = lossatlas(*surface_words, "--grid", "4x4", "--samples", 10, "--force", cwd=folder, preexec_fn=small_files)
    last = done.err.splitlines()[-1]
    assert done.status == 1 and "s.h5" in last and "File too large" in last
    assert helpers.tree(folder) == {"s.h5": b"old"}


@pytest.mark.parametrize("words", [["info", "CHECKPOINT"], ["info", "--archs"], ["--version"], ["train", "--help"]])
def test_standard_output_on_a_full_disk(checkpoint, words):
    words = [checkpoint if word == "CHECKPOINT" else word for word in words]
    with open("/dev/full", "w") as full:
        done = subprocess.run([helpers.BINARY, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "No space left" in done.stderr


def test_errors_that_cannot_be_written_leave_the_exit_status():
    for redirection in ("2>/dev/full", "2>&-"):
        done = subprocess.run(f"{helpers.BINARY} info nothing.h5 {redirection}", shell=True, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_a_reader_that_has_seen_enough():
    done = subprocess.run(f"{helpers.BINARY} info --archs | true", shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_that_are_not_utf8(lossatlas, folder, surface_words):
    """Old files have such names; a sweep must not fail on one when all points are done."""
    words = [*surface_words[:-1], os.fsdecode(b"caf\xe9.h5"), "--grid", "2x2", "--samples", 10]
    done = lossatlas(*words, cwd=folder)
    assert done.status == 0, done.err
    assert os.listdir(os.fsencode(folder)) == [b"caf\xe9.h5"]


@pytest.mark.parametrize("rate", [["--lr", 1e20], ["--lr", 1e39], ["--lr-steps", 1, "--lr-factor", 1e60]])
def test_training_that_diverges(lossatlas, pictures, folder, rate):
    """Epoch 0 is kept; the error comes after the line that says what runs."""
    done = lossatlas("train", "--arch", "mlp", "--data", pictures.words, "--out", "run", *rate, "--epochs", 3, cwd=folder)
    assert done.status == 1 and "learning rate" in done.err.splitlines()[-1]
    assert (folder / "run" / "checkpoints" / "epoch-0000.pt").exists()


def test_several_processes_without_mpi(surface_words):
    """As mpirun starts them, in a program that was built without MPI: the first alone says so."""
    links = subprocess.run(["ldd", helpers.BINARY], capture_output=True, text=True, check=True).stdout
    if "libmpi" in links:
        pytest.skip("this program has MPI: tests/end_to_end/test_mpi.py")
    for rank in (0, 1):
        launched = {**os.environ, "OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": "2"}
        done = helpers.run_program(helpers.BINARY, *surface_words, env=launched)
        assert done.status == 2
        assert "built without MPI" in done.line() if rank == 0 else done.err == ""
