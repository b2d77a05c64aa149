"""What a verb asks of each row, and how an answer becomes values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.content.parsing import repair
from llmkit.core.errors import BadResponseError
from llmkit.core.money import to_nanos
from llmkit.frames.answers.encodable import whole
from llmkit.frames.answers.protocol import OK, Answer
from llmkit.frames.columns import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.clients.engine.engine import ProviderClient
    from llmkit.clients.engine.recorded import RecordedClient
    from llmkit.content.messages import LLMMessage, LLMResponse
    from llmkit.content.schema import Schema

OUTPUT = 4096
"""Output limit of an answer where none is given: without one, a maximal cost would hold three rows."""

_PLACE = "The answer does not match the schema: "

_NO_ERROR = (None,)


class Question:
    """What a verb asks; `map` asks for text.

    To add a verb, subclass it, override what differs, and write a function as in `frames.verbs` that makes a
    `Job` of it. A row's messages come from its prompt; `messages` adds what the verb asks. Its answer becomes
    a JSON value (`value`), which is stored, and whenever a frame is made, that becomes cells (`cells`).

    Attributes:
        verb: Name of the verb.
        schema: Required form of the answer, if it is JSON; its hash is part of a row's key.
        output: Output limit of an answer where none is given.
    """

    verb = "map"
    schema: Schema | None = None
    output = OUTPUT

    @property
    def identity(self) -> Any:
        """What decides the answer beside messages, schema and parameters, as JSON values."""
        return None

    def columns(self, out: str | None) -> list[Column]:
        """Return the new columns."""
        return [Column(out or "llm")]

    def error_columns(self, out: str | None) -> list[str]:
        """Return the names of the columns of errors: one for all, or one for each new column."""
        return [f"{out or 'llm'}_error"]

    def prefix(self, out: str | None) -> str:
        """Return how the names of the columns of `meta=True` begin."""
        return out or "llm"

    def messages(self, messages: list[LLMMessage]) -> list[LLMMessage]:
        """Return a row's messages with what the verb asks."""
        return messages

    def value(self, response: LLMResponse) -> Any:
        """Return what an answer says, as a JSON value; `None` if it is the text itself.

        Raises:
            BadResponseError: If the answer does not fit; it is then asked for once more.
        """
        del response
        return None

    def is_enough(self, answer: Answer) -> bool:
        """Whether a stored answer that can be used has all that is asked for."""
        del answer
        return True

    def cells(self, answer: Answer) -> Sequence[Any]:
        """Return the values of the new columns."""
        return (answer.text,)

    def cell_errors(self, answer: Answer) -> Sequence[str | None]:
        """Return the errors of an answer that can be used, for each of `error_columns`."""
        del answer
        return _NO_ERROR

    async def ask(
        self, client: ProviderClient | RecordedClient, messages: list[LLMMessage], options: Mapping[str, Any]
    ) -> Answer:
        """Ask a model for one row; an answer that does not fit is asked for once more.

        Returns:
            The answer, whose `key`, `time` and `job` are filled in later.

        Raises:
            LLMClientError: If there is no answer.
        """
        response = await client.generate_text(messages, **options)
        try:
            return self._answer([response])
        except BadResponseError as error:
            again = repair(response.content, error)
            if not again:
                return _failed("schema", _reason(error), [response])
        repaired = await client.generate_text([*messages, *again], **options)
        try:
            return self._answer([response, repaired])
        except BadResponseError as error:
            return _failed("schema", _reason(error), [response, repaired])

    def read(self, response: LLMResponse) -> Answer:
        """Return what came of one row whose answer cannot be asked for again."""
        try:
            return self._answer([response])
        except BadResponseError as error:
            return _failed("schema", _reason(error), [response])

    def _answer(self, responses: list[LLMResponse]) -> Answer:
        response = responses[-1]
        if (problem := unusable(response)) is not None:
            return _failed(*problem, responses)
        value = self.value(response)
        return answer_of(responses, OK, value=None if value is None else _json(value))


def unusable(response: LLMResponse) -> tuple[str, str] | None:
    """Return why a whole answer cannot be used: the kind of the error and its rest."""
    if response.finish_reason == "length":
        return "length", f"the answer was cut after {response.completion_tokens or '?'} tokens"
    if response.finish_reason in {"refusal", "content_filter"}:
        return "refusal", " ".join((response.content or response.note or "by the provider").split())[:300]
    if not response.content.strip():
        return "empty", response.note or "the answer has no text"
    return None


def answer_of(
    responses: Sequence[LLMResponse], status: str, *, error: str = "", value: str | None = None
) -> Answer:
    """Return what came of one row: the last response, and the tokens and prices of all."""
    last = responses[-1]
    costs = [None if one.cost_estimate is None else to_nanos(one.cost_estimate) for one in responses]
    return Answer(
        b"",
        status,
        text=last.content,
        value=value,
        error=error,
        model=last.model,
        input_tokens=_sum([one.prompt_tokens for one in responses]),
        output_tokens=_sum([one.completion_tokens for one in responses]),
        cost_nanos=_sum(costs),
        uid=last.uid or "",
    )


def _failed(status: str, error: str, responses: Sequence[LLMResponse]) -> Answer:
    return answer_of(responses, status, error=error)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # halves of characters, or a number of more than 64 bits
        return whole(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _sum(counts: Sequence[int | None]) -> int | None:
    """Return a sum; `None` if a part of it is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _reason(error: BadResponseError) -> str:
    return error.message.removeprefix(_PLACE).rstrip(".")[:300]
