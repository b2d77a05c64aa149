"""A provider's export of usage or costs, read into one table, whatever its shape.

Sources: OpenAI, "Usage" and "Costs" (`/v1/organization/usage/completions`, `/v1/organization/costs`);
Anthropic, "Usage and Cost API" (`usage_report/messages`, `cost_report`); CSV under the usual names.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO

if TYPE_CHECKING:
    from collections.abc import Iterator

MEASURES = ("calls", "input_tokens", "cache_read_tokens", "output_tokens", "nanos")
"""Measures of an export, if it has them; input tokens include cached ones."""

CENT = NANO // 100
DAY = timedelta(days=1)

LARGEST = 10**9
"""Maximum amount, in dollars or cents: sums of nano-dollars must fit into 64 bits."""

MOST = 10**15
"""Maximum count, for the same reason."""

NAMES: dict[str, tuple[str, ...]] = {
    "day": (
        "day", "date", "usage_date", "usage_date_utc", "start_time", "start_time_iso", "starting_at",
        "timestamp", "time",
    ),
    "model": ("model", "model_name", "model_version", "model_id", "line_item"),
    "calls": ("calls", "requests", "num_model_requests", "num_requests", "request_count", "n_requests"),
    "input": ("input_tokens", "prompt_tokens", "n_context_tokens_total", "tokens_in"),
    "fresh": ("uncached_input_tokens", "input_tokens_no_cache", "usage_input_tokens_no_cache"),
    "cached": (
        "cache_read_input_tokens", "input_cached_tokens", "cached_tokens", "cached_input_tokens",
        "cache_read_tokens", "usage_input_tokens_cache_read",
    ),
    "written": ("cache_creation_input_tokens", "cache_write_tokens"),
    "written_5m": ("ephemeral_5m_input_tokens", "usage_input_tokens_cache_write_5m"),
    "written_1h": ("ephemeral_1h_input_tokens", "usage_input_tokens_cache_write_1h"),
    "output": (
        "output_tokens", "completion_tokens", "n_generated_tokens_total", "usage_output_tokens", "tokens_out",
    ),
    "cost": (
        "cost", "cost_usd", "usd", "total_cost", "total_cost_usd", "amount", "amount_usd", "amount_value",
        "spend",
    ),
    "currency": ("currency", "amount_currency"),
}  # fmt: skip
"""Names of columns in exports, by their content."""


@dataclass(frozen=True, slots=True)
class Export:
    """A provider's usage report.

    Attributes:
        usage: One row per day and model: `day` (UTC midnight), `model` (`""` if unknown) and `MEASURES`
            (`Int64`, NA where the export has no value).
        provider: The provider, if the format identifies it.
        first: The first day of the report.
        end: The day after the last one.
    """

    usage: pd.DataFrame
    provider: str | None
    first: datetime
    end: datetime


def read(source: Any) -> Export:
    """Read an export.

    Example:
        >>> result = {"input_tokens": 5000, "output_tokens": 1000, "model": "gpt-6-luna"}
        >>> export = read({"data": [{"start_time": 1730419200, "results": [result]}]})
        >>> export.provider, export.usage[["model", "input_tokens"]].values.tolist()
        ('openai', [['gpt-6-luna', 5000]])
    """
    if isinstance(source, pd.DataFrame):
        return _table(source.reset_index() if any(source.index.names) else source)
    if isinstance(source, (Mapping, list, tuple)):
        return _pages(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Cannot read the export {str(path)[:150]}: {str(error)[:150]}.") from error
    return _text(text, path.name[:150])


def _text(text: str, name: str) -> Export:
    """Read the text of a file: JSON or CSV."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return _pages(json.loads(text, parse_float=Decimal))
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"The export {name} is not valid JSON: {error}.") from error
    try:
        table = pd.read_csv(io.StringIO(text), dtype="str")
    except pd.errors.ParserError as error:
        raise ConfigurationError(f"The export {name} is not valid CSV: {str(error)[:150]}.") from error
    except pd.errors.EmptyDataError as error:
        raise ConfigurationError(f"The export {name} is empty.") from error
    return _table(table)


