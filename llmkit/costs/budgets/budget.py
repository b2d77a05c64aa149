"""Budgets: cost limits for all notebooks and processes that share a ledger.

The maximum cost of a call is reserved before it is sent, and its row in the ledger replaces the
reservation. A call whose maximum does not fit is refused.
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
from llmkit.costs.alerting.announcer import Announcer, Targets
from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.budgets.alerts import Alerts
from llmkit.costs.budgets.rules import (
    CHOICES,
    NAME_IT,
    NAMELESS,
    Amounts,
    BudgetRules,
    Offline,
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
"""Seconds until the limits are read again; other processes may change them."""

LARGEST = 10**9
"""Largest limit, in US dollars: sums of nano-dollars must fit into 64 bits."""

logger = logging.getLogger(__name__)


class Keep(Enum):
    """The default of an argument that changes nothing."""

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
    """The budgets and their use at one moment, in US dollars.

    Attributes:
        daily: Limit of a day, for all users of the ledger; `None` means no limit.
        per_notebook: Limit of a day for one notebook.
        per_call: Limit of one call.
        unpriced: Policy for a call whose price is unknown: `"refuse"`, `"allow"` or `"ask"`.
        unknown_notebook: Policy for a call without a notebook's name while there is a limit per notebook:
            `"refuse"` or `"allow"`.
        spent: Cost of the calls since local midnight.
        estimated: Number of these calls whose price is an estimate.
        reserved: Amount reserved by running calls.
        uncertain: Maximum cost beyond `spent` of calls whose answers broke off or were stopped;
            `Ledger.settle` sets their actual cost.
        left: Rest of the daily budget, at least 0; `None` without one.
        notebook: The notebook of the `notebook_…` fields.
        notebook_spent: Cost of its calls since local midnight.
        notebook_estimated: Number of these calls whose price is an estimate.
        notebook_reserved: Amount reserved by its running calls.
        notebook_uncertain: Maximum cost of its calls beyond `notebook_spent`.
        notebook_left: Rest of its budget; `None` without one, or outside a notebook.
        resets: When the day ends (aware, local).
        simulated: Number of the sandbox's calls since local midnight; no limit counts them.
        per_user: Limit of a day for each user of a ledger in PostgreSQL.
        user_spent: Cost of the user's calls since local midnight, if there is a limit per user.
        user_reserved: Amount reserved by the user's running calls, likewise.
        user_uncertain: Maximum cost of the user's calls beyond `user_spent`, likewise.
        user_left: Rest of the user's budget; `None` without one.
        offline: Policy for calls while the ledger's server cannot be asked: `"refuse"` or `"allow"`.
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
    simulated: int = 0
    per_user: float | None = None
    user_spent: float = 0.0
    user_reserved: float = 0.0
    user_uncertain: float = 0.0
    user_left: float | None = None
    offline: Offline = "refuse"

    def allow_model(self, name: str) -> None:
        """Allow calls of a model without a known price in this process, if the policy is `"ask"`.

        Args:
            name: The model as `provider:model`.

        Raises:
            ConfigurationError: If the name has a different form.
        """
        self._allow(name)

    def __copy__(self) -> Self:
        return self  # it is immutable

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A method of an open ledger cannot be pickled.
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
        # MathJax would typeset what stands between two dollar signs.
        return f"<div class='mathjax_ignore tex2jax_ignore'><table>{rows}</table></div>"

    def _rows(self) -> list[tuple[str, str]]:
        """Return a name and a text for each limit."""
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
        if self.per_user is not None:
            used = (format_money(self.user_spent), self.user_reserved, self.user_uncertain)
            rows.append(("per user", _usage(self.per_user, *used, self.user_left)))
        rows += [("per call", _limit(self.per_call)), ("unpriced", self.unpriced)]
        if self.offline != "refuse":
            rows.append(("offline", self.offline))
        if self.simulated:
            calls = "1 call" if self.simulated == 1 else f"{self.simulated:,} calls"
            rows.append(("simulated", f"{calls} today: the sandbox's answers are free and do not count"))
        return rows


