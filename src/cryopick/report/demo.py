"""The page that `cryopick demo` writes.

- `demo_page`: the page, from what a demo found.
"""

from collections.abc import Mapping, Sequence

from cryopick.evaluate.evaluation import MicrographEvaluation
from cryopick.evaluate.precision_recall import OperatingPoint
from cryopick.report import markup
from cryopick.report.curves import precision_recall_svg
from cryopick.report.findings import Example, Findings
from cryopick.report.pictures import marked_svg, scored_svg
from cryopick.report.training import training_svg
from cryopick.report.wording import LEGEND, percent, share, signed

__all__ = ["demo_page"]


def demo_page(found: Findings, commands: Sequence[str], seconds: Mapping[str, float]) -> str:
    """Tell a demo as one page of HTML that needs no other file.

    Args:
        found: What the demo found.
        commands: What to type to do the same, in order.
        seconds: Duration of each stage, by its name.
    """
    judged = found.judged
    lead = (
        f"From {len(found.labels)} labelled particles to picks on "
        f"{len(judged.micrographs)} micrographs that the network had never seen. "
        "The micrographs are simulated, so every particle is known and every pick can be judged."
    )
    body = (
        _headline(found, seconds),
        _learnt_from(found),
        _picked(found),
        _judged(found),
        _again(found, commands, seconds),
    )
    return markup.document(
        f"What {len(found.labels)} labels are worth",
        lead,
        "\n".join(body),
        f"Made by cryopick {found.version} with `cryopick demo`. "
        "Method: Bepler et al. 2019, Nature Methods 16:1153.",
    )


def _headline(found: Findings, seconds: Mapping[str, float]) -> str:
    best, minutes = found.judged.best, sum(seconds.values()) / 60
    numbers = {"average precision": share(found.judged.average_precision)}
    if best is not None:
        numbers |= {
            "best F1": share(best.f1),
            "of the particles found": percent(best.recall),
            "of the picks right": percent(best.precision),
        }
    return markup.headline({**numbers, "from start to end": f"{minutes:.1f} min"})


def _learnt_from(found: Findings) -> str:
    text = (
        f"These {len(found.labels)} particles, drawn at random from {found.trained_on} "
        "micrographs, are all that the network was told. The hundreds of other particles on the "
        "same micrographs were unlabelled, and it had to find out for itself what they are."
    )
    return markup.section(
        "What it learnt from",
        text,
        markup.gallery(found.labels, "labelled particle"),
        _training(found),
    )


def _training(found: Findings) -> str:
    caption = (
        "The objective falls while the network learns to score labelled places high and no more "
        "of the others than the expected number of particles allows. The rates are its own "
        "expectation, from labels and prior alone; no known particle is used."
    )
    return markup.figure(training_svg(found.rows), caption)


def _picked(found: Findings) -> str:
    best = found.judged.best
    cut = "" if best is None else f" of at least {signed(best.threshold or 0.0)}"
    text = (
        f"Held-out micrographs with the picks of a score{cut}, the threshold of best F1. Dirt, "
        "broken particles, clumps, ice and carbon edges are on the micrographs on purpose; "
        "picks on them are mistakes."
    )
    pairs = [_example(found, example) for example in found.examples]
    return markup.section("What it found", text, LEGEND, *pairs)


def _example(found: Findings, example: Example) -> str:
    own, marks = example.judged, example.marks
    counts = f"{len(marks.right)} right, {len(marks.wrong)} wrong, {len(marks.missed)} missed"
    marked = marked_svg(example.view, marks, found.diameter_px, f"Picks on {own.name}: {counts}")
    scored = scored_svg(
        example.view, example.logits, example.raw_per_score, f"Scores of {own.name}"
    )
    area = share(own.average_precision)
    return markup.side_by_side(
        markup.figure(marked, f"{own.name}: {counts}; average precision {area}."),
        markup.figure(
            scored,
            "The same with its scores: the brighter, the surer the network is that a particle "
            "is centred there.",
        ),
    )


def _judged(found: Findings) -> str:
    judged = found.judged
    text = (
        f"A pick is right if it lies within {judged.radius_px:.0f} pixels, a third of the "
        "diameter, of a particle that no surer pick has taken. Precision is the share of picks "
        "that are right; recall is the share of particles that are found."
    )
    rows = [_row(own.name, own.n_picks, own.n_truth, own) for own in judged.micrographs]
    total = judged.best or judged.all_picks
    rows.append(
        [
            "all",
            str(judged.n_picks),
            str(judged.n_truth),
            *_point(total),
            share(judged.average_precision),
        ]
    )
    head = ("micrograph", "picks", "particles", "precision", "recall", "F1", "AP")
    numbers = markup.table(
        head,
        rows,
        "Picks of any score, known particles, and how good the picks are at the threshold of "
        "best F1. AP, the average precision, judges the ranking at all thresholds.",
    )
    curve = markup.figure(
        precision_recall_svg(judged),
        "Each point of the curve is a threshold: a low one finds more and errs more.",
    )
    return markup.section("How good it is", text, markup.side_by_side(curve, numbers))


def _row(name: str, n_picks: int, n_truth: int, own: MicrographEvaluation) -> list[str]:
    area = share(own.average_precision)
    return [name, str(n_picks), str(n_truth), *_point(own.at_best_threshold), area]


def _point(point: OperatingPoint) -> list[str]:
    return [share(point.precision), share(point.recall), share(point.f1)]


def _again(found: Findings, commands: Sequence[str], seconds: Mapping[str, float]) -> str:
    stages = [[name, f"{taken:.1f}"] for name, taken in seconds.items()]
    stages.append(["all", f"{sum(seconds.values()):.1f}"])
    return markup.section(
        "Do it yourself",
        "The demo ran these very commands; with your own micrographs and labels you need the "
        "two in the middle, train and pick.",
        markup.commands(commands),
        markup.side_by_side(
            markup.table(("stage", "seconds"), stages, "How long each stage took."),
            "<div>" + "".join(markup.more(*item) for item in found.settings.items()) + "</div>",
        ),
    )
