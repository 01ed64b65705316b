"""Parts of a batch, scripts for clusters, and micrographs that are still to come."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.errors import InputError, MicrographError, SettingsError
from cryopick.io import read_picks
from cryopick.scale import SCHEDULERS, Shard, Watcher, script, shards_of


@given(st.integers(0, 40), st.integers(1, 9))
def test_every_micrograph_is_in_one_shard(count, of):
    paths = [Path(str(number)) for number in range(count)]

    parts = [Shard(number, of).own(paths) for number in range(1, of + 1)]

    assert sorted(path for part in parts for path in part) == sorted(paths)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "7"},
            "1/8",
        ),
        (
            {"SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "8"},
            "8/8",
        ),
        (
            {
                "SGE_TASK_ID": "5",
                "SGE_TASK_FIRST": "1",
                "SGE_TASK_LAST": "9",
                "SGE_TASK_STEPSIZE": "2",
            },
            "3/5",
        ),
        ({"LSB_JOBINDEX": "2", "LSB_JOBINDEX_END": "4"}, "2/4"),
        ({"PBS_ARRAY_INDEX": "3", "CRYOPICK_SHARDS": "6"}, "3/6"),
        ({"PBS_ARRAYID": "3", "CRYOPICK_SHARDS": "6"}, "3/6"),
        (
            {
                "SGE_TASK_ID": "undefined",
                "LSB_JOBINDEX": "0",
                "PBS_ARRAYID": "1",
                "CRYOPICK_SHARDS": "1",
            },
            "1/1",
        ),
    ],
)
def test_the_scheduler_says_which_part(environment, expected):
    assert str(Shard.parse("auto", environment)) == expected


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(SettingsError, match="a shard is"):
        Shard.parse(text)


def test_without_an_array_job_nothing_is_guessed():
    with pytest.raises(SettingsError, match="none is around"):
        Shard.parse("auto", {})
    with pytest.raises(SettingsError, match="set CRYOPICK_SHARDS"):
        Shard.parse("auto", {"PBS_ARRAY_INDEX": "1"})


def test_parts_are_found_only_when_all_are_there(tmp_path):
    out = tmp_path / "picks.star"
    with pytest.raises(InputError, match="there is no part"):
        shards_of(out)
    for number in (1, 2, 10):
        Shard(number, 10).output(out).touch()
    with pytest.raises(InputError, match=r"7 of 10 parts are missing: picks\.03-of-10\.star"):
        shards_of(out)
    for number in range(1, 11):
        Shard(number, 10).output(out).touch()
    assert [path.name for path in shards_of(out)][::9] == [
        "picks.01-of-10.star",
        "picks.10-of-10.star",
    ]
    Shard(1, 3).output(out).touch()
    with pytest.raises(InputError, match="parts of 3 and 10"):
        shards_of(out)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_is_bash_that_runs_the_command_in_parts(scheduler, tmp_path):
    text = script(
        scheduler, ["pick", "my mics/*.mrc", "-o", "p.star"], of=20, cores=8, file="a b.sh"
    )
    (tmp_path / "cryopick").write_text('#!/bin/bash\nprintf "%s|" "$@" "$CRYOPICK_SHARDS"\n')
    (tmp_path / "cryopick").chmod(0o755)

    done = subprocess.run(
        ["bash", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PBS_O_WORKDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.stdout == "pick|my mics/*.mrc|-o|p.star|--shard|auto|20|", done.stderr
    assert "1-20" in text
    assert "'a b.sh'" in text


@pytest.fixture
def project(run_words):
    Path("mics").mkdir()
    tiny.micrographs(Path("mics"), 5)
    tiny.model("m.safetensors")
    return run_words


LINE = "pick mics --model m.safetensors --threshold -100"


def test_shards_merge_to_what_one_run_makes(project, monkeypatch):
    project(f"{LINE} -o all.star")
    for number in (1, 2):
        project(f"{LINE} -o picks.star --shard {number}/3")
    assert "1 of 3 parts are missing" in project("merge picks.star", status=1).stderr
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "3")
    project(f"{LINE} -o picks.star --shard auto")

    project("merge picks.star")

    one, parts = read_picks(Path("all.star")), read_picks(Path("picks.star"))
    for name, own in one.by_micrograph():
        np.testing.assert_array_equal(own.xy_px, dict(parts.by_micrograph())[name].xy_px)
    assert Path("picks.settings.toml").read_text() == Path("all.settings.toml").read_text()
    assert "exists already" in project("merge picks.star", status=1).stderr


def test_parts_of_other_settings_are_not_merged(project):
    project(f"{LINE} -o picks.star --shard 1/2")
    project(f"{LINE} -o picks.star --shard 2/2 --margin-ang 200")

    assert "has other settings" in project("merge picks.star", status=1).stderr
    assert not Path("picks.star").exists()


def test_shards_write_tables_of_their_own_micrographs_into_one_folder(project):
    for number in (1, 2):
        project(f"{LINE} -o tables/ --shard {number}/2")

    assert len(list(Path("tables").glob("mic_*.tsv"))) == 5


def test_update_does_only_what_is_new_or_changed(project, monkeypatch):
    from cryopick.pick import Picker

    picked = []
    pick = Picker._pick
    monkeypatch.setattr(Picker, "_pick", lambda self, p: picked.append(p.name) or pick(self, p))
    project(f"{LINE} -o picks.json --update")
    first = Path("picks.json").read_bytes()
    picked.clear()

    project(f"{LINE} -o picks.json --update")
    assert picked == []
    assert Path("picks.json").read_bytes() == first

    Path("mics/mic_5.mrc").write_bytes(Path("mics/mic_0.mrc").read_bytes())
    os.utime("mics/mic_2.mrc", ns=(1, 1))
    project(f"{LINE} -o picks.json --update")
    assert sorted(picked) == ["mic_2.mrc", "mic_5.mrc"]
    assert len(read_picks(Path("picks.json")).micrographs) == 6


def test_a_table_of_others_is_not_taken_for_one_to_update(project):
    Path("picks.json").write_text("mine")

    assert "exists already" in project(f"{LINE} -o picks.json --update", status=1).stderr


def grow(path, text):
    with path.open("a") as file:
        file.write(text)


def test_a_file_is_given_out_when_it_has_stopped_growing(tmp_path):
    watcher = Watcher(lambda: sorted(tmp_path.iterdir()))
    path = tmp_path / "a"
    grow(path, "1")
    assert watcher.complete() == []
    grow(path, "2")
    assert watcher.complete() == []
    assert watcher.complete() == [path]
    watcher.done(path)
    assert watcher.complete() == []
    assert watcher.waiting == 0

    grow(path, "3")
    assert watcher.complete() == []
    assert watcher.complete() == [path]


def test_an_empty_file_and_one_that_vanishes_are_waited_for(tmp_path):
    names = [tmp_path / "gone", tmp_path / "empty"]
    (tmp_path / "empty").touch()
    watcher = Watcher(lambda: names)

    assert [watcher.complete() for _ in range(3)] == [[], [], []]


def test_a_file_that_fails_is_given_up_until_it_changes(tmp_path):
    path = tmp_path / "a"
    grow(path, "1")
    watcher = Watcher(lambda: [path], most_failures=2)
    watcher.complete()
    for _ in range(2):
        assert watcher.complete() == [path]
        watcher.failed(path)
    assert watcher.complete() == []

    grow(path, "2")
    watcher.complete()
    assert watcher.complete() == [path]


def test_a_folder_that_is_not_there_yet_is_waited_for():
    def look():
        raise MicrographError("mics: no such folder")

    assert Watcher(look).complete() == []


def test_watching_picks_what_comes_and_never_twice(project):
    watch = "watch mics --model m.safetensors --threshold -100 -o out --every-s 0.05"
    said = project(f"{watch} --until-idle-s 0.3").stderr
    assert said.count("particles;") == 5
    first = {path.name: path.read_bytes() for path in Path("out").glob("*.star")}
    assert len(first) == 5

    Path("mics/mic_9.mrc").write_bytes(b"cut short")
    project(f"{watch} --until-idle-s 0.5", status=1)

    assert {path.name: path.read_bytes() for path in Path("out").glob("*.star")} == first
    assert '"failed": 1' in Path("out/status.json").read_text()
    assert '"running": false' in Path("out/status.json").read_text()


@pytest.mark.slow
def test_a_watch_that_is_told_to_stop_ends_cleanly(project):
    program = [sys.executable, "-c", "from cryopick.cli import main; main()"]
    words = ["watch", "mics", "--model", "m.safetensors", "-o", "out", "--every-s", "0.1"]
    with subprocess.Popen([*program, *words], stderr=subprocess.PIPE, text=True) as process:
        while not Path("out/status.json").exists():
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]

    assert process.returncode == 0, said
    assert "picked" in said


def test_submit_writes_a_script(project):
    said = project(
        "submit --scheduler slurm --shards 4 -s job.sh pick mics --model m.safetensors -o p.star"
    )

    assert "sbatch job.sh" in said.stderr
    assert (
        "cryopick pick mics --model m.safetensors -o p.star --shard auto"
        in Path("job.sh").read_text()
    )
    assert os.access("job.sh", os.X_OK)
    assert (
        "only pick"
        in project("submit --scheduler slurm --shards 4 -s j.sh info mics", status=2).stderr
    )
    assert (
        "is one of slurm"
        in project("submit --scheduler x --shards 4 -s j.sh pick m", status=2).stderr
    )
