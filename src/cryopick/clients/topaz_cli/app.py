"""Commands of the program and their options.

Nothing heavy is imported before a command runs, so that clients get the version immediately.

- `main`: entry point.
- `run_words`: run a command line and return its exit status.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

from cryopick.clients.topaz_cli import file_options as files
from cryopick.clients.topaz_cli import picking_options as picking
from cryopick.clients.topaz_cli.arguments import Parser, expand_argument_files, report
from cryopick.clients.topaz_cli.exit_status import USAGE, run_with_status
from cryopick.runs.standard_streams import escape_output, open_standard_streams

__all__ = ["main", "run_words"]

# Version of Topaz reported to clients, some of which compare it with the versions they support;
# nothing else may be on the line.
VERSION = "0.3.20"


class Command(NamedTuple):
    """One command.

    Attributes:
        about: Description in the help.
        options: Function that adds its options.
        target: Module and function that run it and return an exit status or None.
    """

    about: str
    options: Callable[[Parser], None]
    target: str


COMMANDS = {
    "train": Command(
        "train a detector on labelled particles", picking.train_options, "commands:train"
    ),
    "segment": Command("write score maps", picking.segment_options, "commands:segment"),
    "extract": Command(
        "pick particles on micrographs", picking.extract_options, "commands:extract"
    ),
    "precision_recall_curve": Command(
        "compare picks with true particles", picking.curve_options, "tables:precision_recall_curve"
    ),
    "downsample": Command("downsample a micrograph", files.downsample_options, "images:downsample"),
    "normalize": Command("normalize micrographs", files.preprocess_options, "images:preprocess"),
    "preprocess": Command(
        "downsample and normalize micrographs", files.preprocess_options, "images:preprocess"
    ),
    "denoise": Command("denoise micrographs", files.denoise_options, "denoising:denoise"),
    "denoise3d": Command(
        "denoise tomograms by a network trained on halves",
        files.denoise3d_options,
        "denoising3d:denoise3d",
    ),
    "convert": Command("convert particle tables", files.convert_options, "tables:convert"),
    "split": Command("split a table by micrograph", files.split_options, "tables:split"),
    "particle_stack": Command(
        "extract particles to a stack", files.stack_options, "particle_stack:particle_stack"
    ),
    "train_test_split": Command(
        "split micrographs into training and test sets",
        files.test_split_options,
        "tables:train_test_split",
    ),
    "gui": Command("label particles in a browser", files.no_options, "commands:gui"),
    "scale_coordinates": Command(
        "scale the coordinates of a table", files.scale_options, "tables:scale_coordinates"
    ),
    "boxes_to_coordinates": Command(
        "convert box files to a table", files.from_boxes_options, "tables:boxes_to_coordinates"
    ),
    "star_to_coordinates": Command(
        "convert a STAR file to a table", files.from_star_options, "tables:star_to_coordinates"
    ),
    "coordinates_to_star": Command(
        "convert a table to a STAR file", files.to_star_options, "tables:coordinates_to_star"
    ),
    "coordinates_to_boxes": Command(
        "convert a table to box files", files.to_boxes_options, "tables:coordinates_to_boxes"
    ),
    "coordinates_to_eman2_json": Command(
        "convert a table to EMAN2 files", files.to_eman_options, "tables:coordinates_to_eman2_json"
    ),
    "star_particles_threshold": Command(
        "remove particles with low scores",
        files.star_threshold_options,
        "tables:star_particles_threshold",
    ),
}


def main() -> NoReturn:
    """Run the command line of this process and exit; SIGTERM counts as an interrupt."""
    open_standard_streams()
    escape_output()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run_words(sys.argv[1:], Path(sys.argv[0]).name))


def run_words(words: Sequence[str], program: str = "cryopick-topaz") -> int:
    """Run a command line.

    Args:
        words: The command and its arguments.
        program: Name of the program, for messages.

    Returns:
        The exit status.
    """
    return run_with_status(lambda: _run(expand_argument_files(words), program), program)


def _run(words: Sequence[str], program: str) -> int:
    first = words[0] if words else ""
    if first == "--version":
        sys.stdout.write(f"{VERSION}\n")
        return 0
    if first in ("-h", "--help"):
        sys.stdout.write(_help(program))
        return 0
    if first in ("--install", "--install-as-topaz"):
        from cryopick.clients.topaz_cli.install import install

        return install(words[1:], program)
    command = COMMANDS.get(first)
    if command is None:
        problem = f"unknown command {first!r}" if first else "a command is missing"
        report(f"usage: {program} [-h] [--version] <command> ...\n{program}: error: {problem}; "
            f"choose one of {', '.join(COMMANDS)}")  # fmt: skip
        return USAGE
    parser = Parser(program, first, command.about)
    command.options(parser)
    values = parser.read(words[1:])
    values.parser, values.program = parser, program
    module, function = command.target.split(":")
    status = getattr(import_module(f"cryopick.clients.topaz_cli.{module}"), function)(values)
    sys.stdout.flush()
    return int(status or 0)


def _help(program: str) -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {program} [-h] [--version] <command> ...",
            "",
            "The commands of Topaz, run by cryopick.",
            "",
            "options:",
            "  -h, --help              show this help and exit; after a command, its options",
            "  --version               show the version of Topaz that this program replaces "
            f"({VERSION})",
            "  --install DIR           write DIR/topaz and DIR/relion_python_topaz, which run this "
            "program",
            "",
            "commands:",
            *lines,
            "",
        ]
    )
