"""Commands on micrographs: downsample and normalize.

- `preprocess`, `downsample`: micrographs for training and picking.
- `write_image`: write an image in the format of its suffix.
"""

import json
import tempfile
from argparse import Namespace
from pathlib import Path

import numpy as np

from cryopick.array_types import Float32
from cryopick.clients.topaz_cli.arguments import report, set_thread_count
from cryopick.clients.topaz_cli.micrographs import find_images, report_failures
from cryopick.errors import CryopickError, SettingsError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.names import micrograph_stem
from cryopick.preprocess.export import write_prepared
from cryopick.preprocess.fourier import downsample as shrunk_to
from cryopick.preprocess.fourier import reduced_shape
from cryopick.preprocess.settings import PreprocessSettings
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.ledger import Ledger

__all__ = ["downsample", "preprocess", "write_image"]

_IMAGES = ("mrc", "tiff", "png")
_GREY_RANGE_SD = 3.0  # greys cover this many standard deviations around the mean


def preprocess(values: Namespace) -> int:
    """Downsample and normalize micrographs to `<destdir>/<stem>.mrc`, overwriting them.

    The mixture model is fitted to the histogram of the whole micrograph, so the sampling options
    are ignored. Micrographs that cannot be used are reported and skipped.
    """
    kinds = [kind.strip().lower().replace("tif", "tiff").replace("tifff", "tiff")
             for kind in values.format.split(",")]  # fmt: skip
    if unknown := [kind for kind in kinds if kind not in _IMAGES]:
        values.parser.error(f"--format: expected mrc, tiff or png, got {unknown[0]!r}")
    set_thread_count(values.num_workers)
    folder, paths = Path(values.destdir), find_images(values.files)
    outputs = {path: folder / f"{micrograph_stem(path.name)}.mrc" for path in paths}
    _check_outputs(outputs)
    settings = PreprocessSettings(
        factor=values.scale, normalization="affine" if values.affine else "micrograph"
    )
    folder.mkdir(parents=True, exist_ok=True)
    failures: list[CryopickError] = []

    def on_done(path: Path, error: CryopickError | None) -> None:
        if error:
            failures.append(error)
        elif values.verbose:
            report(f"# processed: {micrograph_stem(path.name)}")

    with tempfile.TemporaryDirectory(prefix=".cryopick-", dir=folder) as scratch:
        parts = Ledger.for_output(Path(scratch) / "images", [])
        with parts.start((), overwrite=True, keep=False):
            written = write_prepared(outputs, settings, None, parts, on_done)
    for path in written:
        _write_others(outputs[path], kinds, values)
    return report_failures(len(paths), failures)


def _check_outputs(outputs: dict[Path, Path]) -> None:
    """Check that no two micrographs share an output, and that none overwrites itself.

    Raises:
        SettingsError: Outputs conflict.
    """
    owners: dict[Path, Path] = {}
    for path, output in outputs.items():
        other = owners.setdefault(output, path)
        if other != path:
            raise SettingsError(f"{other} and {path} would both be written to {output}")
        if output.resolve() == path.resolve():
            raise SettingsError(f"{path}: would overwrite itself; choose another --destdir")


def _write_others(prepared: Path, kinds: list[str], values: Namespace) -> None:
    """Write a preprocessed micrograph in other formats, and its metadata."""
    image = read_micrograph(prepared).pixels.astype(np.float32)
    for kind in kinds:
        if kind != "mrc":
            write_image(prepared.with_suffix(f".{kind}"), image, None)
    if values.metadata:
        metadata = {
            "scale": values.scale,
            "normalization": "affine" if values.affine else "mixture",
        }
        with atomic_write(prepared.with_suffix(".metadata.json"), overwrite=True) as temporary:
            temporary.write_text(json.dumps(metadata, indent=4))
    if "mrc" not in kinds:
        prepared.unlink()


def write_image(
    path: Path, image: Float32[np.ndarray, "height width"], pixel_size_ang: float | None
) -> None:
    """Write an image in the format of its suffix, overwriting the file."""
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        with atomic_write(path, overwrite=True) as temporary:
            tifffile.imwrite(temporary, image)
    elif path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        from PIL import Image

        standard = (image - image.mean()) / max(float(image.std()), 1e-12)
        greys = (standard / _GREY_RANGE_SD * 127.5 + 127.5).clip(0, 255).astype(np.uint8)
        with atomic_write(path, overwrite=True) as temporary:
            Image.fromarray(greys).save(temporary)
    else:
        size_yx = None if pixel_size_ang is None else (pixel_size_ang, pixel_size_ang)
        write_mrc(path, image, pixel_size_ang=size_yx, overwrite=True)


def downsample(values: Namespace) -> None:
    """Downsample one micrograph without normalization."""
    raw = read_micrograph(Path(values.file))
    if not values.scale > 0:
        values.parser.error("--scale must be above 0")
    shape = reduced_shape(raw.pixels.shape, max(1.0, values.scale))
    small = shrunk_to(raw.pixels, shape)
    ang = raw.pixel_size_ang
    write_image(
        Path(values.output), small, None if ang is None else ang * raw.pixels.shape[1] / shape[1]
    )
    if values.verbose:
        report(f"# {raw.pixels.shape} to {shape}")
