"""Bad files and wrong words: one line on standard error, the exit status, and nothing destroyed."""

import os

import h5py
import numpy as np
import pytest
from conftest import words_of, write_history, write_line, write_surface


def broken(tmp_path, what):
    """The path of a file that cannot be drawn."""
    path = tmp_path / "s.h5"
    if what == "text":
        path.write_text("not HDF5 at all\n")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "cut short":
        write_surface(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif what == "folder":
        path.mkdir()
    elif what == "other":
        with h5py.File(path, "w") as file:
            file.create_group("xdirection")
            file.create_group("ydirection")
    elif what == "nothing in it":
        h5py.File(path, "w").close()
    elif what == "no values":
        with h5py.File(path, "w") as file:
            file["xcoordinates"] = file["ycoordinates"] = np.arange(3.0)
            file["note"] = "hello"
    elif what == "bad coordinates":
        with h5py.File(path, "w") as file:
            file["xcoordinates"], file["train_loss"] = [0.0, 2.0, 1.0], [1.0, 2.0, 3.0]
    elif what == "unevaluated":
        write_surface(path, np.full((9, 9), np.nan), evaluated=np.zeros((9, 9)))
    elif what == "unevaluated peers'":
        write_surface(path, np.full((9, 9), -1.0), ours=False)
    elif what == "not finite":
        write_surface(path, np.full((9, 9), np.inf))
    elif what == "one point":
        write_surface(path, nx=1, ny=1)
    return path


@pytest.mark.parametrize(
    "what, line",
    [
        ("missing", "does not exist"),
        ("text", "is not an HDF5 file"),
        ("empty", "is not an HDF5 file"),
        ("cut short", "is cut short"),
        ("folder", "is a folder"),
        ("other", "is not a surface: it has no xcoordinates (its root holds xdirection, ydirection)"),
        ("nothing in it", "its root holds nothing"),
        ("no values", "holds no values on its grid of 3 x 3 points"),
        ("bad coordinates", "must rise or fall throughout"),
        ("unevaluated", "holds no evaluated point of train_loss"),
        ("unevaluated peers'", "holds no evaluated point of train_loss"),
        ("not finite", "holds no finite value of train_loss"),
        ("one point", "holds only one point"),
    ],
)
def test_files_that_cannot_be_drawn(plot, tmp_path, what, line):
    path = broken(tmp_path, what)
    out = tmp_path / "kept.png"
    out.write_text("an older figure")
    result = plot(path, "-o", out)
    assert result.status == 1 and result.out == ""
    assert line in result.line() and str(path) in result.line()
    assert out.read_text() == "an older figure"


@pytest.mark.parametrize(
    "write, kind, line",
    [
        (write_line, "surface", "holds a line (no ycoordinates)"),
        (write_line, "history", "holds a surface, not a training history"),
        (write_surface, "line", "holds a plane, not a line"),
        (write_surface, "history", "not a training history"),
        (write_history, "contourf", "holds a training history"),
    ],
)
def test_kinds_that_do_not_fit_the_file(plot, tmp_path, write, kind, line):
    result = plot(write(tmp_path / "s.h5"), "--kind", kind)
    assert result.status == 1 and line in result.line()
    assert os.listdir(tmp_path) == ["s.h5"]


@pytest.mark.parametrize("write", [write_surface, write_line, write_history])
def test_an_unknown_value_lists_those_present_and_suggests_one(plot, tmp_path, write):
    result = plot(write(tmp_path / "s.h5"), "--value", "trian_loss")
    assert result.status == 1
    assert "no value 'trian_loss'" in result.line() and "did you mean 'train_loss'?" in result.line()
    assert "it holds" in result.line()


@pytest.mark.parametrize(
    "words, line",
    [
        (["--knid", "heat"], "unknown option '--knid', did you mean '--kind'?"),
        (["--kind", "countour"], "unknown kind 'countour', did you mean 'contour'?"),
        (["--kind", "heatmap"], "unknown kind 'heatmap', did you mean 'heat'?"),
        (["--kind", "scatter"], "unknown kind 'scatter' (there are"),  # not "rates", which shares only letters
        (["--output", "f.png"], "unknown option '--output', did you mean '--out'?"),
        (["--logy"], "unknown option '--logy', did you mean '--log'?"),
        (["--colormap", "jet"], "unknown option '--colormap' ("),
        (["--names", "A,B"], "--names gives 2 names for 1 file"),
        (["--style", "papper"], "invalid choice: 'papper'"),
        (["--width", "wide"], "none of column, text, Ncm, Nmm and Nin"),
        (["--width", "0.1cm"], "none of column, text"),
        (["--width", "column", "--size", "5x5"], "leave one of them out"),
        (["--elev", "95"], "'95' is not a number of degrees from -89 to 90"),
        (["--log", "--linear"], "not allowed with"),
        (["--levels", "0"], "neither a count"),
        (["--watch", "0"], "'0' is not a number of seconds"),
        (["--watch=often"], "'often' is not a number"),
        (["--draw", "0"], "'0' is not the number of a draw, counted from 1"),
        (["--draw", "first"], "'first' is not the number of a draw"),
        (["--feild", "l2"], "unknown option '--feild', did you mean '--field'?"),
        (["--levels", "1,b"], "'b' is not a number"),
        (["--vmin", "nan"], "'nan' is not a number"),
        (["--vmin", "2", "--vmax", "1"], "--vmin 2 must be below --vmax 1"),
        (["--dpi", "0"], "not a whole number from 20"),
        (["--size", "5"], "not WIDTHxHEIGHT"),
        (["--size", "nanx4"], "is not a number"),
        (["--size", "90x90"], "pixels per side"),
        (["--size", "1x1"], "leave no room"),
        (["--cmap", "virdis"], "unknown colour map 'virdis', did you mean 'viridis'?"),
        (["-o", "fig.bmp"], "fig.bmp has extension '.bmp'"),
        (["-o", "fig"], "fig has no extension"),
        (["-o"], "expected one argument"),
    ],
)
def test_wrong_words(plot, tmp_path, words, line):
    result = plot(write_surface(tmp_path / "s.h5"), *words)
    assert result.status == 2 and result.out == ""
    assert line in result.line()
    assert os.listdir(tmp_path) == ["s.h5"]


def test_3d_is_surface(plot, tmp_path):
    result = plot(write_surface(tmp_path / "s.h5"), "--kind", "3d", "--dpi", "40")
    assert (result.status, result.err, result.out) == (0, "", f"{tmp_path}/s_surface.png\n")


def test_a_run_is_drawn_as_its_history(plot, tmp_path):
    runs = [tmp_path / name for name in ("first", "second")]
    for run in runs:
        (run / "checkpoints").mkdir(parents=True)
        write_history(run / "history.h5")
    assert plot(runs[0], "--dpi", "40").out == f"{runs[0]}/history_history.png\n"
    out = tmp_path / "both.svg"
    assert plot(*runs, "-o", out).status == 0
    assert "first second training test" in words_of(out.read_text())
    result = plot(runs[0] / "checkpoints")
    assert result.status == 1 and result.line() == (f"plot: {runs[0]}/checkpoints is a folder without history.h5, so not a run of"
                                                    " lossatlas train: name an HDF5 file or a run's folder")


def test_no_words(plot):
    result = plot()
    assert result.status == 2 and "FILE.h5" in result.line()


def test_the_default_figure_stands_beside_the_file(plot, tmp_path):
    file = write_surface(tmp_path / "s.v2.h5", more={"train_acc": np.ones((9, 9))})
    assert plot(file, "--dpi", "40").out == f"{tmp_path}/s.v2_contourf.png\n"
    assert plot(file, "--dpi", "40", "--kind", "heat", "--value", "train_acc").out == (
        f"{tmp_path}/s.v2_train_acc_heat.png\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["s.v2.h5", "s.v2_contourf.png", "s.v2_train_acc_heat.png"]


@pytest.mark.parametrize("out", ["taken.png", "s.h5/x.png", "s.h5/y/x.png"])
def test_outputs_that_cannot_be_written(plot, tmp_path, out):
    (tmp_path / "taken.png").mkdir()
    result = plot(write_surface(tmp_path / "s.h5"), "-o", tmp_path / out, "--dpi", "40")
    assert result.status == 1 and result.out == ""
    assert f"cannot write {tmp_path / out}: " in result.line()
    assert sorted(os.listdir(tmp_path)) == ["s.h5", "taken.png"]


def test_a_folder_that_is_missing_is_made(plot, tmp_path):
    out = tmp_path / "no" / "such" / "x.png"
    assert plot(write_surface(tmp_path / "s.h5"), "-o", out, "--dpi", "40").out == f"{out}\n"
    assert out.stat().st_size > 1000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(plot, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    result = plot(write_surface(tmp_path / "s.h5"), "-o", closed / "x.png", "--dpi", "40")
    assert result.status == 1 and "Permission denied" in result.line()


def test_an_older_figure_is_replaced_whole_and_links_are_followed(plot, tmp_path):
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_text("old")
    link.symlink_to(real)
    assert plot(write_surface(tmp_path / "s.h5"), "-o", link, "--dpi", "40").status == 0
    assert link.is_symlink() and real.read_bytes().startswith(b"\x89PNG")


def test_a_refused_file_with_an_odd_name_is_one_line(plot, tmp_path):
    result = plot(tmp_path / "two\nlines.h5")
    assert result.status == 1 and "two lines.h5 does not exist" in result.line()


def test_negative_numbers_of_every_form(plot, tmp_path):
    file = write_surface(tmp_path / "s.h5", lambda x, y: 3 * x)
    words = ("--vmin", "-2e0", "--vmax", "2", "--levels", "-1,0,.5", "--dpi", "40")
    assert plot(file, *words).status == 0
    assert "--vmin -1 must be below --vmax -1.5" in plot(file, "--vmin=-1", "--vmax", "-1.5").line()


def test_options_without_effect_are_said(plot, tmp_path):
    result = plot(write_surface(tmp_path / "s.h5"), "--elev", "-20", "--dpi", "40")
    assert result.status == 0
    assert result.line() == "plot: note: --elev has no effect on --kind contourf"


@pytest.mark.parametrize("out, words, said", [
    ("x.html", ["--kind", "heat", "--width", "column", "--dpi", "50"], {"--kind", "--width", "--dpi"}),
    ("x.html", ["--size", "5x5", "--no-caption", "--no-floor"], {"--size", "--no-caption", "--no-floor"}),
    ("x.gif", ["--kind", "heat", "--width", "2in", "--dpi", "20"], {"--kind"}),
])
def test_options_without_effect_on_pages_and_animations(plot, tmp_path, monkeypatch, out, words, said):
    from lossatlas.plotting import animation

    monkeypatch.setattr(animation, "SPIN", 0.1)
    result = plot(write_surface(tmp_path / "s.h5"), *words, "-o", tmp_path / out)
    what = "a page" if out.endswith("html") else "an animation"
    assert result.status == 0
    assert set(result.err.splitlines()) == {f"plot: note: {name} has no effect on {what}" for name in said}


def test_a_name_near_no_colour_map(plot, tmp_path):
    assert "did you mean" not in plot(write_surface(tmp_path / "s.h5"), "--cmap", "nope").line()


def test_our_own_mistakes_are_one_line_too(plot, tmp_path, monkeypatch):
    from lossatlas.plotting import reading

    monkeypatch.delenv("LOSSATLAS_TRACEBACK", raising=False)
    monkeypatch.setattr(reading, "open_file", lambda path: 1 / 0)
    result = plot(write_surface(tmp_path / "s.h5"))
    assert result.status == 1 and "internal error: ZeroDivisionError" in result.line()
