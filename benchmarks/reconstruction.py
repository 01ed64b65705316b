"""Resolution by number of picks: true particles, the general model and blob detection.

Repeats Figures 3 and 4a of Bepler et al. 2019 on simulated micrographs, with `relion_reconstruct`
and the true orientations, so that only centring and purity of the picks matter: a pick that matches
a particle gets its orientation, any other pick a random one. Prints the fraction of right picks and
their mean distance from the particle, the resolution at FSC 0.143, the range over cones, and the
sphericity. Random sets of the true particles are drawn three times.
Existing results in runs/reconstruction are reused.

    OMP_NUM_THREADS=1 nice -n 12 .venv/bin/python benchmarks/reconstruction.py [--count 60]
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import CRYOPICK, ROOT, cryopick
from views import TOPAZ, run_peer

from cryopick.evaluate.matching import match_picks
from cryopick.experiments.fourier_shells import (
    compute_shell_correlation,
    find_resolution,
    mask_sphere,
    read_map,
)
from cryopick.io.names import match_names
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.views import convert_to_euler_angles, draw_rotations

OUT = ROOT / "runs" / "reconstruction"
DIAMETER_ANG, PIXEL_ANG, BOX_PX = 150, 2.0, 96
ANGLES = {"rot_deg": "rlnAngleRot", "tilt_deg": "rlnAngleTilt", "psi_deg": "rlnAnglePsi"}
SEEDS = (1, 2, 3)


def main() -> None:
    """Run missing steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="micrographs of 40 particles")
    parser.add_argument("--sizes", type=int, nargs="+", default=[150, 300, 600, 1200, 2400])
    parser.add_argument("--data", type=Path, help="folder of `cryopick simulate` to use instead")
    chosen = parser.parse_args()
    data = chosen.data or simulate(chosen.count)
    sets = {
        "true particles": data / "particles.tsv",
        "general model": pick(data, "pick", DIAMETER_ANG),
        "blob detection": pick(data, "propose", round(0.6 * DIAMETER_ANG)),
    }
    if TOPAZ.exists():
        sets["peer, pretrained"] = pick_by_peer(data)
    sets["general model − blob detection"] = subtract(sets["general model"], sets["blob detection"])
    print("| picks | number | right | off centre, Å | resolution, Å | in cones, Å | sphericity |")
    print("|---|---|---|---|---|---|---|", flush=True)
    rows = []
    for name, picks in sets.items():
        stack = extract(data, name, picks)
        total = len(read_picks(stack))
        for size in [*(size for size in chosen.sizes if size < total), total]:
            seeds = (SEEDS if size < total else SEEDS[:1]) if name == "true particles" else ()
            rows += measure(name, stack, size, seeds, data)
        if name == "true particles":
            agreement = compare_with_molecule(stack.with_name(f"set-{total}-{SEEDS[0]}.star"))
    print(
        f"\nThe map of all true particles agrees with the molecule to {agreement:.1f} Å (FSC 0.5)."
    )
    with (OUT / "resolution.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerows([("set", "particles", "resolution_ang"), *rows])
    cryopick(
        "validate", "resolution", OUT / "resolution.tsv", "-o", OUT / "resolution.png", "--force"
    )


def simulate(count: int) -> Path:
    """Simulate Y-shaped particles with known orientations."""
    folder = OUT / f"data-{count}"
    if not (folder / "particles.tsv").exists():
        cryopick(
            *("simulate", folder, "--count", count, "--molecule", "y-shaped", "--seed", 41),
            *("--particles", 40, "--width-px", 1024, "--height-px", 1024),
            *("--pixel-size-ang", PIXEL_ANG),
        )
    return folder


def pick(data: Path, command: str, diameter_ang: float) -> Path:
    """Pick all micrographs and return the table."""
    out = OUT / f"{data.name}-{command}.star"
    cryopick(command, data / "micrographs", "--diameter-ang", diameter_ang, "-o", out, "--force")
    return out


def pick_by_peer(data: Path) -> Path:
    """Pick all micrographs with the peer and return the table."""
    table = OUT / f"{data.name}-peer.txt"
    if not table.exists():
        run_peer(sorted((data / "micrographs").glob("*.mrc")), DIAMETER_ANG, table)
    return table


def subtract(picks: Path, others: Path) -> Path:
    """Keep the picks above the automatic threshold that the other table lacks."""
    out = picks.with_name(f"{picks.stem}-new.star")
    radius = DIAMETER_ANG / 2 / PIXEL_ANG
    sure = picks.with_name(f"{picks.stem}-sure.star")
    cryopick("threshold", picks, "-o", sure, "--at", "auto", "--force")
    best = others.with_name(f"{others.stem}-best.star")
    count = len(read_picks(sure))
    cryopick("threshold", others, "-o", best, "--keep", count, "--force")
    cryopick("combine", "subtract", sure, best, "-o", out, "--radius-px", radius, "--force")
    return out


def extract(data: Path, name: str, picks: Path) -> Path:
    """Extract images with true or random orientations; return the STAR file."""
    folder = OUT / f"{data.name}-{name.replace(' ', '-')}"
    table = folder / "oriented.star"
    folder.mkdir(parents=True, exist_ok=True)
    write_picks(orient(read_picks(picks), data), table, overwrite=True)
    cryopick(
        *("stack", table, "-m", data / "micrographs", "-o", folder / "stacks", "--invert"),
        *("--box-px", BOX_PX, "--diameter-ang", DIAMETER_ANG, "--voltage-kv", 300),
        *("--cs-mm", 2.7, "--amplitude-contrast", 0.1, "--force"),
    )
    return folder / "stacks" / "particles.star"


def orient(picks: Picks, data: Path) -> Picks:
    """Add orientation, defocus and half set: true ones for matched picks, else random angles."""
    paths = sorted((data / "micrographs").glob("*.mrc"))
    truth = match_names(read_picks(data / "particles.tsv"), paths).picks
    picks = match_names(picks, paths).picks.restrict(truth.micrographs)
    partner = match_picks(picks, truth, DIAMETER_ANG / 3 / PIXEL_ANG)
    rng = np.random.default_rng(0)
    angles = convert_to_euler_angles(draw_rotations(rng, len(picks)))
    is_matched = partner >= 0
    extra = {}
    for name, tag in ANGLES.items():
        values = angles[name]
        values[is_matched] = truth.extra[name].astype(float)[partner[is_matched]]
        extra[tag] = values
    by_micrograph = dict(zip(truth.index, truth.extra["defocus_um"].astype(float), strict=True))
    defocus_ang = np.array([1e4 * by_micrograph[number] for number in picks.index])
    extra |= {"rlnDefocusU": defocus_ang, "rlnDefocusV": defocus_ang}
    extra["rlnDefocusAngle"] = np.zeros(len(picks))
    extra["rlnRandomSubset"] = 1 + rng.permutation(len(picks)) % 2
    return replace(picks, extra=extra)


def measure(
    name: str, stack: Path, size: int, seeds: Sequence[int], data: Path
) -> list[tuple[object, ...]]:
    """Reconstruct one random set per seed, or the best picks, and return resolutions."""
    rows: list[tuple[object, ...]] = []
    for seed in seeds or (0,):
        subset = stack.with_name(f"set-{size}-{seed}.star")
        chosen = ("--random", size, "--seed", seed) if seeds else ("--keep", size)
        result = subset.with_suffix(".json")
        if not result.exists():
            cryopick("threshold", stack, "-o", subset, *chosen, "--force")
            halves = [reconstruct(subset, half) for half in (1, 2)]
            command = [*(CRYOPICK, "validate", "fsc", *halves, "--json"), "--diameter-ang"]
            words = [*map(str, command), str(DIAMETER_ANG * 1.2)]
            output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
            result.write_text(output)
        values = json.loads(result.read_text())
        resolution = values["resolution_ang"]
        shown = "none" if resolution is None else f"{resolution:.1f}"
        cones = f"{values['best_cone_ang']:.1f} to {values['worst_cone_ang']:.1f}"
        right, offset_ang = judge(subset, data)
        print(
            f"| {name} | {size} | {right:.0%} | {offset_ang:.1f} | {shown} | {cones} "
            f"| {values['sphericity']:.3f} |",
            flush=True,
        )
        if resolution:
            rows.append((name, size, f"{resolution:.3f}"))
    return rows


def judge(subset: Path, data: Path) -> tuple[float, float]:
    """Return the fraction of picks that are right, and their mean distance from the particle."""
    paths = sorted((data / "micrographs").glob("*.mrc"))
    truth = match_names(read_picks(data / "particles.tsv"), paths).picks
    picks = match_names(read_picks(subset), paths).picks.restrict(truth.micrographs)
    partner = match_picks(picks, truth, DIAMETER_ANG / 3 / PIXEL_ANG)
    is_right = partner >= 0
    offsets_px = picks.xy_px[is_right] - truth.xy_px[partner[is_right]]
    return float(is_right.mean()), float(np.hypot(*offsets_px.T).mean() * PIXEL_ANG)


def compare_with_molecule(star: Path) -> float:
    """Return the resolution at which the map agrees with the simulated molecule, at FSC 0.5."""
    first, voxel_ang = read_map(star.with_name(f"{star.stem}-half1.mrc"))
    second, _ = read_map(star.with_name(f"{star.stem}-half2.mrc"))
    molecule = load_molecule("y-shaped")
    side = len(first)
    column, row, depth = (np.rint(molecule.xyz_ang / voxel_ang).astype(int) + side // 2).T
    density = np.zeros((side, side, side))
    np.add.at(density, (depth, row, column), molecule.mass_da)
    masked = mask_sphere((first + second).astype(float), 0.6 * DIAMETER_ANG / voxel_ang)
    return find_resolution(compute_shell_correlation(masked, density, voxel_ang), 0.5)


def reconstruct(star: Path, half: int) -> Path:
    """Reconstruct a half map with the orientations of the STAR file."""
    out = star.with_name(f"{star.stem}-half{half}.mrc")
    words = ["relion_reconstruct", "--i", star, "--o", out, "--ctf", "--subset", half, "--pad", 1]
    subprocess.run(list(map(str, words)), check=True, stdout=sys.stderr)
    return out


if __name__ == "__main__":
    main()
