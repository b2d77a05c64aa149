"""Budgets: limits of what calls may cost, held for all notebooks and processes on one ledger.

What a call may cost at most is reserved before it is sent; its row in the ledger settles that. A call
whose worst case does not fit is refused.
"""

from __future__ import annotations

import asyncio
import html
import logging
import operator
import threading
import time
import warnings
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO, format_money, to_nanos
from llmkit.core.timestamps import micros
from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.budgets.alerts import Alert, Alerts
from llmkit.costs.budgets.rules import (
    CHOICES,
    NAME_IT,
    NAMELESS,
    Amounts,
    BudgetRules,
    UnknownNotebook,
    Unpriced,
)
from llmkit.costs.price_rules import estimate
from llmkit.costs.store.filters import Filters
from llmkit.costs.store.rows import COLUMNS
from llmkit.costs.sums import NOTHING
from llmkit.records import current_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from llmkit.costs.store.protocol import Store
    from llmkit.records import BudgetGuard, CallRecord, CostReservation

FRESH = 1.0
"""Seconds for which limits that were read are used; other processes may change them."""

LARGEST = 10**9
"""Largest cap, in US dollars: sums of billionths must stay within 64 bits."""

logger = logging.getLogger(__name__)


class Keep(Enum):
    """An argument that was not given: what it stands for stays as it is."""

    KEEP = "as it is"

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep.KEEP

Amount: TypeAlias = "float | Decimal | Literal[Keep.KEEP] | None"
"""US dollars; `None` means no limit."""


