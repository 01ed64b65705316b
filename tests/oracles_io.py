"""Files made byte by byte from the published layouts, never with the libraries we read with."""

import struct
import zlib

import numpy as np

MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def mrc_bytes(image, mode, *, order="<", pixel_size_ang=(0.0, 0.0), extended=b"", **fields):
    """An MRC2014 file: 56 words of 4 bytes, 10 labels of 80, extended header, pixels.

    `pixel_size_ang` is (y, x). `fields` replaces header words by their names in the paper.
    """
    stack = image if image.ndim == 3 else image[np.newaxis]
    nz, ny, nx = stack.shape
    words = {
        "nx": nx, "ny": ny, "nz": nz, "mode": mode, "mx": nx, "my": ny, "mz": nz,
        "cella_x": nx * pixel_size_ang[1], "cella_y": ny * pixel_size_ang[0], "cella_z": 1.0,
        "dmin": 0.0, "dmax": -1.0, "dmean": -2.0, "nsymbt": len(extended),
        "word": b"MAP ", "stamp": b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0",
    } | fields  # fmt: skip
    head = struct.pack(
        f"{order}10i3f3f3i3f2i100s3f4s4sf i800s".replace(" ", ""),
        *(words[name] for name in ("nx", "ny", "nz", "mode")),
        0, 0, 0,
        *(words[name] for name in ("mx", "my", "mz", "cella_x", "cella_y", "cella_z")),
        90.0, 90.0, 90.0, 1, 2, 3,
        *(words[name] for name in ("dmin", "dmax", "dmean")),
        0, words["nsymbt"], b"", 0.0, 0.0, 0.0, words["word"], words["stamp"], 0.0, 0, b"",
    )  # fmt: skip
    return head + extended + stack.astype(order + MODES.get(mode, "i1")).tobytes()


def tiff_bytes(image, *, order="<", compression=1, resolution=None, unit=3):
    """A baseline TIFF 6.0 of one grey image; `resolution` is pixels per unit along (x, y)."""
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    height, width = image.shape
    pixels = image.astype(image.dtype.newbyteorder(order)).tobytes()
    data_at = 8
    rationals_at = data_at + len(pixels)
    x_res, y_res = resolution or (0, 0)
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, image.dtype.itemsize * 8),
        (259, 3, compression), (262, 3, 1), (273, 4, data_at), (277, 3, 1),
        (278, 4, height), (279, 4, len(pixels)),
    ]  # fmt: skip
    if resolution:
        entries += [(282, 5, rationals_at), (283, 5, rationals_at + 8), (296, 3, unit)]
    entries.append((339, 3, kind))
    rationals = struct.pack(f"{order}4I", x_res, 1, y_res, 1)
    directory = struct.pack(f"{order}H", len(entries))
    for tag, code, value in entries:
        packed = struct.pack(order + ("H2x" if code == 3 else "I"), value)
        directory += struct.pack(f"{order}HHI", tag, code, 1) + packed
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}I", rationals_at + len(rationals))
    return mark + start + pixels + rationals + directory + bytes(4)


def png_bytes(image, *, colour=0):
    """A PNG of 8 or 16 bits, without filters; `colour` 0 is grey, 2 is RGB of three equal."""
    depth = image.dtype.itemsize * 8
    height, width = image.shape
    samples = np.repeat(image[..., None], 3 if colour == 2 else 1, axis=-1)
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )
