"""Checkpoints as well-known scripts write them: the weights that PyTorch would load, whatever stands around them."""

import argparse
import collections
import datetime
import enum
import hashlib
import json
import pathlib
import struct
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import parametrizations, prune

import helpers


class Config(dict):
    """As OmegaConf's or Lightning's: a class of its own."""

    def __init__(self, **entries):
        super().__init__(entries)
        self.parent = pathlib.Path("/somewhere")


class Phase(enum.Enum):
    FIT = "fit"


class Recorder:
    """Leaves a trace if a reader runs it."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return open, (self.trace, "w")


@pytest.fixture(scope="module")
def state(checkpoint):
    """The state_dict of a small trained ResNet20."""
    return helpers.load(checkpoint)["state_dict"]


@pytest.fixture(scope="module")
def averaged(state):
    return collections.OrderedDict((name, tensor * 0.9 if tensor.is_floating_point() else tensor)
                                   for name, tensor in state.items())


@pytest.fixture(scope="module")
def check_values(lossatlas, pictures):
    """check_values(path, state, words...): the loss at the file is that of PyTorch with this state; the notes."""
    images, labels = pictures.batch("train")

    def check(path, state, *words):
        out = path.with_name(path.name + ".h5")
        done = lossatlas("line", "--checkpoint", path, "--arch", "resnet20", "--width", 4, "--data", pictures.words,
                         "--split", "train", "--out", out, "--x", "0:1", "--points", 2, "--threads", 1, "--force", *words)
        done.ok()
        state = {name: tensor.double() for name, tensor in state.items()}
        want = F.cross_entropy(helpers.resnet20(state, images), labels).item()
        assert helpers.read(out)["train_loss"][0] == pytest.approx(want, rel=1e-5)
        return [line[6:] for line in done.err.splitlines() if line.startswith("note: ")]

    return check


def prefixed(prefix, state):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def sgd(state):
    """An optimizer's state after a step."""
    parameters = [torch.nn.Parameter(state[name].clone()) for name in helpers.parameter_names(state)]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    for parameter in parameters:
        parameter.grad = parameter.detach()
    optimizer.step()
    return optimizer


def timm(state, averaged):
    arguments = argparse.Namespace(model="resnet20", lr=0.1, path=pathlib.Path("data"), mean=(0.1, 0.2))
    return {"epoch": 3, "arch": "resnet20", "state_dict": state, "optimizer": sgd(state).state_dict(), "version": 2,
            "args": arguments, "amp_scaler": {"scale": 65536.0}, "state_dict_ema": averaged, "metric": np.float64(93.5)}


def torchvision(state, averaged):
    optimizer = sgd(state)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [
        torch.optim.lr_scheduler.LinearLR(optimizer), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9)], [3])
    return {"model": state, "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(), "epoch": 3,
            "args": argparse.Namespace(model="resnet20", device=torch.device("cpu"), date=datetime.date(2024, 1, 2)),
            "model_ema": {"n_averaged": torch.tensor(7), **prefixed("module.", averaged)}}


def lightning(state, averaged):
    return {"epoch": 3, "global_step": 99, "pytorch-lightning_version": "2.2.0", "state_dict": prefixed("model.", state),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
            "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.5),
                                                                     "dirpath": pathlib.Path("/logs")}},
            "optimizer_states": [sgd(state).state_dict()], "lr_schedulers": [], "hparams_name": "kwargs",
            "hyper_parameters": Config(lr=0.1, widths={1, 2}, phase=Phase.FIT, z=1j, a=np.ones(3)),
            "counts": collections.defaultdict(int, a=1)}


def deepspeed(state, averaged):
    return {"module": state, "buffer_names": [], "optimizer": None, "lr_scheduler": None, "data_sampler": None,
            "random_ltd": None, "sparse_tensor_module_names": set(), "skipped_steps": 0, "global_steps": 99,
            "dp_world_size": 1, "ds_config": Config(train_batch_size=8), "ds_version": "0.14.0"}


