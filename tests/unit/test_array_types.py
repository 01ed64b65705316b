"""Array types are read by the tests and type checkers, and cost commands nothing."""

import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeException

from cryopick import array_types as arrays
from cryopick.pick.suppression import upsample_twofold


def test_each_type_is_jaxtypings_while_tests_run():
    assert all(getattr(arrays, name) is getattr(jaxtyping, name) for name in arrays.__all__)


def test_shapes_are_checked_while_tests_run():
    with pytest.raises((BeartypeException, jaxtyping.TypeCheckError)):
        upsample_twofold(np.zeros(4, np.float32))


def test_a_program_that_checks_no_types_does_without_jaxtyping():
    code = (
        "import sys, numpy as np, cryopick.io.tables.pick_tables, cryopick.io.images.micrograph; "
        "from cryopick import array_types as arrays; "
        "types = {getattr(arrays, name)[np.ndarray, 'height width'] for name in arrays.__all__}; "
        "print(types == {np.ndarray}, [m for m in ('jaxtyping', 'unittest', 'asyncio') "
        "if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True []"
