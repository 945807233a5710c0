"""The page (-o S.html), in a real browser: Debian's Chromium, driven by playwright, WebGL in software."""

import base64
import io
import json
import re
import time

import h5py
import numpy as np
import pytest
from conftest import (SETTINGS, add_curve, add_points, bowl, hollow, write_curve, write_fan, write_history, write_line,
                      write_repeats, write_surface, write_trajectory, write_volume)

DESKTOP, PHONE = (1000, 600), (390, 700)

# The pictures of canvases: drawn anew first, as WebGL forgets its own
DRAWN = """(selector) => {
  window.lossatlas.drawAll(0);
  return [...document.querySelectorAll(selector)].filter((c) => c.width && c.clientWidth).map((c) => c.toDataURL());
}"""


def write_noisy(path, **more):
    """A bowl with standard errors and accuracies."""
    n = 11
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    return write_surface(path, bowl(x, y), n, n, more={
        "lossatlas/train_loss_se": 0.01 + 0.02 * x**2, "train_acc": 90 - 20 * (x**2 + y**2),
        "lossatlas/train_acc_se": np.full((n, n), 0.5), **more})


def write_holes(path):
    """Points without a finite value, and some not evaluated."""
    n = 17
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    z, mask = bowl(x, y), np.zeros((n, n))
    mask[::2, ::2] = 1
    mask[:9] = 1
    z[4, 4:6], z[mask == 0] = (np.inf, np.nan), np.nan
    return write_surface(path, z, n, n, evaluated=mask)


def write_marked(path):
    write_surface(path, nx=15, ny=9, x=(-0.5, 1.5), y=(-0.5, 1))
    add_points(path, names=("sgd", "adam", "swa"), x=(0.0, 1.0, 0.4), y=(0.0, 0.0, 0.7))
    add_curve(path)
    return str(path)


def write_broken_line(path):
    """A stretch of it is not finite."""
    write_line(path)
    with h5py.File(path, "a") as file:
        file["train_loss"][5:8] = np.inf
    return str(path)


KINDS = {
    "surface": write_noisy, "holes": write_holes, "marked": write_marked, "repeats": write_repeats,
    "trajectory": lambda path: write_trajectory(path, runs=2), "line": write_line, "fan": write_fan,
    "curve": write_curve, "history": write_history, "broken line": write_broken_line, "circles": lambda path: add_points(write_line(path)),
}


@pytest.fixture
def page_of(plot, tmp_path):
    """page_of(files..., words) is the path of the page."""

    def make(*words, name="page.html"):
        out = tmp_path / name
        result = plot(*words, "-o", out)
        assert (result.status, result.err) == (0, ""), result.err
        return out

    return make


