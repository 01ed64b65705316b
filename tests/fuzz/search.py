"""Search for inputs that a parser neither accepts nor refuses with a message.

    python -m tests.fuzz.search [--inputs 100000] [--folder runs/fuzz] [FAMILY ...]

Each family is fuzzed by atheris, guided by branch coverage, in rounds. Parsers
are loaded and instrumented once; a round is a fork of that process, so that it starts at once,
can be sandboxed, and may die. `counts.json` counts the inputs, so that a later
call resumes there; an input that crashes, takes over 5 s of the processor or 500 MB of memory is
stored as `crash-*`, `timeout-*` or `oom-*` in the family's folder, and the exit status is 1. An
input has up to 64 KiB; some are also read after a part of them was repeated up to 256 KiB, by
parsers that are not instrumented (`reader`).
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import atheris
from tests.fuzz.families import FAMILIES
from tests.fuzz.guard import guarded
from tests.fuzz.limits import MOST_BYTES, TIMEOUT_S, Limits
from tests.fuzz.reader import COMMAND, Reader

_ROUND = 10_000  # inputs
_STUCK_S = 600  # by the clock: in code that no signal reaches, on a machine that may be busy
_MAX_LENGTH = 1 << 16
_TRIED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


def _loaded(families: Sequence[str]) -> dict[str, list[bytes]]:
    """Load what reads these families, instrumented, and return the inputs to begin from.

    Modules are instrumented while they are first imported, so nothing that is watched is
    imported before this.
    """
    watched = sorted({module for family in families for module in FAMILIES[family].modules})
    with atheris.instrument_imports(include=watched), tempfile.TemporaryDirectory() as folder:
        from tests.fuzz.corpus import kept

        inputs = {family: kept(family) for family in families}
        for family in families:
            for data in inputs[family]:
                FAMILIES[family].try_input(data, Path(folder))  # loads all that is loaded late
    return inputs


def _go_on(family: str, inputs: int, folder: Path, reader: Reader) -> bool:
    """Try some inputs of one family, unless so many were tried by earlier calls.

    Returns:
        Whether there is more to try.
    """
    own, counts = folder / family, _counts(folder)
    left = inputs - counts.get(family, 0)
    if left <= 0:
        return False
    began = time.monotonic()
    status, tried = _round(family, own, min(_ROUND, left), reader)
    counts[family] = counts.get(family, 0) + tried
    (folder / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    seconds = time.monotonic() - began
    print(f"{family}: {counts[family]} inputs tried, {seconds:.0f} s this round", flush=True)  # noqa: T201
    if status and not tried:
        raise RuntimeError(f"{family}: a round broke off; see {own / 'log.txt'}")
    return not status


def _no_good(own: Path) -> list[Path]:
    return [path for kind in ("crash", "timeout", "oom") for path in sorted(own.glob(f"{kind}-*"))]


def _counts(folder: Path) -> dict[str, int]:
    path = folder / "counts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _round(family: str, own: Path, inputs: int, reader: Reader) -> tuple[int, int]:
    """Search in a process of its own; return its exit status, and how many new inputs it tried."""
    known = len(list((own / "found").iterdir()))
    log = own / "log.txt"
    before = log.stat().st_size if log.exists() else 0
    child = os.fork()
    if not child:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _fuzz(family, own, known + inputs, reader)
        sys.exit(70)  # libFuzzer ends the process itself; what was no good it writes at exit
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        reader.restart()
    tried = _TRIED.search(log.read_bytes()[before:].decode(errors="replace"))
    return status, max(0, int(tried[1]) - known) if tried else 0


def _fuzz(family: str, own: Path, runs: int, reader: Reader) -> None:
    """Search within this process, which ends with it."""
    chosen = FAMILIES[family]
    words = own / "words.txt"
    lines = ['"' + word.replace('"', '\\"') + '"' for word in chosen.words]
    words.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = [
        f"-runs={runs}", f"-timeout={_STUCK_S}", f"-rss_limit_mb={MOST_BYTES >> 20}",
        f"-max_len={_MAX_LENGTH}", f"-dict={words}", f"-artifact_prefix={own}/",
        "-print_final_stats=1", "-verbosity=0", "-len_control=10", str(own / "found"),
    ]  # fmt: skip

    limits = Limits()

    def one_input(data: bytes) -> None:
        with limits.bound(TIMEOUT_S):
            chosen.try_input(data, reader.folder, in_turn=True)
        if chosen.is_enlarged(data):
            reader.read(family, chosen.enlarge(data))

    atheris.Setup([sys.argv[0], *options], one_input)
    guarded(reader.folder, most_bytes=MOST_BYTES)
    atheris.Fuzz()


def main() -> int:
    """Search the families that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help=" ".join(FAMILIES))
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of each family")
    parser.add_argument("--folder", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--keep", action="store_true", help="add what was found to the corpus")
    given = parser.parse_args()
    families = given.families or list(FAMILIES)
    for family, begin in _loaded(families).items():
        (given.folder / family / "found").mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(begin):
            (given.folder / family / "found" / f"kept-{number}").write_bytes(data)
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    reader = Reader(scratch, families, COMMAND)
    pending = families
    while pending:  # in turn, so that a search that is cut short has tried something of each
        pending = [one for one in pending if _go_on(one, given.inputs, given.folder, reader)]
    reader.close()
    shutil.rmtree(scratch)
    bad = [path for family in families for path in _no_good(given.folder / family)]
    if given.keep:
        from tests.fuzz.corpus import keep

        for family in families:
            keep(family, given.folder)
    for path in bad:
        print(path)  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
