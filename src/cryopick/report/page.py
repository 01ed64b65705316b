"""Page of `cryopick report`.

- `render_run_page`: the page of a training or pick run.
"""

import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from cryopick.errors import format_count
from cryopick.report import markup
from cryopick.report.evaluation_section import evaluate_at, render_evaluation_section
from cryopick.report.expectation_section import describe_expectation, render_expectation_section
from cryopick.report.number_format import (
    format_duration,
    format_fraction,
    format_memory,
    format_percent,
    format_score,
)
from cryopick.report.pick_summary import (
    BELOW,
    MicrographSummary,
    PickCrop,
    PickSummary,
    crop_labels,
)
from cryopick.report.pictures import marked_svg, score_map_svg
from cryopick.report.plots import (
    counts_svg,
    density_svg,
    edge_density_svg,
    score_histogram_svg,
    threshold_svg,
)
from cryopick.report.run_files import ReportedRun
from cryopick.report.training import training_svg

__all__ = ["render_run_page"]

_MAX_OUTLIERS = 20  # rows of the table of outliers


def render_run_page(run: ReportedRun, summary: PickSummary) -> str:
    """Render the report of a run as one HTML page without external files.

    Args:
        run: The run.
        summary: Summary of its picks.
    """
    n_micrographs = len(run.picks.micrographs)
    if run.is_training:
        lead = f"Training run, and picks of the trained model on {_describe_picked(run)}."
    else:
        lead = (
            f"{format_count(len(run.picks), 'pick')} on "
            f"{format_count(n_micrographs, 'micrograph')}, of which {summary.n_selected} score at "
            f"or above the threshold of {format_score(summary.threshold)} "
            f"({summary.threshold_source})."
        )
    parts = [
        _headline(run, summary),
        _crop_section(summary),
        *([render_evaluation_section(summary, summary.evaluation)] if summary.evaluation else []),
        render_expectation_section(summary.expectation, summary.threshold),
        *([_training_section(run)] if run.is_training else []),
        _score_section(run, summary),
        _count_section(run, summary),
        _micrograph_section(run, summary),
        _density_section(summary),
        _settings_section(run),
        _command_section(run),
    ]
    footer = (
        f"Written by cryopick {version('cryopick')}. "
        "Method: Bepler et al. 2019, Nature Methods 16:1153."
    )
    return markup.render_document(run.name, lead, markup.join_markup(parts), footer)


def _describe_picked(run: ReportedRun) -> str:
    """Describe the micrographs that a trained model picked for the report."""
    n_picked, metadata = len(run.picks.micrographs), run.metadata
    if metadata.held_out:
        return format_count(n_picked, "held-out micrograph")
    n_training = len(metadata.micrographs)
    if n_picked == n_training:
        return f"the {format_count(n_picked, 'micrograph')} that it was trained on"
    return f"{n_picked} of the {n_training} micrographs that it was trained on"


def _headline(run: ReportedRun, summary: PickSummary) -> Markup:
    numbers = {
        "picks selected": f"{summary.n_selected}",
        "per micrograph (median)": f"{np.median(summary.counts):.0f}",
    }
    evaluation = summary.evaluation
    if evaluation and evaluation.average_precision is not None:
        numbers["average precision"] = format_fraction(evaluation.average_precision)
        selected = evaluate_at(evaluation, summary.threshold)
        numbers["recall"] = format_percent(selected.recall)
        numbers["precision"] = format_percent(selected.precision)
    elif summary.expectation and not summary.expectation.is_capped:
        numbers |= describe_expectation(summary.expectation, summary.threshold)
    if run.metadata.seconds is not None:
        numbers["run time"] = format_duration(run.metadata.seconds)
    return markup.render_headline(numbers)


def _settings_section(run: ReportedRun) -> Markup:
    metadata = run.metadata
    model_summary: Mapping[str, Any] = run.model.summary if run.model else {}
    training: Mapping[str, Any] = model_summary.get("training") or {}
    pairs = {
        "Particle diameter": f"{run.diameter_ang:g} Å ({run.diameter_px:.0f} raw pixels)",
        "Raw pixel size": f"{run.pixel_size_ang:g} Å",
        "Contrast of the particles": metadata.polarity,
        "Micrographs": str(len(metadata.micrographs) or len(run.picks.micrographs)),
        "Held-out micrographs": str(len(metadata.held_out) or ""),
        "Model": Path(metadata.files.get("model", "")).name,
        "Training data of the model": _describe_training_data(training),
        "Class prior π": _describe_prior(model_summary),
    }
    checksums = "\n".join(f"{name}  {value}" for name, value in metadata.checksums.items())
    texts = {**run.settings, "Checksums of the inputs (SHA-256)": checksums}
    settings = [markup.render_details(title, text) for title, text in texts.items() if text]
    return markup.render_section(
        "Data and settings", "Input and settings of the run.", markup.render_facts(pairs), *settings
    )


