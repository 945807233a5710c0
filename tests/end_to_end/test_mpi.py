"""Runs that mpirun starts with several processes end in the bits of one process."""

import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys

import h5py
import helpers
import numpy as np
import pytest
import torch
from helpers import journal_points, wait_for

sys.path.append(str(helpers.ROOT / "tools" / "torture_test"))
import torture  # noqa: E402

MPIRUN = shutil.which("mpirun")
# Tests run as root in containers, on fewer processors than ranks, and must not wait for each other by spinning.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
               "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
               "OMP_NUM_THREADS": "1"}


def has_mpi():
    links = subprocess.run(["ldd", helpers.BINARY], capture_output=True, text=True, check=False).stdout
    return MPIRUN is not None and "libmpi" in links


pytestmark = pytest.mark.skipif(not has_mpi(), reason="no mpirun, or a program without MPI (tools/setup --mpi)")


def command(ranks, *words, program=helpers.BINARY):
    return [MPIRUN, "-n", str(ranks), str(program), *map(str, words)]


def mpirun(ranks, *words, program=helpers.BINARY, cwd=None):
    """The messages of mpirun itself, which frame its own in lines of dashes, are left out."""
    done = subprocess.run(command(ranks, *words, program=program), capture_output=True, text=True, env=ENVIRONMENT,
                          timeout=helpers.TIMEOUT, stdin=subprocess.DEVNULL, check=False, cwd=cwd)
    return helpers.Result(done.returncode, done.stdout, done.stderr)


def start(ranks, *words, program=helpers.BINARY, cwd=None):
    return subprocess.Popen(command(ranks, *words, program=program), env=ENVIRONMENT, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd)


def children(process):
    """The ranks that an mpirun of this machine started, by their pids, rank 0 first."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent != process.pid:
                continue
            variables = dict(part.split("=", 1) for part in (folder / "environ").read_text().split("\0") if "=" in part)
            found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(folder.name)
        except (OSError, KeyError):  # gone meanwhile
            continue
    return [found[rank] for rank in sorted(found)]


def of_ours(err):
    """The program's own lines."""
    return [line for line in err.splitlines() if line.startswith("lossatlas: ")]


def values(path):
    """Every dataset and the settings: what must not depend on how many processes computed it."""
    with h5py.File(path) as file:
        found = {name: file["lossatlas"].attrs.get(name) for name in ("settings", "axis_curvatures")}

        def keep(name, node):
            if isinstance(node, h5py.Dataset) and name not in ("x", "y", "z"):  # scales, which refer to other datasets
                value = np.asarray(node[()])
                found[name] = value.tolist() if value.dtype == object else value.tobytes()

        file.visititems(keep)
    return found


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return helpers.Pictures(tmp_path_factory.mktemp("few"), train=60, test=20)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "s.h5"


# --- the same bits -----------------------------------------------------------------------------------------------


# One process alone under mpirun, too.
on_ranks = pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.full), 2,
                                             pytest.param(4, marks=pytest.mark.full)])


def check_same(lossatlas, tmp_path, ranks, *words):
    """What mpirun says meanwhile."""
    one, many = tmp_path / "one.h5", tmp_path / "many.h5"
    lossatlas(*words, "--out", one).ok()
    done = mpirun(ranks, *words, "--threads", 1, "--out", many)
    assert done.status == 0, done.err
    assert done.out == f"{many}\n"
    assert values(many) == values(one)
    assert sorted(tmp_path.iterdir()) == [many, one]
    return done


@pytest.mark.parametrize("words", [["--grid", "7x5"], ["--grid", "5x3", "--repeat", 2],
                                   ["--axes", 3, "--grid", "3x3x2"]], ids=["plane", "repeats", "axes"])
@on_ranks
def test_surface(lossatlas, tmp_path, few, checkpoint, words, ranks):
    check_same(lossatlas, tmp_path, ranks, "surface", "--checkpoint", checkpoint, "--data", few.words, *words)


@pytest.mark.parametrize("words", [["--plane", "eigen", "--eigen-trace", 2], ["--curvature", "--curvature-products", 4]],
                         ids=["eigenvectors", "maps"])
