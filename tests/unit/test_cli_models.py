"""`cryopick models`: metadata of model files."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests import tiny

from cryopick.model.architectures import NetworkSettings


def test_show_prints_all_metadata_of_a_model(run_words):
    tiny.model("a.safetensors", settings={"steps": 12, "pixel_size_ang": None})

    facts = json.loads(run_words("models show a.safetensors --json").stdout)
    text = run_words("models show a.safetensors").stdout

    assert facts["network"] == {"name": "conv31", "width": 2, "dropout": NetworkSettings().dropout}
    assert (facts["receptive_field_px"], facts["stride_px"]) == (31, 4)
    assert facts["summary"]["settings"] == {"steps": 12, "pixel_size_ang": None}
    lines = [line.split() for line in text.splitlines()]
    assert ["diameter", "135", "Å"] in lines
    assert ["receptive", "field", "31", "px"] in lines
    assert ["steps", "12"] in lines
    assert "None" not in text


def test_info_prints_the_same_for_a_model(run_words):
    tiny.model("a.safetensors")

    shown = run_words("models show a.safetensors").stdout.splitlines()
    told = run_words("info a.safetensors").stdout.splitlines()

    assert set(shown) <= set(told)


def test_list_prints_one_line_per_model_and_skips_other_files(run_words):
    tiny.model("b.safetensors")
    tiny.model("a.safetensors")
    save_file({"w": np.zeros(1, np.float32)}, "other.safetensors")

    result = run_words("models list")

    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "a.safetensors",
        "b.safetensors",
    ]
    assert (
        "skipped other.safetensors: a safetensors file, but not a cryopick model" in result.stderr
    )
    assert set(json.loads(run_words("models list . --json").stdout)) == {
        "a.safetensors",
        "b.safetensors",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.safetensors: no such model file"),
        (b"", "a.safetensors: not a safetensors file"),
        (b"\xff" * 100, "a.safetensors: not a safetensors file"),
    ],
)
def test_a_file_that_is_not_a_model_is_reported_in_one_line(run_words, content, message):
    if content is not None:
        Path("a.safetensors").write_bytes(content)

    assert message in run_words("models show a.safetensors", status=1).stderr


def test_a_missing_folder_is_reported(run_words):
    assert "nowhere: no such folder" in run_words("models list nowhere", status=1).stderr
