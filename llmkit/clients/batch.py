"""Many calls at once, but not too many."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from llmkit.clients.base import BaseLLMClient
from llmkit.clients.registry import recorded, shared_client
from llmkit.content.messages import LLMMessage
from llmkit.core.errors import ConfigurationError, InvalidRequestError, LLMClientError
from llmkit.records import calling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
    from typing import Any

    from llmkit.content.messages import LLMResponse

P = ParamSpec("P")
R = TypeVar("R")


class RequestQueue:
    """Let a bounded number of calls run at the same time.

    Args:
        max_concurrent: How many; 1 or more.

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
            raise ConfigurationError(f"max_concurrent={max_concurrent} cannot be: 1 or more is expected.")
        self.max_concurrent = max_concurrent
        # A semaphore belongs to one loop, a queue may be used from several.
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def process_request(self, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a coroutine function as soon as there is room.

        Args:
            func: The function.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            What it returns.
        """
        loop = asyncio.get_running_loop()
        async with self._rooms.setdefault(loop, asyncio.Semaphore(self.max_concurrent)):
            return await func(*args, **kwargs)


async def batch(
    prompts: Iterable[str | list[LLMMessage]],
    model: str | BaseLLMClient | None = None,
    *,
    system: str | None = None,
    max_concurrent: int = 5,
    progress: bool = True,
    dedupe: bool = False,
    **options: Any,
) -> list[LLMResponse | LLMClientError]:
    """Answer many prompts, several at a time, with a progress bar.

    Args:
        prompts: Texts, or conversations.
        model: A name as for `llmkit.client`, or a client; by default the default model.
        system: System prompt for the prompts that are texts.
        max_concurrent: How many calls run at the same time.
        progress: Whether to show the bar.
        dedupe: Whether identical prompts share one call, and its answer or error. The first of the equals
            carries the cost, the others have 0 and the same in `saved_cost`: the sum is the ledger's.
            Otherwise each prompt is a call, as is wanted where several answers to one prompt are.
        **options: Arguments of `generate_text`, such as `temperature` or `max_tokens`.

    Returns:
        For each prompt, in order, its answer, or the error with which it failed: one failure does not
        lose the others.

    Raises:
        ConfigurationError: If the model's name is not known.
        InvalidRequestError: If there is one text in place of many.

    Example:
        ```python
        answers = await llmkit.batch(["Name a river.", "Name a hill."], "sandbox", max_tokens=20)
        ```
    """
    from tqdm.auto import tqdm

    client = recorded(model) if isinstance(model, BaseLLMClient) else shared_client(model)
    if isinstance(prompts, str):
        raise InvalidRequestError("batch takes many prompts, not one text.", hint="Put it into a list.")
    asked = list(prompts)
    places: list[Hashable] = [
        _identity(prompt, system) if dedupe else place for place, prompt in enumerate(asked)
    ]
    different: dict[Hashable, str | list[LLMMessage]] = {}
    for place, prompt in zip(places, asked, strict=True):
        different.setdefault(place, prompt)
    queue = RequestQueue(max_concurrent)
    with calling(surface="batch"), tqdm(total=len(different), disable=not progress, unit="call") as bar:

        async def answer(prompt: str | list[LLMMessage]) -> LLMResponse:
            try:
                messages = _conversation(prompt, system)
                return await queue.process_request(client.generate_text, messages, **options)
            finally:
                bar.update()

        results = await asyncio.gather(*map(answer, different.values()), return_exceptions=True)
    answers = dict(zip(different, map(_result, results), strict=True))
    return list(_once_paid(places, answers))


def _once_paid(
    places: Iterable[Hashable], answers: Mapping[Hashable, LLMResponse | LLMClientError]
) -> Iterator[LLMResponse | LLMClientError]:
    """Yield the answer in each place; one that comes again costs nothing more, so that costs add up."""
    seen: set[Hashable] = set()
    for place in places:
        answer = answers[place]
        if place not in seen or isinstance(answer, LLMClientError):
            seen.add(place)
            yield answer
        else:
            saved = answer.saved_cost if answer.replayed else answer.cost_estimate
            yield replace(answer, cost_estimate=0.0, saved_cost=saved)


def _result(result: LLMResponse | BaseException) -> LLMResponse | LLMClientError:
    """Return an answer or the error in its place; another package's client may raise anything."""
    if isinstance(result, Exception) and not isinstance(result, LLMClientError):
        error = LLMClientError(f"Text generation failed: {type(result).__name__}: {result}")
        error.__cause__ = result
        return error
    if isinstance(result, BaseException) and not isinstance(result, LLMClientError):
        raise result
    return result


def _identity(prompt: str | list[LLMMessage], system: str | None) -> Hashable:
    """Return what identical prompts have in common; a conversation that is none is like no other."""
    if isinstance(prompt, str):
        return (*([] if system is None else [("system", system, ())]), ("user", prompt, ()))
    try:
        return tuple((one.role, one.content, _files(one)) for one in prompt)
    except (AttributeError, TypeError):  # the call itself says what is wrong
        return id(prompt)


def _files(message: LLMMessage) -> Hashable:
    return tuple((one.media_type, one.name, one.digest) for one in message.attachments)


def _conversation(prompt: str | list[LLMMessage], system: str | None) -> list[LLMMessage]:
    if not isinstance(prompt, str):
        return prompt
    first = [] if system is None else [LLMMessage(role="system", content=system)]
    return [*first, LLMMessage(role="user", content=prompt)]
