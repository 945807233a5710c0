"""--report: what belongs to a run stands on one page that loads nothing, and what is broken is named there."""

import hashlib
import html.parser
import json
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from conftest import SETTINGS, add_points, write_history, write_line, write_surface

SUMMARY = {"centre": {"loss": 0.5, "x": 0, "y": 0, "accuracy": 91.5, "exact": True}, "lowest": {"loss": 0.4, "x": 0.1, "y": 0},
           "width": 0.75, "minima": 1, "hints": ["the range is too small"]}


class Page(html.parser.HTMLParser):
    """Tags, text, images and addresses of a page; fails on tags that are not closed in their order."""

    EMPTY = {"meta", "img", "source"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.addresses = [], [], "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open and self.open[-1] != "style" else ""

    def images(self):
        return [attributes for tag, attributes in self.tags if tag == "img"]


def write_run(folder, name="run"):
    """A run folder with a history and two checkpoints."""
    run = folder / name
    (run / "checkpoints").mkdir(parents=True)
    write_history(run / "history.h5", settings={
        "arch": "resnet20", "width": 16, "optimizer": "sgd", "lr": 0.1, "lr_steps": [2, 4], "augment": True, "data": "cifar10:/d",
        "delta": 1e-7, "nesterov": False})
    for epoch in (0, 5):
        (run / "checkpoints" / f"epoch-{epoch:04}.pt").write_bytes(bytes([epoch]) * 1000)
    return run


def made_from(run, epoch=5, **more):
    """Settings of a surface made from a checkpoint of the run."""
    checkpoint = run / "checkpoints" / f"epoch-{epoch:04}.pt"
    return {**SETTINGS, "checkpoint": {"file": checkpoint.name, "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest()},
            **more}


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Figures of few pixels: what they look like is tested elsewhere."""
    from lossatlas.plotting import report_page

    monkeypatch.setattr(report_page, "DPI", 50)


@pytest.fixture
def report(plot, tmp_path):
    """report(folder): the Page, and the run of the plotter."""

    def make(folder):
        done = plot("--report", folder, "-o", tmp_path / "report.html")
        assert done.status == 0, done.err
        return Page((tmp_path / "report.html").read_text("utf-8")), done

    return make


def test_a_whole_run(report, tmp_path):
    run = write_run(tmp_path)
    write_surface(run / "inside.h5", settings=made_from(run), summary=SUMMARY)
    with h5py.File(run / "inside.h5", "r+") as file:
        file["lossatlas"].attrs["provenance"] = json.dumps({"command": "lossatlas surface --grid 9x9", "version": "0.1.0"})
    write_line(run / "line.h5")
    page, done = report(run)
    assert done.err == "" and done.out == f"{tmp_path}/report.html\n"
    # The history; contours and relief of the surface; the line.
    assert len(page.images()) == 4 and all(image["alt"] for image in page.images())
    assert sum(tag == "source" for tag, _ in page.tags) == 4
    for text in ("resnet20", "centre loss 0.5", "the range is too small", "lossatlas surface --grid 9x9", "91.50 %",
                 "epoch-0000.pt … epoch-0005.pt", "final test accuracy", "Surface, made from epoch-0005.pt by Lossatlas 0.1.0"):
        assert text in page.text, text
    assert ("lossatlas train --arch resnet20 --width 16 --data cifar10:/d --optimizer sgd --lr 0.1 --lr-steps 2,4 --epochs 5"
            " --augment --out run") in page.text


def test_nothing_is_loaded_and_nothing_runs(report, tmp_path):
    run = write_run(tmp_path)
    write_surface(run / "s.h5", settings=made_from(run))
    page, _ = report(run)
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    policy = next(attributes for tag, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


@pytest.mark.full
def test_files_beside_the_run_belong_to_it_by_checksum(report, tmp_path):
    run = write_run(tmp_path)
    write_surface(tmp_path / "mine.h5", settings=made_from(run))
    wrong = made_from(run)
    wrong["checkpoint"]["sha256"] = "0" * 64
    write_surface(tmp_path / "of-another-run.h5", settings=wrong)
    write_surface(tmp_path / "deep.h5", settings={"path": {"ends": [{"x": 1}, made_from(run)["checkpoint"]]}})
    write_surface(tmp_path / "li.h5", ours=False)
    page, _ = report(run)
    assert "mine.h5" in page.text and "deep.h5" in page.text
    assert "of-another-run.h5" not in page.text and "li.h5" not in page.text


@pytest.mark.full
def test_checkpoints_of_one_name_are_told_apart(report, tmp_path):
    run, other = write_run(tmp_path, "sgd"), write_run(tmp_path, "adam")
    (other / "checkpoints" / "epoch-0005.pt").write_bytes(b"another")
    joined = [made_from(each)["checkpoint"] for each in (run, other)]
    add_points(write_line(run / "line.h5"), ("sgd/epoch-0005", "adam/epoch-0005"))
    with h5py.File(run / "line.h5", "r+") as file:
        file["lossatlas"].attrs["settings"] = json.dumps({"checkpoint": joined[0], "points": joined})
    write_surface(run / "unmarked.h5", settings=made_from(run, points=joined))
    page, _ = report(run)
    assert "Line, made from sgd/epoch-0005, adam/epoch-0005" in page.text
    shas = [each["sha256"][:12] for each in joined]
    assert f"Surface, made from epoch-0005.pt ({shas[0]}…), epoch-0005.pt ({shas[1]}…)" in page.text
    assert f"adam/epoch-0005 (SHA-256 {shas[1]}…)" in page.text  # in the settings


def test_losses_of_a_run_that_diverged(report, tmp_path):
    run = write_run(tmp_path)
    with h5py.File(run / "history.h5", "r+") as file:
        file["train_loss"][-1], file["test_loss"][-1] = np.nan, np.inf
    page, _ = report(run)
    assert "not a number (nan)" in page.text and "+inf" in page.text


def test_missing_pieces_are_left_out(report, tmp_path):
    run = write_run(tmp_path)
    (run / "history.h5").unlink()
    page, _ = report(run)
    assert "2 checkpoints" in page.text and not page.images()
    alone = tmp_path / "alone"
    alone.mkdir()
    write_history(alone / "history.h5")
    page, _ = report(alone)
    assert len(page.images()) == 1 and "checkpoint" not in page.text


@pytest.mark.full
def test_broken_files_are_named_on_the_page(report, tmp_path):
    run = write_run(tmp_path)
    (run / "text.h5").write_text("no HDF5")
    write_surface(run / "empty.h5", np.full((9, 9), np.nan), evaluated=np.zeros((9, 9)))
    write_surface(run / "good.h5")
    (run / "cut.h5").write_bytes((run / "good.h5").read_bytes()[:2000])
    (run / "history.h5").write_bytes(b"")
    page, _ = report(run)
    for text in ("text.h5: ", "empty.h5: ", "cut.h5: ", "history.h5: ", "not an HDF5 file", "no evaluated point"):
        assert text in page.text, text
    assert len(page.images()) == 2


def test_directions_are_no_broken_file(report, tmp_path):
    run = write_run(tmp_path)
    with h5py.File(run / "directions.h5", "w") as file:
        file["xdirection/0"] = np.zeros(3, np.float32)
    page, _ = report(run)
    assert "Directions: run/directions.h5" in page.text and "Not shown" not in page.text


def test_texts_are_escaped(report, tmp_path):
    run = write_run(tmp_path, "<script>alert(1)<&'\">")
    evil = '"><script>alert(2)</script>'
    write_surface(run / "<img onerror=x>.h5", settings=made_from(run, arch=evil, note={evil: evil}), summary={"note": evil})
    with h5py.File(run / "<img onerror=x>.h5", "r+") as file:
        file["lossatlas"].attrs["provenance"] = json.dumps({"command": evil, "version": evil, "started": evil, evil: evil})
    page, _ = report(run)
    assert evil in page.text and "<img onerror=x>.h5" in page.text
    assert not any(tag == "script" or "onerror" in attributes for tag, attributes in page.tags)
    assert all(set(attributes) == {"src", "alt"} for attributes in page.images())


def test_the_same_run_gives_the_same_bytes(report, plot, tmp_path):
    run = write_run(tmp_path)
    write_surface(run / "s.h5", settings=made_from(run))
    report(run)
    first = (tmp_path / "report.html").read_bytes()
    report(run)
    assert (tmp_path / "report.html").read_bytes() == first


def test_the_default_page_stands_in_the_run(plot, tmp_path):
    run = write_run(tmp_path)
    assert plot("--report", run).out == f"{run}/report.html\n"
    assert (run / "report.html").exists()


@pytest.mark.parametrize("words,status,text", [
    (["--report", "none"], 1, "none is not there"),
    (["--report", "file"], 1, "file is not a folder"),
    (["--report", "empty"], 1, "empty holds no run"),
    (["--report", "run", "-o", "r.pdf"], 2, "r.pdf: a report is .html"),
    (["--report", "run", "--kind", "heat"], 2, "it takes only -o, not '--kind'"),
    (["--report"], 2, "--report"),
    (["--report", "run", "-o", "file/r.html"], 1, "cannot write file/r.html"),
])
def test_bad_words(plot, tmp_path, monkeypatch, words, status, text):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    result = plot(*words)
    assert result.status == status and text in result.line()
    assert not list(tmp_path.glob("**/*.html"))


def test_a_browser_shows_it_without_a_complaint(report, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium here (Debian's package chromium)")
    run = write_run(tmp_path)
    write_surface(run / "s.h5", settings=made_from(run), summary=SUMMARY)
    report(run)
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={tmp_path}/browser", "--window-size=900,3000", f"--screenshot={tmp_path}/page.png",
         f"file://{tmp_path}/report.html"], capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr, done.stderr
    import matplotlib.image

    pixels = matplotlib.image.imread(tmp_path / "page.png")[:, :, :3]
    saturation = pixels.max(axis=2) - pixels.min(axis=2)
    assert (saturation > 0.3).mean() > 0.03  # figures are there: texts alone have no such colours


@pytest.mark.parametrize("width, beside", [(1400, True), (800, False)])
def test_the_width_is_used(report, browser, tmp_path, width, beside):
    run = write_run(tmp_path)
    write_line(run / "line.h5")
    report(run)
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((tmp_path / "report.html").as_uri())
    figure = page.locator("#training img").bounding_box()
    texts = page.locator("#training .beside > div").last.bounding_box()
    assert figure["width"] > (0.4 if beside else 0.9) * width
    assert (texts["x"] > figure["x"] + figure["width"]) == beside
    assert texts["x"] + texts["width"] > 0.94 * width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("settings, words", [
    ({"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "delta": 1e-7},
     "--optimizer sgd --momentum 0 --weight-decay 0 --epochs 5"),
    ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "delta": 1e-7}, "--optimizer sgd --momentum 0.9 --epochs 5 --nesterov"),
    ({"optimizer": "nesterov", "momentum": 0.9, "nesterov": True, "delta": 1e-7}, "--optimizer nesterov --momentum 0.9 --epochs 5"),
    ({"optimizer": "gd", "momentum": 0.0, "delta": 1e-7, "lr_steps": [], "lr_factor": 0.1}, "--optimizer gd --lr-factor 0.1 --epochs 5"),
    ({"optimizer": "rmsprop", "momentum": 0.0, "delta": 1e-8, "rho": 0.9}, "--optimizer rmsprop --delta 1e-08 --rho 0.9 --epochs 5"),
    ({"optimizer": "adamw", "lr": 0.001, "lr_schedule": "cosine", "lr_epochs": 9, "warmup": 0.5, "momentum": 0.0,
      "weight_decay": 0.01, "delta": 1e-8, "betas": [0.9, 0.95]},
     "--optimizer adamw --lr 0.001 --lr-schedule cosine --lr-epochs 9 --warmup 0.5 --weight-decay 0.01 --delta 1e-08 "
     "--betas 0.9,0.95 --epochs 5"),
], ids=str)
def test_the_command_of_a_run_holds_what_its_optimizer_reads(settings, words):
    from lossatlas.plotting.report_page import _train_command

    assert _train_command(settings, 5, "run") == f"lossatlas train {words} --out run"


def test_descents_are_shown(report, tmp_path):
    from test_descents import write_descents

    run = write_run(tmp_path)
    write_descents(run / "d.h5")
    page, _ = report(run)
    assert "Descents" in page.text and "Not shown" not in page.text and len(page.images()) == 2


def test_our_own_mistakes_cost_one_file(report, tmp_path, monkeypatch):
    from lossatlas.plotting import plane_figures

    run = write_run(tmp_path)
    write_surface(run / "s.h5")
    monkeypatch.setattr(plane_figures, "draw", lambda kind, files, options: 1 / 0)
    page, _ = report(run)
    assert "s.h5: internal error: ZeroDivisionError" in page.text and len(page.images()) == 1


@pytest.mark.full
def test_the_overview_says_what_was_computed_and_what_is_a_bound(report, tmp_path):
    run = write_run(tmp_path)
    mask = np.full((9, 9), 2)
    mask[::4, ::4] = 1
    write_surface(run / "s.h5", evaluated=mask, summary={**SUMMARY, "width_at_least": True})
    page, _ = report(run)
    assert "9 of 81, the rest reconstructed" in page.text and "≥ 0.75" in page.text


def test_barriers_are_said_in_words():
    from lossatlas.plotting import summary

    way = {"ends": [90.0, 39.5], "highest": 91.25, "at": 5.6e-17, "barrier": 26.5}
    assert summary.facts({"interpolation": {"test_err": way}, "curve": {"train_loss": way}}) == [
        "test error between the checkpoints: 90 % and 39.5 % at the ends, highest 91.25 % at 0, barrier 26.5 percentage points",
        "training loss on the curve: 90 and 39.5 at the ends, highest 91.25 at 0, barrier 26.5"]
    assert summary.facts({"curve": {"train_loss": 3}}) == ["train loss on the curve 3"]
