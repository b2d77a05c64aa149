"""An address that gets alerts as JSON; it is a secret, because whoever has it can post to the channel."""

from __future__ import annotations

import html
import json
import time
from dataclasses import asdict
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from llmkit.core.addresses import is_loopback
from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import Secret

PAUSES = (1.0, 3.0)
"""Seconds before the second and the third attempt."""


class WebhookError(ConnectionError):
    """An alert could not be posted; the message does not have the address."""


class Webhook:
    """An address to which alerts are posted as JSON: `{"text": …, "alert": {…}}`.

    Slack and Teams show the `text`. Redirects are not followed. An alert that could not be posted is tried
    again twice within seconds.

    Args:
        url: The address, `https://…`, or `http://…` of this machine. It is a secret: it appears in no repr,
            log or error.
        insecure: Whether `http://` is allowed for another machine, where anybody on the way can read it.

    Raises:
        ConfigurationError: If the address is invalid, or not encrypted.

    Example:
        >>> Webhook("https://hooks.example.com/services/T0/B0/secret")
        Webhook(https://hooks.example.com/…)
    """

    def __init__(self, url: str, *, insecure: bool = False) -> None:
        self._place = _checked(url, insecure=insecure)
        self._url = Secret(url.strip(), "an alert's address")
        # The host alone is no secret: only the rest is redacted in texts.
        self._rest = Secret(url.strip().removeprefix(self._place), "an alert's address")

    @property
    def identity(self) -> str:
        """What tells addresses apart; only its digest leaves the process."""
        return self._url.reveal()

    def __call__(self, alert: Any) -> None:
        """Post an alert.

        Args:
            alert: An `Alert` or a `RuleAlert`.

        Raises:
            WebhookError: If the server did not take it.
        """
        from llmkit.costs.alerting.posting import post

        body = json.dumps(payload(alert)).encode()
        for pause in (*PAUSES, None):
            status, problem = post(self._url.reveal(), body)
            if problem is None:
                return
            if pause is None or not _may_pass(status):
                raise WebhookError(f"{self._place} did not take the alert: {problem}.")
            time.sleep(pause)

    def __repr__(self) -> str:
        return f"Webhook({self._place}/…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A webhook cannot be pickled, because its address is a secret.")


def payload(alert: Any) -> dict[str, Any]:
    """Return the JSON of an alert. In Slack's text, `<`, `>` and `&` would be commands.

    Example:
        >>> from datetime import datetime
        >>> from llmkit import Alert
        >>> now = datetime(2026, 11, 28)
        >>> alert = Alert(kind="per_notebook", threshold=1.0, spent=5, cap=5.0, notebook="<!all>", time=now)
        >>> payload(alert)["text"]
        '100% of the budget of &lt;!all&gt; is used: $5.00 of $5.00.'
    """
    values = asdict(alert)
    values["time"] = values["time"].isoformat()
    return {"text": html.escape(str(alert), quote=False), "alert": values}


def _checked(url: str, *, insecure: bool) -> str:
    """Return scheme and host of an address; the errors do not quote it."""
    parts = _split(url.strip())
    if "@" in parts.netloc:
        raise ConfigurationError(
            "The address of an alert must not contain a user name or a password.",
            hint="Use an address with a token in its path, or a function.",
        )
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname):
        raise ConfigurationError(
            f"The alert's address on {parts.hostname} is not encrypted.",
            hint='Use https://…, or allow it with llmkit.Webhook("http://…", insecure=True).',
        )
    return f"{parts.scheme}://{parts.netloc}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        found = parts.hostname and parts.hostname.encode("idna") and (parts.port is None or parts.port > 0)
    except ValueError:
        found = None
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not found or parts.scheme not in {"http", "https"} or not is_plain:
        raise ConfigurationError(
            "The address of an alert is not a web address.", hint="Use the form https://host/path."
        )
    return parts


def _may_pass(status: int) -> bool:
    """Whether another attempt may help."""
    return status in {0, 408, 429} or status >= 500
