"""Topaz-compatible command line on tables: argument parsing, formats, integers."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import tiny

from cryopick.clients.topaz_cli.app import COMMANDS, run_words
from cryopick.clients.topaz_cli.arguments import Parser, expand_argument_files, parse_integer
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks
from cryopick.picks import Picks

TABLE = "image_name\tx_coord\ty_coord\tscore\na\t10\t21\t1.5\na\t31\t40\t-2\nb.1\t6\t8\t-0.25\n"


@pytest.fixture
def topaz(monkeypatch, tmp_path, capsys):
    """Run a command line in a temporary folder, check its status, and return its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)
    (tmp_path / "p.txt").write_text(TABLE)

    def run(line, status=0):
        found = run_words(line if isinstance(line, list) else line.split(), "topaz")
        told = capsys.readouterr()
        assert found == status, told.err
        return told

    return run


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


def test_the_version_is_a_bare_number(topaz):
    told = topaz("--version")

    assert told.out == "0.3.20\n"
    assert told.err == ""


def test_help_lists_every_command_and_every_command_has_help(topaz):
    told = topaz("--help")

    for name in COMMANDS:
        assert f"\n  {name} " in told.out
        assert f"usage: topaz {name}" in topaz(f"{name} --help").out


def test_every_option_has_a_help_text():
    for name, command in COMMANDS.items():
        parser = Parser("topaz", name, command.about)
        command.options(parser)

        without = [action.dest for action in parser._actions if not action.help]
        assert not without, name


@pytest.mark.parametrize(
    "line", ["", "nonsense", "convert", "convert --nonsense p.txt", "convert -s two p.txt"]
)
def test_a_usage_error_has_status_2_and_a_message_on_stderr(line, topaz):
    told = topaz(line, 2)

    assert "usage: topaz" in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    "line",
    [
        "convert -s 2 -t -1e0 p.txt",
        "convert --down-scale=2 --threshold=-1 p.txt",
        "convert --down 2 p.txt --thres -1",
        "convert p.txt -s 2.0 --threshold -1.",
        "convert @more p.txt",
        "@all",
    ],
)
def test_options_accept_all_spellings_of_argparse(line, topaz, tmp_path):
    (tmp_path / "more").write_text("-s\n2\n\n--threshold\n-1\n")
    (tmp_path / "all").write_text("convert\n@more\np.txt\n")

    told = topaz(line)

    assert rows(told.out) == [
        ["image_name", "x_coord", "y_coord", "score"],
        ["a", "5", "10", "1.5"],  # 10.5 goes to the even number
        ["b.1", "3", "4", "-0.25"],
    ]


def test_argument_files_that_include_each_other_are_refused(topaz, tmp_path):
    (tmp_path / "a").write_text("@a\n")

    with pytest.raises(ValueError, match="argument files within argument files"):
        expand_argument_files(["@a"])


def test_a_missing_argument_file_is_named(topaz):
    assert topaz("@none", 1).err == "topaz: error: none: No such file or directory\n"


@given(st.integers(-(10**6), 10**6))
def test_integers_may_have_a_decimal_point(number):
    assert parse_integer(str(number)) == parse_integer(f"{number}.0") == number


def test_a_fraction_is_not_an_integer():
    with pytest.raises(ValueError, match="not an integer"):
        parse_integer("1.5")


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=5),
    st.sampled_from([1, 2, 3, 4, 8]),
)
def test_scaling_up_and_down_again_keeps_coordinates(tmp_path_factory, points, factor):
    folder = tmp_path_factory.mktemp("scale")
    lines = [f"m\t{x}\t{y}\t1" for x, y in points]
    (folder / "a.txt").write_text("\n".join(["image_name\tx_coord\ty_coord\tscore", *lines, ""]))

    for option, old, new in (("-x", "a", "b"), ("-s", "b", "c")):
        files = [str(folder / f"{name}.txt") for name in (old, new)]
        assert run_words(["convert", option, str(factor), files[0], "-o", files[1]]) == 0

    assert (folder / "c.txt").read_text() == (folder / "a.txt").read_text()


def test_boxes_of_many_micrographs_become_one_table_named_by_their_files(topaz, tmp_path):
    (tmp_path / "m1.box").write_text("10\t20\t32\t32\n")
    (tmp_path / "m2.box").write_text("")
    (tmp_path / "m3.box").write_text("0 0 33 33 0.5\n")

    told = topaz("convert -s 2 -o out.txt m1.box m2.box m3.box")

    assert told.out == ""
    table = rows((tmp_path / "out.txt").read_text())
    assert [row[:3] for row in table[1:]] == [["m1", "13", "18"], ["m3", "8", "8"]]


def test_a_folder_gets_boxes_or_eman_files(topaz, tmp_path):
    topaz("convert p.txt -o boxes/ --boxsize 8")
    topaz("convert p.txt -o info/ --suffix _x")

    assert (tmp_path / "boxes" / "a.box").read_text().split("\n")[0].split()[:4] == [
        "6",
        "17",
        "8",
        "8",
    ]
    boxes = json.loads((tmp_path / "info" / "b.1_x_info.json").read_text())["boxes"]
    assert boxes[0][:2] == [6, 8]


