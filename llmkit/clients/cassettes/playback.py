"""Replay of one call: its text comes from a recording, or is recorded as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from llmkit.clients.cassettes.cassette import DamagedRecordingError
from llmkit.clients.cassettes.pacing import Player
from llmkit.clients.cassettes.recording import Recording
from llmkit.clients.cassettes.replay import current, current_mode
from llmkit.clients.cassettes.request_key import canonical
from llmkit.clients.cassettes.single_flight import SingleFlight, Turn
from llmkit.clients.cassettes.writing import in_thread
from llmkit.content.parts import Text, values_of
from llmkit.core.errors import ConfigurationError, InvalidRequestError, ReplayMissError
from llmkit.core.redaction import redact
from llmkit.providers.assembly import assembled
from llmkit.providers.raw_parts import gathered

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.clients.accounting.accounting import Source
    from llmkit.clients.cassettes.replay import Replay
    from llmkit.clients.cassettes.request_key import CanonicalRequest
    from llmkit.clients.engine.call import Call
    from llmkit.content.parts import Part

logger = logging.getLogger("llmkit.clients.playback")

_single_flight: SingleFlight[Recording] = SingleFlight()
_warned: set[str] = set()

with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_single_flight.forget)


def replayed(call: Call, source: Source, asked: Callable[[], CanonicalRequest]) -> Source:
    """Wrap a call's source with replay and recording, depending on the mode."""
    mode = current_mode()
    if mode == "off" or (mode == "auto" and call.context.replay == "off"):
        return source
    return Replayed(call, source, current(), asked)


