import os
from pathlib import Path

import pytest

from cryopick.errors import FormatError, InputError, OutputExistsError, UnmatchedError
from cryopick.io.inputs import find_micrographs
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.text_files import read_name_list


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return [folder / name for name in names]


def test_an_output_appears_whole_with_its_suffixes_and_folders(tmp_path):
    path = tmp_path / "new/deep/a.mrc.gz"

    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffixes[-2:] == [".mrc", ".gz"]
        temporary.write_text("all")
        assert not path.exists()

    assert path.read_text() == "all"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("old")

    def fail():
        with atomic_write(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_exists_or_cannot_exist_is_refused_at_once(tmp_path):
    made(tmp_path, "a.tsv", "folder/x")

    for path, words in [
        (tmp_path / "a.tsv", "already exists; overwrite it with --force"),
        (tmp_path / "folder", "is a folder"),
        (tmp_path / "a.tsv/b.tsv", "its parent folder is a file"),
    ]:
        with pytest.raises(OutputExistsError, match=words), atomic_write(path):
            pytest.fail("the body must not run")


def test_an_output_keeps_the_mode_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_link_goes_on_pointing_to_its_file(tmp_path):
    made(tmp_path, "real.tsv")
    link = tmp_path / "link.tsv"
    link.symlink_to("real.tsv")

    with atomic_write(link, overwrite=True) as temporary:
        temporary.write_text("new")

    assert link.is_symlink()
    assert (tmp_path / "real.tsv").read_text() == "new"


def test_files_globs_and_folders_come_in_the_order_given_and_once(tmp_path):
    b, a, png, _, _ = made(tmp_path, "m/b.mrc", "m/a.MRC", "m/c.png", "m/notes.txt", "m/d/e.mrc")

    assert find_micrographs([str(b), str(tmp_path / "m")]) == [b, a, png]
    assert find_micrographs([str(tmp_path / "m/*.[mM]*")]) == [a, b]
    assert find_micrographs([str(b), str(tmp_path / "m/../m/b.mrc")]) == [b]


def test_a_file_whose_name_looks_like_a_pattern_or_a_list_is_a_file(tmp_path, monkeypatch):
    made(tmp_path, "a[1].mrc", "@b.mrc")
    monkeypatch.chdir(tmp_path)

    assert find_micrographs(["a[1].mrc", "@b.mrc"]) == [Path("a[1].mrc"), Path("@b.mrc")]


def test_names_of_a_list_are_looked_up_beside_it_then_from_here(tmp_path, monkeypatch):
    beside, _ = made(tmp_path, "lists/a.mrc", "a.mrc")
    made(tmp_path, "mics/b.mrc")
    (tmp_path / "lists/list.txt").write_text("# two\n\n a.mrc \nmics/b.mrc\n")
    monkeypatch.chdir(tmp_path)

    found = find_micrographs(["@lists/list.txt"])

    assert [path.resolve() for path in found] == [beside, tmp_path / "mics/b.mrc"]


def test_a_stem_in_a_list_finds_its_file(tmp_path):
    paths = made(tmp_path, "grid1.5um_01.mrc", "b.jpg")
    (tmp_path / "list.txt").write_text("grid1.5um_01\nb\n")

    assert find_micrographs([f"@{tmp_path}/list.txt"]) == paths


def test_a_stem_of_two_files_is_refused(tmp_path):
    made(tmp_path, "a.mrc", "a.png")
    (tmp_path / "list.txt").write_text("a\n")

    with pytest.raises(UnmatchedError, match=r"'a' matches both .*a\.mrc and .*a\.png"):
        find_micrographs([f"@{tmp_path}/list.txt"])


def test_an_argument_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("gone\n")
    (tmp_path / "blank.txt").write_text("# nothing\n")

    for argument, words in [
        ("none.mrc", "none.mrc: no such file or folder"),
        ("none*.mrc", "no file matches this pattern"),
        (f"{tmp_path}/empty", "this folder contains no micrographs"),
        (f"@{tmp_path}/list.txt", "no file 'gone'"),
        (f"@{tmp_path}/blank.txt", "the list is empty"),
        ("@none.txt", "none.txt: no such file"),
    ]:
        with pytest.raises(InputError) as caught:
            find_micrographs([argument])
        assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["txt", "star"])
def test_a_missing_file_of_a_list_is_left_to_its_reader(tmp_path, kind):
    a, b = made(tmp_path, "a.mrc", "b.mrc")
    header = "" if kind == "txt" else "data_\n\nloop_\n_rlnMicrographName\n"
    (tmp_path / f"list.{kind}").write_text(f"{header}a.mrc\ngone.mrc\nb.mrc\n")
    (tmp_path / f"none.{kind}").write_text(f"{header}gone.mrc\nlost.mrc\n")
    sign = "@" if kind == "txt" else ""

    assert find_micrographs([f"{sign}{tmp_path}/list.{kind}"]) == [a, tmp_path / "gone.mrc", b]
    with pytest.raises(InputError, match=r"no file 'gone\.mrc'"):
        find_micrographs([f"{sign}{tmp_path}/none.{kind}"])


def test_a_folder_lists_broken_links_too(tmp_path):
    (a,) = made(tmp_path, "m/a.mrc")
    for name, target in (("lost.mrc", "nowhere"), ("circle.mrc", "circle.mrc")):
        (tmp_path / "m" / name).symlink_to(target)

    assert find_micrographs([str(tmp_path / "m")]) == [a, a.with_name("circle.mrc"),
                                                       a.with_name("lost.mrc")]  # fmt: skip


def test_a_folder_with_the_name_of_a_micrograph_is_left_to_its_reader(tmp_path):
    a, inside = made(tmp_path, "m/a.mrc", "m/full.mrc/b.mrc")
    (tmp_path / "m" / "x.mrc").mkdir()

    assert find_micrographs([f"{tmp_path}/m/*.mrc"]) == [a, inside, tmp_path / "m" / "x.mrc"]


def test_a_list_of_names_is_read_without_comments(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("# four\nFalcon_1\n\n  Falcon 2 \r\n#Falcon_3\n")

    assert read_name_list(path) == ["Falcon_1", "Falcon 2"]


def test_a_list_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "test.txt"
    path.write_bytes(b"abc\xff")

    with pytest.raises(FormatError, match="found byte 0xff at position 3"):
        read_name_list(path)


def test_a_table_of_micrographs_is_known_by_what_it_holds(tmp_path):
    (tmp_path / "a.mrc").write_text("x")
    text = "# RELION; version 4\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\na.mrc\n"
    (tmp_path / "micrographs").write_text(text)
    (tmp_path / "odd.mrc").write_text(text)  # called an image, so it is taken for one

    assert find_micrographs([str(tmp_path / "micrographs")]) == [tmp_path / "a.mrc"]
    assert find_micrographs([str(tmp_path / "odd.mrc")]) == [tmp_path / "odd.mrc"]


def test_a_text_longer_than_any_table_is_refused_unread(tmp_path):
    path = tmp_path / "picks.star"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # a hole, which takes no room

    with pytest.raises(FormatError, match="at most 1024 MiB, found 1024 MiB"):
        read_name_list(path)