def base_name(model: str) -> str:
    """Return a model's name without its date or folder, for a second search.

    Example:
        >>> base_name("gpt-4o-mini-2024-07-18"), base_name("models/gemini-2.5-pro")
        ('gpt-4o-mini', 'gemini-2.5-pro')
    """
    return re.sub(r"-(\d{4}-\d\d-\d\d|\d{8})$", "", model.rpartition("/")[2]).lower()


def _pages(source: Any) -> Export:
    """Read the pages of an API."""
    rows: list[dict[str, Any]] = []
    first = end = None
    for bucket in _buckets(source):
        starts, ends = _span(bucket)
        first, end = min(first or starts, starts), max(end or ends, ends)
        rows += [{"day": starts, **_result(result)} for result in bucket.get("results", bucket.get("result"))]
    if first is None or end is None:
        raise _unknown("no time buckets")
    owners = {row.pop("provider") for row in rows}
    return _export(rows, owners.pop() if len(owners) == 1 else None, first, end)


def _buckets(source: Any) -> Iterator[Mapping[str, Any]]:
    for part in source if isinstance(source, (list, tuple)) else [source]:
        if not isinstance(part, Mapping):
            raise _unknown(f"a list of {type(part).__name__}")
        if isinstance(part.get("data"), list):
            yield from _buckets(part["data"])
        elif isinstance(part.get("results", part.get("result")), list):
            yield part
        else:
            raise _unknown(f"an object with {_listed(part) or 'nothing in it'}")


def _unknown(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The export holds {what}; needed are OpenAI's or Anthropic's pages of usage or costs: data, with"
        " start_time or starting_at, and results.",
        hint="Or pass a CSV file or a DataFrame with the columns date, model, and tokens or cost.",
    )


