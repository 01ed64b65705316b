"""Sets of micrographs on which the general model is compared with its peer.

Four kinds: sets of other simulators (`foreign/recipes.toml`), sweeps by `cryopick simulate`, real
micrographs, and micrographs without particles. A set is made when it is first asked for.

The matching radius is 0.4 of the longest extent, and half of it in negative stain, at 14 Å/pixel.
Where the longest extent is more than three times the middle one, it is a quarter: a pick must lie
on the middle half of a rod, and a second pick on the same rod is wrong, as matching is one to one.
"""

import json
import struct
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from common import CRYOPICK, ROOT

__all__ = ["SHARED", "ForeignSet", "find_set", "list_sets", "write_mrc"]

SHARED = ROOT.parent / "shared" / "data"
FOLDER = Path(__file__).parent / "foreign"
ELONGATED = 3.0  # longest over middle extent
NEGATIVE_PX_ANG = 8.6  # the files do not say; a usual pixel of 1.07 Å, eight of them together
NEGATIVES = ("2", "3", "4", "5")  # first characters of the names of their folders
# Options of `cryopick simulate` by the names of our own sets.
OWN_SETS = {
    **{f"own-{n}": ("--particles", n, "--diameter-ang", 160) for n in (1, 2, 5, 20, 100)},
    "own-px0.75": (
        *("--particles", 40, "--diameter-ang", 160, "--pixel-size-ang", 0.75),
        *("--width-px", 4096, "--height-px", 4096, "--count", 4),
    ),
    **{
        f"own-px{px}": (
            *("--particles", 40, "--diameter-ang", 160, "--pixel-size-ang", px),
            *("--width-px", side, "--height-px", side),
        )
        for px, side in ((3, 1024), (6, 512))
    },
    "own-ring": ("--molecule", "ring", "--diameter-ang", 150, "--particles", 60),
}


@dataclass(frozen=True, kw_only=True)
class ForeignSet:
    """Micrographs and the particles on them.

    Attributes:
        name: Of the set, unique.
        kind: `aspire`, `cryojax`, `own`, `real` or `empty`.
        micrographs: Files, training micrographs first.
        n_train: Number of training micrographs; the others evaluate models trained on labels.
        truth: Table of all particles, `None` where none is known.
        pixel_size_ang: Ångströms per raw pixel.
        diameter_ang: Longest extent of the particle.
        middle_ang, width_ang: Its other extents, where known.
        given_ang: Diameter that the programs are given.
        radius_frac: Matching radius over the longest extent.
        judged_px: Range of x and y of the evaluated picks; None evaluates all.
    """

    name: str
    kind: str
    micrographs: list[Path]
    n_train: int
    truth: Path | None
    pixel_size_ang: float
    diameter_ang: float
    middle_ang: float | None = None
    width_ang: float | None = None
    given_ang: float
    radius_frac: float = 0.4
    judged_px: tuple[float, float, float, float] | None = None

    @property
    def is_elongated(self) -> bool:
        """Longer than three times its middle extent."""
        return self.middle_ang is not None and self.diameter_ang > ELONGATED * self.middle_ang

    @property
    def radius_px(self) -> float:
        """Largest distance between a pick and the centre of its particle, in raw pixels."""
        fraction = 0.25 if self.is_elongated else self.radius_frac
        return fraction * self.diameter_ang / self.pixel_size_ang

    @property
    def test(self) -> list[Path]:
        """Micrographs that no label is drawn from."""
        return self.micrographs[self.n_train :]


def list_sets(*, kept_back: bool = False) -> list[str]:
    """Names of all sets: those of `recipes.toml` with their variants, our own, and real ones.

    Args:
        kept_back: Only the sets on which nothing was chosen or fitted; by default, they are left
            out.
    """
    recipes = tomllib.loads((FOLDER / "recipes.toml").read_text())
    if kept_back:
        return [name for name, recipe in recipes["sets"].items() if "kept_back" in recipe]
    foreign = [
        name + suffix
        for name, recipe in recipes["sets"].items()
        if "kept_back" not in recipe
        for suffix in ("", *(f":{variant}" for variant in recipes["variants"].get(name, [])))
    ]
    empty = [f"empty-{digit}" for digit in NEGATIVES]
    return [*foreign, *OWN_SETS, "own-20:bright", *REAL_SETS, "negative_stain:bright", *empty]


