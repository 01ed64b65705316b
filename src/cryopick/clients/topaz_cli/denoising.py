"""Denoising, which is not supported, and a stand-in for it that a user may turn on.

With CRYOPICK_DENOISE=filter in the environment, `denoise` applies a Gaussian low-pass filter and
says so. It shows particles better than the raw micrograph does, but removes detail and is no
trained denoiser.

- `denoise`: filter micrographs, or refuse.
- `refuse`: report that denoising is not supported.
"""

import os
from argparse import Namespace
from pathlib import Path

import numpy as np

from cryopick.clients.topaz_cli.arguments import report
from cryopick.clients.topaz_cli.images import write_image
from cryopick.clients.topaz_cli.micrographs import find_images, report_failures
from cryopick.errors import CryopickError, SettingsError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.names import micrograph_stem
from cryopick.preprocess.display import filter_band
from cryopick.runs.file_errors import translate_file_errors

__all__ = ["denoise", "refuse"]

_LOW_PASS_ANG = 20.0  # where the gain is one half
_LOW_PASS_PX = 8.0  # if the pixel size is unknown
_MIN_LOW_PASS_PX = 4.0


def denoise(values: Namespace) -> int:
    """Write low-pass filtered micrographs if the stand-in is turned on; otherwise refuse."""
    if os.environ.get("CRYOPICK_DENOISE") != "filter":
        return refuse(values)
    if values.dir_a or values.dir_b or values.hdf:
        report("cryopick does not train denoisers; the stand-in filters micrographs only")
        return 1
    report(
        f"# not a denoiser: a Gaussian low-pass filter, {_LOW_PASS_ANG:g} Å or {_LOW_PASS_PX:g} "
        "pixels without a pixel size (CRYOPICK_DENOISE=filter)"
    )
    paths = find_images(values.micrographs)
    failures: list[Exception] = []
    for path in paths:
        try:
            with translate_file_errors(path):
                _filter(path, values)
        except CryopickError as error:
            failures.append(error)
    return report_failures(len(paths), failures)


def refuse(_: Namespace) -> int:
    """Report that denoising is not supported; write nothing.

    RELION shows the original micrograph if this fails; other clients stop.
    """
    report(
        "cryopick does not denoise; nothing was written. Use the original micrograph, or run this "
        "job with a program that denoises (docs/howto/topaz.md). CRYOPICK_DENOISE=filter in the "
        "environment writes low-pass filtered micrographs instead."
    )
    return 1


def _filter(path: Path, values: Namespace) -> None:
    """Write a filtered micrograph where `denoise` of Topaz writes it."""
    raw = read_micrograph(path)
    pixel_size_ang = raw.pixel_size_ang
    low_pass_px = _LOW_PASS_PX if pixel_size_ang is None else _LOW_PASS_ANG / pixel_size_ang
    image = np.asarray(raw.pixels, dtype=np.float32)
    image = filter_band(image, 1.0, low_pass_ang=max(low_pass_px, _MIN_LOW_PASS_PX))
    if values.normalize:
        image = (image - image.mean()) / max(float(image.std()), 1e-12)
    suffix = values.suffix or ("" if values.output else ".denoised")
    folder = Path(values.output) if values.output else path.parent
    name = f"{micrograph_stem(path.name)}{suffix}.{values.format}"
    if (folder / name).resolve() == path.resolve():
        raise SettingsError(f"{path}: would overwrite itself; choose another --output")
    write_image(folder / name, image, pixel_size_ang)
