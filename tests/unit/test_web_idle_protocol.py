"""Tests that connections without a request end by themselves."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from cryopick.web.idle_protocol import IdleProtocol

TIMEOUT_S = 1


async def answer(scope, receive, send):
    await asyncio.sleep(2 * TIMEOUT_S if scope["path"] == "/slow" else 0)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


async def exchange(start: bytes) -> bytes:
    """Send some bytes to a server, and return its answer once it closes the connection."""
    config = uvicorn.Config(
        answer,
        port=0,
        http=IdleProtocol,
        timeout_keep_alive=TIMEOUT_S,
        lifespan="off",
        log_level="critical",
        ws="none",
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    received = await asyncio.wait_for(reader.read(), 10 * TIMEOUT_S)
    writer.close()
    server.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return received


def run_exchange(start: bytes) -> bytes:
    """Run an exchange in a thread: the loop of the browser tests may run in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(exchange(start))).result()


@pytest.mark.parametrize("start", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_connection_without_a_complete_request_is_closed(start):
    assert b"200 OK" not in run_exchange(start)


@pytest.mark.parametrize("path", [b"/", b"/slow"])
def test_a_request_is_answered_however_long_it_takes(path):
    request = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n"

    assert run_exchange(request).endswith(b"ok")
