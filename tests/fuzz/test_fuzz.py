"""Short fuzzing of all parsers; `make fuzz` is the long version.

All inputs of the corpus are read again by the parsers, and a short search starts from
them, in a process that may neither run code nor access other files (`guard`).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.corpus import kept
from tests.fuzz.families import FAMILIES

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_kept_inputs_are_read_or_refused_in_words(family, tmp_path):
    inputs = kept(family)
    taken = [FAMILIES[family].try_input(data, tmp_path) for data in inputs]
    assert any(taken), "no input is sound: the seeds no longer fit the format"
    assert not all(taken), "every input is taken: nothing is refused"


@pytest.mark.slow
def test_a_short_search_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    search = [sys.executable, "-m", "tests.fuzz.search", "--inputs", "500", "--folder", tmp_path]

    done = subprocess.run(search, cwd=TOP, capture_output=True, text=True, check=False)

    logs = "".join(path.read_text()[-1500:] for path in tmp_path.glob("*/log.txt"))
    assert done.returncode == 0, done.stdout + done.stderr[-3000:] + logs
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert set(counts) == set(FAMILIES)
    assert min(counts.values()) >= 500


@pytest.mark.slow
@pytest.mark.parametrize(
    "parser",
    [
        "int(path.read_bytes())",
        "[0 for _ in iter(int, 1)]",
        "bytearray(3 << 30)",
        "bytes(1) * (6 * 10**8)",
        "assert path.stat().st_size < 100_000",
    ],
)
def test_the_search_finds_what_is_planted(parser, tmp_path):
    """Parsers that raise what is no refusal, never end, take memory, or fail on large files."""
    pytest.importorskip("atheris")
    code = (
        "import sys; from tests.fuzz import corpus, families, reader, search\n"
        f"def read(path):\n    {parser}\n"
        "reader.FAMILIES = search.FAMILIES = {'tsv': families.Family(\n"
        "    suffix='.tsv', reads=(read,), modules=('cryopick.io',))}\n"
        "corpus.kept = lambda _: []\n"
        "if sys.argv[2:]:\n    sys.exit(reader.main())\n"
        "search.COMMAND = (sys.executable, '-c', sys.orig_argv[2])\n"
        "search._loaded = lambda _: {'tsv': [b'1', b'2']}; search.TIMEOUT_S = 1\n"
        "sys.argv[1:] = ['--inputs', '1000', '--folder', sys.argv[1]]\n"
        "sys.exit(search.main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=TOP, check=False)

    assert done.returncode == 1
    assert list((tmp_path / "tsv").glob("crash-*"))


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
