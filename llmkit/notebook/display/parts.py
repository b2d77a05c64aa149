"""How the parts of an answer beside its text are shown: reasoning, sources, images, calls of tools.

All of it is a model's or a server's words: HTML shows them as text, and only web addresses become links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from llmkit.content.attachments import IMAGES
from llmkit.content.media import pixels
from llmkit.content.parts import ToolCall, ToolResult, json_text
from llmkit.notebook.display.markdown.render import render, sanitise, text_html
from llmkit.notebook.display.markdown.style import PARTS
from llmkit.notebook.display.plain_text import plain, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmkit.content.attachments import Attachment
    from llmkit.content.messages import LLMResponse
    from llmkit.content.parts import Citation

MAX_IMAGES = 4 * 2**20
"""Most bytes of images that one output shows: they are saved with the notebook."""

MAX_SOURCES = 50
"""Most sources that are listed."""

MAX_SHOWN = 20_000
"""Longest arguments or result shown in full, in characters."""

MAX_SIGNATURE = 90
"""Longest call on its one line, in characters."""

_URL = "%/:?#[]@!$&'()*+,;=~-._"
"""Characters of an address that stay as they are, beside letters and digits."""

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What stands above and below the text of an answer, as safe HTML and as plain text."""

    above: str = ""
    below: str = ""
    text_above: str = ""
    text_below: str = ""

    @property
    def style(self) -> str:
        """The `style` element that it needs; empty if there is nothing."""
        return PARTS if self.above or self.below else ""

    def after(self, other: Beside) -> Beside:
        """Return this with what is above another answer above it."""
        text = "\n".join(filter(None, [other.text_above, self.text_above]))
        return replace(self, above=other.above + self.above, text_above=text)


NOTHING = Beside()


def beside(response: LLMResponse | None, answered: frozenset[str] = frozenset()) -> Beside:
    """Return what is shown beside the text of an answer.

    Args:
        response: The answer.
        answered: Identifiers of calls of tools that were run, and are shown elsewhere.

    Example:
        >>> from llmkit.content.messages import LLMResponse
        >>> from llmkit.content.parts import Citation, Text
        >>> source = Citation("Rivers", url="https://example.org/rivers")
        >>> beside(LLMResponse("Rhine", "openai", "gpt-6-luna", parts=(Text("Rhine"), source))).text_below
        '[1] Rivers: https://example.org/rivers'
    """
    if response is None or not response.parts:
        return NOTHING
    thoughts, sources = response.reasoning or "", _distinct(response.citations)
    asked = [call for call in response.tool_calls if call.id not in answered]
    others = response.alternatives
    texts = [
        *_media_texts(response.media),
        *(_source_text(number, one) for number, one in enumerate(sources, 1)),
        *(f"[not run: {signature(call)}]" for call in asked),
        *(f"[answer {number}] {text}" for number, text in enumerate(others, 2)),
    ]
    return Beside(
        above=reasoning_html(thoughts, tokens_of(response)),
        below="".join(
            [
                *_media_html(response.media),
                _sources_html(sources),
                *(call_html(call, "not run") for call in asked),
                *(fold(f"Answer {number}", render(text)) for number, text in enumerate(others, 2)),
            ]
        ),
        text_above=reasoning_text(thoughts, tokens_of(response)),
        text_below=plain(printable("\n".join(texts))),
    )


def tokens_of(response: LLMResponse) -> int | None:
    """Return how many tokens an answer's reasoning took, if that is known."""
    return None if response.usage is None else response.usage.reasoning_tokens


def reasoning_html(text: str, tokens: int | None) -> str:
    """Return a model's reasoning, folded; empty if none is shown."""
    return fold(_reasoning_title(text, tokens), render(text)) if text.strip() else ""


def reasoning_text(text: str, tokens: int | None) -> str:
    """Return one line that stands for a model's reasoning."""
    return f"[{_reasoning_title(text, tokens)}]" if text.strip() else ""


def _reasoning_title(text: str, tokens: int | None) -> str:
    return f"Reasoning · {tokens:,} tokens" if tokens else f"Reasoning · {len(text):,} characters"


def fold(title: str, body: str) -> str:
    """Return safe HTML behind a line that opens it; the line is shown as text."""
    summary = f"<summary>{text_html(title)}</summary>"
    return f'<details class="llmkit-fold">{summary}<div class="llmkit-folded">{body}</div></details>'


def call_html(call: ToolCall, outcome: str, result: ToolResult | None = None) -> str:
    """Return a call of a tool on one line, with its arguments and its result inside."""
    body = [_labelled("Arguments", _arguments(call))]
    if result is not None:
        body.append(_labelled("Error" if result.is_error else "Result", result.content))
        body += _media_html(result.attachments)
    return fold(f"{signature(call)} → {outcome}", "".join(body))


def results_beside(results: Sequence[ToolResult], calls: Mapping[str, ToolCall]) -> Beside:
    """Return results of tools with their calls, for a conversation."""
    pairs = [(calls.get(one.call_id, ToolCall(one.call_id, one.name)), one) for one in results]
    words = ("error" if one.is_error else f"{len(one.content):,} characters" for one in results)
    ended = [(call, outcome, one) for (call, one), outcome in zip(pairs, words, strict=True)]
    lines = [f"▸ {signature(call)} → {outcome}" for call, outcome, _ in ended]
    return Beside(
        above="".join(call_html(*one) for one in ended), text_above=plain(printable("\n".join(lines)))
    )


