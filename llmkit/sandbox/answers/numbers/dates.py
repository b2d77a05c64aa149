"""Days of the week, days between dates, leap years and months."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import digits_for_words

if TYPE_CHECKING:
    from collections.abc import Callable

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_NAMES = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_BRITISH = re.compile(rf"\b{_DAY} (?:of )?({_NAMES})\.?(?:,? (\d{{4}}))?\b")
_AMERICAN = re.compile(rf"\b({_NAMES})\.? {_DAY}(?:,? (\d{{4}}))?\b")
_FEASTS = {
    "christmas eve": (12, 24),
    "christmas": (12, 25),
    "new year's eve": (12, 31),
    "new year": (1, 1),
    "halloween": (10, 31),
}
_WEEKDAY = re.compile(r"\b(?:what|which) (?:day|weekday)\b|\bday of the week\b|\bweekday\b")
_BETWEEN = re.compile(
    r"\bdays?\b.*\b(?:between|from)\b|\bhow (?:many days|long)\b.*\b(?:to|until|till|and)\b"
)
_UNTIL = re.compile(r"\b(?:how many days|days|how long)\b.*\b(?:until|till|to|before|left)\b")
_TODAY = re.compile(
    r"^(?:what(?:'s| is))? ?(?:the |today's )?(?:current )?(?:date|day)(?: is it)?(?: today| "
    r"now)?\W*$|^what (?:day|date) is (?:it )?(?:today|now)?\W*$|\btoday's date\b|\bdate "
    r"today\b"
)
_TOMORROW = re.compile(r"\b(?:what|which) (?:day|date) (?:is|will|was) (?:it )?(?:be )?(tomorrow|yesterday)")
_TIME = re.compile(
    r"\bwhat time is it\b|\bcurrent time\b|\btime is it\b|\bwhat is the time\b|\bwhat's the time\b"
)
_PLACE = re.compile(r"\b(?:in|at) ((?!the moment)[a-z][a-z ]*?)(?: right now| now| currently)?\W*$")
_YEAR = re.compile(r"\b(?:what|which|current) year(?: is it| is this| now)?\W*$")
_LEAP = re.compile(r"\b(?:is|was|will) (\d{4}) (?:be )?a leap year|\bleap year\b.*?(\d{4})")
_IN_MONTH = re.compile(
    rf"\bhow many days (?:are )?(?:there )?(?:does |in |has )(?:the month of )?({_NAMES})(?: "
    rf"(?:of )?(\d{{4}}))?\b"
)
_AHEAD = re.compile(
    r"(?<!\ba )\b(?:date|day|weekday)\b.*\b(?:in (?=\d)|(?=\d+ \w+ ago\b))(\d{1,5}) (day|week)s?( ago)?\W*$"
)
_LATER = re.compile(r"\b(\d{1,5}) (day|week)s? (after|before|from|later than)\b")


def _made(year: str | None, month: int, day: str) -> date | None:
    try:
        return date(int(year) if year else _today().year, month, int(day))
    except ValueError:
        return None


def _today() -> date:
    return datetime.now(UTC).astimezone().date()


def dates_in(text: str) -> list[date]:
    """Return the dates in a plain text, in its order; a year is this one if none is given.

    Example:
        >>> dates_in("from 1 march 2024 to july 4, 2024")
        [datetime.date(2024, 3, 1), datetime.date(2024, 7, 4)]
    """
    found = [(one.start(), _made(one[1], int(one[2]), one[3])) for one in _ISO.finditer(text)]
    found += [(one.start(), _made(one[3], _MONTHS[one[2]], one[1])) for one in _BRITISH.finditer(text)]
    found += [(one.start(), _made(one[3], _MONTHS[one[1]], one[2])) for one in _AMERICAN.finditer(text)]
    return [made for _, made in sorted(found, key=lambda one: one[0]) if made]


def _written(one: date) -> str:
    return f"{one.day} {one:%B %Y}"


def _clock(text: str) -> Finding | None:
    """Answer what day or time it is, by this machine's clock."""
    now = datetime.now(UTC).astimezone()
    if found := _TIME.search(text):
        return _time(now, text[found.end() :])
    if found := _TOMORROW.search(text):
        other = now.date() + timedelta(days=1 if found[1] == "tomorrow" else -1)
        return Finding(
            text=f"By this machine's clock, {found[1]} is {other:%A}, {_written(other)}.", short=f"{other:%A}"
        )
    if _TODAY.search(text):
        return Finding(
            text=f"By this machine's clock it is {now:%A}, {_written(now.date())}.",
            short=now.date().isoformat(),
        )
    return Finding(text=f"It is {now.year}.", short=str(now.year)) if _YEAR.search(text) else None


