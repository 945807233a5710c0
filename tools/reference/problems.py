#!/usr/bin/env python3
"""Writes the small problem files of tests/files/problems/, which the tests of src/programs read.

    PYTHONPATH=python .venv/bin/python tools/reference/problems.py

Run by hand when the format changes.
"""

from pathlib import Path

import lossatlas
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "files" / "problems"


class Tokens(nn.Module):
    """A transformer whose head is tied to its embedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.layer(self.embed(tokens), src_mask=mask))


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    convolutions = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                                 nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    images, labels = torch.randn(24, 3, 8, 8), torch.randint(0, 3, (24,))
    convolutions(images)  # its batch norm has seen them
    lossatlas.export_problem(convolutions, "cross-entropy", (images, labels), FOLDER / "convolutions.lossatlas",
                             test=(images[:8], labels[:8]), quiet=True)
    lossatlas.export_problem(Tokens(), "next-token", (torch.randint(0, 7, (20, 6)),), FOLDER / "tokens.lossatlas",
                             quiet=True)


if __name__ == "__main__":
    main()
