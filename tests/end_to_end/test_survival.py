"""Sweeps that are killed, cut off or shared end in the bits of an undisturbed run."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import helpers
import numpy as np
import pytest

sys.path.append(str(helpers.ROOT / "tools" / "torture_test"))
import torture  # noqa: E402
from helpers import RECORD, head_size, journal_of, journal_points, wait_for  # noqa: E402

GRID = "13x11"


class Sweep(torture.Sweep):
    """A sweep of 143 points, about a second long, that is done once undisturbed."""

    def __init__(self, folder, checkpoint, pictures):
        self.binary, self.folder = helpers.BINARY, folder
        self.words = ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--grid", GRID]
        start = time.monotonic()
        self.run(*self.words, "--out", folder / "undisturbed.h5")
        self.seconds = time.monotonic() - start
        self.expected = torture.contents(folder / "undisturbed.h5")

    def call(self, out, *words, **more):
        return helpers.run_program(self.binary, *self.words, "--out", out, *words, **more)

    def same(self, out):
        assert self.differences(out) == []

    def killed(self, out, points=20, *words, number=signal.SIGKILL):
        """Ends a sweep when its journal holds some points. Its exit status and standard error."""
        process = self.start(*self.words, "--out", out, *words)
        wait_for(lambda: journal_points(out) >= points, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=helpers.TIMEOUT)
        return process.returncode, err


def beside(out):
    """What stands beside a surface, and is part of it."""
    return sorted(path.name[len(out.name):] for path in out.parent.glob(f"{out.name}?*"))


def kept_points(out, records):
    """Points in the file, which is saved now and then, and in the first records of its journal."""
    journal = journal_of(out)
    content = journal.read_bytes()[head_size(journal):]
    indices = [int.from_bytes(content[at * RECORD:at * RECORD + 8], "little") for at in range(records)]
    return len({*indices, *np.flatnonzero(helpers.read(out)["lossatlas/evaluated"] == 1)})


def provenance(out):
    return json.loads(helpers.attribute(out, "provenance"))


@pytest.fixture(scope="module")
def long(tmp_path_factory, checkpoint):
    few = helpers.Pictures(tmp_path_factory.mktemp("few"), train=60)
    return Sweep(tmp_path_factory.mktemp("long"), checkpoint, few)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "s.h5"


# --- killed ------------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_killed_at_random_moments(long, tmp_path):
    """The short form of tools/torture."""
    seed = int(os.environ.get("LOSSATLAS_TEST_SEED", random.randrange(1 << 32)))
    print(f"LOSSATLAS_TEST_SEED={seed} repeats the moments")  # shown where the test fails
    run = torture.Torture(long, tmp_path, seed=seed)
    while run.ends < 6:
        run.once()
    run.finish()


def test_killed_sweep_goes_on(long, out):
    status, _ = long.killed(out, 30)
    assert status == -signal.SIGKILL
    assert beside(out) == [".journal", ".lock"]
    assert helpers.read(out)["train_loss"].shape == (11, 13)
    kept = journal_points(out)
    done = long.call(out, "--resume").ok()
    assert f"{kept} of 143 points are there" in done.err
    long.same(out)
    assert beside(out) == []
    assert provenance(out)["resumes"] == 1 and provenance(out)["computed"] == 143 - kept


def test_file_is_there_from_the_first_moment(long, out, plot):
    long.killed(out, 40)
    plot(out, "-o", out.with_suffix(".png")).ok()


def test_finished_surface_is_left_alone(long, out):
    shutil.copy(long.folder / "undisturbed.h5", out)
    before = out.read_bytes()
    done = long.call(out, "--resume").ok()
    assert "complete" in done.line() and str(out) in done.line() and done.out == f"{out}\n"
    assert out.read_bytes() == before and beside(out) == []


def test_resume_where_nothing_is_starts(long, out):
    long.call(out, "--resume").ok()
    long.same(out)
    assert provenance(out)["resumes"] == 0


def test_surface_of_which_only_the_journal_is_left(long, out):
    long.killed(out)
    out.unlink()
    refused = long.call(out)
    assert refused.status == 1 and f"{out}.journal" in refused.line() and "--resume" in refused.line()
    assert "points are there" in long.call(out, "--resume").ok().err
    long.same(out)


def test_force_without_resume_starts_anew(long, out):
    long.killed(out)
    done = long.call(out, "--force", "--samples", 20).ok()
    assert "points are there" not in done.err
    assert (helpers.read(out)["lossatlas/evaluated"] == 1).all() and beside(out) == []


@pytest.mark.parametrize("number", [signal.SIGINT, *(pytest.param(number, marks=pytest.mark.full)
                                                     for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1))],
                         ids=lambda number: number.name)
def test_interrupt_says_how_to_go_on(long, out, number):
    status, err = long.killed(out, 20, number=number)
    assert status == 130 and beside(out) == []
    line = err.splitlines()[-1]
    assert re.match(r"interrupted; \d+ of 143 points are in ", line)
    command = line[line.index(str(helpers.BINARY)):]
    assert command.endswith(" --resume")
    subprocess.run(command, shell=True, check=True, capture_output=True, timeout=helpers.TIMEOUT)
    long.same(out)


def test_a_signal_that_was_ignored_stays_ignored(long, out):
    """As nohup starts a program."""
    process = long.start(*long.words, "--threads", 1, "--out", out,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for(lambda: journal_points(out) >= 3, process)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=helpers.TIMEOUT)
    assert process.returncode == 0 and "interrupted" not in err
    long.same(out)


def closed_error():
    os.close(2)


@pytest.mark.parametrize("way", ["full", "gone", pytest.param("closed", marks=pytest.mark.full)])
def test_messages_that_cannot_be_written_do_not_end_a_sweep(long, out, way):
    """A full disk under a log; no standard error at all, whose number no file may take; a reader that left."""
    command = [str(word) for word in (helpers.BINARY, *long.words, "--out", out)]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                   stderr={"full": full, "closed": None, "gone": subprocess.PIPE}[way],
                                   preexec_fn=closed_error if way == "closed" else None)
        if way == "gone":
            process.stderr.close()
        said = process.stdout.read()
    assert process.wait(helpers.TIMEOUT) == 0 and said == f"{out}\n"
    long.same(out)


def test_second_interrupt_ends_at_once_and_loses_nothing(long, out):
    process = long.start(*long.words, "--batch-size", 100, "--threads", 1, "--out", out)
    wait_for(lambda: journal_points(out) >= 20, process)
    process.send_signal(signal.SIGSTOP)  # so that both are there when it looks
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    kept = journal_points(out)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=helpers.TIMEOUT)
    assert process.returncode in (-signal.SIGINT, -signal.SIGTERM)
    assert kept <= journal_points(out) <= kept + 1


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [*(pytest.param(cut, marks=pytest.mark.full) for cut in (1, RECORD - 1)), RECORD + 7])
def test_torn_journal(long, out, cut):
    long.killed(out)
    journal, kept = journal_of(out), journal_points(out)
    expected = kept_points(out, kept - -(-cut // RECORD))
    os.truncate(journal, head_size(journal) + kept * RECORD - cut)
    done = long.call(out, "--resume").ok()
    assert f"{expected} of 143 points are there" in done.err
    assert "torn or damaged" in done.err
    long.same(out)


def test_zeros_at_the_end_of_the_journal(long, out):
    """What a power failure leaves where the size of a file reached the disk before its bytes."""
    long.killed(out)
    kept = journal_points(out)
    with open(journal_of(out), "ab") as file:
        file.write(bytes(300))
    assert f"{kept} of 143 points are there" in long.call(out, "--resume").ok().err
    long.same(out)


def test_flipped_bytes_in_the_journal(long, out):
    long.killed(out)
    journal = journal_of(out)
    content = bytearray(journal.read_bytes())
    content[head_size(journal) + 10 * RECORD + 9] ^= 4
    journal.write_bytes(content)
    expected = kept_points(out, 10)
    done = long.call(out, "--resume").ok()
    assert "note:" in done.err and f"{expected} of 143 points are there" in done.err
    long.same(out)


def test_damaged_journal_is_put_aside(long, out):
    long.killed(out)
    content = bytearray(journal_of(out).read_bytes())
    content[50] ^= 4
    journal_of(out).write_bytes(content)
    done = long.call(out, "--resume").ok()
    assert "note:" in done.err and "damaged" in done.err
    long.same(out)
    assert beside(out) == [".journal.damaged"]
    assert journal_of(out).with_name(out.name + ".journal.damaged").read_bytes() == content


def test_journal_of_a_newer_version(long, out):
    long.killed(out)
    content = bytearray(journal_of(out).read_bytes())
    content[16] += 1
    journal_of(out).write_bytes(content)
    done = long.call(out, "--resume")
    assert done.status == 1 and "newer Lossatlas" in done.line()
    assert journal_of(out).read_bytes() == content


def text(path, checkpoint):
    path.write_text("a shopping list")


def a_checkpoint(path, checkpoint):
    shutil.copy(checkpoint, path)


def a_history(path, checkpoint):
    shutil.copy(checkpoint.parents[1] / "history.h5", path)


def of_li_et_al(path, checkpoint):
    helpers.write_li_surface(path, 13, 11)


def a_folder(path, checkpoint):
    path.mkdir()


@pytest.mark.parametrize("make", [text, a_checkpoint, a_history, of_li_et_al, a_folder], ids=lambda make: make.__name__)
def test_resume_of_another_kind(long, out, checkpoint, make):
    make(out, checkpoint)
    before = helpers.tree(out.parent)
    for words in (["--resume"], ["--resume", "--force"]):
        done = long.call(out, *words)
        assert done.status == 1 and str(out) in done.line()
    assert helpers.tree(out.parent) == before


# --- other settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, culprits", [
    (["--seed", 1], ["seed was 0, now 1"]),
    (["--samples", 30], ["samples was 60, now 30"]),
    (["--x", "-1:2"], ["grid was 13x11 over x -1:1", "13x11 over x -1:2"]),
    (["--grid", "14x11"], ["13x11", "14x11"]),
    (["--norm", "layer"], ['normalization was "filter", now "layer"']),
    (["--split", "test"], ['split was "train", now "test"']),
    (["--loss", "mse"], ['loss was "cross-entropy", now "mse"']),
    (["--std", "0.3"], ["std was [", "now [0.3,0.3,0.3]"]),
], ids=lambda words: " ".join(map(str, words)))
def test_other_settings_are_refused(long, out, words, culprits):
    """--force does not help: the values would be of two kinds."""
    shutil.copy(long.folder / "undisturbed.h5", out)
    before = helpers.tree(out.parent)
    command = list(long.words)
    if words[0] == "--grid":
        command[command.index("--grid") + 1] = words[1]
        words = []
    done = helpers.run_program(helpers.BINARY, *command, "--out", out, "--resume", "--force", *words)
    assert done.status == 1
    assert all(culprit in done.line() for culprit in [str(out), *culprits]), done.line()
    assert helpers.tree(out.parent) == before


def test_other_checkpoint_is_refused(long, out, run):
    shutil.copy(long.folder / "undisturbed.h5", out)
    words = list(long.words)
    words[words.index("--checkpoint") + 1] = run / "checkpoints" / "epoch-0002.pt"
    done = helpers.run_program(helpers.BINARY, *words, "--out", out, "--resume")
    assert done.status == 1 and "checkpoint was epoch-0003.pt" in done.line() and "now epoch-0002.pt" in done.line()


@pytest.mark.parametrize("words, setting", [(["--engine", "eager"], "engine"),
                                            pytest.param(["--batch-size", 50], "batch_size", marks=pytest.mark.full),
                                            pytest.param(["--instruction-set", "portable"], "instruction_set", marks=pytest.mark.full)],
                         ids=lambda words: words if isinstance(words, str) else None)
def test_other_arithmetic_wants_force(long, out, words, setting):
    long.killed(out)
    refused = long.call(out, "--resume", *words)
    assert refused.status == 1 and f"{setting} was " in refused.line() and "--force" in refused.line()
    done = long.call(out, "--resume", "--force", *words).ok()
    assert "warning:" in done.err and f"{setting} was " in done.err
    found = helpers.read(out)
    np.testing.assert_allclose(found["train_loss"], helpers.read(long.folder / "undisturbed.h5")["train_loss"], rtol=1e-4)
    assert setting in provenance(out)["other_arithmetic"]


@pytest.mark.full
def test_finer_grid_reuses_the_points(long, out, tmp_path):
    """13 x 11 on 25 x 11: every second column is there."""
    long.killed(out, 25)
    kept = journal_points(out)
    words = list(long.words)
    words[words.index("--grid") + 1] = "25x11"
    done = helpers.run_program(helpers.BINARY, *words, "--out", out, "--resume").ok()
    assert f"{kept} of 275 points are there" in done.err
    assert provenance(out)["computed"] == 275 - kept
    fresh = tmp_path / "fresh.h5"
    helpers.run_program(helpers.BINARY, *words, "--out", fresh).ok()
    assert torture.contents(out) == torture.contents(fresh)


# --- two processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], *(pytest.param([word], marks=pytest.mark.full) for word in ("--resume", "--force"))],
                         ids=["", "resume", "force"])
def test_second_process_is_refused(long, out, words):
    process = long.start(*long.words, "--threads", 1, "--out", out)
    try:
        wait_for(lambda: journal_points(out) >= 3, process)
        process.send_signal(signal.SIGSTOP)  # however long the second takes
        done = long.call(out, *words)
        process.send_signal(signal.SIGCONT)
        assert done.status == 1
        assert str(process.pid) in done.line() and os.uname().nodename in done.line() and str(out) in done.line()
        _, err = process.communicate(timeout=helpers.TIMEOUT)
        assert process.returncode == 0, err
    finally:
        process.kill()
        process.wait()
    long.same(out)


def test_lock_of_another_host(long, out):
    long.killed(out)
    lock = out.with_name("s.h5.lock")
    name = json.loads(lock.read_text())
    lock.write_text(json.dumps({**name, "host": "elsewhere"}))
    done = long.call(out, "--resume")
    assert done.status == 1 and "elsewhere" in done.line() and str(lock) in done.line() and "delete" in done.line()
    lock.unlink()
    long.call(out, "--resume").ok()
    long.same(out)


def test_surface_that_processes_shared(long, out):
    """As version 1.0 left it when it was killed: the owner's journal, that of a process that joined it, and their claims."""
    long.killed(out, 30)
    kept = kept_points(out, 25)
    journal, content, head = journal_of(out), journal_of(out).read_bytes(), head_size(journal_of(out))
    journal.write_bytes(content[:head + 10 * RECORD])
    out.with_name("s.h5.journal.elsewhere.5").write_bytes(content[:head] + content[head + 10 * RECORD:][:15 * RECORD])
    claims = out.with_name("s.h5.claims")
    claims.mkdir()
    (claims / "open").write_text('{"block":1,"first":3,"owner":"{}"}')
    (claims / "block-000003").write_text("owner")
    (claims / "block-000004").write_text("elsewhere.5")
    (claims / "elsewhere.5.alive").write_text(json.dumps(
        {"host": "elsewhere", "pid": 5, "since": "", "boot": "", "pid_space": "", "start": 0}))
    done = long.call(out, "--resume").ok()
    assert f"{kept} of 143 points are there" in done.err
    long.same(out)
    assert beside(out) == []


