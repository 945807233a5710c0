"""What scripts write that Lossatlas reads."""

import collections
import copy
import datetime

import numpy as np
import torch
from torch.nn.utils import parametrizations, prune

import stand_ins
from files import write_safetensors, write_shards
from networks import CLASSIFIER, GPT2, NANOGPT, RESNET18, RESNET18_CIFAR, RESNET20, TIMM_VIT
from rows import adamw, averaged, changed, prefixed, row, sgd


# --- image classification ----------------------------------------------------------------------------------------


@row("akamaster/pytorch_resnet_cifar10", "checkpoint.th", "`module.`, epoch, best_prec1", RESNET20)
def akamaster(path, module):
    torch.save({"epoch": 200, "state_dict": prefixed("module.", module.state_dict()), "best_prec1": 91.7}, path)


@row("kuangliu/pytorch-cifar", "ckpt.pth", "`net`, `module.`, acc, epoch", RESNET18_CIFAR)
def kuangliu(path, module):
    torch.save({"net": prefixed("module.", module.state_dict()), "acc": 95.2, "epoch": 199}, path)


@row("pytorch/examples, imagenet", "model_best.pth.tar", "`module.`, arch, best_acc1 (tensor), optimizer, scheduler",
     RESNET18)
def imagenet(path, module):
    optimizer = sgd(module)
    torch.save({"epoch": 90, "arch": "resnet18", "state_dict": prefixed("module.", module.state_dict()),
                "best_acc1": torch.tensor(69.8), "optimizer": optimizer.state_dict(),
                "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict()}, path)


@row("torchvision, downloaded weights", "resnet18-f37072fd.pth", "nothing; the format before PyTorch 1.6", RESNET18)
def torchvision_weights(path, module):
    torch.save(module.state_dict(), path, _use_new_zipfile_serialization=False)


def torchvision_content(module):
    optimizer = sgd(module)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [
        torch.optim.lr_scheduler.LinearLR(optimizer), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9)], [3])
    average = torch.optim.swa_utils.AveragedModel(averaged(module), use_buffers=True)
    return {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(),
            "epoch": 9, "args": stand_ins.arguments(model="resnet18"), "model_ema": average.state_dict(),
            "scaler": {"scale": 65536.0, "growth_tracker": 3}}


@row("torchvision, references/classification", "model_9.pth",
     "optimizer, lr_scheduler, args (Namespace), model_ema, scaler", RESNET18)
def torchvision(path, module):
    torch.save(torchvision_content(module), path)


@row("the same, its averaged weights", "model_9.pth", "`--key model_ema`: n_averaged, `module.`",
     RESNET18, key="model_ema")
def torchvision_averaged(path, module):
    torch.save(torchvision_content(module), path)
    return averaged(module)


@row("timm, train.py", "model_best.pth.tar",
     "arch, optimizer, args (Namespace), amp_scaler, state_dict_ema, metric (NumPy)",
     RESNET18)
def timm(path, module):
    torch.save({"epoch": 9, "arch": "resnet18", "state_dict": module.state_dict(), "version": 2,
                "optimizer": sgd(module).state_dict(), "amp_scaler": {"scale": 65536.0},
                "args": stand_ins.arguments(model="resnet18", mean=None),
                "state_dict_ema": averaged(module).state_dict(), "metric": np.float64(70.1)}, path)


@row("timm, from the hub", "model.safetensors", "metadata", RESNET18)
def timm_hub(path, module):
    write_safetensors(path, module.state_dict())


@row("timm itself, `test_vit` in ModelEmaV2", "ema.pth", "`module.`", TIMM_VIT, package="timm")
def timm_itself(path, module):
    from timm.utils import ModelEmaV2
    torch.save(ModelEmaV2(module).state_dict(), path)


@row("OpenMMLab, mmengine", "epoch_100.pth",
     "meta (ConfigDict), message_hub (HistoryBuffer), optimizer, param_schedulers",
     CLASSIFIER)
def mmengine(path, module):
    torch.save({"meta": {"epoch": 100, "time": "20240102_030405", "cfg": "model = dict(...)",
                         "dataset_meta": {"classes": ("cat", "dog")}, "hook": stand_ins.ConfigDict(type="EMAHook")},
                "message_hub": {"log_scalars": {"train/loss": stand_ins.HistoryBuffer([2.0, 1.5])},
                                "runtime_info": {"epoch": 100}, "resumed_keys": {"train/loss": True}},
                "state_dict": module.state_dict(), "optimizer": sgd(module).state_dict(),
                "param_schedulers": [{"last_step": 100, "_global_step": 101}]}, path)


