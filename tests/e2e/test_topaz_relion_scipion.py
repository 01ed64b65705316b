"""RELION and Scipion as clients of Topaz can read the files that cryopick-topaz writes.

The commands are those of the clients (RELION writes shell scripts, others start
the program directly), with fewer training steps. Micrographs are those of tests/tiny.py,
preprocessed as by each client.

All tests use one detector, trained once by RELION's training command.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from tests.e2e.conftest import SHAPE, as_relion_reads, run, z_scored

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc

pytestmark = pytest.mark.slow

QUICK = "--units 2 --epoch-size 33"  # appended where a client lets its user append options


def relion_project(folder):
    """Write what RELION writes before training: binned, standardised images, no pixel size."""
    proc = folder / "proc"
    proc.mkdir(parents=True)
    lists = {"train": ([], []), "test": ([], [])}
    for number in range(3):
        image, xy = tiny.blobs(number, SHAPE)
        name = f"mic{number:06d}"
        write_mrc(proc / f"{name}.mrc", z_scored(image), pixel_size_ang=None)
        images, targets = lists["test" if number == 2 else "train"]
        images.append(f"{name}\t{proc / name}.mrc")
        targets += [f"{name}\t{int(x)}\t{int(y)}" for x, y in xy]
    for side, (images, targets) in lists.items():
        (proc / f"image_list_{side}.txt").write_text("\n".join(["image_name\tpath", *images, ""]))
        header = "image_name\tx_coord\ty_coord"
        (proc / f"target_list_{side}.txt").write_text("\n".join([header, *targets, ""]))
    return folder


def relion_script(path, words):
    """RELION writes a script and has the shell run it, its output appended to a log."""
    path.write_text(f"#!/bin/bash\n{words}\n")
    log = path.with_suffix(".log")
    done = subprocess.run(
        f"sh {path} >> {log} 2>&1", shell=True, cwd=path.parent, timeout=300, check=False
    )
    return done.returncode, log.read_text()


@pytest.fixture(scope="module")
def trained(topaz, tmp_path_factory):
    """A RELION job that has trained."""
    job = relion_project(tmp_path_factory.mktemp("relion") / "AutoPick" / "job007")
    out = f"{job}/"
    words = (
        f"{topaz} train  -n 8 -r 2 -d 0 -o {out}model_training.txt --num-threads=1 "
        f"--num-workers=1 --train-images={out}proc/image_list_train.txt "
        f"--test-images={out}proc/image_list_test.txt "
        f"--train-targets={out}proc/target_list_train.txt "
        f"--test-targets={out}proc/target_list_test.txt --save-prefix={out}model {QUICK}"
    )
    status, log = relion_script(job / "topaz_train.bash", words)
    assert status == 0, log
    shutil.rmtree(job / "proc")
    return job


def test_relion_training_leaves_a_model_for_each_epoch_and_nothing_else(trained):
    names = sorted(path.name for path in trained.glob("*.sav"))

    assert names == sorted(f"model_epoch{epoch}.sav" for epoch in range(1, 11))
    others = {path.name for path in trained.iterdir()} - set(names)
    assert others == {"topaz_train.bash", "topaz_train.log", "model_training.txt"}


def test_the_training_curve_has_the_columns_that_are_parsed(trained):
    header, *rows = [
        line.split("\t") for line in (trained / "model_training.txt").read_text().splitlines()
    ]

    assert header[:6] == ["epoch", "iter", "split", "loss", "ge_penalty", "precision"]
    assert header[-3:] == ["tpr", "fpr", "auprc"]
    for row in rows:
        values = dict(zip(header, row, strict=True))
        assert (values["auprc"] == "-") is (values["split"] == "train")
        assert (values["ge_penalty"] == "-") is (values["split"] == "test")
    best = max((row for row in rows if row[2] == "test"), key=lambda row: float(row[5]))
    assert (trained / f"model_epoch{int(best[0])}.sav").exists()  # as cryoSPARC chooses


@pytest.fixture
def ranks(trained, tmp_path):
    """A RELION picking job with the image of one rank, and how RELION picks it."""
    (tmp_path / "proc").mkdir()
    image, _ = tiny.blobs(5, SHAPE)
    write_mrc(tmp_path / "proc" / "rank000000.mrc", z_scored(image), pixel_size_ang=None)

    def pick(program, options, extra=""):
        out = f"{tmp_path}/proc/rank000000"
        words = f"{program} extract  {options} -o {out}.txt {out}.mrc {extra}"
        status, log = relion_script(tmp_path / "rank000000.bash", words)
        return status, log, tmp_path / "proc" / "rank000000.txt"

    return pick


def test_relion_picks_one_micrograph_in_raw_pixels(topaz, trained, ranks):
    model = f"-m {trained}/model_epoch10.sav"

    status, log, output = ranks(topaz, f"-t -9 -r 6 -d -1 -x 4 {model}", "--num-workers 4")

    assert status == 0, log
    found = as_relion_reads(output)
    assert len(found) > 3
    assert (np.diff(found[:, 2]) <= 0).all()
    assert (found[:, :2] % 1 == 0).all()
    assert found[:, 0].max() > SHAPE[1]  # pixels are those before binning by 4
    assert (found[:, :2] <= 4 * np.array(SHAPE[::-1])).all()


def test_relion_picks_without_a_model_of_its_own(topaz, ranks):
    status, log, output = ranks(topaz, "-t -6 -r 6 -d -1 -x 4")

    assert status == 0, log
    found = as_relion_reads(output)
    _, known = tiny.blobs(5, SHAPE)
    best = found[: tiny.PER_MICROGRAPH, :2] / 4
    near = np.hypot(*(best[:, None] - known).transpose(2, 0, 1)).min(axis=1) < 4
    assert near.sum() >= 3


def test_no_picks_are_a_header_alone(topaz, trained, ranks):
    model = f"-m {trained}/model_epoch10.sav"

    status, _, output = ranks(topaz, f"-t 1000 -r 6 -d -1 -x 4 {model}")

    assert status == 0
    assert output.read_text().split() == ["image_name", "x_coord", "y_coord", "score"]


def test_a_micrograph_that_cannot_be_read_does_not_end_the_whole_job(topaz, trained, ranks):
    image = Path(f"{trained}/broken.mrc")
    image.write_bytes(b"no image")

    status, log, output = ranks(topaz, f"-t -6 -r 6 -d -1 -m {trained}/model_epoch10.sav {image}")

    image.unlink()
    assert status == 1
    assert "broken.mrc" in log
    assert len(as_relion_reads(output)) > 0
    assert "broken" not in output.read_text()


def test_relion_filaments_are_pairs_of_ends(topaz, ranks, tmp_path):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    scores = np.where(abs(y - 40) < 5, 4.0, -9.0).astype(np.float32) + 0.01 * np.sin(x)
    image = tmp_path / "proc" / "rank000000.mrc"
    write_mrc(image, scores, pixel_size_ang=None, overwrite=True)

    options = "--filaments --filaments_length 40 -t -1 -r 6 -d -1 -x 2 -m none"
    status, log, output = ranks(topaz, options)

    assert status == 0, log
    found = as_relion_reads(output)
    assert found.shape == (2, 3)
    assert (found[:, 2] == 0).all()
    assert np.ptp(found[:, 0]) > 2 * 60
    np.testing.assert_allclose(found[:, 1], 2 * 40, atol=6)


def test_relion_external_job_passes_every_option(topaz, trained, tmp_path):
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 2)
    model = trained / "model_epoch10.sav"
    steps = [
        "preprocess `echo mics/*.mrc` --scale 2 --sample 1 --num-workers -1 --format mrc "
        "--device 0 --niters 100 --alpha 900 --beta 1 --verbose --destdir out/PreProcessed",
        f"extract out/PreProcessed/*mrc --model {model} --radius 4 --threshold -9 --up-scale 1 "
        "--batch-size 1 --min-radius 5 --max-radius 100 --step-radius 5 --num-workers -1 "
        "--device 0 --output out/topaz_picks.txt",
        "convert out/topaz_picks.txt --threshold -9 --up-scale 2 --down-scale 1 --voltage -1 "
        "--detector-pixel-size -1 --magnification -1 --amplitude-contrast -1 --boxsize 0 "
        "--image-ext .mrc --verbose 1 --output out/topaz_picks_scaled.txt",
    ]

    for step in steps:
        run(["bash", "-c", f"{topaz} {step}"], tmp_path)

    made = read_micrograph(tmp_path / "out" / "PreProcessed" / "mic_0.mrc")
    assert made.pixels.dtype == np.float32
    assert made.pixels.shape == (48, 56)
    assert made.pixel_size_ang == pytest.approx(2 * tiny.PIXEL_ANG)
    rows = [r.split("\t") for r in (tmp_path / "out" / "topaz_picks.txt").read_text().splitlines()]
    scaled = (tmp_path / "out" / "topaz_picks_scaled.txt").read_text().splitlines()
    for row, line in zip(rows[1:], scaled[1:], strict=True):
        name, x, y, score = line.split("\t")
        assert [name, int(x), int(y), score] == [row[0], 2 * int(row[1]), 2 * int(row[2]), row[3]]
    assert {row[0] for row in rows[1:]} == {"mic_0", "mic_1"}


def roughness(image):
    """Standard deviation between neighbouring pixels, in those of the image."""
    return np.diff(image, axis=1).std() / image.std()


@pytest.mark.parametrize("name", ["topaz", "relion_python_topaz"])
def test_the_manual_picker_of_relion_shows_a_denoised_micrograph(topaz, tmp_path, name):
    """RELION 4 runs the program that the user names, RELION 5 one of a fixed name."""
    raw = tmp_path / "MotionCorr" / "grid1_1.5um_aligned.mrc"
    raw.parent.mkdir()
    image = tiny.blobs(3, SHAPE)[0] + np.random.default_rng(0).normal(0, 2, SHAPE)
    write_mrc(raw, image.astype(np.float32), pixel_size_ang=(5.0, 5.0))
    out = tmp_path / "ManualPick" / "job004" / "denoised"
    out.mkdir(parents=True)
    words = (
        f"{topaz.with_name(name)} denoise {raw} --output {out}/ --device 0 --patch-size 1024 "
        "--patch-padding 256 --normalize"
    )

    status, log = relion_script(out / "topaz_denoise.bash", words)

    assert status == 0, log
    made = read_micrograph(out / raw.name)
    assert made.pixel_size_ang == pytest.approx(5.0)
    assert made.pixels.shape == SHAPE
    assert made.pixels.mean() == pytest.approx(0, abs=1e-3)
    assert made.pixels.std() == pytest.approx(1, abs=1e-3)
    assert roughness(made.pixels) < 0.5 * roughness(image)


def test_the_manual_picker_of_relion_reports_a_bad_micrograph(topaz, tmp_path):
    (tmp_path / "bad.mrc").write_bytes(b"no micrograph")

    words = f"{topaz} denoise {tmp_path}/bad.mrc --output {tmp_path}/out/ --device 0 --normalize"
    status, log = relion_script(tmp_path / "topaz_denoise.bash", words)

    assert status != 0  # RELION then shows the raw micrograph
    assert "bad.mrc" in log
    assert not (tmp_path / "out" / "bad.mrc").exists()


def as_scipion_reads(path):
    """Names are micrograph ids; the header is skipped."""
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return [(int(name), round(float(x)), round(float(y))) for name, x, y, _ in rows]


def test_scipion_with_patterns_that_no_shell_expands(topaz, trained, tmp_path):
    (tmp_path / "raw").mkdir()
    for number in (7, 12):
        image, _ = tiny.blobs(number, SHAPE)
        write_mrc(tmp_path / "raw" / f"{number:06d}.mrc", image, pixel_size_ang=(5.0, 5.0))
    output = tmp_path / "picks.txt"

    run([topaz, "preprocess", f"{tmp_path}/raw/*.mrc", "-o", f"{tmp_path}/pre/", "--scale", "2",
         "--num-workers", "1", "--device", "0"], tmp_path)  # fmt: skip
    run([topaz, "extract", "-t", "-9", "-r", "6", "-m", f"{trained}/model_epoch10.sav", "-o",
         str(output), "--num-workers", "1", "--device", "0", f"{tmp_path}/pre/*.mrc"],
        tmp_path)  # fmt: skip

    assert {name for name, _, _ in as_scipion_reads(output)} == {7, 12}
    run([topaz, "extract", "-t", "1000", "-r", "6", "-m", "none", "-o", f"{tmp_path}/zero.txt",
         f"{tmp_path}/pre/*.mrc"], tmp_path)  # fmt: skip
    assert (tmp_path / "zero.txt").stat().st_size > 0  # what the plugin waits for


def test_scipion_denoises_before_it_preprocesses_and_picks(topaz, trained, tmp_path):
    (tmp_path / "raw").mkdir()
    for number in (7, 12):
        image, _ = tiny.blobs(number, SHAPE)
        write_mrc(tmp_path / "raw" / f"{number:06d}.mrc", image, pixel_size_ang=(5.0, 5.0))
    (tmp_path / "raw" / "denoise").mkdir()
    steps = [
        "denoise raw/*.mrc -o raw/denoise/ --model affineresnet8 --device 0 --patch-size 64 "
        "--normalize",
        "preprocess raw/denoise/*.mrc -o pre/ --scale 2 --num-workers 1 --device 0",
        f"extract -t -9 -r 6 -m {trained}/model_epoch10.sav -o picks.txt --num-workers 1 "
        "--device 0 pre/*.mrc",
    ]

    for step in steps:
        run(f"{topaz} {step}", tmp_path)

    names = sorted(path.name for path in (tmp_path / "raw" / "denoise").iterdir())
    assert names == ["000007.mrc", "000012.mrc"]
    assert {name for name, _, _ in as_scipion_reads(tmp_path / "picks.txt")} == {7, 12}


def test_scipion_goes_on_from_a_model_and_takes_the_last_one_listed(topaz, trained, tmp_path):
    job = relion_project(tmp_path / "job")
    words = (
        f"train --radius 3 --autoencoder 0 --num-epochs 2 --model {trained}/model_epoch10.sav "
        "--method GE-binomial --num-particles 8 --train-images proc/image_list_train.txt "
        "--train-targets proc/target_list_train.txt --test-images proc/image_list_test.txt "
        "--test-targets proc/target_list_test.txt --num-workers 1 --device 0 "
        "--save-prefix out/model -o out/model_training.txt --epoch-size 33"
    )

    run(f"{topaz} {words}", job)

    saved = sorted(path.name for path in (job / "out").iterdir() if path.suffix == ".sav")
    assert saved == ["model_epoch1.sav", "model_epoch2.sav"]


def test_tables_beside_each_micrograph(topaz, trained, tmp_path):
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 2)

    run([topaz, "extract", "-r", "6", "-t", "-9", "-m", f"{trained}/model_epoch10.sav",
         "--per-micrograph", "--suffix", "_p", "--format", "star", "-o", "each", "mics/mic_*.mrc"],
        tmp_path)  # fmt: skip

    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == [
        "mic_0_p.star",
        "mic_1_p.star",
    ]
