"""`cryopick benchmark` on simulated micrographs of blobs."""

import json
from pathlib import Path

import pytest
from tests import tiny

from cryopick.experiments.results import load_records

BASE = (
    f"-m mics -p labels.tsv --held-out-frac 0.34 --diameter-ang {tiny.DIAMETER_ANG:g} "
    "--config settings.toml --jobs 1"
)
SETTINGS = f"particles_per_micrograph = 12.0\n{tiny.TRAINING}"


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics")
    Path("settings.toml").write_text(SETTINGS)
    return run_words


def modification_times(folder):
    return {path.name: path.stat().st_mtime_ns for path in Path(folder, "runs").glob("*.json")}


def test_trials_run_once_and_later_commands_add_to_them(run):
    command = f"benchmark study {BASE} --labels 2 --repeats 2 --objective pn"
    run(command)
    first = modification_times("study")

    run(command)
    second = modification_times("study")
    run(f"{command} --objective ge-binomial --prior-factor 1 --prior-factor 0.5")

    assert len(first) == 2
    assert second == first
    assert modification_times("study").items() > first.items()
    assert len(modification_times("study")) == 8


def test_methods_share_the_labels_of_a_repeat_and_repeats_differ(run):
    run(f"benchmark study {BASE} --labels 3 --repeats 2 --objective pn --objective pu")

    labels = {}
    for record in load_records(Path("study")):
        labels.setdefault(record.repeat, set()).add(record.label_digest)
    assert [len(digests) for digests in labels.values()] == [1, 1]
    assert len(set.union(*labels.values())) == 2


def test_a_trial_gives_the_same_results_in_another_process(run):
    command = f"{BASE} --labels 3 --repeats 1 --objective pu"
    run(f"benchmark one {command}")
    run(f"benchmark two {command.replace('--jobs 1', '--jobs 2')}")

    one, two = (load_records(Path(folder))[0] for folder in ("one", "two"))
    assert one.particle_average_precision == pytest.approx(two.particle_average_precision)
    assert one.region_average_precision == pytest.approx(two.region_average_precision, rel=1e-3)
    assert one.settings == two.settings


def test_the_report_shows_the_finished_trials(run):
    run(f"benchmark study {BASE} --labels 2 --repeats 2 --objective pn --objective ge-binomial")

    text = run("benchmark-report study").stdout
    table = json.loads(run("benchmark-report study --json --where objective=pn").stdout)

    assert "| ge-binomial (reference) |" in text
    assert "| pn |" in text
    assert "P " in text
    assert table[0]["methods"] == ["pn"]
    assert len(table[0]["cells"]["particle_average_precision"][0]["values"]) == 2


def test_a_trial_with_more_labels_than_particles_fails_and_the_others_finish(run):
    result = run(
        f"benchmark study {BASE} --labels 2 --labels 999 --repeats 1 --objective pn", status=1
    )

    assert "999 labels are requested" in result.stderr
    assert [record.labels for record in load_records(Path("study"))] == [2]


def test_a_folder_belongs_to_one_data_set(run):
    run(f"benchmark study {BASE} --labels 2 --repeats 1 --objective pn")

    result = run(
        f"benchmark study {BASE.replace('0.34', '0.67')} --labels 2 --objective pn", status=1
    )

    assert "other micrographs or particles" in result.stderr


def test_held_out_micrographs_are_not_used_for_training(run):
    command = f"benchmark study {BASE} --labels 2 --repeats 1 --objective pn"
    run(f"{command} --held-out-micrographs {Path('mics').resolve()}/mic_2.mrc")

    lines = Path("study/data.txt").read_text().splitlines()
    assert [line for line in lines if "mic_2" in line] == [
        f"held out\t{Path('mics').resolve()}/mic_2.mrc"
    ]
    assert sum(line.startswith("training") for line in lines) == 2


def test_holding_out_all_micrographs_is_refused(run):
    result = run(f"benchmark study {BASE} --held-out-micrographs mics", status=1)

    assert "all micrographs are held out" in result.stderr


@pytest.mark.parametrize(
    ("option", "status", "message"),
    [
        ("--objective best", 2, "--objective must be one of pn"),
        ("--repeats 0", 1, "repeats must be at least 1"),
        ("--autoencoder much", 1, "autoencoder must be"),
    ],
)
def test_an_invalid_choice_is_reported_before_any_trial(run, option, status, message):
    result = run(f"benchmark study {BASE} --labels 2 {option}", status=status)

    assert message in result.stderr
    assert not Path("study/runs").exists()


def test_a_curve_has_the_results_of_shorter_runs_at_a_constant_learning_rate(run):
    Path("settings.toml").write_text(
        SETTINGS.replace("[network]", 'schedule = "constant"\n[network]')
    )
    command = f"benchmark {{}} {BASE} --labels 3 --repeats 1 --objective pn"

    run(command.format("curve") + " --evaluate-every 1")
    for steps in (2, 3):
        run(command.format(f"of-{steps}") + f" --steps {steps}")

    (record,) = load_records(Path("curve"))
    assert [step for step, _, _ in record.curve] == [1, 2, 3]
    for steps in (2, 3):
        (shorter,) = load_records(Path(f"of-{steps}"))
        assert tuple(record.curve[steps - 1][1:]) == (
            shorter.region_average_precision,
            shorter.particle_average_precision,
        )
    assert record.particle_average_precision == record.curve[-1][2]


def test_a_finished_trial_is_repeated_if_its_curve_is_asked_for(run):
    command = f"benchmark study {BASE} --labels 3 --repeats 1 --objective pn"
    run(command)
    without = load_records(Path("study"))[0].curve

    run(f"{command} --evaluate-every 2")

    assert not without
    assert [step for step, _, _ in load_records(Path("study"))[0].curve] == [2, 3]


def test_the_report_compares_methods_by_training_steps(run):
    run(
        f"benchmark study {BASE} --labels 3 --repeats 2 --objective pn --objective ge-kl "
        "--evaluate-every 2"
    )

    (table,) = json.loads(run("benchmark-report study --axis steps --json").stdout)

    assert {cell["column"] for cell in table["cells"]["region_average_precision"]} == {2.0, 3.0}
    assert table["methods"] == ["pn", "ge-kl"]
