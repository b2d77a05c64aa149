"""OpenTelemetry: one span for each call, and the metrics of the calls.

It is on when a tracer provider is set, by your program or by `opentelemetry-instrument`; there is nothing to
configure here. `LLMKIT_OTEL=1` turns it on without one: spans and metrics then go to an OTLP collector
(the extra `otel`; `OTEL_EXPORTER_OTLP_ENDPOINT` and the SDK's other variables apply). `LLMKIT_OTEL=0` turns
it off.

This module imports nothing of OpenTelemetry: a process that does not use it pays one look-up for a call.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING

from llmkit.core import settings

if TYPE_CHECKING:
    from llmkit.hooks import Tracer

_API = "opentelemetry.trace"
_PROVIDER = "llmkit.otel.provider"

logger = logging.getLogger("llmkit.otel")

problems: list[str] = []
"""Why no spans are made although somebody wants them; each was logged once."""


def tracer() -> Tracer | None:
    """Return what makes the spans of calls; `None` if nobody wants any."""
    wanted = settings.recent().otel
    if wanted is False or (wanted is None and _API not in sys.modules):
        return None
    try:
        # Not `from … import`, which takes longer than all the rest.
        provider = sys.modules.get(_PROVIDER) or importlib.import_module(_PROVIDER)
        found: Tracer | None = provider.tracer(own=wanted is True)
    # A module that is missing, or of a release with another interface, and what a provider raises that the
    # environment names: without spans, calls go on.
    except (ImportError, AttributeError, TypeError, ValueError, StopIteration) as error:
        _say_once(error)
        return None
    return found


def _say_once(error: Exception) -> None:
    text = f"OpenTelemetry cannot be used ({type(error).__name__}: {error})"
    if text not in problems:
        problems.append(text)
        way_out = 'pip install "jupyter-llmkit[otel]" brings what it needs; LLMKIT_OTEL=0 turns it off'
        logger.warning("No spans are made: %s. %s.", text, way_out)


def flush(seconds: float = 10.0) -> bool:
    """Send the spans and metrics that wait, of a provider that llmkit has made.

    Args:
        seconds: The longest wait.

    Returns:
        Whether nothing waits any more.

    Example:
        >>> flush()
        True
    """
    made = sys.modules.get("llmkit.otel.exporting")
    return True if made is None else bool(made.flush(seconds))
