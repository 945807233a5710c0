"""The file: a stored zip whose members can be mapped, equal for equal problems, without paths; its manifest."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import mmap
import pathlib
import shutil
import struct
import subprocess
import sys
import zipfile

import numpy
import pytest
import torch
import torch.nn.functional as F
from networks import GPT, CausalSelfAttention, ResNet, UNet, ViT, contrastive, dice, images, mlp
from replay import Replay
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lossatlas import ProblemError, archive, export_problem
from lossatlas.archive import Archive
from lossatlas.slices import slices

ROOT = pathlib.Path(__file__).resolve().parents[2]


def table(samples: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(samples, 6, generator=generator), torch.randint(0, 3, (samples,), generator=generator)


def small() -> nn.Module:
    torch.manual_seed(1)
    return mlp(6, 8, 3)


def test_members_are_stored_aligned_and_have_their_digests(tmp_path) -> None:
    path = tmp_path / "p.lossatlas"
    manifest = export_problem(small(), "cross-entropy", table(), path, quiet=True)
    with zipfile.ZipFile(path) as file, open(path, "rb") as raw:
        assert file.testzip() is None
        content = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        names = file.namelist()
        assert names[-1] == "manifest.json" and set(manifest["members"]) == set(names[:-1])
        for info in file.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            name_size, extra_size = struct.unpack_from("<HH", content, info.header_offset + 26)
            start = info.header_offset + 30 + name_size + extra_size
            assert start % 64 == 0
            assert content[start:start + info.file_size] == file.read(info)
            if info.filename != "manifest.json":
                entry = manifest["members"][info.filename]
                assert entry == {"size": info.file_size, "sha256": hashlib.sha256(file.read(info)).hexdigest()}


def test_members_of_more_than_32_bits(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archive, "LIMIT", 100)  # 64-bit fields from 100 bytes on
    file = Archive(str(tmp_path / "z.zip"))
    large = [file.reserve("a", 300), file.reserve("b", 99), file.reserve("c", 100)]
    for step in range(3):  # side by side
        for member in large:
            file.append(member, bytes([step]) * (member.size // 3 + (member.size % 3 if step == 2 else 0)))
    file.close()
    with zipfile.ZipFile(tmp_path / "z.zip") as read:
        assert read.testzip() is None
        assert [(info.filename, info.file_size) for info in read.infolist()] == [("a", 300), ("b", 99), ("c", 100)]
        assert read.read("a") == b"\0" * 100 + b"\1" * 100 + b"\2" * 100
    if tool := shutil.which("unzip"):
        subprocess.run([tool, "-tqq", tmp_path / "z.zip"], check=True)


def test_equal_problems_make_equal_files_without_paths(tmp_path) -> None:
    files = []
    for name in ("a", "b"):
        torch.manual_seed(2)
        export_problem(UNet(), dice, (torch.randn(20, 3, 8, 8), torch.randint(0, 3, (20, 8, 8))), tmp_path / name,
                       quiet=True)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    for word in (b".py", b"stack_trace", b"nn_module_stack", str(ROOT).encode(), str(tmp_path).encode()):
        assert word not in files[0]


def test_network_is_left_as_it_was(tmp_path) -> None:
    model = ResNet().train()
    model.layer1.eval()
    modes = [module.training for module in model.modules()]
    state = {name: (value, value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    data = images()
    random = torch.get_rng_state()
    export_problem(model, "cross-entropy", data, tmp_path / "p.lossatlas", quiet=True)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.state_dict(keep_vars=True).items():
        assert value is state[name][0] and torch.equal(value, state[name][1])
        assert value.grad is None


def test_what_trains_is_marked_and_half_precision_kept(tmp_path) -> None:
    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(6, 3).bfloat16().requires_grad_(False)
            self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 3, bias=False)
            self.temperature = nn.Parameter(torch.tensor(0.5))

        def forward(self, x: Tensor) -> Tensor:
            return (self.base(x.bfloat16()).float() + self.up(self.down(x))) / self.temperature

    manifest = export_problem(Adapted(), "cross-entropy", table(), tmp_path / "p.lossatlas", quiet=True)
    entries = {entry["name"]: (entry["trained"], entry["dtype"], entry["shape"]) for entry in manifest["parameters"]}
    assert entries == {"temperature": (True, "float32", []), "base.weight": (False, "bfloat16", [3, 6]),
                       "base.bias": (False, "bfloat16", [3]), "down.weight": (True, "float32", [2, 6]),
                       "up.weight": (True, "float32", [3, 2])}


def test_a_network_of_bfloat16(tmp_path) -> None:
    model = small().bfloat16()
    x, y = table()
    manifest = export_problem(model, "cross-entropy", (x.bfloat16(), y), tmp_path / "p.lossatlas", quiet=True)
    assert {entry["dtype"] for entry in manifest["parameters"]} == {"bfloat16"}
    loss = Replay(tmp_path / "p.lossatlas").run([x.bfloat16(), y])["loss"]
    torch.testing.assert_close(loss, F.cross_entropy(model(x.bfloat16()).float(), y, reduction="none"))


def test_tied_tensors_are_one_with_aliases(tmp_path) -> None:
    model = GPT()
    model.extra = nn.Linear(16, 30, bias=False)
    model.extra.weight = nn.Parameter(model.wte.weight.data)  # the same memory by another object
    tokens = torch.randint(0, 30, (20, 12))
    manifest = export_problem(model, "next-token", tokens, tmp_path / "p.lossatlas", quiet=True)
    names = [entry["name"] for entry in manifest["parameters"]]
    assert names.count("wte.weight") == 1 and "lm_head.weight" not in names and "extra.weight" not in names
    assert manifest["aliases"] == {"lm_head.weight": "wte.weight", "extra.weight": "wte.weight"}
    assert {entry["name"]: entry["persistent"] for entry in manifest["buffers"]} == {
        "h.0.attn.bias": False, "h.1.attn.bias": False}


def test_a_module_under_two_names_is_left_as_it_was(tmp_path) -> None:
    model = mlp(6, 6, 6)
    model.append(model[0])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(20, 6)
    manifest = export_problem(model, "mse", (x, x.flip(1)), tmp_path / "p.lossatlas", quiet=True)
    assert manifest["aliases"] == {"3.weight": "0.weight", "3.bias": "0.bias"} and not manifest["coupled"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert isinstance(model[0].weight, nn.Parameter)


def slices_of(model: nn.Module) -> dict[str, tuple]:
    found = {name: slices(model, name, tensor) for name, tensor in model.named_parameters()}
    return {name: (entry["class"], entry["slice_axis"], entry["head"]) for name, entry in found.items()
            if entry["slice_axis"] is not None}


def test_slices_of_filters_and_heads() -> None:
    gpt = slices_of(GPT())
    assert gpt["wte.weight"] == ("Embedding", 0, None)
    assert gpt["h.0.attn.c_attn.weight"] == ("Linear", 0, {"axis": 0, "size": 4})
    assert gpt["h.0.attn.c_proj.weight"] == ("Linear", 0, {"axis": 1, "size": 4})
    assert gpt["h.0.mlp.c_proj.weight"] == ("Linear", 0, None)
    vit = slices_of(ViT())
    assert vit["encoder.layers.0.self_attn.in_proj_weight"] == ("MultiheadAttention", 0, {"axis": 0, "size": 4})
    assert vit["encoder.layers.0.self_attn.out_proj.weight"][2] == {"axis": 1, "size": 4}
    assert vit["encoder.layers.0.linear1.weight"] == ("Linear", 0, None)
    unet = slices_of(UNet())
    assert unet["up.weight"] == ("ConvTranspose2d", 1, None) and unet["last.weight"] == ("Conv2d", 0, None)
    assert slices(UNet(), "last.bias", torch.zeros(3))["slice_axis"] is None


class Conv1D(nn.Module):
    """As Hugging Face's GPT-2 has it: a linear layer of [in, out]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.weight = nf, nn.Parameter(torch.zeros(nx, nf))