def signature(call: ToolCall) -> str:
    """Write a call on one line.

    Example:
        >>> from llmkit.content.parts import ToolCall
        >>> signature(ToolCall("1", "load_sales", {"year": 2026, "region": "EU"}))
        "load_sales(year=2026, region='EU')"
    """
    if call.arguments is None:
        return one_line(f"{call.name}({call.raw})", MAX_SIGNATURE)
    return signature_of(call.name, call.arguments)


def signature_of(name: str, arguments: Mapping[str, Any]) -> str:
    """Write a tool with its arguments on one line."""
    pairs = (f"{key}={_short(value)}" for key, value in arguments.items())
    return one_line(f"{name}({', '.join(pairs)})", MAX_SIGNATURE)


def one_line(text: str, limit: int) -> str:
    """Return a text on one line of at most so many characters, its control characters visible."""
    line = " ".join(visible(text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[: limit - 2]}…{line[-1]}"


def visible(text: str) -> str:
    r"""Write control characters, and those that change the direction of writing, so that they are seen.

    Example:
        >>> visible("rm\u202e x\x1b[2K")
        'rm\\u202e x\\x1b[2K'
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def code_html(text: str, language: str = "") -> str:
    """Return a text as it is, in a box; long ones are cut."""
    fence = "~" * max(3, 1 + max(map(len, re.findall("~+", text)), default=0))
    return render(f"{fence}{language}\n{shortened(visible(text))}\n{fence}")


def shortened(text: str) -> str:
    """Return a text without its middle if it is long."""
    half = MAX_SHOWN // 2
    left = len(text) - MAX_SHOWN
    return text if left <= 0 else f"{text[:half]}\n… {left:,} more characters …\n{text[-half:]}"


def _short(value: object) -> str:
    return one_line(repr(value) if isinstance(value, str) else json_text(value), 40)


def _arguments(call: ToolCall) -> str:
    return call.raw if call.arguments is None else json_text(call.arguments)


def _labelled(label: str, text: str) -> str:
    return label_html(label) + code_html(text)


def label_html(text: str) -> str:
    """Return a text as the label of what follows."""
    return f'<p class="llmkit-label">{text_html(text)}</p>'


def _distinct(sources: Sequence[Citation]) -> list[Citation]:
    """Return each source once; several places of a text may name it."""
    found: dict[tuple[str | None, str], Citation] = {}
    for one in sources:
        found.setdefault((one.url, "" if one.url else one.title), one)
    return list(found.values())[:MAX_SOURCES]


def _source_text(number: int, source: Citation) -> str:
    return one_line(f"[{number}] {': '.join(filter(None, [source.title, source.url]))}", 400)


def _sources_html(sources: Sequence[Citation]) -> str:
    """Return a numbered list; the host stands beside a title, which may pretend to be another page."""
    if not sources:
        return ""
    rows = "".join(f"<li>{_source_html(one)}</li>" for one in sources)
    return f'<p class="llmkit-label">Sources</p><ol class="llmkit-notes">{rows}</ol>'


def _source_html(source: Citation) -> str:
    url = quote(
        source.url or "", safe=_URL
    )  # browsers and `urlsplit` read a backslash or a blank differently
    host = _host(url)
    title = text_html(one_line(source.title or host or "(without a title)", 200))
    link = sanitise(f'<a href="{escape(url)}">{title}</a>') if host else title
    said = f"“{one_line(source.quote, 300)}”" if source.quote else ""
    return " · ".join([link, *(text_html(one) for one in (host, said) if one)])


def _host(url: str) -> str:
    """Return the host of a web address; empty for anything else."""
    try:
        parts = urlsplit(url)
        return one_line(parts.hostname or "", 100) if parts.scheme in {"http", "https"} else ""
    except ValueError:
        return ""


def _media_html(files: Sequence[Attachment]) -> Iterator[str]:
    room = MAX_IMAGES
    for number, file in enumerate(files, 1):
        if _is_shown(file, room):
            room -= len(file.data)
            source = f"data:{file.media_type};base64,{file.base64}"
            yield f'<img class="llmkit-image" src="{source}" alt="{escape(_file_title(number, file))}">'
        else:
            yield f"<p><em>{text_html(_file_title(number, file))}: in .response.media[{number - 1}].</em></p>"


def _media_texts(files: Sequence[Attachment]) -> Iterator[str]:
    return (f"[{_file_title(number, file)}]" for number, file in enumerate(files, 1))


def _is_shown(file: Attachment, room: int) -> bool:
    """Whether a file is an image that fits; an `Attachment` has checked that its bytes are what it says."""
    return file.media_type in IMAGES and not file.url and len(file.data) <= room


def _file_title(number: int, file: Attachment) -> str:
    """Describe a file that a model made: its kind, and its size."""
    size = pixels(file.data) if file.kind == "image" and file.data else None
    words = {"image": "Image", "audio": "Audio clip", "pdf": "PDF"}.get(file.kind, "File")
    bytes_ = f"{file.media_type}, {len(file.data):,} bytes"
    facts = f"{size.width} by {size.height} pixels" if size else bytes_
    return f"{words} {number} by the model ({facts})"
