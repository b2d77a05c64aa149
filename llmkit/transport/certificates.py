"""CA certificates from environment variables."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

from llmkit.core import environment
from llmkit.core.addresses import QUOTES
from llmkit.core.errors import ConfigurationError

_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOLDER = "SSL_CERT_DIR"


def named() -> tuple[tuple[str, str], ...]:
    """Return the effective variables with their values; of several files, only the first counts."""
    return _named(environment.stamp())


@lru_cache(maxsize=1)
def _named(_stamp: object) -> tuple[tuple[str, str], ...]:
    found = {name: text for name in (*_FILES, _FOLDER) if (text := os.environ.get(name, "").strip(QUOTES))}
    file = next((name for name in _FILES if name in found), None)
    return tuple((name, found[name]) for name in (file, _FOLDER) if name is not None and name in found)


@lru_cache(maxsize=8)
def context(variables: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    """Return the TLS settings of a client."""
    if not variables:
        import httpx2

        return httpx2.create_ssl_context(trust_env=False)
    # This context trusts nothing yet: the named certificates replace the default ones.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for variable, text in variables:
        _load(tls, variable, text)
    return tls


def _load(tls: ssl.SSLContext, variable: str, text: str) -> None:
    folders = [part for part in text.split(os.pathsep) if part] if variable == _FOLDER else []
    path = Path(text)
    try:
        if folders or path.is_dir():  # REQUESTS_CA_BUNDLE may name a folder
            _check_folders(folders or [text])
            tls.load_verify_locations(capath=text)
        else:
            tls.load_verify_locations(cafile=text)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "has no certificates" if isinstance(error, ssl.SSLError) else f"does not exist: {text}"
        raise ConfigurationError(
            f"{variable} is invalid: {text} {reason}.",
            hint=f"Correct or unset {variable}. Nothing was sent.",
        ) from error


def _check_folders(folders: list[str]) -> None:
    """Raise if no folder exists: OpenSSL would trust no certificate, and fail only in the handshake."""
    if not any(Path(folder).is_dir() for folder in folders):
        raise FileNotFoundError(os.pathsep.join(folders))
