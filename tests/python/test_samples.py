"""Data sets, data loaders and tensors give the same samples in the order of the data set."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from lossatlas import ProblemError
from lossatlas.samples import Samples

X = torch.arange(100, dtype=torch.uint8).reshape(50, 2)
Y = torch.arange(50)


class Pairs(Dataset):
    """Samples as torchvision gives them: an array, and a number of Python."""

    def __len__(self) -> int:
        return 50

    def __getitem__(self, i: int) -> tuple[Any, int]:
        return X[i].numpy(), int(Y[i])


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return iter(Pairs()[i] for i in range(50))


def read(samples: Samples) -> list[Tensor]:
    return [torch.cat(column) for column in zip(*samples.batches())]


@pytest.mark.parametrize("data", [
    (X, Y), [X, Y], (X.numpy(), Y.numpy()), TensorDataset(X, Y), Pairs(), list(Pairs()),
    DataLoader(Pairs(), batch_size=7), DataLoader(Pairs(), batch_size=7, shuffle=True, drop_last=True),
    DataLoader(TensorDataset(X, Y), batch_size=50),
    {"x": X, "y": Y}, DataLoader([OrderedDict(x=x, y=y) for x, y in Pairs()], batch_size=8),
], ids=lambda data: type(data).__name__)
def test_same_samples(data: Any) -> None:
    samples = Samples(data, None, 0)
    assert (samples.count, samples.total, samples.rows) == (50, 50, None)
    peeked = samples.peek(13)
    assert torch.equal(peeked[0], X[:13]) and torch.equal(peeked[1], Y[:13])
    x, y = read(samples)
    assert torch.equal(x, X) and torch.equal(y, Y) and x.dtype == torch.uint8  # bytes stay bytes


def test_subset_is_chosen_by_the_seed() -> None:
    chosen = [read(Samples(data, 20, seed))[1].tolist()
              for data, seed in (((X, Y), 0), (Pairs(), 0), (DataLoader(Pairs(), batch_size=3), 0), ((X, Y), 1))]
    assert chosen[0] == chosen[1] == chosen[2] != chosen[3]
    assert len(set(chosen[0])) == 20 and chosen[0] == sorted(chosen[0])
    samples = Samples((X, Y), 20, 0)
    assert samples.rows.tolist() == chosen[0] and samples.total == 50


def test_samplers_of_subsets_are_kept() -> None:
    loader = DataLoader(Pairs(), batch_size=4, sampler=SubsetRandomSampler([30, 3, 44, 9]))
    samples = Samples(loader, None, 0)
    assert samples.rows.tolist() == [3, 9, 30, 44] == read(samples)[1].tolist()


def test_streams_need_a_number() -> None:
    with pytest.raises(ProblemError, match="give samples=N, the number to take"):
        Samples(Stream(), None, 0)
    assert read(Samples(Stream(), 21, 0))[1].tolist() == list(range(21))
    with pytest.raises(ProblemError, match="ended after 50 of 60 samples: give samples=50"):
        read(Samples(DataLoader(Stream(), batch_size=8), 60, 0))


def pad(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.zeros(len(rows))


LENGTHS = [torch.zeros(n) for n in range(1, 30)]


@pytest.mark.parametrize("data, message", [
    (LENGTHS, "pad them to one shape in the collate function"),
    (DataLoader(LENGTHS, batch_size=4, collate_fn=pad), "pad them to one shape"),  # each batch has its own length
    ((X, Y[:40]), r"have \[40, 50\] samples: make their first dimensions equal"),
    ([("a", 1)] * 20, '"0" of the data is a tuple|is a str, not a tensor'),
    ((X.to(torch.complex64), Y), r'"0" of the data is torch.complex64: convert it'),
    ("cifar10", "data is a str: give a Dataset"),
    (X[:0], "the data set is empty"),
    (iter([X]), "data is a list_iterator"),
])
def test_data_that_cannot_be_stored(data: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        read(Samples(data, None, 0))


def test_large_data_is_read_in_parts() -> None:
    parts = list(Samples((torch.zeros(20, 1 << 20), torch.zeros(20)), None, 0).batches())
    assert [part[0].shape[0] for part in parts] == [3, 3, 3, 3, 3, 3, 2]  # 16 MiB at a time
    assert numpy.prod(parts[0][0].shape) * 4 <= 1 << 24
