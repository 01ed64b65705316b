"""The denoiser: errors on simulations, flatness on noise, contrast and picks on real micrographs.

    python benchmarks/denoise.py [--topaz PROGRAM] [PART ...]

Parts: simulation, noise, contrast, picking; all by default. Denoised images of the reference, a
program that is run with its default options on one core, are kept in runs/bench/denoise.
"""

import argparse
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import FOLDER, ROOT
from empiar10017 import DATA, micrographs
from scipy.ndimage import gaussian_filter

from cryopick.denoise.background import measure_background
from cryopick.denoise.denoiser import denoise_image
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks, concatenate
from cryopick.preprocess.fourier import downsample
from cryopick.simulate.micrograph import Scene, simulate_scene
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings

KEPT = FOLDER / "denoise"
MOLECULES = ("compact", "rod", "y-shaped", "ring")
DOSES = (40.0, 10.0)
PIXEL_SIZE_ANG = 2.5
SIDE_PX = 512
SIGMAS_ANG = (5.0, 7.5, 10.0, 15.0, 20.0, 30.0)
BETA_GALACTOSIDASE_ANG, EMPIAR_PIXEL_ANG = 180.0, 1.77
T20S = ROOT.parent / "shared" / "data" / "real" / "t20s"
T20S_ANG, T20S_PIXEL_ANG = 150.0, 7.84
APOFERRITIN = T20S.parent / "apoferritin_raw"
APOFERRITIN_ANG, APOFERRITIN_PIXEL_ANG = 130.0, 6.32

Image = np.ndarray
Method = Callable[[Image, float], Image]


def start_table(title: str, columns: Sequence[str]) -> None:
    """Print the head of a table."""
    print(f"\n### {title}\n\n| method | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")


