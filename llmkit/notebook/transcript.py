"""Export of conversations: one writer for `Chat.export` and `%llm export`, one rule for existing files.

Text from models and users cannot run in the file: HTML is sanitised, and HTML inside Markdown is escaped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.core.errors import ConfigurationError
from llmkit.notebook.display.footer import NO_FOOTER
from llmkit.notebook.display.markdown.inert import inert, inert_line
from llmkit.notebook.display.markdown.partial import close_open
from llmkit.notebook.display.markdown.render import page, render, text_html
from llmkit.notebook.display.markdown.style import PARTS
from llmkit.notebook.display.parts import NOTHING
from llmkit.notebook.display.plain_text import plain, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.parts import Beside

MARK = "<!-- exported by llmkit -->"
"""First line of an export: a file with it may be replaced by a later export."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content security policy of an exported page: it loads nothing; images are in the page itself."""

_DOCTYPE = "<!doctype html>"
_BODY = """
body { max-width: 50em; margin: 2em auto; padding: 0 1em; font-family: system-ui, sans-serif; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message of a transcript."""

    text: str  # Markdown
    quoted: bool = False  # show it as typed, as a quotation
    heading: str = ""  # the speaker; empty means no heading
    notes: tuple[str, ...] = ()
    footer: Footer = NO_FOOTER
    error: str = ""
    cut: bool = False  # the text breaks off
    beside: Beside = NOTHING


def to_markdown(entries: Iterable[Entry], title: str = "", *, harmless: bool = True) -> str:
    """Write a conversation as Markdown.

    Example:
        >>> print(to_markdown([Entry(text="Hi", quoted=True, heading="You"), Entry(text="Hello!")]))
        ## You
        <BLANKLINE>
        > Hi
        <BLANKLINE>
        Hello!
        <BLANKLINE>
    """

    def clean(text: str) -> str:  # control sequences first: without them the text may read as something else
        return (inert if harmless else printable)(plain(text).strip())

    def line(text: str) -> str:
        return (inert_line if harmless else _as_line)(plain(text))

    parts = [f"# {line(title)}"] if title else []
    for entry in entries:
        parts += filter(None, _markdown_parts(entry, clean, line))
    return "\n\n".join(parts) + "\n"


def as_markdown(entries: Iterable[Entry], title: str = "") -> str:
    """Return the Markdown for a file, with the mark of an export."""
    return f"{MARK}\n\n{to_markdown(entries, title)}"


def to_html(entries: Iterable[Entry], title: str = "") -> str:
    """Write a conversation as a page that runs and loads nothing."""
    name = text_html(title or "Conversation")
    body = "".join(map(entry_html, entries))
    return (
        f'{_DOCTYPE}\n{MARK}\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_BODY}</style>{PARTS}</head>"
        f"<body>{page((f'<h1>{name}</h1>' if title else '') + body)}</body></html>\n"
    )


def write_transcript(path: str | os.PathLike[str], entries: Sequence[Entry], title: str = "") -> Path:
    """Write a conversation to a file that only its owner can read."""
    file = Path(path).expanduser()
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise ConfigurationError(
            f"{file.name!r} does not end in .md or .html: a conversation is written as Markdown or HTML.",
            hint=f"Write to {file.stem or 'conversation'}.md, or to a name that ends in .html.",
        )
    try:
        _check_replaceable(file)
        _write(file, write(entries, title))
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}.", hint="Choose another place."
        ) from error
    return file


_WRITERS: dict[str, Callable[[Sequence[Entry], str], str]] = {
    ".md": as_markdown,
    ".markdown": as_markdown,
    ".html": to_html,
    ".htm": to_html,
}


def _check_replaceable(file: Path) -> None:
    if not file.exists():
        return
    with file.open(encoding="utf-8", errors="replace") as stream:
        # An HTML page has its doctype before the mark.
        beginning = [stream.readline(200).strip() for _ in range(2)]
    if MARK not in beginning[:1] and beginning != [_DOCTYPE, MARK]:
        raise ConfigurationError(
            f"{file} exists and was not exported by llmkit, so it was not overwritten.",
            hint="Choose another name.",
        )


def _write(file: Path, text: str) -> None:
    # Created with these permissions: until a later chmod, others could read the file.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
        stream.write(text)


def _markdown_parts(entry: Entry, clean: Callable[[str], str], line: Callable[[str], str]) -> Iterator[str]:
    if entry.heading:
        yield f"## {line(entry.heading)}"
    text = clean(entry.text)
    yield from map(line, entry.beside.text_above.splitlines())
    yield "\n".join(f"> {each}".rstrip() for each in text.split("\n")) if entry.quoted and text else text
    yield from map(line, entry.beside.text_below.splitlines())
    yield from (f"*{line(note)}*" for note in entry.notes)
    if footer := str(entry.footer):
        yield f"<sub>{line(footer)}</sub>"
    if entry.error:
        yield f"> {line(entry.error)}"


def _as_line(text: str) -> str:
    return printable(" ".join(text.split()))


def entry_html(entry: Entry, heading: str = "<h2>{}</h2>", *, mathml: bool = True) -> str:
    """Return an entry as safe HTML."""
    if entry.quoted:
        said = text_html(entry.text.strip())
        text = f'<blockquote style="white-space:pre-wrap">{said}</blockquote>' if said else ""
    else:
        # An answer that broke off may end within a fence or a formula.
        text = render(close_open(plain(entry.text)) if entry.cut else entry.text, mathml=mathml)
    parts = [
        heading.format(text_html(entry.heading)) if entry.heading else "",
        entry.beside.above,
        text,
        entry.beside.below,
        *(f"<p><em>{text_html(note)}</em></p>" for note in entry.notes),
        f'<p><span class="llmkit-warn">{text_html(entry.error)}</span></p>' if entry.error else "",
        entry.footer.html,
    ]
    return "".join(parts)
