"""Samples of data sets, data loaders and tensors, read once in a fixed order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, cast

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.utils.data import (BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler,
                              Subset)

from .error import ProblemError

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16,
          torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)
BATCH = 64  # samples that are read at once from a data set without a loader


class Samples:
    """A split: `count` samples, of `total` (None if unknown), in the order of the data set.

    `rows` [count] are their indices in the data set, None if they are its first. `batch_size` is the data loader's, or
    None. `structure` makes the arguments of the loss from the tensors of a batch, whose dimensions without the first
    are `shapes`.
    """

    def __init__(self, data: Any, wanted: int | None, seed: int) -> None:
        self.total: int | None = None
        self.count = 0
        self.rows: Tensor | None = None
        self.batch_size: int | None = data.batch_size if isinstance(data, DataLoader) else None
        batches = self._open(data, wanted, seed)
        first = next(batches, None)
        if first is None or self.count < 1:
            raise ProblemError("the data set is empty: give at least one sample")
        self._batches = itertools.chain([first], batches)
        leaves, self.structure = pytree.tree_flatten(first)
        self.names = self._names()
        self._check_kinds(leaves)
        self.shapes = [list(t.shape[1:]) for t in leaves]
        self.dtypes = [t.dtype for t in leaves]

    def batches(self) -> Iterator[list[Tensor]]:
        """Tensors [n, ...] on the CPU, `count` samples in all. Can be read once."""
        done = 0
        for batch in self._batches:
            leaves = [t[:self.count - done] for t in self._leaves(batch, done)]
            done += leaves[0].shape[0]
            yield leaves
            if done == self.count:
                return
        raise ProblemError(f"the data ended after {done} of {self.count} samples: give samples={done}")

    def peek(self, number: int) -> list[Tensor]:
        """The first samples, as many as there are up to `number`; batches() reads them again."""
        held: list[Any] = []
        parts: list[list[Tensor]] = []
        while sum(part[0].shape[0] for part in parts) < number and (batch := next(self._batches, None)) is not None:
            held.append(batch)
            parts.append(self._leaves(batch, 0))
        self._batches = itertools.chain(held, self._batches)
        return [torch.cat(column)[:number] for column in zip(*parts)]

    def cut(self, size: int) -> None:
        """Leaves out the samples at the end that do not fill a batch."""
        if self.count < size:
            raise ProblemError(f"a split has {self.count} samples, a batch {size}: give a smaller batch_size")
        self.count -= self.count % size
        self.rows = None if self.rows is None else self.rows[:self.count]

    def batch(self, leaves: Sequence[Any]) -> Any:
        return pytree.tree_unflatten(list(leaves), self.structure)

    def _open(self, data: Any, wanted: int | None, seed: int) -> Iterator[Any]:
        columns = columns_of(data)
        if columns is not None:
            leaves, structure = pytree.tree_flatten(columns)
            rows = self._choose(range(leaves[0].shape[0]), wanted, seed)
            step = max(1, (1 << 24) // max(1, sum(t[:1].nbytes for t in leaves)))
            return (pytree.tree_unflatten([t[torch.tensor(rows[i:i + step])] for t in leaves], structure)
                    for i in range(0, len(rows), step))
        loader = data if isinstance(data, DataLoader) else None
        dataset = data if loader is None else loader.dataset
        generator = torch.Generator().manual_seed(seed)
        if isinstance(dataset, IterableDataset) or loader is not None and loader.batch_sampler is None:
            if wanted is None:
                raise ProblemError("the data can only be read from its start: give samples=N, the number to take")
            self.count = wanted
            return read(DataLoader(dataset, batch_size=BATCH, generator=generator) if loader is None else loader)
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")) or isinstance(dataset, str):
            raise ProblemError(f"data is a {type(data).__name__}: give a Dataset, a DataLoader, or tensors, as (x, y)")
        if loader is None:
            rows = self._choose(range(len(cast(Sized, dataset))), wanted, seed)
            return read(DataLoader(Subset(dataset, rows), batch_size=BATCH, generator=generator))
        rows = self._choose(rows_of(loader), wanted, seed)
        return read(DataLoader(Subset(dataset, rows), batch_size=loader.batch_size or BATCH, generator=generator,
                               collate_fn=loader.collate_fn, num_workers=loader.num_workers))

    def _choose(self, rows: Sequence[int], wanted: int | None, seed: int) -> Sequence[int]:
        self.total = len(rows)
        if wanted is not None and wanted < len(rows):
            chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:wanted]
            rows = [rows[i] for i in chosen.sort().values.tolist()]
        self.count = len(rows)
        self.rows = None if isinstance(rows, range) else torch.tensor(rows, dtype=torch.int64)
        return rows

    def _names(self) -> list[str]:
        numbered = pytree.tree_unflatten(list(range(self.structure.num_leaves)), self.structure)
        paths, _ = pytree.tree_flatten_with_path(numbered)
        return [re.sub(r"\W+", "_", pytree.keystr(path)).strip("_") or "0" for path, _ in paths]

    def _check_kinds(self, leaves: Sequence[Any]) -> None:
        for name, leaf in zip(self.names, leaves):
            if not isinstance(leaf, Tensor):
                raise ProblemError(f'"{name}" of the data is a {type(leaf).__name__}, not a tensor: '
                                   "leave it out in the collate function")
            if leaf.dim() == 0 or leaf.shape[0] != leaves[0].shape[0]:
                raise ProblemError(f'"{name}" of the data has the shape {list(leaf.shape)}, the first tensor has '
                                   f"{leaves[0].shape[0]} samples: make the first dimension the sample")
            if leaf.dtype not in DTYPES:
                raise ProblemError(f'"{name}" of the data is {leaf.dtype}: convert it (complex: torch.view_as_real)')

    def _leaves(self, batch: Any, at: int) -> list[Tensor]:
        leaves, structure = pytree.tree_flatten(batch)
        if structure != self.structure:
            raise ProblemError(f"the samples from {at} on have other entries than the first: give all samples the same entries")
        self._check_kinds(leaves)
        if [list(t.shape[1:]) for t in leaves] != self.shapes:
            raise unequal()
        if [t.dtype for t in leaves] != self.dtypes:
            raise ProblemError(f"the samples from {at} on have other dtypes than the first: convert all to the same")
        return [t.detach().cpu() for t in leaves]


def columns_of(data: Any) -> Any:
    """Tensors or arrays, one, a tuple, a list or a dictionary of them, if that is what data is; else None."""
    def column(value: Any) -> Any:
        return value if isinstance(value, Tensor) else torch.as_tensor(value.__array__()) if hasattr(
            value, "__array__") else None

    if isinstance(data, (Dataset, DataLoader)) or isinstance(data, list) and len(data) > 16:
        return None
    if isinstance(data, Tensor) or hasattr(data, "__array__"):
        return column(data)
    if not isinstance(data, (tuple, list, dict)):
        return None
    columns = {key: column(value) for key, value in (data.items() if isinstance(data, dict) else enumerate(data))}
    if not columns or any(t is None or t.dim() == 0 for t in columns.values()):
        return None
    if len(numbers := {t.shape[0] for t in columns.values()}) > 1:
        raise ProblemError(f"the tensors of data have {sorted(numbers)} samples: make their first dimensions equal")
    return columns if isinstance(data, dict) else tuple(columns.values())


def rows_of(loader: DataLoader[Any]) -> Sequence[int]:
    """What a data loader draws from, in the order of the data set."""
    if type(loader.batch_sampler) is not BatchSampler:
        return sorted(itertools.chain.from_iterable(cast(Any, loader.batch_sampler)))
    if isinstance(loader.sampler, (SequentialSampler, RandomSampler)):
        return range(len(cast(Sized, loader.dataset)))
    return sorted(loader.sampler)


def read(loader: DataLoader[Any]) -> Iterator[Any]:
    """Its batches; lists are tuples, and what is like a dictionary is one."""
    try:
        for batch in loader:
            yield dict(batch) if isinstance(batch, Mapping) else tuple(batch) if type(batch) is list else batch
    except RuntimeError as error:
        if "equal size" not in str(error):
            raise
        raise unequal() from error


def unequal() -> ProblemError:
    return ProblemError("the samples have tensors of different shapes: pad them to one shape in the collate function, "
                        "DataLoader(..., collate_fn=...), and give what is padded the weight 0")