def row(*cells: str) -> None:
    """Print one row of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def ours(image: Image, pixel_size_ang: float) -> Image:
    """Denoise by the denoiser of the package."""
    return denoise_image(image, pixel_size_ang)


def topaz(program: Path) -> Method:
    """Return the method that runs the reference as a program, once per image."""

    def run(image: Image, pixel_size_ang: float) -> Image:
        name = hashlib.sha256(np.ascontiguousarray(image)).hexdigest()[:16]
        out = KEPT / "out" / f"{name}.mrc"
        if not out.exists():
            size_ang = (pixel_size_ang,) * 2
            write_mrc(KEPT / f"{name}.mrc", image, pixel_size_ang=size_ang, overwrite=True)
            command = [program, "denoise", "-d", "-1", "-s", "0", "-o", out.parent]
            out.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(  # patches would only repeat work at their edges
                [*map(str, command), str(KEPT / f"{name}.mrc")],
                check=True,
                capture_output=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        return np.array(read_micrograph(out).pixels, np.float32)

    return run


def gaussian(sigma_ang: float) -> Method:
    """Return the method that applies a Gaussian filter."""
    return lambda image, pixel_size_ang: gaussian_filter(image, sigma_ang / pixel_size_ang)


@dataclass(frozen=True)
class Exposure:
    """An exposure of a simulated scene."""

    name: str
    dose: float
    scene: Scene
    diameter_px: float
    image: Image


def exposures() -> Iterator[Exposure]:
    """Simulate exposures of molecules that the training does not contain, at two doses."""
    for number, name in enumerate(MOLECULES):
        molecule = load_molecule(name)
        settings = SimulationSettings(
            width_px=SIDE_PX,
            height_px=SIDE_PX,
            pixel_size_ang=PIXEL_SIZE_ANG,
            molecule=name,
            particles=14,
            broken=3.0,
            contaminants=0.5,
            carbon_prob=0.0,
            seed=900 + number,
        )
        scene = simulate_scene(settings, molecule, 0)
        for dose in DOSES:
            rng = np.random.default_rng([number, int(dose)])
            image = scene.expose(rng, dose / settings.dose_e_per_ang2)
            diameter_px = molecule.diameter_ang / PIXEL_SIZE_ANG
            yield Exposure(name, dose, scene, diameter_px, image.astype(np.float32))


def fit_scale(estimate: Image, truth: Image) -> Image:
    """Scale an estimate to the truth by least squares, as the reference changes the unit."""
    centred = estimate.astype(np.float64) - estimate.mean(dtype=np.float64)
    slope = (centred * truth).mean() / np.square(centred).mean()
    return slope * centred + truth.mean(dtype=np.float64)


def psnr_db(estimate: Image, truth: Image) -> float:
    """Compute the peak signal-to-noise ratio; the peak is the range of 99.8 % of the pixels."""
    low, high = np.quantile(truth, [0.001, 0.999])
    error = np.square(fit_scale(estimate, truth) - truth).mean()
    return float(10 * np.log10((high - low) ** 2 / error))


def particle_correlation(estimate: Image, exposure: Exposure) -> float:
    """Average the correlation with the truth over boxes of 1.2 diameters around the particles."""
    half = int(0.6 * exposure.diameter_px)
    values = []
    for x, y in np.rint(exposure.scene.xy_px).astype(int):
        rows, columns = slice(y - half, y + half), slice(x - half, x + half)
        if min(x, y) >= half and max(x, y) <= SIDE_PX - half:
            boxes = (each[rows, columns].ravel() for each in (estimate, exposure.scene.intensity))
            values.append(np.corrcoef(*boxes)[0, 1])
    return float(np.mean(values))


def wiener(exposure: Exposure) -> Image:
    """Filter by the true power spectra of this very scene and its noise: the best linear filter."""
    truth = exposure.scene.intensity - exposure.scene.intensity.mean()
    noise = exposure.image - exposure.scene.intensity
    frequency = np.hypot(np.fft.fftfreq(SIDE_PX)[:, None], np.fft.rfftfreq(SIDE_PX)[None])
    ring = np.minimum((frequency * SIDE_PX).astype(int), SIDE_PX // 2)
    powers = []
    for image in (truth, noise):
        power = np.abs(np.fft.rfft2(image)) ** 2
        mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
        powers.append(mean[ring])
    gain = powers[0] / (powers[0] + powers[1])
    filtered = np.fft.irfft2(np.fft.rfft2(exposure.image) * gain, s=exposure.image.shape)
    return filtered.astype(np.float32)


def simulation(program: Path | None) -> None:
    """Print the errors on simulations, by dose."""
    made = list(exposures())
    means = {
        sigma: np.mean([psnr_db(gaussian(sigma)(e.image, PIXEL_SIZE_ANG), e.scene.intensity)
                        for e in made])
        for sigma in SIGMAS_ANG
    }  # fmt: skip
    best_ang = max(means, key=lambda sigma: means[sigma])
    methods: dict[str, Callable[[Exposure], Image]] = {
        "raw": lambda e: e.image,
        f"Gaussian, {best_ang:g} Å, the best of all": lambda e: gaussian(best_ang)(
            e.image, PIXEL_SIZE_ANG
        ),
        "Wiener, true spectra": wiener,
        "cryopick": lambda e: ours(e.image, PIXEL_SIZE_ANG),
    }
    if program:
        methods["Topaz, unet"] = lambda e: topaz(program)(e.image, PIXEL_SIZE_ANG)
    columns = [f"{what}, {dose:g} e/Å²" for dose in DOSES for what in ("PSNR", "correlation")]
    start_table("Simulated, with truth: PSNR in dB, and correlation at the particles", columns)
    for name, method in methods.items():
        cells = []
        for dose in DOSES:
            estimates = [(method(e), e) for e in made if e.dose == dose]
            cells.append(f"{np.mean([psnr_db(i, e.scene.intensity) for i, e in estimates]):.1f}")
            cells.append(f"{np.mean([particle_correlation(i, e) for i, e in estimates]):.3f}")
        row(name, *cells)
    start_table("The same by molecule at 40 e/Å²: PSNR in dB", MOLECULES)
    for name, method in methods.items():
        values = [psnr_db(method(e), e.scene.intensity) for e in made if e.dose == DOSES[0]]
        row(name, *(f"{value:.1f}" for value in values))


def noise_fields() -> Iterator[tuple[str, Image]]:
    """Yield fields without particles."""
    rng = np.random.default_rng(11)
    white = rng.standard_normal((SIDE_PX, SIDE_PX)).astype(np.float32)
    yield "white noise", white
    frequency = np.hypot(np.fft.fftfreq(SIDE_PX)[:, None], np.fft.rfftfreq(SIDE_PX)[None])
    pink = np.fft.irfft2(np.fft.rfft2(white) * np.maximum(frequency, 1 / 128) ** -0.5)
    yield "noise of amplitude f^-0.5", (pink / pink.std()).astype(np.float32)
    settings = SimulationSettings(
        width_px=SIDE_PX, height_px=SIDE_PX, pixel_size_ang=PIXEL_SIZE_ANG, particles=0, seed=31
    ).without_junk()
    scene = simulate_scene(settings, load_molecule("compact"), 0)
    yield "simulated empty ice", scene.expose(rng)


def noise(program: Path | None) -> None:
    """Print how much of the noise is left where there is nothing."""
    methods: dict[str, Method] = {
        "Gaussian, 10 Å": gaussian(10.0),
        "Gaussian, 20 Å": gaussian(20.0),
        "cryopick": ours,
    }
    if program:
        methods["Topaz, unet"] = topaz(program)
    fields = list(noise_fields())
    start_table(
        "No particles: standard deviation and largest deviation left, in those of the noise",
        [name for name, _ in fields],
    )
    for name, method in methods.items():
        cells = []
        for _, image in fields:
            background = measure_background(image)
            result = background.normalise(method(image, PIXEL_SIZE_ANG).astype(np.float32))
            result -= result.mean()
            cells.append(f"{result.std():.3f}, {np.abs(result).max():.2f}")
        row(name, *cells)


@dataclass(frozen=True)
class RealImage:
    """A real micrograph at a scale at which all methods are applied."""

    name: str
    image: Image
    pixel_size_ang: float
    xy_px: np.ndarray
    diameter_px: float


def real_images(count: int = 2) -> Iterator[RealImage]:
    """Read real micrographs: EMPIAR-10017 Fourier-cropped fourfold, T20S and apoferritin as is."""
    table = read_picks(DATA / "particles.tsv")
    for path in micrographs("test")[:count]:
        raw = np.array(read_micrograph(path).pixels, np.float32)
        image = downsample(raw, (1024, 1024))
        xy = table.restrict([path.stem]).xy_px / 4
        pixel_ang = 4 * EMPIAR_PIXEL_ANG
        yield RealImage("EMPIAR-10017", image, pixel_ang, xy, BETA_GALACTOSIDASE_ANG / pixel_ang)
    labels = read_picks(T20S / "auto_picks.tsv")
    for path in sorted(T20S.glob("*.png"))[:count]:
        image = np.array(read_micrograph(path).pixels, np.float32)
        xy = labels.restrict([path.stem]).xy_px
        yield RealImage("T20S", image, T20S_PIXEL_ANG, xy, T20S_ANG / T20S_PIXEL_ANG)
    path = APOFERRITIN / "apof_24dec03a.mrc"
    truth = read_picks(APOFERRITIN / "truth_byeye.tsv")
    image = np.array(read_micrograph(path).pixels, np.float32)
    diameter_px = APOFERRITIN_ANG / APOFERRITIN_PIXEL_ANG
    yield RealImage("apoferritin", image, APOFERRITIN_PIXEL_ANG, truth.xy_px, diameter_px)


def contrast_to_noise(image: Image, real: RealImage) -> float:
    """Compute the contrast of labels against pixels far from all, in SD of the latter."""
    from scipy.spatial import cKDTree

    smooth = measure_background(image.astype(np.float32))
    flat = smooth.normalise(image.astype(np.float32))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    distance = cKDTree(real.xy_px).query(np.stack([x, y], axis=-1))[0]
    inside, outside = distance < 0.25 * real.diameter_px, distance > 1.0 * real.diameter_px
    return float(abs(flat[inside].mean() - flat[outside].mean()) / flat[outside].std())


def methods_of(program: Path | None) -> dict[str, Method]:
    """Return the methods that are compared on real micrographs."""
    methods: dict[str, Method] = {
        "raw": lambda image, _: image,
        "Gaussian, 10 Å": gaussian(10.0),
        "Gaussian, 20 Å": gaussian(20.0),
        "cryopick": ours,
    }
    if program:
        methods["Topaz, unet"] = topaz(program)
    return methods


def contrast(program: Path | None) -> None:
    """Print contrast to noise at the labels of real micrographs."""
    images = list(real_images())
    names = list(dict.fromkeys(each.name for each in images))
    start_table("Real micrographs: contrast to noise per pixel at labels", names)
    for name, method in methods_of(program).items():
        values = {
            kind: np.mean(
                [
                    contrast_to_noise(method(each.image, each.pixel_size_ang), each)
                    for each in images
                    if each.name == kind
                ]
            )
            for kind in names
        }
        row(name, *(f"{value:.2f}" for value in values.values()))


def picking(program: Path | None) -> None:
    """Print the average precision of blob detection and of the general model."""
    import torch

    from cryopick.model.model_file import GENERAL_MODEL, load_model
    from cryopick.pick.picker import Picker
    from cryopick.pick.proposals.proposer import Proposer
    from cryopick.pick.proposals.settings import ProposeSettings
    from cryopick.pick.settings import PickSettings

    images = list(real_images())
    names = list(dict.fromkeys(each.name for each in images))
    model = load_model(GENERAL_MODEL)
    start_table(
        "Real micrographs: average precision of blob detection, and of the general model",
        [f"{name}, {what}" for name in names for what in ("blobs", "model")],
    )
    for name, method in methods_of(program).items():
        cells = []
        for kind in names:
            picked: dict[str, list[Picks]] = {"blobs": [], "model": []}
            truth = []
            chosen = [each for each in images if each.name == kind]
            for number, each in enumerate(chosen):
                path = KEPT / "picking" / f"{number}.mrc"
                image = method(each.image, each.pixel_size_ang)
                write_mrc(path, image, pixel_size_ang=(each.pixel_size_ang,) * 2, overwrite=True)
                diameter_ang = each.diameter_px * each.pixel_size_ang
                proposer = Proposer.create(ProposeSettings(diameter_ang=diameter_ang))
                picked["blobs"].append(proposer.propose(path))
                settings = PickSettings(diameter_ang=diameter_ang)
                picker = Picker.create(model, settings, torch.device("cpu"))
                picked["model"].append(picker.pick(path))
                truth.append(Picks.for_micrograph(str(path), each.xy_px))
            radius_px = 0.4 * chosen[0].diameter_px
            for picks in picked.values():
                result = evaluate_picks(concatenate(picks), concatenate(truth), radius_px)
                cells.append(f"{result.average_precision:.3f}")
        row(name, *cells)


PARTS = {"simulation": simulation, "noise": noise, "contrast": contrast, "picking": picking}


def main(parts: Sequence[str] = (), program: Path | None = None) -> None:
    """Print the tables of some parts, or of all."""
    for name in parts or PARTS:
        PARTS[name](program)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="parts to run")
    parser.add_argument("--topaz", type=Path, help="the reference, such as .peer/bin/topaz")
    options = parser.parse_args()
    main(options.parts, options.topaz)
