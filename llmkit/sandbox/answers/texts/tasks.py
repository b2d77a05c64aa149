"""Tasks on the words of the prompt: chooses by what is asked, and gives the text to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.forms import form_of
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.texts.classifying import classified
from llmkit.sandbox.answers.texts.condensing import (
    as_one,
    in_common,
    keywords,
    summarised,
    summary,
    telegraphic,
    title,
)
from llmkit.sandbox.answers.texts.extraction import extracted
from llmkit.sandbox.answers.texts.lexicon import score
from llmkit.sandbox.answers.texts.listing import listed
from llmkit.sandbox.answers.texts.material import task_of
from llmkit.sandbox.answers.texts.replies import letter, replied
from llmkit.sandbox.answers.texts.rewriting import rewritten
from llmkit.sandbox.answers.texts.sentences import fitted, sentences
from llmkit.sandbox.answers.texts.translation import translated
from llmkit.sandbox.answers.texts.words import about_word, about_words
from llmkit.sandbox.answers.wording import plain, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SUMMARY = re.compile(
    r"\b(?:summari[sz]e|summary|sum up|tl;?dr|gist|main (?:point|idea|message)s?|key (?:point"
    r"|takeaway|fact|idea|message)s?|takeaways?|condense|in a nutshell"
    r"|abstract|recap|shorten|conclude|what is (?:this|it|the text|the following)(?: \w+)? "
    r"about|about what)\b"
)
_KEYWORDS = re.compile(
    r"\b(?:key ?words?|key ?terms|key ?phrases?|tags?|topics?|themes?|main words|important words)\b"
)
_REWRITE = re.compile(
    r"^\W*(?:please |can you |could you )*(?:rewrite|rephrase|correct|fix|proofread|make"
    r"|improve|reword|paraphrase)\b(?!.*\b(?:code|list|bullet|upper|lower|title|table"
    r"|points?)\b)"
)
_TITLE = re.compile(r"\b(?:title|headline|heading|subject line|name for|caption)\b")
_COMMON = re.compile(r"\bin common\b")
_WORRY = re.compile(
    r"\b(?:complain(?:s|ts?|ing)?|worr(?:y|ies|ied)|concern(?:s|ed)?|problems?|bothers?|upsets?|annoys?"
    r"|(?:is|are) (?:wrong|unhappy|upset|angry))\b"
)
_ASKS_WHAT = re.compile(r"\b(?:what|which|why|name|explain|main|identify|describe)\b")
_QUESTION = re.compile(
    r"^(?:according to|based on|from the text|given)\b|\b(?:in|from|according to) the (?:text"
    r"|passage|article|paragraph|context)\b"
)
_ASKING = words_of(
    "what when where does which text according based passage following who why how are was were did has"
    " have had the "
    "and for you his her its can will not there this that with from about"
)
"""Words of questions that say nothing of where the answer is."""

_DEFAULT_KEYWORDS = 5
_FEW_WORDS = 6
_DEFAULT_SENTENCES = 2


def _many(wish: str, default: int) -> int:
    found = NUMBER.search(re.sub(r"\bin (?:one|a|two|three|\d+) (?:words?|lines?)\b", " ", wish))
    return max(1, int(as_number(found[0]))) if found else default


def _summary(wish: str, text: str) -> Finding | None:
    if not _SUMMARY.search(wish):
        return None
    form = form_of(wish)
    many = form.sentences or (
        _many(wish, 3) if form.shape else 1 if form.words or form.brief else _DEFAULT_SENTENCES
    )
    if form.sentences == 1 and (one := as_one(text)):
        return Finding(text=one)
    if 0 < (form.words or 0) <= _FEW_WORDS and (said := telegraphic(summary(text, 1), form.words or 0)):
        return Finding(text=said, short=said.rstrip("."))
    return summarised(text, many)


def _keywords(wish: str, text: str) -> Finding | None:
    if not _KEYWORDS.search(wish):
        return None
    found = keywords(
        text,
        _many(
            wish,
            1
            if re.search(r"\b(?:a|the|one) (?:main |single )?(?:key ?word|topic|tag|theme)\b", wish)
            else _DEFAULT_KEYWORDS,
        ),
    )
    return Finding(
        text=", ".join(found), short=", ".join(found), head=("keyword",), rows=tuple((one,) for one in found)
    )


def _title(wish: str, text: str) -> Finding | None:
    return Finding(text=(said := title(text)), short=said) if _TITLE.search(wish) else None


def _common(wish: str, text: str) -> Finding | None:
    return in_common(text) if _COMMON.search(wish) else None


def _worry(wish: str, text: str) -> Finding | None:
    """Tell what a writer is unhappy about: the sentence that sounds worst."""
    if not (_WORRY.search(wish) and _ASKS_WHAT.search(wish)):
        return None
    worst = min(sentences(text), key=score, default="")
    if not worst or score(worst) >= 0:
        return Finding(text="No sentence of the text sounds like a worry or a complaint.", short="nothing")
    return Finding(text=worst, short=fitted(worst, 8).rstrip("."))


def read_from(wish: str, text: str) -> Finding | None:
    """Answer a question from the sentence of the text that shares most words with it.

    Example:
        >>> read_from("who is ill?", "Anna is ill. Bob will bring the slides to the meeting.").text
        'Anna is ill.'
    """
    asked = frozenset(re.findall(r"[a-z0-9]{3,}", wish)) - _ASKING
    ranked = sorted(
        sentences(text), key=lambda one: -len(asked & frozenset(re.findall(r"[a-z0-9]{3,}", plain(one))))
    )
    if not (wish.endswith("?") or _QUESTION.search(wish)) or not ranked:
        return None
    best = ranked[0]
    shared = asked & frozenset(re.findall(r"[a-z0-9]{3,}", plain(best)))
    return Finding(text=best) if shared and len(text.split()) > 8 else None


_TASKS: tuple[Callable[[str, str], Finding | None], ...] = (
    replied,
    _common,
    _worry,
    _summary,
    classified,
    _title,
    about_words,
    _keywords,
    extracted,
    rewritten,
    listed,
    read_from,
)


_ON_TEXT = re.compile(
    r"^\W*(?:please |can you |could you )*(?:summari[sz]e|summary|tl;?dr|shorten|condense|translate|classify"
    r"|categori[sz]e|label|tag|upper ?case|lower ?case|capitali[sz]e|reverse|sort|count|rewrite|rephrase"
    r"|paraphrase|reword|make (?:this|it|the)|proofread|keywords?"
    r"|give"
    r" (?:a |the |me )?(?:keywords?|title|summary)|title|headline|extract|reply|respond|draft|sentiment"
    r"|bullet"
    r"|is (?:this|the following)|what is the (?:sentiment|tone|topic))\b[^:\n]{0,120}:\s*\S"
)


def is_on_text(prompt: str) -> bool:
    """Whether a prompt gives a task and then its text, so that a question in the text is not asked.

    Example:
        >>> is_on_text("Summarise: How do I cancel?"), is_on_text("How do I cancel?")
        (True, False)
    """
    return bool(_ON_TEXT.match(plain(prompt[:400])))


def text_task(prompt: str) -> Finding | None:
    """Do what a prompt wants with a text that it gives.

    Example:
        >>> text_task('Is this review positive or negative? "Lovely room."').short
        'positive'
    """
    task = task_of(prompt)
    if task.text and _REWRITE.search(task.wish) and (found := rewritten(task.wish, task.text)):
        return found
    if found := translated(prompt if not task.text else task.wish, task.text):
        return found
    if not task.text:
        return letter(task.wish) or about_word(task.wish)
    return next((found for do in _TASKS if (found := do(task.wish, task.text))), None) or about_word(
        plain(prompt[:400])
    )
