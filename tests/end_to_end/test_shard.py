"""`--shard` and `lossatlas merge`: shards put together are the file of one process, bit for bit."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys

import h5py
import helpers
import pytest
import torch

sys.path += [str(helpers.ROOT / "tools" / "torture_test"), str(helpers.ROOT / "python")]
from lossatlas import export_problem  # noqa: E402
from torture import contents  # noqa: E402


def attributes(path):
    """What the file says beside its datasets and settings, but how it came about."""
    with h5py.File(path) as file:
        found = dict(file["lossatlas"].attrs)
    found.pop("provenance")
    return {name: value if isinstance(value, str) else value.tolist() for name, value in found.items()}


def check_same(merged, whole):
    found, expected = contents(merged), contents(whole)
    assert sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)) == []
    assert attributes(merged) == attributes(whole)


def shard_of(out, number, count):
    return out.with_name(f"{out.stem}-{number}-of-{count}.h5")


def provenance(path):
    return json.loads(helpers.attribute(path, "provenance"))


def evaluated(path):
    return int((helpers.read(path)["lossatlas/evaluated"] == 1).sum())


def write_shards(lossatlas, words, out, count):
    files = []
    for number in range(1, count + 1):
        done = lossatlas(*words, "--out", out, "--shard", f"{number}/{count}").ok()
        files.append(shard_of(out, number, count))
        assert done.out == f"{files[-1]}\n"
    assert not out.exists()
    return files


# --- the same bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["plane", "repeats", "three axes", "fan", *(
    pytest.param(case, marks=pytest.mark.full) for case in ("odd range", "pca", "between networks", "problem"))])
def test_merged_file_is_that_of_one_process(lossatlas, pictures, run, checkpoint, tmp_path, case):
    network = ["--checkpoint", checkpoint, "--data", pictures.words, "--samples", 20]
    words = {
        "plane": ["surface", *network, "--grid", "7x5", "--split", "both"],
        "odd range": ["surface", *network, "--grid", "4x3", "--x", "0.1:0.7"],  # without the origin
        "repeats": ["surface", *network, "--grid", 3, "--repeat", 2],
        "three axes": ["surface", *network, "--axes", 3, "--grid", "3x2x3"],
        "pca": ["surface", *network[2:], "--plane", f"pca:{run}", "--grid", 3, "--bn-images", 20],
        "fan": ["line", *network, "--points", 5, "--lines", 3],
        "between networks": ["line", *network, "--to", checkpoint.with_name("epoch-0001.pt"), "--points", 7, "--x",
                             "-0.5:1.3", "--bn-images", 20],
        "problem": ["surface", "--problem", tmp_path / "p.lossatlas", "--grid", "3x4"],
    }[case]
    if case == "problem":
        torch.manual_seed(0)
        export_problem(torch.nn.Linear(4, 3), "cross-entropy", (torch.randn(20, 4), torch.arange(20) % 3),
                       tmp_path / "p.lossatlas", quiet=True)
    whole, out = tmp_path / "whole.h5", tmp_path / "S.h5"
    lossatlas(*words, "--out", whole).ok()
    files = write_shards(lossatlas, words, out, 3)
    done = lossatlas("merge", *reversed(files), "--out", out).ok()
    assert done.out == f"{out}\n" and "from 3 files" in done.err.splitlines()[-1]
    check_same(out, whole)
    assert [part["shard"] for part in provenance(out)["merged_from"]] == ["1/3", "2/3", "3/3"]
    assert lossatlas("info", "--diff", out, whole).ok().out.splitlines()[-1] == "the same values"


# --- one shard ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words(pictures, checkpoint):
    return ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--samples", 20, "--grid", "7x5"]


@pytest.fixture(scope="module")
def shards(lossatlas, words, tmp_path_factory):
    """The three shards of a surface, and the file of one process."""
    folder = tmp_path_factory.mktemp("shards")
    lossatlas(*words, "--out", folder / "whole.h5").ok()
    return [*write_shards(lossatlas, words, folder / "S.h5", 3), folder / "whole.h5"]


@pytest.fixture
def copies(shards, tmp_path):
    return [pathlib.Path(shutil.copy(path, tmp_path)) for path in shards]


def test_a_lone_shard_is_an_incomplete_surface(lossatlas, plot, shards, tmp_path):
    assert [evaluated(shard) for shard in shards[:3]] == [12, 12, 11]
    assert helpers.settings(shards[1])["shard"] == "2/3" and "shard" not in helpers.settings(shards[3])
    text = lossatlas("info", shards[1]).ok().out
    assert [line.split() for line in text.splitlines() if line.startswith("shard")] == [["shard", "2/3"],
                                                                                       ["shard_points", "12"]]
    assert "the centre (0, 0) is not evaluated; lowest loss " in text
    described = json.loads(lossatlas("info", "--json", shards[1]).ok().out)
    assert (described["points"], described["evaluated"], described["shard"]) == (35, 12, "2/3")
    plot(shards[1], "-o", tmp_path / "s.svg", "--kind", "heat").ok()
    drawn = (tmp_path / "s.svg").read_text()
    assert "PARTIAL: 12 of 35 points evaluated" in drawn and "shard" in drawn and "2/3" in drawn


def test_only_the_shard_of_the_centre_stores_it_but_all_check_it(shards):
    centre = [helpers.read(shard)["lossatlas/evaluated"][2, 3] for shard in shards[:3]]
    assert centre == [1, 0, 0]
    checks = {helpers.attribute(shard, "centre_check") for shard in shards}
    assert len(checks) == 1 and json.loads(checks.pop())["equal"]


def test_progress_and_messages_count_the_points_of_the_shard(lossatlas, words, tmp_path):
    done = lossatlas(*words, "--out", tmp_path / "S.h5", "--shard", "3/3", "--progress", "json").ok()
    states = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert states[-1]["done"] == states[-1]["total"] == 11
    assert "7x5 points (shard 3/3)" in done.err and "11 of 11 points of shard 3/3 in " in done.err
    again = lossatlas(*words, "--out", tmp_path / "S.h5", "--shard", "3/3", "--resume").ok()
    assert "complete, all 11 points of shard 3/3 are there" in again.line()


def test_a_shard_is_not_replaced_nor_resumed_as_another(lossatlas, words, copies):
    out = copies[0].with_name("S.h5")
    exists = lossatlas(*words, "--out", out, "--shard", "1/3")
    assert exists.status == 1 and f"{copies[0]}: exists" in exists.line()
    shutil.copy(copies[0], copies[1])
    other = lossatlas(*words, "--out", out, "--shard", "2/3", "--resume")
    assert other.status == 1 and f'{copies[1]}: this surface has other settings: shard was "1/3", now "2/3"' in other.err
    whole = lossatlas(*words, "--out", copies[0], "--resume")
    assert whole.status == 1 and 'shard was "1/3", now not set' in whole.err
    shard = lossatlas(*words, "--out", out, "--shard", "3/3", "--resume", "--seed", 1)
    assert shard.status == 1 and "seed was 0, now 1" in shard.err


def test_slurm_names_the_shard(lossatlas, words, shards, tmp_path, monkeypatch):
    for name, value in {"ID": 8, "MIN": 4, "MAX": 12, "STEP": 4, "COUNT": 3}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    out = tmp_path / "S.h5"
    command = [str(word) for word in (helpers.BINARY, *words, "--out", out, "--shard", "slurm")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=helpers.TIMEOUT)
    assert done.returncode == 0 and done.stdout == f"{shard_of(out, 2, 3)}\n"
    check_same(shard_of(out, 2, 3), shards[1])


# --- interrupted --------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_killed_shard_is_merged_from_its_journal_and_goes_on(lossatlas, pictures, checkpoint, tmp_path, monkeypatch):
    words = ["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--grid", "13x11", "--threads", 1]
    whole, out, part = tmp_path / "whole.h5", tmp_path / "S.h5", tmp_path / "P.h5"
    lossatlas(*words, "--out", whole).ok()
    first, second = (shard_of(out, number, 2) for number in (1, 2))
    lossatlas(*words, "--out", out, "--shard", "1/2").ok()
    process = subprocess.Popen([str(word) for word in (helpers.BINARY, *words, "--out", out, "--shard", "2/2")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    helpers.wait_for(lambda: helpers.journal_points(second) >= 10, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=helpers.TIMEOUT)

    refused = lossatlas("merge", first, second, "--out", out)
    assert refused.status == 1 and f"{second}: not finished, " in refused.line() and "--partial" in refused.line()
    missing = int(refused.line().split("not finished, ")[1].split(" of its 71 ")[0])
    assert 0 < missing <= 61 and not out.exists()
    before = second.read_bytes()
    done = lossatlas("merge", first, second, "--out", part, "--partial").ok()
    assert evaluated(part) == 143 - missing and "--resume" in done.err
    assert second.read_bytes() == before and helpers.journal_of(second).exists()

    # The merged file goes on like any other.
    rest = lossatlas(*words, "--out", part, "--resume").ok()
    assert f"resuming: {143 - missing} of 143 points are there" in rest.err
    check_same(part, whole)
    said = provenance(part)
    assert said["resumes"] == 1 and said["computed"] == missing and len(said["merged_from"]) == 2

    # So does the shard; when it is interrupted it says how.
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    for name, value in {"MIN": 0, "MAX": 1, "STEP": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    stopped = helpers.interrupt([*words, "--out", out, "--shard", "slurm", "--resume"], "resuming: ",
                                until=lambda: helpers.journal_points(second) >= 3)
    assert stopped.status == 130 and f"of 71 points of shard 2/2 are in {second}" in stopped.err
    assert "--shard 2/2 --resume" in stopped.err.splitlines()[-1]
    lossatlas(*words, "--out", out, "--shard", "2/2", "--resume").ok()
    lossatlas("merge", first, second, "--out", out).ok()
    check_same(out, whole)


# --- merging what does not belong ---------------------------------------------------------------------------------


def test_incomplete_set_is_refused_and_partial_leaves_a_surface_to_resume(lossatlas, words, copies):
    first, second, third, whole = copies
    out = first.with_name("S.h5")
    refused = lossatlas("merge", second, "--out", out)
    assert refused.status == 1 and "shards 1, 3 of 3 are missing" in refused.line() and not out.exists()
    lossatlas("merge", first, third, "--out", out, "--partial").ok()
    assert evaluated(out) == 23
    lossatlas(*words, "--out", out, "--resume").ok()
    check_same(out, whole)


def test_other_settings_grids_and_counts_are_named(lossatlas, words, pictures, checkpoint, copies):
    first, second, third, whole = copies
    out, other = first.with_name("S.h5"), first.with_name("T.h5")

    def refused(*more):
        lossatlas(*words, "--out", other, "--force", *more).ok()
        name = shard_of(other, *more[more.index("--shard") + 1].split("/"))
        done = lossatlas("merge", first, name, third, "--out", out)
        assert done.status == 1 and str(name) in done.line() and not out.exists()
        return done.line()

    assert "other settings than" in (line := refused("--shard", "2/3", "--seed", 1)) and ": seed" in line
    line = refused("--shard", "2/3", "--sample-seed", 1, "--norm", "layer")
    assert "sample_seed" in line and "normalization" in line
    assert "its grid is 7x5 over x -1:2 and y -1:1" in refused("--shard", "2/3", "--x", "-1:2")
    assert "shard 2/4" in refused("--shard", "2/4")
    assert "shard 1/3, as is " in refused("--shard", "1/3")
    for file, text in [(whole, "not a shard"), (checkpoint, "not a shard"), (first.parent / "no.h5", "no such file")]:
        done = lossatlas("merge", first, file, "--out", out)
        assert done.status == 1 and f"{file}: {text}" in done.line() and not out.exists()


def test_points_that_differ_are_refused(lossatlas, copies):
    first, second, third, _ = copies
    with h5py.File(first) as one, h5py.File(second, "r+") as two:
        for group in ("/", "/lossatlas"):
            for name, node in one[group].items():
                if isinstance(node, h5py.Dataset) and node.shape == (5, 7):
                    two[f"{group}/{name}"][2, 3] = node[2, 3]
    out = first.with_name("S.h5")
    lossatlas("merge", first, second, third, "--out", out).ok()  # both have the same
    with h5py.File(second, "r+") as two:
        two["train_loss"][2, 3] *= 1 + 1e-12
    done = lossatlas("merge", first, second, third, "--out", out, "--force")
    assert done.status == 1 and f"{second}: holds other values at (0, 0) than {first}" in done.line()


def test_nothing_is_replaced_that_was_not_named(lossatlas, copies):
    first, second, third, whole = copies
    before = whole.read_bytes()
    exists = lossatlas("merge", first, second, third, "--out", whole)
    assert exists.status == 1 and f"{whole}: exists" in exists.line() and whole.read_bytes() == before
    among = lossatlas("merge", first, second, third, "--out", second, "--force")
    assert among.status == 2 and "would be read and written" in among.line()
    lossatlas("merge", first, second, third, "--out", whole, "--force").ok()
    assert len(provenance(whole)["merged_from"]) == 3
    journal = first.with_name("S.h5.journal")
    journal.write_text("somebody else's")
    foreign = lossatlas("merge", first, second, third, "--out", first.with_name("S.h5"), "--force")
    assert foreign.status == 1 and str(journal) in foreign.line() and journal.read_text() == "somebody else's"
