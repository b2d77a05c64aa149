"""Code for common requests, from `snippets.md` and `queries.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.code.explanation import explained
from llmkit.sandbox.answers.code.for_tables import chart_or_summary
from llmkit.sandbox.answers.code.sql import sql_for
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from llmkit.sandbox.answers.query import Query

_PART = re.compile(r"^# ([^\n]+)\nasks: ([^\n]+)\n```(\w+)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_WANTED = re.compile(
    r"\b(?:write|implement|code|program|create|give|show|generate|make|provide|need|want"
    r"|define|build|suggest)\b.*\b(?:code|functions?|scripts?|python|programs?|class|method"
    r"|loop"
    r"|algorithm|\w*sort|regex(?:es)?|regular expression|snippet|decorator|generator|lambda"
    r"|dataclass|comprehension|quer(?:y|ies)|sql|unit tests?|pandas|numpy|matplotlib)\b"
    r"|\bhow (?:do|can|would|should) (?:i|you|we|one)\b|\bhow to\b|\bin (?:python|pandas|numpy"
    r"|matplotlib|sql)\b|\bpython (?:code|function|script|program|snippet|example)\b"
    r"|\b(?:quick|merge|bubble) ?sort\b"
    r"|\bregex (?:for|to|that)\b|\bpython:|\bcode (?:for|to|that|which)\b|\b(?:function|script"
    r"|one-liner|sql) (?:for|to|that|which)\b|\bsql (?:quer|join|statement)|\bpandas\b.*\b(?:mean|merge"
    r"|group|read|plot|sort"
    r"|filter)\b|\bfizz ?buzz\b|\bwrite (?:the )?sql\b|\bexample of\b.*\bcode\b",
    re.DOTALL,
)
_IDEAS = re.compile(
    r"^(?:how (?:do|does|is|are|can) (?:a|an|the|vaccines?|plants|planes|birds|computers|llms?"
    r"|neural)\b|what(?:'s| is| are| does) |why |who |when |explain (?!(?:how|this|the code"
    r"|code)\b)|compare |how (?:do|would) (?:you|i|we) (?:say|spell|pronounce|translate|feel))"
)
_INSTALL = re.compile(
    r"\b(?:install|restart|api key|set my key|run a cell|real model|see (?:the |my )?costs?)\b"
)
_AS_CODE = re.compile(r"\bcode block and nothing else\b", re.IGNORECASE)
_SQL = re.compile(r"\bsql\b|\bselect\b.*\bfrom\b", re.DOTALL)
_LANGUAGES = re.compile(
    r"\b(?:in|using|with) (javascript|typescript|java|c\+\+|c#|rust|go|golang|ruby|php|swift"
    r"|kotlin|julia|scala|perl|haskell|bash|r)\b(?! ?squared)"
    r"|\b(?:javascript|typescript|java|rust|golang|ruby|php|swift|kotlin|julia|scala|bash) "
    r"(?:function|code|program|script|class|snippet)"
)
_RANDOM = re.compile(
    rf"({NUMBER.pattern}) random (?:whole )?(?:numbers?|integers?|ints?)"
    rf" (?:between|from) (-?\d+) (?:and|to) (-?\d+)\b"
)
_CODE_IN = re.compile(r"```|\bIn\[\d+\]:")
_NONE = (
    "# The llmkit sandbox has no code for this, and no model was asked: `%llm key openai` "
    "lets a real one write it."
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code for a common request."""

    title: str
    asks: re.Pattern[str]
    language: str
    code: str


@cache
def snippets(file: str = "snippets.md") -> tuple[Snippet, ...]:
    """Return the snippets of a file.

    Example:
        >>> snippets()[0].title
        'Quicksort'
    """
    text = (files("llmkit.sandbox.answers.code") / file).read_text(encoding="utf-8")
    return tuple(
        Snippet(found[1], re.compile(found[2]), found[3], found[4]) for found in _PART.finditer(text)
    )


def wants_code(question: str) -> bool:
    """Whether a plain question asks for code.

    Example:
        >>> wants_code("write a function that adds"), wants_code("what is a function?")
        (True, False)
    """
    return bool(_WANTED.search(question)) and not _IDEAS.search(question) and not _INSTALL.search(question)


def found_for(question: str) -> Snippet | None:
    """Return the snippet that a plain question asks for.

    Example:
        >>> found_for("write a function for primes").title
        'Prime numbers'
    """
    file = "queries.md" if _SQL.search(question) else "snippets.md"
    return next((one for one in snippets(file) if one.asks.search(question)), None)


def write_code(query: Query) -> str | None:
    """Answer a request for code, or for an explanation of code."""
    alone = any(turn.role == "system" and _AS_CODE.search(turn.text) for turn in query.ask.turns)
    if said := explained(query.text):
        return said
    question = query.question if _CODE_IN.search(query.text) else plain(query.text[:600])
    if not alone and not wants_code(question):
        return None
    if block := chart_or_summary(query.text, question):
        return _block(block, "python", alone=alone, title="")
    return _from_snippets(question, alone=alone)


def _from_snippets(question: str, *, alone: bool) -> str | None:
    if _SQL.search(question) and (written := sql_for(question)):
        return _block(written.code, "sql", alone=alone, title=written.title)
    if (found := _RANDOM.search(question)) and not _LANGUAGES.search(question):
        return _block(_random(*found.groups()), "python", alone=alone, title="Random numbers")
    snippet = None if _LANGUAGES.search(question) else found_for(question)
    if snippet is None:
        return f"```python\n{_NONE}\n```" if alone else None
    return _block(snippet.code, snippet.language, alone=alone, title=snippet.title)


def _random(many: str, low: str, high: str) -> str:
    """Return code for whole random numbers."""
    count = f"{as_number(many):.0f}"
    return f"import random\n\nprint([random.randint({low}, {high}) for _ in range({count})])"


def _block(code: str, language: str, *, alone: bool, title: str) -> str:
    block = f"```{language}\n{code}\n```"
    return block if alone or not title else f"**{title}**\n\n{block}"
