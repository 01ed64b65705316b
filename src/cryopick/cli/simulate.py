"""`cryopick simulate`: simulate micrographs with particles at known positions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, BadParameter, Option

from cryopick.cli.app import app
from cryopick.cli.batches import open_ledger
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Config, Force
from cryopick.cli.progress import progress
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.errors import format_count
from cryopick.simulate.settings import SimulationSettings

if TYPE_CHECKING:
    import numpy as np

    from cryopick.picks import Picks
    from cryopick.runs.ledger import Ledger
    from cryopick.simulate.domain import Domain
    from cryopick.simulate.molecules import Molecule

__all__ = ["simulate", "write_dataset", "write_varied"]

_OPTIONS = (
    "molecule",
    "diameter_ang",
    "particles",
    "filaments",
    "width_px",
    "height_px",
    "pixel_size_ang",
    "defocus_um",
    "dose_e_per_ang2",
    "ice_thickness_ang",
    "carbon_prob",
    "seed",
)
_VARIED_SIDE_PX = 512


@app.command()
@expand_settings
def simulate(
    out: Annotated[Path, Argument(metavar="OUT", file_okay=False, help="Output folder.")],
    options: Annotated[SettingsOptions[SimulationSettings], Fields(only=_OPTIONS)],
    count: Annotated[int, Option(min=1, help="Number of micrographs.")] = 12,
    config: Config = None,
    clean: Annotated[
        bool,
        Option("--clean", help="Only intact particles: no contamination, carbon or aggregates."),
    ] = False,
    vary: Annotated[
        bool,
        Option(
            "--vary",
            help="Vary the molecule, the microscope and the contamination between micrographs.",
        ),
    ] = False,
    force: Force = False,
) -> None:
    """Simulate micrographs with particles at known positions.

    OUT receives micrographs/mic_000.mrc, …, the particle positions as particles.tsv, and
    settings.toml, which --config accepts. Run the same command again to resume an interrupted run.

    With --vary, each micrograph is different, as in the training data of the general model: it is
    already downsampled, has --width-px pixels along each side [default: 512], and particles.tsv
    has the diameter of each particle. Only --count, --seed and --width-px apply.

    Example: cryopick simulate data --count 12 --molecule y-shaped --particles 60
    """
    if vary:
        if config or clean:
            raise BadParameter("--config and --clean cannot be combined with --vary")
        placed = _simulate_varied(options.values, out, count, overwrite=force)
    else:
        settings = options.build(config)
        if clean:
            settings = settings.without_junk()
        placed = write_dataset(settings, out, count, overwrite=force)
    add_results(particles=len(placed), micrographs=count)
    note(
        f"{format_count(len(placed), 'particle')} on "
        f"{format_count(count, 'micrograph')} written to {out}"
    )


def _simulate_varied(
    option_values: Mapping[str, Any], out: Path, count: int, *, overwrite: bool
) -> "Picks":
    """Write micrographs that differ in molecule, microscope and contamination."""
    from cryopick.simulate.domain import Domain

    for name in option_values:
        if name not in ("seed", "width_px"):
            raise BadParameter(f"--{name.replace('_', '-')} cannot be combined with --vary")
    domain = Domain(side_px=option_values.get("width_px", _VARIED_SIDE_PX))
    return write_varied(domain, option_values.get("seed", 0), out, count, overwrite=overwrite)


def write_varied(domain: "Domain", seed: int, out: Path, count: int, *, overwrite: bool) -> "Picks":
    """Simulate varied micrographs, skipping those that exist; return their particles.

    Raises:
        OutputExistsError: A file exists and `overwrite` is false.
    """
    from cryopick.runs.ledger import Ledger

    paths = _paths(out, count)
    ledger = Ledger.for_output(out, ["simulate --vary", f"{seed} {domain.side_px}"])
    return _write_all(
        [(path, partial(_write_field, domain, (seed, i), path)) for i, path in enumerate(paths)],
        out,
        ledger,
        f"# simulate --vary --seed {seed} --width-px {domain.side_px}\n",
        overwrite=overwrite,
    )


def write_dataset(
    settings: "SimulationSettings", out: Path, count: int, *, overwrite: bool
) -> "Picks":
    """Simulate a data set, skipping micrographs that exist; return its particles.

    Raises:
        OutputExistsError: A file exists and `overwrite` is false.
        SettingsError: The molecule is unknown, or its particles do not fit.
        InputError: The molecule's file cannot be read.
    """
    from cryopick.config import to_toml
    from cryopick.runs.ledger import Ledger, identify_file
    from cryopick.simulate.molecule_files import load_molecule

    molecule = load_molecule(settings.molecule, settings.diameter_ang)
    paths, text, source = _paths(out, count), to_toml(settings), Path(settings.molecule)
    work = ["simulate", text, identify_file(source) if source.exists() else ""]
    makers = [
        (path, partial(_write_micrograph, settings, molecule, index, path))
        for index, path in enumerate(paths)
    ]
    return _write_all(makers, out, Ledger.for_output(out, work), text, overwrite=overwrite)


def _paths(out: Path, count: int) -> list[Path]:
    digits = max(3, len(str(count - 1)))
    return [out / "micrographs" / f"mic_{index:0{digits}}.mrc" for index in range(count)]


def _write_all(
    makers: "Sequence[tuple[Path, Callable[[], dict[str, np.ndarray]]]]",
    out: Path,
    ledger: "Ledger",
    text: str,
    *,
    overwrite: bool,
) -> "Picks":
    """Simulate missing micrographs; write the table, and `text` as settings.toml."""
    from cryopick.io.tables.pick_tables import write_picks
    from cryopick.picks import Picks, concatenate
    from cryopick.runs.atomic_write import atomic_write

    table = out / "particles.tsv"
    tables = []
    with open_ledger(
        ledger, [table, *(path for path, _ in makers)], overwrite=overwrite, keep=False
    ):
        with progress(len(makers), "Simulating micrographs") as advance:
            for path, make in makers:
                columns = dict(ledger.compute_once(path.name, make, writes=path))
                tables.append(
                    replace(Picks.for_micrograph(str(path), columns.pop("xy_px")), extra=columns)
                )
                advance(1)
        with atomic_write(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_picks(concatenate(tables), table, overwrite=True)
    return concatenate(tables)


def _write_field(domain: "Domain", seed: tuple[int, int], path: Path) -> dict[str, "np.ndarray"]:
    """Simulate and write a varied micrograph; return the columns of its particles."""
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
    """Simulate and write a micrograph; return the columns of its particles."""
    from cryopick.io.images.mrc import write_mrc
    from cryopick.simulate.micrograph import simulate_micrograph

    simulated = simulate_micrograph(settings, molecule, index)
    size_yx = (settings.pixel_size_ang, settings.pixel_size_ang)
    write_mrc(path, simulated.image, pixel_size_ang=size_yx, overwrite=True)
    return {"xy_px": simulated.xy_px, **simulated.truth}
