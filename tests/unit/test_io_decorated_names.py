"""Names that differ by what programs add to them match, unless that is ambiguous."""

from pathlib import Path

import numpy as np
import pytest

from cryopick.errors import UnmatchedError
from cryopick.io.names import match_names
from cryopick.picks import Picks

UID, OTHER_UID = "017646539750839992624", "000000000000000000017"


def match(names, paths):
    picks = Picks.from_columns(names, np.zeros((len(names), 2)))
    matched = match_names(picks, [Path(path) for path in paths])
    return list(matched.picks.micrographs), list(matched.unmatched)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (f"J1/imported/{UID}_a.mrc", "mics/a.mrc"),
        ("a.mrc", f"J1/imported/{UID}_a.mrc"),
        (f"J3/motioncorrected/{UID}_a_patch_aligned_doseweighted.mrc", "a.tif"),
        ("a_fractions.mrc", "a_fractions_patch_aligned_doseweighted.mrc"),
        ("a", "MotionCorr/job002/a_DW.mrc"),
        ("a_noDW.mrc", "a.mrc"),
        ("a.mrc.mrc", "a.mrc"),
        ("a.tif.mrc", "a_DW.mrc"),
        ("a_topazpicks.star", "a.mrc"),
        ("a_autopick", "a.mrc"),
        ("a_rigid_aligned.mrc", "a.mrc"),
        ("a_rigid_aligned_mic_DWS.mrc", "a.mrc"),
        ("a_EER_patch_aligned.mrc", "a_EER.eer"),
        ("a_SumCorr", "a_frames.mrc"),
        ("a_cor2_DWU.mrc", "a.mrc"),
        ("a.denoised.mrc", "a.mrc"),
        ("a_patch_aligned_doseweighted_particles", f"{UID}_a.mrc"),
        ("a_coords", "a_sum.mrc"),
        ("a_picks", "a.mrc"),
    ],
)
def test_the_one_remaining_match_is_taken_and_logged(name, path, caplog):
    name = name.removesuffix(".star")

    assert match([name], [path, "other.mrc"]) == ([path], [])
    if "/" in name or "_" in name or "_" in path:
        assert "without the prefixes and suffixes" in caplog.text


def test_an_exact_name_is_preferred_and_needs_no_message(caplog):
    assert match(["a", "b"], ["a.mrc", "a_DW.mrc", "b.mrc"]) == (["a.mrc", "b.mrc"], [])
    assert not caplog.records


@pytest.mark.parametrize(
    ("names", "paths", "both"),
    [
        ([f"{UID}_a.mrc"], ["a.mrc", "a_DW.mrc"], ["a.mrc", "a_DW.mrc"]),
        (["a_DW", "a_noDW"], ["a.mrc"], ["a_DW", "a_noDW"]),
        ([f"{UID}_a", f"{OTHER_UID}_a"], ["a.mrc"], [f"{UID}_a", f"{OTHER_UID}_a"]),
    ],
)
def test_ambiguous_names_are_an_error_with_both_candidates(names, paths, both):
    with pytest.raises(UnmatchedError) as caught:
        match(names, paths)

    assert all(candidate in str(caught.value) for candidate in both)


@pytest.mark.parametrize(
    "name", [*("12345_a", "DW", "_DW", "picks_a", "a_sums", "a.mean"), UID, f"{UID}_"]
)
def test_ordinary_names_keep_their_parts(name):
    assert match([name], ["a.mrc"]) == ([], [name])
