"""Data sets as well-known scripts write them, read by Lossatlas: a table in Markdown.

Each is made here, in the form that its script leaves. The program then gives the loss of a linear network (of tokens: of
a small language model), which is compared with PyTorch's in float64, of samples that Python reads by the data set's usual
code. Ends with status 1 if one is not read or refused as it should be.
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile
import warnings

import h5py
import torch
import torch.nn.functional as F
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "python"))

import sets  # noqa: E402
from lossatlas import export_problem  # noqa: E402

TOLERANCE = 1e-5  # of the loss, relative: Lossatlas computes in float32


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
    """Whether the program does with the data what it should, and the text of the column."""
    samples = row.write(folder)
    out = folder / "surface.h5"
    network = words_of(samples or sets.some_samples(), folder)
    words = [binary, "surface", *network, "--data", row.words.replace("DIR", str(folder)), *row.options, "--grid", "1x1",
             "--x", "0:0", "--y", "0:0", "--threads", 1, "--image-cache", folder / "cache", "--out", out]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lines = done.stderr.replace(f"{folder}", "DIR").splitlines() or [f"status {done.returncode}"]
        is_right = row.refusal != "" and row.refusal in lines[-1] and done.returncode in (1, 2) and len(lines) == 1
        return is_right, f"refused: {lines[-1].removeprefix('lossatlas: ')}"
    with h5py.File(out) as file:
        loss = file["test_loss" if "test" in row.options else "train_loss"][0, 0]
    right = wanted(network_of(samples), samples)
    is_equal = abs(loss - right) < TOLERANCE * abs(right)
    shape = "x".join(map(str, samples.inputs.shape[1:]))
    text = f"read, {len(samples.inputs)} of {shape}, values equal" if is_equal else f"read, loss {loss}, in PyTorch {right}"
    return is_equal and row.refusal == "", text


def print_table(rows, results):
    print("| data | files | `--data` | outcome |\n|---|---|---|---|")
    for row, (_, text) in zip(rows, results):
        options = "".join(f" {word}" for word in row.options if word not in ("--split", "test"))
        print(f"| {row.name} | {row.files} | `{row.words}{options}` | {text} |")
    counts = collections.Counter(text.partition(",")[0].partition(":")[0] for _, text in results)
    wrong = [f"{row.name}: {text}" for row, (is_right, text) in zip(rows, results) if not is_right]
    print(f"\n{counts['read']} read, {counts['refused']} refused, {len(wrong)} wrong")
    for text in wrong:
        print(f"survey-data: {text}", file=sys.stderr)
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "release" / "lossatlas")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name or files contain this")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = [row for row in sets.ROWS if options.only in f"{row.name} {row.files}"]
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for number, row in enumerate(rows):
            place = pathlib.Path(folder) / str(number)
            place.mkdir()
            results.append(outcome(row, options.binary, place))
        is_right = print_table(rows, results)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
