"""URLs of images and PDFs: validation, type and display.

Nothing is downloaded here. URLs may contain passwords and signatures, which are never displayed.
"""

from __future__ import annotations

import mimetypes
import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from llmkit.core.errors import InvalidRequestError

ANY_IMAGE = "image/*"
"""Media type of an image whose URL has no extension."""

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
"""Maximum length of a displayed URL."""


def is_link(text: str) -> bool:
    r"""Whether a text is a URL of any scheme, not a path.

    Example:
        >>> is_link("https://host/a.png"), is_link("C:\\a.png"), is_link("a.png")
        (True, False, False)
    """
    return _SCHEME.match(text) is not None


def check_link(url: str) -> None:
    """Refuse URLs that no provider can download."""
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() not in {"http", "https"}:
        raise InvalidRequestError(
            f"Cannot attach {shown_link(url)!r}: the URL must begin with http:// or https://.",
            hint="Download it, then attach the file.",
        )
    parts = _parts(url)
    if parts is None or not parts.hostname or _CONTROLS.search(url):
        raise InvalidRequestError(f"{shown_link(url)!r} is not a valid URL.", hint="Check the host.")


def name_of(url: str) -> str:
    """Return the file name at the end of a URL; empty if there is none.

    Example:
        >>> name_of("https://host/plots/a%20b.png?width=200")
        'a b.png'
    """
    parts = _parts(url)
    return "" if parts is None else PurePosixPath(unquote(parts.path)).name


def type_of(url: str, name: str = "") -> str:
    """Return the media type by the extension of a URL; an image if there is none.

    Example:
        >>> type_of("https://host/a.JPG"), type_of("https://host/image?id=7")
        ('image/jpeg', 'image/*')
    """
    for each in filter(None, (name, name_of(url))):
        ending = PurePosixPath(each).suffix.lower()
        guessed = _TYPES.get(ending) or mimetypes.guess_type(f"a{ending}")[0] or ""
        if guessed in _TYPES.values():
            return guessed
        if guessed and not guessed.startswith("application/x-"):  # a script may return an image
            raise InvalidRequestError(
                f"{shown_link(url)!r} is {guessed}: only images and PDFs can be sent by URL.",
                hint="Download it, then attach the file.",
            )
    return ANY_IMAGE


def shown_link(url: str) -> str:
    """Return a URL for display: without user, password and query, which may contain a signature.

    Example:
        >>> shown_link("https://me:secret@host/a.png?X-Amz-Signature=1f2e")
        'https://host/a.png?…'
    """
    parts = _parts(url)
    if parts is None:
        return "an address"
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"
    # Control characters could change what a terminal shows.
    text = _CONTROLS.sub("", text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def secrets_of(url: str) -> list[str]:
    """Return the confidential parts of a URL: user, password, and values of the query.

    Example:
        >>> secrets_of("https://me:secret@host/a.png?id=7&sig=1f2e")
        ['me', 'secret', '7', '1f2e']
    """
    parts = _parts(url)
    if parts is None:
        return []
    # A server may repeat them decoded.
    users = [unquote(one) for one in (parts.username, parts.password) if one]
    return users + [value for _, value in parse_qsl(parts.query)]


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - parsed only on access; may be invalid
    except ValueError:
        return None
    return parts
