"""Results of the 2D-class validation, as a figure and as a page with all class averages.

- `render_class_page`: the page.
- `plot_false_positives`: true and false positives by threshold, as in Figure 4b of Bepler et al.
  2019.
"""

import base64
import io
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cryopick.array_types import Float32
from cryopick.experiments.classes2d.false_positives import FalsePositiveRates
from cryopick.experiments.classes2d.relion import ClassAssignment
from cryopick.experiments.classes2d.rule import RULE, ClassVerdict, has_collapsed
from cryopick.report import markup
from cryopick.report.drawing import FIRST, INK, SECOND, figure_svg, save_figure, style_axes
from cryopick.report.number_format import format_percent, format_score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_false_positives", "render_class_page"]

_SIZE = (7.6, 4.0)  # inches
_CORRECTION = (
    "To correct a class, write particle or junk into the column person of classes.tsv and run the "
    "command again."
)


def render_class_page(
    sets: Sequence[ClassAssignment],
    verdicts: Sequence[Sequence[ClassVerdict]],
    rates: FalsePositiveRates,
) -> str:
    """Render the results as one HTML page without external files.

    Args:
        sets: Classes of nested sets, the strictest first.
        verdicts: Verdict on each class of each set.
        rates: False positives in each set.
    """
    title = "True and false positives by threshold"
    figure = figure_svg(lambda canvas: _draw(canvas, rates), _SIZE, title)
    caption = "Blue: images in particle classes; orange: images in junk classes."
    if rates.in_truth is not None:
        caption += " The paler bars show the true particles and false positives."
    parts = [
        markup.render_section(
            title,
            "Each set contains the one before it. Its fraction of false positives is estimated as "
            "the fraction of its images in classes that are not particles.",
            markup.render_figure(figure, caption),
            _rates_table(rates),
        ),
        markup.render_section("Rule", f"{RULE} {_CORRECTION}"),
    ]
    for number, threshold in enumerate(rates.threshold, start=1):
        heading = f"Set {number}: scores of at least {format_score(threshold)}"
        parts.append(_averages_section(heading, sets[number - 1], verdicts[number - 1]))
    footer = (
        f"Written by cryopick {version('cryopick')}; classes by RELION. Method: Figure 4 of Bepler "
        "et al. 2019, Nature Methods 16:1153."
    )
    lead = f"{len(sets[0].images)} RELION 2D classes of each of {len(sets)} sets of picks."
    return markup.render_document(
        "Validation of picks by 2D classification", lead, markup.join_markup(parts), footer
    )


def plot_false_positives(rates: FalsePositiveRates, path: Path) -> None:
    """Plot true and false positives by threshold; an existing file is replaced."""
    save_figure(lambda canvas: _draw(canvas, rates), _SIZE, path, overwrite=True)


def _rates_table(rates: FalsePositiveRates) -> Markup:
    head = ["set", "threshold", "images", "junk by class averages"]
    columns = zip(rates.threshold, rates.count, rates.by_classes, strict=True)
    rows = [
        [str(number), format_score(threshold), str(count), _format_fraction(fraction)]
        for number, (threshold, count, fraction) in enumerate(columns, start=1)
    ]
    if rates.in_truth is not None:
        head.append("junk by true particles")
        rows = [
            [*row, _format_fraction(fraction)]
            for row, fraction in zip(rows, rates.in_truth, strict=True)
        ]
    return markup.render_table(
        head, rows, "Number of images and fraction of junk.", has_total=False
    )


def _format_fraction(fraction: float) -> str:
    return "unknown" if math.isnan(fraction) else format_percent(fraction)


def _draw(figure: "Figure", rates: FalsePositiveRates) -> None:
    axes = figure.subplots()
    positions, count = np.arange(len(rates.count)), np.array(rates.count)
    bars = [(0.0, 0.6, rates.by_classes, "", 1.0)]
    if rates.in_truth is not None:
        bars = [
            (-0.2, 0.36, rates.by_classes, ", by classes", 1.0),
            (0.2, 0.36, rates.in_truth, ", by true particles", 0.45),
        ]
    for shift, width, fractions, suffix, alpha in bars:
        x, fraction_of_set = positions + shift, np.array(fractions)
        false = np.nan_to_num(count * fraction_of_set)
        true = np.where(np.isnan(fraction_of_set), 0, count - false)
        axes.bar(x, true, width, color=FIRST, alpha=alpha, label=f"true{suffix}")
        axes.bar(x, false, width, bottom=true, color=SECOND, alpha=alpha, label=f"false{suffix}")
        for bar_x, top, fraction in zip(x, count, fractions, strict=True):
            axes.annotate(
                "unknown" if math.isnan(fraction) else f"{100 * fraction:.0f}%",
                (bar_x, top),
                (0, 3),
                textcoords="offset points",
                ha="center",
                color=INK,
                size=8,
            )
    axes.set_xticks(positions, [format_score(threshold) for threshold in rates.threshold])
    axes.set(xlabel="threshold (logit)", ylabel="picks")
    axes.legend(frameon=False, labelcolor=INK, fontsize="small", loc="upper left")
    style_axes(axes, "True and false positives, with the percentage of false positives")
    axes.grid(visible=False, axis="x")


def _averages_section(
    heading: str, assignment: ClassAssignment, verdicts: Sequence[ClassVerdict]
) -> Markup:
    filled = sorted(
        (verdict for verdict in verdicts if verdict.count), key=lambda verdict: -verdict.count
    )
    pictures = [
        markup.GalleryPicture(
            _average_uri(assignment.images[verdict.number - 1]),
            f"{verdict.number}: {verdict.count}"
            + ("" if verdict.is_particle else ", junk")
            + ("" if verdict.by_person is None else ", set by a person"),
            is_marked=not verdict.is_particle,
        )
        for verdict in filled
    ]
    junk = sum(verdict.count for verdict in filled if not verdict.is_particle)
    text = (
        f"{len(assignment.number)} images, of which {junk} are in junk classes, marked by an "
        "orange frame. Below each average are the number of its class and the number of its "
        "images. Empty classes are not shown."
    )
    if has_collapsed(verdicts):
        text += (
            " Nearly all images are in one or few classes: RELION could not separate them, and the "
            "fraction of junk is unknown unless a person gives a verdict on the largest."
        )
    return markup.render_section(heading, text, markup.render_gallery(pictures, "class average"))


def _average_uri(image: Float32[np.ndarray, "side side"]) -> str:
    """Draw a class average with full contrast, as a data URI."""
    from PIL import Image

    low, high = float(image.min()), float(image.max())
    grey = np.rint((image - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    side = 2 * image.shape[0]
    Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
