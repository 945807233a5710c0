#!/usr/bin/env python3
"""Writes tests/files/curvature: small networks with their exact curvature, and the images of the reference ResNet20.

    PYTHONPATH=python PYTHON tools/reference/curvature.py [--cifar DIR --checkpoint F --images N,N,…]

PYTHON is that of a virtual environment with torch and curvlinops-for-pytorch 3.0.1. `small`: every eigenvalue of the
Hessian (torch.func, float64), of the Gauss-Newton matrix (curvlinops, float64), loss, gradient, trace of each module.
With --cifar, --checkpoint and --images also a checkpoint and those images of a data set's training split.
"""

import argparse
import json
import shutil
from pathlib import Path

import lossatlas
import numpy as np
import torch
import torch.nn.functional as F
from curvlinops import GGNLinearOperator
from torch import nn

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "files" / "curvature"


def trained(model, inputs, labels, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval()


def exact(model, inputs, labels):
    """Loss, gradient and Hessian, [n, n], in float64."""
    model = model.double()
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()))
    sizes = [shape.numel() for shape in shapes]

    def loss(vector):
        parts = {name: part.view(shape) for name, part, shape in zip(names, vector.split(sizes), shapes)}
        return F.cross_entropy(torch.func.functional_call(model, parts, (inputs.double(),)), labels)

    vector = torch.cat([p.detach().flatten() for p in model.parameters()])
    return loss(vector).item(), torch.func.grad(loss)(vector), torch.func.hessian(loss)(vector), names, sizes


def gauss_newton(model, inputs, labels):
    """[n, n], by curvlinops in float64."""
    model = model.double()
    matrix = GGNLinearOperator(model, nn.CrossEntropyLoss(), [p for p in model.parameters()], [(inputs.double(), labels)])
    n = sum(p.numel() for p in model.parameters())
    columns = matrix @ torch.eye(n, dtype=torch.float64)
    return (columns + columns.T) / 2


def write_small(name, model, inputs, labels):
    lossatlas.export_problem(model, "cross-entropy", (inputs, labels), FOLDER / f"{name}.lossatlas", quiet=True)
    loss, gradient, hessian, names, sizes = exact(model, inputs, labels)
    modules = {}
    for parameter, part in zip(names, hessian.diagonal().split(sizes)):
        module = parameter.rpartition(".")[0]
        modules[module] = modules.get(module, 0) + part.sum().item()
    return {"loss": loss, "gradient_norm": gradient.norm().item(),
            "hessian": torch.linalg.eigvalsh(hessian).tolist(),
            "gauss_newton": torch.linalg.eigvalsh(gauss_newton(model, inputs, labels)).tolist(), "modules": modules,
            "diagonal": hessian.diagonal().tolist()}


def write_images(data, images):
    """The images in the given order, in CIFAR-10's binary files."""
    files = sorted((data / "cifar-10-batches-bin").glob("data_batch_?.bin"))
    records = np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in files])[images]
    for number, part in enumerate(np.array_split(records, 5), start=1):
        part.tofile(FOLDER / "images" / f"data_batch_{number}.bin")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=lambda text: [int(number) for number in text.split(",")])
    words = parser.parse_args()
    torch.set_num_threads(1)
    (FOLDER / "images").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    inputs = torch.randn(40, 6)
    labels = (inputs @ torch.randn(6, 3)).argmax(1)
    smooth = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    kinked = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    reference = {"smooth": write_small("smooth", trained(smooth, inputs, labels, 40), inputs, labels),
                 "kinked": write_small("kinked", trained(kinked, inputs, labels, 40), inputs, labels)}
    (FOLDER / "small.json").write_text(json.dumps(reference, indent=1) + "\n")
    if words.cifar:
        write_images(words.cifar, words.images)
        shutil.copyfile(words.checkpoint, FOLDER / "resnet20.pt")


if __name__ == "__main__":
    main()
