"""llmkit's errors in a cell: a sentence and the user's own line; `%tb` shows all."""

from __future__ import annotations

import pytest

from tests.support.shells import opened

START = """
import llmkit
from concurrent.futures import ThreadPoolExecutor as Pool
from llmkit import LLMMessage, LLMClientError
bad = llmkit.client('sandbox:sandbox!401')
question = [LLMMessage('user', 'Hi')]
"""


@pytest.fixture(scope="module")
def session():
    with opened() as shell:
        shell.do(START)
        yield shell


@pytest.fixture
def shell(session):
    session.do("%xmode Context")
    session.do("%reload_ext llmkit")
    return session


FAILURES = {
    "awaited": ("await bad.generate_text(question)", "AuthenticationError"),
    "streamed": ("async for piece in bad.stream_text(question):\n    pass", "AuthenticationError"),
    "chat": ("llmkit.Chat('sandbox:sandbox!401').ask('Hi')", "AuthenticationError"),
    "chat, awaited": ("await llmkit.Chat('sandbox:sandbox!401').aask('Hi')", "AuthenticationError"),
    "compare": ("llmkit.compare('Hi', 'no-such-model-at-all,sandbox')", "ConfigurationError"),
    "comparison": (
        "llmkit.compare('Hi', 'sandbox:sandbox!401').keep('sandbox:sandbox!401')",
        "AuthenticationError",
    ),
    "reply": ("reply = %llm -q repeat exactly: words\nreply.df", "BadResponseError"),
    "client": ("llmkit.client('no-such-model-at-all')", "ConfigurationError"),
    "ledger": ("llmkit.ledger.summary(by='nothing')", "ConfigurationError"),
    "thread": ("Pool(1).submit(llmkit.client, 'no-such-model-at-all').result()", "ConfigurationError"),
}


@pytest.mark.parametrize(("cell", "name"), FAILURES.values(), ids=FAILURES)
def test_an_error_shows_its_sentence_and_the_users_line(shell, cell, name):
    ran = shell.run(cell)
    lines = ran.text.strip().splitlines()
    assert type(ran.error).__name__ == name
    assert len(lines) <= 15
    assert lines[-1].startswith(f"{name}: ")
    assert str(ran.error) in lines[-1]
    assert "llmkit/" not in ran.text
    line = cell.splitlines()[-1] if "for piece" not in cell else cell.splitlines()[0]
    assert line.strip() in ran.text
    assert ", in <" not in ran.text  # a cell's own code has no name


REFUSALS = {
    "role": ("LLMMessage('nobody', 'Hi')", "ValueError"),
    "content": ("LLMMessage('user', '  ')", "ValueError"),
    "type": ("LLMMessage('user', 1)", "TypeError"),
    "monitor": ("llmkit.LLMMonitor(keep=0)", "ValueError"),
    "sandbox": ("from llmkit import sandbox\nsandbox.url('smtp')", "ValueError"),
}


