"""From the free sandbox to a model that costs money: said once, before the first question is sent."""

from __future__ import annotations

import pytest

from llmkit import sandbox
from tests.support.shells import opened


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", sandbox.server().url("openai"))
    monkeypatch.setattr("llmkit.notebook.commands.handlers.getpass", lambda _: "sk-test-0123456789abcdefghij")
    with opened() as shell:
        yield shell
    from llmkit.clients.credentials.keys import keys

    keys._keys.clear()


HELLO = "%llm -k 5 repeat exactly: hi"


def test_entering_a_key_says_who_is_asked_from_now_on_and_that_it_costs(shell):
    shell.do(HELLO)
    said = shell.do("%llm key openai").text
    assert "The default model was sandbox." in said
    assert "openai:gpt" in said
    assert "costs money" in said
    assert "per million tokens" in said


@pytest.mark.parametrize("before", ["%llm key openai", f"{HELLO}\n%llm key openai"])
def test_the_first_plain_question_after_it_says_so_once(shell, before):
    shell.do(before)
    assert "costs money" not in shell.do("%llm -d hi").text
    assert "costs money" not in shell.do("%llm -q -k 5 hi").text
    first = shell.do(HELLO).text
    assert first.index("costs money") < first.index("hi")
    assert "costs money" not in shell.do(HELLO).text


def test_a_key_of_the_environment_is_noticed_as_well(shell, monkeypatch):
    shell.do(HELLO)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdefghij")
    assert "costs money" in shell.do(HELLO).text


def test_a_model_that_was_named_is_no_surprise(shell, monkeypatch):
    shell.do(HELLO)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdefghij")
    assert "costs money" not in shell.do("%llm -m openai:gpt-4o-mini -k 5 hi").text


def test_a_key_that_changes_nothing_says_nothing_more(shell):
    shell.do("%llm model sandbox")
    assert shell.do("%llm key openai").text == "The openai key is set for this session.\n"


def test_a_provider_as_the_default_is_shown_with_its_model(shell, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdefghij")
    assert shell.do("%llm model").text.startswith("Model: openai:gpt-")
    assert shell.do("%llm model sonnet").text.startswith("Model: anthropic:claude-sonnet-")
