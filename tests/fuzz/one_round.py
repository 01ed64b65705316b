"""One round of the search, in a process of its own: FAMILY FOLDER INPUTS.

Modules are instrumented while they are first imported, so nothing of cryopick's is imported
before that.
"""

import sys
import tempfile
from pathlib import Path

import atheris
from tests.fuzz.families import FAMILIES
from tests.fuzz.guard import guarded

_MOST_BYTES = 2 << 30
_TIMEOUT_S = 10
_MAX_LENGTH = {"mrc": 2048, "model": 16384, "sav": 16384}


def _one_round(family: str, own: Path, inputs: int) -> None:
    """Search within this process, which ends with it."""
    chosen = FAMILIES[family]
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    with atheris.instrument_imports(include=list(chosen.modules)):
        from tests.fuzz.corpus import kept

        for data in kept(family):
            chosen.try_input(data, scratch)  # loads all that is loaded late
    words = own / "words.txt"
    lines = ['"' + word.replace('"', '\\"') + '"' for word in chosen.words]
    words.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = [
        f"-runs={inputs}", f"-timeout={_TIMEOUT_S}", f"-rss_limit_mb={_MOST_BYTES >> 20}",
        f"-max_len={_MAX_LENGTH.get(family, 4096)}", f"-dict={words}", f"-artifact_prefix={own}/",
        "-print_final_stats=1", "-verbosity=0", "-len_control=10", str(own / "found"),
    ]  # fmt: skip

    def one_input(data: bytes) -> None:
        chosen.try_input(data, scratch)

    atheris.Setup([sys.argv[0], *options], one_input)
    guarded(scratch, most_bytes=_MOST_BYTES)
    atheris.Fuzz()


if __name__ == "__main__":
    _one_round(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
