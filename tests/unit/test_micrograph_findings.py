"""Irregular headers are reported once per kind, in the log and in the run metadata."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.io.images.micrograph import summarize_findings
from cryopick.io.images.mrc import write_mrc
from cryopick.runs.listed_path import ListedPath


@pytest.fixture
def folder(tmp_path):
    image = np.random.default_rng(0).normal(size=(20, 30))
    for name, size_ang in [("a", (2.0, 2.0)), ("b", (2.0, 2.0)), ("c", (2.0, 3.0)), ("d", None)]:
        write_mrc(tmp_path / f"{name}.mrc", image, pixel_size_ang=size_ang)
    for name, count in [("a", 10), ("b", 123)]:
        with (tmp_path / f"{name}.mrc").open("ab") as file:
            file.write(bytes(count))
    return tmp_path


def paths(folder, names):
    return [folder / f"{name}.mrc" for name in names]


def test_findings_of_a_kind_are_counted_with_an_example(folder):
    findings = summarize_findings(paths(folder, "abcd"), None)

    assert findings == [
        "2 micrographs, such as a.mrc: 10 bytes follow the pixels; they were ignored.",
        "c.mrc: The pixel sizes along x (3 Å) and y (2 Å) differ by over 1 %.",
        "d.mrc: The file gives no pixel size.",
    ]


def test_a_pixel_size_that_was_given_or_listed_is_compared_with_the_header(folder):
    listed = ListedPath.create(folder / "a.mrc", 4.0, folder / "mics.star")

    (given, _) = summarize_findings([folder / "a.mrc"], 5.0)[::-1]
    (from_list, _) = summarize_findings([listed], None)[::-1]

    assert given == "a.mrc: The file states 2 Å per pixel; 5 Å is used."
    assert from_list == "a.mrc: The file states 2 Å per pixel; 4 Å is used."
    assert summarize_findings([folder / "d.mrc"], 5.0) == []


def test_unusable_files_are_left_to_the_skipped_ones(folder):
    (folder / "e.mrc").write_bytes(b"x")

    assert summarize_findings([folder / "e.mrc", folder / "missing.mrc"], 1.0) == []


def test_pick_reports_findings_in_its_log_and_metadata(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 2)
    tiny.model("m.safetensors")
    with Path("mics/mic_1.mrc").open("ab") as file:
        file.write(bytes(7))

    result = run_words("pick mics --model m.safetensors --threshold -100 -o p.json")

    text = "mic_1.mrc: 7 bytes follow the pixels; they were ignored."
    assert f"note: {text}" in result.stderr
    assert json.loads(Path("p.run.json").read_text())["findings"] == [text]


def test_train_and_stack_report_findings(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 2)
    with Path("mics/mic_1.mrc").open("ab") as file:
        file.write(bytes(7))
    text = "note: mic_1.mrc: 7 bytes follow the pixels; they were ignored."

    trained = run_words(
        "train -m mics -p labels.tsv -o t.safetensors --diameter-ang 135 --width 2 --steps 2 "
        "--init random --particles-per-micrograph 9"
    )
    stacked = run_words(
        "stack labels.tsv -m mics -o stacks --box-px 8 --voltage-kv 300 --cs-mm 2.7"
    )

    assert text in trained.stderr
    assert text in stacked.stderr
