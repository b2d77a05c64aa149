"""Calls whose process died before they ended: how an intent is stored, and the row that is made of it."""

from __future__ import annotations

import json
import logging
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson

from llmkit import prices
from llmkit.content.messages import Usage
from llmkit.content.usage_bound import UsageBound
from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import from_micros, micros
from llmkit.costs.store import rows
from llmkit.costs.store.rows import salvage
from llmkit.prices import worst_case
from llmkit.records import CallContext, CallIntent, CallRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.costs.store.rows import Row
    from llmkit.prices import Price

logger = logging.getLogger(__name__)

USUAL_OUTPUT = 300
"""Tokens of an answer, where the ledger has no answers of the model."""

_PLAIN: dict[str, Callable[[Any], Any]] = {
    "uid": str, "provider": str, "model": str, "input_tokens": int, "session": str, "simulated": bool,
    "fallback_from": str, "at_most_nanos": int, "spent_nanos": int, "lease_s": float,
}  # fmt: skip
_CONTEXT = ("surface", "notebook", "cell_id", "execution_count", "parent_uid", "step")
_FIELDS = (*_PLAIN, *_CONTEXT, "time", "most", "tags")
"""The order of an intent's values; new ones are added at the end."""

_plain_values = attrgetter(*_PLAIN)
_context_values = attrgetter(*_CONTEXT)


def encode(intent: CallIntent) -> str:
    """Return an intent as JSON: its values without their names, for each call pays for these bytes."""
    context = intent.context
    values = [
        *_plain_values(intent), *_context_values(context),
        micros(intent.time), tuple(intent.most), dict(context.tags),
    ]  # fmt: skip
    try:
        return orjson.dumps(values).decode()
    except TypeError:  # a lone surrogate, or a value of another package
        return json.dumps(values, default=str)


def decode(text: str) -> CallIntent | None:
    """Return the intent that JSON describes, without what a newer llmkit added; `None` if it is damaged."""
    try:
        pairs = zip(_FIELDS, json.loads(text), strict=False)
        values = {name: value for name, value in pairs if value is not None}
        context = CallContext(
            tags=dict(values["tags"]),
            **{name: values[name] for name in _CONTEXT if name in values},
        )
        return CallIntent(
            context=context,
            time=from_micros(values["time"]),
            most=_bound(values["most"]),
            **{name: kind(values[name]) for name, kind in _PLAIN.items() if name in values},
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _bound(values: list[Any]) -> UsageBound:
    most = UsageBound(*values[: len(UsageBound._fields)])
    return most._replace(
        input_tokens=int(most.input_tokens),
        output_tokens=int(most.output_tokens),
        input_kinds=tuple(map(str, most.input_kinds)),
        searches=int(most.searches),
        tiers=tuple(tier if tier is None else str(tier) for tier in most.tiers) or (None,),
    )


def row_of(text: str, usual_output: Callable[[str, str], int | None]) -> Row | None:
    """Return the row of a call whose process died; `None` if its intent is damaged.

    Args:
        text: The intent as JSON.
        usual_output: Function of provider and model; see `record_of`.
    """
    intent = decode(text)
    if intent is None:
        logger.debug("The intent of a call is damaged: %.200s", text)
        return None
    return salvage(rows.encode(record_of(intent, usual_output(intent.provider, intent.model))))


def record_of(intent: CallIntent, usual_output: int | None) -> CallRecord:
    """Return the row of a call whose process died.

    Args:
        intent: The call.
        usual_output: Tokens of the usual answer of its model; `None` if the ledger has no answers of it.

    Returns:
        The record, with an estimate of the cost and its bound.
    """
    most, context = intent.most, intent.context
    output = min(USUAL_OUTPUT if usual_output is None else usual_output, most.output_tokens)
    price = _price(intent, output)
    cost = None if price is None else price.nanos + intent.spent_nanos
    at_most = _at_most(intent)
    return CallRecord(
        time=intent.time,
        uid=intent.uid,
        status="lost",
        surface=context.surface,
        provider=intent.provider,
        model=intent.model,
        input_tokens=intent.input_tokens,
        output_tokens=output,
        cost_nanos=cost,
        price_source=None if price is None else price.source,
        price_date=None if price is None else price.date,
        usage_source="estimated",
        notebook=context.notebook,
        cell_id=context.cell_id,
        execution_count=context.execution_count,
        session=intent.session,
        tags=context.tags,
        simulated=intent.simulated,
        fallback_from=intent.fallback_from,
        at_most_nanos=at_most if at_most is not None and at_most > (cost or 0) else None,
        parent_uid=context.parent_uid,
        step=context.step,
    )


def _price(intent: CallIntent, output: int) -> Price | None:
    usage = Usage(input_tokens=intent.input_tokens, output_tokens=output)
    tier = intent.most.tiers[-1]
    try:
        return prices.price(intent.provider, (intent.model,), usage, when=intent.time, tier=tier)
    except ConfigurationError as error:  # the user's table of prices cannot be read
        logger.warning("Cannot price a lost call: %s", error)
        return None


def _at_most(intent: CallIntent) -> int | None:
    if intent.at_most_nanos is not None:
        return intent.at_most_nanos
    try:
        nanos = worst_case.nanos(intent.provider, intent.model, intent.most, intent.time)
    except ConfigurationError:  # as in `_price`
        return None
    return None if nanos is None else nanos + intent.spent_nanos
