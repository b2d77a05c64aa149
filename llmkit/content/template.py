r"""`{{name}}` in a prompt → the value of the variable.

Only lookups, in one pass, without calls; formats work as in f-strings: `{{x:.2f}}`, `{{name!r}}`.
Single braces, `$`, LaTeX, JSON and code are left unchanged.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.content.tokens import estimate
from llmkit.core.errors import InvalidRequestError
from llmkit.core.redaction import redact
from llmkit.core.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

MAX_ROWS = 200
"""Maximum rows of a pandas object in a prompt; of a longer one, the first and last."""

MANY_TOKENS = 1_000
"""Tables with more estimated tokens get a note for the user."""

LARGE = 1_000_000
"""Values with more UTF-8 bytes get a note for the user."""

_SLOT = re.compile(r"(\\?)\{\{([^{}]{1,300})\}\}")
_LITERAL = r"""-?\d{1,18}|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_STEP = re.compile(rf"\s*(?:\.\s*([^\W\d_]\w*)|\[\s*({_LITERAL})\s*\])")
_NAME = re.compile(r"\s*([^\W\d]\w*)")
_GOES_ON = re.compile(r"\s*[.\[(]")
_NUMBER_FORMAT = r"(?:\S?[<>=^])?[+-]?z?#?0?\d{0,3}[,_]?(?:\.\d{1,3})?[bcdeEfFgGnosxX%]?"
_DATE_FORMAT = r"[-/:., T]?(?:%[A-Za-z][-/:., T]{0,2}){1,10}"
_FORMAT = re.compile(rf"(?:!(?P<conversion>[rs]))?(?::(?P<spec>{_NUMBER_FORMAT}|{_DATE_FORMAT}))?\s*")
_WANTS_FORMAT = re.compile(r"!\w|:\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolated:
    """A prompt with inserted values.

    Attributes:
        text: The prompt.
        redacted: Lookups whose values contained something like a key, e.g. `settings.token`; it was left out.
        notes: Messages for the user about values that were shortened or are large.
    """

    text: str
    redacted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def interpolate(text: str, lookup: Mapping[str, Any]) -> Interpolated:
    r"""Insert the values of variables into a prompt.

    Example:
        >>> interpolate("Sum of {{n[1]}}, {{n[0]:.2f}} and {x}?", {"n": [1, 2]}).text
        'Sum of 2, 1.00 and {x}?'
    """
    redacted: dict[str, None] = {}
    notes: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        found = None if match[1] else _lookup(match[2], lookup)
        if found is None:
            return _unescaped(match)
        value = found.value(lookup)
        text = _text(value)
        notes.update(dict.fromkeys(_notes(found.path, value, text)))
        safe = redact(text)
        if safe != text:
            redacted[found.path] = None
        return safe

    filled = _SLOT.sub(fill, text)
    if redacted:
        notes[f"Left out of the prompt because it looks like a key: {', '.join(redacted)}."] = None
    return Interpolated(text=filled, redacted=tuple(redacted), notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What stands between `{{` and `}}`.

    Attributes:
        slot: The text between the braces.
        path: The lookup without its format.
        name: Name of the variable.
        steps: Its attributes and items.
        conversion: `r` or `s` after an exclamation mark.
        spec: The format after a colon.
    """

    slot: str
    path: str
    name: str
    steps: list[re.Match[str]]
    conversion: str | None
    spec: str | None

    def value(self, lookup: Mapping[str, Any]) -> Any:
        """Return the value, formatted if it has a format."""
        return self.formatted(self.found(lookup))

    def found(self, lookup: Mapping[str, Any]) -> Any:
        """Return the value itself."""
        root = _root(self.name, lookup)
        return _follow(root, self.name, self.steps) if self.steps else root

    def formatted(self, value: Any) -> Any:
        """Return a value, formatted if there is a format."""
        if self.conversion is None and self.spec is None:
            return value
        return _formatted(value, self.slot, self.conversion, self.spec)


def _lookup(slot: str, known: Container[str]) -> _Lookup | None:
    """Read a slot; `None` if the braces are JSON, LaTeX or similar."""
    name = _NAME.match(slot)
    if name is None:
        return None
    position, steps = name.end(), []
    while step := _STEP.match(slot, position):
        steps.append(step)
        position = step.end()
    shape = _FORMAT.fullmatch(slot, position)
    if shape is None:
        _refuse(slot, position, steps=bool(steps), known=name[1] in known)
        return None
    return _Lookup(slot, slot[:position].strip(), name[1], steps, shape["conversion"], shape["spec"])


class Template:
    r"""A prompt that is taken apart once, to be filled in many times.

    Args:
        text: The prompt, as for `interpolate`.
        known: The names that can be looked up.

    Attributes:
        names: The names that it looks up, in order.

    Example:
        >>> Template("{{n}} of {{all[0]}}", ["n", "all"]).fill({"n": 1, "all": [7]})
        '1 of 7'
    """

    def __init__(self, text: str, known: Container[str] = ()) -> None:
        self._parts: list[str | _Lookup] = list(_taken_apart(text, known))
        self.names = list(dict.fromkeys(part.name for part in self._parts if isinstance(part, _Lookup)))

    def fill(self, lookup: Mapping[str, Any], *, redacting: bool = True) -> str | None:
        """Return the prompt with the values of a lookup; `None` if one is `None`, or if all are blank.

        Args:
            lookup: The values.
            redacting: Whether keys are left out, as they have to be before the prompt is sent.

        Returns:
            The prompt.

        Raises:
            InvalidRequestError: If a name, attribute or item does not exist.
        """
        found = [part if isinstance(part, str) else part.found(lookup) for part in self._parts]
        values = found[1::2]  # between them is what the user wrote
        if any(value is None for value in values) or (values and all(map(is_blank, values))):
            return None
        texts = [
            part if isinstance(part, str) else _text(part.formatted(value))
            for part, value in zip(self._parts, found, strict=True)
        ]
        if redacting:
            texts[1::2] = map(redact, texts[1::2])
        return "".join(texts)


def is_blank(value: Any) -> bool:
    """Whether a value is a text of blanks only.

    Example:
        >>> is_blank("  "), is_blank(0)
        (True, False)
    """
    return isinstance(value, str) and not value.strip()


def _taken_apart(text: str, known: Container[str]) -> Iterator[str | _Lookup]:
    """Yield the texts and the lookups of a prompt."""
    position = 0
    for match in _SLOT.finditer(text):
        yield text[position : match.start()]
        found = None if match[1] else _lookup(match[2], known)
        yield _unescaped(match) if found is None else found
        position = match.end()
    yield text[position:]


def _unescaped(match: re.Match[str]) -> str:
    """Return braces that are no lookup; a backslash before LaTeX's is the user's own."""
    return match[0][1:] if match[1] and _NAME.match(match[2]) else match[0]


def _refuse(slot: str, position: int, *, steps: bool, known: bool) -> None:
    """Raise if the braces look like an unsupported lookup; JSON, LaTeX and similar pass."""
    if (steps or known) and _WANTS_FORMAT.match(slot, position):
        raise CellError(
            f"{{{{{slot.strip()}}}}} has an unsupported format.",
            hint="Use a format like .2f, >10, %Y-%m-%d or !r, or \\{{ (or --raw) to keep the braces.",
        )
    if steps or _GOES_ON.match(slot, position):
        raise CellError(
            f"{{{{{slot.strip()}}}}} is more than a lookup.",
            hint="Only .attribute, ['key'] and [0] are supported. Assign the value to a variable first.",
        )


def _formatted(value: Any, slot: str, conversion: str | None, spec: str | None) -> Any:
    """Return the formatted value; without a format, the value."""
    if conversion is not None:
        value = repr(value) if conversion == "r" else str(value)
    if not spec:
        return value
    try:
        return format(value, spec)
    except (TypeError, ValueError) as error:
        raise CellError(
            f"{{{{{slot.strip()}}}}}: a {type(value).__name__} does not support the format {spec!r}.",
            hint="Remove it, or assign the formatted text to a variable.",
        ) from error


def _root(name: str, lookup: Mapping[str, Any]) -> Any:
    if name in lookup:
        return lookup[name]
    names = [key for key in lookup if not key.startswith("_")]
    hint = did_you_mean(name, names, "Define it first, or write \\{{ (or --raw) to keep the braces.")
    raise CellError(f"{{{{{name}}}}}: {name} is not defined.", hint=hint)


def _follow(value: Any, path: str, steps: list[re.Match[str]]) -> Any:
    for attribute, literal in (step.groups() for step in steps):
        try:
            # `literal_eval`, because a prompt must not run code.
            value = getattr(value, attribute) if attribute else value[ast.literal_eval(literal)]
        except (AttributeError, LookupError, TypeError) as error:
            what = f".{attribute}" if attribute else f"[{literal}]"
            hint = did_you_mean(attribute or literal.strip("'\""), _choices(value, attribute), "")
            raise CellError(f"{path} has no {what}.", hint=hint) from error
        path += f".{attribute}" if attribute else f"[{literal}]"
    return value


def _choices(value: Any, attribute: str | None) -> list[str]:
    names = dir(value) if attribute else list(getattr(value, "keys", list)())
    return [name for name in names if isinstance(name, str) and not name.startswith("_")]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if _is_table(value):
        return str(value.to_string(max_rows=MAX_ROWS))
    return str(value)


def _is_table(value: Any) -> bool:
    # By name, because pandas must not be imported for this.
    return type(value).__module__.split(".")[0] == "pandas" and hasattr(value, "to_string")


def _notes(path: str, value: Any, text: str) -> Iterator[str]:
    """Return notes for a value that is shortened or large."""
    if _is_table(value):
        if len(value) > MAX_ROWS:
            yield (
                f"{path} has {len(value):,} rows: the first and last {MAX_ROWS // 2} were sent, "
                f"about {estimate(text):,} tokens."
            )
        elif (size := estimate(text)) >= MANY_TOKENS:
            yield f"{path} has {len(value):,} rows: all were sent, about {size:,} tokens."
    elif hasattr(value, "__len__") and hasattr(value, "dtype") and "..." in text:  # an array, an index
        yield f"{path} has {len(value):,} items: not all were sent."
    if (size := len(text.encode(errors="replace"))) >= LARGE:
        yield f"{path} is {size / 1e6:,.1f} MB of the prompt."


class CellError(InvalidRequestError):
    """Invalid input after `%%llm` or `%llm`, or between `{{` and `}}`.

    Example:
        >>> str(CellError("Unknown option --modle.", hint="Did you mean --model?"))
        'Unknown option --modle. Did you mean --model?'
    """

    default_hint = "%llm help lists the options."
