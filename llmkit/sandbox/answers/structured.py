"""JSON answers: from a schema, from keys that the prompt names, or a plain object."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.labels import applies, by_words, described, level, way_out

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOOD = _words(
    "amazing awesome beautiful best brilliant comfortable delicious delighted easy excellent fantastic fast "
    "favorite favourite fine friendly fun glad good great happy helpful impressed incredible like love loved "
    "lovely nice perfect pleased recommend reliable satisfied smooth superb thank thanks wonderful"
)
BAD = _words(
    "angry annoying awful bad boring broke broken crash crashed crashes cancel defective difficult dirty "
    "disappointed disappointing expensive fail failed fails frustrated frustrating hate hated horrible late "
    "poor problem rude slow sad terrible ugly unhappy useless waste worse worst wrong"
)
_NEGATIONS = _words("not no never hardly isn't wasn't don't doesn't didn't can't won't")

_BRACES = re.compile(r"\{[^{}]*\}", re.DOTALL)
_KEY = re.compile(r"""['"]([A-Za-z_][\w-]*)['"]\s*:\s*("[^"]*"|'[^']*'|\[[^\]]*\]|[^,}\n]*)""")
_KEY_LIST = re.compile(r"\b(?:keys?|fields?)\b[^.\n{]*", re.IGNORECASE)
_QUOTED = re.compile(r"""['"`]([A-Za-z_][\w-]*)['"`]""")
_ARRAY = re.compile(r"\bjson\s+(?:array|list)\b|\b(?:array|list) of\b[^.\n]*\bjson\b", re.IGNORECASE)
_BOUNDS = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:-|\u2013|to|\.\.)\s*(-?\d+(?:\.\d+)?)")
_TRUTHS = ({"true", "false"}, {"bool"}, {"boolean"})
_EITHER = re.compile(r"\s*[/|]\s*|\s+or\s+")
_SCHEMA = re.compile(r"(\bjson schema\b[^{]{0,40})\{", re.IGNORECASE)
_TEXT_KEYS = _words("reason explanation summary rationale comment description answer text message")
# A recursive schema must not hang the server.
_LONGEST_CHAIN = 20


def sentiment(text: str) -> str:
    """Judge a text by a small list of words.

    Example:
        >>> sentiment("I love it!"), sentiment("Not good."), sentiment("It is blue.")
        ('positive', 'negative', 'neutral')
    """
    score, words = 0, re.findall(r"[\w']+", text.lower())
    for before, word in zip(["", *words], words, strict=False):
        value = (word in GOOD) - (word in BAD)
        score += -value if before in _NEGATIONS else value
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"


def choose(options: list[Any], subject: str) -> Any:
    """Choose the option that the subject's sentiment names, else one it mentions, else the first."""
    folded = {str(option).lower(): option for option in options}
    if (mood := sentiment(subject)) in folded:
        return folded[mood]
    mentioned = (
        option
        for name, option in folded.items()
        if re.search(rf"\b{re.escape(name)}\b", subject, re.IGNORECASE)
    )
    return next(mentioned, options[0])


def _number(low: float, high: float) -> float:
    return round(low + 0.9 * (high - low), 4)


def _by_hint(key: str, hint: str, subject: str) -> Any:
    """Invent a value from what a prompt says about a key: `'yes/no'`, `0.0-1.0`, `int`."""
    bare = hint.strip("'\"` ")
    if bounds := _BOUNDS.search(bare):
        number = _number(*map(float, bounds.groups()))
        return number if "." in bounds[1] + bounds[2] else int(number)
    options = [option.strip("'\"` ") for option in _EITHER.split(bare)]
    if set(map(str.lower, options)) in _TRUTHS:
        return sentiment(subject) != "negative"
    if len(options) > 1 and all(options):
        return choose(options, subject)
    return _by_name(key, bare.lower(), subject)


def _by_name(key: str, kind: str, subject: str) -> Any:
    """Invent a value from a key's name and a type's name."""
    name = key.lower()
    if kind.startswith(("[", "list", "array")) or (not kind and name.endswith("s") and name != "status"):
        return ["first", "second", "third"]
    if kind.startswith(("int", "count")):
        return 3
    if kind.startswith(("float", "number")) or name in {"confidence", "score", "probability"}:
        return 0.9
    if name in {"sentiment", "label", "mood", "polarity"}:
        return sentiment(subject)
    return _sentence(name, subject)


