"""Surfaces, lines, trajectories, curves and curvatures: each call runs the program once, and returns what it wrote.

Arguments have the names of the program's options, with underscores. Those that are not listed are accepted by keyword
too (`bn_images=500` is --bn-images 500) and checked by the program: docs/surface.md, line.md, trajectory.md, curve.md
and curvature.md have them all. None leaves an option at its default. A tuple is a range (`x=(-1, 1)`), a size (`grid=(51, 41)`) or a list
with commas; a Python list is an option given several times.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from . import program
from .error import Error, Interrupted
from .files import is_problem, remove_with, temporary_path
from .options import in_python, path_of, words_of
from .results import Curvature, Curve, Grid, Line, Result, Sharpness, Surface, Trajectory, open

Path = str | os.PathLike[str]
Range = tuple[float, float] | str
Kind = TypeVar("Kind", bound=Result)


def surface(problem: Path | None = None, *, out: Path | None = None, grid: int | tuple[int, ...] | str | None = None,
            x: Range | None = None, y: Range | None = None, plane: str | None = None, checkpoint: Path | None = None,
            tolerance: float | None = None, budget: int | None = None, data: str | None = None, arch: str | None = None,
            split: str | None = None, samples: int | None = None, norm: str | None = None, seed: int | None = None,
            repeat: int | None = None, bn: str | None = None, device: str | None = None, threads: int | None = None,
            resume: bool = False, force: bool = False, progress: bool = True, **options: Any) -> Surface:
    """Evaluates the loss over a grid of two or more directions around a network.

    Args:
        problem: what export_problem returned or wrote; or a checkpoint or run folder, then with `data`
        out: the file to write (.h5). Default: a temporary file, removed with the result
        grid: points along each axis: 51, (51, 41) or "51x41". Default: 51
        x: range in multiples of the first direction. Default: (-1, 1); through checkpoints what holds them
        y: the same along the second direction
        plane: "random" (default), "points:A,B,C" (checkpoints), "file:F" (directions) or "pca:RUN"
        checkpoint: other parameters of the problem's network
        tolerance: evaluates no more than keeps the error of log loss below this share of its range, as in 0.01.
            Default: every point on all samples
        budget: the same, with at most so many sample evaluations
        data: of a checkpoint without a problem, the data: "cifar10:DIR", …
        arch: its architecture, as "resnet18-cifar"
        split: "train" (default), "test" or "both"
        samples: a stratified subset of so many. Default: all
        norm: how random directions are normalized. Default: "filter"
        seed: decides them. Default: 0
        repeat: pairs of random directions, each with its surface. Default: 1
        bn: "stored" or "recalibrate": batch-norm statistics at each point. Default: recalibrate between networks
        device: "cpu" (default), "cuda" or "cuda:N"
        threads: points evaluated at a time. Default: all processors
        resume: continues `out` if it exists
        force: replaces `out` if it exists
        progress: draws a bar (tqdm) and prints notes. False: silent, except for warnings

    Cost: points × samples × one forward pass; `tolerance` saves most of it, `samples` all but a share.
    Values are [ny, nx]. Raises Error with the program's own line, and Interrupted after Ctrl-C.
    """
    return _run(Surface, "surface", problem, out, progress, options | dict(
        grid=grid, x=x, y=y, plane=plane, checkpoint=checkpoint, tolerance=tolerance, budget=budget, data=data, arch=arch,
        split=split, samples=samples, norm=norm, seed=seed, repeat=repeat, bn=bn, device=device, threads=threads,
        resume=resume, force=force))


def line(problem: Path | None = None, *, to: Path | None = None, out: Path | None = None, points: int | None = None,
         x: Range | None = None, lines: int | None = None, checkpoint: Path | None = None, data: str | None = None,
         arch: str | None = None, split: str | None = None, samples: int | None = None, norm: str | None = None,
         seed: int | None = None, bn: str | None = None, device: str | None = None, threads: int | None = None,
         resume: bool = False, force: bool = False, progress: bool = True, **options: Any) -> Line:
    """Evaluates loss and accuracy along a line: from a network through another one, or along random directions.

    Args:
        to: a second checkpoint, at x = 1. Default: a random direction
        points: points on the line. Default: 51; with `to` 61
        x: range in multiples of the direction. Default: (-1, 1); with `to` about (-0.5, 1.5)
        lines: random directions, each with its line. Default: 1
        split: "train", "test" or "both" (default)

    The other arguments are those of `surface`. Cost: points × samples × one forward pass, of both splits. Values are
    [nx], the mean over several lines. Raises Error with the program's own line, and Interrupted after Ctrl-C.
    """
    return _run(Line, "line", problem, out, progress, options | dict(
        to=to, points=points, x=x, lines=lines, checkpoint=checkpoint, data=data, arch=arch, split=split, samples=samples,
        norm=norm, seed=seed, bn=bn, device=device, threads=threads, resume=resume, force=force))


def trajectory(run: Path | Sequence[Path] | None = None, *, problem: Path | None = None,
               checkpoints: str | Sequence[Path] | None = None, out: Path | None = None,
               grid: int | tuple[int, int] | str | None = None, x: Range | None = None, y: Range | None = None,
               data: str | None = None, arch: str | None = None, split: str | None = None, samples: int | None = None,
               bn: str | None = None, device: str | None = None, threads: int | None = None, resume: bool = False,
               force: bool = False, progress: bool = True, **options: Any) -> Trajectory:
    """Draws the paths of optimizers into the plane of their principal components, and evaluates the loss beneath them.

    Args:
        run: folder of a run, as Recorder or `lossatlas train` leaves it; or several, which share the plane
        problem: what export_problem returned or wrote, for a network of your own
        checkpoints: in place of `run`, the checkpoints of one run in their order: paths, or a pattern as in
            "run/*.pt"
        grid: points along x and y. Default: (25, 25)
        x: range in multiples of the first direction. Default: all paths, with a margin of a fifth of their extent
        y: the same along the second direction

    The other arguments are those of `surface`. Cost: (points + 2 × checkpoints) × samples × one forward pass, and one
    reading of all checkpoints. Values are [ny, nx]. Raises Error with the program's own line, and Interrupted after
    Ctrl-C.
    """
    runs = [] if run is None else [run] if isinstance(run, (str, os.PathLike)) else list(run)
    if checkpoints is not None and not isinstance(checkpoints, str):
        checkpoints = tuple(path_of(each, "checkpoints") for each in checkpoints)
    return _run(Trajectory, "trajectory", problem, out, progress, options | dict(
        run=[path_of(each, "run") for each in runs], checkpoints=checkpoints, grid=grid, x=x, y=y, data=data, arch=arch,
        split=split, samples=samples, bn=bn, device=device, threads=threads, resume=resume, force=force))


def curve(start: Path, to: Path, *, problem: Path | None = None, out: Path | None = None, points: int | None = None,
          bends: int | None = None, epochs: int | None = None, lr: float | None = None, data: str | None = None,
          arch: str | None = None, split: str | None = None, samples: int | None = None, seed: int | None = None,
          bn: str | None = None, device: str | None = None, threads: int | None = None, resume: bool = False,
          force: bool = False, progress: bool = True, **options: Any) -> Curve:
    """Trains a curve of low loss between two networks, and evaluates it beside the straight line.

    Args:
        start: the checkpoint where it begins (--from); the problem's file for its own network
        to: the checkpoint where it ends
        points: values of t, from 0 to 1, at which curve and line are evaluated. Default: 61
        bends: points between the ends that are trained. Default: 1
        epochs: times through the training samples. Default: 30
        lr: learning rate of the first half. Default: 0.015

    The other arguments are those of `surface`. Cost: `epochs` of training with full gradients, then 2 × points × samples
    forward passes. Values are [points]. Raises Error with the program's own line, and Interrupted after Ctrl-C.
    """
    return _run(Curve, "curve", problem, out, progress, options | {"from": path_of(start, "start")} | dict(
        to=path_of(to, "to"), points=points, bends=bends, epochs=epochs, lr=lr, data=data, arch=arch, split=split,
        samples=samples, seed=seed, bn=bn, device=device, threads=threads, resume=resume, force=force))


def merge(files: Sequence[Path], *, out: Path, partial: bool = False, force: bool = False) -> Surface | Line:
    """Puts the shards of a surface or a line together, which `surface(…, shard="3/16")` and `line` write.

    Args:
        files: the shards, in any order
        out: the file to write (.h5)
        partial: merges what is there, though points are missing; `surface` with out= and resume=True computes them
        force: replaces `out`; merges shards even if engine, instruction set, batch size or LibTorch differ

    Values are those of one run, bit for bit. Raises Error with the program's own line, which names the shards that are
    missing or do not belong.
    """
    paths = [path_of(each, "files") for each in ([files] if isinstance(files, (str, os.PathLike)) else files)]
    path = path_of(out, "out")
    program.ask(["merge", *paths, *words_of({"partial": partial, "force": force}), f"--out={path}"])
    return cast(Surface | Line, open(path))


def curvature(problem: Path | None = None, *, out: Path | None = None, operator: str | None = None, top: int | None = None,
              low: int | None = None, trace: int | None = None, by: str | None = None, density: int | None = None,
              parameters: str | None = None, checkpoint: Path | None = None, data: str | None = None,
              arch: str | None = None, split: str | None = None, samples: int | str | None = None,
              seed: int | None = None, device: str | None = None, threads: int | None = None, resume: bool = False,
              force: bool = False, progress: bool = True, **options: Any) -> Curvature:
    """Computes eigenvalues and trace of the Hessian of the loss at a network, over all trained parameters.

    Args:
        operator: "hessian" (default) or "gauss-newton"
        top: eigenvalues at the upper end. Default: 5
        low: eigenvalues at the lower end. Default: 1
        trace: random probes for the trace; 0: none. Default: 16
        by: "module": also the trace of each module, and the diagonal
        density: random probes for the density of eigenvalues, as 8. Default: 0, no density
        parameters: patterns of the parameters that count, as "layer4.*,fc.*". Default: all that are trained
        samples: a stratified subset of so many, or "all". Default: 1000, or all if there are fewer

    The other arguments are those of `surface`. Cost: some 40 products on all samples, each of three to four gradients;
    20 more for each probe of the density. Raises Error with the program's own line, and Interrupted after Ctrl-C.
    """
    return _run(Curvature, "curvature", problem, out, progress, options | dict(
        operator=operator, top=top, low=low, trace=trace, by=by, density=density, parameters=parameters,
        checkpoint=checkpoint, data=data, arch=arch, split=split, samples=samples, seed=seed, device=device,
        threads=threads, resume=resume, force=force))


def sharpness(problem: Path | None = None, *, checkpoints: Sequence[Path] | None = None, run: Path | None = None,
              out: Path | None = None, csv: Path | None = None, rho: float | None = None, sigma: float | None = None,
              draws: int | None = None, top: int | None = None, trace: int | None = None, every: int | None = None,
              data: str | None = None, split: str | None = None, samples: int | str | None = None,
              seed: int | None = None, device: str | None = None, threads: int | None = None, resume: bool = False,
              force: bool = False, progress: bool = True, **options: Any) -> Sharpness:
    """Computes how sharp the loss is at several checkpoints of a network, or along a run, by several definitions.

    Args:
        problem: what export_problem returned or wrote; without it, `data` says on what the checkpoints are evaluated
        checkpoints: files, or run folders, whose last checkpoint is meant
        run: instead of them a run folder, or files and patterns with commas between them: a row for each checkpoint
        csv: also writes the table as text
        rho: how far SAM's sharpness goes along the gradient. Default: 0.05
        sigma: how far expected sharpness goes along filter-normalized directions. Default: 0.05
        draws: its random directions. Default: 20
        every: of a run every so many checkpoints, and the last

    The other arguments are those of `curvature`. Cost: some 40 products and 40 forward passes a checkpoint.
    """
    if checkpoints is None and run is None:
        raise Error("sharpness requires checkpoints, a list of files, or run")
    table = csv if csv is not None or run is not None or len(checkpoints or ()) != 1 else temporary_path("sharpness.csv")
    return _run(Sharpness, "curvature", problem, out, progress, options | dict(
        checkpoint=None if checkpoints is None else list(checkpoints), run=run, csv=table, rho=rho, sigma=sigma, draws=draws,
        top=top, trace=trace, every=every, data=data, split=split, samples=samples, seed=seed, device=device,
        threads=threads, resume=resume, force=force))


def _run(kind: type[Kind], command: str, problem: Path | None, out: Path | None, progress: bool,
         arguments: dict[str, Any]) -> Kind:
    """Runs the command into `out`, and opens that."""
    if problem is not None:
        path = path_of(problem, "problem")
        name = "problem" if command in ("trajectory", "curve") or _names_problem(path) else "checkpoint"
        if arguments.get(name) is not None:
            raise Error(f"{path} is a checkpoint, and so is checkpoint: leave one out, or name a problem first")
        arguments[name] = path
    is_temporary = out is None
    if is_temporary and arguments.get("resume"):
        raise Error("resume requires out: name the file to resume")
    if is_temporary and arguments.get("shard"):
        raise Error("shard requires out: name the file of all shards")
    path = temporary_path(f"{command}.h5") if out is None else path_of(out, "out")
    try:
        written = program.run([command, *words_of(arguments), f"--out={path}"], progress)
    except program.Interrupt as interrupt:
        file = interrupt.files[0] if arguments.get("shard") and interrupt.files else path
        raise Interrupted(f"interrupted; {_progress_of(file)} saved in {file}: call {command} again with the same arguments,"
                          f" out={path!r} and resume=True to continue", path) from None
    except Error as error:
        if is_temporary:
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        if str(error).startswith(f"{arguments.get('problem')}: "):  # the file itself is at fault
            raise Error(f"{error}; write it again with lossatlas.export_problem") from None
        raise
    result = open(written[0] if arguments.get("shard") else path)
    if is_temporary:
        remove_with(result, path)
    return cast(Kind, result)


def _names_problem(path: str) -> bool:
    """Whether the first argument is meant as a problem; a broken one keeps its name."""
    return path.endswith(".lossatlas") or (os.path.isfile(path) and is_problem(path))


def _progress_of(path: str) -> str:
    """What a file that was interrupted holds, in words."""
    try:
        result = open(path)
        if not isinstance(result, Grid):
            return "what was finished is"
        done, total = result.progress
    except Error:
        return "what was finished is"
    return f"{done} of {total} points are"
