"""What a dry run says of the parameters: those that would go out, chosen or not."""

import pytest

import llmkit
from llmkit import LLMMessage
from llmkit.content.template import CellError
from llmkit.notebook.cell.completion import Known, complete
from llmkit.notebook.cell.parser import parse_cell
from tests.support import shells


@pytest.fixture(scope="module")
def shell():
    with shells.opened() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "k")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("openai:gpt-4o-mini", "temperature=0.7 (llmkit's default)"),
        ("google:gemini-2.5-flash", "temperature=0.7 (llmkit's default)"),
        ("anthropic:claude-haiku-5-5", ""),
        ("mistral:mistral-small-latest", ""),
    ],
)
def test_a_default_temperature_is_listed_where_it_is_sent(shell, model, said):
    shown = shell.do(f"%%llm -d -m {model} -p seed=7\nhi").text
    line = next(line for line in shown.splitlines() if line.startswith("Parameters"))
    assert line == f"Parameters: {', '.join(filter(None, [said, 'seed=7']))}."


def test_one_that_was_chosen_is_listed_as_it_is(shell):
    shown = shell.do("%%llm -d -m openai:gpt-4o-mini -T 0.5\nhi").text
    assert "Parameters: temperature=0.5." in shown


@pytest.mark.parametrize("options", [{}, {"temperature": 0.2}])
async def test_the_client_tells_the_temperature_that_it_then_sends(server, recorder, options):
    async with llmkit.OpenAIClient("k", server.url("openai"), model="sandbox") as client:
        stream = client.stream_text([LLMMessage("user", "hi")], **options)
        told = client.temperature_of(stream.request)
        assert [piece async for piece in stream]
    assert server.requests[-1].body.get("temperature") == told


def test_effort_tier_and_cache_are_listed(shell):
    shown = shell.do("%%llm -d -m openai:gpt-5.4-mini -e low --tier flex --cache auto\nhi").text
    assert "Parameters: effort='low', tier='flex', cache='auto'." in shown


def test_a_wrong_word_is_refused_with_the_known_ones():
    with pytest.raises(CellError, match="none, minimal, low, medium, high, xhigh, max"):
        parse_cell("-e lots", "hi")


def test_the_words_of_an_option_are_completed():
    found = complete("%%llm --tier ", Known())
    assert [choice.text for choice in found.choices] == ["standard", "flex", "priority"]


@pytest.mark.parametrize(
    ("model", "said"),
    [("anthropic", "anthropic counts"), ("sandbox", "sandbox does not count tokens; about")],
)
def test_the_provider_counts_where_it_is_asked_to(shell, monkeypatch, model, said):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    shown = shell.do(f"%%llm -d --exact -m {model}\nName three rivers.").text
    assert f"{said} " in shown
    assert " tokens of prompt: $" in shown
