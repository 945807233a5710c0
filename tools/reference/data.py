#!/usr/bin/env python3
"""Writes the small arrays of tests/files/data/, which the tests of src/data read.

    .venv/bin/python tools/reference/data.py

Run by hand when a test needs another file; the files are kept in git. Each array but those of refused.* is
0, 1, 2, …, 23 of shape [2, 3, 4], of bool 0, 1, 0, …; its name says how it is stored.
"""

import io
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "files" / "data"
TYPES = ["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def ramp(code):
    numbers = numpy.arange(24).reshape(2, 3, 4)
    return (numbers % 2 if code.endswith("b1") else numbers).astype(code)


def every_way():
    """Both byte orders, those of C and of Fortran."""
    for code in TYPES:
        for order, name in (("<", "little"), (">", "big")):
            for layout in "CF":
                yield f"{code}_{name}_{layout}", numpy.asarray(ramp(order + code), order=layout)


def npy(array, version):
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer formats than are needed
        numpy.lib.format.write_array(out, array, version)
    return out.getvalue()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    numpy.savez(FOLDER / "numbers.npz", **dict(every_way()))
    numpy.savez_compressed(FOLDER / "deflated.npz", **dict(every_way()))
    with zipfile.ZipFile(FOLDER / "versions.npz", "w") as out:
        for version in (1, 2, 3):
            out.writestr(f"version_{version}.npy", npy(ramp("<i4"), (version, 0)))
    refused = {
        "object": numpy.array([{"a": 1}, None], dtype=object),
        "text": numpy.array(["a", "b"]),
        "bytes": numpy.array([b"a", b"b"]),
        "complex": numpy.zeros(2, complex),
        "date": numpy.zeros(2, "datetime64[s]"),
        "records": numpy.zeros(2, [("x", "<f4"), ("y", "<i4")]),
        "large": numpy.array([0, 2**63], numpy.uint64),
    }
    numpy.savez(FOLDER / "refused.npz", **refused)
    with h5py.File(FOLDER / "numbers.h5", "w") as h5:
        for name, array in every_way():
            if name.endswith("C"):
                h5[name] = array
                h5.create_dataset(f"{name}_packed", data=array, chunks=(1, 3, 2), compression="gzip", shuffle=True)
        h5["text"] = ["a", "b"]
        h5["complex"] = numpy.zeros(2, complex)
        h5["large"] = refused["large"]
        h5.create_group("folder")["inputs"] = ramp("f4")


if __name__ == "__main__":
    main()
