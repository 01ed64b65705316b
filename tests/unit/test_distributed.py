"""Shards of a batch, and batch scripts for array jobs."""

import importlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.distributed.shards import Shard, find_shard_tables
from cryopick.errors import InputError, SettingsError
from cryopick.io.tables.pick_tables import read_picks


@given(st.integers(0, 40), st.integers(1, 9))
def test_every_micrograph_is_in_one_shard(n_micrographs, n_shards):
    paths = [Path(str(number)) for number in range(n_micrographs)]

    parts = [Shard(number, n_shards).select(paths) for number in range(1, n_shards + 1)]

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
        # A script of `cryopick submit` with ten tasks, of which the third is repeated.
        (
            {
                "SLURM_ARRAY_TASK_ID": "3",
                "SLURM_ARRAY_TASK_MIN": "3",
                "SLURM_ARRAY_TASK_MAX": "3",
                "CRYOPICK_SHARDS": "10",
            },
            "3/10",
        ),
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
def test_the_shard_is_read_from_the_environment_of_the_scheduler(environment, expected):
    assert str(Shard.parse("auto", environment)) == expected


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4"])
def test_an_invalid_shard_is_refused(text):
    with pytest.raises(SettingsError, match="a shard must be"):
        Shard.parse(text)


def test_a_shard_outside_of_an_array_job_is_not_guessed():
    with pytest.raises(SettingsError, match="works only in array jobs"):
        Shard.parse("auto", {})
    with pytest.raises(SettingsError, match="set CRYOPICK_SHARDS"):
        Shard.parse("auto", {"PBS_ARRAY_INDEX": "1"})


def test_shards_are_merged_only_if_all_exist(tmp_path):
    out = tmp_path / "picks.star"
    with pytest.raises(InputError, match="has no shards"):
        find_shard_tables(out)
    for number in (1, 2, 10):
        Shard(number, 10).output_path(out).touch()
    with pytest.raises(InputError, match=r"7 of 10 shards are missing: picks\.03-of-10\.star"):
        find_shard_tables(out)
    for number in range(1, 11):
        Shard(number, 10).output_path(out).touch()
    assert [path.name for path in find_shard_tables(out)][::9] == [
        "picks.01-of-10.star",
        "picks.10-of-10.star",
    ]
    Shard(1, 3).output_path(out).touch()
    with pytest.raises(InputError, match="sets of 3 and 10 shards"):
        find_shard_tables(out)


# According to the manuals of Slurm, PBS Professional, Grid Engine and LSF.
def test_merged_shards_equal_the_table_of_one_run(run_with_model, monkeypatch):
    run_with_model(f"{tiny.LINE} -o all.star")
    for number in (1, 2):
        run_with_model(f"{tiny.LINE} -o picks.star --shard {number}/3")
    assert "1 of 3 shards are missing" in run_with_model("merge picks.star", status=1).stderr
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "3")
    run_with_model(f"{tiny.LINE} -o picks.star --shard auto")

    run_with_model("merge picks.star")

    assert Path("picks.star").read_bytes() == Path("all.star").read_bytes()
    assert Path("picks.settings.toml").read_text() == Path("all.settings.toml").read_text()
    one_run = Path("all.micrographs.tsv").read_text()
    assert Path("picks.micrographs.tsv").read_text() == one_run
    assert len(one_run.splitlines()) == 1 + len(list(Path("mics").glob("*.mrc")))
    assert "already exists" in run_with_model("merge picks.star", status=1).stderr


def test_shards_with_different_settings_are_not_merged(run_with_model):
    run_with_model(f"{tiny.LINE} -o picks.star --shard 1/2")
    run_with_model(f"{tiny.LINE} -o picks.star --shard 2/2 --margin-ang 200")

    assert "its settings differ from" in run_with_model("merge picks.star", status=1).stderr
    assert not Path("picks.star").exists()


def test_shards_write_tables_of_their_own_micrographs_into_one_folder(run_with_model):
    for number in (1, 2):
        run_with_model(f"{tiny.LINE} -o tables/ --shard {number}/2")

    assert len(list(Path("tables").glob("mic_*.tsv"))) == 5