@row("OpenMMLab, a backbone", "backbone.pth", "`backbone.`, meta", RESNET18)
def mmcv_backbone(path, module):
    torch.save({"meta": {"mmcv_version": "1.7.1", "time": datetime.datetime(2024, 1, 2)},
                "state_dict": prefixed("backbone.", module.state_dict())}, path)


@row("detectron2, DetectionCheckpointer", "model_final.pth", "optimizer, scheduler, iteration", RESNET18)
def detectron2(path, module):
    optimizer = sgd(module)
    torch.save({"model": module.state_dict(), "optimizer": optimizer.state_dict(), "iteration": 89999,
                "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9).state_dict()}, path)


@row("fastai, `learn.save`", "model.pth", "opt", RESNET18)
def fastai(path, module):
    torch.save({"model": module.state_dict(), "opt": adamw(module).state_dict()}, path)


# --- trainers ----------------------------------------------------------------------------------------------------


@row("Lightning, ModelCheckpoint", "last.ckpt",
     "`model.`, hyper_parameters (AttributeDict, Path, set), defaultdict, callbacks, loops, optimizer_states", RESNET20)
def lightning(path, module):
    torch.save({"epoch": 9, "global_step": 990, "pytorch-lightning_version": "2.2.0",
                "state_dict": prefixed("model.", module.state_dict()),
                "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 10}}}},
                "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {
                    "best_model_score": torch.tensor(0.5), "best_k_models": {"a.ckpt": torch.tensor(0.5)}}},
                "optimizer_states": [adamw(module).state_dict()], "lr_schedulers": [], "MixedPrecision": {"scale": 1.0},
                "counts": collections.defaultdict(int, steps=99), "hparams_name": "kwargs",
                "datamodule_hyper_parameters": stand_ins.DictConfig(batch_size=8),
                "hyper_parameters": stand_ins.AttributeDict(lr=0.1, sizes={1, 2}, args=stand_ins.arguments())}, path)


@row("DeepSpeed, ZeRO 1", "mp_rank_00_model_states.pt",
     "`module`, param_shapes, ds_config, sparse_tensor_module_names (set), …",
     RESNET20)
def deepspeed(path, module):
    shapes = collections.OrderedDict((name, tensor.shape) for name, tensor in module.named_parameters())
    torch.save({"module": module.state_dict(), "buffer_names": [name for name, _ in module.named_buffers()],
                "optimizer": None, "param_shapes": [shapes], "frozen_param_shapes": None, "shared_params": {},
                "frozen_param_fragments": None, "lr_scheduler": {"last_batch_iteration": 99}, "data_sampler": None,
                "random_ltd": None, "sparse_tensor_module_names": set(), "skipped_steps": 0, "global_steps": 99,
                "global_samples": 792, "dp_world_size": 1, "mp_world_size": 1, "ds_version": "0.14.0",
                "ds_config": {"train_batch_size": 8, "zero_optimization": {"stage": 1}}}, path)


@row("FSDP, full state_dict, of a compiled network", "full.pt", "`_orig_mod.`, in bfloat16", RESNET20)
def fsdp(path, module):
    module = changed(module, lambda tensor: tensor.bfloat16())
    torch.save(torch.compile(copy.deepcopy(module).bfloat16()).state_dict(), path)
    return module


@row("torch.compile of each block, in Lightning", "epoch=9.ckpt", "`model.`; `_orig_mod.` inside names", RESNET20)
def compiled_blocks(path, module):
    compiled = copy.deepcopy(module)
    for stage in compiled.children():
        for number in range(len(stage) if isinstance(stage, torch.nn.Sequential) else 0):
            stage[number] = torch.compile(stage[number])
    torch.save({"state_dict": prefixed("model.", compiled.state_dict()), "pytorch-lightning_version": "2.2.0"}, path)


@row("torch.optim.swa_utils, AveragedModel", "swa.pt", "n_averaged, `module.`", RESNET20)
def swa(path, module):
    torch.save(torch.optim.swa_utils.AveragedModel(module, use_buffers=True).state_dict(), path)


@row("ema_pytorch, with the network", "model-9.pt",
     "step, opt, ema (initted, online_model., ema_model.), scaler, version",
     RESNET20)
