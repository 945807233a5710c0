"""The page's scripts: ES modules in the source, one script in the page."""

import re

import pytest
from conftest import ROOT, write_history, write_trajectory
from lossatlas.plotting.page import scripts
from test_descents import write_descents

SOURCE = ROOT / "python" / "lossatlas" / "plotting" / "page"


def modules(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.js").write_text(text, encoding="utf-8")
    return str(folder)


def test_modules_run_once_each_after_those_that_they_import(tmp_path):
    folder = modules(
        tmp_path,
        start='import { b } from "./b.js";\nimport { a } from "./a.js";\nwindow.said = [a, b];\n',
        b='import { a } from "./a.js";\n\nexport const b = a + 1;\n',
        a="const own = 1;\nexport const a = own;\n",
    )
    text = scripts.bundle(folder, "start")
    assert text.index("const own = 1;") < text.index("const b = a + 1;") < text.index("window.said")
    assert text.count("const own = 1;") == 1 and not re.search(r"^(import|export)\b", text, re.MULTILINE)


@pytest.mark.parametrize("a, what", [
    ("const a = 1;\n", "start.js imports a, which a.js does not export"),
    ('import { b } from "./start.js";\nexport const a = 1;\n', "start.js imports itself: start, a"),
    ("export default 1;\n", "a.js: not a form of import or export that is known: export default 1;"),
    ('import * as b from "./b.js";\n', "a.js: not a form of import or export that is known: import * as b"),
])
def test_what_does_not_fit_is_refused(tmp_path, a, what):
    folder = modules(tmp_path, start='import { a } from "./a.js";\n\nwindow.said = a;\n', a=a)
    with pytest.raises(ValueError, match=re.escape(what)):
        scripts.bundle(folder, "start")


def test_every_module_is_of_the_page():
    text = scripts.bundle(str(SOURCE), "start")
    assert all(f"const ${path.stem} = " in text for path in SOURCE.glob("*.js"))


def test_names_of_a_module_are_its_own(browser, tmp_path):
    """Two modules with one private name, and what they leave in the window."""
    folder = modules(
        tmp_path,
        start='import { a } from "./a.js";\n\nconst own = 2;\nwindow.said = [typeof own, own, a()];\n',
        a="const own = 1;\n\nexport function a() {\n  return own;\n}\n",
    )
    page = browser.new_page()
    page.add_script_tag(content=scripts.bundle(folder, "start"))
    assert page.evaluate("[window.said, typeof own, typeof a, typeof $a]") == [
        ["number", 2, 1], "undefined", "undefined", "undefined"]
    page.close()


@pytest.mark.full
@pytest.mark.parametrize("write", [write_trajectory, write_history, lambda path: write_descents(path, 1)],
                         ids=["surface", "history", "descents"])
def test_the_browser_takes_the_source_as_modules_too(browser, plot, tmp_path, write):
    """The browser's own loader links the modules and draws what the one script draws."""
    out = tmp_path / "page.html"
    assert plot(write(tmp_path / "f.h5"), "-o", out).status == 0
    whole = out.read_text(encoding="utf-8")
    loading = re.sub(r"<script>.*</script>", '<script type="module" src="start.js"></script>', whole, flags=re.DOTALL)
    loading = re.sub(r"<meta http-equiv.*?>", "", loading)  # its policy lets nothing be loaded
    drawn = []
    for text in (whole, loading):
        page = browser.new_page(viewport={"width": 900, "height": 600})
        faults = []
        page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))

        page.route("**/page.html", lambda route, _, text=text: route.fulfill(body=text, content_type="text/html"))
        page.route("**/*.js", lambda route: route.fulfill(
            path=SOURCE / route.request.url.rpartition("/")[2], content_type="text/javascript"))
        page.goto("http://page.test/page.html")
        page.wait_for_function("window.lossatlas")
        page.evaluate("window.lossatlas.drawAll(0)")
        drawn.append(page.evaluate("""[...document.querySelectorAll("canvas")].map(
            (each) => each.width && each.getContext("2d")?.canvas.toDataURL())"""))
        assert not faults
        page.close()
    assert drawn[0] == drawn[1] and any(drawn[0])
