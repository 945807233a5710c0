"""`tools/plot` on what the program wrote. What is drawn is looked at in tests/plotting."""

import helpers
import pytest

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def drawn(plot, folder, file, *words):
    """Draws a file in all formats."""
    paths = [folder / f"figure.{extension}" for extension in MAGIC]
    outs = [word for path in paths for word in ("-o", path)]
    done = plot(file, *outs, "--dpi", 60, *words).ok()
    assert done.out.splitlines() == [str(path) for path in paths] and done.err == ""
    for path, magic in zip(paths, MAGIC.values()):
        assert path.read_bytes().startswith(magic) and path.stat().st_size > 5000
    return paths


@pytest.mark.parametrize("kind", ["contour", "contourf", "heat", "surface"])
def test_surface(plot, surface, tmp_path, kind):
    svg = drawn(plot, tmp_path, surface, "--kind", kind)[2].read_text(encoding="utf-8")
    assert "resnet20" in svg.lower().replace("-", "")


def test_line(plot, sweep, tmp_path):
    drawn(plot, tmp_path, sweep(tmp_path / "s.h5", "--y", "0:0", "--samples", 10, grid="5x1"), "--kind", "line")


def test_history(plot, run, tmp_path):
    drawn(plot, tmp_path, run / "history.h5", "--kind", "history")


def test_surface_of_li_et_al(plot, tmp_path):
    helpers.write_li_surface(tmp_path / "li.h5", marks=[(0, 0)])
    drawn(plot, tmp_path, tmp_path / "li.h5")


def test_partly_evaluated_surface(plot, checkpoint, pictures, tmp_path):
    helpers.interrupt(["surface", "--checkpoint", checkpoint, "--data", pictures.words, "--out", tmp_path / "s.h5",
                       "--grid", "40x40", "--samples", 100], "centre:", until=helpers.has_begun(tmp_path / "s.h5"))
    done = plot(tmp_path / "s.h5", "-o", tmp_path / "figure.png", "--dpi", 60).ok()
    assert done.out == f"{tmp_path / 'figure.png'}\n"


@pytest.mark.parametrize("words", [["--kind", "heat", "-o", "figure.png", "--dpi", 60], ["--help"], ["--kind", "nonsense"],
                                   ["-o", "figure.bmp"], ["--watch", "--cmap", "nonsense"]])
def test_lossatlas_plot_is_tools_plot(lossatlas, plot, surface, tmp_path, words):
    first, second = (run(surface, *words, cwd=tmp_path) for run in (plot, lambda *w, **m: lossatlas("plot", *w, **m)))
    assert (first.status, first.out, first.err) == (second.status, second.out, second.err)
    assert (first.status == 0) == (words[0] == "--help" or "figure.png" in words)


def test_help_lists_plot(lossatlas):
    assert "\n  plot " in lossatlas("--help").ok().out
