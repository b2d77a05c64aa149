"""What a message of a chat looks like: to a view, as Markdown, and as HTML to be saved with the notebook."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.content.reasoning import spoken
from llmkit.notebook.display.footer import NO_FOOTER, Footer, build_footer
from llmkit.notebook.display.markdown.partial import close_open
from llmkit.notebook.display.markdown.render import page, render
from llmkit.notebook.display.markdown.style import PARTS
from llmkit.notebook.display.parts import NOTHING, beside
from llmkit.notebook.display.plain_text import plain, printable
from llmkit.notebook.display.saved_copies import saved_copy
from llmkit.notebook.tools.steps import around, run_footer
from llmkit.notebook.transcript import Entry, entry_html, to_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.notebook.chat.conversation import Node
    from llmkit.notebook.display.parts import Beside
    from llmkit.records import CallStatus


def message_form(
    node: Node, growing: tuple[str, str] | None = None, first_buffer: int = 0
) -> tuple[dict[str, Any], list[bytes]]:
    """Return what a view needs to show a message.

    Only `sealed` and `tail` are HTML, and safe; a view shows all the rest as text.
    """
    versions = node.siblings
    sealed, tail = growing or ("" if node.role == "user" else _answer_html(node), "")
    files, buffers = _files(node, first_buffer)
    footer = _footer(node)
    form = {
        "node": node.number,
        "role": node.role,
        "text": printable(node.text),
        "sealed": sealed,
        "tail": tail,
        "state": node.state,
        "hidden": node.hidden or (node.parent is not None and node.parent.hidden),
        "version": versions.index(node) + 1,
        "versions": len(versions),
        "model": node.model,
        "facts": list(footer.facts),
        "warning": footer.warning,
        "note": footer.note,
        "error": node.error,
        "files": files,
    }
    return form, buffers


def saved_html(branch: Sequence[Node], system: str, name: str) -> str:
    """Return the conversation as HTML to be saved with the notebook."""
    if not branch:
        return f'<div class="llmkit-saved-{name}"></div>'
    said = [entry_html(each, "<p><strong>{}</strong></p>", mathml=False) for each in entries(branch, system)]
    return saved_copy(name, PARTS + page("".join(said)))


def entries(branch: Iterable[Node], system: str = "") -> list[Entry]:
    """Return a conversation as a transcript's entries.

    Example:
        >>> from llmkit.notebook.chat.conversation import Conversation
        >>> talk = Conversation()
        >>> _ = talk.answer(talk.ask("Hi"), "Hello!", model="luna")
        >>> [(entry.heading, entry.text) for entry in entries(talk.branch)]
        [('You', 'Hi'), ('luna', 'Hello!')]
    """
    said = [Entry(text=system, quoted=True, heading="System")] if system else []
    return said + [_entry(node) for node in branch]


def plain_text(branch: Iterable[Node], system: str = "") -> str:
    """Return a conversation as Markdown for readers of plain text."""
    return to_markdown(entries(branch, system), harmless=False)


def _entry(node: Node) -> Entry:
    files = tuple(f"Attached: {_file_name(number, node)}" for number in range(len(node.attachments)))
    mine = node.role == "user"
    return Entry(
        text=node.text if mine else spoken(node.text),
        beside=NOTHING if mine else beside_of(node),
        quoted=mine,
        heading=_speaker(node),
        notes=files,
        footer=NO_FOOTER if mine else _footer(node),
        error=node.error,
        cut=node.state != "ok",
    )


def _speaker(node: Node) -> str:
    return "You" if node.role == "user" else node.model or "Assistant"


def _footer(node: Node) -> Footer:
    """Return the line under an answer."""
    if node.response is None:
        return Footer(warning="⏹ stopped" if node.state == "cancelled" else "")
    status: CallStatus = "ok" if node.state == "open" else node.state
    footer = build_footer(node.response, label=node.model or None, status=status)
    if node.run is not None:
        footer = run_footer(footer, node.events, node.run.stopped)
    warning = "" if node.error else footer.warning  # the error says it
    return replace(footer, warning=warning)


def _answer_html(node: Node) -> str:
    text, near = spoken(node.text), beside_of(node)
    said = render(text if node.state == "ok" else close_open(plain(text)), mathml=True)
    return near.above + said + near.below


def beside_of(node: Node) -> Beside:
    """Return what stands above and below the text of an answer."""
    return around(node.events) if node.events else beside(node.response)


def _files(node: Node, first: int) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Describe the attachments; pictures travel along."""
    files, buffers = [], list[bytes]()
    for number, one in enumerate(node.attachments):
        file = {
            "name": _file_name(number, node),
            "kind": one.kind,
            "type": one.media_type,
            "size": len(one.data),
        }
        if one.kind == "image" and not one.url:
            file["buffer"] = first + len(buffers)
            buffers.append(one.data)
        files.append(file)
    return files, buffers


def _file_name(number: int, node: Node) -> str:
    one = node.attachments[number]
    return one.shown_url or one.name or f"{one.kind} {number + 1}"
