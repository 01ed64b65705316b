"""Everything goes wrong, in short; `make soak` is the long form with 2,000 micrographs."""

import os

import pytest

if os.name != "posix":
    pytest.skip("there is no SIGKILL and no limit on files", allow_module_level=True)

from tests.e2e.soak import FAULTS, soak


@pytest.mark.slow
def test_what_faults_leave_is_what_a_clean_run_makes(tmp_path):
    told = soak(tmp_path, micrographs=48, rounds=len(FAULTS), seed=1)

    assert set(told["faults"]) == set(FAULTS)
