"""Animations: a surface turned once around, trajectories and descents that run, a landscape that changes from
file to file. GIF by pillow, MP4 by ffmpeg. The same files give the same bytes."""

import io
import math
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from . import heads, marks, planes, points, relief, scales, style, wording
from .descents import figures as descent_figures
from .descents import looks, stage
from .errors import NotYetError, PlotError, WordsError
from .fields import together
from .hdf5 import FUNCTION, PLANE

FRAMES = {".gif": 12, ".mp4": 24}  # a second
SPIN, RUN = 6.0, 6.0  # seconds: once around, along a trajectory or a descent
HOLD, CHANGE = 0.7, 0.5  # seconds: one file, and from one to the next
LONGEST = 90.0  # seconds
WORTH_CUTTING = 0.8  # of the steps of descents: where they are settled before
DPI = 130
AZIMUTH = -57.0  # degrees
COLORS = 256  # of a GIF
MOST_PIXELS = 1600  # a side
MOST_NAMED = 4  # files, each with its own notes


def kind_of(files, options):
    """What is animated: as --animate says, or what fits the files. Refuses what does not."""
    if any(file.sort == FUNCTION for file in files):
        return _descent_kind(files, options)
    for file in files:
        if file.sort != PLANE:
            raise PlotError(f"{file.path} holds no plane to animate")
    runs = marks.runs(files[0], options.look.projections)
    kind = options.animate or ("epochs" if len(files) > 1 else "trajectory" if runs else "spin")
    if kind == "epochs" and len(files) < 2:
        raise WordsError("--animate epochs needs several files, in their order")
    if kind != "epochs" and len(files) > 1:
        raise WordsError(f"--animate {kind} needs one file, not {len(files)}")
    if kind == "trajectory" and not runs:
        raise PlotError(f"{files[0].path} holds no trajectory (/lossatlas/runs) to animate")
    if kind == "descents":
        raise PlotError(f"{files[0].path} holds no descents (lossatlas descend) to animate")
    return kind


def _descent_kind(files, options):
    if len(files) > 1:
        raise PlotError("descents are animated one file at a time")
    if options.animate not in (None, "descents"):
        raise WordsError(f"--animate {options.animate} is not for descents: leave it out")
    if not files[0].descents:
        raise PlotError(f"{files[0].path} holds no descents (made without --from): there is nothing to animate")
    return "descents"


def render(kind, files, options, extensions):
    """{extension: the bytes of the animation}."""
    if ".mp4" in extensions and shutil.which("ffmpeg") is None:
        raise PlotError("writing .mp4 requires ffmpeg: install it (Debian: apt-get install ffmpeg),"
                        " or write a .gif")
    options = replace(options, look=replace(options.look, dpi=min(options.look.dpi, DPI)))
    film = KINDS[kind](files, options)
    return {extension: WRITERS[extension](film.frames(FRAMES[extension]), FRAMES[extension]) for extension in extensions}


# --- what is seen ----------------------------------------------------------------------------------


def _scale(files, options):
    """(fields, scale for all of them, name)."""
    name = files[0].full_name(options.field or files[0].default_name())
    fields = [file.field(name) for file in files]
    for file, field in zip(files, fields):
        if not (np.array_equal(file.x, files[0].x) and np.array_equal(file.y, files[0].y)):
            raise PlotError(f"{file.path} has another grid than {files[0].path}: an animation needs one grid")
        if not np.isfinite(field.values).any():
            raise NotYetError(f"{file.path} holds no finite value of {name}: nothing to draw")
    values = np.concatenate([field.values.ravel() for field in fields])
    return fields, options.look.scale(values, name), name


def _head(files, options, name, mark):
    settings = [file.settings for file in files]
    title = options.title or wording.title(wording.short_label(name, settings[0]), *settings)
    return style.Head(title, wording.joined(heads.common(files, wording.facts)), options.size, mark, (), options.caption)


