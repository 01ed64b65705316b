"""Origin of tables and models: version, command, settings, checksums of all inputs."""

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from tests import tiny

from cryopick.cli.models import describe_model
from cryopick.runs.checksums import checksum_micrographs, checksum_path
from cryopick.runs.metadata import read_run_metadata

PICK = "pick mics --model m.safetensors -o picks.star --device cpu --threshold -3"


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """A folder with micrographs, a model and their picks."""
    from typer.testing import CliRunner

    from cryopick.cli import app

    folder = tmp_path_factory.mktemp("provenance")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("mics").mkdir()
        tiny.micrographs("mics", 3)
        tiny.model("m.safetensors")
        result = CliRunner().invoke(app, PICK.split())
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run(run_words, picked, tmp_path):
    """Run commands in a copy of that folder."""
    shutil.copytree(picked, tmp_path, dirs_exist_ok=True)
    return run_words


def read_first_line(name):
    return Path(name).read_text().splitlines()[0]


def test_the_metadata_of_picks_identify_all_inputs(run):
    metadata = read_run_metadata(Path("picks.run.json"))

    assert metadata.version == version("cryopick")
    assert list(metadata.command) == PICK.split()
    sha256 = hashlib.sha256(Path("m.safetensors").read_bytes()).hexdigest()
    names = "".join(f"mic_{i}.mrc\t{Path(f'mics/mic_{i}.mrc').stat().st_size}\n" for i in range(3))
    assert metadata.checksums == {
        "model": sha256,
        "micrographs": hashlib.sha256(names.encode()).hexdigest(),
    }
    assert "threshold = -3.0" in metadata.settings
    assert metadata.pixel_sizes_ang == [10.0]
    assert metadata.polarity == "as trained"
    assert read_first_line("picks.star").startswith(
        f"# cryopick {version('cryopick')}, model {sha256[:12]}, settings "
    )


@pytest.mark.parametrize(
    "line",
    [
        "threshold picks.star -o out.star --at 0",
        "convert picks.star -o out.star",
        "combine union picks.star picks.star -o out.star --radius-px 5",
        "combine consensus picks.star picks.star -o out.star --radius-px 5",
    ],
)
def test_the_origin_survives_commands_on_tables(run, line):
    run(line)

    before, after = (read_run_metadata(Path(f"{name}.run.json")) for name in ("picks", "out"))
    assert after.later_commands == [f"cryopick {line}"]
    for field in ("version", "command", "checksums", "settings", "pixel_sizes_ang", "polarity"):
        assert getattr(after, field) == getattr(before, field)
    assert read_first_line("out.star") == read_first_line("picks.star")
    assert Path("out.star").read_text().count("# cryopick") == 1


def test_the_origin_survives_a_change_of_the_format_and_back(run):
    run("convert picks.star -o a.json")
    run("threshold a.json -o b.tsv --at 0")
    run("convert b.tsv -o c.star")

    assert len(read_run_metadata(Path("c.run.json")).later_commands) == 3
    assert read_run_metadata(Path("c.run.json")).command == PICK.split()


def test_a_combination_lists_its_tables(run):
    run("threshold picks.star -o sure.star --at 1")
    run("convert picks.star -o foreign.tsv")
    Path("foreign.run.json").unlink()
    run("combine union sure.star foreign.tsv -o out.star --radius-px 5")

    first, second = read_run_metadata(Path("out.run.json")).sources
    assert first["table"] == "sure.star"
    assert first["sha256"] == checksum_path(Path("sure.star"))
    assert first["version"] == version("cryopick")
    assert first["command"] == f"cryopick {PICK}"
    assert second == {"table": "foreign.tsv", "sha256": checksum_path(Path("foreign.tsv"))}


def test_a_table_of_another_program_is_recorded_by_its_checksum(run):
    Path("other.box").write_text("10 20 30 30\n50 60 30 30\n")

    run("convert other.box -o other.star")

    metadata = read_run_metadata(Path("other.run.json"))
    assert metadata.checksums == {"table": checksum_path(Path("other.box"))}
    assert metadata.command == ["convert", "other.box", "-o", "other.star"]
    assert read_first_line("other.star") == f"# cryopick {version('cryopick')}"