def nanogpt(state, averaged):
    return {"model": prefixed("_orig_mod.", state), "optimizer": sgd(state).state_dict(), "model_args": {"n_layer": 2},
            "iter_num": 2000, "best_val_loss": torch.tensor(1.5), "config": {"out_dir": "out", "lr": 6e-4}}


def akamaster(state, averaged):
    return {"state_dict": prefixed("module.", state), "best_prec1": 91.7}


def kuangliu(state, averaged):
    return {"net": prefixed("module.", state), "acc": 95.2, "epoch": 199}


def basicsr(state, averaged):
    return {"params": state, "params_ema": averaged}


def fastai(state, averaged):
    return {"model": state, "opt": {"state": [], "hypers": []}}


def mmengine(state, averaged):
    return {"meta": {"time": datetime.datetime(2024, 1, 2, 3, 4), "cfg": Config(a=1)}, "message_hub": Config(),
            "state_dict": prefixed("backbone.", state)}


def distributed(state, averaged):
    return prefixed("module._orig_mod.model.", state)


def of_weights(state, averaged):
    return {"weights": state, "config": np.array([1, "a"], dtype=object), "phase": torch.ones(3, dtype=torch.complex64),
            "codes": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "sparse": torch.eye(3).to_sparse()}


def only_averaged(state, averaged):
    return {"ema": state, "step": 3, "best": torch.tensor(0.5), "losses": np.ones(3)}


STRIPPED = "names begin with '{}', which was stripped"
SCRIPTS = {  # what they write, and what is said
    timm: ["took 'state_dict', not the averaged weights; --key state_dict_ema takes those"],
    torchvision: ["took 'model', not the averaged weights; --key model_ema takes those"],
    lightning: [STRIPPED.format("model.")],
    deepspeed: [],
    nanogpt: [STRIPPED.format("_orig_mod.")],
    akamaster: [STRIPPED.format("module.")],
    kuangliu: [STRIPPED.format("module.")],
    basicsr: ["took 'params', not the averaged weights; --key params_ema takes those"],
    fastai: [],
    mmengine: [STRIPPED.format("backbone.")],
    distributed: [STRIPPED.format("module._orig_mod.model.")],
    of_weights: [],
    only_averaged: ["took the averaged weights 'ema': there are no others"],
}


@pytest.mark.parametrize("script", [script if script in (nanogpt, of_weights, only_averaged) else pytest.param(
    script, marks=pytest.mark.full) for script in SCRIPTS])
@pytest.mark.filterwarnings("ignore")
def test_scripts(check_values, state, averaged, tmp_path, script):
    for name, options in (("a.ckpt", {}), ("b.pt", {"_use_new_zipfile_serialization": False}),
                          ("c.pt", {"pickle_protocol": 5}))[: 3 if script in (timm, lightning, of_weights) else 1]:
        torch.save(script(state, averaged), tmp_path / name, **options)
        notes = check_values(tmp_path / name, state)
        assert notes == [f"{tmp_path / name}: {note}" for note in SCRIPTS[script]]


@pytest.mark.parametrize("script, key", [(timm, "state_dict_ema"), (torchvision, "model_ema"), (basicsr, "params_ema")])
def test_key_chooses_the_averaged_weights(check_values, state, averaged, tmp_path, script, key):
    torch.save(script(state, averaged), tmp_path / "a.pt")
    notes = check_values(tmp_path / "a.pt", averaged, "--key", key)
    assert not any("took" in note for note in notes)
    assert helpers.settings(tmp_path / "a.pt.h5")["key"] == key


