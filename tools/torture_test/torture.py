"""Kills a small sweep at random moments, resumes it, and compares what it ends in with an undisturbed run.

A sweep of some hundred points, a few seconds long, is ended TIMES times: by SIGKILL, SIGTERM, SIGINT, SIGINT twice, and on
a disk that is full. After each end the file opens and holds at least the points it held before. When a sweep is complete
all its datasets and its settings are those of the undisturbed run, and a new one is begun."""

import argparse
import contextlib
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LOSSATLAS_BINARY", ROOT / "build" / "release" / "lossatlas")).absolute()
TIMEOUT = 600  # seconds that no run here may take
FULL = 2_000_000  # bytes of the small disk


def contents(path):
    """Every dataset of a surface and its settings: what must not depend on how it came about."""
    with h5py.File(path) as file:
        found = {"settings": file["lossatlas"].attrs["settings"]}

        def keep(name, node):
            if isinstance(node, h5py.Dataset):
                value = node[()]
                # The scales hold references to the other datasets; their numbers are xcoordinates and ycoordinates.
                is_text = isinstance(value, bytes) or value.dtype == object  # or an array of texts
                found[name] = list(np.ravel(value)) if is_text else value.tobytes()

        file.visititems(keep)
    return found


def evaluated(path):
    with h5py.File(path) as file:
        return int((file["lossatlas/evaluated"][()] == 1).sum())


class Sweep:
    """The sweep that is tortured: a small ResNet20 on made-up pictures."""

    def __init__(self, folder, binary=BINARY, grid="21x17", samples=150):
        self.binary = binary
        self.run("train", "--arch", "resnet20", "--width", 4, "--data", "synthetic:200", "--out", folder / "run",
                 "--epochs", 1, "--threads", 1)
        self.words = ["surface", "--checkpoint", folder / "run" / "checkpoints" / "epoch-0001.pt", "--data",
                      "synthetic:200", "--grid", grid, "--samples", samples, "--threads", 2, "--progress", "none"]
        start = time.monotonic()
        self.run(*self.words, "--out", folder / "undisturbed.h5")
        self.seconds = time.monotonic() - start
        self.expected = contents(folder / "undisturbed.h5")

    def start(self, *words, **more):
        return subprocess.Popen([str(word) for word in (self.binary, *words)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)

    def run(self, *words, **more):
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=TIMEOUT)
        if process.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, words))}: exit status {process.returncode}: {err}")
        return out, err

    def resume(self, out, **more):
        return self.start(*self.words, "--out", out, "--resume", **more)

    def differences(self, out):
        found = contents(out)
        return sorted(name for name in found.keys() | self.expected.keys() if found.get(name) != self.expected.get(name))


def end(process, number, twice, after):
    """Sends a signal after some seconds. The exit status and the last line on standard error."""
    time.sleep(after)
    process.send_signal(number)
    if twice:
        time.sleep(0.005)
        process.send_signal(number)
    _, err = process.communicate(timeout=TIMEOUT)
    lines = err.splitlines()
    return process.returncode, lines[-1] if lines else ""


WAYS = {"SIGKILL": (signal.SIGKILL, False), "SIGTERM": (signal.SIGTERM, False), "SIGINT": (signal.SIGINT, False),
        "SIGINT twice": (signal.SIGINT, True)}


