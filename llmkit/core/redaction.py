"""Keys are hidden: the wrapper around a key, and the search for keys in texts.

Two kinds of keys are found: those that this process uses, in any encoding,
and texts in the format of a known provider's keys.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import weakref
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import LLMClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HIDDEN = "[redacted]"

SHORTEST = 8
"""Minimum length of a key; shorter ones (`EMPTY`, `ollama`) are placeholders."""

HEAD = 16
"""Leading characters that identify a key: the text may be cut or masked after them."""

_SECRET = re.compile(r"key|token|secret|authorization|cookie", re.IGNORECASE)
"""Names of attributes and headers whose values are secret."""

_SALT = os.urandom(32)
"""Makes digests of keys useless to others."""

_seen: weakref.WeakSet[Secret] = weakref.WeakSet()


class Secret:
    """A key that does not appear in a repr, log, traceback or pickle.

    Example:
        >>> Secret("sk-123456789", "an argument")
        Secret('[redacted]', from an argument)
    """

    __slots__ = ("__weakref__", "_digest", "_value", "source")

    def __init__(self, value: str, source: str) -> None:
        # Debuggers and variable inspectors show slots; this slot shows a function.
        self._value: Callable[[], str] = lambda: value
        self.source = source
        self._digest: bytes | None = None
        _seen.add(self)

    def reveal(self) -> str:
        """Return the key; only for sending."""
        return self._value()

    @property
    def digest(self) -> bytes:
        """What tells keys apart within this process, and says nothing about them outside."""
        if self._digest is None:  # every call needs it
            value = self._value().encode("utf-8", "surrogatepass")
            self._digest = hashlib.blake2b(value, key=_SALT, digest_size=16).digest()
        return self._digest

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r}, from {self.source})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str, str]]:
        # Pickles travel to other processes and to disk.
        return Secret, ("", f"{self.source}; a key is never pickled")


def note(client: Any) -> None:
    """Register the keys of a user's own SDK client with `redact`, wherever the SDK stores them."""
    inner = getattr(client, "_api_client", None)  # google-genai's
    for holder in (client, inner, getattr(inner, "_http_options", None)):
        for name, value in getattr(holder, "__dict__", {}).items():
            if isinstance(value, str) and _SECRET.search(name):
                _noted(value)
            elif isinstance(value, Mapping) and "headers" in name:
                _note_headers(value)


def _note_headers(headers: Mapping[Any, Any]) -> None:
    for name, value in headers.items():
        if isinstance(name, str) and isinstance(value, str) and _SECRET.search(name):
            _noted(value.rpartition(" ")[2])  # after Bearer


@lru_cache(maxsize=256)
def _noted(value: str) -> Secret:
    """Register a key with `redact` for the lifetime of the process."""
    return Secret(value, "your own SDK client")


def redact(text: str) -> str:
    """Redact every key in a text: those in use, and strings that look like keys.

    Keys in use are found in any case, percent-encoded, JSON- and HTML-escaped, as hex and as base64 (also
    within a longer text), truncated and masked. Runs in linear time.

    Example:
        >>> redact("Incorrect API key provided: sk-abcdefgh1234.")
        'Incorrect API key provided: [redacted].'
    """
    low = text.lower()
    for secret in tuple(_seen):
        # Searching a plain string first is much faster than a pattern that does not match.
        for sign, form in _forms(secret.reveal()):
            if sign in low:
                text = form.sub(HIDDEN, text)
    for sign, shape in _SHAPES:
        if sign in low:
            text = shape.sub(_hide, text)
    return text


def redact_error(error: BaseException, hidden: Iterable[str] = ()) -> None:
    """Redact keys in an exception and its causes.

    Removes the causes' tracebacks: frames of HTTP libraries hold headers, and IPython can print variables.
    """
    kept = [
        Secret(text, "what was sent") for text in hidden
    ]  # before the frames are removed: they hold the keys
    _redact_chain(error)
    del kept


def _redact_chain(error: BaseException) -> None:
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        # The error's own traceback shows the user's code, which they need to see.
        if link is not error:
            link.__traceback__ = None
        _clean_one(link)
        links += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]