def test_a_key_within_another_and_one_that_is_not_there(check_values, lossatlas, pictures, state, averaged, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"all": {"raw": state, "slow.one": averaged}, "model": dict(state), "epoch": 1}, path)
    check_values(path, averaged, "--key", "all.slow.one")
    line = lossatlas("info", path, "--key", "no").line()
    assert line == (f"lossatlas: {path}: --key no: no entry of that name holds tensors; those that do: 'all.raw', "
                    "'all.slow.one', 'model'")
    described = json.loads(lossatlas("info", path, "--json").ok().out)
    numbers = sum(tensor.numel() for tensor in state.values())
    assert described["key"] == "model"
    assert described["groups"] == [{"key": key, "tensors": len(state), "numbers": numbers}
                                   for key in ("all.raw", "all.slow.one", "model")]
    assert json.loads(lossatlas("info", path, "--json", "--key", "all.raw").ok().out)["key"] == "all.raw"
    torch.save(state, path)
    assert "no entry of that name holds tensors; those that do: none" in lossatlas("info", path, "--key", "a").line()


def test_other_weights_of_the_same_file_are_no_resume(lossatlas, pictures, state, averaged, tmp_path):
    torch.save(basicsr(state, averaged), tmp_path / "a.pt")
    words = ("line", "--checkpoint", tmp_path / "a.pt", "--arch", "resnet20", "--width", 4, "--data", pictures.words,
             "--samples", 10, "--points", 3, "--out", tmp_path / "l.h5", "--threads", 1)
    lossatlas(*words).ok()
    assert "key" not in helpers.settings(tmp_path / "l.h5")
    assert "key" in lossatlas(*words, "--key", "params_ema", "--resume").err.splitlines()[-1]


def test_nothing_is_run_and_a_network_is_refused(lossatlas, state, tmp_path):
    trace = tmp_path / "trace"
    torch.save({"net": state, "evil": Recorder(trace)}, tmp_path / "a.pt")
    lossatlas("info", tmp_path / "a.pt").ok()
    torch.save({"net": state | {"conv1.weight": Recorder(trace)}}, tmp_path / "b.pt")
    lossatlas("info", tmp_path / "b.pt").ok()
    trace.unlink(missing_ok=True)
    torch.save({"model": torch.nn.Linear(2, 1), "epoch": 1}, tmp_path / "c.pt")
    line = lossatlas("info", tmp_path / "c.pt").line()
    assert "c.pt: 'model': the pickle asks for 'torch.nn.modules.linear.Linear', which Lossatlas does not run" in line
    assert "state_dict()" in line and not trace.exists()


def test_a_network_in_the_place_of_averages_and_weights_under_other_names(lossatlas, state, tmp_path):
    torch.save({"model": None, "ema": torch.nn.Linear(2, 1)}, tmp_path / "a.pt")
    assert "a.pt: 'ema': the pickle asks for 'torch.nn.modules.linear.Linear'" in lossatlas("info", tmp_path / "a.pt").line()
    torch.save({"critic": {"w": torch.ones(2)}, "generator": state}, tmp_path / "b.pt")
    assert lossatlas("info", tmp_path / "b.pt").line().endswith("; --key generator chooses that entry")


def test_what_holds_itself_or_repeats_costs_nothing(lossatlas, state, tmp_path):
    itself = {"lr": 0.1}
    itself |= {"a": itself, "b": itself, "list": [itself], "inner": {"up": itself, "decay": 0.5}}
    twice = {"leaf": 1}
    for _ in range(60):
        twice = {"left": twice, "right": twice}
    torch.save({"model": state, "itself": itself, "around": {"c": itself}, "twice": twice, "few": [[1, 2]] * 3, "epoch": 3},
               tmp_path / "a.pt")
    begin = time.monotonic()
    metadata = json.loads(lossatlas("info", tmp_path / "a.pt", "--json").ok().out)["metadata"]
    assert time.monotonic() - begin < 5  # seconds; walking each path takes longer than there are atoms
    kept = {"lr": 0.1, "inner": {"decay": 0.5}}
    assert metadata == {"itself": kept, "around": {"c": kept}, "few": [[1, 2]] * 3, "epoch": 3}


