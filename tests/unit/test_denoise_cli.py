"""`cryopick denoise`: names, headers, resuming, bad files."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from tests import tiny


@pytest.fixture
def run(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", pixel_size_ang=(5.0, 5.0))
    return run_words


def test_outputs_have_the_name_size_and_pixel_size_of_the_input(run):
    result = run("denoise mics -o out --device cpu")

    assert "3 micrographs written to out" in result.stderr
    for number in range(3):
        raw = tiny.blobs(number)[0]
        with mrcfile.open(f"out/mic_{number}.mrc") as mrc:
            assert mrc.data.shape == raw.shape
            assert float(mrc.voxel_size.x) == pytest.approx(5.0)
            assert mrc.data.dtype == np.float32
            assert mrc.data.mean() == pytest.approx(raw.mean(), abs=1.5)
            assert mrc.data.std() < raw.std()
    assert "working_size_ang = 4.0" in Path("out/settings.toml").read_text()


def test_a_run_is_resumed_and_outputs_are_overwritten_only_with_force(run):
    Path("mics/mic_1.mrc").rename("mic_1.mrc")
    run("denoise mics -o out --device cpu")
    before = Path("out/mic_0.mrc").stat().st_mtime_ns
    Path("mic_1.mrc").rename("mics/mic_1.mrc")

    result = run("denoise mics -o out --device cpu")
    assert "resuming from the finished results" in result.stderr
    assert Path("out/mic_1.mrc").exists()
    assert Path("out/mic_0.mrc").stat().st_mtime_ns == before

    line = "denoise mics -o out --device cpu --gaussian-px 2"
    assert "already exists; overwrite it with --force" in run(line, status=1).stderr
    run(f"{line} --force")
    assert Path("out/mic_0.mrc").stat().st_mtime_ns != before


def test_bad_files_are_skipped(run):
    Path("mics/mic_1.mrc").write_bytes(b"")

    result = run("denoise mics -o out --device cpu", status=1)

    assert "2 micrographs written to out" in result.stderr
    assert "skipped mics/mic_1.mrc: the file is empty" in result.stderr


def test_the_pixel_size_of_the_options_is_written_and_needed_by_a_low_pass(run):
    for path in Path("mics").iterdir():
        with mrcfile.open(path, mode="r+") as mrc:
            mrc.voxel_size = 0

    line = "denoise mics/mic_0.mrc -o out --device cpu --low-pass-ang 40"
    assert "add --pixel-size-ang" in run(line, status=1).stderr
    run(f"{line} --pixel-size-ang 3")

    with mrcfile.open("out/mic_0.mrc") as mrc:
        assert float(mrc.voxel_size.x) == pytest.approx(3.0)