def find_set(name: str, data: Path) -> ForeignSet:
    """A set by its name; simulated sets are made where they are missing.

    A suffix changes it: `NAME:bright` has the sign of all pixels inverted, `NAME:noise2` has white
    noise added that makes the standard deviation of a micrograph twice as large, `NAME:slope` is
    illuminated from half to one and a half times the mean, `NAME:lines` has three dead rows and a
    bright column, `NAME:x0.67` gives the programs a diameter that is wrong by that factor.

    Args:
        name: A name of `list_sets`, with or without suffixes.
        data: Folder of the simulated sets.
    """
    base, *suffixes = name.split(":")
    if base in REAL_SETS:
        found = REAL_SETS[base]()
    elif base.startswith("empty-"):
        found = load_empty(base)
    else:
        if not (data / base / "set.json").exists():
            make_set(base, data)
        found = load_simulated(base, data)
    for suffix in suffixes:
        if suffix in CHANGES:
            found = rewrite(found, data, suffix, CHANGES[suffix])
        elif suffix.startswith("noise"):
            add = partial(add_noise, factor=float(suffix.removeprefix("noise")))
            found = rewrite(found, data, suffix, add)
        else:
            given_ang = found.given_ang * float(suffix.removeprefix("x"))
            found = replace(found, given_ang=given_ang)
    return replace(found, name=name)


def make_set(name: str, data: Path) -> None:
    """Simulate a set: our own in this environment, others in theirs."""
    simulator = name.split("-")[0]
    if simulator != "own":
        python = ROOT / f".{simulator}" / "bin" / "python"
        script = FOLDER / f"{simulator}_sets.py"
        words = (data, "--structures", SHARED / "structures", "--sets", name)
        run(python, script, *words, folder=data)  # where ASPIRE leaves its logs
        return
    words = ("--clean", "--seed", 5, *OWN_SETS[name], "--force")
    run(CRYOPICK, "simulate", data / name, *words)
    options = dict(zip(OWN_SETS[name][::2], OWN_SETS[name][1::2], strict=True))
    about = {
        "simulator": "cryopick",
        "molecule": options.get("--molecule", "compact"),
        "pixel_size_ang": options.get("--pixel-size-ang", 1.5),
        "diameter_ang": options["--diameter-ang"],
        "seed": 5,
    }
    (data / name / "set.json").write_text(json.dumps(about, indent=1) + "\n")


def run(*words: object, folder: Path | None = None) -> None:
    """Run a program, in a folder where one is given; its words go to stderr."""
    print("$", *words, file=sys.stderr, flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(word) for word in words], check=True, stdout=sys.stderr, cwd=folder)


def load_simulated(name: str, data: Path) -> ForeignSet:
    """A simulated set that is complete."""
    about = json.loads((data / name / "set.json").read_text())
    micrographs = sorted((data / name / "micrographs").glob("*.mrc"))
    return ForeignSet(
        name=name,
        kind=name.split("-")[0],
        micrographs=micrographs,
        n_train=len(micrographs) // 2,
        truth=data / name / "particles.tsv",
        pixel_size_ang=about["pixel_size_ang"],
        diameter_ang=about["diameter_ang"],
        middle_ang=about.get("middle_ang"),
        width_ang=about.get("width_ang"),
        given_ang=round(about["diameter_ang"]),
    )


def load_empiar10017() -> ForeignSet:
    """β-galactosidase, filtered and in 8 bits; the expert labels are incomplete."""
    folder = SHARED / "empiar10017"
    lists = [(folder / f"{part}.txt").read_text().split() for part in ("train", "test")]
    return ForeignSet(
        name="empiar10017",
        kind="real",
        micrographs=[folder / "micrographs" / f"{name}.jpg" for name in lists[0] + lists[1]],
        n_train=len(lists[0]),
        truth=folder / "particles.tsv",
        pixel_size_ang=1.77,
        diameter_ang=190,
        given_ang=190,
    )


def load_t20s() -> ForeignSet:
    """T20S proteasome, crowded; labels of another program, so a lower bound."""
    folder = SHARED / "real" / "t20s"
    return ForeignSet(
        name="t20s",
        kind="real",
        micrographs=sorted(folder.glob("*.png")),
        n_train=4,
        truth=folder / "auto_picks.tsv",
        pixel_size_ang=7.84,
        diameter_ang=150,
        given_ang=150,
    )


def load_apoferritin() -> ForeignSet:
    """Apoferritin on one micrograph, labelled but for 10 px at the edges."""
    folder = SHARED / "real" / "apoferritin_raw"
    return ForeignSet(
        name="apoferritin",
        kind="real",
        micrographs=sorted(folder.glob("*.mrc")),
        n_train=0,
        truth=folder / "truth_byeye.tsv",
        pixel_size_ang=6.32,
        diameter_ang=130,
        given_ang=130,
        judged_px=(10, 502, 10, 502),
    )