def _span(bucket: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return the day of a bucket, and the day after."""
    starts = _moment(bucket.get("start_time", bucket.get("starting_at")))
    day = _midnight(starts)
    given = bucket.get("end_time", bucket.get("ending_at"))
    if given is not None and _moment(given) > day + DAY:
        raise ConfigurationError(
            f"A bucket of the export, from {starts:%Y-%m-%d %H:%M}, is longer than a UTC day.",
            hint="Use bucket_width=1d for the export.",
        )
    return day, day + DAY


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _moment(value: Any) -> datetime:
    """Return a time: seconds since 1970, or ISO 8601, which without a zone is UTC."""
    try:
        if isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and value.strip().isdecimal()):
            return datetime.fromtimestamp(int(value), UTC)
        when = datetime.fromisoformat(str(value).strip())  # also of a datetime or a pandas Timestamp
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"The export has {str(value)[:50]!r} instead of a date.", hint="Use the form 2026-11-22."
        ) from error
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Read one result of a bucket."""
    amount = result.get("amount")
    if isinstance(amount, Mapping):
        _dollars_only(amount.get("currency"))
        model = str(result.get("line_item") or "").partition(",")[0].strip()
        return {"provider": "openai", "model": model, "nanos": _nanos(amount.get("value"), NANO)}
    if amount is not None:
        _dollars_only(result.get("currency"))
        return {"provider": "anthropic", "model": result.get("model"), "nanos": _nanos(amount, CENT)}
    if "uncached_input_tokens" in result:
        read, written = _count(result.get("cache_read_input_tokens")), result.get("cache_creation") or {}
        parts = [_count(result["uncached_input_tokens"]), read, *map(_count, written.values())]
        return {
            "provider": "anthropic",
            "model": result.get("model"),
            "input_tokens": sum(part or 0 for part in parts),
            "cache_read_tokens": read,
            "output_tokens": _count(result.get("output_tokens")),
        }
    if "input_tokens" in result:
        return {
            "provider": "openai",
            "model": result.get("model"),
            "calls": _count(result.get("num_model_requests")),
            "input_tokens": _count(result["input_tokens"]),
            "cache_read_tokens": _count(result.get("input_cached_tokens")),
            "output_tokens": _count(result.get("output_tokens")),
        }
    raise _unknown(f"results with {_listed(result)}")


def _dollars_only(currency: Any) -> None:
    if str(currency or "usd").lower() != "usd":
        raise ConfigurationError(f"The export is in {str(currency)[:20]}; the ledger uses US dollars.")


def _nanos(value: Any, unit: int) -> int:
    """Return an exact amount in nano-dollars; a float counts as it prints."""
    return int((_number(value, "an amount", LARGEST) * unit).to_integral_value())


def _count(value: Any) -> int | None:
    if value is None or pd.isna(value):
        return None
    number = _number(value, "a count", MOST)
    if number != number.to_integral_value():
        raise _misplaced(value, "a count")
    return int(number)


def _number(value: Any, what: str, largest: int) -> Decimal:
    try:
        number = Decimal(str(value).replace("$", "").replace(",", "").strip())
    except InvalidOperation as error:
        raise _misplaced(value, what) from error
    if not number.is_finite() or abs(number) > largest:
        raise _misplaced(value, what)
    return number


def _misplaced(value: Any, what: str) -> ConfigurationError:
    return ConfigurationError(f"The export has {str(value)[:50]!r} instead of {what}.")


def _table(table: pd.DataFrame) -> Export:
    """Read a table with one or more rows per day and model."""
    columns = _columns(table)
    rows = [_row(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    if not rows:
        raise ConfigurationError("The export has no rows.")
    days = [row["day"] for row in rows]
    return _export(rows, None, min(days), max(days) + DAY)


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns by their content, a key of `NAMES`."""
    plain = {column: re.sub(r"\W+", "_", str(column).strip().lower()).strip("_") for column in table}
    fitting = {kind: _fitting(plain, kind) for kind in NAMES}
    found = {kind: table[columns[0]].tolist() for kind, columns in fitting.items() if columns}
    lacking = [kind for kind in ("day", "model") if kind not in found]
    if "cost" not in found and not ({"input", "fresh"} & found.keys() and "output" in found):
        lacking.append("cost, or input and output tokens")
    if lacking:
        raise ConfigurationError(
            f"The export has the columns {_listed(plain)}; missing: {', '.join(lacking)}.",
            hint="Rename them to date, model, input_tokens, output_tokens, cost_usd.",
        )
    return found


def _fitting(plain: Mapping[Any, str], kind: str) -> list[Any]:
    """Return the columns with a name for this content, the most common name first."""
    names = NAMES[kind]
    columns = sorted((c for c in plain if plain[c] in names), key=lambda c: names.index(plain[c]))
    if len(columns) > 1 and kind != "day":  # several dates are the same moment, so the first is used
        raise ConfigurationError(
            f"The export has several columns for the {kind}: {_listed(columns)}.",
            hint="Keep only one.",
        )
    return columns


def _row(values: dict[str, Any]) -> dict[str, Any]:
    _dollars_only(None if pd.isna(values.get("currency")) else values["currency"])
    count = {
        kind: _count(value)
        for kind, value in values.items()
        if kind not in {"day", "model", "cost", "currency"}
    }
    parts = [count.get(kind) or 0 for kind in ("fresh", "cached", "written", "written_5m", "written_1h")]
    whole = sum(parts) if "fresh" in count else count.get("input")
    return {
        "day": _midnight(_moment(values["day"])),
        "model": "" if pd.isna(values["model"]) else str(values["model"]).partition(",")[0].strip(),
        "calls": count.get("calls"),
        "input_tokens": whole,
        "cache_read_tokens": count.get("cached"),
        "output_tokens": count.get("output"),
        "nanos": None if pd.isna(values.get("cost")) else _nanos(values["cost"], NANO),
    }


def _listed(names: Any) -> str:
    return ", ".join(str(name)[:30] for name in list(names)[:8])


def _export(rows: list[dict[str, Any]], provider: str | None, first: datetime, end: datetime) -> Export:
    data = pd.DataFrame(rows, columns=["day", "model", *MEASURES])
    data["model"] = [str(row["model"] or "") for row in rows]
    data["day"] = pd.to_datetime(data["day"], utc=True)
    data[[*MEASURES]] = data[[*MEASURES]].astype("Int64")
    usage = data.groupby(["day", "model"], sort=True).sum(min_count=1).reset_index()
    return Export(usage, provider, first, end)
