"""Formats of files that need a package to write them, written without it."""

import json
import struct

import torch

TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32"}


def write_safetensors(path, state, metadata={"format": "pt"}):
    """As safetensors.torch.save_file does."""
    header, parts, end = {"__metadata__": metadata}, [], 0
    for name, tensor in state.items():
        part = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [end, end + len(part)]}
        parts.append(part)
        end += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def write_shards(folder, state, base, ending):
    """As save_pretrained does with a max_shard_size; the index."""
    names, index = list(state), {"metadata": {"total_size": sum(tensor.nbytes for tensor in state.values())}}
    half, index["weight_map"] = len(names) // 2, {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        file = f"{base}-{number:05}-of-00002.{ending}"
        shard = {name: state[name] for name in part}
        write_safetensors(folder / file, shard) if ending == "safetensors" else torch.save(shard, folder / file)
        index["weight_map"] |= dict.fromkeys(part, file)
    path = folder / f"{base}.{ending}.index.json"
    path.write_text(json.dumps(index, indent=2))
    return path


def msgpack(value):
    """As flax.serialization.to_bytes: dictionaries, text and arrays (extension 1: shape, dtype, bytes)."""
    if isinstance(value, dict):
        return bytes([0x80 + len(value)]) + b"".join(msgpack(key) + msgpack(entry) for key, entry in value.items())
    if isinstance(value, str):
        return bytes([0xA0 + len(value)]) + value.encode()
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, int):
        return b"\xcd" + struct.pack(">H", value)
    if isinstance(value, tuple):
        return bytes([0x90 + len(value)]) + b"".join(map(msgpack, value))
    array = msgpack((tuple(value.shape), value.dtype.name, value.tobytes()))
    return b"\xc9" + struct.pack(">I", len(array)) + b"\x01" + array
