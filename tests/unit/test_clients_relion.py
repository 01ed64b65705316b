"""External jobs of RELION: marker files, coordinate files, and abort requests."""

import sys
import threading
import time

import numpy as np
import pytest
import tifffile
from gemmi import cif
from tests import tiny

from cryopick.clients.relion import invert_tiff, run_job, write_coordinates
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks

PYTHON = sys.executable


def markers(folder):
    return sorted(path.name for path in folder.glob("RELION_JOB_*"))


def column(path, tag):
    values = next(iter(block.find_loop(tag) for block in cif.read(str(path)) if block))
    return [cif.as_string(value) for value in values]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A RELION project with motion-corrected micrographs and their list."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "MotionCorr" / "job002" / "Movies"
    folder.mkdir(parents=True)
    tiny.micrographs(folder, 2)
    names = [f"MotionCorr/job002/Movies/mic_{i}.mrc" for i in range(2)]
    rows = "\n".join(f"{name} 1" for name in names)
    (tmp_path / "micrographs.star").write_text(
        f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{rows}\n"
    )
    return tmp_path


def test_a_pick_job_writes_the_outputs_of_relion(project, run_words):
    tiny.model("m.safetensors")
    (project / "External" / "job005").mkdir(parents=True)
    (project / "External" / "job005" / "RELION_JOB_EXIT_FAILURE").touch()  # of a run before

    run_words(
        "relion-job --o External/job005/ --in_mics micrographs.star --model m.safetensors "
        "--threshold -100 --radius_ang 150 --j 1"
    )

    job = project / "External" / "job005"
    assert markers(job) == ["RELION_JOB_EXIT_SUCCESS"]
    listed = column(job / "autopick.star", "_rlnMicrographCoordinates")
    assert listed == [f"External/job005/Movies/mic_{i}_autopick.star" for i in range(2)]
    assert column(job / "RELION_OUTPUT_NODES.star", "_rlnPipeLineNodeName") == [
        "External/job005/autopick.star"
    ]
    found = read_picks(job / "autopick.star")
    assert found.micrographs == tuple(f"MotionCorr/job002/Movies/mic_{i}.mrc" for i in range(2))
    assert len(found) == len(read_picks(job / "picks.json")) > 0


def test_a_training_job_writes_a_model(project, run_words):
    run_words(
        "relion-job --o External/job004/ --in_mics micrographs.star --in_coords "
        "MotionCorr/job002/labels.tsv --diameter_ang 135 --particles_per_micrograph 9 "
        "--width 2 --steps 2 --init random --j 1"
    )

    job = project / "External" / "job004"
    assert markers(job) == ["RELION_JOB_EXIT_SUCCESS"]
    assert (job / "model.safetensors").exists()
    assert column(job / "RELION_OUTPUT_NODES.star", "_rlnPipeLineNodeTypeLabel") == [
        "ParamsData.sav.topaz.model"
    ]


def test_a_failed_job_writes_the_failure_marker(project, run_words):
    run_words("relion-job --o E/job1/ --in_mics micrographs.star --model none.st", status=1)

    assert markers(project / "E" / "job1") == ["RELION_JOB_EXIT_FAILURE"]
    assert not (project / "E" / "job1" / "RELION_OUTPUT_NODES.star").exists()


def test_an_abort_request_of_relion_stops_the_job(tmp_path):
    def ask():
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        (tmp_path / "RELION_JOB_ABORT_NOW").touch()

    threading.Thread(target=ask, daemon=True).start()
    code = (
        f"import pathlib, time; pathlib.Path({str(tmp_path / 'begun')!r}).touch(); time.sleep(60)"
    )
    began = time.monotonic()
    status = run_job(tmp_path, [PYTHON, "-c", code], finish=pytest.fail, poll_s=0.05)

    assert status == 130
    assert time.monotonic() - began < 30
    assert markers(tmp_path) == ["RELION_JOB_EXIT_ABORTED"]


def test_a_job_whose_outputs_cannot_be_written_has_failed(tmp_path):
    def broken(status):
        raise ValueError(f"no outputs after {status}")

    with pytest.raises(ValueError, match="no outputs after 0"):
        run_job(tmp_path, [PYTHON, "-c", ""], broken, poll_s=0.05)

    assert markers(tmp_path) == ["RELION_JOB_EXIT_FAILURE"]


def test_the_thread_count_of_relion_is_used(tmp_path):
    code = "import os, sys; sys.exit(int(os.environ['OMP_NUM_THREADS']))"
    told = []

    run_job(tmp_path, [PYTHON, "-c", code], told.append, threads=3, poll_s=0.05)

    assert told == [3]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("MotionCorr/job002/Movies/a.mrc", "Movies/a_autopick.star"),
        ("Micrographs/a.b.mrc", "Micrographs/a.b_autopick.star"),
        ("a.mrc", "a_autopick.star"),
    ],
)
def test_coordinate_files_follow_the_paths_of_the_micrographs(name, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    write_coordinates(Picks.for_micrograph(name, np.array([[3.25, 4.0]])), Path("External/job007"))

    (x,) = column(tmp_path / "External" / "job007" / file, "_rlnCoordinateX")
    assert float(x) == 3.25


def test_coordinates_on_tiff_micrographs_are_inverted_and_others_kept(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.tif", "b.mrc", "c.TIFF", "unread.tif")]
    for name, height in (("a.tif", 40), ("c.TIFF", 64)):
        tifffile.imwrite(tmp_path / name, np.random.default_rng(0).normal(size=(height, 50)))
    picks = Picks(
        micrographs=tuple(paths),
        index=np.array([0, 1, 2, 0]),
        xy_px=np.array([[3.0, 5.5], [3, 5], [3, 5], [0, 39]]),
        score=np.arange(4.0),
    )

    inverted, tiff_count = invert_tiff(picks)

    assert tiff_count == 2
    assert inverted.xy_px.tolist() == [[3, 33.5], [3, 5], [3, 58], [0, 0]]
    np.testing.assert_array_equal(invert_tiff(inverted)[0].xy_px, picks.xy_px)


def test_a_job_on_tiff_converts_coordinates_and_reports_it(tmp_path, run_words):
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 1)
    image = np.asarray(read_micrograph(tmp_path / "mics/mic_0.mrc").pixels)
    tifffile.imwrite(tmp_path / "mics/t.tif", image)
    tiny.model("m.safetensors")
    rows = f"mics/mic_0.mrc {tiny.PIXEL_ANG}\nmics/t.tif {tiny.PIXEL_ANG}\n"
    (tmp_path / "mics.star").write_text(
        f"data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnMicrographPixelSize\n{rows}"
    )

    run_words("relion-job --o J/job1/ --in_mics mics.star --model m.safetensors --threshold -100")
    told = run_words("pick mics.star --model m.safetensors --threshold -100 -o picks.star").stderr

    job = tmp_path / "J/job1/mics"
    mrc, tiff = (read_picks(job / f"{name}_autopick.star").xy_px for name in ("mic_0", "t"))
    np.testing.assert_allclose(tiff, np.column_stack([mrc[:, 0], len(image) - 1 - mrc[:, 1]]))
    assert "1 TIFF micrograph. RELION" in told