def ema_pytorch(path, module):
    ema = {"initted": torch.tensor(True), "step": torch.tensor(99), **prefixed("online_model.", module.state_dict()),
           **prefixed("ema_model.", averaged(module).state_dict())}
    torch.save({"step": 99, "model": module.state_dict(), "opt": adamw(module).state_dict(), "ema": ema,
                "scaler": None, "version": "1.0"}, path)


@row("basicsr", "net_g_5000.pth", "params, params_ema (`--key params_ema`)", RESNET20, key="params_ema")
def basicsr(path, module):
    torch.save({"params": averaged(module).state_dict(), "params_ema": module.state_dict()}, path)


# --- language ----------------------------------------------------------------------------------------------------


@row("karpathy/nanoGPT", "ckpt.pt", "`_orig_mod.`, optimizer, model_args, iter_num, best_val_loss, config", NANOGPT)
def nanogpt(path, module):
    torch.save({"model": prefixed("_orig_mod.", module.state_dict()), "optimizer": adamw(module).state_dict(),
                "model_args": {"n_layer": 2, "vocab_size": 16}, "iter_num": 2000, "best_val_loss": torch.tensor(1.5),
                "config": {"out_dir": "out", "learning_rate": 6e-4}}, path)


def without_tied(state):
    return collections.OrderedDict((name, tensor) for name, tensor in state.items() if name != "lm_head.weight")


@row("transformers, GPT-2", "pytorch_model.bin", "`transformer.`, lm_head tied", GPT2)
def transformers_bin(path, module):
    torch.save(module.state_dict(), path)


@row("transformers, GPT-2", "model.safetensors", "metadata; lm_head left out", GPT2)
def transformers_safetensors(path, module):
    write_safetensors(path, without_tied(module.state_dict()))


@row("transformers, GPT-2 without its head", "model.safetensors", "no `transformer.`", GPT2)
def transformers_base(path, module):
    write_safetensors(path, {name.removeprefix("transformer."): tensor
                             for name, tensor in without_tied(module.state_dict()).items()})


@row("transformers, in shards", "model.safetensors.index.json", "two files and their index", GPT2)
def shards(path, module):
    write_shards(path.parent, without_tied(module.state_dict()), "model", "safetensors")


@row("transformers, in shards", "pytorch_model.bin.index.json", "two files and their index", GPT2)
def shards_bin(path, module):
    write_shards(path.parent, module.state_dict(), "pytorch_model", "bin")


@row("transformers itself: `save_pretrained`", "model.safetensors", "metadata; a network of transformers' own", GPT2,
     package="transformers")
def transformers_itself(path, module):
    from transformers import GPT2Config, GPT2LMHeadModel
    network = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=8, n_embd=8, n_layer=2, n_head=2))
    network.load_state_dict(module.state_dict())
    network.save_pretrained(path.parent)


# --- what PyTorch does to weights --------------------------------------------------------------------------------


def convolutions(module):
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]


@row("torch.nn.utils.prune", "pruned.pt", "weight_orig, weight_mask", RESNET20)
def pruned(path, module):
    for layer in convolutions(module):
        prune.l1_unstructured(layer, "weight", 0.3)
    torch.save(module.state_dict(), path)


@row("torch.nn.utils.weight_norm", "normed.pt", "weight_g, weight_v", RESNET20)
def normed(path, module):
    for layer in convolutions(module):
        torch.nn.utils.weight_norm(layer).weight_g.data *= 1.1
    torch.save({"model_state_dict": module.state_dict(), "loss": 0.3}, path)


@row("torch.nn.utils.parametrizations.weight_norm", "parametrized.pt", "parametrizations.weight.original0, original1",
     RESNET20)
def parametrized(path, module):
    for layer in convolutions(module):
        parametrizations.weight_norm(layer).parametrizations.weight.original0.data *= 0.9
    torch.save(module.state_dict(), path)


@row("half precision", "half.pt", "float16", RESNET20)
def half(path, module):
    module = changed(module, lambda tensor: tensor.half())
    torch.save(copy.deepcopy(module).half().state_dict(), path)
    return module


@row("torch.jit.script", "script.pt", "the network itself", RESNET20)
def torchscript(path, module):
    torch.jit.trace(module, torch.ones(1, 3, 32, 32)).save(path)


@row("torch.export.save", "net.pt2", "the network itself", RESNET20)
def exported(path, module):
    torch.export.save(torch.export.export(module, (torch.ones(2, 3, 32, 32),)), path)
