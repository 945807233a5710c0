"""Files know by SHA-256 which data and checkpoints their values came from; what was replaced or damaged is refused."""

import hashlib
import json
import shutil
import subprocess
import zipfile

import h5py
import helpers
import numpy as np
import pytest
import torch

DIGESTS = ["samples_sha256", "test_samples_sha256", "bn_images_sha256", "train_images_sha256", "test_images_sha256"]
BATCHES = [f"data_batch_{batch}.bin" for batch in range(1, 6)]


def digest_of(pictures, split, indices=slice(None)):
    """Of each image its label, then its pixels."""
    digest = hashlib.sha256()
    for label, pixels in zip(pictures.labels[split][indices], pictures.pixels[split][indices]):
        digest.update(bytes([label]) + pixels.tobytes())
    return digest.hexdigest()


def sha256(*files):
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def change_byte(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def without_digests(settings):
    return {key: value for key, value in settings.items() if key not in DIGESTS}


def make_old(path):
    """As a version that stored no digests of data left it."""
    with h5py.File(path, "r+") as file:
        attributes = file["lossatlas"].attrs
        attributes["settings"] = json.dumps(without_digests(json.loads(attributes["settings"])))


@pytest.fixture
def data(pictures, tmp_path):
    """A copy of the pictures' files that a test may change."""
    return shutil.copytree(pictures.folder, tmp_path / "data")


@pytest.fixture
def small(lossatlas, mlp_run, data, tmp_path):
    """small(words...) writes a small surface of the copy, or goes on with it on a finer grid."""

    def call(*words, grid="3x2", at=data, out="s.h5"):
        return lossatlas("surface", "--checkpoint", mlp_run / "checkpoints/epoch-0002.pt", "--data", f"cifar10:{at}", "--out",
                         tmp_path / out, "--grid", grid, *words)

    return call


# --- what stands in the files ------------------------------------------------------------------------------------


def test_digests_of_a_surface(sweep, pictures, tmp_path):
    out = sweep(tmp_path / "s.h5", "--split", "both", "--samples", 50, "--bn", "recalibrate", "--bn-images", 30, grid="2x2")
    used = {split: helpers.read(out)[f"lossatlas/samples_{split}"] for split in ("train", "test")}
    settings = helpers.settings(out)
    assert settings["samples_sha256"] == digest_of(pictures, "train", used["train"])
    assert settings["test_samples_sha256"] == digest_of(pictures, "test", used["test"])
    assert settings["bn_images_sha256"] == digest_of(pictures, "train", used["train"][:30])  # samples are nested


def test_digest_of_a_whole_split_is_that_of_its_files(small, data, tmp_path):
    small().ok()
    assert helpers.settings(tmp_path / "s.h5")["samples_sha256"] == sha256(*(data / name for name in BATCHES))
    small("--split", "test", "--force").ok()
    assert helpers.settings(tmp_path / "s.h5")["samples_sha256"] == sha256(data / "test_batch.bin")


def test_digests_of_a_run_and_a_curve(lossatlas, pictures, mlp_run, tmp_path):
    settings = helpers.settings(mlp_run / "history.h5")
    whole = digest_of(pictures, "train")
    assert settings["train_images_sha256"] == whole
    assert settings["test_images_sha256"] == digest_of(pictures, "test")
    out, ends = tmp_path / "p.h5", mlp_run / "checkpoints"
    lossatlas("curve", "--from", ends / "epoch-0001.pt", "--to", ends / "epoch-0002.pt", "--data", pictures.words, "--out", out,
              "--epochs", 1, "--points", 3, "--samples", 20).ok()
    settings = helpers.settings(out)
    assert settings["train_images_sha256"] == whole
    assert settings["samples_sha256"] == digest_of(pictures, "train", helpers.read(out)["lossatlas/samples_train"])
    assert settings["from"]["sha256"] == sha256(ends / "epoch-0001.pt")
    assert settings["bend_files"][0]["sha256"] == sha256(out.with_name("p.bend-1.pt"))


# --- data that were replaced -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, name, split", [
    ([], "data_batch_2.bin", "train"), (["--split", "test"], "test_batch.bin", "test"),
    (["--split", "both"], "test_batch.bin", "test"), (["--samples", 150], "data_batch_2.bin", "train")],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else value)