def pruned(weight):
    layer = torch.nn.Conv2d(1, 1, 1, bias=False)
    layer.weight = torch.nn.Parameter(weight.clone())
    prune.l1_unstructured(layer, "weight", amount=0.3)
    return {"weight" + name[6:]: tensor for name, tensor in layer.state_dict().items() if "weight" in name}, layer.weight


def normed(weight):
    layer = torch.nn.Conv2d(1, 1, 1, bias=False)
    layer.weight = torch.nn.Parameter(weight.clone())
    layer = torch.nn.utils.weight_norm(layer)
    with torch.no_grad():
        layer.weight_g *= 1.1
    layer(torch.ones(1, weight.shape[1], 9, 9))
    return {name: tensor for name, tensor in layer.state_dict().items() if "weight" in name}, layer.weight


def parametrized(weight):
    layer = torch.nn.Conv2d(1, 1, 1, bias=False)
    layer.weight = torch.nn.Parameter(weight.clone())
    layer = parametrizations.weight_norm(layer)
    with torch.no_grad():
        layer.parametrizations.weight.original0 *= 0.9
    return {name: tensor for name, tensor in layer.state_dict().items() if "weight" in name}, layer.weight


HALVES = {pruned: "19 weights are pruned: multiplied by the mask",
          normed: "19 weights are stored as length and direction (weight norm): put together",
          parametrized: "19 weights are stored as length and direction (weight norm): put together"}


@pytest.mark.parametrize("form", HALVES)
@pytest.mark.filterwarnings("ignore")
def test_pruned_and_weight_normed(check_values, state, tmp_path, form):
    stored, whole, count = collections.OrderedDict(), dict(state), 0
    for name, tensor in state.items():
        if tensor.ndim != 4 or "shortcut" in name:
            stored[name] = tensor
            continue
        parts, weight = form(tensor)
        whole[name] = weight.detach()
        stored |= {name[: -len("weight")] + part: value for part, value in parts.items()}
        count += 1
    assert count == 19
    torch.save({"state_dict": stored}, tmp_path / "a.pt")
    assert check_values(tmp_path / "a.pt", whole) == [f"{tmp_path / 'a.pt'}: {HALVES[form]}"]


def test_a_path_of_prefixed_and_pruned_checkpoints(lossatlas, pictures, state, tmp_path):
    files = []
    for number in range(4):
        moved = {name: tensor + 0.01 * number * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(number))
                 if tensor.is_floating_point() and "running" not in name else tensor for name, tensor in state.items()}
        parts, weight = pruned(moved.pop("linear.weight"))
        torch.save(prefixed("model.", moved | {"linear." + name: value for name, value in parts.items()}),
                   tmp_path / f"e{number}.pt")
        torch.save(moved | {"linear.weight": weight.detach()}, tmp_path / f"plain{number}.pt")
    results = []
    for name in ("e", "plain"):
        out = tmp_path / f"{name}.h5"
        done = lossatlas("trajectory", "--checkpoints", f"{tmp_path}/{name}?.pt", "--arch", "resnet20", "--width", 4,
                         "--data", pictures.words, "--samples", 10, "--grid", "2x2", "--out", out, "--threads", 1).ok()
        results.append((helpers.read(out)["train_loss"], done.err))
    assert np.array_equal(results[0][0], results[1][0])
    assert results[0][1].count("names begin with 'model.', which was stripped") == 2  # the last one, and the others
    assert f"{tmp_path}/e0.pt and 2 more: names begin with 'model.'" in results[0][1]


