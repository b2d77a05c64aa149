"""Summaries by extraction, keywords and titles: always in the text's own words."""

from __future__ import annotations

import math
import re
from collections import Counter

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.sentences import fitted, sentences
from llmkit.sandbox.answers.wording import NEUTRAL, capitalised, plain, words_of

_WORD = re.compile(r"[^\W\d_][\w'-]*")
_LONGEST = 40_000
_STOP = NEUTRAL | words_of(
    "after before during because while until since against again more most such only own "
    "same too very will just don't "
    "into over under further both few other nor not he's she's we've been being have having "
    "having said says went made "
    "new ever never own however three also much many within without among upon across our "
    "their they them than then who "
    "itself himself herself themselves several per via etc even still yet though although "
    "whether either often would"
)
_NO_NOUNS = words_of(
    "nobody somebody anybody everybody someone anyone everyone none nothing something everything anything "
    "another others us me him every maybe perhaps always often sometimes soon later early together away "
    "back once twice here there now then almost enough again rather quite instead able available cheap big "
    "small large great good bad better best worse worst nice new old easy hard high low long short full "
    "ask asked asks become became begin began begins bring brings brought buy buys bought call called came "
    "come comes did does done fall falls fell feel feels felt find finds found gave get gets give gives go "
    "goes gone got grew grow grows had has have heard hear hold holds keep keeps kept knew know knows left "
    "lose loses lost made make makes met moved opens paid ran rise rises rose run runs sat saw say says see "
    "seem seems seen send sends sent set show shows shown sold spent stand stands stood take takes taken "
    "tell tells told think thinks thought took turn turns used wait want wants went write writes written "
    "wrote"
)
_NOUNS = words_of(
    "family supply reply assembly july italy anomaly table cable variable vegetable constable bed shed sled"
)
_NO_NOUN_ENDS = re.compile(r"(?:ly|ful|ous|less|able|ible|[^e]ed|n't)$")
_SHORTEST = 3
_SHORT_SENTENCE = 8
_LEADS = re.compile(
    r"^(?:however|moreover|furthermore|in addition|additionally|also|meanwhile|finally|therefore|thus),?\s+",
    re.IGNORECASE,
)
_SHORT_TEXT = 25
_FEW_SENTENCES = 3
_BEGINS = re.compile(
    r"^(?:The|A|An|It|He|She|We|They|You|This|That|These|Those|My|Our|Their|His|Her|There)\b"
)
_SMALL = words_of("a an the of is are was were be been being has have had that very really quite just")
_ASIDE = re.compile(r"\s*\([^()]*\)")


def weights(text: str) -> Counter[str]:
    """Return how often each telling word of a text occurs."""
    words = (word.lower().removesuffix("'s") for word in _WORD.findall(text[:_LONGEST]))
    return Counter(word for word in words if len(word) > _SHORTEST - 1 and plain(word) not in _STOP)


def keywords(text: str, many: int = 5) -> list[str]:
    """Return the most telling words and pairs of words of a text.

    Example:
        >>> keywords("Solar panels are cheap. Solar panels turn light into power.", 2)
        ['solar panels', 'light']
    """
    counts = weights(text)
    pairs = _pairs(plain(text[:_LONGEST]))
    common = [pair for pair, count in pairs.most_common(many) if count > 1]
    used = {word for pair in common for word in pair.split()}
    # Words of equal count go by length: longer ones say more; the sort keeps the text's order otherwise.
    single = sorted(
        (word for word in counts if plain(word) not in used),
        key=lambda word: (-counts[word], -min(len(word), 9)),
    )
    nouns = [word for word in single if _may_be_noun(word)]
    return [*common, *(nouns or single)][:many]


def _pairs(lower: str) -> Counter[str]:
    """Return how often two telling words follow each other."""
    return Counter(
        f"{first} {second}"
        for first, second in re.findall(r"\b(?=([a-z'-]+) ([a-z'-]+)\b)", lower)
        if not {first, second} & _STOP and min(len(first), len(second)) >= _SHORTEST
    )


