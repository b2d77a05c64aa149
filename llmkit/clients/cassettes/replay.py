"""`llmkit.replay`: record a call's answer once and replay it later at no cost.

Replay is off by default. When it is on, a file stores the answers **and their requests, including prompts**;
the ledger stores neither. Two requests are equal if they have the same provider, server, model, messages,
attachments, schema and chosen parameters. Streaming and parameters that a server refuses make
no difference. Files of earlier versions, which compared the wire request, still work.
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
    """The replay mode, file and pace; returned by `llmkit.replay`.

    As a context manager, it restores the previous state at the end of the block.

    Args:
        path: The file, absolute.
        mode: `"off"`, `"auto"` or `"only"`.
        pace: How fast a streamed answer is replayed.

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
        """Return the number of answers in the file."""
        return self.cassette.count()

    def __bool__(self) -> bool:
        """Return whether replay is on, even if the file has no answers."""
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
        """Make this the process's replay state."""
        global _chosen
        # In a `with` statement this runs twice: in `replay` and on entry.
        if _chosen is not self:
            self._before, _chosen = _chosen, self

    def clear(self) -> int:
        """Remove all recorded answers from the file.

        Returns:
            The number of removed answers.

        Raises:
            ConfigurationError: If the file is not a file of recordings, or cannot be written.
        """
        return self.cassette.clear()


def replay(
    file: str | os.PathLike[str] | None = None, *, mode: ReplayMode = "auto", pace: Pace | None = None
) -> Replay:
    """Replay recorded answers, in this process or in a `with` block.

    The file stores answers and their requests, including prompts, readable by its owner only.
    It contains no key. You can commit it, so that others can run a notebook without a key and at no cost.

    The same request always gets the same answer. To get several answers to one prompt, change a parameter
    or turn replay off.

    Args:
        file: The file of recordings; by default the current one, then that of `LLMKIT_REPLAY_FILE` or
            the settings, then a file in the user's data folder. The words `"off"`, `"auto"` and
            `"only"` set the mode.
        mode: `"auto"` replays a recorded answer, otherwise calls and records; `"only"` raises
            `ReplayMissError` instead of calling; `"off"` does neither.
        pace: How fast a streamed answer is replayed: `"instant"` (the default), `"natural"` (a word at
            a time, at most 10 s), or tokens per second.

    Returns:
        The current state; as a context manager, it restores the previous one.

    Raises:
        ConfigurationError: If the mode or pace is invalid, or the file is not a file of recordings.

    Example:
        >>> import tempfile
        >>> with replay(f"{tempfile.mkdtemp()}/demo.replay") as state:
        ...     state.mode, len(state)
        ('auto', 0)
    """
    if isinstance(file, str) and file in get_args(ReplayMode):
        file, mode = None, file  # type: ignore[assignment]  # one of the three modes
    if mode not in get_args(ReplayMode):
        raise ConfigurationError(f"mode must be 'off', 'auto' or 'only', got {mode!r}.")
    usual = _file(settings.load()) if _chosen is None else _chosen.path
    path = usual if file is None else _absolute(file)
    state = Replay(path, mode, checked(pace))
    if mode != "off":
        # A wrong file is reported here rather than at the first call.
        state.cassette.check()
    if mode == "only" and not state.path.exists():
        raise ConfigurationError(
            f"Recording not found: {state.path}.",
            hint='Record it first: llmkit.replay(file, mode="auto").',
        )
    state.use()
    return state


def current() -> Replay:
    """Return the current state, as set by the last `llmkit.replay` or by the settings."""
    if _chosen is not None:
        return _chosen
    loaded = settings.load()
    return Replay(_file(loaded), loaded.replay)


def current_mode(loaded: settings.Settings | None = None) -> ReplayMode:
    """Return the current mode; every call needs it, so this reads no file and no other setting."""
    if _chosen is not None:
        return _chosen.mode
    return settings.replay_mode() if loaded is None else loaded.replay


def default_path() -> Path:
    """Return the default file of recordings, in the user's data folder."""
    return platformdirs.user_data_path("llmkit") / "replay.sqlite"


def _file(loaded: settings.Settings) -> Path:
    return _absolute(loaded.replay_file or default_path())


def _absolute(file: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expanduser(file)))  # noqa: PTH100, PTH111 - removes `..`, keeps links
