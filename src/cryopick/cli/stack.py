"""`cryopick stack`: picked particles as images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.batches import ledger
from cryopick.cli.options import MICROGRAPHS, Force, RawPixelSizeAng
from cryopick.cli.outputs import OutputFolder, one_each
from cryopick.cli.progress import Batch
from cryopick.cli.settings import settings_of
from cryopick.errors import InputError

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["stack"]


@app.command()
def stack(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of picks, or a folder of them.")],
    micrographs: Annotated[
        list[str], Option("--micrographs", "-m", metavar="MIC", help=f"Raw ones. {MICROGRAPHS}")
    ],
    out: OutputFolder,
    box_px: Annotated[
        int | None, Option(help="Side of the boxes in raw pixels, even [1.5 diameters].")
    ] = None,
    diameter_ang: Annotated[
        float | None,
        Option(help="Particle diameter in ångströms; beyond it is background [3/4 of the box]."),
    ] = None,
    pixel_size_ang: RawPixelSizeAng = None,
    threshold: Annotated[
        float | None, Option(help="Take only picks that score at least this.")
    ] = None,
    edge: Annotated[
        str | None,
        Option(
            help="Boxes that reach over an edge: skip leaves them out, pad gives what is missing "
            "the background's mean [skip]."
        ),
    ] = None,
    normalize: Annotated[
        bool, Option(help="Give each background mean 0 and standard deviation 1.")
    ] = True,
    invert: Annotated[
        bool, Option("--invert", help="Make dark particles bright, as RELION expects them.")
    ] = False,
    rescale_px: Annotated[
        int | None, Option(help="Side of the written images, even and at most the box's [as cut].")
    ] = None,
    voltage_kv: Annotated[
        float | None, Option(help="Of the microscope; RELION must know [as PICKS says].")
    ] = None,
    cs_mm: Annotated[
        float | None, Option(help="Spherical aberration; RELION must know [as PICKS says].")
    ] = None,
    amplitude_contrast: Annotated[
        float | None, Option(help="Share of amplitude contrast, such as 0.1 [as PICKS says].")
    ] = None,
    force: Force = False,
) -> None:
    """Cut picked particles out of raw micrographs, for RELION.

    Writes one .mrcs stack a micrograph and particles.star, which names images as seen from the
    current folder: run it where RELION runs. A box is centred on the pixel nearest to the pick.
    RELION expects bright particles: add --invert where they are dark, as on most micrographs.

    Example: cryopick stack picks.star -m mics -o stacks --box-px 256 --voltage-kv 300 --cs-mm 2.7
    """
    options = locals()  # by the names of the settings' fields
    from cryopick.config import to_toml
    from cryopick.io.inputs import micrograph_paths
    from cryopick.io.tables.codec import Layout
    from cryopick.io.tables.pick_tables import read_picks, write_picks
    from cryopick.picks import concatenate
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.ledger import Parts
    from cryopick.stack.batch import Stacks
    from cryopick.stack.settings import StackSettings
    from cryopick.stack.table import optics_groups

    settings = settings_of(StackSettings, options)
    groups = optics_groups(picks, settings)
    own = _picks_of_files(_chosen(read_picks(picks), threshold), micrograph_paths(micrographs))
    if not own:
        raise InputError(f"{picks}: no pick lies on the given micrographs; give those it names")
    outputs, star = one_each(list(own), out, ".mrcs"), out / "particles.star"
    parts = Parts.beside(out, ["stack", to_toml(settings), str(threshold)])
    batch = Batch(list(own), doing="Cutting particles")
    stacks = Stacks(settings)
    with ledger(parts, [star, *outputs.values()], own, overwrite=force):
        cut = dict(batch.run(lambda path: stacks.write(path, own[path], outputs[path], parts)))
        if not cut:
            raise InputError("none of the micrographs can be used; see what was skipped above")
        found = concatenate(list(cut.values()))
        write_picks(found, star, overwrite=True, layout=Layout(star=stacks.frame(groups)))
        with whole(out / "settings.toml", overwrite=True) as temporary:
            temporary.write_text(to_toml(settings), encoding="utf-8")
    echo(f"{len(found)} particles of {len(cut)} micrographs written to {star}", err=True)
    lost = sum(len(own[path]) for path in cut) - len(found)
    if lost:
        what = "reach over an edge" if settings.edge == "skip" else "lie outside the micrograph"
        echo(f"{lost} picks were left out, as their boxes {what}", err=True)
    batch.finish()


def _chosen(table: "Picks", threshold: float | None) -> "Picks":
    if threshold is None:
        return table
    from cryopick.evaluate.thresholds import thresholded

    return thresholded(table, threshold)


def _picks_of_files(table: "Picks", paths: Sequence[Path]) -> dict[Path, "Picks"]:
    """The picks of each file that has any; say which micrographs match no file."""
    from cryopick.io.names import match_names

    named = table.restrict([name for name, rows in table.rows().items() if len(rows)])
    matched = match_names(named, paths)
    if matched.unmatched:
        echo(f"left out, as no file matches: {', '.join(matched.unmatched)}", err=True)
    return {Path(name): rows for name, rows in matched.picks.by_micrograph()}
