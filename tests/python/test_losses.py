"""Losses by name: their weighted means are those of torch.nn.functional over all that counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossatlas import ProblemError
from lossatlas.losses import NamedLoss


def weighted(result: tuple[Tensor, dict[str, Tensor]], name: str | None = None) -> Tensor:
    loss, more = result
    weight = more.get("weight", torch.ones_like(loss))
    return ((loss if name is None else more[name]) * weight).sum() / weight.sum()


def identity(x: Tensor) -> Tensor:
    return x


def test_cross_entropy() -> None:
    logits, labels = torch.randn(7, 5), torch.randint(0, 5, (7,))
    labels[2] = 255
    result = NamedLoss("cross-entropy", label_smoothing=0.2, ignore_index=255)(identity, logits, labels)
    torch.testing.assert_close(weighted(result), F.cross_entropy(logits, labels, label_smoothing=0.2, ignore_index=255))
    right = (logits.argmax(1) == labels).float().sum() / 6
    torch.testing.assert_close(weighted(result, "accuracy"), right)
    assert result[1]["weight"].tolist() == [1, 1, 0, 1, 1, 1, 1]


def test_cross_entropy_of_pixels() -> None:
    logits, labels = torch.randn(4, 3, 6, 5), torch.randint(0, 3, (4, 6, 5), dtype=torch.uint8)
    labels[0] = 9
    labels[1, :3] = 9
    for output in (logits, {"out": logits}, SimpleNamespace(logits=logits)):
        result = NamedLoss("cross-entropy", ignore_index=9)(lambda x: output, logits, labels)
        torch.testing.assert_close(weighted(result), F.cross_entropy(logits, labels.long(), ignore_index=9))
        assert result[1]["weight"].tolist() == [0, 15, 30, 30]
        assert result[0][0] == 0


def test_next_token_of_tokens_pairs_and_dictionaries() -> None:
    tokens, table = torch.randint(0, 9, (5, 8)), torch.randn(9, 9)
    mask = (torch.arange(8) < torch.tensor([8, 5, 3, 8, 2])[:, None]).long()
    labels = tokens.masked_fill(mask == 0, -100)
    logits = table[tokens]
    every = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:])
    counted = F.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:])
    loss = NamedLoss("next-token")

    def model(input_ids: Tensor, **rest: Any) -> Tensor:
        return table[input_ids]

    torch.testing.assert_close(weighted(loss(model, tokens)), every)
    torch.testing.assert_close(weighted(loss(model, tokens[:, :-1], tokens[:, 1:])), every)
    torch.testing.assert_close(weighted(loss(model, input_ids=tokens, attention_mask=mask)), counted)
    torch.testing.assert_close(weighted(loss(model, input_ids=tokens, labels=labels)), counted)
    assert loss(model, input_ids=tokens, attention_mask=mask)[1]["weight"].tolist() == [7, 4, 2, 7, 1]


@pytest.mark.parametrize("name, function", [("mse", F.mse_loss), ("l1", F.l1_loss), ("huber", F.huber_loss)])
def test_elementwise(name: str, function: Any) -> None:
    x, y = torch.randn(6, 4), torch.randn(6, 4) * 3
    torch.testing.assert_close(weighted(NamedLoss(name)(identity, x, y)), function(x, y))
    torch.testing.assert_close(weighted(NamedLoss(name)(identity, x[:, :1], y[:, 0])), function(x[:, 0], y[:, 0]))
    torch.testing.assert_close(weighted(NamedLoss(name)(lambda z: z * 2, x)), function(x * 2, x))
    torch.testing.assert_close(weighted(NamedLoss("huber", delta=0.5)(identity, x, y)), F.huber_loss(x, y, delta=0.5))


def test_binary_cross_entropy() -> None:
    x, y = torch.randn(6, 4), torch.randint(0, 2, (6, 4))
    result = NamedLoss("bce-with-logits")(identity, x, y)
    torch.testing.assert_close(weighted(result), F.binary_cross_entropy_with_logits(x, y.float()))
    torch.testing.assert_close(weighted(result, "accuracy"), ((x > 0) == (y == 1)).float().mean())


@pytest.mark.parametrize("name, batch, message", [
    ("mse", (torch.zeros(4, 1), torch.zeros(1, 4)), r"the shape \[1, 4\], the network's output needs \[4, 1\]"),
    ("mse", (torch.zeros(4, 2), torch.zeros(4)), r"target has the shape \[4\]"),
    ("cross-entropy", (torch.zeros(4),) * 2, r"needs logits \[N, C, ...\]; the network returns \[4\]"),
    ("next-token", (torch.zeros(4, 3),), r"needs logits \[N, T, V\]"),
    ("cross-entropy", (torch.zeros(4, 3),), "finds no target"),
])
def test_shapes_that_do_not_fit(name: str, batch: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        NamedLoss(name)(identity, *batch)


@pytest.mark.parametrize("arguments, message", [
    (("crossentropy",), 'there is no loss "crossentropy": use cross-entropy, mse,'),
    (("mse", 0.1), "leave out label_smoothing and ignore_index: mse has neither"),
    (("l1", 0.0, -100, 2.0), "leave out delta: l1 has none"),
])
def test_options_that_do_not_fit(arguments: tuple, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        NamedLoss(*arguments)