_FIELDS = ("status", "cost_nanos", "usage_source", "at_most_nanos")
_PRICED = operator.itemgetter(*map(list(COLUMNS).index, _FIELDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The budgets and what is used of them, in US dollars, at one moment.

    Attributes:
        daily: Limit of a day, for all users of the ledger; `None` means no limit.
        per_notebook: Limit of a day for one notebook.
        per_call: Limit of one call.
        unpriced: What to do with a call whose price is unknown: `"refuse"`, `"allow"` or `"ask"`.
        unknown_notebook: What to do with a call from a notebook whose name is unknown while there is a
            limit per notebook: `"refuse"` or `"allow"`.
        spent: What the calls since local midnight cost.
        estimated: How many of these calls have a price that is an estimate.
        reserved: Amount reserved by running calls.
        uncertain: What the calls since then may have cost beyond `spent`, for their answers broke off or
            were stopped; `Ledger.settle` says what it was.
        left: What is left of the daily budget, not below 0; `None` without one.
        notebook: The notebook that `notebook_…` speaks of.
        notebook_spent: What its calls since local midnight cost.
        notebook_estimated: How many of these have a price that is an estimate.
        notebook_reserved: What its running calls may still cost.
        notebook_uncertain: What its calls may have cost beyond `notebook_spent`.
        notebook_left: What is left of its budget; `None` without one, or outside of a notebook.
        resets: When the day ends (aware, local).
    """

    daily: float | None
    per_notebook: float | None
    per_call: float | None
    unpriced: Unpriced
    unknown_notebook: UnknownNotebook
    spent: float
    reserved: float
    uncertain: float
    left: float | None
    notebook: str | None
    notebook_spent: float
    notebook_reserved: float
    notebook_uncertain: float
    notebook_left: float | None
    resets: datetime
    _allow: Callable[[str], None] = field(repr=False, compare=False)
    estimated: int = 0
    notebook_estimated: int = 0

    def allow_model(self, name: str) -> None:
        """Let calls of a model without a known price pass in this process, where the policy is `"ask"`.

        Args:
            name: The model as `provider:model`.

        Raises:
            ConfigurationError: If the name has another form.
        """
        self._allow(name)

    def __copy__(self) -> Self:
        return self  # nothing of it changes

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        names = (each.name for each in fields(self) if each.name != "_allow")
        return _kept, ({name: getattr(self, name) for name in names},)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<12} {text}" for name, text in self._rows())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._rows()
        )
        return f"<div class='mathjax_ignore tex2jax_ignore'><table>{rows}</table></div>"

    def _rows(self) -> list[tuple[str, str]]:
        """Say all of it, one line per limit."""
        spent = format_money(self.spent, about=self.estimated > 0)
        today = _usage(self.daily, spent, self.reserved, self.uncertain, self.left)
        rows = [("daily", f"{today}; resets {self.resets:%Y-%m-%d %H:%M}")]
        if self.per_notebook is None:
            rows.append(("per notebook", _limit(None)))
        elif self.notebook is None:
            calls = "are refused" if self.unknown_notebook == "refuse" else "are allowed"
            rows.append(("per notebook", f"{_limit(self.per_notebook)}: {NAMELESS}; calls {calls}"))
        else:
            spent = format_money(self.notebook_spent, about=self.notebook_estimated > 0)
            used = (spent, self.notebook_reserved, self.notebook_uncertain)
            mine = _usage(self.per_notebook, *used, self.notebook_left)
            rows.append(("per notebook", f"{mine} ({self.notebook})"))
        return [*rows, ("per call", _limit(self.per_call)), ("unpriced", self.unpriced)]


def _kept(values: dict[str, Any]) -> Budget:
    """Return a budget that was pickled; its ledger is the default one of the process that reads it."""
    return Budget(**values, _allow=lambda name: budget().allow_model(name))


def _limit(usd: float | None) -> str:
    return "no limit" if usd is None else format_money(usd)


def _usage(cap: float | None, spent: str, reserved: float, uncertain: float, left: float | None) -> str:
    more = f", up to {format_money(uncertain)} more for partial answers" if uncertain else ""
    rest = "" if left is None else f", {format_money(left)} left"
    return f"{_limit(cap)}: {spent} spent, {format_money(reserved)} reserved{more}{rest}"


class Budgets:
    """The guard of one ledger's budgets; see `llmkit.records.Guard`."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.alerts = Alerts()
        self._store = store
        self._clock = clock
        self._rules = BudgetRules()
        self._until: float | None = None  # when the limits have to be read again; `None`: they never were
        self._looking = threading.Lock()
        self._allowed: set[str] = set()
        self._reserves = False

    def guard(self, cap_nanos: int | None) -> BudgetGuard | None:
        """Return who has to be asked before a call is sent; see `Recorder.guard`."""
        if self._until is None or time.monotonic() >= self._until:
            self._look()
        return self if cap_nanos is not None or self._rules.any else None

    async def admit(self, reservation: CostReservation) -> None:
        """Reserve what a call may cost; see `BudgetGuard.admit`."""
        rules = self._rules
        if reservation.nanos == 0 or not (rules.any or reservation.cap_nanos is not None):
            return
        if reservation.nanos is None:
            self._weigh(rules, reservation)
            return
        if rules.shared:
            self._reserves = True
            await asyncio.wrap_future(self._store.reserve(reservation))
        elif (error := arithmetic.refusal(rules, Amounts(), reservation)) is not None:
            raise error

    def release(self, uid: str) -> None:
        """Take a reservation back; see `BudgetGuard.release`."""
        if self._reserves:
            self._store.release(uid)

    def watch(self, record: CallRecord, written: Future[bool]) -> Future[bool]:
        """Look for alerts once a call is written down."""
        rules = self._rules
        if not rules.shared or record.simulated or not record.cost_nanos:
            return written
        if written.done() and not written.result():  # it was refused
            return written
        noticed: Future[bool] = Future()
        noticed.set_running_or_notify_cancel()

        def look(used: Future[Amounts]) -> None:
            try:
                if used.exception() is None:
                    self.alerts.notice(rules, used.result(), record)
            finally:  # rows that are committed together are acknowledged together, maybe after this
                written.add_done_callback(lambda _: noticed.set_result(written.result()))

        self._store.settled(micros(record.time), record.notebook).add_done_callback(look)
        return noticed

    def change(self, **changes: Any) -> None:
        """Change limits; see `Ledger.budget`."""
        values = {name: _checked(name, value) for name, value in changes.items() if value is not KEEP}
        if values:
            with self._looking:
                self._know(self._store.change_rules(values))
        if values.get("per_notebook") is not None and current_context().notebook is None:
            calls = "refused" if self._rules.unknown_notebook == "refuse" else "not limited by it"
            text = f"{NAMELESS[0].upper()}{NAMELESS[1:]}: calls from here are {calls}."
            warnings.warn(f"{text} {NAME_IT}.", stacklevel=4)

    def _estimated(self, now: datetime, notebook: str | None) -> tuple[int, int]:
        """Count the real calls of the day whose price is an estimate: all, and those of the notebook."""
        midnight = micros(now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0))
        found = self._store.sums(since=midnight).get(False, NOTHING).estimated
        if not found or notebook is None:
            return found, 0
        mine = Filters(since=midnight, words={"notebook": (notebook,)}, simulated=False)
        rows = (row for page in self._store.select(mine) for row in page)
        return found, sum(estimate(*_PRICED(row)) for row in rows)

    def status(self) -> Budget:
        """Return the limits and what is used of them; see `Ledger.budget`."""
        with self._looking:
            self._know(self._store.rules())
        now, notebook, rules = self._clock(), current_context().notebook, self._rules
        used = self._store.amounts(micros(now), notebook)
        estimated, notebook_estimated = self._estimated(now, notebook)
        mine = None if notebook is None else rules.per_notebook
        return Budget(
            daily=_dollars(rules.daily),
            per_notebook=_dollars(rules.per_notebook),
            per_call=_dollars(rules.per_call),
            unpriced=rules.unpriced,
            unknown_notebook=rules.unknown_notebook,
            spent=used.spent / NANO,
            reserved=used.reserved / NANO,
            uncertain=used.uncertain / NANO,
            left=_left(rules.daily, used.spent + used.reserved + used.uncertain),
            notebook=notebook,
            notebook_spent=used.notebook_spent / NANO if notebook else 0.0,
            notebook_reserved=used.notebook_reserved / NANO if notebook else 0.0,
            notebook_uncertain=used.notebook_uncertain / NANO if notebook else 0.0,
            notebook_left=_left(mine, used.notebook_spent + used.notebook_reserved + used.notebook_uncertain),
            resets=arithmetic.next_day(now),
            estimated=estimated,
            notebook_estimated=notebook_estimated,
            _allow=self.allow_model,
        )

    def allow_model(self, name: str) -> None:
        """Say yes to a model without a known price; see `Budget.allow_model`."""
        provider, colon, model = str(name).partition(":")
        if not (provider and colon and model):
            raise ConfigurationError(
                f"{name!r} is not a qualified model name.", hint='Use the form "provider:model".'
            )
        self._allowed.add(name)

    def _weigh(self, rules: BudgetRules, reservation: CostReservation) -> None:
        """Decide on a call whose price is unknown."""
        yes = rules.unpriced == "ask" and f"{reservation.provider}:{reservation.model}" in self._allowed
        if not yes and rules.unpriced != "allow":
            raise arithmetic.unpriced(rules, reservation)

    def _look(self) -> None:
        """Read the limits; while another thread does, or changes them, the known ones apply."""
        if not self._looking.acquire(blocking=self._until is None):
            return
        try:
            self._know(self._store.rules())
        except ConfigurationError as error:
            logger.info("Cannot read the budgets; the last known ones stay in effect: %s", error)
            self._know(self._rules)
        finally:
            self._looking.release()

    def _know(self, rules: BudgetRules) -> None:
        self._rules, self._until = rules, time.monotonic() + FRESH


def budget(
    *,
    daily: Amount = KEEP,
    per_notebook: Amount = KEEP,
    per_call: Amount = KEEP,
    unpriced: Unpriced | Literal[Keep.KEEP] = KEEP,
    unknown_notebook: UnknownNotebook | Literal[Keep.KEEP] = KEEP,
    on_alert: Callable[[Alert], object] | Literal[Keep.KEEP] | None = KEEP,
) -> Budget:
    """Set budgets for everybody who shares the default ledger, or look at them; see `Ledger.budget`.

    Example:
        ```python
        llmkit.budget(daily=5, per_call=0.10)
        llmkit.budget()             # what is left of it
        llmkit.budget(daily=None)   # lift it
        ```
    """
    from llmkit.costs.ledger import ledger

    return ledger.budget(
        daily=daily,
        per_notebook=per_notebook,
        per_call=per_call,
        unpriced=unpriced,
        unknown_notebook=unknown_notebook,
        on_alert=on_alert,
    )


def _checked(name: str, value: Any) -> int | str | None:
    """Return a value as the ledger keeps it."""
    if (words := CHOICES.get(name)) is not None:
        if value not in words:
            raise ConfigurationError(
                f"Unknown policy {name}={value!r}.", hint=f"Use one of: {', '.join(words)}."
            )
        return str(value)
    if value is None:
        return None
    try:
        nanos = to_nanos(value)
    except (TypeError, ValueError) as error:
        raise _no_amount(name, value) from error
    if nanos > LARGEST * NANO:
        raise _no_amount(name, value)
    return nanos


def _no_amount(name: str, value: object) -> ConfigurationError:
    return ConfigurationError(
        f"{name} must be between 0 and a billion US dollars, got {value!r}.",
        hint="Use None to remove a limit.",
    )


def _dollars(nanos: int | None) -> float | None:
    return None if nanos is None else nanos / NANO


def _left(cap: int | None, used: int) -> float | None:
    return None if cap is None else max(cap - used, 0) / NANO