@pytest.mark.parametrize("place", ["label", "pixel"])
def test_replaced_data_are_refused(small, data, tmp_path, words, name, split, place):
    small(*words).ok()
    out = tmp_path / "s.h5"
    before = out.read_bytes()
    content = bytearray((data / name).read_bytes())
    for record in range(0, len(content), 3073):
        content[record + (place == "pixel")] ^= 1
    (data / name).write_bytes(content)
    for force in ([], ["--force"]):
        done = small("--resume", *words, *force, grid="5x2")
        assert done.status == 1 and f"other images in the {split} split" in done.line() and str(out) in done.line()
    assert out.read_bytes() == before


def test_replaced_images_of_another_number_are_refused(small, data):
    small().ok()
    (data / "data_batch_5.bin").write_bytes((data / "data_batch_5.bin").read_bytes()[:-3073])
    done = small("--resume")
    assert done.status == 1 and "other images in the train split" in done.line()


def test_replaced_images_for_statistics_are_refused(lossatlas, checkpoint, data, tmp_path):
    words = ["surface", "--checkpoint", checkpoint, "--data", f"cifar10:{data}", "--out", tmp_path / "s.h5", "--split", "test",
             "--samples", 20, "--bn", "recalibrate", "--resume"]
    lossatlas(*words, "--grid", "2x2", "--bn-images", 200).ok()
    other = lossatlas(*words, "--grid", "3x2", "--bn-images", 100)
    assert other.status == 1 and "bn_images was 200, now 100" in other.line()
    change_byte(data / "data_batch_1.bin", 5)
    done = lossatlas(*words, "--grid", "3x2", "--bn-images", 200)
    assert done.status == 1 and "other images in the train (--bn-images) split" in done.line()


def test_other_samples_are_said_before_other_data(small, data):
    small("--samples", 100).ok()
    change_byte(data / "data_batch_1.bin", 0)
    done = small("--samples", 50, "--resume", at=shutil.copytree(data, data.with_name("other")))
    assert done.status == 1 and "samples was 100, now 50" in done.line()


def test_images_that_are_not_used_do_not_matter(small, data, tmp_path):
    small("--samples", 50).ok()
    used = set(helpers.read(tmp_path / "s.h5")["lossatlas/samples_train"])
    unused = next(image for image in range(40) if image not in used)
    change_byte(data / "data_batch_1.bin", 3073 * unused + 1)
    small("--samples", 50, "--resume", grid="5x2").ok()


def test_same_data_elsewhere_go_on(small, data, lossatlas, tmp_path):
    small().ok()
    other = data.rename(tmp_path / "moved")
    done = small("--resume", grid="5x2", at=other).ok()
    assert "6 of 10 points are there" in done.err and "note" not in done.err
    small(grid="5x2", at=shutil.copytree(other, data), out="whole.h5").ok()
    difference = lossatlas("info", "--diff", tmp_path / "s.h5", tmp_path / "whole.h5").ok().out
    assert "the same settings" in difference and "the same values" in difference


def test_killed_sweep_does_not_go_on_with_other_data(lossatlas, checkpoint, data, tmp_path):
    out = tmp_path / "s.h5"
    words = ["surface", "--checkpoint", checkpoint, "--data", f"cifar10:{data}", "--out", out, "--grid", "25x25"]
    helpers.interrupt(words, "", number=9, until=helpers.has_begun(out))
    elsewhere = shutil.copytree(data, tmp_path / "elsewhere")
    change_byte(data / "data_batch_3.bin", 100)
    before = [file.read_bytes() for file in (out, helpers.journal_of(out))]
    done = lossatlas(*words, "--resume")
    assert done.status == 1 and "other images in the train split" in done.line()
    assert [file.read_bytes() for file in (out, helpers.journal_of(out))] == before
    words[4] = f"cifar10:{elsewhere}"
    done = helpers.interrupt([*words, "--resume"], "resuming", number=9, wait=0)
    assert "points are there" in done.err


