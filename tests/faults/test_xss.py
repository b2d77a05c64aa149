"""Nothing that a model, a provider or a name brings along can run, be fetched, or be typeset as more than mathematics.

Every payload goes through every place that makes HTML; what comes out is read by an HTML5 parser of its own and
held against lists of what is harmless. `test_browser` loads the same in a real browser.
"""

# ruff: noqa: E501 - attacks and lists are data: each is easiest to read on one line

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pandas as pd
import pytest

import llmkit
from llmkit.clients.registry import resolve
from llmkit.clients.tools.run import Step
from llmkit.content.messages import ALTERNATIVE
from llmkit.content.parts import Citation, Other, Reasoning, Text, ToolCall, ToolResult
from llmkit.content.tools import Tool
from llmkit.core.errors import LLMClientError
from llmkit.costs.budgets.budget import Budget
from llmkit.notebook.chat.conversation import Conversation
from llmkit.notebook.chat.text import message_form, saved_html
from llmkit.notebook.compare.comparison import Comparison
from llmkit.notebook.compare.comparison import ModelAnswer as Compared
from llmkit.notebook.compare.drawing import error_line, final
from llmkit.notebook.compare.merged_streams import ModelRun
from llmkit.notebook.compare.rich_columns import RichColumns
from llmkit.notebook.display.error_messages import shorten
from llmkit.notebook.display.footer import Footer, build_footer
from llmkit.notebook.display.live import MIME_TYPE, PlainAnswer
from llmkit.notebook.display.markdown.render import page, render, render_partial, sanitise
from llmkit.notebook.display.output import shown
from llmkit.notebook.display.parts import beside, call_html, results_beside
from llmkit.notebook.display.rich_answer import FinalAnswer, InlineAnswer, RichAnswer
from llmkit.notebook.tools.asking import show_call
from llmkit.notebook.tools.steps import around, called
from llmkit.notebook.transcript import Entry, to_html
from tests.kernel.test_live import Clock, Front
from tests.support.attacks import RUN, TERMINAL, attacks
from tests.support.dom import problems
from tests.support.examples import scaled

COUNT = scaled(5_000)
SOME = scaled(400)
PAYLOADS = attacks(COUNT)
STYLE = re.compile(r'<style>[^<]*</style>(?=<div class="llmkit-saved)')
SAVED = re.compile(r' class="llmkit-saved-\w+"| style="white-space:pre-wrap"')


def outcome(text):
    parts = (
        Reasoning(text),
        Text(text),
        ToolCall(text, text, {text: text}),
        ToolCall(text, text, raw=text),
        Citation(text, url=text, quote=text),
        Citation("", url=f"https://example.org/{text}", quote=text),
        Other(ALTERNATIVE, {"text": text}),
    )
    return llmkit.LLMResponse(
        text,
        text,
        text,
        1,
        1,
        1,
        0.1,
        2.0,
        finish_reason=text,
        fallback_from=text,
        first_token_s=0.1,
        parts=parts,
    )


def html_of(front):
    return [data["text/html"] for data in front.log]


class Log(Front):
    """A front end that remembers all it was ever shown."""

    def __init__(self):
        super().__init__()
        self.log = []

    def publish(self, data, metadata=None, *, transient=None, update=False):
        self.log.append(data)
        super().publish(data, metadata, transient=transient or {"display_id": "only"}, update=update)


def growing(kind):
    """The whole way of an answer: its name, its pieces, a pause, its end, in every message."""

    def show(text):
        front, clock = Log(), Clock()
        live = kind(front, clock)
        live.start(text)
        cut = len(text) // 2
        for piece in (text[:cut], text[cut:]):
            clock.now += 3
            live.feed(piece)
            live.tick(text)
        live.finish(
            text,
            build_footer(outcome(text), label=text, note=text),
            {"model": text},
            "cancelled",
            beside=beside(outcome(text)),
        )
        return html_of(front)

    return show


def entries(text):
    error = LLMClientError(text, provider=text, model=text, hint=text)
    return [
        Compared(label=text, provider=text, model=text, status="ok", text=text, outcome=outcome(text)),
        Compared(label=text, provider=text, model=text, status="error", text=text, error=error),
    ]


def comparing(text):
    front, clock, (done, broken) = Log(), Clock(), entries(text)
    live = RichColumns(front, clock=clock)
    live.start([ModelRun(label=text, name=resolve("sandbox")) for _ in "ab"], text)
    clock.now += 1
    live.feed(0, text)
    clock.now += 1
    live.end(1, broken)
    live.finish(Comparison([done, broken]))
    return html_of(front)


def chatting(text):
    talk = Conversation()
    question = talk.ask(text)
    answer = talk.answer(question, text, model=text)
    answer.error, answer.response = text, outcome(text)
    form, _ = message_form(answer)
    saved = saved_html(talk.branch, text, "abc")
    return [form["sealed"] + form["tail"], SAVED.sub("", STYLE.sub("", saved))]


def exported(text):
    said = [
        Entry(text=text, quoted=quoted, heading=text, notes=(text,), error=text, beside=beside(outcome(text)))
        for quoted in (True, False)
    ]
    body = to_html(said, title=text).partition("</style>")[2]
    return [body.replace(' style="white-space:pre-wrap"', "")]


