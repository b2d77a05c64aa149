"""Whole responses in the store of answers, for a batch with a job's name."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.clients.accounting.accounting import ended
from llmkit.clients.cassettes.request_key import canonical, tools_of
from llmkit.content.messages import LLMMessage, LLMResponse, Usage
from llmkit.content.parsing import value_of
from llmkit.content.parts import part_of, values_of
from llmkit.core.errors import InvalidRequestError
from llmkit.core.timestamps import micros
from llmkit.frames.answers.location import answer_store
from llmkit.frames.answers.protocol import OK
from llmkit.frames.key import Keys
from llmkit.frames.question import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping, Sequence

    from llmkit.clients.engine.engine import ProviderClient
    from llmkit.clients.engine.recorded import RecordedClient
    from llmkit.frames.answers.protocol import Answer

T = TypeVar("T")

_SIMPLE = tuple(one.name for one in fields(LLMResponse) if one.name not in {"usage", "parts", "reader"})


class KeptResponses:
    """The responses of a job, by the requests that they answer.

    Args:
        client: The client that is asked.
        job: Name of the job.
        options: Arguments of its calls.

    Raises:
        InvalidRequestError: If the name is not a text, or a parameter is not possible.
    """

    def __init__(self, client: ProviderClient | RecordedClient, job: str, options: Mapping[str, Any]) -> None:
        given: object = job
        if not (isinstance(given, str) and given.strip()):
            raise InvalidRequestError(
                f"job must be a text, got {job!r:.40}.", hint='For example job="names".'
            )
        self._request = client.prepared([LLMMessage("user", "-")], **options)
        identity = canonical(["batch", job, tools_of(self._request)])
        self._keys = Keys(self._request, client.provider_name, client.place, identity)
        self._job = job
        self._store = answer_store()

    def keys(
        self,
        prompts: Sequence[T],
        conversation: Callable[[T], list[LLMMessage]],
        dedupe: bool,  # noqa: FBT001 - called in a thread
    ) -> list[Hashable]:
        """Return the key of each prompt: equal ones have one, or are numbered in order."""
        seen: Counter[bytes] = Counter()
        found: list[Hashable] = []
        for prompt in prompts:
            try:
                messages = conversation(prompt)
                key = self._keys.of(messages)
            except (AttributeError, TypeError, ValueError):  # the call itself reports the error
                found.append(id(prompt))
                continue
            before = 0 if dedupe else seen[key]
            seen[key] += 1
            found.append(self._keys.of(messages, before) if before else key)
        return found

    def find(self, keys: Collection[Hashable]) -> dict[Hashable, LLMResponse]:
        """Return what is kept; an answer that was cut by a lower limit than the present one is not."""
        found = self._store.get([key for key in keys if isinstance(key, bytes)])
        return {key: self._response(one) for key, one in found.items() if self._is_enough(one)}

    async def put(self, key: Hashable, response: LLMResponse) -> None:
        """Keep a response; wait until it is written, or until the store has warned that it cannot be."""
        if not isinstance(key, bytes):
            return
        answer = answer_of([response], "length" if response.finish_reason == "length" else OK)
        time, limit = micros(datetime.now(UTC)), self._request.max_tokens
        future = self._store.put(
            answer._replace(key=key, value=_written(response), time=time, max_tokens=limit, job=self._job)
        )
        if not future.done():
            await ended(future)

    def _is_enough(self, answer: Answer) -> bool:
        if answer.status != "length" or answer.max_tokens is None:
            return True
        limit = self._request.max_tokens
        return limit is not None and limit <= answer.max_tokens

    def _response(self, answer: Answer) -> LLMResponse:
        """Return a kept response, which costs nothing now."""
        response = _read(answer.value or "{}")
        saved = response.saved_cost if response.replayed else response.cost_estimate
        schema = self._request.schema
        reader = None if schema is None else partial(value_of, schema=schema)
        return replace(response, replayed=True, saved_cost=saved, cost_estimate=0.0, reader=reader)


def _written(response: LLMResponse) -> str:
    values = {name: getattr(response, name) for name in _SIMPLE}
    values["usage"] = None if response.usage is None else asdict(response.usage)
    values["parts"] = list(map(values_of, response.parts))
    return json.dumps(values, separators=(",", ":"))


def _read(text: str) -> LLMResponse:
    values = json.loads(text)
    usage = values.pop("usage")
    parts = tuple(map(part_of, values.pop("parts")))
    raw_parts = tuple(values.pop("raw_parts"))
    return LLMResponse(
        **values, usage=None if usage is None else Usage(**usage), parts=parts, raw_parts=raw_parts
    )
