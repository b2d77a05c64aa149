"""Parsing of answers: JSON, tables, code (pure)."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, Literal

from llmkit.content.fences import Fence, fences, language_name
from llmkit.content.json_values import are_alike, distinct, flat, no_number, places
from llmkit.content.messages import LLMMessage
from llmkit.content.reasoning import spoken
from llmkit.content.schema import Schema, schema_of
from llmkit.content.validation import check, instance, row_of, unusable
from llmkit.core.errors import BadResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.content.json_values import Values
    from llmkit.content.schema import SchemaLike

Format = Literal["md", "text", "json", "df", "code"]
"""The formats of an answer: Markdown, plain text, JSON, a DataFrame, code."""

SHOWN = 20_000
"""Characters of an invalid answer that are sent back to the model."""

_START = re.compile(r"[{\[]")
_CORRECTED = re.compile(
    r"\W*(?:(?:so|sorry|oops|wait|and|now|here(?:['\u2019]s| is| are)?|this is"
    r"|the|an?|my|your|full|complete|whole)\W+)*"
    r"(?:corrected|correction|fixed|revised|rewritten|improved|updated)\b",
    re.IGNORECASE,
)
_BARE_CODE = re.compile(r"[=(:]|^\s*(import|from|def|class|return)\b", re.MULTILINE)

_WORDS = {
    "json": "Answer with JSON and nothing else: no explanation, no code fence.",
    "df": "Answer with one table as CSV in a fenced block that starts with ```csv, a header in its first "
    "line, and nothing else. Numbers are plain: no units, no thousands separators. Dates are ISO 8601.",
    "code": "Answer with one fenced code block and nothing else.",
}


def words(format: Format) -> str:  # noqa: A002 - as the option is called
    """Return the system prompt's instruction for a format without a schema; empty for md and text."""
    return _WORDS.get(format, "")


def wanted(format: Format, schema: SchemaLike = None) -> Schema | None:  # noqa: A002 - as the option is called
    """Return the schema to ask a provider for.

    Example:
        >>> wanted("df", {"type": "object", "properties": {"city": {"type": "string"}}}).json["required"]
        ['rows']
        >>> wanted("json")
        Schema(json=None, name='answer')
    """
    if format == "json":
        return schema_of("json" if schema is None else schema)
    found = schema_of(schema) if format == "df" else None
    if found is None or found.json is None:
        return None
    row, definitions = row_of(found.json)
    # Providers require an object at the top of a schema.
    rows: dict[str, Any] = {"type": "array", "items": row}
    whole = {"type": "object", "properties": {"rows": rows}, "required": ["rows"], **definitions}
    return Schema(whole, found.name)


def parse(
    text: str,
    format: Format = "text",  # noqa: A002 - as the option is called
    schema: SchemaLike = None,
    *,
    language: str | None = None,
) -> Any:
    r"""Convert an answer to the requested format.

    Words around the answer and a fence are ignored; the JSON inside must be strict.

    Example:
        >>> parse('Here it is:\n```json\n{"a": [1, 2]}\n```', "json")
        {'a': [1, 2]}
        >>> parse('{"a": "x"}', "json", {"properties": {"a": {"type": "integer"}}})
        Traceback (most recent call last):
        ...
        llmkit.core.errors.BadResponseError: The answer does not match the schema: $.a: 'x' is not of type
        'integer'. Try again, or read the text in .partial.
    """
    if format in {"md", "text"}:
        return text
    said = spoken(text)  # text in think tags is not part of the answer
    try:
        return _parsed(said, format, schema, language)
    except BadResponseError as error:
        # The answer was paid for, so the user can still read it.
        error.partial = text
        raise


def _parsed(text: str, form: Format, schema: SchemaLike, language: str | None) -> Any:
    if form == "json":
        wanted = schema_of(schema)
        value = _json(text, wanted, fences(text))
        if wanted is not None:
            instance(value, wanted, text)  # a class may refuse what its JSON schema allows
        return value
    if form == "df":
        from llmkit.content.tables import frame

        return frame(text, schema_of(schema))
    return _code(text, language)


def value_of(text: str, schema: SchemaLike = None) -> Any:
    """Read an answer in JSON as an instance of the class that was asked for; as JSON without a class.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class River:
        ...     name: str
        >>> value_of('Here: {"name": "Rhine"}', River)
        River(name='Rhine')
    """
    wanted = schema_of(schema)
    value = parse(text, "json", wanted)
    return value if wanted is None else instance(value, wanted, text)


def repair(text: str, error: Exception) -> list[LLMMessage]:
    """Return the messages that let a model correct its answer: the answer, and the problem with it.

    An answer without text cannot be corrected: there are no messages then.

    Example:
        >>> [message.role for message in repair("{", BadResponseError("The answer is not JSON."))]
        ['assistant', 'user']
    """
    said = spoken(text)
    if not said.strip():
        return []
    return [LLMMessage("assistant", said), LLMMessage("user", repair_message(error))]


