"""docs/ as a site: MkDocs builds it without a warning, with every page, the package's reference and a search."""

import json
import os
import pathlib
import re
import subprocess
import sys

import lossatlas
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], cwd=ROOT,
                          env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


def test_every_page_of_docs_is_in_the_site_and_in_its_menu(site):
    menu = (site / "index.html").read_text()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = str(page.relative_to(ROOT / "docs").with_suffix(".html")).replace("README.html", "index.html")
        assert (site / name).exists()
        assert f'href="{name}"' in menu, name


def test_the_reference_has_every_public_name_of_the_package(site):
    named = set(re.findall(r'<h[34] id="lossatlas\.\w+\.(\w+)"', (site / "api.html").read_text()))
    assert set(lossatlas.__all__) <= named


def test_the_search_finds_options_and_functions(site):
    found = {text["location"]: text["text"] for text in json.loads((site / "search/search_index.json").read_text())["docs"]}
    assert any("--tolerance" in text for place, text in found.items() if place.startswith("surface.html"))
    assert any(place == "api.html#lossatlas.jobs.trajectory" for place in found)
