"""`cryopick propose`: from raw micrographs to tables."""

from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.config import load_toml
from cryopick.io.tables.pick_tables import read_picks
from cryopick.pick.proposals.proposer import Proposer
from cryopick.pick.proposals.settings import ProposeSettings, TemplateSettings

PATHS = [Path("mics") / f"mic_{number}.mrc" for number in range(3)]


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    return run_words


def test_the_table_holds_the_proposals_of_all_micrographs(run):
    run("propose mics --diameter-ang 135 -o picks.star")

    picks = read_picks(Path("picks.star"))
    proposer = Proposer.create(ProposeSettings(diameter_ang=135.0))
    wanted = [proposer.propose(path) for path in PATHS]
    assert len(picks) == sum(map(len, wanted)) > 10
    np.testing.assert_allclose(
        picks.xy_px, np.concatenate([own.xy_px for own in wanted]), atol=1e-3
    )


def test_the_settings_of_each_method_are_written_beside_the_table(run):
    run(
        "propose mics --diameter-ang 135 --templates labels.tsv --step-deg 30 --contrast dark "
        "-o picks.tsv"
    )

    found = load_toml(ProposeSettings, Path("picks.settings.toml"))
    assert found == ProposeSettings(
        diameter_ang=135.0,
        contrast="dark",
        template=TemplateSettings(file="labels.tsv", step_deg=30.0),
    )


def test_a_file_that_fails_is_skipped_and_the_rest_written(run):
    Path("mics/bad.mrc").write_bytes(b"no image")

    result = run("propose mics --diameter-ang 135 -o picks.tsv", status=1)

    assert "skipped mics/bad.mrc" in result.stderr
    assert len(read_picks(Path("picks.tsv")).micrographs) == 3


def test_a_diameter_is_required(run):
    result = run("propose mics -o picks.tsv", status=2)

    assert "--diameter-ang" in result.stderr
    assert not Path("picks.tsv").exists()


def test_an_existing_table_is_overwritten_only_with_force(run):
    Path("picks.tsv").write_text("mine")

    run("propose mics --diameter-ang 135 -o picks.tsv", status=1)

    assert Path("picks.tsv").read_text() == "mine"
    run("propose mics --diameter-ang 135 -o picks.tsv --force")
