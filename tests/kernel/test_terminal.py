"""`%llm` in a terminal's IPython: plain text, the footer under it, no empty output prompt."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

SCRIPT = """\
%load_ext llmkit
%llm repeat exactly: one two?
_.text
x = %llm repeat exactly: three
print(x.text, x.cost > 0)
%llm --modle x
get_ipython().run_cell_magic("llm", "-o y", "repeat exactly: **four**")
y.text
%llm -f json give me JSON
%llm -c write a function for primes
print("next:", get_ipython().rl_next_input.splitlines()[0])
%llm -d hello
largest = maxx([3, 5])
%llm fix
print("fixed:", "max([3, 5])" in get_ipython().rl_next_input)
%llm repeat exactly: five
%llm last
print(get_ipython().Completer.complete(line_buffer="%llm --mo", cursor_pos=9)[1])
print(get_ipython().Completer.complete(line_buffer="%llm tell me prin", cursor_pos=17)[1])
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    environment = {
        **os.environ,
        "IPYTHONDIR": str(folder),
        "LLMKIT_LEDGER": ":memory:",
        "LLMKIT_SANDBOX_RATE": "0",
        "LLMKIT_SANDBOX_FIRST_TOKEN": "0",
    }
    command = [
        sys.executable,
        "-m",
        "IPython",
        "--no-banner",
        "--simple-prompt",
        "--TerminalInteractiveShell.term_title=False",
        "--no-confirm-exit",
        "--colors=NoColor",
    ]
    done = subprocess.run(
        command,
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=250,
        env=environment,
        cwd=folder,
        check=True,
    )
    return done.stdout + done.stderr


def test_the_answer_is_printed_as_plain_text_with_its_footer(session):
    assert "one two?\nsandbox · " in session
    assert "**four**\nsandbox · " in session
    assert "<strong>" not in session


def test_the_reply_is_in_underscore_without_an_empty_prompt(session):
    assert "Out[3]: 'one two?'" in session
    assert "Out[2]" not in session


def test_the_line_magic_assigns(session):
    assert "three True" in session


def test_a_mistake_is_one_line(session):
    assert "UsageError: Unknown option --modle. Did you mean --model?" in session
    assert session.count("Traceback") == 1  # that of the misspelt name


def test_json_is_printed_once_and_pretty(session):
    assert session.count('{\n  "answer": ') == 1


def test_code_waits_in_the_next_prompt(session):
    assert "next: def primes" in session
    assert "# made by" not in session


def test_a_dry_run_is_printed(session):
    assert "Dry run: nothing was sent." in session


def test_the_cell_that_failed_last_is_fixed_in_the_next_prompt(session):
    assert "Sent along: In[" in session
    assert "fixed: True" in session


def test_the_last_answer_is_printed_again_with_its_footer(session):
    assert len(re.findall(r"five\nsandbox · ", session)) == 2


def test_completions_are_ours_alone(session):
    assert "['--model']" in session
    assert "['prin']" in session
