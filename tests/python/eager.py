"""The loss over a plane by a loop in pure Python, as scripts for loss landscapes are written: the parameters are set,
then the original network and loss run over all samples. `lossatlas surface --problem` is compared with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from networks import burgers
from torch import Tensor, nn

TOLERANCE = 1e-5  # largest relative error of a loss in the plane


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y, reduction="none")


def next_token(model: nn.Module, tokens: Tensor) -> Tensor:
    return F.cross_entropy(model(tokens)[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")


def squared_error(model: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
    output = model(x)
    return (output - (x if y is None else y).reshape(output.shape)) ** 2


NAMED = {"cross-entropy": cross_entropy, "next-token": next_token, "mse": squared_error}


def randomize_batch_norms(model: nn.Module) -> None:
    """Statistics and weights as after some training, so that batch norm does something."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)


class Landscape:
    """`loss` is a function as export_problem takes it, or one of NAMED; `data` is a tensor, a tuple or a dictionary."""

    def __init__(self, model: nn.Module, loss: str | Callable[..., Any], data: Any, batch_size: int) -> None:
        self.model, self.loss, self.batch_size = model.eval(), NAMED.get(loss, loss), batch_size
        self.data = data if isinstance(data, (tuple, dict)) else (data,)
        self.samples = len(next(iter(self.data.values())) if isinstance(data, dict) else self.data[0])

    def batch(self, rows: slice) -> tuple[Tensor, Tensor]:
        """The loss and the weight of each sample."""
        if isinstance(self.data, dict):
            result = self.loss(self.model, **{name: tensor[rows] for name, tensor in self.data.items()})
        else:
            result = self.loss(self.model, *[tensor[rows] for tensor in self.data])
        each, measures = result if isinstance(result, tuple) else (result, {})
        each = each.flatten(1).mean(1) if each.dim() > 1 else each
        return each, measures.get("weight", torch.ones_like(each))

    def mean_loss(self) -> float:
        total = weights = 0.0
        with torch.set_grad_enabled(self.loss is burgers):  # it takes derivatives by autograd
            for first in range(0, self.samples, self.batch_size):
                each, weight = self.batch(slice(first, first + self.batch_size))
                total += (each * weight).sum().item()
                weights += weight.sum().item()
        return total / weights

    def surface(self, directions: list[list[Tensor]], x: np.ndarray, y: np.ndarray,
                dtype: torch.dtype = torch.float64) -> np.ndarray:
        """Losses [ny, nx] at θ + x·d₁ + y·d₂, which is computed in `dtype` and rounded to the parameters' own. Scripts
        compute it in float32; the losses of deep networks with random weights then differ by up to 10⁻⁴."""
        parameters = list(self.model.parameters())
        centre = [parameter.detach().clone() for parameter in parameters]
        directions = [[tensor.to(dtype) for tensor in direction] for direction in directions]
        losses = np.empty((len(y), len(x)))
        for row, column in np.ndindex(*losses.shape):
            with torch.no_grad():
                for parameter, origin, first, second in zip(parameters, centre, *directions, strict=True):
                    parameter.copy_(origin.to(dtype) + float(x[column]) * first + float(y[row]) * second)
            losses[row, column] = self.mean_loss()
        with torch.no_grad():
            for parameter, origin in zip(parameters, centre):
                parameter.copy_(origin)
        return losses


def read_plane(surface: str | os.PathLike, directions: str | os.PathLike) -> dict[str, Any]:
    """The arguments of Landscape.surface, from the files of `lossatlas surface --save-directions`."""
    with h5py.File(directions) as file:
        both = [[torch.from_numpy(file[group][str(i)][()]) for i in range(len(file[group]))]
                for group in ("xdirection", "ydirection")]
    with h5py.File(surface) as file:
        return {"directions": both, "x": file["xcoordinates"][()], "y": file["ycoordinates"][()]}


def largest_error(losses: np.ndarray, reference: np.ndarray) -> float:
    """Relative; infinite if one of the two has a loss where the other is not finite."""
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(losses)):
        return float("inf")
    return float((np.abs(losses - reference)[finite] / np.abs(reference[finite])).max(initial=0))
