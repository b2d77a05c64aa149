"""A model's control sequences are in no text that is saved or written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmkit.content.messages import LLMMessage
from llmkit.notebook.chat.chat import _row
from llmkit.notebook.chat.conversation import Conversation
from llmkit.notebook.chat.feed import Feed
from llmkit.notebook.chat.text import plain_text, saved_html
from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
from llmkit.notebook.compare.drawing import final
from llmkit.notebook.display.footer import Footer
from llmkit.notebook.display.plain_text import plain
from llmkit.notebook.display.rich_answer import final_data
from llmkit.notebook.session_log import LogEntry, session_entries, thread_entries
from llmkit.notebook.transcript import to_html, to_markdown
from tests.support.shells import opened

SEQUENCES = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;title\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "link, ended by ST": "\x1b]8;;http://evil.example\x1b\\",
    "device control": "\x1bPq#0;2;0;0;0\x1b\\",
    "reset": "\x1bc",
    "character set": "\x1b(0",
    "C1 control sequence": "\x9b31m",
    "C1 command": "\x9d52;c;cm0=\x9c",
    "string without an end": "\x1b]52;c;cm0=",
    "backspace and bell": "\x08\x08\x07",
    "carriage return": "\r",
    "direction": "\u202e\u2066\u2069",
    "nul": "\x00",
}
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def text(sequence):
    return f"Lima {sequence}is it.\n\tindented — çüß 你好"


def entry(said):
    return LogEntry(number=1, label="a", prompt=said, answer=said, footer=Footer(facts=(said,)))


def growing(said):
    sent = []
    Feed(sent.append, 1).feed(said)
    return sent[0]["sealed"] + sent[0]["tail"]


SINKS = {
    "answer": lambda said: final_data(said, None, {})["text/plain"],
    "answer as HTML": lambda said: final_data(said, None, {})["text/html"],
    "stopped answer as HTML": lambda said: final_data(said, None, {}, "cancelled")["text/html"],
    "footer as HTML": lambda said: Footer(facts=(said,), warning=said, note=said).html,
    "footer alone": lambda said: final_data("", Footer(note=said), {})["text/plain"],
    "comparison": lambda said: final(
        Comparison([ModelAnswer(label="a", provider="p", model=None, status="ok", text=said)])
    )["text/plain"],
    "comparison as HTML": lambda said: final(
        Comparison([ModelAnswer(label="a", provider="p", model=None, status="cancelled", text=said)])
    )["text/html"],
    "session": lambda said: to_markdown(session_entries([entry(said)])),
    "session as a page": lambda said: to_html(session_entries([entry(said)])),
    "thread": lambda said: to_markdown(thread_entries([LLMMessage("assistant", said)]), said),
    "chat": lambda said: plain_text(chat(said).branch, said),
    "chat as HTML": lambda said: saved_html(chat(said).branch, said, "name"),
    "growing answer": growing,
}


def chat(said):
    talk = Conversation()
    talk.answer(talk.ask(said), said)
    return talk


@pytest.mark.product
@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)
def test_text_that_is_saved_obeys_no_terminal(sink, sequence):
    found = sink(text(sequence))
    assert not FORBIDDEN.search(found)
    assert "Lima" in found
    assert "is it." in found
    assert "indented — çüß 你好" in found


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_tables_show_text_without_them_and_data_stay_exact(sequence):
    said = text(sequence)
    found = Comparison([ModelAnswer(label="a", provider="p", model=None, status="ok", text=said)])
    assert not FORBIDDEN.search(found.df["text"]["a"])
    assert found.entries[0].text == said
    assert not FORBIDDEN.search(_row(chat(said).branch[-1], shown=True)["text"])


def test_whole_sequences_go_and_ordinary_text_stays():
    assert plain(text(SEQUENCES["clipboard"])) == text("")
    assert plain("a\x1b[1;31mb\x9b0mc") == "abc"
    assert plain("x = a[0]  # ]0; [31m ✓ עברית") == "x = a[0]  # ]0; [31m ✓ עברית"


def test_a_megabyte_of_beginnings_takes_no_time():
    for beginning in ("\x1b]", "\x9d", "\x1b[", "\x1bP", "\x1b"):
        assert "\x1b" not in plain(beginning * 300_000)


def test_a_cell_saves_and_exports_text_without_them():
    with opened() as shell:
        shell.shell.user_ns["said"] = f"repeat exactly: {text(SEQUENCES['clipboard'])}"
        shell.do("%%llm sandbox -t talk\n{{said}}")
        shell.do("%llm export out.md")
        assert not FORBIDDEN.search(Path("out.md").read_text("utf-8"))
        assert not FORBIDDEN.search(shell.do("%llm thread talk").text)
