"""`cryopick label`: labelling page in the browser."""

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option, echo

from cryopick.cli.app import app
from cryopick.cli.messages import note, warn
from cryopick.cli.options import MICROGRAPHS

__all__ = ["label"]


@app.command()
def label(
    project: Annotated[
        Path,
        Argument(
            metavar="PROJECT",
            file_okay=False,
            help="Folder of the project; created if it does not exist.",
        ),
    ],
    micrographs: Annotated[
        list[str] | None,
        Option(
            "--micrographs",
            "-m",
            metavar="MIC",
            help=f"Micrographs to add; repeatable. {MICROGRAPHS}",
        ),
    ] = None,
    diameter_ang: Annotated[
        float | None, Option(min=5, help="Initial particle diameter in ångströms.")
    ] = None,
    pixel_size_ang: Annotated[
        float | None,
        Option(
            min=0.01,
            help="Pixel size of the raw micrographs in ångströms. [default: from the file headers]",
        ),
    ] = None,
    port: Annotated[
        int,
        Option(min=0, max=65535, help="Port of the server; 0 takes the last one, or a free one."),
    ] = 0,
    host: Annotated[
        str, Option(help="Address to listen on; other than 127.0.0.1 lets other machines connect.")
    ] = "127.0.0.1",
    socket: Annotated[
        Path | None, Option(metavar="FILE", help="Unix socket to listen on instead of a port.")
    ] = None,
    base_url: Annotated[
        str, Option(metavar="URL", help="Public address of the page behind a reverse proxy.")
    ] = "",
    root: Annotated[
        list[Path] | None,
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder from which the page may add micrographs; repeatable. [default: any "
            "folder]",
        ),
    ] = None,
    read_only: Annotated[
        bool, Option("--read-only", help="Open the project without write access.")
    ] = False,
    browser: Annotated[bool, Option(help="Open the page in the browser.")] = True,
) -> None:
    """Label, train, review and export in the browser.

    Prints a link that admits one browser, and serves until Ctrl-C. Every edit is saved
    immediately; training continues when the page is closed.

    Example: cryopick label myproject -m 'micrographs/*.mrc' --diameter-ang 150
    """
    from cryopick.web.server import serve

    if read_only and (micrographs or diameter_ang or pixel_size_ang):
        raise BadParameter("--read-only cannot be combined with options that change the project")
    if host not in ("127.0.0.1", "localhost", "::1") and not socket:
        warn(
            f"warning: anyone who can reach {host} can connect, and the connection is not "
            "encrypted; an SSH tunnel to 127.0.0.1 is safer"
        )

    def ready(link: str, file: Path | None) -> None:
        echo(f"Open {link}")
        if file:
            echo(f"From another machine: ssh -L 8000:{file.resolve()} {_machine()}")
            echo(f"and open {link.replace('localhost', 'localhost:8000', 1)}")
        elif not base_url:
            number = link.split("#")[0].rstrip("/").rsplit(":", 1)[1].split("/")[0]
            echo(f"From another machine: ssh -L {number}:127.0.0.1:{number} {_machine()}")
        note("Press Ctrl-C to stop.")
        if browser and not file:
            import webbrowser

            webbrowser.open(link)

    running = _find_running(project, read_only=read_only)
    if running:
        echo(f"{project} is already open: {running}")
        return
    serve(
        project,
        host=host,
        port=port,
        socket_file=socket,
        base_url=base_url,
        micrographs=tuple(micrographs or ()),
        lengths_ang={"diameter_ang": diameter_ang, "pixel_size_ang": pixel_size_ang},
        read_only=read_only,
        roots=tuple(root or ()),
        ready=ready,
    )


def _machine() -> str:
    import socket

    return socket.gethostname()


def _find_running(project: Path, *, read_only: bool) -> str | None:
    """Return the link of a running server for this project, if there is one.

    With `read_only`, it is the link that does not allow changes.
    """
    import json

    from cryopick.web.storage.database import is_open_elsewhere

    try:
        note = json.loads((project / "server.json").read_text(encoding="utf-8"))
        link = str(note["view_link" if read_only else "link"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return link if is_open_elsewhere(project / "labels.db") else None
