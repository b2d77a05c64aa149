"""Chooses among labels that a prompt names: positive or negative, spam or not, one of some teams."""

from __future__ import annotations

import re
from functools import cache

from llmkit.sandbox.answers.facts.atlas import read
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.lexicon import mood_words, score, sentiment
from llmkit.sandbox.answers.wording import joined, plain, stem, words

_MOOD = re.compile(
    r"\b(?:sentiment|mood|tone|positive or negative|negative or positive|positive, negative"
    r"|positive,? neutral|feeling|opinion|happy or (?:sad|unhappy|angry)|polarity)\b"
)
_RATE = re.compile(r"\b(?:rate|rating|stars?|score|scale)\b")
_SCALE = re.compile(r"\b(\d+)\s*(?:-|to|and)\s*(\d+)\b")
_CLASSIFY = re.compile(
    r"\b(?:classify|categori[sz]e|label|tag|sort|assign|which (?:category|class|label|topic"
    r"|team|department|of)|what (?:category|class|topic|label|kind)|is (?:this|it|the)|does "
    r"(?:this|it) (?:belong|fit)|route)\b"
)
_AMONG = re.compile(
    r"(?:\b(?:as|into|in|among|one of|either|of|labels?|categories|classes|teams?|options?|is "
    r"(?:this|it)(?: \w+)?)\b[: ]*)((?:[\w' /-]+, ?)*[\w' /-]+,? (?:or|and|vs\.?) (?:not "
    r")?[\w' -]+)"
)
_FOLLOWING = re.compile(r"\b(?:labels?|categories|classes|options?|teams?|topics?)\s*[:=]\s*\[?([^\n\].]+)")
_LEADS = re.compile(
    r"^(?:(?:the |an? |either |one of |these |this |following |categories|classes|labels"
    r"|message|text|email|review|ticket|comment|sentence|tweet|it|is|:)\s*)+"
)
_STEM = 5
_ENOUGH = 1.5


@cache
def _topics() -> dict[str, frozenset[str]]:
    """Return words that speak for a label, by the beginning of the label."""
    return {
        alias: frozenset(row["words"].split())
        for row in read("topics")
        for alias in (row["name"], *row["aliases"].split(";"))
    }


def stems(text: str) -> frozenset[str]:
    """Return the beginnings of the longer words of a text.

    Example:
        >>> sorted(stems("Charged twice for invoices"))
        ['charg', 'invoi', 'twice']
    """
    return frozenset(
        word[:_STEM]
        for word in re.findall(r"[^\W\d_]{3,}", text.lower())
        if word not in {"for", "the", "and"}
    )


def related(label: str) -> frozenset[str]:
    """Return the beginnings of words that speak for a label.

    Example:
        >>> "invoi" in related("billing")
        True
    """
    found = [
        _topics().get(stem(word), frozenset()) | _topics().get(word, frozenset())
        for word in words(plain(label))
    ]
    return frozenset(word[:_STEM] for one in found for word in one)


def best_label(labels: list[str], text: str) -> str | None:
    """Return the label that fits a text best; `None` if none has a word of it.

    Example:
        >>> best_label(["billing", "technical"], "The app crashes at login.")
        'technical'
    """
    if (mood := by_mood(labels, text)) is not None:
        return mood
    there = stems(text)
    points = {label: 2 * len(there & stems(label)) + len(there & related(label)) for label in labels}
    best = max(labels, key=lambda label: points[label])
    return best if points[best] else None


def by_mood(labels: list[str], text: str) -> str | None:
    """Return the label that names the mood of a text; `None` if the labels are no moods.

    Example:
        >>> by_mood(["angry", "neutral", "happy"], "I love it.")
        'happy'
    """
    folded = {plain(label): label for label in labels}
    words_for = {
        "positive": ("positive", "good", "happy", "satisfied"),
        "negative": ("negative", "bad", "unhappy", "angry", "complaint"),
        "neutral": ("neutral", "mixed", "other"),
    }
    known = {mood: folded[name] for mood, names in words_for.items() for name in names if name in folded}
    return known.get(sentiment(text)) if {"positive", "negative"} <= known.keys() else None


def labels_in(wish: str) -> list[str]:
    """Return the labels that a plain wish offers.

    Example:
        >>> labels_in("classify this ticket as billing, technical or sales")
        ['billing', 'technical', 'sales']
    """
    found = _FOLLOWING.search(wish) or _AMONG.search(wish)
    if found is None:
        return []
    parts = re.split(r",\s*(?:or |and )?|\s+(?:or|and|vs\.?)\s+|\s*/\s*", found[1])
    bare = [_LEADS.sub("", part.strip(" '\"?.!:")).strip() for part in parts]
    return [part for part in bare if part and len(part.split()) <= 4]


def classified(wish: str, text: str) -> Finding | None:
    """Judge a text as a plain wish says.

    Example:
        >>> classified("is this review positive or negative?", "The food was cold.").short
        'negative'
    """
    if _RATE.search(wish) and (found := _SCALE.search(wish) or re.search(r"\b(\d+) stars?\b()", wish)):
        return _rated(found, text)
    labels, text = _choices(wish, text)
    if labels and _CLASSIFY.search(wish) and not _is_mood(labels):
        return _labelled(labels, text)
    if _MOOD.search(wish) or (_CLASSIFY.search(wish) and _is_mood(labels)):
        return _mood(text)
    return None


def _choices(wish: str, text: str) -> tuple[list[str], str]:
    """Return the labels and the text, where the labels may also come after it."""
    labels = labels_in(wish)
    behind = _FOLLOWING.search(plain(text)) if not labels and _CLASSIFY.search(wish) else None
    return (labels_in(plain(text)), text[: behind.start()]) if behind else (labels, text)


def _is_mood(labels: list[str]) -> bool:
    return {"positive", "negative"} <= set(labels)


def _mood(text: str) -> Finding:
    mood, seen = sentiment(text), mood_words(text)[:4]
    because = f" It says {joined(f'“{word}”' for word in seen)}." if seen else ""
    return Finding(text=f"{mood.capitalize()}.{because}", short=mood)


def _labelled(labels: list[str], text: str) -> Finding:
    best = best_label(labels, text)
    if best is None:
        other = next(
            (label for label in labels if re.search(r"\b(?:other|none|neither|not|general)\b", label)), None
        )
        if other is None:
            return Finding(
                text="No word of the text speaks for any of these labels, so the sandbox cannot say.",
                short="unclear",
            )
        best = other
    return Finding(text=f"{best.capitalize()}.", short=best)


def _rated(found: re.Match[str], text: str) -> Finding:
    low, high = (int(found[1]), int(found[2])) if found[2] else (1, int(found[1]))
    place = max(-_ENOUGH, min(_ENOUGH, score(text))) / (2 * _ENOUGH) + 0.5
    value = round(low + place * (high - low))
    return Finding(text=f"{value} of {high}.", short=str(value))