@on_ranks
def test_second_derivatives(lossatlas, tmp_path, small, words, ranks):
    check_same(lossatlas, tmp_path, ranks, "surface", "--problem", small.path, "--grid", "3x4", *words)


@pytest.mark.parametrize("batch", [1, pytest.param(16, marks=pytest.mark.full)])  # 40 batches in 16 groups; 3 batches
@on_ranks
def test_curvature(lossatlas, tmp_path, small, batch, ranks):
    words = ["curvature", "--problem", small.path, "--batch-size", batch, "--top", 2, "--by", "module", "--density", 2,
             "--density-steps", 5, "--scale-curvature", 3]
    done = check_same(lossatlas, tmp_path, ranks, *words)
    largest = float(np.linalg.eigvalsh(small.hessian)[-1])
    assert f"{largest:.4g}"[:5] in done.err
    if ranks == 4 and batch == 16:
        assert "shared by 3 of 4 ranks; the others idle" in done.err
    elif ranks > 1:
        assert f"shared by {ranks} ranks" in done.err


def test_plane_of_eigenvectors(lossatlas, tmp_path, small):
    check_same(lossatlas, tmp_path, 2, "surface", "--problem", small.path, "--grid", "3x2", "--plane", "eigen:1,low",
               "--eigen-trace", 4)


@on_ranks
def test_sharpness(lossatlas, tmp_path, mlp_run, pictures, ranks):
    words = ["curvature", "--run", mlp_run, "--data", pictures.words, "--samples", 32, "--trace", 2, "--draws", 2, "--tolerance",
             0.1, "--every", 2]
    check_same(lossatlas, tmp_path, ranks, *words)


