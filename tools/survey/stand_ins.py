"""Classes whose objects well-known packages leave in checkpoints, under the names that these give them."""

import argparse
import enum
import importlib
import pathlib
import sys
import types

import numpy as np
import torch


def at(name):
    """Puts a class where a pickle looks for it: "package.module.Class"; into the package itself if it is installed."""
    module, _, last = name.rpartition(".")

    def place(cls):
        try:
            importlib.import_module(module)
        except ImportError:
            parts = module.split(".")
            for count in range(1, len(parts) + 1):
                sys.modules.setdefault(".".join(parts[:count]), types.ModuleType(".".join(parts[:count])))
        setattr(sys.modules[module], last, cls)
        cls.__module__, cls.__qualname__, cls.__name__ = module, last, last
        return cls

    return place


@at("lightning_fabric.utilities.data.AttributeDict")
class AttributeDict(dict):
    pass


@at("omegaconf.dictconfig.DictConfig")
class DictConfig:
    def __init__(self, **content):
        self.__dict__.update(_content=content, _parent=None, _metadata=None)


@at("mmengine.config.config.ConfigDict")
class ConfigDict(dict):
    pass


@at("mmengine.logging.history_buffer.HistoryBuffer")
class HistoryBuffer:
    def __init__(self, values):
        self._log_history, self._count_history = np.array(values), np.ones(len(values))


@at("deepspeed.runtime.fp16.loss_scaler.LossScaler")
class LossScaler:
    def __init__(self):
        self.cur_scale = 1.0


@at("deepspeed.runtime.zero.config.ZeroStageEnum")
class ZeroStageEnum(int, enum.Enum):
    optimizer_states = 1


@at("transformers.training_args.TrainingArguments")
class TrainingArguments:
    def __init__(self):
        self.output_dir, self.learning_rate = "out", 5e-5


@at("ultralytics.nn.tasks.DetectionModel")
class DetectionModel(torch.nn.Sequential):
    pass


@at("fastai.learner.Learner")
class Learner:
    def __init__(self, model):
        self.model, self.path = model, pathlib.Path(".")


@at("megatron.core.enums.ModelType")
class ModelType(enum.Enum):
    encoder_or_decoder = 1


def arguments(**more):
    """What argparse gives, as scripts store it."""
    return argparse.Namespace(data=pathlib.Path("/data"), lr=0.1, betas=(0.9, 0.999), device=torch.device("cpu"),
                              dtype=torch.float32, **more)