def test_slices_of_transposed_grouped_and_unknown_heads() -> None:
    attention = CausalSelfAttention(16, 4)
    attention.c_attn, attention.c_proj = Conv1D(48, 16), Conv1D(16, 16)
    found = slices_of(attention)
    assert found["c_attn.weight"] == ("Conv1D", 1, {"axis": 1, "size": 4})
    assert found["c_proj.weight"] == ("Conv1D", 1, {"axis": 0, "size": 4})

    grouped = nn.Module()  # 4 heads of 6 numbers for queries, 2 for keys and values
    grouped.q_proj, grouped.k_proj, grouped.o_proj = nn.Linear(16, 24), nn.Linear(16, 12), nn.Linear(24, 16)
    grouped.num_heads, grouped.num_key_value_heads = 4, 2
    found = slices_of(grouped)
    assert found["q_proj.weight"][2] == found["k_proj.weight"][2] == {"axis": 0, "size": 6}
    assert found["o_proj.weight"][2] == {"axis": 1, "size": 6}
    del grouped.num_heads
    assert slices_of(grouped)["q_proj.weight"][2] == "unknown"


def test_coupled_losses_have_batches_of_one_size(tmp_path) -> None:
    model, x = small(), table()[0]
    with pytest.raises(ProblemError, match="depends on the others of its batch: give batch_size=N"):
        export_problem(model, contrastive, x, tmp_path / "p.lossatlas", quiet=True)
    manifest = export_problem(model, contrastive, x, tmp_path / "p.lossatlas", batch_size=12, test=x[:25], quiet=True)
    assert manifest["coupled"] is True and manifest["batch"] == 12
    assert (manifest["data"]["samples"], manifest["test"]["samples"]) == (36, 24)
    stored = Replay(tmp_path / "p.lossatlas")
    torch.testing.assert_close(stored.run([x[12:24]])["loss"], contrastive(model, x[12:24]))
    assert stored.manifest["reference"]["outputs"]["loss"] == pytest.approx(contrastive(model, x[:12]).tolist())


