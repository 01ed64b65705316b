"""`cryopick evaluate`: picks against known particles."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import Force, Ignore, Json, PixelSizeAng, RadiusPx, in_pixels, regions_on
from cryopick.cli.tables import align_names, read_only

if TYPE_CHECKING:
    from cryopick.evaluate.evaluation import Evaluation
    from cryopick.evaluate.precision_recall import Point

__all__ = ["evaluate"]


@app.command()
def evaluate(
    picks: Annotated[Path, Argument(metavar="PICKS", help="Table of picks, best with scores.")],
    truth: Annotated[Path, Argument(metavar="TRUTH", help="Table of the known particles.")],
    radius_px: RadiusPx = None,
    diameter_ang: Annotated[
        float | None,
        Option(min=0.0, help="Particle diameter in ångströms; half of it is the radius."),
    ] = None,
    pixel_size_ang: PixelSizeAng = None,
    only: Annotated[
        Path | None,
        Option(metavar="LIST", help="Judge the micrographs that LIST names, one a line."),
    ] = None,
    ignore: Ignore = None,
    as_json: Json = False,
    plot: Annotated[
        Path | None, Option(metavar="FILE", help="Draw the precision-recall curve: .png .svg .pdf")
    ] = None,
    force: Force = False,
) -> None:
    """Judge picks against known particles, paired one to one within a distance.

    Without --only, the micrographs that TRUTH mentions are judged.

    Example: cryopick evaluate picks.tsv particles.tsv --radius-px 40 --only test.txt
    """
    from cryopick.evaluate.evaluation import evaluate_picks
    from cryopick.io.tables.pick_tables import read_picks

    radius_ang = None if diameter_ang is None else diameter_ang / 2
    radius = in_pixels(radius_px, radius_ang, pixel_size_ang, "--diameter-ang")
    found = read_picks(picks)
    known = align_names(read_picks(truth), found.micrographs)
    names = list(dict.fromkeys(found.micrographs + known.micrographs))
    regions = regions_on(names, ignore)
    found, known = regions.outside(found), regions.outside(known)
    judged = evaluate_picks(found, known, radius, read_only(only, names) if only else None)
    if plot:
        from cryopick.report.curves import plot_precision_recall

        plot_precision_recall(judged, plot, overwrite=force)
    _warn(judged)
    echo(json.dumps(judged.to_dict(), indent=2) if as_json else _as_text(judged))


def _warn(judged: "Evaluation") -> None:
    if judged.left_out:
        echo(
            f"left out, as the truth does not mention them: {', '.join(judged.left_out)} "
            "(name them with --only to count their picks as wrong)",
            err=True,
        )
    if judged.unheard_of:
        echo(
            f"counted as empty, as neither table mentions them: {', '.join(judged.unheard_of)}",
            err=True,
        )


def _as_text(judged: "Evaluation") -> str:
    area = judged.average_precision
    lines = [
        f"{judged.n_picks} picks, {judged.n_truth} particles, {judged.n_found} found "
        f"within {judged.radius_px:g} pixels",
        f"average precision  {'undefined: no scores' if area is None else f'{area:.4f}'}",
        f"best F1            {_point(judged.best)}",
        f"at threshold 0     {_point(judged.at_zero)}",
        f"all picks          {_point(judged.all_picks)}",
        "",
        f"{'picks':>7} {'known':>7} {'AP':>7} {'prec':>7} {'recall':>7} {'F1':>7}  micrograph"
        + (" (prec, recall, F1 at the best threshold)" if judged.best else ""),
    ]
    for own in judged.micrographs:
        at = own.at_best
        area = float("nan") if own.average_precision is None else own.average_precision
        lines.append(
            f"{own.n_picks:7d} {own.n_truth:7d} {area:7.4f} "
            f"{at.precision:7.4f} {at.recall:7.4f} {at.f1:7.4f}  {own.name}"
        )
    return "\n".join(lines)


def _point(point: "Point | None") -> str:
    if point is None:
        return "undefined: no scores"
    at = "" if point.threshold is None else f"  threshold {point.threshold:.4g}"
    return f"{point.f1:.4f}  precision {point.precision:.4f}  recall {point.recall:.4f}{at}"
