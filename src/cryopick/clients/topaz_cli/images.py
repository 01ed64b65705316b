"""The commands on images: shrink and standardise. Denoising is refused.

- `preprocess`, `downsample`: micrographs for training and picking.
- `denoise`: a refusal that each client understands.
"""

import json
import tempfile
from argparse import Namespace
from pathlib import Path

import numpy as np

from cryopick.array_types import Float32
from cryopick.clients.topaz_cli.given import done_with, image_paths
from cryopick.clients.topaz_cli.manners import say, use_cores
from cryopick.errors import CryopickError, SettingsError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.names import stem_of
from cryopick.preprocess.export import PreprocessSettings, write_prepared
from cryopick.preprocess.fourier import downsample as shrunk_to
from cryopick.preprocess.fourier import reduced_shape
from cryopick.runs.atomic_write import whole
from cryopick.runs.ledger import Parts

__all__ = ["denoise", "downsample", "preprocess"]

_IMAGES = ("mrc", "tiff", "png")
_PICTURE_SPREADS = 3.0  # greys reach this many standard deviations from the mean


def preprocess(values: Namespace) -> int:
    """Shrink and standardise micrographs: `<destdir>/<stem>.mrc`, in place of what is there.

    The mixture is fitted to a histogram of each whole micrograph, so that the options of a fit to
    samples change nothing. A micrograph that cannot be used is told and left out.
    """
    kinds = [kind.strip().lower().replace("tif", "tiff").replace("tifff", "tiff")
             for kind in values.format.split(",")]  # fmt: skip
    if unknown := [kind for kind in kinds if kind not in _IMAGES]:
        values.parser.error(f"--format: expected mrc, tiff or png, got {unknown[0]!r}")
    use_cores(values.num_workers)
    folder, paths = Path(values.destdir), image_paths(values.files)
    outputs = {path: folder / f"{stem_of(path.name)}.mrc" for path in paths}
    _refuse_one_over_another(outputs)
    settings = PreprocessSettings(
        factor=values.scale, normalization="affine" if values.affine else "micrograph"
    )
    folder.mkdir(parents=True, exist_ok=True)
    failures: list[CryopickError] = []

    def on_done(path: Path, error: CryopickError | None) -> None:
        if error:
            failures.append(error)
        elif values.verbose:
            say(f"# processed: {stem_of(path.name)}")

    with tempfile.TemporaryDirectory(prefix=".cryopick-", dir=folder) as scratch:
        parts = Parts.beside(Path(scratch) / "images", [])
        with parts.begun((), overwrite=True, keep=False):
            written = write_prepared(outputs, settings, None, parts, on_done)
    for path in written:
        _write_others(outputs[path], kinds, values)
    return done_with(len(paths), failures)


def _refuse_one_over_another(outputs: dict[Path, Path]) -> None:
    """Refuse two micrographs of one name, and one that would be written over itself.

    Raises:
        SettingsError: There are such.
    """
    owners: dict[Path, Path] = {}
    for path, output in outputs.items():
        other = owners.setdefault(output, path)
        if other != path:
            raise SettingsError(f"{other} and {path} would both be written to {output}")
        if output.resolve() == path.resolve():
            raise SettingsError(f"{path}: would be written over itself; choose another --destdir")


def _write_others(made: Path, kinds: list[str], values: Namespace) -> None:
    """Write a prepared micrograph in other formats too, and what was done to it."""
    image = read_micrograph(made).pixels.astype(np.float32)
    for kind in kinds:
        if kind != "mrc":
            write_image(made.with_suffix(f".{kind}"), image, None)
    if values.metadata:
        told = {"scale": values.scale, "normalization": "affine" if values.affine else "mixture"}
        with whole(made.with_suffix(".metadata.json"), overwrite=True) as temporary:
            temporary.write_text(json.dumps(told, indent=4))
    if "mrc" not in kinds:
        made.unlink()


def write_image(
    path: Path, image: Float32[np.ndarray, "height width"], pixel_size_ang: float | None
) -> None:
    """Write an image in the format that its name ends with; a file that is there is replaced."""
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        with whole(path, overwrite=True) as temporary:
            tifffile.imwrite(temporary, image)
    elif path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        from PIL import Image

        standard = (image - image.mean()) / max(float(image.std()), 1e-12)
        greys = (standard / _PICTURE_SPREADS * 127.5 + 127.5).clip(0, 255).astype(np.uint8)
        with whole(path, overwrite=True) as temporary:
            Image.fromarray(greys).save(temporary)
    else:
        size_yx = None if pixel_size_ang is None else (pixel_size_ang, pixel_size_ang)
        write_mrc(path, image, pixel_size_ang=size_yx, overwrite=True)


def downsample(values: Namespace) -> None:
    """Shrink one micrograph, its intensities as they are."""
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
        say(f"# {raw.pixels.shape} to {shape}")


def denoise(_: Namespace) -> int:
    """Say that there is no denoiser here; nothing is written.

    RELION shows the micrograph as it is where this fails; others stop at it.
    """
    say(
        "cryopick picks particles and does not denoise; nothing was written. Use the micrograph "
        "as it is, or point this one job to a program that denoises (docs/howto/topaz.md)."
    )
    return 1
