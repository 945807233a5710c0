"""Data sets as well-known scripts write them, read by Lossatlas: a table in Markdown.

Each is made here, in the form that its script leaves. The program then gives the loss of a linear network (of tokens: of
a small language model), which is compared with PyTorch's in float64, of samples that Python reads by the data set's usual
code. Ends with status 1 if one is not read or refused as it should be.
"""

import argparse
import pathlib
import sys
import tempfile
import warnings

import torch
import torch.nn.functional as F
from torch import nn

import data_sets
from table import ROOT, judge, loss_of, print_table

sys.path.append(str(ROOT / "python"))

from lossatlas import export_problem  # noqa: E402


class Tokens(nn.Module):
    def __init__(self, ids):
        super().__init__()
        self.embed, self.head = nn.Embedding(ids, 16), nn.Linear(16, ids)

    def forward(self, x):
        return self.head(torch.tanh(self.embed(x)))


def network_of(samples):
    torch.manual_seed(1)
    if samples.is_text:
        return Tokens(samples.classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(samples.inputs[0].numel(), samples.classes))


def wanted(network, samples):
    inputs = samples.inputs if samples.is_text else samples.inputs.double()
    with torch.no_grad():
        logits = network.double()(inputs)
    return F.cross_entropy(logits.transpose(1, 2) if samples.is_text else logits, samples.targets).item()


def token_loss(model, inputs, targets):
    return F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none").mean(1)


def words_of(samples, folder):
    """The options that name the network. Images and their labels go to a TorchScript file; the rest to a problem file
    of other samples."""
    network, inputs = network_of(samples), samples.inputs[:2]
    if samples.is_text or samples.is_table:
        loss = token_loss if samples.is_text else "cross-entropy"
        held = inputs % samples.classes if samples.is_text else inputs.float()
        export_problem(network, loss, (held, samples.targets[:2] % samples.classes), folder / "p.lossatlas", quiet=True)
        return ["--problem", folder / "p.lossatlas"]
    torch.jit.trace(network, inputs.float()).save(folder / "net.pt")
    return ["--checkpoint", folder / "net.pt"]


def outcome(row, binary, folder):
    samples = row.write(folder)
    known = samples or data_sets.some_samples()  # of data that are refused: any network
    words = [*words_of(known, folder), "--data", row.words.replace("DIR", str(folder)), *row.options, "--image-cache",
             folder / "cache"]
    shape = "x".join(map(str, known.inputs.shape[1:]))
    loss, status = loss_of(binary, folder, words)
    right = None if row.refusal else wanted(network_of(known), known)
    return judge(row.refusal, loss, status, right, f"{len(known.inputs)} of {shape}", folder)


def shown(options):
    return "".join(f" {word}" for word in options if word not in ("--split", "test"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "release" / "lossatlas")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name or files contain this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = [row for row in data_sets.ROWS if options.only in f"{row.name} {row.files}"]
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for number, row in enumerate(rows):
            place = pathlib.Path(folder) / str(number)
            place.mkdir()
            results.append(outcome(row, options.binary, place))
        cells = [(row.name, row.files, f"`{row.words}{shown(row.options)}`") for row in rows]
        is_right = print_table("survey-data", ("data", "files", "`--data`"), cells, results)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
