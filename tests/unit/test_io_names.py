from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.errors import UnmatchedError
from cryopick.io.names import match_names, micrograph_stem
from cryopick.picks import Picks


def matched(names, paths):
    picks = Picks.from_columns(names, np.arange(2.0 * len(names)).reshape(-1, 2))
    return match_names(picks, [Path(path) for path in paths])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.mrc", "a"),
        ("d/e.f/a.b.mrc", "a.b"),
        ("a.b", "a.b"),
        ("a.MRC.GZ", "a"),
        ("a.tif", "a"),
        ("000123@d/stack.mrcs", "stack"),
        ("Falcon_2012.06.12", "Falcon_2012.06.12"),
        (".mrc", ".mrc"),
    ],
)
def test_the_stem_loses_only_the_suffix_of_an_image(name, stem):
    assert micrograph_stem(name) == stem


@pytest.mark.parametrize(
    ("name", "paths", "meant"),
    [
        ("d/a.mrc", ["e/a.mrc", "d/a.mrc"], "d/a.mrc"),  # the path itself
        ("d/a.mrc", ["/x/d/a.mrc", "/x/e/a.mrc"], "/x/d/a.mrc"),  # trailing folders
        ("/far/d/a.mrc", ["d/a.mrc", "e/a.mrc"], "d/a.mrc"),
        ("/far/f/a.mrc", ["e/a.mrc"], "e/a.mrc"),  # the file name
        ("a.mrc", ["a.png", "a.mrc"], "a.mrc"),
        ("a", ["d/b.mrc", "d/a.mrc"], "d/a.mrc"),  # the stem
        ("d/a", ["d/a.mrc", "e/a.mrc"], "d/a.mrc"),
        ("a.b", ["a.mrc", "a.b.mrc"], "a.b.mrc"),  # a dot in the name
        ("a.tif", ["a.mrc"], "a.mrc"),  # a movie and its sum
        ("000001@d/a.mrcs", ["d/a.mrcs"], "d/a.mrcs"),
    ],
)
def test_the_file_that_agrees_best_is_meant(name, paths, meant):
    assert matched([name], paths).picks.micrographs == (meant,)


@pytest.mark.parametrize("names", [["a"], ["a.mrc"], ["/far/a.mrc"]])
def test_two_files_that_agree_equally_are_refused_and_named(names):
    with pytest.raises(UnmatchedError, match=r"matches both d/a\.mrc and e/a\.mrc"):
        matched(names, ["d/a.mrc", "e/a.mrc"])


def test_one_file_given_twice_is_one_file():
    assert matched(["a"], ["d/a.mrc", "d/a.mrc"]).picks.micrographs == ("d/a.mrc",)


def test_micrographs_without_a_file_are_kept_aside():
    result = matched(["a", "gone", "b"], ["b.mrc", "a.mrc"])

    assert result.unmatched == ("gone",)
    assert result.picks.micrographs == ("a.mrc", "b.mrc")
    assert result.picks.xy_px.tolist() == [[0, 1], [4, 5]]


def test_two_names_in_different_folders_never_become_one_micrograph():
    with pytest.raises(UnmatchedError, match=r"'d/a\.mrc' and 'e/a\.mrc' both match a\.mrc"):
        matched(["d/a.mrc", "e/a.mrc"], ["a.mrc"])


def test_a_stem_and_the_file_name_of_one_file_become_one_micrograph():
    result = matched(["a", "b", "d/a.mrc"], ["d/a.mrc", "b.mrc"])

    assert result.picks.micrographs == ("d/a.mrc", "b.mrc")
    assert result.picks.index.tolist() == [0, 1, 0]


@settings(deadline=None, max_examples=60)  # disks are slow at times
@given(st.lists(st.sampled_from(["a", "b", "c.d", "e"]), unique=True), st.booleans())
def test_every_pick_is_matched_or_its_micrograph_is_reported(names, with_suffix):
    table = [name + ".mrc" * with_suffix for name in names]

    result = matched(table, ["x/a.mrc", "x/c.d.mrc", "x/f.mrc"])

    assert len(result.picks) + len(result.unmatched) == len(names)
    assert all(micrograph_stem(name) in ("b", "e") for name in result.unmatched)
