"""`cryopick filaments` on simulated micrographs."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.config import load_toml
from cryopick.io.names import micrograph_stem
from cryopick.io.tables.pick_tables import read_picks
from cryopick.pick.filaments.settings import FilamentSettings
from cryopick.pick.settings import PickSettings

PIXEL_ANG, WIDTH_ANG = 4.0, 110.0


def cryopick(words):
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Simulated filaments, picked with the general model."""
    folder = tmp_path_factory.mktemp("filaments")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cryopick(
            f"simulate data --count 2 --filaments 4 --diameter-ang 60 --pixel-size-ang {PIXEL_ANG} "
            "--width-px 480 --height-px 448 --clean --seed 5"
        )
        words = f"filaments data/micrographs --diameter-ang {WIDTH_ANG} --device cpu"
        cryopick(f"{words} -o segments.star --spacing-ang 30")
        cryopick(f"{words} -o ends.star --ends")
    return folder


def table(folder, name):
    picks = read_picks(folder / name)
    return picks.rename({own: micrograph_stem(own) for own in picks.micrographs})


def test_segments_lie_on_the_filaments_and_along_them(found):
    truth, made = table(found, "data/particles.tsv"), table(found, "segments.star")

    right, off_deg, reached = [], [], []
    for name, own in made.split_by_micrograph():
        known = truth.restrict([name])
        away, nearest = cKDTree(known.xy_px).query(own.xy_px)
        right += (away < WIDTH_ANG / PIXEL_ANG / 3).tolist()
        turn = own.extra["rlnAnglePsiPrior"] + known.extra["direction_deg"][nearest]
        off_deg += np.abs((turn + 90) % 180 - 90).tolist()
        reached += (cKDTree(own.xy_px).query(known.xy_px)[0] < WIDTH_ANG / PIXEL_ANG / 3).tolist()
    assert np.mean(right) > 0.9
    assert np.mean(reached) > 0.6  # ends, edges and crossings are skipped
    assert np.median(off_deg) < 4


def test_a_tube_is_one_filament_in_order(found):
    made = table(found, "segments.star")

    for _, own in made.split_by_micrograph():
        for tube in np.unique(own.extra["rlnHelicalTubeID"]):
            rows = own.select(own.extra["rlnHelicalTubeID"] == tube)
            gaps = np.hypot(*np.diff(rows.xy_px, axis=0).T) * PIXEL_ANG
            assert gaps == pytest.approx(np.full(len(gaps), 30), abs=1.5)
            track = np.diff(rows.extra["rlnHelicalTrackLengthAngst"])
            assert track == pytest.approx(np.full(len(track), 30))


def test_ends_are_those_of_the_tubes(found):
    made, pairs = table(found, "segments.star"), table(found, "ends.star")

    tubes = sum(
        len(np.unique(own.extra["rlnHelicalTubeID"])) for _, own in made.split_by_micrograph()
    )
    assert len(pairs) == 2 * tubes
    first = made.select(made.extra["rlnHelicalTrackLengthAngst"] == 0)
    assert first.xy_px == pytest.approx(pairs.xy_px[::2])


def test_a_run_records_its_settings_and_is_not_overwritten(found):
    result = CliRunner().invoke(
        app, ["filaments", str(found / "data/micrographs"), "-o", str(found / "segments.star")]
    )

    assert result.exit_code == 2  # neither a model nor a width
    file = found / "segments.settings.toml"
    assert load_toml(FilamentSettings, file, table="filaments").spacing_ang == 30.0
    assert load_toml(PickSettings, file, other_tables=("filaments",)).diameter_ang is not None
    assert Path(found, "segments.run.json").exists()