def _time(now: datetime, rest: str) -> Finding | None:
    """Tell the time, here or in the place that the rest of a question names; of some the zone is unknown."""
    place = _PLACE.search(rest)
    if place is None:
        return Finding(text=f"By this machine's clock it is {now:%H:%M}.", short=f"{now:%H:%M}")
    name = place[1].strip()
    zone = next(
        (one for one in available_timezones() if one.lower().endswith(f"/{name.replace(' ', '_')}")), None
    )
    if zone is None:
        return None
    there = now.astimezone(ZoneInfo(zone))
    said = f"By this machine's clock it is {there:%H:%M} in {name.title()} ({there:%A})."
    return Finding(text=said, short=f"{there:%H:%M}")


def _leap(text: str) -> Finding | None:
    if not (found := _LEAP.search(text)):
        return None
    year = int(found[1] or found[2])
    is_one = calendar.isleap(year)
    return Finding(
        text=f"{'Yes' if is_one else 'No'}, {year} is {'' if is_one else 'not '}a leap year.",
        short="yes" if is_one else "no",
    )


def _in_month(text: str) -> Finding | None:
    if not (found := _IN_MONTH.search(text)):
        return None
    month, name = _MONTHS[found[1]], calendar.month_name[_MONTHS[found[1]]]
    if found[2]:
        days = calendar.monthrange(int(found[2]), month)[1]
        return Finding(text=f"{name} {found[2]} has {days} days.", short=str(days))
    days = calendar.monthrange(2023, month)[1]
    leap = ", or 29 in a leap year" if month == 2 else ""
    return Finding(text=f"{name} has {days} days{leap}.", short=str(days))


def _later(text: str) -> Finding | None:
    found, known = _LATER.search(text), dates_in(text)
    if ahead := _AHEAD.search(text):
        found, known = ahead, []
    elif not found or not (known or re.search(r"from (?:today|now)", text)):
        return None
    days = int(found[1]) * (7 if found[2] == "week" else 1) * (-1 if found[3] in {"before", " ago"} else 1)
    try:
        there = (known[0] if known else _today()) + timedelta(days=days)
    except OverflowError:
        return None
    return Finding(text=f"That is {there:%A}, {_written(there)}.", short=there.isoformat())


def _between(text: str) -> Finding | None:
    known = dates_in(text)
    if len(known) == 2 and _BETWEEN.search(text):
        days = abs((known[1] - known[0]).days)
        return Finding(
            text=f"From {_written(known[0])} to {_written(known[1])} it is {days:,} days.", short=f"{days:,}"
        )
    return _until(text, known)


def _until(text: str, known: list[date]) -> Finding | None:
    feast = next(((name, _next(*day)) for name, day in _FEASTS.items() if name in text), None)
    if not _UNTIL.search(text) or not (feast or known):
        return None
    name, goal = feast or (_written(known[0]), known[0])
    days = (goal - _today()).days
    if days < 0:
        return Finding(text=f"{_written(goal)} was {-days:,} days ago.", short=f"{days:,}")
    shown = name.title().replace("'S", "'s") if feast else name
    return Finding(text=f"By this machine's clock it is {days:,} days until {shown}.", short=f"{days:,}")


def _next(month: int, day: int) -> date:
    today = _today()
    this = date(today.year, month, day)
    return this if this >= today else date(today.year + 1, month, day)


def _weekday(text: str) -> Finding | None:
    known = dates_in(text)
    if not known or not _WEEKDAY.search(text):
        return None
    verb = "was" if known[0] < _today() else "is"
    return Finding(text=f"{_written(known[0])} {verb} a {known[0]:%A}.", short=f"{known[0]:%A}")


_WAYS: tuple[Callable[[str], Finding | None], ...] = (_leap, _in_month, _later, _between, _weekday, _clock)


def about_dates(text: str) -> Finding | None:
    """Answer a plain question about dates.

    Example:
        >>> about_dates("what day of the week was july 4, 1776?").text
        '4 July 1776 was a Thursday.'
    """
    if len(text) > 300:
        return None
    said = re.sub(r"\bsince\b", "from", digits_for_words(text)) if not _FEASTS.keys() & {text} else text
    return next((found for way in _WAYS if (found := way(said))), None)
