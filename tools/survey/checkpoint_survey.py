"""Checkpoints as well-known scripts write them, read by Lossatlas: a table in Markdown.

Each file is made here, by the names and objects that its script would leave: small networks, and stand-ins for the
classes of packages that are not installed. The program then gives the loss at the file's weights, which is compared
with PyTorch's in float64. Ends with status 1 if a file is not read or refused as it should be.
"""

import argparse
import concurrent.futures
import importlib.util
import pathlib
import sys
import tempfile
import warnings

import torch

import scripts  # noqa: F401: both add rows, in this order
import refusals  # noqa: F401
from networks import ROOT, Data, ResNet, drawn
from rows import ROWS
from table import judge, loss_of, print_table



def is_installed(row):
    try:
        return not row.package or importlib.util.find_spec(row.package) is not None
    except ValueError:  # a stand-in's
        return False


def write(row, folder):
    """Writes the row's file; the module whose values it holds."""
    module = drawn(row.network.make())
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    held = row.write(folder / row.file, module)
    return module if held is None else held


def outcome(row, binary, folder, options, wanted, tensors):
    loss, status = loss_of(binary, folder, ["--checkpoint", folder / row.file, *options])
    return judge(row.refusal, loss, status, wanted, f"{tensors} tensors", folder)


def survey(rows, binary, folder):
    """What `outcome` gives of each row."""
    data, futures = Data(folder), []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number, row in enumerate(rows):
            if not is_installed(row):
                futures.append(pool.submit(lambda package: (True, f"skipped: {package} is not installed"), row.package))
                continue
            place = folder / str(number)
            held = write(row, place)
            options = [*data.words(row.network), *(["--key", row.key] if row.key else [])]
            futures.append(pool.submit(outcome, row, binary, place, options, data.loss(row.network, held),
                                       len(held.state_dict())))
    return [future.result() for future in futures]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build" / "release" / "lossatlas")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose script or file contains this")
    parser.add_argument("--write", type=pathlib.Path, metavar="FOLDER",
                        help="only write the files, a folder each, of smaller networks")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = [row for row in ROWS if options.only in f"{row.script} {row.file}"]
    if options.write:
        ResNet.most_stages = 1
        for number, row in enumerate(rows):
            if is_installed(row):
                write(row, options.write / str(number))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = survey(rows, options.binary, pathlib.Path(folder))
        cells = [(row.script, f"`{row.file}`", row.around) for row in rows]
        is_right = print_table("survey-checkpoints", ("script", "file", "around the weights"), cells, results)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
