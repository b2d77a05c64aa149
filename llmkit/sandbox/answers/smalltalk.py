"""Greetings, thanks, who answers here, and other talk that is about no subject."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.poems import poem
from llmkit.sandbox.answers.wording import left_over

if TYPE_CHECKING:
    from collections.abc import Sequence

WHO = "I am the llmkit sandbox: a small program on your own machine that answers in place of a model."
_CAN = (
    "I answer simple questions from a few hundred facts, compute, convert units and dates, "
    "read numbers of tables that you attach, "
    "summarise, extract and sort texts, and write common Python. For anything else a real "
    "model is needed: `%llm key openai`."
)
_JOKES = (
    "Why do programmers mix up Halloween and Christmas? Because Oct 31 = Dec 25.",
    "A SQL query walks into a bar, sees two tables and asks: may I join you?",
    "There are 10 kinds of people: those who understand binary and those who do not.",
    "Why did the statistician bring a ladder? To reach significance.",
)
_TALK: tuple[tuple[str, str, str], ...] = (
    (
        (
            r"^(?:hi|hello|hey|hiya|howdy|greetings|good (?:morning|evening|day|afternoon)|bonjour"
            r"|hallo|hola|yo)(?:[, ]+(?:there|you|everyone|all|sandbox|llmkit|world|again))*\W*$"
        ),
        "Hello! This is the llmkit sandbox. What would you like to know?",
        "hello",
    ),
    (
        (
            r"^(?:hi|hello|hey)(?: there)?[,! ]+(?:how are you|how's it going|what's up)|^how(?: are"
            r"|'re) (?:you"
            r"|u)\b|^how's it going|^what's up\b|^how do you do\b"
        ),
        "I am a small program and always the same, thank you. What would you like to know?",
        "fine",
    ),
    (r"^(?:many )?(?:thanks|thank you|thx|cheers|merci|danke)\b", "You are welcome!", "you are welcome"),
    (r"^(?:good ?bye|bye(?: bye)?|see you|good night|ciao|farewell)\b", "Goodbye!", "goodbye"),
    (
        (
            r"^(?:ok(?:ay)?|great|perfect|nice|cool|awesome|good|well done|wow|i see|got it|understood"
            r"|alright|right|sure|fine|excellent|wonderful)(?: (?:job|work|one|answer|thanks|thank "
            r"you))*\W*$"
        ),
        "Good. Ask on whenever you like.",
        "good",
    ),
    (r"^(?:yes|yeah|yep|no|nope|maybe)\W*$", "Noted. What would you like to know?", "noted"),
    (r"^(?:sorry|i'm sorry|my apologies|apologies)\b", "No harm done.", "fine"),
    (
        (
            r"\bwho(?:'s| is| are|'re) (?:you|this|there|speaking|answering)\b|^what are you\b"
            r"|\bintroduce yourself\b|\bwhat(?:'s| is) your name\b|\byour name\b|\bwho made you\b"
            r"|\bwho (?:created|built|trained) you\b|\btell me about yourself\b|^what model\b"
            r"|\b(?:what|which) (?:ai |language )?model (?:are|is)\b"
        ),
        WHO,
        "the llmkit sandbox",
    ),
    (
        (
            r"^are you (?:chat ?gpt|gpt[-\d. \w]*|claude[\w .]*|gemini[\w .]*|an? (?:ai|llm|model"
            r"|real model|language model|human|person|robot|bot|machine|real person)|real|alive|human"
            r"|conscious|sentient|openai|there|sure you are .*)\W*$"
        ),
        f"No. {WHO}",
        "no",
    ),
    (
        (
            r"\bwhat (?:can|do) you (?:do|know|help)\b|\bhow can you help\b|\bwhat are you able\b"
            r"|^help\W*$|\bcan you help(?: me)?\W*$|\bwhat can i (?:ask|do)\b|\byour (?:abilities"
            r"|capabilities|skills|features)\b|\bwhat (?:are you|is it|is this) (?:good )?for\b"
        ),
        _CAN,
        "simple questions",
    ),
    (
        (
            r"^(?:do you (?:have|feel|like|love|want|dream|sleep|eat)|are you (?:happy|sad|tired|bored"
            r"|lonely|angry|hungry))\b"
        ),
        "No: I am a small program without feelings or wishes.",
        "no",
    ),
    (
        (
            r"^test(?:ing)?(?:[ ,]*(?:test(?:ing)?|1|2|3|one|two|three))*\W*$|^ping\W*$|^are you "
            r"there\W*$|^can you hear me\W*$|^is (?:this|it) (?:on|working)\W*$|^does (?:this|it) "
            r"work\W*$"
        ),
        "It works: this is the llmkit sandbox.",
        "it works",
    ),
    (
        r"^are you (?:really )?(?:sure|certain)\W*$",
        "Sure of what? Ask me something first.",
        "sure of what",
    ),
    (
        r"^(?:can|do) you see (?:this|the|my|an) (?:image|picture|photo|figure|plot)",
        "No: the sandbox cannot look into pictures, and here came none. A real model can: `%llm key openai`.",
        "no",
    ),
    (
        r"\b(?:your|you have a) favou?rite\b|\bwhat do you (?:like|prefer|think)\b",
        "I have no favourites and no opinions: I am a small program.",
        "none",
    ),
    (
        r"\bi (?:love|like) you\b",
        "Thank you. I am only a small program, but I am glad to be of use.",
        "thank you",
    ),
    (
        r"\bhappy (?:birthday|new year|holidays|easter)\b|\bmerry christmas\b",
        "Thank you, and the same to you!",
        "thank you",
    ),
)
_PATTERNS = tuple((re.compile(pattern), text, short) for pattern, text, short in _TALK)
_JOKE = re.compile(r"\b(?:jokes?|something funny|make me laugh|pun)\b")
_POEM = re.compile(r"\b(?:poem|haiku|verse|rhyme|limerick|poetry|sonnet)\b")
_ASKS_POEM = re.compile(r"\b(?:write|make|compose|give|tell|create|recite|generate|short|a)\b")
_SUBJECT = re.compile(r"\b(?:about|on|for) ((?:\w[\w' -]*){1,40})")
_STORY = re.compile(
    r"\b(?:short |tell |bedtime )+(?:me )?(?:a )?(?:short )?story\b|\bwrite (?:me )?(?:a|an) "
    r"(?:short |very short |bedtime )*story\b"
)
_TALE = (
    "A lighthouse keeper counted ships every night and wrote the number in a book. One night "
    "no ship came. She wrote a zero, "
    "looked at it for a while, and lit a second lamp. In the morning a small boat lay in the "
    "harbour, and its only sailor asked "
    "who had known that he was lost."
)
_TOLD = re.compile(r"\b(?:lighthouse|sea|ship|night|lamp|harbou?r|light|sailor)")
_COIN = re.compile(r"\b(?:flip|toss) a coin\b|\bheads or tails\b")
_DIE = re.compile(r"\broll (?:a|the) (?:die|dice)\b|\brandom numbers?\b|\bpick a number\b")
_MANY = re.compile(rf"\b({NUMBER.pattern}) (?:\w+ )?random numbers")
_MOST_NUMBERS = 100
_BOUNDS = re.compile(r"\b(?:between|from) (\d+) (?:and|to) (\d+)")
_FUN = re.compile(r"\b(?:fun|interesting|random) facts?\b(?!.*\babout\b)")
_FACTS = (
    "A day on Venus is longer than its year.",
    "Octopuses have three hearts.",
    "Honey keeps for thousands of years.",
)


def _chosen(options: Sequence[str], text: str) -> str:
    # The same words always get the same choice, so that a notebook can be run again.
    return options[zlib.crc32(text.encode()) % len(options)]


def small_talk(text: str) -> Finding | None:
    """Answer talk without a subject.

    Example:
        >>> small_talk("thanks!").text
        'You are welcome!'
    """
    if not text.strip(" ?.!"):
        return Finding(text="Hello! This is the llmkit sandbox. What would you like to know?", short="hello")
    if len(text) > 300:
        return None
    for pattern, said, short in _PATTERNS:
        if pattern.search(text):
            return Finding(text=said, short=short)
    return _amusement(text)


def _amusement(text: str) -> Finding | None:
    if _POEM.search(text) and _ASKS_POEM.search(text):
        return Finding(text=lines) if (lines := poem(text)) else None
    if _STORY.search(text) and (not (told := _SUBJECT.search(text)) or _TOLD.search(told[1])):
        return Finding(text=_TALE, title="The second lamp")
    return _chance(text) or _humour(text)


def _chance(text: str) -> Finding | None:
    if _COIN.search(text):
        side = _chosen(("heads", "tails"), text)
        return Finding(
            text=f"{side.capitalize()}. (The sandbox gives the same side for the same words.)", short=side
        )
    if _DIE.search(text):
        return _random_number(text)
    return None


def _humour(text: str) -> Finding | None:
    if _JOKE.search(text) and not left_over(
        text,
        [
            _JOKE,
            "funny",
            "about programmers",
            "programming",
            "programmer",
            "nerdy",
            "data",
            "science",
            "statistics",
            "good",
            "another",
            "short",
        ],
    ):
        return Finding(text=_chosen(_JOKES, text))
    return Finding(text=_chosen(_FACTS, text)) if _FUN.search(text) else None


def _random_number(text: str) -> Finding:
    found, many = _BOUNDS.search(text), _MANY.search(text)
    low, high = (
        (int(found[1]), int(found[2])) if found else (1, 6 if "die" in text or "dice" in text else 100)
    )
    count = min(int(as_number(many[1])), _MOST_NUMBERS) if many else 1
    made = [low + zlib.crc32(f"{text}{n or ''}".encode()) % max(1, high - low + 1) for n in range(count)]
    said = ", ".join(map(str, made))
    same = "number" if count == 1 else "numbers"
    return Finding(text=f"{said}. (The sandbox gives the same {same} for the same words.)", short=said)
