"""Replies, comparisons and chats are copied and pickled without the notebook around them."""

from __future__ import annotations

import copy
import pickle

import pytest

import llmkit
from llmkit.core.errors import BudgetExceededError, LLMClientError
from llmkit.notebook.chat.conversation import Conversation
from llmkit.notebook.display.error_messages import shorten
from tests.support.shells import opened

WAYS = {
    "copied": copy.copy,
    "deep-copied": copy.deepcopy,
    "pickled": lambda value: pickle.loads(pickle.dumps(value)),
}


@pytest.fixture(scope="module")
def shell():
    with opened() as shell:
        yield shell


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def again(request):
    return request.param


def test_a_reply_keeps_text_cost_and_form(shell, again):
    shell.do("""reply = %llm -q -f json repeat exactly: {"a": [1]}""")
    (found,) = again([shell["reply"]])
    assert (found.text, found.cost, found.json()) == ('{"a": [1]}', shell["reply"].cost, {"a": [1]})
    assert found.complete
    assert str(found.footer) == str(shell["reply"].footer)


def test_a_table_of_a_reply_goes_along(shell, again):
    shell.do('reply = %llm -q -f df repeat exactly: [{"n": 1}, {"n": 2}]')
    assert again(shell["reply"]).df["n"].tolist() == [1, 2]


def test_a_copied_reply_shows_itself(shell, again):
    shell.do("reply = %llm -q repeat exactly: Lima")
    shell.shell.user_ns["found"] = again(shell["reply"])
    assert "Lima" in shell.do("found").text


def test_a_comparison_keeps_answers_errors_and_sums(shell, again):
    shell.do(
        "%%llm sandbox,sandbox:sandbox!401,sandbox:sandbox!cut=3 -t talk -o both\n"
        "repeat exactly: one two three"
    )
    both, found = shell["both"], again(shell["both"])
    assert (found.models, found.cost, found.df.to_csv()) == (both.models, both.cost, both.df.to_csv())
    assert str(found["sandbox"]) == "one two three"
    assert isinstance(found["sandbox:sandbox!401"], LLMClientError)
    assert str(found["sandbox:sandbox!401"]) == str(both["sandbox:sandbox!401"])
    assert found.keep("sandbox").text == "one two three"


def test_a_chat_keeps_its_branches_and_goes_on_apart(shell, again):
    chat = llmkit.Chat("sandbox", system="Be brief.", vars={"n": 7}, budget=2)
    chat.ask("repeat exactly: one")
    found = again(chat)
    found.ask("repeat exactly: two")
    assert [message.content for message in found.messages if message.role == "assistant"] == ["one", "two"]
    assert [message.content for message in chat.messages if message.role == "assistant"] == ["one"]
    assert (found.model, found.system) == ("sandbox", "Be brief.")
    assert "n: int" in found.messages[0].content
    assert found.df["text"].tolist()[:2] == chat.df["text"].tolist()


def test_a_chat_with_a_thread_still_shares_it(shell, again):
    shell.do("import llmkit\n%llm thread\nchat = llmkit.Chat('sandbox', thread='shared')")
    found = again(shell["chat"])
    found.ask("repeat exactly: hi")
    assert "hi" in shell.do("%llm thread shared").text
    shell.do("%llm thread delete shared")


def test_a_long_conversation_is_no_deep_one(again):
    talk = Conversation()
    for number in range(2_000):
        talk.answer(talk.ask(f"question {number}"), f"answer {number}")
    found = again(talk)
    assert [node.text for node in found.branch] == [node.text for node in talk.branch]


def test_versions_and_the_one_that_is_shown_go_along(again):
    talk = Conversation()
    question = talk.ask("Name a river.")
    first, second = talk.answer(question, "The Rhine."), talk.answer(question, "The Po.", state="open")
    talk.show(first)
    found = again(talk)
    assert [node.text for node in found.branch] == ["Name a river.", "The Rhine."]
    assert [node.text for node in found.branch[1].siblings] == ["The Rhine.", "The Po."]
    assert [node.state for node in found] == ["ok", "ok", "cancelled"]
    assert second.state == "open"


@pytest.mark.parametrize(
    "error", [LLMClientError("No.", hint="Go.", partial="x"), BudgetExceededError("No.", cap=1.0)]
)
def test_an_error_that_a_magic_raised_can_be_pickled(error, again):
    found = again(shorten(error))
    assert (str(found), found.partial, type(found)) == (str(error), error.partial, type(error))


@pytest.mark.parametrize("way", ["copied", "deep-copied"])
def test_a_copy_of_a_ledger_is_the_ledger_itself(way):
    ledger = llmkit.Ledger(":memory:")
    (found,) = WAYS[way]([ledger])
    assert found is ledger
