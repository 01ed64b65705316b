"""Check micrographs that look empty at other particle sizes and in the other contrast.

- `judge_micrographs`: verdict on each micrograph, with warnings.
- `Judgement`: the result.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryopick.evaluate.emptiness import Verdict, classify_micrographs
from cryopick.evaluate.label_sample import LabelSample
from cryopick.model.device import AnyDevice
from cryopick.model.label_scores import get_label_sample
from cryopick.pick.evidence import measure_evidence
from cryopick.pick.picker import Picker
from cryopick.pick.probe import ProbePlan, probe_micrographs
from cryopick.pick.settings import FixedContrast
from cryopick.picks import Picks, choose_evenly

__all__ = ["Judgement", "judge_micrographs"]

_SIZE_FACTORS = (0.7, 1.0, 1.4)
_MAX_CHECKED = 4  # micrographs that are scored again
_MIN_RATIO = 2.0  # of the evidence at another size or contrast
_MIN_PEAKS = 3  # above a probability of one half, on each micrograph


@dataclass(frozen=True, eq=False)
class Judgement:
    """Verdicts on micrographs.

    Attributes:
        verdicts: Verdict by name.
        warning: What other sizes and contrasts show on micrographs that look empty; empty if
            they show no more.
        unclear: Names of the micrographs that the warning is about.
        labels: Scores of labels that the model did not learn from, if there are any.
    """

    verdicts: Mapping[str, Verdict]
    warning: str = ""
    unclear: Sequence[str] = ()
    labels: LabelSample | None = None

    def warnings_of(self, name: str) -> tuple[str, ...]:
        """Return the warnings about a micrograph."""
        return (self.warning,) if self.warning and name in self.unclear else ()


def judge_micrographs(
    candidates: Picks, picker: Picker, device: AnyDevice, examined: Collection[str] = ()
) -> Judgement:
    """Classify micrographs by their scores, and check those that look empty.

    With the general model, a few of them are scored at three particle sizes and in both contrasts.
    If another size or contrast shows much more, the verdict on all that look empty is unclear.

    Args:
        candidates: Picks down to a low score; micrographs are named by their paths.
        picker: The picker that was used.
        device: Device to compute on.
        examined: Names of the micrographs by whose scores size and contrast were chosen. If all
            of them look empty, other sizes and contrasts show no more, and none is checked.
    """
    verdict_list = classify_micrographs(candidates, is_filtered=picker.is_filtered)
    verdicts = dict(zip(candidates.micrographs, verdict_list, strict=True))
    empty = [name for name, verdict in verdicts.items() if verdict == Verdict.PROBABLY_EMPTY]
    is_examined = bool(examined) and set(examined) <= set(empty)
    judgement = Judgement(verdicts, labels=get_label_sample(picker.model, candidates.micrographs))
    if not empty or is_examined or not picker.model.detects_contrast:
        return judgement
    chosen = [empty[index] for index in choose_evenly(len(empty), _MAX_CHECKED)]
    warning = _look_elsewhere(picker, device, [Path(name) for name in chosen])
    if not warning:
        return judgement
    verdicts |= dict.fromkeys(empty, Verdict.UNCLEAR)
    return replace(judgement, verdicts=verdicts, warning=warning, unclear=empty)


def _look_elsewhere(picker: Picker, device: AnyDevice, paths: Sequence[Path]) -> str:
    """Describe the size and the contrast with much more evidence; empty if there are none."""
    used_ang = picker.settings.scale_ang or picker.diameter_ang
    sizes_ang = [factor * used_ang for factor in _SIZE_FACTORS]
    settings = replace(picker.settings, contrast="auto")
    probe = probe_micrographs(picker.model, settings, device, paths, ProbePlan(sizes_ang))
    evidence = measure_evidence(probe).values
    if not probe.micrographs or not evidence:
        return ""
    polarity: FixedContrast = "bright" if picker.model.normalization.inverted else "dark"
    used = evidence.get((polarity, used_ang), 0.0)
    contrast, size_ang = max(evidence, key=lambda key: evidence[key])
    n_peaks = len(probe.logits[contrast, size_ang])
    if evidence[contrast, size_ang] < _MIN_RATIO * used or n_peaks < _MIN_PEAKS * probe.micrographs:
        return ""
    return f"no signs of particles, but more for {contrast} particles of {size_ang:.0f} Å"
