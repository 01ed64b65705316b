"""Functions that programs import from Topaz, computed by cryopick.

The optional distribution in packaging/topaz makes them available under the names of Topaz. Names,
arguments and results are those of Topaz 0.3.20.

- `normalize`, `normalize_images`: normalize an image, or files.
- `score_images`: score files with a model.
- `load_model`: a model that scores arrays.
- `non_maximum_suppression`: peaks of a score map.
- `Denoise`, `denoise_image`, `denoise_stream`: denoise an array, or files.
"""

import tempfile
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryopick.array_types import Float32, Integer, Real
from cryopick.clients.topaz_cli.detectors import choose_numbered_device, open_detector
from cryopick.clients.topaz_cli.images import preprocess
from cryopick.errors import InputError
from cryopick.io.images.mrc import write_mrc
from cryopick.pick.suppression import suppress_non_maxima
from cryopick.preprocess.normalize import Normalization
from cryopick.preprocess.pipeline import prepare_micrograph
from cryopick.preprocess.settings import NormalizationKind

if TYPE_CHECKING:
    import torch

__all__ = [
    "Denoise",
    "LoadedModel",
    "denoise_image",
    "denoise_stream",
    "load_model",
    "non_maximum_suppression",
    "normalize",
    "normalize_images",
    "score_images",
]


def normalize(
    x: Real[np.ndarray, "height width"], *_: object, method: str = "gmm", **__: object
) -> tuple[Float32[np.ndarray, "height width"], dict[str, float]]:
    """Normalize an image to background mean 0 and standard deviation 1.

    Args:
        x: The image.
        method: "gmm" fits a mixture model to the image; "affine" uses all pixels.

    Returns:
        The image, and the mean and standard deviation of its background.
    """
    kind: NormalizationKind = "affine" if method == "affine" else "micrograph"
    image = prepare_micrograph(np.asarray(x), 1.0, Normalization(kind)).image
    std = float(np.std(x) / max(float(image.std()), 1e-12))
    return image, {"mu": float(np.mean(x)) - std * float(image.mean()), "std": std}


def normalize_images(  # noqa: PLR0913  # the arguments of Topaz
    paths: Sequence[str],
    dest: str,
    num_workers: int = 0,
    scale: float = 1,
    affine: bool = False,  # as above
    niters: int = 100,  # noqa: ARG001
    alpha: float = 900,  # noqa: ARG001
    beta: float = 1,  # noqa: ARG001
    sample: int = 1,  # noqa: ARG001
    metadata: bool = False,
    formats: Sequence[str] = ("mrc",),
    use_cuda: bool = False,  # noqa: ARG001
    verbose: bool = False,
) -> None:
    """Downsample and normalize files to `<dest>/<stem>.mrc`.

    Raises:
        InputError: A file cannot be used; the others are written.
    """
    values = Namespace(
        files=list(paths),
        destdir=dest,
        scale=scale,
        affine=affine,
        metadata=metadata,
        format=",".join(suffix.strip(".") for suffix in formats),
        num_workers=num_workers,
        verbose=verbose,
    )
    if preprocess(values):
        raise InputError("some micrographs could not be used; see the messages")


def score_images(
    model: "str | LoadedModel",
    paths: str | Iterable[str],
    device: int = -1,
    patch_size: int = 0,  # noqa: ARG001
    batch_size: int = 1,  # noqa: ARG001
) -> Iterator[tuple[str, Float32[np.ndarray, "height width"]]]:
    """Yield the path and the score map of each image.

    Args:
        model: Name or file of a model, or a loaded one.
        paths: Paths of images.
        device: Number of the GPU; the CPU below 0.
        patch_size: Accepted and ignored.
        batch_size: Accepted and ignored.
    """
    names = [paths] if isinstance(paths, str) else list(paths)
    files = [Path(name) for name in names]
    name = model.name if isinstance(model, LoadedModel) else str(model)
    detector = open_detector(name, files, choose_numbered_device(device), dense=True)
    for path, file in zip(names, files, strict=True):
        yield path, detector.score(file).whole_map()


def load_model(path: str) -> "LoadedModel":
    """Load the model of a name or a file."""
    return LoadedModel(path)


class LoadedModel:
    """A model that scores arrays, with the methods of a torch module that programs call."""

    def __init__(self, name: str) -> None:
        self.name = str(name)
        self._device = -1

    def eval(self) -> "LoadedModel":
        """Return the model; it is always in evaluation mode."""
        return self

    def fill(self, stride: int = 1) -> int:
        """Return the distance of scores in pixels, which is 1; maps are always dense."""
        return stride

    def unfill(self) -> None:
        """Do nothing; maps are always dense."""

    def cuda(self, device: int = 0) -> "LoadedModel":
        """Score on a GPU, if there is one."""
        self._device = device
        return self

    def cpu(self) -> "LoadedModel":
        """Score on the CPU."""
        self._device = -1
        return self

    def __call__(self, images: "torch.Tensor") -> "torch.Tensor":
        """Score images (n, 1, height, width); the maps have the same shape."""
        import torch

        maps = []
        with tempfile.TemporaryDirectory() as folder:
            for number, image in enumerate(images[:, 0].detach().cpu().numpy()):
                path = Path(folder) / f"{number}.mrc"
                write_mrc(path, np.asarray(image, np.float32), pixel_size_ang=None)
                ((_, scores),) = score_images(self, [str(path)], device=self._device)
                maps.append(scores)
        return torch.from_numpy(np.stack(maps)[:, None]).to(images.device)