def _image(figure, dpi):
    """The figure as RGB, [height, width, 3] uint8, both even as videos want it."""
    figure.set_dpi(dpi)
    style.prepare(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[:, :, :3]
    if max(image.shape) > MOST_PIXELS:
        raise WordsError(f"an animation is at most {MOST_PIXELS} pixels per side: reduce --dpi or --size")
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].copy()


class _Solid:
    """Frames of a surface in 3D."""

    def __init__(self, files, options):
        self.options, self.files = options, files
        self.fields, self.scale, self.name = _scale(files, options)
        self.label = files[0].value_label(self.name)
        self.look = replace(options.look, azim=AZIMUTH if options.look.azim is None else options.look.azim)
        reliefs = [self.relief(field) for field in self.fields]
        relief.turn(reliefs)
        self.look = replace(self.look, elev=reliefs[0].view.elev)

    def relief(self, field):
        return relief.Relief(self.files[0], field, self.scale, self.look)

    def image(self, solid, head, place, notes):
        """One frame, as RGB."""
        return _image(relief.figure(solid, head, notes, self.label, place), self.look.dpi)


class _Spin(_Solid):
    def frames(self, rate):
        head = _head(self.files, self.options, self.name, points.mark(self.fields[0]))
        solid = self.relief(self.fields[0])
        notes = solid.notes()
        place = relief.steady_place(solid, head, self.label, np.arange(0.0, 360.0, 30.0), notes)
        turns = self.look.azim + np.linspace(0.0, 360.0, round(SPIN * rate), endpoint=False)
        return [self.image(solid.turned_to(float(azim)), head, place, notes) for azim in turns]


class _Epochs(_Solid):
    """Each file for a while, and from one to the next a smooth change, which is interpolated."""

    def __init__(self, files, options):
        super().__init__(files, options)
        missing = any(field.missing.any() for field in self.fields)
        self.mark = "PARTIAL: not all points are evaluated" if missing else None
        self.fields = [points.fill(file, field, self.scale) for file, field in zip(files, self.fields)]
        if HOLD * len(files) + CHANGE * (len(files) - 1) > LONGEST:
            raise WordsError(f"{len(files)} files are too many for one animation")
        self.titles = _titles(files, options)
        self.notes = [*self.all_notes(), "one scale throughout; from file to file interpolated"]

    def all_notes(self):
        """The same on all frames, between the files as well."""
        own = [points.notes(field, relief.GUESSES) for field in self.fields]
        notes = [f"{title}: {note}" for title, each in zip(self.titles, own) for note in each]
        if len(self.fields) > MOST_NAMED:
            notes = points.notes(together(self.fields), relief.GUESSES)
        common = [note for field, each in zip(self.fields, own) for note in self.relief(field).notes() if note not in each]
        return notes + list(dict.fromkeys(common))

    def frames(self, rate):
        hold, change = round(HOLD * rate), round(CHANGE * rate)
        frames = [self.frame(self.fields[0], 0)] * hold
        for number, (a, b) in enumerate(zip(self.fields, self.fields[1:])):
            for step in range(1, change):
                share = 0.5 - 0.5 * math.cos(math.pi * step / change)
                frames.append(self.frame(self.between(a, b, share), number + round(share)))
            frames += [self.frame(b, number + 1)] * hold
        return frames + frames[-1:] * hold

    def frame(self, field, number):
        head = _head(self.files, self.options, self.name, self.mark)
        head.title += f": {self.titles[number]}"
        solid = self.relief(field)
        place = relief.steady_place(solid, head, self.label, [self.look.azim], self.notes)
        return self.image(solid, head, place, self.notes)

    def between(self, a, b, share):
        """A field between two; what has no value in one of them has none."""
        values = self.scale.backward((1 - share) * self.scale.held(a.values) + share * self.scale.held(b.values))
        return replace(a, values=values, blank=a.blank | b.blank, nonfinite=a.nonfinite | b.nonfinite,
                       guessed=a.guessed | b.guessed)


