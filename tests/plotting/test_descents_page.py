"""The page of descents (-o D.html) in a real browser: a slider over the steps, tangents where they stand."""

import re

import numpy as np
import pytest
from test_descents import write_descents

DRAWN = """() => { window.lossatlas.drawAll(0);
  return [...document.querySelectorAll("#main canvas")].map((canvas) => canvas.toDataURL()); }"""


@pytest.fixture
def opened(browser, plot, tmp_path):
    """opened(variables) is the page of a file, in the browser, without an error or a request."""
    complaints, pages = [], []

    def open_page(size=(900, 760), **file):
        out = tmp_path / "d.html"
        result = plot(write_descents(tmp_path / "d.h5", **file), "-o", out)
        assert (result.status, result.err) == (0, "")
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url))
        page.goto(out.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def at_step(page, step):
    page.evaluate(f"window.lossatlas.goTo({step})")
    return page.evaluate(DRAWN)


@pytest.mark.full
@pytest.mark.parametrize("variables", [1, 2])
def test_the_slider_moves_through_the_steps(opened, variables):
    page = opened(variables=variables, rules=[("gd", 0.05)])
    assert page.get_attribute("#step", "max") == "12"
    first, later = at_step(page, 0), at_step(page, 5)
    assert all(a != b for a, b in zip(first[:1], later[:1])) and first != later
    page.locator("#step").fill("3")
    said = page.inner_text("#run-value")
    x = 2.5 * 0.95**3
    assert "step 3:" in said and f"{x:.4g}"[:5] in said
    assert ("derivative" if variables == 1 else "gradient") in said
    assert page.get_attribute("#step", "aria-valuetext") == said.replace(" · ", "; ")


@pytest.mark.full
def test_playing_ends_at_the_last_step(opened):
    page = opened(variables=1, rules=[("gd", 0.05), ("adagrad", 0.1)], steps=4)
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    for _ in range(200):  # the page's own policy forbids what wait_for_function does
        page.wait_for_timeout(100)
        if page.inner_text("#play") == "Play":
            break
    assert page.input_value("#step") == "4" and "step 4" in page.inner_text("#run-value")


def test_hovering_says_value_and_derivative(opened):
    page = opened(variables=1, rules=[("gd", 0.05)])
    for _ in range(100):  # the chart takes its place after a moment
        box = page.locator(".chart").first.bounding_box()
        page.mouse.move(box["x"] + 62 + (box["width"] - 76) * 0.8, box["y"] + 100)  # 0.8 of the way from -2 to 3
        page.wait_for_timeout(100)
        said = page.inner_text("#tangent")
        if said.strip():
            break
    at, value, slope = (float(text.replace("\N{MINUS SIGN}", "-")) for text in
                        re.findall(r"[-\N{MINUS SIGN}]?\d+\.?\d*", said))
    assert at == pytest.approx(2.0, abs=0.05)
    assert value == pytest.approx(0.5 * at**2, rel=0.01) and slope == pytest.approx(at, rel=0.01)


@pytest.mark.full
def test_a_phone_and_a_file_of_tangents_alone(opened):
    for page in (opened(size=(390, 780), variables=1), opened(size=(390, 780), variables=2), opened(variables=1, rules=[], tangents=1)):
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert np.all([len(picture) > 1000 for picture in page.evaluate(DRAWN)[:1]])


@pytest.mark.full
def test_paths_that_leave_for_infinity(opened):
    page = opened(variables=2, rules=[("gd", 0.9)], steps=100, ends=["diverged"])
    assert int(page.get_attribute("#step", "max")) < 20
    assert "diverged after 100 steps" in page.inner_text("#notes")


def shades(page, selector, variable):
    """How many pixels of the first canvas in `selector` are of a colour of the style sheet."""
    page.evaluate(DRAWN)
    return page.evaluate("""([selector, name]) => {
      window.lossatlas.drawAll(0);
      const from = document.querySelector(selector), canvas = document.createElement("canvas");
      Object.assign(canvas, { width: from.width, height: from.height });
      const pen = canvas.getContext("2d"), text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
      pen.drawImage(from, 0, 0);
      const wanted = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)), { data } = pen.getImageData(0, 0, from.width, from.height);
      let count = 0;
      for (let n = 0; n < data.length; n += 4) count += wanted.every((c, k) => Math.abs(data[n + k] - c) < 12) && data[n + 3] > 200;
      return count; }""", [selector, variable])


SAID = {1: "at 1: f = 0.5, derivative 1, slope along 0.6: 0.5", 2: "at (1, 0.5): f = 1.75, gradient (1, 5), slope along (0.6, 0.8): 0.5"}


@pytest.mark.full
@pytest.mark.parametrize("variables, canvases", [(1, [".chart canvas"]), (2, [".stage canvas", ".map canvas"])])
def test_tangents_at_the_points_asked_for(opened, variables, canvases):
    with_them, without = (opened(variables=variables, tangents=n) for n in (1, 0))
    for canvas in canvases:
        assert shades(with_them, canvas, "--warning") > shades(without, canvas, "--warning") + 60
    for part in ("#tangent", "#words") if variables == 1 else ("#notes", "#words"):
        assert SAID[variables].lower() in with_them.locator(part).text_content().lower()
    assert "slope along" in with_them.inner_text("#run-value") and "slope along" not in without.inner_text("#run-value")
    if variables == 1:
        assert with_them.inner_text("body").count(SAID[1]) == 1
    else:
        assert with_them.locator(".map").get_attribute("aria-describedby") == "words-0"


@pytest.mark.full
def test_the_tangent_plane_of_a_chosen_run_among_many(opened):
    page = opened(variables=2, rules=[("gd", 0.05), ("adagrad", 0.1), ("adam", 0.1), ("momentum", 0.01)])
    page.evaluate("window.lossatlas.goTo(2)")
    assert page.input_value("#tangent-of") == "0"
    first = page.evaluate(DRAWN)
    page.select_option("#tangent-of", "none")
    none = page.evaluate(DRAWN)
    page.select_option("#tangent-of", label="adam, rate 0.1")
    third = page.evaluate(DRAWN)
    assert len({first[0], none[0], third[0]}) == 3 and len({first[3], none[3], third[3]}) == 3  # the surface and the map
    assert page.evaluate("window.lossatlas.tangentsOf(window.lossatlas.views[0]).length") == 1
    page.select_option("#tangent-of", "all")
    assert page.evaluate("window.lossatlas.tangentsOf(window.lossatlas.views[0]).length") == 4


@pytest.mark.full
def test_a_gradient_that_is_rounding_has_no_arrow(opened):
    page = opened(variables=2, rules=[("gd", 0.1)], steps=300)
    lengths = page.evaluate("""[3, 300].map((step) => { window.lossatlas.goTo(step);
      return Math.hypot(...window.lossatlas.tangentsOf(window.lossatlas.views[0])[0].gradient); })""")
    assert lengths[0] > 0.1 and lengths[1] == 0
    assert "gradient (4.685" in page.inner_text("#run-value")  # what it is stands there


@pytest.mark.full
def test_values_over_the_steps_go_below_those_of_the_grid(opened):
    page = opened(variables=2, rules=[("gd", 0.15)], steps=60)
    page.click("#log")
    found = page.evaluate("(() => { const { series, scale } = window.lossatlas.along(); return series[0].t; })()")
    assert len(set(found)) == 61 and min(found) >= -1e-9 and max(found) <= 1 + 1e-9
    steps = np.diff(found)[20:]
    assert steps == pytest.approx(np.full(len(steps), steps[0]), rel=1e-3)  # exponential: a straight line


@pytest.mark.parametrize("theme", ["paper", "dark"])
def test_runs_have_the_colours_of_the_figures(theme):
    import os

    from lossatlas.plotting import style
    from lossatlas.plotting.descents import looks as figures
    from lossatlas.plotting.page import descent, document

    light, dark = open(os.path.join(document.FOLDER, "page.css"), encoding="utf-8").read().split("color-scheme: light")
    found = dict(re.findall(r"--(\w+): (#\w+)", light if theme == "paper" else dark.split("color-scheme: dark")[0]))
    series = style.THEMES[theme]["SERIES"]
    assert [found[name] for name in descent.COLORS] == [series[n] for n in figures.ORDER]
    looks = [descent._look(number) for number in range(36)]
    assert not any(look["dash"] for look in looks[:6])
    assert len({(look["color"], *look["dash"]) for look in looks}) == 36


@pytest.mark.full
def test_the_legend_shows_the_dashes_of_later_runs(opened):
    page = opened(variables=2, rules=[("gd", 0.01 + 0.002 * n) for n in range(14)], steps=3)
    marks = page.evaluate("[...document.querySelectorAll('.legend i')].map((i) => getComputedStyle(i).backgroundImage)")
    assert len(set(marks)) == 14 and all("gradient" in mark for mark in marks)
    assert len({(tuple(each["color"]), tuple(each["dash"])) for each in page.evaluate("window.lossatlas.along().series")}) == 14


@pytest.mark.full
def test_what_the_known_points_are(opened):
    assert "yellow: the known global minimum" in opened(variables=2, ascend=1).inner_text("#notes")
