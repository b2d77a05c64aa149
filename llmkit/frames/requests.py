"""The requests of a frame's rows: equal ones are one request."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from llmkit.frames.prompts import RowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.content.messages import LLMMessage
    from llmkit.frames.key import Keys
    from llmkit.frames.prompts import Prompts


class Requests:
    """The requests of some rows.

    Args:
        prompts: The messages of each row.
        wording: Adds to a row's messages what the verb asks.
        keys: Makes keys.
        rows: Number of rows to ask, from the first one.
        dedupe: Whether equal requests are one.

    Attributes:
        keys: For each of these rows the key of its request; `None` if it has none.
        errors: Why a row has no prompt, by its number; a row without text has no error.
        first: The first row of each request, in order.
    """

    def __init__(
        self,
        prompts: Prompts,
        wording: Callable[[list[LLMMessage]], list[LLMMessage]],
        keys: Keys,
        *,
        rows: int,
        dedupe: bool,
    ) -> None:
        self._prompts = prompts
        self._wording = wording
        self.keys: list[bytes | None] = []
        self.errors: dict[int, str] = {}
        self.first: dict[bytes, int] = {}
        # The prompts of a callable are made once, because another call may give another prompt.
        self._kept: dict[bytes, list[LLMMessage]] = {}
        seen: Counter[bytes] = Counter()
        for row in range(rows):
            self.keys.append(self._key(row, keys, None if dedupe else seen))
        self.counts = Counter(filter(None, self.keys))

    def _key(self, row: int, keys: Keys, seen: Counter[bytes] | None) -> bytes | None:
        try:
            messages = self._prompts.messages(row, sending=self._prompts.keeps)
        except RowError as error:
            self.errors[row] = f"prompt: {error.message}"
            return None
        if messages is None:
            return None
        asked = self._wording(messages)
        key = keys.of(asked)
        if seen is not None:
            seen[key] += 1
            if seen[key] > 1:
                key = keys.of(asked, seen[key] - 1)
        if key not in self.first:
            self.first[key] = row
            if self._prompts.keeps:
                self._kept[key] = asked
        return key

    def messages(self, key: bytes) -> list[LLMMessage]:
        """Return the messages of a request, to send them."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        messages = self._prompts.messages(self.first[key])
        assert messages is not None
        return self._wording(messages)

    def forget(self, key: bytes) -> None:
        """Forget the messages of a request that is done."""
        self._kept.pop(key, None)