def _titles(files, options):
    """'epoch 4' or 'step 40' for each file where the checkpoints say so and differ in it, else what tells the files apart."""
    epochs = [re.fullmatch(r"(epoch|step)-(\d+)", _checkpoint(file)) for file in files]
    titles = [f"{match[1]} {int(match[2])}" for match in epochs if match]
    return titles if not options.names and len(set(titles)) == len(files) else heads.file_names(files, options)


def _checkpoint(file):
    """The name of the checkpoint that the file was made from, without its extension; '' where it does not say."""
    checkpoint = file.settings.get("checkpoint")
    name = str(checkpoint.get("file", "")) if isinstance(checkpoint, dict) else ""
    return os.path.splitext(os.path.basename(name))[0]


class _Run:
    """Trajectories that run over the plane seen from above."""

    def __init__(self, files, options):
        self.file, self.look = files[0], options.look
        (field,), self.scale, self.name = _scale(files, options)
        kind = options.kind if options.kind in ("contour", "contourf", "heat") else "contourf"
        self.plane = planes.Plane(kind, self.file, field, self.scale, self.look)
        body, equal = planes.body_of(self.plane.x, self.plane.y, self.look.aspect)
        notes = self.plane.notes(equal)
        self.runs, self.plane.overlay.runs = self.plane.overlay.runs, []
        head = _head(files, options, self.name, points.mark(field))
        self.label = self.file.value_label(self.name)
        margins = planes.margins(body, self.label, *(marks.axis_label(self.file, number) for number in (1, 2)),
                                 planes.y_extra(self.plane.y), planes.bar_extra(self.scale))
        gap, lines = margins.bottom + 0.03, self.lines(self.last)
        margins.bottom += looks.legend_height(lines)
        self.page = style.Page(head, notes, margins, body)
        self.axes = self.plane.draw(self.page, self.page.rectangle(), self.label)
        longest = [max(same, key=lambda line: len(line[1])) for same in zip(*map(self.lines, range(self.last + 1)))]
        self.legend = looks.draw_legend(self.page, longest, gap)

    @property
    def last(self):
        return max(len(run.x) for run in self.runs) - 1

    def frames(self, rate):
        steps = max(2, round(RUN * rate))
        images = [self.frame(self.last * n / (steps - 1)) for n in range(steps)]
        return images + [images[-1]] * rate

    def frame(self, step):
        drawn = []
        for number, run in enumerate(self.runs):
            at = min(step, len(run.x) - 1.0)
            whole = int(at)
            place = np.arange(len(run.x))
            x, y = (np.append(values[: whole + 1], np.interp(at, place, values)) for values in (run.x, run.y))
            look = style.series(number)
            drawn += self.axes.plot(x, y, color=look["color"], linewidth=1.5 * style.ZOOM, zorder=12,
                                    path_effects=style.cased(3 * style.ZOOM))
            drawn += self.axes.plot(x[:-1], y[:-1], linestyle="none", marker=look["marker"], color=look["color"],
                                    markersize=3.4 * style.ZOOM, markeredgecolor=style.CASING,
                                    markeredgewidth=0.5 * style.ZOOM, zorder=13)
            drawn += self.axes.plot(x[-1:], y[-1:], linestyle="none", marker=look["marker"], color=look["color"],
                                    markersize=8 * style.ZOOM, markeredgecolor=style.CASING,
                                    markeredgewidth=1.2 * style.ZOOM, zorder=14)
        for text, (_, words) in zip(self.legend.get_texts(), self.lines(step)):
            text.set_text(words)
        image = _image(self.page.figure, self.look.dpi)
        for artist in drawn:
            artist.remove()
        return image

    def lines(self, step):
        """Of each run its look and how far it is, for the legend: below the axes, where no path is."""
        lines = []
        for number, run in enumerate(self.runs):
            whole = int(min(step, len(run.x) - 1.0))
            epoch = run.epoch[whole]
            what = f"{run.unit} {epoch:g}" if np.isfinite(epoch) else f"checkpoint {whole + 1}"
            own = run.own(self.name)[whole]
            loss = f", {wording.short_label(self.name)} {scales.number(float(own))}" if np.isfinite(own) else ""
            look = style.series(number)
            lines.append(((look["color"], style.DASHES[0], look["marker"]), f"{run.label}: {what}{loss}"))
        return lines


