"""RELION itself reads what we write: extraction, stacks, and an average that shows the molecule.

Skipped where RELION is not installed; with REQUIRE_RELION=1 in the environment that is a failure.
"""

import csv
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryopick.clients.relion import invert_tiff, write_coordinates
from cryopick.evaluate.matching import match_picks
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate

pytestmark = pytest.mark.slow

PIXEL_ANG, BOX_PX, DIAMETER_ANG = 3.0, 80, 130
RADIUS_PX = DIAMETER_ANG / PIXEL_ANG / 2
MICROGRAPHS = """\
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographOriginalPixelSize #3
_rlnMicrographPixelSize #4
_rlnVoltage #5
_rlnSphericalAberration #6
_rlnAmplitudeContrast #7
opticsGroup1 1 {pixel} {pixel} 300 2.7 0.1

# version 30001

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
{rows}

"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder as RELION knows it, with simulated micrographs and their true particles."""
    if shutil.which("relion_preprocess") is None:
        if os.environ.get("REQUIRE_RELION") == "1":
            pytest.fail("RELION is required (REQUIRE_RELION=1) and relion_preprocess is not there")
        pytest.skip("RELION is not installed: no relion_preprocess")
    folder = tmp_path_factory.mktemp("project")
    cryopick(
        folder,
        "simulate data --count 2 --particles 40 --molecule compact --clean --seed 3",
        f"--width-px 640 --height-px 640 --pixel-size-ang {PIXEL_ANG}",
    )
    names = sorted(path.relative_to(folder) for path in folder.glob("data/micrographs/*.mrc"))
    rows = "\n".join(f"{name} 1" for name in names)
    (folder / "micrographs.star").write_text(MICROGRAPHS.format(pixel=PIXEL_ANG, rows=rows))
    return folder


def cryopick(folder, *words):
    from typer.testing import CliRunner

    from cryopick.cli import app

    here = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(app, " ".join(words).split())
    finally:
        os.chdir(here)
    assert result.exit_code == 0, result.output


