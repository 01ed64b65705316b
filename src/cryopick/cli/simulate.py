"""`cryopick simulate`: micrographs with known particles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.batches import ledger
from cryopick.cli.options import Force
from cryopick.cli.progress import progress
from cryopick.cli.settings import settings_of

if TYPE_CHECKING:
    import numpy as np

    from cryopick.picks import Picks
    from cryopick.runs.ledger import Parts
    from cryopick.simulate.domain import Domain
    from cryopick.simulate.molecules import Molecule
    from cryopick.simulate.settings import SimulationSettings

__all__ = ["simulate", "write_dataset", "write_varied"]

_WITH_VARY = ("out", "count", "seed", "width_px", "vary", "force")
_VARIED_SIDE_PX = 512


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
    filaments: Annotated[
        int | None, Option(help="Filaments, helices of the molecule, in place of particles [0].")
    ] = None,
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
    vary: Annotated[
        bool,
        Option("--vary", help="Another molecule, microscope and faults on every micrograph."),
    ] = False,
    force: Force = False,
) -> None:
    """Simulate micrographs with known particles.

    OUT gets micrographs/mic_000.mrc, …, the particles as particles.tsv, and settings.toml. A
    run that was cut off goes on when its command is given again.

    With --vary nothing is the same on two micrographs, as in what the general model learns
    from: they come as small as a network sees them, with --width-px pixels along each side
    [512], and particles.tsv tells the diameter of each particle. Only --count, --seed and
    --width-px go with it.

    Example: cryopick simulate data --count 12 --molecule y-shaped --particles 60
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.simulate.settings import SimulationSettings

    if vary:
        placed = _vary(options, out, count, overwrite=force)
        echo(f"{len(placed)} particles on {count} micrographs written to {out}", err=True)
        return
    settings = settings_of(SimulationSettings, options, config)
    if clean:
        settings = settings.without_junk()
    placed = write_dataset(settings, out, count, overwrite=force)
    echo(f"{len(placed)} particles on {count} micrographs written to {out}", err=True)


def _vary(options: Mapping[str, Any], out: Path, count: int, *, overwrite: bool) -> "Picks":
    """Write micrographs that differ in everything."""
    from cryopick.simulate.domain import Domain

    for name, value in options.items():
        if value not in (None, False) and name not in _WITH_VARY:
            raise BadParameter(f"--{name.replace('_', '-')} has no meaning with --vary")
    domain = Domain(side_px=options["width_px"] or _VARIED_SIDE_PX)
    return write_varied(domain, options["seed"] or 0, out, count, overwrite=overwrite)


def write_varied(domain: "Domain", seed: int, out: Path, count: int, *, overwrite: bool) -> "Picks":
    """Write fields of a domain, or what is missing of them; return their particles.

    Raises:
        OutputExistsError: A file exists and `overwrite` is false.
    """
    from cryopick.runs.ledger import Parts

    paths = _paths(out, count)
    parts = Parts.beside(out, ["simulate --vary", f"{seed} {domain.side_px}"])
    return _write_all(
        [(path, partial(_write_field, domain, (seed, i), path)) for i, path in enumerate(paths)],
        out,
        parts,
        f"# simulate --vary --seed {seed} --width-px {domain.side_px}\n",
        overwrite=overwrite,
    )


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
    from cryopick.runs.ledger import Parts, file_identity
    from cryopick.simulate.molecules import load_molecule

    molecule = load_molecule(settings.molecule, settings.diameter_ang)
    paths, text, source = _paths(out, count), to_toml(settings), Path(settings.molecule)
    work = ["simulate", text, file_identity(source) if source.exists() else ""]
    makers = [
        (path, partial(_write_micrograph, settings, molecule, index, path))
        for index, path in enumerate(paths)
    ]
    return _write_all(makers, out, Parts.beside(out, work), text, overwrite=overwrite)


def _paths(out: Path, count: int) -> list[Path]:
    digits = max(3, len(str(count - 1)))
    return [out / "micrographs" / f"mic_{index:0{digits}}.mrc" for index in range(count)]


def _write_all(
    makers: "Sequence[tuple[Path, Callable[[], dict[str, np.ndarray]]]]",
    out: Path,
    parts: "Parts",
    text: str,
    *,
    overwrite: bool,
) -> "Picks":
    """Make what is missing of the micrographs; write the table, and `text` as settings.toml."""
    from cryopick.io.tables.pick_tables import write_picks
    from cryopick.picks import Picks, concatenate
    from cryopick.runs.atomic_write import whole

    table = out / "particles.tsv"
    found = []
    with ledger(parts, [table, *(path for path, _ in makers)], overwrite=overwrite, keep=False):
        with progress(len(makers), "Simulating micrographs") as advance:
            for path, make in makers:
                columns = dict(parts.once(path.name, make, writes=path))
                found.append(replace(Picks.on(str(path), columns.pop("xy_px")), extra=columns))
                advance(1)
        with whole(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_picks(concatenate(found), table, overwrite=True)
    return concatenate(found)


def _write_field(domain: "Domain", seed: tuple[int, int], path: Path) -> dict[str, "np.ndarray"]:
    """Simulate a field and write it; return the columns of its particles."""
    import numpy as np

    from cryopick.io.images.mrc import write_mrc
    from cryopick.simulate.domain import simulate_field

    field = simulate_field(domain, seed)
    size_yx = (field.pixel_size_ang, field.pixel_size_ang)
    write_mrc(path, field.image, pixel_size_ang=size_yx, overwrite=True)
    return {
        "xy_px": field.xy_px,
        "diameter_ang": np.full(len(field.xy_px), field.diameter_ang),
    }


def _write_micrograph(
    settings: "SimulationSettings", molecule: "Molecule", index: int, path: Path
) -> dict[str, "np.ndarray"]:
    """Simulate a micrograph and write it; return the columns of its particles."""
    from cryopick.io.images.mrc import write_mrc
    from cryopick.simulate.micrograph import simulate_micrograph

    made = simulate_micrograph(settings, molecule, index)
    size_yx = (settings.pixel_size_ang, settings.pixel_size_ang)
    write_mrc(path, made.image, pixel_size_ang=size_yx, overwrite=True)
    return {"xy_px": made.xy_px, **made.truth}
