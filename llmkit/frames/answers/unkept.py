"""A store that keeps nothing, for `store=False`."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmkit.frames.answers.protocol import Answer, JobRecord, Room


class Unkept:
    """Takes answers and jobs, and forgets them; their frame has them."""

    name = "nothing is stored"
    problem = None

    def get(self, keys: Collection[bytes]) -> dict[bytes, Answer]:  # noqa: ARG002 - as in the protocol
        """Return nothing."""
        return {}

    def of_call(self, uid: str) -> Answer | None:  # noqa: ARG002 - the same
        """Return nothing."""
        return None

    def page(self, after: bytes = b"") -> list[Answer]:  # noqa: ARG002 - the same
        """Return nothing."""
        return []

    def put(self, answer: Answer) -> Future[bool]:  # noqa: ARG002 - the same
        """Count as committed."""
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    def save(self, job: JobRecord) -> None:
        """Keep nothing."""

    def jobs(self) -> list[JobRecord]:
        """Return nothing."""
        return []

    def claim(self, keys: Collection[bytes], job: str) -> set[bytes]:  # noqa: ARG002 - the same
        """Let every job ask for everything."""
        return set(keys)

    def release(self, job: str) -> None:
        """Have nothing to end."""

    def reserve(self, job: str, uid: str, nanos: int, most: int) -> Room:  # noqa: ARG002 - the same
        """Refuse: nobody would see it.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "max_cost over several processes needs the store of answers.", hint="Leave store=False out."
        )

    def settle(self, job: str, uid: str, nanos: int | None) -> None:
        """Have nothing to settle."""

    def forget(self, before: int | None = None) -> int:  # noqa: ARG002 - the same
        """Have nothing to forget."""
        return 0

    def size(self) -> int:
        """Return 0."""
        return 0

    def flush(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the same
        """Have nothing to write."""
        return True

    def close(self) -> None:
        """Have nothing to close."""
