"""Entry point: `python tools/plotting FILE.h5`."""

import os
import sys

# Run as a folder, Python puts the folder itself on the path; the package is found from its parent.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# An interactive or misspelt backend must not stop a program that never opens a window.
os.environ.pop("MPLBACKEND", None)


def run():
    try:
        from plotting import command
    except ModuleNotFoundError as missing:
        print(
            f"plot: the Python module '{missing.name}' is missing from {sys.executable}: run tools/setup",
            file=sys.stderr,
        )
        return 1
    return command.main(sys.argv[1:])


if __name__ == "__main__":
    try:
        status = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader of our standard output left; the figures are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 0
    sys.exit(status)
