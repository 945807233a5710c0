"""Small networks with the names of well-known ones, what Lossatlas calls them, and their loss in float64."""

import dataclasses
import importlib
import pathlib
import sys
import typing

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIDTH = 2  # channels of the first convolution
IMAGES = 20


class Block(nn.Module):
    """A ResNet's basic block. `skip`: the name of its projection; "" for shortcuts without parameters."""

    def __init__(self, inputs, planes, stride, skip):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride, self.pad, self.skip = stride, planes - inputs, skip
        if skip and (stride > 1 or inputs != planes):
            self.add_module(skip, nn.Sequential(nn.Conv2d(inputs, planes, 1, stride, bias=False),
                                                nn.BatchNorm2d(planes)))

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.skip and hasattr(self, self.skip):
            x = getattr(self, self.skip)(x)
        elif self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad // 2, self.pad - self.pad // 2))
        return F.relu(out + x)


class ResNet(nn.Module):
    most_stages = 4

    def __init__(self, blocks, skip, head, has_large_stem=False):
        super().__init__()
        blocks = blocks[: self.most_stages]
        stem = (7, 2, 3) if has_large_stem else (3, 1, 1)
        self.conv1 = nn.Conv2d(3, WIDTH, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.pool = nn.MaxPool2d(3, 2, 1) if has_large_stem else nn.Identity()
        self.stages, self.head, channels = len(blocks), head, WIDTH
        for stage, count in enumerate(blocks):
            planes, layers = WIDTH << stage, []
            for number in range(count):
                layers.append(Block(channels, planes, 2 if stage and not number else 1, skip))
                channels = planes
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.add_module(head, nn.Linear(channels, 10))

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return getattr(self, self.head)(x.mean((2, 3)))


class Classifier(nn.Module):
    """As OpenMMLab composes them."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential()
        self.backbone.add_module("conv1", nn.Conv2d(3, 4, 7, 4, 3, bias=False))
        self.backbone.add_module("bn1", nn.BatchNorm2d(4))
        self.head = nn.Sequential()
        self.head.add_module("fc", nn.Linear(4, 10))

    def forward(self, x):
        return self.head(F.relu(self.backbone(x)).mean((2, 3)))


class Conv1D(nn.Module):
    """A linear layer as transformers has it for GPT-2: the weight transposed."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Part(nn.Module):
    """Modules by their names, and what they do together."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.run(self, x)


def attention(part, x):
    queries, keys, values = (each.unflatten(2, (2, -1)).transpose(1, 2) for each in part.c_attn(x).chunk(3, 2))
    return part.c_proj(F.scaled_dot_product_attention(queries, keys, values, is_causal=True).transpose(1, 2).flatten(2))


def perceptron(part, x):
    return part.c_proj(F.gelu(part.c_fc(x), approximate="tanh"))


def transformer_layer(part, x):
    x = x + part.attn(part.ln_1(x))
    return x + part.mlp(part.ln_2(x))


class GPT(nn.Module):
    """GPT-2 with the names of nanoGPT and transformers; `dense` makes a linear layer."""

    def __init__(self, dense, layers=2, width=8, vocabulary=16, length=8):
        super().__init__()
        def layer():
            return Part(transformer_layer,
                        ln_1=nn.LayerNorm(width),
                        attn=Part(attention, c_attn=dense(width, 3 * width), c_proj=dense(width, width)),
                        ln_2=nn.LayerNorm(width),
                        mlp=Part(perceptron, c_fc=dense(width, 4 * width), c_proj=dense(4 * width, width)))
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(vocabulary, width), "wpe": nn.Embedding(length, width),
                                          "h": nn.ModuleList(layer() for _ in range(layers)),
                                          "ln_f": nn.LayerNorm(width)})
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, tokens):
        x = self.transformer.wte(tokens) + self.transformer.wpe.weight[: tokens.shape[1]]
        for layer in self.transformer.h:
            x = layer(x)
        return self.lm_head(self.transformer.ln_f(x))


def drawn(module, seed=1):
    """The module with parameters and statistics as if it were trained: none is what it is initialized to."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("num_batches_tracked"):
                tensor.fill_(100)
            elif name.endswith("running_var"):
                tensor.copy_(1 + noise.abs())
            elif tensor.ndim > 1:
                tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
            else:
                tensor.copy_(0.2 * noise + ("running" not in name and name.endswith("weight")))
    return module.eval()


@dataclasses.dataclass
class Network:
    make: typing.Callable[[], nn.Module]
    arch: str = ""     # what Lossatlas has built in; others become a problem file
    loss: str = "cross-entropy"


RESNET20 = Network(lambda: ResNet((3, 3, 3), "", "linear"), "resnet20-a")
RESNET18_CIFAR = Network(lambda: ResNet((2, 2, 2, 2), "shortcut", "linear"), "resnet18-cifar")
RESNET18 = Network(lambda: ResNet((2, 2, 2, 2), "downsample", "fc", has_large_stem=True), "resnet18")
CLASSIFIER = Network(Classifier)
NANOGPT = Network(lambda: GPT(nn.Linear), loss="next-token")
TIMM_VIT = Network(lambda: importlib.import_module("timm").create_model("test_vit", num_classes=10, img_size=32))
GPT2 = Network(lambda: GPT(Conv1D), loss="next-token")


class Data:
    """A few pictures in CIFAR-10's files, and a few texts; what Lossatlas is told of them, and the loss in PyTorch."""

    def __init__(self, folder):
        self.folder = folder
        random = np.random.default_rng(1)
        labels = random.integers(0, 10, IMAGES, np.uint8)
        pixels = random.integers(0, 256, (IMAGES, 3, 32, 32), np.uint8)
        records = np.concatenate([labels[:, None], pixels.reshape(IMAGES, -1)], axis=1)
        for number, part in enumerate(np.split(records, 5), 1):
            part.tofile(folder / f"data_batch_{number}.bin")
        records.tofile(folder / "test_batch.bin")
        mean, std = np.array([125.3, 123.0, 113.9]) / 255, np.array([63.0, 62.1, 66.7]) / 255
        self.images = torch.from_numpy((pixels / 255 - mean[:, None, None]) / std[:, None, None])
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.tokens = torch.from_numpy(random.integers(0, 16, (IMAGES, 8)))
        self.problems = {}

    def words(self, network):
        """The options that name a network and its samples."""
        if network.arch:
            return ["--arch", network.arch, "--width", WIDTH, "--data", f"cifar10:{self.folder}", "--split", "train"]
        if id(network) not in self.problems:  # of other weights than any checkpoint
            sys.path.append(str(ROOT / "python"))
            import lossatlas
            path = self.folder / f"{len(self.problems)}.lossatlas"
            samples = self.tokens if network.loss == "next-token" else (self.images.float(), self.labels)
            lossatlas.export_problem(drawn(network.make(), seed=2), network.loss, samples, path, quiet=True)
            self.problems[id(network)] = path
        return ["--problem", self.problems[id(network)]]

    def loss(self, network, module):
        module = module.double().eval()
        with torch.no_grad():
            if network.loss == "next-token":
                return F.cross_entropy(module(self.tokens)[:, :-1].flatten(0, 1), self.tokens[:, 1:].flatten()).item()
            images = self.images.float().double() if not network.arch else self.images
            return F.cross_entropy(module(images), self.labels).item()
