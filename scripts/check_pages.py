#!/usr/bin/env python3
"""Follow the first pages of the documentation in a new environment: `make check-pages`.

Installs the package with the command of the README from a copy of the tracked files, then runs
every command of the README, the tutorial and the pages for RELION and cryoSPARC, one empty folder
per page, with nothing else of this project on the search path. The tests of the documentation run
the same commands in the environment of development, without those marked as slow. Needs RELION,
and tutorial-data.tar.gz.

An interrupted check continues with `--resume`, in the folder as it is.

- `prepare_environment`: install the package.
- `Progress`: what is done.
- `follow_page`: run the commands of a page.
- `check_labelling_page`: start the labelling page, open it, and stop it.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs import markdown  # noqa: E402  # found by the line above

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def prepare_environment(folder: Path, python: str) -> None:
    """Install the package as the README says, in the environment `env` of the folder."""
    [install, *_] = [
        line.removeprefix("$ ")
        for block in markdown.blocks((ROOT / "README.md").read_text(encoding="utf-8"))
        for line in block.text.splitlines()
        if "pip install" in line
    ]
    source, programs = folder / "source", folder / "env" / "bin"
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in filter(None, files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    subprocess.run([python, "-m", "venv", folder / "env"], check=True)
    print(f"$ {install}", flush=True)
    search_path = f"{programs}:{os.environ['PATH']}"  # as git is for some systems' pip
    subprocess.run(["bash", "-c", install], cwd=source, check=True, env=_variables(search_path))


def _variables(search_path: str) -> dict[str, str]:
    kept = ("HOME", "LANG", "OMP_NUM_THREADS", "PIP_", "SSL_", "REQUESTS_", "http", "HTTP", "no_")
    variables = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    return {**variables, "PATH": search_path}


class Progress:
    """Steps that are done, in a file, so that an interrupted check continues after them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done = path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def run_once(self, step: str, function: Callable[[], object]) -> None:
        """Run a step unless it was done before, and note it."""
        if step in self._done:
            print(f"  done before: {step}")
            return
        function()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{step}\n")


def follow_page(page: Path, folder: Path, programs: Path, progress: Progress) -> None:
    """Run the commands of a page in an empty folder; end at the first that does not work.

    Raises:
        SystemExit: A command ends with another status, or prints other lines, than the page says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8")
    if markdown.shared_folders(text):
        archive = ROOT / "tutorial-data.tar.gz"
        subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    for number, command in enumerate(markdown.set_up_commands(text)):
        step = f"{page.stem}, set up {number}: {command}"
        progress.run_once(step, partial(_run, command, folder, programs, 0))
    for block in markdown.blocks(text):
        if not block.is_run and not block.is_slow:
            for command in block.command_lines:
                print(f"  not run ({block.reason}): {command}")
        elif block.kind == "python":
            (folder / "example.py").write_text(block.text, encoding="utf-8")
            _run("python example.py", folder, programs, block.status)
        for command in block.command_lines if block.is_run or block.is_slow else ():
            step = f"{page.stem}, line {block.line}: {command}"
            progress.run_once(step, partial(_run_command, command, block, folder, programs))


def _run_command(command: str, block: markdown.Block, folder: Path, programs: Path) -> None:
    if command.startswith("cryopick label "):
        check_labelling_page(command, folder, programs)
        return
    output = _run(command, folder, programs, block.status)
    if block.tolerance is not None:
        shown = block.outputs.get(command, [])
        problems = markdown.find_wrong_numbers(shown, output, block.tolerance)
        if problems:
            raise SystemExit(f"line {block.line}: {problems}")


def _run(command: str, folder: Path, programs: Path, status: int) -> str:
    print(f"$ {command}", flush=True)
    started = time.monotonic()
    process = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=_variables(f"{programs}:{SYSTEM_PATH}"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = process.stdout.splitlines()
    for line in lines[-6:]:
        print(f"  {line[:160]}")
    print(f"  [{time.monotonic() - started:.0f} s]", flush=True)
    if process.returncode != status:
        print(process.stdout)
        raise SystemExit(f"exit status {process.returncode}, not {status}: {command}")
    return process.stdout


def check_labelling_page(command: str, folder: Path, programs: Path) -> None:
    """Start the labelling page, open the printed link, and stop it as Ctrl-C does.

    Raises:
        SystemExit: It prints no link, or ends otherwise than it should.
    """
    print(f"$ {command}", flush=True)
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command} --no-browser"],
        cwd=folder,
        env=_variables(f"{programs}:{SYSTEM_PATH}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        found = None
        for line in process.stdout or ():
            print(f"  {line.rstrip()}")
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if found:
                break
        if found is None:
            raise SystemExit(f"no link: {command}")
        with urllib.request.urlopen(found[0], timeout=30) as answer:
            if b"<title>" not in answer.read():
                raise SystemExit(f"no page at {found[0]}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def main() -> None:
    """Install, and follow the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "pages")
    parser.add_argument("--python", default=sys.executable, help="Python of the new environment")
    parser.add_argument("--programs", type=Path, help="folder of programs of an environment")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted check")
    parser.add_argument("pages", type=Path, nargs="*", default=markdown.FIRST_PAGES)
    options = parser.parse_args()
    if not options.resume:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(options.folder / "done.txt")
    programs = options.programs or options.folder / "env" / "bin"
    if not options.programs:
        install = partial(prepare_environment, options.folder, options.python)
        progress.run_once("installation", install)
    for page in options.pages:
        print(f"\n== {page.resolve().relative_to(ROOT)}", flush=True)
        follow_page(page, options.folder / page.stem, programs.resolve(), progress)
    print("\nall commands work")


if __name__ == "__main__":
    main()
