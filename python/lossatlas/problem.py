"""A network and its loss as one function of parameters, buffers and a batch; and what eager evaluation shows of it."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from .error import ProblemError, first_line
from .losses import NamedLoss, as_tuple
from .samples import DTYPES, Samples

# Largest relative errors that are accepted, of values and of gradients. A detach too many makes some percent.
TOLERANCE = {torch.float64: (1e-6, 1e-5), torch.float32: (1e-5, 1e-4), torch.float16: (1e-2, 1e-2),
             torch.bfloat16: (2e-2, 3e-2)}


@dataclass
class Values:
    """What an evaluation gives: outputs [N] by name, gradients of the weighted mean loss, buffers as they are after."""
    outputs: dict[str, Tensor]
    gradients: list[Tensor]
    buffers: list[Tensor]


class Problem:
    """Uses the network in place, as `prepared` has made it. Tensors that are the same memory (tied weights) are one:
    `parameters` and `buffers` have it under its first name, `aliases` gives that name for the others."""

    def __init__(self, model: nn.Module, loss: Callable[..., Any], samples: Samples) -> None:
        self.model, self.loss, self.samples = model, loss, samples
        self.aliases: dict[str, str] = {}
        self.parameters = self._distinct(model.named_parameters(remove_duplicate=False))
        self.buffers = self._distinct(model.named_buffers(remove_duplicate=False))
        self.trained = [name for name, tied in self.parameters.items() if any(t.requires_grad for t in tied)]
        self.outputs: list[str] = []  # known once the loss has run
        self.inputs = self._input_names()
        self._check_tensors()

    def first(self) -> list[Tensor]:
        """Parameters, then buffers, each once."""
        return [tied[0] for tied in (*self.parameters.values(), *self.buffers.values())]

    def tolerance(self) -> tuple[float, float]:
        kinds = {tied[0].dtype for tied in self.parameters.values()}
        return max(limits for dtype, limits in TOLERANCE.items() if dtype in kinds)

    def describe(self, leaves: Sequence[Tensor]) -> str:
        return ", ".join(f"{name} {dtype_name(t.dtype)} {list(t.shape)}" for name, t in zip(self.inputs, leaves))

    def target(self) -> dict[str, Any] | None:
        """Which input holds class labels, how many classes there are, and the label that does not count."""
        if not isinstance(self.loss, NamedLoss) or self.loss.classes is None:
            return None
        place = self.loss.target_of(self.samples.batch(range(len(self.inputs))))
        if not isinstance(place, int):
            return None
        return {"input": self.inputs[place], "classes": self.loss.classes,
                "ignore_index": self.loss.options["ignore_index"]}

    def eager(self, leaves: Sequence[Tensor]) -> Values:
        """By the network as it is, with its own parameters."""
        buffers = [tied[0] for tied in self.buffers.values()]
        saved = [t.clone() for t in buffers]
        try:
            outputs = self._evaluate([t.clone() for t in leaves])
            tensors = [[t for t in self.parameters[name] if t.requires_grad] for name in self.trained]
            return Values(*_gradients(outputs, tensors), [t.clone() for t in buffers])
        finally:
            for tensor, value in zip(buffers, saved):
                tensor.data.copy_(value)

    def functional(self, function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor]) -> Values:
        """By function(), or an exported graph of it."""
        tensors = [t for name, t in zip(self.parameters, arguments) if name in self.trained]
        for tensor in tensors:
            tensor.requires_grad_()
        outputs = dict(zip(self.outputs, function(*arguments)))
        buffers = arguments[len(self.parameters):len(self.parameters) + len(self.buffers)]
        return Values(*_gradients(outputs, [[t] for t in tensors]), list(buffers))

    def arguments(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """What the graph takes: copies of the parameters and buffers as they are now, then of the batch."""
        return [t.detach().clone(memory_format=torch.contiguous_format) for t in (*self.first(), *leaves)]

    def function(self) -> Callable[..., tuple[Tensor, ...]]:
        """f(parameters..., buffers..., batch...) -> outputs, without a state of its own."""
        problem, names, slots = self, [*self.parameters, *self.buffers], self._slots()

        class Caller(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = problem.model

            def forward(self, *leaves: Tensor) -> tuple[Tensor, ...]:
                outputs = problem._evaluate(leaves)
                return tuple(outputs[name] for name in problem.outputs)

        caller = Caller()

        def call(*tensors: Tensor) -> tuple[Tensor, ...]:
            values = dict(zip(names, tensors))
            values = {f"model.{name}": values[problem.aliases.get(name, name)] for name in slots}
            leaves = tuple(tensors[len(names):])
            return cast(tuple[Tensor, ...], torch.func.functional_call(caller, values, leaves, tie_weights=False))

        return call

    def other_parameters(self, leaves: Sequence[Tensor]) -> bool:
        """Whether the loss has parameters that are not the network's, which would be stored as constants."""
        own = {id(t) for tied in self.parameters.values() for t in tied}
        nodes = [self._evaluate([t.clone() for t in leaves])["loss"].grad_fn]
        seen = set(nodes)
        for node in nodes:  # grows
            variable = getattr(node, "variable", None)
            if isinstance(variable, nn.Parameter) and id(variable) not in own:
                return True
            new = {before for before, _ in getattr(node, "next_functions", ()) if before is not None} - seen
            seen |= new
            nodes += new
        return False

    @contextlib.contextmanager
    def moved(self) -> Iterator[None]:
        """The parameters that train, after a small random step in place; restored to the bit."""
        generator = torch.Generator().manual_seed(1)
        tensors = [self.parameters[name][0].data for name in self.trained]
        saved = [t.clone() for t in tensors]
        try:
            for tensor, value in zip(tensors, saved):
                noise = torch.randn(value.shape, generator=generator)
                tensor.add_((0.05 * (value.float().abs().mean() + 1e-3) * noise).to(value.dtype))
            yield
        finally:
            for tensor, value in zip(tensors, saved):
                tensor.copy_(value)

    def _slots(self) -> list[str]:
        """A name of each attribute that holds a tensor. A module that is used under two names has its attributes once:
        functional_call would not restore what it replaces twice."""
        names: dict[tuple[nn.Module, str], str] = {}
        for name in (*self.parameters, *self.buffers, *self.aliases):
            path, _, entry = name.rpartition(".")
            names.setdefault((self.model.get_submodule(path), entry), name)
        return list(names.values())

    def _distinct(self, named: Iterable[tuple[str, Tensor]]) -> dict[str, list[Tensor]]:
        """Tensors by the first of their names; a list has more than one where several objects share the memory."""
        first: dict[Any, str] = {}
        tensors: dict[str, list[Tensor]] = {}
        for name, tensor in named:
            if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta:
                raise ProblemError(f"{name} has no numbers yet: run the network once, or load its weights")
            if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
                raise ProblemError(f"{name} is {tensor.dtype}, {tensor.layout}: make it a dense real tensor")
            key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else id(tensor)
            if key not in first:
                first[key], tensors[name] = name, [tensor]
                continue
            self.aliases[name] = first[key]
            if all(tensor is not other for other in tensors[first[key]]):
                tensors[first[key]].append(tensor)
        return tensors

    def _check_tensors(self) -> None:
        spans: list[tuple[int, int, str]] = []
        for name, (tensor, *_) in self.parameters.items():
            if not tensor.isfinite().all():
                raise ProblemError(f"{name} has numbers that are not finite: load other weights")
            if tensor.numel() and tensor.is_contiguous():
                spans.append((tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes, name))
        for (_, end, name), (start, _, other) in itertools.pairwise(sorted(spans)):
            if start < end:
                raise ProblemError(f"{name} and {other} share part of their numbers: separate them, or tie them whole")
        for name, (tensor, *_) in self.buffers.items():
            if tensor.isnan().any():
                raise ProblemError(f"{name} has NaN: load other weights")
        if not self.trained:
            raise ProblemError("no parameter has requires_grad, so nothing can move: set it for what was trained")

    def _input_names(self) -> list[str]:
        """Of the arguments of the loss, if each is one tensor; else as they are found in a batch."""
        names = self.samples.names
        if isinstance(self.samples.batch(names), dict):
            return names
        if isinstance(self.loss, NamedLoss):
            several = [f"input_{i}" for i in range(len(names) - 1)] if len(names) > 2 else ["input"]
            return [*several, "target"][:len(names)]
        with contextlib.suppress(ValueError, TypeError):
            parameters = list(inspect.signature(self.loss).parameters.values())[1:]
            if len(parameters) == len(names) and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters):
                return [p.name for p in parameters]
        return names

    def _evaluate(self, leaves: Sequence[Tensor]) -> dict[str, Tensor]:
        """The loss, checked, and the measures beside it, in float32 or float64."""
        batch = self.samples.batch(leaves)
        result = self.loss(self.model, **batch) if isinstance(batch, dict) else self.loss(self.model, *as_tuple(batch))
        loss, more = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
        if not isinstance(loss, Tensor) or not isinstance(more, Mapping):
            kind = type(result).__name__
            raise ProblemError(f"the loss returns a {kind}: return a tensor [N], or (tensor [N], dictionary)")
        number = leaves[0].shape[0]
        _check_loss_shape(loss, number)
        for name, value in more.items():
            if name == "loss" or not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)):
                raise ProblemError(f'a measure is named "{name}": use small letters, digits and _, and not "loss"')
            if re.fullmatch("acc|acc_top5|images|.*_(se|error|spread)", name):
                raise ProblemError(f'a measure is named "{name}", which has another meaning in files of surfaces: '
                                   'name it "accuracy" if it is one, or otherwise')
            shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            if shape != [number]:
                raise ProblemError(f'the measure "{name}" is {shape}: make it a tensor [{number}], one number per sample')
        return {name: t if t.dtype == torch.float64 else t.float() for name, t in {"loss": loss, **more}.items()}


