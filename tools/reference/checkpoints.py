#!/usr/bin/env python3
"""Writes the small checkpoints of tests/files/checkpoints/, which the tests of src/checkpoint read.

    .venv/bin/python tools/reference/checkpoints.py

Run by hand when a test needs another file; the files are kept in git, since the bytes that PyTorch writes vary with
its version. Values are ranges (0, 1, 2, …), so that the C++ tests can say what they expect.
"""

import io
import json
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import numpy
import torch

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "files" / "checkpoints"


def ramp(*sizes, dtype=torch.float32, start=0):
    count = int(numpy.prod(sizes))
    return torch.arange(start, start + count).to(dtype).reshape(sizes)


def plain_state():
    return OrderedDict([("conv.weight", ramp(2, 1, 3, 3)), ("conv.bias", ramp(2, start=100))])


def many_types():
    types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"]
    state = OrderedDict((name, ramp(3, dtype=getattr(torch, name))) for name in types)
    state["bool"] = torch.tensor([True, False, True])
    state["scalar"] = torch.tensor(7.5)
    state["empty"] = torch.empty(0, 4)
    return state


def new_types():
    """What has no storage of its own, by LibTorch's names, a transposed one among them."""
    types = {"UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64"}
    types |= {f"Float8_{kind}": f"float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")}
    state = OrderedDict((name, ramp(2, 3, start=1).to(getattr(torch, dtype))) for name, dtype in types.items())
    state["UInt16"] = ramp(2, 3, start=1).t().contiguous().to(torch.uint16).t()
    state["Float8_e8m0fnu"] = torch.tensor([0.5, 4.0]).to(torch.float8_e8m0fnu)
    return {"net": state, "steps": torch.tensor(2**64 - 1, dtype=torch.uint64)}


def views():
    """Tensors that share storages, and those that do not run through theirs in order."""
    base = ramp(3, 4)
    return OrderedDict(
        [
            ("whole", base),
            ("transposed", base.t()),
            ("row", base[1]),
            ("every_other", base[:, ::2]),
            ("expanded", torch.tensor([5.0]).expand(2, 3)),
            ("channels_last", ramp(1, 2, 2, 2).to(memory_format=torch.channels_last)),
            ("tied", base),
        ]
    )


