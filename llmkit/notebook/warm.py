"""Imports what the first question needs while the user is still typing."""

from __future__ import annotations

import contextlib
import importlib
import threading
from typing import TYPE_CHECKING

from llmkit.core.errors import LLMClientError

if TYPE_CHECKING:
    from collections.abc import Callable

DELAY = 1.0
"""Seconds after `%load_ext`, so that a notebook that runs on at once does not share its CPU."""


def warm_up_soon(model: Callable[[], str | None]) -> None:
    """Import the HTTP library, the price data and the renderer in the background.

    Together they take a second or two of CPU, which would otherwise delay the first answer.
    """
    timer = threading.Timer(DELAY, lambda: warm_up(model()))
    timer.daemon = True
    timer.start()


def warm_up(model: str | None = None) -> None:
    """Import what a call to this model needs; nothing is sent."""
    from llmkit import prices
    from llmkit.clients.engine.engine import ProviderClient
    from llmkit.clients.registry import shared_client
    from llmkit.content.messages import Usage

    with contextlib.suppress(LLMClientError):  # the question itself will say what is wrong
        client = shared_client(model)
        importlib.import_module("llmkit.notebook.dispatch")
        if isinstance(client, ProviderClient):
            client.load()
            prices.price(
                client.provider_name, (client.default_model(),), Usage(input_tokens=1, output_tokens=1)
            )
