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


def test_a_phone_and_a_file_of_tangents_alone(opened):
    for page in (opened(size=(390, 780), variables=1), opened(size=(390, 780), variables=2), opened(variables=1, rules=[], tangents=1)):
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert np.all([len(picture) > 1000 for picture in page.evaluate(DRAWN)[:1]])


def test_paths_that_leave_for_infinity(opened):
    page = opened(variables=2, rules=[("gd", 0.9)], steps=100, ends=["diverged"])
    assert int(page.get_attribute("#step", "max")) < 20
    assert "diverged after 100 steps" in page.inner_text("#notes")
