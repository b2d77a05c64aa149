"""Record a call's answer once, play it back later: Restart & Run All can cost nothing.

Off by default. Once it is on, a file keeps the answers **and the requests they answer, prompts included**;
the ledger never does. Two requests are the same if everything that would be sent is the same: provider,
server, model, messages and every parameter. Whether the answer is streamed makes no difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, get_args

import platformdirs

from llmkit import settings
from llmkit.clients.asked import Asked, canonical, request_key
from llmkit.clients.flights import Flights, Seat
from llmkit.clients.keys import redact
from llmkit.clients.pace import Pace, Player, checked
from llmkit.clients.recording import Recording
from llmkit.clients.tape import DamagedRecordingError, Tape
from llmkit.errors import ConfigurationError, InvalidRequestError, ReplayMissError
from llmkit.settings import ReplayMode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from llmkit.clients.books import Source
    from llmkit.clients.call import Call

logger = logging.getLogger(__name__)

_flights: Flights[Recording] = Flights()
_warned: set[str] = set()
_chosen: Replay | None = None

with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_flights.forget)


class Replay:
    """Whether answers are replayed, from which file, and how fast; made by `llmkit.replay`.

    As a context manager it restores, at the end of the block, what was in force before.

    Args:
        path: The file, absolute.
        mode: `"off"`, `"auto"` or `"only"`.
        pace: How fast a streamed answer is played back.

    Attributes:
        path: As above.
        mode: As above.
        pace: As above.
        tape: The file's contents.

    Example:
        >>> with replay("off") as state:
        ...     state.mode, bool(state)
        ('off', False)
    """

    def __init__(self, path: Path, mode: ReplayMode, pace: Pace = "instant") -> None:
        self.path = path
        self.mode = mode
        self.pace = pace
        self.tape = Tape(path)
        self._before: Replay | None = None

    def __repr__(self) -> str:
        try:
            number = f"{len(self)} recorded"
        except ConfigurationError as error:
            number = error.message
        return f"Replay({self.mode}, {str(self.path)!r}, {number})"

    def __len__(self) -> int:
        """Return how many answers the file has."""
        return self.tape.count()

    def __bool__(self) -> bool:
        """Return whether replay is on, however many answers there are."""
        return self.mode != "off"

    def __enter__(self) -> Self:
        self.use()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _chosen  # noqa: PLW0603 - one process has one mode
        _chosen = self._before

    def use(self) -> None:
        """Put this in force for the process."""
        global _chosen
        if _chosen is not self:
            self._before, _chosen = _chosen, self

    def clear(self) -> int:
        """Remove all recorded answers from the file.

        Returns:
            How many there were.

        Raises:
            ConfigurationError: If the file is something else, or cannot be written.
        """
        return self.tape.clear()


def replay(
    file: str | os.PathLike[str] | None = None, *, mode: ReplayMode = "auto", pace: Pace | None = None
) -> Replay:
    """Play recorded answers back, for this process or for a `with` block.

    The file keeps answers and the requests they answer, prompts included, readable for its owner only.
    It holds no key. It may be committed, so that others run a notebook without a key and for $0.

    The same request always gets the same answer: to ask for several answers to one prompt, let a parameter
    differ, or leave replay off.

    Args:
        file: Where the answers are kept; by default the file in force, else what `LLMKIT_REPLAY_FILE` or
            the settings say, else a file among the user's data. One of the words `"off"`, `"auto"` and
            `"only"` is the mode.
        mode: `"auto"` plays an answer back if it was recorded, else calls and records it; `"only"` raises
            `ReplayMissError` instead of calling; `"off"` does neither.
        pace: How fast a streamed answer is played back: `"instant"` (the default), `"natural"` (a word at
            a time, at most 10 s), or tokens per second.

    Returns:
        What is in force now; leaving it as a context manager restores what was before.

    Raises:
        ConfigurationError: If the mode or the pace is none, the file is something else, or cannot be read.

    Example:
        >>> import tempfile
        >>> with replay(f"{tempfile.mkdtemp()}/demo.replay") as state:
        ...     state.mode, len(state)
        ('auto', 0)
    """
    if isinstance(file, str) and file in get_args(ReplayMode):
        file, mode = None, file  # type: ignore[assignment]  # it is one of the three words
    if mode not in get_args(ReplayMode):
        raise ConfigurationError(f"mode={mode!r} is unknown.", hint='Take "off", "auto" or "only".')
    usual = _file(settings.load()) if _chosen is None else _chosen.path
    path = usual if file is None else _absolute(file)
    state = Replay(path, mode, checked(pace))
    if mode != "off":
        state.tape.check()
    if mode == "only" and not state.path.exists():
        raise ConfigurationError(
            f"There is no file {state.path} to replay from.",
            hint='Record it first: llmkit.replay(file, mode="auto").',
        )
    state.use()
    return state


def current() -> Replay:
    """Return what is in force: what `llmkit.replay` was told last, else what the settings say.

    Raises:
        ConfigurationError: If a setting cannot be used.
    """
    if _chosen is not None:
        return _chosen
    loaded = settings.load()
    return Replay(_file(loaded), loaded.replay)


def default_path() -> Path:
    """Return where answers are recorded if nobody says otherwise: a file among the user's data."""
    return platformdirs.user_data_path("llmkit") / "replay.sqlite"


