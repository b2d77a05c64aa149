"""Values for the fields of an object: found in the prompt's text and in the facts, never made up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import kinds, mentions
from llmkit.sandbox.answers.numbers.dates import dates_in
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.texts.condensing import keywords, summary, title
from llmkit.sandbox.answers.texts.extraction import (
    DATE,
    EMAIL,
    MONEY,
    PERCENT,
    PHONE,
    TIME,
    URL,
    people,
    places,
)
from llmkit.sandbox.answers.texts.extraction import NUMBER as DIGITS
from llmkit.sandbox.answers.texts.lexicon import score, sentiment
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.facts.atlas import Entry

_SCALES = {"million": 1_000_000, "thousand": 1_000}
NOT_STATED = "not stated"
"""What stands in a field of which the text says nothing."""

_LONGEST = 20_000
_REASONS = frozenset(["reason", "explanation", "rationale", "justification", "why", "comment", "reasoning"])
_MOOD = 1.5
_AGE = re.compile(
    r"\b(\d{1,3})[- ]years?[- ]old|\baged? (?:of )?(\d{1,3})\b|\b(\d{1,3}) ?(?:years|yrs)\b|, "
    r"(\d{1,3})(?=[,.;]|$)"
    r"|\b(?:is|am|was|turned) (\d{1,3})(?= and\b|[,.;]|$)"
)
_STARS = re.compile(
    r"\b(\d(?:\.\d)?|one|two|three|four|five)(?: ?/ ?\d+| ?(?:out )?of (?:5|10|five|ten)|[ -]stars?)",
    re.IGNORECASE,
)
_QUANTITY = re.compile(
    r"(?<![\w.$€£-])(\d+)\s?(?:x|pcs|pieces|units|items|copies|boxes|bottles|tickets|nights"
    r"|people|persons)?\b"
)
_COLOURS = re.compile(
    r"\b(red|green|blue|yellow|orange|violet|purple|brown|black|white|gr[ae]y|pink)\b", re.IGNORECASE
)
_JOB = re.compile(
    (
        r"\b(engineer|teacher|doctor|nurse|lawyer|student|manager|director|scientist|designer"
        r"|developer|analyst|accountant|writer|artist|chef|driver|professor|programmer|CEO|CTO|CFO"
        r"|president|editor|journalist|architect|consultant)\b"
    ),
    re.IGNORECASE,
)
_ORDER = re.compile(
    (
        r"#\s?([A-Z0-9-]*\d[A-Z0-9-]*)|\b([A-Z]{1,4}-?\d{3,})\b|\b(?:order|invoice|ticket|number"
        r"|no\.?)\s?#?\s?(\d{3,})"
    ),
    re.IGNORECASE,
)
_LANGUAGE = re.compile(
    r"\b(english|french|german|spanish|italian|portuguese|dutch|japanese|chinese|russian|python|java|sql)\b",
    re.IGNORECASE,
)
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "dollar": "USD", "euro": "EUR", "pound": "GBP"}
_URGENT = re.compile(
    r"\b(?:urgent\w*|asap|immediately|emergency|right now|at once|deadline)\b", re.IGNORECASE
)


def named_value(key: str, text: str) -> str | None:
    """Return what a text says of a key: `age: 34`, `age=34` or `the age is 34`.

    Example:
        >>> named_value("age", "name=Ann, age=34, city=Leeds")
        '34'
    """
    name = re.escape(key).replace("_", "[_ ]")
    found = re.search(
        rf"(?<![\w\"'])(?<!\bthe ){name}\s*[:=]\s*[\"']?([^,;\n\"']+)", text[:_LONGEST], re.IGNORECASE
    ) or re.search(rf"\b{name} (?:is|was|of) ([\w@.$€-]+(?: [A-Z][\w-]+)*)", text[:_LONGEST], re.IGNORECASE)
    return found[1].strip().rstrip(".") if found else None


def fact_value(key: str, text: str) -> str | None:
    """Return a property of a thing that a text names.

    Example:
        >>> fact_value("capital", "Return the capital of France")
        'Paris'
    """
    wanted = key.lower().split("_")[0]
    for same in mentions(plain(text[:_LONGEST])):
        for one in same:
            if wanted in {"name", one.entry.kind} and one.entry.kind not in {"work", "person", "event"}:
                return one.entry.name
            if value := one.entry.values.get(wanted):
                return _in_full(one.entry, wanted, value)
    return None


def _in_full(entry: Entry, key: str, value: str) -> str:
    """Return a value of millions or thousands in full, as a field without a unit means it."""
    unit = kinds()[entry.kind].properties[key].unit if key in kinds()[entry.kind].properties else ""
    scale = next((number for word, number in _SCALES.items() if unit.startswith(word)), 1)
    return value if scale == 1 else str(round(float(value) * scale))


def _first(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def find(text: str) -> str | None:
        found = pattern.search(text)
        return next((group for group in (*found.groups(), found[0]) if group), None) if found else None

    return find


def _at(place: int, find: Callable[[str], list[str]]) -> Callable[[str], str | None]:
    return lambda text: found[place] if len(found := find(text)) > place else None


def _date(text: str) -> str | None:
    made = dates_in(plain(text[:2_000]))
    return made[0].isoformat() if made else _first(DATE)(text)


def _currency(text: str) -> str | None:
    found = MONEY.search(text)
    return next((code for sign, code in _CURRENCIES.items() if found and sign in found[0].lower()), None)


def _country(text: str) -> str | None:
    return fact_value("country", text)


_FIELDS: tuple[tuple[str, Callable[[str], str | None]], ...] = (
    (r"e-?mail", _first(EMAIL)),
    (r"url|link|website|homepage", _first(URL)),
    (r"phone|telephone|mobile", _first(PHONE)),
    (r"currency", _currency),
    (r"date|day|deadline|due|when|born|birthday", _date),
    (r"time", _first(TIME)),
    (r"price|cost|amount|total|sum|value|salary|budget|revenue|fee", _first(MONEY)),
    (r"percent|percentage|discount|share", _first(PERCENT)),
    (r"age|years", _first(_AGE)),
    (r"stars|rating", _first(_STARS)),
    (r"order|invoice|ticket|reference|id", _first(_ORDER)),
    (
        r"company|organi[sz]ation|employer|vendor|brand",
        _at(
            0,
            lambda text: re.findall(
                (
                    r"\b[A-Z][\w&-]*(?: [A-Z][\w&-]*)* (?:Inc|Ltd|GmbH|AG|Corp|LLC)\b\.?|(?<=\bat )[A-Z]\w+"
                    r"|(?<=\bfrom )[A-Z]\w+"
                ),
                text,
            ),
        ),
    ),
    (r"country|nation", _country),
    (r"city|town|place|location|destination|where|address|venue", _at(0, places)),
    (r"job|profession|occupation|role|position", _first(_JOB)),
    (r"colou?r", _first(_COLOURS)),
    (r"language", lambda text: found[1] if (found := _LANGUAGE.search(text)) else "English"),
    (r"title|headline|subject", title),
    (r"summary|abstract|description|gist|tldr|content", lambda text: summary(text, 1)),
    (r"sentiment|mood|polarity|tone|feeling|emotion", sentiment),
    (r"name|person|customer|author|sender|user|who|first|last|full|recipient|contact", _at(0, people)),
    (r"topic|category|keyword|theme|tag|label", lambda text: next(iter(keywords(text, 1)), None)),
)
_PATTERNS = tuple((re.compile(rf"(?:^|_)(?:{pattern})s?(?:_|$)"), find) for pattern, find in _FIELDS)
_LISTS: tuple[tuple[str, Callable[[str], list[str]]], ...] = (
    (r"e-?mail", EMAIL.findall),
    (r"date", lambda text: [found[0] for found in DATE.finditer(text)]),
    (r"number|value|amount|price", lambda text: [found[0] for found in DIGITS.finditer(text)]),
    (r"people|person|name|participant|attendee|author|character", people),
    (r"place|city|citie|location|countrie|country", places),
    (r"keyword|tag|topic|theme|word|term|entitie", lambda text: keywords(text, 3)),
    (
        r"point|sentence|takeaway|fact|highlight|step|item",
        lambda text: [one for one in re.split(r"(?<=[.!?])\s+|\n+", text.strip()) if one][:3],
    ),
)


def field_text(key: str, text: str) -> str | None:
    """Return a text for a field: what the prompt says of it; `None` if it says nothing.

    Example:
        >>> field_text("email", "Write to ann@example.com.")
        'ann@example.com'
    """
    name = plain(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)).replace("-", "_")
    if (said := named_value(name, text)) is not None:
        return said
    if name.split("_")[-1] in _REASONS:
        return reason(text)
    for pattern, find in _PATTERNS:
        if pattern.search(name) and (found := find(text)):
            return found.strip()
    return fact_value(name, text)


def reason(text: str) -> str:
    """Return why a text was judged as it was.

    Example:
        >>> reason("I love it.")
        'The words of the text speak for positive.'
    """
    return f"The words of the text speak for {sentiment(text)}."


def field_number(key: str, text: str, low: float | None, high: float | None, *, whole: bool) -> float | None:
    """Return a number for a field, within its limits; `None` if the text has none.

    Example:
        >>> field_number("age", "Ann is 34 years old.", None, None, whole=True)
        34
    """
    said = field_text(key, text) or ""
    found = NUMBER.search(plain(said)) or (DIGITS.search(said) if said else None)
    value = (
        as_number(plain(found[0]))
        if found
        else _by_mood(key, text, low, high)
        if high is not None
        else _loose(key, text)
    )
    if value is None:
        return None
    value = max(value, low if low is not None else value)
    value = min(value, high if high is not None else value)
    return int(value) if whole else value


def _by_mood(key: str, text: str, low: float | None, high: float) -> float:
    """Place a text between two limits by its mood; confidence is high."""
    least = low or 0
    if re.search(r"confidence|certainty|probability", key.lower()):
        return round(least + 0.9 * (high - least), 4)
    place = max(-_MOOD, min(_MOOD, score(text))) / (2 * _MOOD) + 0.5
    return round(least + place * (high - least), 2)


def _loose(key: str, text: str) -> float | None:
    """Return a number that may be meant by a field of a common name."""
    if re.search(r"confidence|probability", key.lower()):
        return 0.9
    if not re.search(
        (
            r"quantity|count|number|amount|n_|size|year|people|items|guests|nights|total|population"
            r"|length|height|area|price"
        ),
        key.lower(),
    ):
        return None
    found = _QUANTITY.search(text)
    return float(found[1]) if found else None


def field_list(key: str, text: str) -> list[str]:
    """Return the texts of a list for a field.

    Example:
        >>> field_list("emails", "a@b.org and c@d.org")
        ['a@b.org', 'c@d.org']
    """
    name = plain(key)
    return next((found for pattern, find in _LISTS if re.search(pattern, name) and (found := find(text))), [])


def field_truth(key: str, text: str) -> bool:
    """Whether a text speaks for a field: a word of its name without a negation before it, else a good mood.

    Example:
        >>> field_truth("is_urgent", "Please answer asap!"), field_truth("refund", "There is no refund.")
        (True, False)
    """
    telling = [
        word
        for word in re.split(r"[_\W]+", plain(key))
        if word not in {"is", "has", "was", "are", "does", "wants", "needs", "a", "the", ""}
    ]
    if "urgent" in telling:
        return bool(_URGENT.search(text))
    lower = plain(text[:_LONGEST])
    for word in telling:
        if found := re.search(
            rf"(?:\b(not|no|never|without|isn't|don't)\b(?:\s\w+){{0,2}}\s)?\b{re.escape(word[:6])}", lower
        ):
            return found[1] is None
    if re.search(r"positive|happy|satisfied|recommend|good|like", key):
        return sentiment(text) == "positive"
    if re.search(r"negative|complaint|angry|unhappy|problem|spam|toxic|bad", key):
        return sentiment(text) == "negative"
    return sentiment(text) != "negative"
