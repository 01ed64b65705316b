"""Validation by 2D classes: the rule, corrections by a person, and the page."""

import math
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.errors import FormatError
from cryopick.experiments.classes2d.false_positives import (
    estimate_false_positives,
    write_false_positives,
)
from cryopick.experiments.classes2d.page import plot_false_positives, render_class_page
from cryopick.experiments.classes2d.relion import ClassAssignment
from cryopick.experiments.classes2d.resolution import read_resolutions
from cryopick.experiments.classes2d.rule import apply_rule, has_collapsed
from cryopick.experiments.classes2d.verdicts import read_corrections, write_verdicts
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate

SIDE, PIXEL_ANG, DIAMETER_ANG = 16, 10.0, 100.0


def make_classes(*class_properties):
    """Make classes from tuples of particles, strength and resolution in ångströms."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    wave = np.where(np.hypot(x, y) < 5, np.sin(x), 0).astype(np.float32)
    counts = [count for count, _, _ in class_properties]
    number = np.repeat(np.arange(1, len(counts) + 1), counts)
    return ClassAssignment(
        picks=Picks.for_micrograph("a.mrc", np.zeros((len(number), 2)), np.zeros(len(number))),
        number=number,
        images=np.stack([np.float32(strength) * wave for _, strength, _ in class_properties]),
        resolution_ang=np.array([resolution for _, _, resolution in class_properties]),
        pixel_size_ang=PIXEL_ANG,
    )


def test_particle_classes_need_the_contrast_and_resolution_of_the_highest_scoring_picks():
    first = make_classes((50, 1.0, 20.0), (5, 0.1, np.inf))
    second = make_classes((60, 0.9, 18.0), (30, 0.8, 30.0), (20, 0.3, 20.0), (0, 0.0, np.inf))

    first_verdicts, second_verdicts = apply_rule([first, second], DIAMETER_ANG, {})

    assert [verdict.is_particle for verdict in first_verdicts] == [True, False]
    assert [verdict.is_particle for verdict in second_verdicts] == [True, False, False, False]
    assert [verdict.count for verdict in second_verdicts] == [60, 30, 20, 0]
    assert second_verdicts[0].strength == pytest.approx(0.9)


def test_reference_values_are_medians_over_particles_and_not_over_classes():
    first = make_classes((90, 1.0, 20.0), (2, 0.1, 90.0), (2, 0.1, 90.0), (2, 0.1, 90.0))

    (verdicts,) = apply_rule([first], DIAMETER_ANG, {})

    assert [verdict.is_particle for verdict in verdicts] == [True, False, False, False]


def test_a_set_with_nearly_all_images_in_one_or_few_classes_is_detected():
    empty = (0, 0.0, np.inf)
    balanced, dominated, emptied, just_filled = apply_rule(
        [
            make_classes((60, 1.0, 20.0), (40, 0.1, 90.0)),
            make_classes((95, 1.0, 20.0), (5, 0.1, 90.0)),
            make_classes((60, 1.0, 20.0), (40, 1.0, 20.0), *[empty] * 6),
            make_classes((60, 1.0, 20.0), (39, 1.0, 20.0), (1, 1.0, 20.0), *[empty] * 5),
        ],
        DIAMETER_ANG,
        {},
    )

    assert not has_collapsed(balanced)
    assert has_collapsed(dominated)
    assert has_collapsed(emptied)
    assert not has_collapsed(just_filled)


def test_a_failed_classification_has_no_fraction_without_a_verdict_of_a_person(tmp_path):
    classes = make_classes((95, 1.0, 20.0), (5, 0.1, 90.0))

    def estimate(corrections):
        verdicts = apply_rule([classes], DIAMETER_ANG, corrections)
        return estimate_false_positives([classes], verdicts, [0.0], None, DIAMETER_ANG)

    failed, judged = estimate({}), estimate({(1, 1): False})
    write_false_positives(failed, tmp_path / "shares.tsv")

    assert math.isnan(failed.by_classes[0])
    assert judged.by_classes == (1.0,)
    assert (tmp_path / "shares.tsv").read_text().splitlines()[1] == "0\t100\t\t"
    plot_false_positives(failed, tmp_path / "shares.png")
    page = render_class_page([classes], apply_rule([classes], DIAMETER_ANG, {}), failed)
    assert "unknown" in page


def test_corrections_of_a_person_precede_the_rule_and_persist(tmp_path):
    table, classes = tmp_path / "classes.tsv", make_classes((50, 1.0, 20.0), (5, 0.1, 90.0))
    write_verdicts(apply_rule([classes], DIAMETER_ANG, {}), table)
    assert read_corrections(table, [classes]) == {}
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1] + "Junk", lines[2] + "particle"]) + "\n")

    corrections = read_corrections(table, [classes])
    verdicts = apply_rule([classes], DIAMETER_ANG, corrections)
    write_verdicts(verdicts, table)

    assert corrections == {(1, 1): False, (1, 2): True} == read_corrections(table, [classes])
    assert [verdict.by_rule for verdict in verdicts[0]] == [True, False]
    assert [verdict.is_particle for verdict in verdicts[0]] == [False, True]


def test_an_unknown_verdict_of_a_person_is_refused(tmp_path):
    table, classes = tmp_path / "classes.tsv", make_classes((5, 1.0, 20.0))
    write_verdicts(apply_rule([classes], DIAMETER_ANG, {}), table)
    table.write_text(table.read_text().rstrip("\n") + "maybe\n")

    with pytest.raises(FormatError, match=r"classes\.tsv:2: expected particle, junk or an empty"):
        read_corrections(table, [classes])


@pytest.mark.parametrize("new_sets", [[make_classes((6, 1.0, 20.0))], []])
def test_a_correction_of_a_class_that_no_longer_exists_is_refused(tmp_path, new_sets):
    table = tmp_path / "classes.tsv"
    write_verdicts(apply_rule([make_classes((5, 1.0, 20.0))], DIAMETER_ANG, {}), table)
    table.write_text(table.read_text().rstrip("\n") + "junk\n")

    with pytest.raises(FormatError, match=r"classes\.tsv:2: corrects a class of 5 particles"):
        read_corrections(table, new_sets)


# Replaces relion_refine: every second image is assigned to class 2, which is empty.
FAKE_RELION = """
import sys
from pathlib import Path
import mrcfile, numpy as np
from dataclasses import replace
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.pick_tables import read_picks, read_star_context, write_picks
words = dict(zip(sys.argv[1::1], sys.argv[2::1]))
star, root, last = Path(words["--i"]), words["--o"], int(words["--iter"])
table = read_picks(star)
number = np.arange(len(table)) % 2 + 1
extra = {**table.extra, "rlnClassNumber": number}
out = Path(f"{root}_it{last:03d}_data.star")
write_picks(replace(table, extra=extra), out, layout=TableLayout(star=read_star_context([star])))
y, x = np.mgrid[:12, :12] - 6
blob = np.exp(-(x**2 + y**2) / 8).astype(np.float32)
with mrcfile.new(f"{root}_it{last:03d}_classes.mrcs") as stack:
    stack.set_data(np.stack([blob, 0 * blob]))
    stack.voxel_size = 15.0
