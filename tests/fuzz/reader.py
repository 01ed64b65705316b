"""Read large inputs with parsers that are not instrumented, in a process of its own.

    python -m tests.fuzz.reader FOLDER FAMILY ...

Instrumented parsers take up to a hundred times longer, and large inputs are there for time and
memory, not for branches. For each line on stdin, a family, the content of FOLDER/large is read as
one of its inputs; the answer is one line on stdout, empty or with the error.

- `Reader`: the other end of the pipe.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.families import FAMILIES
from tests.fuzz.guard import Escape, guarded
from tests.fuzz.limits import MOST_BYTES, Limits

__all__ = ["COMMAND", "Reader"]

COMMAND = (sys.executable, "-m", "tests.fuzz.reader")


class Reader:
    """A process that reads large inputs of some families.

    Attributes:
        folder: The only folder that it may use.
    """

    def __init__(
        self, folder: Path, families: Sequence[str], command: Sequence[str] = COMMAND
    ) -> None:
        self.folder = folder
        self._command = [*command, str(folder), *families]
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)

    def read(self, family: str, data: bytes) -> None:
        """Read an input.

        Raises:
            Escape: It is neither taken nor refused, or takes too much time or memory.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        (self.folder / "large").write_bytes(data)
        self._process.stdin.write(f"{family}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if answer != "\n":
            raise Escape(f"repeated to {len(data)} bytes: {answer or 'the process has died'}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def restart(self) -> None:
        """Start again, as the process may still be reading."""
        self.close()
        self._process = self._start()


def main() -> None:
    """Answer for one input after another, until stdin ends."""
    from tests.fuzz.corpus import kept

    folder, families = Path(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as other:
        for family in families:
            for data in kept(family):
                FAMILIES[family].try_input(data, Path(other))  # loads all that is loaded late
    limits = Limits()
    guarded(folder, most_bytes=MOST_BYTES)
    for line in sys.stdin:
        answer = ""
        try:
            with limits.bound():
                data = (folder / "large").read_bytes()
                FAMILIES[line.strip()].try_input(data, folder, in_turn=True)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the search has found it
            answer = " ".join(f"{type(error).__name__} {error}".split())[:500]
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
