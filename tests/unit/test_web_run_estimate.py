"""The progress of a run covers all of its stages."""

import json

from hypothesis import given
from hypothesis import strategies as st

from cryopick.web.jobs.run_estimate import StageProgress, estimate_run, list_stages
from cryopick.web.jobs.run_progress import EVENTS_FILE, read_run_progress

PLAN = {"Preparing micrographs": 10, "Training": 100, "Picking micrographs": 50}


def test_a_complete_first_stage_is_a_small_part_of_the_run():
    prepared = {"Preparing micrographs": StageProgress(10, 10, 15.0)}

    estimate = estimate_run(PLAN, prepared, 15.0)

    assert estimate.share < 0.1
    assert estimate.seconds_left > 300


def test_the_time_left_follows_the_measured_speed():
    slow = {"Preparing micrographs": StageProgress(10, 10, 150.0)}
    fast = {"Preparing micrographs": StageProgress(10, 10, 1.5)}

    assert estimate_run(PLAN, slow, 150.0).seconds_left > (
        20 * estimate_run(PLAN, fast, 1.5).seconds_left
    )


def test_a_stage_without_reports_moves_the_bar_too():
    shares = [estimate_run(PLAN, {}, seconds).share for seconds in (0.0, 1.0, 5.0, 10.0, 30.0, 1e4)]

    assert shares == sorted(set(shares))
    assert shares[-1] < 1


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.floats(0.01, 10), st.integers(1, 9))
def test_at_constant_speed_the_estimate_ends_at_the_true_duration(prepare, train, pick, part):
    stages = {
        "Preparing micrographs": StageProgress(10, 10, 10 * prepare),
        "Training": StageProgress(100, 100, 100 * train),
        "Picking micrographs": StageProgress(5 * part, 50, 5 * part * pick),
    }
    elapsed_s = sum(stage.elapsed_s for stage in stages.values())

    estimate = estimate_run(PLAN, stages, elapsed_s)

    assert abs(estimate.seconds_left - (50 - 5 * part) * pick) < 1e-6
    assert estimate.share < 1


def test_stages_follow_from_the_commands(tmp_path):
    (tmp_path / "train.lst").write_text("a\nb\nc\n")
    (tmp_path / "pick.lst").write_text("a\nb\nc\nd\n")

    stages = list_stages(tmp_path, [["train", "-m", "x"], ["pick", "y"]], 100)

    assert stages == {
        "Estimating the number of particles": 3,
        "Preparing micrographs": 3,
        "Training": 2 * 100,
        "Picking micrographs": 4,
    }


def test_stages_and_notices_are_read_from_the_events_of_all_commands(tmp_path):
    progress = {"event": "progress", "stage": "Training", "done": 3, "total": 9, "elapsed_s": 1.5}
    notice = {"event": "notice", "code": "contrast", "message": "particles are bright"}
    lines = [json.dumps(one) for one in (progress, notice, notice)]
    (tmp_path / EVENTS_FILE).write_text("\n".join(lines))

    found = read_run_progress(tmp_path)

    assert found.stages == {"Training": StageProgress(3, 9, 1.5)}
    assert found.notices == [{"code": "contrast", "message": "Particles are bright."}]


def test_a_command_for_one_micrograph_is_not_the_whole_run():
    plan = {"Picking micrographs": 12}

    estimate = estimate_run(plan, {"Picking micrographs": StageProgress(1, 1, 5.0)}, 5.0)

    assert abs(estimate.seconds_left - 11 * 5.0) < 1e-6
    assert abs(estimate.share - 1 / 12) < 1e-6