class Replayed:
    """A call's text, from a recording or from its own source, which is then recorded."""

    def __init__(
        self, call: Call, source: Source, state: Replay, asked: Callable[[], CanonicalRequest]
    ) -> None:
        self._call = call
        self._source = source
        self._state = state
        self._asks = asked
        # Kept here, because a fallback changes both in the call.
        self._who = (call.provider, call.request.model)
        self._asked: CanonicalRequest | None = None
        self._request: Any = None
        self._now: Source | None = None
        self._turn: Turn[Recording] | None = None
        self._key: str | None = None
        self._begun = 0.0
        self._first: float | None = None

    async def next(self) -> list[str] | None:
        """Return the next chunks; `None` at the end."""
        if self._turn is not None:
            self._turn.resume()
        if self._now is None:
            self._now = await self._choose()
        texts = await self._now.next()
        if texts is None:
            await self._ended()
        elif self._key is not None:
            self._first = perf_counter() - self._begun if self._first is None else self._first
            if self._turn is not None:
                self._turn.pause()
        return texts

    async def aclose(self) -> None:
        """Stop; if others wait for this answer, one of them makes the call."""
        self._complete(None)
        await self._source.aclose()

    async def _choose(self) -> Source:
        """Choose the source of the text."""
        self._asked = asked = self._asks()
        if self._state.mode == "only" and self._call.context.replay is not None:  # -r or --no-cache
            raise self._miss("a new answer was requested, but this mode never calls")
        try:
            key = asked.key()
        except InvalidRequestError as error:
            if self._state.mode == "only":
                raise self._miss(f"its answer cannot be recorded ({error.message})") from error
            return self._source
        self._request = canonical(asked.request)
        if self._call.context.replay == "refresh":
            return self._live(key)
        if self._state.mode == "only":
            # SQLite may wait for a lock, which must not block the event loop.
            return self._play(await asyncio.to_thread(self._recorded, key))
        return await self._shared(key)

    async def _shared(self, key: str) -> Source:
        """Replay the recording, wait for an identical call in progress, or make the call."""
        joined = await _single_flight.join((self._state.path, key))
        if isinstance(joined, Recording):
            return self._play(joined)
        self._turn = joined
        # Looked up after the wait, because an identical call may have recorded it meanwhile.
        recording = await asyncio.to_thread(self._found, key)
        if recording is None:
            return self._live(key)
        self._complete(recording)
        return self._play(recording)

    def _live(self, key: str) -> Source:
        self._key, self._begun = key, perf_counter()
        return self._source

    def _play(self, recording: Recording) -> Player:
        self._call.replay(recording)
        # An answer that is not streamed needs no pacing.
        return Player(recording.text, self._state.pace if self._call.request.stream else "instant")

    async def _ended(self) -> None:
        """Record a complete answer, and pass it to the callers that wait for it."""
        key, self._key = self._key, None
        if key is None or self._call.fallback_from is not None:
            return  # it was replayed, or a fallback answered
        recording = self._recording()
        try:
            await in_thread(self._keep, key, recording)
        finally:
            # Callers that wait get the answer even if it could not be written.
            self._complete(recording)

    def _complete(self, recording: Recording | None) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.complete(recording)

    def _read(self, key: str) -> Recording | None:
        """Return the recording of a request, by its key or by its version 1 key."""
        assert self._asked is not None
        cassette = self._state.cassette
        found = cassette.read(key)
        if found is None and cassette.has_former() and (former := self._asked.former_key()) is not None:
            found = cassette.read(former)
        return found

    def _found(self, key: str) -> Recording | None:
        try:
            return self._read(key)
        except DamagedRecordingError as error:
            _warn_once(f"{error.message} Calling again.")
            return None

    def _recorded(self, key: str) -> Recording:
        recording = self._read(key)
        if recording is None:
            raise self._miss(self._state.cassette.nearest(*self._who, *self._requests()))
        return recording

    def _requests(self) -> list[Any]:
        """Return the request in the current form and, if there are such recordings, in the version 1 form."""
        assert self._asked is not None
        requests = [self._request]
        if self._state.cassette.has_former():
            with contextlib.suppress(InvalidRequestError, TypeError):
                requests.append(canonical(self._asked.former()))
        return requests

    def _miss(self, reason: str) -> ReplayMissError:
        provider, model = self._who
        return ReplayMissError(
            f"{self._state.path} has no recorded answer to this request to {provider}:{model}: {reason}.",
        )

    def _keep(self, key: str, recording: Recording) -> None:
        """Record an answer; a failure is logged and does not lose the answer."""
        provider, model = self._who
        # A redacted text would be replayed as if it were the answer, so it is not stored at all.
        if redact(recording.text) != recording.text:
            _warn_once(
                f"An answer of {provider}:{model} was not recorded because part of it looks like a key."
            )
            return
        try:
            self._state.cassette.write(key, recording, provider=provider, model=model, request=self._request)
        except ConfigurationError as error:
            _warn_once(f"Cannot record answers: {error}")

    def _recording(self) -> Recording:
        call, answer = self._call, self._call.answer
        return Recording(
            text=call.text,
            usage=answer.usage,
            finish_reason=answer.finish_reason,
            model=answer.model,
            tier=answer.tier,
            request_id=call.request_id or answer.request_id,
            cost_usd=answer.cost_usd,
            recorded_at=datetime.now(UTC),
            duration_s=perf_counter() - self._begun,
            first_token_s=self._first,
            simulated=call.simulated,
            parts=_harmless(gathered(answer)),
            content=_more_than_text(assembled(answer, call.provider)),
        )


def _more_than_text(parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
    """Return the parts of an answer if they say more than its text, without those that may hold a key."""
    if all(isinstance(part, Text) and part.opaque is None for part in parts):
        return None
    written = [json.dumps(values_of(part)) for part in parts]
    return tuple(part for part, text in zip(parts, written, strict=True) if redact(text) == text)


def _harmless(parts: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Return the parts of an answer that contain nothing like a key."""
    written = [json.dumps(part) for part in parts]
    return tuple(part for part, text in zip(parts, written, strict=True) if redact(text) == text)


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        logger.warning("%s", message)
