"""Prices of many calls at once: rates are looked up once per group, and rows are arrays.

The arithmetic is that of `llmkit.prices` in integers, and agrees with it to the nano-dollar.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from llmkit import prices
from llmkit.content.messages import Usage
from llmkit.core.money import to_nanos
from llmkit.core.timestamps import EPOCH, from_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import time
    from decimal import Decimal

    from llmkit.prices.rates import Listing, Rates

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

MILLION = 1_000_000
DAY = 86_400 * MILLION
"""Microseconds of a day."""

LARGEST = 2**63 - 1


class Parts(NamedTuple):
    """Tokens of many calls: `rates.Tokens` with arrays."""

    input: Array
    output: Array
    cache_read: Array
    cache_write: Array
    cache_write_1h: Array


@dataclass(frozen=True, slots=True)
class Priced:
    """Prices of some calls.

    Attributes:
        nanos: Billionths of a US dollar; 0 if unknown.
        known: Whether the price is known.
        sources: Source of the price, `""` if unknown.
        exact: Whether it covers everything used; set only for calls that are `"incomplete"`.
    """

    nanos: Array
    known: Array
    sources: Array
    exact: Array


class Group(NamedTuple):
    """Calls of one model in one service tier, with the places of their rows."""

    provider: str
    models: tuple[str, ...]
    tier: str | None
    rows: Array


def priced(
    frame: pd.DataFrame,
    *,
    model: tuple[str, str] | None = None,
    own: Mapping[str, Mapping[str, float]] | None = None,
    cached: float | None = None,
    when: datetime | None = None,
) -> Priced:
    """Return the prices of calls.

    Example:
        >>> from llmkit.costs.ledger import Ledger
        >>> priced(Ledger(":memory:").df).nanos.tolist()
        []
    """
    parts, units = tokens_of(frame, cached), Units(frame)
    countable = (frame["input_tokens"].notna() & frame["output_tokens"].notna()).to_numpy()
    found = Priced(
        np.zeros(len(frame), np.int64),
        np.zeros(len(frame), bool),
        np.full(len(frame), "", dtype=object),
        np.zeros(len(frame), bool),
    )
    micros = None if when is not None else frame["time"].dt.as_unit("us").astype("int64").to_numpy()
    for group in groups_of(frame, model):
        rows = group.rows[countable[group.rows]]
        for moment, some in _periods(group, rows, when, micros):
            find = partial(prices.listing, group.provider, when=moment, tier=group.tier, own=own)
            if (listing := find(group.models)) is None:
                continue
            apart = units.among(some, listing)
            _price(found, listing, some[~apart], parts)
            for row in some[apart].tolist():
                usd, found.exact[row] = prices.total(listing, units.usage(row, parts), partial(_one, find))
                _note(found, row, to_nanos(usd), listing.source)
    return found


def _one(find: Callable[[tuple[str, ...]], Listing | None], model: str) -> Listing | None:
    return find((model,))


class Units:
    """Units other than tokens; the few calls with such units are priced one by one."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._texts = frame["units"].to_numpy(dtype=object)
        self._some = frame["units"].notna().to_numpy()
        # Whether the price of an incomplete call is exact now depends on all of its units.
        self._apart = self._some | (frame["usage_source"] == "incomplete").to_numpy()
        self._reasoning = frame["reasoning_tokens"].fillna(0).to_numpy(dtype=np.int64)

    def among(self, rows: Array, listing: Listing) -> Array:
        """Return a mask of the rows that must be priced one by one."""
        if any(rates.by_row for rates in listing.rates):
            return np.ones(len(rows), bool)
        apart: Array = self._apart[rows]
        return apart

    def usage(self, row: int, parts: Parts) -> Usage:
        """Return the complete usage of a call."""
        units = json.loads(self._texts[row]) if self._some[row] else {}
        return Usage(
            **{f"{name}_tokens": int(part[row]) for name, part in zip(Parts._fields, parts, strict=True)},
            reasoning_tokens=int(self._reasoning[row]),
            units=units,
        )


def tokens_of(frame: pd.DataFrame, cached: float | None = None) -> Parts:
    """Return the tokens as `prices.price` counts them: each part is limited to the whole."""
    names = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
    whole, output, read, write, hour = (
        frame[f"{name}_tokens"].fillna(0).to_numpy(dtype=np.int64) for name in names
    )
    if cached is not None:
        share = round(cached * MILLION)  # in two steps, because the product might not fit into 64 bits
        read = whole // MILLION * share + (whole % MILLION * share + MILLION // 2) // MILLION
    read = np.minimum(read, whole)
    write = np.minimum(write, whole - read)
    return Parts(whole, output, read, write, np.minimum(hour, write))


