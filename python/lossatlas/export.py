"""Writes a network, its loss and its data into one file, which `lossatlas surface --problem FILE` reads without Python.

    export_problem(model, loss, data, "my.lossatlas")

docs/problems.md is the user's page, docs/file-format.md describes the file. This module needs only torch and the standard
library, so a copy of this one file works by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import inspect
import io
import itertools
import json
import math
import os
import re
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

__all__ = ["ProblemError", "export_problem"]

FORMAT = "lossatlas-problem"
VERSION = 1
LARGE = 0xFFFFFFFF  # zip: what does not fit into 32 bits is written elsewhere
ALIGNMENT = 64  # bytes; of every member of the file, so that it can be mapped into memory
DTYPES = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16, torch.int32,
          torch.int64, torch.bool}
# Largest relative errors that are accepted: of values and of gradients.
TOLERANCE = {torch.float64: (1e-6, 1e-5), torch.float32: (1e-5, 1e-4), torch.float16: (1e-2, 5e-2),
             torch.bfloat16: (2e-2, 1e-1)}


class ProblemError(Exception):
    """What the user can mend: its text says what is wrong and what to do."""


# ---------------------------------------------------------------------------------------------------------- losses


LOSSES = ("cross-entropy", "mse", "l1", "huber", "bce-with-logits", "next-token")
TARGETS = ("labels", "label", "targets", "target")
ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss, "bce-with-logits": F.binary_cross_entropy_with_logits}


class NamedLoss:
    """A loss of LOSSES as a function (model, *batch) -> ([N], measures). The last tensor of the batch is the target."""

    def __init__(self, name: str, label_smoothing: float = 0.0, ignore_index: int = -100, delta: float = 1.0) -> None:
        if name not in LOSSES:
            raise ProblemError(f'there is no loss "{name}": use {", ".join(LOSSES)}, or a function loss(model, *batch)')
        self.name, self.options = name, {}
        if name in ("cross-entropy", "next-token"):
            self.options = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
        elif (label_smoothing, ignore_index) != (0.0, -100):
            raise ProblemError(f"label_smoothing and ignore_index belong to cross-entropy and next-token, not to {name}")
        if name == "huber":
            self.options = {"delta": delta}
        elif delta != 1.0:
            raise ProblemError(f"delta belongs to huber, not to {name}")
        self.classes: int | None = None  # known once the network has run

    def __call__(self, model: nn.Module, *batch: Any, **entries: Any) -> tuple[Tensor, dict[str, Tensor]]:
        inputs, entries, target = self.split(batch, entries)
        output = _output_tensor(model(*inputs, **entries))
        if self.name in ELEMENTWISE:
            return self.elementwise(output, target)
        if self.name == "next-token":
            if output.dim() != 3:
                raise ProblemError(f"next-token needs logits [N, T, V]; the network returns {list(output.shape)}")
            output = output[:, :target.shape[1]].transpose(1, 2)
        elif output.dim() < 2:
            raise ProblemError(f"cross-entropy needs logits [N, C, ...]; the network returns {list(output.shape)}")
        if self.classes is None:
            self.classes = int(output.shape[1])
        return self.cross_entropy(output, _like(target, [output.shape[0], *output.shape[2:]]).long())

    def split(self, batch: Sequence[Any], entries: Mapping[str, Any]) -> tuple[tuple, dict[str, Any], Tensor]:
        """What the network takes, by position and by name, and the target."""
        entries = dict(entries)
        key = next((key for key in TARGETS if key in entries), None)
        if key is not None:
            target = entries.pop(key)
            return tuple(batch), entries, self.shifted(target, entries) if self.name == "next-token" else target
        if len(batch) > 1:
            return tuple(batch[:-1]), entries, batch[-1]
        if self.name == "next-token" and (batch or "input_ids" in entries):
            return tuple(batch), entries, self.shifted(batch[0] if batch else entries["input_ids"], entries)
        if batch and self.name in ELEMENTWISE:
            return tuple(batch), entries, batch[0]  # an autoencoder
        raise ProblemError(f"{self.name} finds no target: give samples (input, target), or dictionaries with \"labels\"")

    def shifted(self, tokens: Tensor, entries: Mapping[str, Any]) -> Tensor:
        """The token after each one; padding, which the attention mask shows, does not count."""
        target = tokens[:, 1:]
        if "attention_mask" in entries:
            target = target.masked_fill(entries["attention_mask"][:, 1:] == 0, self.options["ignore_index"])
        return target

    def cross_entropy(self, logits: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """logits [N, C, ...], target [N, ...]: the mean over what is not ignored, and its number as the weight."""
        counted = target != self.options["ignore_index"]
        each = F.cross_entropy(logits, target, reduction="none", **self.options).flatten(start_dim=0 if target.dim() < 2 else 1)
        right = ((logits.argmax(1) == target) & counted).to(each.dtype)
        weight = counted.to(each.dtype)
        if target.dim() > 1:
            weight = weight.flatten(1).sum(1)
            number = weight.clamp(min=1)
            each, right = each.sum(1) / number, right.flatten(1).sum(1) / number
        return each, {"accuracy": right, "weight": weight}

    def elementwise(self, output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        target = _like(target, output.shape).to(output.dtype)
        each = _mean(ELEMENTWISE[self.name](output, target, reduction="none", **self.options))
        if self.name != "bce-with-logits":
            return each, {}
        return each, {"accuracy": _mean(((output > 0) == (target > 0.5)).to(each.dtype))}

    def check_targets(self, batch: Any) -> str | None:
        """What is wrong with the targets of a batch, if anything."""
        entries, args = (batch, ()) if isinstance(batch, dict) else ({}, _as_tuple(batch))
        inputs, _, target = self.split(args, entries)
        if self.name == "bce-with-logits" and ((target < 0) | (target > 1)).any():
            return "targets of bce-with-logits lie between 0 and 1"
        if self.classes is None:
            return None
        if target.is_floating_point():
            return f"{self.name} needs whole numbers as labels; they are {_dtype(target)}"
        target = target.long()
        if self.name == "next-token" and len(args) == 2 and torch.equal(args[0].long(), target):
            return "the targets equal the inputs: give the tokens alone (they are shifted here), or targets shifted by one"
        wrong = target[(target != self.options["ignore_index"]) & ((target < 0) | (target >= self.classes))]
        if wrong.numel():
            return (f"label {int(wrong[0])} is outside 0 to {self.classes - 1}, the classes that the network has: "
                    f"correct it, or set ignore_index={int(wrong[0])} if it marks what does not count")
        return None


def _output_tensor(output: Any) -> Tensor:
    """The logits or predictions of what a network returns; of half precision in float32."""
    if isinstance(output, Mapping):  # also the outputs of transformers; torchvision's segmentation has "out"
        output = next((output[key] for key in ("logits", "out") if key in output), output)
    elif hasattr(output, "logits"):
        output = output.logits
    if not isinstance(output, Tensor):
        raise ProblemError(f"the network returns a {type(output).__name__}, not a tensor: write loss(model, *batch) yourself")
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def _like(target: Tensor, shape: Sequence[int]) -> Tensor:
    """The target in this shape; only dimensions of 1 may differ, as broadcasting would pair every sample with every other."""
    same = [n for n in target.shape[1:] if n != 1] == [n for n in list(shape)[1:] if n != 1]
    if not same or target.dim() == 0:
        raise ProblemError(f"the target has the shape {list(target.shape)}, the network's output needs {list(shape)}: "
                           "reshape one of them, or write loss(model, *batch) yourself")
    return target.reshape(list(shape))


def _mean(each: Tensor) -> Tensor:
    return each.flatten(1).mean(1) if each.dim() > 1 else each


# ------------------------------------------------------------------------------------------------------------ data


class Samples:
    """The samples of a split in their order, read once.

    `count` of `total` samples (total is None if unknown); `indices` [count] if they are a subset; `batch_size` as the data
    loader has it, or None. `names` and `structure` say how the tensors of a batch make the arguments of the loss.
    """

    def __init__(self, data: Any, wanted: int | None, seed: int) -> None:
        self.total: int | None = None
        self.indices: Tensor | None = None
        self.batch_size: int | None = data.batch_size if isinstance(data, DataLoader) else None
        self._batches = self._open(data, wanted, seed)
        first = next(self._batches, None)
        if first is None or self.count < 1:
            raise ProblemError("the data set is empty")
        self._batches = itertools.chain([first], self._batches)
        leaves, self.structure = pytree.tree_flatten(first)
        self.shapes = [list(t.shape[1:]) for t in leaves]
        self.dtypes = [t.dtype for t in leaves]

    def _open(self, data: Any, wanted: int | None, seed: int) -> Iterator[Any]:
        columns = _columns(data)
        if columns is not None:
            leaves, structure = pytree.tree_flatten(columns)
            self._choose(leaves[0].shape[0], wanted, seed)
            step = max(1, (1 << 24) // sum(t[:1].nbytes for t in leaves))
            rows = torch.arange(self.count) if self.indices is None else self.indices
            return (pytree.tree_unflatten([t[rows[start:start + step]] for t in leaves], structure)
                    for start in range(0, self.count, step))
        loader = data if isinstance(data, DataLoader) else None
        dataset = data.dataset if loader else data
        generator = torch.Generator().manual_seed(seed)
        if isinstance(dataset, IterableDataset) or (loader and loader.batch_size is None):
            if wanted is None:
                raise ProblemError("the data has no order to choose from: give samples=N, how many to take from its start")
            self.count = wanted
            return self._checked(loader or DataLoader(dataset, batch_size=64, generator=generator))
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise ProblemError(f"data is a {type(data).__name__}: give a Dataset, a DataLoader, or tensors, as in (x, y)")
        self._choose(len(dataset), wanted, seed)
        rows = range(self.count) if self.indices is None else self.indices.tolist()
        return self._checked(DataLoader(
            Subset(dataset, rows), batch_size=loader.batch_size if loader else 64, generator=generator,
            collate_fn=loader.collate_fn if loader else None, num_workers=loader.num_workers if loader else 0))

    def _choose(self, total: int, wanted: int | None, seed: int) -> None:
        self.total, self.count = total, total
        if wanted is not None and wanted < total:
            self.count = wanted
            self.indices = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:wanted].sort().values

    def _checked(self, loader: DataLoader) -> Iterator[Any]:
        try:
            for batch in loader:
                yield dict(batch) if isinstance(batch, Mapping) else tuple(batch) if isinstance(batch, list) else batch
        except (RuntimeError, TypeError) as error:
            if "equal size" in str(error) or "stack expects" in str(error):
                raise _unequal() from error
            raise

    def batches(self) -> Iterator[list[Tensor]]:
        """Tensors [n, ...] on the CPU, `count` samples in all. Can be read once; see peek."""
        done = 0
        for batch in self._batches:
            leaves = self._leaves(batch, done)
            leaves = [t[:self.count - done] for t in leaves]
            done += leaves[0].shape[0]
            yield leaves
            if done == self.count:
                return
        raise ProblemError(f"the data ended after {done} samples, {self.count} were expected: give samples={done}")

    def cut(self, size: int) -> None:
        """Leaves out what does not fill a batch."""
        if self.count < size:
            raise ProblemError(f"a split has {self.count} samples, fewer than a batch ({size}): give a smaller batch_size")
        self.count -= self.count % size
        self.indices = None if self.indices is None else self.indices[:self.count]

    def peek(self, number: int) -> list[Tensor]:
        """The first samples, as many as there are up to `number`; they are read again by batches()."""
        held: list[Any] = []
        seen = 0
        while seen < number and (batch := next(self._batches, None)) is not None:
            held.append(batch)
            seen += self._leaves(batch, seen)[0].shape[0]
        self._batches = itertools.chain(held, self._batches)
        parts = [self._leaves(batch, 0) for batch in held]
        return [torch.cat(column)[:number] for column in zip(*parts)]

    def _leaves(self, batch: Any, at: int) -> list[Tensor]:
        leaves, structure = pytree.tree_flatten(batch)
        if structure != self.structure:
            raise ProblemError(f"the batch at sample {at} has other entries than the first one: give each sample the same ones")
        for name, leaf in zip(self.default_names(), leaves):
            if not isinstance(leaf, Tensor):
                raise ProblemError(f"{name} of the data is a {type(leaf).__name__}, not a tensor: drop it in the collate function")
            if leaf.dim() == 0 or leaf.shape[0] != leaves[0].shape[0]:
                raise ProblemError(f"{name} of the data has the shape {list(leaf.shape)}: its first dimension must be the sample")
            if leaf.dtype not in DTYPES:
                raise ProblemError(f"{name} of the data is {_dtype(leaf)}: convert it (complex: torch.view_as_real)")
        if [list(t.shape[1:]) for t in leaves] != self.shapes:
            raise _unequal()
        if [t.dtype for t in leaves] != self.dtypes:
            raise ProblemError(f"the batch at sample {at} has other dtypes than the first one: convert all to the same")
        return [t.detach().cpu() for t in leaves]

    def default_names(self) -> list[str]:
        placeholder = pytree.tree_unflatten(list(range(self.structure.num_leaves)), self.structure)
        paths, _ = pytree.tree_flatten_with_path(placeholder)
        return [re.sub(r"\W+", "_", pytree.keystr(path)).strip("_") or "0" for path, _ in paths]

    def batch(self, leaves: Sequence[Any]) -> Any:
        return pytree.tree_unflatten(list(leaves), self.structure)


def _columns(data: Any) -> Any:
    """Tensors (or arrays), one or a tuple, list or dictionary of them, whose first dimension is the sample; else None."""
    def tensor(value: Any) -> Any:
        return value if isinstance(value, Tensor) else torch.as_tensor(value) if hasattr(value, "__array__") else None

    if isinstance(data, (Dataset, DataLoader, str, bytes)):
        return None
    leaves, structure = pytree.tree_flatten(data)
    tensors = [tensor(leaf) for leaf in leaves] if len(leaves) <= 16 else [None]
    if not tensors or any(t is None or t.dim() == 0 for t in tensors) or isinstance(data, list) and type(data[0]) is tuple:
        return None
    if len({t.shape[0] for t in tensors}) > 1:
        raise ProblemError(f"the tensors have {[t.shape[0] for t in tensors]} samples: their first dimensions must be equal")
    if len(tensors) == 1 and isinstance(data, Tensor) or not isinstance(data, list):
        return pytree.tree_unflatten(tensors, structure)
    return tuple(tensors)


def _unequal() -> ProblemError:
    return ProblemError("the samples have tensors of different shapes: pad them to one shape in the collate function "
                        "(DataLoader(..., collate_fn=...)) and give what is padded the weight 0")


def _as_tuple(batch: Any) -> tuple:
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def _dtype(value: Tensor | torch.dtype) -> str:
    return str(value.dtype if isinstance(value, Tensor) else value).removeprefix("torch.")


# --------------------------------------------------------------------------------------------------------- network


@dataclass
class Values:
    """What an evaluation gives: outputs [N] by name, gradients of the weighted mean loss, buffers afterwards."""
    outputs: dict[str, Tensor]
    gradients: list[Tensor]
    buffers: list[Tensor]


class Problem:
    """A network and its loss as one function of parameters, buffers and batch. The network is used in place: see prepared()."""

    def __init__(self, model: nn.Module, loss: Callable[..., Any], samples: Samples) -> None:
        self.model, self.loss, self.samples = model, loss, samples
        self.aliases: dict[str, str] = {}
        self.parameters = self._distinct(model.named_parameters(remove_duplicate=False))
        self.buffers = self._distinct(model.named_buffers(remove_duplicate=False))
        self.outputs: list[str] = []
        self.names = samples.default_names()
        if isinstance(loss, NamedLoss) and self.names == ["0", "1"]:
            self.names = ["input", "target"]
        with contextlib.suppress(ValueError, TypeError):
            arguments = [p.name for p in inspect.signature(loss).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
            if len(arguments) == len(self.names) + 1 and isinstance(samples.batch(self.names), (tuple, str)):
                self.names = arguments[1:]
        self._check_tensors()

    def _distinct(self, named: Iterable[tuple[str, Tensor]]) -> dict[str, list[Tensor]]:
        """Tensors by their first name; those that are the same memory are one (tied), as in `head.weight = wte.weight`."""
        first: dict[Any, str] = {}
        tensors: dict[str, list[Tensor]] = {}
        for name, tensor in named:
            if isinstance(tensor, nn.parameter.UninitializedTensorMixin) or tensor.is_meta:
                raise ProblemError(f"{name} has no numbers yet: run the network once, or load its weights")
            if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
                raise ProblemError(f"{name} is {_dtype(tensor)}, {tensor.layout}: only dense real tensors are supported")
            key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else id(tensor)
            if key in first:
                self.aliases[name] = first[key]
                if all(tensor is not other for other in tensors[first[key]]):
                    tensors[first[key]].append(tensor)
            else:
                first[key] = name
                tensors[name] = [tensor]
        return tensors

    def _check_tensors(self) -> None:
        ends: list[tuple[int, int, str]] = []
        for name, (tensor, *_) in {**self.parameters, **self.buffers}.items():
            if tensor.is_floating_point() and (tensor.isnan().any() or name in self.parameters and tensor.isinf().any()):
                raise ProblemError(f"{name} has numbers that are not finite: load other weights")
            if name in self.parameters and tensor.numel() and tensor.is_contiguous():
                ends.append((tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes, name))
        for (_, end, name), (start, _, other) in itertools.pairwise(sorted(ends)):
            if start < end:
                raise ProblemError(f"{name} and {other} share some of their numbers: make them separate, or tie them whole")
        if not self.trained():
            raise ProblemError("no parameter has requires_grad, so nothing can be moved: set it for those that were trained")

    def trained(self) -> list[str]:
        return [name for name, tensors in self.parameters.items() if any(t.requires_grad for t in tensors)]

    def describe(self, leaves: Sequence[Tensor]) -> str:
        return ", ".join(f"{name} {_dtype(t)} {list(t.shape)}" for name, t in zip(self.names, leaves))

    def _evaluate(self, leaves: Sequence[Tensor]) -> dict[str, Tensor]:
        """The loss, checked, and the measures beside it."""
        batch = self.samples.batch(leaves)
        result = (self.loss(self.model, **batch) if isinstance(batch, dict) else self.loss(self.model, *_as_tuple(batch)))
        loss, more = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
        number = leaves[0].shape[0]
        if not isinstance(loss, Tensor) or not isinstance(more, Mapping):
            raise ProblemError(f"the loss returns a {type(result).__name__}: return a tensor [N], or (tensor [N], dictionary)")
        _check_loss_shape(loss, number)
        outputs = {"loss": loss, **more}
        for name, value in outputs.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)) or name == "loss" and "loss" in more:
                raise ProblemError(f'a measure is named "{name}": use another name, of small letters, digits and _')
            if not isinstance(value, Tensor) or list(value.shape) != [number]:
                shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise ProblemError(f'the measure "{name}" must be a tensor [{number}], one number a sample; it is {shape}')
        return {name: value if value.dtype == torch.float64 else value.float() for name, value in outputs.items()}

    def eager(self, leaves: Sequence[Tensor]) -> Values:
        """By the model as it is, with its own parameters: a tensor that the loss holds elsewhere shows as a difference."""
        saved = [(t, t.clone()) for tensors in self.buffers.values() for t in tensors]
        try:
            outputs = self._evaluate([t.clone() for t in leaves])
            gradients = _gradients(outputs, [[t for t in self.parameters[name] if t.requires_grad]
                                             for name in self.trained()])
            buffers = [tensors[0].clone() for tensors in self.buffers.values()]
        finally:
            for tensor, value in saved:
                tensor.data.copy_(value)
        return Values({name: value.detach() for name, value in outputs.items()}, gradients, buffers)

    def moved(self) -> contextlib.AbstractContextManager[None]:
        """The parameters that train, moved by a small random step, in place; restored to the bit."""
        @contextlib.contextmanager
        def context() -> Iterator[None]:
            generator = torch.Generator().manual_seed(1)
            saved = [(t, t.detach().clone()) for name in self.trained() for t in self.parameters[name][:1]]
            try:
                with torch.no_grad():
                    for tensor, value in saved:
                        noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
                        tensor.data.add_((0.05 * (value.float().abs().mean() + 1e-3) * noise).to(value.dtype))
                yield
            finally:
                for tensor, value in saved:
                    tensor.data.copy_(value)
        return context()

    def arguments(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """What the graph takes: copies of parameters and buffers as they are now, then the batch."""
        tensors = [t[0] for t in (*self.parameters.values(), *self.buffers.values())]
        return [t.detach().clone(memory_format=torch.contiguous_format) for t in (*tensors, *leaves)]

    def function(self) -> Callable[..., tuple[Tensor, ...]]:
        """f(parameters..., buffers..., batch...) -> outputs, without a state of its own."""
        class Caller(nn.Module):
            def __init__(caller) -> None:
                super().__init__()
                caller.model = self.model

            def forward(caller, *leaves: Tensor) -> tuple[Tensor, ...]:
                outputs = self._evaluate(leaves)
                return tuple(outputs[name] for name in self.outputs)

        caller, names = Caller(), [*self.parameters, *self.buffers]

        def call(*tensors: Tensor) -> tuple[Tensor, ...]:
            values = dict(zip(names, tensors))
            values |= {alias: values[name] for alias, name in self.aliases.items()}
            values = {f"model.{name}": value for name, value in values.items()}
            return torch.func.functional_call(caller, values, tuple(tensors[len(names):]))

        return call

    def graph(self, program: torch.export.ExportedProgram, leaves: Sequence[Tensor]) -> Values:
        """What the exported graph gives for the parameters as they are now."""
        arguments = self.arguments(leaves)
        names = set(self.trained())
        trained = [i for i, name in enumerate(self.parameters) if name in names]
        for i in trained:
            arguments[i].requires_grad_()
        outputs = dict(zip(self.outputs, program.module()(*arguments)))
        gradients = _gradients(outputs, [[arguments[i]] for i in trained])
        buffers = arguments[len(self.parameters):len(self.parameters) + len(self.buffers)]
        return Values({name: value.detach() for name, value in outputs.items()}, gradients, buffers)


def _check_loss_shape(loss: Tensor, number: int) -> None:
    shape = list(loss.shape)
    if shape == [number]:
        return
    if loss.numel() == 1:
        raise ProblemError("the loss is one number for the whole batch; one for each sample is needed: write reduction=\"none\", "
                           "as in F.cross_entropy(model(x), y, reduction=\"none\"), and no .mean() over the samples")
    if shape[:1] == [number]:
        raise ProblemError(f"the loss has the shape {shape}, [{number}] is needed: write loss.flatten(1).mean(1)")
    if len(shape) == 1 and shape[0] % number == 0:
        raise ProblemError(f"the loss has {shape[0]} numbers for {number} samples: write loss.reshape(x.shape[0], -1).mean(1), "
                           "and return ([N], {\"weight\": tokens of each sample}) if they differ in length")
    raise ProblemError(f"the loss has the shape {shape} for {number} samples, [{number}] is needed: one number for each sample")


def _gradients(outputs: Mapping[str, Tensor], tensors: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Of the weighted mean loss; tensors that are tied add up. Zero where the loss does not depend on a tensor."""
    loss, weight = outputs["loss"], outputs.get("weight")
    mean = loss.mean() if weight is None else (loss * weight).sum() / weight.sum().clamp(min=1e-30)
    flat = [t for group in tensors for t in group]
    if not mean.requires_grad:
        raise ProblemError("the loss does not depend on any parameter with requires_grad: "
                           "compute it from model(...), without torch.no_grad() or .detach()")
    found = iter(torch.autograd.grad(mean, flat, allow_unused=True))
    sums = []
    for group in tensors:
        parts = [g.detach() for g in itertools.islice(found, len(group)) if g is not None]
        sums.append(sum(parts[1:], parts[0]) if parts else torch.zeros_like(group[0]).detach())
    return sums