def replayed(call: Call, source: Source, asked: Callable[[], Asked]) -> Source:
    """Let a call's text come from a recording, and record it, as the mode has it.

    Args:
        call: The books of the call.
        source: Where its text comes from otherwise.
        asked: Says what the call asks; used only where replay is on.

    Returns:
        The source itself where replay is off.

    Raises:
        ConfigurationError: If a setting cannot be used.
    """
    state = _chosen
    mode = settings.replay_mode() if state is None else state.mode
    if mode == "off" or (mode == "auto" and call.context.replay == "off"):
        return source
    if state is None:
        state = Replay(_file(settings.load()), mode)
    return Replayed(call, source, state, asked)


class Replayed:
    """The texts of a call, from a recording or, to be recorded, from its own source.

    Args:
        call: The books of the call.
        source: Where its text comes from if there is no recording.
        state: The mode, the file and the pace.
        asked: Says what the call asks.
    """

    def __init__(self, call: Call, source: Source, state: Replay, asked: Callable[[], Asked]) -> None:
        self._call = call
        self._source = source
        self._state = state
        self._asked = asked
        self._who = (call.provider, call.request.model)
        self._request: Any = None
        self._now: Source | None = None
        self._seat: Seat[Recording] | None = None
        self._key: str | None = None
        self._begun = 0.0
        self._first: float | None = None

    async def next(self) -> list[str] | None:
        """Wait for the next pieces; `None` at the end.

        Raises:
            ReplayMissError: If there is no recording, and nothing may be sent.
            ConfigurationError: If the file cannot be read.
            LLMClientError: If the call fails.
        """
        if self._seat is not None:
            self._seat.resume()
        if self._now is None:
            self._now = await self._choose()
        texts = await self._now.next()
        if texts is None:
            await self._ended()
        elif self._key is not None:
            self._first = perf_counter() - self._begun if self._first is None else self._first
            if self._seat is not None:
                self._seat.pause()
        return texts

    async def aclose(self) -> None:
        """Stop; if others wait for this very answer, one of them calls now."""
        self._land(None)
        await self._source.aclose()

    async def _choose(self) -> Source:
        """Find out where the text comes from."""
        asked = self._asked()
        if self._state.mode == "only" and self._call.context.replay is not None:
            raise self._miss("a new answer was asked for, and nothing is sent in this mode")
        try:
            key = request_key(self._call.provider, asked.place, asked.request)
        except InvalidRequestError as error:
            if self._state.mode == "only":
                raise self._miss(f"no answer to it can be recorded ({error.message})") from error
            return self._source
        self._request = canonical(asked.request)
        if self._call.context.replay == "refresh":
            return self._live(key)
        if self._state.mode == "only":
            return self._play(await asyncio.to_thread(self._recorded, key))
        return await self._shared(key)

    async def _shared(self, key: str) -> Source:
        """Play the recording, maybe that of an identical call that is under way, or make the call."""
        boarded = await _flights.board((self._state.path, key))
        if isinstance(boarded, Recording):
            return self._play(boarded)
        self._seat = boarded
        recording = await asyncio.to_thread(self._found, key)
        if recording is None:
            return self._live(key)
        self._land(recording)
        return self._play(recording)

    def _live(self, key: str) -> Source:
        self._key, self._begun = key, perf_counter()
        return self._source

    def _play(self, recording: Recording) -> Player:
        self._call.replay(recording)
        # Nobody watches an answer that comes as a whole.
        return Player(recording.text, self._state.pace if self._call.request.stream else "instant")

    async def _ended(self) -> None:
        """Keep an answer that came whole, and let those have it who wait for it."""
        key, self._key = self._key, None
        if key is None or self._call.fallback_from is not None:
            return  # it was played back, or another model has answered
        recording = self._recording()
        try:
            await asyncio.to_thread(self._keep, key, recording)
        finally:
            self._land(recording)

    def _land(self, recording: Recording | None) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.land(recording)

    def _found(self, key: str) -> Recording | None:
        try:
            return self._state.tape.read(key)
        except DamagedRecordingError as error:
            _warn_once(f"{error.message} The call is made again.")
            return None

    def _recorded(self, key: str) -> Recording:
        recording = self._state.tape.read(key)
        if recording is None:
            raise self._miss(self._state.tape.nearest(*self._who, self._request))
        return recording

    def _miss(self, reason: str) -> ReplayMissError:
        provider, model = self._who
        return ReplayMissError(
            f"This request to {provider}:{model} has no recorded answer in {self._state.path}: {reason}.",
        )

    def _keep(self, key: str, recording: Recording) -> None:
        """Write an answer down; that this fails does not cost the answer."""
        provider, model = self._who
        if redact(recording.text) != recording.text:
            _warn_once(f"An answer of {provider}:{model} was not recorded: something in it looks like a key.")
            return
        try:
            self._state.tape.write(key, recording, provider=provider, model=model, request=self._request)
        except ConfigurationError as error:
            _warn_once(f"Answers are not recorded: {error}")

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
        )


def _file(loaded: settings.Settings) -> Path:
    return _absolute(loaded.replay_file or default_path())


def _absolute(file: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expanduser(file)))  # noqa: PTH100, PTH111 - `..` goes, links stay


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        logger.warning("%s", message)
