"""`cryopick info`: show the contents of files and check them for errors."""

import json
import math
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, echo

from cryopick.cli.app import app
from cryopick.cli.messages import warn
from cryopick.cli.models import MODEL_SUFFIX, describe_model, model_lines
from cryopick.cli.options import Json
from cryopick.errors import (
    CryopickError,
    FormatError,
    NotATableError,
    NotFoundError,
    UnfinishedError,
)
from cryopick.runs.file_errors import translate_file_errors

__all__ = ["info"]

# Ends of the names of files that commands write beside their tables.
_RUN_FILES = ("run.json", "settings.toml", ".micrographs.tsv")
_MAX_NAMES = 3  # of a message


@app.command()
def info(
    paths: Annotated[
        list[Path],
        Argument(metavar="PATH", help="Micrographs, pick tables, models, or folders of them."),
    ],
    as_json: Json = False,
) -> None:
    """Show the contents of files, and check them for errors.

    Reads micrographs, pick tables and models. The exit status is 1 if a file cannot be used.

    Example: cryopick info micrographs picks.star particle.safetensors
    """
    reports = []
    for argument in paths:
        others = []
        for path in _list_files(argument):
            facts = _report(path)
            if argument.is_dir() and not facts["usable"] and not _is_known(path):
                others.append(path.name)
                continue
            reports.append(facts)
            if not as_json:
                echo(_as_text(facts))
        if others:
            names = ", ".join(others[:_MAX_NAMES]) + (", …" if len(others) > _MAX_NAMES else "")
            warn(f"{argument}: passed over other files: {names}")
    if as_json:
        echo(json.dumps(reports, indent=2, default=str))
    unusable = [facts["path"] for facts in reports if not facts["usable"]]
    if unusable:
        raise UnfinishedError(
            f"{len(unusable)} of {len(reports)} files cannot be used, such as {unusable[0]}; "
            "see the problems listed"
        )


def _list_files(path: Path) -> list[Path]:
    """List a file, or the files in a folder that are not those of a run."""
    from cryopick.io.names import is_file_or_link

    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if is_file_or_link(file))
    return [file for file in files if not file.name.endswith(_RUN_FILES)]


def _report(path: Path) -> dict[str, Any]:
    try:
        with translate_file_errors(path):
            facts = _describe(path)
    except CryopickError as error:
        facts = {"usable": False, "findings": [str(error)]}
    return {"path": str(path), **facts}


def _is_known(path: Path) -> bool:
    """Check by its name whether a file may be a micrograph, a table or a model."""
    from cryopick.io.names import MICROGRAPH_SUFFIXES
    from cryopick.io.tables.formats import CODECS

    of_tables = {suffix for codec in CODECS.values() for suffix in codec.suffixes}
    suffixes = (*MICROGRAPH_SUFFIXES, *of_tables, MODEL_SUFFIX)
    return path.name.lower().endswith(suffixes) and not path.name.startswith(".")


def _describe(path: Path) -> dict[str, object]:
    if not path.exists():
        raise NotFoundError(f"{path}: no such file; check the name")
    if path.suffix.lower() == MODEL_SUFFIX:
        return _describe_model(path)
    if _is_table(path):
        return _describe_table(path)
    return _describe_micrograph(path)


def _is_table(path: Path) -> bool:
    from cryopick.io.names import MICROGRAPH_SUFFIXES
    from cryopick.io.tables.formats import detect_codec

    if path.name.lower().endswith(MICROGRAPH_SUFFIXES):
        return False
    try:
        detect_codec(path)
    except FormatError:
        return path.suffix.lower() == ".txt"
    return True


def _describe_micrograph(path: Path) -> dict[str, object]:
    from cryopick.io.images.micrograph import describe_micrograph

    facts = asdict(describe_micrograph(path))
    return {key: None if _is_nan(value) else value for key, value in facts.items()}


def _describe_table(path: Path) -> dict[str, object]:
    from cryopick.io.tables.formats import detect_codec, list_micrographs
    from cryopick.io.tables.pick_tables import read_picks

    try:
        picks = read_picks(path)
    except NotATableError:
        names = list_micrographs(path)
        if not names:
            raise
        return {
            "kind": "micrograph list",
            "usable": True,
            "micrographs": len(names),
            "findings": [],
        }
    facts: dict[str, object] = {
        "kind": "pick table",
        "format": detect_codec(path).name,
        "usable": True,
        "picks": len(picks),
        "micrographs": len(picks.micrographs),
        "further columns": sorted(picks.extra),
        "findings": [],
    }
    if len(picks):
        (left, top), (right, bottom) = picks.xy_px.min(axis=0), picks.xy_px.max(axis=0)
        facts["x"] = [float(left), float(right)]
        facts["y"] = [float(top), float(bottom)]
        facts["scores"] = (
            [float(picks.score.min()), float(picks.score.max())] if picks.is_scored else None
        )
    return facts | _describe_origin(path)


def _describe_origin(path: Path) -> dict[str, object]:
    """Describe how a table was made, as far as the run metadata beside it state it."""
    from cryopick.workflows.derived_table import find_metadata

    metadata = find_metadata(path)
    if metadata is None:
        return {}
    commands = [shlex.join(["cryopick", *metadata.command])] if metadata.command else []
    return {
        "made by": metadata.describe_origin(),
        "commands": [*commands, *metadata.later_commands],
        "finished": metadata.finished,
        "polarity": metadata.polarity or "unknown",
        "pixel_sizes_ang": [f"{size:g}" for size in metadata.pixel_sizes_ang],
        "checksums": [f"{name} {value}" for name, value in metadata.checksums.items()],
    }


def _describe_model(path: Path) -> dict[str, object]:
    return {"kind": "model", "usable": True, **describe_model(path), "findings": []}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _as_text(facts: dict[str, object]) -> str:
    lines = [str(facts["path"])]
    if facts.get("kind") == "model":
        shown_elsewhere = ("path", "findings", "usable")
        lines += model_lines(
            {key: value for key, value in facts.items() if key not in shown_elsewhere}
        )
    else:
        lines += _plain_lines(facts)
    findings = facts["findings"]
    assert isinstance(findings, list | tuple)
    mark = "note" if facts["usable"] else "PROBLEM"
    return "\n".join(lines + [f"  {mark}: {finding}" for finding in findings])


def _plain_lines(facts: dict[str, object]) -> list[str]:
    lines = []
    for key, value in facts.items():
        if key not in ("path", "findings", "usable"):
            lines.append(
                f"  {key.replace('_ang', ' (Å)').replace('_', ' '):<16} {_format_value(value)}"
            )
    return lines


def _format_value(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return " × ".join(str(v) for v in value)
    if isinstance(value, list) and value and isinstance(value[0], float):
        return " to ".join(f"{v:.6g}" for v in value)
    if isinstance(value, list):
        return ", ".join(str(v) for v in value) or "none"
    return str(value)
