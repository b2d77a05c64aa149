"""What travels to the browser while an answer grows: all of it, safe, and in proportion."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from llmkit.notebook.chat.feed import MESSAGE, Feed
from llmkit.notebook.display.markdown import highlight
from llmkit.notebook.display.markdown import render as rendering
from llmkit.notebook.display.markdown.blocks import Blocks
from llmkit.notebook.display.markdown.render import render, render_partial
from llmkit.notebook.display.throttle import MAX_HZ

LINES = [
    "# Heading\n\n",
    "Some **bold** text, `code` and a [link](https://example.org).\n",
    "\n",
    "- item\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "```python\nprint('x')\n",
    "```\n\n",
    "Formula $x^2$ and 𝒳 emoji 🙂 text.\n\n",
]


class Clock:
    """A time that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


class View:
    """Does with the messages what chat.js does."""

    def __init__(self):
        self.sealed = self.tail = ""
        self.bytes = self.updates = 0

    def take(self, message):  # as Message.grow
        self.bytes += len(json.dumps(message, ensure_ascii=False).encode()) + MESSAGE
        self.updates += 1
        if message["sealed"]:
            self.sealed += message["sealed"]
            self.tail = ""
        kept = self.tail.encode("utf-16-le")[: 2 * message["keep"]].decode("utf-16-le")
        self.tail = kept + message["tail"]


def stream(text, rate=60.0, size=4):
    """Feed a text at so many tokens a second, and return the view."""
    clock, view = Clock(), View()
    feed = Feed(view.take, 1, clock)
    for start in range(0, len(text), size):
        feed.feed(text[start : start + size])
        clock.now += 1 / rate
    return view


@given(st.lists(st.tuples(st.sampled_from(LINES), st.integers(1, 9), st.floats(0, 0.2)), max_size=12))
def test_views_have_exactly_what_the_text_is_by_then(parts):
    clock, view, blocks = Clock(), View(), Blocks()
    feed = Feed(view.take, 1, clock)
    sealed = []
    for line, size, pause in parts:
        for start in range(0, len(line), size):
            sealed += blocks.feed(line[start : start + size])
            feed.feed(line[start : start + size])
        clock.now += pause
    clock.now += 1
    feed.tick()
    assert feed.shown == (view.sealed, view.tail)
    assert view.tail == (render_partial(blocks.tail) if parts else "")
    if len(sealed) == 1:
        assert view.sealed == render(sealed[0], mathml=True)


def weigh(text, tokens, rate):
    """Return how many bytes travel for each byte of an answer, its end included."""
    lead = {"x": "```python\n", "|": "| a | b |\n|---|---|\n"}.get(text[0], "")
    answer = lead + text * (tokens * 4 // len(text))
    end = len(render(answer).encode()) + len(answer.encode()) + MESSAGE
    return (stream(answer, rate).bytes + end) / len(answer.encode())


PARAGRAPH = "A sentence of an answer with some **bold** words, and `code` in it.\n\n"
ENDLESS = [
    "x = compute(1, 2, 3)  # a line of code\n",
    "- an item of one list that goes on and on\n",
    "| a | b |\n",
    "word ",
]


@pytest.mark.parametrize("rate", [60, 300])
def test_the_wire_is_at_most_twenty_times_the_answer(rate):
    assert weigh(PARAGRAPH, 4_000, rate) <= 20


@pytest.mark.parametrize("text", ENDLESS, ids=["code", "list", "table", "paragraph"])
def test_an_answer_of_one_endless_block_stays_within_that(text, monkeypatch):
    # A busy machine would colour less, or a block only at times, which sends it anew.
    monkeypatch.setattr(rendering, "MAX_COLOURING", 600.0)
    monkeypatch.setattr(highlight, "MAX_SECONDS", 600.0)
    assert weigh(text, 2_000, 600) <= 20
    # What is sent grows as the answer does, not with its square.
    assert weigh(text, 4_000, 1200) <= 1.1 * weigh(text, 1_000, 1200)


def test_the_wire_is_linear_in_the_answer():
    assert weigh(PARAGRAPH, 16_000, 100) <= weigh(PARAGRAPH, 1_000, 100)


def test_there_are_at_most_twelve_updates_a_second():
    view = stream("word " * 500, rate=1000)
    assert view.updates <= 1 + MAX_HZ * (500 * 5 / 4 / 1000)


def test_a_pause_is_sent_once_for_each_change():
    sent, clock = [], Clock()
    feed = Feed(sent.append, 1, clock)
    for notice in ("", "wait 2 s", "wait 2 s", "wait 1 s", ""):
        feed.tick(notice)
    assert [message["text"] for message in sent] == ["wait 2 s", "wait 1 s", ""]
