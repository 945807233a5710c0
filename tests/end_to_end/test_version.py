"""The revision that the program reports: that of its own repository, by cmake/Version.cmake alone."""

import shutil
import subprocess

import pytest

import helpers

SCRIPT = 'include("${SCRIPT}")\nlossatlas_version(version "${FOLDER}" "0.1.0")\nfile(WRITE "${OUT}" "${version}")\n'

pytestmark = pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("git")), reason="cmake or git is missing")


def version_of(folder, tmp_path):
    (tmp_path / "call.cmake").write_text(SCRIPT)
    subprocess.run(["cmake", f"-DSCRIPT={helpers.ROOT / 'cmake' / 'Version.cmake'}", f"-DFOLDER={folder}",
                    f"-DOUT={tmp_path / 'out'}", "-P", tmp_path / "call.cmake"], check=True)
    return (tmp_path / "out").read_text()


def commit(folder):
    """The revision of a new repository, as git itself says it."""
    def git(*words):
        return subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True,
                              capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    return git("rev-parse", "--short", "HEAD")


def test_own_repository(tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    assert version_of(sources, tmp_path) == "0.1.0"
    revision = commit(sources)
    assert version_of(sources, tmp_path) == f"0.1.0 ({revision})"
    (tmp_path / "link").symlink_to(sources)
    assert version_of(tmp_path / "link", tmp_path) == f"0.1.0 ({revision})"


def test_tarball_within_another_repository(tmp_path):
    other = tmp_path / "other"
    (other / "lossatlas-0.1.0").mkdir(parents=True)
    commit(other)
    assert version_of(other / "lossatlas-0.1.0", tmp_path) == "0.1.0"