# --- disks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    with torture.small_disk(tmp_path) as disk:
        if disk is None:
            pytest.skip("a small disk cannot be mounted here")
        yield disk


def test_disk_that_fills_up(long, disk):
    """Room for the file, and for half of the points in the journal."""
    size = (long.folder / "undisturbed.h5").stat().st_size
    line = torture.on_a_full_disk(long, disk, size + 12000)
    assert "No space left" in line and "are kept in" in line and line.endswith("--resume")


def test_files_that_may_not_grow(long, tmp_path):
    """The limit stops the journal in the middle of a record."""
    line = torture.where_files_are_limited(long, tmp_path, 3000)
    assert "File too large" in line


def test_folder_that_is_lost(long, tmp_path):
    folder = tmp_path / "lost"
    folder.mkdir()
    process = long.start(*long.words, "--threads", 1, "--out", folder / "s.h5")
    wait_for(lambda: journal_points(folder / "s.h5") >= 2, process)
    shutil.rmtree(folder)
    _, err = process.communicate(timeout=helpers.TIMEOUT)
    assert process.returncode == 1
    assert str(folder / "s.h5") in err.splitlines()[-1] and "continue with" in err.splitlines()[-1]


# --- what it says ------------------------------------------------------------------------------------------------


def test_json_progress(long, out):
    start = time.monotonic()
    done = long.call(out, "--progress", "json").ok()
    seconds = time.monotonic() - start
    objects = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert objects[-1]["done"] == objects[-1]["total"] == 143 and objects[-1]["seconds_left"] == 0
    assert all(set(found) == {"done", "total", "images_per_second", "seconds_left", "lowest", "highest", "file"}
               for found in objects)
    loss = helpers.read(out)["train_loss"]
    assert (objects[-1]["lowest"], objects[-1]["highest"]) == (loss.min(), loss.max())
    assert objects[-1]["file"] == str(out)
    assert 1 <= len(objects) <= 2 + seconds / 0.5  # one at once, then two a second at most, and the last