Path(f"{root}_it{last:03d}_model.star").write_text(
    "\\ndata_model_classes\\n\\nloop_\\n_rlnReferenceImage #1\\n_rlnEstimatedResolution #2\\n"
    "000001@c.mrcs 30.0\\n000002@c.mrcs inf\\n\\n"
)
with Path("calls").open("a") as calls:
    calls.write(f"{len(table)}\\n")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Micrographs, picks with scores, and a replacement of relion_refine on the PATH."""
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    tiny.micrographs(Path("mics"), count=2)
    labels = read_picks(Path("labels.tsv"))
    table = concatenate([replace(labels, score=np.arange(len(labels), dtype=float))])
    write_picks(table, Path("picks.star"))
    program = Path("bin/relion_refine")
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{FAKE_RELION}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent.resolve()), prepend=":")
    return table


COMMAND = "validate classes picks.star -m mics -o out --diameter-ang 60 --iterations 3 --classes 2"


def cryopick(words, status=0):
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == status, result.output
    return result


def test_sets_are_nested_and_the_page_shows_every_class(project):
    cryopick(f"{COMMAND} --at 0 --at 6 --truth labels.tsv")

    strict, loose = (read_picks(Path(f"out/set_{i}/particles.star")) for i in (1, 2))
    assert 0 < len(strict) < len(loose)
    assert strict.score.min() >= 6
    page = Path("out/report.html").read_text()
    assert page.count('alt="class average') == 4
    assert page.count('class="off"') == 2
    assert "50 %" in page  # every second image is in the empty class
    assert "0 %" in page  # and all of them are true particles
    assert Path("out/shares.png").read_bytes().startswith(b"\x89PNG")


def test_finished_classifications_are_reused_after_a_correction(project):
    cryopick(f"{COMMAND} --at 0")
    table = Path("out/classes.tsv")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:2], lines[2] + "particle"]) + "\n")

    cryopick(f"{COMMAND} --at 0")

    assert Path("calls").read_text().split() == [
        str(len(read_picks(Path("out/set_1/particles.star"))))
    ]
    assert 'class="off"' not in Path("out/report.html").read_text()
    assert "set by a person" in Path("out/report.html").read_text()


def test_images_of_other_picks_or_settings_are_refused(project):
    cryopick(f"{COMMAND} --at 0")

    other_command = COMMAND.replace("--diameter-ang 60", "--diameter-ang 70")
    assert (
        "out/stacks: holds images of other picks" in cryopick(f"{other_command} --at 0", 1).stderr
    )


def test_a_missing_or_failing_relion_is_reported_in_one_line(project, monkeypatch):
    Path("bin/relion_refine").write_text("#!/bin/sh\necho ERROR: no images; exit 1\n")
    result = cryopick(f"{COMMAND} --at 0", status=1)
    assert "relion_refine failed on out/set_1/particles.star: ERROR: no images" in result.stderr

    monkeypatch.setenv("PATH", "")
    result = cryopick(f"{COMMAND} --at 0", status=1)
    assert "relion_refine: no such program; install RELION" in result.stderr


def test_resolutions_are_read_and_plotted_by_set(tmp_path):
    table = tmp_path / "made.csv"
    table.write_text("set,particles,resolution_ang\nours,2000,4.1\nours,1000,5\npublished,1000,6\n")

    curves = read_resolutions(table)
    cryopick(f"validate resolution {table} -o {tmp_path / 'plot.svg'}")

    assert curves["ours"].tolist() == [[1000, 5], [2000, 4.1]]
    assert "published" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the columns particles, resolution_ang"),
        ("particles,resolution_ang\n", "expected a row for each"),
        ("particles,resolution_ang\n100,x\n", "t.csv:2: expected two positive numbers"),
        ("particles,resolution_ang\n100,3\n-1,3\n", "t.csv:3: expected two positive numbers"),
    ],
)
def test_a_table_without_resolutions_is_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)

    with pytest.raises(FormatError, match=message):
        read_resolutions(tmp_path / "t.csv")
