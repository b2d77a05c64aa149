"""What calls would have cost on other terms: another model, other prices, more cached input.

Nothing is written. The token counts are kept, although another model's tokenizer would count slightly
differently.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit import prices as pricing
from llmkit.core import catalog, naming, settings
from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO, format_money
from llmkit.core.timestamps import aware
from llmkit.costs.frame.summary import LEFT_OUT, integers
from llmkit.costs.price_rules import billed
from llmkit.costs.pricing import bulk
from llmkit.costs.sums import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    Prices = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Repriced:
    """What calls cost, and what they would have cost on other terms.

    Replayed calls cost nothing on either terms: they are included in the number of calls and in savings.

    Attributes:
        df: By provider and model, most expensive first: calls, input_tokens, output_tokens, cost_usd,
            what_if_usd, difference_usd, unpriced, what_if_unpriced, saved_usd, what_if_saved_usd.
        calls: Number of calls.
        cost_nanos: Sum of the known costs, in nano-dollars.
        what_if_nanos: Sum of the known costs on the other terms, in nano-dollars.
        difference_nanos: The increase, over the calls with both costs known.
        compared_nanos: The cost of those calls.
        priced: Number of calls with a known cost, without replays.
        what_if_priced: Number of calls with a known cost on the other terms, without replays.
        unpriced: Number of calls with an unknown cost.
        what_if_unpriced: Number of calls with an unknown cost on the other terms, e.g. without token counts.
        saved_usd: Savings by replays, in US dollars.
        what_if_saved_usd: Savings by replays on the other terms, in US dollars.
        terms: Description of the other terms.
        simulated: Whether the sandbox's calls are included, so that the money is not real.
        simulated_calls: Number of included calls that the sandbox answered.
        left_out: Number of the sandbox's calls that are excluded, because real calls cost something.
    """

    df: pd.DataFrame
    calls: int
    cost_nanos: int
    what_if_nanos: int
    difference_nanos: int
    compared_nanos: int
    priced: int
    what_if_priced: int
    unpriced: int
    what_if_unpriced: int
    saved_usd: float
    what_if_saved_usd: float
    terms: str
    simulated: bool = False
    simulated_calls: int = 0
    left_out: int = 0

    @property
    def cost_usd(self) -> float:
        """The known cost in US dollars; NaN if no price is known."""
        return _usd(self.cost_nanos, self.priced, self.unpriced)

    @property
    def what_if_usd(self) -> float:
        """The known cost on the other terms in US dollars; NaN if no price is known."""
        return _usd(self.what_if_nanos, self.what_if_priced, self.what_if_unpriced)

    @property
    def difference_usd(self) -> float:
        """The increase in US dollars, over the calls with both costs known."""
        return self.difference_nanos / NANO

    def __repr__(self) -> str:
        what = counted(self.calls, self.simulated_calls)
        first = f"{what}: {format_money(self.cost_usd)}{_unknown(self.unpriced)}"
        change = f"{self.difference_nanos / self.compared_nanos:+.0%}" if self.compared_nanos else ""
        partly = ", where both are known" if change and self.unpriced != self.what_if_unpriced else ""
        second = f"{self.terms}: {format_money(self.what_if_usd)}" + (
            f" ({change}{partly})" if change else ""
        )
        text = f"{first}; {second}{_unknown(self.what_if_unpriced)}"
        if self.saved_usd or self.what_if_saved_usd:
            text += f"; saved by replay: {format_money(self.saved_usd)}"
            text += f", then {format_money(self.what_if_saved_usd)}"
        return text + (f"; {counted(self.left_out, self.left_out)} left out" if self.left_out else "")

    def _repr_html_(self) -> str:
        first, _, rest = repr(self).partition("; ")
        table = self.df.to_html(border=0, float_format=format_money, na_rep="$?") if len(self.df) else ""
        return (
            '<div class="mathjax_ignore tex2jax_ignore">'
            f"{html.escape(first)}<br><b>{html.escape(rest)}</b>{table}</div>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def what_if(
    frame: pd.DataFrame,
    model: str | None = None,
    prices: Prices | None = None,
    cached: float | None = None,
    when: date | str | None = None,
) -> Repriced:
    """Return what calls would have cost on other terms.

    Example:
        >>> from llmkit.costs.ledger import Ledger
        >>> table = {"m": {"input": 1, "output": 2}}
        >>> what_if(Ledger(":memory:").exact, model="m", prices=table)
        0 calls: $0.00; on m at the given prices: $0.00
    """
    own = settings.price_table(prices) if prices is not None else None
    if cached is not None and not 0 <= cached <= 1:
        raise ConfigurationError(
            f"cached must be between 0 and 1, got {cached!r}.", hint="Pass a number from 0 to 1."
        )
    at = aware(when) or datetime.now(UTC)
    target = None if model is None else target_of(model, own, at)
    other = bulk.priced(frame, model=target, own=own, cached=cached, when=at)
    return _compared(frame, other, _terms(target, own, cached, at))


def target_of(model: str, own: Prices | None, when: datetime) -> tuple[str, str]:
    """Return the provider and the name of a model whose price is known.

    Example:
        >>> target_of("gpt-6-luna", None, datetime.now(UTC))
        ('openai', 'gpt-6-luna')
    """
    name = _full_name(str(model), {**settings.load().prices, **(own or {})})
    provider, _, rest = name.rpartition(":") if name.startswith(":") else name.partition(":")
    if pricing.listing(provider, (rest,), when=when, own=own) is None:
        raise ConfigurationError(
            f"The price of {name[:100]} is unknown.",
            hint='Pass it in US dollars per million tokens: prices={"model": {"input": …, "output": …}}.',
        )
    return provider, rest


def _full_name(model: str, tables: Prices) -> str:
    """Return `provider:model`; `:model` if only a price table knows it."""
    name, known = naming.follow(model.strip()), catalog.providers()
    provider, colon, rest = name.partition(":")
    if provider and colon and rest:
        return f"{provider}:{known[provider].plain(rest)}" if provider in known else name
    if name in known and known[name].models:
        return f"{name}:{known[name].models[0]}"
    if owners := naming.owners(name):  # several serve it at the same price, e.g. Google's two clients
        return f"{owners[0]}:{name}"
    if name in tables:
        return f":{name}"
    if naming.is_provider(name):
        raise ConfigurationError(f"{name} is a provider, not a model.", hint=f"Use the form {name}:MODEL.")
    raise naming.unknown_name(name, tables)


def _terms(target: tuple[str, str] | None, own: Prices | None, cached: float | None, when: datetime) -> str:
    """Describe the other terms."""
    at = f"prices of {when.astimezone():%Y-%m-%d}"
    if own is not None:
        found = None if target is None else pricing.listing(target[0], target[1:], when=when, own=own)
        if found is None:
            at = f"the given prices, otherwise {at}"
        elif found.source == "given":
            at = "the given prices"
    on = "" if target is None else f"on {':'.join(filter(None, target))} "
    share = "" if cached is None else f", {100 * cached:g} % of the input cached"
    return f"{on}at {at}{share}"


def _compared(frame: pd.DataFrame, other: bulk.Priced, terms: str) -> Repriced:
    """Return the sums of both costs."""
    table = _sums(frame, other)
    sums = {name: int(table[name].sum()) for name in table}
    return Repriced(
        df=_shown(table),
        calls=sums["calls"],
        cost_nanos=sums["cost_usd"],
        what_if_nanos=sums["what_if_usd"],
        difference_nanos=sums["difference_usd"],
        compared_nanos=sums["compared"],
        priced=sums["priced"],
        what_if_priced=sums["what_if_priced"],
        unpriced=sums["unpriced"],
        what_if_unpriced=sums["what_if_unpriced"],
        saved_usd=sums["saved_usd"] / NANO,
        what_if_saved_usd=sums["what_if_saved_usd"] / NANO,
        terms=terms,
        simulated=bool(frame["simulated"].any()),
        simulated_calls=int(frame["simulated"].sum()),
        left_out=int(frame.attrs.get(LEFT_OUT, 0)),
    )


def _sums(frame: pd.DataFrame, other: bulk.Priced) -> pd.DataFrame:
    """Return integer sums by provider and model."""
    paid = (frame["status"] != "replayed").to_numpy()
    known = frame["cost_nanos"].notna().to_numpy() & paid
    what_if_known = other.known & paid
    cost, what_if = integers(frame["cost_nanos"]).to_numpy(), other.nanos
    tokens = frame[["input_tokens", "output_tokens"]].fillna(0)
    charged = billed(frame).to_numpy()
    both = known & what_if_known
    columns = {
        "calls": np.ones(len(frame), np.int64),
        "input_tokens": tokens["input_tokens"],
        "output_tokens": tokens["output_tokens"],
        "cost_usd": np.where(known, cost, 0),
        "what_if_usd": np.where(what_if_known, what_if, 0),
        "difference_usd": np.where(both, what_if - cost, 0),
        "unpriced": charged & ~known,
        "what_if_unpriced": charged & ~what_if_known,
        "saved_usd": integers(frame["saved_nanos"]),
        "what_if_saved_usd": np.where(other.known & ~paid, what_if, 0),
        "priced": known,
        "what_if_priced": what_if_known,
        "compared": np.where(both, cost, 0),
    }
    data = pd.DataFrame({name: np.asarray(column).astype(np.int64) for name, column in columns.items()})
    keys = [frame[name].reset_index(drop=True) for name in ("provider", "model")]
    table = data.groupby(keys, observed=True).sum()
    names = [table.index.get_level_values(name).astype("str") for name in ("provider", "model")]
    return table.set_index(pd.MultiIndex.from_arrays(names)).sort_index()


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.sort_values("cost_usd", ascending=False, kind="stable")
    for name, priced, unpriced in (
        ("cost_usd", "priced", "unpriced"),
        ("what_if_usd", "what_if_priced", "what_if_unpriced"),
    ):
        shown[name] = (shown[name] / NANO).mask((shown[priced] == 0) & (shown[unpriced] > 0))
    for name in ("difference_usd", "saved_usd", "what_if_saved_usd"):
        shown[name] /= NANO
    return shown.drop(columns=["priced", "what_if_priced", "compared"])


def _usd(nanos: int, priced: int, unpriced: int) -> float:
    return math.nan if unpriced and not priced else nanos / NANO


def _unknown(count: int) -> str:
    return f", {count:,} without a known price" if count else ""