def test_training_does_not_go_on_with_other_data(lossatlas, data, tmp_path):
    run, elsewhere = tmp_path / "run", shutil.copytree(data, tmp_path / "elsewhere")
    words = ["train", "--arch", "linear", "--out", run, "--lr", 0.01, "--threads", 1, "--data"]
    lossatlas(*words, f"cifar10:{data}", "--epochs", 1).ok()
    before = helpers.tree(run)
    for name, split in (("data_batch_4.bin", "train"), ("test_batch.bin", "test")):
        change_byte(data / name, 3073 * 2)
        done = lossatlas(*words, f"cifar10:{data}", "--epochs", 2, "--resume")
        assert done.status == 1 and f"other images in the {split} split" in done.line().replace("train and test", split)
    assert helpers.tree(run) == before
    done = lossatlas(*words, f"cifar10:{elsewhere}", "--epochs", 2, "--resume").ok()
    assert "epoch 2" in done.err and "note" not in done.err


# --- files of older versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", ["3x2", "5x2"], ids=["complete", "finer"])
def test_old_surface_goes_on_with_a_note(small, data, tmp_path, grid):
    out = tmp_path / "s.h5"
    small().ok()
    expected, values = helpers.settings(out), helpers.read(out)
    make_old(out)
    done = small("--resume", grid=grid).ok()
    assert f"note: {out}" in done.err and "digest" in done.err
    settings = helpers.settings(out)
    assert {key: settings.get(key) for key in DIGESTS} == {key: expected.get(key) for key in DIGESTS}
    np.testing.assert_array_equal(helpers.read(out)["train_loss"][:, ::1 if grid == "3x2" else 2], values["train_loss"])
    assert "note" not in small("--resume", grid=grid).ok().err
    change_byte(data / "data_batch_1.bin", 0)
    assert small("--resume", grid=grid).status == 1


def test_old_surface_of_another_path_is_refused(small, data, tmp_path):
    small().ok()
    make_old(tmp_path / "s.h5")
    done = small("--resume", at=shutil.copytree(data, tmp_path / "other"))
    assert done.status == 1 and "data was" in done.line() and "other" in done.line()


def test_old_run_goes_on_with_a_note(lossatlas, pictures, tmp_path):
    run = tmp_path / "run"
    words = ["train", "--arch", "linear", "--data", pictures.words, "--out", run, "--epochs", 1, "--threads", 1]
    lossatlas(*words).ok()
    expected = helpers.settings(run / "history.h5")
    make_old(run / "history.h5")
    saved = helpers.load(run / "resume.pt")
    saved["settings"] = json.dumps(without_digests(json.loads(saved["settings"])))
    torch.save(saved, run / "resume.pt")
    done = lossatlas(*words, "--resume").ok()
    assert f"note: {run}" in done.err and "digest" in done.err
    assert helpers.settings(run / "history.h5") == expected
    assert "note" not in lossatlas(*words, "--resume").ok().err


# --- checkpoints that were replaced or damaged -------------------------------------------------------------------


