"""The search for hostile files, in short; `make fuzz` is the long form.

Every input that is kept is read again by the parsers under test, and a short search goes on from
there, in a process that may neither run code nor touch other files (`guard`).
"""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.corpus import kept
from tests.fuzz.families import FAMILIES
from tests.fuzz.search import search

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_kept_inputs_are_read_or_refused_in_words(family, tmp_path):
    inputs = kept(family)
    taken = [FAMILIES[family].try_input(data, tmp_path) for data in inputs]
    assert any(taken), "no input is sound: the seeds no longer fit the format"
    assert not all(taken), "every input is taken: nothing is refused"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_short_search_finds_nothing(family, tmp_path, monkeypatch):
    pytest.importorskip("atheris")
    monkeypatch.chdir(TOP)
    tried, bad = search(family, 1000, tmp_path)
    assert tried >= 1000
    assert bad == [], (tmp_path / family / "log.txt").read_text()[-3000:]


@pytest.mark.parametrize(
    "attempt",
    [
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "eval('1 + 1')",
        "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
        "open('/etc/hostname').read()",
        "open('beside', 'w')",
        "import os; os.remove('/tmp/none')",
    ],
)
def test_the_guard_stops_what_a_file_could_want(attempt, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.fuzz.guard import Escape, guarded\n"
        f"guarded(Path(sys.argv[1]))\ntry:\n    {attempt}\n"
        "except Escape:\n    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=TOP, check=False)
    assert done.returncode == 7


def test_the_guard_bounds_memory(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.fuzz.guard import guarded\n"
        "guarded(Path(sys.argv[1]), most_bytes=1 << 26)\n"
        "try:\n    bytearray(1 << 28)\nexcept MemoryError:\n    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=TOP, check=False)
    assert done.returncode == 7
