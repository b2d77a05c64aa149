"""Follow-ups: `and of France?`, `shorter`, `why?`, `as a table` get the question that they belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import mentions
from llmkit.sandbox.answers.forms import is_only_form
from llmkit.sandbox.answers.numbers.number_words import NUMBER
from llmkit.sandbox.answers.tables.asked import LEAST, MOST
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask

_MOST_TURNS = 8
_LONGEST = 300
_ELLIPSIS = re.compile(
    r"^(?:and |what about |how about |also |then |or )+(?:that |the one |the same )?(?:(?:of"
    r"|in|for|about|to|with|from) )?(?:the )?(?P<what>.+?)\W*$"
)
_SUPERLATIVE = re.compile(
    r"^(?:and |what about |how about |or |which (?:one )?(?:is|has|sold|had) )*(?:the )?(most expensive"
    r"|\w+)(?: one)?\W*$"
)
_ONLY = re.compile(
    rf"^(?:now |and |please |ok |but )*(?:only|just) ({NUMBER.pattern})(?: of them)?(?: please)?\W*$"
)
_PRONOUN = re.compile(
    r"\b(its|it|his|her|he|she|him|their|there|they|them)\b(?!'s)(?! (?:rain|late|possible|true that))"
)
_OWNED = frozenset({"its", "his", "her", "their"})
_SHORTER = re.compile(
    r"^(?:please |can you |could you |make (?:it|that) |say (?:it|that) |a (?:bit|little) "
    r"|but |and )*(?:much )?(?:shorter|in short|briefly|more briefly|too long|be brief"
    r"|shorten (?:it|that|this)|summari[sz]e (?:it|that|this)|tl;?dr|more concise(?:ly)?"
    r"|simpler|more simply|explain (?:it )?more simply|simplify(?: that| it)?)(?: please)?\W*$"
)
_WHY = re.compile(
    r"^(?:but |and )?(?:why(?: is that| so| not)?|how so|how come|what does that mean|what do "
    r"you mean|explain(?: that| it| this| why)?(?: to me)?|i don't understand)\W*$"
)
_MORE = re.compile(
    r"^(?:please |can you |and )*(?:(?:tell|give|say) (?:me )?(?:a (?:bit|little) )?more(?: "
    r"about (?:it|that|this))?|more(?: details?)?|go on|continue|longer|in more detail"
    r"|elaborate|what else|anything else|expand(?: on (?:it|that))?|more please|and then)\W*$"
)
_SURE = re.compile(
    r"^(?:are you (?:really )?(?:sure|certain)|really|is (?:that|it) (?:really )?(?:true|right"
    r"|correct)|how do you know)(?: (?:about|of) (?:it|that))?\W*$"
)
_AGAIN = re.compile(r"^(?:again|repeat(?: that)?|say (?:that|it) again|once more|pardon|what\?|sorry\?)\W*$")
_THEN = re.compile(
    r"^(?:and |now |then )*(?P<sign>plus|minus|times|divided by|multiplied by|add|subtract"
    r"|multiply (?:it |that )?by|divide (?:it |that )?by|[-+*/\u00d7])\s*(?P<number>-?[\d.,]+)\W*$"
)
_SIGNS = {"add": "plus", "subtract": "minus"}
_VALUE = re.compile(r"(?:=|is|:)\s*(-?[\d,]+(?:\.\d+)?)\W*$|^(-?[\d,]+(?:\.\d+)?)\W*$")


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to know, with what earlier turns add to it.

    Attributes:
        text: The question in full.
        form: Words of the last turn that ask for a form.
        mode: `shorter`, `why`, `more`, `sure`, or empty.
    """

    text: str
    form: str = ""
    mode: str = ""


