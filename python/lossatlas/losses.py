"""Losses that are given by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .error import ProblemError

LOSSES = ("cross-entropy", "mse", "l1", "huber", "bce-with-logits", "next-token")
TARGETS = ("labels", "label", "targets", "target")  # in samples that are dictionaries
ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss, "bce-with-logits": F.binary_cross_entropy_with_logits}


class NamedLoss:
    """A loss of LOSSES as a function (model, *batch) -> ([N], measures). The last tensor of a batch is the target."""

    def __init__(self, name: str, label_smoothing: float = 0.0, ignore_index: int = -100, delta: float = 1.0) -> None:
        if name not in LOSSES:
            raise ProblemError(f'there is no loss "{name}": use {", ".join(LOSSES)}, or a function loss(model, *batch)')
        self.name = name
        self.options: dict[str, Any] = {}
        if name not in ELEMENTWISE:
            self.options = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
        elif (label_smoothing, ignore_index) != (0.0, -100):
            raise ProblemError(f"leave out label_smoothing and ignore_index: {name} has neither")
        if name == "huber":
            self.options = {"delta": delta}
        elif delta != 1.0:
            raise ProblemError(f"leave out delta: {name} has none")
        self.classes: int | None = None  # known once the network has run

    def __call__(self, model: nn.Module, *batch: Any, **entries: Any) -> tuple[Tensor, dict[str, Tensor]]:
        inputs, entries, target = self.split(batch, entries)
        output = output_tensor(model(*inputs, **entries))
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
        return self.cross_entropy(output, like(target, [output.shape[0], *output.shape[2:]]).long())

    def split(self, batch: Sequence[Any], entries: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Tensor]:
        """What the network takes, by position and by name, and the target."""
        entries, next_token = dict(entries), self.name == "next-token"
        key = next((key for key in TARGETS if key in entries), None)
        if key is not None:
            target = entries.pop(key)
            return tuple(batch), entries, self.shifted(target, entries) if next_token else target
        if len(batch) > 1:
            return tuple(batch[:-1]), entries, batch[-1]
        if next_token and (batch or "input_ids" in entries):
            return tuple(batch), entries, self.shifted(batch[0] if batch else entries["input_ids"], entries)
        if batch and self.name in ELEMENTWISE:
            return tuple(batch), entries, batch[0]  # an autoencoder
        raise ProblemError(f'{self.name} finds no target: give samples (input, target), or dictionaries with "labels"')

    def target_of(self, samples: Any) -> Any:
        """What of a batch holds the labels; None if the inputs do."""
        entries, args = (samples, ()) if isinstance(samples, dict) else ({}, as_tuple(samples))
        key = next((key for key in TARGETS if key in entries), None)
        return entries[key] if key is not None else args[-1] if len(args) > 1 else None

    def shifted(self, tokens: Tensor, entries: Mapping[str, Any]) -> Tensor:
        """The token after each one; padding, which the attention mask shows, does not count."""
        target = tokens[:, 1:]
        if "attention_mask" in entries:
            target = target.masked_fill(entries["attention_mask"][:, 1:] == 0, self.options["ignore_index"])
        return target

    def cross_entropy(self, logits: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """logits [N, C, ...], target [N, ...]: the mean over what is not ignored, and the number of these as weight."""
        counted = target != self.options["ignore_index"]
        each = F.cross_entropy(logits, target, reduction="none", **self.options)
        right = ((logits.argmax(1) == target) & counted).to(each.dtype)
        weight = counted.to(each.dtype)
        if target.dim() > 1:
            weight = weight.flatten(1).sum(1)
            number = weight.clamp(min=1)
            each, right = each.flatten(1).sum(1) / number, right.flatten(1).sum(1) / number
        return each, {"accuracy": right, "weight": weight}

    def elementwise(self, output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        target = like(target, output.shape).to(output.dtype)
        each = mean(ELEMENTWISE[self.name](output, target, reduction="none", **self.options))
        if self.name != "bce-with-logits":
            return each, {}
        return each, {"accuracy": mean(((output > 0) == (target > 0.5)).to(each.dtype))}

    def wrong_target(self, batch: Any) -> tuple[int, str] | None:
        """The first sample of a batch whose target is not possible, and what is wrong with it."""
        entries, args = (batch, ()) if isinstance(batch, dict) else ({}, as_tuple(batch))
        _, _, target = self.split(args, entries)
        if self.name == "bce-with-logits":
            wrong, advice = (target < 0) | (target > 1), "targets must be between 0 and 1: scale them"
        elif self.name in ELEMENTWISE or self.classes is None:
            return None
        elif target.is_floating_point():
            return 0, f"{self.name} needs whole numbers as labels, not {target.dtype}: convert them"
        elif self.name == "next-token" and len(args) == 2 and torch.equal(args[0], target):
            return 0, "the targets equal the inputs: give only the tokens, or targets shifted by one"
        else:
            target = target.long()
            wrong = (target != self.options["ignore_index"]) & ((target < 0) | (target >= self.classes))
            advice = f"the network has classes 0 to {self.classes - 1}: correct it, or pass it as ignore_index"
        if not wrong.any():
            return None
        return int(wrong.nonzero()[0, 0]), f"the label is {target[wrong][0].item()}, {advice}"


def output_tensor(output: Any) -> Tensor:
    """The logits or predictions of what a network returns; those of half precision in float32."""
    if isinstance(output, Mapping):  # transformers has "logits", torchvision's segmentation "out"
        output = next((output[key] for key in ("logits", "out") if key in output), output)
    elif hasattr(output, "logits"):
        output = output.logits
    if not isinstance(output, Tensor):
        raise ProblemError(f"the network returns a {type(output).__name__}, not a tensor: give a function as loss")
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def like(target: Tensor, shape: Sequence[int]) -> Tensor:
    """The target in this shape. Only dimensions of 1 may differ: broadcasting would pair each sample with all."""
    if list(target.shape) == list(shape):
        return target
    if target.dim() == 0 or [n for n in target.shape[1:] if n != 1] != [n for n in list(shape)[1:] if n != 1]:
        raise ProblemError(f"the target has the shape {list(target.shape)}, the network's output needs {list(shape)}: "
                           "reshape one of them, or give a function as loss")
    return target.reshape(list(shape))


def mean(each: Tensor) -> Tensor:
    """Over all dimensions but the first."""
    return each.flatten(1).mean(1) if each.dim() > 1 else each


def as_tuple(batch: Any) -> tuple[Any, ...]:
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
