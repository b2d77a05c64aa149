"""Generates answers in Markdown, JSON or code; the same conversation always gets the same answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.code.repairs import fixed_code, repair
from llmkit.sandbox.answers.code.snippets import write_code
from llmkit.sandbox.answers.facts.articles import article
from llmkit.sandbox.answers.facts.lookup import known
from llmkit.sandbox.answers.forms import without_form
from llmkit.sandbox.answers.numbers.computing import computed
from llmkit.sandbox.answers.query import Query, query_of
from llmkit.sandbox.answers.rendering import dressed, render
from llmkit.sandbox.answers.smalltalk import small_talk
from llmkit.sandbox.answers.structured import spoken_schema, write_json
from llmkit.sandbox.answers.tables.questions import about_table, asks_of_table
from llmkit.sandbox.answers.texts.material import task_of
from llmkit.sandbox.answers.texts.tasks import is_on_text, read_from, text_task
from llmkit.sandbox.answers.texts.translation import in_language
from llmkit.sandbox.answers.tool_calls import spoken_results, unfilled
from llmkit.sandbox.answers.voices import voice
from llmkit.sandbox.answers.wording import plain
from llmkit.sandbox.dialects.parts import facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.finding import Finding
    from llmkit.sandbox.conversation import Ask

_ECHO = re.compile(r"(?:^|\n|please[ ]+)[ \t]*(?:repeat exactly|echo):[ ]?(.+)", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_ABOUT_JSON = re.compile(
    r"\b(?:what (?:is|are|does)|explain|read|parse|load|difference|define|python|code|how do)\b.*\bjson\b",
    re.IGNORECASE,
)
_MY_NAME = re.compile(r"\b(?:my name is|call me|i am called) ([A-Z][\w'-]*|\w+)", re.IGNORECASE)
_ASKS_NAME = re.compile(r"\bwhat(?:'s| is) my name\b|\bwho am i\b|\bmy name\?", re.IGNORECASE)
_FIRST_QUESTION = re.compile(
    r"\bwhat (?:did i|was my) (?:first |last |previous )?(?:ask|question|say)", re.IGNORECASE
)
_PICTURES = re.compile(r"\b(?:image|picture|photo|figure|plot|chart|pdf|document|attach)", re.IGNORECASE)
_LONGEST_LINE = 80
_LONGEST_QUOTE = 300
_EARLIER = 20  # turns in which a table is looked for


def topic(text: str) -> str:
    """Return the topic of a message, as plain text that is safe inside Markdown.

    Example:
        >>> topic("Please explain quantum computing in simple terms.")
        'quantum computing in simple terms'
    """
    times = re.sub(r"(?<=\d)\s*\*\s*(?=\d)", " \u00d7 ", text[:1_000])
    bare = " ".join(re.sub(r"[^\w\s.,:;!?'()+\-/&%\u00d7]|_", " ", times).split())
    first = re.split(r"(?<=[.!?])\s", bare, maxsplit=1)[0]
    bare = _LEAD.sub("", first).rstrip(".!?:; ") or first
    return bare if len(bare) <= _LONGEST_LINE else bare[:_LONGEST_LINE].rsplit(" ", 1)[0] + "…"


_LEAD = re.compile(
    r"^(?:(?:please|can you|could you|explain|describe|tell me|what (?:is|are)|how (?:do|does)|write|give me"
    r"|show me|about|a|an|the|me|to)\s+)+",
    re.IGNORECASE,
)


def _results(query: Query) -> str | None:
    return spoken_results(query.ask)


def _unfilled(query: Query) -> str | None:
    return unfilled(query.ask)


def _echo(query: Query) -> str | None:
    found = _ECHO.search(query.ask.last_user_text)
    return found[1] if found else None


def _json(query: Query) -> str | None:
    spoken = [*(turn.text for turn in query.ask.turns if turn.role == "system"), query.ask.last_user_text]
    asked = any(
        spoken_schema(text) or (_JSON.search(text) and not _ABOUT_JSON.search(text[:200])) for text in spoken
    )
    return (
        write_json(query.ask, about_table(query.text) or finding_of(query))
        if query.ask.wants_json or asked
        else None
    )


def _repair(query: Query) -> str | None:
    return repair(query.ask) or fixed_code(query.text)


def _name(query: Query) -> str | None:
    """Remember what the user said of himself."""
    text = query.ask.last_user_text
    turns = [turn.text for turn in query.ask.turns if turn.role == "user"]
    if _ASKS_NAME.search(text):
        said = [found[1] for one in turns if (found := _MY_NAME.search(one))]
        return f"Your name is {said[-1]}." if said else "You have not told me your name yet."
    found = _MY_NAME.search(text[:_LONGEST_LINE])
    if found and not text[found.end() :].strip(" .!"):
        return f"Nice to meet you, {found[1]}!"
    return None


def _media(query: Query) -> str | None:
    """Describe the user's images and PDFs, if they are new or the question is about them."""
    ask = query.ask
    now = next((turn.media for turn in reversed(ask.turns) if turn.role == "user"), ())
    if not now and not _PICTURES.search(ask.last_user_text):
        return None
    seen = list(facts(ask.media))
    if not seen:
        return None
    listed = "\n".join(f"- {fact}" for fact in seen)
    return f"The sandbox cannot look into attachments. What arrived:\n\n{listed}"


