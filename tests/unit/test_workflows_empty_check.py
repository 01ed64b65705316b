"""The check of micrographs that look empty at other particle sizes and in the other contrast."""

import numpy as np
import pytest
from tests import oracles_learn as oracles

from cryopick.evaluate.emptiness import Verdict
from cryopick.model.device import choose_device
from cryopick.model.model_file import Model
from cryopick.model.networks import extract_network
from cryopick.pick.picker import Picker
from cryopick.pick.probe import Probe
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks
from cryopick.preprocess.normalize import Normalization
from cryopick.workflows import empty_check

CPU = choose_device("cpu")
MODEL = Model(
    network=extract_network(oracles.blob_scorer()),
    diameter_ang=108.0,
    working_pixel_size_ang=8.0,
    normalization=Normalization("affine"),
    label_radius_px=2.0,
    detects_contrast=True,
)
CANDIDATES = Picks.for_micrograph("a.mrc", np.zeros((1, 2)), np.array([-5.0]))


@pytest.fixture
def probe_best_at(monkeypatch):
    """Let one size and contrast have much more evidence than the others."""

    def replace_probe(best):
        def probe(model, settings, device, paths, plan):
            logits = {
                (contrast, size): np.full(12, 3.0 if (contrast, round(size)) == best else 0.1)
                for size in plan.sizes_ang
                for contrast in ("dark", "bright")
            }
            return Probe(logits, {}, dict.fromkeys(plan.sizes_ang, 1e6), 1)

        monkeypatch.setattr(empty_check, "probe_micrographs", probe)
        verdicts = [Verdict.PROBABLY_EMPTY]
        monkeypatch.setattr(empty_check, "classify_micrographs", lambda *_, **__: verdicts)

    return replace_probe


def judge(examined=(), **settings):
    picker = Picker.create(MODEL, PickSettings(**settings), CPU)
    return empty_check.judge_micrographs(CANDIDATES, picker, CPU, examined)


@pytest.mark.parametrize(
    ("best", "words"),
    [(("bright", 150), "bright particles of 150 Å"), (("dark", 210), "dark particles of 210 Å")],
)
def test_more_evidence_at_another_size_or_contrast_makes_the_verdict_unclear(
    probe_best_at, best, words
):
    probe_best_at(best)

    judgement = judge(diameter_ang=150.0, contrast="dark")

    assert judgement.verdicts == {"a.mrc": Verdict.UNCLEAR}
    (warning,) = judgement.warnings_of("a.mrc")
    assert warning.endswith(words)
    assert judgement.warnings_of("b.mrc") == ()


def test_other_sizes_are_compared_with_the_scale_that_was_used(probe_best_at):
    probe_best_at(("dark", 210))

    judgement = judge(diameter_ang=150.0, scale_ang=210.0, contrast="dark")

    assert judgement.verdicts == {"a.mrc": Verdict.PROBABLY_EMPTY}
    assert judgement.warnings_of("a.mrc") == ()


@pytest.mark.parametrize(
    ("examined", "verdict"),
    [(["a.mrc"], Verdict.PROBABLY_EMPTY), (["a.mrc", "b.mrc"], Verdict.UNCLEAR)],
)
def test_micrographs_by_which_the_size_was_chosen_are_not_scored_again(
    probe_best_at, examined, verdict
):
    probe_best_at(("dark", 210))

    judgement = judge(examined, diameter_ang=150.0, contrast="dark")

    assert judgement.verdicts == {"a.mrc": verdict}
