"""`cryopick validate`: whether what comes after picking finds particles in the picks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS, Force, RawPixelSizeAng
from cryopick.cli.settings import settings_of
from cryopick.cli.stack import stack

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["classes", "resolution"]

_SETS = 5
_SIDE_PX = 40  # of the images: particles are some 27 pixels across, enough to tell junk apart

validate: typer.Typer = typer.Typer(
    help="Ask the next program whether the picks are particles: 2D classes, resolutions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(validate, name="validate")


@validate.command()
def classes(
    picks: Annotated[
        Path, Argument(metavar="PICKS", help="Picks with scores, or particles.star of a stack.")
    ],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Folder to work in.")],
    diameter_ang: Annotated[float, Option(help="Particle diameter in ångströms.")],
    micrographs: Annotated[
        list[str] | None,
        Option("--micrographs", "-m", metavar="MIC", help=f"To cut picks from. {MICROGRAPHS}"),
    ] = None,
    at: Annotated[
        list[float] | None,
        Option(metavar="T", help="A threshold; repeat [five, with as many more picks each]."),
    ] = None,
    class_count: Annotated[
        int | None, Option("--classes", metavar="K", help="2D classes of each set [10].")
    ] = None,
    iterations: Annotated[int | None, Option(help="Rounds of refinement [15].")] = None,
    oversampling: Annotated[
        int | None, Option(help="RELION's finer search; 1 is its default, and slow [0].")
    ] = None,
    threads: Annotated[int | None, Option(help="Cores to use [1].")] = None,
    seed: Annotated[int | None, Option(help="Of the random start [1].")] = None,
    pixel_size_ang: RawPixelSizeAng = None,
    voltage_kv: Annotated[float, Option(help="Of the microscope.")] = 300.0,
    cs_mm: Annotated[float, Option(help="Spherical aberration of the microscope.")] = 2.7,
    invert: Annotated[
        bool, Option(help="Particles are dark on the micrographs, as without phase plate.")
    ] = True,
    truth: Annotated[
        Path | None, Option(metavar="TABLE", help="Known particles, to test the test itself.")
    ] = None,
) -> None:
    """Classify picks at decreasing thresholds with RELION, and count what averages to a particle.

    DIR gets the stacks, RELION's runs, report.html with every class, the shares of false picks as
    shares.tsv and shares.png, and classes.tsv.
    Write particle or junk into the column person of classes.tsv to overrule the rule, and give
    the command again: what RELION has done is kept.

    Example: cryopick validate classes picks.star -m micrographs -o validation --diameter-ang 150
    """
    options = {**locals(), "classes": class_count}  # by the names of the settings' fields
    from cryopick.experiments.classes2d.page import class_page, draw_shares
    from cryopick.experiments.classes2d.relion import classify, nested_stacks
    from cryopick.experiments.classes2d.rule import is_hardly_parted, judged
    from cryopick.experiments.classes2d.settings import ClassSettings
    from cryopick.experiments.classes2d.shares import Shares, write_shares
    from cryopick.experiments.classes2d.verdicts import overruled, write_verdicts
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.runs.atomic_write import whole

    settings = settings_of(ClassSettings, options)
    star = picks
    if micrographs:
        cut = {
            "diameter_ang": diameter_ang,
            "pixel_size_ang": pixel_size_ang,
            "rescale_px": _side(micrographs, diameter_ang, pixel_size_ang),
            "invert": invert,
            "voltage_kv": voltage_kv,
            "cs_mm": cs_mm,
        }
        star = _images(picks, micrographs, out / "stacks", cut)
    thresholds = sorted(at or _even(read_picks(star)), reverse=True)
    done = []
    for number, own in enumerate(nested_stacks(star, thresholds, out), start=1):
        echo(
            f"classifying set {number} of {len(thresholds)}: {own.parent / 'relion.log'}", err=True
        )
        done.append(classify(own, settings))
    table = out / "classes.tsv"
    verdicts = judged(done, diameter_ang, overruled(table, done))
    write_verdicts(verdicts, table)
    for number, said in enumerate(verdicts, start=1):
        if is_hardly_parted(said):
            echo(
                f"set {number}: nearly all images are in one class; its share is a guess", err=True
            )
    known = read_picks(truth) if truth else None
    shares = Shares.of(done, verdicts, thresholds, known, diameter_ang)
    with whole(out / "report.html", overwrite=True) as temporary:
        temporary.write_text(class_page(done, verdicts, shares), encoding="utf-8")
    write_shares(shares, out / "shares.tsv")
    draw_shares(shares, out / "shares.png")
    echo(f"{out / 'report.html'}: open it in a browser", err=True)


def _images(picks: Path, micrographs: list[str], folder: Path, cut: dict[str, Any]) -> Path:
    """The images of the picks, cut unless they are there already."""
    from cryopick.errors import InputError
    from cryopick.io.inputs import micrograph_paths
    from cryopick.runs.atomic_write import whole
    from cryopick.runs.ledger import file_identity

    star, mark = folder / "particles.star", folder / "made_of.txt"
    of_what = [*map(file_identity, [picks, *micrograph_paths(micrographs)]), repr(cut)]
    told = "\n".join(of_what) + "\n"
    if star.exists():
        if not (mark.is_file() and mark.read_text("utf-8") == told):
            raise InputError(
                f"{folder}: holds images of other picks, or cut with other settings; name another "
                "folder with -o, or remove this one"
            )
        return star
    with whole(mark, overwrite=True) as temporary:
        temporary.write_text(told, encoding="utf-8")
    stack(picks, micrographs, folder, **cut)
    return star


def _side(given: list[str], diameter_ang: float, pixel_size_ang: float | None) -> int | None:
    """Side of the images to write; None where the boxes are as small already."""
    from cryopick.io.images.micrograph import read_micrograph
    from cryopick.io.inputs import micrograph_paths
    from cryopick.preprocess.dataset import raw_pixel_size
    from cryopick.stack.settings import StackSettings

    first = micrograph_paths(given)[0]
    own_ang = pixel_size_ang or raw_pixel_size(first, read_micrograph(first).pixel_size_ang)
    is_large = StackSettings(diameter_ang=diameter_ang).side_px(own_ang) > _SIDE_PX
    return _SIDE_PX if is_large else None


def _even(table: "Picks") -> Sequence[float]:
    """Thresholds, each of which adds as many picks as the one before."""
    import numpy as np

    return np.quantile(table.score, 1 - np.arange(1, _SETS + 1) / _SETS).tolist()


@validate.command()
def resolution(
    table: Annotated[
        Path, Argument(metavar="TABLE", help="Columns particles, resolution_ang and set.")
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="FILE", help="Figure to write: .png .svg .pdf")
    ],
    force: Force = False,
) -> None:
    """Draw the resolutions that reconstructions made elsewhere reached, by number of particles.

    TABLE has a row for each reconstruction, parted by tabs or commas; several rows of one set
    and number are drawn as mean and standard deviation.

    Example: cryopick validate resolution reconstructions.csv -o resolution.png
    """
    from cryopick.experiments.classes2d.resolution import plot_resolutions, read_resolutions

    plot_resolutions(read_resolutions(table), out, overwrite=force)
    echo(f"{out} written", err=True)
