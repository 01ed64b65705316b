"""The program that clients of Topaz start, how they start it, and what they read back."""

import shlex
import subprocess
import sys

import numpy as np
import pytest

SHAPE = (96, 112)


@pytest.fixture(scope="module")
def topaz(tmp_path_factory):
    """The program under the name that clients look for, with a worker of its own."""
    folder = tmp_path_factory.mktemp("bin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("CRYOPICK_WORKER_IDLE_S", "20")
        yield installed(folder)


def installed(folder):
    words = "from cryopick.clients.topaz_cli import main; main()"
    command = [sys.executable, "-c", words, "--install", folder]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "topaz"


def run(words, folder, status=0, **options):
    """Start the program as another does, without a shell unless the words are a script's."""
    words = shlex.split(words) if isinstance(words, str) else list(map(str, words))
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert done.returncode == status, done.stderr
    return done


def z_scored(image):
    return ((image - image.mean()) / image.std()).astype(np.float32)


def as_relion_reads(path):
    """Columns by the header's names; reading ends at the first short line."""
    lines = path.read_text().split("\n")
    header = lines[0].split()
    columns = [header.index(name) for name in ("x_coord", "y_coord", "score")]
    rows = []
    for line in lines[1:]:
        if len(line) < 2:
            break
        cells = line.split()
        rows.append([float(cells[column]) for column in columns])
    return np.array(rows).reshape(-1, 3)
