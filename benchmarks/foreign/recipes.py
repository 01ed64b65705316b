"""Sets of recipes.toml, and how a simulator's fields become folders: NumPy and mrcfile only."""

import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

__all__ = ["SHOT_DOSE_E_PER_ANG2", "Field", "make_sets", "phase_rad_per_volt_ang", "read_recipes"]

SHOT_DOSE_E_PER_ANG2 = 40.0
RECIPES = Path(__file__).with_name("recipes.toml")


@dataclass(frozen=True)
class Field:
    """A micrograph, `height, width`, and the centres of its particles, x and y in pixels."""

    pixels: np.ndarray
    xy_px: np.ndarray


def phase_rad_per_volt_ang(voltage_kv: float) -> float:
    """Phase shift of an electron by a volt over an ångström: the interaction constant."""
    rest_kev, speed_term = 510.99895, voltage_kv / 510.99895
    wavelength_ang = 12.2643 / np.sqrt(1e3 * voltage_kv * (1 + speed_term / 2))
    factor = (rest_kev + voltage_kv) / (2 * rest_kev + voltage_kv)
    return 2 * np.pi / (wavelength_ang * 1e3 * voltage_kv) * factor


def read_recipes(simulator: str = "") -> dict[str, dict[str, Any]]:
    """Recipes by the names of their sets, defaults filled in; of one simulator, or of all."""
    table = tomllib.loads(RECIPES.read_text())
    return {
        name: table["defaults"] | recipe
        for name, recipe in table["sets"].items()
        if name.startswith(simulator)
    }


def make_sets(
    simulator: str,
    simulate: Callable[[dict[str, Any], Path], Iterator[Any]],
    out: Path,
    structures: Path,
    names: list[str],
) -> None:
    """Make the sets of a simulator that are missing in `out`.

    Args:
        simulator: Its name, with which the names of its sets begin.
        simulate: Yields the extents of a recipe's molecule in ångströms, then its fields.
        out: Gets one folder a set.
        structures: Folder of the atomic models.
        names: Sets to make; all where empty.
    """
    recipes = read_recipes(simulator)
    for name in names or recipes:
        folder = out / name
        if (folder / "set.json").exists():
            continue
        print(f"simulating {name}", flush=True)
        fields = simulate(recipes[name], structures)
        write_set(folder, name, recipes[name] | {"simulator": simulator}, fields)


def write_set(folder: Path, name: str, recipe: dict[str, Any], fields: Iterator[Any]) -> None:
    """Write micrographs, particles and, as a sign of completeness at last, set.json."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "micrographs").mkdir(parents=True)
    longest, middle, shortest = next(fields)
    lines = ["image_name\tx_coord\ty_coord"]
    for number, field in enumerate(fields):
        stem = f"{name}_{number:02d}"
        with mrcfile.new(folder / "micrographs" / f"{stem}.mrc") as file:
            file.set_data(field.pixels)
            file.voxel_size = recipe["pixel_size_ang"]
        lines += [f"{stem}\t{x:.2f}\t{y:.2f}" for x, y in field.xy_px]
    (folder / "particles.tsv").write_text("\n".join(lines) + "\n")
    extents = {"diameter_ang": longest, "middle_ang": middle, "width_ang": shortest}
    about = recipe | {key: round(value, 1) for key, value in extents.items()}
    (folder / "set.json").write_text(json.dumps(about, indent=1) + "\n")
