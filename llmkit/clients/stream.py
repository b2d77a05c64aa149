"""`TextStream`, the async generator that `stream_text` returns."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.content.parts import Part, Text, text_of
from llmkit.providers.raw_parts import flush

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from types import TracebackType

    from llmkit.clients.engine.call import Call, Waiting
    from llmkit.content.messages import LLMResponse, Usage
    from llmkit.providers.codec import Request


class TextStream(AsyncGenerator[str, None]):
    """The text of an answer in chunks.

    Stopping early (`break`, `aclose`, a cancelled task) closes the connection and records the call with
    the status `cancelled`.

    Args:
        source: The generator of the text.
        call: The call.

    Example:
        ```python
        stream = client.stream_text(messages)
        async for piece in stream:
            print(piece, end="", flush=True)
        print(stream.response.cost_estimate)
        ```
    """

    def __init__(self, source: AsyncGenerator[str, None], call: Call) -> None:
        self._source = source
        self._call = call

    def __repr__(self) -> str:
        call = self._call
        state = "running" if call.attempts or call.replayed else "not begun"
        if call.outcome is not None:
            state = "complete" if call.response is not None else "incomplete"
        return f"<TextStream {call.name}: {state}, {len(call.text):,} characters>"

    def __del__(self) -> None:
        if not sys.is_finalizing():  # at shutdown, nothing can be recorded
            self._call.abandon()

    @property
    def response(self) -> LLMResponse | None:
        """The response; `None` until the stream has ended successfully."""
        return self._call.response

    @property
    def outcome(self) -> LLMResponse | None:
        """The complete or partial response, once the stream has ended."""
        return self._call.outcome

    @property
    def usage(self) -> Usage | None:
        """The tokens known so far."""
        response = self._call.response
        return self._call.answer.usage if response is None else response.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended; `None` while it runs."""
        return self._call.answer.finish_reason

    @property
    def waiting(self) -> Waiting | None:
        """The current pause before a retry, if any."""
        return self._call.waiting

    @property
    def text(self) -> str:
        """The text so far."""
        return self._call.text

    @property
    def thinking(self) -> bool:
        """Whether the model reasons at present: the last event had reasoning, and no text."""
        answer = self._call.answer
        return answer.thinking and not answer.calls and self._call.outcome is None

    @property
    def request(self) -> Request:
        """The model as `provider:model`; known before anything is sent."""
        return self._call.request

    @property
    def simulated(self) -> bool:
        """Whether the sandbox answers."""
        return self._call.simulated

    async def events(self) -> AsyncGenerator[Part, None]:
        """Yield the parts of the answer as they come, instead of its text alone.

        Text and reasoning come in pieces (`Text`, `Reasoning`), other parts whole (`ToolCall`, `Citation`,
        `Media`, `Other`).

        Example:
            ```python
            async for part in client.stream_text(messages).events():
                if isinstance(part, llmkit.parts.Reasoning):
                    print(part.text, end="")
            ```
        """
        self._call.watched = True
        done: list[Part] = []
        # A reader that stops early closes the connection now, not when garbage is collected.
        async with contextlib.aclosing(self._source):
            async for text in self._source:
                answer = self._call.answer
                if answer.events is None:  # a recording, or another client's answer: its parts are known
                    parts: list[Part] = [*_before(answer.whole, done), *([Text(text)] if text else [])]
                else:
                    parts, answer.events = answer.events, []
                for part in parts:
                    done.append(part)
                    yield part
        for part in _rest(self._call, done):
            yield part

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "A TextStream is read with `async for text in stream:`. Without async, llmkit.ask(…) waits for"
            " the whole answer."
        )

    def __anext__(self) -> Coroutine[Any, Any, str]:
        return self._source.__anext__()

    def asend(self, value: None) -> Coroutine[Any, Any, str]:
        """Return the next chunk, as `__anext__` does; the value is ignored."""
        return self._source.asend(value)

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> str:
        """Raise an exception at the current position of the stream."""
        # The form with three arguments is deprecated, but part of the abstract class.
        error = typ if isinstance(typ, BaseException) else typ(*(() if val is None else (val,)))
        return await self._source.athrow(error.with_traceback(tb))

    async def aclose(self) -> None:
        """Stop the answer, close the connection and record the call."""
        await self._source.aclose()


def _before(whole: tuple[Part, ...] | None, done: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts of a known answer that come before its next text and were not yielded."""
    said = len(text_of(part for part in done if isinstance(part, Text)))
    position = 0
    for part in whole or ():
        if isinstance(part, Text):
            position += len(part.text)
        # By identity, because two equal tool calls are two calls.
        elif not any(part is other for other in done):
            yield part
        if position > said:
            return


def _rest(call: Call, done: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts of an answer that are known at its end only."""
    answer = call.answer
    if answer.events is None:
        known = call.response.parts if call.response is not None else ()
        yield from (
            part for part in known if not isinstance(part, Text) and not any(part is other for other in done)
        )
        return
    flush(answer)
    yield from answer.events
    answer.events = []
