"""API keys: where they come from, and how they stay out of sight."""

from __future__ import annotations

import os
import threading
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.core import catalog, environment, settings
from llmkit.core.errors import AuthenticationError, ConfigurationError
from llmkit.core.redaction import Secret, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

SANDBOX_KEY = "no-key-for-the-sandbox"
"""What the SDKs send to the sandbox: they insist on a key."""

KEYRING = "llmkit"
"""Service under which keys are kept in the operating system's keyring."""


class KeyStatus(StrEnum):
    """What `validate_api_key` found; true only for a valid key."""

    VALID = "valid"
    INVALID = "invalid"
    UNREACHABLE = "unreachable"

    def __bool__(self) -> bool:
        return self is KeyStatus.VALID


class APIKeyManager:
    """The keys of each provider: several may take turns.

    Without keys of its own it finds them in the environment: `OPENAI_API_KEY`, then
    `OPENAI_API_KEY_1`, `OPENAI_API_KEY_2`, … and so for every provider; then in a `.env` in the current
    folder, if your own settings file has `dotenv = true`; then in the keyring.

    Args:
        keys: Keys by provider, in the order in which they are used.

    Example:
        >>> manager = APIKeyManager({"openai": ["first-key", "second-key"]})
        >>> manager.rotate_key("openai")
        >>> manager.get_key("openai")
        'second-key'
    """

    def __init__(self, keys: Mapping[str, list[str]] | None = None) -> None:
        self._keys = {
            provider: [Secret(value, "APIKeyManager") for value in values if value]
            for provider, values in (keys or {}).items()
        }
        self._current: dict[str, int] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"APIKeyManager({', '.join(f'{name}: {len(keys)}' for name, keys in self._keys.items())})"

    def find(self, provider: str) -> Secret | None:
        """Return the key in use, wrapped, or `None` if there is none.

        Args:
            provider: Name of the provider.
        """
        keys = self._all(provider)
        return keys[self._current.get(provider, 0) % len(keys)] if keys else _from_keyring(provider)

    def get_key(self, provider: str) -> str:
        """Return the key in use.

        Args:
            provider: Name of the provider.

        Raises:
            AuthenticationError: If there is none.
        """
        key = self.find(provider)
        if key is None:
            raise missing_key(provider)
        return key.reveal()

    def rotate_key(self, provider: str) -> None:
        """Go on to the provider's next key; after the last one comes the first.

        Args:
            provider: Name of the provider.
        """
        with self._lock:
            self._current[provider] = self._current.get(provider, 0) + 1

    def advance(self, provider: str, used: Secret) -> Secret | None:
        """Go on to the next key, unless another call has done so already.

        Args:
            provider: Name of the provider.
            used: The key that was refused or is used up.

        Returns:
            The key that is in use now; `None` if there is only this one.
        """
        with self._lock:
            keys = self._all(provider)
            current = self._current.get(provider, 0)
            # Of many calls that fail with one key, only the first moves on.
            if keys and keys[current % len(keys)] is used:
                self._current[provider] = current + 1
        now = self.find(provider)
        return None if now is used else now

    def set_key(self, provider: str, value: str) -> None:
        """Use this key for a provider until the process ends; it wins over the environment.

        Args:
            provider: Name of the provider.
            value: The key.

        Raises:
            ConfigurationError: If it is blank.
        """
        if not value.strip():
            raise ConfigurationError(f"The key for {provider} is blank.")
        with self._lock:
            self._keys[provider] = [Secret(value.strip(), "%llm key")]
            self._current[provider] = 0

    def _all(self, provider: str) -> list[Secret]:
        return self._keys.get(provider) or _from_environment(provider) or _from_dotenv(provider)


def save_key(provider: str, value: str) -> None:
    """Keep a key in the operating system's keyring for later sessions."""
    hidden, value = Secret(value, "the keyring"), ""  # a traceback may show arguments
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        hint = 'pip install "llmkit[keyring]"'
        raise ConfigurationError("The package keyring is missing.", hint=hint) from error
    try:
        keyring.set_password(KEYRING, provider, hidden.reveal())
    except KeyringError as error:  # frames of the keyring hold the key
        raise ConfigurationError(
            f"The keyring did not take the key: {redact(str(error))}."
        ) from error.with_traceback(None)
    _from_keyring.cache_clear()


keys = APIKeyManager()
"""The keys that clients use which were given none."""


def missing_key(provider: str) -> AuthenticationError:
    """Return the error for a provider without a key."""
    known = catalog.providers().get(provider)
    variable = known.key_env[0] if known and known.key_env else f"{provider.upper()}_API_KEY"
    return AuthenticationError(
        f"No {provider} key:",
        provider=provider,
        hint=f"%llm key {provider}, or set {variable}, or use -m sandbox.",
    )


def _from_environment(provider: str) -> list[Secret]:
    return list(_in_environment(provider, environment.stamp()))


@lru_cache(maxsize=64)
def _in_environment(provider: str, _stamp: object) -> tuple[Secret, ...]:
    return tuple(_listed(provider, os.environ, "{}"))


def _from_dotenv(provider: str) -> list[Secret]:
    """Return the keys of a `.env` in the current folder, if the user's own settings let it be read.

    Only the variables of keys are looked at: an address in it would be a project's.
    """
    if not settings.load().dotenv:
        return []
    path = Path(".env").absolute()
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return []
    return _listed(provider, _dotenv(path, stamp), "{} in .env")


@lru_cache(maxsize=8)
def _dotenv(path: Path, _stamp: int) -> Mapping[str, str]:
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        hint = 'pip install "llmkit[dotenv]", or take dotenv out of your settings.'
        raise ConfigurationError("The package python-dotenv is missing.", hint=hint) from error
    try:
        found = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:  # the second one's words hold the file's
        raise ConfigurationError(f"{path} cannot be read: {type(error).__name__}.") from None
    return {name: value for name, value in found.items() if value}


def _listed(provider: str, variables: Mapping[str, str], source: str) -> list[Secret]:
    """Return a provider's keys: those of the first variable that is set, and of its numbered ones."""
    known = catalog.providers().get(provider)
    for name in known.key_env if known else ():
        found = [
            _secret(source.format(n), variables[n].strip())
            for n in (name, *(f"{name}_{number}" for number in range(1, 10)))
            if variables.get(n, "").strip()
        ]
        if found:
            return found
    return []


@lru_cache(maxsize=64)
def _secret(name: str, value: str) -> Secret:
    """Keep a key of the environment, so that `redact` knows it as long as the process runs."""
    return Secret(value, name)


@lru_cache(maxsize=32)
def _from_keyring(provider: str) -> Secret | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        value = keyring.get_password(KEYRING, provider)
    except KeyringError:  # locked, or there is none on this machine
        return None
    return Secret(value, "the keyring") if value else None
