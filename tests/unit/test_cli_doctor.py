"""`cryopick doctor`: findings about the installation."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from cryopick.workflows import installation_check


@pytest.fixture
def findings(run_words, monkeypatch, tmp_path):
    """Run the command with a PATH of its own; return its findings by subject."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def run(words="", status=0):
        shown = json.loads(run_words(f"doctor --json {words}", status).stdout)
        return {finding.pop("subject"): finding for finding in shown}

    return run


def write_program(name, text):
    path = Path("bin", name)
    path.write_text(text)
    path.chmod(0o755)


def test_versions_devices_and_disks_are_listed(findings):
    shown = findings()

    assert shown["cryopick"]["value"].startswith(version("cryopick"))
    assert shown["package numpy"]["value"] == version("numpy")
    assert shown["device"]["state"] == "ok"
    assert "writable" in shown["output folder"]["value"]
    assert shown["RELION"] == {"value": "not found on PATH", "state": "note", "advice": ""}
    assert shown["scheduler"]["value"] == "none"
    assert [path.name for path in Path().iterdir()] == ["bin"]


def test_programs_of_others_are_found_with_their_versions(findings):
    write_program("relion_refine", "#!/bin/sh\necho RELION version: 5.0.1-commit-1a2b\n")
    write_program("topaz", "#!/bin/sh\n# written by cryopick-topaz\n")
    write_program("sbatch", "")

    shown = findings()

    assert shown["RELION"]["value"].startswith("5.0.1-commit-1a2b, ")
    assert shown["Topaz"]["value"].startswith("of cryopick, ")
    assert shown["scheduler"]["value"] == "Slurm"


def test_a_missing_package_is_a_problem_with_its_remedy(findings, monkeypatch):
    def find_version(name):
        if name == "scipy":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(installation_check, "version", find_version)

    shown = findings(status=1)

    assert shown["package scipy"]["state"] == "problem"
    assert shown["package scipy"]["advice"].startswith("pip install 'scipy>=")


def test_an_installation_without_torch_can_pick_on_the_processor(findings, monkeypatch):
    def find_version(name):
        if name == "torch":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(installation_check, "version", find_version)
    monkeypatch.setitem(sys.modules, "torch", None)

    shown = findings()

    assert shown["device"]["state"] == "note"
    assert shown["device"]["value"].startswith("cpu, with OpenVINO")


def test_a_folder_that_cannot_be_written_is_a_problem(findings, tmp_path):
    shown = findings(str(tmp_path / "missing"), status=1)

    assert shown["output folder"]["state"] == "problem"
    assert "cannot be written" in shown["output folder"]["value"]


def test_more_threads_than_cores_are_noted(findings, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4000")

    assert findings()["threads"]["state"] == "note"


def test_a_check_that_fails_hides_no_other(findings, monkeypatch):
    def fail():
        raise RuntimeError("driver")

    monkeypatch.setattr(installation_check, "_check_devices", fail)

    shown = findings(status=1)

    assert shown["check"]["value"] == "RuntimeError: driver"
    assert "general model" in shown


def test_the_text_marks_problems(run_words, tmp_path):
    result = run_words(f"doctor {tmp_path / 'missing'}", 1)

    assert f"✗ {'output folder':<2}" in result.stdout
    assert "1 problem, the first: output folder" in result.stderr
