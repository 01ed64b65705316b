"""The page that `cryopick report` writes.

- `run_page`: the page, from a run and what its picks show.
"""

import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryopick.evaluate.evaluation import Evaluation
from cryopick.evaluate.precision_recall import OperatingPoint
from cryopick.report import markup
from cryopick.report.curves import precision_recall_svg
from cryopick.report.pick_summary import Crop, Evidence, Shown, label_pictures
from cryopick.report.pictures import marked_svg, scored_svg
from cryopick.report.plots import (
    counts_svg,
    density_svg,
    edges_svg,
    kept_svg,
    reliability_svg,
    scores_svg,
)
from cryopick.report.run_files import Run
from cryopick.report.training import training_svg
from cryopick.report.wording import LEGEND, PICK_LEGEND, duration, memory, percent, share, signed

__all__ = ["run_page"]

_MOST_OUTLIERS = 20  # rows of a table that still can be read


def run_page(run: Run, found: Evidence) -> str:
    """Tell a run as one page of HTML that needs no other file.

    Args:
        run: The run.
        found: What its picks show.
    """
    on = len(run.picks.micrographs)
    if run.is_training:
        source = "held-out" if run.record.held_out else "some of its own"
        lead = f"A training, and what its model finds on {on} {source} micrographs."
    else:
        lead = f"{len(run.picks)} picks on {on} micrographs, {found.n_kept} of them kept."
    parts = (
        _headline(run, found),
        _asked(run),
        _learnt(run) if run.is_training else "",
        _judged(found) if found.judged else "",
        _scores(run, found),
        _counts(run, found),
        _micrographs(run, found),
        _crops(found),
        _places(found),
        _again(run),
    )
    footer = (
        f"Written by cryopick {version('cryopick')}. "
        "Method: Bepler et al. 2019, Nature Methods 16:1153."
    )
    return markup.document(run.name, lead, "\n".join(parts), footer)


def _headline(run: Run, found: Evidence) -> str:
    numbers = {
        "picks kept": f"{found.n_kept}",
        "per micrograph, median": f"{np.median(found.counts):.0f}",
    }
    if found.judged and found.judged.average_precision is not None:
        numbers["average precision"] = share(found.judged.average_precision)
        kept = _at(found.judged, found.threshold)
        numbers["of the particles found"] = percent(kept.recall)
        numbers["of the kept picks right"] = percent(kept.precision)
    if run.record.seconds is not None:
        numbers["the run took"] = duration(run.record.seconds)
    return markup.headline(numbers)


def _at(judged: Evaluation, threshold: float) -> OperatingPoint:
    return judged.curve.at_threshold(threshold) if judged.curve else judged.all_picks


def _asked(run: Run) -> str:
    summary: Mapping[str, Any] = run.model.summary if run.model else {}
    counted: Mapping[str, Any] = summary.get("training") or {}
    pairs = {
        "Particle diameter": f"{run.diameter_ang:g} Å, {run.diameter_px:.0f} raw pixels",
        "Raw pixel size": f"{run.pixel_size_ang:g} Å",
        "Micrographs": str(len(run.record.micrographs) or len(run.picks.micrographs)),
        "Held-out micrographs": str(len(run.record.held_out) or ""),
        "Model": Path(run.record.files.get("model", "")).name,
        "The model learnt from": _learnt_from(counted),
        "Expected share of particles": _prior(summary),
    }
    folded = "".join(markup.more(*item) for item in run.settings.items())
    return markup.section(
        "What was asked", "Data and settings of the run.", markup.facts(pairs), folded
    )


def _learnt_from(counted: Mapping[str, Any]) -> str:
    if not {"labels", "micrographs"} <= counted.keys():
        return ""
    told = f"{counted['labels']} labels on {counted['micrographs']} micrographs"
    negatives = counted.get("negatives")
    return f"{told}, and {negatives} places that are no particles" if negatives else told


def _prior(summary: Mapping[str, Any]) -> str:
    prior = summary.get("prior")
    return f"{prior:.4f} of the unlabelled regions" if isinstance(prior, float) else ""


