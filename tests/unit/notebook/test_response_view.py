"""A response or a run as the value of a cell."""

import subprocess
import sys

from IPython.core.formatters import DisplayFormatter

from llmkit import LLMMessage, LLMResponse
from llmkit.clients.tools.run import Run, Step
from llmkit.parts import Citation, Reasoning, Text, ToolCall, ToolResult

ATTACK = "<img src=x onerror=alert(1)>"


def shown(value):
    """What a notebook shows: its own formatter decides."""
    return DisplayFormatter().format(value)[0]


def response(*parts, text="The **Rhine**."):
    return LLMResponse(
        text,
        "openai",
        "gpt-6-luna",
        prompt_tokens=3,
        completion_tokens=4,
        cost_estimate=0.0056,
        parts=(*parts, Text(text)),
    )


def test_a_response_is_rendered_with_its_parts_and_its_price():
    answer = response(Reasoning("It is long."), Citation("Rivers", "https://example.org/rivers"))
    html = shown(answer)["text/html"]
    assert "The <strong>Rhine</strong>." in html
    assert html.index("It is long.") < html.index("Rhine") < html.index("https://example.org/rivers")
    assert "3→4 tok" in html
    assert "$0.0056" in html
    assert shown(answer)["text/plain"] == repr(answer)


def test_nothing_that_a_model_wrote_runs():
    parts = (
        Reasoning(ATTACK),
        ToolCall("1", ATTACK, {ATTACK: ATTACK}),
        Citation(ATTACK, f"javascript:{ATTACK}"),
    )
    html = shown(response(*parts, text=ATTACK))["text/html"]
    assert "<img" not in html
    assert 'href="javascript' not in html


def test_a_run_shows_its_steps_above_its_answer_and_its_sums_below():
    calls = [ToolCall("1", "add", {"a": 1, "b": 2}), ToolCall("1", "add", {"a": 3, "b": 4})]  # one identifier
    messages = [
        LLMMessage("user", "Earlier."),
        LLMMessage("assistant", "An earlier answer."),
        LLMMessage("user", "Add."),
        LLMMessage("assistant", "I add.", parts=(Text("I add."), calls[0])),
        LLMMessage("user", parts=(ToolResult("1", "add", "3"),)),
        LLMMessage("assistant", parts=(calls[1],)),
        LLMMessage("user", parts=(ToolResult("1", "add", "7"),)),
        response().message,
    ]
    steps = [
        Step(step=number, kind="model", name="m", input_tokens=10, output_tokens=5, seconds=1.0)
        for number in (1, 2, 3)
    ]
    done = Run(uid="0" * 32, response=response(), messages=messages, asked=3, trace=steps, nanos=5_000_000)
    html = shown(done)["text/html"]
    places = [html.index(text) for text in ("I add.", "add(a=1, b=2) → 3", "add(a=3, b=4) → 7", "Rhine")]
    assert places == sorted(places)
    assert "An earlier answer." not in html
    assert "3 requests · 2 tool calls · 30→15 tok · 3.0 s · $0.005" in html
    assert shown(done)["text/plain"] == repr(done)


def test_a_run_without_an_answer_is_one_line():
    assert set(shown(Run(uid="0" * 32, stopped="max_cost"))) == {"text/plain"}


def test_a_script_does_not_load_the_notebook_for_a_response():
    code = (
        "import sys, llmkit; repr(llmkit.LLMResponse('Hi', 'openai', 'm')); "
        "assert not [name for name in sys.modules if name.startswith(('llmkit.notebook', 'IPython'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