def test_a_batch_size_that_is_written_into_the_loss(tmp_path) -> None:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x).view(8, 3), y, reduction="none")

    model, (x, y) = small(), table()
    with pytest.raises(ProblemError, match="the loss fails on the first 11 samples"):
        export_problem(model, loss, (x, y), tmp_path / "p.lossatlas", quiet=True)
    manifest = export_problem(model, loss, DataLoader(TensorDataset(x, y), batch_size=8), tmp_path / "p.lossatlas",
                              quiet=True)
    assert manifest["batch"] == 8 and manifest["graphs"]["eval"]["way"] == "torch.export with a fixed batch"
    torch.testing.assert_close(Replay(tmp_path / "p.lossatlas").run([x[8:16], y[8:16]])["loss"],
                               loss(model, x[8:16], y[8:16]))


def test_wrapped_networks_have_their_own_names(tmp_path) -> None:
    manifest = export_problem(nn.DataParallel(small()), "cross-entropy", table(), tmp_path / "p", quiet=True)
    assert [entry["name"] for entry in manifest["parameters"]] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_constants_and_measures(tmp_path) -> None:
    classes = torch.tensor([0.2, 0.5, 1.0])

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(x)
        return F.cross_entropy(logits, y, reduction="none", weight=classes), {
            "accuracy": logits.argmax(1) == y, "weight": classes[y], "entropy": -(logits.softmax(1) * logits).sum(1)}

    model, (x, y) = small(), table()
    manifest = export_problem(model, loss, (x, y), tmp_path / "p.lossatlas", quiet=True)
    assert manifest["outputs"] == ["loss", "accuracy", "weight", "entropy"]
    assert [(entry["dtype"], entry["shape"]) for entry in manifest["graphs"]["eval"]["constants"]] == [("float32", [3])]
    assert [entry["name"] for entry in manifest["inputs"]] == ["x", "y"]
    outputs = Replay(tmp_path / "p.lossatlas").run([x, y])
    mean = (outputs["loss"] * outputs["weight"]).sum() / outputs["weight"].sum()
    own, more = loss(model, x, y)
    torch.testing.assert_close(mean, (own * more["weight"]).sum() / more["weight"].sum())
    torch.testing.assert_close(outputs["entropy"], more["entropy"])


@pytest.mark.parametrize("samples", [1, 3])
def test_few_samples_are_one_batch(samples: int, tmp_path) -> None:
    model, (x, y) = small(), table(samples)
    manifest = export_problem(model, "cross-entropy", (x, y), tmp_path / "p.lossatlas", quiet=True)
    assert manifest["batch"] == samples and manifest["coupled"] is False
    torch.testing.assert_close(Replay(tmp_path / "p.lossatlas").run([x, y])["loss"],
                               F.cross_entropy(model(x), y, reduction="none"))


def test_one_file_works_by_itself(tmp_path) -> None:
    copy = tmp_path / "lossatlas_export.py"
    printed = subprocess.run([sys.executable, ROOT / "python" / "one_file"], check=True, capture_output=True)
    copy.write_bytes(printed.stdout)
    spec = importlib.util.spec_from_file_location("lossatlas_export", copy)
    module = sys.modules["lossatlas_export"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.export_problem(small(), "cross-entropy", table(), tmp_path / "a", quiet=True)
    export_problem(small(), "cross-entropy", table(), tmp_path / "b", quiet=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_manifest_is_what_export_problem_returns_and_says(tmp_path, capsys) -> None:
    path = tmp_path / "p.lossatlas"
    x, y = table()
    manifest = export_problem(small(), "cross-entropy", (x, y), path, test=(x[:10], y[:10]), label_smoothing=0.1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: data: 40 samples of input float32 [6], target int64 []: 0.0 MB"
    assert lines[1] == f"{path}: test: 10 samples of input float32 [6], target int64 []: 0.0 MB"
    assert lines[2].startswith(f"{path}: written, by torch.export, for batches of any size; largest relative errors: ")
    assert manifest == json.loads(zipfile.ZipFile(path).read("manifest.json"))
    assert manifest["loss"] == {"name": "cross-entropy", "label_smoothing": 0.1, "ignore_index": -100}
    assert numpy.frombuffer(zipfile.ZipFile(path).read("test/0001"), numpy.int64).tolist() == y[:10].tolist()
