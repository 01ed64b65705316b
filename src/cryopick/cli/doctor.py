"""`cryopick doctor`: check the installation."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, echo

from cryopick.cli.app import app
from cryopick.cli.options import Json
from cryopick.errors import UnfinishedError, format_count

__all__ = ["doctor"]

_MARKS = {"ok": " ", "note": "!", "problem": "✗"}


@app.command()
def doctor(
    folder: Annotated[
        Path, Argument(metavar="FOLDER", help="Folder that commands are to write to.")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Check the installation.

    Lists versions, devices, threads, memory, free disk space and write access, and finds RELION,
    Topaz and schedulers. Add the output to a bug report. The exit status is 1 if there is a
    problem.

    Example: cryopick doctor
    """
    from cryopick.workflows.installation_check import State, check_installation

    findings = check_installation(folder)
    if as_json:
        echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            advice = f"; {finding.advice}" if finding.advice else ""
            echo(f"{_MARKS[finding.state]} {finding.subject:<{width}}  {finding.value}{advice}")
    problems = [finding for finding in findings if finding.state == State.PROBLEM]
    if problems:
        raise UnfinishedError(
            f"{format_count(len(problems), 'problem')}, the first: {problems[0].subject}: "
            f"{problems[0].value}; {problems[0].advice}"
        )