@pytest.mark.parametrize(("cell", "name"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_argument_shows_the_message_and_the_users_line(shell, cell, name):
    ran = shell.run(cell)
    lines = ran.text.strip().splitlines()
    assert type(ran.error).__name__ == name
    assert [line.strip() for line in lines[-2:]] == [
        cell.splitlines()[-1],
        f"{name}: {ran.error}",
    ]
    assert len(lines) == 3
    assert "site-packages" not in ran.text
    assert "llmkit/" in shell.do("%tb").text


def test_an_error_that_python_raises_inside_llmkit_keeps_its_traceback(shell):
    ran = shell.run("llmkit.LLMResponse()")
    assert type(ran.error) is TypeError
    assert "Traceback (most recent call last)" in ran.text
    inside = shell.run("from llmkit.core.money import to_nanos\nto_nanos(object())").text
    assert "money.py" in inside


def test_a_value_error_of_the_user_keeps_its_traceback(shell):
    assert "Traceback (most recent call last)" in shell.run("raise ValueError('mine')").text


def test_a_line_inside_a_function_is_shown_below_its_call(shell):
    ran = shell.run("def ask():\n    return llmkit.client('no-such-model-at-all')\n\nask()")
    shown = [line.strip() for line in ran.text.splitlines()]
    assert shown.index("ask()") < shown.index("return llmkit.client('no-such-model-at-all')")
    assert "line 2, in ask" in ran.text


@pytest.mark.full
def test_a_deep_recursion_stays_short(shell):
    ran = shell.run(
        "def ask(n):\n    return ask(n - 1) if n else llmkit.client('no-such-model-at-all')\nask(50)"
    )
    assert len(ran.text.strip().splitlines()) <= 15


@pytest.mark.parametrize("mode", ["Context", "Verbose", "Plain"])
def test_tb_shows_all_of_it_in_every_mode(shell, mode):
    shell.do(f"%xmode {mode}")
    short = shell.run("llmkit.client('no-such-model-at-all')").text
    long = shell.do("%tb").text
    assert "registry.py" not in short
    assert "registry.py" in long
    assert "no-such-model-at-all" in long


def test_the_same_error_is_short_again_when_it_is_raised_again(shell):
    shell.run(
        "try:\n    llmkit.client('no-such-model-at-all')\nexcept LLMClientError as error:\n    kept = error"
    )
    for _ in range(2):
        assert len(shell.run("raise kept").text.strip().splitlines()) <= 15


def test_an_error_of_the_magic_stays_one_line(shell):
    ran = shell.run("%llm -m sandbox:sandbox!401 hi")
    assert len([line for line in ran.text.splitlines() if "AuthenticationError" in line]) == 1
    assert "get_ipython" not in ran.text


def test_other_peoples_errors_keep_their_traceback(shell):
    text = shell.run("def f():\n    return 1 / 0\nf()").text
    assert "Traceback (most recent call last)" in text
    assert "----> 2     return 1 / 0" in text


def test_an_error_raised_from_ours_keeps_its_own_traceback(shell):
    shell.do("def fail():\n    llmkit.client('no-such-model-at-all')")
    ran = shell.run("try:\n    fail()\nexcept LLMClientError as e:\n    raise ValueError('mine') from e")
    for expected in (
        "----> 4     raise ValueError('mine') from e",
        "ValueError: mine",
        "ConfigurationError: ",
    ):
        assert expected in ran.text
    assert "registry.py" not in ran.text
    assert "registry.py" in shell.do("%tb").text
    assert ran.error.__cause__ is not None


def test_an_error_of_ours_raised_from_another_is_short_and_has_its_cause(shell):
    ran = shell.run(
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise LLMClientError('mine') from error"
    )
    assert len(ran.text.strip().splitlines()) <= 15
    assert isinstance(ran.error.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError" in shell.do("%tb").text


def test_short_errors_can_be_switched_off(shell):
    shell.do("%config LLMMagics.short_errors = False")
    text = shell.run("llmkit.client('no-such-model-at-all')").text
    shell.do("%config LLMMagics.short_errors = True")
    assert "registry.py" in text


def test_without_the_extension_tracebacks_are_pythons(shell):
    shell.do("%unload_ext llmkit")
    text = shell.run("llmkit.client('no-such-model-at-all')").text
    shell.do("%load_ext llmkit")
    assert "registry.py" in text


def test_a_key_in_the_users_line_is_not_repeated(shell):
    ran = shell.run(
        "llmkit.client('no-such-model-at-all', api_key='sk-proj-abcdefghijklmnopqrstuvwxyz0123456789')"
    )
    assert "abcdefghijklmnop" not in ran.text


@pytest.mark.parametrize(
    ("colors", "no_color", "start"),
    [
        ("linux", "", "\x1b[31mConfigurationError\x1b[0m: "),
        ("linux", "1", "Config"),
        ("nocolor", "", "Config"),
    ],
)
def test_an_error_is_red_unless_the_user_wants_no_colours(shell, monkeypatch, colors, no_color, start):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    shell.shell.colors = colors
    lines = shell.run("llmkit.client('no-such-model-at-all')").text.strip().splitlines()
    assert lines[-1].startswith(start)


def test_an_error_is_plain_on_a_terminal_without_colours_but_not_in_a_kernel(shell, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    shell.shell.colors = "linux"
    assert "\x1b" not in shell.run("llmkit.client('no-such-model-at-all')").text
    monkeypatch.setattr(shell.shell, "kernel", object(), raising=False)
    assert "\x1b[31mConfigurationError" in shell.run("llmkit.client('no-such-model-at-all')").text
