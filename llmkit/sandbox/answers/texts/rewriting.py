"""Rewrites a text by rules: politely, formally, shorter, with the commonest mistakes corrected."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import read
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.condensing import summary
from llmkit.sandbox.answers.wording import capitalised

if TYPE_CHECKING:
    from collections.abc import Callable

_POLITE = re.compile(
    r"\b(?:polite(?:ly)?|politer|nicer|friendl(?:y|ier)|kinder|softer|diplomatic(?:ally)?)\b"
)
_FORMAL = re.compile(r"\b(?:formal(?:ly)?|professional(?:ly)?|business|academic)\b")
_FIX = re.compile(r"\b(?:grammar|spelling|typos?|mistakes?|errors?|proofread|correct|fix|punctuation)\b")
_SHORT = re.compile(
    r"\b(?:short(?:er|en)?|concise(?:ly)?|brief(?:er|ly)?|condense|trim|simplify|simpler"
    r"|tighter|fewer words)\b"
)
_PASSIVE = re.compile(r"\b(?:rewrite|rephrase|paraphrase|reword|improve)\b")
_FILLER = re.compile(
    (
        r"\b(?:very|really|quite|basically|actually|just|in order(?= to)|due to the fact that|at "
        r"this point in time|it is important to note that|in my opinion|i think that|i think|as a "
        r"matter of fact|needless to say),?\s*"
    ),
    re.IGNORECASE,
)
_BECAUSE = re.compile(r"\b(?:due to the fact that|owing to the fact that)\b", re.IGNORECASE)
_CONTRACTIONS = {
    "can't": "cannot",
    "won't": "will not",
    "n't": " not",
    "'re": " are",
    "'ve": " have",
    "'ll": " will",
    "i'm": "I am",
    "it's": "it is",
    "that's": "that is",
    "let's": "let us",
}
_CASUAL = {
    "hey guys": "Dear all",
    "hey": "Hello",
    "guys": "everyone",
    "gonna": "going to",
    "wanna": "want to",
    "asap": "as soon as possible",
    "get": "receive",
    "got": "received",
    "need": "require",
    "thanks": "thank you",
    "ok": "acceptable",
    "kids": "children",
    "a lot of": "many",
    "lots of": "many",
    "stuff": "material",
    "fix": "resolve",
    "sorry": "I apologise",
    "tell me": "inform me",
}
_ORDER = re.compile(
    (
        r"^(?:you (?:must|have to|need to|should) |i (?:need|want) you to )?(send|give|tell|show"
        r"|do|finish|fix|stop|come|call|bring|make|write|help|answer|explain|review|read|check|get"
        r"|let|put|move|take|pay|sign|close|open|be|reply|submit|update|provide|share|complete"
        r"|wait|leave|look|clean|turn)\b"
    ),
    re.IGNORECASE,
)
_ASKED = re.compile(r"^(?:can|could|will|would) (?:you|u) (?:please )?(.+)$", re.IGNORECASE | re.DOTALL)
_SHORTEST = 6
_NOW = re.compile(r"\s+(?:right now|now|immediately|at once)\b", re.IGNORECASE)
_AGREEMENT: tuple[tuple[str, str], ...] = (
    (r"\b(he|she|it) (?:go)\b", r"\1 goes"),
    (r"\b(he|she|it) (?:do)\b", r"\1 does"),
    (r"\b(he|she|it) (?:have)\b", r"\1 has"),
    (
        r"\b(he|she|it) (?:don'?t|doesn'?t|do not|does not) (like|want|need|work|live|know|eat|play|say)s\b",
        r"\1 doesn't \2",
    ),
    (r"\b(he|she|it) don'?t\b", r"\1 doesn't"),
    (r"\b(I|we|you|they) doesn'?t\b", r"\1 don't"),
    (r"\b(I|we|you|they) has\b", r"\1 have"),
    (r"\b(I|he|she|it) were\b(?! to)", r"\1 was"),
    (r"\b(they|we|you) was\b", r"\1 were"),
    (r"\b(they|we|you) is\b", r"\1 are"),
    (
        (
            r"\b(he|she|it) (like|want|need|work|live|eat|play|say|make|know|think|run|walk|read|write"
            r"|come|take|see)\b(?! to be)"
        ),
        r"\1 \2s",
    ),
    (r"\bevery (day|week|month|year|hour|time)s\b", r"every \1"),
    (r"\b([Aa]) ([aeio]\w+)", r"\1n \2"),
    (r"\bi\b", "I"),
    (r"\bi'm\b", "I'm"),
    (r"\bcould of\b", "could have"),
    (r"\bshould of\b", "should have"),
    (r"\bwould of\b", "would have"),
    (r"\byour welcome\b", "you're welcome"),
    (r"\bmuch (people|books|things|days|problems|friends)\b", r"many \1"),
    (r"\bmore better\b", "better"),
    (r"\b(me and) (\w+) (?:is|was|are|were)\b", r"\2 and I were"),
    (r"\b(an?) (\w+) (\w+) are\b", r"\1 \2 \3 is"),
    (r"\bdid not (went|saw|came|ate|took)\b", r"did not \1"),
    (r"\bchilds\b", "children"),
    (r"\binformations\b", "information"),
    (r"\btheir (going|coming|not|very|always|never|so)\b", r"they're \1"),
    (r"\btheir is\b", "there is"),
    (r"\btheir are\b", "there are"),
    (r"\bthere (house|car|dog|cat|books?|own|parents|friends?)\b", r"their \1"),
    (r"\bits (a|an|the|not|raining|cold|hot)\b", r"it's \1"),
)


@cache
def _misspelt() -> dict[str, str]:
    return {wrong: row["name"] for row in read("misspellings") for wrong in row["aliases"].split(";")}


def corrected(text: str) -> str:
    """Return a text without the commonest mistakes of spelling and agreement.

    Example:
        >>> corrected("he go to school every days")
        'He goes to school every day.'
    """
    said = re.sub(r"[A-Za-z']+", lambda found: _spelt(found[0]), text.strip())
    for pattern, right in _AGREEMENT:
        said = re.sub(pattern, right, said, flags=re.IGNORECASE if pattern.startswith(r"\b(he") else 0)
    said = re.sub(r"\s+([,.;!?])", r"\1", re.sub(r"[ \t]+", " ", said))
    said = re.sub(r"(^|[.!?]\s+)([a-z])", lambda found: found[1] + found[2].upper(), said)
    return said if said[-1:] in '.!?"”:' or "\n" in said else f"{said}."


def _spelt(word: str) -> str:
    lower = word.lower()
    if near := _nearest(lower):
        return capitalised(near) if word[:1].isupper() else near
    wrong = next((one for one in (lower, lower[:-1], lower[:-2], lower[:-3]) if one in _misspelt()), None)
    if wrong is None or (wrong != lower and len(wrong) < _SHORTEST):
        return word
    right = _misspelt()[wrong] + lower[len(wrong) :]
    return capitalised(right) if word[:1].isupper() else right


def _nearest(word: str) -> str:
    """Return the often misspelt word that differs from this one in a single letter inside; else empty."""
    if len(word) < _SHORTEST or word in _misspelt().values():
        return ""
    alike = (one for one in _misspelt().values() if len(one) == len(word) and one[0] == word[0])
    return next((one for one in alike if sum(map(str.__ne__, one, word)) == 1 and one[-1] == word[-1]), "")


def politer(text: str) -> str:
    """Return an order as a request.

    Example:
        >>> politer("Send me the report now.")
        'Could you please send me the report when you have a moment? Thank you.'
    """
    bare = text.strip().rstrip(".!?")
    later = bool(_NOW.search(bare))
    bare = _NOW.sub("", bare)
    if found := _ASKED.search(bare):
        bare = found[1]
    if order := _ORDER.search(bare):
        bare = f"{order[1].lower()}{bare[order.end() :]}"
        return f"Could you please {bare}{' when you have a moment' if later else ''}? Thank you."
    if found:
        return f"Could you please {bare}? Thank you."
    if text.strip().endswith("?"):
        return f"May I ask you something? {capitalised(bare)}? Thank you."
    return f"I hope you are well. {capitalised(bare)}, if that is all right. Thank you."


def formal(text: str) -> str:
    """Return a text without contractions and casual words.

    Example:
        >>> formal("I can't come, sorry.")
        'I cannot come, I apologise.'
    """
    said = text.strip().replace("\u2019", "'")
    said = re.sub(r"^(?:can|will) you (?:please )?", "Could you please ", said, flags=re.IGNORECASE)
    for short, long in _CONTRACTIONS.items():
        said = re.sub(
            rf"(?<![a-z]){short}\b" if short[0] not in "'n" else rf"{short}\b",
            long,
            said,
            flags=re.IGNORECASE,
        )
    for casual, proper in _CASUAL.items():
        said = re.sub(rf"\b{casual}\b", proper, said, flags=re.IGNORECASE)
    said = re.sub(r"(^|[.!?]\s+)([a-z])", lambda found: found[1] + found[2].upper(), said)
    return said.replace("!", ".")


def shorter(text: str) -> str:
    """Return a text without fillers, and of a long one its main sentences.

    Example:
        >>> shorter("It is really very cold in order to snow.")
        'It is cold to snow.'
    """
    bare = capitalised(_FILLER.sub("", _BECAUSE.sub("because", text.strip())))
    if len(bare.split()) <= 25:
        return bare
    return summary(bare, max(1, len(bare.split()) // 40))


_WAYS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (_POLITE, politer),
    (_FORMAL, formal),
    (_FIX, corrected),
    (_SHORT, shorter),
    (_PASSIVE, lambda text: shorter(corrected(text))),
)


def rewritten(wish: str, text: str) -> Finding | None:
    """Rewrite a text as a plain wish says.

    Example:
        >>> rewritten("make it shorter", "It is really cold.").text
        'It is cold.'
    """
    return next((Finding(text=rewrite(text)) for pattern, rewrite in _WAYS if pattern.search(wish)), None)
