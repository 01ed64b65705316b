"""The frame around every command: which one, its options, errors as one line, exit status.

Exit status: 0 done, also where nothing was found; 1 a mistake in the input; 2 wrong usage; 70 a
bug; 130 interrupted. Nothing heavy is imported before a command runs, so that a client's question
for the version is answered at once.

- `main`: the entry point.
- `run_words`: the same for words given, with the exit status returned.
- `status_of`: the status of a piece of work.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

from cryopick.clients.topaz_cli import file_options as files
from cryopick.clients.topaz_cli import picking_options as picking
from cryopick.clients.topaz_cli.manners import Parser, say, unfolded
from cryopick.errors import CryopickError

__all__ = ["main", "run_words", "status_of"]

# What clients ask for, and some compare with the versions that they know; nothing else may be
# on the line.
VERSION = "0.3.20"
FAILED, USAGE, BUG, INTERRUPTED = 1, 2, 70, 130


class Command(NamedTuple):
    """One command.

    Attributes:
        about: What it does.
        options: Adds its options.
        place: Module and function that do it, of values to an exit status or None.
    """

    about: str
    options: Callable[[Parser], None]
    place: str


COMMANDS = {
    "train": Command(
        "learn a detector from labelled particles", picking.train_options, "train:train"
    ),
    "segment": Command("write maps of scores", picking.segment_options, "segment:segment"),
    "extract": Command("find particles on micrographs", picking.extract_options, "extract:extract"),
    "precision_recall_curve": Command(
        "judge a table of particles", picking.curve_options, "tables:precision_recall_curve"
    ),
    "downsample": Command("shrink a micrograph", files.downsample_options, "images:downsample"),
    "normalize": Command("standardise micrographs", files.preprocess_options, "images:preprocess"),
    "preprocess": Command(
        "shrink and standardise micrographs", files.preprocess_options, "images:preprocess"
    ),
    "denoise": Command("not offered", files.denoise_options, "images:denoise"),
    "denoise3d": Command("not offered", files.denoise3d_options, "images:denoise"),
    "convert": Command("convert tables of particles", files.convert_options, "tables:convert"),
    "split": Command("one table for each micrograph", files.split_options, "tables:split"),
    "particle_stack": Command("cut out particles", files.stack_options, "stack:particle_stack"),
    "train_test_split": Command(
        "set micrographs aside to judge by", files.test_split_options, "tables:train_test_split"
    ),
    "gui": Command("label particles in a browser", files.no_options, "gui:gui"),
    "scale_coordinates": Command("scale a table", files.scale_options, "older:scale_coordinates"),
    "boxes_to_coordinates": Command(
        "box files to a table", files.from_boxes_options, "older:boxes_to_coordinates"
    ),
    "star_to_coordinates": Command(
        "STAR file to a table", files.from_star_options, "older:star_to_coordinates"
    ),
    "coordinates_to_star": Command(
        "table to a STAR file", files.to_star_options, "older:coordinates_to_star"
    ),
    "coordinates_to_boxes": Command(
        "table to box files", files.to_boxes_options, "older:coordinates_to_boxes"
    ),
    "coordinates_to_eman2_json": Command(
        "table to EMAN2 files", files.to_eman_options, "older:coordinates_to_eman2_json"
    ),
    "star_particles_threshold": Command(
        "leave out lower scores", files.star_threshold_options, "older:star_particles_threshold"
    ),
}


def main() -> NoReturn:
    """Run the command that was typed, and exit; being told to end is being interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run_words(sys.argv[1:], Path(sys.argv[0]).name))


def run_words(words: Sequence[str], program: str = "cryopick-topaz") -> int:
    """Run a command line without its program's name.

    Args:
        words: The command and its arguments.
        program: What it was called by.

    Returns:
        The exit status.
    """
    return status_of(lambda: _run(unfolded(words), program), program)


def status_of(work: Callable[[], int], program: str) -> int:
    """Do some work, tell in one line what stopped it, and give the exit status."""
    try:
        return work()
    except SystemExit as end:  # argparse ends so, with its message told
        return end.code if isinstance(end.code, int) else USAGE
    except CryopickError as error:
        say(f"{program}: error: {' '.join(str(error).split())}")
        return FAILED
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("CRYOPICK_DEBUG") == "1":
            raise
        return _stopped(error, program)


def _stopped(error: Exception, program: str) -> int:
    """Tell what a file or a bug did, in one line."""
    if isinstance(error, BrokenPipeError):  # whoever read stdout has enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # for the flush at exit
        return FAILED
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        say(f"{program}: error: {where}{error.strerror}")
        return FAILED
    say(
        f"{program}: bug: {type(error).__name__}: {' '.join(str(error).split())}. This is a "
        "mistake in cryopick; set CRYOPICK_DEBUG=1, run it again and report the traceback."
    )
    return BUG


def _run(words: Sequence[str], program: str) -> int:
    first = words[0] if words else ""
    if first == "--version":
        sys.stdout.write(f"{VERSION}\n")
        return 0
    if first in ("-h", "--help"):
        sys.stdout.write(_help(program))
        return 0
    if first == "--install-as-topaz":
        from cryopick.clients.topaz_cli.install import install

        return install(words[1:], program)
    command = COMMANDS.get(first)
    if command is None:
        found = f"unknown command {first!r}" if first else "a command is missing"
        say(f"usage: {program} [-h] [--version] <command> ...\n{program}: error: {found}; "
            f"choose one of {', '.join(COMMANDS)}")  # fmt: skip
        return USAGE
    parser = Parser(program, first, command.about)
    command.options(parser)
    values = parser.read(words[1:])
    values.parser, values.program = parser, program
    module, function = command.place.split(":")
    done = getattr(import_module(f"cryopick.clients.topaz_cli.{module}"), function)(values)
    sys.stdout.flush()
    return int(done or 0)


def _help(program: str) -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {program} [-h] [--version] <command> ...",
            "",
            "The commands of Topaz, done by cryopick.",
            "",
            "options:",
            "  -h, --help              show this help and stop; after a command, its options",
            f"  --version               show the version of Topaz that this stands for ({VERSION})",
            "  --install-as-topaz DIR  write DIR/topaz, which starts this program",
            "",
            "commands:",
            *lines,
            "",
        ]
    )
