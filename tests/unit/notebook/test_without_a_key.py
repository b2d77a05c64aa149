"""Without a key: what the error says works wherever it is shown."""

from __future__ import annotations

import os

import pandas as pd
import pytest

import llmkit
from llmkit import AuthenticationError
from tests.support.shells import opened

ADVICE = "%env LLMKIT_SANDBOX=1"
QUESTION = "Name three rivers."


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "0")  # so that what %env sets ends with the test
    with opened() as shell:
        shell.shell.user_ns["llmkit"] = llmkit
        shell.shell.user_ns["rivers"] = pd.DataFrame({"text": [QUESTION]})
        yield shell


def refused(ran):
    return ADVICE in f"{ran.text} {ran.error or ''}"


@pytest.mark.parametrize(
    ("cell", "instead"),
    [
        (f"%%llm sonnet\n{QUESTION}", f"%%llm sandbox\n{QUESTION}"),
        (f"%llm sonnet {QUESTION}", f"%llm sandbox {QUESTION}"),
        (f"%%llm sonnet,gpt\n{QUESTION}", f"%%llm sandbox,sandbox-mini\n{QUESTION}"),
        (f"llmkit.ask('{QUESTION}', 'sonnet')", f"llmkit.ask('{QUESTION}', 'sandbox')"),
        (f"llmkit.Chat('sonnet').ask('{QUESTION}')", f"llmkit.Chat('sandbox').ask('{QUESTION}')"),
        ("rivers.llm.map('{{text}}', model='sonnet')", "rivers.llm.map('{{text}}', model='sandbox')"),
    ],
)
def test_the_advice_of_the_error_works_as_it_is_written(shell, cell, instead):
    assert refused(shell.run(cell))
    assert not refused(shell.do(instead))
    shell.do(ADVICE)
    assert os.environ["LLMKIT_SANDBOX"] == "1"
    assert not refused(shell.do(cell))


def test_the_error_names_the_key_the_variable_and_the_sandbox(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError) as caught:
        llmkit.ask(QUESTION, "gpt")
    assert str(caught.value) == (
        "No openai key: %llm key openai, or set OPENAI_API_KEY. Without a key, ask the model sandbox, or set "
        "%env LLMKIT_SANDBOX=1: it then answers for all models."
    )
