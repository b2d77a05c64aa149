"""`BatchRequest` and `BatchState`: what goes into a batch, and what is known about one."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.messages import LLMMessage
    from llmkit.providers.batches import Ending

LONGEST = 64
"""Maximum length of a custom identifier, which Anthropic sets."""

_ALLOWED = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """One request of a batch.

    Attributes:
        id: Identifier, unique in its job: letters, digits, `_` and `-`. With the job's it has at most 63
            characters.
        messages: The conversation.
        options: Arguments of `generate_text`, such as `max_tokens`, `temperature` or `schema`.
    """

    id: str
    messages: list[LLMMessage]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """What is known about one batch; `asdict` and `of` convert it for a store.

    Attributes:
        provider: Name of the provider.
        model: The model.
        job: Identifier of the job: of one submission, never of two.
        batch: The provider's identifier.
        created: When the provider made it (aware, UTC).
        expires: When the provider gives it up.
        ending: How it ended; `None` while it runs.
        total: Number of requests.
        done: Requests that were answered, as far as the provider counts them.
        failed: Requests that were not.
        error: Why the whole batch failed.
        files: Paths of the results.
        path: Path of the API that answers.
        ids: Identifiers of its requests; empty for a batch that was found at the provider.
        simulated: Whether the sandbox has it.
        is_certain: Whether it is known to belong to the job. A batch that runs at Anthropic and was not noted
            shows its requests only when it has ended.
    """

    provider: str
    model: str
    job: str
    batch: str
    created: datetime
    expires: datetime | None = None
    ending: Ending | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    error: str | None = None
    files: tuple[str, ...] = ()
    path: str = ""
    ids: tuple[str, ...] = ()
    simulated: bool = False
    is_certain: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        times = {"created": _text(self.created), "expires": _text(self.expires)}
        return {**asdict(self), **times, "files": list(self.files), "ids": list(self.ids)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> BatchState:
        """Return the state that `as_dict` wrote."""
        times = {name: _time(values[name]) for name in ("created", "expires")}
        lists = {name: tuple(values[name]) for name in ("files", "ids")}
        return cls(**{**values, **times, **lists})


def custom_id(job: str, identifier: str) -> str:
    """Return the provider's identifier of a request: it carries the job's.

    Example:
        >>> custom_id("j1", "row-1")
        'j1-row-1'

    Raises:
        InvalidRequestError: If an identifier is too long or has other characters.
    """
    found = f"{job}-{identifier}"
    if not _ALLOWED.fullmatch(found) or len(found) > LONGEST or "-" in job:
        raise InvalidRequestError(
            f"The identifier {found[:80]!r} cannot be sent in a batch.",
            hint=f"Use at most {LONGEST} letters, digits, _ and -, and no - in the job's identifier.",
        )
    return found


def split_id(found: str) -> tuple[str, str]:
    """Return the job and the identifier of a request.

    Example:
        >>> split_id("j1-row-1")
        ('j1', 'row-1')
    """
    job, _, identifier = found.partition("-")
    return job, identifier


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
