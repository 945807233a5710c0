"""How far surfaces of --tolerance are from all images at every point: makes the full surface once, then one with each
sample seed, and prints a table. What is there already is used, so that a study may be interrupted and called again."""

import argparse
import copy
import json
import os
import pathlib
import statistics
import subprocess
import sys

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "release" / "lossatlas"
LEAST_LOSS = 1e-12  # as the program has it: a loss of 0 has no logarithm


def surface(options, out, *words):
    """Makes a surface, or goes on with it."""
    command = [BINARY, "surface", "--checkpoint", options.checkpoint, "--data", options.data, "--grid", options.grid,
               "--split", options.split, "--threads", options.threads, "--out", out, "--resume", "--progress", "none",
               *options.more, *words]
    result = subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"study-levels: {result.stderr.strip().splitlines()[-1]}")


class Surface:
    """What a study needs of a file."""

    def __init__(self, path, split):
        with h5py.File(path) as file:
            if f"{split}_loss" not in file:
                sys.exit(f"study-levels: {path}: has no {split}_loss")
            ours = file["lossatlas"]
            self.path, self.loss, self.state = path, file[f"{split}_loss"][:], ours["evaluated"][:]
            self.x, self.y = file["xcoordinates"][:], file["ycoordinates"][:]
            self.settings, self.provenance = (json.loads(ours.attrs[name]) for name in ("settings", "provenance"))
            self.stated = ours[f"{split}_loss_error"][:] if f"{split}_loss_error" in ours else None

    def at(self, other):
        """The same at the points of another, whose grid holds every few of this one's points."""
        def places(own, its):
            return [place for value in its for place in np.flatnonzero(np.isclose(own, value, rtol=0, atol=1e-12))]

        columns, rows = places(self.x, other.x), places(self.y, other.y)
        if len(columns) < len(other.x) or len(rows) < len(other.y):
            sys.exit(f"study-levels: {self.path}: its grid does not hold all points of {other.path}")
        part = copy.copy(self)
        part.loss, part.state, part.stated = (values[np.ix_(rows, columns)] for values in (self.loss, self.state, self.stated))
        return part

    def log_loss(self):
        with np.errstate(invalid="ignore"):
            return np.log(np.maximum(self.loss, LEAST_LOSS))

    def evaluations(self):
        """Image evaluations of all images at every point."""
        return self.loss.size * self.settings["samples"]


# What decides the values, but for the sample and how it is evaluated.
SHARED = ("checkpoint", "data", "samples", "split", "loss", "bn", "bn_images", "plane", "seed", "normalization",
          "ignore", "directions", "mean", "std")


def check(full, found):
    for name in SHARED:
        if full.settings.get(name) != found.settings.get(name):
            sys.exit(f"study-levels: {full.path} has {name} {full.settings.get(name)}, {found.path} "
                     f"{found.settings.get(name)}")


class Row:
    """How one surface compares with the full one."""

    def __init__(self, full, found):
        self.saved = found.evaluations() / found.provenance["image_evaluations"]
        found = found.at(full)
        truth = full.log_loss()
        known = np.isfinite(truth) & np.isfinite(found.loss)
        errors = 100 * np.abs(found.log_loss() - truth)[known] / np.ptp(truth[known])
        between = known & (found.state == 2)
        self.largest, self.rms = errors.max(), np.sqrt((errors**2).mean())
        # Of the points that were not evaluated: the others are right by themselves.
        right = np.abs(found.loss - full.loss)[between] <= found.stated[between]
        self.within = 100 * right.mean() if between.any() else 100
        self.expected = 100 * found.provenance["error"]
        self.forecast = found.provenance.get("forecast", 0) / found.provenance["image_evaluations"]
        self.subsets = ", ".join(map(str, found.provenance["subsets"]))
        self.seconds = found.provenance["seconds"]


COLUMNS = ("sample seed", "evaluations", "largest error", "RMS error", "expected", "within", "forecast / actual",
           "seconds", "subsets")


def line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def print_row(seed, row):
    line([str(seed), f"1/{row.saved:.1f}", f"{row.largest:.2f} %", f"{row.rms:.3f} %", f"{row.expected:.2f} %",
          f"{row.within:.1f} %", f"{row.forecast:.2f}", f"{row.seconds:.1f}", row.subsets])


def print_summary(rows):
    """Medians, and the extremes that are worse for us."""
    def of(name, worst, text):
        values = [getattr(row, name) for row in rows]
        return f"{text.format(statistics.median(values))} ({text.format(worst(values))})"

    forecasts = [row.forecast for row in rows]
    line(["median (worst)", of("saved", min, "1/{:.1f}"), of("largest", max, "{:.2f} %"), of("rms", max, "{:.3f} %"),
          of("expected", max, "{:.2f} %"), of("within", min, "{:.1f} %"),
          f"{statistics.median(forecasts):.2f} ({min(forecasts):.2f} to {max(forecasts):.2f})",
          of("seconds", max, "{:.1f}"), ""])


def make_in_levels(options, seed):
    """That of one sample. It gets its name once complete: to resume it again would count its seconds anew."""
    out = options.out / f"tolerance-{options.tolerance:g}-seed-{seed}.h5"
    if not out.exists():
        partial = out.with_name(f"{out.stem}.partial.h5")
        surface(options, partial, "--tolerance", options.tolerance, "--sample-seed", seed)
        partial.rename(out)
    return Surface(out, options.split)


def make_full(options):
    if options.full:
        return Surface(options.full, options.split)
    out = options.out / "full.h5"
    surface(options, out)
    return Surface(out, options.split)


def study(options):
    full = make_full(options)
    if (full.state != 1).any():
        sys.exit(f"study-levels: {full.path}: requires all images at every point")
    values = full.loss[np.isfinite(full.loss)]
    print(f"{full.settings['arch']}, {options.grid} points, {full.settings['samples']} {options.split} images; tolerance "
          f"{100 * options.tolerance:g} %; loss {values.min():.4g} to {values.max():.4g}; all images at every point: "
          f"{full.evaluations():.3g} image evaluations, {full.provenance['seconds']:.1f} s\n")
    line(COLUMNS)
    line(["---"] * len(COLUMNS))
    rows = []
    for seed in range(options.seeds):
        found = make_in_levels(options, seed)
        check(full, found)
        rows.append(Row(full, found))
        print_row(seed, rows[-1])
    print_summary(rows)
    print("\nErrors of log loss, over its range in the full surface. Expected: what the program says. Within: the points "
          f"between those evaluated whose true error is within {options.split}_loss_error, of 95 %.")


def main():
    parser = argparse.ArgumentParser(prog="tools/study-levels", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=pathlib.Path, metavar="FILE")
    parser.add_argument("--data", required=True, help="cifar10:DIR, synthetic:N, …")
    parser.add_argument("--grid", default="51x51", help="points along x and y (default 51x51)")
    parser.add_argument("--tolerance", type=float, default=0.01, help="of log loss over its range (default 0.01)")
    parser.add_argument("--seeds", type=int, default=10, help="samples of images (default 10)")
    parser.add_argument("--split", default="train", choices=("train", "test"))
    parser.add_argument("--full", type=pathlib.Path, metavar="FILE.h5", help="all images at every point, if it is there already; its grid may hold some of the points alone, of a part of the range too")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "outputs" / "levels", metavar="DIR",
                        help="where the surfaces are kept (default outputs/levels)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("more", nargs="*", help="after --: further words for every lossatlas surface, as in -- --x -2:2")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: requires a number above 0")
    options.out.mkdir(parents=True, exist_ok=True)
    study(options)


if __name__ == "__main__":
    main()