# --- safetensors -------------------------------------------------------------------------------------------------


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    names = {torch.float32: "F32", torch.int64: "I64"}
    for name, tensor in tensors.items():
        part = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_shards(folder, state, ending="safetensors", prefix=""):
    """As Hugging Face's save_pretrained with a max_shard_size."""
    base = "model" if ending == "safetensors" else "pytorch_model"
    names, index = [prefix + name for name in state], {"metadata": {"total_size": 1}, "weight_map": {}}
    tensors = dict(zip(names, state.values()))
    for number, part in enumerate((names[:40], names[40:]), 1):
        name = f"{base}-{number:05}-of-00002.{ending}"
        shard = {key: tensors[key] for key in part}
        write_safetensors(folder / name, shard) if ending == "safetensors" else torch.save(shard, folder / name)
        index["weight_map"] |= dict.fromkeys(part, name)
    path = folder / f"{base}.{ending}.index.json"
    path.write_text(json.dumps(index))
    return path


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_shards(check_values, lossatlas, state, tmp_path, ending):
    path = write_shards(tmp_path, state, ending, "backbone.")
    assert check_values(path, state) == [f"{path}: names begin with 'backbone.', which was stripped"]
    shards = sorted(tmp_path.glob(f"*of-00002.{ending}"))
    digests = "".join(hashlib.sha256(file.read_bytes()).hexdigest() + "\n" for file in (path, *shards))
    assert helpers.settings(tmp_path / (path.name + ".h5"))["checkpoint"] == {
        "file": path.name, "sha256": hashlib.sha256(digests.encode()).hexdigest()}
    index = json.loads(path.read_text())
    index["weight_map"]["more"] = shards[0].name
    path.write_text(json.dumps(index))
    assert f"{path}: {shards[0].name} lacks tensor 'more', which the index lists there" in lossatlas("info", path).line()
    shards[1].unlink()
    assert f"{path}: {shards[0].name} lacks" in lossatlas("info", path).line()
    del index["weight_map"]["more"]
    path.write_text(json.dumps(index))
    assert f"{path}: {shards[1]}: cannot be opened: No such file" in lossatlas("info", path).line()
    for name in ("../x.safetensors", "/etc/passwd", "..", "", 3):
        path.write_text(json.dumps({"weight_map": {"w": name}}))
        assert "the name of a file beside it is required" in lossatlas("info", path).line()
    path.write_text(json.dumps({"weight_map": {"w": path.name}}))
    assert lossatlas("info", path).status == 1
    path.write_text('{"weight_map": {"w":')
    assert "is not JSON, or breaks off" in lossatlas("info", path).line()


def test_no_output_replaces_a_shard(lossatlas, pictures, state, tmp_path):
    path = write_shards(tmp_path, state)
    shard, before = tmp_path / "model-00002-of-00002.safetensors", helpers.tree(tmp_path)
    assert f"{shard} would be read and written" in lossatlas("convert", path, shard, "--force").line()
    (tmp_path / "link.h5").symlink_to(shard.name)
    words = ("--checkpoint", path, "--arch", "resnet20", "--width", 4, "--data", pictures.words, "--force")
    for option in ("--out", "--save-directions"):
        out = () if option == "--out" else ("--out", tmp_path / "s.h5")
        done = lossatlas("surface", *words, *out, option, tmp_path / "link.h5")
        assert done.status == 2 and f"{shard} would be read and written" in done.line()
    (tmp_path / "link.h5").unlink()
    assert helpers.tree(tmp_path) == before


def test_a_path_of_shards(lossatlas, pictures, state, tmp_path):
    files = []
    for number in range(3):
        folder = tmp_path / f"step-{number}"
        folder.mkdir()
        files.append(write_shards(folder, {name: tensor + number * torch.arange(tensor.numel()).view(tensor.shape) % 3 / 100
                                           if tensor.ndim > 1 else tensor for name, tensor in state.items()}))
    lossatlas("trajectory", "--checkpoints", ",".join(map(str, files)), "--arch", "resnet20", "--width", 4, "--data",
              pictures.words, "--samples", 10, "--grid", "2x2", "--out", tmp_path / "t.h5", "--threads", 1).ok()


# --- convert -----------------------------------------------------------------------------------------------------

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16",
          "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu")


def bits(tensor):
    return tensor.dtype, tensor.shape, tensor.contiguous().view(-1).view(torch.uint8).tolist() if tensor.numel() else []


