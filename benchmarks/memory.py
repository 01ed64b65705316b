"""The most memory that picking and training hold, and whether it grows with their number."""

from pathlib import Path

from common import (
    CRYOPICK,
    DIAMETER_ANG,
    FOLDER,
    LOG,
    heading,
    links,
    measure,
    row,
    simulated,
    small_model,
)


def main(few: int = 8, many: int = 200, training: int = 1000, side_px: int = 4096) -> None:
    """Print the table; the many micrographs are links to the few."""
    paths = simulated(16, side_px)
    model = small_model(paths)
    heading("Peak memory")
    for number in (few, many):
        folder, out = links(paths, number), FOLDER / "picks.tsv"
        used = measure(CRYOPICK, "pick", folder, "--model", model, "-o", out, "--force")
        check(f"{number} of {number}")
        words = f"{used.peak_mb:.0f} MB"
        row(f"pick {number} of {side_px} x {side_px}", used.seconds, words, "peak")
    small = simulated(16, 1024)
    for number in (16, training):
        used = measure(
            *(CRYOPICK, "train", "-m", links(small, number), "-p", labels_on_links(small)),
            *("-o", FOLDER / "memory.safetensors", "--force", "--steps", 100),
            *("--diameter-ang", DIAMETER_ANG, "--particles-per-micrograph", 20),
            *("--working-pixel-size-ang", 3.0),
        )
        check(f"on {number} micrographs")
        words = f"{used.peak_mb:.0f} MB"
        row(f"train on {number}, prepared to 512 x 512", used.seconds, words, "peak")


def check(words: str) -> None:
    """See that the last command worked on as many micrographs as it was meant to.

    Raises:
        RuntimeError: It did not say these words.
    """
    if words not in LOG.read_text():
        raise RuntimeError(f"the command did not say {words!r}: see {LOG}")


def labels_on_links(micrographs: list[Path]) -> Path:
    """The particles of the first micrographs under the names of the first links."""
    lines = (micrographs[0].parents[1] / "particles.tsv").read_text().splitlines()
    renamed = [lines[0]]
    for line in lines[1:]:
        name, _, rest = line.partition("\t")
        renamed.append(f"mic_{int(name.removeprefix('mic_')):05d}\t{rest}")
    out = FOLDER / "labels-on-links.tsv"
    out.write_text("\n".join(renamed[:100]) + "\n")
    return out


if __name__ == "__main__":
    main()
