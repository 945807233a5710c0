"""What scripts write that Lossatlas refuses, or people give by mistake, with a part of the line that says so."""

import io
import json
import pickle
import tarfile
import zipfile

import h5py
import numpy as np
import torch

import stand_ins
from files import msgpack, write_safetensors
from networks import GPT2, RESNET18, RESNET20
from rows import averaged, prefixed, row


def arrays(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


# --- weights that are not tensors by their names -----------------------------------------------------------------


@row("`torch.save(model)`", "model.pt", "the whole network, pickled", RESNET20,
     refusal="networks.ResNet', which Lossatlas does not run; save only the weights")
def whole(path, module):
    torch.save(module, path)


@row("ultralytics, YOLO", "best.pt", "the network as an object, in half precision", RESNET20,
     refusal="'model': the pickle asks for 'ultralytics.nn.tasks.DetectionModel', which Lossatlas does not run")
def yolo(path, module):
    torch.save({"epoch": -1, "best_fitness": None, "model": stand_ins.DetectionModel(module).half(), "ema": None,
                "updates": None, "optimizer": None, "train_args": {"imgsz": 640}, "date": "2024-01-02"}, path)


@row("ultralytics, YOLO, while it trains", "last.pt", "`ema` an object, `model` None", RESNET20,
     refusal="'ema': the pickle asks for 'ultralytics.nn.tasks.DetectionModel', which Lossatlas does not run")
def yolo_training(path, module):
    torch.save({"epoch": 3, "best_fitness": 0.5, "model": None, "ema": stand_ins.DetectionModel(module).half(),
                "updates": 99, "optimizer": {"state": {}, "param_groups": []}}, path)


@row("fastai, `learn.export`", "export.pkl", "the Learner as an object", RESNET20,
     refusal="the pickle asks for 'fastai.learner.Learner', which Lossatlas does not run")
def fastai_export(path, module):
    torch.save(stand_ins.Learner(module), path)


@row("transformers, TrainingArguments", "training_args.bin", "no weights", RESNET20,
     refusal="the pickle asks for 'transformers.training_args.TrainingArguments'")
def training_args(path, module):
    torch.save(stand_ins.TrainingArguments(), path)


@row("detectron2, model zoo", "model_final_f10217.pkl", "NumPy arrays in a plain pickle", RESNET18,
     refusal="is a pickle, but not one that torch.save wrote")
def detectron2_zoo(path, module):
    path.write_bytes(pickle.dumps({"model": arrays(module), "__author__": "Detectron2 Model Zoo"}))


@row("NumPy arrays by torch.save", "arrays.pt", "",
     RESNET20, refusal="a NumPy array, which is not read; save torch.from_numpy()")
def saved_arrays(path, module):
    torch.save({"model": arrays(module)}, path)


@row("Megatron-LM", "model_optim_rng.pt", "args, a dictionary for each module, rng_state",
     GPT2, refusal="holds no state_dict")
def megatron(path, module):
    state = module.state_dict()
    encoder = {name[14:]: tensor for name, tensor in state.items() if name.startswith("transformer.h.")}
    embedding = {"word_embeddings": {"weight": state["transformer.wte.weight"]}}
    torch.save({"args": stand_ins.arguments(model_type=stand_ins.ModelType.encoder_or_decoder),
                "checkpoint_version": 3.0, "iteration": 99,
                "model": {"language_model": {"embedding": embedding, "encoder": encoder}},
                "rng_state": [{"np_rng_state": np.random.RandomState(1).get_state(),
                               "torch_rng_state": torch.get_rng_state()}]},
               path)


@row("DeepSpeed, the optimizer's part", "zero_pp_rank_0_mp_rank_00_optim_states.pt",
     "loss_scaler (LossScaler), zero_stage (enum)",
     RESNET20, refusal="holds no state_dict")
def deepspeed_optimizer(path, module):
    torch.save({"optimizer_state_dict": {
        "loss_scaler": stand_ins.LossScaler(), "zero_stage": stand_ins.ZeroStageEnum.optimizer_states,
        "single_partition_of_fp32_groups": [torch.ones(8)], "partition_count": 1, "ds_version": "0.14.0"}}, path)


@row("MoCo", "checkpoint_0199.pth.tar", "module.encoder_q., module.encoder_k., module.queue", RESNET18,
     refusal="does not fit resnet18: missing: conv1.weight")
def moco(path, module):
    torch.save({"epoch": 200, "arch": "resnet18", "state_dict": {
        **prefixed("module.encoder_q.", module.state_dict()),
        **prefixed("module.encoder_k.", averaged(module).state_dict()),
        "module.queue": torch.ones(8, 4)}}, path)


@row("openai-community/gpt2, downloaded", "model.safetensors",
     "no `transformer.`; attn.bias: the causal mask as a buffer",
     GPT2,
     refusal="does not fit GPT: unknown to the network: transformer.h.0.attn.bias [1, 1, 8, 8]")
def gpt2_downloaded(path, module):
    state = {name.removeprefix("transformer."): tensor
             for name, tensor in module.state_dict().items() if "lm_head" not in name}
    for number in range(2):
        state[f"h.{number}.attn.bias"] = torch.ones(8, 8).tril()[None, None]
    write_safetensors(path, state)


@row("torch.nn.utils.spectral_norm", "spectral.pt", "weight_orig, weight_u, weight_v", RESNET20,
     refusal="does not fit resnet20-a: missing: conv1.weight [2, 3, 3, 3]; unknown to the network: conv1.weight_orig")
def spectral_norm(path, module):
    torch.nn.utils.spectral_norm(module.conv1)
    torch.save(module.state_dict(), path)


# --- weights of kinds that are not read --------------------------------------------------------------------------


@row("torch.ao.quantization, dynamic", "quantized.pt", "_packed_params",
     RESNET20, refusal="a part of a quantized network")
def quantized(path, module):
    torch.save(torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}).state_dict(), path)


