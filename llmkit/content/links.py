"""Web addresses of images and PDFs: what they name, and how they are shown.

Nothing here loads anything. An address may carry a password or a signature; what is shown of it has neither.
"""

from __future__ import annotations

import mimetypes
import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from llmkit.core.errors import InvalidRequestError

ANY_IMAGE = "image/*"
"""The type of an image whose address does not tell it."""

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".pdf": "application/pdf",
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN = 200
"""Characters of an address that are shown."""


def is_link(text: str) -> bool:
    r"""Whether a text is an address, of whichever scheme, and no path.

    Example:
        >>> is_link("https://host/a.png"), is_link("C:\\a.png"), is_link("a.png")
        (True, False, False)
    """
    return _SCHEME.match(text) is not None


def check_link(url: str) -> None:
    """Refuse what no provider can load."""
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() not in {"http", "https"}:
        raise InvalidRequestError(
            f"{shown_link(url)!r} cannot be attached: its address is not http:// or https://.",
            hint="Download it, then attach the file.",
        )
    parts = _parts(url)
    if parts is None or not parts.hostname or _CONTROLS.search(url):
        raise InvalidRequestError(f"{shown_link(url)!r} is not a web address.", hint="Check its host.")


def name_of(url: str) -> str:
    """Return the name of the file that an address ends with; empty if there is none.

    Example:
        >>> name_of("https://host/plots/a%20b.png?width=200")
        'a b.png'
    """
    parts = _parts(url)
    return "" if parts is None else PurePosixPath(unquote(parts.path)).name


def type_of(url: str, name: str = "") -> str:
    """Return what an address names, by the ending of its path: an image where that tells nothing.

    Example:
        >>> type_of("https://host/a.JPG"), type_of("https://host/image?id=7")
        ('image/jpeg', 'image/*')
    """
    for each in filter(None, (name, name_of(url))):
        ending = PurePosixPath(each).suffix.lower()
        guessed = _TYPES.get(ending) or mimetypes.guess_type(f"a{ending}")[0] or ""
        if guessed in _TYPES.values():
            return guessed
        if guessed and not guessed.startswith("application/x-"):  # a script may well return an image
            raise InvalidRequestError(
                f"{shown_link(url)!r} is {guessed}: only images and PDFs go by their address.",
                hint="Download it, then attach the file.",
            )
    return ANY_IMAGE


def shown_link(url: str) -> str:
    """Return an address for people: without a user, a password, a query, which may hold a signature, or more.

    Example:
        >>> shown_link("https://me:secret@host/a.png?X-Amz-Signature=1f2e")
        'https://host/a.png?…'
    """
    parts = _parts(url)
    if parts is None:
        return "an address"
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"
    text = _CONTROLS.sub("", text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def secrets_of(url: str) -> list[str]:
    """Return the parts of an address that are not for showing: user, password, and the query's values.

    Example:
        >>> secrets_of("https://me:secret@host/a.png?id=7&sig=1f2e")
        ['me', 'secret', '7', '1f2e']
    """
    parts = _parts(url)
    if parts is None:
        return []
    users = [unquote(one) for one in (parts.username, parts.password) if one]
    return users + [value for _, value in parse_qsl(parts.query)]


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is read only now, and may be none
    except ValueError:
        return None
    return parts