@pytest.mark.full
def test_checkpoints_replaced_while_they_are_used(lossatlas, pictures, run, tmp_path):
    files = [shutil.copy(run / f"checkpoints/epoch-000{epoch}.pt", tmp_path / f"{epoch}.pt") for epoch in (3, 2, 1)]
    digests = [sha256(file) for file in files]
    words = ["surface", "--plane", "points:" + ",".join(map(str, files)), "--data", pictures.words, "--grid", "6x6"]
    lossatlas(*words, "--out", tmp_path / "undisturbed.h5").ok()
    out = tmp_path / "s.h5"
    process = subprocess.Popen([str(word) for word in (helpers.BINARY, *words, "--out", out)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        helpers.wait_for(out.exists, process)
        for file in files:
            shutil.copy(run / "checkpoints/epoch-0000.pt", file.with_suffix(".new"))
            file.with_suffix(".new").rename(file)
        assert process.wait(helpers.TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
    settings = helpers.settings(out)
    assert settings["checkpoint"]["sha256"] == digests[0] and [file["sha256"] for file in settings["points"]] == digests
    with h5py.File(out) as found, h5py.File(tmp_path / "undisturbed.h5") as expected:
        for name in ("train_loss", "lossatlas/points/train_loss"):
            np.testing.assert_array_equal(found[name][()], expected[name][()])


def entries_of(path):
    """Where the bytes of each stored entry begin, by its name."""
    places = {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
            if info.compress_type == zipfile.ZIP_STORED and info.file_size > 20:
                places[info.filename] = info.header_offset + 30 + name + extra
    return places


def assert_finds_flips(call, path):
    """call() names the entry whose byte is flipped, as zipfile does."""
    content = path.read_bytes()
    found = 0
    for name, place in entries_of(path).items():
        change_byte(path, place + 17)
        assert zipfile.ZipFile(path).testzip() == name
        done = call()
        if done.status != 0:
            found += 1
            assert done.status == 1 and str(path) in done.line() and f"{name} does not have its CRC-32" in done.line()
        path.write_bytes(content)
    assert call().status == 0
    return found


def test_flipped_bytes_are_found(lossatlas, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.rand(3, 50), "b": torch.rand(300)[7:18], "h": torch.rand(20, 2).half()}, path)
    assert assert_finds_flips(lambda: lossatlas("info", path), path) == 4  # data.pkl and three storages
    stream = open(path, "wb")
    with stream:
        torch.save({"w": torch.rand(3, 50)}, stream)
    assert assert_finds_flips(lambda: lossatlas("info", path), path) == 2


def test_flipped_bytes_of_torchscript_are_found(lossatlas, tmp_path):
    path = tmp_path / "a.pt"
    torch.jit.trace(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10)).eval(),
                    torch.zeros(2, 3, 32, 32)).save(str(path))
    assert assert_finds_flips(lambda: lossatlas("info", path), path) == len(entries_of(path))


def test_checkpoint_without_checksums_is_read(lossatlas, tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.rand(3, 50)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    lossatlas("info", tmp_path / "a.pt").ok()


def test_flipped_bytes_are_found_by_a_trajectory(lossatlas, pictures, mlp_run, tmp_path):
    files = [shutil.copy(mlp_run / f"checkpoints/epoch-000{epoch}.pt", tmp_path / f"{epoch}.pt") for epoch in range(3)]
    words = ["trajectory", "--checkpoints", ",".join(map(str, files)), "--data", pictures.words, "--out", tmp_path / "t.h5",
             "--grid", "2x2", "--samples", 20, "--force"]
    parameters = [name for name in entries_of(files[1]) if "/data/" in name]
    assert assert_finds_flips(lambda: lossatlas(*words), files[1]) >= len(parameters)


# --- comparing ---------------------------------------------------------------------------------------------------


def test_info_shows_the_digests(small, lossatlas, data, tmp_path):
    small().ok()
    shown = lossatlas("info", "--all", tmp_path / "s.h5").ok().out
    digest = helpers.settings(tmp_path / "s.h5")["samples_sha256"]
    assert any(line.split() == ["samples_sha256", digest] for line in shown.splitlines())
    change_byte(data / "data_batch_1.bin", 1)
    small(out="other.h5").ok()
    other = helpers.settings(tmp_path / "other.h5")["samples_sha256"]
    difference = lossatlas("info", "--diff", tmp_path / "s.h5", tmp_path / "other.h5").ok().out
    assert f'samples_sha256: "{digest}" | "{other}"' in difference