class _Descents:
    """Descents on a function of one or two variables, step by step, all at once."""

    def __init__(self, files, options):
        self.file, self.look = files[0], options.look
        self.looks = looks.looks_of(self.file.descents)
        self.last = max(descent.steps for descent in self.file.descents)
        settled = stage.settled(self.file)
        self.settled = settled if settled < WORTH_CUTTING * self.last else self.last
        notes = []
        if self.settled < self.last:
            notes.append(f"nothing visibly moves after step {settled}: the rest, to step {self.last}, is shown at once")
        lines = looks.legend_lines(self.file.descents, self.looks)
        head = descent_figures.head_of(self.file, "paths", options)
        self.page, self.axes = stage.stage(self.file, head, self.look, lines, notes)
        stage.draw_tangents(self.axes, self.file)
        self.legend = None

    def frames(self, rate):
        steps = np.linspace(0, self.settled, max(2, round(RUN * rate))).round().astype(int)
        moments = {step: [stage.until(descent, step) for descent in self.file.descents]
                   for step in map(int, [*np.unique(steps), self.last])}
        lines = [looks.legend_lines(moment, self.looks) for moment in moments.values()]
        self.legend = looks.draw_legend(self.page, [max(same, key=lambda line: len(line[1])) for same in zip(*lines)])
        images = {step: self.frame(step, moment) for step, moment in moments.items()}
        return [images[step] for step in steps] + [images[self.last]] * rate

    def frame(self, step, moment):
        before = set(self.axes.get_children())
        stage.draw_descents(self.axes, self.file, moment)
        for text, (_, words) in zip(self.legend.get_texts(), looks.legend_lines(moment, self.looks)):
            text.set_text(words)
        self.axes.annotate(f"step {step}", (1, 0), xycoords="axes fraction", textcoords="offset points", ha="right",
                           xytext=(0, -20 * style.ZOOM), va="top", fontsize=style.TICK, color=style.INK)
        image = _image(self.page.figure, self.look.dpi)
        for artist in set(self.axes.get_children()) - before:
            artist.remove()
        return image


KINDS = {"spin": _Spin, "trajectory": _Run, "epochs": _Epochs, "descents": _Descents}


# --- files -----------------------------------------------------------------------------------------


def _gif(frames, rate):
    """One palette for all frames, from their colours taken together, so that nothing flickers."""
    from PIL import Image

    every = max(1, len(frames) // 8)
    sample = Image.fromarray(np.concatenate(frames[::every]))
    palette = sample.quantize(COLORS, method=Image.Quantize.MEDIANCUT)
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    paper = frames[0][0, 0].astype(int)
    colors[np.abs(colors - paper).sum(axis=1) < 30] = paper  # exactly, not a mean with what is near
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors.ravel().tolist())
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 / rate), loop=0,
                   optimize=False)
    return buffer.getvalue()


def _mp4(frames, rate):
    height, width, _ = frames[0].shape
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        words = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
                 "-r", str(rate), "-i", "-", "-c:v", "libx264", "-preset", "medium", "-crf", "18", "-threads", "1",
                 "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact",
                 "-map_metadata", "-1", file.name]
        done = subprocess.run(words, input=b"".join(frame.tobytes() for frame in frames), capture_output=True, check=False)
        if done.returncode:
            raise PlotError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
        with open(file.name, "rb") as written:
            return written.read()


WRITERS = {".gif": _gif, ".mp4": _mp4}
