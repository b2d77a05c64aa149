"""The verbs on Dask frames: each partition is asked where it is, when the frame is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmkit.clients.base import BaseLLMClient
from llmkit.core import settings
from llmkit.core.errors import InvalidRequestError
from llmkit.frames.asked_model import AskedModel
from llmkit.frames.options import Options
from llmkit.frames.plan import sum_of_plans
from llmkit.frames.question import Question
from llmkit.frames.shared_job import SharedJob, part_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from llmkit.frames.plan import Plan


def lazily(verb: str, frame: Any, **given: Any) -> Any:
    """Return the lazy frame of a verb; with `dry_run=True` the plan of all partitions.

    Args:
        verb: Name of the verb.
        frame: The Dask frame.
        **given: The arguments of the verb.

    Raises:
        InvalidRequestError: If an argument is not possible, on Dask frames or at all.
    """
    given = {name: _repeatable(value) for name, value in given.items()}
    _check(given)
    given |= _settled(given)
    function = getattr(import_module("llmkit.frames"), verb)
    # The verb itself says what is wrong with its arguments, and of which types its columns are.
    empty = frame._meta  # noqa: SLF001 - Dask's own name for the empty frame of the same columns
    meta = _in_utc(function(empty, **{**given, "dry_run": False}), empty)
    part = _Part(verb, given, SharedJob(), dict(meta.dtypes))
    if given.get("dry_run"):
        return _plan(part, frame)
    return frame.map_partitions(part, meta=meta)


@dataclass(frozen=True, slots=True)
class _Part:
    """Asks for the rows of a partition; it travels to the workers, without a key or an address.

    Attributes:
        verb: Name of the verb.
        given: Its arguments but for the frame.
        job: The job of all partitions.
        types: Types of the columns of the new frame.
    """

    verb: str
    given: Mapping[str, Any]
    job: SharedJob
    types: Mapping[str, Any]

    def __str__(self) -> str:
        return f"llm_{self.verb}"  # Dask names its tasks by it

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        return _of_types(self.ask(frame), self.types)

    def ask(self, frame: pd.DataFrame) -> Any:
        """Return the frame of a partition, or its plan."""
        with part_of(self.job):
            return getattr(import_module("llmkit.frames"), self.verb)(frame, **self.given)


def _plan(part: _Part, frame: Any) -> Plan:
    from dask.delayed import delayed

    ask = delayed(part.ask, pure=False)
    return sum_of_plans(delayed([ask(one) for one in frame.to_delayed()]).compute())


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what needs all rows at once, or what a graph must not hold."""
    model, prompt, store = given.get("model"), given["prompt"], given.get("store", True)
    refused = (
        (
            isinstance(model, BaseLLMClient),
            "On a Dask frame model must be a name: a client has a key, which does not travel to the workers.",
            'For example model="openai:gpt-6-luna"; each worker reads the key from its own environment.',
        ),
        (
            not (isinstance(prompt, str) or callable(prompt)),
            f"On a Dask frame a prompt is a template, a column or a callable, got {type(prompt).__name__}.",
            "Make it a column first.",
        ),
        (
            given.get("mode") == "batch",
            'mode="batch" does not work on a Dask frame: each partition would be a batch of its own.',
            'Use mode="flex", or compute the frame first: frame.compute().',
        ),
        (
            given.get("limit") is not None,
            "limit does not work on a Dask frame, whose rows nobody has counted.",
            "Ask some rows: frame.head(20, npartitions=-1).llm…; all rows do not pay for them again.",
        ),
        (
            given.get("dedupe") is False,
            "dedupe=False does not work on a Dask frame, where no partition knows the others' rows.",
            "Compute the frame first: frame.compute().",
        ),
        (
            not isinstance(store, bool),
            "On a Dask frame store is True or False: each worker opens the store beside its own ledger.",
            "Set LLMKIT_LEDGER for the workers.",
        ),
        (
            store is False and given.get("max_cost") is not None,
            "max_cost on a Dask frame needs the store of answers, in which the workers add up their costs.",
            "Leave store=False out.",
        ),
    )
    for is_so, why, what_next in refused:
        if is_so:
            raise InvalidRequestError(why, hint=what_next)


def _settled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that this process decides for all workers."""
    found: dict[str, Any] = {"progress": False}
    if given.get("model") is None:
        own = {name: given[name] for name in ("mode", "max_tokens") if name in given}
        found["model"] = AskedModel(Options(**own), Question()).name
    if given.get("max_tokens") is None:
        found["max_tokens"] = settings.load().max_tokens
    return found


def _repeatable(value: Any) -> Any:
    """Return a value that every partition can read: an iterator only gives its items once."""
    return list(value) if isinstance(value, Iterator) else value


def _in_utc(found: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Return an empty frame whose new datetimes have a zone: partitions do not know one another's."""
    import pandas as pd

    old = dict(given.dtypes)
    is_datetime = pd.api.types.is_datetime64_any_dtype
    new = [name for name, dtype in found.dtypes.items() if is_datetime(dtype) and old.get(name) != dtype]
    return _of_types(found, dict.fromkeys(new, pd.DatetimeTZDtype("us", "UTC")))


def _of_types(frame: pd.DataFrame, types: Mapping[Any, Any]) -> pd.DataFrame:
    """Return a frame whose columns have these types."""
    import pandas as pd

    for name, dtype in types.items():
        column = frame[name]
        if column.dtype == dtype:
            continue
        if isinstance(dtype, pd.DatetimeTZDtype) and getattr(column.dtype, "tz", None) is None:
            column = column.dt.tz_localize("UTC")
        frame[name] = column.astype(dtype)
    return frame