def test_merged_shards_have_the_origin_of_one_run(run):
    for number in (1, 2):
        run(f"{PICK.replace('picks.star', 'parts.star')} --shard {number}/2")
    run("merge parts.star")

    one, merged = (read_run_metadata(Path(f"{name}.run.json")) for name in ("picks", "parts"))
    assert merged.checksums == one.checksums
    assert merged.pixel_sizes_ang == one.pixel_sizes_ang
    assert Path("parts.star").read_bytes() == Path("picks.star").read_bytes()


def test_info_tells_two_versions_apart(run):
    path = Path("picks.run.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"version": "0.0.7"}))
    run("threshold picks.star -o out.star --at 0")

    [shown] = json.loads(run("info out.star --json").stdout)

    assert shown["made by"].startswith("cryopick 0.0.7, model ")
    assert shown["commands"] == [
        f"cryopick {PICK}",
        "cryopick threshold picks.star -o out.star --at 0",
    ]
    assert "made by          cryopick 0.0.7" in run("info out.star").stdout


def test_a_report_can_be_made_of_a_thresholded_table(run):
    run("threshold picks.star -o sure.star --at 0")
    run("report sure.star --device cpu")

    assert f"cryopick {PICK}" in Path("sure.report.html").read_text()


def test_a_report_of_proposals_is_refused_with_the_reason(run):
    run(f"propose mics -o found.star --diameter-ang {tiny.DIAMETER_ANG}")

    assert "these are those of proposals" in run("report found.star", 1).stderr


def test_checksums_of_micrographs_depend_on_names_and_sizes_alone(tmp_path):
    first, second = tmp_path / "x", tmp_path / "y"
    for folder in (first, second):
        folder.mkdir()
        (folder / "a.mrc").write_bytes(b"1234")

    assert checksum_micrographs([first / "a.mrc"]) == checksum_micrographs([second / "a.mrc"])
    (second / "a.mrc").write_bytes(b"12345")
    assert checksum_micrographs([first / "a.mrc"]) != checksum_micrographs([second / "a.mrc"])


def test_a_model_records_the_checksums_of_labels_and_micrographs(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 2)
    line = f"train -m mics -p labels.tsv --diameter-ang {tiny.DIAMETER_ANG} --init random "
    run_words(f"{line} --particles-per-micrograph 60 --steps 1 -o a.safetensors --device cpu")
    run_words("convert labels.tsv -o same.star")
    Path("mics").rename("moved")
    line = line.replace("-m mics", "-m moved").replace("labels.tsv", "same.star")
    run_words(f"{line} --particles-per-micrograph 60 --steps 1 -o b.safetensors --device cpu")

    first, second = (describe_model(Path(f"{x}.safetensors"))["summary"] for x in "ab")
    assert first["checksums"].keys() == {"labels", "micrographs"}
    assert first["checksums"] == second["checksums"]
    assert first["version"] == version("cryopick")
    assert first["pixel_sizes_ang"] == [10.0]
    metadata = read_run_metadata(Path("a.run/run.json"))
    assert metadata.checksums["labels"] == checksum_path(Path("labels.tsv"))
    assert metadata.checksums["model"] == checksum_path(Path("a.safetensors"))
    assert metadata.settings == Path("a.run/settings.toml").read_text()


def test_the_report_of_picking_names_table_and_numbers(run):
    report = json.loads(run(f"{PICK} --force --json --quiet").stdout)

    assert report["status"] == 0
    assert {"picks.star", "picks.run.json", "picks.settings.toml"} <= set(report["outputs"])
    assert report["results"]["table"] == "picks.star"
    assert report["results"]["micrographs"] == 3
    assert report["results"]["picks"] > 0
    assert not any("parts" in name for name in report["outputs"])
    assert all(Path(name).exists() for name in report["outputs"])
