"""Images, PDFs and text files that go with a message."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import mimetypes
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from llmkit.content.encodings import decoded
from llmkit.content.images import from_array, transposed, upright
from llmkit.content.links import ANY_IMAGE, check_link, is_link, name_of, shown_link, type_of
from llmkit.core.errors import InvalidRequestError

IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""Image types that all providers accept."""

PDF = "application/pdf"

LARGEST = 50 * 2**20
"""Largest file in bytes that any provider accepts inline (OpenAI, Gemini: 50 MB for a PDF)."""

TAKEN = "Supported: PNG, JPEG, WebP and GIF images, PDFs and text files."

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": PDF,
}

_OTHERS = (
    (re.compile(rb"BM"), "a BMP image"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF image"),
    (re.compile(rb"....ftyp(heic|heix|mif1|avif)", re.DOTALL), "an HEIC or AVIF image"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video or audio file"),
    (re.compile(rb"ID3|RIFF....WAVE|OggS|fLaC", re.DOTALL), "an audio file"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive or an Office document"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an Office document"),
)
"""Signatures of unsupported types, for the error message."""

# Text has none of these; tabs, line ends, form feeds and escape codes in logs are allowed.
_CONTROLS = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")
_ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """An image, a PDF or a text file. `llmkit.attach` creates one.

    Args:
        media_type: MIME type of the data, e.g. `"image/png"`, `"application/pdf"` or `"text/csv"`.
        data: The file's bytes; not shown in the repr.
        name: The file's name, sent to the model if the provider supports it.
        turned: Digests of a rotated photo: of this data and of the original file. Replay uses the
            original, because another release may encode the rotated photo differently.
        url: Instead of data, the URL from which the provider downloads an image or a PDF; llmkit
            never does. Displayed without user, password and query.

    Raises:
        InvalidRequestError: If the data is empty or does not match the type, if the URL is invalid,
            or if both are given.

    Example:
        >>> Attachment("text/plain", b"Hello", "hello.txt")
        Attachment('text/plain', 5 bytes, name='hello.txt')
    """

    media_type: str
    data: bytes = field(default=b"", repr=False)
    name: str = ""
    turned: tuple[str, str] | None = field(default=None, repr=False, compare=False)
    url: str = ""

    def __post_init__(self) -> None:
        if self.url:
            self._check_url()
            return
        if not isinstance(self.data, bytes):
            raise InvalidRequestError(
                f"The data of an attachment must be bytes, got {type(self.data).__name__}."
            )
        if not self.data:
            raise InvalidRequestError(f"{self.shown} is empty.")
        if self.kind == "audio":  # raw samples have no signature
            return
        found = media_type(self.data, self.name)
        if found is None:
            raise InvalidRequestError(f"{self.shown} is {_guess(self.data)}.", hint=TAKEN)
        if found != self.media_type and not (_is_text(found) and _is_text(self.media_type)):
            raise InvalidRequestError(f"{self.shown} is {found}, not {self.media_type}.", hint=TAKEN)

    def __repr__(self) -> str:
        if self.url:
            return f"Attachment({self.media_type!r}, url={self.shown_url!r}, name={self.name!r})"
        return f"Attachment({self.media_type!r}, {len(self.data)} bytes, name={self.name!r})"

    def _check_url(self) -> None:
        check_link(self.url)
        if self.data:
            raise InvalidRequestError(f"{self.shown} has both data and a URL.", hint="Pass only one.")
        if self.media_type not in {*IMAGES, ANY_IMAGE, PDF}:
            raise InvalidRequestError(
                f"{self.shown} is {self.media_type}: only images and PDFs can be sent by URL.",
                hint="Download it, then attach the file.",
            )

    @property
    def shown_url(self) -> str:
        """The URL for display, without user, password and query; empty if there is none."""
        return shown_link(self.url) if self.url else ""

    @property
    def shown(self) -> str:
        """Its name in messages."""
        if self.url:
            return self.shown_url
        return repr(self.name[:80]) if self.name else "The attachment"

    @property
    def kind(self) -> Literal["image", "pdf", "text", "audio"]:
        """Its kind: image, PDF, text, or sound that a model made."""
        if self.media_type in IMAGES or self.media_type == ANY_IMAGE:
            return "image"
        if self.media_type.startswith("audio/"):
            return "audio"
        return "pdf" if self.media_type == PDF else "text"

    @property
    def text(self) -> str:
        """The content of a text file.

        Raises:
            InvalidRequestError: If it is not a text file.
        """
        found = _decoded(self.data)
        if self.kind != "text" or found is None:
            raise InvalidRequestError(f"{self.shown} is {self.media_type}: it has no text.")
        return found

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the data, of the original file of a rotated photo, or of the URL."""
        if self.url:
            return _digest(self.url.encode(errors="surrogatepass"))
        found = _digest(self.data)
        return self.turned[1] if self.turned is not None and self.turned[0] == found else found

    @property
    def base64(self) -> str:
        """The data as base64."""
        return base64.b64encode(self.data).decode()


def attach(source: Any, name: str | None = None) -> Attachment:
    r"""Create an attachment from a file, from bytes, or from an object with a picture.

    The type is detected from the content, not from the file's name. Photos are rotated as their EXIF
    orientation says; else images are sent as they are: a provider with a limit of pixels makes them smaller
    itself. Text that is not UTF-8 is decoded by the encoding that it declares, or that it looks like.

    A web address is not loaded here: the provider gets the address and loads it itself.

    Args:
        source: A path; the `http://` or `https://` URL of an image or a PDF, as a string; bytes; a file that
            is open for reading, such as a `BytesIO`; a matplotlib figure or axes; a PIL image; a numpy array
            of pixels; an `IPython.display.Image`; or any object with a PNG or JPEG representation.
        name: The file's name for the model; by default that of the file. Its extension determines the type
            of a URL without one (an image if both have none).

    Returns:
        The attachment, for `LLMMessage(role, content, attachments=(…,))`.

    Raises:
        InvalidRequestError: If the file does not exist, is empty, larger than 50 MB, or of a type that no
            provider accepts, or if a URL is not that of an image or a PDF.

    Example:
        >>> attach(b"a,b\n1,2\n", "table.csv")
        Attachment('text/csv', 8 bytes, name='table.csv')
    """
    if isinstance(source, Attachment):
        return source if name is None else replace(source, name=name)
    if isinstance(source, str) and is_link(source := source.strip()):
        return _linked(source, name or "")
    data, own = _loaded(source)
    return _made(data, own if name is None else name)


def _linked(url: str, name: str) -> Attachment:
    check_link(url)
    return Attachment(type_of(url, name), name=name or name_of(url), url=url)


def _loaded(source: Any) -> tuple[bytes, str]:
    """Return what a source holds, and its own name."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        return _read(path), path.name
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), ""
    if callable(getattr(source, "read", None)):
        return _content(source), _name_of(source)
    return _picture(source), ""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def media_type(data: bytes, name: str = "") -> str | None:
    r"""Return the media type of bytes, if supported.

    Example:
        >>> media_type(b"GIF89a..."), media_type(b"a,b", "x.csv"), media_type(b"PK\x03\x04")
        ('image/gif', 'text/csv', None)
    """
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if _decoded(data) is None:
        return None
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if _is_text(guessed) else "text/plain"


def _is_text(kind: str) -> bool:
    """Whether a media type is text: every type except the known binary ones."""
    return kind not in {*IMAGES, PDF} and (
        kind.startswith("text/") or kind.endswith(("json", "xml", "yaml", "toml", "javascript", "sql"))
    )


def _decoded(data: bytes) -> str | None:
    """Return a text file's text; `None` if it is not text."""
    # Only a byte order mark tells UTF-16 with certainty.
    encoding = next((code for mark, code in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


def _made(data: bytes, name: str) -> Attachment:
    shown = repr(name[:80]) if name else "The attachment"
    if len(data) > LARGEST:
        raise _too_large(shown, len(data))
    kind = media_type(data, name)
    if kind in IMAGES:
        seen = upright(data)
        turned = None if seen is data else (_digest(seen), _digest(data))
        return Attachment(kind, seen, name, turned)
    if kind is None and (recoded := _recoded(data)) is not None:
        data, kind = recoded, media_type(recoded, name)
    return Attachment(kind or "application/octet-stream", data, name)


def _recoded(data: bytes) -> bytes | None:
    """Return text of another encoding as UTF-8; `None` if it is not text."""
    # An Office file or an archive could be taken for text in an old encoding.
    if any(pattern.match(data) for pattern, _ in _OTHERS):
        return None
    text = decoded(data)
    return None if text is None or _CONTROLS.search(text) else text.encode()


def _content(source: Any) -> bytes:
    """Return the content of an open file; of a `BytesIO` all of it, whatever its position."""
    whole = getattr(source, "getvalue", None)
    # One byte more than allowed shows that a file is too large.
    content = whole() if callable(whole) else source.read(LARGEST + 1)
    return content.encode() if isinstance(content, str) else bytes(content)


def _name_of(source: Any) -> str:
    name = getattr(source, "name", "")
    return Path(name).name if isinstance(name, str) else ""


def _read(path: Path) -> bytes:
    """Read a file after checking its size."""
    scheme, colon, _ = str(path).partition(":")
    if colon and scheme.lower() in {"http", "https", "data"}:
        raise InvalidRequestError(
            f"A path must not begin with {scheme}:.",
            hint="Pass a URL as a string, and other data as bytes.",
        )
    try:
        # A device or a named pipe could be read without end.
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a regular file"
            raise InvalidRequestError(
                f"{str(path)[:200]!r} {what}." if path.exists() else f"File not found: {str(path)[:200]!r}.",
                hint=f"Relative paths start at {str(Path.cwd())[:150]}.",
            )
        size = path.stat().st_size
        if size > LARGEST:
            raise _too_large(repr(path.name[:80]), size)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"Cannot read {str(path)[:200]!r}: {error}.") from error


def _too_large(shown: str, size: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"{shown} has {size / 2**20:.1f} MB; no provider accepts more than {LARGEST / 2**20:.0f} MB inline.",
        hint="Send a part or a smaller version.",
    )


def _picture(source: Any) -> bytes:
    """Return the picture of a figure or of an object with an image representation."""
    # Axes have no `savefig`, but their figure does.
    figure: Any = source if hasattr(source, "savefig") else getattr(source, "figure", None)
    if hasattr(figure, "savefig"):
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()
    if callable(getattr(source, "getexif", None)):
        source = transposed(source)
    if hasattr(source, "__array_interface__"):
        return from_array(source)
    for method in ("_repr_png_", "_repr_jpeg_"):
        show = getattr(source, method, None)
        shown = show() if callable(show) else None
        shown = shown[0] if isinstance(shown, tuple) else shown  # the data and its metadata
        if shown:
            return _bytes(shown)
    data = getattr(source, "data", None)
    if isinstance(data, bytes):  # an IPython.display.Image of another format
        return data
    raise InvalidRequestError(
        f"Cannot attach a {type(source).__name__}: it has no PNG or JPEG representation.", hint=TAKEN
    )


def _bytes(shown: Any) -> bytes:
    """Return a picture as bytes; IPython's own are base64."""
    if isinstance(shown, bytes):
        return shown
    try:
        return base64.b64decode(shown)
    except (TypeError, ValueError, binascii.Error) as error:
        raise InvalidRequestError(f"Its picture is not base64: {error}.") from error


def _guess(data: bytes) -> str:
    """Guess the kind of unsupported bytes, for the message."""
    found = (name for pattern, name in _OTHERS if pattern.match(data))
    return next(found, "neither an image nor a PDF nor text in a known encoding")
