"""Record a call's answer once, play it back later: Restart & Run All can cost nothing.

Off by default. Once it is on, a file keeps the answers **and the requests they answer, prompts included**;
the ledger never does. Two requests are the same if they ask the same: provider, server, model, messages,
attachments, schema and every parameter that was chosen. Neither streaming nor what a server was found to
refuse makes a difference. Files of an earlier llmkit, which compared what was sent, still play.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

import platformdirs

from llmkit.clients.cassettes.cassette import Cassette
from llmkit.clients.cassettes.pacing import Pace, checked
from llmkit.core import settings
from llmkit.core.errors import ConfigurationError
from llmkit.core.settings import ReplayMode

if TYPE_CHECKING:
    from types import TracebackType

_chosen: Replay | None = None


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
        cassette: The file's contents.

    Example:
        >>> with replay("off") as state:
        ...     state.mode, bool(state)
        ('off', False)
    """

    def __init__(self, path: Path, mode: ReplayMode, pace: Pace = "instant") -> None:
        self.path = path
        self.mode = mode
        self.pace = pace
        self.cassette = Cassette(path)
        self._before: Replay | None = None

    def __repr__(self) -> str:
        try:
            number = f"{len(self)} recorded"
        except ConfigurationError as error:
            number = error.message
        return f"Replay({self.mode}, {str(self.path)!r}, {number})"

    def __len__(self) -> int:
        """Return how many answers the file has."""
        return self.cassette.count()

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
        return self.cassette.clear()


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
        state.cassette.check()
    if mode == "only" and not state.path.exists():
        raise ConfigurationError(
            f"There is no file {state.path} to replay from.",
            hint='Record it first: llmkit.replay(file, mode="auto").',
        )
    state.use()
    return state


def current() -> Replay:
    """Return what is in force: what `llmkit.replay` was told last, else what the settings say."""
    if _chosen is not None:
        return _chosen
    loaded = settings.load()
    return Replay(_file(loaded), loaded.replay)


def current_mode() -> ReplayMode:
    """Return the mode in force; every call asks for it, so neither a file nor all settings are looked at."""
    return settings.replay_mode() if _chosen is None else _chosen.mode


def default_path() -> Path:
    """Return where answers are recorded if nobody says otherwise: a file among the user's data."""
    return platformdirs.user_data_path("llmkit") / "replay.sqlite"


def _file(loaded: settings.Settings) -> Path:
    return _absolute(loaded.replay_file or default_path())


def _absolute(file: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expanduser(file)))  # noqa: PTH100, PTH111 - `..` goes, links stay