def _kept(values: dict[str, Any]) -> Budget:
    """Return an unpickled budget; its ledger is the default ledger of this process."""
    return Budget(**values, _allow=lambda name: budget().allow_model(name))


def _limit(usd: float | None) -> str:
    return "no limit" if usd is None else format_money(usd)


def _usage(cap: float | None, spent: str, reserved: float, uncertain: float, left: float | None) -> str:
    more = f", up to {format_money(uncertain)} more for partial answers" if uncertain else ""
    rest = "" if left is None else f", {format_money(left)} left"
    return f"{_limit(cap)}: {spent} spent, {format_money(reserved)} reserved{more}{rest}"


class Budgets:
    """The guard of one ledger's budgets; see `llmkit.records.BudgetGuard`."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.announcer = Announcer(store)
        self.alerts = Alerts(self.announcer)
        self._store = store
        self._clock = clock
        self._rules = BudgetRules()
        self._until: float | None = None  # when to read the limits again; `None` before the first time
        self._looking = threading.Lock()
        self._allowed: set[str] = set()
        self._reserves = False

    def guard(self, cap_nanos: int | None) -> BudgetGuard | None:
        """Return the guard to ask before a call is sent; see `Recorder.guard`."""
        if self._until is None or time.monotonic() >= self._until:
            self._look()
        return self if cap_nanos is not None or self._rules.any else None

    async def admit(self, reservation: CostReservation) -> bool:
        """Reserve the maximum cost of a call; see `BudgetGuard.admit`."""
        rules = self._rules
        # A call that costs nothing passes every limit.
        if reservation.nanos == 0 or not (rules.any or reservation.cap_nanos is not None):
            return False
        if reservation.nanos is None:
            self._weigh(rules, reservation)
        elif rules.shared:
            self._reserves = True
            await asyncio.wrap_future(self._store.reserve(reservation))
            return True
        elif (error := arithmetic.refusal(rules, Amounts(), reservation)) is not None:
            raise error
        return False

    def release(self, uid: str) -> None:
        """Release a reservation; see `BudgetGuard.release`."""
        if self._reserves:
            self._store.release(uid)

    def watch(self, record: CallRecord, written: Future[bool]) -> Future[bool]:
        """Check for alerts after a call is written; the future waits for both."""
        rules = self._rules
        if not rules.shared or record.simulated or not record.cost_nanos:
            return written
        if written.done() and not written.result():  # it was refused
            return written
        noticed: Future[bool] = Future()
        # From here on nobody can cancel it, so `set_result` cannot fail.
        noticed.set_running_or_notify_cancel()

        def look(used: Future[Amounts]) -> None:
            try:
                if used.exception() is None:
                    self.alerts.notice(rules, used.result(), record)
            finally:  # a group of rows is acknowledged together, possibly later than this
                written.add_done_callback(lambda _: noticed.set_result(written.result()))

        self._store.settled(micros(record.time), record.notebook).add_done_callback(look)
        return noticed

    def change(self, **changes: Any) -> None:
        """Change limits; see `Ledger.budget`."""
        values = {name: _checked(name, value) for name, value in changes.items() if value is not KEEP}
        _mind_users(values, self._store)
        if values:
            with self._looking:
                self._know(self._store.change_rules(values))
        if values.get("per_notebook") is not None and current_context().notebook is None:
            calls = "refused" if self._rules.unknown_notebook == "refuse" else "not limited by it"
            text = f"{NAMELESS[0].upper()}{NAMELESS[1:]}: calls from here are {calls}."
            warnings.warn(f"{text} {NAME_IT}.", stacklevel=4)

    def _counts(self, now: datetime, notebook: str | None) -> dict[str, int]:
        """Count calls of the day: simulated ones, and real ones whose price is an estimate."""
        midnight = micros(now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0))
        sums = self._store.sums(since=midnight)
        estimated = sums.get(False, NOTHING).estimated
        return {
            "simulated": sums.get(True, NOTHING).calls,
            "estimated": estimated,
            "notebook_estimated": self._estimated(midnight, notebook) if estimated and notebook else 0,
        }

    def _estimated(self, midnight: int, notebook: str) -> int:
        """Count the real calls of a notebook since a time whose price is an estimate."""
        mine = Filters(since=midnight, words={"notebook": (notebook,)}, simulated=False)
        rows = (row for page in self._store.select(mine) for row in page)
        return sum(estimate(*_PRICED(row)) for row in rows)

    def status(self) -> Budget:
        """Return the limits and their use; see `Ledger.budget`."""
        with self._looking:
            self._know(self._store.rules())
        now, notebook, rules = self._clock(), current_context().notebook, self._rules
        used = self._store.amounts(micros(now), notebook)
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
            **self._counts(now, notebook),
            per_user=_dollars(rules.per_user),
            user_spent=used.user_spent / NANO,
            user_reserved=used.user_reserved / NANO,
            user_uncertain=used.user_uncertain / NANO,
            user_left=_left(rules.per_user, used.user_spent + used.user_reserved + used.user_uncertain),
            offline=rules.offline,
            _allow=self.allow_model,
        )

    def allow_model(self, name: str) -> None:
        """Allow a model without a known price; see `Budget.allow_model`."""
        provider, colon, model = str(name).partition(":")
        if not (provider and colon and model):
            raise ConfigurationError(
                f"{name!r} is not a qualified model name.", hint='Use the form "provider:model".'
            )
        self._allowed.add(name)

    def _weigh(self, rules: BudgetRules, reservation: CostReservation) -> None:
        """Raise an error if a call without a known price must not be sent."""
        yes = rules.unpriced == "ask" and f"{reservation.provider}:{reservation.model}" in self._allowed
        if not yes and rules.unpriced != "allow":
            raise arithmetic.unpriced(rules, reservation)

    def _look(self) -> None:
        """Read the limits; while another thread reads or changes them, the last known ones apply."""
        # Only the first look waits, because no call may be sent before the limits are known.
        if not self._looking.acquire(blocking=self._until is None):
            return
        try:
            self._know(self._store.rules())
        except ConfigurationError as error:
            logger.info("Cannot read the budgets; the last known ones stay in effect: %s", error)
            # This sets the time of the next look; otherwise every call would try again.
            self._know(self._rules)
        finally:
            self._looking.release()

    def _know(self, rules: BudgetRules) -> None:
        self._rules, self._until = rules, time.monotonic() + FRESH


def budget(
    daily: Amount = KEEP,
    *,
    per_notebook: Amount = KEEP,
    per_call: Amount = KEEP,
    unpriced: Unpriced | Literal[Keep.KEEP] = KEEP,
    unknown_notebook: UnknownNotebook | Literal[Keep.KEEP] = KEEP,
    per_user: Amount = KEEP,
    offline: Offline | Literal[Keep.KEEP] = KEEP,
    on_alert: Targets | Literal[Keep.KEEP] | None = KEEP,
) -> Budget:
    """Set or return the budgets of everyone who shares the default ledger; see `Ledger.budget`.

    Example:
        ```python
        llmkit.budget(5)            # as daily=5
        llmkit.budget(daily=5, per_call=0.10)
        llmkit.budget()             # shows what is left
        llmkit.budget(daily=None)   # removes the limit
        ```
    """
    from llmkit.costs.ledger import ledger

    return ledger.budget(
        daily=daily,
        per_notebook=per_notebook,
        per_call=per_call,
        unpriced=unpriced,
        unknown_notebook=unknown_notebook,
        per_user=per_user,
        offline=offline,
        on_alert=on_alert,
    )


def _mind_users(values: dict[str, Any], store: Store) -> None:
    """Raise an error for limits that only a ledger with users and a server has."""
    for name in ("per_user", "offline"):
        if values.get(name) is not None and not store.has_users:
            raise ConfigurationError(
                f"{name}={values[name]!r} needs a ledger in PostgreSQL: {store.name} knows no users.",
                hint="Use daily=…, or set LLMKIT_LEDGER to postgresql://…",
            )


def _checked(name: str, value: Any) -> int | str | None:
    """Return a value as the ledger stores it."""
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
