#!/usr/bin/env python3
"""Build the package, install it in clean environments, and run it there: `make check-install`.

The wheel is built from the source archive. Each environment has the lowest or the newest version
of each dependency that the package allows, with or without PyTorch; those with the newest versions
get the source archive, the others the wheel. Python versions that this machine lacks are skipped.

- `build`: the source archive and the wheel, checked by twine.
- `check_contents`: the files that a wheel must hold.
- `try_environment`: install an archive and run it.
"""

import argparse
import itertools
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
KINDS = {"all": "pyproject.toml", "pick": "packaging/requirements-pick.txt"}  # without PyTorch
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
    "report picks.star",
)
TRAIN = (
    "train -m data/micrographs -p data/particles.tsv -o m.safetensors --diameter-ang 171 --steps 5"
)


def build(python: Path, folder: Path) -> tuple[Path, Path]:
    """Build both archives with a Python that has build and twine; return source and wheel."""
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
    [archive] = (folder / "dist").glob("*.tar.gz")
    [wheel] = (folder / "dist").glob("*.whl")
    run([python, "-m", "twine", "check", "--strict", archive, wheel])
    return archive, wheel


def check_contents(wheel: Path) -> None:
    """Check that the wheel holds what it must, and nothing of the tests."""
    names = zipfile.ZipFile(wheel).namelist()
    for required in REQUIRED:
        if not any(name.endswith(required) for name in names):
            raise SystemExit(f"{wheel}: lacks {required}")
    if any("tests/" in name or name.endswith(".pyc") for name in names):
        raise SystemExit(f"{wheel}: holds tests or compiled files")


def try_environment(uv: Path, archive: Path, environment: Path, options: list[object]) -> str:
    """Install an archive in a new environment, run the commands, and return a summary.

    Args:
        uv: The program that installs.
        archive: Wheel or source archive.
        environment: Folder of the environment; its name says what is in it.
        options: What uv installs before the archive, and from which versions.
    """
    python, kind, _ = environment.name.split("-", 2)
    run([uv, "venv", "--quiet", "--clear", "--python", python, environment])
    interpreter = environment / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", interpreter]
    started = time.monotonic()
    run([*install, *options])
    run([*install, "--no-deps", archive])
    seconds = time.monotonic() - started
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file())
    work = environment / "work"
    work.mkdir()
    for words in COMMANDS:
        run([interpreter, "-m", "cryopick", *words.split()], folder=work)
    run([interpreter, "-m", "cryopick", *TRAIN.split()], folder=work, status=int(kind == "pick"))
    versions = subprocess.run(
        [uv, "pip", "list", "--python", interpreter], capture_output=True, text=True, check=True
    ).stdout
    by_name = dict(line.split()[:2] for line in versions.splitlines()[2:])
    main = ", ".join(
        f"{name} {by_name[name]}"
        for name in ("numpy", "scipy", "openvino", "torch")
        if name in by_name
    )
    return f"{size / 1e9:.1f} GB installed in {seconds:.0f} s; {main}"


def run(words: list[object], *, folder: Path | None = None, status: int = 0) -> None:
    """Run a program; end if its status is another one."""
    print("$", *words, flush=True)
    actual = subprocess.run([str(word) for word in words], cwd=folder, check=False).returncode
    if actual != status:
        raise SystemExit(f"exit status {actual}, not {status}: {' '.join(map(str, words))}")


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
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS))
    parser.add_argument("--remove", action="store_true", help="remove each environment after use")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    archive, wheel = build(options.tools / "bin" / "python", options.folder)
    check_contents(wheel)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(f"{archive.name}, {wheel.name}: built and checked, version {project['version']}")
    uv = options.tools / "bin" / "uv"
    for python, resolution, kind in itertools.product(
        options.pythons, options.resolutions, options.kinds
    ):
        if not has_python(uv, python):
            print(f"Python {python}: not on this machine")
            continue
        chosen = archive if resolution == "highest" else wheel
        environment = options.folder / f"{python}-{kind}-{resolution}"
        dependencies = options.folder / "source" / KINDS[kind]
        words = ["--only-binary", ":all:", "--resolution", resolution, "-r", dependencies]
        summary = try_environment(uv, chosen, environment, words)
        print(f"Python {python}, {resolution}, {kind}, {chosen.name}: works; {summary}")
        if options.remove:
            shutil.rmtree(environment)


if __name__ == "__main__":
    main()