def test_no_progress(long, out):
    said = long.call(out, "--progress", "none").ok().err
    assert "143 of 143 points" in said and "/143 points" not in said and "{" not in said


def test_log(long, out):
    log = out.with_name("log.txt")
    done = long.call(out, "--log", log, "--samples", 20).ok()
    refused = long.call(out, "--log", log, "--seed", 3, "--resume")
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines)
    said = [line.split(" ", 1)[1] for line in lines]
    assert said[:-1] == done.err.splitlines() and said[-1] == refused.line()


@pytest.mark.parametrize("words, status, culprit", [
    (["--progress", "xml"], 2, "xml"),
    (["--log", "/dev/null/here.txt"], 1, "/dev/null: the folder cannot be made"),
    (["--log", "s.h5"], 2, "s.h5"),
    (["--log", "s.h5.journal"], 2, "s.h5.journal"),
], ids=lambda words: " ".join(words) if isinstance(words, list) else None)
def test_wrong_words(long, tmp_path, words, status, culprit):
    done = long.call("s.h5", *words, cwd=tmp_path)
    assert done.status == status and culprit in done.line()
    assert helpers.tree(tmp_path) == {}


def test_points_are_taken_coarse_to_fine(long, out):
    """The first twentieth lies all over the grid."""
    long.killed(out, 8, "--threads", 1)
    content = journal_of(out).read_bytes()[head_size(journal_of(out)):]
    indices = [int.from_bytes(content[at:at + 8], "little") for at in range(0, len(content) - RECORD + 1, RECORD)]
    expected = [5 * 13 + 6, 0, 8, 8 * 13, 8 * 13 + 8, 4, 12]
    assert indices[:7] == expected
