"""Every way in which torch.save writes a tensor: its values are read as PyTorch has them, or one line names it."""

import collections
import io
import struct
import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import helpers


@pytest.fixture(scope="module")
def weight():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(10, 3072, generator=generator) / 50


def state(weight):
    return {"linear.weight": weight, "linear.bias": torch.linspace(-1, 1, 10)}


class Named(torch.Tensor):
    pass


class TensorOnly(torch.Tensor):
    """Keeps its values in another tensor, as those of torchao do."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return torch.empty(args[0].shape)


def tagged(tensor):
    tensor.note = "an attribute"
    return tensor


def halves(weight):
    """A view in the midst of a storage."""
    return torch.cat([torch.ones(5, 3072), weight, torch.ones(3, 3072)])[5:15]


FORMS = {
    "plain": lambda w: w,
    "parameter": lambda w: torch.nn.Parameter(w),
    "parameter with an attribute": lambda w: tagged(torch.nn.Parameter(w)),
    "tensor with an attribute": lambda w: tagged(w.clone()),
    "buffer": lambda w: torch.nn.Buffer(w),
    "transposed": lambda w: w.t().contiguous().t(),
    "every other column": lambda w: w.repeat_interleave(2, dim=1)[:, ::2],
    "in the midst": halves,
    "expanded": lambda w: w[:1].expand(10, 3072),
    "negated": lambda w: torch._neg_view(-w),
    "imaginary part": lambda w: torch.complex(torch.zeros_like(w), -w).conj().imag,
    "requires a gradient": lambda w: w.clone().requires_grad_(),
    **{name: lambda w, name=name: w.to(getattr(torch, name)) for name in (
        "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")},
    **{name: lambda w, name=name: (w * 50).abs().to(getattr(torch, name)) for name in (
        "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool")},
    "float8_e8m0fnu": lambda w: w.abs().to(torch.float8_e8m0fnu),
}
LEGACY = {"_use_new_zipfile_serialization": False}


@pytest.fixture(scope="module")
def check_values(lossatlas, pictures):
    """check_values(path, tensors): the loss at a checkpoint is that of PyTorch's numbers in float64."""

    images, labels = pictures.batch("train")

    def check(path, tensors):
        out = path.with_suffix(".h5")
        lossatlas("line", "--checkpoint", path, "--arch", "linear", "--data", pictures.words, "--out", out, "--x", "0:1",
                  "--points", 2, "--threads", 1, "--force").ok()
        tensors = {name: tensor.detach().resolve_neg().double() for name, tensor in tensors.items()}
        want = F.cross_entropy(helpers.linear(tensors, images), labels).item()
        assert helpers.read(out)["train_loss"][0] == pytest.approx(want, rel=1e-5)

    return check


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_tensor(check_values, weight, tmp_path, form):
    tensors = state(FORMS[form](weight))
    for name, options in (("zip", {}), ("legacy", LEGACY)):
        torch.save(tensors, tmp_path / f"{name}.pt", **options)
        check_values(tmp_path / f"{name}.pt", tensors)


