"""The graph of a problem by torch.export, saved, read back and compared with eager."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from .error import ProblemError, first_line
from .problem import Problem, gradient_error, value_error

WAYS = (  # what is applied in turn, and whether the batch has one size
    (("torch.export",), False),
    (("make_fx symbolic", "torch.export"), False),
    (("torch.export", "make_fx symbolic", "torch.export"), False),  # masks made under vmap (transformers)
    (("torch.export",), True),
    (("make_fx real", "torch.export"), True),
)
REGIONS = ("higher_order.wrap_with_set_grad_enabled", "higher_order.wrap_with_autocast")  # graphs within a graph
CAUSES = ("usual causes: branches on data (use torch.where), pack_padded_sequence (pad, and give weights), numpy or "
          ".item() in the loss, .detach() or no_grad() in a loss with derivatives")


@dataclass
class Graph:
    way: str
    text: bytes  # torch.export's model.json without metadata
    constants: dict[str, Tensor]
    errors: dict[str, float]  # largest relative errors: value, moved, gradient, batch
    fixed: bool


def export_graph(problem: Problem, example: list[Tensor], full: list[Tensor], kinds: Sequence[bool]) -> Graph:
    """By the first of WAYS that agrees with eager. `example` is a batch to trace any size with, `full` one of the fixed
    size; `kinds` has the values of `fixed` that are tried."""
    failures = []
    for steps, fixed in WAYS:
        if fixed not in kinds:
            continue
        way = ", then ".join(steps) + " with a fixed batch" * fixed
        leaves = full if fixed else example
        other = [t.flip(0) if fixed else t[:t.shape[0] // 2] for t in leaves]
        try:
            with _quiet():
                text, constants, program = _read_back(_trace(problem, leaves, steps, fixed))
                return Graph(way, text, constants, _compare(problem, program, leaves, other), fixed)
        except ProblemError as error:
            failures.append(f"{way}: {error}")
        except Exception as error:  # torch.export raises many kinds
            failures.append(f"{way}: {first_line(error)}")
    raise ProblemError("\n  ".join(["no way of exporting gives the network's values and gradients", *failures, CAUSES]))


def _trace(problem: Problem, leaves: list[Tensor], steps: Sequence[str], fixed: bool) -> ExportedProgram:
    """`steps` ends with torch.export, and has it elsewhere only before another step."""
    function = problem.function()
    fixed_shapes = (None,) * (len(problem.parameters) + len(problem.buffers))
    shapes = None if fixed else ((*fixed_shapes, *[{0: torch.export.Dim("N", min=2)}] * len(leaves)),)
    for step in steps:
        arguments = tuple(problem.arguments(leaves))
        if step == "torch.export":
            program = torch.export.export(_Flat(function), arguments, strict=False, dynamic_shapes=shapes)
            function = program.module()
        else:
            mode = step.removeprefix("make_fx ")
            with sdpa_kernel(SDPBackend.MATH):  # the other kernels run on one device, and have one derivative
                function = make_fx(function, tracing_mode=mode, _allow_non_fake_inputs=True)(*arguments)
            _mend(function)
    return program


class _Flat(nn.Module):
    """A function of tensors as torch.export requires it: the function's own tensors are constants, not a state."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.held = [function]  # in a list: not a submodule

    def forward(self, *tensors: Tensor) -> Any:
        return self.held[0](*tensors)


def _mend(traced: torch.fx.GraphModule) -> None:
    """Removes the nodes by which make_fx detaches what a derivative saves: they make further derivatives wrong."""
    aten, prims = torch.ops.aten, torch.ops.prims
    for node in list(traced.graph.nodes):
        if node.target in (aten.detach.default, aten.detach_.default, aten.alias.default):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
        elif node.target is prims.add.default:
            node.target = aten.add.Tensor
    traced.graph.eliminate_dead_code()
    traced.recompile()


def _read_back(program: ExportedProgram) -> tuple[bytes, dict[str, Tensor], ExportedProgram]:
    """What the file stores of a program, and the program that is read from it."""
    if program.state_dict:
        raise ProblemError(f"the graph has a state, {', '.join(program.state_dict)}: hold it in the network")
    program._example_inputs = None  # they would repeat all parameters
    saved, stored = io.BytesIO(), io.BytesIO()
    torch.export.save(program, saved)
    text = b""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(stored, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("models/model.json"):
                content = text = json.dumps(_stripped(json.loads(content)), separators=(",", ":")).encode()
            target.writestr(name, content)
    for operator in re.findall(r'"target":"torch\.ops\.([^"]+)"', text.decode()):
        if not operator.startswith("aten.") and operator not in REGIONS:
            raise ProblemError(f"the operator {operator} is not one of PyTorch's own (aten): replace it")
    constants = {}
    for name, value in program.constants.items():
        if not isinstance(value, Tensor):
            raise ProblemError(f"the graph holds {name}, a {type(value).__name__}: only tensors can be stored")
        constants[name] = value.cpu()
    stored.seek(0)
    return text, constants, torch.export.load(stored)


def _stripped(value: Any) -> Any:
    """Without the source lines, paths and module names of each node."""
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    if not isinstance(value, dict):
        return value
    empty: dict[str, Any] = {"metadata": {}, "guards_code": []}
    return {key: empty[key] if key in empty else _stripped(item) for key, item in value.items()}


def _compare(problem: Problem, program: ExportedProgram, leaves: list[Tensor], other: list[Tensor]) -> dict[str, float]:
    """Refuses a program that differs from eager."""
    graph = program.module()
    values = problem.eager(leaves), problem.functional(graph, problem.arguments(leaves))
    with problem.moved():
        moved = problem.eager(leaves), problem.functional(graph, problem.arguments(leaves))
    batch = problem.eager(other), problem.functional(graph, problem.arguments(other))
    errors = {"value": value_error(*values), "moved": value_error(*moved),
              "gradient": max(gradient_error(*values), gradient_error(*moved)), "batch": value_error(*batch)}
    what = {"value": "values", "moved": "values after a step of the parameters", "gradient": "gradients",
            "batch": "values of another batch"}
    value_limit, gradient_limit = problem.tolerance()
    for check, error in errors.items():
        if not error <= (gradient_limit if check == "gradient" else value_limit):
            raise ProblemError(f"{what[check]} differ from eager by {error:.1e}")
    return errors


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and printed graphs of attempts that fail: the exception says why."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
