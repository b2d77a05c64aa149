"""JSON answers: from a schema, from keys that the prompt names, or from what is known."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.fiction import invented
from llmkit.sandbox.answers.fields import (
    NOT_STATED,
    fact_value,
    field_list,
    field_number,
    field_text,
    field_truth,
    reason,
)
from llmkit.sandbox.answers.schemas import Source, by_schema, choose
from llmkit.sandbox.answers.texts.listing import short_items
from llmkit.sandbox.answers.texts.material import task_of

if TYPE_CHECKING:
    from llmkit.sandbox.answers.finding import Finding
    from llmkit.sandbox.conversation import Ask

_BRACES = re.compile(r"\{[^{}]*\}", re.DOTALL)
_KEY = re.compile(r"""['"]([A-Za-z_][\w-]*)['"]\s*:\s*("[^"]*"|'[^']*'|\[[^\]]*\]|[^,}\n]*)""")
_KEY_LIST = re.compile(r"\b(?:keys?|fields?|properties|attributes)\b[^.\n{]*", re.IGNORECASE)
_QUOTED = re.compile(r"""['"`]([A-Za-z_][\w-]*)['"`]""")
_BARE_KEYS = re.compile(
    (
        r"\b(?:keys?|fields?|properties|attributes)\b(?: are| named| called)?[: ]+((?:\w+, "
        r"?)*\w+(?:,? and \w+)?)"
    ),
    re.IGNORECASE,
)
_WITH = re.compile(
    (
        r"\bjson\b(?: object| array| list)?(?: (?:with|containing|of|that (?:has|contains)"
        r"|including|for))(?: the| a| its| each)?(?: keys?| fields?)? ((?:[\w ]+, ?)*[\w ]+?(?:,? "
        r"and [\w ]+?)?)(?= (?:of|for|about|from|in)\b|[.:?!]|$)"
    ),
    re.IGNORECASE,
)
_EXTRACTED = re.compile(
    r"\bextract (?:the )?((?:\w+, ?)*\w+,? and \w+) (?:as|in|into|to) (?:a )?json\b", re.IGNORECASE
)
_PAIRS = re.compile(r"(?<!\w)([A-Za-z_]\w*)\s*[=:]\s*(\"[^\"]*\"|[^,;\n=:]+?)(?=\s*(?:,|;|\n|$))")
_SAID = re.compile(
    r"\b(?:json|object)\b(?: object)?(?: (?:for|with|of|containing|from|about|that has))?:?\s+(.+)",
    re.IGNORECASE | re.DOTALL,
)
_SAID_PAIR = re.compile(
    r"(?:(?:the|an?|his|her|its|their) )?([a-z]+(?:[ _](?!of\b)[a-z]+)??) (?:is |= ?|: ?)?"
    r"(\"[^\"]*\"|'[^']*'|[A-Z][\w@.'-]*(?: [A-Z][\w.'-]*)*|-?[$€£]?\d[\d,.]*%?|\S+@\S+|true|false|null)"
)
_USUAL_KEYS = ("name", "age", "city", "country", "email", "phone", "job", "company", "date", "price")
_ARRAY = re.compile(
    r"\bjson\s+(?:array|list)\b|\b(?:array|list) of\b[^.\n]*\bjson\b|\bas (?:a |an )?json (?:array|list)\b",
    re.IGNORECASE,
)
_BOUNDS = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:-|\u2013|to|\.\.)\s*(-?\d+(?:\.\d+)?)")
_TRUTHS = ({"true", "false"}, {"bool"}, {"boolean"})
_EITHER = re.compile(r"\s*[/|]\s*|\s+or\s+")
_SCHEMA = re.compile(r"(\bjson schema\b[^{]{0,40})\{", re.IGNORECASE)
_FEWEST_PAIRS = 2
_SHARES = frozenset({"confidence", "score", "probability"})
_NOTE = "The llmkit sandbox cannot answer that, and no model was asked."


def _by_hint(key: str, hint: str, subject: str) -> Any:
    """Return a value by what a prompt says about a key: `'yes/no'`, `0.0-1.0`, `int`."""
    bare = hint.strip("'\"` ")
    if bounds := _BOUNDS.search(bare):
        low, high = map(float, bounds.groups())
        whole = "." not in bounds[1] + bounds[2]
        found = field_number(key, subject, low, high, whole=whole)
        return found if found is not None else low
    options = [option.strip("'\"` ") for option in _EITHER.split(bare)]
    if set(map(str.lower, options)) in _TRUTHS:
        return field_truth(key, subject)
    if len(options) > 1 and all(options):
        return choose(options, subject)
    return _by_kind(key, bare.lower(), subject)