def probe(problem: Problem, leaves: list[Tensor]) -> bool:
    """Runs the loss by eager and refuses what no way of exporting mends. True if it couples the samples of a batch."""
    check_samples(problem, problem.samples, leaves, 0)
    number = leaves[0].shape[0]
    try:
        values = problem.eager(leaves)
    except ProblemError:
        raise
    except Exception as error:
        check_samples(problem, problem.samples, leaves, 0)  # labels, now that the number of classes is known
        raise ProblemError(
            f"the loss fails on the first {number} samples, {problem.describe(leaves)}: {first_line(error)}") from error
    problem.outputs = list(values.outputs)
    for name, output in values.outputs.items():
        if not output.isfinite().all():
            row = int((~output.isfinite()).nonzero()[0])
            raise ProblemError(f'"{name}" of sample {row} is {output[row].item()}: check the weights and the data')
    if (values.outputs.get("weight", torch.zeros(1)) < 0).any():
        raise ProblemError('a "weight" is negative: give how much a sample counts, such as its number of tokens')
    limit = problem.tolerance()[0]
    if value_error(values, problem.eager(leaves)) > limit:
        raise ProblemError("the loss is random: use modules that eval() turns off (nn.Dropout), or draw the random "
                           "numbers beforehand and give them as data")
    if problem.other_parameters(leaves):
        raise ProblemError("the loss has a parameter that is not the network's: add it to the network, or detach it")
    with problem.moved():
        moved, arguments = problem.eager(leaves), problem.arguments(leaves)
    if value_error(moved, problem.functional(problem.function(), arguments)) > limit:
        raise ProblemError("the loss holds a tensor of the network, as w = model.fc.weight, which does not move: "
                           "read it from the model within the loss")
    try:
        parts = [problem.eager([t[rows] for t in leaves]) for rows in (slice(number // 2), slice(number // 2, None))]
    except Exception:  # as it does not run on half of the batch, nothing shows that it does without the other
        return number > 1
    together = {name: torch.cat([part.outputs[name] for part in parts]) for name in values.outputs}
    return value_error(Values(values.outputs, [], []), Values(together, [], [])) > 10 * limit


def check_samples(problem: Problem, split: Samples, leaves: list[Tensor], at: int) -> None:
    """Refuses NaN, and for losses given by name impossible targets. The first sample of leaves is the split's `at`."""
    def index(row: int) -> int:
        return at + row if split.rows is None else int(split.rows[at + row])

    for name, tensor in zip(problem.inputs, leaves):
        if tensor.is_floating_point() and (nan := tensor.isnan()).any():
            row = index(int(nan.nonzero()[0, 0]))
            raise ProblemError(f"sample {row} has NaN in {name}: leave it out, or replace the NaN")
    if isinstance(problem.loss, NamedLoss) and (wrong := problem.loss.wrong_target(split.batch(leaves))):
        raise ProblemError(f"sample {index(wrong[0])}: {wrong[1]}")


@contextlib.contextmanager
def prepared(model: nn.Module) -> Iterator[None]:
    """The network on the CPU in eval mode. Modes, devices, buffers and the random state are restored after."""
    modes = [(module, module.training) for module in model.modules()]
    parameters = [(p, p.data) for p in model.parameters()]
    buffers = [(module, name, buffer, buffer.clone())
               for module in model.modules() for name, buffer in module._buffers.items() if buffer is not None]
    copies: dict[Any, Tensor] = {}

    def on_cpu(tensor: Tensor) -> Tensor:  # tied tensors stay tied
        if tensor.device.type in ("cpu", "meta"):
            return tensor
        return copies.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), tensor.cpu())

    try:
        model.eval()
        for parameter, value in parameters:
            if on_cpu(value) is not value:
                parameter.data = on_cpu(value)
        for module, name, buffer, _ in buffers:
            module._buffers[name] = on_cpu(buffer)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(0)  # of the CPU alone
            yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, value in parameters:
            if parameter.device != value.device:
                parameter.data = value
        for module, name, buffer, value in buffers:
            module._buffers[name] = buffer
            if not buffer.is_meta and not torch.equal(buffer, value):
                buffer.data.copy_(value)


def batch_norms(model: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """Those that keep statistics, by name."""
    return {name: module for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None}


def _check_loss_shape(loss: Tensor, number: int) -> None:
    shape = list(loss.shape)
    if shape == [number]:
        return
    if loss.numel() == 1:
        raise ProblemError("the loss is one number for the whole batch: return one for each sample, as in "
                           'F.cross_entropy(model(x), y, reduction="none")')
    if shape[:1] == [number]:
        raise ProblemError(f"the loss has the shape {shape}, it needs [{number}]: return loss.flatten(1).mean(1)")
    if len(shape) == 1 and shape[0] % number == 0:
        raise ProblemError(f"the loss has {shape[0]} numbers for {number} samples: "
                           "return loss.view(x.shape[0], -1).mean(1)")
    raise ProblemError(f"the loss has the shape {shape} for {number} samples: return one number for each sample")


def _gradients(outputs: dict[str, Tensor],
               tensors: Sequence[Sequence[Tensor]]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Outputs without their history, and the gradients of the weighted mean loss: those of tied tensors add up, and 0
    where the loss does not depend on a tensor."""
    loss, weight = outputs["loss"], outputs.get("weight", torch.ones(1))
    mean = (loss * weight).sum() / weight.expand_as(loss).sum().clamp(min=1e-30)
    if not mean.requires_grad:
        raise ProblemError("the loss does not depend on any parameter with requires_grad: "
                           "compute it from model(...), without torch.no_grad() and .detach()")
    found = iter(torch.autograd.grad(mean, [t for tied in tensors for t in tied], allow_unused=True))
    sums = []
    for tied in tensors:
        parts = [g.detach() for g in itertools.islice(found, len(tied)) if g is not None]
        sums.append(sum(parts[1:], parts[0]) if parts else torch.zeros_like(tied[0]).detach())
    return {name: value.detach() for name, value in outputs.items()}, sums


def value_error(right: Values, other: Values) -> float:
    """Of outputs and buffers: the largest difference relative to the largest magnitude of each."""
    pairs = [(a, other.outputs[name]) for name, a in right.outputs.items()] + list(zip(right.buffers, other.buffers))
    return max(_distance(a, b, math.inf) / (norm(a, math.inf) or 1.0) for a, b in pairs)


def gradient_error(right: Values, other: Values) -> float:
    """Of each parameter by itself, relative to its norm or to 1e-4 of the whole gradient's."""
    whole = math.hypot(*(norm(g) for g in right.gradients))
    pairs = zip(right.gradients, other.gradients)
    return max(_distance(a, b) / (max(norm(a), 1e-4 * whole) or 1.0) for a, b in pairs)


def norm(tensor: Tensor, order: float = 2) -> float:
    finite = tensor.double().nan_to_num(posinf=0.0, neginf=0.0).flatten()
    return float(torch.linalg.vector_norm(finite, order)) if tensor.numel() else 0.0


def _distance(a: Tensor, b: Tensor, order: float = 2) -> float:
    """Equal infinities (masks) are 0 apart, NaN is infinitely far from all."""
    if a.shape != b.shape:
        return math.inf
    difference = torch.where(a == b, 0.0, a.double() - b.double())
    return norm(difference, order) if difference.isfinite().all() else math.inf


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
