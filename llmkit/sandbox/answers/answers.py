"""Generates answers in Markdown, JSON or code; the same conversation always gets the same answer."""

from __future__ import annotations

import operator
import re
from itertools import cycle, islice
from typing import TYPE_CHECKING

from llmkit.sandbox.answers import knowledge, samples
from llmkit.sandbox.answers.repairs import repair
from llmkit.sandbox.answers.structured import write_json
from llmkit.sandbox.answers.tables import about_table
from llmkit.sandbox.answers.tool_calls import spoken_results
from llmkit.sandbox.dialects.parts import facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.conversation import Ask

_ECHO = re.compile(r"(?:^|\n|please\s+)\s*(?:repeat exactly|echo):[ ]?(.+)", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_AS_CSV = re.compile(r"\b(?:as|in) csv\b|\bcsv (?:table|file)\b", re.IGNORECASE)
_AS_CODE = re.compile(r"\bcode block and nothing else\b", re.IGNORECASE)
_CODE = re.compile(
    r"\b(?:write|implement|code|program|create|give|show)\b.*\b(?:code|function|script|python|program|class|"
    r"algorithm|\w*sort|fibonacci|primes?|factorial)\b|\bquicksort\b",
    re.IGNORECASE | re.DOTALL,
)
_WORDS = re.compile(
    rf"\b(?:in|with|exactly|about|under|most)\s+(\d{{1,4}}|{'|'.join(knowledge.NUMBERS)})\s+words?\b",
    re.IGNORECASE,
)
_SUM = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*([-+*/x\u00d7÷]|plus|minus|times)\s*(-?\d+(?:\.\d+)?)\s*(?:=|\?|$)", re.IGNORECASE
)
_GREETING = re.compile(r"\s*(?:hi|hello|hey|good (?:morning|evening|day))\b", re.IGNORECASE)
_MY_NAME = re.compile(r"\bmy name is (\w+)", re.IGNORECASE)
_ASKS_NAME = re.compile(r"\bwhat(?:'s| is) my name\b", re.IGNORECASE)
_LONG = re.compile(
    r"\b(?:explain|describe|write|table|compare|list|how|why|example|examples|overview|tell|detail|markdown)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:(?:please|can you|could you|explain|describe|tell me|what (?:is|are)|how (?:do|does)|write|give me"
    r"|show me|about|a|an|the|me|to)\s+)+",
    re.IGNORECASE,
)
_PICTURES = re.compile(r"\b(?:image|picture|photo|figure|plot|chart|pdf|document|attach)", re.IGNORECASE)
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "plus": operator.add,
    "minus": operator.sub,
    "times": operator.mul,
    "-": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "\u00d7": operator.mul,
    "/": operator.truediv,
    "÷": operator.truediv,
}
_SHORT_PROMPT_WORDS = 6
_TOPIC_LENGTH = 80


def topic(text: str) -> str:
    """Return the topic of a message, as plain text that is safe inside Markdown.

    Example:
        >>> topic("Please explain quantum computing in simple terms.")
        'quantum computing in simple terms'
    """
    times = re.sub(r"(?<=\d)\s*\*\s*(?=\d)", " \u00d7 ", text)
    plain = " ".join(re.sub(r"[^\w\s.,:;!?'()+\-/&%\u00d7]|_", " ", times).split())
    first = re.split(r"(?<=[.!?])\s", plain, maxsplit=1)[0]
    bare = _LEAD.sub("", first).rstrip(".!?:; ") or first
    return bare if len(bare) <= _TOPIC_LENGTH else bare[:_TOPIC_LENGTH].rsplit(" ", 1)[0] + "…"


def _echo(ask: Ask) -> str | None:
    found = _ECHO.search(ask.last_user_text)
    return found[1] if found else None


def _spoken(ask: Ask) -> str:
    """Return the text of the system prompt and the user's last message."""
    return "\n".join([*(turn.text for turn in ask.turns if turn.role == "system"), ask.last_user_text])


