"""`cryopick tomo simulate`, `evaluate` and `convert`: data for tomograms."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Force, Json
from cryopick.cli.progress import progress
from cryopick.cli.settings import SettingsOptions, expand_settings
from cryopick.cli.tomo_group import TomogramOption, UnbinnedAng, VoxelSizeAng, tomo
from cryopick.errors import format_count
from cryopick.tomograms.simulation.settings import TomogramSettings

if TYPE_CHECKING:
    from cryopick.evaluate.precision_recall import OperatingPoint

__all__ = ["convert", "evaluate", "simulate"]


@tomo.command()
@expand_settings
def simulate(
    out: Annotated[Path, Argument(metavar="OUT", file_okay=False, help="Output folder.")],
    options: SettingsOptions[TomogramSettings],
    molecule: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="Molecule: compact, rod, y-shaped or ring, or the path of an atomic model or a "
            "map; repeatable. [default: ring, compact, y-shaped]",
        ),
    ] = None,
    count: Annotated[int, Option(min=1, help="Number of tomograms.")] = 4,
    force: Force = False,
) -> None:
    """Simulate tomograms with particles at known positions.

    OUT receives tomograms/tomo_000.mrc, …, all particles as particles.tsv with their class and
    orientation, and a table for each molecule, such as ring.tsv. Molecules, small proteins,
    vesicles and gold beads are recorded in a tilt series with shot noise and reconstructed by
    weighted back-projection, so that the missing wedge is that of a real tomogram.

    Example: cryopick tomo simulate data --count 2 --molecule ring --molecule rod --particles 30
    """
    from dataclasses import replace

    import numpy as np

    from cryopick.config import to_toml
    from cryopick.io.tables.pick_tables import write_picks
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.simulate.molecule_files import load_molecule
    from cryopick.tomograms.coordinates import CLASS_COLUMN, get_xyz, replace_xyz
    from cryopick.tomograms.simulation.tomogram import simulate_tomogram
    from cryopick.tomograms.volumes import write_volume

    settings = options.build()
    if molecule:
        settings = replace(settings, molecules=tuple(molecule))
    molecules = [load_molecule(name) for name in settings.molecules]
    tables = []
    with progress(count, "Simulating tomograms") as advance:
        for index in range(count):
            name = f"tomo_{index:03d}"
            simulated = simulate_tomogram(settings, molecules, index, name)
            folders = ["tomograms", *(["even", "odd"] if settings.halves else [])]
            volumes = (simulated.volume, *simulated.halves)
            for folder, volume in zip(folders, volumes, strict=True):
                path = out / folder / f"{name}.mrc"
                size_ang = settings.voxel_size_ang
                write_volume(path, volume, voxel_size_ang=size_ang, overwrite=force)
            tables.append(simulated.picks)
            advance(1)
    picks = concatenate(tables)
    picks = replace_xyz(picks, np.round(get_xyz(picks), 3))
    write_picks(picks, out / "particles.tsv", overwrite=force)
    for number, name in enumerate(settings.molecules, start=1):
        rows = np.flatnonzero(picks.extra[CLASS_COLUMN] == number)
        write_picks(picks.select(rows), out / f"{Path(name).stem}.tsv", overwrite=force)
    with atomic_write(out / "settings.toml", overwrite=True) as temporary:
        temporary.write_text(to_toml(settings), encoding="utf-8")
    add_results(particles=len(picks), tomograms=count)
    particles, files = format_count(len(picks), "particle"), format_count(count, "tomogram")
    note(f"{particles} in {files} written to {out}")


@tomo.command()
def evaluate(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of picks with scores.")],
    truth: Annotated[Path, Argument(metavar="TRUTH", help="Table of all true particles.")],
    tomograms: TomogramOption,
    diameter_ang: Annotated[
        float,
        Option(min=0.1, help="Particle diameter in ångströms; half of it is the matching radius."),
    ],
    voxel_size_ang: VoxelSizeAng = None,
    unbinned_ang: UnbinnedAng = None,
    as_json: Json = False,
) -> None:
    """Compare picks with true particles in tomograms.

    Prints average precision (AP), precision, recall and F1 on those that TRUTH names. Picks and
    particles are matched one to one within half a diameter.

    Example: cryopick tomo evaluate picks.star particles.tsv -t data/tomograms --diameter-ang 150
    """
    from cryopick.tomograms.evaluation import evaluate_table
    from cryopick.tomograms.tables.formats import read_points_table
    from cryopick.tomograms.volumes import find_tomograms

    volumes = find_tomograms(tomograms, voxel_size_ang=voxel_size_ang, unbinned_ang=unbinned_ang)
    tables = [read_points_table(path, volumes) for path in (picks, truth)]
    radius_px = diameter_ang / 2 / volumes[0].voxel_size_ang
    result = evaluate_table(tables[0], tables[1], radius_px)
    if as_json:
        echo(json.dumps(result.to_dict(), indent=2))
        return
    lines = [
        f"{result.n_picks} picks, {result.n_truth} particles, {result.n_matched} found within "
        f"{radius_px:g} voxels",
        f"average precision  {result.average_precision:.4f}",
        f"best F1            {_format_point(result.best)}",
        f"at threshold 0     {_format_point(result.at_zero)}",
    ]
    if result.class_accuracy is not None:
        lines.append(f"class of found     {result.class_accuracy:.4f} right")
    echo("\n".join(lines))


def _format_point(point: "OperatingPoint | None") -> str:
    if point is None:
        return "undefined: no picks"
    return (
        f"{point.f1:.4f}  precision {point.precision:.4f}  recall {point.recall:.4f}  "
        f"threshold {point.threshold:.4g}"
    )


@tomo.command()
def convert(
    table: Annotated[
        Path,
        Argument(
            metavar="TABLE",
            help="Table to convert: .tsv, .csv, .star, .json, .mod, .txt, .tbl or .cbox.",
        ),
    ],
    out: Annotated[
        str,
        Option(
            "--out",
            "-o",
            metavar="OUT",
            help="Table to write: .tsv, .csv, .star, .json or .txt; a name that ends in / is a "
            "folder with one table per tomogram.",
        ),
    ],
    tomograms: TomogramOption,
    table_format: Annotated[
        str,
        Option("--format", help="Format of the tables of a folder: star, tsv, csv, eman or imod."),
    ] = "star",
    voxel_size_ang: VoxelSizeAng = None,
    unbinned_ang: UnbinnedAng = None,
    force: Force = False,
) -> None:
    """Convert tables of particles in tomograms.

    The tomograms give the voxel size and the centre, from which some formats count.

    Example: cryopick tomo convert model.mod -t tomo_1.mrc -o labels.star
    """
    from cryopick.tomograms.tables.formats import (
        check_output,
        read_points_table,
        write_points_table,
    )
    from cryopick.tomograms.volumes import find_tomograms

    volumes = find_tomograms(tomograms, voxel_size_ang=voxel_size_ang, unbinned_ang=unbinned_ang)
    check_output(out, table_format, volumes)
    picks = read_points_table(table, volumes)
    write_points_table(picks, out, volumes, table_format=table_format, overwrite=force)
    add_results(particles=len(picks))
    note(f"{format_count(len(picks), 'particle')} written to {out}")
