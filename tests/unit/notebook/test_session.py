"""The state that the magics, their subcommands and the chat share."""

from __future__ import annotations

import pytest

import llmkit
from llmkit.content.messages import LLMResponse
from llmkit.notebook.reply import Reply
from llmkit.notebook.request import Part, Prompt
from llmkit.notebook.session import Session, find_session, keep_last
from llmkit.notebook.session_log import IncompleteMessage
from tests.support.shells import opened

PROMPT = Prompt(parts=(Part(title="variable n"), Part(title="prompt", text="Is 7 prime?")))


def reply(text, **options):
    return Reply(LLMResponse(text, "sandbox", "sandbox"), **options)


@pytest.fixture
def shell():
    with opened() as shell:
        yield shell


def test_without_the_extension_there_is_none_and_nothing_is_kept():
    assert find_session() is None
    assert keep_last(reply("yes")) is False


def test_outside_ipython_a_session_has_the_defaults_of_the_options():
    defaults = Session().defaults
    assert (defaults.model, defaults.temperature, defaults.fallback, defaults.footer) == ("", None, [], True)


def test_an_answer_is_logged_with_what_was_sent_along_and_becomes_the_last_one():
    session, answer = Session(), reply("Yes.")
    session.add("luna", PROMPT, answer)
    (entry,) = session.log
    assert (entry.label, entry.prompt, entry.along, entry.answer) == (
        "luna",
        "Is 7 prime?",
        ("variable n",),
        "Yes.",
    )
    assert session.last_reply is answer


@pytest.mark.parametrize(("ended", "incomplete"), [(True, False), (False, True)])
def test_a_conversation_knows_whether_its_answer_is_whole(ended, incomplete):
    session = Session()
    session.extend_thread("math", PROMPT, reply("Yes.", ended=ended))
    question, answer = session.threads["math"]
    assert (question.role, answer.role, answer.content) == ("user", "assistant", "Yes.")
    assert isinstance(answer, IncompleteMessage) is incomplete


def test_an_answer_without_text_does_not_enter_a_conversation():
    session = Session()
    session.extend_thread("math", PROMPT, reply("  \n"))
    assert session.threads == {}


def test_the_magics_the_chat_and_python_share_one_session(shell):
    session = find_session(shell.shell)
    shell.do("%config LLMMagics.system = 'Rhyme.'")
    shell.do("%%llm sandbox -t math\nrepeat exactly: 7")
    shell.do("import llmkit\nchat = llmkit.Chat('sandbox', thread='math')")
    chat = shell["chat"]
    assert [message.content for message in chat.messages] == ["Rhyme.", "repeat exactly: 7", "7"]
    assert chat.system == session.defaults.system == "Rhyme."
    shell.do("both = await llmkit.acompare('repeat exactly: hi', ['sandbox:sandbox'])")
    assert session.last_reply is shell["both"]


def test_a_failed_cell_is_the_last_error_until_the_extension_is_unloaded(shell):
    session = find_session(shell.shell)
    shell.run("1 / 0")
    assert "ZeroDivisionError" in session.last_error.error
    shell.do("%unload_ext llmkit")
    shell.run("undefined_name")
    assert "ZeroDivisionError" in session.last_error.error


def test_a_chat_outside_ipython_uses_the_defaults():
    assert llmkit.Chat("sandbox").system == ""
