"""Whether spans are sent, where to, and whether anything listens there."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from llmkit import otel
from llmkit.content.links import shown_link
from llmkit.core import settings

PATIENCE = 2.0
"""Seconds to wait for a connection."""

_PORTS = {"http": 80, "https": 443}


class Status(NamedTuple):
    """What is known about tracing.

    Attributes:
        ok: Whether spans arrive, as far as that is known; `None` if none are made.
        text: The same in words.
    """

    ok: bool | None
    text: str


def status() -> Status:
    """Return whether spans are sent; may take a second, because it connects to our collector."""
    wanted = settings.load().otel
    if otel.tracer() is None:
        if wanted is False:
            return Status(ok=None, text="off: LLMKIT_OTEL=0")
        if otel.problems:
            return Status(ok=False, text=f"off: {otel.problems[0]}")
        text = "off: no tracer provider is set; LLMKIT_OTEL=1 sends spans and metrics to a collector"
        return Status(ok=None, text=text)
    from llmkit.otel import content, provider

    words = f"; with prompts and answers ({content.VARIABLE})" if content.is_captured() else ""
    if (name := provider.name()) is not None:
        return Status(ok=True, text=f"spans go to the {name} of this process{words}")
    url = endpoint()
    problem = _problem(url)
    if problem:
        way_out = "start a collector, or set OTEL_EXPORTER_OTLP_ENDPOINT"
        return Status(
            ok=False, text=f"spans go to {shown_link(url)}, where nothing answers ({problem}): {way_out}"
        )
    return Status(ok=True, text=f"spans go to {shown_link(url)}; a collector listens{words}")


def endpoint() -> str:
    """Return the address that the SDK takes from its variables.

    Example:
        >>> endpoint()
        'http://localhost:4318/v1/traces'
    """
    if given := os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return given
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    return f"{base.rstrip('/')}/v1/traces"


def _problem(url: str) -> str:
    """Say why nothing can be sent to an address; `""` if something listens."""
    try:
        place = urlsplit(url)
        port = place.port or _PORTS[place.scheme]
        with socket.create_connection((place.hostname or "", port), timeout=PATIENCE):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    except (KeyError, ValueError):
        return "not a web address"
