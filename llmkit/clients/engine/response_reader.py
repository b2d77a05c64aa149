"""Reads a response: bytes to text, error status to exception."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmkit.clients.engine.deadlines import CLOSE_GRACE, TRAILING_GRACE
from llmkit.core.errors import BadResponseError, LLMClientError, LLMTimeoutError, StreamInterruptedError
from llmkit.providers.assembly import assembled
from llmkit.providers.raw_parts import said

if TYPE_CHECKING:
    from llmkit.clients.engine.call import Call
    from llmkit.clients.engine.deadlines import Deadlines
    from llmkit.providers.codec import Codec
    from llmkit.transport.base import StreamedResponse


async def accepted(response: StreamedResponse, codec: Codec) -> StreamedResponse:
    """Return a response reader; an error status raises."""
    if 200 <= response.status < 300:
        return response
    # Nothing follows a redirect, because its target would receive the key.
    if 300 <= response.status < 400:
        await response.aclose()
        raise _redirected(response) from response.cause
    error = codec.classify(response.status, response.headers, await read(response))
    raise error from response.cause


async def read(response: StreamedResponse) -> bytes:
    """Read a response to its end and close it."""
    try:
        return b"".join([chunk async for chunk in response.chunks()])
    finally:
        await response.aclose()


class ResponseReader:
    """The text of one response, streamed or not."""

    def __init__(self, response: StreamedResponse, codec: Codec, call: Call, clock: Deadlines) -> None:
        self._response = response
        self._codec = codec
        self._answer = call.answer
        self._provider = call.provider
        self._answer.codec = codec
        self._clock = clock
        self._chunks = response.chunks()
        self._events = codec.framing()
        self._ahead = b""
        # If there was nothing but blank lines and pings, the request can safely be repeated.
        self._blank = True
        self._document: bool | None = None if call.request.stream else True
        self._seen = False
        self._delivered = False
        self._over = False
        self._failure: LLMClientError | None = None

    async def next(self) -> list[str] | None:
        """Wait for the next pieces of text; `None` at the end."""
        if self._failure is not None:
            raise self._failure
        if self._over:
            return None
        if (
            self._answer.ended
        ):  # usage may still follow, and a connection that is read to its end can be reused
            self._clock.moved(TRAILING_GRACE if self._answer.closed else CLOSE_GRACE)
        elif self._delivered:  # the reader's own time does not count as idle
            self._clock.moved()
        try:
            texts = await self._clock.within(self._read())
        except (LLMTimeoutError, StreamInterruptedError):
            if not self._has_ended():
                raise
            self._over = True  # the provider had marked the answer as complete or failed
            self._failure = self._answer.broken
            return await self.next()
        self._delivered = self._delivered or bool(texts)
        return texts

    async def aclose(self) -> None:
        """Close the response."""
        self._clock.stop()
        try:
            await self._chunks.aclose()
        finally:
            await self._response.aclose()

    async def _read(self) -> list[str]:
        """Read bytes until there is text, a failure or the end."""
        async for chunk in self._chunks:
            if self._document is not False:
                chunk = self._look_at(chunk)  # noqa: PLW2901 - includes the bytes held back
                if not chunk:
                    continue
            texts = self._decode(self._events.feed(chunk))
            if texts or self._failure is not None:
                return texts
            if self._has_ended():
                self._clock.moved(TRAILING_GRACE if self._answer.closed else CLOSE_GRACE)
            # Reasoning is progress without text, so it restarts the idle timeout.
            elif self._answer.thinking:
                self._answer.thinking = False
                self._clock.moved()
        return self._last()

    def _look_at(self, chunk: bytes) -> bytes:
        """Hold back bytes while they may be a JSON document or a page; then return them all.

        Some servers answer a stream request with one document, or a proxy with a page.
        """
        self._ahead += chunk
        if self._document is None:
            self._document = _looks_like_a_document(self._ahead, self._events.documents)
        if self._document is not False:
            return b""
        held, self._ahead = self._ahead, b""
        self._blank = held.lstrip().startswith(b":")  # a ping
        return held

    def _decode(self, events: list[tuple[bytes, bytes]]) -> list[str]:
        """Return the text of events; a failure is kept until the text before it has been read."""
        decode, answer = self._codec.decode, self._answer
        texts = answer.texts
        before = len(texts)
        try:
            for _, event in events:
                if text := decode(event, answer):
                    texts.append(text)
                    if answer.events is not None:  # a call would cost more than the text
                        said(answer, text)
        except LLMClientError as error:
            self._failure = error
        self._seen = self._seen or bool(events)
        # An empty text wakes the reader for parts that are not text.
        return texts[before:] or ([""] if answer.events else [])

    def _has_ended(self) -> bool:
        """Whether the answer is complete: some servers omit Anthropic's last event, `message_stop`."""
        answer = self._answer
        answer.ended = answer.ended or (answer.finish_reason is not None and answer.usage is not None)
        return answer.ended

    def _document_text(self) -> list[str]:
        """Read an answer that is not streamed; a partial one is retryable."""
        try:
            text = self._codec.decode_body(self._ahead, self._answer)
        except BadResponseError as error:
            # A body that was cut off on its way may arrive whole next time; any other will be invalid again.
            error.retryable = _is_cut_off(self._ahead)
            raise
        self._answer.texts += [text] if text else []
        if self._answer.events is not None:  # they would be without the text
            self._answer.events, self._answer.whole = None, assembled(self._answer, self._provider)
        return [text] if text else []

    def _last(self) -> list[str]:
        """Process the remaining bytes, and check that the answer is complete."""
        self._over = True
        if self._document:
            texts = self._document_text()
        else:
            texts = self._decode(self._events.feed(self._ahead) + self._events.close())
            if not self._seen:
                raise BadResponseError(
                    "The server sent no events; a stream was expected.", retryable=self._blank
                )
            if isinstance(self._failure, BadResponseError):
                self._failure = None  # the last event was cut off
        if self._failure is None:
            self._failure = self._answer.broken
        if self._failure is None and not self._has_ended():
            self._failure = StreamInterruptedError("The answer ended without the provider's end marker.")
        return texts


def _redirected(response: StreamedResponse) -> BadResponseError:
    target = urlsplit(response.headers.get("location") or "")
    # Without the query, which may hold a key.
    place = f"{target.scheme}://{target.hostname}{target.path}" if target.hostname else target.path
    return BadResponseError(
        f"The server redirects to {place or 'another address'} (HTTP {response.status}).",
        status_code=response.status,
        hint="llmkit does not send keys to redirect targets. If you trust that address, pass it as base_url.",
    )


def _looks_like_a_document(start: bytes, documents: frozenset[bytes]) -> bool | None:
    """Whether a body begins as a whole answer rather than as events; `None` while it is blank."""
    first = start.lstrip()[:1]
    return first in documents if first or not documents else None


def _is_cut_off(body: bytes) -> bool:
    """Whether a JSON body is truncated."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        # `json` reports an unterminated string at the string's start, not at the end of the text.
        return error.pos >= len(text) or error.msg.startswith("Unterminated string")
    except RecursionError:
        pass
    return False
