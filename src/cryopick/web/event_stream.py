"""Event stream of every open page, as server-sent events.

- `EventStream`: sends events to all pages, from any thread.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["EventStream"]

_MAX_PENDING = 1000  # events for a page that does not read; then it is disconnected and reconnects
_HEARTBEAT_S = 15.0  # so that no proxy closes an idle connection


class EventStream:
    """A stream of events for each open page."""

    def __init__(self) -> None:
        self._pages: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def send(self, name: str, data: Any) -> None:  # noqa: ANN401  # any JSON value
        """Send an event to all pages."""
        text = f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"
        for queue, loop in list(self._pages.items()):
            loop.call_soon_threadsafe(self._put, queue, text)

    def close(self) -> None:
        """End all streams, and those that are opened later."""
        self._closed = True
        for queue, loop in list(self._pages.items()):
            loop.call_soon_threadsafe(self._put, queue, None)

    def _put(self, queue: asyncio.Queue[str | None], text: str | None) -> None:
        if queue.full():
            queue.get_nowait()
            text = None
        queue.put_nowait(text)

    async def listen(self) -> AsyncIterator[str]:
        """Yield the events of one page from now on."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_MAX_PENDING)
        self._pages[queue] = asyncio.get_running_loop()
        try:
            yield ": connected\n\n"
            while not self._closed:
                try:
                    text = await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
                except TimeoutError:
                    text = ": heartbeat\n\n"
                if text is None:
                    return
                yield text
        finally:
            del self._pages[queue]
