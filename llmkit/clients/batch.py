"""Concurrent calls with a limit: `RequestQueue` and `batch`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from llmkit.clients.base import BaseLLMClient
from llmkit.clients.cassettes.request_key import canonical_message
from llmkit.clients.limiter import answered, limiter_of
from llmkit.clients.registry import recorded, shared_client
from llmkit.content.messages import LLMMessage
from llmkit.content.parts import json_text
from llmkit.core.errors import ConfigurationError, InvalidRequestError, LLMClientError
from llmkit.records import calling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
    from typing import Any

    from llmkit.content.messages import LLMResponse

P = ParamSpec("P")
R = TypeVar("R")


class RequestQueue:
    """Runs a bounded number of calls concurrently.

    Args:
        max_concurrent: Maximum number of concurrent calls, at least 1.

    Raises:
        ConfigurationError: If it is less than 1.

    Example:
        >>> async def double(x: int) -> int:
        ...     return 2 * x
        >>> asyncio.run(RequestQueue(max_concurrent=2).process_request(double, 21))
        42
    """

    def __init__(self, max_concurrent: int = 5) -> None:
        if max_concurrent < 1:
            raise ConfigurationError(f"max_concurrent must be >= 1, got {max_concurrent}.")
        self.max_concurrent = max_concurrent
        # A semaphore is bound to one loop, but a queue may be used from several.
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def process_request(self, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a coroutine function as soon as the limit allows.

        Args:
            func: The function.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            Its return value.
        """
        loop = asyncio.get_running_loop()
        async with self._rooms.setdefault(loop, asyncio.Semaphore(self.max_concurrent)):
            return await func(*args, **kwargs)


async def batch(
    prompts: Iterable[str | list[LLMMessage]],
    model: str | BaseLLMClient | None = None,
    *,
    system: str | None = None,
    max_concurrent: int | None = None,
    progress: bool = True,
    dedupe: bool = False,
    **options: Any,
) -> list[LLMResponse | LLMClientError]:
    """Answer many prompts concurrently, with a progress bar.

    Args:
        prompts: Strings or conversations.
        model: A name as for `llmkit.client`, or a client; by default that of `%llm model` or of the settings.
        system: System prompt for prompts that are strings.
        max_concurrent: Maximum number of concurrent calls. There are 8 at first, more while the server
            answers, and fewer after a rate limit; by default up to 256.
        progress: Whether to show the bar.
        dedupe: Whether identical prompts share one call and its answer or error. The first response has the
            cost; the others have cost 0 and the amount in `saved_cost`, so that the sum equals the ledger's.
            By default each prompt is a call, so that you can sample several answers to one prompt.
        **options: Arguments of `generate_text`, such as `temperature` or `max_tokens`.

    Returns:
        For each prompt, in order, its response or its error; one failure does not affect the others.

    Raises:
        ConfigurationError: If the model is unknown.
        InvalidRequestError: If `prompts` is a string.

    Example:
        ```python
        answers = await llmkit.batch(["Name a river.", "Name a hill."], "sandbox", max_tokens=20)
        ```
    """
    from tqdm.auto import tqdm

    client = recorded(model) if isinstance(model, BaseLLMClient) else shared_client(model)
    if isinstance(prompts, str):
        raise InvalidRequestError("batch takes a list of prompts, not a string.", hint="Pass [prompt].")
    asked = list(prompts)
    # Without dedupe, each place is its own key, so nothing is shared.
    places = [_identity(prompt, system) if dedupe else place for place, prompt in enumerate(asked)]
    different: dict[Hashable, str | list[LLMMessage]] = {}
    for place, prompt in zip(places, asked, strict=True):
        different.setdefault(place, prompt)
    limiter = limiter_of(client, options.get("model"), max_concurrent)

    def answer(asking: tuple[Hashable, str | list[LLMMessage]]) -> Awaitable[LLMResponse]:
        return client.generate_text(_conversation(asking[1], system), **options)

    answers: dict[Hashable, LLMResponse | LLMClientError] = {}
    with calling(surface="batch"), tqdm(total=len(different), disable=not progress, unit="call") as bar:
        async with aclosing(answered(different.items(), answer, limiter=limiter)) as results:
            async for (place, _), result in results:
                answers[place] = _result(result)
                bar.update()
    return list(_once_paid(places, answers))


def _once_paid(
    places: Iterable[Hashable], answers: Mapping[Hashable, LLMResponse | LLMClientError]
) -> Iterator[LLMResponse | LLMClientError]:
    """Yield the answer to each prompt; repeated prompts cost nothing, so that the sum is right."""
    seen: set[Hashable] = set()
    for place in places:
        answer = answers[place]
        if place not in seen or isinstance(answer, LLMClientError):
            seen.add(place)
            yield answer
        else:
            saved = answer.saved_cost if answer.replayed else answer.cost_estimate
            yield replace(answer, cost_estimate=0.0, saved_cost=saved)


def _result(result: LLMResponse | Exception) -> LLMResponse | LLMClientError:
    """Return an answer or its error; clients of other packages may raise anything."""
    if isinstance(result, Exception) and not isinstance(result, LLMClientError):
        error = LLMClientError(f"Text generation failed: {type(result).__name__}: {result}")
        error.__cause__ = result
        return error
    return result


def _identity(prompt: str | list[LLMMessage], system: str | None) -> Hashable:
    """Return the key of identical prompts; an invalid conversation has a unique key."""
    try:
        return json_text([canonical_message(one) for one in _conversation(prompt, system)])
    except (AttributeError, TypeError, ValueError):  # the call itself reports the error
        return id(prompt)


def _conversation(prompt: str | list[LLMMessage], system: str | None) -> list[LLMMessage]:
    if not isinstance(prompt, str):
        return prompt
    first = [] if system is None else [LLMMessage(role="system", content=system)]
    return [*first, LLMMessage(role="user", content=prompt)]
