"""Sockets and files of a listening server.

- `bind_port`, `bind_usual_port`, `bind_unix_socket`: open the listening socket.
- `host_names`: accepted values of the Host header.
- `open_private_file`: a file that only its owner can read.
"""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from cryopick.errors import InputError

__all__ = [
    "bind_port",
    "bind_unix_socket",
    "bind_usual_port",
    "host_names",
    "open_private_file",
]


def bind_port(host: str, port: int) -> socket.socket:
    """Listen on a TCP port.

    Raises:
        InputError: The port is in use, or the address is invalid.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only on sockets that declare TCP; on others every response
    # would wait 40 ms for the acknowledgement of its headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        is_in_use = error.errno == errno.EADDRINUSE
        reason = "is already in use" if is_in_use else f"cannot be used: {error.strerror}"
        raise InputError(f"{host}:{port} {reason}; choose another with --port") from error
    listener.listen(128)
    return listener


def bind_usual_port(host: str, port: int, usual: int) -> socket.socket:
    """Listen on a port; 0 means the usual one if it is free, else any free one.

    Raises:
        InputError: The port is in use, or the address is invalid.
    """
    if not port and usual:
        with suppress(InputError):
            return bind_port(host, usual)
    return bind_port(host, port)


def bind_unix_socket(file: Path) -> socket.socket:
    """Listen on a Unix socket that only its owner can reach.

    uvicorn would create a socket that all users can reach.

    Raises:
        InputError: Other users can enter the folder, or the file exists.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.parent.stat().st_mode & 0o077:
        raise InputError(
            f"{file.parent}: other users can enter this folder; choose one with mode 0700"
        )
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(file))
    except OSError as error:
        raise InputError(
            f"{file}: cannot be used: {error.strerror}; remove it or choose another path"
        ) from error
    file.chmod(0o600)
    listener.listen(128)
    return listener


def host_names(host: str, port: int, public_name: str) -> frozenset[str]:
    """Return the values of the Host header that identify this server."""
    names = {"127.0.0.1", "localhost", "[::1]"}
    if host not in names:  # other machines use the name of this machine
        names |= {host, socket.gethostname(), socket.getfqdn()}
    return frozenset({f"{name}:{port}".lower() for name in names} | {public_name.lower()} - {""})


def open_private_file(file: Path) -> TextIO:
    """Create a file that only its owner can read, in place of an existing one."""
    try:
        file.unlink(missing_ok=True)
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
