"""From a question to the request: pure, so that a dry run shows exactly what would be sent."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from llmkit.content.attachments import Attachment, attach
from llmkit.content.describe import card
from llmkit.content.messages import LLMMessage
from llmkit.content.parsing import wanted, words
from llmkit.content.template import CellError, interpolate
from llmkit.core.redaction import redact
from llmkit.core.suggestions import did_you_mean
from llmkit.providers.choices import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmkit.content.parsing import Format
    from llmkit.content.schema import Schema
    from llmkit.notebook.cell.parser import CellRequest

MAX_CELL = 20_000
"""Maximum length of an earlier input, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookContext:
    """What a question can use from the notebook."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[str] = ()  # as typed; the last one is the question itself
    history: Sequence[LLMMessage] = ()
    system: str = ""  # default of a question without `-s`
    temperature: float | None = None  # default of a question without `-T`
    format: str = ""  # default of a question without `-f`


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the request."""

    title: str
    role: Literal["system", "user", "assistant"] = "user"
    text: str = ""  # empty for an attachment
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question as it is sent."""

    system: tuple[Part, ...] = ()
    history: tuple[LLMMessage, ...] = ()
    parts: tuple[Part, ...] = ()  # in order; the last one is the prompt
    options: Mapping[str, Any] = field(default_factory=dict)  # for `stream_text`, besides messages and model
    format: Format = "md"
    schema: Any = None  # as the user gave it
    notes: tuple[str, ...] = ()  # sentences for the user

    @property
    def question(self) -> LLMMessage:
        """The user's message: all of its parts."""
        texts = [part.text for part in self.parts if part.attachment is None]
        files = tuple(part.attachment for part in self.parts if part.attachment is not None)
        return LLMMessage(role="user", content="\n\n".join(texts), attachments=files)

    @property
    def messages(self) -> list[LLMMessage]:
        """All messages, in order."""
        system = "\n\n".join(part.text for part in self.system)
        first = [LLMMessage(role="system", content=system)] if system else []
        return [*first, *self.history, self.question]

    @property
    def sent_along(self) -> str:
        """A sentence that names the earlier inputs that are included; empty if there are none."""
        cells = [part for part in self.parts if part.title.startswith("In[")]
        # The heading and the fence are not lines of the cell.
        lines = sum(part.text.count("\n") - 2 for part in cells)
        names = ", ".join(part.title for part in cells)
        return f"Sent along: {names} ({lines:,} line{'s' * (lines != 1)})." if cells else ""


def gather(ask: CellRequest, place: NotebookContext) -> Prompt:
    r"""Assemble the request of a question.

    Example:
        >>> from llmkit.notebook.cell.parser import parse_cell
        >>> here = NotebookContext(variables={"n": 7})
        >>> gather(parse_cell("-v n", "Is {{n}} prime?"), here).question.content
        'n: int\n7\n\nIs 7 prime?'
    """
    notes: list[str] = []
    parts = [
        *_cards(ask, place, notes),
        *_cells(ask, place, notes),
        *_attachments(ask, place, notes),
        Part(title="prompt", text=_prompt(ask, place, notes)),
    ]
    form = _format(ask, place)
    given = None if ask.schema is None else look_up(ask.schema, place.variables, "--schema")
    schema = wanted(form, given)
    return Prompt(
        system=tuple(_system(ask, place, notes, "" if schema else words(form))),
        history=() if ask.new or ask.thread is None else tuple(place.history),
        parts=tuple(parts),
        options=_options(ask, place, schema),
        format=form,
        schema=given,
        notes=tuple(dict.fromkeys(notes)),
    )


def look_up(name: str, variables: Mapping[str, Any], option: str) -> Any:
    """Return the value of a variable that is named in an option."""
    first, *attributes = name.split(".")
    if first not in variables:
        near = did_you_mean(first, _public(variables), "Define it first.")
        raise CellError(f"{option} {name}: {first} is not defined.", hint=near)
    value = variables[first]
    for attribute in attributes:
        try:
            value = getattr(value, attribute)
        except AttributeError as error:
            raise CellError(f"{option} {name}: there is no .{attribute}.", hint="") from error
    return value


def _prompt(ask: CellRequest, place: NotebookContext, notes: list[str]) -> str:
    """Replace variables in the prompt; values that look like keys are redacted."""
    prompt = ask.prompt.strip("\n")
    if ask.raw:
        return prompt
    filled = interpolate(prompt, place.variables)
    notes += filled.notes
    if not filled.text.strip():
        raise CellError("The prompt is empty once its variables are filled in.", hint="Check their values.")
    return filled.text


