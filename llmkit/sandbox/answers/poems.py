"""Short poems and haiku, each about something; about anything else there is none."""

from __future__ import annotations

import re

_ABOUT = re.compile(r"\b(?:about|on|for|of) ((?:\w[\w' -]*){1,40})")
_SEA = "sea|oceans?|waves?|beach"
_CODE = "code|coding|programs?|programming|python|bugs?|computers?|robots?|machines?"
_SPRING = "spring|nature|flowers?|birds?|gardens?"
_POEMS = {
    _SEA: (
        "The sea comes in, the sea goes out,\nit never asks what it's about;\n"
        "it brings a shell, it takes a stone,\nand hums a tune that is its own."
    ),
    _CODE: (
        "A bracket open, one not closed,\nan hour gone before I dozed;\n"
        "at dawn I saw it, plain as day:\nthe colon I had typed away."
    ),
    _SPRING: (
        "The snow has gone without a word,\nand in the hedge there sings a bird;\n"
        "the first green leaf, the softer air:\nno one has asked, yet all is there."
    ),
    "cats?|kittens?|pets?": (
        "A cat sat down upon my keys\nand typed a line of j's and e's;\n"
        "I read it twice, it made no sense,\nand she looked proud at my expense."
    ),
    "": (
        "A small machine on quiet ground\nturns little words around, around;\n"
        "no ocean, mind or muse is mine,\nbut four short lines still fall in line."
    ),
}
_HAIKU = {
    _SEA: "The tide draws a line,\nthen thinks of a better one\nand wipes the sand clean.",
    _CODE: "One colon missing,\nall night long I look for it;\ndawn shows it to me.",
    _SPRING: "A bud on a branch,\nthe first bee tries every door;\nsomebody opens.",
    "rain|storms?|clouds?": "Rain taps on the roof,\nthe street lamps float in puddles,\na bus hums past,"
    " wet.",
    "winter|snow|christmas": "Snow without a sound\nlays its white sheet on the town;\none crow writes a"
    " line.",
    "summer|sun|heat": "Noon on the warm wall,\na lizard owns the whole world\nuntil someone coughs.",
    "moon|nights?|stars?|cats?": "Moon over the roofs,\na cat counts all the chimneys\nand starts once"
    " again.",
    "coffee|tea|mornings?": "Steam above the cup,\nthe day still has no corners;\none sip, and it does.",
    "data|numbers|statistics|science|ai": "Ten thousand numbers\nstand in line and say nothing\nuntil you"
    " ask one.",
    "autumn|fall|leaves|trees?|seasons?|": (
        "Leaves let go at last,\nred and gold on quiet paths:\nthe year breathes out slow."
    ),
}


def poem(text: str) -> str | None:
    """Return a poem about what a plain question names; `None` if there is none about that.

    Example:
        >>> print(poem("write a haiku about coffee"))
        Steam above the cup,
        the day still has no corners;
        one sip, and it does.
    """
    poems = _HAIKU if "haiku" in text else _POEMS
    subject = _ABOUT.search(text)
    said = subject[1].strip() if subject else ""
    return next((lines for topic, lines in poems.items() if _is_about(topic, said)), None)


def _is_about(topic: str, said: str) -> bool:
    if not said:
        return topic.endswith("|") or not topic
    return bool(topic) and re.search(rf"\b(?:{topic.rstrip('|')})\b", said) is not None