def batch_norm():
    """A real state_dict with _metadata, as a DataParallel model's, and what trainers keep beside it."""
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False), torch.nn.BatchNorm2d(2))
    with torch.no_grad():
        model[0].weight.copy_(ramp(2, 1, 1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    model(torch.ones(2, 1, 2, 2)).sum().backward()
    optimizer.step()
    state = torch.nn.DataParallel(model).state_dict() if torch.cuda.is_available() else prefixed(model.state_dict())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    return {
        "state_dict": state,
        "epoch": 3,
        "acc": numpy.float64(93.25),
        "loss": numpy.float32(0.5),
        "steps": numpy.int64(-40000000000),
        "best": torch.tensor(91.5),
        "arch": "resnet",
        "args": {"lr": [0.1, 0.01], "nesterov": True, "device": torch.device("cpu"), "none": None},
        "shape": torch.Size([3, 32, 32]),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "ema": {"mean": ramp(2), "rate": torch.tensor(0.5)},
        "image": ramp(2, 2),
        "seed": 2**64 - 1,
        "raw": b"bytes are not kept",
    }


def prefixed(state):
    renamed = OrderedDict(("module." + name, tensor) for name, tensor in state.items())
    renamed._metadata = OrderedDict(("module." + name, value) for name, value in state._metadata.items())
    return renamed


def save(name, value, **options):
    torch.save(value, FOLDER / name, **options)


def save_zip_and_legacy():
    for protocol in (2, 3, 4, 5):
        save(f"plain-protocol{protocol}.pt", plain_state(), pickle_protocol=protocol)
        save(f"legacy-protocol{protocol}.pt", plain_state(), pickle_protocol=protocol,
             _use_new_zipfile_serialization=False)
    for name, value in (("types", many_types()), ("new-types", new_types()), ("views", views()), ("batchnorm", batch_norm())):
        save(f"{name}.pt", value)
        save(f"{name}-legacy.pt", value, _use_new_zipfile_serialization=False)
    parameter = torch.nn.Parameter(ramp(2, 3))
    tagged = torch.nn.Parameter(ramp(3))
    tagged.note = "an attribute makes torch.save write the parameter in another way"
    save("parameters.pt", {"net": {"weight": parameter, "bias": tagged}, "acc": 50.5})
    save("unusual-type.pt", {"weight": ramp(3, dtype=torch.float32).to(torch.float8_e4m3fn)})
    save("complex.pt", {"weight": ramp(3, dtype=torch.complex64)})
    save("nested.pt", {"model": {"model_state_dict": plain_state()}, "epoch": 4})


def save_refused():
    class System:
        def __reduce__(self):
            import os

            return os.system, ("echo the checkpoint ran a command",)

    save("refused-system.pt", {"state_dict": plain_state(), "evil": System()})
    save("refused-model.pt", torch.nn.Linear(2, 1))
    save("no-state.pt", {"epoch": 1, "backbone": {"weight": ramp(2)}})
    save("one-tensor.pt", ramp(2))
    script = torch.jit.script(torch.nn.Linear(2, 1))
    script.save(str(FOLDER / "torchscript.pt"))
    reader = torch._C.PyTorchFileReader(str(FOLDER / "plain-protocol2.pt"))
    writer = torch._C.PyTorchFileWriter(str(FOLDER / "big-endian.pt"))
    for record in reader.get_all_records():
        content = b"big" if record == "byteorder" else reader.get_record(record)
        if not record.startswith((".data/", "version")):
            writer.write_record(record, content, len(content))
    writer.write_end_of_file()


class Exported(torch.nn.Module):
    """A classifier of images [2, 4, 4] with a tied weight, views of one storage, buffers of both kinds and a constant."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.BatchNorm2d(4)
        self.a, self.b = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight
        halves = torch.randn(2, 3, 4)
        self.p, self.q = torch.nn.Parameter(halves[0]), torch.nn.Parameter(halves[1])
        self.register_buffer("shift", torch.randn(3))
        self.register_buffer("scale", torch.randn(3), persistent=False)
        self.ones = torch.ones(1, 3)
        self.norm.running_mean.normal_(0, 0.2)
        self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        x = torch.relu(self.b(torch.relu(self.a(x))))
        return (x @ self.p.t() + x @ self.q.t()) * self.scale + self.shift + self.ones


def save_exported():
    """exported.pt2 without what says where it was made, exported.json with its logits for images of a ramp."""
    net = Exported().eval()
    images = ramp(3, 2, 4, 4).remainder(7) / 3 - 1
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(net, (images,), dynamic_shapes=({0: batch},)), FOLDER / "exported.pt2")
    reader = torch._C.PyTorchFileReader(str(FOLDER / "exported.pt2"))
    records = {name: reader.get_record(name) for name in reader.get_all_records()}
    model = json.loads(records["models/model.json"])
    for node in model["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    records["models/model.json"] = json.dumps(model).encode()
    writer = torch._C.PyTorchFileWriter(str(FOLDER / "exported.pt2"))
    for name, content in records.items():
        if not name.startswith((".data/", "version", "data/sample_inputs/")):
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    logits = net(images).flatten().tolist()
    (FOLDER / "exported.json").write_text(json.dumps({"logits": logits, "weight": net.a.weight.flatten().tolist()}))


def python2_legacy():
    """A file as PyTorch 0.3 on Python 2.7 wrote it, opcode by opcode: strings are byte strings (U), the OrderedDict is
    given its items as a list of pairs, tensors are made by _rebuild_tensor, one storage is a view of another, and the
    accuracy is a NumPy scalar."""

    def string(text):
        return b"U" + bytes([len(text)]) + text.encode("latin1")

    def storage(key, count, view=b"N"):
        return b"(" + string("storage") + b"ctorch\nFloatStorage\n" + string(key) + string("cuda:0") + b"K" + bytes(
            [count]) + view + b"tQ"

    def numbers(*values):
        return b"(" + b"".join(b"K" + bytes([value]) for value in values) + b"t"

    def tensor(its_storage, offset, sizes, strides):
        return (b"ctorch._utils\n_rebuild_tensor\n(" + its_storage + b"K" + bytes([offset]) + numbers(*sizes) +
                numbers(*strides) + b"tR")

    view = b"(" + string("view") + b"K\x04K\x02t"  # 2 elements from the fourth on
    items = [("module.weight", tensor(storage("10", 6), 0, (2, 3), (3, 1))),
             ("module.bias", tensor(storage("10", 6, view), 0, (2,), (1,)))]
    pairs = b"](" + b"".join(b"](" + string(name) + value + b"e" for name, value in items) + b"e"
    state = b"ccollections\nOrderedDict\n(" + pairs + b"tR"
    dtype = b"cnumpy\ndtype\n(" + string("f8") + b"K\x00K\x01tR(K\x03" + string("<") + b"NNNJ\xff\xff\xff\xff" + \
        b"J\xff\xff\xff\xffK\x00tb"
    accuracy = b"cnumpy.core.multiarray\nscalar\n(" + dtype + string(struct.pack("<d", 87.5).decode("latin1")) + b"tR"
    root = b"\x80\x02}(" + string("net") + state + string("acc") + accuracy + string("epoch") + b"K\x09u."
    head = (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02M\xe9\x03." + b"\x80\x02}(" +
            string("little_endian") + b"\x88u.")
    keys = b"\x80\x02](" + string("10") + b"e."
    raw = struct.pack("<q6f", 6, *range(6))
    (FOLDER / "python2-legacy.pt").write_bytes(head + root + keys + raw)
    read_back = torch.load(io.BytesIO(head + root + keys + raw), weights_only=False, map_location="cpu",
                           encoding="latin1")
    assert read_back["net"]["module.bias"].tolist() == [4, 5] and read_back["acc"] == 87.5


def safetensors(name, tensors, metadata=None):
    """The format's description is https://huggingface.co/docs/safetensors."""
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
             "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for key, tensor in tensors.items():
        raw = bytes(tensor.contiguous().flatten().view(torch.uint8).tolist()) if tensor.dim() else struct.pack(
            "<f", tensor.item())
        header[key] = {"dtype": names[str(tensor.dtype).removeprefix("torch.")], "shape": list(tensor.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (FOLDER / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save_zip_and_legacy()
    save_refused()
    save_exported()
    python2_legacy()
    safetensors("plain.safetensors", prefixed_names(plain_state()), {"epoch": "3", "format": "pt"})
    safetensors("types.safetensors", many_types())
    total = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"{len(list(FOLDER.iterdir()))} files, {total} bytes in {FOLDER}", file=sys.stderr)


def prefixed_names(state):
    return {"module." + name: tensor for name, tensor in state.items()}


if __name__ == "__main__":
    main()