def non_maximum_suppression(
    x: Real[np.ndarray, "height width"],
    r: float,
    threshold: float = -np.inf,
    **_: Any,  # noqa: ANN401  # further arguments of other versions
) -> tuple[Float32[np.ndarray, " peaks"], Integer[np.ndarray, "peaks 2"]]:
    """Find the peaks of a score map that are more than `r` pixels apart.

    Returns:
        Scores in descending order, and positions (x, y).

    >>> non_maximum_suppression(np.array([[0, 1, 0], [2, 0, 0], [0, 0, 3.0]]), 2.0, threshold=0.5)
    (array([3., 2.], dtype=float32), array([[2, 2],
           [0, 1]], dtype=int32))
    """
    scores = np.asarray(x, dtype=np.float32)
    peaks = suppress_non_maxima(scores, radius=r, threshold=threshold)
    return scores[tuple(peaks.T)], peaks[:, ::-1].astype(np.int32)


class Denoise:
    """The denoiser of the package, for any name of a model of Topaz, or that of a file."""

    def __init__(self, model: str = "unet", use_cuda: bool = False, dims: int = 2) -> None:
        """Load a denoiser.

        Args:
            model: Name of a model of Topaz, or file of a denoiser of cryopick.
            use_cuda: Compute on a GPU, if there is one.
            dims: Dimensions; only micrographs, 2, are denoised.

        Raises:
            NotImplementedError: `dims` is not 2.
        """
        if dims != 2:  # micrographs
            raise NotImplementedError("cryopick does not denoise tomograms; use the originals")
        self.name = str(model)
        self._device = 0 if use_cuda else -1

    def __call__(
        self, input: Real[np.ndarray, "height width"]
    ) -> Float32[np.ndarray, "height width"]:
        """Denoise an image."""
        return self.denoise(input)

    def denoise(
        self,
        x: Real[np.ndarray, "height width"],
        patch_size: int = -1,  # noqa: ARG002
        padding: int = 128,  # noqa: ARG002
    ) -> Float32[np.ndarray, "height width"]:
        """Denoise an image; the result does not depend on patches."""
        return denoise_image(x, [self])


def denoise_image(
    mic: Real[np.ndarray, "height width"],
    models: Sequence[Denoise] = (),
    lowpass: float = 1,
    gaus: float | None = None,
    normalize: bool = False,
    **_: Any,  # noqa: ANN401  # further arguments of Topaz
) -> Float32[np.ndarray, "height width"]:
    """Denoise an image with the mean of some denoisers.

    Args:
        mic: The image.
        models: Denoisers; that of the package if there are none.
        lowpass: Factor by which a filter lowers the bandwidth of the result.
        gaus: Standard deviation in pixels of a Gaussian filter of the result.
        normalize: Scale the result to mean 0 and standard deviation 1.
    """
    from cryopick.clients.topaz_cli.denoising import denoise_pixels, open_denoisers

    device = max((model._device for model in models), default=-1)
    denoisers = open_denoisers([model.name for model in models] or ["unet"], device)
    values = Namespace(lowpass=lowpass, gaussian=float(gaus or 0.0))
    image = denoise_pixels(np.asarray(mic), None, denoisers, values)
    return (image - image.mean()) / max(float(image.std()), 1e-12) if normalize else image


def denoise_stream(  # noqa: PLR0913  # the arguments of Topaz
    micrographs: Sequence[str],
    output_path: str,
    format: str = "mrc",
    suffix: str = "",
    models: Sequence[Denoise] = (),
    lowpass: float = 1,
    pixel_cutoff: float = 0,
    normalize: bool = True,
    use_cuda: bool = False,
    **_: Any,  # noqa: ANN401  # further arguments of Topaz
) -> None:
    """Denoise files to `<output_path>/<stem><suffix>.<format>`.

    Raises:
        InputError: A file cannot be used; the others are written.
    """
    from cryopick.clients.topaz_cli.denoising import denoise_files

    values = Namespace(
        micrographs=list(micrographs),
        output=output_path,
        format=format.strip("."),
        suffix=suffix,
        lowpass=lowpass,
        gaussian=0.0,
        pixel_cutoff=pixel_cutoff,
        normalize=normalize,
        device=0 if use_cuda else -1,
    )
    if denoise_files(values, [model.name for model in models] or ["unet"]):
        raise InputError("some micrographs could not be denoised; see the messages")
