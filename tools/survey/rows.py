"""One row of the table: a script, the file as that script writes it, and what Lossatlas must make of it."""

import collections
import copy
import dataclasses
import typing

import torch

from networks import Network, drawn


@dataclasses.dataclass
class Row:
    script: str
    file: str
    around: str           # what stands around the weights
    network: Network
    write: typing.Callable  # (path, module): writes the file; returns what it holds: a module, unless it is this one
    key: str = ""
    refusal: str = ""     # a part of the line; "" for what is read
    package: str = ""     # that writes it


ROWS = []


def row(script, file, around, network, **more):
    def add(write):
        ROWS.append(Row(script, file, around, network, write, **more))
        return write

    return add


def prefixed(prefix, state):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def averaged(module):
    """Other weights of the same network."""
    return drawn(copy.deepcopy(module), seed=3)


def changed(module, change):
    """A copy whose tensors are those that `change` makes of the floating-point ones."""
    module = copy.deepcopy(module)
    module.load_state_dict({name: change(tensor) if tensor.is_floating_point() else tensor
                            for name, tensor in module.state_dict().items()})
    return module


def sgd(module):
    """Of another copy, after a step."""
    module = copy.deepcopy(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    step(module, optimizer)
    return optimizer


def adamw(module):
    module = copy.deepcopy(module)
    optimizer = torch.optim.AdamW(module.parameters())
    step(module, optimizer)
    return optimizer


def step(module, optimizer):
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