def relion(folder, command):
    done = subprocess.run(
        command.split(), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def extracted(folder, table, name):
    """Images that relion_preprocess cuts at the picks of a table, which cryopick converts."""
    cryopick(folder, f"convert {table} -o {name}/data/micrographs/ --to star")
    relion(
        folder,
        f"relion_preprocess --i micrographs.star --coord_dir {name}/ --coord_suffix _autopick.star "
        f"--part_star {name}/out/particles.star --part_dir {name}/out/ --extract "
        f"--extract_size {BOX_PX} --norm --bg_radius {BOX_PX // 2 - 4} --invert_contrast",
    )
    return images_of(folder, folder / name / "out" / "particles.star")


def images_of(folder, star):
    """The images that the rows of a STAR file name, in order, read without our own code."""
    from gemmi import cif

    stacks, images = {}, []
    for value in cif.read(str(star)).find_block("particles").find_loop("_rlnImageName"):
        number, _, path = cif.as_string(value).partition("@")
        if path not in stacks:
            stacks[path] = mrcfile.read(folder / path).reshape(-1, BOX_PX, BOX_PX)
        images.append(stacks[path][int(number) - 1])
    return np.array(images)


def contrast(images):
    """Mean of the average's centre over that of a ring outside the particle, in background sds."""
    average = images.mean(axis=0)
    y, x = np.mgrid[:BOX_PX, :BOX_PX] - BOX_PX // 2
    distance = np.hypot(x, y)
    centre = average[distance < 0.4 * RADIUS_PX].mean()
    return centre - average[(distance > 1.3 * RADIUS_PX) & (distance < BOX_PX / 2)].mean()


def at_random(picks, seed=0):
    """Draw as many random positions on each micrograph."""
    xy = np.random.default_rng(seed).uniform(0, 639, (len(picks), 2))
    return Picks.from_columns([picks.micrographs[i] for i in picks.index], xy)


def test_relion_extracts_the_labels_and_their_average_shows_the_molecule(project):
    truth = read_picks(project / "data" / "particles.tsv")
    write_picks(at_random(truth), project / "random.tsv")

    particles = extracted(project, "data/particles.tsv", "labels")
    elsewhere = extracted(project, "random.tsv", "random")

    assert len(particles) == len(elsewhere) == len(truth)
    assert contrast(particles) > 0.4
    assert contrast(particles) > 5 * abs(contrast(elsewhere))


def test_relion_extracts_what_we_pick_and_its_average_shows_the_molecule(project):
    cryopick(project, f"pick data/micrographs -o picks.star --diameter-ang {DIAMETER_ANG}")
    picked = read_picks(project / "picks.star")
    best = picked.select(np.argsort(-picked.score)[:40])
    write_picks(best, project / "best.star")

    particles = extracted(project, "best.star", "picked")

    assert len(particles) == 40
    assert contrast(particles) > 0.4


def test_the_average_of_misplaced_particles_shows_nothing(project):
    truth = read_picks(project / "data" / "particles.tsv")
    turned = truth.invert_y(640)  # the mistake that a wrong convention would make
    write_picks(turned, project / "turned.tsv")

    assert abs(contrast(extracted(project, "turned.tsv", "turned"))) < 0.15


@pytest.fixture(scope="module")
def stacks(project):
    """Our own stacks, of particles at whole pixels: RELION cuts the fractions off."""
    truth = read_picks(project / "data" / "particles.tsv")
    write_picks(replace(truth, xy_px=np.rint(truth.xy_px)), project / "whole.tsv")
    cryopick(
        project,
        f"stack whole.tsv -m data/micrographs -o stacks --box-px {BOX_PX} --invert",
        f"--diameter-ang {DIAMETER_ANG} --voltage-kv 300 --cs-mm 2.7",
    )
    return project / "stacks" / "particles.star"


def test_relion_reads_our_stacks_and_averages_them(project, stacks):
    (project / "classes").mkdir()

    relion(
        project,
        "relion_refine --i stacks/particles.star --o classes/run --iter 1 --K 1 --skip_align "
        f"--particle_diameter {1.3 * DIAMETER_ANG} --tau2_fudge 2 --zero_mask --pad 1 --j 1",
    )

    average = mrcfile.read(project / "classes" / "run_it001_classes.mrcs").reshape(BOX_PX, BOX_PX)
    assert len(images_of(project, stacks)) == len(read_picks(stacks)) > 30
    assert contrast(average[None]) > 0.3


def test_our_images_are_those_that_relion_cuts(project, stacks):
    theirs = extracted(project, "stacks/particles.star", "again")

    ours = images_of(project, stacks)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.corrcoef(mine.ravel(), other.ravel())[0, 1] > 0.98  # RELION takes off a slope


def test_the_classes_of_relion_tell_particles_from_empty_places(project):
    truth = read_picks(project / "data" / "particles.tsv")
    empty = at_random(truth, seed=1)
    clear = match_picks(empty, truth, radius_px=DIAMETER_ANG / PIXEL_ANG) < 0
    empty = empty.select(clear)
    scores = [np.full(len(truth), 3.0), np.full(len(empty), -3.0)]
    tables = zip((truth, empty), scores, strict=True)
    write_picks(concatenate([replace(t, score=s) for t, s in tables]), project / "mixed.star")

    cryopick(
        project,
        "validate classes mixed.star -m data/micrographs -o validated --classes 4 --iterations 6",
        f"--diameter-ang {DIAMETER_ANG} --at 0 --at -4 --truth data/particles.tsv",
    )

    table = (project / "validated/classes.tsv").read_text()
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t"))
    sure, all_of_them = (share_of_junk(rows, number) for number in ("1", "2"))
    real = 1 - len(read_picks(project / "validated/set_1/particles.star")) / len(
        read_picks(project / "validated/set_2/particles.star")
    )
    assert real > 0.25
    assert sure < 0.15
    assert all_of_them == pytest.approx(real, abs=0.15)
    page = (project / "validated/report.html").read_text()
    assert page.count('alt="class average') == sum(row["particles"] != "0" for row in rows)


def share_of_junk(rows, number):
    """Share of the images of a set that are in classes of no particle."""
    own = [row for row in rows if row["set"] == number]
    junk = sum(int(row["particles"]) for row in own if row["rule"] == "junk")
    return junk / sum(int(row["particles"]) for row in own)


def test_relion_cuts_filaments_where_we_do_and_measures_the_same_angles(project):
    cryopick(
        project,
        "simulate helices --count 1 --filaments 3 --diameter-ang 60 --clean --seed 5",
        f"--width-px 480 --height-px 448 --pixel-size-ang {PIXEL_ANG}",
    )
    words = "filaments helices/micrographs --diameter-ang 110 --device cpu"
    cryopick(project, f"{words} -o ends/helices/micrographs/ --ends --format star")
    cryopick(project, f"{words} -o tubes.star --spacing-ang 30")
    name = "helices/micrographs/mic_000.mrc"
    star = MICROGRAPHS.format(pixel=PIXEL_ANG, rows=f"{name} 1")
    (project / "helices.star").write_text(star)

    relion(
        project,
        "relion_preprocess --i helices.star --coord_dir ends/ --coord_suffix _autopick.star "
        f"--part_star cut/particles.star --part_dir cut/ --extract --extract_size {BOX_PX} "
        "--norm --bg_radius 30 --helix --helical_tubes --helical_cut_into_segments "
        "--helical_bimodal_angular_priors "
        "--helical_outer_diameter 110 --helical_nr_asu 1 --helical_rise 30",
    )

    ours, theirs = read_picks(project / "tubes.star"), read_picks(project / "cut/particles.star")
    assert len(theirs) > 10
    tubes = set(theirs.extra["rlnHelicalTubeID"].tolist())
    assert tubes <= set(ours.extra["rlnHelicalTubeID"].tolist())
    for tube in tubes:  # RELION takes a filament to be straight from end to end
        own, other = (t.select(t.extra["rlnHelicalTubeID"] == tube) for t in (ours, theirs))
        psi = [np.median(numbers(table, "rlnAnglePsiPrior")) for table in (own, other)]
        assert abs((psi[0] - psi[1] + 180) % 360 - 180) < 12
        for column in ("rlnAngleTiltPrior", "rlnAnglePsiFlipRatio"):
            assert set(numbers(other, column)) == set(numbers(own, column))


def numbers(table, column):
    """Return a carried column, which keeps the characters of its file, as numbers."""
    return table.extra[column].astype(float)


@pytest.fixture(scope="module")
def tiff_picks(project):
    """True particles on TIFF copies of the micrographs, whose rows are those of the MRC files."""
    import tifffile

    folder = project / "tiff"
    folder.mkdir()
    truth = read_picks(project / "data" / "particles.tsv")
    names = {}
    for path in sorted(project.glob("data/micrographs/*.mrc")):
        tifffile.imwrite(folder / f"{path.stem}.tif", mrcfile.read(path).astype(np.float32))
        names[path.stem] = f"tiff/{path.stem}.tif"
    rows = "\n".join(f"{name} 1" for name in names.values())
    (project / "tiffs.star").write_text(MICROGRAPHS.format(pixel=PIXEL_ANG, rows=rows))
    return truth.rename({name: names[Path(name).stem] for name in truth.micrographs})


@pytest.mark.parametrize(("convert", "shows_particles"), [(True, True), (False, False)])
def test_coordinates_on_tiff_files_are_in_the_frame_in_which_relion_reads_them(
    convert, shows_particles, project, tiff_picks, monkeypatch
):
    monkeypatch.chdir(project)
    picks = invert_tiff(tiff_picks)[0] if convert else tiff_picks
    folder = Path(f"External/tiff{convert:d}")
    write_coordinates(picks, folder)

    relion(
        project,
        f"relion_preprocess --i tiffs.star --coord_dir {folder}/ --coord_suffix _autopick.star "
        f"--part_star {folder}/out/particles.star --part_dir {folder}/out/ --extract "
        f"--extract_size {BOX_PX} --norm --bg_radius {BOX_PX // 2 - 4} --invert_contrast",
    )

    average = contrast(images_of(project, project / folder / "out" / "particles.star"))
    assert average > 0.4 if shows_particles else abs(average) < 0.15