def load_negative_stain() -> ForeignSet:
    """GroEL in negative stain; 41 isolated particles of the left half are labelled by eye.

    The protein is bright in a dark halo of stain, which makes a particle dark on average.
    """
    folder = SHARED / "real" / "negative_stain_groel"
    return ForeignSet(
        name="negative_stain",
        kind="real",
        micrographs=sorted(folder.glob("*.mrc")),
        n_train=0,
        truth=folder / "truth_lefthalf_isolated_byeye.tsv",
        pixel_size_ang=14.0,
        diameter_ang=150,
        given_ang=150,
        radius_frac=0.5,
        judged_px=(0, 256, 0, 512),
    )


def load_empty(name: str) -> ForeignSet:
    """Micrographs without particles that could be used, of one class."""
    beginning = name.removeprefix("empty-")
    (folder,) = (SHARED / "negatives").glob(f"{beginning}*")
    return ForeignSet(
        name=name,
        kind="empty",
        micrographs=sorted(folder.glob("*.png")),
        n_train=0,
        truth=None,
        pixel_size_ang=NEGATIVE_PX_ANG,
        diameter_ang=150,
        given_ang=150,
    )


REAL_SETS: dict[str, Callable[[], ForeignSet]] = {
    "empiar10017": load_empiar10017,
    "t20s": load_t20s,
    "apoferritin": load_apoferritin,
    "negative_stain": load_negative_stain,
}


def rewrite(
    original: ForeignSet, data: Path, suffix: str, change: Callable[[np.ndarray], np.ndarray]
) -> ForeignSet:
    """The set with its pixels changed, written beside the others."""
    folder = data / f"{original.name.replace(':', '-')}-{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / f"{path.stem}.mrc" for path in original.micrographs]
    for path, copy in zip(original.micrographs, copies, strict=True):
        if not copy.exists():
            write_mrc(copy, change(read_pixels(path)), original.pixel_size_ang)
    return replace(original, name=f"{original.name}:{suffix}", micrographs=copies)


def add_noise(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Add white noise that multiplies the standard deviation by a factor; a pixel is its seed."""
    rng = np.random.default_rng(abs(int(1e6 * pixels[0, 0])))
    deviation = pixels.std() * np.sqrt(factor**2 - 1)
    return pixels + rng.normal(0, deviation, pixels.shape).astype(np.float32)


def add_slope(pixels: np.ndarray) -> np.ndarray:
    """Multiply by an illumination that rises from 0.5 in one corner to 1.5 in the opposite one."""
    height, width = pixels.shape
    y, x = np.linspace(-0.2, 0.2, height), np.linspace(-0.3, 0.3, width)
    return (pixels * (1 + y[:, None] + x)).astype(np.float32)


def add_lines(pixels: np.ndarray) -> np.ndarray:
    """Make three rows dark, by 30 standard deviations, and one column bright, by 20."""
    changed = pixels.astype(np.float32)
    mean, deviation = pixels.mean(), pixels.std()
    changed[pixels.shape[0] // 5 :][:3] = mean - 30 * deviation
    changed[:, pixels.shape[1] // 2] = mean + 20 * deviation
    return changed


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bright": np.negative,
    "slope": add_slope,
    "lines": add_lines,
}


def read_pixels(path: Path) -> np.ndarray:
    """Pixels of an MRC file of 32-bit floats, or of a PNG or JPEG, row 0 on top as stored."""
    if path.suffix != ".mrc":
        from PIL import Image

        return np.asarray(Image.open(path).convert("L"), np.float32)
    header = path.read_bytes()[:1024]
    width, height, _, mode = struct.unpack_from("<4i", header)
    if mode != 2:
        raise ValueError(f"{path}: expected 32-bit floats (mode 2), found mode {mode}")
    (extended,) = struct.unpack_from("<i", header, 92)
    pixels = np.fromfile(path, "<f4", width * height, offset=1024 + extended)
    return pixels.reshape(height, width)


def write_mrc(path: Path, pixels: np.ndarray, pixel_size_ang: float) -> None:
    """Write an MRC file of 32-bit floats."""
    height, width = pixels.shape
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, width, height, 1, 2, 0, 0, 0, width, height, 1)
    extents = (width * pixel_size_ang, height * pixel_size_ang, pixel_size_ang)
    struct.pack_into("<6f3i", header, 40, *extents, 90, 90, 90, 1, 2, 3)
    struct.pack_into("<3f", header, 76, pixels.min(), pixels.max(), pixels.mean())
    struct.pack_into("<i", header, 108, 20140)
    header[208:216] = b"MAP DA\x00\x00"
    path.write_bytes(bytes(header) + np.ascontiguousarray(pixels, "<f4").tobytes())