def resaved(path, method, repeated=None):
    """The same archive, each entry packed again by `method`; `repeated` stands in it twice."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            for _ in range(1 + name.endswith(repeated or "no such entry")):
                new.writestr(name, old.read(name))


def write_safetensors(path, text, data):
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)


def test_containers(check_values, weight, tmp_path):
    tensors = state(weight)
    path = tmp_path / "c.pt"
    both = torch.cat([weight.flatten(), tensors["linear.bias"]])
    shared = {"linear.weight": both[:30720].view(10, 3072), "linear.bias": both[30720:]}
    optimizer = torch.optim.Adam([torch.nn.Parameter(weight.clone())])
    optimizer.param_groups[0]["params"][0].grad = weight
    optimizer.step()
    for content in (collections.OrderedDict(tensors), shared, {"net": tensors, "epoch": 3, "lr": 0.1, "n": None},
                    {"model": tensors, "optimizer": optimizer.state_dict(), "acc": np.float32(7)},
                    {"module." + name: tensor for name, tensor in tensors.items()}):
        for options in ({}, LEGACY, {"pickle_protocol": 4}):
            torch.save(content, path, **options)
            check_values(path, tensors)
    torch.save(state(weight.round(decimals=1)), path)
    resaved(path, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 4 * 30720
    check_values(path, state(weight.round(decimals=1)))


COMPLEX = torch.ones(10, 3072, dtype=torch.complex64)
REFUSED = {
    "sparse": (lambda w: w.to_sparse(), ".to_dense()"),
    "csr": (lambda w: w.to_sparse_csr(), ".to_dense()"),
    "meta": (lambda w: w.to("meta"), "meta device"),
    "quantized": (lambda w: torch.quantize_per_tensor(w, 0.01, 3, torch.qint8), ".dequantize()"),
    "quantized by channel": (lambda w: torch.quantize_per_channel(w, torch.ones(10), torch.zeros(10), 0, torch.quint8),
                             ".dequantize()"),
    "nested": (lambda w: torch.nested.nested_tensor([w, w]), ".unbind()"),
    "complex": (lambda w: COMPLEX, "view_as_real"),
    "conjugated": (lambda w: COMPLEX.conj(), "view_as_real"),
    "half complex": (lambda w: COMPLEX.to(torch.complex32), "view_as_real"),
    "bits": (lambda w: w.view(torch.uint8).view(torch.bits8), "'torch.bits8'"),
    "four bits": (lambda w: w.view(torch.uint8).view(torch.float4_e2m1fn_x2), "'torch.float4_e2m1fn_x2'"),
    "subclass": (lambda w: w.as_subclass(Named), "as_subclass(torch.Tensor)"),
    "wrapper": (lambda w: TensorOnly(w), "plain tensor"),
    "lazy": (lambda w: torch.nn.LazyLinear(3).weight, "not initialized"),
    "numpy": (lambda w: w.numpy(), "torch.from_numpy()"),
}


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_read_is_refused_by_its_name(lossatlas, weight, tmp_path, form):
    make, remedy = REFUSED[form]
    for options in ({}, LEGACY):
        torch.save({"state_dict": state(make(weight))}, tmp_path / "x.pt", **options)
        done = lossatlas("info", tmp_path / "x.pt")
        line = done.line()
        assert done.status == 1 and f"{tmp_path / 'x.pt'}: 'linear.weight': " in line and remedy in line, line
        assert line.count("x.pt") == 1


def test_a_quantized_network_is_refused(lossatlas, tmp_path):
    with pytest.warns():
        network = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(3, 2)))
    torch.save(network.state_dict(), tmp_path / "q.pt")
    assert ".dequantize() of each tensor" in lossatlas("info", tmp_path / "q.pt").line()


def test_entries_that_stand_twice(lossatlas, weight, tmp_path):
    path = tmp_path / "twice.pt"
    refusal = lambda: lossatlas("info", path).line()
    torch.save(state(weight), path)
    resaved(path, zipfile.ZIP_STORED, repeated="data/0")
    assert f"{path}: holds the entry 'data/0' twice" in refusal()

    entry = '"w": {"dtype": "U8", "shape": [1], "data_offsets": [%d, %d]}'
    write_safetensors(path, "{%s, %s}" % (entry % (0, 1), entry % (1, 2)), bytes(2))
    assert f"{path}: holds tensor 'w' twice" in refusal()

    torch.save({"wa": weight, "wb": weight}, path, **LEGACY)
    path.write_bytes(path.read_bytes().replace(b"X\x02\0\0\0wb", b"X\x02\0\0\0wa"))
    assert f"{path}: holds the entry 'wa' twice" in refusal()


def test_safetensors_without_gaps(lossatlas, tmp_path):
    path = tmp_path / "w.safetensors"
    for offsets, size, what in (((1, 2), 2, "'w': at bytes 1 to 2"), ((0, 1), 2, "1 bytes after its last tensor")):
        write_safetensors(path, '{"w": {"dtype": "U8", "shape": [1], "data_offsets": [%d, %d]}}' % offsets, bytes(size))
        assert f"{path}: " in lossatlas("info", path).line() and what in lossatlas("info", path).line()


def test_a_missing_tensor_shows_the_prefix_in_the_file(lossatlas, weight, pictures, tmp_path):
    torch.save({"_orig_mod.linear.weight": weight}, tmp_path / "p.pt")  # with a bias the prefix would be stripped
    line = lossatlas("line", "--checkpoint", tmp_path / "p.pt", "--arch", "linear", "--data", pictures.words, "--out",
                     tmp_path / "l.h5").line()
    assert line.endswith("missing: linear.weight [10, 3072], linear.bias [10]; unknown to the network: "
                         "_orig_mod.linear.weight [10, 3072]")
