"""Translates a handful of phrases and words, from `data/phrases.csv`."""

from __future__ import annotations

import re
from functools import cache

from llmkit.sandbox.answers.facts.atlas import read
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.wording import plain

_LANGUAGES = {
    "french": "French",
    "francais": "French",
    "spanish": "Spanish",
    "espanol": "Spanish",
    "german": "German",
    "deutsch": "German",
    "italian": "Italian",
    "portuguese": "Portuguese",
    "dutch": "Dutch",
    "english": "English",
}
_OTHERS = (
    "japanese|chinese|mandarin|russian|arabic|korean|hindi|polish|turkish|swedish|latin|greek"
    "|norwegian|danish|finnish"
)
_NAMES = "|".join([*_LANGUAGES, _OTHERS])
_TRANSLATE = re.compile(
    rf"\btranslate\b|\btranslation\b|\bhow (?:do|would|can) (?:you|i|we|one) say\b|\bsay .* in "
    rf"(?:{_NAMES})\b|\bwhat(?:'s| is| does) .*(?:in|mean in) (?:{_NAMES})\b|\bword for\b"
    rf"|^.{{1,40}} (?:in|to|into) (?:{_NAMES})\W*$"
)
_TARGET = re.compile(rf"\b(?:in|into|to) ({_NAMES})\b|\b({_NAMES}) (?:word|translation|for|version)\b")
_FRAME = re.compile(
    rf"\b(?:please |can you |could you )*(?:translate|translation of|how (?:do|would|can) "
    rf"(?:you|i|we|one) say|say|what(?:'s| is) the (?:{_NAMES}) (?:word|translation) (?:for|of)"
    rf"|what(?:'s| is| does)|the following|this|the (?:word|phrase|sentence|text)|mean|from "
    rf"(?:{_NAMES})|(?:in|into|to) (?:{_NAMES})|the (?:{_NAMES}) word for|(?:{_NAMES}) for"
    rf"|word for)\b"
)


@cache
def _phrases() -> dict[str, dict[str, str]]:
    """Return the rows by each of their texts, in plain words."""
    found: dict[str, dict[str, str]] = {}
    for row in read("phrases"):
        for text in row.values():
            for one in text.split(";"):
                found.setdefault(_key(one), row)
    return found


def _key(text: str) -> str:
    return re.sub(r"[^\w ]", "", plain(text)).strip()


def translated(prompt: str, text: str = "") -> Finding | None:
    """Translate what a prompt wants translated; `None` if it wants nothing translated.

    Example:
        >>> translated('Translate "good morning" into Spanish').short
        'buenos días'
    """
    said = plain(prompt)
    found = _TARGET.search(said)
    if not _TRANSLATE.search(said) or (found is None and "translate" not in said):
        return None
    phrase = text or _FRAME.sub(" ", said)
    return _in(phrase, (found[1] or found[2]) if found else "english")


def _in(phrase: str, language: str) -> Finding:
    row = _phrases().get(re.sub(r"^(?:the|a) ", "", _key(" ".join(phrase.split()))))
    if row is None or language not in _LANGUAGES:
        return _unknown()
    words = row[_LANGUAGES[language].lower()].split(";")[0]
    return Finding(text=words, short=words)


def _unknown() -> Finding:
    return Finding(
        text=(
            "The llmkit sandbox translates a few common words and phrases only, and no model was "
            "asked: `%llm key openai` lets a real one translate."
        ),
    )


def in_language(text: str, language: str) -> str | None:
    """Return a known word or phrase in another language.

    Example:
        >>> in_language("Thank you.", "french")
        'Merci.'
    """
    row = _phrases().get(_key(text))
    target = _LANGUAGES.get(language, "")
    if row is None or not row.get(target.lower()):
        return None
    words = row[target.lower()].split(";")[0]
    end = text.strip()[-1:] if text.strip()[-1:] in ".!?" else ""
    return (words[:1].upper() + words[1:] if text[:1].isupper() else words) + end
