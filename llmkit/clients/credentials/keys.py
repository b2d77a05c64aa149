"""API keys: the session, the environment, `.env`, the keyring and a hosted runtime's secrets."""

from __future__ import annotations

import os
import threading
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.clients.credentials import runtime_secrets
from llmkit.core import catalog, environment, runtimes, settings
from llmkit.core.errors import AuthenticationError, ConfigurationError
from llmkit.core.redaction import Secret, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

SANDBOX_KEY = "no-key-for-the-sandbox"
"""Key that the SDKs send to the sandbox, because they require one."""

KEYRING = "llmkit"
"""Service name for keys in the operating system's keyring."""


class KeyStatus(StrEnum):
    """Result of `validate_api_key`; true only for a valid key."""

    VALID = "valid"
    INVALID = "invalid"
    UNREACHABLE = "unreachable"

    def __bool__(self) -> bool:
        return self is KeyStatus.VALID


class APIKeyManager:
    """The keys of each provider, with rotation.

    Keys that are not passed are read from the environment: `OPENAI_API_KEY`, then
    `OPENAI_API_KEY_1`, `OPENAI_API_KEY_2`, …; then from a `.env` in the current
    folder, if your own settings file has `dotenv = true`; then from the keyring; then, at a
    call, from the secret `OPENAI_API_KEY` of Colab or Kaggle.

    Args:
        keys: Keys by provider, in order of use.

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
        """Return the current key, wrapped, or `None`.

        Args:
            provider: Name of the provider.
        """
        keys = self._all(provider)
        if keys:
            return keys[self._current.get(provider, 0) % len(keys)]
        return _from_keyring(provider) or runtime_secrets.found(provider)

    def get_key(self, provider: str) -> str:
        """Return the current key.

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
        """Switch to the provider's next key; after the last comes the first.

        Args:
            provider: Name of the provider.
        """
        with self._lock:
            self._current[provider] = self._current.get(provider, 0) + 1

    def advance(self, provider: str, used: Secret) -> Secret | None:
        """Switch to the next key, unless another call has done so already.

        Args:
            provider: Name of the provider.
            used: The key that was rejected or is exhausted.

        Returns:
            The current key; `None` if there is only one.
        """
        with self._lock:
            keys = self._all(provider)
            current = self._current.get(provider, 0)
            # If many calls fail with one key, only the first switches.
            if keys and keys[current % len(keys)] is used:
                self._current[provider] = current + 1
        now = self.find(provider)
        return None if now is used else now

    def set_key(self, provider: str, value: str) -> None:
        """Use this key for a provider until the process ends; it overrides the environment.

        Args:
            provider: Name of the provider.
            value: The key.

        Raises:
            ConfigurationError: If it is blank.
        """
        if not value.strip():
            raise ConfigurationError(f"The key for {provider} must not be blank.")
        with self._lock:
            self._keys[provider] = [Secret(value.strip(), "%llm key")]
            self._current[provider] = 0

    def _all(self, provider: str) -> list[Secret]:
        return self._keys.get(provider) or _from_environment(provider) or _from_dotenv(provider)


def save_key(provider: str, value: str) -> None:
    """Store a key in the operating system's keyring for later sessions."""
    hidden, value = Secret(value, "the keyring"), ""  # tracebacks may show arguments
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        hint = 'pip install "jupyter-llmkit[keyring]"'
        raise ConfigurationError("The package keyring is not installed.", hint=hint) from error
    try:
        keyring.set_password(KEYRING, provider, hidden.reveal())
    except KeyringError as error:  # the keyring's frames hold the key
        raise ConfigurationError(
            f"The keyring did not store the key: {redact(str(error))}."
        ) from error.with_traceback(None)
    # The cache may hold the former key, or that there was none.
    _from_keyring.cache_clear()


keys = APIKeyManager()
"""The keys of clients without an `api_key` argument."""


def missing_key(provider: str) -> AuthenticationError:
    """Return the error for a provider without a key."""
    known = catalog.providers().get(provider)
    variable = known.key_env[0] if known and known.key_env else f"{provider.upper()}_API_KEY"
    env = "%env " if runtimes.has_magics() else ""
    return AuthenticationError(
        f"No {provider} key:",
        provider=provider,
        hint=f"{runtime_secrets.refusal(provider)}{runtimes.command(f'key {provider}')}, or set {variable}. "
        f"Without a key, ask the model sandbox, or set {env}LLMKIT_SANDBOX=1: "
        "it then answers for all models.",
    )


def _from_environment(provider: str) -> list[Secret]:
    return list(_in_environment(provider, environment.stamp()))


@lru_cache(maxsize=64)
def _in_environment(provider: str, _stamp: object) -> tuple[Secret, ...]:
    return tuple(_listed(provider, os.environ, "{}"))


def _from_dotenv(provider: str) -> list[Secret]:
    """Return the keys in a `.env` in the current folder, if the user's own settings allow it.

    Only key variables are read, because an address in the file would come from a project.
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
        hint = 'pip install "jupyter-llmkit[dotenv]", or remove dotenv from your settings.'
        raise ConfigurationError("The package python-dotenv is not installed.", hint=hint) from error
    try:
        # A key may contain a dollar sign.
        found = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:  # UnicodeDecodeError quotes the file
        raise ConfigurationError(f"{path} cannot be read: {type(error).__name__}.") from None
    return {name: value for name, value in found.items() if value}


def _listed(provider: str, variables: Mapping[str, str], source: str) -> list[Secret]:
    """Return a provider's keys: the first variable that is set, and its numbered variants."""
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
    """Register a key from the environment with `redact` for the lifetime of the process."""
    return Secret(value, name)


# A keyring may be slow or show a dialog, so it is asked once.
@lru_cache(maxsize=32)
def _from_keyring(provider: str) -> Secret | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        value = keyring.get_password(KEYRING, provider)
    except KeyringError:  # locked or missing
        return None
    return Secret(value, "the keyring") if value else None
