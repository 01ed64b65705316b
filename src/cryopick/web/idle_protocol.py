"""HTTP connections that end when they stay idle before a request.

uvicorn limits the time between requests only, so that connections without any request would use up
the open files of the server.

- `IdleProtocol`: protocol for uvicorn.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["IdleProtocol"]


class IdleProtocol(H11Protocol):
    """HTTP protocol that closes a connection without a complete request after a timeout."""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # as in uvicorn
        """Start the timeout of a new connection."""
        super().connection_made(transport)
        self._end_if_idle(self.cycle)

    def on_response_complete(self) -> None:
        """Start the timeout until the next complete request."""
        answered = self.cycle
        super().on_response_complete()  # may begin the next request
        self._end_if_idle(answered)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._idle_timer.cancel()
        super().connection_lost(exc)

    def _end_if_idle(self, last_cycle: object) -> None:
        """Close the connection later, unless a request other than the last one has begun."""

        def close() -> None:
            if self.cycle is last_cycle and not self.transport.is_closing():
                self.transport.close()

        if hasattr(self, "_idle_timer"):
            self._idle_timer.cancel()
        self._idle_timer: asyncio.TimerHandle = self.loop.call_later(self.timeout_keep_alive, close)
