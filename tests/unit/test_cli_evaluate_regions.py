"""`cryopick evaluate --regions`: all regions of micrographs, as the paper counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests import oracles_learn as oracles
from tests import tiny

from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.model.device import choose_device
from cryopick.pick.batch import PickBatch
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks

RADIUS_PX = 2.5


def slow_average_precision(scores, positive):
    """The sum of the paper over the ranked regions; equal scores are one step."""
    order = np.argsort(-scores, kind="stable")
    total, hits, area = positive.sum(), 0, 0.0
    for rank, row in enumerate(order, start=1):
        if positive[row]:
            hits += 1
            area += hits / rank
    return area / total


def test_regions_are_all_pixels_and_their_ranking_is_that_of_separate_crops(run_with_model):
    image, centres = tiny.blobs(0, (40, 44))
    write_mrc(Path("small.mrc"), image, pixel_size_ang=(tiny.PIXEL_ANG, tiny.PIXEL_ANG))
    write_picks(Picks.for_micrograph("small.mrc", centres), Path("small.tsv"))

    result = run_with_model(
        f"evaluate m.safetensors small.tsv --regions small.mrc --region-radius-px {RADIUS_PX} "
        "--json --device cpu"
    )

    values = json.loads(result.stdout)

    settings = PickSettings(step_px=1, precision="float32")
    picker = PickBatch.open(Path("m.safetensors"), settings, choose_device("cpu")).picker
    prepared, _ = picker.prepare(Path("small.mrc"))
    scores = np.array(oracles.crop_scores(picker.model.scorer, prepared.image, 1))
    centres = read_picks(Path("small.tsv")).xy_px
    rows, columns = np.indices(prepared.image.shape)
    is_positive = np.zeros(prepared.image.shape, bool)
    for x, y in centres / np.array(prepared.scale_yx)[::-1]:
        is_positive |= (columns - x) ** 2 + (rows - y) ** 2 <= RADIUS_PX**2
    usable = prepared.usable
    assert values["n_regions"] == usable.sum()
    assert values["n_positive"] == is_positive[usable].sum()
    expected = slow_average_precision(scores[usable], is_positive[usable])
    assert values["average_precision"] == pytest.approx(expected, abs=2e-3)  # rounding of ties


def test_regions_of_several_micrographs_are_ranked_together(run_with_model):
    text = run_with_model(
        "evaluate m.safetensors labels.tsv --regions mics --region-step-px 4 --device cpu"
    ).stdout

    assert "regions" in text.splitlines()[0]
    assert text.splitlines()[1].startswith("average precision  0.")
    assert len([line for line in text.splitlines() if line.endswith(".mrc")]) == 5


def test_a_truth_of_other_micrographs_is_refused(run_with_model):
    Path("other.tsv").write_text("image_name\tx_coord\ty_coord\nelsewhere\t1\t2\n")

    why = run_with_model(
        "evaluate m.safetensors other.tsv --regions mics --device cpu", status=1
    ).stderr

    assert "no particle on any of the 5 micrographs" in why or "elsewhere" in why


@pytest.mark.parametrize("option", ["--only a.txt", "--ignore a.json", "--by-view", "--plot a.png"])
def test_options_that_do_not_apply_to_regions_are_refused(run_with_model, option):
    why = run_with_model(
        f"evaluate m.safetensors labels.tsv --regions mics {option} --device cpu", status=2
    ).stderr

    assert "--regions works without" in why
