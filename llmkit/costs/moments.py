"""Dates and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from datetime import time as clock_time
from typing import TYPE_CHECKING

from llmkit.costs.store.schema import micros
from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import date


def moment(when: date | str | None) -> int | None:
    """Return a time as the ledger keeps it.

    Args:
        when: A date (its local midnight), a time, or either as ISO 8601 text; local if it has no zone.
            `None` stays `None`.

    Returns:
        Microseconds since 1970, UTC.

    Raises:
        ConfigurationError: If the text is no date or time.

    Example:
        >>> moment("1970-01-01T00:00:01+00:00")
        1000000
    """
    time = aware(when)
    return None if time is None else micros(time)


def aware(when: date | str | None) -> datetime | None:
    """Return a time with its zone.

    Args:
        when: As for `moment`.

    Returns:
        The time in UTC.

    Raises:
        ConfigurationError: If the text is no date or time.

    Example:
        >>> aware("2026-11-22T12:00:00+01:00").hour
        11
    """
    if when is None:
        return None
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError as error:
            raise ConfigurationError(f"{when!r} is no date.", hint="Write it like 2026-11-22.") from error
    if not isinstance(when, datetime):
        when = datetime.combine(when, clock_time())
    return when.astimezone(UTC)
