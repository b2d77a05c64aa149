"""Errors of PostgreSQL in our words: what was refused, why, and what to do."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    import psycopg


class ServerUnavailableError(ConfigurationError):
    """The server cannot be reached now, or has broken the connection: the same may work later."""


class _Case(NamedTuple):
    """A kind of error, recognised by its code or, while connecting, by patterns of the server's words."""

    codes: tuple[str, ...]
    words: tuple[str, ...]
    problem: str
    hint: str
    error: type[ConfigurationError] = ConfigurationError


_CASES = (
    _Case(
        ("28P01", "28000"),
        ("password authentication failed", "no password supplied", "authentication failed for"),
        "refuses the user or the password",
        "Check both in {setting}, or the password in ~/.pgpass.",
    ),
    _Case(
        ("3D000",),
        (r'database ".*" does not exist',),
        "is no database of its server",
        "Check its name in {setting}, or create it: createdb NAME.",
    ),
    _Case(
        (),
        (r'role ".*" does not exist', r'role ".*" is not permitted to log in'),
        "refuses its user, who may not log in there",
        "Check the user in {setting}, or create it: createuser NAME.",
    ),
    _Case(
        (),
        (r"no pg_hba\.conf entry", r"pg_hba\.conf rejects"),
        "takes no connection of this user from this machine",
        "Let an administrator allow it in pg_hba.conf.",
    ),
    _Case(
        (),
        ("server does not support ssl",),
        "offers no TLS, without which nothing is sent to another machine",
        "Turn TLS on at the server; in a network that you trust add ?sslmode=disable to {setting}.",
    ),
    _Case(
        (),
        ("certificate", "ssl error", r"root\.crt"),
        "has no TLS certificate that this machine trusts",
        "Set sslrootcert in {setting} to the certificate of its authority.",
    ),
    _Case(
        ("42501",),
        ("permission denied",),
        "does not give its user the rights that llmkit needs",
        "Let an administrator of the database grant it the role llmkit_user.",
    ),
    _Case(
        ("25006",),
        (),
        "can only be read",
        "Use the address of the primary server.",
        ServerUnavailableError,
    ),
    _Case(
        ("55P03", "40001", "40P01"),
        (),
        "is busy with the work of others",
        "Try again later.",
        ServerUnavailableError,
    ),
    _Case(
        ("53300",),
        ("too many clients", "too many connections", "remaining connection slots"),
        "has no connection left",
        "Try again later, raise max_connections, or put a pooler in front of it.",
        ServerUnavailableError,
    ),
    _Case(
        ("53100",),
        (),
        "has no room on its disk",
        "Free space at the server.",
        ServerUnavailableError,
    ),
)
_AWAY = "Check the host and the port in {setting}, and that the server runs."
_LOST = ("57P", "08", "40", "53", "55P03", "58")
"""Codes of what passes: a server that stops, a broken connection, two transactions that met, short means."""


def load() -> Any:
    """Return psycopg.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise ConfigurationError(
            "A PostgreSQL address needs the extra postgres.", hint='pip install "jupyter-llmkit[postgres]"'
        ) from error


def translate(error: psycopg.Error, name: str, setting: str) -> ConfigurationError:
    """Return our error for one of psycopg's.

    Args:
        error: The error.
        name: The address without its password.
        setting: What the user set.
    """
    code = error.sqlstate or ""
    said = " ".join(redact(str(error)).split())
    # With a code the words may be in any language; without one they are libpq's or those of a refused login.
    if (case := _case(code, "" if code else said.lower())) is not None:
        return case.error(f"{name} {case.problem}.", hint=case.hint.format(setting=setting))
    if code.startswith(_LOST) or (not code and isinstance(error, load().OperationalError)):
        reason = said.rpartition("failed: ")[2].partition(" Is the server")[0].removeprefix("FATAL: ")
        return ServerUnavailableError(
            f"Cannot reach {name}: {reason.strip(' .')}.", hint=_AWAY.format(setting=setting)
        )
    return ConfigurationError(f"{name} refuses the work: {said} ({code or type(error).__name__}).", hint="")


def _case(code: str, said: str) -> _Case | None:
    """Return the kind of an error; `None` if it is none of those with words of their own."""
    for case in _CASES:
        if code in case.codes or any(re.search(words, said) for words in case.words):
            return case
    return None
