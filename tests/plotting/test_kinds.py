"""The table of kinds, and the options that they read."""

import dataclasses

import pytest
from conftest import (bowl, write_curve, write_fan, write_history, write_line, write_repeats, write_surface,
                      write_trajectory, write_volume)
from lossatlas.plotting import command, kinds, options, reading
from test_curvatures import write_curvature, write_sharpness
from test_descents import write_descents


def one(path):
    return write_descents(path, 1)


def two(path):
    return write_descents(path, 2)


WRITERS = {  # by kind of figure: files of the sorts that it draws
    "contour": [write_surface], "contourf": [write_surface], "heat": [write_surface],
    "surface": [write_surface, two], "trajectory": [write_trajectory], "repeats": [write_repeats], "slices": [write_volume],
    "line": [write_line, write_fan], "curve": [write_curve], "history": [write_history],
    **{kind: [one, two] for kind in ("paths", "panels", "steps", "rates")},
    **{kind: [write_curvature] for kind in ("curvature", "spectrum", "modules", "eigenvalues")}, "sharpness": [write_sharpness],
}


@pytest.mark.parametrize("kind", list(kinds.KINDS))
def test_each_kind_fits_its_files(tmp_path, kind):
    for number, write in enumerate(WRITERS[kind]):
        path = str(tmp_path / f"{number}.h5")
        write(path)
        with reading.open_file(path) as file:
            assert file.sort in kinds.KINDS[kind].draws
            assert kinds.kind_of([file], options.Options((path,), kind=kind)) == kind


def test_files_of_every_sort_have_a_usual_kind(tmp_path):
    usual = {"contourf": write_surface, "trajectory": write_trajectory, "line": write_line, "curve": write_curve,
             "history": write_history, "paths": two, "curvature": write_curvature, "sharpness": write_sharpness}
    for kind, write in usual.items():
        path = str(tmp_path / f"{kind}.h5")
        write(path)
        with reading.open_file(path) as file:
            assert kinds.kind_of([file], options.Options((path,))) == kind


def test_a_plane_of_one_row_is_a_line_whatever_plane_is_asked_for(tmp_path):
    path = write_surface(tmp_path / "s.h5", bowl, nx=9, ny=1)
    for kind in (None, "heat", "surface"):
        with reading.open_file(path) as file:
            assert kinds.kind_of([file], options.Options((path,), kind=kind)) == "line"


def test_what_kinds_read_are_options_of_the_command_line():
    known = {action.dest for action in command.make_parser()._actions}
    assert set(kinds.PARTIAL) <= known
    assert all(kind.reads <= set(kinds.PARTIAL) for kind in kinds.KINDS.values())
    assert set(kinds.PARTIAL) == set().union(*(kind.reads for kind in kinds.KINDS.values()))


def test_options_are_given_once_and_stay():
    parsed = command.parse(["s.h5", "--width", "column", "--levels", "3", "--projection", "p.h5", "--dpi", "300",
                            "--no-floor"])
    assert parsed.given == {"files", "width", "levels", "projection", "floor"}  # 300 is the usual
    assert parsed.look == options.Look(levels=3, projections=("p.h5",), floor=False)
    assert parsed.size == (8.6 / 2.54, None) and parsed.out == () and parsed.file == "s.h5"
    for value, name in ((parsed, "kind"), (parsed.look, "cmap")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "magma")


def test_what_a_surface_of_a_function_does_not_read_is_said(plot, tmp_path):
    """Of planes --kind surface reads these."""
    words = ["--xlim", "0:1", "--scale", "each", "--numbers", "--elev", "40"]
    result = plot(write_descents(tmp_path / "d.h5", 2), "--kind", "surface", *words)
    assert result.status == 0
    assert set(result.err.splitlines()) == {
        f"plot: note: --{name} has no effect on --kind surface" for name in ("xlim", "scale", "numbers")}