def _describe_training_data(training: Mapping[str, Any]) -> str:
    if not {"labels", "micrographs"} <= training.keys():
        return ""
    total = format_count(training["micrographs"], "micrograph")
    n_labelled = training.get("labelled_micrographs", training["micrographs"])
    part = "" if n_labelled == training["micrographs"] else f"{n_labelled} of "
    text = f"{format_count(training['labels'], 'label')} on {part}{total}"
    n_negatives = training.get("negatives")
    return f"{text}, and {format_count(n_negatives, 'negative label')}" if n_negatives else text


def _describe_prior(model_summary: Mapping[str, Any]) -> str:
    prior = model_summary.get("prior")
    return (
        f"{prior:.4f} of the unlabelled regions are particles" if isinstance(prior, float) else ""
    )


def _training_section(run: ReportedRun) -> Markup:
    labels = run.labels
    pictures = crop_labels(labels, run.diameter_px) if labels else []
    n_labels = len(labels) if labels else 0
    text = "The curves show the course of the training."
    if pictures:
        is_complete = n_labels == len(pictures)
        shown_labels = "All labels" if is_complete else f"{len(pictures)} of {n_labels} labels"
        text = f"{shown_labels} of the training set. {text}"
    return markup.render_section(
        "Training",
        text,
        markup.render_gallery(map(markup.GalleryPicture, pictures), "labelled particle"),
        markup.render_figure(
            training_svg(run.rows),
            "The expected rates are computed from the labels and the class prior alone. Only the "
            "average precision is measured, and only if micrographs were held out.",
        ),
    )


def _score_section(run: ReportedRun, summary: PickSummary) -> Markup:
    score, is_right = run.picks.score, summary.is_right
    text = (
        f"The threshold of {format_score(summary.threshold)} ({summary.threshold_source}) selects "
        f"{summary.n_selected} of {len(score)} picks."
    )
    if summary.n_selected < len(score):
        text += (
            " The table of picks also contains those with lower scores, so another threshold needs "
            "no new run."
        )
    distribution = summary.expectation.metrics.distribution if summary.expectation else None
    green_line = ""
    if is_right is not None:
        green_line = " The green line counts the correct picks."
    elif distribution is not None:
        green_line = (
            " The green line is the number of correct picks that the scores predict; compare "
            "with true particles (--truth) to check it."
        )
    return markup.render_section(
        "Scores",
        text,
        markup.render_columns(
            markup.render_figure(
                score_histogram_svg(score, is_right, summary.threshold),
                "Two separate peaks show that the model distinguishes particles from background.",
            ),
            markup.render_figure(
                threshold_svg(
                    score, is_right, summary.threshold, len(summary.counts), distribution
                ),
                "Where the blue line is flat, the result depends little on the threshold."
                + green_line,
            ),
        ),
    )


def _count_section(run: ReportedRun, summary: PickSummary) -> Markup:
    names, counts = run.picks.micrographs, summary.counts
    outliers = np.flatnonzero(summary.is_outlier)
    median = float(np.median(counts))
    text = f"The median is {median:.0f} selected pick{'' if median == 1 else 's'} per micrograph."
    if len(outliers):
        text += (
            f" {len(outliers)} of {len(names)} micrographs are outliers: check them for carbon, "
            "empty ice or an unusual defocus."
        )
    parts = [
        markup.render_figure(counts_svg(counts, summary.is_outlier), "Micrographs in input order.")
    ]
    if len(outliers):
        deviation = np.abs(np.sqrt(counts[outliers]) - np.sqrt(median))
        listed_outliers = outliers[np.argsort(-deviation)][:_MAX_OUTLIERS].tolist()
        rows = [[run.metadata.relative_path(names[i]), str(counts[i])] for i in listed_outliers]
        hidden = len(outliers) - len(rows)
        caption = "Outliers, farthest from the median first"
        caption += f"; {hidden} more are not listed." if hidden else "."
        table = markup.render_table(("micrograph", "picks"), rows, caption, has_total=False)
        parts.append(table)
    if run.unmatched:
        parts.append(
            markup.render_details(
                "without a file that can be read: "
                f"{format_count(len(run.unmatched), 'micrograph')} of the table",
                "\n".join(run.unmatched),
            )
        )
    return markup.render_section("Picks on each micrograph", text, *parts)


