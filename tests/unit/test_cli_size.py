"""`cryopick size`: the size at which the general model scores highest."""

import json
from pathlib import Path

import pytest
from tests import tiny


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", pixel_size_ang=(7.0, 7.0))
    return run_words


def test_the_size_is_that_with_most_evidence(run):
    result = run("size mics --json -o size.json --device cpu")

    estimate = json.loads(result.stdout)
    evidence = {one["size_ang"]: one["evidence"] for one in estimate["evidence_by_size"]}
    assert evidence[max(evidence, key=evidence.get)] == 1.0
    assert estimate["diameter_ang"] == pytest.approx(max(evidence, key=evidence.get), abs=0.1)
    assert json.loads(Path("size.json").read_text()) == estimate
    assert f"estimated {estimate['diameter_ang']:.0f} Å" in result.stderr


def test_a_range_limits_the_sizes(run):
    result = run("size mics --diameter-ang 90-110 --device cpu")

    assert 90 <= float(result.stdout) <= 110
    told = run("size mics --diameter-ang 90", status=2).stderr
    assert "takes a range here, such as 120-180" in " ".join(told.split())