def held(path):
    """The data of a page."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def values(record):
    return np.frombuffer(base64.b64decode(record["values"]), "<" + record["type"])


# --- without a browser -----------------------------------------------------------------------------


def test_the_page_holds_the_values_of_the_file_and_nothing_from_elsewhere(page_of, tmp_path):
    file = write_noisy(tmp_path / "s.h5")
    page = page_of(file)
    with h5py.File(file) as h5:
        for name, place in (("train_loss", "train_loss"), ("train_loss_se", "lossatlas/train_loss_se")):
            found = values(held(page)["views"][0]["sets"][0]["fields"][name])
            np.testing.assert_allclose(found, h5[place][()].ravel(), rtol=1e-7)
    assert not re.search(r'(src|href)="(?!data:)|https?://|@import|url\(', page.read_text(encoding="utf-8"))


def test_the_same_file_gives_the_same_bytes(page_of, tmp_path):
    file = write_trajectory(tmp_path / "t.h5")
    assert page_of(file, name="a.html").read_bytes() == page_of(file, name="b.html").read_bytes()


def test_sizes(page_of, tmp_path):
    n = 51
    many = {f"lossatlas/train_loss_class_{k}": np.random.default_rng(k).random((n, n)) for k in range(10)}
    assert page_of(write_surface(tmp_path / "s.h5", nx=n, ny=n, more=many)).stat().st_size < 1e6
    assert page_of(write_repeats(tmp_path / "r.h5", draws=36, n=n)).stat().st_size < 6e6


def test_what_is_not_a_plain_value_is_said(page_of, tmp_path):
    view = held(page_of(write_holes(tmp_path / "s.h5")))["views"][0]
    chosen = view["sets"][0]
    state = np.frombuffer(base64.b64decode(chosen["fields"]["train_loss"]["state"]), np.uint8)
    guessed = int((state == 4).sum())
    assert guessed == 17 * 17 - 9 * 17 - 4 * 9 and (state == 2).sum() == 2 and not (state == 1).any()
    assert chosen["partial"] == f"PARTIAL: {17 * 17 - guessed} of 289 points evaluated"
    notes = chosen["fields"]["train_loss"]["notes"]
    assert f"{guessed} points not evaluated: interpolated (paler)" in notes
    assert "2 points evaluated but not finite (pink, hatched): 1 +inf, 1 not a number (nan)" in notes


def test_reconstructed_values_are_said(page_of, tmp_path):
    mask = np.full((9, 9), 2)
    mask[::2, ::2] = 1
    error = np.where(mask == 2, 0.02, 0.0)
    view = held(page_of(write_surface(tmp_path / "s.h5", evaluated=mask, more={
        "lossatlas/train_loss_error": error})))["views"][0]
    notes = view["sets"][0]["fields"]["train_loss"]["notes"]
    assert any("25 of 81 points evaluated in full, the rest reconstructed" in note for note in notes)


def test_losses_beyond_single_precision_stay_finite(page_of, tmp_path):
    z = np.full((9, 9), 1.0)
    z[0, 0] = 1e200
    record = held(page_of(write_surface(tmp_path / "s.h5", z)))["views"][0]["sets"][0]["fields"]["train_loss"]
    assert record["type"] == "f8" and values(record)[0] == 1e200


def test_falling_coordinates_are_turned(page_of, tmp_path):
    view = held(page_of(write_surface(tmp_path / "s.h5", lambda x, y: 3 + x + 0.1 * y, x=(1, -1))))["views"][0]
    assert view["x"][0] == -1 and values(view["sets"][0]["fields"]["train_loss"])[0] == pytest.approx(3 - 1 - 0.1)


def test_limits_levels_and_scale_of_the_command(page_of, tmp_path):
    page = held(page_of(write_noisy(tmp_path / "s.h5"), "--log", "--vmax", "2", "--levels", "0.8,1,5"))
    record = page["fields"][0]
    assert record["name"] == page["field"] == "train_loss" and record["chosen"]
    assert record["log"]["hi"] == 2 and len(record["log"]["levels"]) == 2
    assert any("cut at 2" in note for note in record["log"]["notes"])


@pytest.mark.parametrize("write, line", [
    (lambda path: write_surface(path, np.full((9, 9), np.nan), evaluated=np.zeros((9, 9))), "no evaluated point"),
    (lambda path: write_surface(path, np.full((9, 9), np.inf)), "no finite value of train_loss"),
    (lambda path: write_surface(path, nx=1, ny=1), "holds only one point"),
    (lambda path: path.write_text("text"), "is not an HDF5 file"),
])
def test_files_without_anything_to_show(plot, tmp_path, write, line):
    write(tmp_path / "s.h5")
    out = tmp_path / "kept.html"
    out.write_text("an older page")
    result = plot(tmp_path / "s.h5", "-o", out)
    assert result.status == 1 and line in result.line() and out.read_text() == "an older page"


def test_a_line_beside_a_plane_and_a_line_as_a_surface_are_refused(plot, tmp_path):
    line, plane = write_line(tmp_path / "l.h5"), write_surface(tmp_path / "s.h5")
    out = tmp_path / "x.html"
    assert "make a page of each" in plot(line, plane, "-o", out).line()
    assert "holds no plane to draw as surface" in plot(line, "--kind", "surface", "-o", out).err
    many = [write_surface(tmp_path / f"{k}.h5") for k in range(5)]
    assert "at most 4 surfaces, not 5" in plot(*many, "-o", out).line()
    assert not out.exists()


def test_the_size_that_the_page_of_docs_states(page_of, tmp_path):
    n, names = 51, ("train_acc", "lossatlas/train_loss_se", "lossatlas/train_acc_se", "lossatlas/train_images", "lossatlas/train_loss_error")
    mask = np.where(np.add.outer(np.arange(n), np.arange(n)) % 2, 2, 1)
    more = {name: np.random.default_rng(0).random((n, n)) for name in names}
    assert 230e3 < page_of(write_surface(tmp_path / "s.h5", nx=n, ny=n, evaluated=mask, more=more)).stat().st_size < 270e3


def test_many_histories_are_told_apart(page_of, tmp_path):
    files = [write_history(tmp_path / f"{k}.h5") for k in range(14)]
    series = held(page_of(*files))["panels"][0]["series"]
    looks = {(each["color"], str(each["dash"])) for each in series}
    assert len(series) == len(looks) == 28
    assert {each["label"].partition(":")[0] for each in series} == {str(k) for k in range(14)}
    assert len({each["color"] for each in series[:12]}) == 6


def test_the_checkpoints_own_values_on_a_line(page_of, tmp_path):
    file = write_line(tmp_path / "l.h5")
    page = held(page_of(add_points(file)))
    assert any("circles" in note for note in page["notes"])
    spots = [spot for panel in page["panels"] for spot in panel["spots"]]
    assert [(spot["x"], spot["y"], spot["color"]) for spot in spots] == [([0.0, 1.0], [0.5, 0.5], "train")]
    page = held(page_of(write_line(tmp_path / "m.h5"), file))
    assert all(panel["spots"] == [] for panel in page["panels"])


def test_a_plane_far_from_square_is_said_to_be_drawn_squarer(page_of, tmp_path):
    note = "the axes are not to the same scale"
    assert note in held(page_of(write_surface(tmp_path / "a.h5", x=(0, 5), y=(0, 1))))["views"][0]["notes"]
    assert note not in held(page_of(write_surface(tmp_path / "b.h5", x=(0, 2), y=(0, 1))))["views"][0]["notes"]


def test_no_minus_zero_in_words(page_of, tmp_path):
    file = write_trajectory(tmp_path / "t.h5")
    with h5py.File(file, "a") as h5:
        h5["lossatlas/runs/run0/x"][-1] = -0.0
    words = " ".join(held(page_of(file))["views"][0]["words"]["train_loss"])
    assert "to (0, 0)" in words and "−0," not in words


# --- in the browser --------------------------------------------------------------------------------


class Window:
    """A page in the browser, and all that went wrong in it."""

    def __init__(self, context, path, before=None):
        self.page, self.wrong = context.new_page(), []
        self.page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:"))
                     or self.wrong.append(f"asked for {request.url}"))
        if before:
            self.page.add_init_script(before)
        self.page.goto(path.as_uri())
        self.settle()

    def settle(self):
        """Waits until nothing moves any more."""
        self.wait("window.lossatlas && !window.lossatlas.waiting")

    def wait(self, condition):
        """As playwright's wait_for_function, which the page's policy on scripts forbids."""
        for _ in range(1200):
            if self.page.evaluate(condition):
                return
            time.sleep(0.05)
        raise AssertionError(f"never came: {condition}")

    def drawn(self, selector):
        return self.page.evaluate(DRAWN, selector)

    def changed_by(self, act, *selectors):
        """Whether each of the canvases changes by what `act` does."""
        before = [self.drawn(selector) for selector in selectors]
        act()
        self.settle()
        return [self.drawn(selector) != old for selector, old in zip(selectors, before)]


@pytest.fixture
def window(browser):
    """window(path, size=…) opens a page; it fails the test if anything went wrong in it."""
    opened = []

    def open_one(path, size=DESKTOP, before=None, **more):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, offline=True,
                                      reduced_motion="reduce", **more)
        opened.append((context, Window(context, path, before)))
        return opened[-1][1]

    yield open_one
    for context, each in opened:
        assert each.wrong == []
        context.close()


def shades(urls):
    """How many different colours each of these pictures has."""
    from PIL import Image

    pictures = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA") for url in urls]
    return [len(picture.getcolors(1 << 24)) for picture in pictures]


# The texts that canvases are drawn with, and the ends of those on upright ones that leave their canvas
TEXTS = """window.texts = []; window.cut = [];
const write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  const left = { right: 1, center: 0.5 }[this.textAlign] ?? 0, width = this.measureText(text).width, { a, b, e } = this.getTransform();
  const start = (x - left * width) * a + e;
  window.texts.push(text);
  if (!b && (start < -1 || start + width * a > this.canvas.width + 1)) window.cut.push(text);
  write.call(this, text, x, y);
};"""


@pytest.mark.parametrize("kind", [kind if kind in ("surface", "line") else pytest.param(
    kind, marks=pytest.mark.full) for kind in KINDS])
def test_every_kind_of_page_is_drawn_without_errors_and_without_network(page_of, window, tmp_path, kind):
    opened = window(page_of(KINDS[kind](tmp_path / "s.h5")))
    for width, height in (DESKTOP, PHONE):
        opened.page.set_viewport_size({"width": width, "height": height})
        opened.page.wait_for_timeout(50)
        opened.settle()
        drawn = opened.drawn("main canvas")
        assert len(drawn) >= (1 if kind in ("line", "fan", "curve", "history", "broken line", "circles") else 3)
        assert min(shades(drawn)) > 8, "a canvas is blank"
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width, "wider than the window"


@pytest.mark.full
def test_switches_change_what_is_drawn(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")))
    page = opened.page
    page.click("#along-x")
    all_three = (".stage canvas", ".map canvas", "#slice canvas")
    assert page.input_value("#field") == "train_loss"
    assert opened.changed_by(lambda: page.click("#log"), *all_three) == [True] * 3
    assert page.get_attribute("#log", "aria-pressed") == "true"
    assert opened.changed_by(lambda: page.select_option("#field", "train_acc"), *all_three) == [True] * 3
    assert page.inner_text("#title") == "Training accuracy of resnet18 on cifar10"
    assert opened.changed_by(lambda: page.click("#theme"), *all_three) == [True] * 3
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_dark_where_the_system_is(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")), color_scheme="dark")
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", ground))) < 60


@pytest.mark.full
def test_the_choice_of_slice(page_of, window, tmp_path):
    path = write_volume(tmp_path / "v.h5")
    add_points(path, ("A", "B"), (0.0, 0.5))
    with h5py.File(path, "a") as file:
        file["lossatlas/points/y"], file["lossatlas/points/z"] = [0.0, 0.5], [0.0, 1.0]
    page = page_of(path, "--at", "z=0.5")
    record = held(page)
    assert [each["name"] for each in record["views"][0]["sets"]] == [f"z = {z}" for z in ("−1", "−0.5", "0", "0.5", "1")]
    assert record["draw"] == 3 and record["sets"] == "At" and record["views"][0]["points"] is None
    for each, z in zip(record["views"][0]["sets"], (-1, -0.5, 0, 0.5, 1)):
        assert each["shown"]["centre"] == (z == 0)
        assert values(each["fields"]["train_loss"])[0] == pytest.approx(hollow(-1, -1, z))
    opened = window(page)
    assert opened.page.inner_text("#draw-choice").startswith("At")
    assert "slice at z = 0.5" in opened.page.inner_text("#captions").replace("\N{NO-BREAK SPACE}", " ")
    assert opened.changed_by(lambda: opened.page.select_option("#draw", label="z = 1"), ".map canvas") == [True]
    assert "slice at z = 1" in opened.page.inner_text("#captions").replace("\N{NO-BREAK SPACE}", " ")
    assert "not in this slice: A (z = 0)" in opened.page.inner_text("#notes")


@pytest.mark.full
def test_the_choice_of_draw(page_of, window, tmp_path):
    opened = window(page_of(write_repeats(tmp_path / "s.h5")))
    assert opened.page.is_visible("#draw")
    assert opened.changed_by(lambda: opened.page.select_option("#draw", label="draw 3"), ".map canvas") == [True]


def test_turning_by_mouse_wheel_and_keys(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")))
    page, camera = opened.page, lambda: opened.page.evaluate("({ ...window.lossatlas.camera.now })")
    box, first = page.locator(".stage").bounding_box(), camera()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag():
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 80, y + 30, steps=3)
        page.mouse.up()

    assert opened.changed_by(drag, ".stage canvas") == [True]
    turned = camera()
    assert turned["azimuth"] != first["azimuth"] and turned["elevation"] > first["elevation"]
    assert opened.changed_by(lambda: page.mouse.wheel(0, -200), ".stage canvas") == [True]
    assert camera()["zoom"] > turned["zoom"]
    page.focus("#theme")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "stage"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert opened.changed_by(lambda: page.keyboard.press("ArrowLeft"), ".stage canvas") == [True]
    page.keyboard.press("0")
    opened.settle()
    assert camera() == pytest.approx(first)


def test_hovering_says_the_value_and_its_standard_error(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")))
    page = opened.page
    x, y = page.evaluate("window.lossatlas.views[0].map.toScreen(0.6, -0.4)")
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + x + 2, box["y"] + y - 2)
    opened.settle()
    text = page.inner_text(".tip")
    assert "training loss: 1.38 ± 0.017 (standard error)" in text and "(0.6, −0.4)" in text
    page.locator(".stage").hover()  # the middle of the pane shows the surface
    opened.settle()
    assert "training loss: " in page.inner_text(".tip")


@pytest.mark.parametrize("value, said", [(np.inf, "+inf"), (-np.inf, "-inf"), (np.nan, "not a number (nan)")])
def test_what_is_not_finite_is_called_by_its_name(page_of, window, tmp_path, value, said):
    z = np.full((9, 9), 1.0)
    z[0, 0], z[4, 4] = 2.0, value
    page = window(page_of(write_surface(tmp_path / "s.h5", z, more={"train_acc": np.full((9, 9), 50.0)}))).page
    lines = "window.lossatlas.lines(window.lossatlas.views[0], [0, 0])"
    assert page.evaluate(lines)[:2] == [f"training loss: {said}", "evaluated, not finite"]
    assert f"1 point evaluated but not finite (pink, hatched): 1 {said}" in page.inner_text("#notes")
    page.select_option("#field", "train_acc")
    assert page.evaluate(lines)[:2] == ["training accuracy: none", "evaluated, not finite"]


@pytest.mark.full
def test_the_scale_that_was_asked_for_is_that_of_all_values(page_of, window, tmp_path):
    file = write_noisy(tmp_path / "s.h5", test_loss=np.add.outer(np.arange(11.0), np.arange(11.0)) + 5)
    opened = window(page_of(file))
    page, scale = opened.page, "[window.lossatlas.state.log, document.getElementById('log').ariaPressed]"
    assert page.evaluate(scale) == [False, "false"]
    page.click("#log")
    for name in ("test_loss", "train_loss"):
        page.select_option("#field", name)
        assert page.evaluate(scale) == [True, "true"]
    page.click("#linear")
    page.select_option("#field", "test_loss")
    assert page.evaluate(scale) == [False, "false"]
    page = window(page_of(file, "--log", name="log.html")).page
    page.select_option("#field", "test_loss")
    assert page.evaluate(scale) == [True, "true"]


def test_the_numbers_of_the_file_are_said_to_be_of_its_loss(page_of, window, tmp_path):
    file = write_surface(tmp_path / "s.h5", more={"test_loss": np.full((9, 9), 7.0)},
                         summary={"lowest": {"loss": 0.5, "x": 0, "y": 0}})
    page = window(page_of(file)).page
    page.select_option("#field", "test_loss")
    words = page.text_content("#words-0")
    assert "Test loss on a grid" in words and "The lowest value is 7 at" in words
    assert "The file's own numbers, of the training loss: lowest loss 0.5" in words


@pytest.mark.full
def test_the_slice_is_off_until_it_is_asked_for(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")))
    page, slice_ = opened.page, "window.lossatlas.state.slice"
    assert page.evaluate(slice_) is None and not page.is_visible("#slice") and "Drag a line" in page.inner_text(".slice")
    assert opened.changed_by(lambda: page.click("#along-y"), ".map canvas", ".stage canvas") == [True] * 2
    assert page.evaluate(slice_) == {"from": [0, -1], "to": [0, 1]} and page.is_visible("#slice")
    page.click("#no-slice")
    assert page.evaluate(slice_) is None and not page.is_visible("#slice")


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_print_shows_the_surface_on_white(page_of, window, tmp_path, scheme):
    """The pictures in a PDF, as its streams hold them: the largest is the stage."""
    import zlib

    opened = window(page_of(write_noisy(tmp_path / "s.h5")), color_scheme=scheme)
    pdf, images = opened.page.pdf(), []
    for head, data in re.findall(rb"/Subtype /Image((?:(?!endobj).)*?)>>\s*stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        width, height = (int(re.search(rb"/%s (\d+)" % side, head)[1]) for side in (b"Width", b"Height"))
        pixels = np.frombuffer(zlib.decompressobj().decompress(data), np.uint8)
        if pixels.size == 3 * width * height:  # and not the opacities of one
            images.append(pixels.reshape(height, width, 3).astype(int))
    stage = max(images, key=lambda image: image.size)
    assert (np.ptp(stage, axis=2) > 60).mean() > 0.1  # the surface is there
    assert (stage.min(axis=2) > 240).mean() > 0.4 and (stage.max(axis=2) < 40).mean() < 0.02  # on white
    assert opened.page.evaluate("document.documentElement.dataset.theme") == scheme  # as before, on the screen


def test_print_media(page_of, window, tmp_path):
    from PIL import Image

    opened = window(page_of(write_noisy(tmp_path / "s.h5")), color_scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    opened.settle()
    shown = np.asarray(Image.open(io.BytesIO(opened.page.locator(".stage").screenshot())).convert("RGB")).astype(int)
    assert (shown.min(axis=2) > 240).mean() > 0.4  # white around the surface
    assert (np.ptp(shown, axis=2) > 60).mean() > 0.1 and not opened.page.is_visible("#tools")


def test_without_javascript_it_says_so(page_of, browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_of(write_noisy(tmp_path / "s.h5")).as_uri())
    assert "need JavaScript" in page.inner_text("noscript .missing") and not page.is_visible("#tools")
    page.click("#words summary")
    assert "The lowest value is" in page.inner_text("#words")
    context.close()


def test_a_run_has_the_colour_that_it_has_in_figures(page_of, window, tmp_path):
    from lossatlas.plotting import style

    page = window(page_of(write_trajectory(tmp_path / "s.h5", runs=6))).page
    colors = page.evaluate("window.lossatlas.runs.map((run) => run.color)")
    found = ["#" + "".join(f"{round(255 * channel):02x}" for channel in color) for color in colors]
    assert found == [style.series(number)["color"] for number in range(6)]


def test_points_by_keys_on_the_map(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")))
    page = opened.page
    page.focus(".map")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert "(0.2, 0.2)" in page.inner_text("#said") and "0.62" in page.inner_text("#said")
    assert opened.changed_by(lambda: page.keyboard.press("b"), "#slice canvas") == [True]
    assert page.inner_text("#slice-ends") == "a (−1, 0) to b (0.2, 0.2)"


@pytest.mark.full
def test_a_slice_is_dragged_and_has_the_bilinear_values(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")))
    page, box = opened.page, opened.page.locator(".map").bounding_box()

    def to_screen(x, y):
        px, py = page.evaluate("(at) => window.lossatlas.views[0].map.toScreen(...at)", [x, y])
        return box["x"] + px, box["y"] + py

    def drag(start, end):
        page.mouse.move(*to_screen(*start))
        page.mouse.down()
        page.mouse.move(*to_screen(*end), steps=4)
        page.mouse.up()

    assert opened.changed_by(lambda: drag((-0.73, 0.5), (0.81, -0.67)), "#slice canvas", ".map canvas",
                             ".stage canvas") == [True] * 3
    opened.changed_by(lambda: drag((0.81, -0.67), (0.9, 0.9)), "#slice canvas")  # its end
    slice_ = page.evaluate("window.lossatlas.state.slice")
    np.testing.assert_allclose([*slice_["from"], *slice_["to"]], [-0.73, 0.5, 0.9, 0.9], atol=0.02)
    found = page.evaluate("window.lossatlas.slice.content().series[0].t.map((t) => window.lossatlas.scale.value(t))")
    at = np.linspace(0, 1, 401)[:, None]
    x, y = ((1 - at) * slice_["from"] + at * slice_["to"]).T
    axis = np.linspace(-1, 1, 11)

    def between(v, square):  # of a square, linear between the grid's points
        return np.interp(v, axis, square(axis))

    np.testing.assert_allclose(found, 0.5 + between(x, lambda v: 2 * v**2) + between(y, lambda v: v**2), rtol=1e-5)


@pytest.mark.full
def test_a_trajectory_plays_to_its_end(page_of, window, tmp_path):
    opened = window(page_of(write_trajectory(tmp_path / "s.h5", runs=2)))
    page = opened.page
    page.evaluate("window.lossatlas.goTo(0)")
    opened.settle()
    assert "epoch 0, own training loss" in page.inner_text("#run-value") and "out of the plane" in page.inner_text("#run-value")
    start = opened.drawn(".stage canvas"), opened.drawn(".map canvas"), opened.drawn("#run canvas")
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    opened.wait("!window.lossatlas.state.playing")
    opened.settle()
    assert "epoch 12" in page.inner_text("#run-value") and page.input_value("#step") == "12"
    now = opened.drawn(".stage canvas"), opened.drawn(".map canvas"), opened.drawn("#run canvas")
    assert all(a != b for a, b in zip(start, now))


@pytest.mark.full
def test_two_surfaces_turn_together(page_of, window, tmp_path):
    a = write_noisy(tmp_path / "a.h5")
    b = write_surface(tmp_path / "b.h5", lambda x, y: 3 - bowl(x, y) / 2, settings={**SETTINGS, "arch": "resnet56-noshort"})
    opened = window(page_of(a, b))
    page = opened.page
    assert page.locator(".stage").count() == 2
    assert [head.strip() for head in page.locator(".view h2").all_inner_texts()] == ["resnet18", "resnet56-noshort"]
    before = opened.drawn(".stage canvas:first-child")
    page.locator(".stage").nth(1).focus()
    page.keyboard.press("ArrowRight")
    opened.settle()
    after = opened.drawn(".stage canvas:first-child")
    assert len(before) == 2 and all(old != new for old, new in zip(before, after))
    frames = page.evaluate("window.lossatlas.views.map((view) => [...view.stage.frame.view])")
    assert frames[0] == frames[1]
    page.click("#along-y")
    assert page.evaluate("window.lossatlas.slice.content().series.length") == 2


@pytest.mark.full
def test_the_view_is_saved_as_png(page_of, window, tmp_path):
    from PIL import Image

    opened = window(page_of(write_noisy(tmp_path / "run.h5")))
    with opened.page.expect_download() as download:
        opened.page.click("#save")
    assert download.value.suggested_filename == "run.png"
    picture = Image.open(download.value.path())
    assert picture.format == "PNG" and picture.width >= 2 * 1000 and len(picture.convert("RGB").getcolors(1 << 24)) > 500


@pytest.mark.parametrize("kind", ["surface", pytest.param("trajectory", marks=pytest.mark.full)])
def test_without_webgl_the_rest_works(page_of, window, tmp_path, kind):
    opened = window(page_of(KINDS[kind](tmp_path / "s.h5")), before="""
        const real = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind === "webgl2" ? null : real.call(this, kind, ...more);
        };""")
    assert "needs WebGL 2" in opened.page.inner_text(".stage .missing")
    opened.page.click("#along-x")
    opened.settle()
    assert min(shades(opened.drawn(".map canvas, #slice canvas"))) > 8
    assert opened.changed_by(lambda: opened.page.click("#scale [aria-pressed=false]"),
                             ".map canvas", "#slice canvas") == [True] * 2


def test_names_and_settings_cannot_run_scripts(page_of, window, tmp_path):
    evil = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>@DATA@"
    settings = {**SETTINGS, "arch": evil, "data": f"images:/x/{evil}".replace("</", "<\\/"), "normalization": evil, "plane": evil}
    name = "\"><img src=x onerror=alert(1)>&amp;<!--.h5"
    first = write_surface(tmp_path / name, settings=settings, summary={"hints": [evil]})
    add_points(first, names=(evil, "b"), x=(0.0, 0.5), y=(0.0, 0.5))
    second = write_surface(tmp_path / "b.h5", settings={**settings, "arch": evil + "2"})
    for files in ([first], [first, second], [write_history(tmp_path / "<b>.h5", settings={"arch": evil})]):
        opened = window(page_of(*files, "--title", f"{evil} title"))
        assert opened.page.evaluate("window.hacked") is None
        assert opened.page.locator("body img").count() == 0
        assert opened.page.inner_text("#title").startswith("</script><script>window.hacked = 1</script>")


def test_words_for_those_who_do_not_see_it(page_of, window, tmp_path):
    opened = window(page_of(write_trajectory(tmp_path / "s.h5")))
    page = opened.page
    described = page.get_attribute(".stage", "aria-describedby")
    text = page.evaluate("(id) => document.getElementById(id).textContent", described)
    assert "The lowest value is" in text and "The trajectory run 0" in text
    unnamed = page.evaluate("""[...document.querySelectorAll("button, select, input, [tabindex]")].filter((e) => e.offsetParent
        && !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length)).map((e) => e.outerHTML)""")
    assert unnamed == []
    assert "arrow keys" in page.get_attribute(".stage", "aria-label")


@pytest.mark.full
def test_fingers_turn_the_surface(page_of, window, tmp_path):
    opened = window(page_of(write_noisy(tmp_path / "s.h5")), PHONE, has_touch=True, device_scale_factor=2)
    page, box = opened.page, opened.page.locator(".stage").bounding_box()
    session = page.context.new_cdp_session(page)

    def swipe():
        for kind, dx in (("touchStart", 0), ("touchMove", 30), ("touchMove", 60), ("touchEnd", None)):
            points = [] if dx is None else [{"x": box["x"] + 100 + dx, "y": box["y"] + 150}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    assert opened.changed_by(swipe, ".stage canvas") == [True]


def test_no_label_is_cut_from_whatever_side_the_surface_is_seen(page_of, window, tmp_path):
    file = write_surface(tmp_path / "s.h5", lambda x, y: 2 + 4e-6 * (x**2 + y**2))
    for size in (PHONE, DESKTOP):
        opened = window(page_of(file), size, before=TEXTS)
        for azimuth in range(-180, 180, 30):
            opened.page.evaluate("""(azimuth) => { const { camera } = window.lossatlas;
              camera.wanted.azimuth = camera.now.azimuth = azimuth; window.lossatlas.drawAll(0); }""", azimuth)
        assert any("2.00000" in text for text in opened.page.evaluate("window.texts"))
        assert opened.page.evaluate("window.cut") == []


def test_what_an_axis_explains_stays_where_there_is_little_room(page_of, window, tmp_path):
    opened = window(page_of(write_trajectory(tmp_path / "s.h5")), PHONE, before=TEXTS)
    texts = opened.page.evaluate("window.texts")
    for share in ("72.3 %", "10.1 %"):
        assert sum(share in text for text in texts) >= 2
    assert "multiples of direction 1" not in texts and "second principal component" not in texts


def test_checkpoints_below_the_plane_stand_at_their_own_loss(page_of, window, tmp_path):
    file = write_trajectory(tmp_path / "s.h5")
    with h5py.File(file, "a") as h5:
        h5["lossatlas/runs/run0/train_loss"][-2:] = 0.01, 0.001
    page = window(page_of(file, "--log")).page
    own = page.evaluate("window.lossatlas.along().series[0].t")
    first = 0.1 + 0.02 * 100 + 0.1 * 4 * np.sin(2) ** 2  # 0.6 of it is the first checkpoint's own
    assert own[-1] == pytest.approx(0)
    assert (own[-2] - own[-1]) / own[0] == pytest.approx(1 / np.log10(0.6 * first / 0.001))


@pytest.mark.full
def test_two_trajectories_are_told_apart(page_of, window, tmp_path):
    a, b = write_trajectory(tmp_path / "a.h5"), write_trajectory(tmp_path / "b.h5", runs=2)
    with h5py.File(b, "a") as file:
        file["lossatlas/pca/explained_variance_ratio"][0] = 0.5
    page = window(page_of(a, b)).page
    page.click("#along-x")
    assert page.evaluate("window.lossatlas.slice.content().xlabel") == "first principal component"
    legend = [item for item in page.locator(".legend li").all_inner_texts() if "checkpoints" in item]
    assert [item[:2] for item in legend] == ["a,", "b,", "b,"] and page.inner_text("#run-value").startswith("a, run 0")
    assert len(set(page.evaluate("window.lossatlas.runs.map((run) => String(run.color))"))) == 3


def test_words_and_percentages_follow_the_value(page_of, window, tmp_path):
    file = write_trajectory(tmp_path / "s.h5")
    with h5py.File(file, "a") as h5:
        h5["train_acc"] = 90 - h5["train_loss"][()]
    page = window(page_of(file)).page
    first = "document.querySelector('#words-0 p').textContent"
    assert page.evaluate(first).startswith("Training loss on a grid") and " %" not in page.inner_text("#run-value")
    page.select_option("#field", "train_acc")
    assert page.evaluate(first).startswith("Training accuracy on a grid")
    assert re.search(r"own training accuracy [\d.]+ %", page.inner_text("#run-value"))


@pytest.mark.full
def test_texts_of_a_saved_picture_are_broken_into_lines(page_of, window, tmp_path):
    opened = window(page_of(write_trajectory(tmp_path / "run.h5", runs=4)), PHONE, before=TEXTS)
    opened.page.evaluate("window.texts.length = 0")
    with opened.page.expect_download():
        opened.page.click("#save")
    said = opened.page.inner_text("#run-value")
    texts = opened.page.evaluate("window.texts")
    assert opened.page.evaluate("window.cut") == [] and said not in texts
    assert said.endswith(next(text for text in texts if text and said.endswith(text)))


@pytest.fixture
def phone(page_of, window, tmp_path):
    """A page on a phone, and touch(points...): fingers on one way through these places of the page."""
    opened = window(page_of(write_noisy(tmp_path / "s.h5")), PHONE, has_touch=True, is_mobile=True)
    session = opened.page.context.new_cdp_session(opened.page)

    def touch(*places):
        for number, fingers in enumerate((*places, [])):
            kind = "touchEnd" if not fingers else "touchMove" if number else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
                {"x": x, "y": y, "id": n} for n, (x, y) in enumerate(fingers)]})
            opened.page.wait_for_timeout(50)
        opened.settle()

    return opened, touch


STATE = "[JSON.stringify(window.lossatlas.camera.wanted), JSON.stringify(window.lossatlas.state.slice)]"


@pytest.mark.parametrize("pane", [".stage", ".map", "#slice"])
def test_a_finger_that_goes_up_scrolls_the_page(phone, pane):
    phone[0].page.click("#along-x")
    (opened, touch), before = phone, phone[0].page.evaluate(STATE)
    opened.page.evaluate("(pane) => document.querySelector(pane).scrollIntoView({ block: 'center' })", pane)
    start, box = opened.page.evaluate("scrollY"), opened.page.locator(pane).bounding_box()
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"]
    touch(*([(x + 1, y + step)] for step in (0, 20, 50, 100)))
    opened.wait(f"scrollY < {start - 30}")
    assert opened.page.evaluate(STATE) == before


def test_two_fingers_zoom_and_tilt(phone):
    opened, touch = phone
    box = opened.page.locator(".stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    camera = lambda: opened.page.evaluate("({ ...window.lossatlas.camera.wanted })")  # noqa: E731
    first = camera()
    touch(*([(x - 40, y + step), (x + 40, y + step)] for step in (0, 20, 50)))
    tilted = camera()
    assert tilted["elevation"] > first["elevation"] + 5 and opened.page.evaluate("scrollY") == 0
    touch(*([(x - 40 - step, y), (x + 40 + step, y)] for step in (0, 20, 40)))
    assert camera()["zoom"] == pytest.approx(2, rel=0.1)


def test_touching_says_the_value_and_keeps_the_slice(phone):
    phone[0].page.click("#along-x")
    (opened, touch), before = phone, phone[0].page.evaluate(STATE)
    for pane in (".stage", ".map"):
        opened.page.evaluate("(pane) => document.querySelector(pane).scrollIntoView({ block: 'center' })", pane)
        box = opened.page.locator(pane).bounding_box()
        touch([(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"] if pane == ".map" else box["y"] + 0.55 * box["height"])])
        tip = opened.page.locator(f"{pane} .tip")
        assert tip.is_visible() and "(standard error)" in tip.inner_text()
    touch([(box["x"] + 120, box["y"] + 60)], [(box["x"] + 150, box["y"] + 63)], [(box["x"] + 200, box["y"] + 65)])
    assert opened.page.evaluate(STATE) == before


def test_a_finger_drags_an_end_of_the_slice(phone):
    opened, touch = phone
    opened.page.click("#along-x")
    opened.page.evaluate("document.querySelector('.map').scrollIntoView({ block: 'center' })")
    box, start = opened.page.locator(".map").bounding_box(), opened.page.evaluate("scrollY")
    px, py = opened.page.evaluate("window.lossatlas.views[0].map.toScreen(...window.lossatlas.state.slice.from)")
    x, y = box["x"] + px + 6, box["y"] + py
    touch([(x, y)], [(x, y - 20)], [(x + 10, y - 60)])
    slice_ = opened.page.evaluate("window.lossatlas.state.slice")
    wanted = opened.page.evaluate("(at) => window.lossatlas.views[0].map.fromScreen(...at)", [px + 10, py - 60])
    np.testing.assert_allclose(slice_["from"], wanted, atol=0.02)
    assert slice_["to"] == [1, 0] and opened.page.evaluate("scrollY") == start
