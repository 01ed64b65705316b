"""`cryopick validate`: check picks with 2D classification and 3D reconstruction."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option, echo

from cryopick.cli.app import Application, app
from cryopick.cli.messages import add_results, note, print_result, warn
from cryopick.cli.options import MICROGRAPHS, Force, Json
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.cli.stack import extract_particles
from cryopick.experiments.classes2d.settings import ClassSettings
from cryopick.stack.settings import StackSettings

if TYPE_CHECKING:
    from cryopick.picks import Picks

__all__ = ["classes", "fsc", "resolution", "shares"]

_SETS = 5
_MIN_REFERENCE = 100  # images in the first set
_SIDE_PX = 40  # of the images: particles are about 27 pixels across, enough to recognise junk

validate: typer.Typer = Application(
    help="Check picks by 2D classes, or reconstructions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(validate, name="validate")


@validate.command()
@expand_settings
def classes(
    picks: Annotated[
        Path, Argument(metavar="PICKS", help="Picks with scores, or the particles.star of a stack.")
    ],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Output folder.")],
    options: SettingsOptions[ClassSettings],
    extraction: Annotated[
        SettingsOptions[StackSettings],
        Fields(
            only=("pixel_size_ang", "voltage_kv", "cs_mm", "invert"),
            defaults={"voltage_kv": "300", "cs_mm": "2.7", "invert": "on"},
        ),
    ],
    micrographs: Annotated[
        list[str] | None,
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help=f"Raw micrographs to extract the picks from; repeatable. {MICROGRAPHS}",
        ),
    ] = None,
    at: Annotated[
        list[float] | None,
        Option(
            metavar="T",
            help="Score threshold of one set of picks; repeatable. [default: five, each adding "
            "the same number of picks]",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        Option(metavar="TABLE", help="Table of true particles, to check the result itself."),
    ] = None,
) -> None:
    """Check picks by 2D classification with RELION.

    Picks are classified in sets at decreasing thresholds, and classes that look like particles are
    counted. DIR receives the stacks, RELION's runs, report.html with every class, the estimated
    fractions of false picks as shares.tsv and shares.png, and classes.tsv. To overrule the
    automatic verdict, write particle or junk into the column person of classes.tsv and run the
    command again: finished classifications are kept.

    Example: cryopick validate classes picks.star -m micrographs -o validation --diameter-ang 150
    """
    from cryopick.experiments.classes2d.false_positives import (
        estimate_false_positives,
        write_false_positives,
    )
    from cryopick.experiments.classes2d.page import plot_false_positives, render_class_page
    from cryopick.experiments.classes2d.relion import classify_images, write_nested_sets
    from cryopick.experiments.classes2d.rule import apply_rule, has_collapsed
    from cryopick.experiments.classes2d.verdicts import read_corrections, write_verdicts
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.runs.atomic_write import atomic_write

    settings = options.build()
    diameter_ang = settings.diameter_ang
    star = picks
    if micrographs:
        boxes = extraction.build(
            defaults={
                "diameter_ang": diameter_ang,
                "voltage_kv": 300.0,
                "cs_mm": 2.7,
                "invert": True,
            }
        )
        boxes = replace(boxes, rescale_px=_choose_image_size(micrographs, boxes))
        star = _extract(picks, micrographs, out / "stacks", boxes)
    thresholds = sorted(at or _choose_thresholds(read_picks(star)), reverse=True)
    classifications = []
    for number, stack_star in enumerate(write_nested_sets(star, thresholds, out), start=1):
        note(f"classifying set {number} of {len(thresholds)}: {stack_star.parent / 'relion.log'}")
        classifications.append(classify_images(stack_star, settings))
    table = out / "classes.tsv"
    verdicts = apply_rule(classifications, diameter_ang, read_corrections(table, classifications))
    write_verdicts(verdicts, table)
    for number, set_verdicts in enumerate(verdicts, start=1):
        if sum(verdict.count for verdict in set_verdicts) < _MIN_REFERENCE and number == 1:
            warn(
                f"set 1: fewer than {_MIN_REFERENCE} images, too few as the reference of the rule; "
                "lower the first --at"
            )
        if has_collapsed(set_verdicts):
            warn(
                f"set {number}: nearly all images are in one or few classes; its fraction of false "
                "picks is unknown: repeat with fewer --classes, --oversampling 1 and more "
                f"--iterations, or give your verdict on the largest class in {table}"
            )
    particles = read_picks(truth) if truth else None
    rates = estimate_false_positives(classifications, verdicts, thresholds, particles, diameter_ang)
    with atomic_write(out / "report.html", overwrite=True) as temporary:
        temporary.write_text(render_class_page(classifications, verdicts, rates), encoding="utf-8")
    write_false_positives(rates, out / "shares.tsv")
    plot_false_positives(rates, out / "shares.png")
    note(f"report written to {out / 'report.html'}; open it in a browser")


def _extract(picks: Path, micrographs: list[str], folder: Path, boxes: StackSettings) -> Path:
    """Extract the images of the picks, unless the folder has them already."""
    from cryopick.config import to_toml
    from cryopick.errors import InputError
    from cryopick.io.inputs import find_micrographs
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.ledger import identify_files

    star, inputs_file = folder / "particles.star", folder / "made_of.txt"
    identities = identify_files([picks, *find_micrographs(micrographs)])
    inputs = "\n".join([*identities, to_toml(boxes)])
    if star.exists():
        if not (inputs_file.is_file() and inputs_file.read_text("utf-8") == inputs):
            raise InputError(
                f"{folder}: holds images of other picks or settings; choose another folder with "
                "-o, or remove this one"
            )
        return star
    with atomic_write(inputs_file, overwrite=True) as temporary:
        temporary.write_text(inputs, encoding="utf-8")
    extract_particles(picks, micrographs, folder, boxes)
    return star


def _choose_image_size(micrographs: list[str], boxes: StackSettings) -> int | None:
    """Choose the size of the images in pixels; None if the boxes are not larger than that."""
    from cryopick.io.images.micrograph import read_micrograph
    from cryopick.io.inputs import find_micrographs
    from cryopick.preprocess.dataset import raw_pixel_size

    first = find_micrographs(micrographs)[0]
    pixel_size_ang = boxes.pixel_size_ang or raw_pixel_size(
        first, read_micrograph(first).pixel_size_ang
    )
    return _SIDE_PX if boxes.side_px(pixel_size_ang) > _SIDE_PX else None


def _choose_thresholds(table: "Picks") -> Sequence[float]:
    """Choose thresholds so that each adds the same number of picks."""
    import numpy as np

    return np.quantile(table.score, 1 - np.arange(1, _SETS + 1) / _SETS).tolist()


@validate.command()
def shares(
    runs: Annotated[
        list[Path],
        Argument(
            metavar="RUN_DATA",
            help="Files run_itNNN_data.star of finished 2D classifications, one per set of picks; "
            "the first is the reference.",
        ),
    ],
    low_pass_ang: Annotated[
        float, Option(min=1.0, help="Resolution in ångströms to which averages are filtered.")
    ] = 15.0,
) -> None:
    """Compare the shares of 2D classes between sets of picks.

    The classes of each set are matched with those of the first by their averages, low-pass
    filtered and over all in-plane rotations. A set that lacks a view has a small share of its
    class.

    Example: cryopick validate shares ours/set_5/run_it015_data.star blobs/set_5/run_it015_data.star
    """
    from cryopick.experiments.classes2d.relion import read_classes
    from cryopick.experiments.classes2d.shares import compare_class_shares

    prefixes = [path.with_name(path.name.removesuffix("_data.star")) for path in runs]
    compared = compare_class_shares(
        [read_classes(prefix) for prefix in prefixes], low_pass_ang=low_pass_ang
    )
    print_result("class  share in each set")
    for row, number in enumerate(compared.reference):
        cells = "".join(f" {100 * share:6.1f} %" for share in compared.share[:, row])
        print_result(f"{number:5d} {cells}")
    add_results(
        classes=[int(number) for number in compared.reference],
        shares_frac=[[float(share) for share in row] for row in compared.share],
        correlations=[float(value) for value in compared.correlation],
    )
    similarity = " ".join(f"{value:.2f}" for value in compared.correlation)
    note(f"mean correlation with the reference, by set: {similarity}")


@validate.command()
def resolution(
    table: Annotated[
        Path,
        Argument(metavar="TABLE", help="Table: columns particles, resolution_ang and set."),
    ],
    out: Annotated[
        Path, Option("--out", "-o", metavar="FILE", help="Figure to write (.png, .svg or .pdf).")
    ],
    force: Force = False,
) -> None:
    """Plot resolution against the number of particles.

    TABLE has one row per reconstruction, with tabs or commas between columns. Several rows of the
    same set and number are drawn as mean and standard deviation.

    Example: cryopick validate resolution reconstructions.csv -o resolution.png
    """
    from cryopick.experiments.classes2d.resolution import plot_resolutions, read_resolutions

    plot_resolutions(read_resolutions(table), out, overwrite=force)
    note(f"figure written to {out}")


@validate.command()
def fsc(
    half1: Annotated[Path, Argument(metavar="HALF1", help="First half map (.mrc).")],
    half2: Annotated[Path, Argument(metavar="HALF2", help="Second half map (.mrc).")],
    diameter_ang: Annotated[
        float | None,
        Option(min=0.0, help="Diameter in ångströms of a soft spherical mask. [default: no mask]"),
    ] = None,
    out: Annotated[
        Path | None,
        Option("--out", "-o", metavar="FILE", help="Figure to write (.png, .svg or .pdf)."),
    ] = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Measure resolution and anisotropy of half maps.

    Prints the resolution at a Fourier shell correlation of 0.143, the range over cones of 20°
    around 100 directions, and the sphericity, as 3DFSC does. A picker that misses views makes the
    resolution anisotropic.

    Example: cryopick validate fsc run_half1_class001_unfil.mrc run_half2_class001_unfil.mrc
    """
    from cryopick.experiments.fourier_shells import (
        compute_shell_correlation,
        find_resolution,
        mask_sphere,
        measure_anisotropy,
        read_map,
    )

    (first, voxel_ang), (second, _) = read_map(half1), read_map(half2)
    if diameter_ang:
        radius_px = diameter_ang / 2 / voxel_ang
        first, second = (mask_sphere(half, radius_px) for half in (first, second))
    curve = compute_shell_correlation(first, second, voxel_ang)
    anisotropy = measure_anisotropy(first, second, voxel_ang)
    resolution_ang = find_resolution(curve)
    worst, best = anisotropy.resolution_ang.max(), anisotropy.resolution_ang.min()
    if out:
        from cryopick.report.shell_correlation import plot_shell_correlation

        cones = (anisotropy.direction, anisotropy.resolution_ang)
        plot_shell_correlation((curve.frequency, curve.correlation), cones, out, overwrite=force)
    if as_json:
        values = {
            "resolution_ang": None if resolution_ang != resolution_ang else resolution_ang,
            "best_cone_ang": float(best),
            "worst_cone_ang": float(worst),
            "sphericity": anisotropy.sphericity,
        }
        echo(json.dumps(values, indent=2))
        return
    echo(
        f"resolution at FSC 0.143  {resolution_ang:.2f} Å\n"
        f"in cones of 20°          {best:.2f} to {worst:.2f} Å\n"
        f"sphericity               {anisotropy.sphericity:.3f}"
    )