def _learnt(run: Run) -> str:
    pictures = label_pictures(run.labels, run.diameter_px) if run.labels else []
    many = len(run.labels) if run.labels else 0
    text = "The objective, and what the network expects of itself from labels and prior alone."
    if pictures:
        some = "The labels" if many == len(pictures) else f"{len(pictures)} of the {many} labels"
        text = f"{some} that it was told, and how the training went. {text}"
    return markup.section(
        "What it learnt",
        text,
        markup.gallery(pictures, "labelled particle"),
        markup.figure(
            training_svg(run.rows),
            "The rates are the network's own expectation; only the average precision of held-out "
            "micrographs, where there are any, is measured.",
        ),
    )


def _judged(found: Evidence) -> str:
    judged = found.judged
    assert judged is not None, "asked only with truth"
    text = (
        f"A pick is right if it lies within {found.radius_px:.0f} pixels of a known particle that "
        "no surer pick has taken. Precision is the share of picks that are right, recall the "
        "share of particles that are found."
    )
    told = "Each point of the curve is a threshold. "
    if found.band:
        low, high = found.band.average_precision
        told += (
            "The shade holds 95 of 100 curves of as many micrographs drawn anew from these; "
            f"the average precision then lies between {low:.3f} and {high:.3f}."
        )
    curve = markup.figure(precision_recall_svg(judged, found.band), told)
    parts = [curve]
    if found.groups:
        parts.append(
            markup.figure(
                reliability_svg(found.groups),
                "Picks in ten groups of like scores, with intervals of 95 %. On the diagonal, "
                "scores are what they say: a logit of 0 is right half of the time.",
            )
        )
    rows = [
        [name, _number(point.threshold), *map(share, (point.precision, point.recall, point.f1))]
        for name, point in _points(judged, found.threshold).items()
    ]
    head = ("kept", "threshold", "precision", "recall", "F1")
    numbers = markup.table(
        head,
        rows,
        f"{judged.n_picks} picks against {judged.n_truth} known particles.",
        has_total=False,
    )
    return markup.section("How good it is", text, markup.side_by_side(*parts), numbers)


def _points(judged: Evaluation, threshold: float) -> dict[str, OperatingPoint]:
    points = {
        "here": _at(judged, threshold),
        "best F1": judged.best,
        "even odds": judged.at_zero_threshold,
    }
    return {
        **{name: point for name, point in points.items() if point is not None},
        "all picks": judged.all_picks,
    }


def _number(value: float | None) -> str:
    return "–" if value is None else signed(value)


def _scores(run: Run, found: Evidence) -> str:
    score, is_told = run.picks.score, found.hit is not None
    text = (
        f"The threshold of {signed(found.threshold)}, {found.why}, keeps {found.n_kept} of "
        f"{len(score)} picks. Every pick down to a low score stays in the table, so that another "
        "threshold needs no other run."
    )
    right = (
        "The green line counts those that are right."
        if is_told
        else "The green line is what the scores promise; only known particles (--truth) can tell "
        "whether they keep it."
    )
    return markup.section(
        "Scores",
        text,
        markup.side_by_side(
            markup.figure(
                scores_svg(score, found.hit, found.threshold),
                "Particles and background make two hills where the model tells them apart well.",
            ),
            markup.figure(
                kept_svg(score, found.hit, found.threshold, len(found.counts)),
                f"Where the blue line is flat, the choice matters little. {right}",
            ),
        ),
    )


def _counts(run: Run, found: Evidence) -> str:
    names = run.picks.micrographs
    far = np.flatnonzero(found.is_far)
    middle = float(np.median(found.counts))
    text = f"A median micrograph has {middle:.0f} kept picks."
    if len(far):
        text += (
            f" {len(far)} of {len(names)} are far from that: look at them for carbon, empty ice, "
            "or a defocus unlike the others."
        )
    body = markup.figure(counts_svg(found.counts, found.is_far), "In the order of the run.")
    if len(far):
        order = far[np.argsort(-np.abs(np.sqrt(found.counts[far]) - np.sqrt(middle)))]
        shown = order[:_MOST_OUTLIERS].tolist()
        rows = [[run.record.relative_path(names[i]), str(found.counts[i])] for i in shown]
        left = len(far) - len(rows)
        caption = "Micrographs far from the others, the furthest first"
        caption += f"; {left} more are not listed." if left else "."
        body += markup.table(("micrograph", "picks"), rows, caption, has_total=False)
    if run.unmatched:
        body += markup.more(
            f"{len(run.unmatched)} micrographs of the table were not at hand",
            "\n".join(run.unmatched),
        )
    return markup.section("Picks on each micrograph", text, body)