def _micrograph_section(run: ReportedRun, summary: PickSummary) -> Markup:
    measure = "average precision" if summary.evaluation else "median score of the selected picks"
    text = (
        f"The best, median and worst micrograph by {measure}, with all picks that score at least "
        f"{format_score(summary.threshold)}."
    )
    if any(micrograph.logits is not None for micrograph in summary.micrographs):
        text += " Beside each is its score map: the brighter, the higher the score."
    return markup.render_section(
        "Example micrographs",
        text,
        markup.render_legend(has_truth=summary.evaluation is not None),
        *(_micrograph_figures(run, micrograph, summary) for micrograph in summary.micrographs),
    )


def _micrograph_figures(
    run: ReportedRun, micrograph: MicrographSummary, summary: PickSummary
) -> Markup:
    marks, name, view = micrograph.marks, Path(micrograph.name).name, micrograph.view
    counts = format_count(len(marks.right), "pick")
    if summary.evaluation:
        counts = f"{len(marks.right)} correct, {len(marks.wrong)} false, {len(marks.missed)} missed"
    picture = markup.render_figure(
        marked_svg(view, marks, run.diameter_px, f"Picks on {name}: {counts}"),
        f"{micrograph.rank.capitalize()}: {name}. {counts}; {micrograph.measure}.",
    )
    if micrograph.logits is None:
        return markup.render_columns(picture)
    score_map = score_map_svg(
        view, micrograph.logits, micrograph.raw_per_score, f"Score map of {name}"
    )
    return markup.render_columns(picture, markup.render_figure(score_map, "Score map."))


def _crop_section(summary: PickSummary) -> Markup:
    text = "Individual picks with their scores; each picture is 1.5 particle diameters wide."
    if BELOW in summary.crops:
        text += " If the picks just below the threshold are particles, lower it (--threshold)."
    else:
        text += " The table contains no picks below the threshold."
    text += " If those just above it are not particles, raise it."
    if summary.evaluation:
        text += " False picks have an orange frame."
    rows = (_crop_row(title, crops) for title, crops in summary.crops.items())
    return markup.render_section("Individual picks", text, *rows)


def _crop_row(title: str, crops: Sequence[PickCrop]) -> Markup:
    pictures = [
        markup.GalleryPicture(crop.uri, format_score(crop.score), crop.is_right is False)
        for crop in crops
    ]
    return markup.render_subsection(title, markup.render_gallery(pictures, "pick"))


def _density_section(summary: PickSummary) -> Markup:
    return markup.render_section(
        "Distribution across the micrograph",
        "Selected picks of all micrographs together. Particles are usually distributed evenly: a "
        "stripe or a dense corner is more often caused by the detector, a grid bar or the model.",
        markup.render_columns(
            markup.render_figure(
                density_svg(summary.density), "The stronger the colour, the more picks."
            ),
            markup.render_figure(
                edge_density_svg(summary.edge_density),
                "A dip at the left means that a margin was excluded or that particles there were "
                "missed; a peak means that the edge was picked as particles.",
            ),
        ),
    )


def _command_section(run: ReportedRun) -> Markup:
    title, metadata = "Reproduce this run", run.metadata
    if not metadata.command:
        return markup.render_section(
            title, "No metadata file with the command and the run time was found for this run."
        )
    n_micrographs = len(metadata.micrographs) + len(metadata.held_out)
    duration = "" if metadata.seconds is None else format_duration(metadata.seconds)
    if n_micrographs and metadata.seconds:
        duration += f" ({metadata.seconds / n_micrographs:.2f} s per micrograph)"
    pairs = {
        "Folder": metadata.folder,
        "Finished": metadata.finished,
        "Run time": duration,
        "Peak memory": format_memory(metadata.peak_bytes) if metadata.peak_bytes else "",
        "Machine": metadata.machine,
        "Version": f"cryopick {metadata.version}",
    }
    return markup.render_section(
        title,
        "Run this in the folder below to repeat the run.",
        markup.render_commands(
            [shlex.join(["cryopick", *metadata.command]), *metadata.later_commands]
        ),
        markup.render_facts(pairs),
    )
