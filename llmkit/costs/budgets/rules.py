"""The arithmetic of budgets: limits, amounts used, and whether a call fits. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from llmkit.core.errors import BudgetExceededError, ConfigurationError
from llmkit.core.money import NANO, format_money, from_nanos

if TYPE_CHECKING:
    from llmkit.records import CostReservation

Unpriced: TypeAlias = Literal["refuse", "allow", "ask"]
"""Policy for a call whose price is unknown."""

POLICIES = ("refuse", "allow", "ask")

UnknownNotebook: TypeAlias = Literal["refuse", "allow"]
"""Policy for a call without a notebook's name, while notebooks have a budget."""

Offline: TypeAlias = Literal["refuse", "allow"]
"""Policy for calls while the server of the ledger cannot be asked."""

CHOICES = {"unpriced": POLICIES, "unknown_notebook": ("refuse", "allow"), "offline": ("refuse", "allow")}
"""Values of each policy; the first is the default."""

AMOUNTS = ("daily", "per_notebook", "per_call", "per_user")
"""Names of the limits."""

NAME_IT = 'Set os.environ["LLMKIT_NOTEBOOK"] = "thesis.ipynb"'

NAMELESS = "the budget per notebook cannot be enforced here: the notebook's name is unknown"

SETTLE = "Or settle partial answers with ledger.settle(uid); they have at_most_usd in ledger.df."
"""Hint if amounts are reserved for answers that broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRules:
    """The limits, in nano-dollars; `None` means no limit.

    Attributes:
        daily: Limit of everyone who shares the ledger, from local midnight to local midnight.
        per_notebook: Limit of one notebook in the same time.
        per_call: Limit of one call.
        unpriced: Policy for a call whose price is unknown.
        unknown_notebook: Policy for a call without a notebook's name, while there is a limit per notebook.
        per_user: Limit of each user in the same time, where the store knows users.
        offline: Policy for calls while the store's server cannot be asked.
    """

    daily: int | None = None
    per_notebook: int | None = None
    per_call: int | None = None
    unpriced: Unpriced = "refuse"
    unknown_notebook: UnknownNotebook = "refuse"
    per_user: int | None = None
    offline: Offline = "refuse"

    @property
    def shared(self) -> bool:
        """Whether calls share a limit, so that each has to reserve its cost."""
        return any(limit is not None for limit in (self.daily, self.per_notebook, self.per_user))

    @property
    def any(self) -> bool:
        """Whether there is any limit."""
        return self.shared or self.per_call is not None


class Amounts(NamedTuple):
    """The amounts used of one local day's budgets, in nano-dollars.

    Attributes:
        spent: Cost of that day's calls.
        reserved: Amount reserved by running calls.
        notebook_spent: The part of `spent` of one notebook.
        notebook_reserved: The part of `reserved` of that notebook.
        uncertain: Amount that partial answers may have cost beyond `spent`.
        notebook_uncertain: The part of `uncertain` of that notebook.
        user_spent: The part of `spent` of the user, if there is a limit per user; likewise the next two.
        user_reserved: The part of `reserved` of the user.
        user_uncertain: The part of `uncertain` of the user.
    """

    spent: int = 0
    reserved: int = 0
    notebook_spent: int = 0
    notebook_reserved: int = 0
    uncertain: int = 0
    notebook_uncertain: int = 0
    user_spent: int = 0
    user_reserved: int = 0
    user_uncertain: int = 0

    def __add__(self, other: tuple[int, ...]) -> Amounts:  # type: ignore[override]  # sums, not a longer tuple
        return Amounts(*(mine + yours for mine, yours in zip(self, other, strict=True)))


class Limit(NamedTuple):
    """One limit and the amounts used of it; `name` is for the message."""

    cap: int
    name: str
    spent: int = 0
    reserved: int = 0
    uncertain: int = 0
    resets: bool = False


def read(text: str | None) -> BudgetRules:
    """Read limits as the ledger stores them.

    Example:
        >>> read('{"daily": 5}')  # doctest: +NORMALIZE_WHITESPACE
        BudgetRules(daily=5, per_notebook=None, per_call=None, unpriced='refuse', unknown_notebook='refuse',
            per_user=None, offline='refuse')
    """
    known = {field.name for field in fields(BudgetRules)}
    return BudgetRules(**{name: value for name, value in _parsed(text).items() if name in known})


def write(text: str | None, changes: dict[str, Any]) -> str:
    """Change limits as the ledger stores them.

    Example:
        >>> write('{"daily": 5, "weekly": 7}', {"daily": None})
        '{"daily": null, "weekly": 7}'
    """
    try:
        kept = _parsed(text)
    except ConfigurationError:
        kept = {}
    return json.dumps(kept | changes)


def _parsed(text: str | None) -> dict[str, Any]:
    """Read the JSON and check what this version knows of it."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        values = None
    if isinstance(values, dict) and _is_valid(values):
        return values
    raise ConfigurationError(
        f"The budget in the ledger is damaged: {str(text)[:80]!r}.",
        hint="Set it again: llmkit.budget(daily=…, per_notebook=…, per_call=…).",
    )