def test_a_repeated_command_processes_only_new_and_changed_micrographs(run_with_model, monkeypatch):
    from cryopick.pick.picker import Picker

    picked = []
    pick = Picker._pick
    monkeypatch.setattr(Picker, "_pick", lambda self, p: picked.append(p.name) or pick(self, p))
    run_with_model(f"{tiny.LINE} -o picks.json")
    first = Path("picks.json").read_bytes()
    picked.clear()

    run_with_model(f"{tiny.LINE} -o picks.json")
    assert picked == []
    assert Path("picks.json").read_bytes() == first

    Path("mics/mic_5.mrc").write_bytes(Path("mics/mic_0.mrc").read_bytes())
    os.utime("mics/mic_2.mrc", ns=(1, 1))
    run_with_model(f"{tiny.LINE} -o picks.json")
    assert sorted(picked) == ["mic_2.mrc", "mic_5.mrc"]
    assert len(read_picks(Path("picks.json")).micrographs) == 6


@pytest.mark.parametrize("ending", ["tsv", "json"])
def test_merging_reports_the_micrographs_that_shards_skipped(run_with_model, ending):
    Path("mics/mic_1.mrc").write_bytes(b"")
    run_with_model(f"{tiny.LINE} -o all.{ending}", status=1)
    run_with_model(f"{tiny.LINE} -o picks.{ending} --shard 1/2")
    run_with_model(f"{tiny.LINE} -o picks.{ending} --shard 2/2", status=1)

    messages = run_with_model(f"merge picks.{ending}", status=1).stderr

    assert "the shards skipped 1 micrograph: mics/mic_1.mrc" in messages
    assert Path(f"picks.{ending}").read_bytes() == Path(f"all.{ending}").read_bytes()


COMMANDS = {
    "pick": (f"{tiny.LINE} -o picks.tsv", "picks.tsv"),
    "pick-each": (f"{tiny.LINE} -o out/", "out/mic_3.tsv"),
    "score": ("score mics --model m.safetensors -o out", "out/mic_3.mrc"),
    "propose": ("propose mics --diameter-ang 135 -o picks.tsv", "picks.tsv"),
    "filaments": ("filaments mics --model m.safetensors -o out.tsv", "out.tsv"),
    "preprocess": ("preprocess mics -o out --factor 2 --normalization micrograph", "out/mic_3.mrc"),
    "shared": ("preprocess mics -o out --factor 2", "out/mic_3.mrc"),
    "stack": ("stack labels.tsv -m mics -o out --voltage-kv 300 --cs-mm 2.7 --box-px 8 "
              "--amplitude-contrast 0.1", "out/mic_3.mrcs"),
}  # fmt: skip


def count_reads(monkeypatch):
    """Return a list that receives the names of all micrographs that are read."""
    names_read = []
    for name in ("preprocess.dataset", "pick.picker", "pick.proposals.proposer", "stack.batch"):
        module = importlib.import_module(f"cryopick.{name}")

        def read(path, real=module.read_micrograph, **options):
            names_read.append(path.name)
            return real(path, **options)

        monkeypatch.setattr(module, "read_micrograph", read)
    return names_read


@pytest.mark.parametrize("name", COMMANDS)
def test_every_batch_command_processes_only_missing_results(run_with_model, monkeypatch, name):
    line, output = COMMANDS[name]
    moved = Path("mics/mic_3.mrc").rename("mic_3.mrc")
    run_with_model(line, status=0)
    moved.rename("mics/mic_3.mrc")
    os.utime("mics/mic_3.mrc", ns=(5, 5))
    names_read = count_reads(monkeypatch)

    run_with_model(line, status=1 if name == "shared" else 0)

    if name == "shared":  # the reference of the shared normalization has changed
        run_with_model(f"{line} --force")
        assert len(set(names_read)) == 5
    else:
        assert set(names_read) == {"mic_3.mrc"}
    assert Path(output).exists()
    names_read.clear()
    before = {path: path.read_bytes() for path in Path().glob("out/*.mrc*")}
    if before:
        Path(output).unlink()
        run_with_model(line)
        assert {path: path.read_bytes() for path in Path().glob("out/*.mrc*")} == before
    else:
        run_with_model(line)
        assert names_read == []


@pytest.mark.parametrize("name", ["propose", "filaments", "score"])
def test_other_batch_commands_also_run_in_shards(run_with_model, name):
    line, output = COMMANDS[name]
    run_with_model(line)
    expected = {path.name: path.read_bytes() for path in [Path(output), *Path().glob("out/*.mrc")]}
    line = line.replace("-o picks", "-o parts").replace("-o out", "-o parts")
    for number in (1, 2):
        run_with_model(f"{line} --shard {number}/2")
    if name != "score":
        run_with_model("merge parts.tsv")
        assert Path("parts.tsv").read_bytes() == expected[output]
    else:
        assert "need no merge" in run_with_model("merge parts", status=1).stderr
        for path in Path("parts").glob("*.mrc"):
            assert path.read_bytes() == expected[path.name]
