"""cryoSPARC, EMAN, REPIC and Appion as clients of Topaz, and what holds for every client.

The commands are composed as the clients compose them; only numbers that decide how long training
takes are smaller. Micrographs are those of tests/tiny.py, made as each client makes them before it
calls.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from tests.e2e.conftest import SHAPE, as_relion_reads, run, z_scored

from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.images.mrc import write_mrc

pytestmark = pytest.mark.slow


def test_cryosparc_from_version_to_picks(topaz, tmp_path):
    version = run([topaz, "--version"], tmp_path)
    assert re.fullmatch(r"\d+\.\d+\.\d+", (version.stdout + version.stderr).strip())
    (tmp_path / "raw").mkdir()
    uids = [f"{10**20 + number}_grid1.5um_patch_aligned" for number in range(3)]
    raw = ["image_name\tx_coord\ty_coord"]
    for number, uid in enumerate(uids):
        image, xy = tiny.blobs(number, SHAPE)
        write_mrc(tmp_path / "raw" / f"{uid}.mrc", image, pixel_size_ang=(5.0, 5.0))
        raw += [f"{uid}\t{round(x)}\t{round(y)}" for x, y in xy]
    job = tmp_path / "J9"
    job.mkdir()
    (job / "topaz_particles_raw.txt").write_text("\n".join([*raw, ""]))
    listed = job / "args.txt"
    mics = [str(tmp_path / "raw" / f"{uid}.mrc") for uid in uids]
    listed.write_text("\n".join(["--scale", "2", "-o", f"{job}/preprocessed", *mics]))
    processed = f"{job}/topaz_particles_processed"

    run([topaz, "preprocess", "--niters", "200", "--num-workers", "2", f"@{listed}"], tmp_path)
    run([topaz, "convert", "--down-scale", "2", "--threshold", "0", "-o", f"{processed}.txt",
         f"{job}/topaz_particles_raw.txt"], tmp_path)  # fmt: skip
    run([topaz, "train_test_split", "--number", "1", "--seed", "9", "--image-dir",
         f"{job}/preprocessed", f"{processed}.txt"], tmp_path)  # fmt: skip
    train = (
        f"train --train-images {job}/image_list_train.txt --train-targets {processed}_train.txt "
        f"--test-images {job}/image_list_test.txt --test-targets {processed}_test.txt "
        "--num-particles 8 --learning-rate 0.0002 --minibatch-size 128 --num-epochs 2 "
        "--method GE-binomial --slack -1 --autoencoder 0 --l2 0.0 --minibatch-balance 0.0625 "
        "--epoch-size 33 --model conv31 --units 2 --dropout 0.0 --bn on --unit-scaling 2 --ngf 32 "
        "--num-workers 2 --cross-validation-seed 1 --radius 3 --device 0 --no-pretrained "
        f"--save-prefix={job}/models/model -o {job}/train_test_curve.txt"
    )
    run(f"{topaz} {train}", tmp_path)
    extract = (
        "extract --radius 6 --threshold -9 --up-scale 2 --assignment-radius -1 --min-radius 5 "
        "--max-radius 100 --step-radius 5 --num-workers 2 --device 0 "
        f"--model {job}/models/model_epoch2.sav -o {job}/topaz_particles_prediction.txt "
    )
    done = run(f"{topaz} {extract} {job}/preprocessed/{uids[0]}.mrc", tmp_path)

    assert done.stdout == ""
    header, *rows = (job / "topaz_particles_prediction.txt").read_text().splitlines()
    assert header.split("\t") == ["image_name", "x_coord", "y_coord", "score"]
    assert {row.split("\t")[0] for row in rows} == {uids[0]}
    assert len((job / "train_test_curve.txt").read_text().splitlines()) == 1 + 2 * 2


def test_five_thousand_micrographs_fit_on_the_command_line(topaz, tmp_path):
    (tmp_path / "maps").mkdir()
    scores = np.full((8, 8), -9.0, np.float32)
    scores[3, 5] = 2.5
    write_mrc(tmp_path / "map.mrc", scores, pixel_size_ang=None)
    paths = [tmp_path / "maps" / f"{n:021d}_FoilHole_{n}_Data_fractions.mrc" for n in range(5000)]
    for path in paths:
        path.symlink_to(tmp_path / "map.mrc")
    some = "\n".join(map(str, paths[:100]))  # a file and a pipe have no length to fit in
    (tmp_path / "args").write_text(some)
    words = [topaz, "extract", "-m", "none", "-r", "3", "-x", "2", "-d", "-1"]

    run([*words, "-o", "a.txt", *paths], tmp_path)
    piped = run([*words], tmp_path, input=some)
    run([*words, "@args", "-o", "b.txt"], tmp_path)

    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert lines[1] == f"{paths[0].stem}\t10\t6\t2.5"
    assert len(lines) == 5001
    assert (tmp_path / "b.txt").read_text() == piped.stdout
    assert piped.stdout.splitlines() == lines[:101]


def test_eman_reads_integers_and_uses_a_pretrained_name(topaz, tmp_path):
    for folder in ("boxfiles", "topaz/mrc_micro"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(2):
        image, xy = tiny.blobs(number, SHAPE)
        write_mrc(tmp_path / f"topaz/mrc_micro/m{number}.mrc", image, pixel_size_ang=(5.0, 5.0))
        boxes = [f"{round(x) - 8}\t{round(y) - 8}\t16\t16" for x, y in xy]
        (tmp_path / "boxfiles" / f"m{number}.box").write_text("\n".join([*boxes, ""]))
    steps = [
        "convert -s 2 -o topaz/processed/particles/particles.txt boxfiles/*.box",
        "preprocess -s 2 -o topaz/processed/micrographs/ topaz/mrc_micro/*.mrc",
        "train --train-images topaz/processed/micrographs/ --train-targets "
        "topaz/processed/particles/particles.txt --radius 3 --model conv31 --image-ext .mrc "
        "--method GE-binomial --autoencoder 0 --num-particles 8.0 --epoch-size 33.0 "
        "--num-epochs 10 --num-workers 1 --device 0 --save-prefix topaz/model "
        "--output topaz/results.txt --units 2",
        "extract topaz/processed/micrographs/m0.mrc topaz/processed/micrographs/m1.mrc "
        "--model topaz/model_epoch10.sav --radius 6.0 --threshold -9 --num-workers 1 "
        "--output topaz/small.txt",
        "convert -x 2 -o topaz/full.txt topaz/small.txt",
    ]

    for step in steps:
        run(["bash", "-c", f"{topaz} {step}"], tmp_path)

    lines = (tmp_path / "topaz" / "full.txt").read_text().splitlines()
    coordinates = [[int(cell) for cell in line.split("\t")[1:3]] for line in lines[1:]]
    assert coordinates
    assert max(x for x, _ in coordinates) > SHAPE[1] // 2


def test_repic_reads_and_writes_box_files(topaz, tmp_path):
    (tmp_path / "mrc").mkdir()
    (tmp_path / "box").mkdir()
    for number in range(2):
        image, xy = tiny.blobs(number, SHAPE)
        write_mrc(tmp_path / "mrc" / f"m{number}.mrc", image, pixel_size_ang=(5.0, 5.0))
        rows = [f"{round(x) - 8}\t{round(y) - 8}\t16\t16\t0.9" for x, y in xy]
        (tmp_path / "box" / f"m{number}.box").write_text("\n".join([*rows, ""]))
    data = "--train-images pre/ --train-targets p.txt --test-images pre/ --test-targets p.txt"
    steps = [
        "preprocess -s 2 --sample 1 -o pre/ mrc/m0.mrc mrc/m1.mrc",
        "convert -s 2 -o p.txt box/m0.box box/m1.box",
        "train --num-particles 8 --num-workers 8 --minibatch-size 64 --minibatch-balance 0.0625 "
        f"--model resnet16 {data} --save-prefix out/model --no-pretrained -o out/curve.txt "
        "--num-epochs 1 --units 2 --epoch-size 33",
        "extract -r 4 -x 2 -m out/model_epoch1.sav -t -9 -o picks.txt pre/m0.mrc pre/m1.mrc",
    ]

    for step in steps:
        run(["bash", "-c", f"{topaz} {step}"], tmp_path)

    rows = [line.split("\t") for line in (tmp_path / "picks.txt").read_text().splitlines()[1:]]
    assert {row[0] for row in rows} <= {"m0", "m1"}
    assert all(float(row[3]) >= -9 for row in rows)
    assert rows


def test_appion_and_relion_get_a_denoised_micrograph(topaz, tmp_path):
    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 1)
    appion = "denoise mics/mic_0.mrc --format mrc --model unet --patch-size -1 --patch-padding 128"
    relion = (
        "denoise mics/mic_0.mrc --output out/ --device 0 --patch-size 1024 --patch-padding 256 "
        "--normalize"
    )

    for words in (f"{appion} --output run", relion):
        assert run(f"{topaz} {words}", tmp_path).stdout == ""

    for folder in ("run", "out"):
        assert read_micrograph(tmp_path / folder / "mic_0.mrc").pixels.shape == (96, 112)


def test_a_topaz_detector_gives_the_rows_of_topaz(topaz, tmp_path):
    peer = Path(__file__).parents[2] / ".peer" / "bin" / "topaz"
    if not peer.exists():
        pytest.skip("Topaz is not installed here: `make bench-peer` installs it")
    (detector,) = peer.parents[1].glob(
        "lib/*/site-packages/topaz/pretrained/detector/resnet8_u32.sav"
    )
    write_mrc(tmp_path / "a.mrc", z_scored(tiny.blobs(1, (144, 160))[0]), pixel_size_ang=None)
    words = ["extract", "-r", "6", "-x", "4", "-t", "-6", "-d", "-1", "a.mrc"]

    theirs = run([peer, *words, "-m", "resnet8_u32", "-o", "theirs.txt"], tmp_path)
    ours = run([topaz, *words, "-m", detector, "-o", "ours.txt"], tmp_path)

    assert theirs.stdout == ours.stdout == ""
    rows = [as_relion_reads(tmp_path / name) for name in ("theirs.txt", "ours.txt")]
    scores_at = [{(x, y): score for x, y, score in found} for found in rows]
    common = scores_at[0].keys() & scores_at[1].keys()
    # Topaz suppresses a few positions at the edges that have no picked neighbour.
    assert len(common) >= 0.9 * max(map(len, scores_at))
    assert len(common) > 50
    for position in common:
        assert scores_at[0][position] == pytest.approx(scores_at[1][position], abs=1e-3)
