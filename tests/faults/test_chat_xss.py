"""Whatever a model writes, the chat holds only harmless HTML: growing, finished and saved."""

from __future__ import annotations

import random
import re

import pytest

from llmkit.notebook.chat.conversation import Conversation
from llmkit.notebook.chat.feed import Feed
from llmkit.notebook.chat.text import message_form, saved_html
from tests.support.attacks import attacks
from tests.support.dom import problems
from tests.support.examples import scaled

PAYLOADS = attacks(scaled(800), seed=29)
OURS = re.compile(r'^<style>(?:body:(?:not\(:)?has\([^<]*)</style><div class="llmkit-saved-name">|</div>$')


class Clock:
    """A time in which every piece is drawn."""

    now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def conversation(payload):
    talk = Conversation()
    node = talk.answer(talk.ask(payload or "?"), payload, model=payload)
    node.error = payload
    node.state = "error"
    return talk


def bare(html):
    """Return a saved copy without what is the same in every one."""
    return OURS.sub("", html).replace(' style="white-space:pre-wrap"', "")


def test_a_growing_answer_is_harmless_after_every_piece():
    chance = random.Random(1)
    for payload in PAYLOADS:
        shown = []
        feed = Feed(shown.append, 1, Clock())
        rest = payload
        while rest:
            cut = chance.randint(1, max(1, len(payload) // 3))
            feed.feed(rest[:cut])
            rest = rest[cut:]
            assert problems("".join(feed.shown), mathml=True) == [], payload


def test_a_finished_and_a_saved_answer_are_harmless():
    for payload in PAYLOADS:
        talk = conversation(payload)
        assert problems(message_form(talk.branch[-1])[0]["sealed"], mathml=True) == [], payload
        assert problems(bare(saved_html(talk.branch, payload, "name"))) == [], payload


@pytest.mark.parametrize("html", ["<img src=x>", '<p onclick="x">y</p>', "<style>*{}</style>"])
def test_the_check_would_find_what_is_harmful(html):
    assert problems(bare(f'<style>body:has(x)</style><div class="llmkit-saved-name">{html}</div>'))


@pytest.mark.parametrize(
    "html",
    [
        "<math><mtext><img src=x></mtext></math>",
        "<math><mi href=javascript:1>x</mi></math>",
        "<math><annotation-xml encoding=text/html><p>x</p></annotation-xml></math>",
        "<math><mi mathcolor='url(//a.b)'>x</mi></math>",
        "<math><mglyph></mglyph></math>",
    ],
)
def test_the_check_sees_an_attack_inside_a_formula(html):
    assert problems(html, mathml=True)
    assert problems("<math><mi>x</mi></math>")
    assert problems("<math><mi>x</mi></math>", mathml=True) == []
