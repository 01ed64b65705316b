"""`cryopick simulate`: micrographs with known particles."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force
from cryopick.cli.progress import progress
from cryopick.cli.settings import settings_of

if TYPE_CHECKING:
    import numpy as np

    from cryopick.picks import Picks
    from cryopick.simulate import Molecule, SimulationSettings

__all__ = ["simulate", "write_dataset"]


@app.command()
def simulate(
    out: Annotated[Path, Argument(metavar="OUT", file_okay=False, help="Folder to write to.")],
    count: Annotated[int, Option(min=1, help="Micrographs to simulate.")] = 12,
    molecule: Annotated[
        str | None,
        Option(
            help="compact, rod, y-shaped, ring, or an atomic model or map: "
            ".pdb .cif .mrc [compact]."
        ),
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(help="Longest extent to scale a built-in molecule to [its own].")
    ] = None,
    particles: Annotated[int | None, Option(help="Particles on a micrograph [80].")] = None,
    width_px: Annotated[int | None, Option(help="Width of a micrograph [2048].")] = None,
    height_px: Annotated[int | None, Option(help="Height of a micrograph [2048].")] = None,
    pixel_size_ang: Annotated[float | None, Option(help="Ångströms per pixel [1.5].")] = None,
    defocus_um: Annotated[
        tuple[float, float] | None,
        Option(metavar="LEAST MOST", help="Range of underfocus in micrometres [1.5 3]."),
    ] = None,
    dose_e_per_ang2: Annotated[
        float | None, Option("--dose-e-per-ang2", help="Electrons per square ångström [40].")
    ] = None,
    ice_thickness_ang: Annotated[float | None, Option(help="Mean thickness of the ice [400].")] = (
        None
    ),
    carbon_prob: Annotated[
        float | None, Option(help="Chance of a carbon edge on a micrograph [0.2].")
    ] = None,
    seed: Annotated[int | None, Option(help="Another seed, other micrographs [0].")] = None,
    config: Annotated[
        Path | None,
        Option(metavar="FILE", help="These and further settings in TOML; options win."),
    ] = None,
    clean: Annotated[
        bool, Option("--clean", help="Nothing but intact particles: no ice, carbon or debris.")
    ] = False,
    force: Force = False,
) -> None:
    """Simulate micrographs with known particles.

    OUT gets micrographs/mic_000.mrc, …, the particles as particles.tsv, and settings.toml. A
    run that was cut off goes on when its command is given again.

    Example: cryopick simulate data --count 12 --molecule y-shaped --particles 60
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.simulate import SimulationSettings

    settings = settings_of(SimulationSettings, options, config)
    if clean:
        settings = settings.without_junk()
    placed = write_dataset(settings, out, count, overwrite=force)
    echo(f"{len(placed)} particles on {count} micrographs written to {out}", err=True)


def write_dataset(
    settings: "SimulationSettings", out: Path, count: int, *, overwrite: bool
) -> "Picks":
    """Write a data set, or what is missing of one that was cut off; return its particles.

    Raises:
        OutputExistsError: A file exists and `overwrite` is false.
        SettingsError: There is no such molecule, or its particles do not fit.
        InputError: The molecule's file cannot be read.
    """
    from cryopick.config import to_toml
    from cryopick.io import whole, write_picks
    from cryopick.io.parts import Parts, file_identity
    from cryopick.picks import Picks, concatenate
    from cryopick.simulate import load_molecule

    molecule = load_molecule(settings.molecule, settings.diameter_ang)
    digits = max(3, len(str(count - 1)))
    paths = [out / "micrographs" / f"mic_{index:0{digits}}.mrc" for index in range(count)]
    table, text = out / "particles.tsv", to_toml(settings)
    source = Path(settings.molecule)
    work = ["simulate", text, file_identity(source) if source.exists() else ""]
    parts = Parts.beside(out, work)
    if parts.begin([table, *paths], overwrite=overwrite):
        echo(f"going on with the unfinished work in {parts.folder}", err=True)
    found = []
    with progress(count, "Simulating micrographs") as advance:
        for index, path in enumerate(paths):
            make = partial(_write_micrograph, settings, molecule, index, path)
            columns = dict(parts.once(path.name, make))
            found.append(replace(Picks.on(str(path), columns.pop("xy_px")), extra=columns))
            advance(1)
    with whole(out / "settings.toml", overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_picks(concatenate(found), table, overwrite=True)
    parts.remove()
    return concatenate(found)


def _write_micrograph(
    settings: "SimulationSettings", molecule: "Molecule", index: int, path: Path
) -> dict[str, "np.ndarray"]:
    """Simulate a micrograph and write it; return the columns of its particles."""
    from cryopick.io import write_mrc
    from cryopick.simulate import simulate_micrograph

    made = simulate_micrograph(settings, molecule, index)
    size_yx = (settings.pixel_size_ang, settings.pixel_size_ang)
    write_mrc(path, made.image, pixel_size_ang=size_yx, overwrite=True)
    return {"xy_px": made.xy_px, **made.truth}
