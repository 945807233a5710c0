"""What filter and head normalization take as one slice of a parameter, by the module that owns it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

HEADS = ("num_heads", "n_head", "num_attention_heads", "n_heads", "nhead")
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads")
ROLES = {  # by the name of the module or of the parameter
    "query": {"q", "q_proj", "query", "wq", "to_q", "q_lin", "q_proj_weight"},
    "key": {"k", "k_proj", "key", "wk", "to_k", "k_lin", "k_proj_weight"},
    "value": {"v", "v_proj", "value", "wv", "to_v", "v_lin", "v_proj_weight"},
    "fused": {"qkv", "c_attn", "in_proj", "in_proj_weight", "query_key_value", "wqkv", "to_qkv", "qkv_proj"},
    "output": {"out_proj", "o_proj", "c_proj", "proj", "wo", "to_out", "out_lin", "dense", "o", "out"},
}


def slices(model: nn.Module, name: str, tensor: Tensor) -> dict[str, Any]:
    """The module that owns a parameter, and what filter and head normalization take as one slice of it."""
    path, _, entry = name.rpartition(".")
    path = path.split(".parametrizations")[0]
    owner = model.get_submodule(path)
    transposed = (isinstance(owner, nn.modules.conv._ConvTransposeNd)
                  or type(owner).__name__ == "Conv1D" and hasattr(owner, "nf"))  # Hugging Face's: [in, out]
    axis = None if tensor.dim() < 2 else 1 if transposed else 0
    head = _head(model, path, entry, tensor, axis) if axis is not None and tensor.dim() == 2 else None
    return {"module": path, "class": type(owner).__qualname__, "slice_axis": axis, "head": head}


def _head(model: nn.Module, path: str, entry: str, tensor: Tensor, axis: int) -> dict[str, int] | str | None:
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
