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
from jaxtyping import Float32

from cryopick.evaluate import match_picks
from cryopick.io import match_names
from cryopick.picks import Picks
from cryopick.report import markup
from cryopick.report.drawing import FIRST, INK, SECOND, dress, figure_svg, save_figure
from cryopick.report.wording import percent, signed
from cryopick.study.validate.relion import Classes
from cryopick.study.validate.rule import Verdict
from cryopick.study.validate.settings import ClassSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_page", "draw_shares"]

_RULE = (
    "A class is a particle if RELION's estimate of its resolution is at most 1.3 times that of "
    "the first set, and the standard deviation of its average within the particle's disc at least "
    "half of the first set's, both as medians over the first set's particles: the surest picks "
    "are taken to be particles, for the most part. Where you see it otherwise, write particle or "
    "junk into the column person of classes.tsv and give the command again."
)


def class_page(
    sets: Sequence[Classes],
    verdicts: Sequence[Sequence[Verdict]],
    thresholds: Sequence[float],
    settings: ClassSettings,
    truth: Picks | None,
) -> str:
    """Tell a validation as one page that needs no other file.

    Args:
        sets: Classes of nested sets, the strictest first.
        verdicts: What is said of each class of each.
        thresholds: Of each set.
        settings: How it was classified.
        truth: Known particles, if any, to compare with.
    """
    told = [_estimate(own) for own in verdicts]
    real = _real(sets, settings, truth)
    head = ["set", "threshold", "particles", "junk by class averages"]
    rows = [
        [str(i), signed(threshold), str(len(own.number)), percent(share)]
        for i, (threshold, own, share) in enumerate(zip(thresholds, sets, told, strict=True), 1)
    ]
    if real is not None:
        head.append("junk in truth")
        rows = [[*row, percent(share)] for row, share in zip(rows, real, strict=True)]
    figure = figure_svg(
        lambda drawn: _draw(drawn, sets, told, thresholds, real),
        (7.6, 4.0),
        "True and false positives by threshold",
    )
    body = [
        markup.section(
            "True and false positives by threshold",
            "Each set holds the one before. Its share of false positives is estimated as that of "
            "the images in classes that are no particle.",
            markup.figure(figure, _caption(real is not None)),
            markup.table(head, rows, "The same in numbers.", has_total=False),
        ),
        markup.section("The rule", _RULE),
    ]
    for number, (own, said) in enumerate(zip(sets, verdicts, strict=True), start=1):
        body.append(_averages(number, thresholds[number - 1], own, said))
    footer = (
        f"Written by cryopick {version('cryopick')}; classes by RELION. After Figure 4 of Bepler "
        "et al. 2019, Nature Methods 16:1153."
    )
    lead = f"{settings.classes} 2D classes of each of {len(sets)} sets of picks."
    return markup.document("What class averages say of the picks", lead, "\n".join(body), footer)


def draw_shares(
    sets: Sequence[Classes],
    verdicts: Sequence[Sequence[Verdict]],
    thresholds: Sequence[float],
    settings: ClassSettings,
    truth: Picks | None,
    path: Path,
) -> None:
    """Draw true and false positives by threshold; a picture of an earlier run is replaced."""
    told, real = [_estimate(own) for own in verdicts], _real(sets, settings, truth)
    save_figure(
        lambda drawn: _draw(drawn, sets, told, thresholds, real),
        (7.6, 4.0),
        path,
        overwrite=True,
    )


def _estimate(verdicts: Sequence[Verdict]) -> float:
    """Share of the images in classes that are no particle."""
    junk = sum(verdict.count for verdict in verdicts if not verdict.is_particle)
    return junk / max(1, sum(verdict.count for verdict in verdicts))


def _real(
    sets: Sequence[Classes], settings: ClassSettings, truth: Picks | None
) -> list[float] | None:
    """Share of each set that is no known particle, judged within a third of the diameter."""
    if truth is None:
        return None
    shares = []
    for own in sets:
        names = own.picks.micrographs
        known = match_names(truth, [Path(name) for name in names]).picks.restrict(names)
        radius_px = settings.diameter_ang / 3 / _raw_pixel_size(names[0])
        shares.append(float(1 - (match_picks(own.picks, known, radius_px) >= 0).mean()))
    return shares


def _raw_pixel_size(name: str) -> float:
    from cryopick.io import read_micrograph
    from cryopick.prepare import raw_pixel_size

    return raw_pixel_size(Path(name), read_micrograph(Path(name)).pixel_size_ang)


def _draw(
    figure: "Figure",
    sets: Sequence[Classes],
    told: Sequence[float],
    thresholds: Sequence[float],
    real: Sequence[float] | None,
) -> None:
    axes = figure.subplots()
    place = np.arange(len(sets))
    count = np.array([len(own.number) for own in sets])
    wide = 0.6 if real is None else 0.36
    kinds = [(0.0 if real is None else -0.2, told, "", 1.0)]
    if real is not None:
        kinds.append((0.2, real, ", in truth", 0.45))
    for shift, shares, word, alpha in kinds:
        false = count * np.array(shares)
        axes.bar(place + shift, count - false, wide, color=FIRST, alpha=alpha, label=f"true{word}")
        axes.bar(
            place + shift,
            false,
            wide,
            bottom=count - false,
            color=SECOND,
            alpha=alpha,
            label=f"false{word}",
        )
        for x, top, share in zip(place + shift, count, shares, strict=True):
            text = f"{100 * share:.0f}%"
            axes.annotate(
                text, (x, top), (0, 3), textcoords="offset points", ha="center", color=INK, size=8
            )
    shown = [f"{value:.2f}".replace("-", "\u2212") for value in thresholds]
    axes.set_xticks(place, shown)
    axes.set(xlabel="threshold (logit)", ylabel="picks")
    axes.legend(frameon=False, labelcolor=INK, fontsize="small", loc="upper left")
    dress(axes, "True and false positives by class averages; above, the share that is false")
    axes.grid(visible=False, axis="x")


def _caption(has_truth: bool) -> str:
    told = "Blue: images in classes of particles; orange: in classes of anything else."
    return f"{told} The paler bars are what is so." if has_truth else told


def _averages(number: int, threshold: float, own: Classes, verdicts: Sequence[Verdict]) -> str:
    shown = [verdict for verdict in verdicts if verdict.count]
    shown.sort(key=lambda verdict: -verdict.count)
    addresses = [_picture(own.images[verdict.number - 1]) for verdict in shown]
    notes = [
        f"{verdict.number}: {verdict.count}"
        + ("" if verdict.by_person is None else ", by a person")
        for verdict in shown
    ]
    kinds = ["" if verdict.is_particle else "off" for verdict in shown]
    junk = sum(verdict.count for verdict in shown if not verdict.is_particle)
    text = (
        f"{len(own.number)} images, {junk} of them in classes that are no particle, with an orange "
        "frame. Below each average its class and how many images it has; empty ones are left out."
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
