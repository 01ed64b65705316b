"""What 2D classes say of picks, as a figure and as a page with every class on it.

- `class_page`: the page.
- `draw_shares`: true and false positives by threshold, the paper's Figure 4b, as a file.
"""

import base64
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryopick.array_types import Float32
from cryopick.experiments.classes2d.relion import Classes
from cryopick.experiments.classes2d.rule import RULE, Verdict, is_hardly_parted
from cryopick.experiments.classes2d.shares import Shares
from cryopick.report import markup
from cryopick.report.drawing import FIRST, INK, SECOND, dress, figure_svg, save_figure
from cryopick.report.wording import percent, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_page", "draw_shares"]

_SIZE = (7.6, 4.0)  # inches
_OVERRULE = (
    "Where you see it otherwise, write particle or junk into the column person of classes.tsv and "
    "give the command again."
)


def class_page(
    sets: Sequence[Classes],
    verdicts: Sequence[Sequence[Verdict]],
    shares: Shares,
) -> str:
    """Tell a validation as one page that needs no other file.

    Args:
        sets: Classes of nested sets, the strictest first.
        verdicts: What is said of each class of each.
        shares: Of false positives in each.
    """
    figure = figure_svg(
        lambda drawn: _draw(drawn, shares), _SIZE, "True and false positives by threshold"
    )
    body = [
        markup.section(
            "True and false positives by threshold",
            "Each set holds the one before. Its share of false positives is estimated as that of "
            "the images in classes that are no particle.",
            markup.figure(figure, _caption(shares.in_truth is not None)),
            _table(shares),
        ),
        markup.section("The rule", f"{RULE} {_OVERRULE}"),
    ]
    for number, (own, said) in enumerate(zip(sets, verdicts, strict=True), start=1):
        body.append(_averages(number, shares.threshold[number - 1], own, said))
    footer = (
        f"Written by cryopick {version('cryopick')}; classes by RELION. After Figure 4 of Bepler "
        "et al. 2019, Nature Methods 16:1153."
    )
    lead = f"RELION's {len(sets[0].images)} 2D classes of each of {len(sets)} sets of picks."
    return markup.document("What class averages say of the picks", lead, "\n".join(body), footer)


def draw_shares(shares: Shares, path: Path) -> None:
    """Draw true and false positives by threshold; a picture of an earlier run is replaced."""
    save_figure(lambda drawn: _draw(drawn, shares), _SIZE, path, overwrite=True)


def _table(shares: Shares) -> str:
    head = ["set", "threshold", "particles", "junk by class averages"]
    told = zip(shares.threshold, shares.count, shares.by_classes, strict=True)
    rows = [
        [str(number), signed(threshold), str(count), percent(share)]
        for number, (threshold, count, share) in enumerate(told, start=1)
    ]
    if shares.in_truth is not None:
        head.append("junk in truth")
        rows = [[*row, percent(share)] for row, share in zip(rows, shares.in_truth, strict=True)]
    return markup.table(head, rows, "The same in numbers.", has_total=False)


def _draw(figure: "Figure", shares: Shares) -> None:
    axes = figure.subplots()
    place, count = np.arange(len(shares.count)), np.array(shares.count)
    kinds = [(0.0, 0.6, shares.by_classes, "", 1.0)]
    if shares.in_truth is not None:
        kinds = [
            (-0.2, 0.36, shares.by_classes, ", by classes", 1.0),
            (0.2, 0.36, shares.in_truth, ", in truth", 0.45),
        ]
    for shift, wide, told, word, alpha in kinds:
        x, false = place + shift, count * np.array(told)
        true = count - false
        axes.bar(x, true, wide, color=FIRST, alpha=alpha, label=f"true{word}")
        axes.bar(x, false, wide, bottom=true, color=SECOND, alpha=alpha, label=f"false{word}")
        for at, top, share in zip(x, count, told, strict=True):
            text = f"{100 * share:.0f}%"
            axes.annotate(
                text, (at, top), (0, 3), textcoords="offset points", ha="center", color=INK, size=8
            )
    axes.set_xticks(place, [f"{value:.2f}".replace("-", "\u2212") for value in shares.threshold])
    axes.set(xlabel="threshold (logit)", ylabel="picks")
    axes.legend(frameon=False, labelcolor=INK, fontsize="small", loc="upper left")
    dress(axes, "True and false positives; above each bar the share that is false")
    axes.grid(visible=False, axis="x")


def _caption(has_truth: bool) -> str:
    told = "Blue: images in classes of particles; orange: in classes of anything else."
    return f"{told} The fainter bars are what is so." if has_truth else told


def _averages(number: int, threshold: float, own: Classes, verdicts: Sequence[Verdict]) -> str:
    shown = [verdict for verdict in verdicts if verdict.count]
    shown.sort(key=lambda verdict: -verdict.count)
    addresses = [_picture(own.images[verdict.number - 1]) for verdict in shown]
    notes = [
        f"{verdict.number}: {verdict.count}"
        + ("" if verdict.is_particle else ", junk")
        + ("" if verdict.by_person is None else ", by a person")
        for verdict in shown
    ]
    kinds = ["" if verdict.is_particle else "off" for verdict in shown]
    junk = sum(verdict.count for verdict in shown if not verdict.is_particle)
    text = (
        f"{len(own.number)} images, {junk} of them in classes that are no particle, with an orange "
        "frame. Below each average its class and how many images it has; empty ones are left out."
    )
    if is_hardly_parted(verdicts):
        text += (
            " Nearly all are in one class: RELION has not parted them, and the share is a guess."
        )
    return markup.section(
        f"Set {number}: scores of at least {signed(threshold)}",
        text,
        markup.gallery(addresses, "class average", notes, kinds),
    )


def _picture(image: Float32[np.ndarray, "side side"]) -> str:
    """An average as a data address, stretched over its own range."""
    from PIL import Image

    low, high = float(image.min()), float(image.max())
    grey = np.rint((image - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    side = 2 * image.shape[0]
    Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
