"""The most memory that picking and training hold, and whether it grows with their number."""

from common import CRYOPICK, DIAMETER_ANG, FOLDER, heading, links, measure, row, simulated
from common import small_model as trained


def main(few: int = 8, many: int = 200, training: int = 1000, side_px: int = 4096) -> None:
    """Print the table; the many micrographs are links to the few."""
    paths = simulated(16, side_px)
    model = trained(paths)
    heading("Peak memory")
    first = None
    for number in (few, many):
        folder, out = links(paths, number), FOLDER / "picks.tsv"
        used = measure(CRYOPICK, "pick", folder, "--model", model, "-o", out, "--force")
        first = first or used.peak_mb
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
        words = f"{used.peak_mb:.0f} MB"
        row(f"train on {number}, prepared to 512 x 512", used.seconds, words, "peak")


def labels_on_links(micrographs: list) -> object:
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
