"""Animations: .gif and .mp4."""

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from conftest import SETTINGS, write_line, write_surface, write_trajectory
from PIL import Image, ImageSequence
from test_descents import write_descents


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few frames: what is tested does not need more."""
    from lossatlas.plotting import animation

    for name, seconds in (("SPIN", 0.5), ("RUN", 0.5), ("HOLD", 0.17), ("CHANGE", 0.34)):
        monkeypatch.setattr(animation, name, seconds)


@pytest.fixture
def frames(plot, tmp_path):
    """frames(words…) is the animation as RGB [frames, height, width, 3], and its milliseconds a frame."""

    def run(*words):
        out = tmp_path / "out.gif"
        result = plot(*words, "-o", out, "--dpi", "50")
        assert (result.status, result.err, result.out) == (0, "", f"{out}\n")
        picture = Image.open(out)
        assert picture.info["loop"] == 0
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]), picture.info["duration"]

    return run


def write_epochs(folder, count=3):
    return [write_surface(folder / f"e{k}.h5", lambda x, y, k=k: 0.2 + (x**2 + y**2) / (1 + k), settings={
        **SETTINGS, "checkpoint": {"file": f"epoch-{4 * k:04d}.pt", "sha256": "00"}}) for k in range(count)]


@pytest.mark.full
def test_a_spin(frames, tmp_path):
    images, duration = frames(write_surface(tmp_path / "s.h5"), "--animate", "spin")
    assert len(images) == 6 and duration == pytest.approx(83, abs=4)
    body = images[:, 30:, : images.shape[2] * 3 // 4].astype(int)
    moved = [np.abs(a - b).max(axis=-1) > 40 for a, b in zip(body, body[1:])]
    assert min(each.mean() for each in moved) > 0.05
    title = images[:, :14, :].astype(int)
    assert np.abs(title - title[0]).max() <= 40  # stands still


def test_the_box_fits_from_every_side_and_its_axis_stands_still(tmp_path):
    from lossatlas.plotting import animation, command, reading, style
    from lossatlas.plotting.frame import Frame

    options = command.parse([write_surface(tmp_path / "s.h5"), "-o", "x.gif", "--dpi", "50"])
    style.apply()
    with reading.open_file(options.file) as file:
        film = animation.KINDS["spin"]([file], options)
        solid, size = film.relief(film.fields[0]), (4.3, 4.0)
        head = style.Head("", "", size=None)
        place = animation.relief.steady_place(solid, head, film.label, range(0, 360, 45))
        axis = []
        for side in range(0, 360, 45):
            frame = Frame(solid.turned_to(float(side)), size, False, place)
            ends = np.concatenate([text.corners() for text in frame._texts()])
            assert ends.min() > -0.15 and (ends < np.array(size) + 0.15).all()
            axis.append(frame.inches(frame._view.project(np.array([[0.0, 0.0, 0.0]])))[0])
        np.testing.assert_allclose(axis, axis[:1] * 8, atol=1e-9)


def test_a_trajectory_runs(frames, tmp_path):
    images, _ = frames(write_trajectory(tmp_path / "s.h5", runs=2))  # what such a file is animated as
    assert len(images) == 6  # its rest is one long frame
    assert (np.abs(images[1].astype(int) - images[4]) > 40).mean() > 0.001


def test_what_is_said_of_a_trajectory_is_off_its_plane(tmp_path):
    from lossatlas.plotting import animation, command, reading, style

    options = command.parse([write_trajectory(tmp_path / "s.h5", runs=2), "-o", "x.gif", "--dpi", "50"])
    style.apply()
    with reading.open_file(options.file) as file:
        film = animation.KINDS["trajectory"]([file], options)
        film.frame(6.5)
        said = [text.get_text() for text in film.legend.get_texts()]
        assert said[0].startswith("run 1 (AdaGrad): epoch 6, training loss 0.") and said[1].startswith("run 0 (SGD): epoch 6")
        film.page.figure.draw_without_rendering()
        legend, axes = film.legend.get_window_extent(), film.axes.get_window_extent()
        assert legend.y1 < axes.y0 and legend.y0 > 0
        assert not [text for text in film.axes.texts if "epoch" in text.get_text()]  # values on contours alone


@pytest.mark.full
def test_files_one_after_another_on_one_scale(frames, tmp_path):
    images, _ = frames(*write_epochs(tmp_path))
    held, changing = 2, 3
    assert len(images) <= 3 * held + 2 * changing + held
    first, last = images[0].astype(int), images[-1].astype(int)
    assert (np.abs(first - last) > 40).mean() > 0.02
    bar = np.s_[first.shape[0] // 3 : first.shape[0] // 2, int(first.shape[1] * 0.83) :]
    assert np.abs(first[bar] - last[bar]).max() <= 40  # the colour bar is the same


def test_the_epochs_are_named(tmp_path):
    from lossatlas.plotting import animation, command, reading

    options = command.parse([*write_epochs(tmp_path), "-o", "x.gif", "--dpi", "50"])
    files = [reading.open_file(path) for path in options.files]
    film = animation.KINDS["epochs"](files, options)
    assert film.titles == ["epoch 0", "epoch 4", "epoch 8"]
    half = film.between(film.fields[0], film.fields[1], 0.5).values
    np.testing.assert_allclose(half, (film.fields[0].values + film.fields[1].values) / 2)


def test_the_same_file_gives_the_same_bytes(plot, tmp_path):
    file = write_trajectory(tmp_path / "s.h5")
    outs = [tmp_path / name for name in ("a.gif", "b.gif")]
    for out in outs:
        assert plot(file, "-o", out, "--dpi", "40").status == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_the_default_name(plot, tmp_path, monkeypatch):
    monkeypatch.setattr("lossatlas.plotting.animation.SPIN", 0.1)
    assert plot(write_surface(tmp_path / "s.h5"), "--animate", "spin", "--dpi", "40").out == f"{tmp_path}/s_spin.gif\n"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed (tools/setup --tests)")
def test_mp4(plot, tmp_path):
    file, outs = write_trajectory(tmp_path / "s.h5"), [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for out in outs:
        assert plot(file, "-o", out, "--dpi", "50").status == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    words = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,pix_fmt,nb_read_frames,r_frame_rate",
             "-of", "json", outs[0]]
    stream, = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["streams"]
    assert stream == {"codec_name": "h264", "pix_fmt": "yuv420p", "nb_read_frames": "36", "r_frame_rate": "24/1"}
    last = subprocess.run(["ffmpeg", "-v", "error", "-i", outs[0], "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"],
                          capture_output=True, check=True).stdout
    assert len(Image.open(io.BytesIO(last)).convert("RGB").getcolors(1 << 24)) > 200


def test_without_ffmpeg_one_line_and_nothing_is_written(plot, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = plot(write_surface(tmp_path / "s.h5"), "-o", tmp_path / "x.mp4")
    assert result.status == 1 and "writing .mp4 requires ffmpeg" in result.line()
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize("words, line, status", [
    (["--animate", "epochs", "-o", "x.gif"], "needs several files", 2),
    (["--animate", "trajectory", "-o", "x.gif"], "holds no trajectory", 1),
    (["--animate", "spin", "-o", "x.png"], "--animate spin needs an output .gif or .mp4", 2),
    (["--animate", "roll", "-o", "x.gif"], "invalid choice", 2),
])
def test_what_cannot_be_animated(plot, tmp_path, words, line, status):
    result = plot(write_surface(tmp_path / "s.h5"), *words)
    assert result.status == status and line in result.line()


def test_other_files_that_cannot_be_animated(plot, tmp_path):
    surface, line = write_surface(tmp_path / "s.h5"), write_line(tmp_path / "l.h5")
    finer, out = write_surface(tmp_path / "f.h5", nx=11, ny=11), tmp_path / "x.gif"
    assert "holds no plane to animate" in plot(line, "-o", out).line()
    assert "has another grid than" in plot(surface, finer, "-o", out).line()
    assert "needs one file, not 2" in plot(surface, finer, "--animate", "spin", "-o", out).line()
    assert "no finite value" in plot(write_surface(tmp_path / "n.h5", np.full((9, 9), np.nan)), "-o", out).line()
    assert not out.exists()


def test_files_of_one_epoch_are_told_apart_and_all_frames_say_the_same(tmp_path):
    from lossatlas.plotting import animation, command, reading

    mask = np.full((9, 9), 2)
    mask[::4, ::4] = 1
    paths = [write_surface(tmp_path / f"{name}.h5", lambda x, y, k=k: 0.2 + (1 + k) * (x**2 + y**2), evaluated=mask,
                           settings={**SETTINGS, "arch": name, "checkpoint": {"file": "epoch-0016.pt", "sha256": "00"}},
                           more={"lossatlas/train_loss_error": np.full((9, 9), 0.1 * (1 + k))})
             for k, name in enumerate(("with", "without"))]
    options = command.parse([*paths, "-o", "x.gif", "--dpi", "50"])
    film = animation.KINDS["epochs"]([reading.open_file(path) for path in paths], options)
    assert film.titles == ["with", "without"]
    said = " · ".join(film.notes)
    assert "with: 9 of 81 points evaluated" in said and "stated error 38 % of the loss there" in said \
        and "stated error 62 % of the loss there" in said  # 0.1 / (0.2 + 0.25²), 0.2 / (0.2 + 2 · 0.25²)


@pytest.mark.parametrize("variables", [1, 2])
def test_descents_run(frames, tmp_path, variables):
    file = write_descents(tmp_path / "d.h5", variables, steps=40)
    images, _ = frames(file)
    assert 5 <= len(images) <= 7  # frames that are alike are one
    changed = [np.abs(a.astype(int) - b).max(axis=-1) > 40 for a, b in zip(images, images[1:])]
    assert all(each.any() for each in changed)
    whole = np.abs(images[-1].astype(int) - images[0]).max(axis=-1) > 40
    assert not whole[:14].any()  # the title stands still
    assert whole[: whole.shape[0] // 2].any() and whole[whole.shape[0] // 2:].any()  # the paths, and the words of the legend


def test_what_descents_say_at_each_step(tmp_path):
    from lossatlas.plotting import animation, command, reading
    from lossatlas.plotting.descents import stage

    path = write_descents(tmp_path / "d.h5", 2, steps=200)
    with reading.open_file(path) as file:
        settled = stage.settled(file)
        span = file.x[-1] - file.x[0]
        for descent in file.descents:
            assert (np.abs(descent.position[settled:] - descent.position[-1]) < 0.0101 * span).all()
        assert any((np.abs(descent.position[settled - 1] - descent.position[-1]) > 0.0099 * span).any() for descent in file.descents)
        early, late = stage.until(file.descents[0], 3), stage.until(file.descents[0], 500)
        assert early.steps == 3 and np.array_equal(early.position, file.descents[0].position[:4])
        assert late.steps == 200
        film = animation.KINDS["descents"]([file], command.parse([path, "-o", "x.gif", "--dpi", "50"]))
        said = []
        film.frame_before = film.frame
        film.frame = lambda step, moment: said.append((step, [d.value[-1] for d in moment])) or film.frame_before(step, moment)
        film.frames(12)
        assert f"nothing visibly moves after step {settled}: the rest, to step 200, is shown at once" in film.page.figure.get_label()
    assert said[0] == (0, [d.value[0] for d in file.descents]) and said[-1] == (200, [d.value[-1] for d in file.descents])
    assert said[-2][0] == settled


@pytest.mark.parametrize("variables, gid", [(1, "tangent"), (2, "gradient")])
def test_tangents_stand_beside_descents_that_run(tmp_path, variables, gid):
    from lossatlas.plotting import animation, command, reading

    path = write_descents(tmp_path / "d.h5", variables, tangents=1)
    with reading.open_file(path) as file:
        film = animation.KINDS["descents"]([file], command.parse([path, "-o", "x.gif", "--dpi", "50"]))
        arrows = [text.arrow_patch for text in film.axes.texts if text.arrow_patch is not None]
        assert gid in [artist.get_gid() for artist in [*film.axes.lines, *arrows]]


def test_descents_that_cannot_be_animated(plot, tmp_path):
    file, out = write_descents(tmp_path / "d.h5", 2), tmp_path / "x.gif"
    none = write_descents(tmp_path / "n.h5", 2, rules=[], tangents=1)
    assert "--animate spin is not for descents" in plot(file, "--animate", "spin", "-o", out).line()
    assert "one file at a time" in plot(file, file, "-o", out).line()
    assert "holds no descents" in plot(none, "-o", out).line()
    assert "holds no descents" in plot(write_surface(tmp_path / "s.h5"), "--animate", "descents", "-o", out).line()
    assert not out.exists()
