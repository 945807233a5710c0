"""What both surveys share: the program's answer to a row, and the table."""

import collections
import pathlib
import subprocess
import sys

import h5py

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5  # of the loss, relative: Lossatlas computes in float32


def loss_of(binary, folder, words):
    """The loss at the centre of a surface of one point, or the lines of a refusal and the exit status."""
    out = folder / "surface.h5"
    words = [binary, "surface", *words, "--grid", "1x1", "--x", "0:0", "--y", "0:0", "--threads", 1, "--out", out]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return done.stderr.splitlines() or [f"status {done.returncode}"], done.returncode
    with h5py.File(out) as file:
        return next(float(file[name][0, 0]) for name in ("train_loss", "test_loss") if name in file), 0


def judge(refusal, loss, status, wanted, what, folder):
    """Whether the program did what it should, and the text of the column. `refusal`: a part of the line; "" if the loss
    `wanted` is right."""
    if status != 0:
        lines = [line.replace(f"{folder}/", "").replace(str(folder), "DIR") for line in loss]
        is_right = refusal != "" and refusal in lines[-1] and status in (1, 2) and len(lines) == 1
        return is_right, f"refused: {lines[-1].removeprefix('lossatlas: ')}"
    is_equal = wanted is not None and abs(loss - wanted) < TOLERANCE * abs(wanted)
    return is_equal and refusal == "", f"read, {what}, values equal" if is_equal else f"read, loss {loss}, in PyTorch {wanted}"


def print_table(name, columns, rows, results):
    """`rows`: the texts of all columns but the last, which is the outcome. False if an outcome is wrong."""
    print(f"| {' | '.join(columns)} | outcome |\n|{'---|' * (len(columns) + 1)}")
    for cells, (_, text) in zip(rows, results):
        print(f"| {' | '.join(cells)} | {text} |")
    counts = collections.Counter(text.partition(",")[0].partition(":")[0] for _, text in results)
    wrong = [f"{cells[0]}: {cells[1]}: {text}" for cells, (is_right, text) in zip(rows, results) if not is_right]
    print(f"\n{counts['read']} read, {counts['refused']} refused, {counts['skipped']} skipped, {len(wrong)} wrong")
    for text in wrong:
        print(f"{name}: {text}", file=sys.stderr)
    return not wrong