def _json(ask: Ask) -> str | None:
    asked = ask.wants_json or _JSON.search(_spoken(ask))
    return write_json(ask) if asked else None


def _csv(ask: Ask) -> str | None:
    return (knowledge.write_csv(ask) or samples.CSV) if _AS_CSV.search(_spoken(ask)) else None


def _words(ask: Ask) -> str | None:
    found = _WORDS.search(ask.last_user_text)
    if not found:
        return None
    word = found[1].lower()
    wanted = knowledge.NUMBERS.index(word) + 1 if word in knowledge.NUMBERS else int(word)
    subject = topic(_WORDS.sub("", ask.last_user_text)).split() or ["It"]
    words = islice(cycle([*subject, *samples.PROSE.split()]), wanted)
    text = " ".join(words).rstrip(".,; ")
    return text[:1].upper() + text[1:] + "." if wanted else ""


def _code(ask: Ask) -> str | None:
    text = ask.last_user_text
    if not (_CODE.search(text) or _AS_CODE.search(_spoken(ask))):
        return None
    chosen = (sample for word, sample in samples.CODE.items() if re.search(rf"\b{word}", text.lower()))
    title, code = next(chosen, ("Counting words", ""))
    form = samples.CODE_ANSWER if code else samples.OTHER_CODE_ANSWER
    return form.format(title=title, topic=topic(text), code=code or samples.WORDS)


def _sum(ask: Ask) -> str | None:
    found = _SUM.search(ask.last_user_text)
    if not found:
        return None
    left, sign, right = found.groups()
    sign = sign.lower()
    if sign in "/÷" and not float(right):
        return f"{left} {sign} {right} has no value: nothing can be divided by zero."
    return f"{left} {sign} {right} = {_OPERATORS[sign](float(left), float(right)):.10g}"


def _fact(ask: Ask) -> str | None:
    text = ask.last_user_text.lower()
    said = next((fact for words, fact in samples.FACTS.items() if words in text), None)
    return said or knowledge.capital(ask)


def _name(ask: Ask) -> str | None:
    if not _ASKS_NAME.search(ask.last_user_text):
        return None
    said = [found[1] for turn in ask.turns if turn.role == "user" and (found := _MY_NAME.search(turn.text))]
    return f"Your name is {said[-1]}." if said else "You have not told me your name yet."


def _short(ask: Ask) -> str | None:
    text = ask.last_user_text
    if len(text.split()) > _SHORT_PROMPT_WORDS or _LONG.search(text):
        return None
    if found := _MY_NAME.search(text):
        return f"Nice to meet you, {found[1]}!"
    if _GREETING.match(text) or not text.strip():
        return "Hello! This is the llmkit sandbox. What would you like to know?"
    return samples.UNKNOWN[knowledge.voice(ask.model)].format(topic=topic(text))


def _overview(ask: Ask) -> str:
    subject = topic(ask.last_user_text)
    return samples.OVERVIEW.format(title=subject[:1].upper() + subject[1:], topic=subject)


def _media(ask: Ask) -> str | None:
    """Describe the user's images and PDFs, if they are new or the question is about them."""
    now = next((turn.media for turn in reversed(ask.turns) if turn.role == "user"), ())
    if not now and not _PICTURES.search(ask.last_user_text):
        return None
    seen = list(facts(ask.media))
    return "Attached:\n\n" + "\n".join(f"- {fact}" for fact in seen) if seen else None


_KINDS = (
    *(spoken_results, _echo, _json, _csv, repair, _media, _name, about_table),
    *(_words, _code, _sum, _fact, knowledge.write_list, _short),
)


def write(ask: Ask) -> str:
    """Write the answer to a conversation.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> write(Ask(model="sandbox", turns=(Turn("user", "What is 6 * 7?"),)))
        '6 * 7 = 42'
    """
    answers = (kind(ask) for kind in _KINDS)
    return next((answer for answer in answers if answer is not None), None) or _overview(ask)
