"""Does a provider answer? A check that costs nothing: it asks for the list of models."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from llmkit.errors import LLMClientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a check found.

    Attributes:
        provider: Name of the provider.
        ok: Whether it answered with its list of models.
        latency_s: Seconds until it answered.
        models: Names of its models.
        error: Why it did not.
    """

    provider: str
    ok: bool
    latency_s: float
    models: tuple[str, ...] = ()
    error: LLMClientError | None = None

    def __bool__(self) -> bool:
        return self.ok


async def check(provider: str, list_models: Callable[[], Awaitable[list[str]]]) -> Health:
    """Ask a provider for its models and take the time.

    Args:
        provider: Its name.
        list_models: Asks it.

    Returns:
        What was found; nothing is raised for a provider that fails.
    """
    start = perf_counter()
    try:
        models = tuple(await list_models())
    except LLMClientError as error:
        return Health(provider=provider, ok=False, latency_s=perf_counter() - start, error=error)
    return Health(provider=provider, ok=True, latency_s=perf_counter() - start, models=models)
