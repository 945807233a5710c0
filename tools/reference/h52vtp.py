#!/usr/bin/env python3
"""Writes tests/files/h52vtp.json: what tomgoldstein/loss-landscape's h52vtp.py makes of a surface, and splines of SciPy,
for tests/end_to_end/test_export.py.

A developer's tool. h52vtp.py runs unmodified, in a Python that still has scipy.interpolate.interp2d:

    python3 -m venv /tmp/li && /tmp/li/bin/pip install numpy==1.24.4 scipy==1.10.1 h5py==3.8.0
    /tmp/li/bin/python tools/reference/h52vtp.py --li /path/to/loss-landscape
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import h5py
import numpy as np
import scipy
from scipy.interpolate import RectBivariateSpline

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "files" / "h52vtp.json"
CASES = ((), ("--log",), ("--zmax", "4.5"), ("--interp", "9"), ("--log", "--zmax", "4.5", "--interp", "9"))


def vtp(script, words):
    """The arrays of the .vtp that the script writes with these words."""
    with tempfile.TemporaryDirectory() as folder:
        x = np.linspace(-1, 1, 6)
        random = np.random.default_rng(1)
        loss = 1 + 4 * x[None] ** 2 + 2 * x[:, None] ** 2 + 0.3 * random.random((6, 6))
        with h5py.File(f"{folder}/s.h5", "w") as file:
            file["xcoordinates"] = file["ycoordinates"] = x
            file["train_loss"] = loss
        subprocess.run([sys.executable, "-W", "ignore", script, "-f", f"{folder}/s.h5", *words], check=True,
                       stdout=subprocess.DEVNULL)
        written, = pathlib.Path(folder).glob("*.vtp")
        piece = xml.parse(written).getroot().find("PolyData/Piece")
        arrays = {}
        for part in ("PointData", "CellData", "Points", "Polys"):
            for array in piece.find(part):
                arrays[array.get("Name")] = [float(word) for word in array.text.split()]
        return {"words": words, "loss": loss.tolist(), "arrays": arrays}


def spline():
    """A bicubic spline through uneven coordinates, nx and ny being different."""
    random = np.random.default_rng(2)
    x, y = np.sort(random.random(7)), np.sort(random.random(5))
    values = random.random((5, 7))
    at_x, at_y = np.linspace(x[0], x[-1], 8), np.linspace(y[0], y[-1], 8)
    return {"x": x.tolist(), "y": y.tolist(), "values": values.tolist(),
            "spline": RectBivariateSpline(y, x, values)(at_y, at_x).tolist()}


parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--li", type=pathlib.Path, required=True, help="a checkout of tomgoldstein/loss-landscape")
script = parser.parse_args().li / "h52vtp.py"
FILE.write_text(json.dumps({"made_by": f"tools/reference/h52vtp.py, SciPy {scipy.__version__}",
                            "cases": [vtp(script, words) for words in CASES], "spline": spline()}) + "\n")