def _micrographs(run: Run, found: Evidence) -> str:
    by = "average precision" if found.judged else "median score of their picks"
    text = (
        f"The best, the median and the worst micrograph by {by}, with the picks of a score of at "
        f"least {signed(found.threshold)}."
    )
    is_scored = any(own.logits is not None for own in found.shown)
    if is_scored:
        text += " Beside each, the scores: the brighter, the surer."
    legend = LEGEND if found.judged else PICK_LEGEND
    return markup.section(
        "On the micrographs", text, legend, *(_one(run, own, found) for own in found.shown)
    )


def _one(run: Run, own: Shown, found: Evidence) -> str:
    marks, name = own.marks, Path(own.name).name
    counts = f"{len(marks.right)} picks"
    if found.judged:
        counts = f"{len(marks.right)} right, {len(marks.wrong)} wrong, {len(marks.missed)} missed"
    label = f"Picks on {name}: {counts}"
    told = f"{own.rank.capitalize()}: {name}. {counts}; {own.why}."
    picture = markup.figure(marked_svg(own.view, marks, run.diameter_px, label), told)
    if own.logits is None:
        return markup.side_by_side(picture)
    scored = scored_svg(own.view, own.logits, own.raw_per_score, f"Scores of {name}")
    return markup.side_by_side(picture, markup.figure(scored, "The same with its scores."))


def _crops(found: Evidence) -> str:
    text = (
        "Single picks, one and a half diameters wide, with their scores. Those around the "
        "threshold show what it decides."
    )
    if found.judged:
        text += " Wrong picks have an orange frame."
    rows = (_row(title, crops) for title, crops in found.crops.items())
    return markup.section("Picks one by one", text, *rows)


def _row(title: str, crops: Sequence[Crop]) -> str:
    kinds = ["off" if crop.is_right is False else "" for crop in crops]
    notes = [signed(crop.score) for crop in crops]
    addresses = [crop.address for crop in crops]
    return markup.subsection(title, markup.gallery(addresses, "pick", notes, kinds))


def _places(found: Evidence) -> str:
    text = (
        "All micrographs laid over each other. Particles lie anywhere, so that a stripe or a "
        "corner that stands out is more often the detector, a grid bar, or the picker."
    )
    return markup.section(
        "Where on the micrograph",
        text,
        markup.side_by_side(
            markup.figure(density_svg(found.grid), "The darker, the more picks."),
            markup.figure(
                edges_svg(found.near),
                "A dip at the left is a margin that was left out, or particles missed there; a "
                "peak is the edge itself taken for particles.",
            ),
        ),
    )


def _again(run: Run) -> str:
    record = run.record
    if not record.command:
        return markup.section(
            "Once more",
            "This run left no record of its command, its time and its memory; runs of this "
            "version do.",
        )
    number = len(record.micrographs) + len(record.held_out)
    each = f", {record.seconds / number:.2f} s a micrograph" if number and record.seconds else ""
    pairs = {
        "Folder": record.folder,
        "Finished": record.finished,
        "Time": f"{duration(record.seconds)}{each}" if record.seconds is not None else "",
        "Most memory": memory(record.peak_bytes) if record.peak_bytes else "",
        "Machine": record.machine,
        "Version": f"cryopick {record.version}",
    }
    return markup.section(
        "Once more",
        "What was typed, where, and what it took. The same command makes the same again.",
        markup.commands([shlex.join(["cryopick", *record.command])]),
        markup.facts(pairs),
    )
