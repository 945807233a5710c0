#!/usr/bin/env python3
"""Writes tests/files/models.json: what the peers' own Python networks compute, for tests/models/reference_test.cpp.

A developer's tool, run again only when an architecture is added. It needs torch, torchvision 0.26.0 and a checkout of
https://github.com/tomgoldstein/loss-landscape (Li et al.); torchvision stays out of the project's environment:

    .venv/bin/python -m pip install --no-deps --target /tmp/tv torchvision==0.26.0
    PYTHONPATH=/tmp/tv .venv/bin/python tools/reference/models.py --li /path/to/loss-landscape

Every network is built by its authors' classes; lenet, mlp, linear and the -a ResNets by torch.nn here. Two things are recorded:

- "initial": traces of the parameters right after torch.manual_seed(1) and construction;
- "logits": the answer to two images in evaluation mode and float64, after every parameter, buffer and image has been
  filled with numbers from a hash that C++ computes to the same bit (unit_numbers below).
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

FILE = Path(__file__).resolve().parents[2] / "tests" / "files" / "models.json"
IMAGES = 1 << 20  # number of the hash's stream that fills the images
BUFFERS = 1 << 19  # buffers take the streams from here on, parameters those from 0 on
SEED = 1


def unit_numbers(stream, count):
    """Numbers in [-1, 1) from SplitMix64's finalizer over (stream, element)."""
    x = np.arange(count, dtype=np.uint64) + np.uint64(stream << 40) + np.uint64(1)
    x *= np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def fill(tensor, stream, center, radius):
    numbers = center + radius * unit_numbers(stream, tensor.numel())
    tensor.copy_(torch.from_numpy(numbers).view(tensor.shape))


def fill_parameter(name, tensor, stream, bn_scale):
    if tensor.dim() > 1:  # He-uniform: a ReLU behind it keeps the mean square
        fan_in = tensor[0].numel()
        fill(tensor, stream, 0.0, np.sqrt(6.0 / fan_in))
    elif name.endswith("weight"):
        fill(tensor, stream, bn_scale, 0.1 * bn_scale)
    else:
        fill(tensor, stream, 0.0, 0.1)


def fill_network(net, bn_scale):
    for stream, (name, tensor) in enumerate(net.named_parameters()):
        fill_parameter(name, tensor, stream, bn_scale)
    for stream, (name, tensor) in enumerate(net.named_buffers()):
        if name.endswith("running_mean"):
            fill(tensor, BUFFERS + stream, 0.0, 0.1)
        elif name.endswith("running_var"):
            fill(tensor, BUFFERS + stream, 1.0, 0.1)


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def shape_digest(entries):
    """FNV-1a (64 bits) of "name:2x3x4;" for every entry, in order; a scalar's shape is empty."""
    return fnv1a("".join(f"{name}:{'x'.join(map(str, tensor.shape))};" for name, tensor in entries))


def initial_traces(net):
    weights = [p for p in net.parameters() if p.dim() > 1]
    firsts = [weights[i].flatten()[0].item() for i in (0, len(weights) // 2, -1)]
    return {"first_elements": firsts, "sum_of_squares": sum(p.double().square().sum().item() for p in net.parameters())}


def describe(build, classes, image, bn_scale):
    torch.manual_seed(SEED)
    net = build()
    parameters = list(net.named_parameters())
    buffers = list(net.named_buffers())
    record = {
        "classes": classes,
        "input": image,
        "parameters": sum(p.numel() for _, p in parameters),
        "parameter_entries": len(parameters),
        "buffer_entries": len(buffers),
        "first_names": [name for name, _ in parameters[:4]],
        "digest": shape_digest(parameters + buffers),
        "initial": initial_traces(net),
        "bn_scale": bn_scale,
    }
    net.double().eval()
    fill_network(net, bn_scale)
    images = torch.empty(2, *image, dtype=torch.float64)
    fill(images, IMAGES, 0.0, 1.0)
    logits = net(images)
    record["logits"] = logits[:, :10].tolist()
    record["sum"] = logits.sum().item()
    record["sum_of_squares"] = logits.square().sum().item()
    return record


class LeNet(nn.Module):
    def __init__(self, channels, pixels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * pixels, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc3(self.fc2(self.fc1(x.flatten(1)).relu()).relu())


class Mlp(nn.Module):
    def __init__(self, pixels):
        super().__init__()
        self.fc1 = nn.Linear(pixels, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc3 = nn.Linear(256, 10)

    def forward(self, x):
        return self.fc3(self.fc2(self.fc1(x.flatten(1)).relu()).relu())


class Linear(nn.Module):
    def __init__(self, pixels):
        super().__init__()
        self.linear = nn.Linear(pixels, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))


class OptionABlock(nn.Module):
    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride = stride

    def forward(self, x):
        skip = x
        if self.stride != 1:
            zeros = self.conv2.out_channels // 4
            skip = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, zeros, zeros))
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + skip).relu()