@contextlib.contextmanager
def _prepared(model: nn.Module) -> Iterator[None]:
    """The network on the CPU in eval mode; modes, devices, buffers and the random state are restored after."""
    modes = [(module, module.training) for module in model.modules()]
    data = [(p, p.data) for p in model.parameters()]
    buffers = [(m, name, b, b.clone()) for m in model.modules() for name, b in m._buffers.items() if b is not None]
    on_cpu = all(t.device.type == "cpu" for t in (*(p for p, _ in data), *(b for _, _, b, _ in buffers)))
    try:
        model.eval()
        if not on_cpu:
            model.cpu()
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            yield
    finally:
        for module, training in modes:
            module.training = training
        if not on_cpu:
            for parameter, value in data:
                parameter.data = value
            for module, name, buffer, _ in buffers:
                module._buffers[name] = buffer
        for _, _, buffer, value in buffers:
            if not torch.equal(buffer, value):
                buffer.data.copy_(value)


def _batch_norms(model: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """Those that keep statistics."""
    return {name: module for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None}


HEADS = ("num_heads", "n_head", "num_attention_heads", "n_heads", "nhead")
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads")
ROLES = {  # by the last word of the module's name
    "query": {"q", "q_proj", "query", "wq", "to_q", "q_lin", "q_proj_weight"},
    "key": {"k", "k_proj", "key", "wk", "to_k", "k_lin", "k_proj_weight"},
    "value": {"v", "v_proj", "value", "wv", "to_v", "v_lin", "v_proj_weight"},
    "fused": {"qkv", "c_attn", "in_proj", "in_proj_weight", "query_key_value", "wqkv", "to_qkv", "qkv_proj", "attn_qkv"},
    "output": {"out_proj", "o_proj", "c_proj", "proj", "wo", "to_out", "out_lin", "dense", "o", "out"},
}


def _slices(model: nn.Module, name: str, tensor: Tensor) -> dict[str, Any]:
    """The module that owns a parameter, and what filter and head normalization take as one slice of it."""
    path, _, entry = name.rpartition(".")
    path = path.split(".parametrizations")[0]
    owner = model.get_submodule(path)
    matrix = tensor.dim() >= 2
    transposed = (isinstance(owner, nn.modules.conv._ConvTransposeNd)
                  or type(owner).__name__ == "Conv1D" and hasattr(owner, "nf"))  # Hugging Face's: [in, out]
    axis = None if not matrix else 1 if transposed else 0
    head = _head(model, path, entry, tensor, axis) if tensor.dim() == 2 else None
    return {"module": path, "class": type(owner).__qualname__, "slice_axis": axis, "head": head}


def _head(model: nn.Module, path: str, entry: str, tensor: Tensor, axis: int | None) -> dict[str, int] | str | None:
    """{"axis", "size"}: each `size` rows of that axis belong to one head. None if the matrix is not one of attention;
    "unknown" if it is, and no module says how many heads there are."""
    words = path.split(".") if path else []
    names = {entry.lower(), *[word.lower() for word in reversed(words) if not word.isdigit()][:1]}
    role = next((role for role, known in ROLES.items() if names & known), None)
    inside = False
    for depth in range(len(words), max(-1, len(words) - 3), -1):  # the owner, its parent, and that one's
        module = model.get_submodule(".".join(words[:depth]))
        inside = inside or _is_attention(module)
        heads = _heads(module) if inside and role else None
        if heads is None:
            continue
        if role in ("key", "value"):
            heads = _number(module, KEY_VALUE_HEADS) or heads
        along = 1 - axis if role == "output" else axis
        size = tensor.shape[1 - along if role == "fused" else along] // heads
        return {"axis": along, "size": size} if size and tensor.shape[along] % size == 0 else "unknown"
    return "unknown" if inside and role else None


def _is_attention(module: nn.Module) -> bool:
    children = {name.lower() for name, _ in module.named_children()}
    return re.search("attention|attn", type(module).__name__.lower()) is not None or bool(
        children & (ROLES["query"] | ROLES["fused"]))


def _heads(module: nn.Module) -> int | None:
    found = (_number(near, HEADS) for near in (module, *module.children()))
    return next((heads for heads in found if heads), None)


def _number(module: nn.Module, names: Iterable[str]) -> int | None:
    """From the module, or from the configuration that it holds (transformers)."""
    values = (getattr(holder, name, None) for holder in (module, getattr(module, "config", None)) for name in names)
    return next((value for value in values if type(value) is int and value > 0), None)


# ---------------------------------------------------------------------------------------------------------- graphs


@dataclass
class Graph:
    """An exported graph that was saved, read back and compared with eager."""
    way: str
    text: bytes  # torch.export's model.json without its metadata
    constants: dict[str, Tensor]
    errors: dict[str, float]
    fixed: bool = False


WAYS = (  # name, traced by make_fx first, batch of one size
    ("torch.export", None, False),
    ("make_fx (symbolic), torch.export", "symbolic", False),
    ("torch.export, fixed batch", None, True),
    ("make_fx (real), torch.export, fixed batch", "real", True),
)


def _export_graph(problem: Problem, example: list[Tensor], fixed_example: list[Tensor], kinds: Sequence[bool]) -> Graph:
    """The first way that gives a graph which agrees with eager; `kinds` are the values of `fixed` to try."""
    failures = []
    for way, tracing, fixed in WAYS:
        if fixed not in kinds:
            continue
        leaves = fixed_example if fixed else example
        try:
            program = _trace(problem, leaves, tracing, fixed)
            text, constants, program = _read_back(program)
            other = [t.flip(0) if fixed else t[:t.shape[0] // 2] for t in leaves]
            return Graph(way, text, constants, _compare(problem, program, leaves, other), fixed)
        except ProblemError as error:
            failures.append(f"{way}: {error}")
        except Exception as error:  # torch.export raises many kinds
            failures.append(f"{way}: {type(error).__name__}: {_first_line(error)}")
    raise ProblemError("no way of exporting gives the values and gradients of the network.\n  " + "\n  ".join(failures) + "\n"
                       "  Usual causes: branches on data (use torch.where), pack_padded_sequence (pad, and give weights), "
                       "numpy or .item() within the loss, random numbers, .detach() within a loss with derivatives.")


def _trace(problem: Problem, leaves: list[Tensor], tracing: str | None, fixed: bool) -> torch.export.ExportedProgram:
    class Flat(nn.Module):
        def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
            return call(*tensors)

    call, arguments = problem.function(), problem.arguments(leaves)
    batch = None if fixed else {0: torch.export.Dim("N", min=2)}
    shapes: tuple = tuple(None if i < len(arguments) - len(leaves) else batch for i in range(len(arguments)))
    if tracing is None:
        return torch.export.export(Flat(), tuple(arguments), strict=False, dynamic_shapes=None if fixed else (shapes,))
    traced = make_fx(call, tracing_mode=tracing, _allow_non_fake_inputs=True)(*problem.arguments(leaves))
    _drop_detached(traced)
    return torch.export.export(traced, tuple(arguments), strict=False, dynamic_shapes=None if fixed else shapes)


def _drop_detached(traced: torch.fx.GraphModule) -> None:
    """make_fx detaches what is saved for a derivative: values stay right, further derivatives become wrong."""
    aten, prims = torch.ops.aten, torch.ops.prims
    for node in list(traced.graph.nodes):
        if node.target in (aten.detach.default, aten.alias.default, aten.detach_.default):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
        elif node.target is prims.add.default:
            node.target = aten.add.Tensor
    traced.graph.eliminate_dead_code()
    for name in list(traced._buffers):  # constants that were met on the way: as plain attributes they stay constants
        value = traced._buffers.pop(name)
        setattr(traced, name, value)
    traced.recompile()


def _read_back(program: torch.export.ExportedProgram) -> tuple[bytes, dict[str, Tensor], torch.export.ExportedProgram]:
    """What is stored of a program, and the program that it gives when it is read."""
    program._example_inputs = None
    saved, stored = io.BytesIO(), io.BytesIO()
    torch.export.save(program, saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(stored, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("models/model.json"):
                document = json.loads(content)
                _strip(document)
                content = text = json.dumps(document, separators=(",", ":")).encode()
            target.writestr(name, content)
    for node in re.findall(rb'"target":"(torch\.ops\.[^"]+)"', text):
        if not re.match(rb"torch\.ops\.(aten\.|higher_order\.wrap_with_)", node):
            raise ProblemError(f"the operator {node.decode()} is not one of PyTorch's own (aten): replace it")
    if program.state_dict:
        raise ProblemError(f"the loss has parameters that the model does not own ({', '.join(program.state_dict)}): "
                           "make them parameters of the model")
    stored.seek(0)
    constants = {}
    for name, value in program.constants.items():
        if not isinstance(value, Tensor):
            raise ProblemError(f"the graph holds {name}, a {type(value).__name__}: only tensors can be stored")
        constants[name] = value.detach().cpu()
    return text, constants, torch.export.load(stored)


def _strip(document: Any) -> None:
    """Removes source lines, paths and module names from every node."""
    if isinstance(document, dict):
        if "target" in document and "metadata" in document:
            document["metadata"] = {}
        document = list(document.values())
    if isinstance(document, list):
        for value in document:
            _strip(value)


def _compare(problem: Problem, program: torch.export.ExportedProgram, leaves: list[Tensor],
             other: list[Tensor]) -> dict[str, float]:
    """Largest relative errors against eager; throws if one is too large."""
    values = problem.eager(leaves), problem.graph(program, leaves)
    with problem.moved():
        moved = problem.eager(leaves), problem.graph(program, leaves)
    smaller = problem.eager(other), problem.graph(program, other)
    errors = {"value": _value_error(*values), "moved": _value_error(*moved),
              "gradient": max(_gradient_error(*values), _gradient_error(*moved)), "batch": _value_error(*smaller)}
    what = {"value": "values", "moved": "values after a step of the parameters (is a tensor held outside the model?)",
            "gradient": "gradients", "batch": "values at another batch"}
    floats = [t[0].dtype for t in problem.parameters.values() if t[0].is_floating_point()]
    value_limit, gradient_limit = max((TOLERANCE[dtype] for dtype in floats), default=TOLERANCE[torch.float32])
    for check, error in errors.items():
        if not error <= (gradient_limit if check == "gradient" else value_limit):
            raise ProblemError(f"{what[check]} differ from eager by {error:.1e}")
    return errors


def _value_error(eager: Values, graph: Values) -> float:
    pairs = [(a, graph.outputs[name]) for name, a in eager.outputs.items()] + list(zip(eager.buffers, graph.buffers))
    return max(_distance(a, b, math.inf) / (_size(a, math.inf) or 1.0) for a, b in pairs)


def _gradient_error(eager: Values, graph: Values) -> float:
    """Of each parameter by itself, but relative to no less than 1e-4 of the whole gradient."""
    whole = math.hypot(*(_size(g, 2) for g in eager.gradients))
    return max(_distance(a, b, 2) / (max(_size(a, 2), 1e-4 * whole) or 1.0) for a, b in zip(eager.gradients, graph.gradients))


def _size(tensor: Tensor, order: float) -> float:
    finite = tensor.double().nan_to_num(posinf=0.0, neginf=0.0).flatten()
    return float(torch.linalg.vector_norm(finite, order)) if tensor.numel() else 0.0


def _distance(a: Tensor, b: Tensor, order: float) -> float:
    """NaN counts as infinitely far, equal infinities (masks) as 0."""
    if a.shape != b.shape:
        return math.inf
    difference = torch.where(a == b, 0.0, a.double() - b.double())
    return math.inf if difference.isnan().any() else _size(difference, order)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


# ------------------------------------------------------------------------------------------------------------ file


@dataclass
class Member:
    name: str
    size: int
    header: int  # where its local header is
    offset: int  # where its bytes are
    done: int = 0
    crc: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)


class Archive:
    """A zip of stored members whose bytes begin at multiples of ALIGNMENT. Sizes are known beforehand, so several members can
    be written piece by piece side by side. Dates are fixed: equal problems make equal files."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "wb")
        self.members: dict[str, Member] = {}
        self.end = 0

    def reserve(self, name: str, size: int) -> Member:
        head = 30 + len(name.encode()) + len(self._zip64(size)) + 6
        offset = -(-(self.end + head) // ALIGNMENT) * ALIGNMENT
        member = self.members[name] = Member(name, size, self.end, offset)
        self.end = offset + size
        return member

    def append(self, member: Member, content: Any) -> None:
        view = memoryview(content).cast("B")
        self.file.seek(member.offset + member.done)
        self.file.write(view)
        member.done += len(view)
        member.crc = zlib.crc32(view, member.crc)
        member.sha256.update(view)

    def append_tensor(self, member: Member, tensor: Tensor) -> None:
        tensor = tensor.detach().cpu().contiguous()
        if tensor.numel():
            self.append(member, (ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr()))

    def add(self, name: str, content: Tensor | bytes) -> Member:
        if isinstance(content, Tensor):
            member = self.reserve(name, content.numel() * content.element_size())
            self.append_tensor(member, content)
        else:
            member = self.reserve(name, len(content))
            self.append(member, content)
        return member

    @staticmethod
    def _zip64(size: int, header: int = 0) -> bytes:
        """The extra field for what does not fit into 32 bits: both sizes, and in the directory where the header is."""
        numbers = [size] * 2 * (size >= LARGE) + [header] * (header >= LARGE)
        return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""

    def close(self) -> None:
        directory = b""
        for member in self.members.values():
            if member.done != member.size:
                raise RuntimeError(f"{member.name}: {member.done} of {member.size} bytes were written")
            name, size = member.name.encode(), min(member.size, LARGE)

            def fields(extra: bytes) -> bytes:  # UTF-8 names, stored, 1 January 1980
                return struct.pack("<HHHHHIIIHH", 45, 0x800, 0, 0, 0x21, member.crc, size, size, len(name), len(extra))

            extra = self._zip64(member.size)
            padding = member.offset - member.header - 30 - len(name) - len(extra)
            extra += struct.pack("<HHH", 0xD935, padding - 4, ALIGNMENT) + bytes(padding - 6)
            self.file.seek(member.header)
            self.file.write(b"PK\3\4" + fields(extra) + name + extra)
            extra = self._zip64(member.size, member.header)
            directory += (b"PK\1\2" + struct.pack("<H", 45) + fields(extra)
                          + struct.pack("<HHHII", 0, 0, 0, 0, min(member.header, LARGE)) + name + extra)
        number, short = len(self.members), min(len(self.members), 0xFFFF)
        self.file.seek(self.end)
        self.file.write(directory
                        + b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, number, number, len(directory), self.end)
                        + b"PK\6\7" + struct.pack("<IQI", 0, self.end + len(directory), 1)
                        + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, short, short, min(len(directory), LARGE),
                                                  min(self.end, LARGE), 0))
        self.file.close()


def export_problem(model: nn.Module, loss: str | Callable[..., Any], data: Any, path: str | os.PathLike, *, test: Any = None,
                   samples: int | None = None, seed: int = 0, batch_size: int | None = None, label_smoothing: float = 0.0,
                   ignore_index: int = -100, delta: float = 1.0, quiet: bool = False) -> dict[str, Any]:
    """Writes `path`, which `lossatlas surface --problem path` reads. Returns what the file's manifest says.

    model       the network, with its trained weights; it is evaluated in eval mode, and left as it was
    loss        a function loss(model, *batch) -> [N], one loss a sample, or ([N], {"accuracy": [N], "weight": [N], ...});
                or a name: cross-entropy, mse, l1, huber, bce-with-logits, next-token
    data, test  a Dataset, a DataLoader, or tensors whose first dimension is the sample, as in (x, y)
    samples     stores a subset of each split, chosen by `seed`; default: all
    batch_size  for losses that couple the samples of a batch, and graphs of one batch size; default: the data loader's
    label_smoothing, ignore_index (cross-entropy, next-token), delta (huber): as in torch.nn.functional

    Raises ProblemError, whose text says what to do, if the network cannot be exported with its values and gradients.
    """
    path = os.fspath(path)
    if sys.byteorder != "little":
        raise ProblemError("problem files are written on little-endian machines only")
    if not isinstance(model, nn.Module):
        raise ProblemError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise ProblemError(f"{path}: the folder does not exist")
    if any(number is not None and number < 1 for number in (samples, batch_size)):
        raise ProblemError("samples and batch_size must be at least 1")
    if isinstance(loss, str):
        loss = NamedLoss(loss, label_smoothing, ignore_index, delta)
    elif (label_smoothing, ignore_index, delta) != (0.0, -100, 1.0):
        raise ProblemError("label_smoothing, ignore_index and delta belong to losses given by name")
    elif isinstance(loss, nn.modules.loss._Loss) or not callable(loss):
        raise ProblemError("loss must be a name or a function of the network and a batch: write "
                           "loss=lambda model, x, y: F.cross_entropy(model(x), y, reduction=\"none\")")
    while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or hasattr(model, "_orig_mod"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module
    say = (lambda text: None) if quiet else print
    with _prepared(model):
        return _export(model, loss, data, path, test, samples, seed, batch_size, say)


def _export(model: nn.Module, loss: Callable[..., Any], data: Any, path: str, test: Any, samples: int | None, seed: int,
            batch_size: int | None, say: Callable[[str], None]) -> dict[str, Any]:
    splits = {"data": Samples(data, samples, seed)}
    if test is not None:
        splits["test"] = Samples(test, samples, seed)
    source = splits["data"]
    problem = Problem(model, loss, source)
    batch_size = batch_size or source.batch_size
    leaves = source.peek(min(source.count, max(batch_size or 0, 64)))
    for folder, split in splits.items():
        if (split.structure, split.dtypes, split.shapes) != (source.structure, source.dtypes, source.shapes):
            raise ProblemError("test has other entries, dtypes or shapes than data: give both alike")
        size = split.count * sum(t[:1].nbytes for t in leaves)
        of = f" of {split.total}" if split.indices is not None else ""
        say(f"{path}: {folder}: {split.count}{of} samples of {problem.describe([t[0] for t in leaves])}, {size / 1e6:,.1f} MB")

    available = leaves[0].shape[0]
    example = [t[:_example_size(problem, leaves)] for t in leaves]
    coupled = _probe(problem, example)
    if coupled and batch_size is None:
        raise ProblemError("the loss of a sample depends on the others of its batch: give batch_size=N, which defines the loss")
    size = min(batch_size or 64, available)
    kinds = (True,) if coupled or available < 4 else (False, True)
    graph = _export_graph(problem, example, [t[:size] for t in leaves], kinds)
    if coupled:
        for split in splits.values():
            split.cut(size)
    graphs = {"graph.json": graph}
    if norms := _batch_norms(model):
        for module in norms.values():
            module.train()
        try:
            graphs["graph-train.json"] = _export_graph(problem, example, [t[:size] for t in leaves], (graph.fixed,))
        except ProblemError as error:
            say(f"{path}: --bn recalibrate will not be available, as the network in train mode fails: {error}")
        finally:
            for module in norms.values():
                module.eval()
    reference = [t[:size] for t in leaves] if graph.fixed else example
    manifest = {
        "format": FORMAT, "version": VERSION, "torch": torch.__version__, "model": type(model).__qualname__,
        "way": graph.way, "batch": size if graph.fixed else "any", "batch_size": size, "coupled": coupled,
        "graph": "graph.json", "train_graph": "graph-train.json" if len(graphs) > 1 else None,
        "loss": {"name": loss.name, **loss.options} if isinstance(loss, NamedLoss) else {"name": "function"},
        "outputs": problem.outputs, "check": graph.errors, "reference": _reference(problem, reference),
    }
    _write(path, problem, splits, graphs, manifest, seed)
    errors = ", ".join(f"{name} {error:.1g}" for name, error in graph.errors.items())
    batch = f"batches of {size}" if graph.fixed else "batches of any size"
    say(f"{path}: written; exported by {graph.way}, {batch}; largest relative errors: {errors}")
    return manifest


def _example_size(problem: Problem, leaves: Sequence[Tensor]) -> int:
    """Samples to trace with: a number that no dimension has, so that it is not taken for one of them."""
    tensors = [t[0] for t in (*problem.parameters.values(), *problem.buffers.values())]
    taken = {n for t in tensors for n in t.shape} | {n for t in leaves for n in t.shape[1:]}
    available = leaves[0].shape[0]
    return next((n for n in range(11, available + 1) if n not in taken), min(available, 11))


def _probe(problem: Problem, leaves: list[Tensor]) -> bool:
    """Runs the loss by eager, and refuses what no export could mend. True if it couples the samples of a batch."""
    _check_samples(problem, problem.samples, leaves, 0)
    number = leaves[0].shape[0]
    try:
        values = problem.eager(leaves)
    except ProblemError:
        raise
    except Exception as error:
        _check_samples(problem, problem.samples, leaves, 0)  # labels, once the number of classes is known
        raise ProblemError(f"the loss fails on the first {number} samples: {type(error).__name__}: {_first_line(error)}. "
                           f"They are {problem.describe(leaves)}") from error
    problem.outputs = list(values.outputs)
    for name, output in values.outputs.items():
        if not output.isfinite().all():
            raise ProblemError(f"{name} of sample {int((~output.isfinite()).nonzero()[0])} is not finite: check weights and data")
    if (values.outputs.get("weight", torch.zeros(1)) < 0).any():
        raise ProblemError("a weight is negative: weights are numbers of what a sample's loss is the mean of")
    if _value_error(values, problem.eager(leaves)) > 1e-4:
        raise ProblemError("the loss is random, two evaluations differ: use modules (nn.Dropout) that eval() turns off, or draw "
                           "the random numbers beforehand and give them as data")
    half = number // 2
    try:
        parts = problem.eager([t[:half] for t in leaves]), problem.eager([t[half:] for t in leaves])
    except Exception:  # one batch size only; the ways of exporting find out
        return False
    together = {name: torch.cat([part.outputs[name] for part in parts]) for name in values.outputs}
    floats = [t[0].dtype for t in problem.parameters.values() if t[0].is_floating_point()]
    limit = 10 * max((TOLERANCE[dtype][0] for dtype in floats), default=1e-5)
    return _value_error(Values(values.outputs, [], []), Values(together, [], [])) > limit


def _check_samples(problem: Problem, source: Samples, leaves: list[Tensor], at: int) -> None:
    """Refuses NaN, and for losses given by name labels that are out of range."""
    for name, tensor in zip(problem.names, leaves):
        if tensor.is_floating_point() and (nan := tensor.isnan().flatten(1 if tensor.dim() > 1 else 0)).any():
            row = int((nan.any(1) if nan.dim() > 1 else nan).nonzero()[0]) + at
            row = row if source.indices is None else int(source.indices[row])
            raise ProblemError(f"sample {row} has NaN in {name}: remove it, or replace the NaN")
    if isinstance(problem.loss, NamedLoss) and (wrong := problem.loss.check_targets(source.batch(leaves))):
        raise ProblemError(f"samples {at} to {at + leaves[0].shape[0] - 1}: {wrong}")


def _reference(problem: Problem, leaves: list[Tensor]) -> dict[str, Any]:
    """What eager gives for the first samples: each output, and the length of each gradient of the weighted mean loss."""
    values = problem.eager(leaves)
    return {"samples": leaves[0].shape[0], "outputs": {name: output.tolist() for name, output in values.outputs.items()},
            "gradient_norms": dict(zip(problem.trained(), (_size(g, 2) for g in values.gradients)))}


def _write(path: str, problem: Problem, splits: dict[str, Samples], graphs: dict[str, Graph], manifest: dict[str, Any],
           seed: int) -> None:
    temporary = f"{path}.tmp{os.getpid()}"
    archive = Archive(temporary)
    try:
        for name, graph in graphs.items():
            archive.add(name, graph.text)
        manifest |= _write_tensors(archive, problem, graphs)
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


def _entry(name: str, member: str, tensor: Tensor) -> dict[str, Any]:
    return {"name": name, "member": member, "dtype": _dtype(tensor), "shape": list(tensor.shape)}


def _write_tensors(archive: Archive, problem: Problem, graphs: dict[str, Graph]) -> dict[str, Any]:
    model, trained = problem.model, set(problem.trained())
    parameters, buffers, constants = [], [], []
    for i, (name, (tensor, *_)) in enumerate(problem.parameters.items()):
        member = archive.add(f"parameters/{i:04d}", tensor).name
        parameters.append(_entry(name, member, tensor) | {"trained": name in trained} | _slices(model, name, tensor))
    for i, (name, (tensor, *_)) in enumerate(problem.buffers.items()):
        member = archive.add(f"buffers/{i:04d}", tensor).name
        path, _, entry = name.rpartition(".")
        kept = entry not in model.get_submodule(path)._non_persistent_buffers_set
        buffers.append(_entry(name, member, tensor) | {"persistent": kept})
    for name, graph in graphs.items():
        for constant, tensor in graph.constants.items():
            member = archive.add(f"constants/{len(constants):04d}", tensor).name
            constants.append({"graph": name} | _entry(constant, member, tensor))
    norms = [{"module": path, "momentum": module.momentum} | {
        name: problem.aliases.get(f"{path}.{name}".lstrip("."), f"{path}.{name}".lstrip("."))
        for name in ("running_mean", "running_var", "num_batches_tracked")} for path, module in _batch_norms(model).items()]
    return {"parameters": parameters, "buffers": buffers, "aliases": problem.aliases, "constants": constants,
            "batch_norms": norms, "inputs": [{"name": name, "dtype": _dtype(dtype), "shape": shape} for name, dtype, shape in
                                             zip(problem.names, problem.samples.dtypes, problem.samples.shapes)]}


def _write_split(archive: Archive, folder: str, problem: Problem, source: Samples, seed: int) -> dict[str, Any]:
    sizes = [source.count * math.prod(shape) * dtype.itemsize for shape, dtype in zip(source.shapes, source.dtypes)]
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(archive.file.name))).free
    if sum(sizes) > free:
        raise ProblemError(f"the data takes {sum(sizes) / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free: free some, or set samples=N")
    members = [archive.reserve(f"{folder}/{i:04d}", size) for i, size in enumerate(sizes)]
    at = 0
    for leaves in source.batches():
        _check_samples(problem, source, leaves, at)
        at += leaves[0].shape[0]
        for member, tensor in zip(members, leaves):
            archive.append_tensor(member, tensor)
    indices = None if source.indices is None else archive.add(f"{folder}/indices", source.indices).name
    return {"samples": source.count, "of": source.total, "members": [member.name for member in members], "indices": indices,
            "seed": None if indices is None else seed}
