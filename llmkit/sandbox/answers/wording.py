"""The words of a question: in lower case without accents, and which of them say something."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(r"[a-z0-9][a-z0-9'+#/=*-]*")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "“": '"', "”": '"', "\u2013": "-", "—": "-", "…": " "})
_MANNERS = re.compile(
    r"^(?:(?:hi|hello|hey|ok(?:ay)?|please|well|so|and|also|now|then)\b[,!. ]*"
    r"|(?:can|could|would|will) you (?:please |kindly )?(?=\w)"
    r"|i(?:'d| would) (?:like|love) (?:you )?to (?:know|hear) "
    r"|(?:do you know|i wonder|i want to know|tell me|let me know)[,:]? (?=what|who|when|where"
    r"|how|which|why|if)"
    r"|quick question[:,]? *)+"
)


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text between blanks as a set.

    Example:
        >>> sorted(words_of("a b"))
        ['a', 'b']
    """
    return frozenset(text.split())


NEUTRAL = words_of(
    "cause causes caused point purpose benefit benefits all order "
    "a an the of in on at to for from by with and or is are was were be been do does did has have had can "
    "could will would should shall may might must i me my you your we us our it its this that these those "
    "there here what which who whom whose when where why how much many please tell give show say name "
    "know me's what's who's it's where's when's how's that's exactly about approximately roughly "
    "around currently today now right just simply also some any one ones thing things called as than so "
    "if then into per each every get got go mean means meaning question answer explain describe define "
    "definition briefly short shortly brief simple terms term word words sentence sentences example "
    "examples detail details work works working whole world's world earth's ever all between difference "
    "different differ differences versus vs compare comparison concept idea basics basic understand learn "
    "introduction overview summary happen happens happened come comes year old like five ten child kid "
    "beginner someone layman quickly first two three four six seven eight nine kind kinds of type types "
    "up out s t re actually really exact total most more well correct full use used using not no yes "
    "very too again let's let using want need help think could'd i'd i'm i've am number numbers data "
    "value values known they them he she his her"
)
"""Words that do not change what a question is about."""


@lru_cache(maxsize=256)
def plain(text: str) -> str:
    """Return a text in lower case, without accents and typographic quotes.

    Example:
        >>> plain("The RHÔNE?")
        'the rhone?'
    """
    bare = unicodedata.normalize("NFKD", text.translate(_QUOTES).lower())
    return "".join(char for char in bare if not unicodedata.combining(char))


def politely(text: str) -> str:
    """Return a question without polite words before it.

    Example:
        >>> politely("hi, could you please tell me who wrote hamlet?")
        'who wrote hamlet?'
    """
    return _MANNERS.sub("", text.strip())


def words(text: str) -> list[str]:
    """Return the words of a plain text.

    Example:
        >>> words("who wrote c++?")
        ['who', 'wrote', 'c++']
    """
    return [found[0].rstrip("'-/=*") for found in _WORD.finditer(text)]


def stem(word: str) -> str:
    """Return a word in the singular.

    Example:
        >>> stem("countries"), stem("rivers"), stem("glass")
        ('country', 'river', 'glass')
    """
    bare = word.removesuffix("'s")
    if bare.endswith("ies") and len(bare) > 4:
        return f"{bare[:-3]}y"
    plural = bare.endswith("s") and not bare.endswith(("ss", "us", "is")) and len(bare) > 3
    return bare[:-1] if plural else bare


def telling(text: str) -> frozenset[str]:
    """Return the words that say what a plain text is about, in the singular.

    Example:
        >>> sorted(telling("what is the boiling point of water?"))
        ['boiling', 'water']
    """
    stems = (stem(word) for word in words(text) if word not in NEUTRAL)
    return frozenset(one for one in stems if one not in NEUTRAL)


def left_over(text: str, taken: Iterable[str | re.Pattern[str]]) -> frozenset[str]:
    """Return the telling words of a plain text without some patterns or phrases.

    Example:
        >>> sorted(left_over("how many people voted in germany", ["germany", "how many people"]))
        ['voted']
    """
    for one in taken:
        pattern = rf"(?<!\w){re.escape(one)}(?!\w)" if isinstance(one, str) else one
        text = re.sub(pattern, " ", text)
    return telling(text)


def joined(names: Iterable[str], last: str = "and") -> str:
    """Return names as a list in a sentence.

    Example:
        >>> joined(["Nile", "Amazon", "Yangtze"])
        'Nile, Amazon and Yangtze'
    """
    *others, end = names
    return f"{', '.join(others)} {last} {end}" if others else end


def capitalised(text: str) -> str:
    """Return a text with a capital first letter; the others stay.

    Example:
        >>> capitalised("the NaN values")
        'The NaN values'
    """
    return text[:1].upper() + text[1:]
