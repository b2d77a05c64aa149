"""Dates and times: as people write them, and as the ledger keeps them, in microseconds since 1970 (UTC)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np

    When: TypeAlias = date | str | np.datetime64

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

HINT = "Write it like 2026-11-22 or 2026-11-22T09:30, or give a date, datetime or pandas Timestamp."


def micros(time: datetime) -> int:
    """Return a time as the ledger keeps it; one without a zone is in UTC.

    Example:
        >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
        1000000
    """
    # Integer division of time spans is exact; a float of seconds is not.
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def from_micros(time: int) -> datetime:
    """Return the time that `micros` made.

    Example:
        >>> from_micros(1_000_000).isoformat()
        '1970-01-01T00:00:01+00:00'
    """
    return EPOCH + time * MICROSECOND


def moment(when: When | None) -> int | None:
    """Return a time that a user gave as the ledger keeps it.

    Example:
        >>> moment("1970-01-01T00:00:01+00:00")
        1000000
    """
    time = aware(when)
    return None if time is None else micros(time)


def aware(when: When | None) -> datetime | None:
    """Return a time with its zone.

    Example:
        >>> aware("2026-11-22T12:00:00+01:00").hour
        11
    """
    if when is None:
        return None
    try:
        return _python(when).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"{str(when)[:60]!r} cannot be used as a date or time.", hint=HINT
        ) from error


def _python(when: Any) -> datetime:
    """Return Python's own object for a time."""
    if isinstance(when, str):
        return datetime.fromisoformat(when.strip())
    if getattr(getattr(when, "dtype", None), "kind", "") == "M":  # numpy's, which is not asked for by type:
        when = when.astype("M8[us]").item()  # it would have to be imported
    if hasattr(when, "to_pydatetime"):  # pandas' Timestamp is a datetime that refuses to be local
        when = when.to_pydatetime(warn=False)
    if not isinstance(when, date) or when != when:  # noqa: PLR0124 - pandas' NaT is not equal to itself
        raise TypeError(type(when).__name__)
    return when if isinstance(when, datetime) else datetime.combine(when, clock_time())
