"""Figures drawn anew while a sweep runs, until its surface is complete."""

import os
import time

from . import figures, reading
from .errors import NotYetError, PlotError, UnreadableError
from .hdf5 import HISTORY
from .messages import say
from .wording import grouped


def watch(options):
    """Draws whenever the file changed, a line each time; ends when no point is missing.

    The file may be away for a while, and need not be there yet. What waiting mends is said once.
    """
    seen, said, notes = None, None, set()
    while True:
        stamp = _stamp(options.file)
        if stamp is None:
            said = _say_new(f"waiting for {options.file}", said)
        elif stamp != seen:
            try:
                complete = _draw(options, notes)
                seen, said = stamp, None
                if complete:
                    return
            except (NotYetError, UnreadableError) as reason:
                said = _say_new(f"waiting: {reason}", said)
                seen = stamp if _stamp(options.file) == stamp else None
        time.sleep(options.watch)


def _say_new(text, said):
    if text != said:
        say(text)
    return text


def _stamp(path):
    """What changes when the file is written or replaced; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlotError(f"cannot read {path}: {error.strerror}") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def _draw(options, notes):
    """Draws the file as it is now; whether it is complete. The `notes` were said before."""
    with reading.open_file(options.file) as file:
        done, total = file.progress()
        try:
            paths = figures.draw_files([file], options, notes)
        except NotYetError as error:
            if 0 < total <= done:  # waiting would not mend it
                raise PlotError(str(error)) from error
            raise
    what = f"{file.unit}s" if file.sort == HISTORY else "points"
    of = f" of {grouped(total)}" if total else ""
    print(f"{grouped(done)}{of} {what}: {', '.join(paths)}", flush=True)
    return 0 < total <= done
