"""The faults and requests of a server, shared by its thread and its owner."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from llmkit.sandbox.batches.store import BatchStore
    from llmkit.sandbox.clock import Clock
    from llmkit.sandbox.rate_limits import RateLimiter

KEPT_REQUESTS = 1000
"""Maximum number of requests that a server keeps."""


@dataclass(slots=True, kw_only=True, eq=False)
class SeenRequest:
    """One request that reached the server; its fields change while it is answered.

    Attributes:
        protocol: `"openai"`, `"anthropic"` or `"google"`.
        method: HTTP method.
        path: Path of the URL, without its parameters.
        model: Model that was named, the fault included; `""` if none was.
        stream: Whether a stream was asked for.
        body: The JSON object that was sent; `None` if it was none.
        headers: Headers with their names in lower case; not shown, as they hold the key.
        fault: The specification that was in force.
        status: HTTP status of the answer; `None` before there is one.
        chunks: Pieces of text sent so far.
        outcome: `"open"`; then `"done"` if the server sent all it meant to, its faults
            included, or `"aborted"` if the client left first.
        started_at: When the request had arrived, on `time.monotonic`.
        ended_at: When the answer was over or the client's leaving was noticed.
    """

    protocol: str
    method: str
    path: str
    model: str = ""
    stream: bool = False
    body: dict[str, Any] | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    fault: str = ""
    status: int | None = None
    chunks: int = 0
    outcome: Literal["open", "done", "aborted"] = "open"
    started_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None

    def end(self, outcome: Literal["done", "aborted"]) -> None:
        """Store how the answer ended, and when."""
        # The time goes first: who sees the outcome from another thread finds it there.
        self.ended_at = time.monotonic()
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Settings of a server, the failures that are queued, and the requests it has seen."""

    first_token: float  # seconds between the start of a response and its first text
    rate: float  # tokens per second; 0 means all at once
    fault: str = ""  # specification for every answer
    clock: Clock
    limiter: RateLimiter
    batches: BatchStore
    failures: deque[str] = field(default_factory=deque)  # specifications for the next answers, one each
    # requests seen, the latest last
    requests: deque[SeenRequest] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))

    def next_failure(self) -> str:
        """Take the next queued specification, `""` if there is none."""
        return self.failures.popleft() if self.failures else ""