def _by_kind(key: str, kind: str, subject: str) -> Any:
    """Return a value by the names of a key and of a type."""
    name = key.lower()
    if kind.startswith(("[", "list", "array")):
        return field_list(name, subject)
    if not kind and name.endswith("s") and (found := field_list(name, subject)):
        return found
    if kind.startswith(("int", "count", "float", "number")) or name in _SHARES:
        return field_number(name, subject, None, None, whole=kind.startswith("int")) or 0
    said = field_text(name, subject)
    if said is None:
        return reason(subject) if re.search("explanation|reason", kind) else NOT_STATED
    return _typed(said)


def _typed(text: str) -> Any:
    """Return a text as the number or truth that it is.

    Example:
        >>> _typed("34"), _typed("1,250.5"), _typed("Ann")
        (34, 1250.5, 'Ann')
    """
    bare = text.strip().strip('"')
    if re.fullmatch(r"-?\d{1,3}(?:,\d{3})+|-?\d+", bare):
        return int(bare.replace(",", ""))
    if re.fullmatch(r"-?[\d,]+\.\d+", bare):
        return float(bare.replace(",", ""))
    return {"true": True, "false": False, "null": None}.get(bare.lower(), bare)


def _named_keys(prompt: str) -> dict[str, str]:
    """Find the keys a prompt names, with what it says of each."""
    for braces in _BRACES.findall(prompt):
        if found := _KEY.findall(braces):
            return dict(found)
    for sentence in _KEY_LIST.findall(prompt):
        if names := _QUOTED.findall(sentence):
            return dict.fromkeys(names, "")
    for pattern in (_BARE_KEYS, _WITH, _EXTRACTED):
        if (listed := pattern.search(prompt)) and (names := _split_keys(listed[1])):
            return dict.fromkeys(names, "")
    return {}


def _split_keys(text: str) -> list[str]:
    parts = re.split(r",\s*(?:and )?|\s+and\s+", text.strip())
    names = [
        "_".join(re.sub(r"^(?:the|a|an|its|their) ", "", part.strip().lower()).split()) for part in parts
    ]
    return names if names and all(name[:1].isalpha() and len(name) < 25 for name in names) else []


def spoken_schema(prompt: str) -> dict[str, Any] | None:
    """Find a JSON schema that a prompt spells out.

    Example:
        >>> spoken_schema('It must match this JSON schema: {"type": "string"}')
        {'type': 'string'}
    """
    found = _SCHEMA.search(prompt)
    if found is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(prompt, found.end(1))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _with_units_off(cell: str) -> Any:
    """Return a cell such as `6,650 km` as the number that it is."""
    if scaled := re.fullmatch(r"(-?[\d,]+(?:\.\d+)?) (million|thousand)(?: \S+)?", cell):
        return round(float(scaled[1].replace(",", "")) * (1_000_000 if scaled[2] == "million" else 1_000))
    found = re.fullmatch(r"(-?[\d,]+(?:\.\d+)?(?:e\d+)?)(?: \S+){0,3}", cell)
    return cell if found is None else _typed(found[1]) if "e" not in found[1] else float(found[1])


def _known(finding: Finding | None, *, array: bool) -> Any:
    """Return what is known as JSON."""
    if finding is None:
        return [] if array else {"answer": None, "note": _NOTE}
    if finding.rows:
        return _rows(finding, array=array)
    value = _typed(finding.short) if finding.short else finding.text
    return [value] if array else {"answer": value}


def _rows(finding: Finding, *, array: bool) -> Any:
    if len(finding.head) == 1:
        return [_with_units_off(row[0]) for row in finding.rows]
    objects = [dict(zip(finding.head, map(_with_units_off, row), strict=False)) for row in finding.rows]
    return objects[0] if len(objects) == 1 and not array else objects


def _pairs(text: str) -> dict[str, Any]:
    """Return what a text says in pairs: `name=Ann, age=34`."""
    found = {key: _typed(value.strip()) for key, value in _PAIRS.findall(text[:2_000])}
    return found if len(found) >= _FEWEST_PAIRS else {}


