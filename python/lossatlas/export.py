"""Writes a network, its loss and its data into one file, which Lossatlas reads.

docs/problems.md is the user's page, docs/file-format.md describes the file. This package needs only torch and the
standard library.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from .archive import Archive, Member
from .error import ProblemError
from .files import is_problem, remove_with, temporary_path
from .graphs import Graph, export_graph
from .losses import NamedLoss
from .problem import Problem, batch_norms, check_samples, dtype_name, norm, prepared, probe
from .samples import Samples
from .slices import slices

FORMAT = "lossatlas-problem"
VERSION = 1
DEFAULT_BATCH = 64  # samples of a batch if nothing else says how many


class ProblemFile(dict[str, Any]):
    """A problem file: its manifest as a mapping, its `path`. Functions of lossatlas take it as their `problem`."""

    def __init__(self, manifest: dict[str, Any], path: str) -> None:
        super().__init__(manifest)
        self.path = path

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<lossatlas problem: {self['model']}, {self['data']['samples']} samples: {self.path}>"


def export_problem(model: nn.Module, loss: str | Callable[..., Any], data: Any,
                   path: str | os.PathLike[str] | None = None, *,
                   test: Any = None, samples: int | None = None, seed: int = 0, batch_size: int | None = None,
                   label_smoothing: float = 0.0, ignore_index: int = -100, delta: float = 1.0,
                   mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
                   quiet: bool = False) -> ProblemFile:
    """Writes `path`, which Lossatlas reads. Returns it with what its manifest says, as a mapping.

    Args:
        model: the network with its trained weights. It is evaluated in eval mode, and left as it was
        loss: a function loss(model, *batch) -> [N], one number a sample, or ([N], {"accuracy": [N], "weight": [N],
            ...}); or a name: cross-entropy, mse, l1, huber, bce-with-logits, next-token
        path: the file to write. Default: a temporary file that lives as long as what is returned
        data: the training samples: a Dataset, a DataLoader, or tensors whose first dimension is the sample, as in (x, y)
        test: the test samples, in one of the same forms
        samples: stores a subset of each split, chosen by `seed`. Default: all
        seed: decides that subset
        batch_size: of losses that couple the samples of a batch, and of graphs of one batch size. Default: the
            loader's
        label_smoothing: of cross-entropy and next-token, as in torch.nn.functional
        ignore_index: of the same
        delta: of huber, as in torch.nn.functional
        mean: with `std`, how pixels 0 … 1 of images became the network's inputs: (pixel - mean) / std, one number a
            channel. The samples here are stored as they are; this is for images that lossatlas reads itself, by --data
        std: see `mean`

    Raises ProblemError, whose text says what to do, if the file would not give the network's values and gradients.
    """
    if path is None:
        name = temporary_path("problem.lossatlas")
        try:
            problem_file = export_problem(model, loss, data, name, test=test, samples=samples, seed=seed,
                                          batch_size=batch_size, label_smoothing=label_smoothing,
                                          ignore_index=ignore_index, delta=delta, mean=mean, std=std, quiet=quiet)
        except BaseException:
            shutil.rmtree(os.path.dirname(name), ignore_errors=True)
            raise
        remove_with(problem_file, name)
        return problem_file
    path = os.fspath(path)
    if sys.byteorder != "little":
        raise ProblemError("problem files are written on little-endian machines only")
    if not isinstance(model, nn.Module):
        raise ProblemError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise ProblemError(f"{path}: the folder does not exist: make it first")
    if os.path.exists(path) and not is_problem(path):
        raise ProblemError(f"{path} exists and is not a problem file: choose another name, or remove it")
    if any(number is not None and number < 1 for number in (samples, batch_size)):
        raise ProblemError("samples and batch_size must be at least 1")
    normalization = _normalization(mean, std)
    if isinstance(loss, str):
        loss = NamedLoss(loss, label_smoothing, ignore_index, delta)
    elif (label_smoothing, ignore_index, delta) != (0.0, -100, 1.0):
        raise ProblemError("label_smoothing, ignore_index and delta belong to losses given by name: leave them out")
    elif isinstance(loss, nn.modules.loss._Loss) or not callable(loss):
        raise ProblemError("loss must be a name or a function of the network and a batch, as in "
                           'lambda model, x, y: F.cross_entropy(model(x), y, reduction="none")')
    while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or hasattr(model, "_orig_mod"):
        model = cast(nn.Module, model._orig_mod if hasattr(model, "_orig_mod") else model.module)

    def say(text: str) -> None:
        if not quiet:
            print(f"{path}: {text}", flush=True)

    with prepared(model):
        given = {"data": data} if test is None else {"data": data, "test": test}
        splits = {folder: Samples(split, samples, seed) for folder, split in given.items()}
        problem = Problem(model, loss, splits["data"])
        for folder, split in splits.items():
            say(f"{folder}: {_describe(problem, split)}")
        graphs, batch = _export_graphs(problem, splits, batch_size or splits["data"].batch_size, say)
        named = {"name": loss.name, **loss.options} if isinstance(loss, NamedLoss) else {"name": "function"}
        manifest = {"format": FORMAT, "version": VERSION, "torch": torch.__version__, "model": type(model).__qualname__,
                    "loss": named, "outputs": problem.outputs, "target": problem.target(),
                    "normalization": normalization, **batch}
        _write(path, problem, splits, graphs, manifest, seed)
    errors = ", ".join(f"{name} {error:.1g}" for name, error in graphs["eval"].errors.items())
    size = "any size" if manifest["batch"] == "any" else f"{manifest['batch']} samples"
    say(f"written, by {graphs['eval'].way}, for batches of {size}; largest relative errors: {errors}")
    return ProblemFile(manifest, path)


def _normalization(mean: Sequence[float] | None, std: Sequence[float] | None) -> dict[str, list[float]] | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None or len(mean) != len(std):
        raise ProblemError("mean and std go together, one number per channel each")
    if not all(0 <= m <= 1 and 0 < s <= 1 for m, s in zip(mean, std)):
        raise ProblemError("mean and std must be those of pixels from 0 to 1")
    return {"mean": [float(m) for m in mean], "std": [float(s) for s in std]}


def _describe(problem: Problem, split: Samples) -> str:
    if (split.structure, split.dtypes, split.shapes) != (problem.samples.structure, problem.samples.dtypes,
                                                         problem.samples.shapes):
        raise ProblemError("test and data differ in entries, dtypes or shapes: make them the same")
    size = sum(member_sizes(split))
    of = "" if split.rows is None else f" of {split.total}"
    tensors = ", ".join(f"{name} {dtype_name(dtype)} {shape}"
                        for name, dtype, shape in zip(problem.inputs, split.dtypes, split.shapes))
    return f"{split.count}{of} samples of {tensors}: {size / 1e6:,.1f} MB"


def _export_graphs(problem: Problem, splits: dict[str, Samples], batch_size: int | None,
                   say: Callable[[str], None]) -> tuple[dict[str, Graph], dict[str, Any]]:
    """The graphs "eval" and, with batch norm, "train"; and what the manifest says of batches."""
    source = splits["data"]
    leaves = source.peek(min(source.count, max(batch_size or 0, DEFAULT_BATCH)))
    available = leaves[0].shape[0]
    example = [t[:_example_size(problem, leaves)] for t in leaves]
    size = min(batch_size or DEFAULT_BATCH, available)
    full = [t[:size] for t in leaves]
    try:
        coupled = probe(problem, example)
    except ProblemError:
        if batch_size is None:
            raise
        probe(problem, full)
        coupled = True  # it takes this batch size and no other
    if coupled and batch_size is None:
        raise ProblemError("the loss of a sample depends on the others of its batch: give batch_size=N")
    graph = export_graph(problem, example, full, (True,) if coupled or available < 4 else (False, True))
    graphs = {"eval": graph}
    for split in splits.values() if coupled else ():
        split.cut(size)
    norms = list(batch_norms(problem.model).values())
    try:
        for module in norms:
            module.train()
        if norms:
            graphs["train"] = export_graph(problem, example, full, (graph.fixed,))
    except ProblemError as error:
        say(f"--bn recalibrate will not be possible, as the network's batch norm in train mode fails: {error}")
    finally:
        for module in norms:
            module.eval()
    return graphs, {"batch": size if graph.fixed else "any", "batch_size": size, "coupled": coupled,
                    "reference": _reference(problem, full if graph.fixed else example)}


def _example_size(problem: Problem, leaves: Sequence[Tensor]) -> int:
    """Samples to trace with: a number that no dimension has, so that it is not taken for one of them."""
    taken = {n for t in problem.first() for n in t.shape} | {n for t in leaves for n in t.shape[1:]}
    available = leaves[0].shape[0]
    return next((n for n in range(11, available + 1) if n not in taken), min(available, 11))


def _reference(problem: Problem, leaves: list[Tensor]) -> dict[str, Any]:
    """What eager gives for the first samples: each output, and the norm of each gradient of the weighted mean loss."""
    values = problem.eager(leaves)
    return {"samples": leaves[0].shape[0], "outputs": {name: t.tolist() for name, t in values.outputs.items()},
            "gradient_norms": dict(zip(problem.trained, map(norm, values.gradients)))}


def _write(path: str, problem: Problem, splits: dict[str, Samples], graphs: dict[str, Graph], manifest: dict[str, Any],
           seed: int) -> None:
    temporary = f"{path}.tmp{os.getpid()}"
    archive = Archive(temporary)
    try:
        manifest["graphs"] = _write_graphs(archive, graphs)
        manifest |= _write_tensors(archive, problem)
        for folder, split in splits.items():
            manifest[folder] = _write_split(archive, folder, problem, split, seed)
        manifest.setdefault("test", None)
        manifest["members"] = {member.name: {"size": member.size, "sha256": member.sha256.hexdigest()}
                               for member in archive.members.values()}
        archive.add("manifest.json", json.dumps(manifest, indent=1, allow_nan=False).encode())
        archive.close()
        os.replace(temporary, path)
    except BaseException:
        archive.file.close()
        os.unlink(temporary)
        raise


def _entry(name: str, member: Member, tensor: Tensor) -> dict[str, Any]:
    return {"name": name, "member": member.name, "dtype": dtype_name(tensor.dtype), "shape": list(tensor.shape)}


def _write_graphs(archive: Archive, graphs: dict[str, Graph]) -> dict[str, Any]:
    entries: dict[str, Any] = {"eval": None, "train": None}
    number = itertools.count()
    for mode, graph in graphs.items():
        member = archive.add("graph.json" if mode == "eval" else "graph-train.json", graph.text)
        constants = [_entry(name, archive.add(f"constants/{next(number):04d}", tensor), tensor)
                     for name, tensor in graph.constants.items()]
        entries[mode] = {"member": member.name, "way": graph.way, "check": graph.errors, "constants": constants}
    return entries


def _write_tensors(archive: Archive, problem: Problem) -> dict[str, Any]:
    def persistent(name: str) -> bool:
        path, _, entry = name.rpartition(".")
        return entry not in problem.model.get_submodule(path)._non_persistent_buffers_set

    def first_name(path: str, entry: str) -> str:
        name = f"{path}.{entry}" if path else entry
        return problem.aliases.get(name, name)

    parameters = [_entry(name, archive.add(f"parameters/{i:04d}", tied[0]), tied[0])
                  | {"trained": name in problem.trained} | slices(problem.model, name, tied[0])
                  for i, (name, tied) in enumerate(problem.parameters.items())]
    buffers = [_entry(name, archive.add(f"buffers/{i:04d}", tied[0]), tied[0]) | {"persistent": persistent(name)}
               for i, (name, tied) in enumerate(problem.buffers.items())]
    norms = [{"module": path, "momentum": module.momentum}
             | {entry: first_name(path, entry) for entry in ("running_mean", "running_var", "num_batches_tracked")}
             for path, module in batch_norms(problem.model).items()]
    inputs = [{"name": name, "dtype": dtype_name(dtype), "shape": shape}
              for name, dtype, shape in zip(problem.inputs, problem.samples.dtypes, problem.samples.shapes)]
    return {"parameters": parameters, "buffers": buffers, "aliases": problem.aliases, "batch_norms": norms,
            "inputs": inputs}


def member_sizes(split: Samples) -> list[int]:
    """Bytes of each tensor of a split."""
    return [split.count * math.prod(shape) * dtype.itemsize for shape, dtype in zip(split.shapes, split.dtypes)]


def _write_split(archive: Archive, folder: str, problem: Problem, split: Samples, seed: int) -> dict[str, Any]:
    sizes = member_sizes(split)
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(archive.file.name))).free
    if sum(sizes) > free:
        raise ProblemError(f"{folder} takes {sum(sizes) / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free: "
                           "free more, or store fewer with samples=N")
    members = [archive.reserve(f"{folder}/{i:04d}", size) for i, size in enumerate(sizes)]
    at = 0
    for leaves in split.batches():
        check_samples(problem, split, leaves, at)
        at += leaves[0].shape[0]
        for member, tensor in zip(members, leaves):
            archive.append_tensor(member, tensor)
    indices = None if split.rows is None else archive.add(f"{folder}/indices", split.rows).name
    return {"samples": split.count, "of": split.total, "seed": None if indices is None else seed, "indices": indices,
            "members": [member.name for member in members]}