def groups_of(frame: pd.DataFrame, model: tuple[str, str] | None = None) -> Iterator[Group]:
    """Group calls by everything that their price depends on, except tokens and time."""
    keys = frame[["provider", "model", "model_served", "service_tier"]]
    codes = keys.groupby(list(keys), dropna=False, observed=True, sort=False).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(codes) else ():
        words = [None if pd.isna(word) else str(word) for word in keys.iloc[rows[0]]]
        yield _group(words, model, rows)


def _group(words: list[str | None], model: tuple[str, str] | None, rows: Array) -> Group:
    provider, asked, served, tier = words
    if model is not None:
        return Group(model[0], model[1:], tier if provider == model[0] else None, rows)
    return Group(provider or "", tuple(dict.fromkeys(name for name in (served, asked) if name)), tier, rows)


def _periods(
    group: Group, rows: Array, when: datetime | None, micros: Array | None
) -> Iterator[tuple[datetime, Array]]:
    """Split a group's rows by periods of constant prices; yield one time of each with its rows."""
    if when is not None or micros is None:
        yield when or datetime.now(UTC), rows
        return
    dates, clocks = prices.turns(group.provider, group.models)
    days = np.array([date.toordinal() - EPOCH.toordinal() for date in dates], np.int64)
    ticks = np.array([_ticks(clock) for clock in clocks], np.int64)
    times = micros[rows]
    periods = np.searchsorted(days, times // DAY, side="right") * (len(ticks) + 1)
    periods += np.searchsorted(ticks, times % DAY, side="right")
    for period in np.unique(periods):
        some = rows[periods == period]
        yield from_micros(int(micros[some[0]])), some


def _ticks(clock: time) -> int:
    return (clock.hour * 3600 + clock.minute * 60 + clock.second) * MILLION + clock.microsecond


def _price(found: Priced, listing: Listing, rows: Array, parts: Parts) -> None:
    """Store the prices of rows."""
    brackets = np.searchsorted(np.array(listing.starts, np.int64), parts.input[rows], side="left")
    for bracket, rates in enumerate(listing.rates):
        some = rows[brackets == bracket]
        nanos = cost(rates, Parts(*(part[some] for part in parts)))
        fits = np.abs(nanos) <= LARGEST  # a price beyond 64 bits cannot be stored, so it is unknown
        _note(found, some[fits], nanos[fits], listing.source)


def _note(found: Priced, rows: Array | int, nanos: Array | int, source: str) -> None:
    if isinstance(nanos, int) and abs(nanos) > LARGEST:
        return
    found.nanos[rows] = nanos
    found.known[rows] = True
    found.sources[rows] = source


def cost(rates: Rates, tokens: Parts) -> Array:
    """Return what tokens cost, in billionths of a US dollar, half to even.

    Example:
        >>> rates = prices.listing("openai", ("gpt-4o-mini",)).rates[0]
        >>> cost(rates, Parts(*np.array([[10], [1], [0], [0], [0]]))).tolist()
        [2100]
    """
    short = tokens.cache_write - tokens.cache_write_1h
    plain = tokens.input - tokens.cache_read - tokens.cache_write
    amounts: list[Array] = [plain, tokens.output, tokens.cache_read, short, tokens.cache_write_1h]
    order = (rates.input, rates.output, rates.cache_read, rates.cache_write, rates.cache_write_1h)
    factors, divisor = _integers(order)
    largest = [max((abs(int(end)) for end in (a.min(), a.max())), default=0) for a in amounts if len(a)]
    if divisor + sum(factor * top for factor, top in zip(factors, largest, strict=False)) > LARGEST // 2:
        # Python integers do not overflow; they are slower, so only where 64 bits may not suffice.
        amounts = [amount.astype(object) for amount in amounts]
    total: Array = sum((factor * amount for factor, amount in zip(factors, amounts, strict=True)), 0 * plain)
    return total if divisor == 1 else _rounded(total, divisor)


def _integers(rates: Sequence[Decimal]) -> tuple[list[int], int]:
    """Return nano-dollars per token as integers, and their common divisor."""
    each = [(rate * 1000).normalize() for rate in rates]
    digits = max(0, *(-int(rate.as_tuple().exponent) for rate in each))
    return [int(rate.scaleb(digits)) for rate in each], 10**digits


def _rounded(total: Array, divisor: int) -> Array:
    whole: Array = total // divisor
    twice = 2 * (total - whole * divisor)
    up: Array = (twice > divisor) | ((twice == divisor) & (whole % 2 == 1))
    return np.add(whole, up)