def _is_valid(values: dict[str, Any]) -> bool:
    amounts = [values.get(name) for name in AMOUNTS]
    policies = [values.get(name, words[0]) in words for name, words in CHOICES.items()]
    return all(policies) and all(type(amount) in {int, type(None)} for amount in amounts)


def refusal(rules: BudgetRules, used: Amounts, reservation: CostReservation) -> BudgetExceededError | None:
    """Return the error if a call must not be sent: its maximum cost does not fit."""
    if not reservation.nanos:
        return None
    if rules.per_notebook is not None and reservation.notebook is None and rules.unknown_notebook == "refuse":
        return _nameless(rules.per_notebook, reservation.nanos)
    for limit in _limits(rules, used, reservation):
        if limit.spent + limit.reserved + limit.uncertain + reservation.nanos > limit.cap:
            return _refused(limit, reservation)
    return None


def _nameless(cap: int, needed: int) -> BudgetExceededError:
    return BudgetExceededError(
        f"{NAMELESS[0].upper()}{NAMELESS[1:]}.",
        cap=cap / NANO,
        needed=needed / NANO,
        hint=(
            f'{NAME_IT}; or allow such calls with llmkit.budget(unknown_notebook="allow"), or lift that'
            " limit with llmkit.budget(per_notebook=None)."
        ),
    )


def _limits(rules: BudgetRules, used: Amounts, reservation: CostReservation) -> list[Limit]:
    """List the limits of a call, the narrowest first, because it is the easiest to change."""
    notebook = f"budget of {reservation.notebook}"
    per_notebook = None if reservation.notebook is None else rules.per_notebook
    mine = (used.notebook_spent, used.notebook_reserved, used.notebook_uncertain)
    user = (used.user_spent, used.user_reserved, used.user_uncertain)
    limits: list[tuple[int | None, tuple[Any, ...]]] = [
        (reservation.cap_nanos, ("limit of this call",)),
        (rules.per_call, ("limit per call",)),
        (per_notebook, (notebook, *mine, True)),
        (rules.per_user, ("budget per user", *user, True)),
        (rules.daily, ("daily budget", used.spent, used.reserved, used.uncertain, True)),
    ]
    return [Limit(cap, *rest) for cap, rest in limits if cap is not None]


def _refused(limit: Limit, reservation: CostReservation) -> BudgetExceededError:
    assert reservation.nanos is not None
    cap, spent, reserved, uncertain, needed = (
        nanos / NANO for nanos in (limit.cap, limit.spent, limit.reserved, limit.uncertain, reservation.nanos)
    )
    tokens = f"{reservation.input_tokens:,} input and up to {reservation.output_tokens:,} output tokens"
    worst = f"this call may cost up to {format_money(needed)} ({tokens})"
    begins = next_day(reservation.time) if limit.resets else None
    if begins is None:
        text = f"{limit.name} {format_money(cap)}: {worst}."
    else:
        running = f"{format_money(reserved)} reserved by running calls"
        if uncertain:
            running += f", up to {format_money(uncertain)} more for partial answers"
        text = f"{limit.name} {format_money(cap)}: {format_money(spent)} spent, {running}, and {worst}."
        text += f" Resets at midnight ({begins:%Y-%m-%d %H:%M})."
    return BudgetExceededError(
        text[0].upper() + text[1:],
        cap=cap,
        spent=spent,
        reserved=reserved,
        uncertain=uncertain,
        needed=needed,
        resets=begins,
        hint=f"{BudgetExceededError.default_hint} {SETTLE}" if uncertain else None,
    )


def unpriced(rules: BudgetRules, reservation: CostReservation) -> BudgetExceededError:
    """Return the error for a call whose price is unknown."""
    name = f"{reservation.provider}:{reservation.model}"
    yes = (
        f'Allow it for this session with llmkit.budget().allow_model("{name}")'
        if rules.unpriced == "ask"
        else 'Allow such calls with llmkit.budget(unpriced="allow")'
    )
    tightest = min((limit.cap for limit in _limits(rules, Amounts(), reservation)), default=None)
    return BudgetExceededError(
        f"The price of {name} is unknown, so llmkit cannot check whether the call fits into the budget.",
        cap=from_nanos(tightest),
        hint=f'{yes}, or set its price in the settings: [tool.llmkit.prices."{reservation.model}"].',
    )


def next_day(time: datetime) -> datetime:
    """Return the local midnight at which the day of a time ends."""
    tomorrow = time.astimezone().date() + timedelta(days=1)
    return datetime.combine(tomorrow, clock_time()).astimezone()
