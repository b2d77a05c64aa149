"""What a request will take from the limits: an estimate of its prompt, and what answers usually need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.clients.limiter.rate_headers import Unit
    from llmkit.content.messages import Usage
    from llmkit.providers.codec import Request

PERCENTILE = 0.9
"""Share of answers that need no more than is reserved for them."""

UNKNOWN_ANSWER = 512
"""Tokens of an answer before any is known."""

_STEP = 0.05


class Percentile:
    """A percentile of numbers that come one by one; it follows them if they change.

    Example:
        >>> percentile = Percentile(0.9)
        >>> for _ in range(1000):
        ...     percentile.add(200)
        >>> round(percentile.value)
        200
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self.value: float | None = None

    def add(self, number: float) -> None:
        """Take another number into account."""
        if self.value is None:
            self.value = number
        elif number > self.value:
            self.value = min(number, self.value + max(self.value, 1.0) * _STEP * self._share)
        else:
            self.value = max(number, self.value - max(self.value, 1.0) * _STEP * (1 - self._share))


class Demand:
    """Tokens of a request, as they are expected or as they were.

    Attributes:
        prompt: Tokens of the prompt.
        answer: Tokens of the answer.
    """

    __slots__ = ("answer", "prompt")

    def __init__(self, prompt: float, answer: float) -> None:
        self.prompt = prompt
        self.answer = answer

    def of(self, unit: Unit) -> float:
        """Return what a limit of some unit counts."""
        if unit == "requests":
            return 1.0
        if unit == "tokens":
            return self.prompt + self.answer
        return self.prompt if unit == "input_tokens" else self.answer


class Expectation:
    """What requests to one model need, learned from those that were answered."""

    def __init__(self) -> None:
        self._answers = Percentile(PERCENTILE)
        self._prompts = Percentile(PERCENTILE)

    def of(self, estimate: int, request: Request) -> Demand:
        """Return what a request will probably need.

        Args:
            estimate: Tokens of its prompt, estimated without the provider.
            request: The request.
        """
        answer = UNKNOWN_ANSWER if self._answers.value is None else self._answers.value
        return Demand(estimate * (self._prompts.value or 1.0), min(answer, request.max_tokens or answer))

    def learn(self, estimate: int, usage: Usage) -> Demand | None:
        """Learn from an answer and return what it needed; `None` if the server does not say."""
        prompt, answer = usage.input_tokens, usage.output_tokens
        if prompt is None or answer is None:
            return None
        self._answers.add(answer)
        self._prompts.add(prompt / max(1, estimate))
        return Demand(prompt, answer)
