"""What a verb sends for each row: a template, a column, a callable or a series of prompts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from llmkit.content.attachments import attach
from llmkit.content.messages import LLMMessage
from llmkit.content.template import Template, is_blank
from llmkit.core.errors import InvalidRequestError, LLMClientError
from llmkit.core.redaction import redact
from llmkit.core.suggestions import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.frames.table import Table

Prompt: TypeAlias = "str | Callable[[dict[str, Any]], str | list[LLMMessage]] | Any"
"""A column's name, a template, a callable that gets a row as a dict, or a series of prompts."""

ROW = "row"
"""Name by which a template can look up columns whose names are no identifiers: `{{row['order id']}}`."""

_EXACT = re.compile(r"(?<!\\)\{\{([^{}]{1,300})\}\}")
_SINGLE = re.compile(r"\{([^{}]{1,300})\}")


class RowError(InvalidRequestError):
    """A row has no prompt: its callable failed, or its file cannot be attached."""

    default_hint = ""


class Prompts:
    """The messages of each row.

    Args:
        table: The frame.
        prompt: What to send.
        system: The system prompt.
        attach: Name of a column with a file for each row, or a list of them.

    Raises:
        InvalidRequestError: If a column does not exist, or the prompt is the same for all rows.
    """

    def __init__(self, table: Table, prompt: Prompt, system: str | None, attach: str | None) -> None:
        self._text = _texts(table, prompt)
        self._first = [] if system is None else [LLMMessage("system", system)]
        self._files = None if attach is None else table.column(attach)
        self.keeps = not isinstance(prompt, str)
        self.reads_files = attach is not None

    def messages(self, row: int, *, sending: bool = True) -> list[LLMMessage] | None:
        """Return a row's messages; `None` if it has no text.

        It has none if a value that it uses is missing, or if all of them are blank.

        Args:
            row: The row's number.
            sending: Whether to leave out keys that columns may hold; else the messages identify the row.

        Returns:
            The messages.

        Raises:
            RowError: If the row has no prompt.
        """
        files = () if self._files is None else self._attached(row)
        said = self._text(row, sending=sending)
        if said is None or files is None:
            return None
        try:
            if isinstance(said, str):
                return [*self._first, LLMMessage("user", said, tuple(files))]
            return [*self._first, *_with_files(list(said), tuple(files))]
        except (TypeError, ValueError) as error:
            raise RowError(f"{error}.") from error

    def _attached(self, row: int) -> list[Any] | None:
        assert self._files is not None
        given = self._files[row]
        if given is None:
            return None
        try:
            return [attach(one) for one in (given if isinstance(given, (list, tuple)) else [given])]
        except LLMClientError as error:
            raise RowError(error.message) from error


class _Text(Protocol):
    """From a row's number to its prompt; `None` if the row has no text."""

    def __call__(self, row: int, *, sending: bool) -> str | list[LLMMessage] | None: ...


def _texts(table: Table, prompt: Prompt) -> _Text:
    """Return what makes the prompts."""
    if isinstance(prompt, str):
        if prompt in table.names:
            return _Column(table.column(prompt))
        return _Filled(table, prompt)
    if callable(prompt):
        return _Called(table, prompt)
    try:
        given = table.series(prompt)
    except TypeError:
        raise InvalidRequestError(
            f"A prompt must be a template, a column, a callable or a series, got {type(prompt).__name__}.",
            hint='For example "Summarise: {{text}}".',
        ) from None
    return lambda row, sending: _of_series(given[row])  # noqa: ARG005 - as it was made by the user