class Torture:
    def __init__(self, sweep, folder, seed, say=print):
        self.sweep, self.folder, self.say = sweep, folder, say
        self.random = random.Random(seed)
        self.ends = self.completed = 0
        self.begin()

    def begin(self):
        self.out, self.points = self.folder / f"tortured-{self.completed}.h5", 0

    def once(self):
        """One run that is ended. The shortest are ended before their file is there, the longest are done by then."""
        way = self.random.choice(list(WAYS))
        after = self.random.uniform(0.05, max(1.2, 0.45 * self.sweep.seconds))
        status, line = end(self.sweep.resume(self.out), *WAYS[way], after)
        allowed = {0, 130, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM}  # also by a signal while it starts
        if status not in allowed:
            raise AssertionError(f"exit status {status} after {way}: {line}")
        self.ends += 1
        points = self.check()
        self.say(f"{self.ends}: {way} after {after:.2f} s, exit status {status}, {points} points in the file")
        if status == 0:
            self.compare()

    def check(self):
        """The file opens, and holds no fewer points than before."""
        if not self.out.exists():
            if self.points > 0:
                raise AssertionError(f"{self.out}: is gone")
            return 0
        points = evaluated(self.out)
        if points < self.points:
            raise AssertionError(f"{self.out}: {points} points, {self.points} before")
        self.points = points
        return points

    def compare(self):
        if different := self.sweep.differences(self.out):
            raise AssertionError(f"{self.out}: differs from the undisturbed run in {', '.join(different)}")
        left = sorted(path.name for path in self.folder.glob(f"{self.out.name}?*"))
        if left:
            raise AssertionError(f"left beside a complete file: {', '.join(left)}")
        self.completed += 1
        self.say(f"complete: all datasets and settings are those of the undisturbed run ({self.completed})")
        self.begin()

    def finish(self):
        """The last sweep to its end."""
        _, err = self.sweep.resume(self.out).communicate(timeout=TIMEOUT)
        if not self.out.exists() or evaluated(self.out) == 0:
            raise AssertionError(err)
        self.compare()


def small_files(limit):
    """In the child: no file may grow beyond the limit, which is then an error as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@contextlib.contextmanager
def small_disk(folder):
    """A folder on a disk of 2 MB, or nothing where that cannot be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL}", "none", str(disk)], capture_output=True)
    try:
        yield disk if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(disk)], check=True)


def on_a_full_disk(sweep, disk, room):
    """Fills the disk up but for `room` bytes, and lets the sweep run into that."""
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - room)))
    process = sweep.start(*sweep.words, "--out", disk / "full.h5")
    return recover(sweep, process, disk / "full.h5", make_room=filler.unlink)


def where_files_are_limited(sweep, folder, limit):
    """The same by a limit of the size of files, where no disk can be mounted."""
    process = sweep.start(*sweep.words, "--out", folder / "limited.h5", preexec_fn=lambda: small_files(limit))
    return recover(sweep, process, folder / "limited.h5")


def recover(sweep, process, out, make_room=lambda: None):
    """Waits until the sweep has failed for lack of room, resumes it, and returns the line that it ended with."""
    _, err = process.communicate(timeout=TIMEOUT)
    make_room()
    check_end(process.returncode, err, out)
    sweep.run(*sweep.words, "--out", out, "--resume")
    if different := sweep.differences(out):
        raise AssertionError(f"{out}: differs from the undisturbed run in {', '.join(different)}")
    out.unlink()
    return err.splitlines()[-1]


def check_end(status, err, out):
    lines = err.splitlines() or [""]
    if status != 1 or not lines[-1].startswith("lossatlas: ") or str(out) not in lines[-1]:
        raise AssertionError(f"{out}: exit status {status}, {err}")


def fill_disks(sweep, folder, say):
    size = (folder / "undisturbed.h5").stat().st_size
    with small_disk(folder) as disk:
        # No room for the file at all; for one but not a second beside it; for both, with a page for half of the journal.
        for room in (size // 2, size + 16384, 2 * size + 24576) if disk else ():
            say(f"disk with {room} bytes free: {on_a_full_disk(sweep, disk, room)}")
    if not disk:
        for limit in (3000, 8000):
            say(f"files of at most {limit} bytes: {where_files_are_limited(sweep, folder, limit)}")


def main():
    parser = argparse.ArgumentParser(prog="tools/torture", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", nargs="?", type=int, default=50, help="runs that are ended (default 50)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments (default: another each time)")
    words = parser.parse_args()
    seed = random.randrange(1 << 32) if words.seed is None else words.seed
    print(f"seed {seed}", flush=True)

    def say(text):
        print(text, flush=True)

    with tempfile.TemporaryDirectory(prefix="lossatlas-torture-") as name:
        folder = pathlib.Path(name)
        sweep = Sweep(folder)
        say(f"undisturbed: {sweep.seconds:.1f} s")
        torture = Torture(sweep, folder, seed, say)
        try:
            while torture.ends < words.times:
                torture.once()
            torture.finish()
            fill_disks(sweep, folder, say)
        except AssertionError as error:
            print(f"torture: {error}", file=sys.stderr)
            return 1
    say(f"survived: {torture.ends} ends, {torture.completed} complete surfaces, all with the undisturbed run's bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