def _system(ask: CellRequest, place: NotebookContext, notes: list[str], form: str) -> Iterator[Part]:
    """Yield the system prompt and the instructions for a format."""
    text = place.system if ask.system is None else ask.system
    if (name := ask.system_variable) is not None:
        filled = interpolate(f"{{{{{name}}}}}", place.variables)
        notes += filled.notes
        text = filled.text
    if text.strip():
        yield Part(title="system prompt", role="system", text=text)
    if form:
        yield Part(title="format", role="system", text=form)


def _cards(ask: CellRequest, place: NotebookContext, notes: list[str]) -> Iterator[Part]:
    for name in dict.fromkeys(ask.variables):
        described = card(name, look_up(name, place.variables, "-v"))
        notes += described.notes
        yield Part(title=f"variable {name}", text=described.text)


def _cells(ask: CellRequest, place: NotebookContext, notes: list[str]) -> Iterator[Part]:
    for number in ask.cells:
        # The last input is this question itself.
        if number >= len(place.inputs) - 1:
            last = max(0, len(place.inputs) - 2)
            hint = f"The last one is In[{last}]."
            raise CellError(f"-i {number}: there is no In[{number}] yet.", hint=hint)
        source = place.inputs[number].strip("\n")
        if not source.strip():
            raise CellError(f"-i {number}: In[{number}] is empty.", hint="")
        safe = redact(source)  # before truncating: half a key is not recognised
        if safe != source:
            notes.append(f"Text that looks like a key was left out of In[{number}].")
        if len(safe) > MAX_CELL:
            notes.append(f"In[{number}] is long: only its first {MAX_CELL:,} characters were sent.")
            safe = safe[:MAX_CELL]
        yield Part(title=f"In[{number}]", text=f"In[{number}]:\n{fenced(safe, 'python')}")


def fenced(text: str, language: str = "") -> str:
    r"""Return a text in a code fence that is longer than any run of backticks in it.

    Example:
        >>> fenced("1 + 1", "python")
        '```python\n1 + 1\n```'
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _attachments(ask: CellRequest, place: NotebookContext, notes: list[str]) -> Iterator[Part]:
    for source in ask.attachments:
        attachment = _attachment(source, place.variables)
        if attachment.kind == "text" and (safe := redact(attachment.text)) != attachment.text:
            notes.append(f"Text that looks like a key was left out of {source}.")
            attachment = replace(attachment, data=safe.encode())
        yield Part(title=attachment.name or attachment.shown_url or source, attachment=attachment)


def _attachment(source: str, variables: Mapping[str, Any]) -> Attachment:
    """Attach a variable if there is one of this name, otherwise a file; an existing `plot.png` is a file."""
    first, dot, _ = source.partition(".")
    if first in variables and not (dot and Path(source).exists()):
        return _attached_value(look_up(source, variables, "-a"), source)
    if source.isidentifier() and not Path(source).exists():
        near = did_you_mean(source, _public(variables), "Check the name.")
        raise CellError(f"-a {source}: there is neither a variable nor a file of this name.", hint=near)
    return attach(source)


def _attached_value(value: Any, name: str) -> Attachment:
    made = attach(value)
    is_named = made.name or isinstance(value, (str, os.PathLike, Attachment))
    return made if is_named else replace(made, name=name)


def _public(variables: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in variables if not name.startswith("_"))


def _format(ask: CellRequest, place: NotebookContext) -> Format:
    """Return the format of the answer; an answer with a schema is JSON or a table."""
    form = ask.format or place.format or "md"
    if ask.schema is not None and form not in {"json", "df"}:
        if ask.format is not None:
            raise CellError(f"--schema and -f {ask.format} do not go together.", hint="Use -f json or df.")
        form = "json"
    return cast("Format", form)


def _options(ask: CellRequest, place: NotebookContext, schema: Schema | None) -> dict[str, Any]:
    """Return the arguments of `stream_text` that are set."""
    temperature = place.temperature if ask.temperature is None else ask.temperature
    chosen = {"temperature": temperature, "max_tokens": ask.max_tokens, "schema": schema}
    chosen |= {name: getattr(ask, name) for name in WORDS}
    return {name: value for name, value in chosen.items() if value is not None} | dict(ask.params)
