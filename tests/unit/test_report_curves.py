"""Precision-recall plots: the curve matches the evaluation, and needs scores."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cryopick.errors import OutputExistsError, SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.picks import Picks
from cryopick.report.curves import plot_precision_recall, precision_recall_svg

TRUTH = Picks.for_micrograph("a", np.array([[10.0, 10.0], [50.0, 50.0]]))


def evaluate(score):
    xy = np.array([[10.0, 10.0], [90.0, 90.0], [50.0, 50.0]])
    return evaluate_picks(Picks.for_micrograph("a", xy, score), TRUTH, radius_px=5.0)


def test_the_plotted_curve_has_the_points_of_the_evaluation():
    evaluation = evaluate(np.array([3.0, 2.0, 1.0]))  # correct, false, correct

    svg = ET.fromstring(precision_recall_svg(evaluation))

    paths = [e.get("d") for e in svg.iter() if "var(--first)" in (e.get("style") or "")]
    numbers = np.array(re.findall(r"-?[\d.]+", paths[0]), float).reshape(-1, 2)
    recall, height = numbers.T
    assert recall[1] == pytest.approx(recall[0])  # a false pick adds no recall
    assert height[0] < height[2] < height[1]  # down is up in SVG: precision 1, 2/3, 1/2


def test_picks_without_scores_cannot_be_plotted(tmp_path):
    with pytest.raises(SettingsError, match="picks without scores"):
        plot_precision_recall(evaluate(None), tmp_path / "curve.png")


def test_a_plot_is_overwritten_only_on_request(tmp_path):
    path = tmp_path / "curve.svg"
    evaluation = evaluate(np.array([3.0, 2.0, 1.0]))
    plot_precision_recall(evaluation, path)

    with pytest.raises(OutputExistsError, match="already exists"):
        plot_precision_recall(evaluation, path)
    plot_precision_recall(evaluation, path, overwrite=True)
    assert "<svg" in path.read_text()
