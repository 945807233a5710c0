"""The figure of docs/scale-curvature.md: tools/two-curvatures."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import torch
import torch.nn.functional as F
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ROOT / "tests" / "files" / "curvature"
BINARY = os.environ.get("LOSSATLAS_BINARY", ROOT / "build" / "release" / "lossatlas")
STEPS = 0.16, 0.02, 0.0025  # each gives half and twice itself too


def small(activation, file):
    """20-64-64-4, trained on 4,000 samples, as a problem file."""
    from lossatlas import export_problem
    torch.manual_seed(0)
    data = torch.randn(4000, 20)
    labels = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 4))(data).argmax(1)
    model = nn.Sequential(nn.Linear(20, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(35):
        optimizer.zero_grad()
        F.cross_entropy(model(data), labels).backward()
        optimizer.step()
    export_problem(model.eval(), "cross-entropy", (data, labels), file, quiet=True)
    return "--problem", file


def curvatures(words, folder):
    """({h: D(h)}, dᵀHd) along a random direction."""
    found = {}
    for step in STEPS:
        out = folder / "l.h5"
        done = subprocess.run([BINARY, "line", *words, "--split", "train", "--points", "1", "--x", "0:0", "--curvature",
                               "--step", str(step), "--force", "--progress", "none", "--out", out],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stderr)
        with h5py.File(out) as file:
            axis, = json.loads(file["lossatlas"].attrs["axis_curvatures"])
        found |= {each["step"]: each["value"] for each in axis["scale"]}
    return dict(sorted(found.items())), axis["autodiff"]["value"]


def main():
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    picture = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "two-curvatures.png"
    figure, panels = pyplot.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        cases = {"20-64-64-4, ReLU": small(nn.ReLU, folder / "relu.lossatlas"),
                 "20-64-64-4, GELU": small(nn.GELU, folder / "gelu.lossatlas"),
                 "ResNet20 (ReLU)": ("--checkpoint", FILES / "resnet20.pt", "--data", f"cifar10:{FILES / 'images'}")}
        for panel, (title, words) in zip(panels, cases.items()):
            scale, exact = curvatures(words, folder)
            print(title, exact, scale, sep="\n")
            panel.semilogx(list(scale), list(scale.values()), "o-", color="#0f766e", label="second difference D(h)")
            panel.axhline(exact, color="#b5562b", linestyle="--", label="dᵀHd by autodiff")
            panel.set_xticks([0.001, 0.01, 0.1], ["0.001", "0.01", "0.1"])
            panel.minorticks_off()
            panel.set(title=title, xlabel="scale h", ylim=(0, 1.25 * max(exact, *scale.values())))
            panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("curvature along d")
    panels[0].legend(loc="lower left", frameon=False)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
