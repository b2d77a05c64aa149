"""`%llm chat`: the words after it mean what they mean after `%%llm`."""

from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.error import UsageError

from tests.support.shells import opened, prompts


@pytest.fixture
def shell():
    with opened() as shell:
        shell.shell.user_ns["mails"] = pd.DataFrame({"text": ["Where is my parcel?", "Thanks!"]})
        yield shell


def opened_chat(shell, words):
    return shell.do(f"chat = %llm chat {words}\nchat").value


@pytest.mark.parametrize("words", ["sonnet", "-m sonnet", "sonnet -t sonnet", "-t talk sonnet"])
def test_a_models_name_is_the_model(shell, words):
    assert opened_chat(shell, words).model == "sonnet"


@pytest.mark.parametrize("word", ["anthropic:claude-sonnet-5-5", "claude-sonnet-5-5", "openai"])
def test_so_are_its_full_name_and_a_provider(shell, word):
    assert opened_chat(shell, word).model == word


def test_any_other_word_is_the_conversation_of_cells_and_of_minus_t(shell):
    shell.do("%%llm sandbox -q -t trip\nrepeat exactly: Rome")
    for words in ("trip", "-t trip", "sandbox -t trip", "trip -m sandbox"):
        said = [message.content for message in opened_chat(shell, words).messages]
        assert said == ["repeat exactly: Rome", "Rome"], words


def test_variables_are_described_as_in_a_cell(shell):
    opened_chat(shell, "sandbox -v mails").ask("How many rows are there?")
    assert opened_chat(shell, "-v mails.columns").messages[0].role == "system"
    chat = opened_chat(shell, "-v mails")
    shell.shell.user_ns["mails"] = pd.DataFrame({"text": ["only one row"]})
    assert "only one row" in chat.messages[0].content
    assert prompts()[-1] == "How many rows are there?"


def test_a_budget_is_the_chats(shell):
    chat = opened_chat(shell, "sandbox -b 0.5")
    assert chat._runner.head["budget"] == "$0.50"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sonnet -m gpt", "Two models: sonnet and gpt."),
        ("trip -t walk", "Two threads: trip and walk."),
        ("-v mail", "Did you mean mails?"),
        ("-b 1 --max-steps 3", "needs tools"),
        ("-c trip", "%llm chat does not take '-c trip'"),
    ],
)
def test_a_mistake_is_said_in_one_line(shell, words, said):
    error = shell.run(f"%llm chat {words}").error
    assert isinstance(error, UsageError)
    assert said in str(error)


def test_a_model_that_is_not_known_is_said(shell):
    error = shell.run("%llm chat gpt5.4").error
    assert "Unknown model or provider: 'gpt5.4'" in str(error)


def test_a_variable_of_the_user_may_be_called_out(shell):
    shell.shell.user_ns["Out"] = [1, 2]
    assert opened_chat(shell, "sandbox")._runner.head["called"] == "chat"


def test_the_chat_says_how_a_cell_writes_it(shell):
    chat = opened_chat(shell, "sandbox")
    assert chat._runner.head["called"] == "chat"
    unnamed = shell.do("%llm chat sandbox").value
    assert unnamed._runner.head["called"] == f"Out[{shell.shell.execution_count - 1}]"
    unnamed.ask("repeat exactly: x = 1")
    shell.do(f"{unnamed._runner.head['called']}.to_cell()")
