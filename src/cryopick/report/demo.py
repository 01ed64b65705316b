"""Page of `cryopick demo`.

- `render_demo_page`: the page, from the results of a demo.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cryopick.evaluate.precision_recall import OperatingPoint
from cryopick.report import markup
from cryopick.report.curves import precision_recall_svg
from cryopick.report.demo_results import DemoMicrograph, DemoResults
from cryopick.report.number_format import format_fraction, format_percent, format_score
from cryopick.report.pictures import marked_svg, score_map_svg
from cryopick.report.training import training_svg

__all__ = ["render_demo_page"]


def render_demo_page(
    results: DemoResults, commands: Sequence[str], seconds: Mapping[str, float]
) -> str:
    """Render the report of a demo as one HTML page without external files.

    Args:
        results: Results of the demo.
        commands: Commands that reproduce the demo, in order.
        seconds: Duration of each stage, by its name.
    """
    n_labels, n_micrographs = len(results.labels), len(results.evaluation.micrographs)
    lead = (
        f"The network was trained on {n_labels} labelled particles and then picked "
        f"{n_micrographs} micrographs that it had not seen. The micrographs are simulated, so the "
        "true particles are known and every pick can be checked."
    )
    parts = (
        _headline(results, seconds),
        _training_section(results),
        _micrograph_section(results),
        _evaluation_section(results),
        _command_section(results, commands, seconds),
    )
    return markup.render_document(
        f"Particle picking from {n_labels} labels",
        lead,
        markup.join_markup(parts),
        f"Made by cryopick {results.version} with `cryopick demo`. "
        "Method: Bepler et al. 2019, Nature Methods 16:1153.",
    )


def _headline(results: DemoResults, seconds: Mapping[str, float]) -> Markup:
    best, minutes = results.evaluation.best, sum(seconds.values()) / 60
    numbers = {"average precision": format_fraction(results.evaluation.average_precision)}
    if best is not None:
        numbers |= {
            "best F1": format_fraction(best.f1),
            "recall": format_percent(best.recall),
            "precision": format_percent(best.precision),
        }
    return markup.render_headline({**numbers, "total time": f"{minutes:.1f} min"})


def _training_section(results: DemoResults) -> Markup:
    text = (
        f"These {len(results.labels)} particles, drawn at random from "
        f"{results.n_training_micrographs} micrographs, are the only labels. The hundreds of other "
        "particles on the same micrographs were not labelled."
    )
    caption = (
        "The loss falls while the network learns to give labelled particles high scores, and to "
        "limit high scores elsewhere to the expected number of particles. The expected rates are "
        "computed from the labels and the class prior alone, without the true particles."
    )
    return markup.render_section(
        "Training",
        text,
        markup.render_gallery(map(markup.GalleryPicture, results.labels), "labelled particle"),
        markup.render_figure(training_svg(results.rows), caption),
    )


def _micrograph_section(results: DemoResults) -> Markup:
    best = results.evaluation.best
    minimum = "" if best is None else f" that score at least {format_score(best.threshold or 0.0)}"
    text = (
        f"Held-out micrographs with the picks{minimum}, the threshold of best F1. The simulation "
        "adds contamination, broken particles, aggregates, ice crystals and carbon edges; picks "
        "on them are false."
    )
    figures = [_micrograph_figures(results, micrograph) for micrograph in results.micrographs]
    return markup.render_section(
        "Picks on held-out micrographs", text, markup.render_legend(has_truth=True), *figures
    )


def _micrograph_figures(results: DemoResults, micrograph: DemoMicrograph) -> Markup:
    name, marks, view = micrograph.evaluation.name, micrograph.marks, micrograph.view
    counts = f"{len(marks.right)} correct, {len(marks.wrong)} false, {len(marks.missed)} missed"
    picture = marked_svg(view, marks, results.diameter_px, f"Picks on {name}: {counts}")
    score_map = score_map_svg(
        view, micrograph.logits, micrograph.raw_per_score, f"Score map of {name}"
    )
    area = format_fraction(micrograph.evaluation.average_precision)
    return markup.render_columns(
        markup.render_figure(picture, f"{name}: {counts}; average precision {area}."),
        markup.render_figure(
            score_map,
            "Score map of the same micrograph: the brighter, the more likely a particle is centred "
            "there.",
        ),
    )


def _evaluation_section(results: DemoResults) -> Markup:
    evaluation = results.evaluation
    text = (
        f"A pick is correct if it lies within {evaluation.radius_px:.0f} pixels, a third of the "
        "diameter, of a true particle that no higher-scoring pick has matched. Precision is the "
        "fraction of picks that are correct; recall is the fraction of true particles that were "
        "picked."
    )
    rows = [
        [
            result.name,
            str(result.n_picks),
            str(result.n_truth),
            *_format_point(result.at_best_threshold),
            format_fraction(result.average_precision),
        ]
        for result in evaluation.micrographs
    ]
    rows.append(
        [
            "all",
            str(evaluation.n_picks),
            str(evaluation.n_truth),
            *_format_point(evaluation.best or evaluation.all_picks),
            format_fraction(evaluation.average_precision),
        ]
    )
    head = ("micrograph", "picks", "particles", "precision", "recall", "F1", "AP")
    table = markup.render_table(
        head,
        rows,
        "Picks of any score and true particles; precision, recall and F1 at the threshold of best "
        "F1; average precision (AP) over all thresholds.",
    )
    curve = markup.render_figure(
        precision_recall_svg(evaluation),
        "Each point of the curve is one threshold: a lower one finds more particles and makes more "
        "false picks.",
    )
    return markup.render_section("Precision and recall", text, markup.render_columns(curve, table))


def _format_point(point: OperatingPoint) -> list[str]:
    return [format_fraction(value) for value in (point.precision, point.recall, point.f1)]


def _command_section(
    results: DemoResults, commands: Sequence[str], seconds: Mapping[str, float]
) -> Markup:
    stages = [[name, f"{duration:.1f}"] for name, duration in seconds.items()]
    stages.append(["all", f"{sum(seconds.values()):.1f}"])
    settings = [markup.render_details(title, text) for title, text in results.settings.items()]
    return markup.render_section(
        "Reproduce this demo",
        "The demo ran these commands. For your own micrographs and labels, only train and pick "
        "are needed.",
        markup.render_commands(commands),
        markup.render_columns(
            markup.render_table(("stage", "seconds"), stages, "Duration of each stage."),
            markup.join_markup(settings),
        ),
    )
