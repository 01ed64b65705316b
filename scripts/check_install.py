#!/usr/bin/env python3
"""Build the package, install it in clean environments, and run it there: `make check-install`.

The wheel is built from the source archive. Each environment has the lowest or the newest version
of each dependency that the package allows. Python versions that this machine lacks are skipped.

- `build`: the source archive and the wheel, checked by twine.
- `check_contents`: the files that a wheel must hold.
- `try_environment`: install the wheel and run it.
"""

import argparse
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
RESOLUTIONS = ("lowest-direct", "highest")
REQUIRED = (  # in the wheel
    "cryopick/web/static/vendor/LICENSE-preact.txt",
    "cryopick/web/static/index.html",
    "cryopick/py.typed",
    "share/man/man1/cryopick-pick.1",
    "licenses/LICENSE",
)
COMMANDS = (  # the first needs a tenth of a second, the last a minute
    "--version",
    "doctor",
    "simulate data --count 2 --particles 8 --width-px 256 --height-px 256 --pixel-size-ang 6",
    "pick data/micrographs --diameter-ang 171 -o picks.star",
    "threshold picks.star -o best.star --keep 10",
    "evaluate best.star data/particles.tsv --diameter-ang 171 --pixel-size-ang 6",
    "train -m data/micrographs -p data/particles.tsv -o m.safetensors --diameter-ang 171 --steps 5",
    "report picks.star",
)


def build(python: Path, folder: Path) -> Path:
    """Build both archives with a Python that has build and twine; return the wheel."""
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    run([sys.executable, source / "scripts" / "make_man_pages.py", source / "man"])
    run([python, "-m", "build", "--outdir", folder / "dist", source])
    archives = sorted((folder / "dist").iterdir())
    run([python, "-m", "twine", "check", "--strict", *archives])
    return next(path for path in archives if path.suffix == ".whl")


def check_contents(wheel: Path) -> None:
    """Check that the wheel holds what it must, and nothing of the tests."""
    names = zipfile.ZipFile(wheel).namelist()
    for required in REQUIRED:
        if not any(name.endswith(required) for name in names):
            raise SystemExit(f"{wheel}: lacks {required}")
    if any("tests/" in name or name.endswith(".pyc") for name in names):
        raise SystemExit(f"{wheel}: holds tests or compiled files")


def try_environment(uv: Path, wheel: Path, folder: Path, python: str, resolution: str) -> str:
    """Install the wheel in a new environment, run the commands, and return a summary."""
    environment = folder / f"{python}-{resolution}"
    run([uv, "venv", "--quiet", "--clear", "--python", python, environment])
    interpreter = environment / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", interpreter]
    started = time.monotonic()
    run([*install, "--resolution", resolution, "-r", folder / "source" / "pyproject.toml"])
    run([*install, "--no-deps", wheel])
    seconds = time.monotonic() - started
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file())
    work = environment / "work"
    work.mkdir()
    for words in COMMANDS:
        run([interpreter, "-m", "cryopick", *words.split()], folder=work)
    versions = subprocess.run(
        [uv, "pip", "list", "--python", interpreter], capture_output=True, text=True, check=True
    ).stdout
    needed = [line.split() for line in versions.splitlines()[2:]]
    named = dict(needed)
    main = ", ".join(
        f"{name} {named[name]}" for name in ("numpy", "scipy", "torch") if name in named
    )
    return f"{size / 1e9:.1f} GB installed in {seconds:.0f} s; {main}"


def run(words: list[object], *, folder: Path | None = None) -> None:
    """Run a program; end with its status if it fails."""
    print("$", *words, flush=True)
    status = subprocess.run([str(word) for word in words], cwd=folder, check=False).returncode
    if status:
        raise SystemExit(f"exit status {status}: {' '.join(map(str, words))}")


def has_python(uv: Path, number: str) -> bool:
    """Return true if this machine has a Python of that version."""
    words = [uv, "python", "find", "--no-python-downloads", number]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Build and check the package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tools", type=Path, required=True, help="environment with uv and twine")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "install")
    parser.add_argument("--pythons", nargs="+", default=PYTHONS)
    parser.add_argument("--resolutions", nargs="+", default=RESOLUTIONS)
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    wheel = build(options.tools / "bin" / "python", options.folder)
    check_contents(wheel)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(f"{wheel.name}: built and checked, version {project['version']}")
    uv = options.tools / "bin" / "uv"
    for python in options.pythons:
        if not has_python(uv, python):
            print(f"Python {python}: not on this machine")
            continue
        for resolution in options.resolutions:
            summary = try_environment(uv, wheel, options.folder, python, resolution)
            print(f"Python {python}, {resolution}: works; {summary}")


if __name__ == "__main__":
    main()
