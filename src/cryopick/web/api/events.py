"""News for every open page, as server-sent events.

- `News`: tell all pages, from any thread.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["News"]

_WAITING = 1000  # messages for a page that does not listen; it is then cut off and asks anew
_BEAT_S = 15.0  # a line now and then, so that nothing between here and the page hangs up


class News:
    """A stream for each open page."""

    def __init__(self) -> None:
        self._pages: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def tell(self, name: str, data: Any) -> None:  # noqa: ANN401  # whatever JSON can hold
        """Send a message to all pages."""
        text = f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"
        for queue, loop in list(self._pages.items()):
            loop.call_soon_threadsafe(self._put, queue, text)

    def close(self) -> None:
        """End all streams, and those that come later."""
        self._closed = True
        for queue, loop in list(self._pages.items()):
            loop.call_soon_threadsafe(self._put, queue, None)

    def _put(self, queue: asyncio.Queue[str | None], text: str | None) -> None:
        if queue.full():
            queue.get_nowait()
            text = None
        queue.put_nowait(text)

    async def listen(self) -> AsyncIterator[str]:
        """What a page is to hear from now on."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_WAITING)
        self._pages[queue] = asyncio.get_running_loop()
        try:
            yield ": welcome\n\n"
            while not self._closed:
                try:
                    text = await asyncio.wait_for(queue.get(), _BEAT_S)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            del self._pages[queue]
