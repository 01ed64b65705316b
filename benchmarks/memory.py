"""Peak memory of picking and training for different numbers of micrographs."""

import re
import subprocess
import time
from pathlib import Path

from common import (
    CRYOPICK,
    DIAMETER_ANG,
    LOG,
    PAPER,
    PIXEL_SIZE_ANG,
    Inputs,
    forget,
    heading,
    measure,
    row,
)


def main(inputs: Inputs | None = None, few: int = 8, many: int = 200, training: int = 1000) -> None:
    """Print the table; the many micrographs are links to the few."""
    inputs = inputs or Inputs()
    model, folder = inputs.model(8), inputs.folder
    heading("Peak memory")
    for number in (few, many):
        out = folder / "picks.tsv"
        used = measure(
            CRYOPICK, "pick", inputs.links(number), "--model", model, "-o", out, "--force"
        )
        check(f"{number} of {number}")
        words = f"{used.peak_mb:.0f} MB"
        row(f"pick {number} of {inputs.side_px} x {inputs.side_px}", used.seconds, words, "peak")
    started = time.perf_counter()
    middle, late = own_memory(
        *(CRYOPICK, "pick", inputs.links(many), "--model", model, "-o", out, "--force")
    )
    taken = time.perf_counter() - started
    row(f"pick {many}, private memory in the second third", taken, f"{middle:.0f} MB", "most")
    row("private memory in the last third", taken, f"{late:.0f} MB", "most")
    used = measure(
        *(CRYOPICK, "preprocess", inputs.links(many), "--factor", 8),
        *("-o", folder / "preprocessed", "--force"),
    )
    row(f"prepare {many} of them", used.seconds, f"{used.peak_mb:.0f} MB", "peak")
    small = Inputs(count=inputs.count, side_px=max(512, inputs.side_px // 4), folder=folder)
    for number in (inputs.count, training):
        used = measure(
            *(CRYOPICK, "train", "-m", small.links(number), "-p", labels_on_links(small)),
            *(*PAPER, "-o", folder / "memory.safetensors", "--force"),
            *("--steps", min(100, inputs.steps)),
            *("--diameter-ang", DIAMETER_ANG, "--working-pixel-size-ang", 2 * PIXEL_SIZE_ANG),
            *("--particles-per-micrograph", small.particles),
        )
        check(f"{number} micrographs, best at step")
        words = f"{used.peak_mb:.0f} MB"
        side = small.side_px // 2
        row(f"train on {number}, prepared to {side} x {side}", used.seconds, words, "peak")


def own_memory(*command: object) -> tuple[float, float]:
    """Measure the peak private memory of a program in the second and the last third of its time.

    Pages of memory-mapped files, such as micrographs, belong to the page cache and do not count.
    """
    forget(command)
    held = []
    with LOG.open("wb") as words:
        child = subprocess.Popen([str(part) for part in command], stdout=words, stderr=words)
        while child.poll() is None:
            status = Path(f"/proc/{child.pid}/status").read_text()
            if found := re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE):
                held.append(int(found[1]) * 1024 / 1e6)
            time.sleep(0.01)
    third = len(held) // 3
    return max(held[third : 2 * third]), max(held[2 * third :])


def check(words: str) -> None:
    """Check that the last command processed the expected number of micrographs.

    Raises:
        RuntimeError: Its output does not contain these words.
    """
    if words not in LOG.read_text():
        raise RuntimeError(f"the command did not say {words!r}: see {LOG}")


def labels_on_links(inputs: Inputs) -> Path:
    """Write the particles of the first micrographs under the names of the first links."""
    lines = inputs.truth.read_text().splitlines()
    renamed = [lines[0]]
    for line in lines[1:]:
        name, _, rest = line.partition("\t")
        renamed.append(f"mic_{int(name.removeprefix('mic_')):05d}\t{rest}")
    out = inputs.folder / "labels-on-links.tsv"
    out.write_text("\n".join(renamed[:100]) + "\n")
    return out


if __name__ == "__main__":
    main()
