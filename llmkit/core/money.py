"""Money: whole nano-dollars for sums, US dollars for people, and the ways to write them.

A nano-dollar is a billionth of a US dollar. Ten tokens at $0.0375 per million are 375 of them, where
micro-dollars would round to nothing, and sums of integers are exact.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Sequence

NANO = 10**9
"""Nano-dollars in a dollar."""


def to_nanos(usd: Decimal | float) -> int:
    """Return US dollars as whole nano-dollars, half to even; a float counts as it prints.

    Example:
        >>> to_nanos(0.1) + to_nanos(0.2) == to_nanos(0.3), to_nanos(0.000000375)
        (True, 375)
    """
    if not math.isfinite(usd) or usd < 0:
        raise ValueError(f"An amount of money must be a finite number of dollars, 0 or more, not {usd}")
    # `repr`, because the binary value of 0.1 is slightly more than 0.1.
    exact = usd if isinstance(usd, Decimal) else Decimal(repr(float(usd)))
    return int((exact * NANO).to_integral_value(ROUND_HALF_EVEN))


@overload
def from_nanos(nanos: int) -> float: ...
@overload
def from_nanos(nanos: int | None) -> float | None: ...
def from_nanos(nanos: int | None) -> float | None:
    """Return nano-dollars as US dollars; `None` if they are unknown.

    Example:
        >>> from_nanos(375), from_nanos(None)
        (3.75e-07, None)
    """
    return None if nanos is None else nanos / NANO


def format_money(usd: float | None, *, about: bool = False) -> str:
    """Format an amount so that small amounts stay readable and do not become zero.

    Example:
        >>> [format_money(usd) for usd in (12.345, 0.031, 0.0056, 0.000012, None)]
        ['$12.35', '$0.031', '$0.0056', '$0.000012', '$?']
        >>> format_money(0.031, about=True), format_money(None, about=True)
        ('≈$0.031', '$?')
    """
    if usd is None or not math.isfinite(usd):
        return "$?"
    sign, amount = f"{'≈' if about else ''}{'-' if usd < 0 else ''}", abs(usd)
    # From here on, two decimals give at least $1.00.
    if amount == 0 or amount >= 0.995:
        return f"{sign}${amount:,.2f}"
    # Less than one nano-dollar, the ledger's unit.
    if amount < 1e-9:
        return f"{sign}<$0.000000001"
    # Rounded before the logarithm, because 0.0999 is shown as 0.10 and needs two decimals, not three.
    decimals = max(2, 1 - math.floor(math.log10(float(f"{amount:.1e}"))))
    digits = f"{amount:.{decimals}f}"
    whole = digits.rstrip("0")
    return f"{sign}${whole if len(whole) >= 4 else digits[:4]}"


def format_nanos(nanos: int | None, *, about: bool = False) -> str:
    """Write nano-dollars as `format_money` writes dollars.

    Example:
        >>> format_nanos(12_345_000_000)
        '$12.35'
    """
    return format_money(from_nanos(nanos), about=about)


def format_exact(nanos: int) -> str:
    """Write nano-dollars to the last digit.

    Example:
        >>> format_exact(1_234_000_000_001)
        '$1,234.000000001'
    """
    dollars, rest = divmod(abs(nanos), NANO)
    return f"{'-' if nanos < 0 else ''}${dollars:,}.{rest:09}"


def format_rate(usd: Decimal | float) -> str:
    """Write a listed price per million tokens: whole dollars, or as many decimals as needed, at least two.

    Example:
        >>> format_rate(Decimal("0.150")), format_rate(10.0), format_rate(4.5)
        ('$0.15', '$10', '$4.50')
    """
    whole, point, decimals = f"{float(usd):g}".partition(".")
    return f"${whole}{point}{decimals.ljust(2, '0') if point else ''}"


def format_ticks(values: Sequence[float]) -> list[str]:
    """Write the amounts on an axis alike, with as many decimals as the steps between them need.

    Example:
        >>> format_ticks([0, 0.005, 0.01]), format_ticks([0, 5, 10])
        (['$0', '$0.005', '$0.010'], ['$0', '$5', '$10'])
    """
    step = min((abs(after - before) for before, after in pairwise(values)), default=0.0)
    if not step > 0:
        return [format_money(abs(value)) for value in values]
    enough = (places for places in (0, *range(2, 9)) if math.isclose(round(step, places), step, rel_tol=1e-6))
    decimals = next(enough, 9)
    return [f"${abs(value):,.{decimals}f}" if value else "$0" for value in values]
