"""Filters of calls: as users write them, and as a store reads them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import known, texts
from llmkit.core.timestamps import moment
from llmkit.costs.store.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from llmkit.costs.store.rows import Row

    F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("provider", "model", "notebook", "status", "surface", "session", "user")
"""Columns that are filtered by their values."""


class OtherFilters(TypedDict, total=False):
    """All filters except `model`; see `Ledger.where`."""

    since: date | str | None
    until: date | str | None
    provider: str | Sequence[str] | None
    notebook: str | Sequence[str] | None
    status: str | Sequence[str] | None
    surface: str | Sequence[str] | None
    session: str | Sequence[str] | None
    user: str | Sequence[str] | None
    tag: str | Sequence[str] | None
    tags: str | Sequence[str] | Mapping[str, str | None] | None
    simulated: bool | None


class FilterOptions(OtherFilters, total=False):
    """The filters of `Ledger.where`."""

    model: str | Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Conditions that a row must all meet.

    Attributes:
        since: Earliest time, inclusive (microseconds).
        until: Latest time, exclusive (microseconds).
        words: Allowed values, by column.
        tags: Required tags, each with its required value or `None` for any.
        simulated: `True` for the sandbox's rows only, `False` for real rows only.
    """

    since: int | None = None
    until: int | None = None
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tags: tuple[tuple[str, str | None], ...] = ()
    simulated: bool | None = None

    def __and__(self, other: Filters) -> Filters:
        """Return filters that a call passes if it passes both."""
        words = self.words | {
            name: tuple(word for word in some if word in self.words.get(name, some))
            for name, some in other.words.items()
        }
        simulated = {self.simulated, other.simulated} - {None}
        if len(simulated) == 2:  # no call is both, so no value is allowed for a column
            words["uid"] = ()
        return Filters(
            since=max((time for time in (self.since, other.since) if time is not None), default=None),
            until=min((time for time in (self.until, other.until) if time is not None), default=None),
            words=words,
            tags=tuple(dict.fromkeys((*self.tags, *other.tags))),
            simulated=next(iter(simulated), None),
        )

    def passes(self, row: Row) -> bool:
        """Return whether a row passes: the rule of the stores, for rows that are not written yet."""
        values = dict(zip(COLUMNS, row, strict=True))
        tags = json.loads(values["tags"] or "{}") if self.tags else {}
        return self._covers(values["time"]) and all(
            (
                all(values[name] in words for name, words in self.words.items()),
                all(name in tags and value in {None, tags[name]} for name, value in self.tags),
                self.simulated in {None, bool(values["simulated"])},
            )
        )

    def _covers(self, time: int) -> bool:
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)

    def __str__(self) -> str:
        """Describe the filters; times are local."""
        times = {"since": self.since, "until": self.until}
        parts = [f"{name} {', '.join(words)}" for name, words in self.words.items()]
        parts += [f"tag {name}" if value is None else f"tag {name}={value}" for name, value in self.tags]
        parts += [f"{name} {_local(time)}" for name, time in times.items() if time is not None]
        kinds = {None: [], True: ["simulated"], False: ["not simulated"]}
        return "; ".join([*parts, *kinds[self.simulated]])


ALL = Filters()
"""All rows."""


class UnknownFilterError(ConfigurationError, TypeError):
    """A filter that does not exist; also a `TypeError`, as for any unknown keyword argument."""


def _local(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC).astimezone():%Y-%m-%d %H:%M}"


def read(options: Mapping[str, Any]) -> Filters:
    """Read filters as users write them.

    Example:
        >>> str(read({"model": ["a", "b"], "tag": "project=thesis", "since": None}))
        'model a, b; tag project=thesis'
    """
    for name in options:
        known(name, FilterOptions.__annotations__, "filter", UnknownFilterError)
    given = {name: value for name, value in options.items() if value is not None}
    tags = given.get("tags", ())
    # A name that contains "=" can only be given in a dictionary.
    pairs = [*tags.items()] if isinstance(tags, Mapping) else [_tag(text) for text in texts(tags, "tags")]
    return Filters(
        since=moment(given.get("since")),
        until=moment(given.get("until")),
        words={name: tuple(texts(given[name], name)) for name in NAMES if name in given},
        tags=(*(_tag(text) for text in texts(given.get("tag"), "tag")), *pairs),
        simulated=given.get("simulated"),
    )


def _tag(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def with_filters(function: F) -> F:
    """Add the filters to the signature of a function that takes them, for completion and help."""
    signature = inspect.signature(function)
    parameters = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    taken = {each.name for each in parameters}
    parameters += [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=getattr(kind, "__forward_arg__", kind),  # as it is written in the source
        )
        for name, kind in FilterOptions.__annotations__.items()
        if name not in taken
    ]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # any has room
    return function