def _clean_one(error: BaseException) -> None:
    error.args = tuple(_clean(value) for value in error.args)
    # Our own errors hold the model's text, which must not change.
    ours = ("message", "request_id", "hint", "__notes__")
    # OSError and UnicodeError store their text outside of `vars`.
    names = (
        ours
        if isinstance(error, LLMClientError)
        else (*vars(error), "strerror", "filename", "object", "reason")
    )
    for name in names:
        value = getattr(error, name, None)
        if isinstance(value, (str, bytes, dict, list, tuple)):
            if (clean := _clean(value)) != value:
                setattr(error, name, clean)
        elif name in {"request", "response"} and not _clean_headers(value):
            setattr(error, name, None)


def _clean_headers(message: Any) -> bool:
    """Redact keys in the headers of a request or response; false if they are immutable."""
    headers = getattr(message, "headers", None)
    extensions = getattr(message, "extensions", None)  # httpx stores the reason phrase there
    if isinstance(extensions, dict) and isinstance(said := extensions.get("reason_phrase"), bytes):
        extensions["reason_phrase"] = _clean(said)
    if not isinstance(headers, MutableMapping):
        return not isinstance(headers, Mapping)  # aiohttp's, which include the request's headers
    for name, value in list(headers.items()):
        if isinstance(value, str) and (clean := redact(value)) != value:
            headers[name] = clean
    return True


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        # This encoding maps every byte to a character and back.
        clean = redact(value.decode("latin-1"))
        return clean.encode("latin-1")
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    # Subclasses, such as named tuples, may need other arguments.
    if type(value) in {list, tuple}:
        return type(value)(map(_clean, value))
    return value


