"""`cryopick label`: the labelling page."""

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.options import MICROGRAPHS

__all__ = ["label"]


@app.command()
def label(
    project: Annotated[
        Path,
        Argument(metavar="PROJECT", file_okay=False, help="Folder of the project, old or new."),
    ],
    micrographs: Annotated[
        list[str] | None,
        Option("--micrographs", "-m", metavar="MIC", help=f"Micrographs to add. {MICROGRAPHS}"),
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(min=5, help="Particle diameter in ångströms, to begin with.")
    ] = None,
    pixel_size_ang: Annotated[
        float | None, Option(min=0.01, help="Ångströms per raw pixel [as the files say].")
    ] = None,
    port: Annotated[int, Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    host: Annotated[
        str, Option(help="Address to listen at; another than 127.0.0.1 lets others knock.")
    ] = "127.0.0.1",
    socket: Annotated[
        Path | None, Option(metavar="FILE", help="Unix socket to listen at instead of a port.")
    ] = None,
    base_url: Annotated[
        str, Option(metavar="URL", help="Address at which a proxy in front shows the page.")
    ] = "",
    root: Annotated[
        list[Path] | None,
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Let the page bring micrographs from this folder alone; repeat.",
        ),
    ] = None,
    read_only: Annotated[
        bool, Option("--read-only", help="Only look: change nothing, as where nothing can be.")
    ] = False,
    browser: Annotated[bool, Option(help="Open the page in a browser.")] = True,
) -> None:
    """Label, train, inspect, review and export in the browser.

    Prints a link that lets one browser in, and serves until Ctrl-C. Every edit is on disk at
    once; training goes on when the page is closed.

    Example: cryopick label myproject -m 'micrographs/*.mrc' --diameter-ang 150
    """
    from cryopick.web.server import serve

    if read_only and (micrographs or diameter_ang or pixel_size_ang):
        raise BadParameter("--read-only changes nothing; leave out what would be added")
    if host not in ("127.0.0.1", "localhost", "::1") and not socket:
        echo(
            f"warning: everybody who can reach {host} can knock, and what is sent is not "
            "encrypted; an ssh tunnel to 127.0.0.1 is safer",
            err=True,
        )

    def ready(link: str, file: Path | None) -> None:
        echo(f"Open {link}")
        if file:
            echo(f"From another machine: ssh -L 8000:{file.resolve()} {_machine()}")
            echo(f"and open {link.replace('localhost', 'localhost:8000', 1)}")
        elif not base_url:
            number = link.split("#")[0].rstrip("/").rsplit(":", 1)[1].split("/")[0]
            echo(f"From another machine: ssh -L {number}:127.0.0.1:{number} {_machine()}")
        echo("Ctrl-C ends it.", err=True)
        if browser and not file:
            import webbrowser

            webbrowser.open(link)

    running = _running(project)
    if running:
        echo(f"{project} is open already: {running}")
        return
    serve(
        project,
        host=host,
        port=port,
        socket_file=socket,
        base_url=base_url,
        bring=tuple(micrographs or ()),
        known_ang={"diameter_ang": diameter_ang, "pixel_size_ang": pixel_size_ang},
        read_only=read_only,
        roots=tuple(root or ()),
        ready=ready,
    )


def _machine() -> str:
    import socket

    return socket.gethostname()


def _running(project: Path) -> str | None:
    """The link of a server that has this project open."""
    import json
    import os

    try:
        note = json.loads((project / "server.json").read_text())
        os.kill(note["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(note["link"])
