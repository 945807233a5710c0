#!/usr/bin/env python3
"""Makes tests/files/pictures: a picture of each kind, and in expected.json the pixels that torchvision's transforms make of
them, through Pillow. Requires torchvision. Usage: tools/reference/pictures.py"""

import io
import json
import pathlib
import struct
import zlib

import numpy as np
import torchvision.transforms as T
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "files" / "pictures"
WIDTH, HEIGHT = 25, 19
INTERPOLATIONS = {name: T.InterpolationMode[name.upper()] for name in ("bilinear", "bicubic", "nearest")}
# resize, crop: as of --resize and --crop.
TRANSFORMS = [([11], [8]), ([11], []), ([13, 7], []), ([30], [25, 24]), ([15], [15]), ([7], [32]), ([], [10, 27]),
              ([25], [20, 22]), ([19], [17])]


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(samples, bits):
    """[H, W, C] to rows with a filter byte each, samples packed into bits."""
    packed = []
    for row in samples.reshape(len(samples), -1):
        if bits == 16:
            data = row.astype(">u2").tobytes()
        else:
            data = np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).ravel()).tobytes()
        packed.append(b"\0" + data)
    return b"".join(packed)


def png(samples, bits, color, *chunks, interlaced=False):
    """A PNG of any kind: Pillow writes few of them."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [samples]
    data = b"".join(rows(part, bits) for part in parts if part.size)
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, color, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND")


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "jpeg", quality=90, **options)
    return out.getvalue()


def pictures():
    random = np.random.default_rng(1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / a + y / b + c) for a, b, c in ((5, 9, 0), (-7, 4, 1), (3, 11, 2), (6, 8, 4))]
    wide = np.clip(32768 + 30000 * np.stack(waves, -1) + random.normal(0, 3000, (HEIGHT, WIDTH, 4)), 0, 65535).astype(np.uint16)
    byte = (wide >> 8).astype(np.uint8)
    rgb, cmyk = Image.fromarray(byte[..., :3]), Image.fromarray(byte, "CMYK")
    palette = chunk(b"PLTE", random.integers(0, 256, 600, dtype=np.uint8).tobytes())  # 200 colours
    clear = chunk(b"tRNS", bytes([0, 128]))
    yield "rgb.png", png(byte[..., :3], 8, 2)
    yield "rgb16.png", png(wide[..., :3], 16, 2)
    yield "rgba.png", png(byte, 8, 6)
    yield "rgba16.png", png(wide, 16, 6)
    for bits in (1, 2, 4, 8):
        yield f"grey{bits}.png", png(byte[..., :1] >> (8 - bits), bits, 0)
    yield "grey16.png", png(wide[..., :1] >> 7, 16, 0)  # up to 511: Pillow cuts off at 255
    yield "grey-alpha.png", png(byte[..., :2], 8, 4)
    yield "grey-alpha16.png", png(wide[..., :2], 16, 4)
    yield "palette.png", png(byte[..., :1], 8, 3, palette, clear)  # some colours are beyond its end
    yield "palette2.png", png(byte[..., :1] >> 6, 2, 3, chunk(b"PLTE", bytes(range(10, 130, 10))))
    yield "interlaced.png", png(byte[..., :3], 8, 2, interlaced=True)
    yield "interlaced-grey16.png", png(wide[..., :1] >> 7, 16, 0, interlaced=True)
    yield "grey-clear.png", png(byte[..., :1], 8, 0, chunk(b"tRNS", bytes([0, 100])))
    yield "halved.jpg", jpeg(rgb)
    yield "full.jpg", jpeg(rgb, subsampling=0)
    yield "progressive.jpg", jpeg(rgb, progressive=True)
    yield "grey.jpg", jpeg(rgb.convert("L"))
    yield "cmyk.jpg", (inks := jpeg(cmyk))
    adobe = inks.index(b"Adobe") + 11  # the transform: 2 is YCCK
    yield "ycck.jpg", inks[:adobe] + b"\2" + inks[adobe + 1:]
    exif = Image.Exif()
    exif[274] = 6  # to be turned
    yield "turned.jpg", jpeg(rgb, exif=exif)
    yield "jpeg.png", jpeg(rgb)
    yield "tall.png", png(byte[..., :3].transpose(1, 0, 2), 8, 2)


def expected(name, resize, crop, interpolation):
    steps = [T.Resize(resize if len(resize) == 2 else resize[0], INTERPOLATIONS[interpolation])] if resize else []
    steps += [T.CenterCrop(crop)] if crop else []
    image = Image.open(FOLDER / name).convert("RGB")
    pixels = np.asarray(T.Compose(steps)(image) if steps else image).transpose(2, 0, 1)
    return {"picture": name, "resize": resize, "crop": crop, "interpolation": interpolation, "shape": list(pixels.shape),
            "pixels": pixels.tobytes().hex()}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = []
    for name, content in pictures():
        (FOLDER / name).write_bytes(content)
        cases.append(expected(name, [], [], "bilinear"))
    for resize, crop in TRANSFORMS:
        cases += [expected("rgb.png", resize, crop, name) for name in INTERPOLATIONS]
    (FOLDER / "expected.json").write_text("[" + ",\n".join(json.dumps(case) for case in cases) + "]\n")


if __name__ == "__main__":
    main()