def test_convert_bit_for_bit(lossatlas, tmp_path):
    generator = torch.Generator().manual_seed(1)
    raw = {name: torch.randint(0, 2 if name == "bool" else 256, (5, 8), dtype=torch.uint8, generator=generator)
           for name in DTYPES}
    tensors = {f"model.{name}": bytes.view(getattr(torch, name)) for name, bytes in raw.items()}
    tensors |= {"model.scalar": torch.tensor(7.5), "model.empty": torch.empty(0, 4), "model.turned": torch.ones(2, 3).t()}
    torch.save({"state_dict": tensors, "epoch": 3, "arch": "x", "ema": {"a": torch.ones(1)}}, tmp_path / "a.pt")
    done = lossatlas("convert", tmp_path / "a.pt", tmp_path / "b.safetensors").ok()
    assert done.out == f"{tmp_path / 'b.safetensors'}\n"
    assert done.err.splitlines()[-1].endswith("b.safetensors: left out, as the format holds one group of tensors: ema")
    content = (tmp_path / "b.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    assert size % 8 == 0 and header["__metadata__"] == {"epoch": "3", "arch": "x"}
    for name, tensor in tensors.items():
        begin, end = header[name]["data_offsets"]
        assert content[8 + size + begin : 8 + size + end] == bytes(bits(tensor)[2])
        assert begin % tensor.element_size() == 0 and header[name]["shape"] == list(tensor.shape)
    lossatlas("convert", tmp_path / "b.safetensors", tmp_path / "c.pt").ok()
    again = torch.load(tmp_path / "c.pt", weights_only=True)
    assert again["epoch"] == "3" and again["state_dict"].keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert bits(again["state_dict"][name]) == bits(tensor), name
    lossatlas("convert", tmp_path / "c.pt", tmp_path / "d.safetensors").ok()
    assert (tmp_path / "d.safetensors").read_bytes() == content


def test_convert_is_read_by_others(lossatlas, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    torch.save({"module.w": torch.arange(6.0).view(2, 3)}, tmp_path / "a.pt")
    lossatlas("convert", tmp_path / "a.pt", tmp_path / "b.safetensors").ok()
    assert safetensors.load_file(tmp_path / "b.safetensors")["module.w"].equal(torch.arange(6.0).view(2, 3))


def test_convert_refuses(lossatlas, state, averaged, tmp_path):
    torch.save(timm(state, averaged), tmp_path / "a.pt")
    out = tmp_path / "b.safetensors"
    lossatlas("convert", tmp_path / "a.pt", out, "--key", "state_dict_ema").ok()
    assert json.loads(lossatlas("info", out, "--json").ok().out)["metadata"]["arch"] == "resnet20"
    before = out.read_bytes()
    assert str(out) in lossatlas("convert", tmp_path / "a.pt", out).line() and out.read_bytes() == before
    lossatlas("convert", tmp_path / "a.pt", out, "--force").ok()
    assert out.read_bytes() != before
    for words, status, text in (((tmp_path / "a.pt", tmp_path / "b.h5"), 2, "requires a name that ends in .safetensors"),
                                ((tmp_path / "a.pt", tmp_path / "a.pt", "--force"), 2, "a.pt"),
                                ((tmp_path / "no.pt", tmp_path / "x.pt"), 1, "No such file"),
                                ((tmp_path / "s.pt", tmp_path / "x.pt"), 1, "TorchScript holds a network"),
                                ((tmp_path / "f.pt", tmp_path / "x.safetensors"), 1, "'w': of type Float8_e5m2fnuz")):
        torch.jit.script(torch.nn.Linear(2, 1)).save(str(tmp_path / "s.pt"))
        torch.save({"w": torch.ones(2).to(torch.float8_e5m2fnuz)}, tmp_path / "f.pt")
        done = lossatlas("convert", *words)
        assert done.status == status and text in done.line(), done.err
    assert not (tmp_path / "x.pt").exists() and not (tmp_path / "x.safetensors").exists()
