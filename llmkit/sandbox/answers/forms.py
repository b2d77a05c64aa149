"""The form that a prompt asks for: a table, bullets, three words, one sentence, capitals, a pirate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.wording import plain

Shape = Literal["", "table", "bullets", "numbered", "csv", "lines", "commas"]

_N = rf"({NUMBER.pattern})"
_ANSWER = (
    r"(?:(?:please )?(?:answer|reply|respond|say it|explain(?: it| this| that)?|summari[sz]e "
    r"it|do it|put it|give (?:me )?(?:it|the answer|your answer)|write it|and) )?"
)
_SHAPES: tuple[tuple[Shape, str], ...] = (
    ("csv", r"(?:(?:as|in|into) (?:a )?csv(?: format| file| table)?|csv table (?:of|with)|csv of)"),
    (
        "table",
        (
            r"(?:(?:as|in|into|with|using|use) (?:a |an )?(?:\w+ )?(?:markdown )?table(?: format)?|(?:a "
            r"|an )?(?:\w+ )?table (?:of|with|comparing|that compares|showing|listing)|^tabulate)"
        ),
    ),
    ("numbered", r"(?:(?:as|in|with|using) )?(?:a |an )?(?:numbered|ordered) list(?: of)?|with numbers$"),
    (
        "bullets",
        (
            r"(?:(?:as|in|with|using|into) )?(?:an? |\d+ |two |three |four |five |the )?(?:unordered "
            r"|markdown )?bullet(?:ed|s)?(?:[- ]points?)?(?: list)?(?: of)?(?: form(?:at)?)?"
        ),
    ),
    ("commas", r"(?:(?:as|in) )?(?:a )?comma[- ]separated(?: list)?(?: of)?|separated by commas"),
    ("lines", r"one (?:per|on each) line|(?:each )?on (?:a|its own|separate|a new) lines?"),
)
_SHAPE_PATTERNS = tuple((shape, re.compile(rf"\b{_ANSWER}(?:{pattern})(?!\w)")) for shape, pattern in _SHAPES)
_ITEMS = re.compile(rf"\b{_N} (?:short |brief |simple )?bullet(?:s|[- ]points?)?\b")
_WORDS = re.compile(
    rf"\b{_ANSWER}(?:in|with|using|within|under|exactly|about|at most|no more than|fewer than"
    rf"|less than|max(?:imum)?(?: of)?)"
    rf"(?: only| just| exactly| about| at most| no more than| under| fewer than| less than| "
    rf"around| roughly| max(?:imum)?)? {_N} words?(?: or (?:less|fewer)| max(?:imum)?)?\b"
)
_SENTENCES = re.compile(
    rf"\b{_ANSWER}(?:in|with|using|within|give me|write)(?: only| just| exactly| about| at "
    rf"most)? (?:{_N}|a (?:single )?|a short )(?: short| single| simple| brief| concise| "
    rf"plain)* ?(sentences?|lines?|paragraphs?)\b"
)
_JSON = re.compile(
    r"\b(?:please )?(?:(?:answer|reply|respond|return|output|give me|format(?:ted)?)(?: only| just| it)? )?"
    r"(?:(?:with |as |in |into |return |output )(?:valid |a |an )*json(?: object| array| format| list| only)?"
    r"|a json (?:object|array|list)(?: (?:of|for))?|json (?:(?:object|array|list) )?(?:for|of))\b"
)
_BRIEF = re.compile(
    r"\b(?:be (?:brief|concise|short|terse)|briefly|in short|keep it (?:short|brief)|short "
    r"answers?|concisely|tl;?dr|in brief|one[- ]liner|answer briefly|very short|succinctly)\b"
)
_LONG = re.compile(
    r"\b(?:in (?:more |great |full |some )?detail|detailed|in depth|thorough(?:ly)?|at length"
    r"|elaborate|comprehensive|long answer)\b"
)
_SIMPLE = re.compile(
    r"(?:\b(?:like|as if) (?:i am|i'm|im|to) (?:a )?(?:five|5|ten|10)(?: years? old)?\b"
    r"|\beli5\b|\b(?:to|for) (?:a )?(?:(?:five|5|six|6|ten|10)[- ]years?[- ]old|child|kid|kids"
    r"|children|beginners?|layperson|layman|dummies|my grandmother|someone new)\b|\b(?:in"
    r"|using) (?:simple|plain|layman's|everyday|easy) (?:terms|words|language|english)\b"
    r"|\bsimply\b)"
)
_UPPER = re.compile(
    r"\b(?:in |all |only )*(?:upper ?case|capital letters|all caps|(?<=in )capitals|(?<=all "
    r")capitals|block letters)\b"
)
_LOWER = re.compile(r"\b(?:in |all )*(?:lower ?case|small letters)\b")
_PIRATE = re.compile(r"\b(?:you are|act as|talk like|speak like|be|like|as) a pirate\b")
_LANGUAGE = re.compile(
    r"\b(?:answer |reply |respond |write |speak |say it |always |only )*(?:in|auf|en) (french"
    r"|german|spanish|italian|portuguese|dutch|deutsch|francais|espanol|latin|japanese|chinese"
    r"|russian)\b(?! (?:people|money|food|culture|history))"
)
_EXAMPLES = re.compile(r"\b(?:and |with )?(?:a )?(?:long |short )?list of examples\b")
_INTRODUCED = re.compile(r"^my name is \w+[.!,;]\s*")
_FINISH = re.compile(r"[,;]?\s*(?:\b(?:and|please|answer|reply|respond|return|with)\b[ ,]*)*[.!?\s]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form that is asked for.

    Attributes:
        shape: The form of a list.
        items: How many bullet points.
        words: The most words.
        sentences: The most sentences.
        brief: Whether the answer should be short.
        long: Whether it should have details.
        simple: Whether a child should understand it.
        case: `upper` or `lower`.
        pirate: Whether a pirate speaks.
        language: Another language than English.
    """

    shape: Shape = ""
    items: int | None = None
    words: int | None = None
    sentences: int | None = None
    brief: bool = False
    long: bool = False
    simple: bool = False
    case: str = ""
    pirate: bool = False
    language: str = ""