def repair_message(error: Exception, text: str = "") -> str:
    """Return the prompt for a model whose answer was invalid.

    Example:
        >>> print(repair_message(BadResponseError("The answer is not JSON: line 1, column 1.")))
        Your last answer was invalid. The answer is not JSON: line 1, column 1.
        Answer again with the complete, corrected result and nothing else.
    """
    reason = error.message if isinstance(error, BadResponseError) else str(error)
    shown = text if len(text) <= SHOWN else text[:SHOWN] + "\n[…]"
    again = "Answer again with the complete, corrected result and nothing else."
    whole = f"Your last answer was invalid. {reason}\n{again}"
    return f"{whole} Your last answer was:\n\n{shown}" if text else whole


def code_in(text: str, language: str | None = None) -> str:
    r"""Return the code blocks in one language, joined.

    A block that the text announces as a correction ("Corrected:", "Here is the fixed version:") replaces the
    blocks before it.

    Example:
        >>> code_in("```bash\npip install x\n```\n```python\nimport x\n```")
        'import x'
    """
    blocks = fences(spoken(text))
    named = [block.language for block in blocks if block.language]
    if language is not None:
        chosen = language_name(language)
    else:
        chosen = "python" if "python" in named else next(iter(named), "")
    same = [block for block in blocks if block.language == chosen]
    corrected = [place for place, block in enumerate(same) if _is_correction(block)]
    return "\n".join(block.code for block in same[max(corrected, default=0) :])


def _is_correction(block: Fence) -> bool:
    """Whether the sentence before a block announces it as the corrected version of an earlier one."""
    # The sentence must begin so: "Now call the fixed function:" introduces code that needs the earlier block.
    return _CORRECTED.match(re.split(r"(?<=[.!?])\s|\n", block.before.strip())[-1]) is not None


def _json(text: str, schema: Schema | None, blocks: list[Fence]) -> Any:
    found = list(places(text, blocks))
    if not any(one.values for one in found):
        raise unusable(f"The answer is not JSON: {_why(text)}.", text)
    if schema is None:
        return _only(found[0], text)
    document = {"type": "object"} if schema.json is None else schema.json
    failures: list[BadResponseError] = []
    for one in found:
        fits = _fitting(one, document, text, failures)
        if len(fits) > 1:
            raise unusable(f"The answer has {len(fits)} values that match, but only one is expected.", text)
        if fits:
            return fits[0]
    raise failures[0]


def _fitting(
    found: Values, document: Mapping[str, Any], text: str, failures: list[BadResponseError]
) -> list[Any]:
    """Return the values at one place that fit; of corrected ones the last, or all as one list."""
    fits = [value for value in distinct(found.values) if _fits(value, document, text, failures)]
    if len(fits) == 1 or (fits and found.corrected):
        return fits[-1:]
    together = joined(found.values)
    if len(found.values) > 1 and not found.broken and _fits(together, document, text, failures):
        return [together]
    return fits


def _only(found: Values, text: str) -> Any:
    """Return the intended value, or all of them if they are records; ambiguity is an error."""
    values = distinct(found.values)
    if found.corrected:
        return values[-1]
    if found.broken:
        raise unusable(f"The answer has incomplete JSON: {_why(text)}.", text)
    if found.listed and len(found.values) > 1:
        return joined(found.values)
    if len(values) == 1:
        return values[0]
    if are_alike(values):
        return joined(values)
    raise unusable(f"The answer has {len(values)} JSON values; it is unclear which one is meant.", text)


def joined(values: Sequence[Any]) -> list[Any]:
    """Return several values as one list; lists are concatenated, records appended."""
    if all(isinstance(one, list) for one in values) or are_alike(values):
        return flat(values)
    return list(values)


def _fits(value: Any, document: Mapping[str, Any], text: str, failures: list[BadResponseError]) -> bool:
    try:
        check(value, document, text)
    except BadResponseError as error:
        failures.append(error)
        return False
    return True


def _why(text: str) -> str:
    """Say where the most likely JSON in a text is invalid."""
    blocks = fences(text)
    source = blocks[0].code if blocks else text
    start = _START.search(source)
    if start is None:
        return "it contains no object and no list"
    try:
        json.JSONDecoder(parse_constant=no_number).raw_decode(source, start.start())
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:
        return str(error)
    return "it is surrounded by other text"


def _code(text: str, language: str | None) -> str:
    found = code_in(text, language)
    if found:
        return found
    if not fences(text) and _is_python(text):
        return text.strip("\n")
    what = f"{language} code" if language else "code"
    raise unusable(f"The answer has no code block with {what}.", text)


def _is_python(text: str) -> bool:
    """Whether a text without code fences is a program rather than prose."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _BARE_CODE.search(text) is not None
