"""Reads problem files by their description in docs/file-format.md alone, and runs their graphs."""

from __future__ import annotations

import json
import math
import operator
import zipfile
from typing import Any

import torch
from torch import Tensor

DTYPE = {1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
         7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16}
LAYOUT = {7: torch.strided}
MEMORY_FORMAT = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d,
                 4: torch.preserve_format}


class Replay:
    def __init__(self, path: str) -> None:
        self.zip = zipfile.ZipFile(path)
        self.manifest = json.loads(self.zip.read("manifest.json"))
        self.parameters = [self.tensor(entry) for entry in self.manifest["parameters"]]
        self.buffers = [self.tensor(entry) for entry in self.manifest["buffers"]]

    def tensor(self, entry: dict[str, Any]) -> Tensor:
        return self.raw(entry["member"], getattr(torch, entry["dtype"]), entry["shape"])

    def raw(self, member: str, dtype: torch.dtype, shape: list[int]) -> Tensor:
        content = bytearray(self.zip.read(member))
        return torch.frombuffer(content, dtype=dtype).reshape(shape) if content else torch.empty(shape, dtype=dtype)

    def data(self, split: str = "data") -> list[Tensor]:
        entry = self.manifest[split]
        return [self.raw(member, getattr(torch, spec["dtype"]), [entry["samples"], *spec["shape"]])
                for member, spec in zip(entry["members"], self.manifest["inputs"])]

    def run(self, batch: list[Tensor], parameters: list[Tensor] | None = None, buffers: list[Tensor] | None = None,
            mode: str = "eval") -> dict[str, Tensor]:
        stored = self.manifest["graphs"][mode]
        module = json.loads(self.zip.read(stored["member"]))["graph_module"]
        constants = {entry["name"]: self.tensor(entry) for entry in stored["constants"]}
        given = iter([*(self.parameters if parameters is None else parameters),
                      *(self.buffers if buffers is None else buffers), *batch])
        values: dict[str, Any] = {}
        for spec in module["signature"]["input_specs"]:
            (kind, content), = spec.items()
            if kind == "user_input":
                values[content["arg"]["as_tensor"]["name"]] = next(given)
            else:
                assert kind == "tensor_constant"
                values[content["arg"]["name"]] = constants[content["tensor_constant_name"]]
        results = run_graph(module["graph"], values)
        return dict(zip(self.manifest["outputs"], results, strict=True))


def run_graph(graph: dict[str, Any], values: dict[str, Any]) -> list[Any]:
    for node in graph["nodes"]:
        positional = [argument(i["arg"], values) for i in node["inputs"] if i["kind"] != 2]
        named = {i["name"]: argument(i["arg"], values) for i in node["inputs"] if i["kind"] == 2}
        target = node["target"]
        if target.startswith("torch.ops.aten._assert"):
            continue
        outputs = node["outputs"]
        if target.startswith("torch.ops.higher_order."):
            results = run_inner(target, positional)
        else:
            result = function(target)(*positional, **named)
            results = [result] if len(outputs) == 1 else result
        for output, part in zip(outputs, results, strict=bool(outputs)):
            bind(output, part, values)
    return [argument(output, values) for output in graph["outputs"]]


def run_inner(target: str, arguments: list[Any]) -> list[Any]:
    place = next(i for i, value in enumerate(arguments) if isinstance(value, dict))
    mode, inner, given = arguments[:place], arguments[place], arguments[place + 1:]
    context = {"torch.ops.higher_order.wrap_with_set_grad_enabled": torch.set_grad_enabled,
               "torch.ops.higher_order.wrap_with_autocast": torch.autocast}[target]
    with context(*mode):
        return run_graph(inner, {value["as_tensor"]["name"]: tensor for value, tensor in zip(inner["inputs"], given)})


def function(target: str) -> Any:
    if target == "torch.ops.aten.view.default":  # recorded for the strides of one kernel of attention
        return torch.ops.aten.reshape.default
    prefix, _, rest = target.partition(".")
    if prefix == "torch":
        found: Any = torch
        for part in rest.split("."):
            found = getattr(found, part)
        return found
    return getattr({"_operator": operator, "math": math}[prefix], rest)


def bind(output: dict[str, Any], result: Any, values: dict[str, Any]) -> None:
    (kind, content), = output.items()
    if kind == "as_tensors":
        values |= {item["name"]: part for item, part in zip(content, result, strict=True)}
    elif kind != "as_none":
        values[content["name"] if kind == "as_tensor" else content["as_name"]] = result


def argument(value: dict[str, Any], values: dict[str, Any]) -> Any:
    (kind, content), = value.items()
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return values[content["name"]]
    if kind == "as_tensors":
        return [values[item["name"]] for item in content]
    if kind == "as_optional_tensors":
        return [argument(item, values) for item in content]
    if kind in ("as_float", "as_floats"):  # those that JSON does not have are text: "-Infinity"
        return float(content) if kind == "as_float" else [float(item) for item in content]
    if kind in ("as_int", "as_ints", "as_bool", "as_bools", "as_string"):
        return content
    if kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        return scalar(content, values)
    if kind == "as_sym_ints":
        return [scalar(item, values) for item in content]
    if kind == "as_scalar_type":
        return DTYPE[content]
    if kind == "as_layout":
        return LAYOUT[content]
    if kind == "as_memory_format":
        return MEMORY_FORMAT[content]
    if kind == "as_device":
        return torch.device(content["type"])
    if kind == "as_graph":
        return content["graph"]
    raise AssertionError(f"docs/file-format.md has no argument of the kind {kind}")


def scalar(value: dict[str, Any], values: dict[str, Any]) -> Any:
    (kind, content), = value.items()
    return values[content] if kind == "as_name" else content
