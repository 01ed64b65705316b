"""`cryopick evaluate`: compare picks with true particles."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.evaluate_regions import RegionOptions, evaluate_model
from cryopick.cli.messages import warn
from cryopick.cli.options import (
    MICROGRAPHS,
    Device,
    Force,
    Ignore,
    Json,
    PixelSizeAng,
    RadiusPx,
    convert_to_pixels,
    read_ignored_regions,
)
from cryopick.cli.tables import align_names, describe_other_scale, read_micrograph_list
from cryopick.errors import format_count

if TYPE_CHECKING:
    from cryopick.evaluate.evaluation import Evaluation
    from cryopick.evaluate.precision_recall import OperatingPoint
    from cryopick.evaluate.recall_profile import RecallProfile
    from cryopick.picks import Picks

__all__ = ["evaluate"]


@app.command()
def evaluate(
    picks: Annotated[
        Path,
        Argument(
            metavar="PICKS",
            help="Table of picks, preferably with scores; with --regions, a model file or "
            "`general`.",
        ),
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
    by_view: Annotated[
        bool,
        Option(
            "--by-view",
            help="Also print recall by orientation (columns rot_deg and tilt_deg of TRUTH, or "
            "RELION's angles), defocus, ice thickness, and distance to neighbours and edges, at "
            "the threshold of the best F1.",
        ),
    ] = False,
    regions: Annotated[
        list[str] | None,
        Option(
            metavar="MIC",
            help="Evaluate a model on every region of these micrographs, instead of a table of "
            f"picks; repeatable. {MICROGRAPHS}",
        ),
    ] = None,
    region_radius_px: Annotated[
        float,
        Option(
            min=0.5,
            help="With --regions: distance from a particle within which a region is positive, in "
            "working pixels.",
        ),
    ] = 3.0,
    region_step_px: Annotated[
        int,
        Option(
            min=1,
            help="With --regions: distance between evaluated regions in working pixels; 1 is every "
            "region, as in the paper.",
        ),
    ] = 1,
    device: Device = "auto",
    as_json: Json = False,
    plot: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Figure to write (.png, .svg or .pdf): the precision-recall curve, or with "
            "--by-view the recall over all views.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Compare picks, or a model, with true particles.

    Prints average precision (AP), precision, recall and F1. Picks and particles are matched one to
    one within a radius. Without --only, the micrographs named in TRUTH are evaluated. With
    --regions, all regions of micrographs are ranked by their score, as in Bepler et al. 2019.

    Example: cryopick evaluate picks.tsv particles.tsv --radius-px 40 --only test.txt

    Example: cryopick evaluate particle.safetensors particles.tsv --regions test
    """
    if regions:
        if only or ignore or by_view or plot:
            raise BadParameter("--regions works without --only, --ignore, --by-view and --plot")
        options = RegionOptions(region_radius_px, region_step_px, pixel_size_ang, diameter_ang)
        evaluate_model(picks, truth, regions, options, device=device, as_json=as_json)
        return
    from cryopick.evaluate.evaluation import evaluate_picks
    from cryopick.io.tables.pick_tables import read_picks

    radius_ang = None if diameter_ang is None else diameter_ang / 2
    radius = convert_to_pixels(radius_px, radius_ang, pixel_size_ang, "--diameter-ang")
    picked = read_picks(picks)
    particles = align_names(read_picks(truth), picked.micrographs)
    names = list(dict.fromkeys(picked.micrographs + particles.micrographs))
    ignored = read_ignored_regions(names, ignore)
    picked, particles = ignored.select_outside(picked), ignored.select_outside(particles)
    evaluation = evaluate_picks(
        picked, particles, radius, read_micrograph_list(only, names) if only else None
    )
    profile = None
    if by_view:
        diameter_px = diameter_ang / pixel_size_ang if diameter_ang and pixel_size_ang else None
        profile = _profile(evaluation, picked, particles, diameter_px or 2 * radius)
    if plot:
        _plot(evaluation, profile, plot, overwrite=force)
    _warn(evaluation)
    if doubt := describe_other_scale(picked, particles, radius, picks):
        warn(f"warning: {doubt}")
    if as_json:
        values = evaluation.to_dict() | ({"recall_profile": profile.to_dict()} if profile else {})
        echo(json.dumps(values, indent=2))
        return
    echo(_as_text(evaluation) + (f"\n\n{_profile_text(profile)}" if profile else ""))


def _profile(
    evaluation: "Evaluation", picks: "Picks", truth: "Picks", diameter_px: float
) -> "RecallProfile":
    """Compute recall by view on the evaluated micrographs, at the threshold of the best F1."""
    from cryopick.evaluate.recall_profile import profile_recall

    names = [micrograph.name for micrograph in evaluation.micrographs]
    return profile_recall(
        picks,
        truth.restrict(names),
        evaluation.radius_px,
        diameter_px=diameter_px,
        threshold=evaluation.best.threshold if evaluation.best else None,
    )


def _plot(
    evaluation: "Evaluation", profile: "RecallProfile | None", path: Path, *, overwrite: bool
) -> None:
    if profile:
        from cryopick.report.recall_profile import plot_recall_profile

        plot_recall_profile(profile, path, overwrite=overwrite)
        return
    from cryopick.report.curves import plot_precision_recall

    plot_precision_recall(evaluation, path, overwrite=overwrite)


def _profile_text(profile: "RecallProfile") -> str:
    at = "all picks" if profile.threshold is None else f"threshold {profile.threshold:.4g}"
    lines = [f"recall {profile.recall:.4f} at {at}, with 95 % intervals"]
    if profile.view is None:
        lines.append("TRUTH has no orientations (columns rot_deg and tilt_deg)")
    for name, bins in profile.bins.items():
        p_value = profile.p_value[name]
        equal = "" if p_value != p_value else f" (equal recall in all bins: P {p_value:.2g})"
        lines += ["", f"{'known':>7} {'recall':>7}   by {name}{equal}"]
        lines += [
            f"{one.n_truth:7d} {one.recall:7.4f}   {one.low:.3f}-{one.high:.3f}  {one.label}"
            for one in bins
        ]
    return "\n".join(lines)


def _warn(evaluation: "Evaluation") -> None:
    if evaluation.not_evaluated:
        warn(
            f"ignored micrographs that TRUTH does not name: {', '.join(evaluation.not_evaluated)} "
            "(list them with --only to count their picks as false)"
        )
    if evaluation.n_duplicate_truth:
        warn(
            f"merged {evaluation.n_duplicate_truth} duplicate particles of TRUTH with others at "
            "the same place"
        )
    if evaluation.in_neither_table:
        warn(
            "counted as empty, because neither table names them: "
            f"{', '.join(evaluation.in_neither_table)}"
        )


def _as_text(evaluation: "Evaluation") -> str:
    average_precision = evaluation.average_precision
    lines = [
        f"{format_count(evaluation.n_picks, 'pick')}, "
        f"{format_count(evaluation.n_truth, 'particle')}, {evaluation.n_matched} found "
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
