"""Entry point: `python python/lossatlas/plotting FILE.h5`, and `main` of an installed package."""

import codecs
import contextlib
import os
import sys

# Run as a folder, Python puts the folder itself on the path; the package is found from where lossatlas lies.
if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REMEDY = "install lossatlas again" if __package__ else "run tools/setup"

# An interactive or misspelt backend must not stop a program that never opens a window.
os.environ.pop("MPLBACKEND", None)


def open_streams():
    """A standard stream that is closed would give its number to the next file opened; /dev/null takes its place, and
    cannot be written either. Names of files are written with the bytes they have, in any locale."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest number that is free: this one
            setattr(sys, name, open(number, "r" if name == "stdin" else "w"))
    codecs.register_error("as they are", as_they_are)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="as they are")


def as_they_are(error):
    """For codecs: the bytes that a name of a file had; '?' for other characters that the locale has not."""
    cut = error.object[error.start:error.end]
    return b"".join(os.fsencode(each) if "\udc80" <= each <= "\udcff" else b"?" for each in cut), error.end


def run():
    try:
        from lossatlas.plotting import command
    except ModuleNotFoundError as missing:
        print(
            f"plot: the Python module '{missing.name}' is missing from {sys.executable}: {REMEDY}",
            file=sys.stderr,
        )
        return 1
    except ImportError as broken:
        reason = " ".join(str(broken).split())[:200]
        print(f"plot: a Python module of {sys.executable} cannot be loaded ({reason}): {REMEDY}", file=sys.stderr)
        return 1
    return command.main(sys.argv[1:])


def main():
    """The exit status."""
    try:
        open_streams()
        try:
            status = run()
        except SystemExit as end:  # --help
            status = end.code
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # of a standard stream: the figures are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):  # its reader left
            return 0
        with contextlib.suppress(OSError):
            print(f"plot: standard output cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
