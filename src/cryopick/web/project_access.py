"""Port, token and session of a project, kept so that its link survives a restart.

They are stored in `access.json` in the folder of the project, readable by its owner alone. An open
page keeps its session when the server is started again, so edits that wait in the browser arrive.
Deleting the file gives a new link.

- `ProjectAccess`: the stored values.
- `load_access`: reads them, or creates them.
"""

import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cryopick.errors import CryopickError
from cryopick.web.listener import open_private_file

__all__ = ["ACCESS_FILE", "ProjectAccess", "load_access"]

ACCESS_FILE = "access.json"
_MIN_TOKEN = 43  # characters of 256 bits


def _new_token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class ProjectAccess:
    """Port and secrets of a project.

    Attributes:
        port: Port of the last server; 0 before the first.
        token: Part of the link.
        session: Value of the session cookie.
        view_token: Part of the link that does not allow changes.
        view_session: Value of the cookie of its sessions.
    """

    port: int = 0
    token: str = field(default_factory=_new_token)
    session: str = field(default_factory=_new_token)
    view_token: str = field(default_factory=_new_token)
    view_session: str = field(default_factory=_new_token)

    def store(self, folder: Path) -> None:
        """Write the values; without a writable folder the link is valid until the server stops."""
        with suppress(OSError, CryopickError), open_private_file(folder / ACCESS_FILE) as file:
            file.write(json.dumps(asdict(self)))


def load_access(folder: Path) -> ProjectAccess:
    """Read the values of a project; new ones if the file is missing, damaged or not private."""
    try:
        descriptor = os.open(folder / ACCESS_FILE, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            values = json.loads(file.read(4096)) if _is_private(status) else None
    except (OSError, ValueError, RecursionError):
        values = None
    return ProjectAccess(**values) if values and _is_complete(values) else ProjectAccess()


def _is_private(status: os.stat_result) -> bool:
    is_own = status.st_uid == os.getuid()
    return stat.S_ISREG(status.st_mode) and is_own and not status.st_mode & 0o077


def _is_complete(values: Any) -> bool:  # noqa: ANN401  # any JSON value
    names = {field.name for field in fields(ProjectAccess)}
    if not isinstance(values, dict) or set(values) != names:
        return False
    port, texts = values["port"], [values[name] for name in names - {"port"}]
    has_port = isinstance(port, int) and not isinstance(port, bool) and 0 <= port < 2**16
    return has_port and all(isinstance(t, str) and len(t) >= _MIN_TOKEN for t in texts)