def test_four_ranks(lossatlas, tmp_path, few, checkpoint):
    words = ["surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "5x5"]
    done = check_same(lossatlas, tmp_path, 4, *words)
    host = os.uname().nodename
    record = json.loads(helpers.attribute(tmp_path / "many.h5", "provenance"))
    assert record["ranks"] == [{"host": host, "threads": 1, "device": "cpu"}] * 4
    assert len([line for line in done.err.splitlines() if line.startswith("centre:")]) == 1


@on_ranks
def test_surface_in_levels(lossatlas, tmp_path, mlp_run, pictures, ranks):
    words = ["surface", "--checkpoint", mlp_run, "--data", pictures.words, "--grid", "21x21", "--tolerance", 0.05]
    check_same(lossatlas, tmp_path, ranks, *words)


@on_ranks
def test_line(lossatlas, tmp_path, few, run, ranks):
    words = ["line", "--checkpoint", run / "checkpoints" / "epoch-0001.pt", "--to", run, "--data", few.words]
    check_same(lossatlas, tmp_path, ranks, *words, "--points", 13)


@on_ranks
def test_trajectory(lossatlas, tmp_path, few, run, ranks):
    check_same(lossatlas, tmp_path, ranks, "trajectory", "--run", run, "--data", few.words, "--grid", "4x3")


@on_ranks
def test_curve(lossatlas, tmp_path, few, run, ranks):
    words = ["curve", "--from", run / "checkpoints" / "epoch-0001.pt", "--to", run, "--data", few.words, "--epochs", 1,
             "--points", 5, "--plane-out", "p.h5", "--grid", "3x3", "--threads", 1]
    for folder in ("one", "many"):
        (tmp_path / folder).mkdir()
    lossatlas(*words, "--out", "f.h5", cwd=tmp_path / "one").ok()
    done = subprocess.run(command(ranks, *words, "--out", "f.h5"), cwd=tmp_path / "many", env=ENVIRONMENT, text=True,
                          capture_output=True, timeout=helpers.TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "f.h5\np.h5\n"
    for name in ("f.h5", "p.h5"):
        assert values(tmp_path / "many" / name) == values(tmp_path / "one" / name)


# --- one that ends -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(lossatlas, tmp_path_factory, few, checkpoint):
    """A sweep of some seconds, and its values."""
    words = ["surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "19x15"]
    out = tmp_path_factory.mktemp("long") / "s.h5"
    lossatlas(*words, "--out", out).ok()
    return words, values(out)


def begun(long, out, ranks, *words):
    """A run whose journal holds some points."""
    process = start(ranks, *long[0], "--threads", 1, "--out", out, *words)
    wait_for(lambda: journal_points(out) >= 20, process)
    return process


def end(process):
    out, err = process.communicate(timeout=helpers.TIMEOUT)
    return helpers.Result(process.returncode, out, err)


def test_killed_rank_ends_the_run_and_any_number_resumes_it(lossatlas, long, out):
    process = begun(long, out, 3)
    os.kill(children(process)[2], signal.SIGKILL)
    done = end(process)
    assert done.status != 0
    assert "rank 2" in done.err and os.uname().nodename in done.err  # as mpirun names it
    assert "continue with: mpirun -n 3 " in done.err and "--resume" in done.err
    kept = journal_points(out)
    assert kept >= 20 or torture.evaluated(out) >= 20
    again = mpirun(2, *long[0], "--threads", 1, "--out", out, "--resume")
    assert again.status == 0 and "of 285 points are there" in again.err, again.err
    assert values(out) == long[1]
    assert [path.name for path in out.parent.iterdir()] == ["s.h5"]


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT], ids=lambda number: number.name)
def test_stopped_run_is_resumed_by_one_process(lossatlas, long, out, number):
    process = begun(long, out, 2)
    process.send_signal(number)
    done = end(process)
    assert done.status != 0
    assert done.err.count("stopping after the points under way") == 1
    if number == signal.SIGUSR1:  # which mpirun passes on; after SIGINT it kills what has not ended in a second
        assert done.status == 130 and "interrupted; " in done.err
    assert "continue with: mpirun -n 2 " in done.err
    lossatlas(*long[0], "--out", out, "--resume").ok()
    assert values(out) == long[1]


@pytest.mark.parametrize("whom", [pytest.param("mpirun", marks=pytest.mark.full), "rank 1"])
def test_stopped_curvature_is_resumed_by_one_process(lossatlas, few, checkpoint, tmp_path, whom):
    words = ["curvature", "--checkpoint", checkpoint, "--data", few.words, "--batch-size", 4, "--top", 1, "--low", 0,
             "--trace", 4]
    whole, out, products = tmp_path / "whole.h5", tmp_path / "c.h5", tmp_path / "c.h5.products"
    lossatlas(*words, "--out", whole).ok()
    process = start(2, *words, "--threads", 1, "--out", out)
    wait_for(lambda: products.exists() and products.stat().st_size > 100_000, process)
    if whom == "mpirun":
        process.send_signal(signal.SIGUSR1)
    else:
        os.kill(children(process)[1], signal.SIGTERM)
    done = end(process)
    assert done.status == 130 and "interrupted; " in done.err and "continue with: mpirun -n 2 " in done.err, done.err
    lossatlas(*words, "--out", out, "--resume").ok()
    assert values(out) == values(whole)


def test_one_interrupted_rank_stops_all(long, out):
    process = begun(long, out, 2)
    os.kill(children(process)[1], signal.SIGTERM)
    done = end(process)
    assert done.status == 130 and "interrupted; " in done.err
    assert torture.evaluated(out) >= 20


def test_silent_rank_is_named_and_given_up(lossatlas, long, out):
    process = begun(long, out, 2, "--rank-timeout", "2s")
    silent = children(process)[1]
    os.kill(silent, signal.SIGSTOP)
    done = end(process)
    assert done.status == 1
    host = os.uname().nodename
    assert f"warning: rank 1 on {host} has been silent for" in done.err
    error = of_ours(done.err)
    assert len(error) == 1 and f"rank 1 on {host} has been silent for" in error[0] and "--resume" in error[0]
    lossatlas(*long[0], "--out", out, "--resume").ok()
    assert values(out) == long[1]


# --- ranks that disagree -----------------------------------------------------------------------------------------


@pytest.fixture
def wrapper(tmp_path):
    """wrapper(lines…): a program that runs Lossatlas with arguments that the lines of shell may change in `$@`."""

    def make(*lines):
        file = tmp_path / "wrapper"
        file.write_text("\n".join(["#!/bin/bash", *lines, f'exec {helpers.BINARY} "$@"', ""]))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return make


def test_ranks_that_disagree_are_named(wrapper, few, checkpoint, out):
    words = ["surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "3x3", "--out", out]
    on_rank_1 = 'if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then'
    host = os.uname().nodename
    for lines, culprits in [
        ([on_rank_1, '  set -- "${@/3x3/3x4}"'], ["its grid is", "that of rank 0"]),
        ([on_rank_1, '  set -- "${@/epoch-0003.pt/epoch-0002.pt}"'],
         ["its checkpoint is epoch-0002.pt", "that of rank 0 epoch-0003.pt"]),
    ]:
        done = mpirun(2, *words, program=wrapper(*lines, "fi"))
        error = of_ours(done.err)
        assert done.status == 1 and len(error) == 1, done.err
        assert error[0].startswith(f"lossatlas: rank 1 on {host} disagrees with rank 0: "), error
        assert all(culprit in error[0] for culprit in culprits), error
        assert not out.exists()
    for words in (["--checkpoint", checkpoint], ["--checkpoint", checkpoint, "--csv", out.with_suffix(".csv")]):
        done = mpirun(2, "curvature", *words, "--data", few.words, "--out", out,
                      program=wrapper(on_rank_1, '  set -- "${@/epoch-0003.pt/epoch-0002.pt}"', "fi"))
        error = of_ours(done.err)
        assert done.status == 1 and len(error) == 1, done.err
        assert error[0].startswith(f"lossatlas: rank 1 on {host} disagrees with rank 0: "), error
        assert not out.exists()


def test_error_of_one_rank_comes_once_with_its_name(wrapper, few, checkpoint, out):
    done = mpirun(3, "surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "3x3", "--out", out,
                  program=wrapper('[ "$OMPI_COMM_WORLD_RANK" = 2 ] && set -- "${@/epoch-0003.pt/none.pt}"'))
    error = of_ours(done.err)
    assert done.status == 1 and len(error) == 1, done.err
    assert error[0].startswith("lossatlas: rank 2 on ") and "none.pt" in error[0]
    assert not out.exists()


def test_instruction_set(lossatlas, few, checkpoint, tmp_path):
    words = ["surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "3x3"]
    lossatlas(*words, "--out", tmp_path / "one.h5", "--instruction-set", "portable").ok()
    done = mpirun(2, *words, "--out", tmp_path / "two.h5", "--instruction-set", "portable")
    assert done.status == 0, done.err
    assert values(tmp_path / "one.h5") == values(tmp_path / "two.h5")
    done = mpirun(2, *words, "--out", tmp_path / "three.h5")
    assert "2 ranks with " in done.err and "the best that all of them have" in done.err


def test_a_rank_takes_the_gpu_of_its_number(lossatlas, few, checkpoint, tmp_path):
    """[cuda] As many ranks as there are GPUs, and one more, which shares the first."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    count = torch.cuda.device_count()
    words = ["surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "5x5", "--device", "cuda"]
    lossatlas(*words, "--out", tmp_path / "one.h5").ok()
    done = mpirun(count + 1, *words, "--out", tmp_path / "many.h5")
    assert done.status == 0, done.err
    assert values(tmp_path / "many.h5") == values(tmp_path / "one.h5")
    record = json.loads(helpers.attribute(tmp_path / "many.h5", "provenance"))
    assert [each["device"] for each in record["ranks"]] == [*(f"cuda:{i}" for i in range(count)), "cuda:0"]


# --- inputs that only rank 0 sees ----------------------------------------------------------------------------------


class Hosts:
    """Rank 0 runs in `here`, which holds the inputs; the others in an empty folder, so that relative names lead nowhere
    there. Copies come into `temporary`."""

    def __init__(self, tmp_path, wrapper, few, run):
        self.here, self.temporary = tmp_path / "here", tmp_path / "temporary"
        elsewhere = tmp_path / "elsewhere"
        for folder in (self.temporary, elsewhere, self.here):
            folder.mkdir()
        shutil.copytree(few.folder, self.here / "cifar")
        shutil.copytree(run, self.here / "runs" / "sgd")
        (self.here / "link").symlink_to("runs/sgd")
        shutil.copy(helpers.ROOT / "tests" / "files" / "curvature" / "smooth.lossatlas", self.here)
        self.program = wrapper(f"export TMPDIR={self.temporary}",
                               f'[ "$OMPI_COMM_WORLD_RANK" = 0 ] || cd {elsewhere}')
        self.elsewhere = elsewhere

    def mpirun(self, ranks, *words):
        done = mpirun(ranks, *words, "--broadcast", "--threads", 1, program=self.program, cwd=self.here)
        assert not any(self.temporary.iterdir()) and not any(self.elsewhere.iterdir())
        return done


@pytest.fixture
def hosts(tmp_path, wrapper, few, run):
    return Hosts(tmp_path, wrapper, few, run)


FIRST = ["--checkpoint", "runs/sgd/checkpoints/epoch-0001.pt"]


@pytest.mark.parametrize("words", [
    ["surface", *FIRST, "--data", "cifar10:cifar", "--test-data", "cifar10:../here/cifar", "--grid", "3x2", "--split", "both"],
    pytest.param(["line", *FIRST, "--to", "link", "--data", "cifar10:cifar", "--points", 4], marks=pytest.mark.full),
    pytest.param(["surface", "--plane", "pca:link", "--data", "cifar10:cifar", "--grid", "3x2"], marks=pytest.mark.full),
    pytest.param(["surface", "--plane", "pca:link/checkpoints/*.pt", "--data", "cifar10:cifar", "--grid", "2x2"],
                 marks=pytest.mark.full),
    pytest.param(["trajectory", "--run", "link", "--data", "cifar10:cifar", "--grid", "2x2"], marks=pytest.mark.full),
    pytest.param(["surface", "--problem", "smooth.lossatlas", "--grid", "4x3"], marks=pytest.mark.full),
    ["curvature", "--problem", "smooth.lossatlas", "--top", 1, "--trace", 0],
    pytest.param(["curvature", "--run", "link", "--data", "cifar10:cifar", "--samples", 8, "--trace", 0, "--draws", 0],
                 marks=pytest.mark.full),
], ids=["data", "to", "run", "pattern", "trajectory", "problem", "curvature", "sharpness"])
def test_broadcast_gives_the_bits_of_one_process(lossatlas, tmp_path, hosts, words):
    one, many = tmp_path / "one.h5", tmp_path / "many.h5"
    lossatlas(*words, "--out", one, cwd=hosts.here).ok()
    refused = mpirun(2, *words, "--out", many, program=hosts.program, cwd=hosts.here)
    assert refused.status == 1 and "lossatlas: rank 1 on " in refused.err  # it sees no inputs
    done = hosts.mpirun(3, *words, "--out", many)
    assert done.status == 0 and done.out == f"{many}\n", done.err
    assert values(many) == values(one)


def test_broadcast_of_a_curve_and_its_bends(lossatlas, hosts, tmp_path):
    words = ["curve", "--from", FIRST[1], "--to", "link", "--data", "cifar10:cifar", "--epochs", 1, "--bends", 2,
             "--points", 3, "--plane-out", "p.h5", "--grid", "2x2", "--out", "f.h5"]
    lossatlas(*words, "--threads", 1, cwd=hosts.here).ok()
    names = ("f.h5", "p.h5", "f.bend-1.pt", "f.bend-2.pt")
    for name in names:
        (hosts.here / name).rename(tmp_path / name)
    done = hosts.mpirun(2, *words)
    assert done.status == 0 and done.out == "f.h5\np.h5\n", done.err
    for name in names[:2]:
        assert values(hosts.here / name) == values(tmp_path / name)


def test_broadcast_continues_a_line_with_stored_statistics(lossatlas, hosts, out):
    """That it has them only rank 0 can read."""
    words = ["line", *FIRST, "--to", "link", "--data", "cifar10:cifar", "--out", out]
    lossatlas(*words, "--points", 3, "--bn", "stored", cwd=hosts.here).ok()
    done = hosts.mpirun(2, *words, "--points", 3, "--resume")
    assert done.status == 0 and "keeps them" in done.err, done.err


DATA = ["--data", "cifar10:cifar"]


@pytest.mark.parametrize("words, culprit", [
    (["--checkpoint", "none.pt", *DATA], "none.pt"),
    ([*FIRST, "--data", "npz:none.npz"], "none.npz"),
    (["--problem", "none.lossatlas"], "none.lossatlas"),
    (["--checkpoint", "/dev/null", *DATA], "/dev/null"),
    *(pytest.param(*case, marks=pytest.mark.full) for case in [
        ([*FIRST, "--data", "cifar10:none"], "none: "),
        ([*FIRST, *DATA, "--directions", "none.h5"], "none.h5"),
        (["--plane", "pca:none/*.pt", *DATA], "none/*.pt")]),
])
def test_broadcast_of_what_is_not_there_is_reported_once(hosts, out, words, culprit):
    done = hosts.mpirun(3, "surface", *words, "--out", out)
    error = of_ours(done.err)
    assert done.status in (1, 2) and len(error) == 1 and culprit in error[0], done.err
    assert "rank" not in error[0] and not out.exists()


def test_broadcast_without_room_names_rank_and_host(wrapper, hosts, out):
    hosts.program = wrapper('[ "$OMPI_COMM_WORLD_RANK" = 1 ] && export TMPDIR=/none')
    done = hosts.mpirun(2, "surface", *FIRST, "--data", "cifar10:cifar", "--out", out)
    error = of_ours(done.err)
    assert done.status == 1 and len(error) == 1, done.err
    assert error[0].startswith(f"lossatlas: rank 1 on {os.uname().nodename}: /none: ") and "TMPDIR" in error[0]


def test_stop_removes_the_copies(hosts, out):
    process = start(2, "surface", *FIRST, "--data", "cifar10:cifar", "--grid", "31x31", "--out", out, "--broadcast",
                    "--threads", 1, program=hosts.program, cwd=hosts.here)
    wait_for(lambda: journal_points(out) >= 20, process)
    assert len(list(hosts.temporary.iterdir())) == 1  # rank 1's
    process.send_signal(signal.SIGUSR1)
    done = end(process)
    assert done.status == 130 and "interrupted; " in done.err
    assert not any(hosts.temporary.iterdir())


# --- what is not shared ------------------------------------------------------------------------------------------


def test_wrong_arguments_are_reported_once(out, checkpoint, few):
    for words, culprit in [(["surface", "--gird", "3"], "--gird"),
                           (["surface", "--checkpoint", "none.pt", "--data", few.words, "--out", out], "none.pt"),
                           (["surface", "--checkpoint", checkpoint, "--data", few.words, "--grid", "0x5"], "0x5"),
                           (["surface", "--checkpoint", checkpoint, "--data", few.words, "--rank-timeout", "soon"],
                            "--rank-timeout")]:
        done = mpirun(3, *words)
        assert done.status in (1, 2) and len(of_ours(done.err)) == 1 and culprit in of_ours(done.err)[0], done.err


def test_other_commands_are_done_once(lossatlas, few, tmp_path, checkpoint):
    done = mpirun(3, "info", checkpoint)
    assert done.status == 0 and done.out == lossatlas("info", checkpoint).ok().out
    done = mpirun(2, "train", "--arch", "linear", "--data", few.words, "--epochs", 1, "--out", tmp_path / "run")
    assert done.status == 0, done.err
    assert (tmp_path / "run" / "history.h5").exists()
    assert mpirun(2, "--version").out == lossatlas("--version").out


def test_allocation_without_mpirun_is_one_process(few, checkpoint, out):
    """As in the shell of `salloc -n 4`, and in a script of sbatch."""
    allocation = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    done = helpers.run_program(helpers.BINARY, "surface", "--checkpoint", checkpoint, "--data", few.words, "--grid",
                               "2x2", "--out", out, env={**os.environ, **allocation})
    assert done.status == 0 and "ranks" not in json.loads(helpers.attribute(out, "provenance"))