class _Column:
    """Values of a column as prompts."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __call__(self, row: int, *, sending: bool) -> str | None:
        value = self._values[row]
        if value is None or is_blank(value):
            return None
        return redact(str(value)) if sending else str(value)


class _Filled:
    """A template, filled in with the columns that it names."""

    def __init__(self, table: Table, text: str) -> None:
        self._template = Template(_with_exact_names(text, table.names), table.names)
        names = self._template.names
        if not names:
            raise _no_column(text, table)
        whole = ROW in names and ROW not in table.names
        _check_names([name for name in names if not (whole and name == ROW)], table)
        self._columns = {name: table.column(name) for name in (table.names if whole else names)}
        used = [self._columns[name] for name in names if name in self._columns]
        self._missing = {row for column in used for row, value in enumerate(column) if value is None}
        self._whole = whole

    def __call__(self, row: int, *, sending: bool) -> str | None:
        if row in self._missing:
            return None
        values: dict[str, Any] = {name: column[row] for name, column in self._columns.items()}
        if self._whole:
            values = {**values, ROW: values}
        try:
            return self._template.fill(values, redacting=sending)
        except InvalidRequestError as error:  # this row's value has no such attribute, item or format
            raise RowError(error.message) from error


class _Called:
    """A callable that gets each row as a dict; missing values are `None`."""

    def __init__(self, table: Table, function: Callable[[dict[str, Any]], Any]) -> None:
        self._function = function
        self._names = table.names
        self._columns = [table.column(name) for name in table.names]

    def __call__(self, row: int, *, sending: bool) -> str | list[LLMMessage] | None:
        del sending  # what a callable makes is sent as it is
        values = dict(zip(self._names, (column[row] for column in self._columns), strict=True))
        try:
            said: str | list[LLMMessage] | None = self._function(values)
        except Exception as error:
            raise RowError(f"{type(error).__name__}: {error}") from error
        return _made(said, "The callable returned")


def _of_series(value: Any) -> str | list[LLMMessage] | None:
    return _made(value if value is None or isinstance(value, list) else str(value), "The series has")


def _made(said: Any, where: str) -> str | list[LLMMessage] | None:
    """Return a prompt that the user made, if it is one."""
    if said is None or isinstance(said, str):
        return None if is_blank(said) else said
    if isinstance(said, list) and said and all(isinstance(one, LLMMessage) for one in said):
        return said
    raise RowError(f"{where} {_described(said)}, not a string or a list of messages.")


def _described(value: Any) -> str:
    if not isinstance(value, list):
        return type(value).__name__
    other = next((type(one).__name__ for one in value if not isinstance(one, LLMMessage)), None)
    return "an empty list" if other is None else f"a list with {other}"


def _check_names(names: Sequence[str], table: Table) -> None:
    for name in names:
        if name not in table.names:
            hint = did_you_mean(name, table.names, table.listed)
            raise InvalidRequestError(f"{{{{{name}}}}}: the frame has no column {name}.", hint=hint)


def _no_column(text: str, table: Table) -> InvalidRequestError:
    """Return the error for a prompt that names no column, which may be a misspelt column itself."""
    single = next((name for name in map(str.strip, _SINGLE.findall(text)) if name in table.names), None)
    if single is None and (meant := nearest(text, table.names)):
        return InvalidRequestError(f"The frame has no column {text!r:.80}.", hint=f"Did you mean {meant}?")
    example = single or next(iter(table.names), "text")
    return InvalidRequestError(
        f"The prompt {text!r:.60} names no column: it would be the same for every row.",
        hint=f"Name one in double braces, such as {{{{{example}}}}}.",
    )


def _with_exact_names(text: str, names: Sequence[str]) -> str:
    """Replace `{{order id}}` by a lookup that the template understands, if a column has this very name."""
    odd = {name for name in names if not name.isidentifier()}

    def exact(match: re.Match[str]) -> str:
        return f"{{{{{ROW}[{match[1].strip()!r}]}}}}" if match[1].strip() in odd else match[0]

    return _EXACT.sub(exact, text) if odd else text


def _with_files(messages: list[LLMMessage], files: tuple[Any, ...]) -> list[LLMMessage]:
    """Add files to the last message of the user."""
    if not files:
        return messages
    last = max((place for place, one in enumerate(messages) if one.role == "user"), default=None)
    if last is None:
        raise RowError("There is no message of the user to attach a file to.")
    messages[last] = replace(messages[last], attachments=(*messages[last].attachments, *files))
    return messages
