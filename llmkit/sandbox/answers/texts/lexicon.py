"""The mood of a text, by a small lexicon of English words."""

from __future__ import annotations

import re

from llmkit.sandbox.answers.wording import words_of

GOOD = words_of(
    "amazing awesome beautiful best better brilliant charming cheerful clean comfortable "
    "convenient delicious delighted delightful "
    "easy effective efficient elegant enjoy enjoyed enjoyable excellent exceptional exceeded "
    "fabulous fantastic fast favorite "
    "favourite fine flawless fresh friendly fun generous glad good gorgeous grateful great "
    "happy helpful impressed impressive "
    "incredible intuitive joy kind like liked love loved lovely loves magnificent memorable "
    "nice outstanding perfect perfectly "
    "pleasant pleased polite praise professional prompt quick recommend recommended reliable "
    "remarkable safe satisfied smooth "
    "smoothly solid spectacular splendid sturdy succeed success superb sweet tasty terrific "
    "thank thanks thankful thrilled "
    "useful warm welcoming well wonderful worth wow"
)
BAD = words_of(
    "abysmal afraid angry annoyed annoying appalling arrogant atrocious awful awkward bad "
    "bland blunt boring bored broke broken bug "
    "buggy cancel cancelled charged cold complain complained complaint complicated confused "
    "confusing cracked crash crashed crashes "
    "cramped damaged dead declined defective delay delayed delays difficult dirty "
    "disappointed disappointing disappointment disaster "
    "disgusting dishonest dreadful dull error errors expensive fail failed failing fails "
    "failure faulty fear filthy flimsy frozen "
    "frustrated frustrating garbage hate hated hates horrible hopeless ignored impolite "
    "incompetent inferior junk lack lacking late "
    "lazy leaked leaking lose loses losing lost mediocre mess messy mistake misleading missing nasty "
    "negative never nightmare noisy nothing obnoxious "
    "outrageous overpriced pain painful pathetic poor poorly problem problems refund regret "
    "rejected ridiculous rough rude ruined sad "
    "scam scratched shame slow slowly smelly smells soggy spoiled stale stopped stupid stuck "
    "sucks terrible thief tired torn toxic "
    "ugly unacceptable unfair unfortunately unfriendly unhappy unhelpful unpleasant "
    "unprofessional unreliable unusable upset useless "
    "mould mouldy mold moldy stain stained stains stole stolen steal theft robbed rats cockroach cockroaches "
    "mice rust rusty unsafe dangerous injured overcharged overcrowded stink stinks stinking smelled smelt "
    "sticky grimy greasy clogged blocked flooded insulted shouted yelled vandalised vandalized "
    "waste wasted weak weird worse worst worthless wrong"
)
_STRONG = words_of("very really extremely absolutely totally so incredibly highly completely")
_NEGATIONS = words_of(
    "not no never nobody none hardly cannot isn't wasn't aren't don't doesn't didn't can't won't couldn't "
    "wouldn't without nothing neither nor"
)
_EXPECTED = words_of(
    "answer answers answered arrive arrives arrived call called calls care cared come comes came deliver "
    "delivered explain explained fix fixed happen happened happens hear heard help helped helps inform "
    "informed listen listened listens load loads open opens receive received replied replies reply "
    "respond responded responds show start starts tell told update updated work worked works"
)
"""What one expects, and what is bad if it does not happen: `nobody told us`, `it does not work`."""

_WORD = re.compile(r"[\w']+")
_NEAR = 3
_BUT = words_of("but however though although yet")
_LONGEST = 20_000


def score(text: str) -> float:
    """Return how good a text sounds: above 0 good, below 0 bad.

    Example:
        >>> score("I love it!") > 0 > score("Not good.")
        True
    """
    words = _WORD.findall(text[:_LONGEST].lower().replace("\u2019", "'"))
    return sum(_value(word, words[max(0, place - _NEAR) : place]) for place, word in enumerate(words))


def _value(word: str, before: list[str]) -> float:
    """Return how good a word sounds after those before it."""
    value = (word in GOOD) - (word in BAD and word not in _NEGATIONS)
    around = frozenset(before)
    negated = bool(_NEGATIONS & around) and not _BUT & around
    if not value:
        return -1.0 if negated and word in _EXPECTED else 0.0
    return (-value if negated else value) * (1.5 if _STRONG & frozenset(before[-1:]) else 1)


def sentiment(text: str) -> str:
    """Judge a text by the lexicon.

    Example:
        >>> sentiment("I love it!"), sentiment("Not good."), sentiment("It is blue.")
        ('positive', 'negative', 'neutral')
    """
    found = score(text)
    return "positive" if found > 0 else "negative" if found < 0 else "neutral"


def mood_words(text: str) -> list[str]:
    """Return the words of a text that are in the lexicon, in its order.

    Example:
        >>> mood_words("Great food, rude waiter.")
        ['great', 'rude']
    """
    return list(
        dict.fromkeys(
            word
            for word in _WORD.findall(text[:_LONGEST].lower())
            if word in GOOD or word in BAD - _NEGATIONS
        )
    )
