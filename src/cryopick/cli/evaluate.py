"""`cryopick evaluate`: compare picks with true particles."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import (
    Force,
    Ignore,
    Json,
    PixelSizeAng,
    RadiusPx,
    convert_to_pixels,
    read_ignored_regions,
)
from cryopick.cli.tables import align_names, read_micrograph_list

if TYPE_CHECKING:
    from cryopick.evaluate.evaluation import Evaluation
    from cryopick.evaluate.precision_recall import OperatingPoint

__all__ = ["evaluate"]


@app.command()
def evaluate(
    picks: Annotated[
        Path, Argument(metavar="PICKS", help="Table of picks, preferably with scores.")
    ],
    truth: Annotated[
        Path, Argument(metavar="TRUTH", help="Table of all true particles (ground truth).")
    ],
    radius_px: RadiusPx = None,
    diameter_ang: Annotated[
        float | None,
        Option(min=0.0, help="Particle diameter in ångströms; half of it is the matching radius."),
    ] = None,
    pixel_size_ang: PixelSizeAng = None,
    only: Annotated[
        Path | None,
        Option(
            metavar="LIST",
            help="Evaluate only the micrographs in this text file, one name per line.",
        ),
    ] = None,
    ignore: Ignore = None,
    as_json: Json = False,
    plot: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Figure of the precision-recall curve to write (.png, .svg or .pdf).",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Compare picks with true particles.

    Prints average precision (AP), precision, recall and F1. Picks and particles are matched one to
    one within a radius. Without --only, the micrographs named in TRUTH are evaluated.

    Example: cryopick evaluate picks.tsv particles.tsv --radius-px 40 --only test.txt
    """
    from cryopick.evaluate.evaluation import evaluate_picks
    from cryopick.io.tables.pick_tables import read_picks

    radius_ang = None if diameter_ang is None else diameter_ang / 2
    radius = convert_to_pixels(radius_px, radius_ang, pixel_size_ang, "--diameter-ang")
    picked = read_picks(picks)
    particles = align_names(read_picks(truth), picked.micrographs)
    names = list(dict.fromkeys(picked.micrographs + particles.micrographs))
    regions = read_ignored_regions(names, ignore)
    picked, particles = regions.select_outside(picked), regions.select_outside(particles)
    evaluation = evaluate_picks(
        picked, particles, radius, read_micrograph_list(only, names) if only else None
    )
    if plot:
        from cryopick.report.curves import plot_precision_recall

        plot_precision_recall(evaluation, plot, overwrite=force)
    _warn(evaluation)
    echo(json.dumps(evaluation.to_dict(), indent=2) if as_json else _as_text(evaluation))


def _warn(evaluation: "Evaluation") -> None:
    if evaluation.not_evaluated:
        echo(
            f"ignored micrographs that TRUTH does not name: {', '.join(evaluation.not_evaluated)} "
            "(list them with --only to count their picks as false)",
            err=True,
        )
    if evaluation.n_duplicate_truth:
        echo(
            f"merged {evaluation.n_duplicate_truth} duplicate particles of TRUTH with others at "
            "the same place",
            err=True,
        )
    if evaluation.in_neither_table:
        echo(
            "counted as empty, because neither table names them: "
            f"{', '.join(evaluation.in_neither_table)}",
            err=True,
        )


def _as_text(evaluation: "Evaluation") -> str:
    average_precision = evaluation.average_precision
    lines = [
        f"{evaluation.n_picks} picks, {evaluation.n_truth} particles, {evaluation.n_matched} found "
        f"within {evaluation.radius_px:g} pixels",
        "average precision  "
        f"{'undefined: no scores' if average_precision is None else f'{average_precision:.4f}'}",
        f"best F1            {_point(evaluation.best)}",
        f"at threshold 0     {_point(evaluation.at_zero_threshold)}",
        f"all picks          {_point(evaluation.all_picks)}",
        "",
        f"{'picks':>7} {'known':>7} {'AP':>7} {'prec':>7} {'recall':>7} {'F1':>7}  micrograph"
        + (" (prec, recall, F1 at the best threshold)" if evaluation.best else ""),
    ]
    for micrograph in evaluation.micrographs:
        at = micrograph.at_best_threshold
        average_precision = (
            float("nan") if micrograph.average_precision is None else micrograph.average_precision
        )
        lines.append(
            f"{micrograph.n_picks:7d} {micrograph.n_truth:7d} {average_precision:7.4f} "
            f"{at.precision:7.4f} {at.recall:7.4f} {at.f1:7.4f}  {micrograph.name}"
        )
    return "\n".join(lines)


def _point(point: "OperatingPoint | None") -> str:
    if point is None:
        return "undefined: no scores"
    at = "" if point.threshold is None else f"  threshold {point.threshold:.4g}"
    return f"{point.f1:.4f}  precision {point.precision:.4f}  recall {point.recall:.4f}{at}"