class OptionAResNet(nn.Module):
    """He et al., CVPR 2016, section 4.2, as akamaster/pytorch_resnet_cifar10 has it."""

    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (channels, planes) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
            blocks = [OptionABlock(channels, planes, 1 if stage == 1 else 2)]
            blocks += [OptionABlock(planes, planes, 1) for _ in range((depth - 2) // 6 - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.linear(x.mean((2, 3)))


def li_resnets(resnet):
    four = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}
    for depth, blocks in four.items():
        kind = "BasicBlock" if depth < 50 else "Bottleneck"
        for twin, block in (("", kind), ("-noshort", kind + "_noshortcut")):
            yield f"resnet{depth}-cifar{twin}", lambda b=block, n=blocks: resnet.ResNet(getattr(resnet, b), n)
    for depth in (20, 32, 44, 56, 110):
        blocks = [(depth - 2) // 6] * 3
        for twin, block in (("", resnet.BasicBlock), ("-noshort", resnet.BasicBlock_noshortcut)):
            yield f"resnet{depth}{twin}", lambda b=block, n=blocks: resnet.ResNet_cifar(b, n)
    for depth, k in ((56, 2), (56, 4), (56, 8), (110, 2), (110, 4)):
        if depth == 56:
            yield f"wrn56-{k}", getattr(resnet, f"WRN56_{k}")
        yield f"wrn{depth}-{k}-noshort", getattr(resnet, f"WRN{depth}_{k}_noshort")


def li_vggs(vgg):
    # The paper's configurations A and B, which Li et al. leave out.
    vgg.cfg["VGG11"] = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    vgg.cfg["VGG13"] = [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    for depth in (9, 11, 13, 16, 19):
        yield f"vgg{depth}", lambda d=depth: vgg.VGG(f"VGG{d}")


def bn_scale(name):
    """Keeps the activations of order 1: a sum of many branches would grow, as would a bottleneck without its ReLU."""
    if name.startswith(("resnet", "wrn")):
        if not name.endswith("-noshort"):
            return 0.5
        if name.startswith(("resnet50", "resnet101", "resnet152")):
            return 0.89
    return 1.0


def networks(li):
    """Yields (name, builder, classes, image)."""
    torchvision = importlib.import_module("torchvision")
    for depth in (18, 34, 50):
        yield f"resnet{depth}", getattr(torchvision.models, f"resnet{depth}"), 1000, [3, 64, 64]
    sys.path.insert(0, str(li / "cifar10"))
    for name, build in li_resnets(importlib.import_module("models.resnet")):
        yield name, build, 10, [3, 32, 32]
    for depth in (20, 32, 44, 56, 110):
        yield f"resnet{depth}-a", lambda d=depth: OptionAResNet(d), 10, [3, 32, 32]
    for name, build in li_vggs(importlib.import_module("models.vgg")):
        yield name, build, 10, [3, 32, 32]
    yield "densenet121", importlib.import_module("models.densenet").DenseNet121, 10, [3, 32, 32]
    yield "lenet", lambda: LeNet(1, 16), 10, [1, 28, 28]
    yield "lenet", lambda: LeNet(3, 25), 10, [3, 32, 32]
    yield "mlp", lambda: Mlp(784), 10, [1, 28, 28]
    yield "linear", lambda: Linear(784), 10, [1, 28, 28]


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--li", type=Path, required=True, help="a checkout of tomgoldstein/loss-landscape")
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    records = []
    for name, build, classes, image in networks(arguments.li):
        records.append({"name": name, **describe(build, classes, image, bn_scale(name))})
        print(name, f"largest logit {max(abs(v) for row in records[-1]['logits'] for v in row):.3g}", flush=True)
    lines = ",\n".join("  " + json.dumps(record) for record in records)
    made_by = f"tools/reference/models.py, torch {torch.__version__}"
    arguments.out.write_text(
        f'{{"made_by": "{made_by}", "seed": {SEED}, "buffers_stream": {BUFFERS}, "images_stream": {IMAGES},\n'
        f'"networks": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