def _sentence(name: str, subject: str) -> str:
    if name in _TEXT_KEYS:
        return f"The words of the text speak for {sentiment(subject)}."
    return f"sample {name.replace('_', ' ')}"


def by_schema(schema: dict[str, Any], root: dict[str, Any], key: str, subject: str, prompt: str = "") -> Any:
    """Invent a value that a JSON schema, or Google's dialect of it, allows."""
    schema = plain_schema(schema, root)
    if options := schema.get("enum"):
        return _option(options, key, subject, prompt)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: by_schema(part, root, name, subject, prompt) for name, part in properties.items()}
    if kind == "array":
        return _items(schema, root, key, subject, prompt)
    if kind == "boolean" and (asked := described(key, prompt)):
        return applies(asked.question, subject)
    return _scalar(kind, schema, key, subject)


def _option(options: list[Any], key: str, subject: str, prompt: str) -> Any:
    """Choose one of some values, by what the prompt says of them."""
    asked = described(key, prompt)
    if asked is None or not asked.labels:
        return choose(options, subject)
    if asked.is_scale:
        return level(options, subject)
    return next(iter(by_words(options, subject, asked.labels)), way_out(options))


def _items(schema: dict[str, Any], root: dict[str, Any], key: str, subject: str, prompt: str) -> list[Any]:
    """Invent the items of a list: those labels that fit, or twice the same."""
    item = plain_schema(schema.get("items", {}), root)
    asked = described(key, prompt)
    if (options := item.get("enum")) and asked is not None and asked.labels:
        return by_words(options, subject, asked.labels)
    return [by_schema(item, root, key, subject, prompt)] * max(1, schema.get("minItems", 2))


def plain_schema(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow references, take the first variant, and make a constant the only choice."""
    for _ in range(_LONGEST_CHAIN):
        variants = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if reference := schema.get("$ref"):
            schema = _resolve(reference, root)
        elif variants:
            schema = variants[0]
        else:
            break
    return {**schema, "enum": [schema["const"]]} if "const" in schema else schema


def _scalar(kind: str, schema: dict[str, Any], key: str, subject: str) -> Any:
    low = schema.get("minimum", 0)
    if kind == "integer":
        return int(_number(low, schema.get("maximum", low + 10)))
    if kind == "number":
        return _number(low, schema.get("maximum", low + 1))
    if kind == "boolean":
        return sentiment(subject) != "negative"
    return None if kind == "null" else str(_by_name(key, "string", subject))


def _resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    place: Any = root
    for step in reference.removeprefix("#/").split("/"):
        place = place[step] if isinstance(place, dict) and step in place else {}
    return place if isinstance(place, dict) else {}


def _named_keys(prompt: str) -> dict[str, str]:
    """Find the keys a prompt names, with what it says of each."""
    for braces in _BRACES.findall(prompt):
        if found := _KEY.findall(braces):
            return dict(found)
    for sentence in _KEY_LIST.findall(prompt):
        if names := _QUOTED.findall(sentence):
            return dict.fromkeys(names, "")
    return {}


def _spoken_schema(prompt: str) -> dict[str, Any] | None:
    """Find a JSON schema that a prompt spells out."""
    found = _SCHEMA.search(prompt)
    if found is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(prompt, found.end(1))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def write_json(ask: Ask) -> str:
    r"""Write an answer in JSON.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> turn = Turn("user", "As JSON {'sentiment': 'positive/negative'}: I love it.")
        >>> write_json(Ask(model="sandbox", turns=(turn,)))
        '{\n  "sentiment": "positive"\n}'
    """
    prompt = "\n".join(turn.text for turn in ask.turns if turn.role != "assistant")
    subject = _KEY_LIST.sub(" ", _BRACES.sub(" ", ask.last_user_text))
    value: Any
    if schema := ask.schema or _spoken_schema(prompt):
        value = by_schema(schema, schema, "answer", subject, prompt)
    elif keys := _named_keys(prompt):
        value = {key: _by_hint(key, hint, subject) for key, hint in keys.items()}
    elif _ARRAY.search(prompt):
        value = ["first", "second", "third"]
    else:
        value = {"answer": " ".join(subject.split())[:80], "simulated": True, "items": ["first", "second"]}
    return json.dumps(value, indent=2, ensure_ascii=False)
