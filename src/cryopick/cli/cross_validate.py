"""`cryopick cross-validate`: choose the expected number of particles from the labels."""

import json
from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.messages import note
from cryopick.cli.options import MICROGRAPHS, Config, Json
from cryopick.cli.progress import Batch, progress
from cryopick.cli.settings import Fields, SettingsOptions, expand_settings
from cryopick.train.settings import TrainSettings

__all__ = ["cross_validate"]


@app.command("cross-validate")
@expand_settings
def cross_validate(
    out: Annotated[Path, Argument(metavar="DIR", file_okay=False, help="Folder of results.")],
    micrographs: Annotated[
        list[str],
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help=f"Labelled micrographs; repeatable. {MICROGRAPHS}",
        ),
    ],
    picks: Annotated[Path, Option("--picks", "-p", metavar="LABELS", help="Table of labels.")],
    particles: Annotated[
        list[float],
        Option(
            "--particles-per-micrograph",
            metavar="N",
            help="Candidate: expected number of particles on a micrograph, labelled or not; "
            "repeatable.",
        ),
    ],
    options: Annotated[
        SettingsOptions[TrainSettings],
        Fields(
            only=(
                "diameter_ang",
                "pixel_size_ang",
                "objective",
                "init",
                "network.width",
                "steps",
                "learning_rate",
                "seed",
            ),
            defaults={"init": "random", "steps": "200 to 900, growing with the number of labels"},
        ),
    ],
    folds: Annotated[int, Option(min=2, help="Number of folds of the micrographs.")] = 3,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Choose the number of particles by cross-validation.

    For each candidate, networks are trained without one part of the labelled micrographs and
    evaluated on the labels of that part. The average precision is a lower bound, because labels are
    incomplete. Run the same command again to resume, or with more candidates to add them.

    Example: cryopick cross-validate study -m micrographs -p labels.star --diameter-ang 190
    --particles-per-micrograph 100 --particles-per-micrograph 200 --particles-per-micrograph 400
    """
    from cryopick.experiments.cross_validation import (
        CandidateScore,
        CrossValidation,
        choose_candidate,
    )
    from cryopick.io.inputs import find_micrographs
    from cryopick.io.tables.pick_tables import read_picks
    from cryopick.train.initialization import choose_step_count
    from cryopick.train.labels import LabelledMicrographs

    if min(particles) <= 0:
        raise BadParameter("--particles-per-micrograph must be above 0")
    data = LabelledMicrographs.from_table(find_micrographs(micrographs), read_picks(picks), picks)
    steps = choose_step_count(len(data.labels))
    study = CrossValidation(
        folder=out,
        data=data,
        settings=options.build(config, defaults={"steps": steps}),
        candidates=tuple(dict.fromkeys(particles)),
        folds=folds,
    )
    batch = Batch(list(data.paths), stage="Preparing micrographs")
    results: dict[float, list[tuple[float, float]]] = {}
    with progress(folds * len(study.candidates), "Training") as advance:
        for candidate, fold, precision, prior in study.run(
            lambda path, error: batch.skip(path, error) if error else None
        ):
            results.setdefault(candidate, []).append((precision, prior))
            note(f"{candidate:g} particles, fold {fold + 1}: AP {precision:.4f}")
            advance(1)
    scores = [
        CandidateScore(
            particles_per_micrograph=candidate,
            prior=sum(prior for _, prior in values) / len(values),
            average_precisions=tuple(precision for precision, _ in values),
        )
        for candidate, values in results.items()
    ]
    best = choose_candidate(scores).particles_per_micrograph
    if as_json:
        rows = [
            {
                "particles_per_micrograph": score.particles_per_micrograph,
                "prior": score.prior,
                "average_precisions": score.average_precisions,
            }
            for score in scores
        ]
        echo(json.dumps({"best": best, "candidates": rows}, indent=2))
    else:
        echo(f"{'particles':>9} {'π':>8} {'AP':>7} {'± SE':>7}")
        for score in scores:
            mark = "  best" if score.particles_per_micrograph == best else ""
            echo(
                f"{score.particles_per_micrograph:9g} {score.prior:8.5f} {score.mean:7.4f} "
                f"{score.standard_error:7.4f}{mark}"
            )
    batch.finish()