def steps(text):
    call, result = ToolCall(text, text, {text: text}), ToolResult(text, text, text, is_error=True)
    step = Step(step=1, kind="tool", name=text, arguments=text, seconds=1.0, error=text, uid=text)
    done = called(step, result, text, 0.1)
    front = Log()
    live = InlineAnswer(front, Clock())
    live.start(text)
    live.insert(done.html, done.text)
    live.finish(text, None, {}, beside=around([outcome(text), done]))
    return [
        *html_of(front),
        page(call_html(call, text, result)),
        page(results_beside([result], {text: call}).above),
    ]


def asking(text):
    front = Log()
    tool = Tool(name="delete", description=text, parameters={}, function=print)
    show_call(SimpleNamespace(kernel=True, display_pub=front), ToolCall("1", "python", {"code": text}), tool)
    show_call(SimpleNamespace(kernel=True, display_pub=front), ToolCall("1", text, {text: text}), tool)
    return html_of(front)


def tables(text):
    frame = pd.DataFrame({text: [text], "b": [f"$x$ {text}"]}, index=pd.Index([text], name=text))
    data = {"md": text, "text": text, "json": {text: [text]}, "code": text, "df": frame}
    return [page(shown(form, text, value).html or render(text)) for form, value in data.items()]


def ledger(text):
    budget = Budget(
        daily=1.0, per_notebook=1.0, per_call=None, unpriced=text, unknown_notebook=text, spent=0.0, reserved=0.0,
        uncertain=0.0, left=1.0, notebook=text, notebook_uncertain=0.0, notebook_spent=0.0, notebook_reserved=0.0, notebook_left=1.0, resets=datetime.now(UTC), _allow=print,
    )  # fmt: skip
    return [budget._repr_html_()]


SINKS = {
    "answer": lambda text: [page(render(text))],
    "open block": lambda text: [page(render_partial(text[: len(text) * 2 // 3]))],
    "sanitised": lambda text: [page(sanitise(text))],
    "footer": lambda text: [page("", Footer(facts=(text,), warning=text, note=text).html)],
}
SLOW = {
    "comparison": lambda text: [final(Comparison(entries(text)))["text/html"]],
    "magic, streaming": growing(RichAnswer),
    "magic among other outputs": growing(InlineAnswer),
    "magic, captured": growing(FinalAnswer),
    "comparison, streaming": comparing,
    "steps of a run": steps,
    "approval of a tool": asking,
    "chat": chatting,
    "exported page": exported,
    "formats and tables": tables,
    "budget": ledger,
}


def survivors(sink, payloads, *, mathml=False):
    return [
        (text, found) for text in payloads for html in sink(text) if (found := problems(html, mathml=mathml))
    ]


def test_the_payloads_are_thousands_and_all_different():
    assert len(set(PAYLOADS)) > 0.98 * COUNT


@pytest.mark.parametrize(
    "html",
    [
        "<script>1</script>", "<p onclick=x>", "<a href='javascript:1'>", "<a href='http:/lab'>", "<img src='//a.b/c'>", "<svg></svg>",
        "<style>p{}</style>", "<p class=jp-Cell>", "<p id=x>", "<!-- x -->", r"<p>$\href{x}{y}$</p>", "<div tabindex=1>", "<td style='color:red'>",
        r"<span class=mathjax_process>\(\href{x}{y}\)</span>",
    ],
)  # fmt: skip
def test_the_check_sees_an_attack_when_there_is_one(html):
    assert problems(f"<table><tr>{html}</table>" if html.startswith("<td") else html)


@pytest.mark.parametrize("sink", SINKS)
def test_no_payload_survives(sink):
    assert survivors(SINKS[sink], PAYLOADS) == []


@pytest.mark.parametrize("sink", SLOW)
def test_no_payload_survives_on_the_long_ways(sink):
    some = random.Random(sink).sample(PAYLOADS, SOME)
    assert survivors(SLOW[sink], some, mathml=sink in {"chat", "exported page"}) == []


def test_html_that_is_parsed_and_written_again_stays_harmless():
    import html5lib

    for text in random.Random(3).sample(PAYLOADS, SOME):
        again = html5lib.serialize(html5lib.parseFragment(page(render(text))), omit_optional_tags=False)
        assert problems(again) == [], text


@pytest.mark.parametrize("payload", TERMINAL)
def test_no_control_sequence_reaches_a_terminal_or_a_traceback(payload):
    text, control = payload.format(RUN), re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
    error = LLMClientError(text, provider=text, model=text)
    (line,) = shorten(error)._render_traceback_()
    assert not control.search(re.sub(r"^\x1b\[31m(\w+)\x1b\[0m", r"\1", line))
    assert not control.search(error_line(error))
    front = Log()
    FinalAnswer(front).finish(text, None, {})
    assert front.log[0][MIME_TYPE] == {}


def test_a_model_cannot_command_the_terminal_through_a_footer(capsys):
    live = PlainAnswer()
    for payload in TERMINAL:
        live.start(payload)
        live.feed(payload)
        live.finish(payload, Footer(facts=(payload,)), {})
    assert not set(capsys.readouterr().out) & set("\x00\x07\x08\x1b\r\x9b")


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(20))
def test_many_more_payloads_do_not_survive(seed):
    payloads = attacks(25_000, seed)
    assert survivors(SINKS["answer"], payloads) == []
    assert survivors(SINKS["open block"], payloads) == []
