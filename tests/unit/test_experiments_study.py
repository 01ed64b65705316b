"""`cryopick benchmark` on micrographs of blobs."""

import json
from pathlib import Path

import pytest
from tests import tiny

from cryopick.experiments.results import load_records

BASE = (
    f"-m mics -p labels.tsv --held-out-frac 0.34 --diameter-ang {tiny.DIAMETER_ANG:g} "
    "--config settings.toml --jobs 1"
)
SETTINGS = f"""
diameter_ang = {tiny.DIAMETER_ANG}
particles_per_micrograph = 12.0
working_pixel_size_ang = {tiny.PIXEL_ANG}
normalization = "affine"
steps = 3
[network]
width = 2
[sampling]
unlabelled_patches = 1
positive_patches = 1
patch_px = 31
"""


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    Path("settings.toml").write_text(SETTINGS)
    return run_words


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in Path(folder, "runs").glob("*.json")}


def test_runs_are_kept_done_once_and_added_to(run):
    line = f"benchmark study {BASE} --labels 2 --repeats 2 --objective pn"
    run(line)
    first = stamps("study")

    run(line)
    again = stamps("study")
    run(f"{line} --objective ge-binomial --prior-factor 1 --prior-factor 0.5")

    assert len(first) == 2
    assert again == first
    assert stamps("study").items() > first.items()
    assert len(stamps("study")) == 8


def test_a_repeat_has_the_same_labels_for_all_ways_and_other_repeats_have_others(run):
    run(f"benchmark study {BASE} --labels 3 --repeats 2 --objective pn --objective pu")

    labels = {}
    for record in load_records(Path("study")):
        labels.setdefault(record.repeat, set()).add(record.label_digest)
    assert [len(own) for own in labels.values()] == [1, 1]
    assert len(set.union(*labels.values())) == 2


def test_a_run_gives_the_same_numbers_in_another_process(run):
    line = f"{BASE} --labels 3 --repeats 1 --objective pu"
    run(f"benchmark one {line}")
    run(f"benchmark two {line.replace('--jobs 1', '--jobs 2')}")

    one, two = (load_records(Path(folder))[0] for folder in ("one", "two"))
    assert one.particle_average_precision == pytest.approx(two.particle_average_precision)
    assert one.region_average_precision == pytest.approx(two.region_average_precision, rel=1e-3)
    assert one.settings == two.settings


def test_the_report_shows_what_is_there_so_far(run):
    run(f"benchmark study {BASE} --labels 2 --repeats 2 --objective pn --objective ge-binomial")

    text = run("benchmark-report study").stdout
    table = json.loads(run("benchmark-report study --json --where objective=pn").stdout)

    assert "| ge-binomial (reference) |" in text
    assert "| pn |" in text
    assert "P " in text
    assert table[0]["ways"] == ["pn"]
    assert len(table[0]["cells"]["particle_average_precision"][0]["values"]) == 2


def test_more_labels_than_particles_are_skipped_and_the_rest_is_done(run):
    words = run(
        f"benchmark study {BASE} --labels 2 --labels 999 --repeats 1 --objective pn", status=1
    )

    assert "999 labels are asked for" in words.stderr
    assert [record.labels for record in load_records(Path("study"))] == [2]


def test_a_folder_keeps_to_one_data_set(run):
    run(f"benchmark study {BASE} --labels 2 --repeats 1 --objective pn")

    words = run(
        f"benchmark study {BASE.replace('0.34', '0.67')} --labels 2 --objective pn", status=1
    )

    assert "other micrographs or particles" in words.stderr


def test_micrographs_to_judge_by_are_not_learnt_from(run):
    line = f"benchmark study {BASE} --labels 2 --repeats 1 --objective pn"
    run(f"{line} --held-out-micrographs {Path('mics').resolve()}/mic_2.mrc")

    lines = Path("study/data.txt").read_text().splitlines()
    assert [one for one in lines if "mic_2" in one] == [
        f"held out\t{Path('mics').resolve()}/mic_2.mrc"
    ]
    assert sum(one.startswith("training") for one in lines) == 2


def test_some_micrographs_are_left_to_learn_from(run):
    words = run(f"benchmark study {BASE} --held-out-micrographs mics", status=1)

    assert "all micrographs are held out" in words.stderr


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--objective best", "no objective 'best'"),
        ("--repeats 0", "repeats must be at least 1"),
        ("--autoencoder much", "autoencoder must be"),
    ],
)
def test_a_choice_that_there_is_not_is_one_line(run, option, told):
    words = run(f"benchmark study {BASE} --labels 2 {option}", status=1)

    assert told in words.stderr
    assert not Path("study/runs").exists()