def form_of(text: str, system: str = "") -> Form:
    """Return the form that a plain question and a plain system prompt ask for.

    Example:
        >>> form_of("name three rivers as bullet points").shape
        'bullets'
    """
    both = f"{text}\n{system}"
    words = _WORDS.search(text) or _WORDS.search(system)
    sentences = _SENTENCES.search(text) or _SENTENCES.search(system)
    language = _LANGUAGE.search(both)
    return Form(
        shape=next((shape for shape, pattern in _SHAPE_PATTERNS if pattern.search(both)), ""),
        items=int(as_number(items[1])) if (items := _ITEMS.search(text)) else None,
        words=int(as_number(words[1])) if words else None,
        sentences=_sentences(sentences),
        brief=bool(_BRIEF.search(both)),
        long=bool(_LONG.search(text)),
        simple=bool(_SIMPLE.search(both)),
        case="upper" if _UPPER.search(both) else "lower" if _LOWER.search(both) else "",
        pirate=bool(_PIRATE.search(both)),
        language=language[1] if language else "",
    )


def _sentences(found: re.Match[str] | None) -> int | None:
    if found is None or found[2].startswith("p"):
        return None
    return int(as_number(found[1])) if found[1] else 1


def without_form(text: str) -> str:
    """Return a plain question without the words about its form.

    Example:
        >>> without_form("what are tides? answer in 25 words.")
        'what are tides?'
    """
    patterns = (_WORDS, _SENTENCES, _JSON, _BRIEF, _LONG, _SIMPLE, _UPPER, _LOWER, _PIRATE, _LANGUAGE)
    said = text
    said = _EXAMPLES.sub(" ", _INTRODUCED.sub(" ", said))
    for pattern in (*(pattern for _, pattern in _SHAPE_PATTERNS), *patterns):
        said = pattern.sub(" ", said)
    said = re.sub(r"\s+([?.!,;:])", r"\1", " ".join(said.split()))
    return re.sub(r"([?!.,;:])(?:\s*[?.!,;:])+", r"\1", said).strip(" ,;:")


def is_only_form(text: str) -> bool:
    """Whether a text says nothing but a form: `in one word`, `as a table please`.

    Example:
        >>> is_only_form("as a table please"), is_only_form("planets as a table")
        (True, False)
    """
    said = plain(text)
    rest = re.sub(
        (
            r"\b(?:please|and|now|again|that|it|this|the same|make|give|show|me|can you|could you"
            r"|answer|say|rewrite|put|do|try|ok|so|but|what about|how about)\b"
        ),
        " ",
        without_form(said),
    )
    return without_form(said) != said.strip(" ,;:") and not re.search(r"\w", _FINISH.sub("", rest))