def test_a_star_file_names_micrographs_and_takes_the_microscope(topaz, tmp_path):
    topaz("convert p.txt -o p.star --voltage 300 --magnification -1 --image-ext .mrc")

    text = (tmp_path / "p.star").read_text()
    assert "_rlnVoltage" in text
    assert "_rlnMagnification" not in text
    picks = read_picks(tmp_path / "p.star")
    assert picks.micrographs == ("a.mrc", "b.1.mrc")
    np.testing.assert_allclose(picks.score, [1.5, -2, -0.25])
    assert rows(topaz("star_to_coordinates p.star").out)[1][:3] == ["a", "10", "21"]


def test_flipping_needs_and_uses_the_heights(topaz, tmp_path):
    (tmp_path / "mics").mkdir()
    for name in ("a", "b.1"):
        write_mrc(tmp_path / "mics" / f"{name}.mrc", tiny.blobs(0)[0], pixel_size_ang=None)

    told = topaz("convert p.txt --invert-y --imagedir mics")

    assert rows(told.out)[1][:3] == ["a", "10", str(96 - 1 - 21)]
    assert "--imagedir" in topaz("convert p.txt --invert-y", 1).err


def test_labels_without_scores_survive_a_threshold(topaz, tmp_path):
    (tmp_path / "labels.txt").write_text("image_name\tx_coord\ty_coord\na\t4\t5\n")

    told = topaz("convert labels.txt --threshold -6 --down-scale 1")

    assert rows(told.out)[1][:3] == ["a", "4", "5"]
    assert "no scores" in told.err


def test_split_writes_one_table_per_micrograph(topaz, tmp_path):
    topaz("split p.txt -o each --suffix _s -t -1")

    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == ["a_s.txt", "b.1_s.txt"]
    assert len(rows((tmp_path / "each" / "a_s.txt").read_text())) == 2


def test_train_test_split_writes_four_files_with_absolute_paths(topaz, tmp_path):
    (tmp_path / "mics").mkdir()
    names = [f"m{i}" for i in range(4)]
    for name in names[:3]:  # the last has no image
        (tmp_path / "mics" / f"{name}.mrc").touch()
    lines = [f"{name}\t{i}\t{i}" for i, name in enumerate(names)]
    (tmp_path / "t").mkdir()
    table = tmp_path / "t" / "labels_processed.txt"
    table.write_text("\n".join(["image_name\tx_coord\ty_coord", *lines, ""]))

    told = topaz("train_test_split -n 1 --seed 3 --image-dir mics t/labels_processed.txt")

    assert "skipped 1 micrograph" in told.err
    lists = {}
    for side in ("train", "test"):
        listed = rows((tmp_path / "t" / f"image_list_{side}.txt").read_text())
        assert listed[0] == ["image_name", "path"]
        assert all(path == str(tmp_path / "mics" / f"{name}.mrc") for name, path in listed[1:])
        lists[side] = {name for name, _ in listed[1:]}
        named = rows((tmp_path / "t" / f"labels_processed_{side}.txt").read_text())[1:]
        assert {row[0] for row in named} == lists[side]
    assert len(lists["test"]) == 1
    assert lists["train"] | lists["test"] == set(names[:3])


def test_the_curve_of_a_perfect_ranking_has_area_1(topaz, tmp_path):
    (tmp_path / "true.txt").write_text("image_name\tx_coord\ty_coord\na\t10\t24\n")

    told = topaz("precision_recall_curve --predicted p.txt --targets true.txt -r 5")

    first, header, *points = told.out.splitlines()
    assert first == "# auprc=1.0, mae=3.0"
    assert header == "threshold\tprecision\trecall\tf1"
    assert points[0].split("\t") == ["1.5", "1.0", "1.0", "1.0"]


def test_older_names_do_the_same(topaz, tmp_path):
    assert rows(topaz("scale_coordinates -s 0.5 p.txt").out)[2][:3] == ["a", "16", "20"]
    topaz("coordinates_to_boxes --destdir b --boxsize 8 p.txt")
    assert rows(topaz("boxes_to_coordinates b/a.box").out)[1][:3] == ["a", "10", "21"]
    topaz("coordinates_to_eman2_json --destdir j p.txt")
    assert (tmp_path / "j" / "a_info.json").exists()
    (tmp_path / "c.star").write_text(topaz("coordinates_to_star p.txt --voltage 300").out)
    (tmp_path / "high.star").write_text(topaz("star_particles_threshold c.star -t 0").out)
    assert len(read_picks(tmp_path / "high.star")) == 1


def test_micrographs_with_the_same_name_are_not_mixed(topaz, tmp_path):
    from cryopick.io.tables.pick_tables import write_picks

    table = Picks.from_columns(["x/a.mrc", "y/a.mrc"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    write_picks(table, tmp_path / "two.star")

    told = topaz("split two.star -o each", 1)

    assert "would both be written to" in told.err
