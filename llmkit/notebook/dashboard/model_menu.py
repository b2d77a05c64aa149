"""Models that the what-if offers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from llmkit import prices
from llmkit.content.messages import Usage
from llmkit.core import catalog

if TYPE_CHECKING:
    import pandas as pd


def what_if_models(frame: pd.DataFrame) -> list[str]:
    """Return the catalogue's models and those that were called, as far as they have a price.

    Example:
        >>> from llmkit.costs.ledger import Ledger
        >>> "openai:gpt-4o-mini" in what_if_models(Ledger(":memory:").df)
        True
    """
    listed = [(p.name, model) for p in catalog.providers().values() if not p.sandbox for model in p.models]
    pairs = frame[["provider", "model"]].drop_duplicates()
    seen = list(zip(pairs["provider"].astype(str), pairs["model"].astype(str), strict=True))
    known = dict.fromkeys([*listed, *seen])
    return sorted(f"{provider}:{model}" for provider, model in known if _has_price(provider, model))


@lru_cache(maxsize=4096)
def _has_price(provider: str, model: str) -> bool:
    return prices.price(provider, (model,), Usage(input_tokens=1, output_tokens=1)) is not None