@row("torch.quantize_per_tensor", "qint8.pt", "quantized weights", RESNET20,
     refusal="'conv1.weight': a part of a quantized network, which is not read; save the network")
def quantized_weights(path, module):
    state = module.state_dict()
    state["conv1.weight"] = torch.quantize_per_tensor(state["conv1.weight"], 0.1, 0, torch.qint8)
    torch.save(state, path)


@row("`to_sparse()`", "sparse.pt", "sparse weights", RESNET20,
     refusal="'linear.weight': a sparse tensor, which is not read; save its .to_dense()")
def sparse(path, module):
    state = module.state_dict()
    state["linear.weight"] = state["linear.weight"].to_sparse()
    torch.save({"state_dict": state}, path)


@row("GPTQ", "model.safetensors", "qweight, qzeros, scales", GPT2, refusal="does not fit")
def gptq(path, module):
    state = {name: tensor for name, tensor in module.state_dict().items()
             if "c_fc" not in name and "lm_head" not in name}
    for part in ("qweight", "qzeros"):
        state[f"transformer.h.0.mlp.c_fc.{part}"] = torch.ones(1, 32, dtype=torch.int32)
    write_safetensors(path, state)


@row("PEFT, LoRA", "adapter_model.safetensors", "only the adapter", GPT2, refusal="does not fit")
def lora(path, module):
    name = "base_model.model.transformer.h.0.attn.c_attn.lora_{}.weight"
    write_safetensors(path, {name.format("A"): torch.ones(2, 8), name.format("B"): torch.ones(24, 2)})


@row("FSDP2, `model.state_dict()`", "rank0.pt", "DTensor", RESNET20,
     refusal="'conv1.weight': a tensor of a class that keeps its values elsewhere, which is not read; save it")
def dtensor(path, module):
    import torch.distributed
    from torch.distributed.tensor import distribute_tensor
    store = torch.distributed.FileStore(str(path) + ".store", 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        torch.save({name: distribute_tensor(tensor, mesh) for name, tensor in module.state_dict().items()}, path)
    finally:
        torch.distributed.destroy_process_group()


@row("torch.distributed.checkpoint", "__0_0.distcp", "one part of a folder",
     RESNET20, refusal="is one part of what torch.distributed.checkpoint saved; put")
def distributed(path, module):
    import torch.distributed.checkpoint
    torch.distributed.checkpoint.save(module.state_dict(), checkpoint_id=path.parent, no_dist=True)


# --- other formats -----------------------------------------------------------------------------------------------


@row("Flax, msgpack", "flax_model.msgpack", "", RESNET20, refusal="msgpack, as Flax writes it")
def flax(path, module):
    path.write_bytes(msgpack({"params": {"conv1": {"kernel": module.conv1.weight.detach().numpy()}}}))


@row("Keras, HDF5", "model.h5", "", RESNET20, refusal="is an HDF5 file")
def keras_h5(path, module):
    with h5py.File(path, "w") as file:
        file["model_weights/conv1/conv1/kernel:0"] = module.conv1.weight.detach().numpy()


@row("Keras 3", "model.keras", "a zip", RESNET20, refusal="is a zip archive that torch.save did not write")
def keras(path, module):
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/conv2d/vars/0"] = module.conv1.weight.detach().numpy()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", weights.getvalue())


@row("`numpy.savez`", "weights.npz", "a zip", RESNET20, refusal="is a zip archive that torch.save did not write")
def npz(path, module):
    np.savez(path, **arrays(module))


@row("PyTorch 0.1", "old.pt", "a tar archive", RESNET20, refusal="is a tar archive")
def tar(path, module):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            content = pickle.dumps({}, 2)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@row("llama.cpp", "model.gguf", "", RESNET20, refusal="is a GGUF file")
def gguf(path, module):
    path.write_bytes(b"GGUF" + bytes([3, 0, 0, 0]) + bytes(64))


@row("a model.safetensors that Git LFS did not fetch", "model.safetensors", "",
     RESNET20, refusal="is a Git LFS pointer")
def lfs(path, module):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 46827520\n")
