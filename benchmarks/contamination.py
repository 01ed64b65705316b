"""Location of wrong picks of the general model: carbon, contamination or elsewhere.

Simulates micrographs of which a fifth to a half is carbon film, with crystals, ice, gold
and broken particles, picks them at the automatic threshold, and counts wrong picks. Existing
results are reused.

    .venv/bin/python benchmarks/contamination.py [--count 6]
"""

import argparse
from pathlib import Path

import numpy as np
from common import ROOT, cryopick, listed

from cryopick.evaluate.matching import is_near, match_picks
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks
from cryopick.simulate.micrograph import SimulatedMicrograph, simulate_dataset
from cryopick.simulate.molecule_files import load_molecule
from cryopick.simulate.settings import SimulationSettings

OUT = ROOT / "runs" / "contamination"
MOLECULES = ("compact", "rod", "y-shaped")


def main(count: int | None = None, side_px: int = 2048, folder: Path = OUT) -> None:
    """Print the table."""
    if count is None:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--count", type=int, default=6, help="micrographs of each molecule")
        count = parser.parse_args().count
    print("\n| molecule | particles picked | wrong on carbon | on contamination | elsewhere |")
    print("|---|---|---|---|---|", flush=True)
    for molecule in MOLECULES:
        settings = SimulationSettings(
            molecule=molecule,
            width_px=side_px,
            height_px=side_px,
            pixel_size_ang=2.0,
            particles=round(100 * (side_px / 2048) ** 2),
            carbon_prob=1.0,
            carbon_area_frac=(0.2, 0.5),
            crystals=2.0,
            contaminants=5.0,
            gold=3.0,
            seed=17,
        )
        print(f"| {molecule} | {of_molecule(settings, count, folder / molecule)} |", flush=True)


def of_molecule(settings: SimulationSettings, count: int, folder: Path) -> str:
    """Return a row: picked particles, and wrong picks of each kind per micrograph."""
    diameter_ang = load_molecule(settings.molecule, settings.diameter_ang).diameter_ang
    diameter_px = diameter_ang / settings.pixel_size_ang
    known = list(simulate_dataset(settings, count))
    paths = [folder / f"mic_{number}.mrc" for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    for path, one in zip(paths, known, strict=True):
        if not path.exists():
            write_mrc(path, one.image, pixel_size_ang=(settings.pixel_size_ang,) * 2)
    out = folder / "picks.tsv"
    if not out.exists():
        words = (
            "--diameter-ang",
            f"{diameter_ang:.0f}",
            "--threshold",
            "auto",
            "--drop-empty",
            "-o",
            out,
        )
        cryopick("pick", listed(paths, folder / "list"), *words)
    picks = read_picks(out).restrict([path.stem for path in paths])
    parts = picks.split_by_micrograph()
    counts = np.array(
        [kinds(own, one, diameter_px) for (_, own), one in zip(parts, known, strict=True)]
    )
    of_all = sum(len(one.xy_px) for one in known)
    found, *wrong = counts.sum(axis=0)
    return " | ".join([f"{found} of {of_all}", *(f"{each / count:.1f}" for each in wrong)])


def kinds(
    picks: Picks, known: SimulatedMicrograph, diameter_px: float
) -> tuple[int, int, int, int]:
    """Count correct picks, and wrong ones on carbon, on contamination, and elsewhere."""
    truth = Picks.for_micrograph(picks.micrographs[0], known.xy_px)
    is_right = match_picks(picks, truth, diameter_px / 3) >= 0
    column, row = np.rint(picks.xy_px).astype(int).T
    height, width = known.carbon.shape
    on_carbon = known.carbon[row.clip(0, height - 1), column.clip(0, width - 1)]
    junk = np.concatenate([np.zeros((0, 2)), *known.junk.values()])
    on_junk = is_near(picks.xy_px, junk, diameter_px / 2)
    wrong = ~is_right
    return (
        int(is_right.sum()),
        int((wrong & on_carbon).sum()),
        int((wrong & ~on_carbon & on_junk).sum()),
        int((wrong & ~on_carbon & ~on_junk).sum()),
    )


if __name__ == "__main__":
    main()