@lru_cache(maxsize=256)
def _forms(key: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return a lower-case marker to search first, and the pattern of a key's spellings."""
    return tuple(_patterns(key)) if len(key) >= SHORTEST else ()


def _patterns(key: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    head = key[:HEAD]
    written = "".join(map(_escaped, head))
    if len(key) > len(head):  # all of it, or what is left after a cut or a mask
        yield _sign(head), _compile(written + r"(?:[\w.~*•…%+=-]|\\?/|\\u00..)*")
    else:
        yield _sign(head), _compile(rf"(?<![A-Z0-9]){written}(?![A-Z0-9])")
    # Providers mask keys in their messages, as in sk-1****wxyz.
    start = key[:4]
    yield (
        start.lower(),
        _compile(rf"(?<![A-Z0-9]){re.escape(start)}[\w.~+/=-]{{0,20}}(?:\*{{2,}}|•+|…)[\w.~+/=-]{{0,20}}"),
    )
    yield from _spelled_out(head)
    code = key.encode(errors="replace").hex()
    yield code, _compile(code)
    # Base64 encodes three bytes together, so the text before a key shifts its code.
    for shift in range(3):
        code = _base64(key, shift)
        yield _sign(code), _compile("".join(_BASE64.get(char, char) for char in code))


def _spelled_out(head: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Return the spellings of a key with every character escaped: in JSON, a URL, HTML."""
    codes = [ord(char) for char in head]
    first = codes[0]
    forms = (
        (f"u{first:04x}", r"\\{{1,3}}u{0:04x}", r"\\{1,3}u[0-9a-f]{4}"),
        (f"{first:02x}%", r"%(?:25)?{0:02x}", r"%(?:25)?[0-9a-f]{2}"),
        ("&#", r"&#(?:x0*{0:x}|{0});", r"&#x?[0-9a-f]{1,8};"),
    )
    for sign, one, more in forms:
        yield sign, _compile("".join(map(one.format, codes)) + f"(?:{more})*")


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


def _sign(form: str) -> str:
    """Return the longest part of a key that is the same in every encoding."""
    low = form.lower()
    runs: list[str] = re.findall("[a-z0-9]+", low)
    return max(runs, key=len, default=low)


def _escaped(char: str) -> str:
    """Return a pattern for a character, plain or as escaped in URLs, JSON and HTML."""
    if char.isascii() and char.isalnum():
        return char
    code = ord(char)
    percent = "".join(f"%(?:25)?{byte:02x}" for byte in char.encode(errors="replace"))
    numbers = (
        rf"\\{{1,3}}(?:u{code:04x}|x{code:02x})|&#(?:x0*{code:x}|{code});|{re.escape(html.escape(char))}"
    )
    return rf"(?:\\{{0,3}}{re.escape(char)}|{percent}|{numbers})"


def _base64(key: str, shift: int) -> str:
    """Return the part of a key's base64 that is independent of the surrounding text."""
    data = key.encode(errors="replace")
    whole = base64.b64encode(b"\0" * shift + data).decode()
    return whole[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]


_BASE64 = {"+": "(?:[+-]|%2b)", "/": r"(?:\\?/|_|%2f)"}
"""Characters of base64 that differ in the URL-safe alphabet or in a URL."""


def _hide(match: re.Match[str]) -> str:
    name: str = match.groupdict().get("name") or ""
    return name + HIDDEN


def _shape(prefix: str, rest: str) -> tuple[str, re.Pattern[str]]:
    # The prefix comes first, so that `re` searches for it as fast as `str.find`; the look-behind follows.
    literal = re.escape(prefix)
    return prefix.lower(), re.compile(rf"{literal}(?<![A-Za-z0-9]{literal}){rest}")


# Bounded look-aheads keep the search linear on a text that repeats a prefix.
_MIXED = r"(?=[A-Za-z*_-]{0,80}[0-9*])"
"""Only letters: a name or a CSS class."""

_RANDOM = rf"(?:[A-Za-z0-9]{{20,}}|{_MIXED}[A-Za-z0-9]{{16,}})"

_SHAPES = (
    # Sources: each provider's documentation of its keys, and GitHub's list of secret scanning patterns.
    *(
        _shape(f"sk-{kind}-", rf"(?:{_MIXED}[\w*-]{{8,}}|[A-Za-z0-9]{{20,}})")
        for kind in ("proj", "svcacct", "admin", "ant", "or")
    ),
    _shape(
        "sk-", rf"(?:[A-Za-z0-9]{{20,}}|{_MIXED}[A-Za-z0-9]{{12,}}|[\w-]{{2,40}}(?:\*{{2,}}|•+|…))[\w*•…-]*"
    ),
    _shape("AIza", r"[\w-]{20,}"),
    _shape("AQ.", rf"{_MIXED}[\w-]{{20,}}"),
    *(_shape(prefix, _RANDOM) for prefix in ("gsk_", "hf_", "r8_", "xai-", "pplx-")),
    *(_shape(f"gh{kind}_", r"[A-Za-z0-9]{20,}") for kind in "pousr"),
    _shape("github_pat_", r"\w{20,}"),
    *(_shape(prefix, r"[A-Z0-9]{16}(?![A-Za-z0-9])") for prefix in ("AKIA", "ASIA")),
    *(_shape(f"xox{kind}-", rf"{_MIXED}[A-Za-z0-9-]{{10,}}") for kind in "abeprs"),
    *(_shape(f"{kind}k_{mode}_", r"[A-Za-z0-9]{16,}") for kind in "sr" for mode in ("live", "test")),
    ("eyj", re.compile(r"eyJ(?<![\w.-]eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]*")),
    (
        "private key-----",
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:\s|\\[nr])*(?:[\w-]{1,20}: .{1,80}\s+){0,3}"
            r"[A-Za-z0-9+/=]{40,}[A-Za-z0-9+/=\s\\]*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
        ),
    ),
    (
        "bearer ",
        re.compile(
            r"(?i:bearer) {1,3}(?:(?=[A-Za-z.~+/=-]{0,80}[0-9_])[A-Za-z0-9._~+/=-]{8,}|[A-Za-z0-9]{20,})"
        ),
    ),
    (
        "api-key",  # a header that a server echoes
        re.compile(
            r"""(?P<name>(?i:api-key)(?:\\{0,3}["'])?\s{0,3}:\s{0,3}(?:\\{0,3}["'])?)"""
            r"""(?=[^\s"',0-9]{0,200}[0-9])[^\s"',]{6,}"""
        ),
    ),
)
"""Shapes of well-known keys: a part in lower case to search for first, and the pattern."""
