"""The precision-recall curve: drawn as it is, and only where there is one."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cryopick.errors import OutputExistsError, SettingsError
from cryopick.evaluate.evaluation import evaluate_picks
from cryopick.picks import Picks
from cryopick.report.curves import plot_precision_recall, precision_recall_svg

TRUTH = Picks.for_micrograph("a", np.array([[10.0, 10.0], [50.0, 50.0]]))


def judged(score):
    xy = np.array([[10.0, 10.0], [90.0, 90.0], [50.0, 50.0]])
    return evaluate_picks(Picks.for_micrograph("a", xy, score), TRUTH, radius_px=5.0)


def test_the_drawn_curve_has_the_points_of_the_evaluation():
    found = judged(np.array([3.0, 2.0, 1.0]))  # right, wrong, right

    svg = ET.fromstring(precision_recall_svg(found))

    paths = [e.get("d") for e in svg.iter() if "var(--first)" in (e.get("style") or "")]
    numbers = np.array(re.findall(r"-?[\d.]+", paths[0]), float).reshape(-1, 2)
    recall, height = numbers.T
    assert recall[1] == pytest.approx(recall[0])  # a wrong pick finds nothing
    assert height[0] < height[2] < height[1]  # down is up in SVG: precision 1, 2/3, 1/2


def test_picks_without_scores_have_no_curve(tmp_path):
    with pytest.raises(SettingsError, match="picks without scores have no curve"):
        plot_precision_recall(judged(None), tmp_path / "curve.png")


def test_a_plot_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "curve.svg"
    found = judged(np.array([3.0, 2.0, 1.0]))
    plot_precision_recall(found, path)

    with pytest.raises(OutputExistsError, match="exists already"):
        plot_precision_recall(found, path)
    plot_precision_recall(found, path, overwrite=True)
    assert "<svg" in path.read_text()