def _said_pairs(prompt: str, fewest: int) -> dict[str, Any]:
    """Return pairs in words, if they are not too few: `JSON for name Ada, age 36`."""
    said = _SAID.search(prompt[:2_000])
    if said is None:
        return {}
    parts = re.split(r",\s*(?:and )?|;\s*|\s+and\s+|\n", said[1].strip().rstrip(".!?"))
    found = [_SAID_PAIR.fullmatch(part.strip()) for part in parts]
    pairs = {one[1].replace(" ", "_"): _typed(one[2].strip("'")) for one in found if one}
    return pairs if all(found) and len(pairs) >= fewest else {}


def _usual_fields(text: str) -> dict[str, Any]:
    """Return what a text says of the usual fields, if it says several: `Ada is 36 and lives in Rome`."""
    found = {key: _typed(value) for key in _USUAL_KEYS if (value := field_text(key, text))}
    return found if len(found) >= _FEWEST_PAIRS else {}


def write_json(ask: Ask, finding: Finding | None = None) -> str:
    r"""Write an answer in JSON.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> turn = Turn("user", "As JSON {'sentiment': 'positive/negative'}: I love it.")
        >>> write_json(Ask(model="sandbox", turns=(turn,)))
        '{\n  "sentiment": "positive"\n}'
    """
    prompt = "\n".join(turn.text for turn in ask.turns if turn.role != "assistant")
    subject = _without_keys(_BRACES.sub(" ", ask.last_user_text))
    if schema := ask.schema or spoken_schema(prompt):
        value = by_schema(schema, "answer", Source(schema, subject, prompt, finding))
    else:
        value = _without_schema(ask.last_user_text, prompt, subject, finding)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _without_schema(text: str, prompt: str, subject: str, finding: Finding | None) -> Any:
    """Return what the prompt says in pairs, under keys or in a list; else what is known."""
    array = bool(_ARRAY.search(prompt))
    keys = _named_keys(prompt)
    if (person := invented(text, list(keys))) is not None:
        return [person] if array else person
    if said := _said_pairs(text, 1 if finding is None else _FEWEST_PAIRS):
        return said
    if _EXTRACTED.search(text) and _is_of_one(task_of(text).text):
        return _with_keys(keys, task_of(text).text, None, array=array)
    if keys and not (array and len(keys) == 1 and _has_rows(finding)):
        return _with_keys(keys, subject, finding, array=array)
    task = task_of(text).text
    return _pairs(task or text) or (None if finding else _given(task)) or _known(finding, array=array)


def _is_of_one(text: str) -> bool:
    """Whether a text gives the fields of one thing only, as far as its numbers tell."""
    return bool(text) and len(re.findall(r"\d+", text)) == 1


def _has_rows(finding: Finding | None) -> bool:
    return finding is not None and bool(finding.rows)


def _given(text: str) -> Any:
    """Return the usual fields or the items that a text gives."""
    return _usual_fields(text) or list(short_items(text))


def _without_keys(prompt: str) -> str:
    """Return a prompt without the names of keys; the text may stand right behind them."""
    found = _KEY_LIST.search(prompt)
    if (
        found
        and not re.search(r"\w", prompt[found.end() :])
        and (text := re.search(r": ([A-Z].*)", found[0]))
    ):
        return f"{prompt[: found.start()]} {text[1]}"
    return _KEY_LIST.sub(" ", prompt)


def _with_keys(keys: dict[str, str], subject: str, finding: Finding | None, *, array: bool) -> Any:
    """Return an object with some keys, or one for each row of what is known."""
    if finding and len(finding.rows) > 1:
        return [
            {
                key: _with_units_off(row[_place(key, finding.head, number)])
                for number, key in enumerate(keys)
                if _place(key, finding.head, number) < len(row)
            }
            for row in finding.rows
        ]
    found = {key: _value(key, hint, subject, finding) for key, hint in keys.items()}
    return [found] if array else found


def _place(key: str, head: tuple[str, ...], number: int) -> int:
    wanted = key.lower().split("_")[0]
    return next(
        (place for place, name in enumerate(head) if name.lower().split("_")[0] == wanted),
        0 if number == 0 or wanted == "name" else len(head),
    )


def _value(key: str, hint: str, subject: str, finding: Finding | None) -> Any:
    if not hint and (fact := fact_value(key, subject)) is not None:
        return _typed(fact)
    if finding and key.lower() in {"answer", "result", "response"}:
        return _typed(finding.short or finding.text)
    return _by_hint(key, hint, subject)
