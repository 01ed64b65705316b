#!/usr/bin/env python3
"""Check the sizes of source files and packages: at most 350 lines, at least three modules.

Import cycles and layers are checked by import-linter; its contracts are in `pyproject.toml`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 350
MIN_MODULES = 3
SOURCES = {".py", ".js", ".css", ".html", ".jinja"}


def too_long(root: Path) -> Iterator[str]:
    """Yield a message for each source file with too many lines."""
    for path in sorted(root.rglob("*")):
        if path.suffix in SOURCES and "vendor" not in path.parts:
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines, at most {MAX_LINES}; split it by idea"


def too_small(root: Path) -> Iterator[str]:
    """Yield a message for each package with fewer than three modules and subpackages."""
    for package in sorted(path.parent for path in root.rglob("__init__.py")):
        members = [path for path in package.glob("*.py") if path.name != "__init__.py"]
        members += [path.parent for path in package.glob("*/__init__.py")]
        if len(members) < MIN_MODULES:
            yield f"{package}: {len(members)} modules, at least {MIN_MODULES}; make it a module"


def main() -> int:
    """Print all problems and return the exit status."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "src"
    problems = [*too_long(root), *too_small(root)]
    print("\n".join(problems) or "sizes of files and packages: passed")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
