"""Splits a prompt into the task and the text that it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmkit.sandbox.answers.wording import plain

_FENCE = re.compile(
    r"```\w*\n(.*?)```|<(text|document|review|article|email|ticket|input)>\s*(.*?)\s*</\2>",
    re.DOTALL | re.IGNORECASE,
)
_QUOTED = re.compile(r'"([^"]{2,})"|“([^”]{2,})”|(?<!\w)\'([^\']{2,})\'(?!\w)|«([^»]{2,})»', re.DOTALL)
_COLON = re.compile(r":\s+|:\n+|\s[-\u2013\u2014]\s")
_ABOUT_TEXT = re.compile(
    r"\b(?:this|it|the (?:text|review|message|sentence|tweet|author|writer|customer))\b", re.IGNORECASE
)
_LONGEST_TASK = 30
_LONGEST_PROMPT = 200_000


@dataclass(frozen=True, slots=True)
class Task:
    """What to do, in plain words, and with which text.

    Attributes:
        wish: What is asked for, without accents in lower case.
        text: The text; empty if there is none.
    """

    wish: str
    text: str


def task_of(prompt: str) -> Task:
    r"""Split a prompt into its task and its text.

    Example:
        >>> task_of("Summarize this: It rains.\nWe stay.").text
        'It rains.\nWe stay.'
    """
    prompt = prompt[:_LONGEST_PROMPT].strip()
    for split in (_fenced, _by_paragraphs, _by_colon, _quoted, _by_sentence):
        if (found := split(prompt)) is not None:
            return Task(plain(found[0]).strip(), found[1].strip())
    return Task(plain(prompt[:1000]), "")


def _fenced(prompt: str) -> tuple[str, str] | None:
    found = _FENCE.search(prompt)
    return (prompt[: found.start()] + " " + prompt[found.end() :], found[1] or found[3]) if found else None


def _quoted(prompt: str) -> tuple[str, str] | None:
    """Take what stands in quotation marks, if it is most of the prompt or the rest is a task."""
    found = _QUOTED.search(prompt)
    if found is None:
        return None
    rest = f"{prompt[: found.start()]} {prompt[found.end() :]}"
    return (rest, next(filter(None, found.groups()))) if len(rest.split()) <= _LONGEST_TASK else None


def _by_colon(prompt: str) -> tuple[str, str] | None:
    """Take what follows the first colon; a question after it belongs to the task."""
    found = _COLON.search(prompt)
    if (
        found is None
        or not prompt[found.end() :].strip()
        or len(prompt[: found.start()].split()) > _LONGEST_TASK
    ):
        return None
    if _QUOTED.search(prompt[: found.start()]):
        return None
    text = prompt[found.end() :]
    whole = _QUOTED.fullmatch(text.strip())
    return prompt[: found.start()], next(filter(None, whole.groups())) if whole else text


def _by_paragraphs(prompt: str) -> tuple[str, str] | None:
    """Take the paragraphs after or before a short one that is the task."""
    first, gap, rest = prompt.partition("\n")
    if not gap or not rest.strip():
        return None
    if len(first.split()) <= _LONGEST_TASK and _is_task(first) and ": " not in first.strip():
        return first, rest
    before, gap, last = prompt.rpartition("\n\n")
    if gap and len(last.split()) <= _LONGEST_TASK and _is_task(last):
        return last, before
    return None


def _by_sentence(prompt: str) -> tuple[str, str] | None:
    """Take the sentences after a first one that is a task."""
    last = re.search(r"(?<=[.!?])\s+([^.?!\n]{4,120}\?)\s*$", prompt)
    if last and _ABOUT_TEXT.search(last[1]):
        return last[1], prompt[: last.start()]
    found = re.match(r"([^.?!\n]{4,160}[.?!])\s+(\S.{15,})", prompt, re.DOTALL)
    if found is None or not _is_task(found[1]):
        return None
    return found[1], found[2]


_TASK = re.compile(
    r"^\W*(?:please |can you |could you |kindly |now )*(?:summari[sz]e|shorten|condense"
    r"|extract|find|list|give|translate|rewrite|rephrase|paraphrase|fix|correct"
    r"|classify|categori[sz]e|label|tag|count|sort|reverse|remove|deduplicate|convert|write"
    r"|make|turn|bullet|judge|rate|analy[sz]e|identify|detect|name|what|which"
    r"|who|how|is|are|does|tell|explain|describe|title|pull|highlight|proofread|improve|put"
    r"|return|say|suggest|generate|create|decide|answer|read|keywords|summary|tl;?dr"
    r"|sentiment)\b",
    re.IGNORECASE,
)


def _is_task(text: str) -> bool:
    return bool(_TASK.search(text)) or text.rstrip().endswith((":", "?"))
