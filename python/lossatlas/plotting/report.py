"""Everything that a run made, on one page."""

import argparse
import os

import numpy as np

from . import charts, curvature_figures, figures, marks, points, reading, report_page, run_files, saving, style, summary, wording
from .errors import PlotError, WordsError, one_line
from .hdf5 import CURVATURE, CURVE, FUNCTION, HISTORY, LINE, PLANE, SHARPNESS
from .options import Options
from .report_page import Section

KINDS = {HISTORY: "history", FUNCTION: "descent", CURVE: "curve", LINE: "line", PLANE: "surface"}  # of sections
HISTORY_COLUMNS = ("train_loss", "train_acc", "test_loss", "test_acc")


# --- the command -----------------------------------------------------------------------------------


def main(words):
    """`--report RUN_DIR [-o F.html]`: writes the page and returns its path."""
    parser = argparse.ArgumentParser(prog="lossatlas plot", allow_abbrev=False, add_help=False, exit_on_error=False)
    parser.add_argument("--report")
    parser.add_argument("-o", "--out")
    try:
        options, unknown = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise WordsError(f"{error} (lossatlas plot --report RUN_DIR -o report.html)") from error
    if unknown:
        raise WordsError(f"--report draws all of a run: it takes only -o, not '{unknown[0]}'")
    out = options.out or os.path.join(options.report, "report.html")
    if os.path.splitext(out)[1].lower() not in (".html", ".htm"):
        raise WordsError(f"{out}: a report is .html")
    saving.check([out])
    text = page(options.report)
    figures.say_missing(set())
    saving.write(out, text.encode("utf-8", "replace"))
    return out


def page(folder):
    """The HTML text for a run folder."""
    if not os.path.isdir(folder):
        raise PlotError(f"{folder} is {'not a folder' if os.path.exists(folder) else 'not there'}: --report requires"
                        " the folder of a run (lossatlas train --out)")
    checkpoints, paths = run_files.checkpoints(folder), run_files.results(folder)
    history = os.path.join(folder, run_files.HISTORY)
    if not (checkpoints or paths or os.path.isfile(history)):
        raise PlotError(f"{folder} holds no run: no {run_files.HISTORY}, no checkpoints, no other .h5 file")
    around = os.path.dirname(os.path.abspath(folder))
    sections, problems = [], []
    for path in ([history] if os.path.isfile(history) else []) + paths:
        name = os.path.relpath(path, around)
        try:
            sections.append(_section(path, name))
        except Exception as error:  # one file must not cost the page
            known = isinstance(error, (PlotError, OSError))
            problems.append((name, one_line(error) if known else f"internal error: {type(error).__name__}: {one_line(error)}"))
    return report_page.html_of(os.path.basename(os.path.abspath(folder)), checkpoints, sections, problems)


# --- files -----------------------------------------------------------------------------------------


def _section(path, name):
    with _opened(path) as file:
        if file is None:
            return Section(name, "directions")
        if file.sort in (CURVATURE, SHARPNESS):
            section = curvature_figures.section_of(file, name, _called(file))
            section.pictures = [_picture(path, None)]
            return section
        provenance = file._json("provenance")
        section = Section(name, _kind(file), settings=file.settings, provenance=provenance, called=_called(file))
        if file.sort == HISTORY:
            section.facts = charts.history_facts(file)
            section.columns = _epochs(file)
        elif file.sort != FUNCTION:
            section.summary = file.summary
            texts = summary.facts(file.summary)
            section.hints = [text.removeprefix("hint: ") for text in texts if text.startswith("hint: ")]
            section.facts = [text for text in texts if not text.startswith("hint: ")]
            section.columns = _overview(file)
    kinds = (None, "surface") if section.kind in ("surface", "trajectory") else (None,)
    section.pictures = [_picture(path, kind) for kind in kinds]
    return section


def _called(file):
    """{SHA-256: name} of the files that it was made from: that of a marked checkpoint ('sgd/epoch-0004'), else the file's."""
    found = {sha256: os.path.basename(name) for name, sha256 in run_files.sources(file.settings)}
    marked = marks.points(file) if file.sort in (PLANE, LINE, CURVE) else None
    joined = file.settings.get("points") or [file.settings.get("from"), file.settings.get("to")]
    if marked is not None and isinstance(joined, list) and len(joined) == len(marked.names):
        found |= {sha256: name for each, name in zip(joined, marked.names) for _, sha256 in run_files.sources(each) if name}
    return found


class _opened:
    """An open file to be drawn, None for one that holds directions."""

    def __init__(self, path):
        self._path, self._file = path, None

    def __enter__(self):
        try:
            self._file = reading.open_file(self._path)
        except PlotError:
            if not _reads_as_directions(self._path):
                raise
        return self._file

    def __exit__(self, *_):
        if self._file is not None:
            self._file.__exit__()


def _reads_as_directions(path):
    try:
        return run_files.is_directions(path)
    except OSError:
        return False


def _kind(file):
    has_runs = file.sort == PLANE and file.group("runs") is not None
    return "trajectory" if has_runs else KINDS[file.sort]


def _picture(path, kind):
    """The file's figure. What is shaded is pixels, all else is drawn."""
    def figure_on(theme):
        with reading.open_file(path) as file:
            return figures.figure_of([file], Options((path,), kind=kind, style=theme))[1]

    return report_page.picture(figure_on, ".png" if kind == "surface" else ".svg")


def _epochs(file):
    """Rows of the table of a history: the last epoch, and the best one by test accuracy where it is another."""
    values = {name: file.written(name) for name in file.names}
    rows = {"last": len(file.epoch) - 1}
    accuracy = values.get("test_acc")
    if accuracy is not None and np.isfinite(accuracy).any():
        rows["best test accuracy"] = int(np.nanargmax(accuracy))
    if len(set(rows.values())) == 1:
        rows = {"last": rows["last"]}
    return {label: {file.unit: f"{file.epoch[row]:g}", **{
        wording.short_label(name): _measured(values[name][row], row, wording.is_percent(name))
        for name in HISTORY_COLUMNS if name in values}} for label, row in rows.items()}


def _measured(value, row, is_percent):
    """A value of a history. Row 0 is before training, which has no training loss."""
    return _number(value, is_percent) or ("" if row == 0 else wording.nonfinite(value))


def _overview(file):
    """What the overview says of a surface or a line."""
    done, total = file.progress()
    said = {"grid": " × ".join(str(n) for n in reversed(file.whole)),
            "evaluated": _evaluated(file, done, total),
            "images": wording.evaluated_images(file)}
    numbers = file.summary
    centre, lowest = (numbers.get(name) if isinstance(numbers.get(name), dict) else {} for name in ("centre", "lowest"))
    said["centre loss"] = _number(centre.get("loss"))
    said["centre accuracy"] = _number(centre.get("accuracy"), True)
    said["lowest loss"] = _number(lowest.get("loss"))
    width = _number(numbers.get("width"))
    said["width"] = f"≥ {width}" if width and numbers.get("width_at_least") is True else width
    return said


def _evaluated(file, done, total):
    """'all', or how many of the points, or how many of them on all images."""
    field = file.field(file.default_name())
    if field.reconstructed.any():
        count = points.evaluated(field)
        rest = "the rest" if done == total else wording.grouped(int(field.reconstructed.sum()))
        return f"{wording.grouped(count)} of {wording.grouped(total)}, {rest} reconstructed"
    return "all" if done == total else f"{wording.grouped(done)} of {wording.grouped(total)}"


def _number(value, is_percent=False):
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not np.isfinite(value):
        return ""
    return f"{value:.2f} %" if is_percent else f"{value:.4g}"
