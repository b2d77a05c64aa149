"""The answers to a list of prompts, as fast as the server allows: `batch`."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.clients.base import BaseLLMClient
from llmkit.clients.cassettes.request_key import canonical_message
from llmkit.clients.limiter import answered, limiter_of
from llmkit.clients.registry import recorded, shared_client
from llmkit.content.messages import LLMMessage
from llmkit.content.parts import json_text
from llmkit.core.errors import InvalidRequestError, LLMClientError
from llmkit.hooks import job_span
from llmkit.records import calling, current_context
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
    from typing import Any

    from llmkit.clients.engine.engine import ProviderClient
    from llmkit.clients.engine.recorded import RecordedClient
    from llmkit.content.messages import LLMResponse
    from llmkit.frames.kept_responses import KeptResponses


async def batch(
    prompts: Iterable[str | list[LLMMessage]],
    model: str | BaseLLMClient | None = None,
    *,
    system: str | None = None,
    max_concurrent: int | None = None,
    progress: bool = True,
    dedupe: bool = False,
    job: str | None = None,
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
        job: A name under which answers are kept beside the ledger, so that the same batch, run again in any
            process, asks only for the rest; what comes from there is `replayed` and costs 0. Prompts may be
            added, left out and sorted. Errors are asked again; another name asks for everything.
        **options: Arguments of `generate_text`, such as `temperature` or `max_tokens`.

    Returns:
        For each prompt, in order, its response or its error; one failure does not affect the others.

    Raises:
        ConfigurationError: If the model is unknown.
        InvalidRequestError: If `prompts` is a string, or a job's name or parameter is not possible.

    Example:
        ```python
        answers = await llmkit.batch(["Name a river.", "Name a hill."], "sandbox", job="names")
        ```
    """
    client = recorded(model) if isinstance(model, BaseLLMClient) else shared_client(model)
    asked = _listed(prompts)
    kept = None if job is None else _kept(client, job, options)
    places = await _places(asked, system, kept, dedupe=dedupe)
    different: dict[Hashable, str | list[LLMMessage]] = {}
    for place, prompt in zip(places, asked, strict=True):
        different.setdefault(place, prompt)
    answers: dict[Hashable, Any] = {} if kept is None else await in_thread(kept.find, different)
    limiter = limiter_of(client, options.get("model"), max_concurrent)
    send = _sender(client, system, kept, options)
    wanted = [(place, prompt) for place, prompt in different.items() if place not in answers]
    with (
        job_span(job or "batch"),
        calling(surface="batch", tags=_tags(job)),
        _bar(len(different), len(answers), progress) as bar,
    ):
        async with aclosing(answered(wanted, send, limiter=limiter)) as results:
            async for (place, _), result in results:
                answers[place] = _result(result)
                bar.update()
    return list(_once_paid(places, answers))


def _listed(prompts: Iterable[str | list[LLMMessage]]) -> list[str | list[LLMMessage]]:
    if isinstance(prompts, str):
        raise InvalidRequestError("batch takes a list of prompts, not a string.", hint="Pass [prompt].")
    return list(prompts)


def _bar(total: int, done: int, shown: bool) -> Any:  # noqa: FBT001 - an option of `batch`
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, disable=not shown, unit="call")


def _sender(
    client: ProviderClient | RecordedClient,
    system: str | None,
    kept: KeptResponses | None,
    options: dict[str, Any],
) -> Callable[[tuple[Hashable, str | list[LLMMessage]]], Awaitable[LLMResponse]]:
    """Return what answers a prompt with its place, and keeps the answer."""

    async def send(asking: tuple[Hashable, str | list[LLMMessage]]) -> LLMResponse:
        place, prompt = asking
        response = await client.generate_text(_conversation(prompt, system), **options)
        if kept is not None:
            await kept.put(place, response)
        return response

    return send


async def _places(
    asked: list[str | list[LLMMessage]], system: str | None, kept: KeptResponses | None, *, dedupe: bool
) -> list[Hashable]:
    """Return a key for each prompt; those of one key are one call."""
    if kept is not None:
        return await in_thread(kept.keys, asked, lambda prompt: _conversation(prompt, system), dedupe)
    # Without dedupe, each place is its own key, so nothing is shared.
    return [_identity(prompt, system) if dedupe else place for place, prompt in enumerate(asked)]


def _kept(client: ProviderClient | RecordedClient, job: str, options: dict[str, Any]) -> KeptResponses:
    from llmkit.frames.kept_responses import KeptResponses

    return KeptResponses(client, job, options)


def _tags(job: str | None) -> Mapping[str, str]:
    from llmkit.frames.options import TAG

    tags = current_context().tags
    return tags if job is None else {**tags, TAG: job}


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