def _may_be_noun(word: str) -> bool:
    return word in _NOUNS or not (word in _NO_NOUNS or _NO_NOUN_ENDS.search(word))


def summary(text: str, many: int = 2) -> str:
    """Return the sentences of a text that hold most of its telling words, in its order.

    Example:
        >>> summary("I had tea. The river rose. The river flooded the town.", 2)
        'The river rose. The river flooded the town.'
    """
    said = (one for paragraph in text[:_LONGEST].splitlines() for one in sentences(paragraph))
    found = list(dict.fromkeys(said))
    if len(found) <= many:
        return " ".join(found)
    counts = weights(text)
    ranked = sorted(range(len(found)), key=lambda place: (-_score(found[place], counts, place), place))
    chosen = sorted(ranked[:many])
    return " ".join(capitalised(_ASIDE.sub("", _LEADS.sub("", found[place]))) for place in chosen)


def as_one(text: str) -> str:
    """Return a few short sentences as one; empty if they are long or many.

    Example:
        >>> as_one("The cat sat. The dog ran.")
        'The cat sat, and the dog ran.'
    """
    found = sentences(" ".join(text[:_LONGEST].split()))
    short = len(text.split()) <= _SHORT_TEXT and all(re.fullmatch(r"[^,;:?!]+\.", one) for one in found)
    # A capital may be that of a name: only what surely is none gets a small letter behind a comma.
    if not short or not 1 < len(found) <= _FEW_SENTENCES or not all(map(_BEGINS.match, found[1:])):
        return ""
    first, *others = (one.removesuffix(".") for one in found)
    others = [_BEGINS.sub(lambda word: word[0].lower(), one) for one in others]
    return f"{', '.join([first, *others[:-1]])}, and {others[-1]}."


def telegraphic(text: str, most: int) -> str:
    """Return a sentence without its small words, if it fits into a number of words; else empty.

    Example:
        >>> telegraphic("Two of the treadmills have been broken for weeks.", 5)
        'Two treadmills broken for weeks.'
    """
    left = [word for word in text.rstrip(".!?").split() if plain(word) not in _SMALL]
    return f"{capitalised(' '.join(left))}." if 1 < len(left) <= most else ""


def _score(sentence: str, counts: Counter[str], place: int) -> float:
    words = {word.lower() for word in _WORD.findall(sentence)}
    first = 1.7 if place == 0 else 1.0  # a text often begins with what it is about
    length = max(_SHORT_SENTENCE, len(sentence.split()))
    return first * sum(counts[word] - 0.75 for word in words if word in counts) / math.pow(length, 0.6)


def title(text: str, most: int = 9) -> str:
    """Return a title for a text: its most telling sentence, cut to a few words.

    Example:
        >>> title("The committee cut travel by 12 %. It met on Tuesday.")
        'The committee cut travel by 12 %'
    """
    best = fitted(summary(text, 1), most).rstrip(".!?")
    return capitalised(best)


def summarised(text: str, many: int) -> Finding:
    """Return a summary as a finding, with keywords as its bare answer."""
    said = summary(text, many)
    return Finding(
        text=said,
        short=fitted(said, 8).rstrip("."),
        rows=tuple((one,) for one in sentences(summary(text, max(many, 3)))),
    )


def in_common(text: str) -> Finding:
    """Say which words occur most in several texts.

    Example:
        >>> in_common("I code daily. I code at night.").text
        'They share the words “code”.'
    """
    lines = [line for line in re.split(r"\n+|(?<=[.!?])\s+|'[,;]\s*|\"[,;]\s*", text) if line.strip()]
    spread = Counter(word for line in lines for word in set(weights(line)))
    shared = [word for word, count in spread.most_common(4) if count > 1]
    if not shared:
        return Finding(text="No telling word occurs in more than one of them.", short="nothing")
    return Finding(
        text=f"They share the words {', '.join(f'“{word}”' for word in shared)}.", short=", ".join(shared)
    )