def _table(query: Query) -> str | None:
    found = about_table(query.text)
    return render(found, query.form, query.voice) if found else None


def _not_in_table(query: Query) -> str | None:
    """Say that it is not known, where a question about a table has no answer; no text task guesses one."""
    return _unknown(query) if asks_of_table(query.text) else None


def _asked_before(query: Query) -> str | None:
    """Repeat what the user asked first, or last."""
    if is_on_text(query.text):
        return None
    found = _FIRST_QUESTION.search(plain(query.ask.last_user_text))
    asked = [turn.text for turn in query.ask.turns if turn.role == "user" and turn.text][:-1]
    if found is None:
        return None
    if not asked:
        return "You have asked nothing before."
    is_first = "first" in query.ask.last_user_text.lower()
    quoted = asked[0 if is_first else -1][:_LONGEST_QUOTE].strip()
    return f"You {'first' if is_first else 'last'} said: “{quoted}”"


def _text_before(query: Query) -> str | None:
    """Answer a question from a text that the user gave earlier."""
    earlier = [turn.text for turn in query.ask.turns if turn.role == "user" and turn.text][:-1]
    for turn in reversed(earlier[-_EARLIER:]):
        text = task_of(turn).text
        if text and (found := read_from(query.question, text)):
            return render(found, query.form, query.voice)
    return None


def _table_before(query: Query) -> str | None:
    """Answer about a table of earlier turns, such as the system prompt of a chat with `vars=`."""
    for turn in reversed(query.ask.turns[:_EARLIER]):
        if turn.role != "assistant" and (found := about_table(turn.text, query.text)):
            return render(found, query.form, query.voice)
    return None


def _code(query: Query) -> str | None:
    return None if is_on_text(query.text) else write_code(query)


def finding_of(query: Query) -> Finding | None:
    """Find what the sandbox knows about a question.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> finding_of(query_of(Ask(model="sandbox", turns=(Turn("user", "Capital of Peru?"),)))).short
        'Lima'
    """
    if is_on_text(query.text):
        return text_task(query.text)
    question = query.question
    talk = small_talk(without_form(plain(query.text[:400]))) or small_talk(question)
    return talk or computed(question) or known(question) or text_task(query.text)


def _found(query: Query) -> str | None:
    finding = finding_of(query)
    if finding is None:
        return None
    if said := _again(query, finding):
        return dressed(said, query.form)
    if query.form.language not in {"", "english"}:
        return _abroad(query, finding)
    whole = None if _is_sized(query) else article(query.question, finding.title)
    if whole and (query.form.shape == "" or (query.form.shape == "table" and "\n|" in whole)):
        return dressed(whole, query.form)
    return render(finding, query.form, query.voice)


def _is_sized(query: Query) -> bool:
    """Whether a length is asked for, or the model is one of few words."""
    form = query.form
    asked = (form.words, form.sentences, form.simple, form.brief)
    return query.voice.length == "short" or any(asked)


def _again(query: Query, finding: Finding) -> str:
    """Answer `why?`, `more` and `are you sure?` about what was found."""
    if query.mode == "why":
        return (
            " ".join(filter(None, (finding.more, finding.simple)))
            or f"{finding.text} The sandbox knows no more about it than that."
        )
    if query.mode == "more":
        return (
            " ".join(filter(None, (finding.more, finding.simple)))
            or f"{finding.text} That is all that the sandbox knows about it."
        )
    return f"As far as the sandbox's facts go, yes: {finding.text}" if query.mode == "sure" else ""


def _abroad(query: Query, finding: Finding) -> str:
    """Answer in another language, if the phrase book has the words."""
    for text in (finding.short, finding.text):
        if text and (said := in_language(text, query.form.language)):
            return said
    kept = (
        finding.short if finding.short and not re.search(r"[a-z]{4} [a-z]", finding.short) else finding.text
    )
    return f"{kept} (The sandbox speaks English only, but for a few phrases.)"


def _unknown(query: Query) -> str:
    return query.voice.unknown


_KINDS: tuple[Callable[[Query], str | None], ...] = (
    _results, _echo, _repair, _json, _media, _name, _asked_before, _table, _not_in_table, _code, _found,
    _table_before, _text_before, _unfilled,
)  # fmt: skip


def is_known(ask: Ask, text: str) -> bool:
    """Whether an answer is more than that the sandbox does not know."""
    return text != voice(ask.model).unknown


def write(ask: Ask) -> str:
    """Write the answer to a conversation.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> write(Ask(model="sandbox", turns=(Turn("user", "What is 6 * 7?"),)))
        '6 * 7 = 42'
    """
    query = query_of(ask)
    answers = (kind(query) for kind in _KINDS)
    return next((answer for answer in answers if answer is not None), None) or _unknown(query)
