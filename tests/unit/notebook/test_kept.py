"""An answer that was stopped or cut is the user's: where its text is afterwards."""

from __future__ import annotations

import _thread
import threading
import time
from pathlib import Path

import pytest

from llmkit import sandbox
from tests.support.shells import opened

CUT = "sandbox:sandbox!cut=5"
STALLS = "sandbox:sandbox!stall=5"
COUNT = "repeat exactly: one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def session():
    with opened() as shell:
        yield shell


@pytest.fixture
def shell(session):
    sandbox.server().requests.clear()
    session.do("%reset -f -s")
    session.do("import llmkit")
    session.do("%reload_ext llmkit")
    return session


def interrupted(shell, cell):
    """Run a cell, and interrupt it once its answers stand still."""

    def stop():
        end = time.monotonic() + 20
        while not sandbox.server().requests and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.4)
        _thread.interrupt_main()

    thread = threading.Thread(target=stop)
    thread.start()
    ran = shell.run(cell)
    thread.join()
    return ran


def test_a_cut_answer_is_in_its_variable_and_the_error_says_so(shell):
    ran = shell.run(f"%%llm {CUT} -o plan\n{COUNT}")
    assert type(ran.error).__name__ == "StreamInterruptedError"
    assert "The text so far is in plan and %llm last." in ran.text
    assert COUNT.partition(": ")[2].startswith(shell["plan"].text.strip())
    assert shell["plan"].text.strip()
    assert shell["plan"].complete is False
    assert "Incomplete" in repr(shell["plan"])


def test_a_stopped_answer_is_in_its_variable_and_the_message_says_so(shell):
    ran = interrupted(shell, f"%%llm {STALLS} -o plan\n{COUNT}")
    assert type(ran.error).__name__ == "Stopped"
    assert "the text so far is in plan and %llm last." in ran.text
    assert shell["plan"].text.startswith("one")
    assert shell["plan"].complete is False


def test_a_whole_answer_is_complete(shell):
    shell.do(f"%%llm sandbox -o plan\n{COUNT}")
    assert shell["plan"].complete is True


def test_an_answer_at_its_token_limit_is_incomplete(shell):
    shell.do(f"%%llm sandbox -k 3 -o plan\n{COUNT}")
    assert shell["plan"].complete is False


def test_without_any_text_the_variable_is_left_alone(shell):
    ran = shell.run("plan = 'mine'\n%llm -q -m sandbox:sandbox!401 -o plan hello")
    assert ran.error is not None
    assert shell["plan"] == "mine"
    assert "text so far" not in ran.text


def test_an_answer_in_the_wrong_form_is_kept_as_text(shell):
    shell.do("form = {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}")
    ran = shell.run("%%llm sandbox:sandbox!tokens=4 --schema form -o plan\nrepeat exactly: not at all")
    assert type(ran.error).__name__ == "BadResponseError"
    assert "plan and %llm last" in ran.text
    assert shell["plan"].text
    shell.do("%llm last")


@pytest.mark.parametrize("quiet", ["", " -q"])
def test_last_and_export_have_a_cut_answer_and_mark_it(shell, quiet):
    shell.run(f"%%llm {CUT}{quiet}\n{COUNT}")
    assert "one" in shell.do("%llm last").text
    shell.do("%llm export out.md")
    text = Path("out.md").read_text("utf-8")
    assert "one" in text
    assert "*This answer is incomplete.*" in text


def test_a_thread_goes_on_after_a_cut_answer_and_marks_it(shell):
    shell.run(f"%%llm {CUT} -t talk\n{COUNT}")
    assert "assistant (incomplete): one" in shell.do("%llm thread talk").text
    assert "incomplete" in shell.do("%llm export thread talk").text
    shell.do("%%llm sandbox -t talk\nrepeat exactly: go on")
    sent = sandbox.server().requests[-1].body["messages"]
    assert [each["role"] for each in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"].startswith("one")
    assert "incomplete" not in sent[1]["content"]


def test_a_comparison_that_was_stopped_is_kept_with_what_each_model_had_said(shell):
    ran = interrupted(shell, f"%%llm sandbox,{STALLS} -o both\n{COUNT}")
    assert "the text so far is in both and %llm last." in ran.text
    assert [shell["both"].replies[name].complete for name in ("sandbox", STALLS)] == [True, False]
    assert shell["both"].replies[STALLS].text.startswith("one")
    assert "one" in shell.do("%llm last").text


def test_a_comparison_keeps_the_answer_that_was_cut(shell):
    shell.do(f"%%llm sandbox,{CUT} -o both\n{COUNT}")
    assert shell["both"].replies[CUT].complete is False
    assert shell["both"][CUT].partial


def test_a_comparison_from_python_that_was_stopped_is_the_last_answer(shell):
    ran = interrupted(shell, f"llmkit.compare('{COUNT}', ['{STALLS}'])")
    assert "the text so far is in %llm last." in ran.text
    assert ran.error.reply.replies[STALLS].text.startswith("one")


def test_a_chat_that_was_stopped_keeps_the_text_and_says_where(shell):
    shell.do(f"chat = llmkit.Chat('{STALLS}', thread='talk')")
    ran = interrupted(shell, f"chat.ask('{COUNT}')")
    assert "the text so far is in the last of the chat's .messages." in ran.text
    assert shell["chat"].messages[-1].content.startswith("one")
    assert ran.error.reply.complete is False
    assert "assistant (incomplete): one" in shell.do("%llm thread talk").text


def test_a_chat_that_was_cut_says_where_its_text_is(shell):
    ran = shell.run(f"chat = llmkit.Chat('{CUT}')\nchat.ask('{COUNT}')")
    assert "The text so far is in the last of the chat's .messages." in ran.text
    assert shell["chat"].messages[-1].content.startswith("one")
