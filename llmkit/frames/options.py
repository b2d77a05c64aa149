"""The options that all verbs have, checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from numbers import Integral, Real
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from llmkit.clients.base import BaseLLMClient
from llmkit.core.errors import InvalidRequestError
from llmkit.core.suggestions import ALMOST, nearest

if TYPE_CHECKING:
    from llmkit.frames.answers.protocol import AnswerStore

TAG = "job"
"""Label of a job's calls in the ledger."""

MODES = ("now", "flex", "batch")
"""How rows are asked: at once, or in the provider's cheaper and slower tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options that all verbs have.

    Attributes:
        out: Name of the new column, and the beginning of the names of those that belong to it.
        model: A name as for `llmkit.client`, or a client; by default that of `%llm model` or of the settings.
        system: The system prompt.
        attach: Name of a column with a file for each row, or a list of files.
        mode: `"now"`; `"flex"` for the provider's cheaper and slower tier; `"batch"` for its Batch API, at
            half price: rows say `pending` until the same cell, run again later, finds their answers.
        max_cost: The most that the calls may cost together, in US dollars: each reserves its maximum.
        max_tokens: Output limit of an answer; by default 4,096, or what the verb needs, and room to reason.
        limit: Asks only the first rows; later, all rows do not pay for them again.
        on_error: `"keep"` notes a row's error in its column; `"raise"` stops at the first one.
        retry_failed: `True` asks again for what was not answered, `"all"` also for answers that were paid
            but refused, cut or misfitting; `False` for nothing.
        dedupe: Whether equal requests are one call.
        max_concurrent: The most calls at once; by default as many as the provider allows. Not for
            `mode="batch"`.
        job: A name for the job, for `ledger.summary(by="job")`.
        store: Whether answers are kept, so that nothing is paid twice; `False` keeps nothing.
        replace: Whether columns that exist are replaced.
        wait: Whether to wait for a batch; for `mode="batch"` only.
        meta: Whether to add `_status`, `_model`, `_input_tokens`, `_output_tokens`, `_cost` and `_uid`.
        tags: Labels of the calls in the ledger.
        progress: Whether to show a line while it runs.
        dry_run: Whether to send nothing and return a `Plan`: what it would cost.
        params: Further parameters of the calls, such as `temperature` or `effort`.
    """

    out: str | None = None
    model: str | BaseLLMClient | None = None
    system: str | None = None
    attach: str | None = None
    mode: Literal["now", "flex", "batch"] = "now"
    max_cost: float | None = None
    max_tokens: int | None = None
    limit: int | None = None
    on_error: Literal["keep", "raise"] = "keep"
    retry_failed: bool | Literal["all"] = True
    dedupe: bool = True
    max_concurrent: int | None = None
    job: str | None = None
    store: bool | AnswerStore = True
    replace: bool = False
    wait: bool = False
    meta: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: bool = True
    dry_run: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InvalidRequestError: If one of them is not possible.
        """
        self._check_texts()
        _one_of("mode", self.mode, MODES)
        _one_of("on_error", self.on_error, ("keep", "raise"))
        _one_of("retry_failed", self.retry_failed, (True, False, "all"))
        for name, least in (("max_tokens", 1), ("limit", 0), ("max_concurrent", 1)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _whole_number(name, value, least))
        if self.max_cost is not None:
            object.__setattr__(self, "max_cost", _amount(self.max_cost))
        for name in ("dedupe", "replace", "wait", "meta", "progress", "dry_run"):
            _one_of(name, getattr(self, name), (True, False))
        self._check_mode()

    def _check_mode(self) -> None:
        """Refuse what would do nothing."""
        if self.mode == "batch" and self.max_concurrent is not None:
            raise InvalidRequestError(
                'max_concurrent does nothing in mode="batch": the provider chooses the pace.',
                hint="Leave it out.",
            )
        if self.mode != "batch" and self.wait:
            raise InvalidRequestError(
                f'wait does nothing in mode="{self.mode}", which waits in any case.',
                hint='Leave it out, or use mode="batch".',
            )

    def _check_texts(self) -> None:
        for name in ("out", "system", "attach", "job"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value.strip()):
                raise InvalidRequestError(f"{name} must be a text, got {value!r:.40}.", hint="")
        model: object = self.model
        if not isinstance(model, (str, BaseLLMClient, NoneType)):
            raise InvalidRequestError(
                f"model must be a name or a client, got {type(model).__name__}.",
                hint='For example model="openai:gpt-6-luna".',
            )
        tags: object = self.tags
        if not isinstance(tags, Mapping) or not all(isinstance(value, str) for value in tags.values()):
            raise InvalidRequestError(
                f'tags must have the form {{"project": "x"}}, got {self.tags!r:.60}.', hint=""
            )


NAMES = tuple(one.name for one in fields(Options) if one.name != "params")
"""The options by name; every other keyword is a parameter of the calls."""

_TAKEN = {
    "messages": "the first argument",
    "stream": "no option",
    "schema": "no option of map",
    "tools": "no option",
}


def options_of(given: dict[str, Any], **defaults: Any) -> Options:
    """Return the options among the keywords of a verb; the rest are parameters of the calls.

    Args:
        given: The keywords.
        **defaults: Values of options that were not given.

    Returns:
        The options.

    Raises:
        InvalidRequestError: If one of them is not possible, or almost spelt like an option.
    """
    own = {name: given[name] for name in NAMES if name in given}
    params = {name: value for name, value in given.items() if name not in own}
    for name in params:
        if name in _TAKEN:
            raise InvalidRequestError(f"{name} cannot be given: it is {_TAKEN[name]}.", hint="")
        if (meant := nearest(name, NAMES, cutoff=ALMOST)) is not None:
            raise InvalidRequestError(f"There is no option {name!r:.40}.", hint=f"Did you mean {meant!r}?")
    if own.get("tags", 0) is None:
        own["tags"] = {}
    return Options(**{**defaults, **own}, params=params)


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if not any(value is one or (isinstance(one, str) and value == one) for one in allowed):
        raise InvalidRequestError(
            f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r:.40}.", hint=""
        )


def _whole_number(name: str, value: Any, least: int) -> int:
    """Return a number as Python's own; numpy has others."""
    if value is True or value is False or not isinstance(value, Integral) or value < least:
        raise InvalidRequestError(
            f"{name} must be a whole number of at least {least}, got {value!r:.40}.", hint=""
        )
    return int(value)


def _amount(value: Any) -> float:
    is_number = isinstance(value, (Real, Decimal)) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and value > 0):
        raise InvalidRequestError(f"max_cost must be US dollars, more than 0, got {value!r:.40}.", hint="")
    return float(value)
