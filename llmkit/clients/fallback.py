"""Models that stand in for one that does not answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from llmkit.errors import (
    BudgetExceededError,
    ConfigurationError,
    ContextLengthError,
    InvalidRequestError,
    LLMClientError,
    ReplayMissError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.clients.books import Source
    from llmkit.clients.call import Call
    from llmkit.clients.codec import Codec

logger = logging.getLogger(__name__)


class StandIn(Protocol):
    """A client that can take over a call."""

    def take_over(self, call: Call, protocol: type[Codec]) -> Source:
        """Ask this client's model in place of the one that failed.

        Args:
            call: The call; from now on it is this client's.
            protocol: Whose words the request's extra parameters are; another protocol leaves them out.

        Returns:
            The source of its texts.
        """
        ...


class Fallbacks:
    """The texts of a call from the first model that answers; a `Source`.

    Args:
        call: The books of the call.
        source: The texts of the model that was asked.
        stand_ins: Who takes over, in this order.
        protocol: Wire format of the model that was asked.
    """

    def __init__(
        self, call: Call, source: Source, stand_ins: Sequence[StandIn], protocol: type[Codec]
    ) -> None:
        self._call = call
        self._source = source
        self._stand_ins = list(stand_ins)
        self._protocol = protocol
        self._failures: list[str] = []

    async def next(self) -> list[str] | None:
        """Wait for the next pieces of text; `None` at the answer's end.

        Raises:
            LLMClientError: If no model gives a whole answer: the error of the last one, which notes the
                others.
        """
        while True:
            try:
                return await self._source.next()
            except LLMClientError as error:
                for failure in self._failures:
                    error.add_note(failure)
                if not self._stand_ins or self._call.started or not worth_another_model(error):
                    raise
                self._failures.append(f"Before that, {self._call.name} failed: {error}")
                await self._go_on(error)

    async def aclose(self) -> None:
        """Stop."""
        await self._source.aclose()

    async def _go_on(self, error: LLMClientError) -> None:
        await self._source.aclose()
        failed = self._call.name
        self._source = self._stand_ins.pop(0).take_over(self._call, self._protocol)
        logger.warning("%s failed: %s Asking %s instead.", failed, error.message, self._call.name)


def worth_another_model(error: LLMClientError) -> bool:
    """Whether another model may answer what this one did not.

    A request that is wrong in itself, a budget and a setting are the same for every model; a prompt that
    is too long may fit into another one.

    Args:
        error: Why there is no answer.

    Example:
        >>> worth_another_model(LLMClientError("broken")), worth_another_model(InvalidRequestError("wrong"))
        (True, False)
    """
    if isinstance(error, ContextLengthError):
        return True
    same = (InvalidRequestError, BudgetExceededError, ConfigurationError, ReplayMissError)
    return not isinstance(error, same)
