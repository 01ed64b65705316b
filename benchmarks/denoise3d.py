"""Denoising of a simulated tomogram: `python benchmarks/denoise3d.py [--topaz PROGRAM]`.

The truth is the same specimen at 100 times the dose, reconstructed alike, so that the missing wedge
counts as an error of no method. cryopick learns from the halves of the tomogram itself; the
reference, a program, applies its pretrained networks to the whole tomogram.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
from common import FOLDER
from denoise import fit_scale, row, start_table
from scipy.ndimage import gaussian_filter

from cryopick.simulate.molecule_files import load_molecule
from cryopick.tomograms.coordinates import get_xyz
from cryopick.tomograms.denoise_settings import DenoiserTraining
from cryopick.tomograms.denoising import denoise_volume, train_denoiser
from cryopick.tomograms.simulation.settings import TomogramSettings
from cryopick.tomograms.simulation.tomogram import SimulatedTomogram, simulate_tomogram
from cryopick.tomograms.volumes import write_volume

KEPT = FOLDER / "denoise3d"
SETTINGS = TomogramSettings(
    width_px=96,
    height_px=96,
    depth_px=64,
    particles=15,
    crowders=150,
    alignment_error_ang=0.0,
    halves=True,
    seed=7,
)
TRUTH_DOSE = 100  # relative to that of the tomogram
BOX_ANG = 190.0  # side of the boxes around particles
SIGMAS_ANG = (10.0, 15.0, 20.0, 30.0, 40.0)
NETWORKS = ("unet-3d-10a", "unet-3d-20a")  # of the reference

Volume = np.ndarray


def main(steps: int, program: Path | None) -> None:
    """Print the table."""
    molecules = [load_molecule(name) for name in SETTINGS.molecules]
    noisy = simulate_tomogram(SETTINGS, molecules, 0, "tomo_000")
    dose = TRUTH_DOSE * SETTINGS.dose_e_per_ang2
    better = replace(SETTINGS, dose_e_per_ang2=dose, halves=False)
    truth = simulate_tomogram(better, molecules, 0, "tomo_000").volume
    start_table("A simulated tomogram", ["PSNR in dB", "correlation at particles", "seconds"])
    for name, volume, seconds in estimates(noisy, truth, steps, program):
        correlation = particle_correlation(volume, truth, get_xyz(noisy.picks))
        row(name, f"{psnr_db(volume, truth):.1f}", f"{correlation:.3f}", f"{seconds:.0f}")


def estimates(
    noisy: SimulatedTomogram, truth: Volume, steps: int, program: Path | None
) -> Iterator[tuple[str, Volume, float]]:
    """Yield the name of each method, its result and the time that it took."""
    import torch

    cpu = torch.device("cpu")
    yield "raw", noisy.volume, 0.0
    filtered = [
        (psnr_db(volume, truth), sigma, volume)
        for sigma in SIGMAS_ANG
        for volume in [gaussian_filter(noisy.volume, sigma / SETTINGS.voxel_size_ang)]
    ]
    _, best_ang, best = max(filtered, key=lambda each: each[0])
    yield f"Gaussian, {best_ang:g} Å, the best of all", best, 0.0
    started = time.perf_counter()
    even, odd = (standardise(half) for half in noisy.halves)
    network = train_denoiser([(even, odd)], DenoiserTraining(steps=steps), device=cpu)
    denoised = denoise_volume(network, standardise(noisy.volume), device=cpu)
    yield f"cryopick, {steps} steps on the halves", denoised, time.perf_counter() - started
    if program:
        for name in NETWORKS:
            started = time.perf_counter()
            denoised = run_topaz(program, name, noisy.volume)
            yield f"Topaz, {name}", denoised, time.perf_counter() - started


def run_topaz(program: Path, network: str, volume: Volume) -> Volume:
    """Denoise by a network of the reference, without patches."""
    path, out = KEPT / "noisy.mrc", KEPT / network
    write_volume(path, volume, voxel_size_ang=SETTINGS.voxel_size_ang, overwrite=True)
    command = [program, "denoise3d", "-d", "-1", "-s", "0", "-m", network, "-o", out, path]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(list(map(str, command)), check=True, env=environment)
    return np.array(mrcfile.read(out / path.name), np.float32)


def standardise(volume: Volume) -> Volume:
    """Scale a volume to mean 0 and standard deviation 1."""
    return ((volume - volume.mean()) / volume.std()).astype(np.float32)


def psnr_db(estimate: Volume, truth: Volume) -> float:
    """Compute the peak signal-to-noise ratio; the peak is the range of 99.8 % of the voxels."""
    low, high = np.quantile(truth, [0.001, 0.999])
    error = np.square(fit_scale(estimate, truth) - truth).mean()
    return float(10 * np.log10((high - low) ** 2 / error))


def particle_correlation(estimate: Volume, truth: Volume, xyz_px: np.ndarray) -> float:
    """Average the correlation with the truth over boxes around the particles."""
    half = round(BOX_ANG / SETTINGS.voxel_size_ang / 2)
    values = []
    for centre in np.rint(xyz_px[:, ::-1]).astype(int):
        if (centre >= half).all() and (centre + half <= truth.shape).all():
            box = tuple(slice(index - half, index + half) for index in centre)
            values.append(np.corrcoef(estimate[box].ravel(), truth[box].ravel())[0, 1])
    return float(np.mean(values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="of the training")
    parser.add_argument("--topaz", type=Path, help="the reference, such as .peer/bin/topaz")
    options = parser.parse_args()
    main(options.steps, options.topaz)
