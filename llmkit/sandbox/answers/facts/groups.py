"""Plain lists, such as fruits and seasons: lists of them, counts, and whether something is one."""

from __future__ import annotations

import re
from functools import cache

from llmkit.sandbox.answers.facts.atlas import read
from llmkit.sandbox.answers.facts.lists import how_many
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import NUMBER
from llmkit.sandbox.answers.wording import capitalised, joined, left_over, plain

_SHOWN = 5
_COUNTS = re.compile(r"\bhow many\b|\bcount\b|\bnumber of\b")
_FILLERS = re.compile(
    r"\b(?:random|famous|well-known|common|popular|different|good|nice|some|few|generate"
    r"|create|make|write|suggest|recommend"
    r"|enumerate|mention|pick|return|ideas?|order|with|classic|great|choose|think|list"
    r"|colou?rs?(?= of the rainbow))\b"
)
_IS_ONE = re.compile(r"^(?:is|are) (?:an? |the )?(.+?) (?:an? )?$")


@cache
def _groups() -> dict[str, dict[str, str]]:
    found = {}
    for row in read("groups"):
        for name in (row["name"], row["plural"], *row["aliases"].split(";")):
            if name:
                found[plain(name)] = row
    return found


@cache
def _names() -> re.Pattern[str]:
    names = sorted(_groups(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")


def about_group(text: str) -> Finding | None:
    """Answer a plain question about a plain list.

    Example:
        >>> about_group("name two seasons").text
        'Spring and summer.'
    """
    found = _names().search(text)
    if found is None:
        return None
    group = _groups()[found[0]]
    members = group["members"].split(", ")
    if verdict := _membership(text, found, group, members):
        return verdict
    if left_over(text, [found[0], NUMBER, _COUNTS, _FILLERS]):
        return None
    if _COUNTS.search(text):
        return _counted(group, members)
    single = found[0] == plain(group["name"]) and not NUMBER.search(text)
    return _listed(
        group,
        members,
        1 if single else how_many(text, len(members) if group["complete"] == "yes" else _SHOWN),
    )


def _membership(text: str, found: re.Match[str], group: dict[str, str], members: list[str]) -> Finding | None:
    said = _IS_ONE.search(text[: found.start()])
    if said is None or text[found.end() :].strip(" ?.!"):
        return None
    yes = plain(said[1]) in map(plain, members)
    if not yes and group["complete"] != "yes":
        return None
    article = "an" if group["name"][0] in "aeiou" else "a"
    verb = "is" if yes else "is not"
    return Finding(
        text=f"{'Yes' if yes else 'No'}, {said[1]} {verb} {article} {group['name']}.",
        short="yes" if yes else "no",
    )


def _counted(group: dict[str, str], members: list[str]) -> Finding | None:
    if group["complete"] != "yes":
        return None
    return Finding(
        text=f"There are {len(members)} {group['plural']}: {joined(members)}.", short=str(len(members))
    )


def _listed(group: dict[str, str], members: list[str], many: int) -> Finding:
    chosen = members[:many]
    return Finding(
        text=f"{capitalised(joined(chosen))}.",
        short=joined(chosen),
        title=group["plural"],
        head=(group["name"],),
        rows=tuple((name,) for name in chosen),
    )