def question_of(ask: Ask) -> Question:
    """Return the user's question, completed from the conversation.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> asked, said = Turn("user", "Capital of Peru?"), Turn("assistant", "Lima.")
        >>> turns = (asked, said, Turn("user", "And of France?"))
        >>> question_of(Ask(model="sandbox", turns=turns)).text
        'capital of france?'
    """
    said = [turn.text for turn in ask.turns if turn.role == "user" and turn.text][-_MOST_TURNS:]
    if len(said) < 2:
        return Question(ask.last_user_text)
    answers = [turn.text for turn in ask.turns if turn.role == "assistant" and turn.text]
    question = Question(said[0])
    for number, text in enumerate(said[1:], 1):
        before = answers[number - len(said)] if len(answers) >= len(said) - number else ""
        question = _completed(text, question, before)
    return question if question.text else Question(ask.last_user_text)


def _completed(text: str, before: Question, answer: str) -> Question:
    """Return a turn as a whole question."""
    if len(text) > _LONGEST or not text.strip():
        return Question(text)
    said = plain(text).strip()
    for pattern, mode in (
        (_SHORTER, "shorter"),
        (_WHY, "why"),
        (_MORE, "more"),
        (_SURE, "sure"),
        (_AGAIN, "again"),
    ):
        if pattern.search(said):
            return Question(before.text, before.form, mode)
    if is_only_form(said):
        return Question(before.text, said, before.mode if before.mode == "more" else "")
    return Question(_changed(said, before.text, answer) or _with_names(text, said, before.text, answer))


def _changed(said: str, before: str, answer: str) -> str:
    """Return the question before with what a turn changes of it; empty if it changes nothing."""
    ways = (_turned(said, before), _renumbered(said, before), _then(said, answer), _exchanged(said, before))
    return next(filter(None, ways), "")


def _turned(said: str, before: str) -> str:
    """Put the superlative of `and the least?` into the question before, in place of its own."""
    found, earlier = _SUPERLATIVE.search(said), plain(before)
    old = MOST.search(earlier) or LEAST.search(earlier)
    if not found or not old or not (MOST.fullmatch(found[1]) or LEAST.fullmatch(found[1])):
        return ""
    return f"{earlier[: old.start()]}{found[1]}{earlier[old.end() :]}"


def _renumbered(said: str, before: str) -> str:
    """Put the number of `now only three` into the question before."""
    found, earlier = _ONLY.search(said), plain(before)
    old = NUMBER.search(earlier)
    return f"{earlier[: old.start()]}{found[1]}{earlier[old.end() :]}" if found and old else ""


def _then(said: str, answer: str) -> str:
    """Compute on with the number of the last answer."""
    found, value = _THEN.search(said), _VALUE.search(answer.strip())
    if not found or not value:
        return ""
    sign = re.sub(r"(?:it |that )", "", found["sign"])
    sign = {"multiply by": "times", "divide by": "divided by"}.get(sign, _SIGNS.get(sign, sign))
    return f"{(value[1] or value[2]).replace(',', '')} {sign} {found['number']}"


def _exchanged(said: str, before: str) -> str:
    """Put a name of `and of France?` into the question before."""
    found = _ELLIPSIS.search(said)
    if found is None or len(found["what"].split()) > 5:
        return ""
    earlier = plain(before)
    names = mentions(earlier)
    new = mentions(found["what"])
    if not names or not new:
        return ""
    kinds = {one.entry.kind for one in new[0]}
    old = next((same[0].phrase for same in reversed(names) if kinds & {one.entry.kind for one in same}), None)
    if old is None:
        return ""
    kept = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", found["what"], earlier, count=1)
    return kept if kept != earlier else ""


def _with_names(text: str, said: str, before: str, answer: str) -> str:
    """Replace a pronoun by the thing that the last question or answer was about."""
    if not _PRONOUN.search(said) or mentions(_PRONOUN.sub(" ", said)):
        return text
    about = _subject(plain(before)) or _subject(plain(answer))
    if not about:
        return text
    return _PRONOUN.sub(lambda found: _form(found[1], about), said, count=1)


def _form(pronoun: str, about: str) -> str:
    return f"{about}'s" if pronoun in _OWNED else f"in {about}" if pronoun == "there" else about


def _subject(text: str) -> str:
    return next(
        (
            same[0].phrase
            for same in mentions(text)
            if same[0].entry.kind != "work" or len(same[0].phrase) > 1
        ),
        "",
    )
